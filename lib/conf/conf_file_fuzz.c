/* Settings come out whole: no blanks around, no line ends within, numbers that rise; and a file
 * written anew from them reads the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "conf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct conf_line *line, struct buf *to)
{
    struct conf_line again = { .number = 0 };
    bool there = false;
    to->len = 0;
    buf_put(to, line->key);
    buf_put(to, SPAN("="));
    buf_put(to, line->value);
    struct span in = buf_span(to);
    CHECK(conf_file_next(&in, &again, &there).code == ERR_OK && there && in.len == 0);
    CHECK(span_eq(again.key, line->key) && span_eq(again.value, line->value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct conf_line line = { .number = 0 };
    struct buf to;
    bool there = true;
    char *bytes = malloc(size + 1);
    CHECK(bytes != NULL);
    buf_init(&to, bytes, size + 1);
    for (size_t before = 0; conf_file_next(&in, &line, &there).code == ERR_OK && there;) {
        CHECK(line.number > before && line.key.len > 0);
        before = line.number;
        CHECK(line.value.len == 0 || memchr(line.value.ptr, '\n', line.value.len) == NULL);
        check_again(&line, &to);
    }
    free(bytes);
    return 0;
}

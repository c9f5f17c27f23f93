/* The first byte picks the option, the rest is its value: what is taken has one text form, which
 * is taken again and gives itself. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "conf_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FORM_BYTES = 2 * CONF_VALUE_MAX_BYTES + 1024, ARENA_BYTES = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char form[FORM_BYTES], again[FORM_BYTES];
    struct arena arena;
    struct conf_value value, value_again;
    struct buf to, to_again;
    if (size == 0) return 0;
    const struct conf_row *row = &conf_rows[data[0] % CONF_KEYS_COUNT];
    arena_init(&arena, ARENA_BYTES);
    if (conf_value_parse(row, span_of(data + 1, size - 1), &arena, &value).code == ERR_OK) {
        buf_init(&to, form, sizeof(form));
        conf_value_put(row, &value, &to);
        /* A list in its own form may be longer than what may be given. */
        if (!to.overflow && to.len <= CONF_VALUE_MAX_BYTES) {
            CHECK(conf_value_parse(row, buf_span(&to), &arena, &value_again).code == ERR_OK);
            buf_init(&to_again, again, sizeof(again));
            conf_value_put(row, &value_again, &to_again);
            CHECK(span_eq(buf_span(&to), buf_span(&to_again)));
        }
    }
    arena_clear(&arena);
    return 0;
}

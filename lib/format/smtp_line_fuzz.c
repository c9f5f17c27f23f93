/* A line holds no CR and no LF, ends where it is said to, and is found however much is shown. */
#include <stdint.h>

#include "check.h"
#include "smtp_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rule itself, octet by octet. */
static enum parse plain(struct span in, size_t max_bytes, size_t *used)
{
    for (size_t i = 0; i < in.len && i < max_bytes; i++) {
        if (in.ptr[i] == '\n') {
            *used = i + 1;
            return i > 0 && in.ptr[i - 1] == '\r' ? PARSE_OK : PARSE_BAD;
        }
        if (i > 0 && in.ptr[i - 1] == '\r') return PARSE_BAD;
    }
    return PARSE_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct span in = span_of(data + 1, size - 1), line, verb, args;
    size_t max_bytes = 1u + data[0], used = 0, expected = 0;
    for (size_t len = 0; len <= in.len && len <= 600; len++) {
        struct span shown = span_head(in, len);
        enum parse parse = smtp_line_take(shown, max_bytes, &line, &used);
        CHECK(parse == plain(shown, max_bytes, &expected));
        if (parse == PARSE_BAD) return 0;
        if (parse == PARSE_MORE) continue;
        CHECK(used == expected && line.len + 2 == used && line.ptr == in.ptr);
        CHECK(line.len == 0 || (memchr(line.ptr, '\r', line.len) == NULL &&
                                memchr(line.ptr, '\n', line.len) == NULL));
        if (smtp_line_split(line, &verb, &args).code == ERR_OK) {
            CHECK(verb.len > 0 && verb.len + args.len <= line.len);
        }
        return 0;
    }
    return 0;
}

/* Characters that are taken are written as the same bytes; what is cleaned is valid and stays as it
 * is; a head ends between characters; a JSON text is valid and on one line. */
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "json_text.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool walk(struct span in)
{
    while (in.len > 0) {
        char bytes[UTF8_MAX_BYTES];
        struct buf again;
        uint32_t character = UINT32_MAX;
        size_t len = utf8_take(in, &character);
        if (len == 0) {
            CHECK(character == UINT32_MAX);
            return false;
        }
        CHECK(len <= UTF8_MAX_BYTES && len <= in.len);
        buf_init(&again, bytes, sizeof(bytes));
        utf8_put(&again, character);
        CHECK(span_eq(buf_span(&again), span_head(in, len)));
        in = span_skip(in, len);
    }
    return true;
}

static void check_json(struct span in, char *bytes)
{
    struct buf out;
    buf_init(&out, bytes, JSON_TEXT_GROWTH * in.len + JSON_TEXT_QUOTES_BYTES);
    json_text_put(&out, in);
    CHECK(!out.overflow && utf8_is_valid(buf_span(&out)));
    struct span text = buf_span(&out);
    CHECK(text.ptr[0] == '"' && text.ptr[text.len - 1] == '"');
    for (size_t i = 1; i + 1 < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        CHECK(c >= ' ' && c != 0x7f);
        CHECK(c != '"' || text.ptr[i - 1] == '\\');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct buf clean, again;
    bool valid = walk(in);
    char *bytes = malloc((JSON_TEXT_GROWTH + 6) * size + 16);
    CHECK(bytes != NULL && valid == utf8_is_valid(in));
    buf_init(&clean, bytes, 3 * size);
    utf8_put_clean(&clean, in);
    CHECK(!clean.overflow && utf8_is_valid(buf_span(&clean)));
    CHECK(valid == span_eq(buf_span(&clean), in));
    buf_init(&again, bytes + 3 * size, 3 * size);
    utf8_put_clean(&again, buf_span(&clean));
    CHECK(span_eq(buf_span(&again), buf_span(&clean)));
    for (size_t max = 0; max <= size && max < 40; max++) {
        struct span head = utf8_head(in, max);
        CHECK(head.ptr == in.ptr && head.len <= max);
        if (valid) CHECK(utf8_is_valid(head) && head.len + UTF8_MAX_BYTES > max);
    }
    check_json(in, bytes);
    free(bytes);
    return 0;
}

/* What the strict reader takes is exactly what is written for it again; the tolerant one reads the
 * same of it, and the same of anything however it is cut and however little room there is. */
#include <stdint.h>
#include <stdlib.h>

#include "base64.h"
#include "buf.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `text` by pieces of `piece` bytes, `room` bytes of output at a time. */
static void decode_cut(struct span text, size_t piece, size_t room, struct buf *to)
{
    struct base64_state state = { 0 };
    while (text.len > 0) {
        struct span part = span_head(text, piece);
        text = span_skip(text, part.len);
        while (part.len > 0) {
            char bytes[8];
            struct buf out;
            size_t before = part.len;
            buf_init(&out, bytes, room);
            base64_decode_some(&state, &out, &part);
            CHECK(!out.overflow && (part.len < before || out.len > 0));
            buf_put(to, buf_span(&out));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct buf plain, strict, cut, coded;
    char *bytes = malloc(5 * size + 64);
    CHECK(bytes != NULL);
    char *next = bytes;
    buf_init(&plain, next, size / 4 * 3 + 3);
    base64_decode(&plain, in);
    CHECK(!plain.overflow);
    next += size / 4 * 3 + 3;
    buf_init(&cut, next, size / 4 * 3 + 3);
    decode_cut(in, 1 + size % 7, 1 + size % 8, &cut);
    CHECK(span_eq(buf_span(&plain), buf_span(&cut)));
    next += size / 4 * 3 + 3;
    buf_init(&strict, next, size / 4 * 3 + 3);
    next += size / 4 * 3 + 3;
    if (base64_decode_strict(&strict, in).code == ERR_OK) {
        CHECK(span_eq(buf_span(&plain), buf_span(&strict)));
        buf_init(&coded, next, size + 4);
        base64_encode(&coded, buf_span(&strict));
        CHECK(!coded.overflow && span_eq(buf_span(&coded), in));
    } else {
        CHECK(strict.len == 0);
    }
    free(bytes);
    return 0;
}

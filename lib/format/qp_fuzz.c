/* decode(encode(x)) is x, in lines of at most 76 characters; decoding never makes more bytes than
 * there were, and the same however little room there is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "qp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(struct span text)
{
    size_t line = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        CHECK(c == '\r' || c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f));
        line = c == '\n' ? 0 : line + 1;
        CHECK(line <= QP_LINE_CHARACTERS + 1); /* and the CR */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size), rest = in;
    struct buf out, coded, some;
    char *bytes = malloc((QP_GROWTH + 2) * size + 64);
    CHECK(bytes != NULL);
    buf_init(&out, bytes, size);
    qp_decode(&out, in);
    CHECK(!out.overflow);
    buf_init(&some, bytes + size, size);
    while (rest.len > 0) {
        char few[8];
        struct buf part;
        size_t before = rest.len;
        buf_init(&part, few, 1 + size % sizeof(few));
        qp_decode_some(&part, &rest);
        CHECK(rest.len < before || part.len > 0);
        buf_put(&some, buf_span(&part));
    }
    CHECK(span_eq(buf_span(&some), buf_span(&out)));
    buf_init(&out, bytes, size);
    qp_decode_word(&out, in);
    CHECK(!out.overflow);
    buf_init(&coded, bytes + size, QP_GROWTH * size);
    qp_encode(&coded, in);
    CHECK(!coded.overflow);
    check_lines(buf_span(&coded));
    buf_init(&out, bytes, size);
    qp_decode(&out, buf_span(&coded));
    CHECK(span_eq(buf_span(&out), in));
    free(bytes);
    return 0;
}

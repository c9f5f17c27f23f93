/* What decodes, encodes; what was encoded decodes to the same; both stay within UTF7_GROWTH. */
#include "utf7.h"

#include <stdint.h>

#include "check.h"

enum { IN_BYTES = 4096, OUT_BYTES = IN_BYTES * UTF7_GROWTH };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct span utf8)
{
    static char there_bytes[OUT_BYTES * UTF7_GROWTH], back_bytes[OUT_BYTES];
    struct buf there, back;
    buf_init(&there, there_bytes, sizeof(there_bytes));
    buf_init(&back, back_bytes, sizeof(back_bytes));
    if (utf7_encode(utf8, &there).code != ERR_OK) return;
    CHECK(there.len <= utf8.len * UTF7_GROWTH);
    CHECK(utf7_decode(buf_span(&there), &back).code == ERR_OK);
    CHECK(span_eq(utf8, buf_span(&back)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[OUT_BYTES];
    struct buf out;
    if (size > IN_BYTES) return 0;
    round_trip(span_of(data, size));
    buf_init(&out, bytes, sizeof(bytes));
    struct err err = utf7_decode(span_of(data, size), &out);
    CHECK(err.code == ERR_OK || err.code == ERR_SYNTAX);
    if (err.code == ERR_OK) round_trip(buf_span(&out));
    return 0;
}

/* A sealed secret opens only as it was made: the input, a changed copy of a real one and a key file
 * all go in without harm. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECRET_MAX_BYTES = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char sealed[SECRET_MAX_BYTES + SEALED_OVERHEAD_BYTES], opened[SECRET_MAX_BYTES];
    struct sealed_keys keys = { .count = 1, .keys = { { .id = 1, .bytes = { 1 } } } }, parsed;
    struct span in = span_of(data, size > SECRET_MAX_BYTES ? SECRET_MAX_BYTES : size);
    struct buf to, back;
    buf_init(&back, opened, sizeof(opened));
    CHECK(sealed_open(&keys, SPAN("whose"), in, &back).code != ERR_OK);
    if (sealed_keys_parse(in, &parsed).code == ERR_OK) {
        CHECK(parsed.count > 0 && parsed.count <= SEALED_KEYS_MAX);
    }
    buf_init(&to, sealed, sizeof(sealed));
    CHECK(sealed_make(&keys, SPAN("whose"), in, &to).code == ERR_OK);
    CHECK(sealed_open(&keys, SPAN("whose"), buf_span(&to), &back).code == ERR_OK);
    CHECK(span_eq(buf_span(&back), in));
    if (size == 0) return 0;
    sealed[(data[0] * 256u + data[size - 1]) % to.len] ^= 0x10;
    back.len = 0;
    CHECK(sealed_open(&keys, SPAN("whose"), buf_span(&to), &back).code != ERR_OK);
    return 0;
}

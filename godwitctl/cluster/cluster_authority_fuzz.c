/* What is read is written so that it reads the same; and its numbers fit each other. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "cluster_authority.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ROOM = 8 * AUTHORITIES_MAX_BYTES }; /* JSON may write a byte as six */
    struct authorities *first = calloc(2, sizeof(*first)), *second = first + 1;
    char *bytes = malloc(ROOM);
    struct buf text;
    CHECK(first != NULL && bytes != NULL);
    buf_init(&text, bytes, ROOM);
    if (authorities_read(span_of((const char *)data, size), first).code == ERR_OK) {
        CHECK(first->count > 0 && first->count <= AUTHORITIES_MAX);
        CHECK(authorities_issuer(first) != NULL);
        CHECK(authorities_write(first, &text).code == ERR_OK);
        CHECK(authorities_read(buf_span(&text), second).code == ERR_OK);
        CHECK(memcmp(first, second, sizeof(*first)) == 0);
    }
    free(bytes);
    free(first);
    return 0;
}

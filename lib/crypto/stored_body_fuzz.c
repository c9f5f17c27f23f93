/* What lies on a disk is opened without harm, and what opens is made again to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "check.h"
#include "stored_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPEN_MAX_BYTES = 4 << 20 }; /* so that the fuzzer is quick */

static void make_and_open(struct span plain)
{
    struct body_budget budget = { 64 << 20, 64 << 20, 0, 0, "/tmp" };
    struct body *body;
    CHECK(stored_body_make(plain, &budget, &body).code == ERR_OK);
    size_t size = (size_t)body_size(body);
    char *stored = malloc(size), *again = malloc(plain.len + 1);
    CHECK(stored != NULL && again != NULL);
    CHECK(body_copy(body, 0, stored, size) == size);
    CHECK(stored_body_open(span_of(stored, size), again, plain.len).code == ERR_OK);
    CHECK(plain.len == 0 || memcmp(again, plain.ptr, plain.len) == 0);
    free(stored);
    free(again);
    body_unref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    uint64_t length;
    make_and_open(in);
    if (stored_body_length(in, &length).code != ERR_OK || length > OPEN_MAX_BYTES) return 0;
    char *to = malloc((size_t)length + 1);
    CHECK(to != NULL);
    if (stored_body_open(in, to, length).code == ERR_OK) make_and_open(span_of(to, (size_t)length));
    free(to);
    return 0;
}

/* The base of a base is itself, and never longer than the text. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 64 * 1024) return 0;
    char *store = malloc(size + 1), *again = malloc(size + 1);
    CHECK(store != NULL && again != NULL);
    struct subject first = subject_base(span_of(data, size), store);
    CHECK(first.base.len <= size);
    struct subject second = subject_base(first.base, again);
    CHECK(span_eq(first.base, second.base) && !second.is_reply);
    free(store);
    free(again);
    return 0;
}

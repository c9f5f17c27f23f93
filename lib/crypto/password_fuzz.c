/* A stored hash, as it may come from an import: whether it is one is the same each time; what is
 * none fits no password; all but argon2id are made anew. */
#include <stdint.h>

#include "check.h"
#include "password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct password_cost cost = { 19456, 2 };
    struct span stored = span_of(data, size);
    enum password_scheme one = PASSWORD_MD5, two = PASSWORD_MD5;
    struct err err = password_scheme_of(stored, &one);
    CHECK(err.code == ERR_OK || err.code == ERR_UNSUPPORTED);
    CHECK(password_scheme_of(stored, &two).code == err.code && one == two);
    if (err.code != ERR_OK) {
        CHECK(!password_verify(stored, SPAN("password")));
        return 0;
    }
    CHECK(size <= PASSWORD_HASH_MAX_BYTES);
    if (one != PASSWORD_ARGON2ID) CHECK(password_needs_rehash(stored, &cost));
    else (void)password_needs_rehash(stored, &cost);
    return 0;
}

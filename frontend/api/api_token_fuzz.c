/* A row that is read is one that allows something somewhere; written and read again it is the same,
 * and it holds itself. A text has an ID only in its one form. */
#include <stdint.h>
#include <string.h>

#include "api_token.h"
#include "arena.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct api_token *a, const struct api_token *b)
{
    CHECK(a->role == b->role && a->tenant == b->tenant && a->account == b->account);
    CHECK(a->created_ms == b->created_ms && a->expires_ms == b->expires_ms);
    CHECK(span_eq(a->id, b->id) && span_eq(a->hash, b->hash) && span_eq(a->domain, b->domain));
    CHECK(span_eq(a->address, b->address) && span_eq(a->description, b->description));
    CHECK(span_eq(a->by, b->by));
    CHECK(api_token_holds(a, b) && api_token_holds(b, a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct api_token one, two;
    struct span text;
    struct span id = api_token_id(span_of(data, size));
    CHECK(id.len == 0 || (id.len == API_TOKEN_ID_BYTES && size == API_TOKEN_BYTES));
    arena_init(&arena, 1 << 20);
    if (api_token_read(span_of(data, size), &arena, &one).code == ERR_OK) {
        CHECK(one.role > NOBODY && one.role < API_ROLES_COUNT);
        CHECK((one.role == OPERATOR) == (one.tenant == 0));
        CHECK(api_token_write(&one, &arena, &text).code == ERR_OK);
        CHECK(api_token_read(text, &arena, &two).code == ERR_OK);
        check_same(&one, &two);
    }
    arena_clear(&arena);
    return 0;
}

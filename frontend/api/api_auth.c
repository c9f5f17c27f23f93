/* Who asks, and what he may do to whom. A token is looked up for each request in what this loop has
 * heard of the configuration: one that was removed is refused as soon as the news is here. */
#include <string.h>

#include "api_state_private.h"
#include "clock.h"
#include "coord.h"
#include "digest.h"
#include "id.h"

enum { KEY_BYTES = 8 + API_TOKEN_HASH_BYTES };

/* The row of a token's text; false: nobody has it. */
static bool find(struct api_call *call, struct span text, struct api_token *ret)
{
    uint8_t digest[DIGEST_BYTES];
    char hash[API_TOKEN_HASH_BYTES], key[KEY_BYTES];
    struct coord_row row;
    if (digest_sha256(text, digest).code != ERR_OK) return false;
    id_hex(digest, sizeof(digest), hash);
    struct span id = api_token_id(text);
    if (id.len == 0) id = span_of(hash, sizeof(hash));
    memcpy(key, "tokens/", 7);
    memcpy(key + 7, id.ptr, id.len);
    if (!coord_get(call->api->options.coord, span_of(key, 7 + id.len), &row)) return false;
    if (api_token_read(row.value, &call->arena, ret).code != ERR_OK) return false;
    if (ret->id.len == 0) {
        /* Of the beginning: the row lies under the hash. */
        return id.len == sizeof(hash) && arena_copy(&call->arena, id, &ret->id).code == ERR_OK;
    }
    return span_eq(ret->id, id) && ret->hash.len == sizeof(hash) &&
           digest_same((const uint8_t *)ret->hash.ptr, (const uint8_t *)hash, sizeof(hash));
}

bool api_authorize(struct api_call *call)
{
    struct span value = http_request_header(call->request, SPAN("authorization"));
    struct api_token token;
    snprintf(call->detail, sizeof(call->detail), "a valid bearer token is needed");
    if (!span_starts_nocase(value, SPAN("bearer "))) return false;
    if (!find(call, span_skip(value, 7), &token)) return false;
    if (token.expires_ms != 0 && token.expires_ms <= clock_wall_ms()) {
        snprintf(call->detail, sizeof(call->detail), "the token has expired");
        return false;
    }
    call->token = token;
    call->tenant = token.tenant;
    call->detail[0] = '\0';
    return true;
}

bool api_may_account(struct api_call *call, const char *what, uint32_t account_role)
{
    static const enum api_role roles[] = { USER, AUDITOR, ACCOUNTS, ADMIN };
    const struct directory_domain *domain = call->known_domain;
    struct api_token asked = { .tenant = domain->tenant, .domain = domain->name };
    asked.role = account_role < 4 ? roles[account_role] : OPERATOR;
    if (call->is_own) return true; /* a directory says who is a user, and gives no role */
    if (asked.role != USER) asked.domain = SPAN(""); /* it holds in the whole tenant */
    if (api_token_holds(&call->token, &asked)) return true;
    api_refuse(call, 403, "Not allowed", "%s", what);
    return false;
}

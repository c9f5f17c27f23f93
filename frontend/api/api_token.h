/* api_token.h: tokens of the API: what one may do, where, and how it is kept. Pure.
 *
 * The text that a client sends is `gwt_ID_SECRET`: 32 and 64 hexadecimal digits. Kept is, in the
 * configuration store under `tokens/ID`, a JSON object without the secret:
 *
 *   id           text      ID
 *   hash         text      SHA-256 of the whole text, 64 hexadecimal digits
 *   role         text      of api_roles.def
 *   tenant       integer   where it holds; 0 with the role operator, and with no other
 *   domain       text      only there; "" or missing: in the whole tenant. domain-admin has one
 *   address, account       of the account that a token of the role user is for: its address, and
 *                          its number as 16 hexadecimal digits
 *   description  text      for people
 *   created_ms, expires_ms integers, since 1970; an expires_ms of 0 or none: never
 *   by           text      ID of the token by which it was made
 *
 * The token that an installation begins with has any text; its row lies under the text's hash, and
 * has no more than role and tenant. Its ID is that hash.
 *
 * Nobody gives more than he has: a role not above his own, inside where he is. */
#ifndef MAIL_API_TOKEN_H
#define MAIL_API_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;

enum api_role {
    NOBODY,
#define API_ROLE(name, text, where, what) name,
#include "api_roles.def"
#undef API_ROLE
    API_ROLES_COUNT
};

enum {
    API_TOKEN_ID_BYTES = 32,   /* digits */
    API_TOKEN_HASH_BYTES = 64, /* digits */
    API_TOKEN_BYTES = 4 + API_TOKEN_ID_BYTES + 1 + 64,
    API_TOKEN_TEXT_MAX_BYTES = 1000, /* of a description, an address */
};

struct api_token {
    enum api_role role;
    uint32_t tenant;  /* 0: all */
    uint64_t account; /* 0: none */
    uint64_t created_ms, expires_ms;
    struct span id, hash, domain, address, description, by;
};

/* The role of this name; NOBODY: there is none. */
enum api_role api_role_find(struct span name);
const char *api_role_text(unsigned role);

/* The ID in the text of a token; the empty span: it has not that form. */
struct span api_token_id(struct span text);

/* Reads a row; its texts are copied into the arena. ERR_SYNTAX: it is none, or one that allows
 * nothing, like that of a tenant 0 or of a role that is not known; ERR_NOMEM. */
MUST_USE struct err api_token_read(struct span json, struct arena *arena, struct api_token *ret);
/* The row as it is kept, in the arena. ERR_SYNTAX: a text is not UTF-8; ERR_NOMEM. */
MUST_USE struct err api_token_write(const struct api_token *token, struct arena *arena,
                                    struct span *ret);

/* Whether all that `narrow` may, `wide` may too. */
bool api_token_holds(const struct api_token *wide, const struct api_token *narrow);

#ifdef __cplusplus
}
#endif
#endif

#include "api_token.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

static const char *const role_names[] = {
    "nobody",
#define API_ROLE(name, text, where, what) text,
#include "api_roles.def"
#undef API_ROLE
};

enum api_role api_role_find(struct span name)
{
    for (unsigned i = NOBODY + 1; i < API_ROLES_COUNT; i++) {
        if (span_eq(name, span_of(role_names[i], strlen(role_names[i])))) return (enum api_role)i;
    }
    return NOBODY;
}

const char *api_role_text(unsigned role)
{
    return role_names[role < API_ROLES_COUNT ? role : NOBODY];
}

static bool is_hex(struct span text, size_t len)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    return text.len == len;
}

struct span api_token_id(struct span text)
{
    const struct span none = SPAN("");
    if (text.len != API_TOKEN_BYTES || !span_eq(span_head(text, 4), SPAN("gwt_"))) return none;
    struct span id = span_head(span_skip(text, 4), API_TOKEN_ID_BYTES);
    struct span secret = span_skip(text, 4 + API_TOKEN_ID_BYTES);
    bool good = is_hex(id, id.len) && secret.ptr[0] == '_' && is_hex(span_skip(secret, 1), 64);
    return good ? id : none;
}

/* ---- reading */

static struct err bad(void) { return err_make(ERR_SYNTAX, "token"); }

/* A missing one is empty. */
static struct err read_text(const json_t *row, const char *member, struct arena *arena,
                            struct span *ret)
{
    const json_t *value = json_object_get(row, member);
    *ret = SPAN("");
    if (value == NULL) return err_ok();
    if (!json_is_string(value) || json_string_length(value) > API_TOKEN_TEXT_MAX_BYTES)
        return bad();
    return arena_copy(arena, span_of(json_string_value(value), json_string_length(value)), ret);
}

static struct err read_number(const json_t *row, const char *member, uint64_t max, uint64_t *ret)
{
    const json_t *value = json_object_get(row, member);
    *ret = 0;
    if (value == NULL) return err_ok();
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number > max) return bad();
    *ret = (uint64_t)number;
    return err_ok();
}

static struct err read_account(const json_t *row, struct arena *arena, uint64_t *ret)
{
    struct span text;
    char digits[17];
    *ret = 0;
    TRY(read_text(row, "account", arena, &text));
    if (text.len == 0) return err_ok();
    if (!is_hex(text, 16)) return bad();
    memcpy(digits, text.ptr, 16);
    digits[16] = '\0';
    *ret = strtoull(digits, NULL, 16);
    return *ret == 0 ? bad() : err_ok();
}

static bool is_sound(const struct api_token *token)
{
    if (token->id.len > 0 && !is_hex(token->id, API_TOKEN_ID_BYTES)) return false;
    if (token->hash.len > 0 && !is_hex(token->hash, API_TOKEN_HASH_BYTES)) return false;
    if ((token->id.len == 0) != (token->hash.len == 0)) return false;
    if (token->role == NOBODY || (token->tenant == 0) != (token->role == OPERATOR)) return false;
    if (token->domain.len > 0 && (token->role == ADMIN || token->role == OPERATOR)) return false;
    if (token->account != 0 && (token->role != USER || token->domain.len == 0)) return false;
    if ((token->account == 0) != (token->address.len == 0)) return false;
    return token->role != DOMAIN_ADMIN || token->domain.len > 0;
}

static struct err read_row(const json_t *row, struct arena *arena, struct api_token *ret)
{
    struct span role;
    uint64_t tenant;
    *ret = (struct api_token){ 0 };
    if (!json_is_object(row)) return bad();
    TRY(read_text(row, "id", arena, &ret->id));
    TRY(read_text(row, "hash", arena, &ret->hash));
    TRY(read_text(row, "role", arena, &role));
    TRY(read_text(row, "domain", arena, &ret->domain));
    TRY(read_text(row, "address", arena, &ret->address));
    TRY(read_text(row, "description", arena, &ret->description));
    TRY(read_text(row, "by", arena, &ret->by));
    TRY(read_number(row, "tenant", UINT32_MAX, &tenant));
    TRY(read_number(row, "created_ms", INT64_MAX, &ret->created_ms));
    TRY(read_number(row, "expires_ms", INT64_MAX, &ret->expires_ms));
    TRY(read_account(row, arena, &ret->account));
    ret->tenant = (uint32_t)tenant;
    ret->role = api_role_find(role);
    return is_sound(ret) ? err_ok() : bad();
}

struct err api_token_read(struct span json, struct arena *arena, struct api_token *ret)
{
    json_t *row = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    if (row == NULL) return bad();
    struct err err = read_row(row, arena, ret);
    json_decref(row);
    return err;
}

/* ---- writing */

static bool set_text(json_t *row, const char *member, struct span text)
{
    if (text.len == 0) return true;
    return json_object_set_new(row, member, json_stringn(text.ptr, text.len)) == 0;
}

static bool set_number(json_t *row, const char *member, uint64_t number)
{
    return json_object_set_new(row, member, json_integer((json_int_t)number)) == 0;
}

static bool set_all(json_t *row, const struct api_token *token)
{
    char account[17];
    const char *role = api_role_text(token->role);
    snprintf(account, sizeof(account), "%016llx", (unsigned long long)token->account);
    return set_text(row, "id", token->id) && set_text(row, "hash", token->hash) &&
           set_text(row, "role", span_of(role, strlen(role))) &&
           set_number(row, "tenant", token->tenant) && set_text(row, "domain", token->domain) &&
           set_text(row, "address", token->address) &&
           (token->account == 0 || set_text(row, "account", span_of(account, 16))) &&
           set_text(row, "description", token->description) && set_text(row, "by", token->by) &&
           set_number(row, "created_ms", token->created_ms) &&
           (token->expires_ms == 0 || set_number(row, "expires_ms", token->expires_ms));
}

struct err api_token_write(const struct api_token *token, struct arena *arena, struct span *ret)
{
    json_t *row = json_object();
    struct err err = err_make(ERR_NOMEM, "token");
    if (row != NULL && !set_all(row, token)) err = bad();
    else if (row != NULL) {
        char *text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
        if (text != NULL) err = arena_copy(arena, span_of(text, strlen(text)), ret);
        free(text);
    }
    json_decref(row);
    return err;
}

/* ---- who holds what */

bool api_token_holds(const struct api_token *wide, const struct api_token *narrow)
{
    if (narrow->role > wide->role) return false;
    if (wide->role == OPERATOR) return true;
    if (narrow->tenant != wide->tenant) return false;
    if (wide->account != 0 && narrow->account != wide->account) return false;
    return wide->domain.len == 0 || span_eq(narrow->domain, wide->domain);
}

#include "password.h"

#include <assert.h>
#include <crypt.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "password_scheme_private.h"

struct err password_make(struct span password, const struct password_cost *cost,
                         char ret[PASSWORD_MADE_MAX_BYTES], size_t *len)
{
    static_assert((int)PASSWORD_MADE_MAX_BYTES >= (int)crypto_pwhash_STRBYTES, "room for a hash");
    char made[crypto_pwhash_STRBYTES];
    if (password.len > PASSWORD_MAX_BYTES) return err_make(ERR_TOO_BIG, "password");
    if (cost->memory_kib > PASSWORD_MEMORY_MAX_KIB || cost->passes > PASSWORD_PASSES_MAX ||
        cost->passes == 0) {
        return err_make(ERR_TOO_BIG, "cost of a password hash");
    }
    if (sodium_init() < 0) return err_make(ERR_IO, "libsodium");
    if (crypto_pwhash_str(made, password.len == 0 ? "" : password.ptr, password.len, cost->passes,
                          (size_t)cost->memory_kib * 1024) != 0) {
        return err_make(ERR_NOMEM, "hash a password");
    }
    *len = strlen(made);
    memcpy(ret, made, *len);
    return err_ok();
}

/* By libxcrypt. A password with a NUL fits no such hash: crypt would see its head only. */
static bool verify_crypt(struct span stored, const char *setting, struct span password)
{
    if (memchr(password.ptr, '\0', password.len) != NULL) return false;
    struct crypt_data *data = malloc(sizeof(*data)); /* 32 KiB */
    if (data == NULL) return false;
    char phrase[PASSWORD_MAX_BYTES + 1];
    memcpy(phrase, password.ptr, password.len);
    phrase[password.len] = '\0';
    const char *made = crypt_rn(phrase, setting, data, (int)sizeof(*data));
    bool fits = made != NULL && strlen(made) == stored.len &&
                sodium_memcmp(made, setting, stored.len) == 0;
    sodium_memzero(phrase, sizeof(phrase));
    sodium_memzero(data, sizeof(*data));
    free(data);
    return fits;
}

bool password_verify(struct span stored, struct span password)
{
    enum password_scheme scheme;
    char text[PASSWORD_HASH_MAX_BYTES + 1];
    if (password.len == 0) password = SPAN("");
    if (password.len > PASSWORD_MAX_BYTES || sodium_init() < 0) return false;
    if (password_scheme_of(stored, &scheme).code != ERR_OK) return false;
    memcpy(text, stored.ptr, stored.len);
    text[stored.len] = '\0';
    if (scheme == PASSWORD_ARGON2ID || scheme == PASSWORD_ARGON2I) {
        /* libsodium reads this many bytes of `text` at most. */
        if (stored.len >= crypto_pwhash_STRBYTES) return false;
        return crypto_pwhash_str_verify(text, password.ptr, password.len) == 0;
    }
    if (scheme == PASSWORD_DIGEST) return password_digest_fits(stored, password);
    return verify_crypt(stored, text, password);
}

bool password_needs_rehash(struct span stored, const struct password_cost *cost)
{
    struct password_argon2 is;
    if (!password_argon2id_read(stored, &is)) return true;
    return is.memory_kib != cost->memory_kib || is.passes != cost->passes;
}

#include "password.h"

#include <crypt.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char argon[] = "$argon2";

struct err password_make(struct span password, char stored[PASSWORD_STORED_MAX_BYTES])
{
    _Static_assert((int)crypto_pwhash_STRBYTES <= (int)PASSWORD_STORED_MAX_BYTES, "it fits");
    if (password.len > PASSWORD_MAX_BYTES) return err_make(ERR_TOO_BIG, "password");
    if (sodium_init() < 0) return err_make(ERR_IO, "libsodium");
    if (crypto_pwhash_str_alg(stored, password.ptr, password.len, PASSWORD_PASSES,
                              PASSWORD_MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return err_make(ERR_NOMEM, "password");
    }
    return err_ok();
}

static bool fits_argon(const char *stored, struct span password)
{
    return sodium_init() >= 0 &&
           crypto_pwhash_str_verify(stored, password.ptr, password.len) == 0;
}

static bool fits_crypt(const char *stored, struct span password)
{
    char plain[PASSWORD_MAX_BYTES + 1];
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (data == NULL) return false;
    memcpy(plain, password.ptr, password.len);
    plain[password.len] = '\0';
    const char *made = crypt_rn(plain, stored, data, (int)sizeof(*data));
    bool fits = made != NULL && strlen(made) == strlen(stored) &&
                sodium_memcmp(made, stored, strlen(stored)) == 0;
    explicit_bzero(plain, sizeof(plain));
    explicit_bzero(data, sizeof(*data));
    free(data);
    return fits;
}

bool password_fits(struct span stored, struct span password)
{
    char text[PASSWORD_STORED_MAX_BYTES];
    if (stored.len == 0 || stored.len >= sizeof(text) || password.len > PASSWORD_MAX_BYTES) return false;
    if (password.len == 0 || memchr(password.ptr, '\0', password.len) != NULL) return false;
    memcpy(text, stored.ptr, stored.len);
    text[stored.len] = '\0';
    if (strlen(text) != stored.len) return false;
    return strncmp(text, argon, sizeof(argon) - 1) == 0 ? fits_argon(text, password)
                                                         : fits_crypt(text, password);
}

bool password_is_old(struct span stored)
{
    char text[PASSWORD_STORED_MAX_BYTES];
    if (stored.len >= sizeof(text)) return true;
    memcpy(text, stored.ptr, stored.len);
    text[stored.len] = '\0';
    return crypto_pwhash_str_needs_rehash(text, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES) != 0;
}

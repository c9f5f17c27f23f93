#include "password.h"

#include <assert.h>
#include <crypt.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { BCRYPT_HASH_BYTES = 60, SHA512_ROUNDS_DEFAULT = 5000 };

struct argon2_cost {
    uint64_t memory_kib, passes, lanes;
};

static bool starts(struct span s, struct span with)
{
    return s.len >= with.len && memcmp(s.ptr, with.ptr, with.len) == 0;
}

/* A decimal number of at most 9 digits off the front. */
static bool take_number(struct span *in, uint64_t *ret)
{
    uint64_t number = 0;
    size_t digits = 0;
    while (digits < in->len && in->ptr[digits] >= '0' && in->ptr[digits] <= '9') {
        if (digits == 9) return false;
        number = number * 10 + (uint64_t)(in->ptr[digits] - '0');
        digits++;
    }
    if (digits == 0) return false;
    *in = span_skip(*in, digits);
    *ret = number;
    return true;
}

static bool take_field(struct span *in, struct span name, uint64_t *ret)
{
    if (!starts(*in, name)) return false;
    *in = span_skip(*in, name.len);
    return take_number(in, ret);
}

/* "m=19456,t=2,p=1$salt$hash" behind the scheme's name and version. */
static bool argon2_cost(struct span in, struct argon2_cost *ret)
{
    uint64_t version;
    return take_field(&in, SPAN("v="), &version) &&
           take_field(&in, SPAN("$m="), &ret->memory_kib) &&
           take_field(&in, SPAN(",t="), &ret->passes) &&
           take_field(&in, SPAN(",p="), &ret->lanes) && starts(in, SPAN("$"));
}

static bool argon2_is_bounded(struct span in)
{
    struct argon2_cost cost;
    return argon2_cost(in, &cost) && cost.memory_kib <= PASSWORD_MEMORY_MAX_KIB &&
           cost.passes <= PASSWORD_PASSES_MAX && cost.lanes == 1;
}

/* "$6$rounds=5000$salt$hash" or without rounds. */
static bool sha512_is_bounded(struct span in)
{
    uint64_t rounds = SHA512_ROUNDS_DEFAULT;
    if (starts(in, SPAN("rounds=")) && !take_field(&in, SPAN("rounds="), &rounds)) return false;
    return rounds <= PASSWORD_SHA512_ROUNDS_MAX;
}

/* "$2b$12$" and 53 characters. */
static bool bcrypt_is_bounded(struct span in)
{
    uint64_t cost;
    size_t whole = in.len;
    return take_number(&in, &cost) && whole - in.len == 2 && starts(in, SPAN("$")) &&
           cost <= PASSWORD_BCRYPT_COST_MAX;
}

/* The value of a digit of crypt's base 64, or -1. */
static int crypt_digit(char c)
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* "$y$j9T$salt$hash": flavour j (what passwd uses); the logarithm of the number of blocks less 1
 * (9 is 11: 4096 blocks); the size of a block in 128 bytes less 1 (T is 31: 4 KiB); and nothing
 * else: further fields ask for parallelism, time or ROM, which no system sets by default. */
static bool yescrypt_is_bounded(struct span in)
{
    if (in.len < 4 || in.ptr[0] != 'j' || in.ptr[3] != '$') return false;
    int log = crypt_digit(in.ptr[1]), blocks = crypt_digit(in.ptr[2]);
    return log >= 0 && log + 1 <= PASSWORD_YESCRYPT_LOG_MAX && blocks >= 0 &&
           blocks <= crypt_digit('T');
}

static bool is_printable(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~') return false;
    }
    return true;
}

struct err password_scheme_of(struct span stored, enum password_scheme *ret)
{
    static const struct {
        struct span prefix;
        enum password_scheme scheme;
        bool (*is_bounded)(struct span rest);
    } schemes[] = {
        { SPAN_INIT("$argon2id$"), PASSWORD_ARGON2ID, argon2_is_bounded },
        { SPAN_INIT("$argon2i$"), PASSWORD_ARGON2I, argon2_is_bounded },
        { SPAN_INIT("$y$"), PASSWORD_YESCRYPT, yescrypt_is_bounded },
        { SPAN_INIT("$2a$"), PASSWORD_BCRYPT, bcrypt_is_bounded },
        { SPAN_INIT("$2b$"), PASSWORD_BCRYPT, bcrypt_is_bounded },
        { SPAN_INIT("$2y$"), PASSWORD_BCRYPT, bcrypt_is_bounded },
        { SPAN_INIT("$6$"), PASSWORD_SHA512, sha512_is_bounded },
        { SPAN_INIT("$1$"), PASSWORD_MD5, NULL },
    };
    if (stored.len == 0 || stored.len > PASSWORD_HASH_MAX_BYTES || !is_printable(stored)) {
        return err_make(ERR_UNSUPPORTED, "password hash");
    }
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (!starts(stored, schemes[i].prefix)) continue;
        struct span rest = span_skip(stored, schemes[i].prefix.len);
        if (schemes[i].is_bounded != NULL && !schemes[i].is_bounded(rest)) break;
        *ret = schemes[i].scheme;
        return err_ok();
    }
    return err_make(ERR_UNSUPPORTED, "password hash");
}

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
    return verify_crypt(stored, text, password);
}

bool password_needs_rehash(struct span stored, const struct password_cost *cost)
{
    struct argon2_cost is;
    struct span prefix = SPAN("$argon2id$");
    if (!starts(stored, prefix) || !argon2_cost(span_skip(stored, prefix.len), &is)) return true;
    return is.memory_kib != cost->memory_kib || is.passes != cost->passes;
}

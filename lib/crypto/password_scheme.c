/* Which scheme a stored password is of, and what it may ask for. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base64.h"
#include "buf.h"
#include "password.h"
#include "password_scheme_private.h"

enum {
    SHA512_ROUNDS_DEFAULT = 5000,
    DIGEST_MAX_BYTES = 64,
    DIGEST_SALT_MAX_BYTES = 64,
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
static bool argon2_cost(struct span in, struct password_argon2 *ret)
{
    uint64_t version;
    return take_field(&in, SPAN("v="), &version) &&
           take_field(&in, SPAN("$m="), &ret->memory_kib) &&
           take_field(&in, SPAN(",t="), &ret->passes) &&
           take_field(&in, SPAN(",p="), &ret->lanes) && starts(in, SPAN("$"));
}

static bool argon2_is_bounded(struct span in)
{
    struct password_argon2 cost;
    return argon2_cost(in, &cost) && cost.memory_kib <= PASSWORD_MEMORY_MAX_KIB &&
           cost.passes <= PASSWORD_PASSES_MAX && cost.lanes == 1;
}

/* "$6$rounds=5000$salt$hash" or without rounds; "$5$" likewise. */
static bool sha512_is_bounded(struct span in)
{
    uint64_t rounds = SHA512_ROUNDS_DEFAULT;
    if (starts(in, SPAN("rounds=")) && !take_field(&in, SPAN("rounds="), &rounds)) return false;
    return rounds <= PASSWORD_SHA512_ROUNDS_MAX;
}

bool password_argon2id_read(struct span stored, struct password_argon2 *ret)
{
    struct span prefix = SPAN("$argon2id$");
    return starts(stored, prefix) && argon2_cost(span_skip(stored, prefix.len), ret);
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

/* 30 bits in five digits, the lowest first. */
static bool take_digits(struct span *in, uint64_t *ret)
{
    *ret = 0;
    if (in->len < 5) return false;
    for (unsigned i = 0; i < 5; i++) {
        int value = crypt_digit(in->ptr[i]);
        if (value < 0) return false;
        *ret |= (uint64_t)value << (6 * i);
    }
    *in = span_skip(*in, 5);
    return true;
}

/* "$7$C6..../....salt$hash": the logarithm of N in a digit, then r and p; it takes N times r times
 * 128 bytes. */
static bool scrypt_is_bounded(struct span in)
{
    uint64_t block, parallel;
    int log = in.len == 0 ? -1 : crypt_digit(in.ptr[0]);
    struct span rest = span_skip(in, 1);
    return log > 0 && log < 32 && take_digits(&rest, &block) && take_digits(&rest, &parallel) &&
           block >= 1 && block << log <= (uint64_t)PASSWORD_MEMORY_MAX_KIB * 1024 / 128 &&
           parallel >= 1 && parallel <= PASSWORD_SCRYPT_PARALLEL_MAX;
}

static bool is_printable(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~') return false;
    }
    return true;
}

/* ---- "{SSHA}" and its kin: base64 of a digest of password and salt, and the salt (RFC 2307) */

struct digest_kind {
    struct span name;
    const char *algorithm; /* OpenSSL's */
    size_t bytes;
    bool salted;
};

struct taken_digest {
    const struct digest_kind *kind;
    size_t len;
    char bytes[DIGEST_MAX_BYTES + DIGEST_SALT_MAX_BYTES];
};

static const struct digest_kind digest_kinds[] = {
    { SPAN_INIT("{SHA}"), "SHA1", 20, false },
    { SPAN_INIT("{SSHA}"), "SHA1", 20, true },
    { SPAN_INIT("{SHA256}"), "SHA256", 32, false },
    { SPAN_INIT("{SSHA256}"), "SHA256", 32, true },
    { SPAN_INIT("{SHA512}"), "SHA512", 64, false },
    { SPAN_INIT("{SSHA512}"), "SHA512", 64, true },
};

/* False: not one of them, or not whole. */
static bool digest_take(struct span stored, struct taken_digest *ret)
{
    for (size_t i = 0; i < sizeof(digest_kinds) / sizeof(digest_kinds[0]); i++) {
        const struct digest_kind *kind = &digest_kinds[i];
        struct buf out;
        if (!starts(stored, kind->name)) continue;
        buf_init(&out, ret->bytes, sizeof(ret->bytes));
        struct err err = base64_decode_strict(&out, span_skip(stored, kind->name.len));
        if (err.code != ERR_OK || out.overflow) return false;
        ret->kind = kind;
        ret->len = out.len;
        return kind->salted ? out.len > kind->bytes : out.len == kind->bytes;
    }
    return false;
}

bool password_digest_fits(struct span stored, struct span password)
{
    struct taken_digest taken;
    unsigned char made[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!digest_take(stored, &taken)) return false;
    const EVP_MD *algorithm = EVP_get_digestbyname(taken.kind->algorithm);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t bytes = taken.kind->bytes;
    bool fits = context != NULL && algorithm != NULL &&
                EVP_DigestInit_ex(context, algorithm, NULL) == 1 &&
                EVP_DigestUpdate(context, password.ptr, password.len) == 1 &&
                EVP_DigestUpdate(context, taken.bytes + bytes, taken.len - bytes) == 1 &&
                EVP_DigestFinal_ex(context, made, &len) == 1 && len == bytes &&
                CRYPTO_memcmp(made, taken.bytes, bytes) == 0;
    EVP_MD_CTX_free(context);
    OPENSSL_cleanse(made, sizeof(made));
    return fits;
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
        { SPAN_INIT("$5$"), PASSWORD_SHA256, sha512_is_bounded },
        { SPAN_INIT("$7$"), PASSWORD_SCRYPT, scrypt_is_bounded },
        { SPAN_INIT("$1$"), PASSWORD_MD5, NULL },
    };
    if (stored.len == 0 || stored.len > PASSWORD_HASH_MAX_BYTES || !is_printable(stored)) {
        return err_make(ERR_UNSUPPORTED, "password hash");
    }
    struct taken_digest digest;
    if (digest_take(stored, &digest)) {
        *ret = PASSWORD_DIGEST;
        return err_ok();
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

/* ---- what other servers write in front */

struct err password_taken(struct span text, struct span *ret)
{
    static const struct {
        struct span name;
        int scheme; /* -1: any that crypt(3) makes */
    } names[] = {
        { SPAN_INIT("{CRYPT}"), -1 },
        { SPAN_INIT("{BLF-CRYPT}"), PASSWORD_BCRYPT },
        { SPAN_INIT("{SHA512-CRYPT}"), PASSWORD_SHA512 },
        { SPAN_INIT("{SHA256-CRYPT}"), PASSWORD_SHA256 },
        { SPAN_INIT("{MD5-CRYPT}"), PASSWORD_MD5 },
        { SPAN_INIT("{ARGON2ID}"), PASSWORD_ARGON2ID },
        { SPAN_INIT("{ARGON2I}"), PASSWORD_ARGON2I },
    };
    enum password_scheme scheme;
    int wanted = -1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct span rest = span_skip(text, names[i].name.len);
        if (!starts(text, names[i].name) || !starts(rest, SPAN("$"))) continue;
        text = rest;
        wanted = names[i].scheme;
        break;
    }
    TRY(password_scheme_of(text, &scheme));
    if (wanted >= 0 && wanted != (int)scheme) return err_make(ERR_UNSUPPORTED, "password hash");
    *ret = text;
    return err_ok();
}

/* password.h: password hashes in the modular crypt format ("$id$...").
 *
 * Ours are argon2id (RFC 9106) as libsodium writes them. Those of other servers are taken over:
 * argon2i, yescrypt, scrypt, bcrypt, sha512crypt, sha256crypt, md5crypt, and "{SSHA256}..." and its
 * kin (password_scheme.c). Making and checking block for 1 to 100 ms of CPU: on a crew, never on a
 * loop. All functions are thread-safe. */
#ifndef MAIL_PASSWORD_H
#define MAIL_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PASSWORD_MAX_BYTES = 1024,
    PASSWORD_HASH_MAX_BYTES = 256, /* of any scheme */
    PASSWORD_MADE_MAX_BYTES = 128, /* of ours */
    /* What a stored hash may ask for: it can come from an import. */
    PASSWORD_MEMORY_MAX_KIB = 256 * 1024,
    PASSWORD_PASSES_MAX = 16,
    PASSWORD_SHA512_ROUNDS_MAX = 500000,
    PASSWORD_BCRYPT_COST_MAX = 14,
    PASSWORD_YESCRYPT_LOG_MAX = 16, /* 2^16 blocks of 4 KiB are 256 MiB */
    PASSWORD_SCRYPT_PARALLEL_MAX = 4,
};

struct password_cost {
    uint32_t memory_kib; /* 19,456 by default (OWASP); 8 at least */
    uint32_t passes;     /* 2 by default */
};

enum password_scheme {
    PASSWORD_ARGON2ID,
    PASSWORD_ARGON2I,
    PASSWORD_YESCRYPT,
    PASSWORD_BCRYPT,
    PASSWORD_SHA512,
    PASSWORD_MD5,
    PASSWORD_SCRYPT,
    PASSWORD_SHA256,
    PASSWORD_DIGEST, /* "{SHA}", "{SSHA}", "{SHA256}", "{SSHA256}", "{SHA512}", "{SSHA512}" */
};

/* What may be stored, for who gives something else. */
#define PASSWORD_FORMS \
    "$argon2id$, $argon2i$, $y$, $7$, $2a$, $2b$, $2y$, $6$, $5$, $1$, {SSHA512}, {SHA512}, " \
    "{SSHA256}, {SHA256}, {SSHA} or {SHA}"

/* Which scheme a hash is of. ERR_UNSUPPORTED: none of these, or it asks for more than the limits
 * above; such a hash is refused at an import. */
MUST_USE struct err password_scheme_of(struct span stored, enum password_scheme *ret);

/* A hash as another server exports it, into one that may be stored: the name that Dovecot puts in
 * front of a "$" is taken off when it fits ("{SHA512-CRYPT}$6$...", "{CRYPT}$2y$..."). `*ret` lies
 * in `text`. ERR_UNSUPPORTED as password_scheme_of(). */
MUST_USE struct err password_taken(struct span text, struct span *ret);

/* Hashes with a salt of its own; writes `*len` characters, without a NUL. ERR_TOO_BIG: longer than
 * PASSWORD_MAX_BYTES; ERR_NOMEM. */
MUST_USE struct err password_make(struct span password, const struct password_cost *cost,
                                  char ret[PASSWORD_MADE_MAX_BYTES], size_t *len);

/* Whether `password` is the one that `stored` was made from. False as well for a hash that
 * password_scheme_of() refuses and when there is no memory. */
bool password_verify(struct span stored, struct span password);

/* Whether a hash that was just verified should be made anew: another scheme, or another cost. */
bool password_needs_rehash(struct span stored, const struct password_cost *cost);

#ifdef __cplusplus
}
#endif
#endif

/* password.h: stored passwords in modular crypt format. Everything here is slow on purpose: it runs
 * on a crew. */
#ifndef MAIL_PASSWORD_H
#define MAIL_PASSWORD_H

#include <stdbool.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PASSWORD_STORED_MAX_BYTES = 256,
    PASSWORD_MAX_BYTES = 1024,
    PASSWORD_MEMORY_BYTES = 19 * 1024 * 1024, /* OWASP's smallest set for argon2id: 19 MiB, 2 */
    PASSWORD_PASSES = 2,
};

/* argon2id of `password`, as "$argon2id$..." with a NUL. ERR_NOMEM, ERR_TOO_BIG. */
MUST_USE struct err password_make(struct span password, char stored[PASSWORD_STORED_MAX_BYTES]);

/* Whether `password` fits `stored`: argon2 by libsodium; yescrypt, bcrypt, SHA-crypt and MD5-crypt
 * (imported ones) by libxcrypt. A password with a NUL fits nothing. */
bool password_fits(struct span stored, struct span password);

/* Whether `stored` was made otherwise than password_make() would make it now. */
bool password_is_old(struct span stored);

#ifdef __cplusplus
}
#endif
#endif

/* password_scheme_private.h: what is read out of stored passwords. */
#ifndef MAIL_PASSWORD_SCHEME_PRIVATE_H
#define MAIL_PASSWORD_SCHEME_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

struct password_argon2 {
    uint64_t memory_kib, passes, lanes;
};

/* False: it is no argon2id. */
bool password_argon2id_read(struct span stored, struct password_argon2 *ret);

/* Of PASSWORD_DIGEST. */
bool password_digest_fits(struct span stored, struct span password);

#endif

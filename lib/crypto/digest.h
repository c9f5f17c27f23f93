/* digest.h: SHA-256, HMAC-SHA-256 and HKDF (FIPS 180-4, RFC 2104, RFC 5869). Thread-safe. */
#ifndef MAIL_DIGEST_H
#define MAIL_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DIGEST_BYTES = 32, DIGEST_DERIVED_MAX_BYTES = 255 * DIGEST_BYTES };

/* ERR_NOMEM. */
MUST_USE struct err digest_sha256(struct span bytes, uint8_t ret[DIGEST_BYTES]);
/* Of the parts as if they were one run of bytes. */
MUST_USE struct err digest_sha256_parts(const struct span *parts, size_t count,
                                        uint8_t ret[DIGEST_BYTES]);

MUST_USE struct err digest_hmac(struct span key, struct span bytes, uint8_t ret[DIGEST_BYTES]);

/* Whether both have the same bytes, in a time that does not depend on where they differ. */
bool digest_same(const uint8_t *a, const uint8_t *b, size_t size);

/* Derives `size` bytes (DIGEST_DERIVED_MAX_BYTES at most, CHECK) from a secret by HKDF-SHA-256.
 * `info` names what they are for; `salt` may be empty. */
MUST_USE struct err digest_derive(struct span secret, struct span salt, struct span info,
                                  uint8_t *ret, size_t size);

#ifdef __cplusplus
}
#endif
#endif

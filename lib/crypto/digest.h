/* digest.h: SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104). */
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

enum { DIGEST_BYTES = 32 };

MUST_USE struct err digest_sha256(struct span bytes, uint8_t ret[DIGEST_BYTES]);
MUST_USE struct err digest_hmac(struct span key, struct span bytes, uint8_t ret[DIGEST_BYTES]);
/* In a time that does not depend on where they differ. */
bool digest_same(const uint8_t *a, const uint8_t *b, size_t size);

#ifdef __cplusplus
}
#endif
#endif

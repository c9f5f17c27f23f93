/* certificate.h: making X.509 certificates of our own. */
#ifndef MAIL_CERTIFICATE_H
#define MAIL_CERTIFICATE_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CERTIFICATE_DAYS = 3650, CERTIFICATE_NAMES_MAX = 16 };

/* A self-signed certificate with a new ECDSA P-256 key, for the DNS names or IP addresses in `names`
 * (the first is the subject too). Writes PEM: `key_path` with mode 0600 from its first byte on,
 * then `cert_path` (0644). Both are replaced whole or not at all. ERR_IO, ERR_NOMEM. */
MUST_USE struct err certificate_self_signed(const char *const *names, unsigned names_count,
                                            const char *cert_path, const char *key_path);

#ifdef __cplusplus
}
#endif
#endif

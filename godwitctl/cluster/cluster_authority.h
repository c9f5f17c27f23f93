/* cluster_authority.h: the certificate authorities of a cluster, as the row `certs/ca` of the
 * configuration store has them:
 *
 *   {"format": 1, "issuer": 2, "authorities": [{"id": 1, "cert": "<PEM>", "key": "<base64>"}, ...]}
 *
 * `issuer` is the id of the one that signs new certificates; all of them are trusted. A key is PEM,
 * sealed with the key-encryption key (lib/crypto/sealed.h) for "certs/ca/ID/key". One authority
 * takes over from another in three steps, after each of which every program gets its files anew:
 * the new one is added (and trusted), used (it signs), and the old one removed. */
#ifndef MAIL_CLUSTER_AUTHORITY_H
#define MAIL_CLUSTER_AUTHORITY_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;
struct certificate;
struct certificate_options;
struct sealed_keys;

enum {
    AUTHORITIES_MAX = 4,
    AUTHORITY_CERT_MAX_BYTES = 4096,
    AUTHORITY_KEY_MAX_BYTES = 2048, /* sealed, in base64 */
    AUTHORITY_DAYS = 3650,
    AUTHORITIES_MAX_BYTES = AUTHORITIES_MAX * (2 * AUTHORITY_CERT_MAX_BYTES +
                                               AUTHORITY_KEY_MAX_BYTES + 64) + 128,
};

struct authority {
    uint32_t id; /* from 1 on */
    char cert[AUTHORITY_CERT_MAX_BYTES + 1], key[AUTHORITY_KEY_MAX_BYTES + 1];
};

struct authorities {
    uint32_t issuer; /* an id of `each`; 0: there is none yet */
    unsigned count;
    struct authority each[AUTHORITIES_MAX];
};

/* ERR_CORRUPT: not such a row; ERR_UNSUPPORTED: of a newer format. */
MUST_USE struct err authorities_read(struct span json, struct authorities *ret);
/* Appends it; AUTHORITIES_MAX_BYTES are enough. */
MUST_USE struct err authorities_write(const struct authorities *authorities, struct buf *to);

/* Makes one more for a cluster (its id as text), with the next number; the first is the issuer.
 * ERR_TOO_BIG: AUTHORITIES_MAX are there. */
MUST_USE struct err authorities_add(struct authorities *authorities, struct span cluster,
                                    const struct sealed_keys *keys);
/* ERR_NOT_FOUND. */
MUST_USE struct err authorities_use(struct authorities *authorities, uint32_t id);
/* ERR_NOT_FOUND; ERR_CONFLICT: it is the issuer. */
MUST_USE struct err authorities_remove(struct authorities *authorities, uint32_t id);

/* The one that signs, or NULL. */
const struct authority *authorities_issuer(const struct authorities *authorities);
/* Has it sign a certificate (certificate_make). ERR_NOT_FOUND: there is none, or its key-encryption
 * key is not there; ERR_CORRUPT: the key can't be opened. */
MUST_USE struct err authorities_issue(const struct authorities *authorities,
                                      const struct sealed_keys *keys,
                                      const struct certificate_options *options,
                                      struct certificate *ret);
/* Appends ca.pem: all certificates, the issuer's first. */
void authorities_bundle(const struct authorities *authorities, struct buf *to);

#ifdef __cplusplus
}
#endif
#endif

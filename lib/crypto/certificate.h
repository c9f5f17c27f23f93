/* certificate.h: making X.509 certificates (RFC 5280) of our own, all with ECDSA P-256 keys. */
#ifndef MAIL_CERTIFICATE_H
#define MAIL_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CERTIFICATE_DAYS = 3650,
    CERTIFICATE_NAMES_MAX = 16,
    CERTIFICATE_NAME_MAX_BYTES = 253,
    CERTIFICATE_URI_MAX_BYTES = 200,
};

/* PEM, each ending in a NUL that `len` does not count; certificate_free() wipes and frees. */
struct certificate {
    char *cert, *key;
    size_t cert_len, key_len;
};

enum certificate_kind {
    CERTIFICATE_SERVER, /* for clients of the public: serves TLS, and can be trusted as it is */
    CERTIFICATE_CA,     /* a cluster's own: signs others */
    CERTIFICATE_MEMBER, /* a program of a cluster: serves and calls; its role is `uri`. Without a
                         * CommonName, as etcd's JSON gateway wants it */
};

struct certificate_options {
    enum certificate_kind kind;
    const char *const *names; /* DNS names or IP addresses; the first is the CommonName too */
    unsigned names_count;     /* 1 to CERTIFICATE_NAMES_MAX */
    const char *uri;          /* one more name, like godwit://CLUSTER/scanner/NAME; NULL: none */
    unsigned days;            /* it is valid for, from a day ago on; CERTIFICATE_DAYS at most */
};

/* Makes a certificate with a new key, signed by `ca` or, when that is NULL, by itself. ERR_SYNTAX:
 * a name that is none; ERR_TOO_BIG; ERR_NOMEM; ERR_CORRUPT: `ca` can't be read. */
MUST_USE struct err certificate_make(const struct certificate_options *options,
                                     const struct certificate *ca, struct certificate *ret);
void certificate_free(struct certificate *certificate);

/* Writes both as files: the key with mode 0600 from its first byte on, then the certificate (0644).
 * Each file is replaced whole. A crash between the two leaves a key that does not fit an older
 * certificate (tls_context_new() says so); when there was none, it is missing and both are made
 * again. ERR_IO, ERR_FULL. */
MUST_USE struct err certificate_write(const struct certificate *certificate, const char *cert_path,
                                      const char *key_path);

/* Certificates of others as a file, in the same way, 0644. ERR_IO, ERR_FULL. */
MUST_USE struct err certificate_write_pem(struct span pem, const char *path);

/* A certificate of an installation's own in files: CERTIFICATE_SERVER, for CERTIFICATE_DAYS. */
MUST_USE struct err certificate_self_signed(const char *const *names, unsigned names_count,
                                            const char *cert_path, const char *key_path);

struct certificate_facts {
    uint64_t from_ms, until_ms; /* it is valid; since 1970 UTC */
    char uri[CERTIFICATE_URI_MAX_BYTES + 1]; /* the first in its subjectAltName; empty: none */
};
/* Of the first certificate of a PEM text. ERR_SYNTAX. */
MUST_USE struct err certificate_look(struct span pem, struct certificate_facts *ret);

/* Whether the first certificate of a PEM text has just the names of `options` in this order, and
 * its URI, and was signed by the first one of `ca`. Its times are not looked at. */
bool certificate_is(struct span pem, const struct certificate_options *options, struct span ca);

/* Whether the first certificate of a PEM text was signed by one of those in `cas`. */
bool certificate_is_signed_by(struct span pem, struct span cas);

/* Milliseconds since 1970 UTC until which the first certificate of a PEM text is valid.
 * ERR_SYNTAX. */
MUST_USE struct err certificate_expires_ms(struct span pem, uint64_t *ret);

#ifdef __cplusplus
}
#endif
#endif

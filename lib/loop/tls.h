/* tls.h: certificates and rules for TLS, as a snapshot that never changes.
 *
 * New certificates or keys make a new snapshot; connections that are open keep theirs. Any thread
 * may use and reference one. TLS 1.2 and 1.3, no renegotiation, no compression; sessions resume by
 * tickets alone, so that nothing is stored here for clients. */
#ifndef MAIL_TLS_H
#define MAIL_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tls_context;

enum {
    TLS_CERTIFICATES_MAX = 10000,
    TLS_NAMES_MAX = 50000, /* in all certificates of a context */
    TLS_TICKET_KEYS_MAX = 4,
    TLS_PROTOCOLS_MAX_BYTES = 128,
};

struct tls_certificate {
    struct span chain; /* PEM, leaf first */
    struct span key;   /* PEM, not encrypted */
};

/* All frontends of a cluster have the same keys. The first makes tickets, the others are still
 * taken; a key that is dropped ends resumption by what it made. */
struct tls_ticket_key {
    uint8_t name[16], aes[32], mac[32];
};

enum tls_verify {
    TLS_VERIFY_NONE,     /* ask for nothing; a client takes any certificate */
    TLS_VERIFY_REQUIRED, /* the peer has a certificate that `ca` signed, or no connection */
};

enum tls_min { TLS_MIN_1_2, TLS_MIN_1_3 }; /* the oldest version that is spoken */

struct tls_options {
    const struct tls_certificate *certificates; /* the first is for who asks for no known name */
    unsigned certificates_count;                /* a server has one; a client may have none */
    enum tls_verify verify;
    struct span ca;                             /* PEM; empty with verify: the system's */
    const struct tls_ticket_key *ticket_keys;   /* none: no resumption */
    unsigned ticket_keys_count;
    const char *const *protocols;               /* ALPN by preference, ends with NULL; or NULL */
    enum tls_min min;
    bool client;
    bool bulk; /* few connections that carry much: each keeps its buffers, and reads many records
                * at a time */
};

/* Copies everything it needs. ERR_SYNTAX (detail: which certificate from 1 on, or 0 for the CA):
 * PEM can't be read or the key does not fit; ERR_TOO_BIG: over a limit above; ERR_NOMEM. */
MUST_USE struct err tls_context_new(const struct tls_options *options, struct tls_context **ret);

struct tls_context *tls_context_ref(struct tls_context *context);
/* The last one frees. Takes NULL. Thread-safe, as is tls_context_ref. */
void tls_context_unref(struct tls_context *context);

/* Milliseconds since 1970 UTC when certificate `at` (from 0) is no longer valid. */
uint64_t tls_context_expires_ms(const struct tls_context *context, unsigned at);

#ifdef __cplusplus
}
#endif
#endif

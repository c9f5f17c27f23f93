/* tls_private.h: libssl's side of a tls_context. */
#ifndef MAIL_TLS_PRIVATE_H
#define MAIL_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "tls.h"

/* A new SSL for one connection, or NULL. */
SSL *tls_context_session(struct tls_context *context);
bool tls_context_is_client(const struct tls_context *context);
bool tls_context_verifies(const struct tls_context *context);

#endif

/* certificate_private.h: what making certificates and looking at them share. */
#ifndef MAIL_CERTIFICATE_PRIVATE_H
#define MAIL_CERTIFICATE_PRIVATE_H

#include <openssl/x509v3.h>

#include "certificate.h"

enum { SECONDS_A_DAY = 86400 };

/* The first certificate of a PEM text, or NULL. */
X509 *certificate_of_pem(struct span pem);
/* The subjectAltName that the options ask for, or NULL. */
GENERAL_NAMES *certificate_names(const struct certificate_options *options);

#endif

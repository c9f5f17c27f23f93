/* smtp_options.h: what a session is told by the configuration. */
#ifndef MAIL_SMTP_OPTIONS_H
#define MAIL_SMTP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body_budget;
struct login_sasl;

enum {
    SMTP_HOSTNAME_MAX_BYTES = 255,
    SMTP_TEXT_MAX_BYTES = 400,   /* of the banner and of a verdict; the rest is cut */
    SMTP_RECIPIENTS_MAX = 10000, /* whatever the option says */
};

enum smtp_service { SMTP_MX, SMTP_SUBMISSION, SMTP_SUBMISSIONS, SMTP_LMTP };

/* From the configuration; the session keeps the pointer, and what is in it lives as long. */
struct smtp_options {
    enum smtp_service service;
    struct span hostname;        /* at most SMTP_HOSTNAME_MAX_BYTES */
    struct span banner;          /* behind it in the greeting; at most SMTP_TEXT_MAX_BYTES */
    uint64_t size_max_bytes;     /* of a message; 0: no limit but the budget */
    uint32_t recipients_max;     /* of a transaction; 1000 by default */
    uint32_t errors_max;         /* refused commands, then 421; 0: no limit */
    uint32_t auth_failures_max;  /* then 421; 4 by default */
    bool auth_required;          /* MAIL is refused before AUTH (submission) */
    bool tls_required;           /* MAIL is refused before STARTTLS */
    bool tls_available;          /* there is a certificate */
    bool auth_without_tls;       /* for addresses from which passwords may come in the clear */
    struct body_budget *budget;
    struct login_sasl *sasl;     /* NULL: no AUTH */
};

#ifdef __cplusplus
}
#endif
#endif

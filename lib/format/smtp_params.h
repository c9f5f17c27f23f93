/* smtp_params.h: the parameters of MAIL and RCPT (RFC 5321 4.1.2) and xtext (RFC 3461 4). */
#ifndef MAIL_SMTP_PARAMS_H
#define MAIL_SMTP_PARAMS_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SMTP_ENVID_MAX_BYTES = 100, /* RFC 3461 4.4, as sent */
    SMTP_ORCPT_MAX_BYTES = 500, /* RFC 3461 4.2, as sent */
};

/* NOTIFY of RFC 3461 4.1. The numbers stand in store.proto (QueueRecipient.dsn_notify). */
enum {
    SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8,
};

struct buf;

struct smtp_param {
    struct span key;   /* esmtp-keyword: a letter or digit, then those and "-" */
    struct span value; /* empty when there is no "=" */
    bool has_value;
};

/* Takes one parameter off the front of `*rest`, which begins with the space before it or is
 * empty. ERR_NOT_FOUND: there is none left. ERR_SYNTAX. */
MUST_USE struct err smtp_param_take(struct span *rest, struct smtp_param *param);

/* SIZE=: 1 to 20 digits (RFC 1870 section 5). ERR_TOO_BIG when it does not fit into 64 bits. */
MUST_USE struct err smtp_number_parse(struct span digits, uint64_t *ret);

/* NOTIFY=: "NEVER" or a list of the others. */
MUST_USE struct err smtp_notify_parse(struct span value, uint8_t *ret);

/* ORCPT=: addr-type ";" xtext, where the type "utf-8" (RFC 6533) may hold 8-bit bytes. */
bool smtp_orcpt_is_valid(struct span value);

bool smtp_xtext_is_valid(struct span xtext);

/* Appends the decoded bytes to `out`, which overflows when it is too small. ERR_SYNTAX, with part
 * of it appended. */
MUST_USE struct err smtp_xtext_decode(struct span xtext, struct buf *out);
void smtp_xtext_encode(struct span bytes, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif

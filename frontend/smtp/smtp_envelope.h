/* smtp_envelope.h: a transaction, as it is handed over with SMTP_WISH_DELIVER. */
#ifndef MAIL_SMTP_ENVELOPE_H
#define MAIL_SMTP_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;

/* Spans live as long as the transaction. */
struct smtp_recipient {
    struct span local, domain; /* as sent; `domain` empty: <Postmaster> */
    struct span orcpt;         /* addr-type ";" xtext as sent; empty: none */
    uint64_t handle;           /* the shell's, from the answer to SMTP_WISH_RECIPIENT */
    uint8_t notify;            /* SMTP_NOTIFY_* of smtp_params.h; 0: not said */
    uint16_t answer_code, answer_subject, answer_detail; /* LMTP: what is said in the end; the */
    struct span answer_text;                             /* session's own */
};

enum smtp_ret { SMTP_RET_UNSAID, SMTP_RET_FULL, SMTP_RET_HDRS };

/* One transaction. Spans live until it ends, which is with the answer to SMTP_WISH_DELIVER. */
struct smtp_envelope {
    struct span local, domain; /* sender; both empty: <> */
    struct span envid;         /* xtext as sent */
    enum smtp_ret ret;
    bool smtputf8, body_8bit;  /* as declared */
    uint64_t size_declared;    /* SIZE=, 0: not said */
    struct smtp_recipient *recipients; /* accepted ones, in order */
    size_t recipients_count;
    struct body *body;         /* sealed; the session's reference */
};

#ifdef __cplusplus
}
#endif
#endif

/* door_smtp_private.h: the shell of SMTP, in two files: the conversation, and who may send what. */
#ifndef MAIL_DOOR_SMTP_PRIVATE_H
#define MAIL_DOOR_SMTP_PRIVATE_H

#include "arena.h"
#include "door_private.h"
#include "intake.h"
#include "login_throttle.h"
#include "policy.h"
#include "smtp_envelope.h"
#include "smtp_options.h"
#include "smtp_session.h"

enum { SMTP_OUT_BYTES = 8 * 1024, SMTP_TARGETS_ARENA_BYTES = 16 * 1024 * 1024 };

struct door_smtp_conn {
    struct door_conn door;
    struct smtp_session session;
    struct smtp_options options;
    struct buf out;
    /* At most one of these is under way. */
    struct directory_resolve *resolve;
    struct login_check *login;
    struct intake *intake;
    struct timer hold;            /* the reply to a failed log-in is held back */
    struct login_throttle throttle;
    struct err held;              /* that reply */
    struct arena transaction;     /* what recipients lead to; cleared with the transaction */
    struct intake_recipient *recipients;
    size_t recipients_count, recipients_size;
    struct arena identity_arena;
    struct span addresses[17];    /* what the authenticated user may send as */
    unsigned addresses_count;
    uint32_t delivered;           /* the last message, until the client is heard again; 0: none */
    uint8_t delivered_id[16];
    uint32_t bare_counted;        /* of session.bare_messages, into the front's counts */
    bool waits;
    bool ending;                  /* the program goes down: 421 behind the message under way */
    bool quota_is_temporary;      /* for a recipient of the transaction */
    /* The sender of the transaction. */
    struct policy_verdict sender_verdict; /* while his account is looked up */
    struct span inside;           /* domain of ours that he is known to be of; empty: of none */
    uint64_t send_max_bytes;      /* of a message of his; 0: no limit of his own */
    bool sender_is_confined;      /* sends to `inside` only */
};


/* An answer to a wish has come from elsewhere: says it to the session and goes on. */
#define SMTP_ANSWER(smtp, call)                                  \
    do {                                                         \
        char answer_bytes_[SMTP_OUT_BYTES];                      \
        buf_init(&(smtp)->out, answer_bytes_, SMTP_OUT_BYTES);   \
        call;                                                    \
        smtp_answered(smtp);                                     \
    } while (0)

/* Sends what the answer led to and goes on with the conversation. */
void smtp_answered(struct door_smtp_conn *smtp);

/* Something has to be waited for: the client is not read meanwhile. */
void smtp_wait(struct door_smtp_conn *smtp);

/* Fulfil one wish each: answer it, or wait. */
void smtp_sender(struct door_smtp_conn *smtp);
void smtp_recipient(struct door_smtp_conn *smtp);
void smtp_login(struct door_smtp_conn *smtp);

/* What has become of the message of this transaction, once for each recipient. `why`: the virus,
 * where `err` is INFECTED. */
void door_log_message(const struct door_smtp_conn *smtp, const struct policy_verdict *verdict,
                      struct err err, struct span why);

#endif

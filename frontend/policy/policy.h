/* policy.h: what is decided before a message is taken. Facts in, a verdict out: nothing is looked
 * up here, and no clock is read. The shell gathers the facts. */
#ifndef MAIL_POLICY_H
#define MAIL_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An SMTP reply. The class of the enhanced code (RFC 3463) is the first digit of `code`. */
struct policy_verdict {
    uint16_t code;            /* 250, 451, 550, ... */
    uint16_t subject, detail; /* X.subject.detail */
    struct span text;         /* of policy_texts.def: lives for ever */
};

/* The rows of policy_texts.def. */
enum policy_text {
#define POLICY_TEXT(name, code, subject, detail, text) POLICY_SAY_##name,
#include "policy_texts.def"
#undef POLICY_TEXT
    POLICY_SAY_COUNT
};

enum policy_service {
    POLICY_MX,         /* port 25: from anybody */
    POLICY_SUBMISSION, /* 587 and 465: our users */
    POLICY_LMTP,       /* a mail server of ours in front of us; local recipients only */
};

/* Who has the sender's address. */
enum policy_sender_kind {
    POLICY_SENDER_NULL,        /* <> */
    POLICY_SENDER_FOREIGN,     /* its domain is not ours */
    POLICY_SENDER_LOCAL,       /* of `sender_tenant` and `sender_account` */
    POLICY_SENDER_NOBODY,      /* a domain of ours in which nobody has it */
    POLICY_SENDER_UNREACHABLE, /* the directory gave no answer */
};

enum policy_recipient_kind {
    POLICY_RECIPIENT_ACCOUNT,
    POLICY_RECIPIENT_ALIAS,
    POLICY_RECIPIENT_GROUP,
    POLICY_RECIPIENT_NOBODY,      /* a domain of ours in which nobody has it */
    POLICY_RECIPIENT_NOT_LOCAL,
    POLICY_RECIPIENT_UNREACHABLE, /* the directory gave no answer */
    POLICY_RECIPIENT_LOOP,        /* aliases lead round in a ring, or to too many */
    POLICY_RECIPIENT_FORWARDED,   /* a domain of ours that has another server */
};

/* Everything a verdict may depend on. What a stage does not name stays zero. */
struct policy_facts {
    enum policy_service service;
    bool policy_is_stale;      /* what all this is decided by is older than it may be */
    bool client_is_trusted;    /* its address is in the group that may relay (policy_ip.h) */
    bool is_authenticated;
    bool auth_has_failed;      /* tried in this session and refused: the group no longer helps */
    uint32_t tenant;           /* of the authenticated account */
    uint64_t account;

    enum policy_sender_kind sender;
    uint32_t sender_tenant;
    uint64_t sender_account;
    bool sender_is_granted;    /* the account may send as an address that is not its own */

    enum policy_recipient_kind recipient;
    bool recipient_is_disabled;
    bool recipient_is_over_quota; /* of every account that the address leads to */
    bool sender_is_confined;    /* and nobody that the address leads to is of his domain */
    bool recipient_is_confined; /* everybody it leads to, and the sender is not of their domain */

    /* Options. */
    bool local_sender_needs_auth;  /* on port 25: an address of ours only from our users */
    bool foreign_sender_allowed;   /* our users may send with addresses that are not ours */
    bool quota_is_permanent;       /* 552 5.2.2 in place of 452 4.2.2 */
};

/* The verdict of a text. */
struct policy_verdict policy_verdict_of(enum policy_text text);

/* MAIL FROM and RCPT TO: the first row of policy_checks.def that applies, else acceptance: 250, as
 * local mail or as mail to be sent on (policy_is_relay). */
struct policy_verdict policy_sender(const struct policy_facts *facts);
struct policy_verdict policy_recipient(const struct policy_facts *facts);

/* Whether an accepted recipient is to be sent on to another server. */
bool policy_is_relay(const struct policy_facts *facts);

/* The reply to the end of DATA for how taking the message went. */
struct policy_verdict policy_of_err(struct err err, bool quota_is_permanent);

/* The refusal of a message of more than `bytes_max`, which says so; its text lies in `text`. */
enum { POLICY_SIZE_TEXT_BYTES = 96 };
struct policy_verdict policy_size(uint64_t bytes_max, char text[POLICY_SIZE_TEXT_BYTES]);
/* The smaller of two limits, 0 being none. */
uint64_t policy_size_max(uint64_t a, uint64_t b);

static inline bool policy_accepts(struct policy_verdict verdict) { return verdict.code / 100 == 2; }

#ifdef __cplusplus
}
#endif
#endif

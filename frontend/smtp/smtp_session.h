/* smtp_session.h: one SMTP or LMTP conversation as a machine without I/O.
 *
 * Bytes go in, reply bytes and at most one wish come out. The shell that owns the socket fulfils
 * the wish and says so with the answer function that the wish names. The same machine runs under
 * the event loop, under a unit test and under a fuzzer. RFC 5321, 1870 SIZE, 2034 enhanced codes,
 * 2920 PIPELINING, 3030 CHUNKING, 3207 STARTTLS, 3461 DSN, 4954 AUTH, 6152 8BITMIME, 6531
 * SMTPUTF8, 2033 LMTP. */
#ifndef MAIL_SMTP_SESSION_H
#define MAIL_SMTP_SESSION_H

#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "smtp_envelope.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct login_exchange;
struct policy_verdict;
struct smtp_options;

enum {
    /* The longest run of bytes that has to be shown at once: an AUTH line. */
    SMTP_INPUT_MAX_BYTES = 12288,
    /* Room in `out` without which nothing is read: one EHLO reply, or any other. */
    SMTP_OUT_MIN_BYTES = 1024,
    SMTP_HELO_MAX_BYTES = 255,
    SMTP_TRANSACTION_MAX_BYTES = 2048 * 1024, /* envelope; 10,000 recipients of 100 octets fit */
};

/* Where the conversation stands. Commands name in smtp_commands.def where they are legal. */
enum smtp_state {
    SMTP_IN_START = 1 << 0,   /* greeted, no EHLO yet */
    SMTP_IN_READY = 1 << 1,   /* EHLO done, no transaction */
    SMTP_IN_MAIL = 1 << 2,    /* sender known */
    SMTP_IN_RCPT = 1 << 3,    /* at least one recipient */
    SMTP_IN_CHUNKS = 1 << 4,  /* after a BDAT that was not the last */
    SMTP_IN_AUTH = 1 << 5,    /* after 334 */
    SMTP_IN_DATA = 1 << 6,    /* after 354 */
    SMTP_IN_CHUNK = 1 << 7,   /* in the octets behind BDAT */
    SMTP_IN_ANSWERS = 1 << 8, /* LMTP: a reply for each recipient is being written */
    SMTP_IN_END = 1 << 9,     /* 221 or 421 said; nothing more is read */
};

enum smtp_wish {
    SMTP_WISH_NOTHING,
    SMTP_WISH_START_TLS, /* send `out`, drop what was read beyond, start TLS: _answer_tls */
    SMTP_WISH_LOGIN,     /* check `login`: _answer_login */
    SMTP_WISH_SENDER,    /* judge envelope.sender: _answer_sender */
    SMTP_WISH_RECIPIENT, /* judge `asked`: _answer_recipient */
    SMTP_WISH_DELIVER,   /* take `envelope`: _answer_delivery, in LMTP also _answer_each */
    SMTP_WISH_CLOSE,     /* send `out`, then close; no answer */
};

/* Spans live as long as the wish. */
struct smtp_login {
    struct span authcid, authzid, password; /* login_sasl.h */
};

struct smtp_account {
    uint64_t account;
    uint32_t tenant;
    struct span address;       /* primary; lives as long as the session */
};

struct smtp_session {
    const struct smtp_options *options;
    struct buf *out;
    enum smtp_state state;
    enum smtp_wish wish;
    bool tls_active, is_authenticated, is_esmtp;
    bool is_bdat;                 /* the body came, or comes, by BDAT */
    bool line_is_skipped;         /* in a command line that is too long */
    uint32_t errors, auth_failures;
    uint32_t bare_messages;       /* refused for a CR or LF on its own; the shell counts them */
    struct smtp_account account;  /* when authenticated */
    struct smtp_login login;      /* SMTP_WISH_LOGIN */
    struct smtp_recipient asked;  /* SMTP_WISH_RECIPIENT */
    struct smtp_envelope envelope;
    struct arena transaction;     /* cleared when the transaction ends */
    struct smtp_body *receiving;  /* private; NULL: no body under way */
    struct login_exchange *exchange;
    size_t recipients_size;
    size_t answers_said;          /* LMTP: to how many recipients */
    uint8_t helo_len;
    char helo_bytes[SMTP_HELO_MAX_BYTES];
};

/* `out` may point at different bytes at each call, but has SMTP_OUT_MIN_BYTES free at an answer. */
void smtp_session_init(struct smtp_session *session, const struct smtp_options *options,
                       bool tls_active, struct buf *out);
void smtp_session_free(struct smtp_session *session);

/* Writes the greeting, 220. Input that came before it is the shell's to judge. */
void smtp_session_greet(struct smtp_session *session);

/* Works through `in` until it needs more bytes, has a wish, or `out` has less than
 * SMTP_OUT_MIN_BYTES free. Returns how many bytes are done with; the caller keeps the rest and
 * shows it again. When `out` was the reason (smtp_session_is_blocked), send it and call again, also
 * without bytes. */
size_t smtp_session_feed(struct smtp_session *session, struct span in);
bool smtp_session_is_blocked(const struct smtp_session *session);

/* TLS is up, or ERR: the session wants to be closed. */
void smtp_session_answer_tls(struct smtp_session *session, struct err err);

/* ERR_OK with the account; ERR_DENIED: wrong; a temporary error: not checked. */
void smtp_session_answer_login(struct smtp_session *session, const struct smtp_account *account,
                               struct err err);

/* A verdict of 2xx accepts; texts need to live during the call only. */
void smtp_session_answer_sender(struct smtp_session *session,
                                const struct policy_verdict *verdict);
void smtp_session_answer_recipient(struct smtp_session *session,
                                   const struct policy_verdict *verdict, uint64_t handle);

/* One verdict for the message; in LMTP it is said for each recipient. */
void smtp_session_answer_delivery(struct smtp_session *session,
                                  const struct policy_verdict *verdict);

/* LMTP: a verdict for each of envelope.recipients_count. */
void smtp_session_answer_each(struct smtp_session *session,
                              const struct policy_verdict *verdicts);

/* The shell ends it: idle for too long, shutting down, or not able to serve yet. Says 421 unless a
 * reply is being written, and wishes to close. An answer under way is then not to be given any
 * more. */
enum smtp_end { SMTP_END_TIMEOUT, SMTP_END_SHUTDOWN, SMTP_END_NOT_READY };
void smtp_session_end(struct smtp_session *session, enum smtp_end why);

/* The name in EHLO, HELO or LHLO, and the "with" keyword for the trace header (RFC 3848, 6531):
 * ESMTPSA and so on. */
struct span smtp_session_helo(const struct smtp_session *session);
struct span smtp_session_with(const struct smtp_session *session);

#ifdef __cplusplus
}
#endif
#endif

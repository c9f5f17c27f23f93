/* smtp_client.h: our side of an SMTP or LMTP conversation as a machine without I/O.
 *
 * Reply bytes go in, command bytes and at most one wish come out. One connection carries any
 * number of messages, one after the other. */
#ifndef MAIL_SMTP_CLIENT_H
#define MAIL_SMTP_CLIENT_H

#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;

enum {
    SMTP_CLIENT_OUT_MIN_BYTES = 4096,   /* room in `out` without which nothing is written */
    SMTP_CLIENT_REPLY_MAX_BYTES = 1024, /* of the text of a reply; the rest is cut */
    SMTP_CLIENT_REPLY_MAX_LINES = 200,  /* a longer one ends the conversation */
    SMTP_CLIENT_TEXTS_MAX_BYTES = 1024 * 1024, /* of a message's replies; then they are left out */
    SMTP_CLIENT_PASSWORD_MAX_BYTES = 512,      /* and as much for the name */
};

enum smtp_client_tls { SMTP_CLIENT_TLS_NEVER, SMTP_CLIENT_TLS_IF_OFFERED, SMTP_CLIENT_TLS_MUST };

/* Lives as long as the client. */
struct smtp_client_options {
    bool lmtp;                 /* RFC 2033 */
    bool tls_active;           /* from the first byte */
    enum smtp_client_tls tls;
    struct span hostname;      /* ours, for EHLO; at most 255 bytes */
    struct span user, password; /* AUTH PLAIN, or LOGIN, at a smart host; `user` empty: none */
    bool auth_without_tls;
    bool send_8bit_anyway;     /* to a server without 8BITMIME; else such mail fails, 5.6.3 */
    bool chunking;             /* BDAT where it is offered */
};

struct smtp_client_reply {
    uint16_t code;            /* 0: none */
    uint16_t subject, detail; /* RFC 3463; both 0 when none was sent */
    struct span text;         /* behind the codes, lines joined by spaces */
};

enum smtp_client_result {
    SMTP_CLIENT_PENDING,
    SMTP_CLIENT_ACCEPTED, /* by RCPT; the message is under way */
    SMTP_CLIENT_DONE,     /* delivered, or taken over by the other server */
    SMTP_CLIENT_DEFERRED, /* try again later */
    SMTP_CLIENT_FAILED,   /* never */
};

struct smtp_client_recipient {
    struct span address; /* local@domain */
    struct span orcpt;   /* addr-type ";" xtext; may be empty */
    uint8_t notify;      /* SMTP_NOTIFY_* of smtp_params.h; 0: not said */
    /* What came of it. The reply's text lives until the next message or the end. */
    enum smtp_client_result result;
    struct smtp_client_reply reply;
};

/* The caller's, and it stays as it is until SMTP_CLIENT_WISH_MESSAGE or _CLOSE. */
struct smtp_client_message {
    struct span sender;   /* local@domain; empty: <> */
    struct span envid;    /* xtext; may be empty */
    bool has_ret, ret_full;
    bool smtputf8, body_8bit;
    struct body *body;    /* sealed */
    struct smtp_client_recipient *recipients; /* at least one; results begin as PENDING */
    size_t recipients_count;
};

enum smtp_client_wish {
    SMTP_CLIENT_WISH_NOTHING,
    SMTP_CLIENT_WISH_START_TLS, /* _answer_tls */
    SMTP_CLIENT_WISH_MESSAGE,   /* ready, the message before is answered: _send or _quit */
    SMTP_CLIENT_WISH_CLOSE,     /* send `out`, then close; nothing is PENDING or ACCEPTED */
};

enum smtp_client_state {
    SMTP_CLIENT_GREETING, SMTP_CLIENT_EHLO, SMTP_CLIENT_HELO, SMTP_CLIENT_STARTTLS,
    SMTP_CLIENT_AUTH_USER, SMTP_CLIENT_AUTH_PASSWORD, SMTP_CLIENT_AUTH,
    SMTP_CLIENT_READY, SMTP_CLIENT_MAIL, SMTP_CLIENT_RCPT, SMTP_CLIENT_DATA,
    SMTP_CLIENT_BODY, SMTP_CLIENT_BODY_END, SMTP_CLIENT_RSET, SMTP_CLIENT_QUIT, SMTP_CLIENT_END,
};

/* What EHLO offered, as bits. */
enum smtp_client_extension {
    SMTP_HAS_PIPELINING = 1, SMTP_HAS_SIZE = 2, SMTP_HAS_8BITMIME = 4, SMTP_HAS_STARTTLS = 8,
    SMTP_HAS_SMTPUTF8 = 16, SMTP_HAS_DSN = 32, SMTP_HAS_CHUNKING = 64, SMTP_HAS_AUTH_PLAIN = 128,
    SMTP_HAS_AUTH_LOGIN = 256,
};

struct smtp_client {
    const struct smtp_client_options *options;
    struct buf *out;
    enum smtp_client_state state;
    enum smtp_client_wish wish;
    unsigned extensions;
    bool tls_active;
    bool has_failed, tls_has_failed;  /* the conversation, not a message: with another host, or */
    struct smtp_client_reply failure; /* without TLS, it may go better */
    uint64_t size_max_bytes;    /* SIZE of the server; 0: none */
    struct smtp_client_message *message;
    struct arena texts;
    size_t sent, answered;      /* commands of the envelope: MAIL, a RCPT each, DATA */
    size_t accepted, ended;     /* recipients; those with a reply to the body (LMTP) */
    struct smtp_client_reply mail_reply; /* when mail_refused */
    bool mail_refused, uses_bdat, bdat_is_said, at_line_start, body_is_said;
    uint64_t body_at;
    unsigned reply_lines;
    struct smtp_client_reply reply; /* under way; its text is `reply_bytes` */
    struct span last_text;          /* in `texts`: that of the reply before, to share it */
    size_t reply_len;
    char reply_bytes[SMTP_CLIENT_REPLY_MAX_BYTES];
};

/* `out` may point at different bytes at each call, but has SMTP_CLIENT_OUT_MIN_BYTES free when it
 * is empty. The server speaks first. */
void smtp_client_init(struct smtp_client *client, const struct smtp_client_options *options,
                      struct buf *out);
void smtp_client_free(struct smtp_client *client);

/* Works through replies until it needs more, or has a wish. Returns how many bytes are done with;
 * at most 2048 are ever left. */
size_t smtp_client_feed(struct smtp_client *client, struct span in);

/* Writes on after `out` was sent: commands, body. Call until it adds nothing. */
void smtp_client_pump(struct smtp_client *client);

/* Answers to wishes. */
void smtp_client_answer_tls(struct smtp_client *client, struct err err);
void smtp_client_send(struct smtp_client *client, struct smtp_client_message *message);
void smtp_client_quit(struct smtp_client *client);

/* The connection is gone, or no reply came in time: what is open is deferred. Wishes to close. */
void smtp_client_lost(struct smtp_client *client, struct err err);

/* How long to wait for the other side now, in seconds (RFC 5321 4.5.3.2), from the last byte that
 * went in or out; and what for, for logs. */
unsigned smtp_client_wait_s(const struct smtp_client *client);
struct span smtp_client_phase(const struct smtp_client *client);

#ifdef __cplusplus
}
#endif
#endif

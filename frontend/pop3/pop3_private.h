/* pop3_private.h: the structs of a session, and what the files of this folder do for each other. */
#ifndef MAIL_POP3_PRIVATE_H
#define MAIL_POP3_PRIVATE_H

#include <assert.h>

#include "login_sasl.h"
#include "mail_stream.h"
#include "pop3_session.h"
#include "store_msg.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the machine does at the moment. */
enum pop3_phase {
    POP3_READS,      /* a command */
    POP3_READS_SASL, /* a response of AUTH */
    POP3_SAYS,       /* a reply of several lines is under way: session->say */
    POP3_WISHES,     /* wants something from the shell */
    POP3_WAITS,      /* which is under way */
};

/* What stands behind a command's name. */
enum pop3_takes {
    POP3_TAKES_NOTHING,
    POP3_TAKES_TEXT,    /* any, also none */
    POP3_TAKES_MESSAGE, /* the number of one that is there and not marked as deleted */
    POP3_TAKES_MESSAGE_OR_NOTHING,
    POP3_TAKES_MESSAGE_AND_LINES,
};

struct pop3_args {
    struct span text;  /* dies when the command's function returns */
    uint32_t message;  /* from 1; 0: none */
    uint32_t lines;
};

struct pop3_message {
    uint32_t uid;
    uint32_t octets : 31;
    uint32_t is_deleted : 1;
};
static_assert(MAIL_RECORD_MAX_BYTES < 1u << 31, "octets of a message");

/* The mailbox as it was at log-in. */
struct pop3_box {
    uint32_t mailbox, uidvalidity;
    uint32_t count, size;   /* of `messages` */
    uint32_t left;          /* not marked as deleted, and their octets */
    uint64_t left_octets;
    struct pop3_message *messages;
};

/* The octets of a message as lines of a reply (pop3_lines.c). */
struct pop3_lines {
    bool is_top;         /* only the header and `lines_left` lines of the body */
    uint32_t lines_left;
    bool in_body;        /* the empty line has been seen */
    bool is_over;        /* is_top: all that is wanted has been written */
    bool line_is_begun;
    bool line_has_text;  /* more than one CR */
    bool after_cr;
};
/* Writes what it can of `in`: returns how much. It stops where `out` has no room left for what one
 * octet may become, or when it is over. */
size_t pop3_lines_put(struct pop3_lines *lines, struct span in, struct buf *out);
/* Ends the last line, and the reply. Needs room for POP3_LINES_END_BYTES. */
void pop3_lines_end(struct pop3_lines *lines, struct buf *out);
enum { POP3_LINES_GROWTH = 2, POP3_LINES_END_BYTES = 8 };

/* RETR or TOP under way. */
struct pop3_read {
    struct store_fetch_request request;
    char uids[8];          /* uid_set.h: the one */
    uint32_t message;
    struct err err;        /* why it can't be read */
    bool has_begun;        /* "+OK" is said */
    bool is_over;          /* and its end too */
    bool is_blocked;       /* there is no room in `out` */
    void *unpack;
    uint64_t stored_left;  /* octets of the stored body still to come */
    struct pop3_lines lines;
    size_t head_len;
    char head[MAIL_RECORD_BEFORE_BODY_BYTES];
};

/* What comes back from a call. Either may be NULL. */
struct pop3_call_user {
    void (*reply)(struct pop3_session *session, const void *reply);
    size_t (*data)(struct pop3_session *session, struct span in);
};

/* Below 1 KiB: what an idle connection costs, but for 8 bytes a message. */
struct pop3_session {
    const struct pop3_options *options;
    struct buf *out; /* of the call under way, else NULL */
    uint64_t wall_ms;
    struct pop3_identity identity;
    enum pop3_state state;
    enum pop3_phase phase;
    struct pop3_wish wish;
    /* Goes on when the wish is answered. */
    void (*then)(struct pop3_session *session, struct err err);
    const struct pop3_call_user *call;
    /* Writes as much of a long reply as there is room for: true when it is all out. */
    bool (*say)(struct pop3_session *session);
    uint32_t said;              /* by it: messages */
    struct pop3_box *box;       /* since log-in */
    struct pop3_open *opening;  /* pop3_open.c */
    struct pop3_read *read;
    struct pop3_update *update; /* pop3_cmd_quit.c */
    struct login_exchange *exchange;
    char *password;             /* of PASS, while it is checked */
    size_t password_len;
    uint32_t bad, failures, failures_max;
    bool tls;
    bool line_is_skipped;       /* in a line that is too long */
    uint16_t user_len;
    char user[LOGIN_NAME_MAX_BYTES];
};
static_assert(sizeof(struct pop3_session) < 1024, "tens of thousands of idle sessions are cheap");

/* ---- replies: pop3_reply.c */
enum pop3_reply {
#define POP3_REPLY(name, line) POP3_##name,
#include "pop3_replies.def"
#undef POP3_REPLY
};
void pop3_put(struct pop3_session *session, struct span text);
void pop3_put_number(struct pop3_session *session, uint64_t number);
void pop3_say(struct pop3_session *session, enum pop3_reply reply);
/* The same for a command that was no good: after POP3_BAD_MAX of them it says so and closes. */
void pop3_say_bad(struct pop3_session *session, enum pop3_reply reply);
/* "-ERR [SYS/TEMP] text: why" or, for what will never work, [SYS/PERM] (RFC 3206). */
void pop3_say_err(struct pop3_session *session, struct span text, struct err err);
/* Says it and closes. */
void pop3_hang_up(struct pop3_session *session, enum pop3_reply reply);
/* Closes without a word. */
void pop3_close(struct pop3_session *session);

/* ---- pop3_session.c */
void pop3_wish_for(struct pop3_session *session, enum pop3_wish_kind kind,
                   void (*then)(struct pop3_session *session, struct err err));
void pop3_call(struct pop3_session *session, enum store_method method, const void *request,
               const struct pop3_call_user *user,
               void (*then)(struct pop3_session *session, struct err err));
/* A reply of several lines, of which the first is said already. */
void pop3_say_long(struct pop3_session *session, bool (*say)(struct pop3_session *session));
/* Reads the next command. */
void pop3_ready(struct pop3_session *session);
bool pop3_has_room(const struct pop3_session *session);

/* ---- pop3_line.c: takes one line, or nothing: returns how many bytes it used. */
size_t pop3_read_line(struct pop3_session *session, struct span in);

/* ---- log-in: pop3_cmd_auth.c, pop3_cmd_user.c, pop3_open.c */
/* Whether passwords may come over this connection; says no otherwise. */
bool pop3_may_log_in(struct pop3_session *session);
bool pop3_offers_login(const struct pop3_session *session);
void pop3_sasl_line(struct pop3_session *session, struct span line);
/* Has `user` and `password` checked, which live until then; opens the mailbox when they are right.
 */
void pop3_log_in(struct pop3_session *session, struct span user, struct span password);
/* Wipes what a log-in has left. */
void pop3_forget_secrets(struct pop3_session *session);
void pop3_open(struct pop3_session *session);
void pop3_open_free(struct pop3_session *session);
void pop3_box_free(struct pop3_session *session);

/* ---- commands */
#define POP3_CMD(name, function, states, takes) \
    void pop3_cmd_##function(struct pop3_session *session, const struct pop3_args *args);
#include "pop3_commands.def"
#undef POP3_CMD
/* RETR and TOP. */
void pop3_read_begin(struct pop3_session *session, uint32_t message, const uint32_t *lines);
void pop3_read_free(struct pop3_session *session);
void pop3_update_free(struct pop3_session *session);

static inline struct pop3_message *pop3_message_at(struct pop3_session *session, uint32_t message)
{
    return &session->box->messages[message - 1];
}

#ifdef __cplusplus
}
#endif
#endif

/* smtp_private.h: what the files of this folder share. */
#ifndef MAIL_SMTP_PRIVATE_H
#define MAIL_SMTP_PRIVATE_H

#include "policy.h"
#include "smtp_data.h"
#include "smtp_options.h"
#include "smtp_session.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SMTP_ANY = 1 << SMTP_MX | 1 << SMTP_SUBMISSION | 1 << SMTP_SUBMISSIONS | 1 << SMTP_LMTP,
    SMTP_ONLY_LMTP = 1 << SMTP_LMTP,
    SMTP_NOT_LMTP = SMTP_ANY & ~SMTP_ONLY_LMTP,
    SMTP_ANYTIME = SMTP_IN_START | SMTP_IN_READY | SMTP_IN_MAIL | SMTP_IN_RCPT | SMTP_IN_CHUNKS,
};

/* A handler writes exactly one reply, or has a wish that leads to one, and may move the state.
 * `args` dies when it returns. */
#define SMTP_CMD(name, services, states) \
    void smtp_cmd_##name(struct smtp_session *session, struct span args);
#include "smtp_commands.def"
#undef SMTP_CMD

enum smtp_reply {
#define SMTP_REPLY(name, line) SMTP_REPLY_##name,
#include "smtp_replies.def"
#undef SMTP_REPLY
};

void smtp_say(struct smtp_session *session, enum smtp_reply reply);
void smtp_say_verdict(struct smtp_session *session, const struct policy_verdict *verdict);

/* Says it and wishes to close. */
void smtp_hang_up(struct smtp_session *session, enum smtp_reply reply);

/* Hangs up when there were too many. Comes with the last one's reply, whoever said that. */
void smtp_count_errors(struct smtp_session *session);

/* Drops everything of the transaction. */
void smtp_transaction_end(struct smtp_session *session, enum smtp_state next);

/* EHLO, HELO and LHLO: keeps the name and ends any transaction; false: refused and said so. */
bool smtp_helo_take(struct smtp_session *session, struct span args);
bool smtp_offers_auth(const struct smtp_session *session);

/* ---- smtp_args.c */

/* What is behind `keyword` ("FROM:"), spaces left out; false: something else is there. */
bool smtp_args_path(struct span args, struct span keyword, struct span *rest);
/* `part` of `from`, as it stands in the copy `to`; empty when it is no part of it. */
struct span smtp_moved(struct span from, struct span to, struct span part);
/* Takes one parameter. ERR_NOT_FOUND: not known; ERR_TOO_BIG: a size that nobody takes. */
struct smtp_param;
typedef struct err smtp_args_param(void *holder, const struct smtp_param *param);
/* Gives each parameter behind the path to `take`; false: one is refused, and said so. */
bool smtp_args_params(struct smtp_session *session, struct span rest, smtp_args_param *take,
                      void *holder);

/* ---- smtp_cmd_auth.c */
void smtp_auth_line(struct smtp_session *session, bool is_initial, struct span line);
void smtp_auth_end(struct smtp_session *session);

/* ---- smtp_body.c: the message being received, from DATA or BDAT until the answer. */

/* Why a message is refused at its end; the first reason stays. */
enum smtp_fault {
    SMTP_FAULT_NONE, SMTP_FAULT_SEQUENCE, SMTP_FAULT_BARE, SMTP_FAULT_LINE, SMTP_FAULT_SIZE,
    SMTP_FAULT_BUSY, SMTP_FAULT_IO,
};

struct smtp_body {
    enum smtp_fault fault;
    struct smtp_data data;     /* DATA */
    uint64_t chunk_left;       /* BDAT: octets to come */
    bool chunk_is_last;
    enum smtp_state after;     /* BDAT out of sequence: where it goes on */
};

/* Makes the body when there is none; false: no memory and said so. */
bool smtp_body_begin(struct smtp_session *session);
/* Each takes what it can of `in`; false: it needs more. */
bool smtp_body_data(struct smtp_session *session, struct span in, size_t *used);
bool smtp_body_chunk(struct smtp_session *session, struct span in, size_t *used);
/* The same verdict for all, or for the message. */
void smtp_body_answer(struct smtp_session *session, const struct policy_verdict *verdict);
/* LMTP: writes the next recipient's reply, and ends the transaction after the last one. */
void smtp_body_answer_next(struct smtp_session *session);
void smtp_body_free(struct smtp_session *session);

#ifdef __cplusplus
}
#endif
#endif

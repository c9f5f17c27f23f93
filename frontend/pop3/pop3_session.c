#include "pop3_session.h"

#include <stdlib.h>

#include "check.h"
#include "pop3_private.h"

static_assert((int)POP3_SASL_LINE_MAX_BYTES == (int)LOGIN_LINE_MAX_BYTES, "the longest line");

struct err pop3_session_new(const struct pop3_options *options, bool tls, uint32_t failures_max,
                            struct buf *out, struct pop3_session **ret)
{
    struct pop3_session *session = calloc(1, sizeof(*session));
    if (session == NULL) return err_make(ERR_NOMEM, "POP3 session");
    session->options = options;
    session->state = POP3_IN_AUTHORIZATION;
    session->phase = POP3_READS;
    session->tls = tls;
    session->failures_max = failures_max;
    session->out = out;
    /* No "<...>" as RFC 1939 has it for APOP, which is not offered. */
    pop3_put(session, SPAN("+OK "));
    pop3_put(session, options->name);
    pop3_put(session, SPAN(" ready\r\n"));
    session->out = NULL;
    *ret = session;
    return err_ok();
}

void pop3_session_free(struct pop3_session *session)
{
    if (session == NULL) return;
    pop3_forget_secrets(session);
    pop3_read_free(session);
    pop3_update_free(session);
    pop3_open_free(session);
    pop3_box_free(session);
    free(session);
}

bool pop3_has_room(const struct pop3_session *session)
{
    return session->out->size - session->out->len >= POP3_OUT_ROOM;
}

bool pop3_session_reads(const struct pop3_session *session)
{
    return session->phase == POP3_READS || session->phase == POP3_READS_SASL;
}

bool pop3_session_is_idle(const struct pop3_session *session)
{
    return session->phase == POP3_READS && !session->line_is_skipped;
}

void pop3_ready(struct pop3_session *session) { session->phase = POP3_READS; }

void pop3_say_long(struct pop3_session *session, bool (*say)(struct pop3_session *session))
{
    session->say = say;
    session->said = 0;
    session->phase = POP3_SAYS;
}

static void pop3_pump(struct pop3_session *session)
{
    if (session->phase == POP3_SAYS && pop3_has_room(session) && session->say(session)) {
        pop3_ready(session);
    }
}

size_t pop3_session_feed(struct pop3_session *session, struct span in, uint64_t wall_ms,
                         struct buf *out)
{
    size_t done = 0, used = 1;
    session->out = out;
    session->wall_ms = wall_ms;
    while (used > 0 && done < in.len && pop3_session_reads(session) && pop3_has_room(session)) {
        used = pop3_read_line(session, span_skip(in, done));
        done += used;
        pop3_pump(session);
    }
    session->out = NULL;
    /* RFC 2595 section 4, CVE-2011-0411: what came in the clear behind STLS is nobody's. */
    if (session->wish.kind == POP3_WISH_START_TLS || session->state == POP3_IN_END) return in.len;
    return done;
}

/* ---- wishes */

void pop3_wish_for(struct pop3_session *session, enum pop3_wish_kind kind,
                   void (*then)(struct pop3_session *session, struct err err))
{
    session->wish = (struct pop3_wish){ .kind = kind };
    session->then = then;
    session->call = NULL;
    session->phase = POP3_WISHES;
    if (session->box != NULL) session->wish.mailbox = session->box->mailbox;
}

void pop3_call(struct pop3_session *session, enum store_method method, const void *request,
               const struct pop3_call_user *user,
               void (*then)(struct pop3_session *session, struct err err))
{
    pop3_wish_for(session, POP3_WISH_CALL, then);
    session->wish.method = method;
    session->wish.request = request;
    session->call = user;
}

bool pop3_session_wish(struct pop3_session *session, struct pop3_wish *ret)
{
    if (session->wish.kind == POP3_WISH_NOTHING) return false;
    *ret = session->wish;
    session->wish = (struct pop3_wish){ .kind = POP3_WISH_NOTHING };
    session->phase = POP3_WAITS;
    return true;
}

/* Whether what comes from the shell is for a call that waits for it. */
static bool pop3_is_called(const struct pop3_session *session)
{
    return session->phase == POP3_WAITS && session->state != POP3_IN_END && session->call != NULL;
}

static size_t pop3_take_data(struct pop3_session *session, struct span in)
{
    if (!pop3_is_called(session) || session->call->data == NULL) return in.len;
    return session->call->data(session, in);
}

size_t pop3_session_data(struct pop3_session *session, struct span in, struct buf *out)
{
    session->out = out;
    size_t used = pop3_take_data(session, in);
    session->out = NULL;
    return used;
}

bool pop3_session_has_enough(const struct pop3_session *session)
{
    const struct pop3_read *read = session->read;
    if (!pop3_is_called(session) || read == NULL) return false;
    return read->err.code != ERR_OK || (read->lines.is_top && read->is_over);
}

void pop3_session_reply(struct pop3_session *session, const void *reply)
{
    if (!pop3_is_called(session) || session->call->reply == NULL) return;
    session->call->reply(session, reply);
}

void pop3_session_done(struct pop3_session *session, struct err err, struct buf *out)
{
    if (session->phase != POP3_WAITS || session->state == POP3_IN_END) return;
    void (*then)(struct pop3_session *, struct err) = session->then;
    session->out = out;
    CHECK(pop3_has_room(session) && !pop3_session_is_stopped(session));
    session->then = NULL;
    session->call = NULL;
    pop3_ready(session); /* unless it has something to do yet */
    then(session, err);
    pop3_pump(session);
    session->out = NULL;
}

void pop3_session_identity(struct pop3_session *session, const struct pop3_identity *identity)
{
    session->identity = *identity;
}

/* ---- room */

bool pop3_session_is_stopped(const struct pop3_session *session)
{
    if (session->state == POP3_IN_END) return false;
    if (session->phase == POP3_SAYS) return true;
    return session->phase == POP3_WAITS && session->read != NULL && session->read->is_blocked;
}

void pop3_session_resume(struct pop3_session *session, struct buf *out)
{
    if (!pop3_session_is_stopped(session)) return;
    session->out = out;
    if (session->phase == POP3_WAITS) (void)pop3_take_data(session, span_of(NULL, 0));
    pop3_pump(session);
    session->out = NULL;
}

/* In the middle of a reply, or of what a reply is waited for, nothing can be said. */
void pop3_session_end(struct pop3_session *session, enum pop3_end why, struct buf *out)
{
    if (session->state == POP3_IN_END) return;
    session->out = out;
    if (pop3_session_reads(session) && pop3_has_room(session)) {
        pop3_hang_up(session, why == POP3_END_SHUTDOWN ? POP3_SHUTDOWN : POP3_NOT_READY);
    } else {
        pop3_close(session);
    }
    session->out = NULL;
}

#include "imap_session.h"

#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "imap_private.h"

struct err imap_session_new(const struct imap_options *options, bool tls, struct buf *out,
                            struct imap_session **ret)
{
    struct imap_session *session = calloc(1, sizeof(*session));
    if (session == NULL) return err_make(ERR_NOMEM, "IMAP session");
    session->options = options;
    session->message_max = options->message_bytes_max;
    session->failures_max = options->login_failures_max;
    session->line_max = options->line_bytes_max;
    if (session->line_max > IMAP_COMMAND_MAX_BYTES) session->line_max = IMAP_COMMAND_MAX_BYTES;
    session->state = IMAP_NOT_AUTHENTICATED;
    session->phase = IMAP_READS_COMMAND;
    session->tls = tls;
    session->out = out;
    IMAP_SAY(session, "* OK [CAPABILITY ");
    imap_put_capability(session);
    IMAP_SAY(session, "] ");
    imap_put(session, options->name);
    IMAP_SAY(session, " ready\r\n");
    session->out = NULL;
    *ret = session;
    return err_ok();
}

void imap_session_free(struct imap_session *session)
{
    if (session == NULL) return;
    imap_run_free(session);
    imap_view_close(session);
    if (session->text != NULL) explicit_bzero(session->text, session->text_len);
    free(session->text);
    free(session);
}

static bool phase_reads(enum imap_phase phase) { return phase <= IMAP_READS_IDLE; }

bool imap_session_reads(const struct imap_session *session)
{
    return phase_reads(session->phase) && session->state != IMAP_LOGOUT;
}

bool imap_session_is_idle(const struct imap_session *session)
{
    return session->text == NULL && session->run == NULL
        && (session->phase == IMAP_READS_COMMAND || session->phase == IMAP_READS_IDLE);
}

size_t imap_session_feed(struct imap_session *session, struct span in, uint64_t wall_ms,
                         struct buf *out)
{
    size_t done = 0;
    session->out = out;
    session->wall_ms = wall_ms;
    imap_pump(session);
    while (done < in.len && imap_session_reads(session) && imap_has_room(session)) {
        done += imap_read(session, span_skip(in, done));
        imap_pump(session);
    }
    session->out = NULL;
    return session->state == IMAP_LOGOUT ? in.len : done;
}

bool imap_session_wish(struct imap_session *session, struct imap_wish *ret)
{
    if (session->wish.kind == IMAP_WISH_NOTHING) return false;
    *ret = session->wish;
    session->wish = (struct imap_wish){ .kind = IMAP_WISH_NOTHING };
    session->phase = IMAP_WAITS;
    return true;
}

/* Shows data to the call under way; none at all has it go on with what it holds. */
static size_t imap_take_data(struct imap_session *session, struct span in)
{
    struct imap_run *run = session->run;
    if (run == NULL || run->call == NULL || run->call->data == NULL) return in.len;
    run->blocked = false;
    return run->call->data(session, in);
}

size_t imap_session_data(struct imap_session *session, struct span in, struct buf *out)
{
    if (session->phase != IMAP_WAITS || session->state == IMAP_LOGOUT) return in.len;
    session->out = out;
    size_t used = imap_take_data(session, in);
    session->out = NULL;
    return used;
}

void imap_session_reply(struct imap_session *session, const void *reply)
{
    struct imap_run *run = session->run;
    if (session->phase != IMAP_WAITS || session->state == IMAP_LOGOUT) return;
    if (run == NULL || run->call == NULL) return;
    if (run->call->reply != NULL) run->call->reply(session, reply);
}

static void imap_answered(struct imap_session *session)
{
    if (session->run == NULL) return;
    session->run->call = NULL;
    session->run->gather.len = 0;
    session->phase = IMAP_RUNS;
}

void imap_session_done(struct imap_session *session, struct err err, struct buf *out)
{
    if (session->phase != IMAP_WAITS || session->state == IMAP_LOGOUT) return;
    struct imap_run *run = session->run;
    session->out = out;
    if (run != NULL) {
        /* What the session found wrong with the data comes before what the store says. */
        if (run->err.code == ERR_OK) run->err = err;
        if (run->blocked) {
            session->phase = IMAP_DRAINS;
        } else {
            imap_answered(session);
        }
    }
    imap_pump(session);
    session->out = NULL;
}

bool imap_session_is_stopped(const struct imap_session *session)
{
    if (session->state == IMAP_LOGOUT) return false;
    if (session->phase == IMAP_RUNS || session->phase == IMAP_DRAINS) return true;
    return session->phase == IMAP_WAITS && session->run != NULL && session->run->blocked;
}

void imap_session_resume(struct imap_session *session, struct buf *out)
{
    if (!imap_session_is_stopped(session)) return;
    session->out = out;
    bool held = session->phase == IMAP_DRAINS || session->phase == IMAP_WAITS;
    if (held && session->run != NULL && session->run->blocked) {
        (void)imap_take_data(session, span_of(NULL, 0));
    }
    if (session->phase == IMAP_DRAINS && !session->run->blocked) imap_answered(session);
    imap_pump(session);
    session->out = NULL;
}

void imap_session_identity(struct imap_session *session, const struct imap_identity *identity)
{
    session->identity = *identity;
}

/* In IDLE the news are told at once; else the next command that may tells them. */
void imap_session_watch(struct imap_session *session, const struct store_watch_reply *reply,
                        struct buf *out)
{
    struct imap_view *view = session->view;
    if (view == NULL || session->state == IMAP_LOGOUT) return;
    imap_view_seen(view, reply->gone ? UINT64_MAX : reply->highestmodseq);
    session->out = out;
    imap_idle_news(session);
    imap_pump(session);
    session->out = NULL;
}

void imap_session_bye(struct imap_session *session, struct span text, struct buf *out)
{
    if (session->state == IMAP_LOGOUT) return;
    session->out = out;
    if (session->run == NULL || !session->run->mid_line) {
        IMAP_SAY(session, "* BYE ");
        imap_put(session, text);
        IMAP_SAY(session, "\r\n");
    }
    imap_end(session);
    session->out = NULL;
}

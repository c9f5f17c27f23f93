/* IDLE (RFC 2177). Between news nothing of the command is kept but its tag. */
#include "imap_private.h"

static enum imap_step idle_watch(struct imap_session *session)
{
    if (session->view == NULL) return IMAP_NEXT;
    struct store_watch_request *request = arena_alloc(&session->run->arena, sizeof(*request));
    if (request == NULL) return imap_no_err(session, err_make(ERR_NOMEM, "watch"), SPAN(""));
    *request = (struct store_watch_request){ session->identity.tenant, session->identity.account,
                                             session->view->mailbox };
    imap_wish_for(session, IMAP_WISH_WATCH_START);
    session->wish.method = STORE_METHOD_WATCH;
    session->wish.request = request;
    return IMAP_NEXT;
}

static enum imap_step idle_begin(struct imap_session *session)
{
    struct imap_run *run = session->run;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    session->watching = session->view != NULL;
    IMAP_SAY(session, "+ idling\r\n");
    run->after = IMAP_READS_IDLE;
    run->silent = true;
    /* What came between the last command and the watch. */
    return imap_step_sync_newer(session);
}

static imap_step_run *const idle_steps[] = { idle_watch, idle_begin, NULL };
static imap_step_run *const idle_news_steps[] = { imap_step_sync, NULL };

void imap_idle_news(struct imap_session *session)
{
    const struct imap_view *view = session->view;
    if (session->phase != IMAP_READS_IDLE || view == NULL || view->newer <= view->modseq) return;
    struct err err = imap_run_new(session, IMAP_READS_IDLE);
    if (err.code != ERR_OK) return; /* the next news will do */
    session->run->silent = true;
    session->phase = IMAP_RUNS;
    imap_steps(session, idle_news_steps);
}

struct err imap_cmd_idle(struct imap_session *session)
{
    TRY(imap_take_end(&session->run->args));
    imap_steps(session, idle_steps);
    return err_ok();
}

static enum imap_step idle_unwatch(struct imap_session *session)
{
    if (!session->watching) return IMAP_NEXT;
    session->watching = false;
    imap_wish_for(session, IMAP_WISH_WATCH_STOP);
    return IMAP_NEXT;
}

static imap_step_run *const done_steps[] = { idle_unwatch, imap_step_sync_newer, imap_step_ok,
                                             NULL };

void imap_idle_line(struct imap_session *session, struct span line)
{
    struct err err = imap_run_new(session, IMAP_READS_COMMAND);
    if (err.code != ERR_OK) {
        imap_hang_up(session, SPAN("[UNAVAILABLE] out of memory"));
        return;
    }
    session->phase = IMAP_RUNS;
    session->run->name = SPAN("IDLE");
    if (span_eq_nocase(line, SPAN("DONE"))) {
        imap_steps(session, done_steps);
        return;
    }
    static imap_step_run *const bad_steps[] = { idle_unwatch, NULL };
    imap_bad(session, SPAN("IDLE ends with DONE"));
    if (session->phase == IMAP_RUNS) imap_steps(session, bad_steps);
}

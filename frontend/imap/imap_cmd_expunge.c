/* EXPUNGE (RFC 3501 6.4.3) and UID EXPUNGE (RFC 4315 2.1); HIGHESTMODSEQ by RFC 7162 3.2.7. */
#include "imap_private.h"

struct expunge {
    struct span set; /* of UID EXPUNGE */
    struct store_expunge_request request;
    struct span expunged;
    uint64_t modseq;
};

static void expunge_reply(struct imap_session *session, const void *reply)
{
    const struct store_expunge_reply *done = reply;
    struct imap_run *run = session->run;
    struct expunge *expunge = run->state;
    expunge->modseq = done->modseq;
    struct err err = arena_copy(&run->arena, done->expunged, &expunge->expunged);
    if (err.code != ERR_OK) run->err = err;
}

static const struct imap_call_user expunge_user = { expunge_reply, NULL };

static enum imap_step expunge_call(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct expunge *expunge = run->state;
    if (run->uid) {
        struct err err = imap_view_uids(session->view, expunge->set, true, &run->set);
        if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
        /* No UIDs would mean all of them. */
        if (run->set.count == 0) return imap_ok(session, SPAN(""));
        expunge->request.uids = uid_set_bytes(&run->set);
    }
    expunge->request.operation_id = imap_operation_id(session);
    expunge->request.tenant = session->identity.tenant;
    expunge->request.account = session->identity.account;
    expunge->request.mailbox = session->view->mailbox;
    imap_call(session, STORE_METHOD_EXPUNGE, &expunge->request, &expunge_user);
    return IMAP_NEXT;
}

/* The map is loaded when there is something to number; what has gone is put back in by that. */
static enum imap_step expunge_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    const struct expunge *expunge = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    return expunge->expunged.len > 0 ? imap_step_view(session) : IMAP_NEXT;
}

static enum imap_step expunge_tell(struct imap_session *session)
{
    const struct expunge *expunge = session->run->state;
    imap_view_own(session->view, expunge->modseq, true);
    imap_expunge_begin(session, expunge->expunged);
    return IMAP_NEXT;
}

static enum imap_step expunge_end(struct imap_session *session)
{
    const struct expunge *expunge = session->run->state;
    return expunge->expunged.len > 0 ? imap_step_ok_modseq(session) : imap_step_ok(session);
}

struct err imap_cmd_expunge(struct imap_session *session)
{
    static imap_step_run *const steps[] = { expunge_call, expunge_after, expunge_tell,
                                            imap_step_expunge, imap_step_sync_newer, expunge_end,
                                            NULL };
    static imap_step_run *const uid_steps[] = { imap_step_view, expunge_call, expunge_after,
                                                expunge_tell, imap_step_expunge,
                                                imap_step_sync_newer, expunge_end, NULL };
    struct imap_cursor *args = &session->run->args;
    struct expunge *expunge;
    TRY(imap_state_new(session, sizeof(*expunge), &expunge));
    if (session->run->uid) {
        TRY(imap_take_space(args));
        TRY(imap_take_set_or_saved(args, &expunge->set));
    }
    TRY(imap_take_end(args));
    imap_steps(session, session->run->uid ? uid_steps : steps);
    return err_ok();
}

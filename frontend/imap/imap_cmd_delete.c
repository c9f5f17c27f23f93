/* DELETE (RFC 3501 6.3.4). The store deletes in bounded steps, and says when there is more. */
#include "imap_private.h"

struct delete_state {
    struct store_mailbox_delete_request request;
    bool more;
};

static void delete_reply(struct imap_session *session, const void *reply)
{
    struct delete_state *delete_state = session->run->state;
    delete_state->more = ((const struct store_progress_reply *)reply)->more;
}

static const struct imap_call_user delete_user = { delete_reply, NULL };

static enum imap_step delete_call(struct imap_session *session)
{
    struct delete_state *delete_state = session->run->state;
    delete_state->request.operation_id = imap_operation_id(session);
    delete_state->more = false;
    imap_call(session, STORE_METHOD_MAILBOX_DELETE, &delete_state->request, &delete_user);
    return IMAP_NEXT;
}

static enum imap_step delete_end(struct imap_session *session)
{
    struct imap_run *run = session->run;
    const struct delete_state *delete_state = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    if (delete_state->more) {
        run->frames[run->depth].at = 0;
        return IMAP_NEXT;
    }
    return imap_ok(session, SPAN(""));
}

struct err imap_cmd_delete(struct imap_session *session)
{
    static imap_step_run *const steps[] = { delete_call, delete_end, NULL };
    struct imap_cursor *args = &session->run->args;
    struct delete_state *delete_state;
    TRY(imap_state_new(session, sizeof(*delete_state), &delete_state));
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &delete_state->request.name));
    TRY(imap_take_end(args));
    if (span_eq(delete_state->request.name, SPAN("INBOX"))) {
        imap_no(session, SPAN("CANNOT"), SPAN("INBOX stays"));
        return err_ok();
    }
    delete_state->request.tenant = session->identity.tenant;
    delete_state->request.account = session->identity.account;
    imap_steps(session, steps);
    return err_ok();
}

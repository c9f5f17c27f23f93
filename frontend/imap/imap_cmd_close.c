/* CLOSE (RFC 3501 6.4.2: expunges, tells nothing) and UNSELECT (RFC 3691: does not expunge). */
#include "imap_private.h"

static const struct imap_call_user close_user = { NULL, NULL };

static enum imap_step close_expunge(struct imap_session *session)
{
    struct imap_run *run = session->run;
    if (session->state != IMAP_SELECTED) return IMAP_NEXT;
    struct store_expunge_request *request = arena_alloc(&run->arena, sizeof(*request));
    if (request == NULL) return imap_no_err(session, err_make(ERR_NOMEM, "expunge"), SPAN(""));
    *request = (struct store_expunge_request){ .operation_id = imap_operation_id(session),
                                               .tenant = session->identity.tenant,
                                               .account = session->identity.account,
                                               .mailbox = session->view->mailbox };
    imap_call(session, STORE_METHOD_EXPUNGE, request, &close_user);
    return IMAP_NEXT;
}

/* The mailbox stays selected when the store has not expunged: nothing is claimed that isn't so. */
static enum imap_step close_end(struct imap_session *session)
{
    struct err err = session->run->err;
    if (err.code != ERR_OK && err.code != ERR_NOT_FOUND) {
        return imap_no_err(session, err, SPAN(""));
    }
    imap_view_close(session);
    session->state = IMAP_AUTHENTICATED;
    return imap_ok(session, SPAN(""));
}

struct err imap_cmd_close(struct imap_session *session)
{
    static imap_step_run *const steps[] = { close_expunge, close_end, NULL };
    TRY(imap_take_end(&session->run->args));
    imap_steps(session, steps);
    return err_ok();
}

struct err imap_cmd_unselect(struct imap_session *session)
{
    static imap_step_run *const steps[] = { close_end, NULL };
    TRY(imap_take_end(&session->run->args));
    imap_steps(session, steps);
    return err_ok();
}

/* RENAME (RFC 3501 6.3.5). */
#include "imap_private.h"

static const struct imap_call_user rename_user = { NULL, NULL };

static enum imap_step rename_call(struct imap_session *session)
{
    struct store_mailbox_rename_request *request = session->run->state;
    request->operation_id = imap_operation_id(session);
    imap_call(session, STORE_METHOD_MAILBOX_RENAME, request, &rename_user);
    return IMAP_NEXT;
}

static enum imap_step rename_end(struct imap_session *session)
{
    struct err err = session->run->err;
    return err.code == ERR_OK ? imap_ok(session, SPAN("")) : imap_no_err(session, err, SPAN(""));
}

static imap_step_run *const rename_steps[] = { rename_call, rename_end, NULL };

struct err imap_cmd_rename(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct store_mailbox_rename_request *request;
    TRY(imap_state_new(session, sizeof(*request), &request));
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &request->from));
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &request->to));
    TRY(imap_take_end(args));
    request->tenant = session->identity.tenant;
    request->account = session->identity.account;
    imap_steps(session, rename_steps);
    return err_ok();
}

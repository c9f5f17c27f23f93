/* SUBSCRIBE and UNSUBSCRIBE (RFC 3501 6.3.6, 6.3.7). The mailbox need not be there. */
#include "imap_private.h"

static const struct imap_call_user subscribe_user = { NULL, NULL };

static enum imap_step subscribe_call(struct imap_session *session)
{
    struct store_mailbox_subscribe_request *request = session->run->state;
    request->operation_id = imap_operation_id(session);
    imap_call(session, STORE_METHOD_MAILBOX_SUBSCRIBE, request, &subscribe_user);
    return IMAP_NEXT;
}

static enum imap_step subscribe_end(struct imap_session *session)
{
    struct err err = session->run->err;
    return err.code == ERR_OK ? imap_ok(session, SPAN("")) : imap_no_err(session, err, SPAN(""));
}

static imap_step_run *const subscribe_steps[] = { subscribe_call, subscribe_end, NULL };

static struct err subscribe_parse(struct imap_session *session, bool subscribed)
{
    struct imap_cursor *args = &session->run->args;
    struct store_mailbox_subscribe_request *request;
    TRY(imap_state_new(session, sizeof(*request), &request));
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &request->name));
    TRY(imap_take_end(args));
    request->tenant = session->identity.tenant;
    request->account = session->identity.account;
    request->subscribed = subscribed;
    imap_steps(session, subscribe_steps);
    return err_ok();
}

struct err imap_cmd_subscribe(struct imap_session *session)
{
    return subscribe_parse(session, true);
}

struct err imap_cmd_unsubscribe(struct imap_session *session)
{
    return subscribe_parse(session, false);
}

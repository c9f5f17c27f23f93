/* STATUS (RFC 3501 6.3.10). */
#include "imap_private.h"

struct status {
    struct span name;
    unsigned items;
};

static enum imap_step status_call(struct imap_session *session)
{
    const struct status *status = session->run->state;
    return imap_call_mailboxes(session, status->name, status->items);
}

static enum imap_step status_end(struct imap_session *session)
{
    struct imap_run *run = session->run;
    const struct status *status = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    const struct store_mailbox *mailbox = run->mailboxes.mailboxes;
    if (run->mailboxes.count == 0 || mailbox->id == 0 || mailbox->no_select) {
        return imap_no_err(session, err_make(ERR_NOT_FOUND, "mailbox"), SPAN(""));
    }
    imap_put_status(session, mailbox, status->items);
    return imap_ok(session, SPAN(""));
}

struct err imap_cmd_status(struct imap_session *session)
{
    static imap_step_run *const steps[] = { status_call, status_end, NULL };
    struct imap_cursor *args = &session->run->args;
    struct status *status;
    TRY(imap_state_new(session, sizeof(*status), &status));
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &status->name));
    TRY(imap_take_space(args));
    TRY(imap_take_status_items(args, &status->items));
    TRY(imap_take_end(args));
    imap_steps(session, steps);
    return err_ok();
}

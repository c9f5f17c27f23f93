/* NOOP and CHECK (RFC 3501 6.1.2, 6.4.1): the time for news of the selected mailbox. */
#include "imap_private.h"

static enum imap_step noop_end(struct imap_session *session)
{
    struct err err = session->run->err;
    return err.code == ERR_OK ? imap_ok(session, SPAN("")) : imap_no_err(session, err, SPAN(""));
}

static imap_step_run *const noop_steps[] = { imap_step_sync, noop_end, NULL };

struct err imap_cmd_noop(struct imap_session *session)
{
    TRY(imap_take_end(&session->run->args));
    imap_steps(session, noop_steps);
    return err_ok();
}

struct err imap_cmd_check(struct imap_session *session) { return imap_cmd_noop(session); }

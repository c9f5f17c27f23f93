/* STARTTLS (RFC 3501 6.2.1). What came in the same packet behind it was sent before the keys were
 * agreed, by whoever sits in between: it ends the connection, and is never read as a command. */
#include "imap_private.h"

static enum imap_step starttls_wish(struct imap_session *session)
{
    imap_wish_for(session, IMAP_WISH_START_TLS);
    return IMAP_NEXT;
}

static enum imap_step starttls_after(struct imap_session *session)
{
    if (session->run->err.code != ERR_OK) {
        imap_end(session);
    } else {
        session->tls = true;
    }
    return IMAP_FINISH;
}

static imap_step_run *const starttls_steps[] = { starttls_wish, starttls_after, NULL };

struct err imap_cmd_starttls(struct imap_session *session)
{
    TRY(imap_take_end(&session->run->args));
    if (!session->options->starttls || session->tls) {
        return err_make(ERR_SYNTAX, "TLS is not offered, or on already");
    }
    if (session->unread_bytes > 0) {
        imap_bad(session, SPAN("nothing can follow STARTTLS before TLS is up"));
        imap_hang_up(session, SPAN("bytes behind STARTTLS"));
        return err_ok();
    }
    imap_ok_begin(session);
    IMAP_SAY(session, "begin TLS now\r\n");
    imap_steps(session, starttls_steps);
    return err_ok();
}

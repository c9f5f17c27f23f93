/* CAPABILITY (RFC 3501 6.1.1). */
#include "imap_private.h"

struct err imap_cmd_capability(struct imap_session *session)
{
    TRY(imap_take_end(&session->run->args));
    IMAP_SAY(session, "* CAPABILITY ");
    imap_put_capability(session);
    IMAP_SAY(session, "\r\n");
    (void)imap_ok(session, SPAN(""));
    return err_ok();
}

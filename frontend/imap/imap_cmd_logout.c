/* LOGOUT (RFC 3501 6.1.3). */
#include "imap_private.h"

struct err imap_cmd_logout(struct imap_session *session)
{
    TRY(imap_take_end(&session->run->args));
    IMAP_SAY(session, "* BYE logging out\r\n");
    (void)imap_ok(session, SPAN(""));
    imap_end(session);
    return err_ok();
}

/* NAMESPACE (RFC 2342): the personal one, and no others. */
#include "imap_private.h"

struct err imap_cmd_namespace(struct imap_session *session)
{
    TRY(imap_take_end(&session->run->args));
    IMAP_SAY(session, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    (void)imap_ok(session, SPAN(""));
    return err_ok();
}

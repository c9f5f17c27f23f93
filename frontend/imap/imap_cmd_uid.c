/* UID (RFC 3501 6.4.8, RFC 4315, RFC 6851). */
#include "imap_private.h"

struct err imap_cmd_uid(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct span verb;
    TRY(imap_take_space(args));
    TRY(imap_take_atom(args, &verb));
    return imap_dispatch_uid(session, verb);
}

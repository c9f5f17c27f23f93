/* NOOP (RFC 1939 section 5). */
#include "pop3_private.h"

void pop3_cmd_noop(struct pop3_session *session, const struct pop3_args *args)
{
    (void)args;
    pop3_say(session, POP3_OK);
}

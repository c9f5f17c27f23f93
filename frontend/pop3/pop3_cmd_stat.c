/* STAT (RFC 1939 section 5). */
#include "pop3_private.h"

void pop3_cmd_stat(struct pop3_session *session, const struct pop3_args *args)
{
    (void)args;
    pop3_put(session, SPAN("+OK "));
    pop3_put_number(session, session->box->left);
    pop3_put(session, SPAN(" "));
    pop3_put_number(session, session->box->left_octets);
    pop3_put(session, SPAN("\r\n"));
}

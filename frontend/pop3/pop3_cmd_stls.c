/* STLS (RFC 2595 section 4). Nothing that was said before it counts afterwards. */
#include "pop3_private.h"

static void stls_done(struct pop3_session *session, struct err err)
{
    if (err.code != ERR_OK) {
        pop3_close(session);
        return;
    }
    session->tls = true;
    session->state = POP3_IN_AUTHORIZATION;
    session->user_len = 0;
}

void pop3_cmd_stls(struct pop3_session *session, const struct pop3_args *args)
{
    (void)args;
    if (!session->options->stls || session->tls) {
        pop3_say_bad(session, POP3_BAD_STLS);
        return;
    }
    pop3_say(session, POP3_OK_STLS);
    pop3_wish_for(session, POP3_WISH_START_TLS, stls_done);
}

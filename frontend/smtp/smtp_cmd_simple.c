/* The commands that change little: RFC 5321 4.1.1.5 to 4.1.1.10, RFC 3207. */
#include "smtp_private.h"

/* True, with the refusal said, when there is an argument. */
static bool simple_has_argument(struct smtp_session *session, struct span args)
{
    if (args.len == 0) return false;
    smtp_say(session, SMTP_REPLY_NO_ARGUMENT);
    return true;
}

void smtp_cmd_RSET(struct smtp_session *session, struct span args)
{
    if (simple_has_argument(session, args)) return;
    smtp_transaction_end(session, session->state == SMTP_IN_START ? SMTP_IN_START : SMTP_IN_READY);
    smtp_say(session, SMTP_REPLY_OK);
}

/* Its argument means nothing (4.1.1.9). */
void smtp_cmd_NOOP(struct smtp_session *session, struct span args)
{
    (void)args;
    smtp_say(session, SMTP_REPLY_OK);
}

void smtp_cmd_QUIT(struct smtp_session *session, struct span args)
{
    if (simple_has_argument(session, args)) return;
    smtp_hang_up(session, SMTP_REPLY_BYE);
}

/* To say who exists would give addresses to harvesters; 252 is the answer of 3.5.3 for that. */
void smtp_cmd_VRFY(struct smtp_session *session, struct span args)
{
    smtp_say(session, args.len == 0 ? SMTP_REPLY_HELO_SYNTAX : SMTP_REPLY_VRFY);
}

void smtp_cmd_EXPN(struct smtp_session *session, struct span args)
{
    (void)args;
    smtp_say(session, SMTP_REPLY_EXPN);
}

void smtp_cmd_HELP(struct smtp_session *session, struct span args)
{
    (void)args;
    smtp_say(session, SMTP_REPLY_HELP);
}

void smtp_cmd_STARTTLS(struct smtp_session *session, struct span args)
{
    if (simple_has_argument(session, args)) return;
    if (session->tls_active) {
        smtp_say(session, SMTP_REPLY_SEQUENCE);
    } else if (!session->options->tls_available) {
        smtp_say(session, SMTP_REPLY_NO_TLS);
    } else {
        smtp_say(session, SMTP_REPLY_START_TLS);
        session->wish = SMTP_WISH_START_TLS;
    }
}

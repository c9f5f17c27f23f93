/* CAPA (RFC 2449 section 5; SASL by RFC 5034, AUTH-RESP-CODE by RFC 3206, STLS by RFC 2595). */
#include "pop3_private.h"

void pop3_cmd_capa(struct pop3_session *session, const struct pop3_args *args)
{
    (void)args;
    pop3_say(session, POP3_OK_CAPA);
    pop3_put(session, SPAN("TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
                           "EXPIRE NEVER\r\n"));
    if (session->state != POP3_IN_TRANSACTION) {
        if (session->options->stls && !session->tls) pop3_put(session, SPAN("STLS\r\n"));
        if (pop3_offers_login(session)) {
            pop3_put(session, SPAN("USER\r\nSASL "));
            pop3_put(session, login_sasl_names());
            pop3_put(session, SPAN("\r\n"));
        }
    }
    pop3_put(session, SPAN("IMPLEMENTATION "));
    pop3_put(session, session->options->name);
    pop3_put(session, SPAN("\r\n.\r\n"));
}

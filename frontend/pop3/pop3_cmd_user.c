/* USER and PASS (RFC 1939 section 7), and how any log-in goes on. */
#include <stdlib.h>

#include "pop3_private.h"

bool pop3_offers_login(const struct pop3_session *session)
{
    return session->tls || session->options->login_without_tls;
}

bool pop3_may_log_in(struct pop3_session *session)
{
    if (pop3_offers_login(session)) return true;
    pop3_say_bad(session, POP3_NEEDS_TLS);
    return false;
}

void pop3_forget_secrets(struct pop3_session *session)
{
    login_exchange_free(session->exchange);
    session->exchange = NULL;
    if (session->password != NULL) explicit_bzero(session->password, session->password_len);
    free(session->password);
    session->password = NULL;
    session->password_len = 0;
}

/* ERR_DENIED is one answer for a wrong password, no such user and a disabled one. */
static void logged_in(struct pop3_session *session, struct err err)
{
    pop3_forget_secrets(session);
    session->user_len = 0;
    session->state = POP3_IN_AUTHORIZATION;
    switch (err_class(err)) {
    case ERR_NONE:
        pop3_open(session);
        return;
    case ERR_TEMPORARY:
    case ERR_GONE:
        pop3_say_err(session, SPAN("log-in can't be checked now"), err);
        return;
    case ERR_PERMANENT:
        break;
    }
    if (++session->failures >= session->failures_max) {
        pop3_hang_up(session, POP3_WRONG_LAST);
    } else {
        pop3_say(session, POP3_WRONG);
    }
}

void pop3_log_in(struct pop3_session *session, struct span user, struct span password)
{
    pop3_wish_for(session, POP3_WISH_LOGIN, logged_in);
    session->wish.user = user;
    session->wish.password = password;
}

/* Says yes to any name: who exists is not told (RFC 1939 section 13). */
void pop3_cmd_user(struct pop3_session *session, const struct pop3_args *args)
{
    if (!pop3_may_log_in(session)) return;
    if (args->text.len == 0 || args->text.len > sizeof(session->user)) {
        pop3_say_bad(session, POP3_BAD_USER);
        return;
    }
    memcpy(session->user, args->text.ptr, args->text.len);
    session->user_len = (uint16_t)args->text.len;
    session->state = POP3_IN_USER;
    pop3_say(session, POP3_OK_USER);
}

/* Everything behind the first space is the password, spaces too. */
void pop3_cmd_pass(struct pop3_session *session, const struct pop3_args *args)
{
    if (args->text.len == 0 || args->text.len > LOGIN_PASSWORD_MAX_BYTES) {
        pop3_say_bad(session, POP3_BAD_PASS);
        return;
    }
    session->password = malloc(args->text.len);
    if (session->password == NULL) {
        pop3_say_err(session, SPAN("log-in can't be checked now"), err_make(ERR_NOMEM, "PASS"));
        return;
    }
    memcpy(session->password, args->text.ptr, args->text.len);
    session->password_len = args->text.len;
    pop3_log_in(session, span_of(session->user, session->user_len),
                span_of(session->password, session->password_len));
}

/* AUTH mechanism [initial response] (RFC 4954). */
#include "check.h"
#include "login_sasl.h"
#include "smtp_private.h"

void smtp_auth_end(struct smtp_session *session)
{
    login_exchange_free(session->exchange);
    session->exchange = NULL;
    session->login = (struct smtp_login){ 0 };
}

static void smtp_auth_refuse(struct smtp_session *session, enum smtp_reply reply)
{
    smtp_auth_end(session);
    session->state = SMTP_IN_READY;
    smtp_say(session, reply);
}

/* Goes on with the result of a step; the challenge, if any, stands in `out` behind "334 ". */
static void smtp_auth_step(struct smtp_session *session, enum login_step step, size_t out_len)
{
    switch (step) {
    case LOGIN_CHALLENGE:
        buf_put(session->out, SPAN("\r\n"));
        session->state = SMTP_IN_AUTH;
        return;
    case LOGIN_CREDENTIALS:
        session->out->len = out_len;
        struct login_credentials found = login_exchange_credentials(session->exchange);
        session->login = (struct smtp_login){ found.authcid, found.authzid, found.password };
        session->wish = SMTP_WISH_LOGIN;
        return;
    case LOGIN_FAILED:
        session->out->len = out_len;
        smtp_auth_refuse(session, SMTP_REPLY_AUTH_BASE64);
        return;
    }
}

void smtp_auth_line(struct smtp_session *session, bool is_initial, struct span line)
{
    if (span_eq(line, SPAN("*"))) {
        smtp_auth_refuse(session, SMTP_REPLY_AUTH_CANCELLED);
        return;
    }
    size_t out_len = session->out->len;
    buf_put(session->out, SPAN("334 "));
    smtp_auth_step(session,
                   login_exchange_line(session->exchange, is_initial, line, session->out), out_len);
}

static void smtp_auth_ask(struct smtp_session *session)
{
    size_t out_len = session->out->len;
    buf_put(session->out, SPAN("334 "));
    smtp_auth_step(session, login_exchange_begin(session->exchange, session->out), out_len);
}

void smtp_cmd_AUTH(struct smtp_session *session, struct span args)
{
    struct span mechanism = args, response = SPAN("");
    bool has_response = span_cut(args, ' ', &mechanism, &response);
    if (mechanism.len == 0 || (has_response && response.len == 0)) {
        smtp_say(session, SMTP_REPLY_AUTH_SYNTAX);
        return;
    }
    if (session->options->sasl == NULL) {
        smtp_say(session, SMTP_REPLY_NO_AUTH);
        return;
    }
    if (!smtp_offers_auth(session)) {
        smtp_say(session, SMTP_REPLY_AUTH_NEEDS_TLS);
        return;
    }
    if (session->is_authenticated) {
        smtp_say(session, SMTP_REPLY_SEQUENCE);
        return;
    }
    struct err err = login_sasl_start(session->options->sasl, mechanism, &session->exchange);
    if (err.code != ERR_OK) {
        smtp_say(session, err.code == ERR_NOT_FOUND ? SMTP_REPLY_MECHANISM : SMTP_REPLY_AUTH_LATER);
        return;
    }
    if (has_response) {
        smtp_auth_line(session, true, response);
    } else {
        smtp_auth_ask(session);
    }
}

void smtp_session_answer_login(struct smtp_session *session, const struct smtp_account *account,
                               struct err err)
{
    CHECK(session->wish == SMTP_WISH_LOGIN);
    session->wish = SMTP_WISH_NOTHING;
    smtp_auth_end(session);
    session->state = SMTP_IN_READY;
    switch (err_class(err)) {
    case ERR_NONE:
        session->account = *account;
        session->is_authenticated = true;
        smtp_say(session, SMTP_REPLY_AUTH_OK);
        return;
    case ERR_TEMPORARY:
        smtp_say(session, err.code == ERR_LOCKED ? SMTP_REPLY_AUTH_LOCKED : SMTP_REPLY_AUTH_LATER);
        return;
    case ERR_GONE: smtp_hang_up(session, SMTP_REPLY_SHUTDOWN); return;
    case ERR_PERMANENT: break;
    }
    smtp_say(session, SMTP_REPLY_AUTH_WRONG);
    if (++session->auth_failures >= session->options->auth_failures_max) {
        smtp_hang_up(session, SMTP_REPLY_TOO_MANY_LOGINS);
    }
    smtp_count_errors(session);
}

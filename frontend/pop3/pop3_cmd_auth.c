/* AUTH mechanism [initial response] (RFC 5034). */
#include "pop3_private.h"

static void auth_refuse(struct pop3_session *session, enum pop3_reply reply, bool is_bad)
{
    pop3_forget_secrets(session);
    pop3_ready(session);
    if (is_bad) pop3_say_bad(session, reply);
    else pop3_say(session, reply);
}

/* Nobody acts for another here: an authorization identity is the user's own or empty. */
static void auth_check(struct pop3_session *session)
{
    struct login_credentials found = login_exchange_credentials(session->exchange);
    if (found.authzid.len > 0 && !span_eq_nocase(found.authzid, found.authcid)) {
        auth_refuse(session, POP3_OTHERS, true);
        return;
    }
    pop3_log_in(session, found.authcid, found.password);
}

/* Goes on with the result of a step; the challenge, if any, stands in `out` behind "+ ". */
static void auth_step(struct pop3_session *session, enum login_step step, size_t out_len)
{
    switch (step) {
    case LOGIN_CHALLENGE:
        pop3_put(session, SPAN("\r\n"));
        session->phase = POP3_READS_SASL;
        return;
    case LOGIN_CREDENTIALS:
        session->out->len = out_len;
        auth_check(session);
        return;
    case LOGIN_FAILED:
        session->out->len = out_len;
        auth_refuse(session, POP3_BAD_RESPONSE, true);
        return;
    }
}

static void auth_line(struct pop3_session *session, bool is_initial, struct span line)
{
    size_t out_len = session->out->len;
    pop3_put(session, SPAN("+ "));
    auth_step(session, login_exchange_line(session->exchange, is_initial, line, session->out),
              out_len);
}

void pop3_sasl_line(struct pop3_session *session, struct span line)
{
    if (span_eq(line, SPAN("*"))) {
        auth_refuse(session, POP3_CANCELLED, false);
    } else {
        auth_line(session, false, line);
    }
}

void pop3_cmd_auth(struct pop3_session *session, const struct pop3_args *args)
{
    struct span mechanism = args->text, response = SPAN("");
    bool has_response = span_cut(args->text, ' ', &mechanism, &response);
    if (mechanism.len == 0 || (has_response && response.len == 0)) {
        pop3_say_bad(session, POP3_BAD_AUTH);
        return;
    }
    if (!pop3_may_log_in(session)) return;
    struct err err = login_sasl_start(session->options->sasl, mechanism, &session->exchange);
    if (err.code == ERR_NOT_FOUND) {
        pop3_say_bad(session, POP3_BAD_MECHANISM);
        return;
    }
    if (err.code != ERR_OK) {
        pop3_say_err(session, SPAN("log-in can't be checked now"), err);
        return;
    }
    if (has_response) {
        auth_line(session, true, response);
        return;
    }
    size_t out_len = session->out->len;
    pop3_put(session, SPAN("+ "));
    auth_step(session, login_exchange_begin(session->exchange, session->out), out_len);
}

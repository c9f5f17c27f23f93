/* LOGIN (RFC 3501 6.2.3), and how any log-in ends. */
#include "imap_private.h"

static enum imap_step login_failed(struct imap_session *session, struct err err)
{
    if (err_class(err) == ERR_TEMPORARY || err_class(err) == ERR_GONE) {
        return imap_no_err(session, err, SPAN(""));
    }
    imap_no(session, SPAN("AUTHENTICATIONFAILED"), SPAN("user name or password is wrong"));
    session->login_failures++;
    if (session->login_failures >= session->failures_max) {
        imap_hang_up(session, SPAN("too many failed log-ins"));
    }
    return IMAP_FINISH;
}

enum imap_step imap_step_login_after(struct imap_session *session)
{
    struct err err = session->run->err;
    if (err.code != ERR_OK) return login_failed(session, err);
    session->state = IMAP_AUTHENTICATED;
    imap_ok_begin(session);
    IMAP_SAY(session, "[CAPABILITY ");
    imap_put_capability(session);
    IMAP_SAY(session, "] logged in\r\n");
    return IMAP_FINISH;
}

struct login {
    struct span user, password;
};

static enum imap_step login_wish(struct imap_session *session)
{
    const struct login *login = session->run->state;
    imap_wish_for(session, IMAP_WISH_LOGIN);
    session->wish.user = login->user;
    session->wish.password = login->password;
    return IMAP_NEXT;
}

static imap_step_run *const login_steps[] = { login_wish, imap_step_login_after, NULL };

struct err imap_cmd_login(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct login *login;
    session->run->secret = true;
    TRY(imap_state_new(session, sizeof(*login), &login));
    TRY(imap_take_space(args));
    TRY(imap_take_astring(args, &login->user));
    TRY(imap_take_space(args));
    TRY(imap_take_astring(args, &login->password));
    TRY(imap_take_end(args));
    if (!session->tls && !session->options->login_without_tls) {
        imap_no(session, SPAN("PRIVACYREQUIRED"), SPAN("log in over TLS"));
        return err_ok();
    }
    imap_steps(session, login_steps);
    return err_ok();
}

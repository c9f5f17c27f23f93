/* AUTHENTICATE PLAIN and LOGIN (RFC 3501 6.2.2, RFC 4616), with an initial response (RFC 4959). */
#include "base64.h"
#include "imap_private.h"

enum sasl_mechanism { SASL_PLAIN, SASL_LOGIN };

struct sasl {
    enum sasl_mechanism mechanism;
    struct span user, password;
    struct span response; /* decoded */
    struct err err;       /* of the line */
    bool has_response;
    unsigned asked; /* LOGIN: 1 user, 2 password */
};

/* base64 of RFC 3501 section 9 into the arena. */
static struct err sasl_decode(struct arena *arena, struct span from, struct span *ret)
{
    struct buf out;
    size_t size = from.len / 4 * 3 + 1;
    char *to = arena_alloc(arena, size);
    if (to == NULL) return err_make(ERR_NOMEM, "base64");
    buf_init(&out, to, size);
    if (base64_decode_strict(&out, from).code != ERR_OK) return err_make(ERR_SYNTAX, "not base64");
    *ret = buf_span(&out);
    return err_ok();
}

/* message = [authzid] NUL authcid NUL passwd. Acting for somebody else is not offered. */
static struct err sasl_plain_split(struct span message, struct span *user, struct span *password)
{
    struct span authzid, rest, name, secret;
    if (!span_cut(message, 0, &authzid, &rest) || !span_cut(rest, 0, &name, &secret)) {
        return err_make(ERR_SYNTAX, "PLAIN is [authzid] NUL user NUL password");
    }
    if (name.len == 0 || (secret.len > 0 && memchr(secret.ptr, 0, secret.len) != NULL)) {
        return err_make(ERR_SYNTAX, "PLAIN is [authzid] NUL user NUL password");
    }
    if (authzid.len > 0 && !span_eq(authzid, name)) {
        return err_make(ERR_DENIED, "acting for another user");
    }
    *user = name;
    *password = secret;
    return err_ok();
}

void imap_sasl_line(struct imap_session *session, struct span line)
{
    struct sasl *sasl = session->run->state;
    session->phase = IMAP_RUNS;
    sasl->has_response = true;
    sasl->err = span_eq(line, SPAN("*"))
                    ? err_make(ERR_CANCELLED, "AUTHENTICATE given up by the client")
                    : sasl_decode(&session->run->arena, line, &sasl->response);
}

/* Base64 of "User Name" and "Password", as LOGIN's only description has it. */
static enum imap_step sasl_ask(struct imap_session *session)
{
    struct sasl *sasl = session->run->state;
    if (sasl->has_response) return IMAP_NEXT;
    if (sasl->mechanism == SASL_PLAIN) {
        IMAP_SAY(session, "+ \r\n");
    } else if (sasl->asked == 0) {
        IMAP_SAY(session, "+ VXNlciBOYW1lAA==\r\n");
    } else {
        IMAP_SAY(session, "+ UGFzc3dvcmQA\r\n");
    }
    session->phase = IMAP_READS_SASL;
    return IMAP_NEXT;
}

static enum imap_step sasl_take(struct imap_session *session)
{
    struct sasl *sasl = session->run->state;
    struct err err = sasl->err;
    bool more = false;
    sasl->has_response = false;
    if (err.code == ERR_OK && sasl->mechanism == SASL_PLAIN) {
        err = sasl_plain_split(sasl->response, &sasl->user, &sasl->password);
    } else if (err.code == ERR_OK && sasl->asked == 0) {
        sasl->user = sasl->response;
        sasl->asked = 1;
        more = true;
    } else if (err.code == ERR_OK) {
        sasl->password = sasl->response;
    }
    if (err.code == ERR_DENIED) {
        imap_no(session, SPAN("AUTHORIZATIONFAILED"), SPAN("acting for another user"));
        return IMAP_FINISH;
    }
    if (err.code != ERR_OK) {
        imap_bad(session, span_of(err.what, strlen(err.what)));
        return IMAP_FINISH;
    }
    if (more) {
        static imap_step_run *const again[] = { sasl_ask, sasl_take, NULL };
        imap_steps_into(session, again);
        return IMAP_NEXT;
    }
    return IMAP_NEXT;
}

static enum imap_step sasl_wish(struct imap_session *session)
{
    const struct sasl *sasl = session->run->state;
    imap_wish_for(session, IMAP_WISH_LOGIN);
    session->wish.user = sasl->user;
    session->wish.password = sasl->password;
    return IMAP_NEXT;
}

static imap_step_run *const sasl_steps[] = { sasl_ask, sasl_take, sasl_wish,
                                             imap_step_login_after, NULL };

static struct err sasl_mechanism(struct imap_cursor *args, enum sasl_mechanism *ret)
{
    if (imap_take_word(args, SPAN("PLAIN"))) {
        *ret = SASL_PLAIN;
    } else if (imap_take_word(args, SPAN("LOGIN"))) {
        *ret = SASL_LOGIN;
    } else {
        return err_make(ERR_UNSUPPORTED, "mechanism");
    }
    return err_ok();
}

/* initial-resp = base64 / "=", and nothing behind it. */
static struct err sasl_initial(struct imap_session *session, struct sasl *sasl)
{
    struct imap_cursor *args = &session->run->args;
    struct span rest = span_skip(args->in, args->at);
    sasl->has_response = true;
    if (span_eq(rest, SPAN("="))) {
        rest = SPAN("");
    } else if (rest.len == 0) {
        return err_make(ERR_SYNTAX, "an initial response is missing");
    }
    return sasl_decode(&session->run->arena, rest, &sasl->response);
}

struct err imap_cmd_authenticate(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct sasl *sasl;
    session->run->secret = true;
    TRY(imap_state_new(session, sizeof(*sasl), &sasl));
    TRY(imap_take_space(args));
    TRY(sasl_mechanism(args, &sasl->mechanism));
    if (imap_take(args, ' ')) {
        TRY(sasl_initial(session, sasl));
    } else {
        TRY(imap_take_end(args));
    }
    if (!session->tls && !session->options->login_without_tls) {
        imap_no(session, SPAN("PRIVACYREQUIRED"), SPAN("log in over TLS"));
        return err_ok();
    }
    imap_steps(session, sasl_steps);
    return err_ok();
}

/* MAIL FROM:<path> [parameters] (RFC 5321 4.1.1.2). */
#include "smtp_params.h"
#include "smtp_path.h"
#include "smtp_private.h"

enum mail_param { MAIL_SIZE = 1, MAIL_BODY = 2, MAIL_UTF8 = 4, MAIL_RET = 8, MAIL_ENVID = 16,
                  MAIL_AUTH = 32 };

static struct err mail_body(struct span value, bool *body_8bit)
{
    *body_8bit = span_eq_nocase(value, SPAN("8BITMIME"));
    if (*body_8bit || span_eq_nocase(value, SPAN("7BIT"))) return err_ok();
    return err_make(ERR_SYNTAX, "BODY");
}

static struct err mail_ret(struct span value, enum smtp_ret *ret)
{
    bool is_full = span_eq_nocase(value, SPAN("FULL"));
    if (!is_full && !span_eq_nocase(value, SPAN("HDRS"))) return err_make(ERR_SYNTAX, "RET");
    *ret = is_full ? SMTP_RET_FULL : SMTP_RET_HDRS;
    return err_ok();
}

static struct err mail_envid(struct span value, struct span *envid)
{
    if (value.len == 0 || value.len > SMTP_ENVID_MAX_BYTES || !smtp_xtext_is_valid(value)) {
        return err_make(ERR_SYNTAX, "ENVID");
    }
    *envid = value;
    return err_ok();
}

/* What the parameters of MAIL go into. */
struct mail_params {
    struct smtp_envelope *envelope;
    unsigned seen; /* enum mail_param */
};

/* One parameter; ERR_NOT_FOUND when its keyword is not known, or not with or without a value. */
static struct err mail_param(void *holder, const struct smtp_param *param)
{
    struct mail_params *taken = holder;
    struct smtp_envelope *envelope = taken->envelope;
    static const struct { struct span key; enum mail_param bit; bool has_value; } params[] = {
        { SPAN_INIT("SIZE"), MAIL_SIZE, true },    { SPAN_INIT("BODY"), MAIL_BODY, true },
        { SPAN_INIT("SMTPUTF8"), MAIL_UTF8, false }, { SPAN_INIT("RET"), MAIL_RET, true },
        { SPAN_INIT("ENVID"), MAIL_ENVID, true },  { SPAN_INIT("AUTH"), MAIL_AUTH, true },
    };
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        if (!span_eq_nocase(param->key, params[i].key)) continue;
        if (param->has_value != params[i].has_value || (taken->seen & params[i].bit) != 0) {
            return err_make(ERR_SYNTAX, "parameter");
        }
        taken->seen |= params[i].bit;
        switch (params[i].bit) {
        case MAIL_SIZE: return smtp_number_parse(param->value, &envelope->size_declared);
        case MAIL_BODY: return mail_body(param->value, &envelope->body_8bit);
        case MAIL_UTF8: envelope->smtputf8 = true; return err_ok();
        case MAIL_RET: return mail_ret(param->value, &envelope->ret);
        case MAIL_ENVID: return mail_envid(param->value, &envelope->envid);
        case MAIL_AUTH: /* RFC 4954 section 5: who sent it first; checked and not used */
            if (span_eq(param->value, SPAN("<>")) || smtp_xtext_is_valid(param->value)) {
                return err_ok();
            }
            return err_make(ERR_SYNTAX, "AUTH");
        }
    }
    return err_make(ERR_NOT_FOUND, "parameter");
}

/* Says why not, or returns true. */
static bool mail_is_allowed(struct smtp_session *session)
{
    const struct smtp_options *options = session->options;
    if (options->tls_required && !session->tls_active) {
        smtp_say(session, SMTP_REPLY_NEEDS_TLS);
        return false;
    }
    if (options->auth_required && !session->is_authenticated) {
        smtp_say(session, SMTP_REPLY_NEEDS_AUTH);
        return false;
    }
    return true;
}

static bool mail_parse(struct smtp_session *session, struct span args,
                       struct smtp_envelope *envelope)
{
    struct smtp_path path;
    struct span rest;
    if (!smtp_args_path(args, SPAN("FROM:"), &rest)) {
        smtp_say(session, SMTP_REPLY_MAIL_SYNTAX);
        return false;
    }
    if (smtp_path_parse(rest, &path, &rest).code != ERR_OK ||
        (path.local.len > 0 && path.domain.len == 0)) {
        smtp_say(session, SMTP_REPLY_SENDER_SYNTAX);
        return false;
    }
    struct mail_params params = { .envelope = envelope };
    if (!smtp_args_params(session, rest, mail_param, &params)) return false;
    if (!path.is_ascii && !envelope->smtputf8) {
        smtp_say(session, SMTP_REPLY_NOT_SMTPUTF8);
        return false;
    }
    uint64_t size_max = session->options->size_max_bytes;
    if (size_max > 0 && envelope->size_declared > size_max) {
        smtp_say(session, SMTP_REPLY_TOO_BIG);
        return false;
    }
    envelope->local = path.local;
    envelope->domain = path.domain;
    return true;
}

void smtp_cmd_MAIL(struct smtp_session *session, struct span args)
{
    struct smtp_envelope envelope = { 0 };
    struct span kept;
    if (!mail_is_allowed(session) || !mail_parse(session, args, &envelope)) return;
    if (arena_copy(&session->transaction, args, &kept).code != ERR_OK) {
        smtp_say(session, SMTP_REPLY_NO_MEMORY);
        return;
    }
    envelope.local = smtp_moved(args, kept, envelope.local);
    envelope.domain = smtp_moved(args, kept, envelope.domain);
    envelope.envid = smtp_moved(args, kept, envelope.envid);
    session->envelope = envelope;
    session->wish = SMTP_WISH_SENDER;
}

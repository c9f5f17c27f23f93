/* RCPT TO:<path> [parameters] (RFC 5321 4.1.1.3). */
#include <stdlib.h>

#include "smtp_params.h"
#include "smtp_path.h"
#include "smtp_private.h"

enum { RCPT_FIRST = 4 };

/* What the parameters of RCPT go into. */
struct rcpt_params {
    struct smtp_recipient *recipient;
    bool smtputf8;
};

static struct err rcpt_param(void *holder, const struct smtp_param *param)
{
    const struct rcpt_params *params = holder;
    struct smtp_recipient *recipient = params->recipient;
    if (span_eq_nocase(param->key, SPAN("NOTIFY"))) {
        if (recipient->notify != 0) return err_make(ERR_SYNTAX, "NOTIFY");
        return smtp_notify_parse(param->value, &recipient->notify);
    }
    if (span_eq_nocase(param->key, SPAN("ORCPT"))) {
        if (recipient->orcpt.len > 0 || !smtp_orcpt_is_valid(param->value) ||
            (!params->smtputf8 && !smtp_is_ascii(param->value))) {
            return err_make(ERR_SYNTAX, "ORCPT");
        }
        recipient->orcpt = param->value;
        return err_ok();
    }
    return err_make(ERR_NOT_FOUND, "parameter");
}

static bool rcpt_parse(struct smtp_session *session, struct span args,
                       struct smtp_recipient *recipient)
{
    struct smtp_path path;
    struct span rest;
    if (!smtp_args_path(args, SPAN("TO:"), &rest)) {
        smtp_say(session, SMTP_REPLY_RCPT_SYNTAX);
        return false;
    }
    if (smtp_path_parse(rest, &path, &rest).code != ERR_OK || path.local.len == 0) {
        smtp_say(session, SMTP_REPLY_RECIPIENT_SYNTAX);
        return false;
    }
    if (!path.is_ascii && !session->envelope.smtputf8) {
        smtp_say(session, SMTP_REPLY_NOT_SMTPUTF8);
        return false;
    }
    recipient->local = path.local;
    recipient->domain = path.domain;
    struct rcpt_params params = { recipient, session->envelope.smtputf8 };
    return smtp_args_params(session, rest, rcpt_param, &params);
}

/* Room for one recipient more. */
static bool rcpt_grow(struct smtp_session *session)
{
    if (session->envelope.recipients_count < session->recipients_size) return true;
    size_t size = session->recipients_size == 0 ? RCPT_FIRST : session->recipients_size * 2;
    void *grown = realloc(session->envelope.recipients, size * sizeof(struct smtp_recipient));
    if (grown == NULL) return false;
    session->envelope.recipients = grown;
    session->recipients_size = size;
    return true;
}

void smtp_cmd_RCPT(struct smtp_session *session, struct span args)
{
    struct smtp_recipient recipient = { 0 };
    struct span kept;
    size_t max = session->options->recipients_max;
    if (max > SMTP_RECIPIENTS_MAX) max = SMTP_RECIPIENTS_MAX;
    if (!rcpt_parse(session, args, &recipient)) return;
    if (session->envelope.recipients_count >= max) {
        smtp_say(session, SMTP_REPLY_TOO_MANY_RECIPIENTS);
        return;
    }
    if (!rcpt_grow(session) || arena_copy(&session->transaction, args, &kept).code != ERR_OK) {
        smtp_say(session, SMTP_REPLY_TOO_MANY_RECIPIENTS);
        return;
    }
    recipient.local = smtp_moved(args, kept, recipient.local);
    recipient.domain = smtp_moved(args, kept, recipient.domain);
    recipient.orcpt = smtp_moved(args, kept, recipient.orcpt);
    session->asked = recipient;
    session->wish = SMTP_WISH_RECIPIENT;
}

/* The arguments of MAIL and RCPT: a path and parameters behind it (RFC 5321 4.1.2). */
#include "smtp_params.h"
#include "smtp_private.h"

bool smtp_args_path(struct span args, struct span keyword, struct span *rest)
{
    if (!span_starts_nocase(args, keyword)) return false;
    struct span behind = span_skip(args, keyword.len);
    /* Not in the grammar, but sent by many. */
    while (behind.len > 0 && behind.ptr[0] == ' ') behind = span_skip(behind, 1);
    *rest = behind;
    return true;
}

struct span smtp_moved(struct span from, struct span to, struct span part)
{
    bool is_inside = part.len > 0 && part.ptr >= from.ptr && part.ptr < from.ptr + from.len;
    return is_inside ? span_of(to.ptr + (part.ptr - from.ptr), part.len) : SPAN("");
}

bool smtp_args_params(struct smtp_session *session, struct span rest, smtp_args_param *take,
                      void *holder)
{
    struct smtp_param param;
    struct err err;
    while ((err = smtp_param_take(&rest, &param)).code == ERR_OK) {
        err = take(holder, &param);
        if (err.code == ERR_OK) continue;
        smtp_say(session, err.code == ERR_TOO_BIG      ? SMTP_REPLY_TOO_BIG
                          : err.code == ERR_NOT_FOUND ? SMTP_REPLY_PARAMETER_UNKNOWN
                                                      : SMTP_REPLY_PARAMETER_SYNTAX);
        return false;
    }
    if (err.code == ERR_NOT_FOUND) return true;
    smtp_say(session, SMTP_REPLY_PARAMETER_SYNTAX);
    return false;
}

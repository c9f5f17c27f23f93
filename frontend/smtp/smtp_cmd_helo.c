/* EHLO and HELO (RFC 5321 4.1.1.1), LHLO (RFC 2033). */
#include <inttypes.h>
#include <stdio.h>

#include "login_sasl.h"
#include "smtp_private.h"

/* The name is only shown and judged later: any run of visible ASCII will do, since clients with
 * "_" and worse in it are many. */
bool smtp_helo_take(struct smtp_session *session, struct span args)
{
    while (args.len > 0 && args.ptr[args.len - 1] == ' ') args.len--;
    bool is_good = args.len > 0 && args.len <= SMTP_HELO_MAX_BYTES;
    for (size_t i = 0; is_good && i < args.len; i++) is_good = args.ptr[i] > 32;
    if (!is_good) {
        smtp_say(session, SMTP_REPLY_HELO_SYNTAX);
        return false;
    }
    memcpy(session->helo_bytes, args.ptr, args.len);
    session->helo_len = (uint8_t)args.len;
    smtp_transaction_end(session, SMTP_IN_READY);
    return true;
}

bool smtp_offers_auth(const struct smtp_session *session)
{
    const struct smtp_options *options = session->options;
    return options->sasl != NULL && (session->tls_active || options->auth_without_tls);
}

static void helo_extensions(struct smtp_session *session)
{
    struct buf *out = session->out;
    char size[48];
    buf_put(out, SPAN("250-"));
    buf_put(out, session->options->hostname);
    buf_put(out, SPAN("\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n"
                      "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n"));
    /* Zero would say that there is no limit, which is so. */
    int len = snprintf(size, sizeof(size), "250-SIZE %" PRIu64 "\r\n",
                       session->options->size_max_bytes);
    buf_put(out, span_of(size, (size_t)len));
    if (session->options->tls_available && !session->tls_active) {
        buf_put(out, SPAN("250-STARTTLS\r\n"));
    }
    if (smtp_offers_auth(session)) {
        buf_put(out, SPAN("250-AUTH "));
        buf_put(out, login_sasl_names());
        buf_put(out, SPAN("\r\n"));
    }
    buf_put(out, SPAN("250 HELP\r\n"));
}

void smtp_cmd_EHLO(struct smtp_session *session, struct span args)
{
    if (!smtp_helo_take(session, args)) return;
    session->is_esmtp = true;
    helo_extensions(session);
}

void smtp_cmd_LHLO(struct smtp_session *session, struct span args)
{
    smtp_cmd_EHLO(session, args);
}

void smtp_cmd_HELO(struct smtp_session *session, struct span args)
{
    if (!smtp_helo_take(session, args)) return;
    session->is_esmtp = false;
    buf_put(session->out, SPAN("250 "));
    buf_put(session->out, session->options->hostname);
    buf_put(session->out, SPAN("\r\n"));
}

#include "smtp_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "login_sasl.h"
#include "smtp_line.h"
#include "smtp_path.h"
#include "smtp_private.h"

_Static_assert((int)SMTP_INPUT_MAX_BYTES == (int)SMTP_AUTH_LINE_MAX_BYTES, "the longest line");

struct smtp_cmd {
    struct span name;
    uint32_t services, states;
    void (*run)(struct smtp_session *, struct span args);
};

static const struct smtp_cmd smtp_cmds[] = {
#define SMTP_CMD(name, services, states) { SPAN_INIT(#name), services, states, smtp_cmd_##name },
#include "smtp_commands.def"
#undef SMTP_CMD
};

static const struct span smtp_replies[] = {
#define SMTP_REPLY(name, line) SPAN_INIT(line "\r\n"),
#include "smtp_replies.def"
#undef SMTP_REPLY
};

void smtp_session_init(struct smtp_session *session, const struct smtp_options *options,
                       bool tls_active, struct buf *out)
{
    CHECK(options->hostname.len <= SMTP_HOSTNAME_MAX_BYTES);
    *session = (struct smtp_session){
        .options = options, .out = out, .state = SMTP_IN_START, .tls_active = tls_active,
    };
    arena_init(&session->transaction, SMTP_TRANSACTION_MAX_BYTES);
}

void smtp_session_free(struct smtp_session *session)
{
    smtp_transaction_end(session, SMTP_IN_END);
    smtp_auth_end(session);
}

void smtp_session_greet(struct smtp_session *session)
{
    buf_put(session->out, SPAN("220 "));
    buf_put(session->out, session->options->hostname);
    buf_put(session->out,
            session->options->service == SMTP_LMTP ? SPAN(" LMTP ") : SPAN(" ESMTP "));
    buf_put(session->out, span_head(session->options->banner, SMTP_TEXT_MAX_BYTES));
    buf_put(session->out, SPAN("\r\n"));
}

void smtp_say(struct smtp_session *session, enum smtp_reply reply)
{
    struct span line = smtp_replies[reply];
    buf_put(session->out, line);
    if (line.ptr[0] == '5') session->errors++;
}

void smtp_say_verdict(struct smtp_session *session, const struct policy_verdict *verdict)
{
    char head[32];
    int len = snprintf(head, sizeof(head), "%03u %u.%u.%u ", verdict->code % 1000u,
                       verdict->code / 100u % 10u, verdict->subject % 1000u,
                       verdict->detail % 1000u);
    struct span text = span_head(verdict->text, SMTP_TEXT_MAX_BYTES);
    buf_put(session->out, span_of(head, (size_t)len));
    /* A text may hold what others said (the name of a virus): no byte of it may end the line. */
    for (size_t at = 0; at < text.len;) {
        size_t good = at;
        while (good < text.len && text.ptr[good] >= 32 && text.ptr[good] < 127) good++;
        buf_put(session->out, span_of(text.ptr + at, good - at));
        if (good < text.len) buf_put(session->out, SPAN("?"));
        at = good + 1;
    }
    buf_put(session->out, SPAN("\r\n"));
}

void smtp_transaction_end(struct smtp_session *session, enum smtp_state next)
{
    body_unref(session->envelope.body);
    free(session->envelope.recipients);
    session->envelope = (struct smtp_envelope){ 0 };
    session->recipients_size = 0;
    session->asked = (struct smtp_recipient){ 0 };
    session->answers_said = 0;
    session->receiving = NULL;
    arena_clear(&session->transaction);
    session->state = next;
}

static void smtp_close(struct smtp_session *session)
{
    smtp_transaction_end(session, SMTP_IN_END);
    smtp_auth_end(session);
    session->wish = SMTP_WISH_CLOSE;
}

void smtp_hang_up(struct smtp_session *session, enum smtp_reply reply)
{
    smtp_say(session, reply);
    smtp_close(session);
}

void smtp_count_errors(struct smtp_session *session)
{
    uint32_t max = session->options->errors_max;
    if (session->wish != SMTP_WISH_NOTHING || max == 0 || session->errors < max) return;
    smtp_hang_up(session, SMTP_REPLY_TOO_MANY_ERRORS);
}

static bool smtp_has_controls(struct span line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if (c < 32 || c == 127) return true;
    }
    return false;
}

/* RFC 6531 3.1: 8-bit bytes stand in addresses only. */
static bool smtp_takes_utf8(const struct smtp_cmd *cmd)
{
    return cmd->run == smtp_cmd_MAIL || cmd->run == smtp_cmd_RCPT;
}

static void smtp_dispatch(struct smtp_session *session, struct span line)
{
    struct span verb, args;
    if (smtp_has_controls(line) || smtp_line_split(line, &verb, &args).code != ERR_OK) {
        smtp_say(session, SMTP_REPLY_SYNTAX);
        return;
    }
    for (size_t i = 0; i < sizeof(smtp_cmds) / sizeof(smtp_cmds[0]); i++) {
        const struct smtp_cmd *cmd = &smtp_cmds[i];
        if (!span_eq_nocase(cmd->name, verb)) continue;
        if ((cmd->services & 1u << session->options->service) == 0) break;
        if (!smtp_takes_utf8(cmd) && !smtp_is_ascii(args)) {
            smtp_say(session, SMTP_REPLY_NOT_ASCII);
        } else if ((cmd->states & session->state) == 0) {
            smtp_say(session, SMTP_REPLY_SEQUENCE);
        } else {
            cmd->run(session, args);
        }
        return;
    }
    smtp_say(session, SMTP_REPLY_UNKNOWN);
}

static size_t smtp_line_max(const struct smtp_session *session, struct span in)
{
    bool is_auth = session->state == SMTP_IN_AUTH || span_starts_nocase(in, SPAN("AUTH "));
    return is_auth ? SMTP_AUTH_LINE_MAX_BYTES : SMTP_LINE_MAX_BYTES;
}

/* Throws away what there is of a line that is too long; its reply comes with its end. A last CR
 * stays, since its LF may come. */
static bool smtp_line_skip(struct smtp_session *session, struct span in, size_t *used)
{
    const char *lf = in.len == 0 ? NULL : memchr(in.ptr, '\n', in.len);
    if (lf == NULL) {
        *used = in.len > 0 && in.ptr[in.len - 1] == '\r' ? in.len - 1 : in.len;
        return false;
    }
    *used = (size_t)(lf - in.ptr) + 1;
    session->line_is_skipped = false;
    if (*used < 2 || lf[-1] != '\r') {
        smtp_hang_up(session, SMTP_REPLY_BAD_LINE_END);
    } else if (session->state == SMTP_IN_AUTH) {
        smtp_auth_end(session);
        session->state = SMTP_IN_READY;
        smtp_say(session, SMTP_REPLY_AUTH_TOO_LONG);
    } else {
        smtp_say(session, SMTP_REPLY_LINE_TOO_LONG);
    }
    return true;
}

static bool smtp_step_line(struct smtp_session *session, struct span in, size_t *used)
{
    struct span line;
    *used = 0;
    if (session->line_is_skipped) return smtp_line_skip(session, in, used);
    size_t max_bytes = smtp_line_max(session, in);
    switch (smtp_line_take(in, max_bytes, &line, used)) {
    case PARSE_OK:
        if (session->state == SMTP_IN_AUTH) {
            smtp_auth_line(session, false, line);
        } else {
            smtp_dispatch(session, line);
        }
        return true;
    case PARSE_BAD:
        *used = in.len;
        smtp_hang_up(session, SMTP_REPLY_BAD_LINE_END);
        return true;
    case PARSE_MORE: break;
    }
    if (in.len < max_bytes) return false;
    session->line_is_skipped = true;
    return true;
}

/* One step on: a line, a run of a body, a reply. False: it needs more bytes than are in `in`;
 * `*used` of them are done with in any case. */
static bool smtp_step(struct smtp_session *session, struct span in, size_t *used)
{
    *used = 0;
    switch (session->state) {
    case SMTP_IN_START:
    case SMTP_IN_READY:
    case SMTP_IN_MAIL:
    case SMTP_IN_RCPT:
    case SMTP_IN_CHUNKS:
    case SMTP_IN_AUTH: return smtp_step_line(session, in, used);
    case SMTP_IN_DATA: return smtp_body_data(session, in, used);
    case SMTP_IN_CHUNK: return smtp_body_chunk(session, in, used);
    case SMTP_IN_ANSWERS: smtp_body_answer_next(session); return true;
    case SMTP_IN_END: break;
    }
    *used = in.len;
    return false;
}

bool smtp_session_is_blocked(const struct smtp_session *session)
{
    return session->out->size - session->out->len < SMTP_OUT_MIN_BYTES;
}

size_t smtp_session_feed(struct smtp_session *session, struct span in)
{
    size_t done = 0;
    bool goes_on = true;
    while (goes_on && session->wish == SMTP_WISH_NOTHING && !smtp_session_is_blocked(session)) {
        size_t used;
        goes_on = smtp_step(session, span_skip(in, done), &used);
        done += used;
        smtp_count_errors(session);
    }
    /* RFC 3207 section 4.2, CVE-2011-0411: what came in the clear behind STARTTLS is nobody's. */
    if (session->wish == SMTP_WISH_START_TLS || session->wish == SMTP_WISH_CLOSE) return in.len;
    return done;
}

void smtp_session_answer_tls(struct smtp_session *session, struct err err)
{
    CHECK(session->wish == SMTP_WISH_START_TLS);
    session->wish = SMTP_WISH_NOTHING;
    if (err.code != ERR_OK) {
        smtp_close(session);
        return;
    }
    /* Nothing that was said before is known any more. */
    smtp_transaction_end(session, SMTP_IN_START);
    session->tls_active = true;
    session->is_authenticated = session->is_esmtp = false;
    session->account = (struct smtp_account){ 0 };
    session->helo_len = 0;
}

void smtp_session_end(struct smtp_session *session, enum smtp_end why)
{
    static const enum smtp_reply replies[] = {
        [SMTP_END_TIMEOUT] = SMTP_REPLY_TIMEOUT,
        [SMTP_END_SHUTDOWN] = SMTP_REPLY_SHUTDOWN,
        [SMTP_END_NOT_READY] = SMTP_REPLY_NOT_READY,
    };
    if (session->state == SMTP_IN_END) return;
    session->wish = SMTP_WISH_NOTHING;
    if (session->state == SMTP_IN_ANSWERS || smtp_session_is_blocked(session)) {
        smtp_close(session);
        return;
    }
    smtp_hang_up(session, replies[why]);
}

struct span smtp_session_helo(const struct smtp_session *session)
{
    return span_of(session->helo_bytes, session->helo_len);
}

struct span smtp_session_with(const struct smtp_session *session)
{
    /* Bit 0: TLS, bit 1: AUTH. RFC 3848 has no word for TLS without EHLO. */
    static const struct span words[3][4] = {
        { SPAN_INIT("ESMTP"), SPAN_INIT("ESMTPS"), SPAN_INIT("ESMTPA"), SPAN_INIT("ESMTPSA") },
        { SPAN_INIT("UTF8SMTP"), SPAN_INIT("UTF8SMTPS"), SPAN_INIT("UTF8SMTPA"),
          SPAN_INIT("UTF8SMTPSA") },
        { SPAN_INIT("LMTP"), SPAN_INIT("LMTPS"), SPAN_INIT("LMTPA"), SPAN_INIT("LMTPSA") },
    };
    unsigned how = (session->tls_active ? 1u : 0u) | (session->is_authenticated ? 2u : 0u);
    if (session->options->service == SMTP_LMTP) return words[2][how];
    if (!session->is_esmtp && how == 0) return SPAN("SMTP");
    return words[session->envelope.smtputf8 ? 1 : 0][how];
}

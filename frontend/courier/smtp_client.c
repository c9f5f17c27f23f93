#include "smtp_client.h"

#include "base64.h"
#include "check.h"
#include "smtp_client_private.h"
#include "smtp_line.h"
#include "smtp_params.h"

void smtp_client_init(struct smtp_client *client, const struct smtp_client_options *options,
                      struct buf *out)
{
    CHECK(options->user.len <= SMTP_CLIENT_PASSWORD_MAX_BYTES);
    CHECK(options->password.len <= SMTP_CLIENT_PASSWORD_MAX_BYTES);
    *client = (struct smtp_client){
        .options = options, .out = out, .tls_active = options->tls_active,
    };
    arena_init(&client->texts, SMTP_CLIENT_TEXTS_MAX_BYTES);
}

void smtp_client_free(struct smtp_client *client)
{
    arena_clear(&client->texts);
    client->message = NULL;
}

bool smtp_client_has_room(const struct smtp_client *client)
{
    return client->out->size - client->out->len >= SMTP_CLIENT_OUT_MIN_BYTES / 2;
}

/* ---- results */

/* Replies to many recipients are mostly the same, so a text is kept once for a run of them. */
struct span smtp_client_keep(struct smtp_client *client, struct span text)
{
    if (span_eq(text, client->last_text)) return client->last_text;
    struct span kept;
    if (arena_copy(&client->texts, text, &kept).code != ERR_OK) return SPAN("");
    client->last_text = kept;
    return kept;
}

void smtp_client_result_one(struct smtp_client *client, struct smtp_client_recipient *recipient,
                            enum smtp_client_result to, struct smtp_client_reply why)
{
    why.text = smtp_client_keep(client, why.text);
    recipient->result = to;
    recipient->reply = why;
}

void smtp_client_result_all(struct smtp_client *client, enum smtp_client_result from,
                            enum smtp_client_result to, struct smtp_client_reply why)
{
    for (size_t i = 0; i < client->message->recipients_count; i++) {
        struct smtp_client_recipient *recipient = &client->message->recipients[i];
        if (recipient->result == from) smtp_client_result_one(client, recipient, to, why);
    }
}

void smtp_client_fail(struct smtp_client *client, struct smtp_client_reply why)
{
    if (client->message != NULL) {
        smtp_client_result_all(client, SMTP_CLIENT_PENDING, SMTP_CLIENT_DEFERRED, why);
        smtp_client_result_all(client, SMTP_CLIENT_ACCEPTED, SMTP_CLIENT_DEFERRED, why);
    }
    client->message = NULL;
    client->has_failed = true;
    client->failure = why;
    client->failure.text = smtp_client_keep(client, why.text);
    client->state = SMTP_CLIENT_END;
    client->wish = SMTP_CLIENT_WISH_CLOSE;
}

/* ---- the way to the first message */

static void smtp_client_say(struct smtp_client *client, struct span verb, struct span argument,
                            enum smtp_client_state next)
{
    buf_put(client->out, verb);
    buf_put(client->out, argument);
    buf_put(client->out, SPAN("\r\n"));
    client->state = next;
}

static void smtp_client_say_ehlo(struct smtp_client *client)
{
    client->extensions = 0;
    client->size_max_bytes = 0;
    smtp_client_say(client, client->options->lmtp ? SPAN("LHLO ") : SPAN("EHLO "),
                    client->options->hostname, SMTP_CLIENT_EHLO);
}

static void smtp_client_ready(struct smtp_client *client)
{
    client->state = SMTP_CLIENT_READY;
    client->wish = SMTP_CLIENT_WISH_MESSAGE;
}

/* One line of AUTH LOGIN (draft-murchison-sasl-login). */
static void smtp_client_say_word(struct smtp_client *client, struct span word,
                                 enum smtp_client_state next)
{
    base64_encode(client->out, word);
    smtp_client_say(client, SPAN(""), SPAN(""), next);
}

static void smtp_client_say_auth(struct smtp_client *client)
{
    if ((client->extensions & SMTP_HAS_AUTH_PLAIN) == 0) {
        smtp_client_say(client, SPAN("AUTH LOGIN"), SPAN(""), SMTP_CLIENT_AUTH_USER);
        return;
    }
    char bytes[2 * SMTP_CLIENT_PASSWORD_MAX_BYTES + 2];
    struct buf plain;
    buf_init(&plain, bytes, sizeof(bytes));
    buf_put(&plain, SPAN("\0"));
    buf_put(&plain, client->options->user);
    buf_put(&plain, SPAN("\0"));
    buf_put(&plain, client->options->password);
    buf_put(client->out, SPAN("AUTH PLAIN "));
    base64_encode(client->out, buf_span(&plain));
    explicit_bzero(bytes, sizeof(bytes));
    smtp_client_say(client, SPAN(""), SPAN(""), SMTP_CLIENT_AUTH);
}

/* What follows EHLO or HELO: TLS if it is to be, then AUTH, then messages. */
static void smtp_client_secure(struct smtp_client *client, bool tls_was_refused)
{
    const struct smtp_client_options *options = client->options;
    bool is_offered = (client->extensions & SMTP_HAS_STARTTLS) != 0 && !tls_was_refused;
    if (!client->tls_active && options->tls != SMTP_CLIENT_TLS_NEVER && is_offered) {
        smtp_client_say(client, SPAN("STARTTLS"), SPAN(""), SMTP_CLIENT_STARTTLS);
        return;
    }
    if (!client->tls_active && options->tls == SMTP_CLIENT_TLS_MUST) {
        client->tls_has_failed = true;
        smtp_client_fail(client, SMTP_CLIENT_OWN(451, 7, 10, "The server offers no TLS"));
        return;
    }
    if (options->user.len == 0) {
        smtp_client_ready(client);
        return;
    }
    if ((client->extensions & (SMTP_HAS_AUTH_PLAIN | SMTP_HAS_AUTH_LOGIN)) == 0) {
        smtp_client_fail(client, SMTP_CLIENT_OWN(454, 7, 0, "The server offers no AUTH PLAIN or "
                                                            "LOGIN"));
    } else if (!client->tls_active && !options->auth_without_tls) {
        smtp_client_fail(client, SMTP_CLIENT_OWN(454, 7, 0, "No password is sent without TLS"));
    } else {
        smtp_client_say_auth(client);
    }
}

void smtp_client_answer_tls(struct smtp_client *client, struct err err)
{
    CHECK(client->wish == SMTP_CLIENT_WISH_START_TLS);
    client->wish = SMTP_CLIENT_WISH_NOTHING;
    if (err.code != ERR_OK) {
        client->tls_has_failed = true;
        smtp_client_fail(client, err.code == ERR_DENIED
                                     ? SMTP_CLIENT_OWN(454, 7, 5, "The server's certificate does "
                                                                  "not hold")
                                     : SMTP_CLIENT_OWN(454, 7, 5, "TLS could not be started"));
        return;
    }
    client->tls_active = true;
    smtp_client_say_ehlo(client);
}

void smtp_client_quit(struct smtp_client *client)
{
    CHECK(client->wish == SMTP_CLIENT_WISH_MESSAGE);
    client->wish = SMTP_CLIENT_WISH_NOTHING;
    client->message = NULL;
    smtp_client_say(client, SPAN("QUIT"), SPAN(""), SMTP_CLIENT_QUIT);
}

void smtp_client_lost(struct smtp_client *client, struct err err)
{
    if (client->state == SMTP_CLIENT_END) return;
    if (client->state == SMTP_CLIENT_QUIT) { /* everything is said */
        client->state = SMTP_CLIENT_END;
        client->wish = SMTP_CLIENT_WISH_CLOSE;
    } else if (err.code == ERR_TIMEOUT) {
        smtp_client_fail(client, SMTP_CLIENT_OWN(450, 4, 2, "No reply in time"));
    } else {
        smtp_client_fail(client, SMTP_CLIENT_OWN(450, 4, 2, "The connection was lost"));
    }
}

/* ---- replies */

static bool smtp_client_has_word(struct span words, struct span word)
{
    struct span head;
    while (span_cut(words, ' ', &head, &words)) {
        if (span_eq_nocase(head, word)) return true;
    }
    return span_eq_nocase(words, word);
}

/* One line of the reply to EHLO: keyword and parameters (RFC 5321 4.1.1.1). */
static void smtp_client_extension(struct smtp_client *client, struct span text)
{
    static const struct { struct span word; unsigned bit; } words[] = {
        { SPAN_INIT("PIPELINING"), SMTP_HAS_PIPELINING }, { SPAN_INIT("SIZE"), SMTP_HAS_SIZE },
        { SPAN_INIT("8BITMIME"), SMTP_HAS_8BITMIME },
        { SPAN_INIT("STARTTLS"), SMTP_HAS_STARTTLS },
        { SPAN_INIT("SMTPUTF8"), SMTP_HAS_SMTPUTF8 },     { SPAN_INIT("DSN"), SMTP_HAS_DSN },
        { SPAN_INIT("CHUNKING"), SMTP_HAS_CHUNKING },
    };
    struct span word = text, rest = SPAN("");
    (void)span_cut(text, ' ', &word, &rest);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_eq_nocase(word, words[i].word)) client->extensions |= words[i].bit;
    }
    if (span_eq_nocase(word, SPAN("SIZE"))) {
        if (smtp_number_parse(rest, &client->size_max_bytes).code != ERR_OK) {
            client->size_max_bytes = 0;
        }
    }
    if (span_eq_nocase(word, SPAN("AUTH")) && smtp_client_has_word(rest, SPAN("PLAIN"))) {
        client->extensions |= SMTP_HAS_AUTH_PLAIN;
    }
    if (span_eq_nocase(word, SPAN("AUTH")) && smtp_client_has_word(rest, SPAN("LOGIN"))) {
        client->extensions |= SMTP_HAS_AUTH_LOGIN;
    }
}

/* The digits of subject or detail, up to three, off the front. */
static bool smtp_client_digits(struct span *text, uint16_t *ret)
{
    size_t len = 0;
    unsigned number = 0;
    while (len < text->len && len < 3 && text->ptr[len] >= '0' && text->ptr[len] <= '9') {
        number = number * 10 + (unsigned)(text->ptr[len++] - '0');
    }
    if (len == 0) return false;
    *ret = (uint16_t)number;
    *text = span_skip(*text, len);
    return true;
}

/* Enhanced code off the front of a text (RFC 2034 section 4); its class must be the reply's. */
static struct span smtp_client_enhanced(struct span text, struct smtp_client_reply *reply)
{
    struct span rest = span_skip(text, 2);
    uint16_t subject, detail;
    if (text.len < 5 || text.ptr[0] != '0' + reply->code / 100 || text.ptr[1] != '.') return text;
    if (!smtp_client_digits(&rest, &subject) || rest.len == 0 || rest.ptr[0] != '.') return text;
    rest = span_skip(rest, 1);
    if (!smtp_client_digits(&rest, &detail)) return text;
    if (rest.len > 0 && rest.ptr[0] != ' ') return text;
    reply->subject = subject;
    reply->detail = detail;
    return span_skip(rest, 1);
}

static void smtp_client_text(struct smtp_client *client, struct span text)
{
    size_t room = sizeof(client->reply_bytes) - client->reply_len;
    if (client->reply_lines > 0 && room > 0) {
        client->reply_bytes[client->reply_len++] = ' ';
        room--;
    }
    text = span_head(text, room);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        client->reply_bytes[client->reply_len++] = c < 32 || c == 127 ? '?' : text.ptr[i];
    }
}

/* Reply-line = Reply-code ( SP / "-" ) text, or the code alone (RFC 5321 4.2). Returns whether it
 * is a line of the reply under way; `*is_last` then says that the reply is whole. */
static bool smtp_client_line(struct smtp_client *client, struct span line, bool *is_last)
{
    uint16_t code = 0;
    struct span rest = line;
    if (line.len < 3 || !smtp_client_digits(&rest, &code) || code < 200 || code > 599) return false;
    if (rest.len != line.len - 3 || (rest.len > 0 && rest.ptr[0] != ' ' && rest.ptr[0] != '-')) {
        return false;
    }
    if (client->reply_lines == 0) {
        client->reply = (struct smtp_client_reply){ .code = code };
        client->reply_len = 0;
    } else if (code != client->reply.code || client->reply_lines >= SMTP_CLIENT_REPLY_MAX_LINES) {
        return false;
    }
    *is_last = rest.len == 0 || rest.ptr[0] == ' ';
    struct span text = span_skip(rest, 1);
    if (client->state == SMTP_CLIENT_EHLO && client->reply_lines > 0 && code == 250) {
        smtp_client_extension(client, text);
    }
    smtp_client_text(client, smtp_client_enhanced(text, &client->reply));
    client->reply_lines++;
    if (!*is_last) return true;
    client->reply_lines = 0;
    client->reply.text = span_of(client->reply_bytes, client->reply_len);
    return true;
}

static void smtp_client_got_hello(struct smtp_client *client)
{
    unsigned class = client->reply.code / 100u;
    if (class == 2) {
        smtp_client_secure(client, false);
        return;
    }
    /* An old server, which cannot be asked for TLS. */
    bool may_fall_back = client->state == SMTP_CLIENT_EHLO && class == 5 &&
                         !client->options->lmtp && !client->tls_active;
    if (!may_fall_back) {
        smtp_client_fail(client, client->reply);
        return;
    }
    client->extensions = 0;
    smtp_client_say(client, SPAN("HELO "), client->options->hostname, SMTP_CLIENT_HELO);
}

static void smtp_client_got_start_tls(struct smtp_client *client)
{
    if (client->reply.code == 220) {
        client->wish = SMTP_CLIENT_WISH_START_TLS;
    } else {
        smtp_client_secure(client, true);
    }
}

/* A prompt of AUTH LOGIN: what it says does not matter, the name comes first. */
static void smtp_client_got_prompt(struct smtp_client *client)
{
    if (client->reply.code != 334) {
        smtp_client_fail(client, client->reply);
    } else if (client->state == SMTP_CLIENT_AUTH_USER) {
        smtp_client_say_word(client, client->options->user, SMTP_CLIENT_AUTH_PASSWORD);
    } else {
        smtp_client_say_word(client, client->options->password, SMTP_CLIENT_AUTH);
    }
}

static void smtp_client_got(struct smtp_client *client)
{
    bool is_good = client->reply.code / 100u == 2;
    if (client->reply.code == 421 && client->state != SMTP_CLIENT_QUIT) {
        smtp_client_fail(client, client->reply);
        return;
    }
    switch (client->state) {
    case SMTP_CLIENT_GREETING:
        if (client->reply.code == 220) {
            smtp_client_say_ehlo(client);
        } else {
            smtp_client_fail(client, client->reply);
        }
        return;
    case SMTP_CLIENT_EHLO:
    case SMTP_CLIENT_HELO: smtp_client_got_hello(client); return;
    case SMTP_CLIENT_STARTTLS: smtp_client_got_start_tls(client); return;
    case SMTP_CLIENT_AUTH_USER:
    case SMTP_CLIENT_AUTH_PASSWORD: smtp_client_got_prompt(client); return;
    case SMTP_CLIENT_AUTH:
    case SMTP_CLIENT_RSET:
        if (is_good) {
            smtp_client_ready(client);
        } else {
            smtp_client_fail(client, client->reply);
        }
        return;
    case SMTP_CLIENT_MAIL:
    case SMTP_CLIENT_RCPT:
    case SMTP_CLIENT_DATA: smtp_client_got_envelope(client); return;
    case SMTP_CLIENT_BODY:
    case SMTP_CLIENT_BODY_END: smtp_client_got_body(client); return;
    case SMTP_CLIENT_QUIT:
        client->state = SMTP_CLIENT_END;
        client->wish = SMTP_CLIENT_WISH_CLOSE;
        return;
    case SMTP_CLIENT_READY: /* nothing was asked */
    case SMTP_CLIENT_END: break;
    }
    smtp_client_fail(client, client->reply);
}

size_t smtp_client_feed(struct smtp_client *client, struct span in)
{
    size_t done = 0;
    while (client->wish == SMTP_CLIENT_WISH_NOTHING && smtp_client_has_room(client)) {
        struct span line, rest = span_skip(in, done);
        size_t used;
        bool is_last = false;
        enum parse parse = smtp_line_take(rest, SMTP_LINE_MAX_BYTES, &line, &used);
        if (parse == PARSE_MORE && rest.len < SMTP_LINE_MAX_BYTES) break;
        if (parse != PARSE_OK || !smtp_client_line(client, line, &is_last)) {
            smtp_client_fail(client, SMTP_CLIENT_OWN(450, 5, 0, "The server's reply is malformed"));
            break;
        }
        done += used;
        if (!is_last) continue;
        smtp_client_got(client);
        smtp_client_pump(client);
    }
    /* Replies that came in the clear behind 220 are nobody's (RFC 3207 section 4.2). */
    if (client->wish == SMTP_CLIENT_WISH_START_TLS || client->wish == SMTP_CLIENT_WISH_CLOSE) {
        return in.len;
    }
    return done;
}

/* ---- waits, RFC 5321 4.5.3.2 */

static const struct { struct span name; unsigned wait_s; } smtp_client_phases[] = {
    [SMTP_CLIENT_GREETING] = { SPAN_INIT("greeting"), 300 },
    [SMTP_CLIENT_EHLO] = { SPAN_INIT("EHLO"), 300 },
    [SMTP_CLIENT_HELO] = { SPAN_INIT("HELO"), 300 },
    [SMTP_CLIENT_STARTTLS] = { SPAN_INIT("STARTTLS"), 120 },
    [SMTP_CLIENT_AUTH_USER] = { SPAN_INIT("AUTH"), 300 },
    [SMTP_CLIENT_AUTH_PASSWORD] = { SPAN_INIT("AUTH"), 300 },
    [SMTP_CLIENT_AUTH] = { SPAN_INIT("AUTH"), 300 },
    [SMTP_CLIENT_READY] = { SPAN_INIT("ready"), 300 },
    [SMTP_CLIENT_MAIL] = { SPAN_INIT("MAIL"), 300 },
    [SMTP_CLIENT_RCPT] = { SPAN_INIT("RCPT"), 300 },
    [SMTP_CLIENT_DATA] = { SPAN_INIT("DATA"), 120 },
    [SMTP_CLIENT_BODY] = { SPAN_INIT("body"), 180 },
    [SMTP_CLIENT_BODY_END] = { SPAN_INIT("end of body"), 600 },
    [SMTP_CLIENT_RSET] = { SPAN_INIT("RSET"), 20 },
    [SMTP_CLIENT_QUIT] = { SPAN_INIT("QUIT"), 20 },
    [SMTP_CLIENT_END] = { SPAN_INIT("end"), 0 },
};

unsigned smtp_client_wait_s(const struct smtp_client *client)
{
    return smtp_client_phases[client->state].wait_s;
}

struct span smtp_client_phase(const struct smtp_client *client)
{
    return smtp_client_phases[client->state].name;
}

/* One transaction: MAIL, a RCPT for each recipient, then DATA or BDAT.
 *
 * With PIPELINING the whole envelope goes out at once, DATA too (RFC 2920 3.1): replies are
 * matched by their order. When no recipient was taken and the server says 354 all the same, the
 * body is a dot alone, which it then refuses. LMTP waits with DATA for the replies to RCPT, since
 * it answers the body once for each recipient that was taken. */
#include <inttypes.h>
#include <stdio.h>

#include "body.h"
#include "check.h"
#include "smtp_client_private.h"
#include "smtp_params.h"
#include "smtp_path.h"

enum { BODY_SEARCH_BYTES = 4096 };

static bool has(const struct smtp_client *client, unsigned extension)
{
    return (client->extensions & extension) != 0;
}

/* ---- before anything is sent */

static bool send_is_ascii(const struct smtp_client_message *message)
{
    if (message->smtputf8 || !smtp_is_ascii(message->sender)) return false;
    for (size_t i = 0; i < message->recipients_count; i++) {
        if (!smtp_is_ascii(message->recipients[i].address)) return false;
    }
    return true;
}

/* What this server can't take: then `*why` is what it would say. */
static bool send_is_possible(struct smtp_client *client, struct smtp_client_reply *why)
{
    const struct smtp_client_message *message = client->message;
    struct smtp_path path;
    if (message->sender.len > 0 && smtp_address_parse(message->sender, &path).code != ERR_OK) {
        *why = SMTP_CLIENT_OWN(553, 1, 7, "Bad sender address");
        return false;
    }
    if (client->size_max_bytes > 0 && body_size(message->body) > client->size_max_bytes) {
        *why = SMTP_CLIENT_OWN(552, 3, 4, "Message is bigger than the server takes");
        return false;
    }
    if (!send_is_ascii(message) && !has(client, SMTP_HAS_SMTPUTF8)) {
        *why = SMTP_CLIENT_OWN(553, 6, 7, "The server takes no SMTPUTF8");
        return false;
    }
    if (message->body_8bit && !has(client, SMTP_HAS_8BITMIME) &&
        !client->options->send_8bit_anyway) {
        *why = SMTP_CLIENT_OWN(554, 6, 3, "The server takes no 8BITMIME");
        return false;
    }
    return true;
}

void smtp_client_send(struct smtp_client *client, struct smtp_client_message *message)
{
    struct smtp_client_reply why;
    CHECK(client->wish == SMTP_CLIENT_WISH_MESSAGE && client->state == SMTP_CLIENT_READY);
    CHECK(message->recipients_count > 0);
    arena_clear(&client->texts);
    client->last_text = SPAN("");
    client->message = message;
    client->sent = client->answered = client->accepted = client->ended = 0;
    client->mail_refused = client->bdat_is_said = client->body_is_said = false;
    client->body_at = 0;
    client->at_line_start = true;
    client->uses_bdat = client->options->chunking && has(client, SMTP_HAS_CHUNKING);
    if (!send_is_possible(client, &why)) {
        smtp_client_result_all(client, SMTP_CLIENT_PENDING, SMTP_CLIENT_FAILED, why);
        return; /* the wish for a message stays */
    }
    /* An address that is none is not sent: no byte of it may become a command. */
    struct smtp_path path;
    size_t good = 0;
    for (size_t i = 0; i < message->recipients_count; i++) {
        if (smtp_address_parse(message->recipients[i].address, &path).code == ERR_OK) {
            good++;
            continue;
        }
        smtp_client_result_one(client, &message->recipients[i], SMTP_CLIENT_FAILED,
                               SMTP_CLIENT_OWN(553, 1, 3, "Bad recipient address"));
    }
    if (good == 0) return;
    client->wish = SMTP_CLIENT_WISH_NOTHING;
    client->state = SMTP_CLIENT_MAIL;
    smtp_client_pump(client);
}

/* ---- commands */

static void send_mail(struct smtp_client *client)
{
    const struct smtp_client_message *message = client->message;
    struct buf *out = client->out;
    buf_put(out, SPAN("MAIL FROM:<"));
    buf_put(out, message->sender);
    buf_put(out, SPAN(">"));
    if (has(client, SMTP_HAS_SIZE)) {
        char size[32];
        int len = snprintf(size, sizeof(size), " SIZE=%" PRIu64, body_size(message->body));
        buf_put(out, span_of(size, (size_t)len));
    }
    if (message->body_8bit && has(client, SMTP_HAS_8BITMIME)) buf_put(out, SPAN(" BODY=8BITMIME"));
    if (!send_is_ascii(message)) buf_put(out, SPAN(" SMTPUTF8"));
    if (has(client, SMTP_HAS_DSN)) {
        if (message->has_ret) {
            buf_put(out, message->ret_full ? SPAN(" RET=FULL") : SPAN(" RET=HDRS"));
        }
        if (message->envid.len > 0 && message->envid.len <= SMTP_ENVID_MAX_BYTES &&
            smtp_xtext_is_valid(message->envid)) {
            buf_put(out, SPAN(" ENVID="));
            buf_put(out, message->envid);
        }
    }
    buf_put(out, SPAN("\r\n"));
}

static void send_notify(struct smtp_client *client, unsigned notify)
{
    static const struct { unsigned bit; struct span word; } words[] = {
        { SMTP_NOTIFY_NEVER, SPAN_INIT("NEVER") }, { SMTP_NOTIFY_SUCCESS, SPAN_INIT("SUCCESS") },
        { SMTP_NOTIFY_FAILURE, SPAN_INIT("FAILURE") }, { SMTP_NOTIFY_DELAY, SPAN_INIT("DELAY") },
    };
    struct span before = SPAN(" NOTIFY=");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if ((notify & words[i].bit) == 0) continue;
        buf_put(client->out, before);
        buf_put(client->out, words[i].word);
        if (words[i].bit == SMTP_NOTIFY_NEVER) return; /* it stands alone */
        before = SPAN(",");
    }
}

static void send_rcpt(struct smtp_client *client, const struct smtp_client_recipient *recipient)
{
    struct buf *out = client->out;
    buf_put(out, SPAN("RCPT TO:<"));
    buf_put(out, recipient->address);
    buf_put(out, SPAN(">"));
    if (has(client, SMTP_HAS_DSN)) {
        send_notify(client, recipient->notify);
        bool is_good = smtp_orcpt_is_valid(recipient->orcpt) &&
                       (smtp_is_ascii(recipient->orcpt) || !send_is_ascii(client->message));
        if (is_good) {
            buf_put(out, SPAN(" ORCPT="));
            buf_put(out, recipient->orcpt);
        }
    }
    buf_put(out, SPAN("\r\n"));
}

/* The recipient whose RCPT is command `index`, or NULL: it is none, or is not sent. */
static struct smtp_client_recipient *envelope_recipient(struct smtp_client *client, size_t index)
{
    struct smtp_client_message *message = client->message;
    if (index == 0 || index > message->recipients_count) return NULL;
    struct smtp_client_recipient *recipient = &message->recipients[index - 1];
    return recipient->result == SMTP_CLIENT_PENDING ? recipient : NULL;
}

/* Moves `*index` past recipients that are settled before they are asked for. */
static void envelope_skip(struct smtp_client *client, size_t *index)
{
    size_t count = client->message->recipients_count;
    while (*index > 0 && *index <= count && envelope_recipient(client, *index) == NULL) ++*index;
}

static bool envelope_waits(const struct smtp_client *client)
{
    return client->sent > client->answered;
}

static void send_reset(struct smtp_client *client)
{
    client->message = NULL;
    client->state = SMTP_CLIENT_RSET;
    buf_put(client->out, SPAN("RSET\r\n"));
}

/* Sends what may be sent of the envelope now: all of it, or one command after the other. */
static void envelope_pump(struct smtp_client *client)
{
    size_t data = client->message->recipients_count + 1;
    bool is_group = has(client, SMTP_HAS_PIPELINING);
    bool data_waits = !is_group || client->options->lmtp || client->uses_bdat;
    while (client->state != SMTP_CLIENT_BODY && smtp_client_has_room(client)) {
        if (client->sent <= data) envelope_skip(client, &client->sent);
        if (client->sent > data || (!is_group && envelope_waits(client))) return;
        if (client->sent < data) {
            if (client->sent == 0) {
                send_mail(client);
            } else {
                send_rcpt(client, envelope_recipient(client, client->sent));
            }
            client->sent++;
            continue;
        }
        if (data_waits && envelope_waits(client)) return;
        if (data_waits && client->accepted == 0) {
            send_reset(client);
            return;
        }
        client->sent++;
        if (client->uses_bdat) {
            client->answered = client->sent;
            client->state = SMTP_CLIENT_BODY;
        } else {
            buf_put(client->out, SPAN("DATA\r\n"));
        }
    }
}

/* ---- the body */

/* Appends from the body while there is room: CRLF at each line's end, and a dot before a dot. A CR
 * or LF on its own becomes CRLF, so that no server may take it for what it is not. */
static void body_pump(struct smtp_client *client)
{
    struct buf *out = client->out;
    struct body *body = client->message->body;
    struct span piece;
    while (out->size - out->len > 8 && (piece = body_piece(body, client->body_at)).len > 0) {
        if (client->at_line_start && piece.ptr[0] == '.') buf_put(out, SPAN("."));
        piece = span_head(span_head(piece, out->size - out->len - 4), BODY_SEARCH_BYTES);
        const char *lf = memchr(piece.ptr, '\n', piece.len);
        struct span text = span_head(piece, lf == NULL ? piece.len : (size_t)(lf - piece.ptr));
        const char *cr = text.len == 0 ? NULL : memchr(text.ptr, '\r', text.len);
        if (cr != NULL) text.len = (size_t)(cr - text.ptr);
        buf_put(out, text);
        client->body_at += text.len;
        client->at_line_start = text.len < piece.len;
        if (!client->at_line_start) continue;
        buf_put(out, SPAN("\r\n"));
        client->body_at++;
        char next = '\0';
        if (cr != NULL && body_copy(body, client->body_at, &next, 1) == 1 && next == '\n') {
            client->body_at++;
        }
    }
    if (client->body_at < body_size(body) || out->size - out->len < 5) return;
    buf_put(out, client->at_line_start ? SPAN(".\r\n") : SPAN("\r\n.\r\n"));
    client->body_is_said = true;
}

static void chunk_pump(struct smtp_client *client)
{
    struct buf *out = client->out;
    struct body *body = client->message->body;
    struct span piece;
    if (!client->bdat_is_said) {
        char line[48];
        int len = snprintf(line, sizeof(line), "BDAT %" PRIu64 " LAST\r\n", body_size(body));
        if (!smtp_client_has_room(client)) return;
        buf_put(out, span_of(line, (size_t)len));
        client->bdat_is_said = true;
    }
    while (out->len < out->size && (piece = body_piece(body, client->body_at)).len > 0) {
        piece = span_head(piece, out->size - out->len);
        buf_put(out, piece);
        client->body_at += piece.len;
    }
    client->body_is_said = client->body_at == body_size(body);
}

void smtp_client_pump(struct smtp_client *client)
{
    if (client->wish != SMTP_CLIENT_WISH_NOTHING || client->message == NULL) return;
    bool in_envelope = client->state == SMTP_CLIENT_MAIL || client->state == SMTP_CLIENT_RCPT ||
                       client->state == SMTP_CLIENT_DATA;
    if (in_envelope) envelope_pump(client);
    if (client->state != SMTP_CLIENT_BODY) return;
    if (client->uses_bdat) {
        chunk_pump(client);
    } else {
        body_pump(client);
    }
    if (client->body_is_said) client->state = SMTP_CLIENT_BODY_END;
}

/* ---- replies */

static enum smtp_client_result result_of(struct smtp_client_reply reply)
{
    return reply.code / 100u == 5 ? SMTP_CLIENT_FAILED : SMTP_CLIENT_DEFERRED;
}

static void got_mail(struct smtp_client *client)
{
    if (client->reply.code / 100u == 2) return;
    client->mail_refused = true;
    client->mail_reply = client->reply;
    client->mail_reply.text = smtp_client_keep(client, client->reply.text);
    /* In a group each RCPT is still answered; the recipients stay PENDING until then, so that the
     * replies find their places. */
    if (has(client, SMTP_HAS_PIPELINING)) return;
    smtp_client_result_all(client, SMTP_CLIENT_PENDING, result_of(client->reply), client->reply);
    send_reset(client);
}

static void got_rcpt(struct smtp_client *client, struct smtp_client_recipient *recipient)
{
    struct smtp_client_reply reply = client->mail_refused ? client->mail_reply : client->reply;
    if (reply.code / 100u == 2) {
        smtp_client_result_one(client, recipient, SMTP_CLIENT_ACCEPTED, reply);
        client->accepted++;
    } else {
        /* RFC 5321 4.5.3.1.10: 552 to RCPT once meant too many of them, for now. */
        bool is_too_many = reply.code == 552 && !client->mail_refused;
        smtp_client_result_one(client, recipient,
                               is_too_many ? SMTP_CLIENT_DEFERRED : result_of(reply), reply);
    }
}

static void got_data(struct smtp_client *client)
{
    if (client->reply.code == 354 && client->accepted > 0) {
        client->state = SMTP_CLIENT_BODY;
        return;
    }
    if (client->reply.code == 354) {
        buf_put(client->out, SPAN(".\r\n"));
        client->state = SMTP_CLIENT_BODY_END;
        return;
    }
    smtp_client_result_all(client, SMTP_CLIENT_ACCEPTED, result_of(client->reply), client->reply);
    send_reset(client);
}

void smtp_client_got_envelope(struct smtp_client *client)
{
    size_t data = client->message->recipients_count + 1;
    if (!envelope_waits(client)) { /* nothing was asked */
        smtp_client_fail(client, client->reply);
        return;
    }
    size_t index = client->answered;
    if (index == 0) {
        client->state = SMTP_CLIENT_RCPT;
        client->answered = 1;
        got_mail(client);
        if (client->message == NULL) return;
    } else if (index < data) {
        got_rcpt(client, &client->message->recipients[index - 1]);
        client->answered = index + 1;
    } else {
        client->answered = index + 1;
        got_data(client);
        return;
    }
    envelope_skip(client, &client->answered);
    if (client->answered == data) client->state = SMTP_CLIENT_DATA;
}

/* The reply to the body: one for all, in LMTP one for each recipient that was taken, in order. */
void smtp_client_got_body(struct smtp_client *client)
{
    struct smtp_client_reply reply = client->reply;
    enum smtp_client_result result = reply.code / 100u == 2 ? SMTP_CLIENT_DONE : result_of(reply);
    bool is_early = client->state == SMTP_CLIENT_BODY;
    if (is_early) { /* it gives up, and can't tell our body from commands */
        if (result == SMTP_CLIENT_DONE) result = SMTP_CLIENT_DEFERRED;
        smtp_client_result_all(client, SMTP_CLIENT_ACCEPTED, result, reply);
        smtp_client_fail(client, reply);
        return;
    }
    if (!client->options->lmtp) {
        smtp_client_result_all(client, SMTP_CLIENT_ACCEPTED, result, reply);
    } else {
        struct smtp_client_message *message = client->message;
        while (message->recipients[client->ended].result != SMTP_CLIENT_ACCEPTED) client->ended++;
        smtp_client_result_one(client, &message->recipients[client->ended++], result, reply);
        if (--client->accepted > 0) return;
    }
    client->message = NULL;
    client->state = SMTP_CLIENT_READY;
    client->wish = SMTP_CLIENT_WISH_MESSAGE;
}

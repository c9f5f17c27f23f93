/* A connection: smtp_client is the conversation, this moves its bytes and keeps its times. */
#include <stdio.h>
#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "clock.h"
#include "conn.h"
#include "courier_link_private.h"
#include "loop.h"

enum {
    LINK_WORDS_BYTES = COURIER_HOST_NAME_BYTES + 2 * SMTP_CLIENT_PASSWORD_MAX_BYTES,
    LINK_LIFE_MS = 2 * 3600 * 1000, /* however busy it looks */
};

/* Freed in link_on_closed() and nowhere else. */
struct courier_link {
    struct list link;
    struct courier *courier;
    struct courier_group *group; /* NULL: it heard what there was to hear; we say goodbye */
    struct conn *conn;
    struct timer timer;
    uint64_t end_ms;
    struct smtp_client_options options;
    struct smtp_client client;
    struct buf out;
    struct smtp_client_message message;
    struct smtp_client_recipient recipients[COURIER_RCPT_MAX];
    size_t indexes[COURIER_RCPT_MAX]; /* whose they are in the entry */
    struct body *body;
    char host[COURIER_HOST_NAME_BYTES]; /* with a NUL: the name, or the address where it has none */
    char words[LINK_WORDS_BYTES];
    bool is_connected, tls_starts, was_ready, is_closing;
    bool tls_was_asked; /* and the connection went instead of an answer */
};

static void link_work(struct courier_link *link);

/* No more will be heard. Returns whether the message may have arrived all the same. */
static bool link_lost(struct courier_link *link, struct err why)
{
    bool is_unsure = link->client.state == SMTP_CLIENT_BODY_END;
    if (link->is_closing) return is_unsure;
    if (link->tls_starts) {
        link->tls_starts = false;
        smtp_client_answer_tls(&link->client, why);
    } else {
        link->tls_was_asked = link->client.state == SMTP_CLIENT_STARTTLS;
        smtp_client_lost(&link->client, why);
    }
    return is_unsure;
}

/* ---- outcomes */

/* "550 5.1.1 text" */
static struct span reply_text(const struct smtp_client_reply *reply,
                              char text[COURIER_ANSWER_MAX_BYTES])
{
    int len;
    int cut = reply->text.len > 700 ? 700 : (int)reply->text.len;
    if (reply->subject == 0 && reply->detail == 0) {
        len = snprintf(text, COURIER_ANSWER_MAX_BYTES, "%u %.*s", (unsigned)reply->code, cut,
                       cut > 0 ? reply->text.ptr : "");
    } else {
        len = snprintf(text, COURIER_ANSWER_MAX_BYTES, "%u %u.%u.%u %.*s", (unsigned)reply->code,
                       reply->code / 100u, (unsigned)reply->subject, (unsigned)reply->detail, cut,
                       cut > 0 ? reply->text.ptr : "");
    }
    return span_of(text, (size_t)len);
}

/* Takes what the server said into the entry. Those whom it deferred still wait: another host may
 * take them; what they were told stands until then. */
static void link_results(struct courier_link *link)
{
    struct courier_entry *entry = link->group->entry;
    char text[COURIER_ANSWER_MAX_BYTES];
    for (size_t i = 0; i < link->message.recipients_count; i++) {
        const struct smtp_client_recipient *from = &link->recipients[i];
        size_t index = link->indexes[i];
        struct span answer = reply_text(&from->reply, text);
        switch (from->result) {
        case SMTP_CLIENT_DONE:
            entry->outcomes[index].peer_has_dsn =
                (link->client.extensions & SMTP_HAS_DSN) != 0;
            entry->recipients[index].is_due = false;
            courier_outcome_set(entry, index, COURIER_DONE, answer);
            break;
        case SMTP_CLIENT_FAILED:
            entry->recipients[index].is_due = false;
            courier_outcome_set(entry, index, COURIER_FAILED, answer);
            break;
        case SMTP_CLIENT_DEFERRED:
        case SMTP_CLIENT_PENDING:
        case SMTP_CLIENT_ACCEPTED:
            courier_outcome_set(entry, index, COURIER_DEFERRED, answer);
            break;
        }
    }
    link->message.recipients_count = 0;
}

/* The group goes on without this connection. */
static void link_over(struct courier_link *link, bool is_unsure)
{
    struct courier_group *group = link->group;
    char text[COURIER_ANSWER_MAX_BYTES];
    if (group == NULL) return;
    if (link->message.recipients_count > 0) link_results(link);
    struct courier_session session = {
        .was_ready = link->was_ready,
        .tls_failed = link->client.tls_has_failed || link->tls_was_asked,
        .is_unsure = is_unsure,
    };
    if (!link->is_connected) {
        int len = snprintf(text, sizeof(text), "451 4.4.1 %s can't be connected to", link->host);
        session.answer = span_of(text, (size_t)len);
    } else if (link->client.has_failed) {
        session.answer = reply_text(&link->client.failure, text);
    }
    link->group = NULL;
    group->session = NULL;
    courier_group_session_over(group, &session);
}

/* The next of those who wait, as a message. False: there is nobody. */
static bool link_message(struct courier_link *link)
{
    struct courier_group *group = link->group;
    const struct courier_entry *entry = group->entry;
    const struct store_queue_entry *row = &entry->row;
    size_t count = 0;
    struct span sender = row->sender;
    for (; group->at != SIZE_MAX && count < COURIER_RCPT_MAX;
         group->at = entry->recipients[group->at].next) {
        const struct store_queue_recipient *recipient = &row->recipients[group->at];
        if (!entry->recipients[group->at].is_due) continue;
        struct span from = recipient->sender.len > 0 ? recipient->sender : row->sender;
        if (count > 0 && !span_eq(from, sender)) break; /* of the next message */
        sender = from;
        link->indexes[count] = group->at;
        link->recipients[count++] = (struct smtp_client_recipient){
            .address = recipient->address,
            .orcpt = recipient->dsn_orcpt,
            .notify = (uint8_t)recipient->dsn_notify,
        };
    }
    link->message = (struct smtp_client_message){
        .sender = sender,
        .envid = span_eq(sender, row->sender) ? row->dsn_envid : SPAN(""),
        .has_ret = row->dsn_ret_full,
        .ret_full = row->dsn_ret_full,
        .smtputf8 = row->smtputf8,
        .body_8bit = row->body_8bit,
        .body = entry->body,
        .recipients = link->recipients,
        .recipients_count = count,
    };
    return count > 0;
}

/* ---- times */

static void link_on_timeout(void *holder)
{
    struct courier_link *link = holder;
    struct err why = err_make(ERR_TIMEOUT, "reply");
    link_over(link, link_lost(link, why));
    link->is_closing = true;
    conn_abort(link->conn, why);
}

static void link_time(struct courier_link *link)
{
    uint64_t wait = (uint64_t)smtp_client_wait_s(&link->client) * 1000;
    uint64_t most = link->courier->options.reply_max_ms, now = clock_boot_ms();
    if (most > 0 && wait > most) wait = most;
    if (now + wait > link->end_ms) wait = link->end_ms > now ? link->end_ms - now : 1;
    timer_start(link->courier->options.loop, &link->timer, wait, link_on_timeout, link);
}

/* ---- bytes */

/* Sends what the client writes, as far as the connection takes it; `out` is empty again after. */
static void link_flush(struct courier_link *link)
{
    for (;;) {
        if (link->out.len > 0) {
            /* It can't be BUSY below the mark; on any other error closed() comes. */
            struct err err = conn_send(link->conn, buf_span(&link->out));
            link->out.len = 0;
            if (err.code != ERR_OK) return;
        }
        if (conn_waiting_bytes(link->conn) >= CONN_OUT_HIGH_BYTES) return;
        smtp_client_pump(&link->client);
        if (link->out.len == 0) return;
    }
}

static void link_close(struct courier_link *link)
{
    if (link->is_closing) return;
    link->is_closing = true;
    timer_stop(&link->timer);
    conn_close(link->conn);
}

static void link_start_tls(struct courier_link *link)
{
    struct tls_context *tls = link->courier->options.tls;
    struct err err = err_make(ERR_UNSUPPORTED, "TLS");
    if (tls != NULL) err = conn_start_tls(link->conn, tls, link->host);
    if (err.code == ERR_OK) {
        link->tls_starts = true;
    } else {
        smtp_client_answer_tls(&link->client, err);
    }
}

/* The wish for a message: the results of the one before, then the next, or goodbye. */
static void link_ready(struct courier_link *link)
{
    link->was_ready = true;
    if (link->group != NULL && link->message.recipients_count > 0) link_results(link);
    if (link->group != NULL && !link->courier->stopping && link_message(link)) {
        smtp_client_send(&link->client, &link->message);
        return;
    }
    smtp_client_quit(&link->client);
    link_over(link, false);
}

/* Does what the client wants until it waits for the server. */
static void link_work(struct courier_link *link)
{
    while (!link->is_closing) {
        link_flush(link);
        switch (link->client.wish) {
        case SMTP_CLIENT_WISH_NOTHING: link_time(link); return;
        case SMTP_CLIENT_WISH_START_TLS:
            if (!link->tls_starts) link_start_tls(link);
            if (!link->tls_starts) break;
            link_time(link);
            return;
        case SMTP_CLIENT_WISH_MESSAGE: link_ready(link); break;
        case SMTP_CLIENT_WISH_CLOSE:
            link_over(link, false);
            link_close(link);
            return;
        }
    }
}

/* The client writes into a buffer that all connections share: it is empty between calls. */
static void link_lend(struct courier_link *link)
{
    buf_init(&link->out, link->courier->out_bytes, sizeof(link->courier->out_bytes));
}

static size_t link_on_bytes(void *user, struct conn *conn, struct span in)
{
    struct courier_link *link = user;
    (void)conn;
    if (link->is_closing) return in.len;
    link_lend(link);
    size_t used = smtp_client_feed(&link->client, in);
    link_work(link);
    return used;
}

static void link_on_ready(void *user, struct conn *conn)
{
    struct courier_link *link = user;
    (void)conn;
    if (link->is_closing) return;
    link_lend(link);
    if (!link->is_connected) {
        link->is_connected = true;
    } else if (link->tls_starts) {
        link->tls_starts = false;
        smtp_client_answer_tls(&link->client, err_ok());
    }
    link_work(link);
}

static void link_on_drained(void *user, struct conn *conn)
{
    struct courier_link *link = user;
    (void)conn;
    if (link->is_closing) return;
    link_lend(link);
    link_work(link);
}

static void link_on_closed(void *user, struct err why)
{
    struct courier_link *link = user;
    struct courier *courier = link->courier;
    link_over(link, link_lost(link, why));
    timer_stop(&link->timer);
    list_remove(&link->link);
    courier->links_count--;
    smtp_client_free(&link->client);
    body_unref(link->body);
    explicit_bzero(link->words, sizeof(link->words));
    free(link);
    courier_look_later(courier);
}

/* ---- life */

static struct span link_word(struct buf *words, struct span word)
{
    size_t at = words->len;
    buf_put(words, word);
    return span_of(words->bytes + at, words->len - at);
}

static void link_options(struct courier_link *link)
{
    const struct courier_group *group = link->group;
    const struct courier_options *options = &link->courier->options;
    struct buf words;
    buf_init(&words, link->words, sizeof(link->words));
    link->options = (struct smtp_client_options){
        .tls = options->tls_must ? SMTP_CLIENT_TLS_MUST : SMTP_CLIENT_TLS_IF_OFFERED,
        .hostname = link_word(&words, options->hostname),
        .send_8bit_anyway = true,
    };
    if (options->tls == NULL || group->without_tls) {
        if (!options->tls_must) link->options.tls = SMTP_CLIENT_TLS_NEVER;
    }
    if (!group->has_login) return;
    link->options.user = link_word(&words, options->smart_user);
    link->options.password = link_word(&words, options->smart_password);
}

/* What the other server is called in its certificate. */
static void link_host(struct courier_link *link)
{
    const struct courier_hosts *hosts = link->group->hosts;
    struct span host = span_head(hosts->host, sizeof(link->host) - 1);
    char ip[ENDPOINT_TEXT_BYTES];
    if (host.len > 0 && host.ptr[host.len - 1] == '.') host.len--;
    if (host.len == 0 || host.ptr[0] == '[') host = endpoint_ip_text(&hosts->endpoint, ip);
    memcpy(link->host, host.ptr, host.len);
}

struct err courier_link_start(struct courier_group *group)
{
    static const struct conn_user calls = {
        .bytes = link_on_bytes, .closed = link_on_closed, .ready = link_on_ready,
        .drained = link_on_drained,
    };
    struct courier *courier = group->entry->courier;
    char address[ENDPOINT_TEXT_BYTES];
    struct courier_link *link = calloc(1, sizeof(*link));
    if (link == NULL) return err_make(ERR_NOMEM, "connection to a mail host");
    (void)endpoint_text(&group->hosts->endpoint, address);
    struct conn_target target = { .address = address, .connect_ms = courier->options.connect_ms };
    link->courier = courier;
    link->group = group;
    struct err err = conn_connect(courier->options.loop, &target, &calls, link, &link->conn);
    if (err.code != ERR_OK) {
        free(link);
        return err;
    }
    link_host(link);
    link->end_ms = clock_boot_ms() + LINK_LIFE_MS;
    link->body = body_ref(group->entry->body);
    link_options(link);
    link_lend(link);
    smtp_client_init(&link->client, &link->options, &link->out);
    group->session = link;
    group->at = group->first;
    list_add(&courier->links, &link->link);
    courier->links_count++;
    return err_ok();
}

void courier_link_leave(struct courier_link *link)
{
    link->group->session = NULL;
    link->group = NULL;
    link->is_closing = true;
    link->message.recipients_count = 0;
    timer_stop(&link->timer);
    conn_abort(link->conn, err_make(ERR_CANCELLED, "mail under way"));
}

void courier_links_abort(struct courier *courier, bool all)
{
    for (struct list *at = courier->links.next, *next; at != &courier->links; at = next) {
        struct courier_link *link = LIST_ITEM(at, struct courier_link, link);
        next = at->next;
        bool is_sending = link->client.state == SMTP_CLIENT_BODY ||
                          link->client.state == SMTP_CLIENT_BODY_END;
        if (is_sending && !all) continue;
        if (!link->is_closing) smtp_client_lost(&link->client, err_make(ERR_CANCELLED, "stop"));
        link->is_closing = true;
        if (!is_sending) link->message.recipients_count = 0; /* as if it had not been begun */
        link_over(link, is_sending);
        timer_stop(&link->timer);
        conn_abort(link->conn, err_make(ERR_CANCELLED, "stop"));
    }
}

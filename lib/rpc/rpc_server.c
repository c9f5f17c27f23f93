#include <stdlib.h>

#include "check.h"
#include "listener.h"
#include "proto_message.h"
#include "rpc_server_private.h"
#include "tls.h"

/* ---- links */

void rpc_server_end(struct rpc_server *server)
{
    if (!server->closing || server->links_count > 0 || server->strangers_count > 0) return;
    if (server->servings_count > 0) return;
    while (!list_is_empty(&server->pool)) {
        struct rpc_serving *serving = LIST_ITEM(server->pool.next, struct rpc_serving, link);
        list_remove(&serving->link);
        arena_clear(&serving->arena);
        free(serving);
    }
    void (*closed)(void *) = server->options.closed;
    void *holder = server->options.holder;
    free(server->entries);
    free(server);
    if (closed != NULL) closed(holder);
}

void rpc_server_link_check(struct rpc_link *link)
{
    if (link->leaving && link->lanes_count == 0 && link->conn != NULL) conn_close(link->conn);
}

/* Says why, then closes: what is sent before a close still arrives. */
static void rpc_server_refuse(struct rpc_link *link, struct err err)
{
    struct span reason = span_of(err.what, strlen(err.what));
    struct rpc_frame goaway = { .kind = RPC_GOAWAY, .error = (uint16_t)err.code,
                                .payload = span_head(reason, RPC_INFO_MAX_BYTES) };
    rpc_link_tell(link, err, reason, false);
    link->told = true;
    rpc_link_say(link, &goaway);
    if (link->why.code == ERR_OK) link->why = err;
    conn_close(link->conn);
}

/* It counts among the others from now on. */
static void rpc_server_greet(struct rpc_server *server, struct rpc_link *link)
{
    link->stranger = false;
    list_remove(&link->link);
    list_add(&server->links, &link->link);
    server->strangers_count--;
    server->links_count++;
}

static void rpc_server_on_hello(struct rpc_link *link, const struct rpc_frame *frame)
{
    struct rpc_server *server = link->holder;
    struct err err = rpc_hello_check(link, frame, false);
    uint16_t low = frame->version_low, high = frame->version_high;
    if (low < server->version_low) low = server->version_low;
    if (high > server->version_high) high = server->version_high;
    if (err.code == ERR_OK && low > high) {
        err = err_make(ERR_UNSUPPORTED, "no version that both speak");
    }
    if (err.code == ERR_OK && server->links_count >= RPC_CLIENTS_MAX) {
        err = err_make(ERR_BUSY, "too many programs are connected");
    }
    if (err.code != ERR_OK) {
        rpc_server_refuse(link, err);
        return;
    }
    if (link->stranger) rpc_server_greet(server, link);
    link->said_hello = true;
    timer_stop(&link->timer);
    rpc_hello_say(link, high, high);
}

static void rpc_server_on_goaway(struct rpc_link *link, const struct rpc_frame *frame)
{
    (void)frame;
    rpc_link_break(link, err_make(ERR_SYNTAX, "frame for a client"));
}

static void rpc_server_on_ready(struct rpc_link *link) { (void)link; }

static void rpc_server_on_closed(struct rpc_link *link, struct err why)
{
    struct rpc_server *server = link->holder;
    /* Who only looked whether somebody is there is no news. */
    if (!link->said_hello && !link->told && why.code != ERR_CANCELLED && why.code != ERR_OK) {
        rpc_link_tell(link, why, span_of(why.what, strlen(why.what)), false);
    }
    for (uint32_t i = 0; i < link->lanes_size; i++) {
        struct rpc_serving *serving = (struct rpc_serving *)link->lanes[i];
        if (serving == NULL) continue;
        if (serving->deadline_ms == 0 && serving->state != RPC_SERVING_OVER) {
            rpc_link_endless(link, -1);
        }
        rpc_message_free(link, &serving->message);
        rpc_lane_close(&serving->lane);
        if (serving->state == RPC_SERVING_OPEN) {
            rpc_serving_cancel(serving, ERR_CANCELLED);
        } else {
            rpc_serving_free(serving);
        }
    }
    if (link->stranger) {
        server->strangers_count--;
    } else {
        server->links_count--;
    }
    rpc_link_free(link);
    rpc_server_end(server);
}

static const struct rpc_link_user rpc_server_link_user = {
    .hello = rpc_server_on_hello,
    .goaway = rpc_server_on_goaway,
    .frame = rpc_serving_on_frame,
    .sent = rpc_serving_on_sent,
    .ready = rpc_server_on_ready,
    .closed = rpc_server_on_closed,
};

/* Room for one that has not said hello: whoever is quick gets through a crowd that is not. */
static void rpc_server_make_room(struct rpc_server *server)
{
    if (server->strangers_count < RPC_STRANGERS_MAX) return;
    struct rpc_link *oldest = LIST_ITEM(server->strangers.next, struct rpc_link, link);
    rpc_server_greet(server, oldest); /* for the moment until it is gone */
    rpc_link_break(oldest, err_make(ERR_BUSY, "too many that have not said hello"));
}

static void rpc_server_on_connection(void *holder, struct listener *listener)
{
    struct rpc_server *server = holder;
    const struct rpc_link_options options = { .self = server->options.self,
                                              .ping_ms = server->options.ping_ms };
    struct rpc_link *link = rpc_link_new(server->loop, &rpc_server_link_user, server, &options);
    if (link == NULL) return; /* the listener closes it */
    if (conn_accept(listener, &rpc_link_conn_user, link, &link->conn).code != ERR_OK) {
        rpc_link_free(link);
        return;
    }
    rpc_server_make_room(server);
    conn_read_always(link->conn);
    link->peer = conn_peer(link->conn);
    link->stranger = true;
    list_add(&server->strangers, &link->link);
    server->strangers_count++;
    timer_start(server->loop, &link->timer, server->options.hello_ms, rpc_link_break_late, link);
    if (link->peer.kind == ENDPOINT_UNIX) return;
    struct tls_context *tls = rpc_self_tls(server->options.self, false);
    struct err err = err_make(ERR_DENIED, "no TLS");
    if (tls != NULL) err = conn_start_tls(link->conn, tls, NULL);
    tls_context_unref(tls);
    if (err.code != ERR_OK) rpc_link_break(link, err);
}

/* ---- what the user calls */

struct err rpc_server_serve(struct rpc_server *server, const struct rpc_service *service)
{
    uint32_t count = server->entries_count;
    for (unsigned i = 0; i < service->methods_count; i++) {
        uint32_t number = service->methods[i].number;
        if (number >= count) count = number + 1;
    }
    struct rpc_entry *entries = realloc(server->entries, ((size_t)count + 1) * sizeof(*entries));
    if (entries == NULL) return err_make(ERR_NOMEM, "server");
    memset(entries + server->entries_count, 0,
           ((size_t)count + 1 - server->entries_count) * sizeof(*entries));
    server->entries = entries;
    server->entries_count = count;
    for (unsigned i = 0; i < service->methods_count; i++) {
        struct rpc_entry *entry = &entries[service->methods[i].number];
        CHECK(entry->method == NULL);
        entry->method = &service->methods[i];
        entry->holder = service->holder;
    }
    for (unsigned i = 0; i < service->rows_count; i++) {
        uint32_t number = service->rows[i].number;
        CHECK(number < count && entries[number].method != NULL);
        entries[number].row = &service->rows[i];
    }
    return err_ok();
}

static struct err rpc_server_index(struct rpc_server *server)
{
    const struct rpc_server_options *options = &server->options;
    const struct rpc_service service = { options->methods, options->methods_count, options->rows,
                                         options->rows_count, options->holder };
    return rpc_server_serve(server, &service);
}

static void rpc_server_stop_listening(struct rpc_server *server)
{
    for (unsigned i = 0; i < server->listeners_count; i++) listener_close(server->listeners[i]);
    server->listeners_count = 0;
}

struct err rpc_server_listen(struct rpc_server *server, const char *address)
{
    struct listener_options options = {
        .address = address,
        .share_port = server->options.share_port,
        .ready = rpc_server_on_connection,
        .holder = server,
    };
    struct span text = span_of(address, strlen(address));
    if (server->listeners_count == RPC_LISTENERS_MAX) {
        return err_make(ERR_TOO_BIG, "addresses to listen on");
    }
    if (!span_starts_nocase(text, SPAN("unix:")) && !rpc_self_has_tls(server->options.self)) {
        return err_make(ERR_DENIED, "listening on TCP needs certificates of our own");
    }
    TRY(listener_open(server->loop, &options, &server->listeners[server->listeners_count]));
    server->listeners_count++;
    return err_ok();
}

struct err rpc_server_open(struct loop *loop, const struct rpc_server_options *options,
                           struct rpc_server **ret)
{
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL) return err_make(ERR_NOMEM, "server");
    server->loop = loop;
    server->options = *options;
    if (options->hello_ms == 0) server->options.hello_ms = RPC_HELLO_MS;
    server->version_low = options->versions[0] == 0 ? RPC_VERSION : options->versions[0];
    server->version_high = options->versions[1] == 0 ? RPC_VERSION : options->versions[1];
    list_init(&server->strangers);
    list_init(&server->links);
    list_init(&server->servings);
    list_init(&server->pool);
    struct err err = rpc_server_index(server);
    for (unsigned i = 0; err.code == ERR_OK && i < options->addresses_count; i++) {
        err = rpc_server_listen(server, options->addresses[i]);
    }
    if (err.code != ERR_OK) {
        rpc_server_stop_listening(server);
        free(server->entries);
        free(server);
        return err;
    }
    *ret = server;
    return err_ok();
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    uint16_t port = 0;
    for (unsigned i = 0; i < server->listeners_count && port == 0; i++) {
        port = listener_port(server->listeners[i]);
    }
    return port;
}

void rpc_server_drain(struct rpc_server *server)
{
    if (server->draining) return;
    server->draining = true;
    rpc_server_stop_listening(server);
    struct rpc_frame goaway = { .kind = RPC_GOAWAY };
    struct list *const heads[] = { &server->links, &server->strangers };
    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (struct list *at = heads[i]->next; at != heads[i];) {
            struct rpc_link *link = LIST_ITEM(at, struct rpc_link, link);
            at = at->next;
            link->leaving = true;
            if (link->said_hello) rpc_link_say(link, &goaway);
            rpc_server_link_check(link);
        }
    }
}

void rpc_server_close(struct rpc_server *server)
{
    if (server == NULL || server->closing) return;
    rpc_server_stop_listening(server);
    server->draining = true;
    struct list *const heads[] = { &server->links, &server->strangers };
    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (struct list *at = heads[i]->next; at != heads[i]; at = at->next) {
            struct rpc_link *link = LIST_ITEM(at, struct rpc_link, link);
            rpc_link_break(link, err_make(ERR_CANCELLED, "server"));
        }
    }
    server->closing = true;
    rpc_server_end(server);
}

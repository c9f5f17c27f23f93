#include <stdlib.h>

#include "check.h"
#include "listener.h"
#include "proto_message.h"
#include "rpc_server_private.h"
#include "tls.h"

/* ---- links */

void rpc_server_end(struct rpc_server *server)
{
    if (!server->closing || server->links_count > 0 || server->servings_count > 0) return;
    while (!list_is_empty(&server->pool)) {
        struct rpc_serving *serving = LIST_ITEM(server->pool.next, struct rpc_serving, link);
        list_remove(&serving->link);
        arena_clear(&serving->arena);
        free(serving);
    }
    void (*closed)(void *) = server->options.closed;
    void *holder = server->options.holder;
    tls_context_unref(server->options.tls);
    free(server->entries);
    free(server);
    if (closed != NULL) closed(holder);
}

void rpc_server_link_check(struct rpc_link *link)
{
    if (link->leaving && link->lanes_count == 0 && link->conn != NULL) conn_close(link->conn);
}

/* Says why, then closes: what is sent before a close still arrives. */
static void rpc_server_refuse(struct rpc_link *link, enum err_code code)
{
    struct rpc_frame goaway = { .kind = RPC_GOAWAY, .error = (uint16_t)code };
    rpc_link_say(link, &goaway);
    if (link->why.code == ERR_OK) link->why = err_make(code, "hello");
    conn_close(link->conn);
}

static void rpc_server_on_hello(struct rpc_link *link, const struct rpc_frame *frame)
{
    const struct rpc_server *server = link->holder;
    struct err err = rpc_link_role(link, frame->role, &link->peer_role);
    uint16_t low = frame->version_low, high = frame->version_high;
    if (low < server->version_low) low = server->version_low;
    if (high > server->version_high) high = server->version_high;
    if (err.code == ERR_OK && low > high) err = err_make(ERR_UNSUPPORTED, "version");
    if (err.code != ERR_OK) {
        rpc_server_refuse(link, err.code);
        return;
    }
    struct rpc_frame hello = { .kind = RPC_HELLO, .version_low = high, .version_high = high,
                               .role = server->options.role };
    link->said_hello = true;
    timer_stop(&link->timer);
    rpc_link_say(link, &hello);
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
    (void)why;
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
    rpc_link_free(link);
    server->links_count--;
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

static void rpc_server_on_connection(void *holder, struct listener *listener)
{
    struct rpc_server *server = holder;
    if (server->links_count >= RPC_CLIENTS_MAX) return; /* the listener closes it */
    struct rpc_link *link = rpc_link_new(server->loop, &rpc_server_link_user, server,
                                         server->options.ping_ms);
    if (link == NULL) return;
    if (conn_accept(listener, &rpc_link_conn_user, link, &link->conn).code != ERR_OK) {
        rpc_link_free(link);
        return;
    }
    conn_read_always(link->conn);
    list_add(&server->links, &link->link);
    server->links_count++;
    timer_start(server->loop, &link->timer, RPC_HELLO_MS, rpc_link_break_late, link);
    if (conn_peer(link->conn).kind == ENDPOINT_UNIX) return;
    struct err err = err_make(ERR_DENIED, "no TLS");
    if (server->options.tls != NULL) err = conn_start_tls(link->conn, server->options.tls, NULL);
    if (err.code != ERR_OK) rpc_link_break(link, err);
}

/* ---- what the user calls */

static struct err rpc_server_index(struct rpc_server *server)
{
    const struct rpc_server_options *options = &server->options;
    for (unsigned i = 0; i < options->methods_count; i++) {
        uint32_t number = options->methods[i].number;
        if (number >= server->entries_count) server->entries_count = number + 1;
    }
    server->entries = calloc((size_t)server->entries_count + 1, sizeof(*server->entries));
    if (server->entries == NULL) return err_make(ERR_NOMEM, "server");
    for (unsigned i = 0; i < options->methods_count; i++) {
        server->entries[options->methods[i].number].method = &options->methods[i];
    }
    for (unsigned i = 0; i < options->rows_count; i++) {
        uint32_t number = options->rows[i].number;
        CHECK(number < server->entries_count && server->entries[number].method != NULL);
        server->entries[number].row = &options->rows[i];
    }
    return err_ok();
}

struct err rpc_server_open(struct loop *loop, const struct rpc_server_options *options,
                           struct rpc_server **ret)
{
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL) return err_make(ERR_NOMEM, "server");
    server->loop = loop;
    server->options = *options;
    server->options.tls = options->tls == NULL ? NULL : tls_context_ref(options->tls);
    server->version_low = options->versions[0] == 0 ? RPC_VERSION : options->versions[0];
    server->version_high = options->versions[1] == 0 ? RPC_VERSION : options->versions[1];
    list_init(&server->links);
    list_init(&server->servings);
    list_init(&server->pool);
    struct err err = rpc_server_index(server);
    if (err.code == ERR_OK) {
        struct listener_options listen = {
            .address = options->address,
            .share_port = options->share_port,
            .ready = rpc_server_on_connection,
            .holder = server,
        };
        err = listener_open(loop, &listen, &server->listener);
    }
    if (err.code != ERR_OK) {
        tls_context_unref(server->options.tls);
        free(server->entries);
        free(server);
        return err;
    }
    *ret = server;
    return err_ok();
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return listener_port(server->listener);
}

void rpc_server_drain(struct rpc_server *server)
{
    if (server->draining) return;
    server->draining = true;
    listener_close(server->listener);
    server->listener = NULL;
    struct rpc_frame goaway = { .kind = RPC_GOAWAY };
    for (struct list *at = server->links.next; at != &server->links;) {
        struct rpc_link *link = LIST_ITEM(at, struct rpc_link, link);
        at = at->next;
        link->leaving = true;
        if (link->said_hello) rpc_link_say(link, &goaway);
        rpc_server_link_check(link);
    }
}

void rpc_server_close(struct rpc_server *server)
{
    if (server == NULL || server->closing) return;
    listener_close(server->listener);
    server->listener = NULL;
    server->draining = true;
    for (struct list *at = server->links.next; at != &server->links; at = at->next) {
        struct rpc_link *link = LIST_ITEM(at, struct rpc_link, link);
        rpc_link_break(link, err_make(ERR_CANCELLED, "server"));
    }
    server->closing = true;
    rpc_server_end(server);
}

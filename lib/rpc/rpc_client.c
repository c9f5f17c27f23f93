#include <stdlib.h>

#include "lookup.h"
#include "rpc_client_private.h"

static void rpc_client_release(struct rpc_client *client)
{
    while (!list_is_empty(&client->pool)) {
        struct rpc_call *call = LIST_ITEM(client->pool.next, struct rpc_call, link);
        list_remove(&call->link);
        free(call);
    }
    arena_clear(&client->scratch);
    free(client->address);
    free(client);
}

void rpc_client_enter(struct rpc_client *client) { client->inside++; }

void rpc_client_exit(struct rpc_client *client)
{
    if (--client->inside == 0 && client->freed) rpc_client_release(client);
}

void rpc_client_fail_waiting(struct rpc_client *client, struct err err)
{
    char reason[RPC_REASON_BYTES] = "";
    if (err.code == client->refusal) memcpy(reason, client->reason, sizeof(reason));
    rpc_client_enter(client);
    for (unsigned left = client->waiting_count; left > 0; left--) {
        if (list_is_empty(&client->waiting)) break;
        struct rpc_call *call = LIST_ITEM(client->waiting.next, struct rpc_call, link);
        rpc_call_end(call, err, span_of(reason, strlen(reason)), false);
    }
    rpc_client_exit(client);
}

/* ---- links */

static void rpc_client_say_hello(struct rpc_link *link)
{
    struct rpc_client *client = link->holder;
    if (client == NULL) return;
    struct conn_tls_info info;
    bool plain = link->peer.kind == ENDPOINT_UNIX;
    if (!plain && !conn_tls_info(link->conn, &info)) return; /* TLS comes first */
    rpc_hello_say(link, client->version_low, client->version_high);
}

static void rpc_client_on_hello(struct rpc_link *link, const struct rpc_frame *frame)
{
    struct rpc_client *client = link->holder;
    if (client == NULL) return;
    struct err err = rpc_hello_check(link, frame, true);
    if (err.code == ERR_OK && client->peer_roles != 0 &&
        !(client->peer_roles & (uint32_t)link->peer_role)) {
        err = err_make(ERR_DENIED, "it is not of the role that is called here");
    }
    if (err.code == ERR_OK && (frame->version_low != frame->version_high ||
                               frame->version_low < client->version_low ||
                               frame->version_high > client->version_high)) {
        err = err_make(ERR_UNSUPPORTED, "version of the server");
    }
    if (err.code != ERR_OK) {
        rpc_client_refused(client, link, err, span_of(err.what, strlen(err.what)));
        rpc_link_break(link, err);
        return;
    }
    link->said_hello = true;
    timer_stop(&link->timer);
    client->backoff_ms = 0;
    client->refusal = ERR_OK;
    client->reason[0] = '\0';
    /* Ends of calls inside may free the client or leave the link. */
    while (link->holder != NULL && client->link == link && !list_is_empty(&client->waiting)) {
        rpc_call_attach(LIST_ITEM(client->waiting.next, struct rpc_call, link), link);
    }
}

void rpc_client_link_check(struct rpc_link *link)
{
    if (link->leaving && link->lanes_count == 0 && link->conn != NULL) conn_close(link->conn);
}

static void rpc_client_on_goaway(struct rpc_link *link, const struct rpc_frame *frame)
{
    struct rpc_client *client = link->holder;
    if (client == NULL) return;
    if (frame->error != ERR_OK || !link->said_hello) {
        enum err_code code = frame->error == ERR_OK ? ERR_UNREACHABLE : err_code_of(frame->error);
        struct err why = err_make(code, "the server refuses us");
        link->by_peer = true;
        if (frame->payload.len > 0) rpc_client_refused(client, link, why, frame->payload);
        rpc_link_break(link, why);
        return;
    }
    link->leaving = true;
    if (client->link == link) client->link = NULL;
    rpc_client_link_check(link);
}

void rpc_client_leave(struct rpc_client *client)
{
    struct rpc_link *link = client->link;
    link->leaving = true;
    client->link = NULL;
    rpc_client_link_check(link);
}

/* A break: what was not wholly sent was certainly not done. */
static void rpc_client_on_closed(struct rpc_link *link, struct err why)
{
    struct rpc_client *client = link->holder;
    /* First, so that calls which are started in the callbacks do not come here. */
    bool current = client != NULL && client->link == link;
    if (current) client->link = NULL;
    for (uint32_t i = 0; i < link->lanes_size; i++) {
        struct rpc_call *call = (struct rpc_call *)link->lanes[i];
        if (call == NULL) continue;
        if (call->state == RPC_CALL_OVER) {
            rpc_call_leave(call);
            rpc_call_free(call);
            continue;
        }
        enum err_code code = call->lane.first != NULL ? ERR_UNREACHABLE : ERR_UNKNOWN;
        rpc_call_end(call, err_make_detail(code, why.detail, "connection broke"),
                     span_of(NULL, 0), true);
    }
    bool said_hello = link->said_hello;
    current = current && link->holder != NULL; /* the client may have been freed in a callback */
    if (current && !said_hello && !link->told) {
        rpc_client_refused(client, link, why, span_of(why.what, strlen(why.what)));
    }
    rpc_link_free(link);
    if (!current) return;
    if (said_hello) {
        if (!list_is_empty(&client->waiting)) rpc_client_want(client);
        return;
    }
    rpc_client_failed(client, why);
}

static void rpc_client_on_sent(struct rpc_lane *lane) { (void)lane; }

const struct rpc_link_user rpc_client_link_user = {
    .hello = rpc_client_on_hello,
    .goaway = rpc_client_on_goaway,
    .frame = rpc_call_on_frame,
    .sent = rpc_client_on_sent,
    .ready = rpc_client_say_hello,
    .closed = rpc_client_on_closed,
};

struct err rpc_client_new(struct loop *loop, const struct rpc_client_options *options,
                          struct rpc_client **ret)
{
    if (!rpc_client_address_fits(options->address)) {
        return err_make(ERR_SYNTAX, "address of a program: unix:/path, ip:port or name:port");
    }
    struct rpc_client *client = calloc(1, sizeof(*client));
    if (client == NULL) return err_make(ERR_NOMEM, "client");
    client->address = strdup(options->address);
    if (client->address == NULL) {
        free(client);
        return err_make(ERR_NOMEM, "client");
    }
    client->loop = loop;
    client->self = options->self;
    client->connect_ms = options->connect_ms == 0 ? RPC_CONNECT_MS : options->connect_ms;
    client->ping_ms = options->ping_ms;
    client->peer_roles = options->peer_roles;
    client->version_low = options->versions[0] == 0 ? RPC_VERSION : options->versions[0];
    client->version_high = options->versions[1] == 0 ? RPC_VERSION : options->versions[1];
    list_init(&client->links);
    list_init(&client->waiting);
    list_init(&client->open);
    list_init(&client->pool);
    arena_init(&client->scratch, RPC_ARENA_MAX_BYTES);
    *ret = client;
    return err_ok();
}

void rpc_client_free(struct rpc_client *client)
{
    if (client == NULL || client->freed) return;
    client->freed = true;
    rpc_client_enter(client);
    timer_stop(&client->backoff);
    later_cancel(&client->connect);
    if (client->lookup != NULL) lookup_cancel(client->lookup);
    client->lookup = NULL;
    rpc_client_fail_waiting(client, err_make(ERR_CANCELLED, "call"));
    while (!list_is_empty(&client->open)) {
        struct rpc_call *call = LIST_ITEM(client->open.next, struct rpc_call, link);
        rpc_call_end(call, err_make(ERR_CANCELLED, "call"), span_of(NULL, 0), false);
    }
    while (!list_is_empty(&client->links)) {
        struct rpc_link *link = LIST_ITEM(client->links.next, struct rpc_link, link);
        list_remove(&link->link);
        for (uint32_t i = 0; i < link->lanes_size; i++) {
            if (link->lanes[i] != NULL) ((struct rpc_call *)link->lanes[i])->client = NULL;
        }
        link->holder = NULL;
        if (link->why.code == ERR_OK) link->why = err_make(ERR_CANCELLED, "client");
        if (link->conn != NULL) conn_close(link->conn);
    }
    client->link = NULL;
    rpc_client_exit(client);
}

enum err_code rpc_client_refusal(const struct rpc_client *client, struct span *ret)
{
    *ret = span_of(client->reason, strlen(client->reason));
    return client->refusal;
}

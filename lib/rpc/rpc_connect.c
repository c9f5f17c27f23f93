/* How a client comes to a link: a name is looked up, a connection made, TLS begun; and what follows
 * when nothing comes of it. */
#include <stdlib.h>

#include "id.h"
#include "lookup.h"
#include "rpc_client_private.h"
#include "tls.h"

static bool rpc_address_is_unix(const char *address)
{
    return span_starts_nocase(span_of(address, strlen(address)), SPAN("unix:"));
}

bool rpc_client_address_fits(const char *address)
{
    struct endpoint endpoint;
    struct span text = span_of(address, strlen(address));
    if (rpc_address_is_unix(address)) return text.len - 5 <= ENDPOINT_PATH_MAX_BYTES;
    return endpoint_parse(text, &endpoint).code == ERR_OK || lookup_is_name(text);
}

/* ---- when nothing comes of it */

static bool rpc_is_refusal(enum err_code code)
{
    return code == ERR_DENIED || code == ERR_UNSUPPORTED || code == ERR_SYNTAX;
}

void rpc_client_refused(struct rpc_client *client, struct rpc_link *link, struct err err,
                        struct span reason)
{
    char text[RPC_REASON_BYTES] = "";
    link->told = true;
    if (!rpc_is_refusal(err.code)) return;
    for (size_t i = 0; i < reason.len && i + 1 < sizeof(text); i++) {
        text[i] = reason.ptr[i] >= ' ' && reason.ptr[i] < 127 ? reason.ptr[i] : '.';
    }
    bool news = client->refusal != err.code || strcmp(client->reason, text) != 0;
    client->refusal = err.code;
    memcpy(client->reason, text, sizeof(text));
    if (news) rpc_link_tell(link, err, span_of(text, strlen(text)), link->by_peer);
}

static void rpc_client_on_backoff(void *client) { rpc_client_want(client); }

void rpc_client_failed(struct rpc_client *client, struct err why)
{
    client->backoff_ms = client->backoff_ms == 0 ? RPC_BACKOFF_MIN_MS : client->backoff_ms * 2;
    if (client->backoff_ms > RPC_BACKOFF_MAX_MS) client->backoff_ms = RPC_BACKOFF_MAX_MS;
    if (!rpc_is_refusal(why.code)) {
        client->refusal = ERR_OK;
        client->reason[0] = '\0';
    }
    bool refused = why.code == ERR_DENIED || why.code == ERR_UNSUPPORTED;
    if (!refused) why = err_make_detail(ERR_UNREACHABLE, why.detail, why.what);
    /* The next attempt waits; armed before the callbacks, whose calls wait for it. */
    uint64_t spread;
    id_random(&spread, sizeof(spread));
    uint64_t wait_ms = client->backoff_ms * 3 / 4 + spread % (client->backoff_ms / 2);
    timer_start(client->loop, &client->backoff, wait_ms, rpc_client_on_backoff, client);
    rpc_client_fail_waiting(client, why);
}

/* ---- a connection */

/* To an address that is no name. */
static struct err rpc_client_open(struct rpc_client *client, struct rpc_link *link,
                                  const char *address)
{
    bool plain = rpc_address_is_unix(address);
    struct tls_context *tls = plain ? NULL : rpc_self_tls(client->self, true);
    if (!plain && tls == NULL) {
        struct err err = err_make(ERR_DENIED, "a call over TCP needs certificates of our own");
        struct span text = span_of(address, strlen(address));
        (void)endpoint_parse(text, &link->peer).code;
        rpc_client_refused(client, link, err, span_of(err.what, strlen(err.what)));
        return err;
    }
    struct conn_target target = { .address = address, .connect_ms = client->connect_ms };
    struct err err = conn_connect(client->loop, &target, &rpc_link_conn_user, link, &link->conn);
    if (err.code == ERR_OK) {
        link->peer = conn_peer(link->conn);
        conn_read_always(link->conn);
        list_add(&client->links, &link->link);
        client->link = link;
        timer_start(client->loop, &link->timer, client->connect_ms, rpc_link_break_late, link);
        struct err begun = plain ? err_ok() : conn_start_tls(link->conn, tls, NULL);
        if (begun.code != ERR_OK) rpc_link_break(link, begun);
    }
    tls_context_unref(tls);
    return err;
}

static void rpc_client_connect_to(struct rpc_client *client, const char *address)
{
    const struct rpc_link_options options = { .self = client->self, .ping_ms = client->ping_ms };
    struct err err = err_make(ERR_NOMEM, "connection");
    struct rpc_link *link = rpc_link_new(client->loop, &rpc_client_link_user, client, &options);
    if (link != NULL) err = rpc_client_open(client, link, address);
    if (err.code == ERR_OK) return;
    if (link != NULL) rpc_link_free(link);
    rpc_client_failed(client, err);
}

/* ---- a name */

static void rpc_client_on_lookup_late(void *holder)
{
    struct rpc_client *client = holder;
    lookup_cancel(client->lookup);
    client->lookup = NULL;
    rpc_client_failed(client, err_make(ERR_TIMEOUT, "name of a program's host"));
}

static void rpc_client_on_found(void *holder, struct err err, const struct endpoint *found,
                                unsigned count)
{
    struct rpc_client *client = holder;
    char address[ENDPOINT_TEXT_BYTES];
    client->lookup = NULL;
    timer_stop(&client->backoff);
    if (err.code != ERR_OK) {
        rpc_client_failed(client, err);
        return;
    }
    if (list_is_empty(&client->waiting)) return;
    (void)endpoint_text(&found[client->attempts++ % count], address);
    rpc_client_connect_to(client, address);
}

static void rpc_client_look_up(struct rpc_client *client)
{
    struct crew *crew = NULL;
    struct span text = span_of(client->address, strlen(client->address));
    struct err err = rpc_self_names(client->self, &crew);
    if (err.code == ERR_OK) {
        err = lookup_start(client->loop, crew, text, rpc_client_on_found, client, &client->lookup);
    }
    if (err.code != ERR_OK) {
        rpc_client_failed(client, err);
        return;
    }
    timer_start(client->loop, &client->backoff, client->connect_ms, rpc_client_on_lookup_late,
                client);
}

static void rpc_client_connect(struct later *later)
{
    struct rpc_client *client = LIST_ITEM(later, struct rpc_client, connect);
    if (client->link != NULL || client->lookup != NULL || list_is_empty(&client->waiting)) return;
    if (lookup_is_name(span_of(client->address, strlen(client->address)))) {
        rpc_client_look_up(client);
    } else {
        rpc_client_connect_to(client, client->address);
    }
}

void rpc_client_want(struct rpc_client *client)
{
    if (client->link != NULL || timer_is_armed(&client->backoff)) return;
    if (list_is_empty(&client->waiting) || later_is_posted(&client->connect)) return;
    later_post(loop_later(client->loop), &client->connect, rpc_client_connect);
}

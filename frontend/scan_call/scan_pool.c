#include <stdlib.h>

#include "check.h"
#include "loop.h"
#include "rpc.h"
#include "rpc_client.h"
#include "scan_call_private.h"
#include "scan_msg.h"

enum { POOL_DEADLINE_MS = 60000, POOL_PATIENCE_MS = 5000 };

static void peer_watch(void *holder);

static void peer_set_ready(struct scan_pool_peer *peer, bool ready)
{
    struct scan_pool *pool = peer->pool;
    struct scan_peer *known = &pool->known[peer->index];
    if (known->ready == ready) return;
    known->ready = ready;
    if (pool->changed != NULL && !pool->closing) pool->changed(pool->holder);
}

static void peer_on_capacity(void *holder, struct rpc_call *call, const void *message)
{
    struct scan_pool_peer *peer = holder;
    const struct scan_capacity_reply *reply = message;
    struct scan_peer *known = &peer->pool->known[peer->index];
    (void)call;
    known->told = true;
    known->workers = reply->workers;
    known->busy = reply->busy;
    known->ours_at_word = known->ours;
    peer_set_ready(peer, reply->ready && reply->workers > 0);
    peer->again_ms = SCAN_CALL_AGAIN_MIN_MS;
    scan_call_capacity_changed(peer->pool);
}

static void peer_on_watch_end(void *holder, struct rpc_call *call, struct err err, struct span info)
{
    struct scan_pool_peer *peer = holder;
    struct scan_peer *known = &peer->pool->known[peer->index];
    (void)call, (void)err, (void)info;
    peer->watch = NULL;
    known->told = false;
    peer_set_ready(peer, false);
    if (peer->pool->closing) return;
    timer_start(peer->pool->loop, &peer->again, peer->again_ms, peer_watch, peer);
    peer->again_ms *= 2;
    if (peer->again_ms > SCAN_CALL_AGAIN_MAX_MS) peer->again_ms = SCAN_CALL_AGAIN_MAX_MS;
}

static const struct rpc_call_user peer_user = { NULL, peer_on_capacity, peer_on_watch_end };

static void peer_watch(void *holder)
{
    struct scan_pool_peer *peer = holder;
    struct scan_capacity_request request = { 0 };
    struct rpc_call_options options = { 0 };
    struct err err = rpc_call_start(peer->client, scan_method_find(SCAN_METHOD_CAPACITY), &request,
                                    &options, &peer_user, peer, &peer->watch);
    if (err.code != ERR_OK) {
        timer_start(peer->pool->loop, &peer->again, peer->again_ms, peer_watch, peer);
    }
}

static struct err pool_add(struct scan_pool *pool, const char *address, struct rpc_self *self)
{
    struct scan_pool_peer *peer = &pool->peers[pool->peers_count];
    peer->pool = pool;
    peer->index = pool->peers_count;
    peer->again_ms = SCAN_CALL_AGAIN_MIN_MS;
    struct rpc_client_options options = { .address = address,
                                          .self = self,
                                          .peer_roles = RPC_ROLE_SCANNER };
    TRY(rpc_client_new(pool->loop, &options, &peer->client));
    pool->peers_count++;
    peer_watch(peer);
    return err_ok();
}

struct err scan_pool_new(struct loop *loop, const struct scan_pool_options *options,
                         struct scan_pool **ret)
{
    CHECK(options->addresses_count >= 1 && options->addresses_count <= SCAN_BALANCE_PEERS_MAX);
    struct scan_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) return err_make(ERR_NOMEM, "scanners");
    pool->loop = loop;
    pool->deadline_ms = options->deadline_ms == 0 ? POOL_DEADLINE_MS : options->deadline_ms;
    pool->patience_ms = options->patience_ms == 0 ? POOL_PATIENCE_MS : options->patience_ms;
    pool->hedge_ms = options->hedge_ms;
    pool->changed = options->changed;
    pool->holder = options->holder;
    list_init(&pool->calls);
    for (unsigned i = 0; i < options->addresses_count; i++) {
        struct err err = pool_add(pool, options->addresses[i], options->self);
        if (err.code == ERR_OK) continue;
        scan_pool_free(pool);
        return err;
    }
    *ret = pool;
    return err_ok();
}

void scan_pool_free(struct scan_pool *pool)
{
    if (pool == NULL) return;
    pool->closing = true;
    scan_call_end_all(pool);
    for (unsigned i = 0; i < pool->peers_count; i++) {
        timer_stop(&pool->peers[i].again);
        rpc_client_free(pool->peers[i].client);
    }
    free(pool);
}

struct span scan_pool_refusal(const struct scan_pool *pool)
{
    struct span reason = SPAN("");
    for (unsigned i = 0; i < pool->peers_count && reason.len == 0; i++) {
        (void)rpc_client_refusal(pool->peers[i].client, &reason);
    }
    return reason;
}

unsigned scan_pool_ready(const struct scan_pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->peers_count; i++) count += pool->known[i].ready ? 1 : 0;
    return count;
}

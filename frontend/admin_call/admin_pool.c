#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin_call_private.h"
#include "loop.h"
#include "rpc_client.h"
#include "rpc_name.h"

static const enum rpc_role roles[ROSTER_KINDS] = {
    [ROSTER_FRONTEND] = RPC_ROLE_FRONTEND,
    [ROSTER_STORAGE_NODE] = RPC_ROLE_STORAGE_NODE,
    [ROSTER_SCANNER] = RPC_ROLE_SCANNER,
    [ROSTER_ROUTER] = RPC_ROLE_ROUTER,
};

struct err admin_pool_new(struct loop *loop, struct rpc_self *self, struct admin_pool **ret)
{
    struct admin_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) return err_make(ERR_NOMEM, "connections to programs");
    pool->loop = loop;
    pool->self = self;
    *ret = pool;
    return err_ok();
}

static void peer_close(struct admin_peer *peer)
{
    rpc_client_free(peer->client);
    peer->client = NULL;
}

void admin_pool_free(struct admin_pool *pool)
{
    if (pool == NULL) return;
    timer_stop(&pool->idle);
    for (unsigned i = 0; i < ADMIN_CALL_PEERS_MAX; i++) peer_close(&pool->peers[i]);
    free(pool);
}

static void on_idle(void *holder)
{
    struct admin_pool *pool = holder;
    uint64_t now_ms = loop_now_ms(pool->loop);
    bool left = false;
    for (unsigned i = 0; i < ADMIN_CALL_PEERS_MAX; i++) {
        struct admin_peer *peer = &pool->peers[i];
        if (peer->client == NULL) continue;
        if (peer->open == 0 && now_ms - peer->used_ms >= ADMIN_CALL_IDLE_MS) peer_close(peer);
        else left = true;
    }
    if (left) timer_start(pool->loop, &pool->idle, ADMIN_CALL_IDLE_MS, on_idle, pool);
}

/* A place for a new connection: a free one, or that which was not used for longest. */
static struct admin_peer *find_place(struct admin_pool *pool)
{
    struct admin_peer *oldest = NULL;
    for (unsigned i = 0; i < ADMIN_CALL_PEERS_MAX; i++) {
        struct admin_peer *peer = &pool->peers[i];
        if (peer->client == NULL) return peer;
        if (peer->open > 0) continue;
        if (oldest == NULL || peer->used_ms < oldest->used_ms) oldest = peer;
    }
    if (oldest != NULL) peer_close(oldest);
    return oldest;
}

struct err admin_peer_get(struct admin_pool *pool, const struct admin_call_target *target,
                          struct admin_peer **ret)
{
    struct admin_peer *peer = NULL;
    for (unsigned i = 0; i < ADMIN_CALL_PEERS_MAX && peer == NULL; i++) {
        struct admin_peer *at = &pool->peers[i];
        bool same = at->client != NULL && at->kind == target->kind &&
                    strcmp(at->address, target->address) == 0;
        if (same) peer = at;
    }
    if (peer == NULL) {
        peer = find_place(pool);
        if (peer == NULL) return err_make(ERR_BUSY, "connections to programs");
        const struct rpc_client_options options = { .address = target->address,
                                                    .self = pool->self,
                                                    .peer_roles = roles[target->kind],
                                                    .connect_ms = ADMIN_CALL_CONNECT_MS };
        TRY(rpc_client_new(pool->loop, &options, &peer->client));
        peer->kind = target->kind;
        snprintf(peer->address, sizeof(peer->address), "%s", target->address);
    }
    peer->used_ms = loop_now_ms(pool->loop);
    if (!timer_is_armed(&pool->idle)) {
        timer_start(pool->loop, &pool->idle, ADMIN_CALL_IDLE_MS, on_idle, pool);
    }
    *ret = peer;
    return err_ok();
}

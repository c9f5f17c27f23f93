#include <stdlib.h>

#include "check.h"
#include "loop.h"
#include "rpc.h"
#include "rpc_client.h"
#include "scan_call_private.h"
#include "scan_msg.h"

enum { POOL_DEADLINE_MS = 60000, POOL_PATIENCE_MS = 5000 };

static void peer_watch(void *holder);

static struct scan_peer *peer_known(const struct scan_pool_peer *peer)
{
    return &peer->pool->known[peer->index];
}

/* Tells the pool's owner when another number of scanners is ready. */
static void pool_tell(struct scan_pool *pool)
{
    unsigned ready = scan_pool_ready(pool);
    if (ready == pool->ready_told || pool->closing) return;
    pool->ready_told = ready;
    if (pool->changed != NULL) pool->changed(pool->holder);
}

void scan_pool_heard(struct scan_pool *pool, unsigned index)
{
    pool->peers[index].heard_ms = loop_now_ms(pool->loop);
    pool->known[index].silent = false;
}

/* It is asked for a new word, which it says at once when it is there again: of its own accord it
 * would say nothing as long as it has nothing to do. */
void scan_pool_is_silent(struct scan_pool *pool, unsigned index)
{
    if (pool->known[index].silent) return;
    pool->known[index].silent = true;
    if (pool->peers[index].watch != NULL) rpc_call_cancel(pool->peers[index].watch);
}

/* ---- the Capacity stream of one */

static void peer_on_capacity(void *holder, struct rpc_call *call, const void *message)
{
    struct scan_pool_peer *peer = holder;
    const struct scan_capacity_reply *reply = message;
    struct scan_peer *known = peer_known(peer);
    (void)call;
    known->told = true;
    known->workers = reply->workers;
    known->busy = reply->busy;
    known->ours_at_word = known->ours;
    known->ready = reply->ready && reply->workers > 0;
    peer->again_ms = SCAN_CALL_AGAIN_MIN_MS;
    scan_pool_heard(peer->pool, peer->index);
    pool_tell(peer->pool);
    scan_call_capacity_changed(peer->pool);
}

static void peer_on_watch_end(void *holder, struct rpc_call *call, struct err err, struct span info)
{
    struct scan_pool_peer *peer = holder;
    struct scan_peer *known = peer_known(peer);
    (void)call, (void)info;
    peer->watch = NULL;
    known->told = known->ready = false;
    known->silent = known->silent && err.code == ERR_CANCELLED;
    if (peer->pool->closing || known->out) return;
    pool_tell(peer->pool);
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

/* ---- who is in the pool */

static void pool_match(struct scan_pool *pool, struct err *first);

static bool address_eq(const struct scan_address *a, const struct scan_address *b)
{
    return span_eq(span_of(a->text, a->len), span_of(b->text, b->len));
}

/* The last message of one that left is done. */
static void peer_end(void *holder)
{
    struct scan_pool_peer *peer = holder;
    struct scan_pool *pool = peer->pool;
    struct err err = err_ok();
    if (peer_known(peer)->ours > 0) return; /* its end comes here again */
    rpc_client_free(peer->client);
    peer->client = NULL;
    pool_match(pool, &err); /* there is room for one more; a bad address was told of already */
}

static void peer_leave(struct scan_pool_peer *peer)
{
    peer_known(peer)->out = true;
    timer_stop(&peer->again);
    if (peer_known(peer)->ours > 0) return;
    timer_start(peer->pool->loop, &peer->again, TIMER_WAIT_MIN_MS, peer_end, peer);
}

void scan_pool_one_less(struct scan_pool *pool, unsigned index)
{
    pool->known[index].ours--;
    if (pool->known[index].out && !pool->closing) peer_leave(&pool->peers[index]);
}

/* It is listed again before it was gone. */
static void peer_stay(struct scan_pool_peer *peer)
{
    peer_known(peer)->out = false;
    timer_stop(&peer->again);
    if (peer->watch != NULL) return;
    timer_start(peer->pool->loop, &peer->again, TIMER_WAIT_MIN_MS, peer_watch, peer);
}

static struct err pool_add(struct scan_pool *pool, const struct scan_address *address)
{
    unsigned index = 0;
    while (index < SCAN_BALANCE_PEERS_MAX && pool->peers[index].client != NULL) index++;
    if (index == SCAN_BALANCE_PEERS_MAX) return err_ok(); /* when one that leaves is gone */
    struct scan_pool_peer *peer = &pool->peers[index];
    *peer = (struct scan_pool_peer){ .pool = pool, .index = index, .address = *address,
                                     .again_ms = SCAN_CALL_AGAIN_MIN_MS,
                                     .heard_ms = loop_now_ms(pool->loop) };
    struct rpc_client_options options = { .address = peer->address.text,
                                          .self = pool->self,
                                          .peer_roles = RPC_ROLE_SCANNER };
    TRY(rpc_client_new(pool->loop, &options, &peer->client));
    pool->known[index] = (struct scan_peer){ .workers = 0 };
    scan_call_forget_peer(pool, index);
    peer_watch(peer);
    return err_ok();
}

static bool pool_wants(const struct scan_pool *pool, const struct scan_address *address)
{
    for (unsigned i = 0; i < pool->wanted_count; i++) {
        if (address_eq(&pool->wanted[i], address)) return true;
    }
    return false;
}

static struct scan_pool_peer *pool_find(struct scan_pool *pool, const struct scan_address *address)
{
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) {
        struct scan_pool_peer *peer = &pool->peers[i];
        if (peer->client != NULL && address_eq(&peer->address, address)) return peer;
    }
    return NULL;
}

/* Brings the places to what is wanted; `*first` is the first error, if there was none before. */
static void pool_match(struct scan_pool *pool, struct err *first)
{
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) {
        struct scan_pool_peer *peer = &pool->peers[i];
        if (peer->client == NULL || pool->known[i].out) continue;
        if (!pool_wants(pool, &peer->address)) peer_leave(peer);
    }
    for (unsigned i = 0; i < pool->wanted_count; i++) {
        struct scan_pool_peer *peer = pool_find(pool, &pool->wanted[i]);
        struct err err = peer == NULL ? pool_add(pool, &pool->wanted[i]) : err_ok();
        if (peer != NULL && peer_known(peer)->out) peer_stay(peer);
        if (first->code == ERR_OK) *first = err;
    }
    pool_tell(pool);
}

struct err scan_pool_set(struct scan_pool *pool, const struct span *addresses, unsigned count)
{
    struct err first = err_ok();
    pool->wanted_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pool->wanted_count == SCAN_BALANCE_PEERS_MAX) {
            first = err_make(ERR_TOO_BIG, "more scanners than are used");
            break;
        }
        struct scan_address *to = &pool->wanted[pool->wanted_count];
        if (addresses[i].len > SCAN_CALL_ADDRESS_MAX_BYTES) {
            first = err_make(ERR_SYNTAX, "address of a scanner");
            continue;
        }
        *to = (struct scan_address){ .len = addresses[i].len };
        memcpy(to->text, addresses[i].ptr, addresses[i].len);
        if (!pool_wants(pool, to)) pool->wanted_count++; /* each once */
    }
    pool_match(pool, &first);
    return first;
}

struct err scan_pool_new(struct loop *loop, const struct scan_pool_options *options,
                         struct scan_pool **ret)
{
    struct span addresses[SCAN_BALANCE_PEERS_MAX];
    CHECK(options->addresses_count <= SCAN_BALANCE_PEERS_MAX);
    struct scan_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) return err_make(ERR_NOMEM, "scanners");
    pool->loop = loop;
    pool->self = options->self;
    pool->deadline_ms = options->deadline_ms == 0 ? POOL_DEADLINE_MS : options->deadline_ms;
    pool->patience_ms = options->patience_ms == 0 ? POOL_PATIENCE_MS : options->patience_ms;
    pool->hedge_ms = options->hedge_ms;
    pool->changed = options->changed;
    pool->holder = options->holder;
    list_init(&pool->calls);
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) pool->known[i].out = true;
    for (unsigned i = 0; i < options->addresses_count; i++) {
        addresses[i] = span_of(options->addresses[i], strlen(options->addresses[i]));
    }
    struct err err = scan_pool_set(pool, addresses, options->addresses_count);
    if (err.code != ERR_OK) {
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
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) {
        timer_stop(&pool->peers[i].again);
        rpc_client_free(pool->peers[i].client);
    }
    free(pool);
}

struct span scan_pool_refusal(const struct scan_pool *pool)
{
    struct span reason = SPAN("");
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX && reason.len == 0; i++) {
        if (pool->known[i].out) continue;
        (void)rpc_client_refusal(pool->peers[i].client, &reason);
    }
    return reason;
}

unsigned scan_pool_ready(const struct scan_pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) {
        count += pool->known[i].ready && !pool->known[i].out ? 1 : 0;
    }
    return count;
}

unsigned scan_pool_known(const struct scan_pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) count += pool->known[i].out ? 0 : 1;
    return count;
}

unsigned scan_pool_silent(const struct scan_pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) {
        count += pool->known[i].silent && !pool->known[i].out ? 1 : 0;
    }
    return count;
}

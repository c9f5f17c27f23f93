#include "scan_call.h"

#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "loop.h"
#include "rpc_client.h"
#include "scan_call_private.h"
#include "scan_msg.h"

static void call_advance(struct scan_call *call);

static unsigned call_under_way(const struct scan_call *call)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SCAN_CALL_AT_ONCE_MAX; i++) count += call->attempts[i].rpc != NULL;
    return count;
}

/* The one place where a call goes: when it is over and nothing of it is under way. */
static void call_end(struct scan_call *call)
{
    if (!call->over || call_under_way(call) > 0) return;
    body_unref(call->body);
    free(call);
}

/* Nothing more is to be had or wanted; attempts under way are given up and hear so later. */
static void call_stop(struct scan_call *call)
{
    call->over = true;
    timer_stop(&call->deadline);
    timer_stop(&call->next);
    list_remove(&call->link);
    call->pool->calls_count--;
    for (unsigned i = 0; i < SCAN_CALL_AT_ONCE_MAX; i++) {
        if (call->attempts[i].rpc != NULL) rpc_call_cancel(call->attempts[i].rpc);
    }
}

static void call_finish(struct scan_call *call, struct err err, const struct scan_scan_reply *reply)
{
    if (call->over) return;
    call_stop(call);
    call->done(call->holder, err, reply);
    call_end(call);
}

static void call_on_deadline(void *holder)
{
    call_finish(holder, err_make(ERR_TIMEOUT, "no verdict in time"), NULL);
}

static void call_on_next(void *holder) { call_advance(holder); }

static void attempt_on_reply(void *holder, struct rpc_call *rpc, const void *message)
{
    struct scan_attempt *attempt = holder;
    const struct scan_scan_reply *reply = message;
    (void)rpc;
    /* NONE and what a newer scanner might say are no verdict; the end of the attempt follows. */
    if (reply->verdict < SCAN_VERDICT_CLEAN || reply->verdict > SCAN_VERDICT_UNCHECKABLE) return;
    struct scan_call *call = attempt->call;
    if (call->over) return;
    /* As call_finish, but this attempt has still to end: the call outlives done(). */
    call_stop(call);
    call->done(call->holder, err_ok(), reply);
}

static void attempt_on_done(void *holder, struct rpc_call *rpc, struct err err, struct span info)
{
    struct scan_attempt *attempt = holder;
    struct scan_call *call = attempt->call;
    struct scan_peer *known = &call->pool->known[attempt->peer];
    (void)rpc, (void)info;
    attempt->rpc = NULL;
    known->ours--;
    if (call->over) {
        call_end(call);
        return;
    }
    if (err.code == ERR_SYNTAX || err.code == ERR_TOO_BIG) {
        call_finish(call, err, NULL);
        return;
    }
    if (err.code != ERR_OK) {
        known->avoid_until_ms = loop_now_ms(call->pool->loop) + SCAN_CALL_AVOID_MS;
    }
    /* Full, or never reached: it may be asked again later. */
    if (err.code == ERR_BUSY || err.code == ERR_UNREACHABLE) {
        call->tried &= ~(UINT64_C(1) << attempt->peer);
    }
    call_advance(call);
}

static const struct rpc_call_user attempt_user = { NULL, attempt_on_reply, attempt_on_done };

static struct err call_try(struct scan_call *call, unsigned peer)
{
    struct scan_pool *pool = call->pool;
    struct scan_attempt *attempt = &call->attempts[0];
    while (attempt->rpc != NULL) attempt++;
    uint64_t passed_ms = loop_now_ms(pool->loop) - call->started_ms;
    if (passed_ms >= pool->deadline_ms) return err_make(ERR_TIMEOUT, "scan");
    struct scan_scan_request request = {
        .sender = call->request.sender,
        .recipients = call->request.recipients,
        .recipients_count = call->request.recipients_count,
        .client_address = call->request.client_address,
        .size = (uint32_t)body_size(call->body),
        .trace_id = span_of(call->request.trace_id, sizeof(call->request.trace_id)),
    };
    struct rpc_call_options options = { .deadline_ms = pool->deadline_ms - passed_ms,
                                        .body = call->body };
    memcpy(options.trace_id, call->request.trace_id, sizeof(options.trace_id));
    attempt->call = call;
    attempt->peer = peer;
    call->tried |= UINT64_C(1) << peer;
    call->attempts_count++;
    TRY(rpc_call_start(pool->peers[peer].client, scan_method_find(SCAN_METHOD_SCAN), &request,
                       &options, &attempt_user, attempt, &attempt->rpc));
    pool->known[peer].ours++;
    return err_ok();
}

/* Nothing is under way and no scanner can be asked now: a while longer, or the end. */
static void call_wait(struct scan_call *call)
{
    struct scan_pool *pool = call->pool;
    uint64_t passed_ms = loop_now_ms(pool->loop) - call->started_ms;
    uint64_t all = pool->peers_count == SCAN_BALANCE_PEERS_MAX
                       ? UINT64_MAX : (UINT64_C(1) << pool->peers_count) - 1;
    bool hopeless = passed_ms >= pool->patience_ms || call->tried == all ||
                    call->attempts_count >= SCAN_CALL_ATTEMPTS_MAX;
    if (hopeless && !call->starting) {
        call_finish(call, err_make(ERR_UNREACHABLE, "no scanner gave a verdict"), NULL);
        return;
    }
    uint64_t left_ms = hopeless ? 0 : pool->patience_ms - passed_ms;
    timer_start(pool->loop, &call->next,
                left_ms < SCAN_CALL_AVOID_MS ? left_ms : SCAN_CALL_AVOID_MS, call_on_next, call);
}

/* Asks a scanner, or one more, if there is reason to and one is left. */
static void call_advance(struct scan_call *call)
{
    struct scan_pool *pool = call->pool;
    while (call_under_way(call) < SCAN_CALL_AT_ONCE_MAX &&
           call->attempts_count < SCAN_CALL_ATTEMPTS_MAX) {
        int peer = scan_balance_choose(pool->known, pool->peers_count, call->tried,
                                       loop_now_ms(pool->loop), pool->turn++);
        if (peer == SCAN_BALANCE_NONE) break;
        if (call_try(call, (unsigned)peer).code != ERR_OK) continue;
        timer_stop(&call->next);
        if (pool->hedge_ms > 0 && call_under_way(call) == 1) {
            timer_start(pool->loop, &call->next, pool->hedge_ms, call_on_next, call);
        }
        return;
    }
    if (call_under_way(call) == 0) call_wait(call);
}

struct err scan_call_start(struct scan_pool *pool, const struct scan_call_request *request,
                           struct body *body, scan_call_done done, void *holder,
                           struct scan_call **ret)
{
    if (pool->calls_count >= SCAN_CALL_WAITING_MAX) return err_make(ERR_BUSY, "scans");
    if (body_size(body) > UINT32_MAX) return err_make(ERR_TOO_BIG, "scan");
    struct scan_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "scan");
    call->pool = pool;
    call->request = *request;
    call->body = body_ref(body);
    call->done = done;
    call->holder = holder;
    call->started_ms = loop_now_ms(pool->loop);
    list_add(&pool->calls, &call->link);
    pool->calls_count++;
    timer_start(pool->loop, &call->deadline, pool->deadline_ms, call_on_deadline, call);
    call->starting = true;
    call_advance(call);
    call->starting = false;
    *ret = call;
    return err_ok();
}

void scan_call_cancel(struct scan_call *call)
{
    call_stop(call);
    call_end(call);
}

void scan_call_capacity_changed(struct scan_pool *pool)
{
    /* By their timers: a call that ends here could have its owner cancel the next in the list. */
    for (struct list *at = pool->calls.next; at != &pool->calls; at = at->next) {
        struct scan_call *call = LIST_ITEM(at, struct scan_call, link);
        if (call_under_way(call) == 0) timer_start(pool->loop, &call->next, 0, call_on_next, call);
    }
}

void scan_call_end_all(struct scan_pool *pool)
{
    while (!list_is_empty(&pool->calls)) {
        call_finish(LIST_ITEM(pool->calls.next, struct scan_call, link),
                    err_make(ERR_CANCELLED, "scanners closed"), NULL);
    }
}

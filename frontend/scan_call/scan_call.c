#include "scan_call.h"

#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "loop.h"
#include "metrics.h"
#include "rpc_client.h"
#include "scan_call_private.h"
#include "scan_msg.h"

/* The places of the label of METRIC_SCAN_ATTEMPTS. */
enum attempt_why { ATTEMPT_FIRST, ATTEMPT_AGAIN, ATTEMPT_HEDGE };

static void call_advance(struct scan_call *call);
static void call_on_next(void *holder);

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
        struct scan_attempt *attempt = &call->attempts[i];
        if (attempt->rpc != NULL && !attempt->is_given_up) rpc_call_cancel(attempt->rpc);
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

static void attempt_on_reply(void *holder, struct rpc_call *rpc, const void *message)
{
    struct scan_attempt *attempt = holder;
    const struct scan_scan_reply *reply = message;
    (void)rpc;
    struct scan_call *call = attempt->call;
    scan_pool_heard(call->pool, attempt->peer);
    /* NONE and what a newer scanner might say are no verdict; the end of the attempt follows. */
    if (reply->verdict < SCAN_VERDICT_CLEAN || reply->verdict > SCAN_VERDICT_UNCHECKABLE) return;
    if (call->over) return;
    metric_observe_us(METRIC_SCAN_CALL_TIME,
                      (loop_now_ms(call->pool->loop) - call->started_ms) * 1000);
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
    scan_pool_one_less(call->pool, attempt->peer);
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
    enum attempt_why why = call_under_way(call) > 0       ? ATTEMPT_HEDGE
                           : call->attempts_count > 0 ? ATTEMPT_AGAIN : ATTEMPT_FIRST;
    attempt->call = call;
    attempt->peer = peer;
    attempt->begun_ms = loop_now_ms(pool->loop);
    attempt->is_given_up = false;
    call->tried |= UINT64_C(1) << peer;
    call->attempts_count++;
    metric_add(METRIC_SCAN_ATTEMPTS, why, 1);
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
    bool all_tried = call->attempts_count > 0;
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) {
        if (!pool->known[i].out && (call->tried >> i & 1) == 0) all_tried = false;
    }
    bool hopeless = passed_ms >= pool->patience_ms || all_tried ||
                    call->attempts_count >= SCAN_CALL_ATTEMPTS_MAX;
    if (hopeless && !call->starting) {
        call_finish(call, err_make(ERR_UNREACHABLE, "no scanner gave a verdict"), NULL);
        return;
    }
    uint64_t left_ms = hopeless ? 0 : pool->patience_ms - passed_ms;
    timer_start(pool->loop, &call->next,
                left_ms < SCAN_CALL_AVOID_MS ? left_ms : SCAN_CALL_AVOID_MS, call_on_next, call);
}

/* ---- when to ask one more */

/* Looks again at a call that waits for an answer. */
static void call_look_later(struct scan_call *call)
{
    uint64_t wait_ms = call->pool->hedge_ms;
    if (wait_ms == 0) return;
    if (wait_ms > SCAN_CALL_SILENT_MS) wait_ms = SCAN_CALL_SILENT_MS;
    timer_start(call->pool->loop, &call->next, wait_ms, call_on_next, call);
}

/* Whether its scanner has said nothing since it was asked, for too long; that is remembered. */
static bool attempt_is_silent(struct scan_attempt *attempt)
{
    struct scan_pool *pool = attempt->call->pool;
    uint64_t now_ms = loop_now_ms(pool->loop), heard_ms = pool->peers[attempt->peer].heard_ms;
    uint64_t since_ms = heard_ms > attempt->begun_ms ? heard_ms : attempt->begun_ms;
    if (now_ms - since_ms < SCAN_CALL_SILENT_MS) return false;
    scan_pool_is_silent(pool, attempt->peer);
    return true;
}

/* All that may be asked at a time are: the place of a silent one is for another, if one is left. */
static void call_make_place(struct scan_call *call, struct scan_attempt *silent)
{
    const struct scan_pool *pool = call->pool;
    int next = scan_balance_choose(pool->known, SCAN_BALANCE_PEERS_MAX, call->tried,
                                   loop_now_ms(pool->loop), pool->turn);
    if (next == SCAN_BALANCE_NONE || pool->known[next].silent || silent->is_given_up) return;
    silent->is_given_up = true;
    rpc_call_cancel(silent->rpc); /* its end, later, asks the other */
}

static void call_on_next(void *holder)
{
    struct scan_call *call = holder;
    uint64_t now_ms = loop_now_ms(call->pool->loop);
    struct scan_attempt *silent = NULL;
    bool is_slow = false;
    for (unsigned i = 0; i < SCAN_CALL_AT_ONCE_MAX; i++) {
        struct scan_attempt *attempt = &call->attempts[i];
        if (attempt->rpc == NULL) continue;
        if (attempt_is_silent(attempt)) silent = attempt;
        is_slow = is_slow || now_ms - attempt->begun_ms >= call->pool->hedge_ms;
    }
    unsigned under_way = call_under_way(call);
    if (under_way == SCAN_CALL_AT_ONCE_MAX && silent != NULL) call_make_place(call, silent);
    if (under_way == 0 || silent != NULL || is_slow) call_advance(call);
    else call_look_later(call);
}

/* Asks a scanner, or one more, if there is reason to and one is left. */
static void call_advance(struct scan_call *call)
{
    struct scan_pool *pool = call->pool;
    bool asked = false;
    while (!asked && call_under_way(call) < SCAN_CALL_AT_ONCE_MAX &&
           call->attempts_count < SCAN_CALL_ATTEMPTS_MAX) {
        int peer = scan_balance_choose(pool->known, SCAN_BALANCE_PEERS_MAX, call->tried,
                                       loop_now_ms(pool->loop), pool->turn++);
        if (peer == SCAN_BALANCE_NONE) break;
        asked = call_try(call, (unsigned)peer).code == ERR_OK;
    }
    if (call_under_way(call) == 0) {
        call_wait(call);
        return;
    }
    timer_stop(&call->next);
    call_look_later(call);
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

void scan_call_forget_peer(struct scan_pool *pool, unsigned index)
{
    for (struct list *at = pool->calls.next; at != &pool->calls; at = at->next) {
        LIST_ITEM(at, struct scan_call, link)->tried &= ~(UINT64_C(1) << index);
    }
}

void scan_call_end_all(struct scan_pool *pool)
{
    while (!list_is_empty(&pool->calls)) {
        call_finish(LIST_ITEM(pool->calls.next, struct scan_call, link),
                    err_make(ERR_CANCELLED, "scanners closed"), NULL);
    }
}

/* One shard's checks: gathered while a call is under way or until the end of a turn.
 *
 * The happy path: meter_queue() posts the end of the turn; lane_send() puts all that waits, up to
 * METER_ITEMS_MAX, into one call; its answers go to the items in their order; what has come
 * meanwhile is sent at once. A call that fails gives its items back to their owners, which queue
 * them again while their time lasts, and the lane waits METER_AGAIN_MS before the next. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "loop.h"
#include "meter_private.h"
#include "metrics.h"
#include "proto_message.h"

static void lane_look(struct meter_lane *lane);

static void lane_later(struct later *later)
{
    lane_look(LIST_ITEM(later, struct meter_lane, send));
}

static void lane_wait(void *holder) { lane_look(holder); }

struct meter_lane *meter_lane(struct meter *meter, unsigned slot)
{
    unsigned shard = place_map_shard(route_map(meter->route), (uint16_t)slot);
    struct meter_lane *lane = meter->lanes[shard];
    if (lane != NULL) return lane;
    lane = calloc(1, sizeof(*lane));
    if (lane == NULL) return NULL;
    lane->meter = meter;
    lane->shard = shard;
    list_init(&lane->waiting);
    meter->lanes[shard] = lane;
    return lane;
}

void meter_lane_broken(struct meter_lane *lane)
{
    lane->broken_until_ms = loop_now_ms(lane->meter->loop) + METER_SKIP_MS;
}

/* Has the lane looked at in `wait_ms`; earlier, if that is due already. */
static void lane_arm(struct meter_lane *lane, uint64_t wait_ms)
{
    struct meter *meter = lane->meter;
    if (lane->batch != NULL || later_is_posted(&lane->send)) return;
    if (wait_ms == 0) {
        timer_stop(&lane->wait);
        later_post(loop_later(meter->loop), &lane->send, lane_later);
    } else if (!timer_is_armed(&lane->wait)) {
        timer_start(meter->loop, &lane->wait, wait_ms, lane_wait, lane);
    }
}

void meter_queue(struct meter_lane *lane, struct meter_item *item, uint64_t wait_ms)
{
    CHECK(!item->is_waiting && item->batch == NULL);
    item->is_waiting = true;
    list_add(&lane->waiting, &item->link);
    lane->meter->waiting++;
    lane_arm(lane, wait_ms);
}

void meter_unqueue(struct meter_item *item)
{
    if (item->is_waiting) {
        list_remove(&item->link);
        item->is_waiting = false;
        item->meter->waiting--;
    } else if (item->batch != NULL) {
        item->batch->items[item->at] = NULL;
        item->batch = NULL;
        item->meter->waiting--;
    }
}

/* ---- a call */

static void batch_free(struct meter_batch *batch)
{
    arena_clear(&batch->arena);
    free(batch);
}

/* Gives an item its answer, if it is still there. */
static void batch_answer(struct meter_batch *batch, size_t at, struct err err,
                         const struct store_tally_answer *answer)
{
    struct meter_item *item = batch->items[at];
    if (item == NULL) return;
    meter_unqueue(item);
    item->calls->answered(item, err, answer);
}

static void on_reply(void *holder, struct route_call *call, const void *message)
{
    struct meter_batch *batch = holder;
    const struct store_tally_reply *reply = message;
    (void)call;
    if (reply->answers_count != batch->request.items_count) return; /* on_done() fails them */
    batch->is_answered = true;
    for (size_t i = 0; i < reply->answers_count; i++) {
        const struct store_tally_answer *answer = &reply->answers[i];
        struct err err = answer->status == 0
                             ? err_ok()
                             : err_make(err_code_of(answer->status), "counter");
        batch_answer(batch, i, err, err.code == ERR_OK ? answer : NULL);
    }
}

static void on_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct meter_batch *batch = holder;
    struct meter_lane *lane = batch->lane;
    (void)call;
    (void)info;
    lane->batch = NULL;
    if (batch->is_answered) {
        lane->broken_until_ms = 0;
    } else {
        if (err_class(err) != ERR_GONE) err = err_make(ERR_UNREACHABLE, "counters");
        meter_lane_broken(lane);
        for (size_t i = 0; i < batch->request.items_count; i++) batch_answer(batch, i, err, NULL);
    }
    bool failed = !batch->is_answered;
    batch_free(batch);
    if (lane->meter->is_closing || list_is_empty(&lane->waiting)) return;
    if (failed) lane_arm(lane, METER_AGAIN_MS);
    else lane_look(lane);
}

static struct err batch_put(struct meter_batch *batch, struct meter_item *item)
{
    struct store_tally_item *to = &batch->request.items[batch->request.items_count];
    *to = (struct store_tally_item){ 0 };
    item->calls->put(item, to);
    TRY(arena_copy(&batch->arena, to->key, &to->key));
    meter_unqueue(item);
    item->at = batch->request.items_count++;
    item->batch = batch;
    item->meter->waiting++;
    batch->items[item->at] = item;
    return err_ok();
}

static struct err batch_new(struct meter_lane *lane, struct meter_batch **ret)
{
    struct meter *meter = lane->meter;
    struct meter_batch *batch = calloc(1, sizeof(*batch));
    size_t count = 0;
    if (batch == NULL) return err_make(ERR_NOMEM, "counters");
    arena_init(&batch->arena, METER_ARENA_BYTES + METER_ITEMS_MAX * sizeof(*batch->request.items));
    for (struct list *at = lane->waiting.next; at != &lane->waiting; at = at->next) {
        if (++count == METER_ITEMS_MAX) break;
    }
    unsigned first, end;
    place_map_slots(route_map(meter->route), lane->shard, &first, &end);
    batch->lane = lane;
    batch->items = arena_alloc(&batch->arena, count * sizeof(struct meter_item *));
    batch->request.items = arena_alloc(&batch->arena, count * sizeof(*batch->request.items));
    batch->request.slot = first;
    batch->request.owner = span_of(meter->owner, METER_OWNER_BYTES);
    batch->request.lease_ms = meter->lease_ms;
    struct err err = err_ok();
    if (batch->items == NULL || batch->request.items == NULL) err = err_make(ERR_NOMEM, "counters");
    while (err.code == ERR_OK && batch->request.items_count < count) {
        err = batch_put(batch, LIST_ITEM(lane->waiting.next, struct meter_item, link));
    }
    if (batch->request.items_count == 0) {
        batch_free(batch);
        return err;
    }
    *ret = batch;
    return err_ok();
}

/* Sends what waits, if nothing is under way. */
static void lane_look(struct meter_lane *lane)
{
    static const struct route_call_user user = { NULL, on_reply, on_done };
    struct meter *meter = lane->meter;
    struct meter_batch *batch = NULL;
    timer_stop(&lane->wait);
    if (lane->batch != NULL || list_is_empty(&lane->waiting) || meter->is_closing) return;
    if (lane->shard >= place_map_shards(route_map(meter->route)) ||
        batch_new(lane, &batch).code != ERR_OK) {
        lane_arm(lane, METER_AGAIN_MS);
        return;
    }
    struct route_call_options options = { .slot = ROUTE_SHARD | lane->shard,
                                          .deadline_ms = METER_CALL_MS };
    size_t count = batch->request.items_count;
    lane->batch = batch;
    struct err err = route_call_start(meter->route, store_method_find(STORE_METHOD_TALLY),
                                      &batch->request, &options, &user, batch, &batch->call);
    if (err.code != ERR_OK) {
        on_done(batch, NULL, err, SPAN(""));
        return;
    }
    metric_add(METRIC_COUNTER_CALLS, 0, 1);
    metric_add(METRIC_COUNTER_CHECKS, 0, (int64_t)count);
}

/* Its call, if any, is over by now. */
void meter_lane_free(struct meter_lane *lane)
{
    if (lane == NULL) return;
    CHECK(lane->batch == NULL);
    later_cancel(&lane->send);
    timer_stop(&lane->wait);
    free(lane);
}

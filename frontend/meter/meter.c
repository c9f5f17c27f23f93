#include "meter.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hash.h"
#include "id.h"
#include "loop.h"
#include "meter_private.h"
#include "slot.h"

enum { METER_LEASE_MS = 30000 };

/* A check of events. */
struct meter_check {
    struct meter_item item; /* first */
    struct timer deadline;
    meter_answered *done;   /* NULL: nobody waits */
    void *holder;
    struct meter_ask ask;   /* its key is the text below */
    char key[];
};

struct err meter_new(struct loop *loop, struct route *route, const char owner[16],
                     struct meter **ret)
{
    struct meter *meter = calloc(1, sizeof(*meter));
    if (meter == NULL) return err_make(ERR_NOMEM, "counters");
    meter->loop = loop;
    meter->route = route;
    meter->lease_ms = METER_LEASE_MS;
    memcpy(meter->owner, owner, METER_OWNER_BYTES);
    id_random(meter->seed, sizeof(meter->seed));
    map_init(&meter->opens, METER_WAITING_MAX);
    list_init(&meter->by_age);
    *ret = meter;
    return err_ok();
}

void meter_free(struct meter *meter)
{
    if (meter == NULL) return;
    meter->is_closing = true;
    for (unsigned i = 0; i < PLACE_SHARDS_MAX; i++) {
        struct meter_lane *lane = meter->lanes[i];
        while (lane != NULL && !list_is_empty(&lane->waiting)) {
            struct meter_item *item = LIST_ITEM(lane->waiting.next, struct meter_item, link);
            meter_unqueue(item);
            item->calls->answered(item, err_make(ERR_CANCELLED, "counters"), NULL);
        }
        meter_lane_free(lane);
    }
    meter_opens_free(meter);
    map_free(&meter->opens);
    free(meter);
}

void meter_set_lease(struct meter *meter, uint64_t lease_ms) { meter->lease_ms = lease_ms; }

bool meter_is_quiet(const struct meter *meter) { return meter->waiting == 0; }

void meter_network(const uint8_t ip[16], uint8_t ret[16])
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    memcpy(ret, ip, 16);
    if (memcmp(ip, mapped, sizeof(mapped)) != 0) memset(ret + 8, 0, 8);
}

/* ---- what is known to be held */

static uint64_t known_hash(const struct meter *meter, unsigned kind, uint32_t tenant,
                           struct span key)
{
    char bytes[5 + METER_KEY_MAX_BYTES];
    if (key.len > METER_KEY_MAX_BYTES) key = span_head(key, METER_KEY_MAX_BYTES);
    bytes[0] = (char)kind;
    memcpy(bytes + 1, &tenant, 4);
    memcpy(bytes + 5, key.ptr, key.len);
    return hash_sip(meter->seed, span_of(bytes, 5 + key.len));
}

bool meter_is_held(const struct meter *meter, unsigned kind, uint32_t tenant, struct span key)
{
    uint64_t hash = known_hash(meter, kind, tenant, key);
    const struct meter_known *known = &meter->known[hash % METER_KNOWN_SIZE];
    return known->hash == hash && known->until_ms > loop_now_ms(meter->loop);
}

void meter_note_held(struct meter *meter, const struct meter_ask *ask, uint64_t held_ms)
{
    uint64_t hash = known_hash(meter, ask->kind, ask->tenant, ask->key);
    struct meter_known *known = &meter->known[hash % METER_KNOWN_SIZE];
    if (held_ms == 0 && known->hash != hash) return;
    if (held_ms > METER_KNOWN_MS) held_ms = METER_KNOWN_MS;
    *known = (struct meter_known){ hash, loop_now_ms(meter->loop) + held_ms };
}

/* ---- a check */

static struct meter_check *check_of(struct meter_item *item)
{
    return LIST_ITEM(item, struct meter_check, item);
}

static void check_end(struct meter_check *check, struct err err, const struct meter_result *result)
{
    timer_stop(&check->deadline);
    meter_unqueue(&check->item);
    if (check->done != NULL) check->done(check->holder, err, result);
    free(check);
}

static void check_put(struct meter_item *item, struct store_tally_item *to)
{
    const struct meter_ask *ask = &check_of(item)->ask;
    *to = (struct store_tally_item){
        .kind = ask->kind, .tenant = ask->tenant, .key = ask->key, .clear = ask->clear,
        .add = ask->add, .limit = ask->limit.limit, .window_ms = ask->limit.window_ms,
        .hold_ms = ask->limit.hold_ms, .more = ask->reserve ? 1 : 0, .release = ask->release
    };
}

/* The counter was not reached, or is another leader's by now: worth another try. */
static bool check_is_tried_again(const struct meter_check *check, struct err err)
{
    bool lost = err.code == ERR_UNREACHABLE || err.code == ERR_MOVED;
    return lost && timer_is_armed(&check->deadline);
}

static void check_answered(struct meter_item *item, struct err err,
                           const struct store_tally_answer *answer)
{
    struct meter_check *check = check_of(item);
    struct meter *meter = item->meter;
    if (err.code == ERR_OK) {
        const struct meter_result result = { answer->held_ms, answer->count, answer->began,
                                             answer->busy, answer->reservation };
        if (check->done == NULL) meter_release(meter, &check->ask, answer->reservation);
        meter_note_held(meter, &check->ask, answer->held_ms);
        check_end(check, err, &result);
        return;
    }
    struct meter_lane *lane = NULL;
    if (check_is_tried_again(check, err)) {
        lane = meter_lane(meter, slot_of_name(check->ask.key));
    }
    if (lane != NULL) {
        meter_queue(lane, item, METER_AGAIN_MS);
        return;
    }
    if (err_class(err) == ERR_PERMANENT) err = err_make(ERR_IO, "counter");
    check_end(check, err, NULL);
}

static void on_deadline(void *holder)
{
    check_end(holder, err_make(ERR_TIMEOUT, "counter"), NULL);
}

struct err meter_check_start(struct meter *meter, const struct meter_ask *ask,
                             meter_answered *done, void *holder, struct meter_check **ret)
{
    static const struct meter_item_calls calls = { check_put, check_answered };
    if (meter->waiting >= METER_WAITING_MAX) return err_make(ERR_BUSY, "counters");
    if (ask->key.len > METER_KEY_MAX_BYTES) return err_make(ERR_TOO_BIG, "key of a counter");
    struct meter_lane *lane = meter_lane(meter, slot_of_name(ask->key));
    struct meter_check *check = calloc(1, sizeof(*check) + ask->key.len);
    if (lane == NULL || check == NULL) {
        free(check);
        return err_make(ERR_NOMEM, "counter");
    }
    memcpy(check->key, ask->key.ptr, ask->key.len);
    check->item.meter = meter;
    check->item.calls = &calls;
    list_init(&check->item.link);
    check->done = done;
    check->holder = holder;
    check->ask = *ask;
    check->ask.key = span_of(check->key, ask->key.len);
    timer_start(meter->loop, &check->deadline, ask->deadline_ms, on_deadline, check);
    meter_queue(lane, &check->item, 0);
    if (ret != NULL) *ret = check;
    return err_ok();
}

void meter_check_cancel(struct meter_check *check)
{
    if (check == NULL) return;
    const struct meter_ask *ask = &check->ask;
    check->done = NULL; /* what it counts is still counted */
    if (ask->add > 0 || ask->clear || ask->reserve || ask->release != 0) return;
    check_end(check, err_ok(), NULL);
}

void meter_release(struct meter *meter, const struct meter_ask *ask, uint64_t reservation)
{
    struct meter_ask back = *ask;
    if (reservation == 0 || meter->is_closing) return;
    back.add = 0;
    back.clear = back.reserve = false;
    back.release = reservation;
    /* When it gets lost it runs out by itself. */
    (void)!meter_check_start(meter, &back, NULL, NULL, NULL).code;
}

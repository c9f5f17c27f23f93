/* Connections. For each kind and address there is one meter_open, which tells the leader how many
 * this loop has and wants; the leader keeps that for the time of the lease, and so it is told again
 * before that is over. Numbers, not changes, are told: one that is lost or late is made good by the
 * next, and a leader that forgot everything has learned it again within a third of the lease.
 *
 * The happy path: meter_enter() makes a seat, which waits; the item asks; as many seats as were
 * granted are let in, the others refused. A seat whose time runs out is let in unasked and told
 * with the next report. */
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "meter_private.h"
#include "metrics.h"
#include "slot.h"

enum { OPEN_KEY_BYTES = 17 }; /* kind u8 | address */

struct meter_seat {
    struct list link;       /* in asking, while it waits */
    struct meter_open *open;
    meter_entered *done;    /* NULL: it is in */
    void *holder;
    struct timer deadline;
    bool is_sent;           /* with the call that is under way */
};

/* Freed in open_settle(), when nobody is in, nobody waits and the leader knows it. */
struct meter_open {
    struct meter_item item; /* first */
    struct list by_age, asking;
    uint64_t told_ms;       /* when the leader was told last; 0: never */
    uint32_t limit;
    uint32_t admitted, sent, told; /* who is in; as sent; as the leader has it */
    uint32_t sent_local;    /* of those that were sent as asking, let in since */
    bool is_told;           /* `told` is what the leader has, as far as is known */
    bool is_busy;           /* seats are being called */
    char key[OPEN_KEY_BYTES];
};

static struct meter_open *open_of(struct meter_item *item)
{
    return LIST_ITEM(item, struct meter_open, item);
}

static struct span open_ip(const struct meter_open *open) { return span_of(open->key + 1, 16); }

static void open_free(struct meter_open *open)
{
    meter_unqueue(&open->item);
    (void)map_remove(&open->item.meter->opens, span_of(open->key, OPEN_KEY_BYTES));
    list_remove(&open->by_age);
    free(open);
}

static void open_queue(struct meter_open *open, uint64_t wait_ms)
{
    if (open->item.is_waiting || open->item.batch != NULL) return;
    struct meter_lane *lane = meter_lane(open->item.meter, slot_of_name(open_ip(open)));
    if (lane != NULL) meter_queue(lane, &open->item, wait_ms);
}

/* Has the leader told what is not as it knows; or ends it. */
static void open_settle(struct meter_open *open, uint64_t wait_ms)
{
    bool leaves = open->item.meter->is_leaving, asks = !list_is_empty(&open->asking);
    uint32_t has = leaves ? 0 : open->admitted;
    if (open->is_busy || open->item.batch != NULL) return;
    if ((asks && !leaves) || !open->is_told || has != open->told) {
        open_queue(open, wait_ms);
    } else if (open->admitted == 0 && !asks) {
        open_free(open);
    }
}

/* ---- telling again */

static void renew_run(void *holder);

static void renew_arm(struct meter *meter)
{
    if (timer_is_armed(&meter->renew) || list_is_empty(&meter->by_age)) return;
    if (meter->is_leaving) return;
    timer_start(meter->loop, &meter->renew, meter->lease_ms / (2 * METER_RENEW_PART), renew_run,
                meter);
}

static void renew_run(void *holder)
{
    struct meter *meter = holder;
    uint64_t now_ms = loop_now_ms(meter->loop);
    for (struct list *at = meter->by_age.next; at != &meter->by_age; at = at->next) {
        struct meter_open *open = LIST_ITEM(at, struct meter_open, by_age);
        if (open->told_ms + meter->lease_ms / METER_RENEW_PART > now_ms) break;
        open_queue(open, METER_REPORT_MS);
    }
    renew_arm(meter);
}

/* ---- seats */

static void seat_let_in(struct meter_seat *seat)
{
    meter_entered *done = seat->done;
    seat->open->admitted++;
    seat->done = NULL;
    seat->is_sent = false;
    timer_stop(&seat->deadline);
    list_remove(&seat->link);
    done(seat->holder, err_ok());
}

static void seat_refuse(struct meter_seat *seat)
{
    meter_entered *done = seat->done;
    void *holder = seat->holder;
    timer_stop(&seat->deadline);
    list_remove(&seat->link);
    free(seat);
    done(holder, err_make(ERR_BUSY, "connections of one address"));
}

/* The leader was not heard in time. */
static void on_deadline(void *holder)
{
    struct meter_seat *seat = holder;
    struct meter_open *open = seat->open;
    if (seat->is_sent) open->sent_local++;
    struct meter *meter = open->item.meter;
    struct meter_lane *lane = meter_lane(meter, slot_of_name(open_ip(open)));
    if (lane != NULL && lane->broken_until_ms <= loop_now_ms(meter->loop)) meter_lane_broken(lane);
    metric_add(METRIC_COUNTER_ALONE, 0, 1);
    open->is_busy = true;
    seat_let_in(seat);
    open->is_busy = false;
    open_settle(open, METER_REPORT_MS);
}

static void open_put(struct meter_item *item, struct store_tally_item *to)
{
    struct meter_open *open = open_of(item);
    uint32_t more = 0;
    bool leaves = item->meter->is_leaving;
    for (struct list *at = open->asking.next; !leaves && at != &open->asking; at = at->next) {
        LIST_ITEM(at, struct meter_seat, link)->is_sent = true;
        more++;
    }
    open->sent = leaves ? 0 : open->admitted;
    open->sent_local = 0;
    *to = (struct store_tally_item){ .kind = (uint8_t)open->key[0], .key = open_ip(open),
                                     .limit = open->limit, .open = open->sent, .more = more };
}

/* Lets in as many of those that were sent as are granted, and refuses the others. */
static void open_granted(struct meter_open *open, uint32_t granted)
{
    struct list sent;
    list_init(&sent);
    for (struct list *at = open->asking.next, *next; at != &open->asking; at = next) {
        next = at->next;
        if (!LIST_ITEM(at, struct meter_seat, link)->is_sent) continue;
        list_remove(at);
        list_add(&sent, at);
    }
    /* A call may end any seat, so the first one is taken each time. */
    while (!list_is_empty(&sent)) {
        struct meter_seat *seat = LIST_ITEM(sent.next, struct meter_seat, link);
        if (granted > 0) {
            granted--;
            seat_let_in(seat);
        } else {
            seat_refuse(seat);
        }
    }
}

static void open_failed(struct meter_open *open)
{
    for (struct list *at = open->asking.next; at != &open->asking; at = at->next) {
        LIST_ITEM(at, struct meter_seat, link)->is_sent = false;
    }
    /* That there is nothing any more need not be told: it ends with the lease. */
    open->is_told = open->admitted == 0;
    if (open->is_told) open->told = 0;
}

static void open_answered(struct meter_item *item, struct err err,
                          const struct store_tally_answer *answer)
{
    struct meter_open *open = open_of(item);
    struct meter *meter = item->meter;
    /* Its table is full, or it is too old for this: counted here only. */
    bool is_alone = err.code == ERR_BUSY || err_class(err) == ERR_PERMANENT;
    if (meter->is_closing) return;
    if (err.code != ERR_OK && !is_alone) {
        open_failed(open);
        open_settle(open, METER_AGAIN_MS);
        return;
    }
    uint32_t granted = is_alone ? UINT32_MAX : answer->granted, local = open->sent_local;
    if (!is_alone) open->told = open->sent + granted;
    open->is_busy = true;
    open_granted(open, granted > local ? granted - local : 0);
    open->is_busy = false;
    if (is_alone) open->told = open->admitted;
    open->is_told = true;
    open->told_ms = loop_now_ms(meter->loop);
    list_remove(&open->by_age);
    list_add(&meter->by_age, &open->by_age);
    open_settle(open, METER_REPORT_MS);
}

/* ---- coming and going */

static struct err open_find(struct meter *meter, const struct meter_place *place,
                            struct meter_open **ret)
{
    static const struct meter_item_calls calls = { open_put, open_answered };
    char key[OPEN_KEY_BYTES];
    key[0] = (char)place->kind;
    memcpy(key + 1, place->ip, 16);
    struct meter_open *open = map_get(&meter->opens, span_of(key, OPEN_KEY_BYTES));
    if (open == NULL) {
        open = calloc(1, sizeof(*open));
        if (open == NULL) return err_make(ERR_NOMEM, "connection");
        memcpy(open->key, key, OPEN_KEY_BYTES);
        open->item.meter = meter;
        open->item.calls = &calls;
        list_init(&open->item.link);
        list_init(&open->asking);
        list_init(&open->by_age);
        struct err err = map_put(&meter->opens, span_of(open->key, OPEN_KEY_BYTES), open);
        if (err.code != ERR_OK) {
            free(open);
            return err;
        }
        open->told_ms = loop_now_ms(meter->loop);
        list_add(&meter->by_age, &open->by_age);
        renew_arm(meter);
    }
    *ret = open;
    return err_ok();
}

struct err meter_enter(struct meter *meter, const struct meter_place *place,
                       meter_entered *done, void *holder, struct meter_seat **ret)
{
    struct meter_open *open = NULL;
    struct meter_lane *lane = meter_lane(meter, slot_of_name(span_of((const char *)place->ip, 16)));
    struct meter_seat *seat = lane == NULL ? NULL : calloc(1, sizeof(*seat));
    if (seat == NULL) return err_make(ERR_NOMEM, "connection");
    struct err err = open_find(meter, place, &open);
    if (err.code != ERR_OK) {
        free(seat);
        return err;
    }
    open->limit = place->limit;
    seat->open = open;
    seat->done = done;
    seat->holder = holder;
    list_add(&open->asking, &seat->link);
    bool is_broken = lane->broken_until_ms > loop_now_ms(meter->loop);
    timer_start(meter->loop, &seat->deadline, is_broken ? TIMER_WAIT_MIN_MS : METER_ENTER_MS,
                on_deadline, seat);
    if (open->item.is_waiting) meter_unqueue(&open->item); /* it is wanted earlier now */
    open_queue(open, 0);
    *ret = seat;
    return err_ok();
}

void meter_leave(struct meter_seat *seat)
{
    if (seat == NULL) return;
    struct meter_open *open = seat->open;
    if (seat->done == NULL) open->admitted--;
    timer_stop(&seat->deadline);
    list_remove(&seat->link);
    free(seat);
    open_settle(open, METER_REPORT_MS);
}

void meter_leave_all(struct meter *meter)
{
    if (meter->is_leaving) return;
    meter->is_leaving = true;
    timer_stop(&meter->renew);
    for (struct list *at = meter->by_age.next, *next; at != &meter->by_age; at = next) {
        next = at->next;
        struct meter_open *open = LIST_ITEM(at, struct meter_open, by_age);
        open_settle(open, TIMER_WAIT_MIN_MS);
    }
}

void meter_opens_free(struct meter *meter)
{
    timer_stop(&meter->renew);
    while (!list_is_empty(&meter->by_age)) {
        struct meter_open *open = LIST_ITEM(meter->by_age.next, struct meter_open, by_age);
        while (!list_is_empty(&open->asking)) {
            struct meter_seat *seat = LIST_ITEM(open->asking.next, struct meter_seat, link);
            timer_stop(&seat->deadline);
            list_remove(&seat->link);
            free(seat);
        }
        open_free(open);
    }
}

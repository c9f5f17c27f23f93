/* What became of this loop's transactions, told to the store, so that a frontend that gets the same
 * message later knows whether it is a repeat (store.proto, Transaction).
 *
 * Told soon after something has changed, and while some are open again and again, so that others
 * see that we live. What is open when we die was cut off by that: its connection is broken. */
#include <stdlib.h>
#include <string.h>

#include "intake_private.h"
#include "loop.h"
#include "map.h"
#include "route.h"
#include "slot.h"
#include "uid_set.h"

enum {
    TELL_MS = 200,   /* changes wait at most so long for others to go along */
    ALIVE_MS = 1000, /* between reports while some are open; well below INTAKE_SILENT_MS */
    TELL_DEADLINE_MS = 10 * 1000,
    OPEN_MAX = 4096, /* beyond, the oldest counts as ended: its repeat arrives twice ... */
    BROKEN_MAX = 4096, /* ... and so here */
    RANGES_MAX = OPEN_MAX + BROKEN_MAX + 16,
};

struct intake_transaction {
    struct list link; /* of open or broken, oldest first */
    uint64_t until_ms; /* broken: a repeat counts as one */
    uint32_t number;
};

struct intake_transactions {
    struct loop *loop;
    struct route *route;
    uint8_t id[ID_BYTES];
    uint32_t last; /* number given */
    struct map open_map;
    struct list open, broken;
    uint32_t broken_count;
    struct uid_set ended, broken_set;
    /* The report. */
    struct timer timer;
    struct route_call *call;
    struct store_intake_report_request request;
    char *sets; /* of the request, malloc'd */
    uint64_t turn, told_ms;
    bool is_changed, is_gone;
};

static struct span number_key(const struct intake_transaction *one)
{
    return span_of(&one->number, sizeof(one->number));
}

struct err intake_transactions_new(struct loop *loop, struct route *route,
                                   struct intake_transactions **ret)
{
    struct intake_transactions *all = calloc(1, sizeof(*all));
    if (all == NULL) return err_make(ERR_NOMEM, "transactions");
    all->loop = loop;
    all->route = route;
    id_random(all->id, sizeof(all->id));
    map_init(&all->open_map, OPEN_MAX);
    list_init(&all->open);
    list_init(&all->broken);
    uid_set_init(&all->ended, RANGES_MAX);
    uid_set_init(&all->broken_set, RANGES_MAX);
    *ret = all;
    return err_ok();
}

static void list_drop(struct list *list)
{
    while (!list_is_empty(list)) {
        struct intake_transaction *one = LIST_ITEM(list->next, struct intake_transaction, link);
        list_remove(&one->link);
        free(one);
    }
}

static void transactions_end(struct intake_transactions *all)
{
    map_free(&all->open_map);
    list_drop(&all->open);
    list_drop(&all->broken);
    uid_set_free(&all->ended);
    uid_set_free(&all->broken_set);
    free(all->sets);
    free(all);
}

void intake_transactions_free(struct intake_transactions *all)
{
    if (all == NULL) return;
    timer_stop(&all->timer);
    all->is_gone = true;
    if (all->call == NULL) transactions_end(all);
    else route_call_cancel(all->call); /* its done() ends it */
}

bool intake_transactions_are_told(const struct intake_transactions *all)
{
    return all->call == NULL && !all->is_changed;
}

struct span intake_transactions_id(const struct intake_transactions *all)
{
    return span_of(all->id, sizeof(all->id));
}

/* ---- telling */

static void transactions_look(void *holder);

static void on_reply(void *holder, struct route_call *call, const void *message)
{
    (void)holder;
    (void)call;
    (void)message;
}

static void on_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct intake_transactions *all = holder;
    (void)call;
    (void)info;
    all->call = NULL;
    if (all->is_gone) {
        transactions_end(all);
        return;
    }
    if (err.code != ERR_OK) all->is_changed = true;
    transactions_look(all);
}

static struct err transactions_tell(struct intake_transactions *all)
{
    static const struct route_call_user user = { NULL, on_reply, on_done };
    struct span ended = uid_set_bytes(&all->ended), broken = uid_set_bytes(&all->broken_set);
    char *sets = malloc(ended.len + broken.len + 1);
    if (sets == NULL) return err_make(ERR_NOMEM, "report of transactions");
    if (ended.len > 0) memcpy(sets, ended.ptr, ended.len);
    if (broken.len > 0) memcpy(sets + ended.len, broken.ptr, broken.len);
    free(all->sets);
    all->sets = sets;
    all->request = (struct store_intake_report_request){
        .intake = intake_transactions_id(all),
        .turn = ++all->turn,
        .ended = span_of(sets, ended.len),
        .broken = span_of(sets + ended.len, broken.len),
    };
    struct route_call_options options = { .slot = slot_of_name(all->request.intake),
                                          .deadline_ms = TELL_DEADLINE_MS };
    return route_call_start(all->route, store_method_find(STORE_METHOD_INTAKE_REPORT),
                            &all->request, &options, &user, all, &all->call);
}

/* Tells if it is time to, else sets the timer. With nothing open and all told there is none. */
static void transactions_look(void *holder)
{
    struct intake_transactions *all = holder;
    uint64_t now = loop_now_ms(all->loop);
    if (all->call != NULL || all->is_gone) return;
    bool is_needed = all->is_changed || !list_is_empty(&all->open);
    uint64_t due = all->told_ms + (all->is_changed ? TELL_MS : ALIVE_MS);
    if (!is_needed) {
        timer_stop(&all->timer);
    } else if (now < due) {
        timer_start(all->loop, &all->timer, due - now, transactions_look, all);
    } else {
        all->told_ms = now;
        all->is_changed = false;
        if (transactions_tell(all).code == ERR_OK) return;
        all->is_changed = true;
        timer_start(all->loop, &all->timer, ALIVE_MS, transactions_look, all);
    }
}

/* ---- what becomes of them. A set that can't grow loses a number, which then seems open. */

static void transaction_ended(struct intake_transactions *all, struct intake_transaction *one)
{
    (void)!uid_set_add(&all->ended, one->number, one->number).code;
    list_remove(&one->link);
    free(one);
}

/* Repeats of these come too late to count, or they are too many. */
static void broken_forget(struct intake_transactions *all)
{
    uint64_t now = loop_now_ms(all->loop);
    while (!list_is_empty(&all->broken)) {
        struct intake_transaction *one = LIST_ITEM(all->broken.next, struct intake_transaction,
                                                   link);
        if (all->broken_count <= BROKEN_MAX && one->until_ms > now) return;
        uid_set_remove(&all->broken_set, one->number, one->number);
        all->broken_count--;
        transaction_ended(all, one);
    }
}

uint32_t intake_transactions_begin(struct intake_transactions *all)
{
    if (all->last == UINT32_MAX) return 0;
    if (all->open_map.count >= OPEN_MAX) {
        struct list *oldest = all->open.next;
        intake_transactions_over(all, LIST_ITEM(oldest, struct intake_transaction, link)->number,
                                 0);
    }
    struct intake_transaction *one = calloc(1, sizeof(*one));
    if (one == NULL) return 0;
    one->number = all->last + 1;
    if (map_put(&all->open_map, number_key(one), one).code != ERR_OK) {
        free(one);
        return 0;
    }
    all->last++;
    list_add(&all->open, &one->link);
    if (!timer_is_armed(&all->timer)) transactions_look(all);
    return one->number;
}

void intake_transactions_over(struct intake_transactions *all, uint32_t number,
                              uint64_t broken_ms)
{
    struct intake_transaction *one = map_remove(&all->open_map,
                                                span_of(&number, sizeof(number)));
    if (one == NULL) return;
    broken_forget(all);
    if (broken_ms == 0) {
        transaction_ended(all, one);
    } else {
        list_remove(&one->link);
        list_add(&all->broken, &one->link);
        all->broken_count++;
        one->until_ms = loop_now_ms(all->loop) + broken_ms;
        (void)!uid_set_add(&all->broken_set, number, number).code;
    }
    all->is_changed = true;
    transactions_look(all);
}

enum intake_end_state intake_transactions_state(const struct intake_transactions *all,
                                                uint32_t number)
{
    if (map_get(&all->open_map, span_of(&number, sizeof(number))) != NULL) return INTAKE_OPEN;
    return uid_set_has(&all->broken_set, number) ? INTAKE_BROKEN : INTAKE_ENDED;
}

/* plan.h: what the controller wants changed next, from a picture of the cluster. Pure: the rows,
 * the time and random bytes go in, one transaction comes out; when it was carried out or lost, the
 * rows are looked at again and the next one is asked for. So a controller that dies between two
 * transactions is followed by one that goes on where it stopped.
 *
 * Bootstrap (plan_bootstrap.c): when `nodes_wanted` nodes with a data directory are live and there
 * is no map/head, the shards are dealt out: neighbouring slots each, of equal size as far as it
 * goes; each shard's copies on nodes, and zones, that differ as far as there are any; every store
 * first copy, which will lead, of as many shards as any other, one more or less. Only place/<s> and
 * shards/<s> that are not there yet are written; chunks and head last, in one transaction: they are
 * the mark that all is there. A store that was dealt a shard before a change of controllers keeps
 * it.
 *
 * Nodes: a store whose node has not been live for `dead_after_ms` is marked dead, so that
 * `cluster status` says so and nothing new is placed on it; a node that comes back marks its store
 * active itself when it starts.
 *
 * Copies (plan_settle.c, plan_moves.c): the planner changes the wish, place/<s>; the shard's leader
 * works towards it and changes what is, shards/<s>. A copy is never taken away before another is in
 * its place:
 *
 *     {A, B, C}                     C is to go: its node is gone for `replace_after_ms`, or drains,
 *     {A, B, C, D}, leaving C       or D has less to do
 *     {A, B, D}                     when D, and all others that are live, are in sync, and no fewer
 *                                   than `target` are if C itself still is; the leader then takes
 *                                   C out of the set in sync
 *
 * At most `moves_max` copies are on their way to other stores at a time, first of the shards with
 * the fewest in sync; and one is added only while no more than that many are not in sync. With
 * fewer nodes than copies each node has one, and nodes that join are given the rest. `min_isr` is
 * raised only when so many are in sync. A shard that nobody leads is left alone: nobody would carry
 * the wish out.
 *
 * Evenness: copies never share a node, nor a zone while there is another; then each store has as
 * many copies as any other, one more or less, as far as nodes and zones allow; of several equal
 * choices, the one whose store shares the fewest shards with the copies that stay, so that the work
 * of a node that dies falls on many. Leads (plan_leads.c) are evened out between the copies in sync
 * by place/<s>.lead, which the leader follows by a planned transfer. What an operator placed by
 * hand is not moved for evenness, and stores and nodes are given leads, or copies for evenness,
 * only after they have been live for `settle_ms`. */
#ifndef MAIL_PLAN_H
#define MAIL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "roster.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PLAN_STORES_MAX = 512,
    PLAN_ITEMS_MAX = 120, /* of one transaction; etcd takes 128 */
    PLAN_COPIES_MAX = ROSTER_COPIES_MAX - 1, /* one more while a copy moves */
    PLAN_MOVES_MAX = 64,
    PLAN_LEADS_MAX = 8, /* leads on their way at a time: each stops its shard for a moment */
};

struct plan_store {
    struct roster_id sid;
    struct roster_store row;
    uint64_t revision;
    bool live;
    uint64_t gone_since_ms; /* when it was first seen not to be live; of this controller's clock */
    uint64_t live_since_ms; /* and to be */
};

struct plan_shard {
    bool has_place, has_shard;
    uint64_t revision; /* of place/<s> */
    struct roster_place place;
    struct roster_shard row;
};

struct plan_view {
    bool has_head;
    bool is_partial; /* rows of stores that can't be read, or are too many: nothing is moved */
    uint64_t now_ms;
    uint32_t stores_count;
    struct plan_store stores[PLAN_STORES_MAX]; /* in order of sid */
    struct plan_shard shards[ROSTER_SHARDS_MAX];
};

struct plan_options {
    uint32_t nodes_wanted;  /* 1.. : bootstrap waits for them */
    uint32_t shards;        /* 1..ROSTER_SHARDS_MAX */
    uint32_t copies;        /* 1..PLAN_COPIES_MAX: of a new cluster */
    uint32_t min_isr;       /* 1..copies */
    uint64_t dead_after_ms;
    /* From here on they may change; copies_now: 0..PLAN_COPIES_MAX, 0: each shard as it was made */
    uint32_t copies_now, min_isr_now;
    uint64_t replace_after_ms;
    uint32_t moves_max; /* 0..PLAN_MOVES_MAX; 0: no copy is moved */
    bool evens;         /* copies and leads are evened out */
    uint64_t settle_ms;
};

struct plan_item {
    const char *why; /* a literal */
    char key[ROSTER_KEY_MAX_BYTES];
    size_t key_len;
    size_t value_at, value_len; /* in plan.bytes */
    uint64_t revision;          /* the key's, 0: it must not be there */
};

/* The planner's own: a shard as it will be, by places in view.stores; -1: a store without a row. */
struct plan_copy {
    int16_t store;
    bool in_sync, leaves;
};
struct plan_now {
    const char *why; /* it is changed; NULL: not */
    bool is_there, is_led; /* with both rows; by a store that is live */
    uint32_t count;
    struct plan_copy copies[ROSTER_COPIES_MAX];
    int16_t leader, lead;  /* who does, and is to */
    struct roster_place place;
};

struct plan {
    const char *why; /* for the log: that of the first item, or what is waited for, or NULL */
    uint32_t items_count;
    struct plan_item items[PLAN_ITEMS_MAX];
    size_t bytes_len;
    char bytes[512 * 1024];
    /* The planner's own, of the last plan_next(): what each store has. */
    const struct plan_view *view;
    const struct plan_options *options;
    uint32_t firsts[PLAN_STORES_MAX], copies[PLAN_STORES_MAX], leads[PLAN_STORES_MAX];
    uint16_t together[PLAN_STORES_MAX][PLAN_STORES_MAX];
    struct plan_now now[ROSTER_SHARDS_MAX];
};

/* The next transaction. False: nothing is to be done; `plan->why` says what is waited for, or is
 * NULL. `random` makes the nonces of the shards' first rows. */
bool plan_next(const struct plan_view *view, const struct plan_options *options,
               void (*random)(void *bytes, size_t size), struct plan *plan);

/* In how many ms the same view may want something new; UINT64_MAX: not by time alone. */
uint64_t plan_wait_ms(const struct plan_view *view, const struct plan_options *options);

/* How the shards are, for metrics. */
struct plan_health {
    uint32_t shards, without_leader; /* nobody leads, or nobody who is live */
    uint32_t under_min_isr;          /* fewer in sync than a change needs */
    uint32_t copies_missing;         /* fewer in sync than are wished, those under_min_isr too */
    uint32_t moving;                 /* copies on their way, or to leave */
};
void plan_health_get(const struct plan_view *view, struct plan_health *ret);

/* The place in view->stores, or -1. */
int plan_store_of(const struct plan_view *view, const struct roster_id *sid);

#ifdef __cplusplus
}
#endif
#endif

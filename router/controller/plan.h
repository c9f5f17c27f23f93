/* plan.h: what the controller wants changed next, from a picture of the cluster. Pure: the rows,
 * the time and random bytes go in, one transaction comes out; when it was carried out or lost, the
 * rows are looked at again and the next one is asked for. So a controller that dies between two
 * transactions is followed by one that goes on where it stopped.
 *
 * Bootstrap: when `nodes_wanted` nodes with a data directory are live and there is no map/head, the
 * shards are dealt out: neighbouring slots each, of equal size as far as it goes; each shard's
 * copies on nodes, and zones, that differ as far as there are any; every store first copy, which
 * will lead, of as many shards as any other, one more or less. Only place/<s> and shards/<s> that
 * are not there yet are written; chunks and head last, in one transaction: they are the mark that
 * all is there. A store that was dealt a shard before a change of controllers keeps it.
 *
 * Nodes: a store whose node has not been live for `dead_after_ms` is marked dead, so that
 * `cluster status` says so and nothing new is placed on it; a node that comes back marks its store
 * active itself when it starts. */
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
};

struct plan_store {
    struct roster_id sid;
    struct roster_store row;
    uint64_t revision;
    bool live;
    uint64_t gone_since_ms; /* when it was first seen not to be live; of this controller's clock */
};

/* Rows of one shard: revisions only, and the first copy. */
struct plan_shard {
    bool has_place, has_shard;
    struct roster_place place;
};

struct plan_view {
    bool has_head;
    uint64_t now_ms;
    uint32_t stores_count;
    struct plan_store stores[PLAN_STORES_MAX]; /* in order of sid */
    struct plan_shard shards[ROSTER_SHARDS_MAX];
};

struct plan_options {
    uint32_t nodes_wanted;  /* 1.. : bootstrap waits for them */
    uint32_t shards;        /* 1..ROSTER_SHARDS_MAX */
    uint32_t copies;        /* 1..ROSTER_COPIES_MAX */
    uint32_t min_isr;       /* 1..copies */
    uint64_t dead_after_ms;
};

struct plan_item {
    char key[ROSTER_KEY_MAX_BYTES];
    size_t key_len;
    size_t value_at, value_len; /* in plan.bytes */
    uint64_t revision;          /* the key's, 0: it must not be there */
};

struct plan {
    const char *why; /* for the log: "bootstrap", "map", "node is dead" */
    uint32_t items_count;
    struct plan_item items[PLAN_ITEMS_MAX];
    size_t bytes_len;
    char bytes[512 * 1024];
};

/* The next transaction. False: nothing is to be done; `plan->why` says what is waited for, or is
 * NULL. `random` makes the nonces of the shards' first rows. */
bool plan_next(const struct plan_view *view, const struct plan_options *options,
               void (*random)(void *bytes, size_t size), struct plan *plan);

/* In how many ms the same view may want something new; UINT64_MAX: not by time alone. */
uint64_t plan_wait_ms(const struct plan_view *view, const struct plan_options *options);

#ifdef __cplusplus
}
#endif
#endif

/* meter_private.h: what waits for a call to a shard, and the table of keys that are held. */
#ifndef MAIL_METER_PRIVATE_H
#define MAIL_METER_PRIVATE_H

#include "arena.h"
#include "later.h"
#include "list.h"
#include "map.h"
#include "meter.h"
#include "place_map.h"
#include "route.h"
#include "store_msg.h"
#include "timer.h"

enum {
    METER_ITEMS_MAX = 256,      /* of one call (store.proto) */
    METER_ARENA_BYTES = METER_ITEMS_MAX * (METER_KEY_MAX_BYTES + 64),
    METER_REPORT_MS = 20,       /* what nobody waits for is told so much later, with others */
    METER_AGAIN_MS = 100,       /* after a call that failed */
    METER_KNOWN_SIZE = 4096,    /* keys that are known to be held: the last ones */
    METER_OWNER_BYTES = 16,
    METER_RENEW_PART = 3,       /* of the lease: how often what is open is told again */
};

struct meter_batch;
struct meter_item;

struct meter_item_calls {
    /* Fills in its check; the key is copied. */
    void (*put)(struct meter_item *item, struct store_tally_item *to);
    /* It is in no call any more. May queue it again. `answer` is NULL on an error. */
    void (*answered)(struct meter_item *item, struct err err,
                     const struct store_tally_answer *answer);
};

/* Stands first in what is asked. */
struct meter_item {
    struct list link;          /* in its lane while it waits */
    struct meter *meter;
    struct meter_batch *batch; /* the call that carries it; NULL: none */
    size_t at;                 /* in that */
    const struct meter_item_calls *calls;
    bool is_waiting;
};

/* What goes to one shard. */
struct meter_lane {
    struct meter *meter;
    struct list waiting;
    struct meter_batch *batch; /* under way; NULL: none */
    struct later send;         /* at the end of this turn */
    struct timer wait;         /* or after a while */
    uint64_t broken_until_ms;
    unsigned shard;
};

/* A call. */
struct meter_batch {
    struct meter_lane *lane;
    struct route_call *call;
    struct arena arena;
    struct store_tally_request request;
    struct meter_item **items; /* in the order of the request's; NULL: given up meanwhile */
    bool is_answered;
};

struct meter_known {
    uint64_t hash, until_ms;
};

struct meter {
    struct loop *loop;
    struct route *route;
    char owner[METER_OWNER_BYTES];
    uint64_t lease_ms, seed[2];
    size_t waiting;            /* items that wait or are under way */
    struct meter_lane *lanes[PLACE_SHARDS_MAX]; /* made when first needed */
    struct map opens;          /* struct meter_open, by kind and address */
    struct list by_age;        /* the same: the one told last stands last */
    struct timer renew;
    struct meter_known known[METER_KNOWN_SIZE];
    bool is_closing, is_leaving;
};

/* ---- meter_lane.c */

/* The lane of a slot as the map is now. NULL: no memory. */
struct meter_lane *meter_lane(struct meter *meter, unsigned slot);
/* Has the item asked, at the end of this turn or in `wait_ms`. It is not waiting. */
void meter_queue(struct meter_lane *lane, struct meter_item *item, uint64_t wait_ms);
/* Takes it out of wherever it is. */
void meter_unqueue(struct meter_item *item);
void meter_lane_free(struct meter_lane *lane);
/* Somebody has waited for this lane in vain. */
void meter_lane_broken(struct meter_lane *lane);

/* ---- meter_open.c */
void meter_opens_free(struct meter *meter);

#endif

/* plan_private.h: what the parts of the planner share. */
#ifndef MAIL_PLAN_PRIVATE_H
#define MAIL_PLAN_PRIVATE_H

#include "plan.h"

struct buf;

/* ---- writing the transaction (plan.c) */

/* An item: the caller writes key and value into what these return, then closes it. */
struct buf plan_item_key(struct plan *plan);
struct buf plan_item_value(struct plan *plan);
void plan_item_close(struct plan *plan, const struct buf *key, const struct buf *value,
                     uint64_t revision, const char *why);

/* The shards of a cluster that is made. False: nodes are waited for. */
bool plan_bootstrap(struct plan *plan, void (*random)(void *, size_t));

/* ---- what there is (plan_now.c) */

enum plan_use {
    PLAN_USABLE, /* may be given something */
    PLAN_AWAY,   /* for the moment, one hopes */
    PLAN_DRAINS, /* is to be emptied */
    PLAN_LOST,   /* what it has is to be made anew elsewhere */
};
enum plan_use plan_use_of(const struct plan *plan, int store);
bool plan_is_live(const struct plan *plan, int store);
/* Usable, and has been for a while. */
bool plan_is_settled(const struct plan *plan, int store);

/* Reads all shards, and counts. */
void plan_now_read(struct plan *plan);
/* Takes a shard whose `place` is to be changed out of the counts, and puts it back in. */
void plan_now_open(struct plan *plan, struct plan_now *now);
void plan_now_close(struct plan *plan, struct plan_now *now, const struct roster_shard *row);

/* A copy of the shard is there and not yet in sync, or is to leave. */
bool plan_is_moving(const struct plan *plan, const struct plan_now *now);

/* How much a store is like those of the copies that stay, `but` one (-1: none) aside: 0 not at all,
 * 1 for each that is in its zone, PLAN_SAME_NODE for each on its node. */
enum { PLAN_SAME_NODE = 100 };
unsigned plan_shares(const struct plan *plan, const struct plan_now *now, int store, int but);
/* Shards that a store has together with the copies that stay. */
unsigned plan_together(const struct plan *plan, const struct plan_now *now, int store, int but);

/* ---- deciding */

/* Ends what is done, follows the options. */
void plan_settle(struct plan *plan, uint32_t number);
/* Begins new moves. */
void plan_moves(struct plan *plan);
void plan_leads(struct plan *plan);

#endif

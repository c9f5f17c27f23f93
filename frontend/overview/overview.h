/* overview.h: what the rows of the cluster (lib/roster) say of its parts and how they are. Pure.
 *
 *     overview_new(&overview);
 *     for each row: overview_add(overview, key, value);
 *     overview_end(overview);
 *
 * A row that can't be read counts as one that is not there, and is counted in `corrupt`; what is
 * beyond the bounds is counted in `left_out`. */
#ifndef MAIL_OVERVIEW_H
#define MAIL_OVERVIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    OVERVIEW_NODES_MAX = 512,
    OVERVIEW_STORES_MAX = 1024,
    OVERVIEW_PROGRAMS_MAX = 1024,
};

enum overview_shard_state {
    OVERVIEW_LED,            /* and has all its copies */
    OVERVIEW_COPIES_MISSING, /* fewer in sync than are wished */
    OVERVIEW_NO_CHANGES,     /* fewer in sync than a change needs */
    OVERVIEW_LEADER_GONE,    /* the one that led it is not there any more */
    OVERVIEW_NO_LEADER,      /* nobody has led it yet */
    OVERVIEW_UNKNOWN,        /* its rows are missing */
};
enum { OVERVIEW_SHARD_STATES = 6 };

/* "led", "copies-missing", "no-changes", "leader-gone", "no-leader", "unknown". */
const char *overview_shard_text(enum overview_shard_state state);

struct overview_node {
    struct roster_name name, zone;
    uint32_t stores, leads; /* data directories, and shards that they lead */
    uint32_t copies;        /* that are placed on them */
    uint64_t capacity_bytes;
    bool draining, dead;    /* as the controller has it, of one of its directories */
    bool alive;             /* its lease stands */
    struct roster_live live; /* if alive */
    uint32_t place;          /* of overview.c */
};

struct overview_store {
    struct roster_id sid;
    uint32_t node; /* place in nodes */
};

struct overview_program {
    enum roster_kind kind;
    struct roster_name name;
    struct roster_program row;
};

struct overview_shard {
    bool has_slots, has_place, has_row;
    struct roster_slots slots;
    struct roster_place place;
    struct roster_shard row;
    enum overview_shard_state state;
    struct roster_copies coming; /* placed, and not in sync */
};

struct overview {
    bool has_head, has_controller;
    struct roster_map_head head;     /* chunks 0: one node leads all */
    struct roster_name controller;
    uint32_t nodes_count, stores_count, programs_count, corrupt, left_out;
    uint32_t by_state[OVERVIEW_SHARD_STATES]; /* of head.shards; all 0 with one node */
    uint32_t moving;                          /* of them, with a copy on its way */
    struct overview_node nodes[OVERVIEW_NODES_MAX]; /* by name */
    struct overview_store stores[OVERVIEW_STORES_MAX];
    struct overview_program programs[OVERVIEW_PROGRAMS_MAX]; /* by kind, then name */
    struct overview_shard shards[ROSTER_SHARDS_MAX];
};

MUST_USE struct err overview_new(struct overview **ret);
void overview_free(struct overview *overview);
/* A row, in any order; keys of other kinds are passed over. */
void overview_add(struct overview *overview, struct span key, struct span value);
/* Works out who leads what, and the states of the shards. */
void overview_end(struct overview *overview);

/* The node that has a data directory, or NULL. */
const struct overview_node *overview_node_of(const struct overview *overview,
                                             const struct roster_id *sid);

#ifdef __cplusplus
}
#endif
#endif

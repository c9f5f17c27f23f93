/* controller.h: the elected controller of a cluster: it looks at the rows, has the planner (plan.h)
 * say what is to be changed, and changes it.
 *
 * One of all routers is it: the one that made the row `controller` under its lease; the others
 * watch that row and try when it is gone. Each change of it holds only while that row is still
 * its own (a comparison in the same transaction), so that one that was stopped for a while and is
 * followed by another can't act on what it knew. It holds nothing that is not in the rows, but
 * since when a node is there or gone: its successor counts that anew. */
#ifndef MAIL_CONTROLLER_H
#define MAIL_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct controller;
struct coord;
struct crew;
struct loop;
struct plan_health;
struct plan_options;

enum {
    CONTROLLER_LEASE_S = 10,
    CONTROLLER_RETRY_MS = 1000, /* after an error of the store */
};

/* What happened: for the log. */
enum controller_event {
    CONTROLLER_ELECTED,      /* this one is it */
    CONTROLLER_DEPOSED,      /* and is not any more */
    CONTROLLER_NODE_JOINED,  /* `text`: the node's name */
    CONTROLLER_NODE_LEFT,
    CONTROLLER_CHANGED,      /* `text`: why, as plan.h says */
    CONTROLLER_WAITS,        /* `text`: for what */
    CONTROLLER_FAILED,       /* `err`: of the store; tried again */
};

struct controller_options {
    struct coord *coord; /* outlives the controller */
    struct crew *crew;   /* for the file back end; etcd does without */
    struct span name;    /* of this program, for others to read; copied, a roster_name */
    const struct plan_options *plan; /* plan.h; copied */
    void (*event)(void *holder, enum controller_event event, struct span text, struct err err);
    void *holder;
};

/* ERR_SYNTAX: the name or an option out of its bounds; ERR_BUSY, ERR_NOMEM. */
MUST_USE struct err controller_start(struct loop *loop, const struct controller_options *options,
                                     struct controller **ret);
/* What is wished from now on. ERR_SYNTAX: out of its bounds; nothing changed. */
MUST_USE struct err controller_plan_set(struct controller *controller,
                                        const struct plan_options *plan);
/* Gives the office back. A change under way may still be carried out; nothing is called any more
 * once `stopped` was, on a later turn. */
void controller_stop(struct controller *controller, void (*stopped)(void *holder), void *holder);

struct controller_state {
    bool leads;
    struct roster_name leader; /* empty: nobody is */
    uint32_t nodes_live, stores;
};
void controller_state_get(struct controller *controller, struct controller_state *ret);
/* Of the shards, as they were at the last look (plan.h). */
void controller_health_get(const struct controller *controller, struct plan_health *ret);

#ifdef __cplusplus
}
#endif
#endif

/* replica_step.h: one copy of a shard as a step machine (REPLICATION section 6): an event goes in,
 * what must now be done comes out. No I/O, no clock, no memory of its own: all state is in
 * struct replica, and the same history of events gives the same actions.
 *
 * Where a copy stands (6.3):  OFFLINE -> REPLAY -> CANDIDATE -> RECONCILE -> SERVING, from
 * RECONCILE back to CANDIDATE when the log has no room for its EPOCH entry, and QUARANTINED from
 * anywhere. A set with one member has no followers to hear from; the events of Append, AppendAck,
 * Beat and the etcd answers join this table with replicated shards, and change nothing of the
 * epochs, indexes and rules below.
 *
 * Rules that hold here as there:
 *   I2  (epoch, index) is given once: index rises by one, an epoch begins with its EPOCH entry
 *   I3  committed: durable on every member of isr_max
 *   I4  applied <= commit <= durable, none ever falls
 *   I5  accepted_epoch never falls, and its ACCEPT record is in the log before any entry of it
 *   I9  nothing is answered before it is committed and applied
 *   No commit before the EPOCH entry of the own epoch is durable (6.7.3), also after a restart:
 *   a leader that comes back takes over with a new epoch. */
#ifndef MAIL_REPLICA_STEP_H
#define MAIL_REPLICA_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* On the wire in NodeStatus: never renumbered. */
enum replica_role {
    REPLICA_OFFLINE = 0, REPLICA_REPLAY = 1, REPLICA_LEARNER = 2, REPLICA_FOLLOWER = 3,
    REPLICA_CANDIDATE = 4, REPLICA_RECONCILE = 5, REPLICA_SERVING = 6, REPLICA_QUARANTINED = 7,
};

enum { REPLICA_PENDING_MAX = 65536 }; /* entries proposed and not applied; BUSY beyond */

struct replica {
    uint32_t shard;
    enum replica_role role;
    uint64_t accepted_epoch; /* highest promised */
    uint64_t epoch;          /* of the leader that this copy follows or is */
    uint64_t epoch_start;    /* index of that epoch's EPOCH entry */
    uint64_t last_index;     /* in the log, durable or not */
    uint64_t last_epoch;     /* of that entry */
    uint64_t durable_index, commit_index;
    uint64_t apply_index;    /* handed out to be applied */
    uint64_t applied_index;
    uint64_t unbegun_epoch;  /* whose EPOCH entry the log had no room for; 0: none */
    unsigned isr_size;       /* members of isr_max, this one among them */
    unsigned min_isr;
    enum err_code failed;    /* QUARANTINED: why */
};

enum replica_event_kind {
    REPLICA_EVENT_RECOVERED, /* the log and the rows were read: `recovered` */
    REPLICA_EVENT_LEAD,      /* this copy is alone in its set, or won the takeover: lead `epoch` */
    REPLICA_EVENT_PROPOSE,   /* `count` batches are to be logged */
    REPLICA_EVENT_DURABLE,   /* everything up to `index` is on disk here */
    REPLICA_EVENT_REFUSED,   /* the log took nothing behind what is durable (disk full) */
    REPLICA_EVENT_APPLIED,   /* rows of everything up to `index` are in the store */
    REPLICA_EVENT_FAIL,      /* the disk or the rows are broken: `code` */
};

struct replica_recovered {
    uint64_t accepted_epoch, last_epoch, last_index;
    uint64_t commit_hint; /* of the log */
    uint64_t applied_index;
};

struct replica_event {
    enum replica_event_kind kind;
    uint64_t epoch, index;
    unsigned count;
    enum err_code code;
    struct replica_recovered recovered;
};

/* What must be done, in this order. */
struct replica_actions {
    struct err refused;         /* PROPOSE: not taken (BUSY, MOVED, CORRUPT); nothing else to do */
    bool log_accept;            /* an ACCEPT record of `epoch` */
    bool log_epoch;             /* then the EPOCH entry (epoch, epoch_index) */
    uint64_t epoch, epoch_index;
    uint64_t first_index;       /* PROPOSE: log the batches as (epoch, first_index ...) */
    uint64_t apply_from, apply_to; /* entries to apply; none when apply_from is 0 */
    bool answer;                /* answer what waits for an index up to `answered_index` */
    uint64_t answered_index;
    bool role_changed;
};

void replica_init(struct replica *replica, uint32_t shard, unsigned min_isr);

/* ERR_OK, or ERR_CORRUPT when an event can't be (an index that was never logged): the copy is then
 * QUARANTINED. */
MUST_USE struct err replica_step(struct replica *replica, const struct replica_event *event,
                                 struct replica_actions *actions);

#ifdef __cplusplus
}
#endif
#endif

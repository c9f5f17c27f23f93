/* replica_message.h: what the copies of a shard say to each other (REPLICATION 6.4), as the step
 * machine sees it. How it stands on the wire: replica_wire.h.
 *
 *   APPEND      leader -> copy    entries index+1 .. index+count, all of `entry_epoch`, behind the
 *                                 entry (index_epoch, index); without entries: is that one there?
 *   ACK         copy -> leader    up to `index` the copy has what the leader has, on its disk
 *   REJECT      copy -> leader    STALE: it has promised `index` (an epoch); GAP: what both have
 *                                 ends at `index` at most, and its epochs up to there begin at
 *                                 `starts`; QUARANTINED
 *   BEAT        leader -> copy    is still there; `commit`; `sent_ms` by its own clock
 *   BEAT_ACK    copy -> leader    `sent_ms` again; `granted`: it takes nothing over for G from now
 *   READ        copy -> leader    up to where must I have applied, to read what is true now? (`id`)
 *   READ_REPLY  leader -> copy    up to `index`, if `granted`
 *   BEHIND      leader -> copy    it lacks entries up to `index`, which the leader's log no longer
 *                                 has: a checkpoint is needed; `commit`. `id`: of the process that
 *                                 is meant (replica_behind_id()), since what it has done since it
 *                                 was started is what makes it safe to install one
 *
 * A learner is told the same as a follower: it answers its first APPEND with a GAP that says where
 * it stands, so REPLICATION's Fetch has no message of its own. */
#ifndef MAIL_REPLICA_MESSAGE_H
#define MAIL_REPLICA_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "roster.h"

#ifdef __cplusplus
extern "C" {
#endif

/* On the wire: never renumbered. */
enum replica_message_kind {
    REPLICA_APPEND = 1, REPLICA_ACK = 2, REPLICA_REJECT = 3, REPLICA_BEAT = 4,
    REPLICA_BEAT_ACK = 5, REPLICA_READ = 6, REPLICA_READ_REPLY = 7, REPLICA_BEHIND = 8,
};
enum { REPLICA_MESSAGE_KINDS = 8 };

/* On the wire: never renumbered. */
enum replica_reason { REPLICA_STALE = 1, REPLICA_GAP = 2, REPLICA_IN_QUARANTINE = 3 };

enum {
    REPLICA_STARTS_MAX = 8,    /* beginnings of epochs in a GAP: the newest */
    REPLICA_APPEND_MAX = 256,  /* entries of one APPEND */
};

struct replica_start {
    uint64_t epoch, index; /* its first entry that is known here */
};

struct replica_message {
    enum replica_message_kind kind;
    enum replica_reason reason;  /* REJECT */
    uint64_t epoch;              /* that of the leader, as the sender knows it */
    uint64_t index, index_epoch;
    uint64_t entry_epoch;        /* APPEND with entries */
    unsigned count;
    uint64_t commit;             /* APPEND, BEAT, BEHIND */
    uint64_t applied;            /* ACK */
    uint64_t sent_ms;            /* BEAT, BEAT_ACK */
    uint64_t id;                 /* READ, READ_REPLY, BEHIND */
    bool granted;                /* BEAT_ACK, READ_REPLY */
    bool disk_ok;                /* BEAT_ACK */
    unsigned starts_count;       /* GAP; ascending */
    struct replica_start starts[REPLICA_STARTS_MAX];
};

#ifdef __cplusplus
}
#endif
#endif

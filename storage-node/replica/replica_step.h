/* replica_step.h: one copy of a shard as a step machine (REPLICATION section 6): an event goes in,
 * what must now be done comes out. No I/O, no clock, no memory of its own: all state is in
 * struct replica, and the same history of events gives the same actions.
 *
 * The shard's in-sync set and epoch stand in one row of the cluster (`shards/<s>`), which is only
 * ever changed by compare-and-swap: by the leader within its epoch, by a candidate or by the
 * leader's own wish to open the next. A change is committed when every copy that is, or may be, in
 * that set has it on its disk; applied only then.
 *
 *   OFFLINE -> REPLAY -> LEARNER  the row does not name this copy; it is sent what is committed
 *                     -> FOLLOWER -> CANDIDATE -> RECONCILE -> SERVING
 *   SERVING -> FOLLOWER when another epoch is heard of, or the disk is ill. QUARANTINED from
 *   anywhere, and never left: the process is started again, or the store is made anew.
 *
 * A copy that was never told replica_join() is alone in its set: it goes from REPLAY to CANDIDATE
 * and leads when it is told to (LEAD). It is the same machine with a set of one: no peers to hear,
 * no grants to wait for.
 *
 * Rules (6.10), and where they are kept:
 *   I1  one leader in an epoch                       the row's compare-and-swap
 *   I2  (epoch, index) is given once                 leader: a log that refused what was sent ends
 *                                                    the lead, the index is not given again
 *   I3  committed: durable on every member of every set that is or may be in the row   leader
 *   I4  applied <= commit <= durable <= last; commit never falls, nothing is cut at or below it
 *   I5  accepted_epoch never falls, and is durable before anything is acknowledged in it
 *   I6  the sets reckoned with hold that of the row, while the epoch is the row's
 *   I7  reads only with a grant from every other member   replica_read_until()
 *   I9  nothing is answered before it is committed and applied, nor with fewer copies than min_isr
 *   I10 a row is acted upon only if its revision is newer than the last
 * What can be seen here alone is looked at after every step (replica_check.c): the simulator ends
 * there, the product puts the shard into quarantine. I8 is the shell's.
 *
 * Where it departs from REPLICATION section 6:
 *   - Learners are sent entries as followers are, up to the commit, instead of fetching them.
 *   - A copy in quarantine does not change the row itself, which only leaders and candidates do:
 *     it says so to the leader, who takes it out at once. Were it the leader, its grants lapse.
 *   - A copy that lacks what the leader's log no longer has is told so (BEHIND) and gets a
 *     checkpoint: what makes that safe is said in replica_install.c.
 *   - A takeover is never given up: the candidate asks on until it knows what became of it, and
 *     grants nothing meanwhile. It begins with a linearizable read, so that none is begun while
 *     the row cannot be reached. */
#ifndef MAIL_REPLICA_STEP_H
#define MAIL_REPLICA_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "replica_message.h"

#ifdef __cplusplus
extern "C" {
#endif

/* On the wire in NodeStatus: never renumbered. */
enum replica_role {
    REPLICA_OFFLINE = 0, REPLICA_REPLAY = 1, REPLICA_LEARNER = 2, REPLICA_FOLLOWER = 3,
    REPLICA_CANDIDATE = 4, REPLICA_RECONCILE = 5, REPLICA_SERVING = 6, REPLICA_QUARANTINED = 7,
};

enum {
    REPLICA_PENDING_MAX = 65536, /* entries logged and not applied; BUSY beyond */
    REPLICA_PEERS_MAX = 8,       /* other copies, learners among them */
    REPLICA_EPOCHS_MAX = 64,     /* beginnings of epochs that are remembered: the newest */
    REPLICA_SENDS_MAX = 2 * REPLICA_PEERS_MAX + 2, /* messages of one step */
    REPLICA_WINDOW = 1024,       /* entries sent and not acknowledged, of one copy */
    REPLICA_EXPAND_LAG = 1024,   /* entries that a copy may lack when it is taken in */

    REPLICA_LEASE_MS = 1000,     /* L: a grant counts from when its beat was sent */
    REPLICA_PROMISE_MS = 1500,   /* G: it is kept from when the beat was received */
    REPLICA_BEAT_MS = 200,
    REPLICA_RANK_MS = 200,       /* between the candidates of a set */
    REPLICA_GAP_MS = 200,        /* between two ticks: more, and the copy itself was paused */
    REPLICA_RESEND_MS = 300,
    REPLICA_PROGRESS_MS = 1000,  /* a copy that acknowledges nothing so long leaves the set */
    REPLICA_SHRINK_LAST_MS = 10000, /* the same, when fewer than min_isr would be left */
    REPLICA_ASK_MS = 2000,       /* for an answer of the row's keeper */
    REPLICA_HANDOVER_MS = 2000,  /* for a planned transfer's target to catch up */
    REPLICA_BACK_MS = 1000,      /* a copy that left the set comes back after; doubled each time */
    REPLICA_BACK_MAX_MS = 30000,
};

/* The row as last known. Revision 0: not known yet. */
struct replica_config {
    uint64_t revision;
    struct roster_shard row;
};

struct replica_peer {
    struct roster_id sid, boot;  /* boot: of the process whose acks count; zeros: none yet */
    bool in_isr;                 /* in the row's set */
    bool in_max;                 /* in a set that is, or may be, the row's */
    bool is_placed;
    bool is_known;               /* it has acknowledged: `matched` says where it stands */
    bool is_probed;              /* it is being asked: `next` is a guess */
    bool is_behind_log;          /* needs what the log no longer has: a checkpoint */
    bool refuses;                /* its disk is ill, or it is in quarantine */
    uint64_t matched;            /* durable there as it is here, in this epoch */
    uint64_t next;               /* to be sent */
    uint64_t grant_until_ms;
    uint64_t heard_ms;           /* when the newest beat was sent that it answered */
    uint64_t progress_ms;        /* when `matched` last rose, or nothing was missing */
    uint64_t sent_ms;            /* the last APPEND */
    uint64_t back_ms, delay_ms;  /* not taken in before; the delay of the next time */
};

/* A compare-and-swap of the row. */
enum replica_change {
    REPLICA_NO_CHANGE, REPLICA_SHRINK, REPLICA_EXPAND, REPLICA_TAKEOVER, REPLICA_TRANSFER,
    REPLICA_RETRACT, /* nothing but a new revision: an EXPAND of before can't be done any more */
};
struct replica_cas {
    enum replica_change change;
    uint64_t revision;           /* of the row, for it to be done */
    struct roster_shard row;     /* its nonce tells this change from all others */
    /* EXPAND: done only while stores/<joins> is of that same boot. */
    struct roster_id joins, joins_boot;
};

struct replica {
    uint32_t shard;
    enum replica_role role;
    uint64_t accepted_epoch;   /* highest promised */
    uint64_t accepted_durable; /* of it, on the disk */
    uint64_t epoch;            /* of the leader that this copy follows or is */
    uint64_t epoch_start;      /* leader: index of that epoch's EPOCH entry */
    uint64_t last_index;       /* in the log, durable or not */
    uint64_t last_epoch;       /* of that entry */
    uint64_t durable_index, commit_index;
    uint64_t apply_index;      /* handed out to be applied */
    uint64_t applied_index;
    uint64_t unbegun_epoch;    /* whose EPOCH entry the log had no room for; 0: none */
    unsigned isr_size;         /* members of the row's set */
    unsigned min_isr;
    enum err_code failed;      /* QUARANTINED: why */
    /* The log's epochs, ascending; nothing is known below the first. */
    unsigned epochs_count;
    struct replica_start epochs[REPLICA_EPOCHS_MAX];
    uint64_t log_first;        /* the first entry that can be read back */

    /* ---- of a cluster */
    bool is_joined;
    bool disk_ok;
    struct roster_id sid, boot;
    struct replica_config config;
    struct roster_place place;
    uint64_t nonces;           /* given so far */
    struct replica_cas cas;    /* under way, unless NO_CHANGE */
    bool cas_unknown;          /* its outcome is asked for */
    bool cas_refused;          /* ... and the last try was not done, whatever became of others */
    bool reading;              /* a linearizable read is under way */
    uint64_t cas_ms, read_ms;  /* since when */
    uint64_t tick_ms;          /* the last tick */
    /* follower */
    struct roster_id leader;
    bool has_leader;
    uint64_t match_index;      /* up to here the log is the leader's, in this epoch */
    uint64_t told_commit;      /* by a leader */
    uint64_t acked_index;      /* the highest acknowledged in this epoch, by this process */
    uint64_t behind_epoch;     /* whose leader said that this copy needs a checkpoint; 0: none */
    bool installing;           /* its rows are being replaced: nothing is taken, applied or told */
    uint64_t promise_until_ms; /* takes nothing over before */
    uint64_t candidate_epoch;  /* CANDIDATE: the row's, whose leader is not heard */
    bool accept_logged;        /* ACCEPT of accepted_epoch is in the log's hands */
    /* leader */
    unsigned peers_count;
    struct replica_peer peers[REPLICA_PEERS_MAX];
    uint64_t sent_index;       /* the highest that any copy was sent */
    uint64_t steady_ms;        /* since when this copy itself was not paused */
    uint64_t beat_ms;
    bool handing_over;         /* serves no more: `heir` is to lead */
    struct roster_id heir;
    uint64_t handover_ms;      /* given up at, unless the change is under way */
    uint64_t give_away_ms;     /* after one that failed: not by itself before */
#ifdef REPLICA_FAULTS
    unsigned fault;            /* the simulator's planted one */
#endif
};

enum replica_event_kind {
    REPLICA_EVENT_RECOVERED, /* the log and the rows were read: `recovered` */
    REPLICA_EVENT_LEAD,      /* alone in its set: lead `epoch` */
    REPLICA_EVENT_PROPOSE,   /* `count` batches are to be logged */
    REPLICA_EVENT_DURABLE,   /* everything up to the entry (`epoch`, `index`) is on disk here, and
                              * the promise `accepted` */
    REPLICA_EVENT_REFUSED,   /* the log took nothing behind what is durable (disk full). Of a
                              * cluster: `recovered` says what it has */
    REPLICA_EVENT_APPLIED,   /* rows of everything up to `index` are in the store */
    REPLICA_EVENT_FAIL,      /* the disk or the rows are broken: `code` */
    REPLICA_EVENT_TICK,      /* every 50 ms or so; `disk_ok`, and `index`: log_first */
    REPLICA_EVENT_MESSAGE,   /* `message` of the copy `from`, process `boot` */
    REPLICA_EVENT_CONFIG,    /* the row, seen by a watch */
    REPLICA_EVENT_READ_ROW,  /* the answer to `read_row`: `config`; a code: none */
    REPLICA_EVENT_PLACE,     /* `place`: where the copies are to be */
    REPLICA_EVENT_CAS,       /* the answer to `cas` with `nonce`: OK and the new revision in
                              * `index`; CONFLICT: not done; UNKNOWN */
    REPLICA_EVENT_TRANSFER,  /* the copy `from` is to lead; zeros: any that can */
    REPLICA_EVENT_READ,      /* a copy that does not lead is to be read: `index` is the reader's */
    REPLICA_EVENT_INSTALL,   /* a checkpoint that ends with the entry (`epoch`, `index`) is whole
                              * here: may it take the place of the rows? Nothing is being logged */
    REPLICA_EVENT_INSTALLED, /* after an INSTALL that was not refused: OK, `recovered`: rows and log
                              * are the checkpoint's; a code: all is as it was */
};

struct replica_recovered {
    uint64_t accepted_epoch, last_epoch, last_index;
    uint64_t commit_hint; /* of the log */
    uint64_t applied_index;
    uint64_t first_index; /* that can be read back; 0: not known */
    unsigned starts_count; /* ascending, the newest */
    struct replica_start starts[REPLICA_EPOCHS_MAX];
};

/* The pointers live as long as the call. */
struct replica_event {
    enum replica_event_kind kind;
    uint64_t now_ms; /* of this machine since it was started (clock_boot_ms); of a cluster */
    uint64_t epoch, index, accepted;
    unsigned count;
    enum err_code code;
    bool disk_ok;
    struct roster_id from, boot, nonce;
    const struct replica_recovered *recovered;
    const struct replica_message *message;
    const struct replica_config *config;
    const struct roster_place *place;
};

struct replica_send {
    struct roster_id to;
    struct replica_message message; /* APPEND: its entries stand in the log, or on their way */
};

/* What must be done, in this order. */
struct replica_actions {
    struct err refused;         /* PROPOSE, TRANSFER, READ, INSTALL: not taken; nothing to do */
    bool log_accept;            /* an ACCEPT record of `epoch` */
    bool log_trunc;             /* then TRUNC: entries behind (trunc_epoch, trunc_index) are void */
    uint64_t trunc_epoch, trunc_index;
    bool log_epoch;             /* then the EPOCH entry (epoch, epoch_index) */
    uint64_t epoch, epoch_index;
    uint64_t first_index;       /* PROPOSE: log the batches as (epoch, first_index ...) */
    uint64_t append_index;      /* APPEND: log its entries from this one on; 0: none */
    uint64_t apply_from, apply_to; /* entries to apply; none when apply_from is 0 */
    bool answer;                /* answer what waits for an index up to `answered_index` */
    uint64_t answered_index;
    bool fail_waiting;          /* all that waits: its outcome is not known here */
    bool role_changed;
    bool cas;                   /* do replica.cas */
    bool read_row;              /* read the row, linearizably */
    bool fetch;                 /* a checkpoint from `fetch_from`, that reaches `fetch_index` */
    struct roster_id fetch_from;
    uint64_t fetch_index;
    bool read_ready;            /* reader `read_id` may read as soon as `read_index` is applied; */
    bool read_granted;          /* not granted: nobody could say */
    uint64_t read_id, read_index;
    unsigned sends_count;
    struct replica_send sends[REPLICA_SENDS_MAX];
};

void replica_init(struct replica *replica, uint32_t shard, unsigned min_isr);
/* Of a cluster: a copy among others. Before RECOVERED. */
void replica_join(struct replica *replica, const struct roster_id *sid,
                  const struct roster_id *boot);

/* ERR_OK, or ERR_CORRUPT when an event can't be (an index that was never logged): the copy is then
 * QUARANTINED. */
MUST_USE struct err replica_step(struct replica *replica, const struct replica_event *event,
                                 struct replica_actions *actions);

/* Whether `count` batches would be taken, and the index of the first then. ERR_BUSY, ERR_MOVED,
 * ERR_CORRUPT. */
MUST_USE struct err replica_may_propose(const struct replica *replica, unsigned count);

/* Rows may be read until then (clock_boot_ms()), looked at after the snapshot was taken. 0: not. */
uint64_t replica_read_until(const struct replica *replica);

/* The epoch of an entry in the log; false: not known. */
bool replica_epoch_at(const struct replica *replica, uint64_t index, uint64_t *epoch);

/* What says in a BEHIND which process is meant. */
uint64_t replica_behind_id(const struct roster_id *boot);
/* Entries that some copy still has to be sent, as far as this one knows: those behind the index;
 * UINT64_MAX: none. A copy that needs a checkpoint does not count, one that is not known does. */
uint64_t replica_acked(const struct replica *replica);

/* The shell could not send all that the actions said: entries of the copy from `index` on. */
void replica_not_sent(struct replica *replica, const struct roster_id *to, uint64_t index);

/* What is wrong, or NULL: the rules that can be seen in one copy. */
const char *replica_wrong(const struct replica *replica);

#ifdef __cplusplus
}
#endif
#endif

/* shard_private.h: a shard from the inside. */
#ifndef MAIL_SHARD_PRIVATE_H
#define MAIL_SHARD_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "kv.h"
#include "mbox_queue.h"
#include "replica_step.h"
#include "shard.h"
#include "shard_worker.h"
#include "slog_thread.h"
#include "store_node.h"

struct kv_overlay;
struct shard_peers;

enum { SHARD_USERS_CLOSED = 1u << 30 }; /* nobody may hold the rows */

/* A batch on its way: in the log's queue, then waiting to be applied. */
struct shard_entry {
    struct slog_entry log; /* first */
    struct shard_entry *next;
    struct shard *shard;
    struct kv_batch batch;
};

struct shard {
    uint32_t number, slot_first, slot_end;
    struct store_node *node;
    struct shard_worker *worker;
    struct kv *kv;          /* NULL: they are being replaced, or are closed */
    struct mbox_index *index;
    /* On the worker's thread only. */
    struct replica replica;
    struct kv_overlay *overlay;
    struct mbox_due *due;
    struct shard_peers *peers;                  /* NULL: alone in its set */
    struct shard_entry *first, *last;           /* logged, not applied */
    struct shard_change *changes, *changes_last; /* waiting for their answer */
    bool answering;
    struct shard_job answer_job, lead_job, pay_job;
    bool is_clean;          /* nothing is left half done from before: it may be shown as serving */
    bool is_cleaning;
    uint64_t lead_epoch;    /* for lead_job; 0: the next one */
    size_t in_flight;       /* entries that the log has not told of yet */
    struct err refusing;    /* the log refused one: nothing new until all have come back */
    /* Told by the log's thread. */
    pthread_mutex_t lock;
    struct shard_job durable_job;
    uint64_t durable_epoch, durable_index; /* under lock: the entry told of last */
    uint64_t durable_accept;               /* the highest promise told of */
    size_t told;
    bool durable_posted;
    struct err durable_err;
    /* A copy of the state, for others to look at. */
    _Atomic unsigned role;
    _Atomic uint64_t epoch, accepted_epoch, last_index, commit_index, applied_index;
    _Atomic uint64_t read_until_ms;
    _Atomic bool wrote;      /* since the keeper last looked */
    _Atomic bool owes, paying;
    _Atomic unsigned users;  /* who holds the rows */
    /* What of its log others need, for the keeper: replica_acked(), and a pin (shard_pin()). */
    _Atomic uint64_t acked_index, pin_index, pin_until_ms;
    bool is_parked;          /* closed for good: it hears nothing any more */
    struct shard *next_parked;
};

/* The shell of one shard over its open rows. Begins as the log and the rows say. */
MUST_USE struct err shard_new(struct store_node *node, uint32_t number, struct kv *kv,
                              struct shard **ret);
/* Nothing of it is under way any more. Closes its rows. */
void shard_free(struct shard *shard);

/* At the start, on the opening thread: what recovery found; applies what is known to be
 * committed. */
MUST_USE struct err shard_recover(struct shard *shard, const struct replica_recovered *found);
/* Then has the shard take the lead with a new epoch (0: the one after its accepted one), on its own
 * thread: the log answers there while the records are still being handed to it. It is in quarantine
 * when that fails. Once. */
MUST_USE struct err shard_lead(struct shard *shard, uint64_t epoch);

/* Takes an event on the shard's thread, and does what follows. */
void shard_event(struct shard *shard, const struct replica_event *event);
/* The same with the entries of an APPEND, as many as it says. */
void shard_event_entries(struct shard *shard, const struct replica_event *event,
                         const struct slog_record *entries);

/* ---- shard.c, on the shard's thread */
void shard_show(struct shard *shard);
void shard_fail(struct shard *shard, struct err err);
void shard_durable_run(struct shard_job *job);
/* Applies an entry that was read back from the log; the holder is the shard. */
MUST_USE struct err shard_replay_one(void *holder, const struct slog_record *record);
void shard_entry_free(struct shard_entry *entry);
void shard_entries_cut(struct shard *shard, uint64_t index);
/* Puts a batch (taken over) behind those on their way and hands it to the log; a promise or a cut
 * only to the log. NULL: there was no memory for it; as if the log had refused it. */
void shard_entry_log(struct shard *shard, struct shard_entry *entry, enum slog_type type,
                     uint64_t index);
/* For what gives space back: also into the reserve. */
MUST_USE struct err shard_propose_freeing(struct shard *shard, struct kv_batch *batches,
                                          size_t count, struct shard_change *change);

/* ---- shard_copy.c: what only a copy among others has to do */
/* Promises, cuts, first entries and those of a leader, as the actions say. */
void shard_copy_log(struct shard *shard, const struct replica_actions *actions,
                    const struct replica_message *append, const struct slog_record *entries);
void shard_copy_tell(struct shard *shard, const struct replica_actions *actions);
/* What the log has of the shard, after it refused something. */
void shard_copy_view(struct shard *shard, struct replica_recovered *ret);

/* ---- shard_install.c, on the shard's thread */
/* Rows that are all BUSY. */
struct kv_reader *shard_closed_rows(void);
/* Takes the rows away from everybody, and forgets what is on its way. ERR_BUSY: somebody holds
 * them, or the log is at work for the shard; ERR_NOMEM. */
MUST_USE struct err shard_rows_take(struct shard *shard, struct kv **ret);
/* Gives it rows (again). ERR_NOMEM: it has none then. */
MUST_USE struct err shard_rows_give(struct shard *shard, struct kv *kv);

/* ---- shard_begin.c */
/* Takes back what is left half done; it is shown as serving when nothing is left. */
void shard_clean(struct shard *shard);
/* Tries again what it owes (shard_owes()). Any thread. */
void shard_pay(struct shard *shard);

#endif

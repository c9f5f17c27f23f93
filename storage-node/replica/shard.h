/* shard.h: the shell of one copy of a shard: its rows, what is on its way, and the thread that all
 * of its work is done on. */
#ifndef MAIL_SHARD_H
#define MAIL_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_batch;
struct kv_reader;
struct mbox_due;
struct mbox_index;
struct shard;
struct shard_worker;

enum { SHARD_JOBS_MAX = 16384, SHARD_WORKERS_MAX = 16 };

/* Work for the shard's thread; stands in its owner. `run` may free it. */
struct shard_job {
    struct shard_job *next;
    void (*run)(struct shard_job *);
};

/* Has `run(job)` called on the shard's thread, in the order of posting. From any thread. ERR_BUSY:
 * SHARD_JOBS_MAX jobs wait. */
MUST_USE struct err shard_post(struct shard *shard, struct shard_job *job);

/* A change on its way; stands in its owner. */
struct shard_change {
    struct shard_change *next;
    uint64_t index; /* of its last entry */
    /* On the shard's thread, once: OK when all of it is durable, committed and applied. */
    void (*done)(struct shard_change *, struct err err);
};

/* Logs the batches (their bytes are taken over: each is empty afterwards) as one change, in their
 * order. On the shard's thread. An error (BUSY, FULL, MOVED, CORRUPT): nothing has happened and
 * nothing is called; otherwise done() comes, never within this call. */
MUST_USE struct err shard_propose(struct shard *shard, struct kv_batch *batches, size_t count,
                                  struct shard_change *change);

/* Whoever reads rows outside of the shard's thread holds them meanwhile: they are not replaced or
 * closed then. False: they are just now, the shard is BUSY. Any thread, counted. */
bool shard_hold(struct shard *shard);
void shard_release(struct shard *shard);

/* On the shard's thread: the rows with everything on its way, for preparing commands. */
struct kv_reader *shard_rows_ahead(struct shard *shard);
/* Any thread: the rows as committed. While they are being replaced, or closed, every row of these
 * two is BUSY. */
struct kv_reader *shard_rows(struct shard *shard);
struct mbox_index *shard_index(struct shard *shard);
struct mbox_due *shard_due(struct shard *shard);

uint32_t shard_number(const struct shard *shard);
/* What an account without a quota of its own may use; 0: no limit. */
void shard_quota(const struct shard *shard, uint64_t *bytes, uint64_t *items);
/* Its slots: first to end, exclusive. */
void shard_slots(const struct shard *shard, uint32_t *first, uint32_t *end);
/* Any thread; a moment old. */
bool shard_serves(const struct shard *shard);
/* Whether this copy leads, though it may not serve yet or may not have heard that another does.
 * Any thread; a moment old. */
bool shard_leads(const struct shard *shard);
/* Whether what was read before, from the rows or from memory, was true at some time since: no other
 * copy can lead yet. Looked at before it is given out. Any thread. */
bool shard_read_holds(const struct shard *shard);
/* The log had no room for something that has to be done: the epoch that it begins with, or taking a
 * change back. Until then it may not serve. Any thread; a moment old. */
bool shard_owes(const struct shard *shard);
struct shard_state {
    unsigned role;
    uint64_t epoch, accepted_epoch, last_index, commit_index, applied_index;
};
void shard_state_get(const struct shard *shard, struct shard_state *ret);

#ifdef __cplusplus
}
#endif
#endif

/* slog.h: the log that all shards of one disk share (REPLICATION 6.1, 6.9).
 *
 * Entries go in by slog_thread.h, which owns the writing side; any thread reads them back here.
 * What a call shows of a shard is what is durable. */
#ifndef MAIL_SLOG_H
#define MAIL_SLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "list.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct slog;
struct slog_files;
struct slog_record;

enum {
    SLOG_SEGMENT_BYTES = 64 * 1024 * 1024,
    SLOG_SEGMENT_MIN_BYTES = 64 * 1024,
    SLOG_EPOCHS_MAX = 1024, /* of a shard whose beginnings are remembered: the newest */
    SLOG_PINS_MAX = 64,
};

struct slog_options {
    uint64_t segment_bytes; /* SLOG_SEGMENT_BYTES */
    uint64_t reserve_bytes; /* DATA is refused when less of the disk is free (tables, one merge) */
};

/* Opens the log in the directory, or begins one, and recovers: a last group that was never
 * acknowledged is cut off. ERR_CORRUPT: acknowledged bytes are damaged, or the log is another
 * store's: the store is to be quarantined, nothing was changed. ERR_UNSUPPORTED: of a newer
 * version. `files` lives longer and is used by the log alone. */
MUST_USE struct err slog_open(struct slog_files *files, const uint8_t store_id[16],
                              const struct slog_options *options, struct slog **ret);
void slog_close(struct slog *log); /* NULL is fine */

/* ---- reading */

/* A shard as the log knows it. Entries first_index..last_index can be read; none are there when
 * first_index is last_index + 1. When first_index is above `applied` + 1 of the shard's store, what
 * lies between is lost: quarantine. */
struct slog_shard_view {
    uint32_t shard;
    uint64_t accepted_epoch, first_index, last_epoch, last_index;
    uint64_t commit; /* the last COMMIT hint */
};

/* The shard with the lowest number >= `from`; false when there is none. */
bool slog_shard_next(struct slog *log, uint32_t from, struct slog_shard_view *ret);
/* ERR_NOT_FOUND: the log holds nothing of this shard. */
MUST_USE struct err slog_shard_get(struct slog *log, uint32_t shard, struct slog_shard_view *ret);

/* The epoch of the entry `index`, also of the last one that is no longer in the log. ERR_NOT_FOUND
 * when it is not known. */
MUST_USE struct err slog_epoch_at(struct slog *log, uint32_t shard, uint64_t index,
                                  uint64_t *epoch);
/* Where epochs begin among the shard's entries, ascending: up to `max` of the newest to `epochs`
 * and `first_indexes`. Returns how many. */
size_t slog_epoch_starts(struct slog *log, uint32_t shard, uint64_t *epochs,
                         uint64_t *first_indexes, size_t max);

/* Memory that an entry is read into; grows as needed. Begin with zeros, end with slog_room_free. */
struct slog_room {
    char *bytes;
    size_t size;
};
void slog_room_free(struct slog_room *room);

/* Reads one entry (DATA or EPOCH). `*ret` points into `room`, until that is used again.
 * ERR_NOT_FOUND: not in the log (any more); ERR_CORRUPT, ERR_IO, ERR_NOMEM. */
MUST_USE struct err slog_read(struct slog *log, uint32_t shard, uint64_t index,
                              struct slog_room *room, struct slog_record *ret);

/* Reads the entries `from`..`to` in order and calls `each` with them, until it returns an error,
 * which is returned. The record lives as long as the call of `each`. */
MUST_USE struct err slog_replay(struct slog *log, uint32_t shard, uint64_t from, uint64_t to,
                                struct err (*each)(void *holder, const struct slog_record *),
                                void *holder);

/* ---- deleting what is no longer needed. One thread at a time; not the log's. */

/* What the shard's copies have, ascending by shard. */
struct slog_kept {
    uint32_t shard;
    uint64_t persisted_index; /* `applied` that a crash can't take back (kv.h) */
    uint64_t acked_index;     /* what every copy has; UINT64_MAX for a single one */
    /* Entries from here on are kept while the log is not bigger than `pinned_bytes`: for a copy
     * that is on its way to them by a checkpoint. 0: none. */
    uint64_t pinned_from, pinned_bytes;
};
struct slog_pins {
    uint32_t shards[SLOG_PINS_MAX]; /* whose persisted_index holds the oldest segment */
    size_t count;
    size_t segments_removed;
};

/* Deletes the oldest segments that no shard needs: every entry in them is persisted, and every copy
 * has it or the log is bigger than `retain_bytes`, and none is pinned. A shard without a row is
 * taken to have persisted nothing. `*pins`: which shards to flush for the next segment to go (if
 * the log is too big). */
MUST_USE struct err slog_gc(struct slog *log, const struct slog_kept *kept, size_t count,
                            uint64_t retain_bytes, struct slog_pins *pins);

struct slog_stats {
    uint64_t groups, records, payload_bytes, written_bytes, syncs; /* since it was opened */
    uint64_t log_bytes;                                            /* of groups in the directory */
    uint64_t segments, free_bytes;
    bool space_short; /* DATA was refused when it was last looked at */
};
void slog_stats_get(struct slog *log, struct slog_stats *ret);

#ifdef __cplusplus
}
#endif
#endif

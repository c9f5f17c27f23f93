/* slog_private.h: the log's memory: segments, shards, and where each entry lies. */
#ifndef MAIL_SLOG_PRIVATE_H
#define MAIL_SLOG_PRIVATE_H

#include <pthread.h>

#include "slog.h"
#include "slog_file.h"
#include "slog_format.h"

enum { SEGMENTS_MAX = 65536, SEGMENT_NAME_BYTES = 32 };

/* A segment that is not needed any more and waits to be written over as a new one. */
#define SLOG_SPARE_NAME "spare"

struct slog_segment {
    uint64_t number;
    uint64_t lsn;   /* of its first group */
    uint64_t bytes; /* groups in it */
    uint64_t size;  /* of the file: groups are written up to here */
    unsigned refs;  /* of the log's list and of readers; under the lock */
    int file;
};

struct slog_place {
    uint64_t lsn;   /* of the record's head */
    uint32_t bytes; /* of the record */
};

struct slog_epoch {
    uint64_t epoch, first_index;
};

struct slog_shard {
    struct slog_state now;    /* durable */
    struct slog_state staged; /* with the group that is being written */
    bool touched;             /* staged differs, or may */
    struct slog_place *places; /* entry now.first_index is places[places_at] */
    size_t places_at, places_count, places_size, places_staged;
    struct slog_epoch *epochs; /* ascending; the first may lie below now.first_index */
    size_t epochs_count, epochs_size, epochs_staged;
};

struct slog {
    struct slog_files *files;
    uint8_t store_id[SLOG_STORE_ID_BYTES];
    struct slog_options options;

    /* The writer's own. */
    struct slog_segment *last; /* of the list: the one that is written to; NULL: none yet */
    char *buffer;
    size_t buffer_size;
    uint32_t previous_crc;
    struct err broken;           /* not OK: nothing is written any more */
    uint64_t space_looked_ms;    /* boot time; 0: never */
    uint64_t space_looked_bytes; /* stats.written_bytes at that time */

    pthread_mutex_t lock; /* of what follows; the writer alone adds to it */
    struct slog_segment **segments; /* ascending, numbers without a gap; the last is written to */
    size_t segments_count, segments_size;
    struct slog_shard **shards; /* ascending */
    size_t shards_count, shards_size;
    struct slog_stats stats;
    bool has_spare;
};

/* ---- slog_shard.c */

struct slog_shard *slog_shard_find(struct slog *log, uint32_t shard);
/* The same, made when it is missing. ERR_BUSY past SLOG_SHARDS_MAX, ERR_NOMEM. */
struct err slog_shard_need(struct slog *log, uint32_t shard, struct slog_shard **ret);
void slog_shards_free(struct slog *log);
/* Takes out the shards of which nothing is left. */
void slog_shards_tidy(struct slog *log);
bool slog_state_is_empty(const struct slog_state *state);

/* What the record makes of `state`. ERR_CONFLICT, with `state` untouched: it does not follow. */
struct err slog_state_step(struct slog_state *state, const struct slog_record *record);
/* Checks the record on the staged state, takes the memory that it will need, and steps. */
struct err slog_shard_stage(struct slog_shard *shard, const struct slog_record *record);
/* The staged record is durable; its head is at `lsn`. In the order of staging. */
void slog_shard_settle(struct slog_shard *shard, const struct slog_record *record, uint64_t lsn);
/* Ends a group: staged is now what is durable. */
void slog_shards_unstage(struct slog *log);
/* Entries whose records lie below `lsn` are gone. */
void slog_shard_forget(struct slog_shard *shard, uint64_t lsn);
/* How many of the shard's entries lie below `lsn`. */
size_t slog_shard_below(const struct slog_shard *shard, uint64_t lsn);
/* The shard as a STATE row of a log's oldest segment says: none of its entries are here. */
struct err slog_shard_set(struct slog_shard *shard, const struct slog_state *row);

/* ---- slog_segment.c */

void slog_segment_name(uint64_t number, char name[SEGMENT_NAME_BYTES]);
bool slog_segment_number(const char *name, uint64_t *number);
/* Opens or creates a segment's file; it is not in the log's list. */
struct err slog_segment_new(struct slog *log, uint64_t number, bool create,
                            struct slog_segment **ret);
void slog_segment_unref(struct slog *log, struct slog_segment *segment);
struct err slog_segment_add(struct slog *log, struct slog_segment *segment);
struct slog_segment *slog_segment_of(struct slog *log, uint64_t lsn);
/* Begins a segment with room for a group of `group_bytes`, and `small`: for nothing more; STATE
 * first, synced. ERR_FULL: nothing has changed; other errors: broken. */
struct err slog_roll(struct slog *log, size_t group_bytes, bool small, uint64_t wall_ms);
/* A buffer of the writer of at least `bytes`. */
struct err slog_buffer_need(struct slog *log, size_t bytes);

/* ---- slog_recover.c: fills segments and shards from the files. */

struct err slog_recover(struct slog *log);

#endif

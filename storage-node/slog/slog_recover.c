/* Recovery (REPLICATION 6.9, R1 and R2).
 *
 * Groups are read in order. The first one that is bad is the end of the log, for only one group is
 * ever being written: whatever stands behind it was never begun. So if a group of ours does stand
 * behind it, the bad one had been acknowledged and the medium has lost it: ERR_CORRUPT, with
 * nothing changed. Otherwise it is cut off, and what is good is synced before anything is built
 * upon it: it may have been read from the system's memory only. */
#include <stdlib.h>

#include "check.h"
#include "slog_private.h"

enum { WINDOW_BYTES = 1024 * 1024, UNCACHED_SEGMENTS = 2 };

struct recovery {
    struct slog *log;
    uint64_t first, last; /* numbers of the segments found; count apart */
    size_t count;
    bool any; /* a good group was read: `lsn` and `log->previous_crc` are what the next one has */
    uint64_t lsn;
    bool spare;      /* a file of that name is there */
    bool tail_dirty; /* something but zeros stands behind the end */
    /* What was read of a file last. */
    const struct slog_segment *of;
    char *window;
    size_t window_size, window_len;
    uint64_t window_at;
};

static struct err corrupt(const char *what) { return err_make(ERR_CORRUPT, what); }

/* ---- reading */

/* `bytes` of the segment from `at` on; fewer at the file's end. They live until the next call. */
static struct err look(struct recovery *recovery, const struct slog_segment *segment, uint64_t at,
                       size_t bytes, struct span *ret)
{
    bool here = recovery->of == segment && at >= recovery->window_at &&
                at + bytes <= recovery->window_at + recovery->window_len;
    if (!here) {
        size_t size = bytes > WINDOW_BYTES ? bytes : WINDOW_BYTES;
        if (size > recovery->window_size) {
            char *window = malloc(size);
            if (window == NULL) return err_make(ERR_NOMEM, "recovery of the log");
            free(recovery->window);
            recovery->window = window;
            recovery->window_size = size;
        }
        struct slog_files *files = recovery->log->files;
        recovery->of = NULL;
        TRY(files->calls->read(files, segment->file, recovery->window, size, at,
                               &recovery->window_len));
        recovery->of = segment;
        recovery->window_at = at;
    }
    struct span all = span_of(recovery->window, recovery->window_len);
    *ret = span_head(span_skip(all, (size_t)(at - recovery->window_at)), bytes);
    return err_ok();
}

/* ---- what groups say */

static bool states_agree(const struct slog_state *a, const struct slog_state *b)
{
    return a->accepted_epoch == b->accepted_epoch && a->last_epoch == b->last_epoch &&
           a->last_index == b->last_index && a->commit == b->commit;
}

/* The STATE of the log's oldest segment tells what came before; each later one only repeats. */
static struct err state_take(struct recovery *recovery, struct span payload, bool oldest)
{
    size_t count, known = 0;
    TRY(slog_state_count(payload, &count));
    for (size_t i = 0; i < count; i++) {
        struct slog_state row;
        struct slog_shard *shard;
        slog_state_get(payload, i, &row);
        TRY(slog_shard_need(recovery->log, row.shard, &shard));
        if (oldest) TRY(slog_shard_set(shard, &row));
        if (!states_agree(&shard->now, &row)) return corrupt("STATE of a segment");
    }
    for (size_t i = 0; i < recovery->log->shards_count; i++)
        known += !slog_state_is_empty(&recovery->log->shards[i]->now);
    return known == count ? err_ok() : corrupt("STATE of a segment");
}

static struct err record_replay(struct slog *log, const struct slog_record *record, uint64_t lsn)
{
    struct slog_shard *shard;
    TRY(slog_shard_need(log, record->shard, &shard));
    struct err err = slog_shard_stage(shard, record);
    if (err.code == ERR_CONFLICT) return corrupt("log record out of order");
    TRY(err);
    slog_shard_settle(shard, record, lsn);
    shard->staged = shard->now;
    shard->places_staged = shard->epochs_staged = 0;
    shard->touched = false;
    return err_ok();
}

/* The group has passed its checks. The first of a segment is one STATE record, and no other is. */
static struct err group_replay(struct recovery *recovery, struct span bytes,
                               const struct slog_group *group, bool first)
{
    struct span rest = span_skip(span_head(bytes, group->used_bytes), SLOG_GROUP_HEAD_BYTES);
    if (first && group->records != 1) return corrupt("begin of a segment");
    while (rest.len > 0) {
        uint64_t lsn = group->lsn + (uint64_t)(rest.ptr - bytes.ptr);
        struct slog_record record;
        TRY(slog_record_take_checked(&rest, &record));
        if ((record.type == SLOG_STATE) != first) return corrupt("begin of a segment");
        if (first) TRY(state_take(recovery, record.payload, !recovery->any));
        else TRY(record_replay(recovery->log, &record, lsn));
    }
    return err_ok();
}

/* Takes the group at the segment's end so far. ERR_NOT_FOUND: no good one is there. */
static struct err group_take(struct recovery *recovery, struct slog_segment *segment)
{
    struct slog *log = recovery->log;
    uint64_t at = segment->bytes;
    struct slog_group group;
    struct span bytes;
    TRY(look(recovery, segment, at, SLOG_PAGE_BYTES, &bytes));
    struct err err = slog_group_take(bytes, &group);
    if (err.code == ERR_UNSUPPORTED) return err;
    if (err.code != ERR_OK) return err_make(ERR_NOT_FOUND, "group");
    if (memcmp(group.store_id, log->store_id, sizeof(group.store_id)) != 0)
        return at == 0 ? corrupt("log of another store") : err_make(ERR_NOT_FOUND, "group");
    if (recovery->any && group.lsn < recovery->lsn) return err_make(ERR_NOT_FOUND, "group");
    if (recovery->any && (group.lsn > recovery->lsn || group.previous_crc != log->previous_crc))
        return corrupt("chain of the log's groups");
    TRY(look(recovery, segment, at, group.bytes, &bytes));
    err = slog_group_check(bytes, &group);
    if (err.code == ERR_CORRUPT) return err_make(ERR_NOT_FOUND, "group");
    TRY(err);
    if (at == 0) segment->lsn = group.lsn;
    TRY(group_replay(recovery, bytes, &group, at == 0));
    recovery->any = true;
    recovery->lsn = group.lsn + group.bytes;
    log->previous_crc = group.crc;
    log->stats.log_bytes += group.bytes;
    segment->bytes += group.bytes;
    return err_ok();
}

/* ---- the end */

static bool is_zero(struct span bytes)
{
    return bytes.len == 0 || (bytes.ptr[0] == 0 && memcmp(bytes.ptr, bytes.ptr + 1,
                                                          bytes.len - 1) == 0);
}

/* Whether a group of ours with a higher LSN stands in the segment from `at` on. Only heads count:
 * mail can hold anything, but not our store id. */
static struct err later_in(struct recovery *recovery, const struct slog_segment *segment,
                           uint64_t at)
{
    for (struct span page; ; at += SLOG_PAGE_BYTES) {
        struct slog_group group;
        TRY(look(recovery, segment, at, SLOG_PAGE_BYTES, &page));
        if (page.len == 0) return err_ok();
        if (is_zero(page)) continue;
        recovery->tail_dirty = true;
        if (slog_group_take(page, &group).code != ERR_OK) continue;
        if (memcmp(group.store_id, recovery->log->store_id, sizeof(group.store_id)) != 0) continue;
        if (!recovery->any || group.lsn > recovery->lsn) return corrupt("group of the log");
    }
}

static struct err segment_remove(struct slog *log, struct slog_segment *segment)
{
    char name[SEGMENT_NAME_BYTES];
    slog_segment_name(segment->number, name);
    slog_segment_unref(log, segment);
    log->segments_count--;
    log->last = log->segments_count == 0 ? NULL : log->segments[log->segments_count - 1];
    TRY(log->files->calls->unlink(log->files, name));
    return log->files->calls->sync_directory(log->files);
}

/* The last segment ends where its groups do; behind that it has space and zeros again. */
static struct err tail_cut(struct recovery *recovery)
{
    struct slog *log = recovery->log;
    const struct slog_files_calls *calls = log->files->calls;
    struct slog_segment *last = log->last;
    if (recovery->tail_dirty) {
        TRY(calls->truncate(log->files, last->file, last->bytes));
        TRY(calls->sync(log->files, last->file));
    }
    TRY(calls->size(log->files, last->file, &last->size));
    if (last->size < log->options.segment_bytes) {
        struct err err = calls->allocate(log->files, last->file, log->options.segment_bytes);
        if (err.code == ERR_OK) last->size = log->options.segment_bytes;
        else if (err.code != ERR_FULL) return err;
        else TRY(calls->truncate(log->files, last->file, last->size)); /* what it did of it */
    }
    TRY(calls->sync(log->files, last->file));
    calls->forget(log->files, last->file); /* or groups go into the large pages it was read by */
    return calls->sync_directory(log->files);
}

/* ---- all segments */

static struct err name_seen(void *holder, const char *name)
{
    struct recovery *recovery = holder;
    uint64_t number;
    if (strcmp(name, SLOG_SPARE_NAME) == 0) recovery->spare = true;
    if (!slog_segment_number(name, &number)) return err_ok();
    if (recovery->count == 0 || number < recovery->first) recovery->first = number;
    if (recovery->count == 0 || number > recovery->last) recovery->last = number;
    recovery->count++;
    return err_ok();
}

static struct err segments_open(struct recovery *recovery)
{
    struct slog *log = recovery->log;
    TRY(log->files->calls->list(log->files, name_seen, recovery));
    if (recovery->count == 0) return err_ok();
    if (recovery->count > SEGMENTS_MAX || recovery->last - recovery->first != recovery->count - 1)
        return corrupt("a segment of the log is missing");
    for (size_t i = 0; i < recovery->count; i++) {
        struct slog_segment *segment;
        TRY(slog_segment_new(log, recovery->first + i, false, &segment));
        struct err err = slog_segment_add(log, segment);
        if (err.code != ERR_OK) {
            slog_segment_unref(log, segment);
            return err;
        }
        if (recovery->count - i <= UNCACHED_SEGMENTS)
            log->files->calls->forget(log->files, segment->file);
    }
    return err_ok();
}

/* Reads groups up to the log's end. Returns in `*end` the segment of the first bad one. */
static struct err groups_read(struct recovery *recovery, size_t *end)
{
    struct slog *log = recovery->log;
    for (size_t i = 0; i < log->segments_count; i++) {
        struct err err;
        do err = group_take(recovery, log->segments[i]);
        while (err.code == ERR_OK);
        if (err.code != ERR_NOT_FOUND) return err;
        *end = i;
        if (log->segments[i]->bytes == 0) break; /* what is behind it can't follow */
    }
    return err_ok();
}

/* No group of ours stands behind the end, which is also that of the segment before when nothing in
 * this one is good. */
static struct err later_none(struct recovery *recovery, size_t end)
{
    struct slog *log = recovery->log;
    if (end > 0 && log->segments[end]->bytes == 0) end--;
    for (size_t i = end; i < log->segments_count; i++)
        TRY(later_in(recovery, log->segments[i], log->segments[i]->bytes));
    return err_ok();
}

static struct err recover(struct recovery *recovery)
{
    struct slog *log = recovery->log;
    size_t end = 0;
    TRY(segments_open(recovery));
    if (recovery->spare) { /* a crash may have left the file its old name as well */
        TRY(log->files->calls->unlink(log->files, SLOG_SPARE_NAME));
        TRY(log->files->calls->sync_directory(log->files));
    }
    if (log->segments_count > 0) {
        TRY(groups_read(recovery, &end));
        TRY(later_none(recovery, end));
        while (log->segments_count > end + 1) TRY(segment_remove(log, log->last));
        /* A segment that was being begun. */
        if (log->last->bytes == 0) TRY(segment_remove(log, log->last));
    }
    if (log->last == NULL) return slog_roll(log, 0, false, 0);
    return tail_cut(recovery);
}

struct err slog_recover(struct slog *log)
{
    struct recovery recovery = { .log = log };
    struct err err = recover(&recovery);
    free(recovery.window);
    return err;
}

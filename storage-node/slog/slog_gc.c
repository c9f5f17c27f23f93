/* Deletes segments from the oldest on, or keeps one as the spare: a segment that is written over
 * costs no change of the file's metadata, so that a sync of a 4 KiB group takes half the CPU and
 * two thirds of the time (ext4: 28 us of CPU for 50, 90 us for 150), and the journal no bytes. */
#include "check.h"
#include "slog_private.h"

/* What there is of the log, and may be. */
struct budget {
    uint64_t log_bytes, retain_bytes;
};

static bool others_need(const struct slog_kept *kept, uint64_t last, const struct budget *budget)
{
    bool retain = budget->log_bytes <= budget->retain_bytes;
    bool pinned = kept->pinned_from != 0 && budget->log_bytes <= kept->pinned_bytes;
    return (retain && last > kept->acked_index) || (pinned && last >= kept->pinned_from);
}

/* Whether the shard needs the segment that ends at `lsn`; and whether a flush would change that. */
static bool shard_needs(const struct slog_shard *shard, uint64_t lsn, const struct slog_kept *kept,
                        const struct budget *budget, bool *pins)
{
    size_t below = shard->places_count == 0 ? 0 : slog_shard_below(shard, lsn);
    *pins = false;
    if (below == 0) return false;
    uint64_t last = shard->now.first_index + below - 1;
    *pins = kept == NULL || last > kept->persisted_index;
    return *pins || others_need(kept, last, budget);
}

/* Under the lock. */
static bool oldest_is_needed(struct slog *log, const struct slog_kept *kept, size_t count,
                             const struct budget *budget, struct slog_pins *pins)
{
    bool needed = false;
    size_t at = 0;
    uint64_t end = log->segments[1]->lsn;
    pins->count = 0;
    for (size_t i = 0; i < log->shards_count; i++) {
        const struct slog_shard *shard = log->shards[i];
        while (at < count && kept[at].shard < shard->now.shard) at++;
        bool has_row = at < count && kept[at].shard == shard->now.shard, is_pin;
        if (!shard_needs(shard, end, has_row ? &kept[at] : NULL, budget, &is_pin)) continue;
        needed = true;
        if (is_pin && pins->count < SLOG_PINS_MAX) pins->shards[pins->count++] = shard->now.shard;
    }
    return needed;
}

/* The file goes first: were the memory ahead, a failed unlink would leave a gap in the numbers. */
static struct err oldest_remove(struct slog *log, struct slog_segment *oldest, bool keep)
{
    char name[SEGMENT_NAME_BYTES];
    slog_segment_name(oldest->number, name);
    TRY(keep ? log->files->calls->rename(log->files, name, SLOG_SPARE_NAME)
             : log->files->calls->unlink(log->files, name));
    /* Each by itself: the next one must not be gone while this one is still there. */
    TRY(log->files->calls->sync_directory(log->files));
    pthread_mutex_lock(&log->lock);
    uint64_t end = log->segments[1]->lsn;
    for (size_t i = 0; i < log->shards_count; i++) slog_shard_forget(log->shards[i], end);
    log->segments_count--;
    memmove(log->segments, log->segments + 1, log->segments_count * sizeof(struct slog_segment *));
    log->stats.log_bytes -= oldest->bytes;
    bool is_read = oldest->refs > 1; /* and so must not change */
    log->has_spare = log->has_spare || (keep && !is_read);
    slog_segment_unref(log, oldest);
    pthread_mutex_unlock(&log->lock);
    return keep && is_read ? log->files->calls->unlink(log->files, SLOG_SPARE_NAME) : err_ok();
}

struct err slog_gc(struct slog *log, const struct slog_kept *kept, size_t count,
                   uint64_t retain_bytes, struct slog_pins *pins)
{
    for (size_t i = 1; i < count; i++) CHECK(kept[i - 1].shard < kept[i].shard);
    pins->count = pins->segments_removed = 0;
    for (;;) {
        pthread_mutex_lock(&log->lock);
        struct slog_segment *oldest = log->segments[0];
        struct budget budget = { log->stats.log_bytes, retain_bytes };
        /* The segment behind it begins with a synced STATE that covers it. */
        bool needed = log->segments_count < 2 || oldest_is_needed(log, kept, count, &budget, pins);
        bool keep = !log->has_spare && oldest->size == log->options.segment_bytes;
        pthread_mutex_unlock(&log->lock);
        if (needed) return err_ok();
        TRY(oldest_remove(log, oldest, keep));
        pins->segments_removed++;
    }
}

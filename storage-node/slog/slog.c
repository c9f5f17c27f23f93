/* The log: open, append, read. */
#include "slog.h"

#include <stdlib.h>

#include "check.h"
#include "metrics.h"
#include "slog_append.h"
#include "slog_private.h"
#include "slog_thread.h"

enum {
    SPACE_LOOK_MS = 1000,                 /* the disk's free space is looked at as often as this, */
    SPACE_LOOK_BYTES = 16 * 1024 * 1024,  /* or when so much has been written */
    BUFFER_KEPT_BYTES = 4 * 1024 * 1024,
    ROOM_STEP_BYTES = 16 * 1024,
};

struct err slog_open(struct slog_files *files, const uint8_t store_id[16],
                     const struct slog_options *options, struct slog **ret)
{
    CHECK(options->segment_bytes >= SLOG_SEGMENT_MIN_BYTES);
    struct slog *log = calloc(1, sizeof(*log));
    if (log == NULL) return err_make(ERR_NOMEM, "log");
    log->files = files;
    log->options = *options;
    memcpy(log->store_id, store_id, sizeof(log->store_id));
    pthread_mutex_init(&log->lock, NULL);
    struct err err = slog_recover(log);
    if (err.code != ERR_OK) {
        slog_close(log);
        return err;
    }
    *ret = log;
    return err_ok();
}

void slog_close(struct slog *log)
{
    if (log == NULL) return;
    for (size_t i = 0; i < log->segments_count; i++) slog_segment_unref(log, log->segments[i]);
    free(log->segments);
    slog_shards_free(log);
    free(log->buffer);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

/* ---- append */

static struct slog_entry *entry_of(struct list *link)
{
    return LIST_ITEM(link, struct slog_entry, link);
}

/* Bytes of the records of the group; of those that are DATA and not for the reserve as well. */
static size_t entries_bytes(struct list *entries, size_t *refusable)
{
    size_t bytes = 0;
    *refusable = 0;
    for (struct list *at = entries->next; at != entries; at = at->next) {
        const struct slog_entry *entry = entry_of(at);
        size_t record = slog_record_bytes(entry->record.payload.len);
        bytes += record;
        if (!entry->into_reserve && entry->record.type == SLOG_DATA) *refusable += record;
    }
    return bytes;
}

/* Whether DATA is refused. A roll takes space and so looks anew. Can't it be found out, it is. */
static bool space_is_short(struct slog *log, bool rolls, uint64_t boot_ms)
{
    bool fresh = log->space_looked_ms != 0 && boot_ms - log->space_looked_ms < SPACE_LOOK_MS &&
                 log->stats.written_bytes - log->space_looked_bytes < SPACE_LOOK_BYTES;
    if (fresh && !rolls) return log->stats.space_short;
    uint64_t free_bytes = 0, need = log->options.reserve_bytes;
    if (rolls) need += log->options.segment_bytes;
    struct err err = log->files->calls->free_bytes(log->files, &free_bytes);
    bool is_short = err.code != ERR_OK || free_bytes < need;
    log->space_looked_ms = boot_ms == 0 ? 1 : boot_ms;
    log->space_looked_bytes = log->stats.written_bytes;
    pthread_mutex_lock(&log->lock);
    log->stats.free_bytes = free_bytes;
    log->stats.space_short = is_short;
    pthread_mutex_unlock(&log->lock);
    return is_short;
}

static bool group_fits(struct slog *log, size_t records_bytes)
{
    const struct slog_segment *last = log->last;
    return slog_group_bytes(SLOG_GROUP_HEAD_BYTES + records_bytes) <= last->size - last->bytes;
}

static void refuse_all(struct list *entries, struct err why)
{
    for (struct list *at = entries->next; at != entries; at = at->next) entry_of(at)->result = why;
}

static struct err stage_one(struct slog *log, const struct slog_entry *entry, bool is_short)
{
    if (is_short && !entry->into_reserve && entry->record.type == SLOG_DATA)
        return err_make(ERR_FULL, "reserve of the log's disk");
    struct slog_shard *shard;
    TRY(slog_shard_need(log, entry->record.shard, &shard));
    return slog_shard_stage(shard, &entry->record);
}

/* Sets each entry's result, and writes those that are good into the buffer behind the head. */
static void group_encode(struct slog *log, struct list *entries, bool is_short,
                         struct slog_group *group)
{
    pthread_mutex_lock(&log->lock);
    for (struct list *at = entries->next; at != entries; at = at->next)
        entry_of(at)->result = stage_one(log, entry_of(at), is_short);
    pthread_mutex_unlock(&log->lock);
    size_t used = SLOG_GROUP_HEAD_BYTES;
    for (struct list *at = entries->next; at != entries; at = at->next) {
        const struct slog_entry *entry = entry_of(at);
        if (entry->result.code != ERR_OK) continue;
        slog_record_put(log->buffer + used, &entry->record);
        used += slog_record_bytes(entry->record.payload.len);
    }
    group->used_bytes = (uint32_t)used;
    slog_group_seal(log->buffer, group);
}

/* The group is durable: what it says is so. */
static void group_settle(struct slog *log, struct list *entries, const struct slog_group *group)
{
    uint64_t lsn = group->lsn + SLOG_GROUP_HEAD_BYTES, payload_bytes = 0;
    pthread_mutex_lock(&log->lock);
    for (struct list *at = entries->next; at != entries; at = at->next) {
        const struct slog_entry *entry = entry_of(at);
        if (entry->result.code != ERR_OK) continue;
        slog_shard_settle(slog_shard_find(log, entry->record.shard), &entry->record, lsn);
        lsn += slog_record_bytes(entry->record.payload.len);
        payload_bytes += entry->record.payload.len;
    }
    slog_shards_unstage(log);
    log->last->bytes += group->bytes;
    log->stats.groups++;
    log->stats.syncs++;
    log->stats.records += group->records;
    log->stats.payload_bytes += payload_bytes;
    log->stats.written_bytes += group->bytes;
    log->stats.log_bytes += group->bytes;
    pthread_mutex_unlock(&log->lock);
    log->previous_crc = group->crc;
    metric_add(METRIC_GROUPS, 0, 1);
    metric_add(METRIC_ENTRIES, 0, (int64_t)group->records);
    metric_add(METRIC_ENTRY_BYTES, 0, (int64_t)payload_bytes);
    metric_observe(METRIC_GROUP_SIZE, group->records);
}

static bool is_for_now(struct err err) { return err.code == ERR_FULL || err.code == ERR_NOMEM; }

/* What is left of such an error when the caller can't go on with it. */
static struct err for_good(struct err err)
{
    return is_for_now(err) ? err_make_detail(ERR_IO, err.detail, err.what) : err;
}

/* A write that found no space may have left a group that looks whole, and nobody will hear that it
 * is there: it is cut off. The segment ends here; the next group begins another. */
static struct err group_void(struct slog *log, struct err why)
{
    struct slog_segment *last = log->last;
    TRY(for_good(log->files->calls->truncate(log->files, last->file, last->bytes)));
    TRY(for_good(log->files->calls->sync(log->files, last->file)));
    last->size = last->bytes;
    return why;
}

/* Writes and syncs the group in the buffer. A temporary error: nothing of it is there. */
static struct err group_write(struct slog *log, const struct slog_group *group)
{
    struct slog_segment *last = log->last;
    struct span bytes = span_of(log->buffer, group->bytes);
    struct err err = slog_file_write(log->files, last->file, bytes, last->bytes);
    if (is_for_now(err)) return group_void(log, err);
    TRY(err);
    /* Not even for no space is a failed sync tried again: what it lost is unknown. */
    return for_good(log->files->calls->sync(log->files, last->file));
}

static void group_drop(struct slog *log, struct list *entries, struct err why)
{
    pthread_mutex_lock(&log->lock);
    slog_shards_unstage(log);
    pthread_mutex_unlock(&log->lock);
    for (struct list *at = entries->next; at != entries; at = at->next) {
        if (entry_of(at)->result.code == ERR_OK) entry_of(at)->result = why;
    }
}

/* Makes room for the group: a segment and a buffer. Where a whole segment has no room, a group that
 * goes into the reserve gets one of its own size: with a few blocks that are left a node can still
 * begin an epoch, and so serve reads. */
static struct err group_room(struct slog *log, size_t records_bytes, bool is_reserve,
                             uint64_t wall_ms)
{
    size_t bytes = slog_group_bytes(SLOG_GROUP_HEAD_BYTES + records_bytes);
    if (!group_fits(log, records_bytes)) {
        struct err err = slog_roll(log, bytes, false, wall_ms);
        if (err.code == ERR_FULL && is_reserve) err = slog_roll(log, bytes, true, wall_ms);
        TRY(err);
    }
    return slog_buffer_need(log, bytes);
}

static void buffer_trim(struct slog *log)
{
    if (log->buffer_size <= BUFFER_KEPT_BYTES) return;
    free(log->buffer);
    log->buffer = NULL;
    log->buffer_size = 0;
}

static struct err append(struct slog *log, struct list *entries, uint64_t boot_ms, uint64_t wall_ms)
{
    size_t refusable, bytes = entries_bytes(entries, &refusable);
    CHECK(slog_group_bytes(SLOG_GROUP_HEAD_BYTES + bytes) <= SLOG_GROUP_MAX_BYTES);
    bool is_short = refusable > 0 && space_is_short(log, !group_fits(log, bytes), boot_ms);
    if (is_short) bytes -= refusable;
    /* An idle group is not worth a segment. */
    bool is_reserve = bytes > 0 && (is_short || refusable == 0);
    struct err err = group_room(log, bytes, is_reserve, wall_ms);
    if (is_for_now(err)) {
        refuse_all(entries, err);
        return err_ok();
    }
    TRY(err);
    const struct slog_segment *last = log->last;
    struct slog_group group = {
        .lsn = last->lsn + last->bytes,
        .time_ms = wall_ms,
        .previous_crc = log->previous_crc,
    };
    memcpy(group.store_id, log->store_id, sizeof(group.store_id));
    group_encode(log, entries, is_short, &group);
    if (group.records == 0 && !list_is_empty(entries)) return err_ok(); /* all were refused */
    err = group_write(log, &group);
    if (err.code == ERR_OK) group_settle(log, entries, &group);
    else group_drop(log, entries, err);
    return is_for_now(err) ? err_ok() : err;
}

struct err slog_append(struct slog *log, struct list *entries, uint64_t boot_ms, uint64_t wall_ms)
{
    TRY(log->broken);
    struct err err = append(log, entries, boot_ms, wall_ms);
    if (err.code != ERR_OK) log->broken = err;
    buffer_trim(log);
    return err;
}

/* ---- read */

static void view_of(const struct slog_shard *shard, struct slog_shard_view *ret)
{
    ret->shard = shard->now.shard;
    ret->accepted_epoch = shard->now.accepted_epoch;
    ret->first_index = shard->now.first_index;
    ret->last_epoch = shard->now.last_epoch;
    ret->last_index = shard->now.last_index;
    ret->commit = shard->now.commit;
}

bool slog_shard_next(struct slog *log, uint32_t from, struct slog_shard_view *ret)
{
    bool found = false;
    pthread_mutex_lock(&log->lock);
    for (size_t i = 0; i < log->shards_count && !found; i++) {
        const struct slog_shard *shard = log->shards[i];
        if (shard->now.shard < from || slog_state_is_empty(&shard->now)) continue;
        view_of(shard, ret);
        found = true;
    }
    pthread_mutex_unlock(&log->lock);
    return found;
}

struct err slog_shard_get(struct slog *log, uint32_t shard, struct slog_shard_view *ret)
{
    pthread_mutex_lock(&log->lock);
    const struct slog_shard *found = slog_shard_find(log, shard);
    bool there = found != NULL && !slog_state_is_empty(&found->now);
    if (there) view_of(found, ret);
    pthread_mutex_unlock(&log->lock);
    return there ? err_ok() : err_make(ERR_NOT_FOUND, "shard in the log");
}

struct err slog_epoch_at(struct slog *log, uint32_t shard, uint64_t index, uint64_t *epoch)
{
    struct err err = err_make(ERR_NOT_FOUND, "epoch in the log");
    pthread_mutex_lock(&log->lock);
    const struct slog_shard *found = slog_shard_find(log, shard);
    bool there = found != NULL && index > 0 && index <= found->now.last_index &&
                 index + 1 >= found->now.first_index;
    for (size_t i = there ? found->epochs_count : 0; i > 0; i--) {
        if (found->epochs[i - 1].first_index > index) continue;
        *epoch = found->epochs[i - 1].epoch;
        err = err_ok();
        break;
    }
    pthread_mutex_unlock(&log->lock);
    return err;
}

size_t slog_epoch_starts(struct slog *log, uint32_t shard, uint64_t *epochs,
                         uint64_t *first_indexes, size_t max)
{
    pthread_mutex_lock(&log->lock);
    const struct slog_shard *found = slog_shard_find(log, shard);
    size_t all = found == NULL ? 0 : found->epochs_count, count = all < max ? all : max;
    for (size_t i = 0; i < count; i++) {
        epochs[i] = found->epochs[all - count + i].epoch;
        first_indexes[i] = found->epochs[all - count + i].first_index;
    }
    pthread_mutex_unlock(&log->lock);
    return count;
}

void slog_room_free(struct slog_room *room)
{
    free(room->bytes);
    room->bytes = NULL;
    room->size = 0;
}

static struct err room_need(struct slog_room *room, size_t bytes)
{
    if (bytes <= room->size) return err_ok();
    size_t size = (bytes + ROOM_STEP_BYTES - 1) / ROOM_STEP_BYTES * ROOM_STEP_BYTES;
    char *fresh = malloc(size);
    if (fresh == NULL) return err_make(ERR_NOMEM, "entry of the log");
    free(room->bytes);
    room->bytes = fresh;
    room->size = size;
    return err_ok();
}

/* Finds the entry, and holds its segment. */
static struct err place_find(struct slog *log, uint32_t shard, uint64_t index,
                             struct slog_place *place, struct slog_segment **segment)
{
    struct err err = err_make(ERR_NOT_FOUND, "entry in the log");
    pthread_mutex_lock(&log->lock);
    const struct slog_shard *found = slog_shard_find(log, shard);
    if (found != NULL && index >= found->now.first_index && index <= found->now.last_index) {
        *place = found->places[found->places_at + (index - found->now.first_index)];
        *segment = slog_segment_of(log, place->lsn);
        (*segment)->refs++;
        err = err_ok();
    }
    pthread_mutex_unlock(&log->lock);
    return err;
}

struct err slog_read(struct slog *log, uint32_t shard, uint64_t index, struct slog_room *room,
                     struct slog_record *ret)
{
    struct slog_place place = { 0, 0 };
    struct slog_segment *segment = NULL;
    TRY(place_find(log, shard, index, &place, &segment));
    struct err err = room_need(room, place.bytes);
    if (err.code == ERR_OK)
        err = slog_file_read(log->files, segment->file, room->bytes, place.bytes,
                             place.lsn - segment->lsn);
    pthread_mutex_lock(&log->lock);
    slog_segment_unref(log, segment);
    pthread_mutex_unlock(&log->lock);
    TRY(err);
    struct slog_record record;
    struct span in = span_of(room->bytes, place.bytes);
    TRY(slog_record_take(&in, &record));
    if (in.len != 0 || record.shard != shard || record.index != index)
        return err_make(ERR_CORRUPT, "entry of the log");
    *ret = record;
    return err_ok();
}

struct err slog_replay(struct slog *log, uint32_t shard, uint64_t from, uint64_t to,
                       struct err (*each)(void *holder, const struct slog_record *), void *holder)
{
    struct slog_room room = { NULL, 0 };
    struct err err = err_ok();
    for (uint64_t index = from; index <= to && err.code == ERR_OK; index++) {
        struct slog_record record;
        err = slog_read(log, shard, index, &room, &record);
        if (err.code == ERR_OK) err = each(holder, &record);
    }
    slog_room_free(&room);
    return err;
}

void slog_stats_get(struct slog *log, struct slog_stats *ret)
{
    pthread_mutex_lock(&log->lock);
    *ret = log->stats;
    ret->segments = log->segments_count;
    pthread_mutex_unlock(&log->lock);
}

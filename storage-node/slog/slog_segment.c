/* Segments: their files, their list, and how a new one begins. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "slog_private.h"

enum { NUMBER_DIGITS = 16 };
static const char suffix[] = ".seg";

void slog_segment_name(uint64_t number, char name[SEGMENT_NAME_BYTES])
{
    snprintf(name, SEGMENT_NAME_BYTES, "%016llx%s", (unsigned long long)number, suffix);
}

bool slog_segment_number(const char *name, uint64_t *number)
{
    uint64_t value = 0;
    if (strlen(name) != NUMBER_DIGITS + sizeof(suffix) - 1) return false;
    if (strcmp(name + NUMBER_DIGITS, suffix) != 0) return false;
    for (size_t i = 0; i < NUMBER_DIGITS; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9', letter = name[i] >= 'a' && name[i] <= 'f';
        if (!digit && !letter) return false;
        value = value << 4 | (unsigned)(digit ? name[i] - '0' : name[i] - 'a' + 10);
    }
    *number = value;
    return true;
}

struct err slog_segment_new(struct slog *log, uint64_t number, bool create,
                            struct slog_segment **ret)
{
    char name[SEGMENT_NAME_BYTES];
    slog_segment_name(number, name);
    struct slog_segment *segment = calloc(1, sizeof(*segment));
    if (segment == NULL) return err_make(ERR_NOMEM, "segment");
    segment->number = number;
    segment->refs = 1;
    struct err err = log->files->calls->open(log->files, name, create, &segment->file);
    if (err.code != ERR_OK) {
        free(segment);
        return err;
    }
    *ret = segment;
    return err_ok();
}

void slog_segment_unref(struct slog *log, struct slog_segment *segment)
{
    if (--segment->refs > 0) return;
    log->files->calls->close(log->files, segment->file);
    free(segment);
}

struct err slog_segment_add(struct slog *log, struct slog_segment *segment)
{
    if (log->segments_count == SEGMENTS_MAX) return err_make(ERR_FULL, "segments of a log");
    if (log->segments_count == log->segments_size) {
        size_t size = log->segments_size == 0 ? 16 : log->segments_size * 2;
        struct slog_segment **moved = realloc(log->segments, size * sizeof(struct slog_segment *));
        if (moved == NULL) return err_make(ERR_NOMEM, "segments of a log");
        log->segments = moved;
        log->segments_size = size;
    }
    log->segments[log->segments_count++] = segment;
    log->last = segment;
    return err_ok();
}

struct slog_segment *slog_segment_of(struct slog *log, uint64_t lsn)
{
    size_t low = 0, high = log->segments_count;
    while (low < high) { /* the first that begins above */
        size_t middle = low + (high - low) / 2;
        if (log->segments[middle]->lsn <= lsn) low = middle + 1;
        else high = middle;
    }
    CHECK(low > 0);
    return log->segments[low - 1];
}

struct err slog_buffer_need(struct slog *log, size_t bytes)
{
    if (bytes <= log->buffer_size) return err_ok();
    char *buffer = malloc(bytes);
    if (buffer == NULL) return err_make(ERR_NOMEM, "group");
    free(log->buffer);
    log->buffer = buffer;
    log->buffer_size = bytes;
    return err_ok();
}

/* Encodes the group of one STATE record into the buffer. `group` has what comes before it. */
static struct err state_encode(struct slog *log, struct slog_group *group)
{
    struct slog_state *rows = malloc((log->shards_count + 1) * sizeof(*rows));
    if (rows == NULL) return err_make(ERR_NOMEM, "STATE");
    pthread_mutex_lock(&log->lock);
    slog_shards_tidy(log);
    size_t count = log->shards_count;
    for (size_t i = 0; i < count; i++) rows[i] = log->shards[i]->now;
    pthread_mutex_unlock(&log->lock);
    size_t payload_bytes = slog_state_bytes(count);
    group->used_bytes = (uint32_t)(SLOG_GROUP_HEAD_BYTES + slog_record_bytes(payload_bytes));
    struct err err = slog_buffer_need(log, slog_group_bytes(group->used_bytes));
    if (err.code == ERR_OK) {
        /* The payload is encoded in its place, so the record is put over itself. */
        char *payload = log->buffer + SLOG_GROUP_HEAD_BYTES + SLOG_RECORD_HEAD_BYTES;
        slog_state_put(payload, rows, count);
        const struct slog_record record = {
            .type = SLOG_STATE,
            .time_ms = group->time_ms,
            .payload = { payload, payload_bytes },
        };
        slog_record_put(log->buffer + SLOG_GROUP_HEAD_BYTES, &record);
        slog_group_seal(log->buffer, group);
    }
    free(rows);
    return err;
}

/* Gives the spare, if there is one, the name of a segment. */
static struct err spare_take(struct slog *log, uint64_t number, bool *taken)
{
    char name[SEGMENT_NAME_BYTES];
    slog_segment_name(number, name);
    pthread_mutex_lock(&log->lock);
    *taken = log->has_spare;
    log->has_spare = false;
    pthread_mutex_unlock(&log->lock);
    return *taken ? log->files->calls->rename(log->files, SLOG_SPARE_NAME, name) : err_ok();
}

/* The file of a segment to be begun; `size` is how large it has to be at least. */
static struct err segment_make(struct slog *log, uint64_t number, uint64_t size,
                               struct slog_segment **ret)
{
    bool spare;
    TRY(spare_take(log, number, &spare));
    struct slog_segment *segment;
    TRY(slog_segment_new(log, number, !spare, &segment));
    segment->size = 0;
    struct err err = spare ? log->files->calls->size(log->files, segment->file, &segment->size)
                           : err_ok();
    if (err.code != ERR_OK) {
        slog_segment_unref(log, segment);
        return err;
    }
    if (spare) log->files->calls->forget(log->files, segment->file);
    if (segment->size < size) segment->size = size;
    *ret = segment;
    return err_ok();
}

/* Fills the new file: space, the STATE group, both on the medium, and its name too. */
static struct err segment_fill(struct slog *log, struct slog_segment *segment,
                               const struct slog_group *group)
{
    const struct slog_files_calls *calls = log->files->calls;
    TRY(calls->allocate(log->files, segment->file, segment->size));
    TRY(slog_file_write(log->files, segment->file, span_of(log->buffer, group->bytes), 0));
    TRY(calls->sync(log->files, segment->file));
    return calls->sync_directory(log->files);
}

/* What could not be made goes again. A file that stays is one that recovery removes. */
static struct err segment_undo(struct slog *log, struct slog_segment *segment, struct err why)
{
    char name[SEGMENT_NAME_BYTES];
    slog_segment_name(segment->number, name);
    slog_segment_unref(log, segment);
    TRY(log->files->calls->unlink(log->files, name));
    TRY(log->files->calls->sync_directory(log->files));
    return why;
}

struct err slog_roll(struct slog *log, size_t group_bytes, bool small, uint64_t wall_ms)
{
    const struct slog_segment *last = log->last;
    struct slog_group group = {
        .lsn = last == NULL ? 0 : last->lsn + last->bytes,
        .time_ms = wall_ms,
        .previous_crc = log->previous_crc,
    };
    memcpy(group.store_id, log->store_id, sizeof(group.store_id));
    TRY(state_encode(log, &group));
    uint64_t size = group.bytes + group_bytes;
    if (size < log->options.segment_bytes && !small) size = log->options.segment_bytes;
    struct slog_segment *segment;
    TRY(segment_make(log, last == NULL ? 1 : last->number + 1, size, &segment));
    segment->lsn = group.lsn;
    segment->bytes = group.bytes;
    struct err err = segment_fill(log, segment, &group);
    if (err.code != ERR_OK) return segment_undo(log, segment, err);
    pthread_mutex_lock(&log->lock);
    err = slog_segment_add(log, segment);
    if (err.code == ERR_OK) {
        log->previous_crc = group.crc;
        log->stats.segments = log->segments_count;
        log->stats.groups++;
        log->stats.records++;
        log->stats.syncs++;
        log->stats.written_bytes += group.bytes;
        log->stats.log_bytes += group.bytes;
    }
    pthread_mutex_unlock(&log->lock);
    return err.code == ERR_OK ? err : segment_undo(log, segment, err);
}

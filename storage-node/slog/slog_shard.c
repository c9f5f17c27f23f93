/* What the log keeps of each shard in memory. */
#include <stdlib.h>

#include "check.h"
#include "slog_private.h"

enum { ARRAY_FIRST = 16 };

/* ---- the table */

static size_t shard_lower(const struct slog *log, uint32_t shard)
{
    size_t low = 0, high = log->shards_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->shards[middle]->now.shard < shard) low = middle + 1;
        else high = middle;
    }
    return low;
}

struct slog_shard *slog_shard_find(struct slog *log, uint32_t shard)
{
    size_t at = shard_lower(log, shard);
    bool found = at < log->shards_count && log->shards[at]->now.shard == shard;
    return found ? log->shards[at] : NULL;
}

/* Room for `count` elements of `each` bytes in an array of `*size`. */
static struct err array_need(void **array, size_t *size, size_t count, size_t each)
{
    if (count <= *size) return err_ok();
    size_t room = *size == 0 ? ARRAY_FIRST : *size * 2;
    if (room < count) room = count;
    void *moved = realloc(*array, room * each);
    if (moved == NULL) return err_make(ERR_NOMEM, "log's index");
    *array = moved;
    *size = room;
    return err_ok();
}

struct err slog_shard_need(struct slog *log, uint32_t shard, struct slog_shard **ret)
{
    size_t at = shard_lower(log, shard);
    if (at < log->shards_count && log->shards[at]->now.shard == shard) {
        *ret = log->shards[at];
        return err_ok();
    }
    if (log->shards_count == SLOG_SHARDS_MAX) return err_make(ERR_BUSY, "shards of a log");
    void *array = log->shards;
    TRY(array_need(&array, &log->shards_size, log->shards_count + 1, sizeof(struct slog_shard *)));
    log->shards = array;
    struct slog_shard *made = calloc(1, sizeof(*made));
    if (made == NULL) return err_make(ERR_NOMEM, "log's index");
    made->now.shard = shard;
    made->now.first_index = 1;
    made->staged = made->now;
    memmove(log->shards + at + 1, log->shards + at,
            (log->shards_count - at) * sizeof(struct slog_shard *));
    log->shards[at] = made;
    log->shards_count++;
    *ret = made;
    return err_ok();
}

static void shard_free(struct slog_shard *shard)
{
    free(shard->places);
    free(shard->epochs);
    free(shard);
}

void slog_shards_free(struct slog *log)
{
    for (size_t i = 0; i < log->shards_count; i++) shard_free(log->shards[i]);
    free(log->shards);
    log->shards = NULL;
    log->shards_count = log->shards_size = 0;
}

bool slog_state_is_empty(const struct slog_state *state)
{
    return state->accepted_epoch == 0 && state->last_index == 0;
}

void slog_shards_tidy(struct slog *log)
{
    size_t kept = 0;
    for (size_t i = 0; i < log->shards_count; i++) {
        struct slog_shard *shard = log->shards[i];
        if (slog_state_is_empty(&shard->now) && !shard->touched) shard_free(shard);
        else log->shards[kept++] = shard;
    }
    log->shards_count = kept;
}

/* ---- records */

static struct err conflict(void) { return err_make(ERR_CONFLICT, "log record out of order"); }

static void raise(uint64_t *value, uint64_t to)
{
    if (*value < to) *value = to;
}

static struct err step_entry(struct slog_state *state, const struct slog_record *record)
{
    if (record->index == UINT64_MAX || record->index != state->last_index + 1) return conflict();
    if (record->epoch == 0 || record->epoch < state->last_epoch) return conflict();
    state->last_index = record->index;
    state->last_epoch = record->epoch;
    raise(&state->accepted_epoch, record->epoch);
    return err_ok();
}

static struct err step_trunc(struct slog_state *state, const struct slog_record *record)
{
    if (record->index > state->last_index || record->index < state->commit) return conflict();
    if (record->epoch > state->last_epoch || (record->epoch == 0) != (record->index == 0))
        return conflict();
    state->last_index = record->index;
    state->last_epoch = record->epoch;
    if (state->first_index > record->index + 1) state->first_index = record->index + 1;
    return err_ok();
}

static struct err step_install(struct slog_state *state, const struct slog_record *record)
{
    if (record->index < state->commit || record->index == UINT64_MAX) return conflict();
    if ((record->epoch == 0) != (record->index == 0)) return conflict();
    state->last_index = state->commit = record->index;
    state->last_epoch = record->epoch;
    state->first_index = record->index + 1;
    raise(&state->accepted_epoch, record->epoch);
    return err_ok();
}

struct err slog_state_step(struct slog_state *state, const struct slog_record *record)
{
    switch (record->type) {
    case SLOG_DATA:
    case SLOG_EPOCH: return step_entry(state, record);
    case SLOG_ACCEPT: raise(&state->accepted_epoch, record->epoch); return err_ok();
    case SLOG_COMMIT:
        if (record->index > state->last_index) return conflict();
        raise(&state->commit, record->index);
        return err_ok();
    case SLOG_TRUNC: return step_trunc(state, record);
    case SLOG_INSTALL: return step_install(state, record);
    case SLOG_DROP:
        *state = (struct slog_state){ .shard = state->shard, .first_index = 1 };
        return err_ok();
    case SLOG_GROUP:
    case SLOG_STATE: break;
    }
    return conflict();
}

static bool is_entry(const struct slog_record *record)
{
    return record->type == SLOG_DATA || record->type == SLOG_EPOCH;
}

/* Room behind the places, for those of the group too; entries that went are made up for. */
static struct err places_need(struct slog_shard *shard, size_t more)
{
    size_t need = shard->places_count + more;
    if (shard->places_at > 0 && shard->places_at + need > shard->places_size) {
        memmove(shard->places, shard->places + shard->places_at,
                shard->places_count * sizeof(*shard->places));
        shard->places_at = 0;
    }
    void *array = shard->places;
    TRY(array_need(&array, &shard->places_size, need, sizeof(*shard->places)));
    shard->places = array;
    return err_ok();
}

static struct err epochs_need(struct slog_shard *shard, size_t more)
{
    size_t need = shard->epochs_count + more;
    void *array = shard->epochs;
    TRY(array_need(&array, &shard->epochs_size, need, sizeof(*shard->epochs)));
    shard->epochs = array;
    return err_ok();
}

struct err slog_shard_stage(struct slog_shard *shard, const struct slog_record *record)
{
    struct slog_state next = shard->staged;
    TRY(slog_state_step(&next, record));
    size_t places = shard->places_staged + (is_entry(record) ? 1 : 0);
    size_t epochs = shard->epochs_staged + (next.last_epoch != shard->staged.last_epoch ? 1 : 0);
    if (record->type == SLOG_TRUNC || record->type == SLOG_INSTALL) epochs++;
    TRY(places_need(shard, places));
    TRY(epochs_need(shard, epochs));
    shard->places_staged = places;
    shard->epochs_staged = epochs;
    shard->staged = next;
    shard->touched = true;
    return err_ok();
}

static void epoch_push(struct slog_shard *shard, uint64_t epoch, uint64_t index)
{
    if (shard->epochs_count > 0 && shard->epochs[shard->epochs_count - 1].epoch == epoch) return;
    CHECK(shard->epochs_count < shard->epochs_size);
    /* A node that starts again and again begins an epoch each time, with nothing else in the log:
     * were there a limit to that, it could not start any more. */
    if (shard->epochs_count == SLOG_EPOCHS_MAX) {
        shard->epochs_count -= SLOG_EPOCHS_MAX / 4;
        memmove(shard->epochs, shard->epochs + SLOG_EPOCHS_MAX / 4,
                shard->epochs_count * sizeof(*shard->epochs));
    }
    shard->epochs[shard->epochs_count++] = (struct slog_epoch){ epoch, index };
}

/* The last entry is (epoch, index), of which maybe only this is known. */
static void cut_after(struct slog_shard *shard, uint64_t epoch, uint64_t index)
{
    size_t kept = index + 1 > shard->now.first_index ? index + 1 - shard->now.first_index : 0;
    if (kept < shard->places_count) shard->places_count = kept;
    while (shard->epochs_count > 0 &&
           shard->epochs[shard->epochs_count - 1].first_index > index)
        shard->epochs_count--;
    if (index > 0) epoch_push(shard, epoch, index);
}

void slog_shard_settle(struct slog_shard *shard, const struct slog_record *record, uint64_t lsn)
{
    switch (record->type) {
    case SLOG_DATA:
    case SLOG_EPOCH:
        CHECK(shard->places_at + shard->places_count < shard->places_size);
        shard->places[shard->places_at + shard->places_count++] =
            (struct slog_place){ lsn, (uint32_t)slog_record_bytes(record->payload.len) };
        epoch_push(shard, record->epoch, record->index);
        break;
    case SLOG_TRUNC: cut_after(shard, record->epoch, record->index); break;
    case SLOG_INSTALL:
        shard->places_count = shard->epochs_count = 0;
        if (record->index > 0) epoch_push(shard, record->epoch, record->index);
        break;
    case SLOG_DROP: shard->places_count = shard->epochs_count = 0; break;
    case SLOG_ACCEPT:
    case SLOG_COMMIT:
    case SLOG_GROUP:
    case SLOG_STATE: break;
    }
    struct err err = slog_state_step(&shard->now, record);
    CHECK(err.code == ERR_OK);
}

void slog_shards_unstage(struct slog *log)
{
    for (size_t i = 0; i < log->shards_count; i++) {
        struct slog_shard *shard = log->shards[i];
        if (!shard->touched) continue;
        shard->staged = shard->now;
        shard->places_staged = shard->epochs_staged = 0;
        shard->touched = false;
    }
}

/* ---- where entries lie */

size_t slog_shard_below(const struct slog_shard *shard, uint64_t lsn)
{
    const struct slog_place *places = shard->places + shard->places_at;
    size_t low = 0, high = shard->places_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (places[middle].lsn < lsn) low = middle + 1;
        else high = middle;
    }
    return low;
}

void slog_shard_forget(struct slog_shard *shard, uint64_t lsn)
{
    size_t gone = shard->places_count == 0 ? 0 : slog_shard_below(shard, lsn);
    shard->places_at += gone;
    shard->places_count -= gone;
    shard->now.first_index += gone;
    shard->staged.first_index += gone;
    /* The epoch of the entry before the first one stays known. */
    size_t old = 0;
    while (old + 1 < shard->epochs_count &&
           shard->epochs[old + 1].first_index < shard->now.first_index)
        old++;
    if (old == 0) return;
    shard->epochs_count -= old;
    memmove(shard->epochs, shard->epochs + old, shard->epochs_count * sizeof(*shard->epochs));
}

struct err slog_shard_set(struct slog_shard *shard, const struct slog_state *row)
{
    TRY(epochs_need(shard, 1));
    shard->now = *row;
    shard->now.first_index = row->last_index + 1;
    shard->staged = shard->now;
    if (row->last_index > 0) epoch_push(shard, row->last_epoch, row->last_index);
    return err_ok();
}

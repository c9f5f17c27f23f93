/* A body goes with the part's own batch while there is room, else as chunk rows ahead of it: they
 * come with a mark that the owning batch removes, so that what a crash leaves is found. */
#include "body.h"
#include "mbox_store_private.h"

enum { BATCH_BODY_BYTES = 6 * MBOX_CHUNK_BYTES };

static void chunk_key(const struct kv_key *chunks, uint32_t chunk, struct kv_key *key)
{
    key->len = 0;
    kv_key_bytes(key, kv_key_span(chunks));
    kv_key_u32(key, chunk);
}

struct mbox_slice mbox_slice_of(struct body *body)
{
    return (struct mbox_slice){ body, 0, body == NULL ? 0 : body_size(body) };
}

/* Puts the chunk's row into `batch` and returns how many bytes it has. */
static size_t put_chunk(struct kv_batch *batch, const struct kv_key *chunks,
                        const struct mbox_slice *slice, uint32_t chunk)
{
    struct kv_key key;
    uint64_t at = (uint64_t)chunk * MBOX_CHUNK_BYTES, rest = slice->bytes - at;
    size_t bytes = rest < MBOX_CHUNK_BYTES ? (size_t)rest : (size_t)MBOX_CHUNK_BYTES;
    chunk_key(chunks, chunk, &key);
    char *to = kv_batch_put_room(batch, kv_key_span(&key), bytes);
    if (to != NULL) (void)body_copy(slice->body, slice->at + at, to, bytes);
    return bytes;
}

/* The marks of a batch that goes ahead: not owned yet, and the number is used up. */
static void put_marks(struct mbox_work *work, const struct mbox_body_place *place,
                      struct kv_batch *batch)
{
    char mark[MBOX_MARK_BYTES], row[MBOX_COUNTERS_BYTES];
    mbox_mark_write(work->context->time_ms, mark);
    kv_batch_put(batch, kv_key_span(&place->pending), span_of(mark, sizeof(mark)));
    if (place->account == NULL) return;
    struct kv_key key;
    kv_key_begin(&key, &place->account->owner, KV_COUNTERS);
    mbox_counters_write(&place->account->base, row);
    kv_batch_put(batch, kv_key_span(&key), span_of(row, sizeof(row)));
}

static struct err write_ahead(struct mbox_work *work, const struct mbox_body_place *place,
                              const struct mbox_slice *slice, uint32_t chunks)
{
    for (uint32_t chunk = 0; chunk < chunks;) {
        struct kv_batch batch;
        kv_batch_init(&batch);
        if (chunk == 0) put_marks(work, place, &batch);
        while (chunk < chunks && batch.len < BATCH_BODY_BYTES && !batch.failed)
            put_chunk(&batch, &place->chunks, slice, chunk++);
        struct err err = mbox_work_push(work, &batch);
        kv_batch_free(&batch);
        TRY(err);
    }
    kv_batch_delete(&work->batch, kv_key_span(&place->pending));
    return err_ok();
}

struct err mbox_body_write(struct mbox_work *work, const struct mbox_body_place *place,
                           struct mbox_slice slice, uint32_t *chunks)
{
    uint64_t bytes = slice.bytes;
    if (bytes > MBOX_AHEAD_MAX_BYTES - work->body_bytes)
        return err_make(ERR_TOO_BIG, "bodies of one command");
    work->body_bytes += bytes;
    uint32_t count = (uint32_t)((bytes + MBOX_CHUNK_BYTES - 1) / MBOX_CHUNK_BYTES);
    bool full = work->batch.len + work->later_bytes + bytes > MBOX_PART_BYTES;
    if (count > 1 || (count == 1 && full))
        TRY(write_ahead(work, place, &slice, count));
    else if (count == 1)
        put_chunk(&work->batch, &place->chunks, &slice, 0);
    *chunks = count;
    return work->batch.failed ? err_make(ERR_TOO_BIG, "batch") : err_ok();
}

void mbox_body_delete(struct mbox_work *work, const struct kv_key *chunks, uint32_t count)
{
    struct kv_key key;
    for (uint32_t chunk = 0; chunk < count; chunk++) {
        chunk_key(chunks, chunk, &key);
        kv_batch_delete(&work->batch, kv_key_span(&key));
    }
}

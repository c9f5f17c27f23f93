/* Batches and keys from the log or a peer: what is taken apart is put together again as it was, and
 * a store that applied half of a bad batch would show it. */
#include <stdint.h>

#include "check.h"
#include "kv.h"
#include "kv_key.h"
#include "kv_memory.h"
#include "kv_overlay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(struct span key)
{
    struct kv_owner owner;
    unsigned kind;
    struct span tail;
    struct kv_key again;
    if (kv_key_read(key, &owner, &kind, &tail).code != ERR_OK) return;
    kv_key_begin(&again, &owner, (enum kv_kind)kind);
    kv_key_bytes(&again, tail);
    CHECK(span_eq(kv_key_span(&again), key));
}

static size_t count_rows(struct kv_reader *reader)
{
    struct kv_iter *it;
    size_t rows = 0;
    CHECK(kv_iter_new(reader, &it).code == ERR_OK);
    for (it->calls->seek(it, span_of("", 0)); it->calls->valid(it); it->calls->next(it)) rows++;
    it->calls->free(it);
    return rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span whole = span_of(data, size), rest = whole;
    struct kv_batch batch;
    struct kv_change change;
    struct err err;
    kv_batch_init(&batch);
    while ((err = kv_batch_next(&rest, &change)).code == ERR_OK) {
        if (change.op == KV_PUT) kv_batch_put(&batch, change.key, change.value);
        else if (change.op == KV_DELETE) kv_batch_delete(&batch, change.key);
        else kv_batch_delete_range(&batch, change.key, change.value);
        check_key(change.key);
    }
    CHECK(err.code == ERR_NOT_FOUND || err.code == ERR_CORRUPT);
    struct span taken = span_head(whole, size - rest.len);
    CHECK(batch.failed || span_eq(span_of(batch.bytes, batch.len), taken));

    struct kv *kv = kv_memory_new();
    struct kv_overlay *overlay = kv_overlay_new(kv->calls->reader(kv));
    CHECK(overlay != NULL);
    struct err added = kv_overlay_add(overlay, whole, 1);
    size_t pending = count_rows(kv_overlay_reader(overlay));
    struct err applied = kv->calls->apply(kv, whole, 1, 1);
    CHECK((applied.code == ERR_OK) == (err.code == ERR_NOT_FOUND));
    if (added.code == ERR_OK)
        CHECK(pending + 1 >= count_rows(kv->calls->reader(kv))); /* and the row `applied` */
    else
        CHECK(kv_overlay_is_empty(overlay));
    kv_overlay_free(overlay);
    kv->calls->close(kv);
    kv_batch_free(&batch);
    return 0;
}

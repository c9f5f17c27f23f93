/* kv.h: one shard's ordered rows: bytes to bytes. RocksDB stays behind it (kv_rocks.c); a second
 * implementation in memory (kv_memory.c) serves the simulator, tests and the leader's overlay.
 *
 * Reads see exactly what was applied. Writes are batches, applied whole by one thread at a time.
 * Nothing here is durable by itself: the node's log is (slog), and a batch is applied only after it
 * is committed there. Rows are in the order of memcmp on keys. */
#ifndef MAIL_KV_H
#define MAIL_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KV_KEY_MAX_BYTES = 1024,
    KV_VALUE_MAX_BYTES = 64 * 1024 * 1024,
    KV_BATCH_MAX_BYTES = 8 * 1024 * 1024, /* REPLICATION 6.4; bodies over 1 MiB are chunk rows */
};

/* A batch of changes in order, later ones over earlier ones. Its bytes are the payload of a DATA
 * record in the log, so the format is on disk and on the wire:
 *
 *   per change: op u8 (1 put, 2 delete, 3 delete range) | key_len u16 LE | key |
 *               put: value_len u32 LE | value;  delete range: end_len u16 LE | end (exclusive)
 *
 * It is our own and not RocksDB's, so that the log outlives a change of engine. */
struct kv_batch {
    char *bytes;
    size_t len, size;
    unsigned count;
    bool failed; /* a change did not fit or there was no memory: the batch must not be used */
};

void kv_batch_init(struct kv_batch *batch);
void kv_batch_free(struct kv_batch *batch);
void kv_batch_clear(struct kv_batch *batch);
void kv_batch_put(struct kv_batch *batch, struct span key, struct span value);
/* A put whose value the caller writes itself into the room returned: exactly `value_bytes`, before
 * the next call on the batch. NULL when the batch has failed. */
char *kv_batch_put_room(struct kv_batch *batch, struct span key, size_t value_bytes);
void kv_batch_delete(struct kv_batch *batch, struct span key);
void kv_batch_delete_range(struct kv_batch *batch, struct span from, struct span end);

enum kv_op { KV_PUT = 1, KV_DELETE = 2, KV_DELETE_RANGE = 3 };
struct kv_change {
    enum kv_op op;
    struct span key, value; /* `value`: the value, or the exclusive end of a range */
};
/* Takes the next change off `*bytes`. ERR_NOT_FOUND at the end, ERR_CORRUPT for what is none. */
MUST_USE struct err kv_batch_next(struct span *bytes, struct kv_change *change);

/* ---- reading: what mbox sees. Several implementations, so a table of calls. */

struct kv_iter;
struct kv_reader;

/* A value a read handed out. kv_value_free() gives it back. */
struct kv_value {
    struct span bytes;
    void *owner;                  /* of the implementation */
    void (*release)(void *owner); /* NULL: nothing to do */
};
void kv_value_free(struct kv_value *value);

enum { KV_PREFIX_MAX_BYTES = 32 };

struct kv_reader_calls {
    /* ERR_NOT_FOUND when there is no such row; `*value` is then untouched. */
    struct err (*get)(struct kv_reader *, struct span key, struct kv_value *value);
    struct err (*iter)(struct kv_reader *, struct span within, struct kv_iter **ret);
};

struct kv_reader {
    const struct kv_reader_calls *calls;
};

/* An iterator sees the rows as they are when it is made. Key and value die at the next move. */
struct kv_iter_calls {
    void (*seek)(struct kv_iter *, struct span key);      /* the first row >= key */
    void (*seek_last)(struct kv_iter *, struct span key); /* the last row <= key */
    void (*next)(struct kv_iter *);
    bool (*valid)(struct kv_iter *);
    struct span (*key)(struct kv_iter *);
    struct span (*value)(struct kv_iter *);
    struct err (*status)(struct kv_iter *); /* ERR_OK at a plain end; an I/O error otherwise */
    void (*free)(struct kv_iter *);
};
struct kv_iter {
    const struct kv_iter_calls *calls;
};

static inline struct err kv_get(struct kv_reader *reader, struct span key, struct kv_value *value)
{
    return reader->calls->get(reader, key, value);
}
static inline struct err kv_iter_new(struct kv_reader *reader, struct kv_iter **ret)
{
    return reader->calls->iter(reader, SPAN(""), ret);
}
/* For who asks for keys that begin with `prefix` only (at most KV_PREFIX_MAX_BYTES; what is longer
 * is cut): rows behind them need not be shown, and deleted ones there cost nothing. */
static inline struct err kv_iter_within(struct kv_reader *reader, struct span prefix,
                                        struct kv_iter **ret)
{
    return reader->calls->iter(reader, prefix, ret);
}

/* ---- a store: a reader that batches can be applied to. */

struct kv;

struct kv_calls {
    struct kv_reader *(*reader)(struct kv *);
    /* Applies a batch and writes the row `applied` = (epoch, index) with it (key 0xFF
     * "applied", value epoch u64 LE | index u64 LE). An error: the shard is broken until it is
     * opened again. */
    struct err (*apply)(struct kv *, struct span batch, uint64_t epoch, uint64_t index);
    /* What `applied` is: now, and what of it a crash can't take back any more. */
    struct err (*applied)(struct kv *, bool persisted, uint64_t *epoch, uint64_t *index);
    /* Starts to write memory to disk (wait false) or does it (wait true). */
    struct err (*flush)(struct kv *, bool wait);
    uint64_t (*memory_bytes)(struct kv *);
    void (*close)(struct kv *);
};
struct kv {
    const struct kv_calls *calls;
};

#ifdef __cplusplus
}
#endif
#endif

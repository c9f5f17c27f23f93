/* kv_rocks.h: the rows of one shard in RocksDB (kv.h): one column family, no log of its own.
 *
 * What was applied since the last flush is lost with the process and replayed from the node's log
 * (REPLICATION 6.9); what is left is always an exact prefix, with `applied` its last batch. Reads
 * may run on any thread beside the one that applies. The process must not fork once a store has
 * been open, but for an exec at once: RocksDB's threads are missing in the child. */
#ifndef MAIL_KV_ROCKS_H
#define MAIL_KV_ROCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv;
struct kv_rocks_shared;

/* What all stores of a process have in common: background threads and a cache of blocks. */
struct kv_rocks_limits {
    size_t cache_bytes; /* uncompressed blocks, indexes and filters; bodies are not among them */
    int threads;        /* for compaction; half as many again for flushes; 1..64 */
};
MUST_USE struct err kv_rocks_shared_new(const struct kv_rocks_limits *limits,
                                        struct kv_rocks_shared **ret);
/* After the last store is closed. NULL is fine. */
void kv_rocks_shared_free(struct kv_rocks_shared *shared);

/* Opens the store in the directory `path`, which is made when it is missing (its parent is not).
 * A store holds up to 2 * write_buffer_bytes (at least 64 KiB) of rows in memory. It takes 30-130
 * ms of waiting for the disk, so stores are opened in parallel. ERR_CORRUPT, ERR_FULL, ERR_IO (also
 * for a store that is open already). kv->calls->close() flushes and frees; values and iterators
 * are freed before that. */
MUST_USE struct err kv_rocks_open(struct kv_rocks_shared *shared, const char *path,
                                  size_t write_buffer_bytes, struct kv **ret);

/* A copy of the store as it is at some moment during the call, in the new directory `path` (hard
 * links on the same file system). What it holds is its own `applied` row. Any thread. */
MUST_USE struct err kv_rocks_checkpoint(struct kv *kv, const char *path);

/* Rewrites what deletes and old bodies left behind; seconds to minutes. Any thread. With `thorough`
 * all blob files take part and not only the oldest quarter: what gives disk space back. */
MUST_USE struct err kv_rocks_compact(struct kv *kv, bool thorough);

#ifdef __cplusplus
}
#endif
#endif

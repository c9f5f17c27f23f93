/* kv_memory.h: the rows of one shard in memory (kv.h), for the simulator and for tests.
 *
 * An ordered tree whose nodes are shared between versions: an iterator holds the version it was
 * made on, whatever is applied meanwhile. Reads may run beside one thread that applies. Nothing
 * outlives the process, but what RocksDB does with its memory can be imitated: what was applied
 * since the last flush is lost by kv_memory_crash(). It ends the process when memory runs out. */
#ifndef MAIL_KV_MEMORY_H
#define MAIL_KV_MEMORY_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv;

/* An empty store; kv->calls->close() frees it. Values and iterators are freed before that. */
struct kv *kv_memory_new(void);

/* From now on applies flush by themselves now and then, as drawn from `seed`; flush(wait false) is
 * then done at a later apply. Seed 0 (as made): only when flush() is called, at once. */
void kv_memory_flush_seed(struct kv *kv, uint64_t seed);

/* The rows are again as they were at the last flush. Iterators that are open keep theirs. */
void kv_memory_crash(struct kv *kv);

/* A store with the same rows, all of them flushed; the rows are shared until they change. */
struct kv *kv_memory_copy(struct kv *kv);
/* The same with the rows as they were at the last flush. */
struct kv *kv_memory_copy_flushed(struct kv *kv);

/* How many rows there are, `applied` among them. */
uint64_t kv_memory_rows(struct kv *kv);

#ifdef __cplusplus
}
#endif
#endif

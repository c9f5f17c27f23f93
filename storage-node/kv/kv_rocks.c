/* Directory of a store: RocksDB 7.8, column family "default" only, since its C interface can't
 * flush several at once without a log (REPLICATION 2.5). Rows are what kv_batch.c says, plus
 *
 *   0xFF "applied" -> epoch u64 LE | index u64 LE
 *
 * in each batch. Values of BLOB_MIN_BYTES and more go to blob files, as they come: bodies are
 * compressed before the log. Blocks of rows are LZ4. */
#include "kv_rocks.h"

#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "kv.h"
#include "list.h"

enum {
    APPLIED_BYTES = 16,
    BLOB_MIN_BYTES = 2048,
    BLOB_FILE_BYTES = 64 * 1024 * 1024,
    BLOCK_BYTES = 8 * 1024,
    WRITE_BUFFERS = 2,
    WRITE_BUFFER_MIN_BYTES = 64 * 1024,
    THREADS_MAX = 64,
    OPEN_FILES = 512,            /* of one store */
    SYNC_BYTES = 1024 * 1024,    /* background writes are handed to the disk piece by piece */
    NOTES_BYTES = 1024 * 1024,   /* RocksDB's own text log, per file */
    NOTES_FILES = 2,
    NOTES_WARNINGS = 2,          /* its level "warn" */
    READ_PERSISTED = 2,          /* kPersistedTier: what was flushed */
};
static const struct span applied_key = SPAN_INIT("\xff" "applied");
static const double bloom_bits = 10, blob_age_cutoff = 0.25;

struct kv_rocks_shared {
    rocksdb_env_t *env;
    rocksdb_cache_t *cache;
    int threads;
};

struct kv_rocks {
    struct kv kv; /* first: calls come with a pointer to it */
    struct kv_reader reader;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read, *read_persisted;
    rocksdb_writebatch_t *batch; /* of apply(), kept for its memory */
    atomic_bool broken;          /* a batch was not written: none is written behind it */
};

struct rocks_iter {
    struct kv_iter iter; /* first */
    rocksdb_iterator_t *rows;
    rocksdb_readoptions_t *read; /* of a bounded one, NULL: the store's */
    char end[KV_PREFIX_MAX_BYTES]; /* where it ends */
};

/* The error behind RocksDB's text, which is freed; OK for none. */
static struct err error_take(char *text, const char *what)
{
    if (text == NULL) return err_ok();
    enum err_code code = ERR_IO;
    if (strstr(text, "No space left") != NULL || strstr(text, "Out of space") != NULL ||
        strstr(text, "Space limit reached") != NULL)
        code = ERR_FULL;
    else if (strncmp(text, "Corruption", strlen("Corruption")) == 0)
        code = ERR_CORRUPT;
    rocksdb_free(text);
    return err_make(code, what);
}

/* ---- what stores share */

struct err kv_rocks_shared_new(const struct kv_rocks_limits *limits, struct kv_rocks_shared **ret)
{
    CHECK(limits->threads >= 1 && limits->threads <= THREADS_MAX);
    struct kv_rocks_shared *shared = calloc(1, sizeof(*shared));
    if (shared == NULL) return err_make(ERR_NOMEM, "stores");
    shared->env = rocksdb_create_default_env();
    shared->threads = limits->threads;
    rocksdb_env_set_background_threads(shared->env, limits->threads);
    rocksdb_env_set_high_priority_background_threads(shared->env, (limits->threads + 1) / 2);
    rocksdb_env_lower_thread_pool_io_priority(shared->env);
    shared->cache = rocksdb_cache_create_lru(limits->cache_bytes);
    *ret = shared;
    return err_ok();
}

void kv_rocks_shared_free(struct kv_rocks_shared *shared)
{
    if (shared == NULL) return;
    rocksdb_cache_destroy(shared->cache);
    rocksdb_env_join_all_threads(shared->env);
    rocksdb_env_destroy(shared->env);
    free(shared);
}

/* ---- reading */

static struct kv_rocks *rocks_of_reader(struct kv_reader *reader)
{
    return LIST_ITEM(reader, struct kv_rocks, reader);
}

static void value_release(void *owner) { rocksdb_pinnableslice_destroy(owner); }

static struct err rocks_get(struct kv_reader *reader, struct span key, struct kv_value *value)
{
    struct kv_rocks *rocks = rocks_of_reader(reader);
    char *text = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned(rocks->db, rocks->read, key.ptr, key.len, &text);
    TRY(error_take(text, "row"));
    if (found == NULL) return err_make(ERR_NOT_FOUND, "row");
    size_t len;
    const char *bytes = rocksdb_pinnableslice_value(found, &len);
    value->bytes = span_of(bytes, len);
    value->owner = found;
    value->release = value_release;
    return err_ok();
}

static rocksdb_iterator_t *rows_of(struct kv_iter *iter)
{
    return ((struct rocks_iter *)(void *)iter)->rows;
}

static void iter_seek(struct kv_iter *iter, struct span key)
{
    rocksdb_iter_seek(rows_of(iter), key.ptr, key.len);
}

static void iter_seek_last(struct kv_iter *iter, struct span key)
{
    rocksdb_iter_seek_for_prev(rows_of(iter), key.ptr, key.len);
}

static void iter_next(struct kv_iter *iter) { rocksdb_iter_next(rows_of(iter)); }
static bool iter_valid(struct kv_iter *iter) { return rocksdb_iter_valid(rows_of(iter)) != 0; }

static struct span iter_key(struct kv_iter *iter)
{
    size_t len;
    const char *bytes = rocksdb_iter_key(rows_of(iter), &len);
    return span_of(bytes, len);
}

static struct span iter_value(struct kv_iter *iter)
{
    size_t len;
    const char *bytes = rocksdb_iter_value(rows_of(iter), &len);
    return span_of(bytes, len);
}

static struct err iter_status(struct kv_iter *iter)
{
    char *text = NULL;
    rocksdb_iter_get_error(rows_of(iter), &text);
    return error_take(text, "rows");
}

static void iter_free(struct kv_iter *iter)
{
    if (iter == NULL) return;
    rocksdb_iter_destroy(rows_of(iter));
    rocksdb_readoptions_t *read = ((struct rocks_iter *)(void *)iter)->read;
    if (read != NULL) rocksdb_readoptions_destroy(read);
    free(iter);
}

static const struct kv_iter_calls iter_calls = {
    iter_seek, iter_seek_last, iter_next, iter_valid, iter_key, iter_value, iter_status, iter_free,
};

/* Ends the iterator behind the keys that begin with `prefix`. */
static void iter_bound(struct rocks_iter *iter, struct span prefix)
{
    size_t len = prefix.len < sizeof(iter->end) ? prefix.len : sizeof(iter->end);
    memcpy(iter->end, prefix.ptr, len);
    while (len > 0 && iter->end[len - 1] == '\xff') len--;
    if (len == 0) return; /* nothing is behind it */
    iter->end[len - 1]++;
    iter->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(iter->read, iter->end, len);
}

static struct err rocks_iter_new(struct kv_reader *reader, struct span within, struct kv_iter **ret)
{
    struct kv_rocks *rocks = rocks_of_reader(reader);
    struct rocks_iter *iter = malloc(sizeof(*iter));
    if (iter == NULL) return err_make(ERR_NOMEM, "iterator");
    iter->iter.calls = &iter_calls;
    iter->read = NULL;
    iter_bound(iter, within);
    iter->rows = rocksdb_create_iterator(rocks->db, iter->read != NULL ? iter->read : rocks->read);
    *ret = &iter->iter;
    return err_ok();
}

static const struct kv_reader_calls reader_calls = { rocks_get, rocks_iter_new };

/* ---- the store */

static struct kv_rocks *rocks_of(struct kv *kv) { return (struct kv_rocks *)(void *)kv; }

static struct kv_reader *rocks_reader(struct kv *kv) { return &rocks_of(kv)->reader; }

static void put_u64(char *to, uint64_t value)
{
    for (int i = 0; i < 8; i++) to[i] = (char)(value >> (8 * i));
}

static uint64_t get_u64(const char *from)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | (unsigned char)from[i];
    return value;
}

static bool is_before(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order < 0 : a.len < b.len;
}

static void change_add(rocksdb_writebatch_t *batch, const struct kv_change *change)
{
    struct span key = change->key, value = change->value;
    switch (change->op) {
    case KV_PUT: rocksdb_writebatch_put(batch, key.ptr, key.len, value.ptr, value.len); break;
    case KV_DELETE: rocksdb_writebatch_delete(batch, key.ptr, key.len); break;
    case KV_DELETE_RANGE:
        if (!is_before(key, value)) break; /* RocksDB would refuse the whole batch */
        rocksdb_writebatch_delete_range(batch, key.ptr, key.len, value.ptr, value.len);
        break;
    }
}

static struct err rocks_apply(struct kv *kv, struct span batch, uint64_t epoch, uint64_t index)
{
    struct kv_rocks *rocks = rocks_of(kv);
    if (atomic_load(&rocks->broken)) return err_make(ERR_IO, "store that failed before");
    rocksdb_writebatch_clear(rocks->batch);
    struct kv_change change;
    struct err err;
    while ((err = kv_batch_next(&batch, &change)).code == ERR_OK) change_add(rocks->batch, &change);
    if (err.code != ERR_NOT_FOUND) return err; /* nothing of a bad batch is applied */
    char applied[APPLIED_BYTES];
    put_u64(applied, epoch);
    put_u64(applied + 8, index);
    rocksdb_writebatch_put(rocks->batch, applied_key.ptr, applied_key.len, applied, APPLIED_BYTES);
    char *text = NULL;
    rocksdb_write(rocks->db, rocks->write, rocks->batch, &text);
    err = error_take(text, "apply");
    if (err.code != ERR_OK) atomic_store(&rocks->broken, true);
    return err;
}

static struct err rocks_applied(struct kv *kv, bool persisted, uint64_t *epoch, uint64_t *index)
{
    struct kv_rocks *rocks = rocks_of(kv);
    char *text = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned(rocks->db, persisted ? rocks->read_persisted : rocks->read,
                           applied_key.ptr, applied_key.len, &text);
    TRY(error_take(text, "applied"));
    if (found == NULL) {
        *epoch = *index = 0;
        return err_ok();
    }
    size_t len;
    const char *bytes = rocksdb_pinnableslice_value(found, &len);
    struct err err = len == APPLIED_BYTES ? err_ok() : err_make(ERR_CORRUPT, "applied");
    if (err.code == ERR_OK) {
        *epoch = get_u64(bytes);
        *index = get_u64(bytes + 8);
    }
    rocksdb_pinnableslice_destroy(found);
    return err;
}

static struct err rocks_flush(struct kv *kv, bool wait)
{
    rocksdb_flushoptions_t *how = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(how, wait);
    char *text = NULL;
    rocksdb_flush(rocks_of(kv)->db, how, &text);
    rocksdb_flushoptions_destroy(how);
    return error_take(text, "flush");
}

static uint64_t rocks_memory_bytes(struct kv *kv)
{
    uint64_t bytes = 0;
    int failed = rocksdb_property_int(rocks_of(kv)->db, "rocksdb.cur-size-all-mem-tables", &bytes);
    CHECK(failed == 0); /* a property that 7.8 has */
    return bytes;
}

/* Handles go before the database, options behind it: they must outlive its threads. */
static void rocks_close(struct kv *kv)
{
    struct kv_rocks *rocks = rocks_of(kv);
    if (rocks->batch != NULL) rocksdb_writebatch_destroy(rocks->batch);
    if (rocks->db != NULL) rocksdb_close(rocks->db);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_readoptions_destroy(rocks->read_persisted);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_options_destroy(rocks->options);
    free(rocks);
}

static const struct kv_calls rocks_calls = {
    rocks_reader, rocks_apply, rocks_applied, rocks_flush, rocks_memory_bytes, rocks_close,
};

/* ---- open */

/* Filters and indexes are in pieces of a block's size: a whole one of a large table is larger than
 * what the cache keeps together, so that it was read from the file for each look. */
static void options_of_tables(rocksdb_options_t *options, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *tables = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(tables, cache);
    rocksdb_block_based_options_set_block_size(tables, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(tables, 5);
    rocksdb_filterpolicy_t *bloom = rocksdb_filterpolicy_create_bloom_full(bloom_bits);
    rocksdb_block_based_options_set_filter_policy(tables, bloom); /* takes it */
    rocksdb_block_based_options_set_index_type(
        tables, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(tables, 1);
    rocksdb_block_based_options_set_metadata_block_size(tables, BLOCK_BYTES);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(tables, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(tables, 1);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(tables, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(tables, 1);
    rocksdb_options_set_block_based_table_factory(options, tables);
    rocksdb_block_based_options_destroy(tables);
}

static void options_of_blobs(rocksdb_options_t *options)
{
    rocksdb_options_set_enable_blob_files(options, 1);
    rocksdb_options_set_min_blob_size(options, BLOB_MIN_BYTES);
    rocksdb_options_set_blob_file_size(options, BLOB_FILE_BYTES);
    rocksdb_options_set_blob_compression_type(options, rocksdb_no_compression);
    rocksdb_options_set_enable_blob_gc(options, 1);
    rocksdb_options_set_blob_gc_age_cutoff(options, blob_age_cutoff);
}

static rocksdb_options_t *options_make(const struct kv_rocks_shared *shared, size_t write_buffer)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_env(options, shared->env);
    rocksdb_options_set_max_background_jobs(options, shared->threads + (shared->threads + 1) / 2);
    rocksdb_options_set_write_buffer_size(options, write_buffer);
    rocksdb_options_set_max_write_buffer_number(options, WRITE_BUFFERS);
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0); /* one thread applies */
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_bytes_per_sync(options, SYNC_BYTES);
    rocksdb_options_set_max_open_files(options, OPEN_FILES);
    rocksdb_options_set_avoid_unnecessary_blocking_io(options, 1); /* closing files, say */
    rocksdb_options_set_info_log_level(options, NOTES_WARNINGS);
    rocksdb_options_set_max_log_file_size(options, NOTES_BYTES);
    rocksdb_options_set_keep_log_file_num(options, NOTES_FILES);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    options_of_tables(options, shared->cache);
    options_of_blobs(options);
    return options;
}

struct err kv_rocks_open(struct kv_rocks_shared *shared, const char *path,
                         size_t write_buffer_bytes, struct kv **ret)
{
    CHECK(write_buffer_bytes >= WRITE_BUFFER_MIN_BYTES);
    struct kv_rocks *rocks = calloc(1, sizeof(*rocks));
    if (rocks == NULL) return err_make(ERR_NOMEM, "store");
    rocks->kv.calls = &rocks_calls;
    rocks->reader.calls = &reader_calls;
    rocks->options = options_make(shared, write_buffer_bytes);
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write, 1);
    rocks->read = rocksdb_readoptions_create();
    rocks->read_persisted = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(rocks->read_persisted, READ_PERSISTED);
    char *text = NULL;
    rocks->db = rocksdb_open(rocks->options, path, &text);
    struct err err = error_take(text, "open a store");
    if (err.code != ERR_OK) {
        rocks_close(&rocks->kv);
        return err;
    }
    rocks->batch = rocksdb_writebatch_create();
    *ret = &rocks->kv;
    return err_ok();
}

/* ---- upkeep */

struct err kv_rocks_checkpoint(struct kv *kv, const char *path)
{
    CHECK(kv->calls == &rocks_calls);
    char *text = NULL;
    rocksdb_checkpoint_t *checkpoint =
        rocksdb_checkpoint_object_create(rocks_of(kv)->db, &text);
    TRY(error_take(text, "checkpoint"));
    rocksdb_checkpoint_create(checkpoint, path, 0, &text); /* 0: memory is flushed first */
    rocksdb_checkpoint_object_destroy(checkpoint);
    return error_take(text, "checkpoint");
}

static struct err blob_cutoff_set(struct kv_rocks *rocks, const char *cutoff)
{
    const char *const names[] = { "blob_garbage_collection_age_cutoff" };
    char *text = NULL;
    rocksdb_set_options(rocks->db, 1, names, &cutoff, &text);
    return error_take(text, "option");
}

struct err kv_rocks_compact(struct kv *kv, bool thorough)
{
    CHECK(kv->calls == &rocks_calls);
    struct kv_rocks *rocks = rocks_of(kv);
    if (thorough) TRY(blob_cutoff_set(rocks, "1.0"));
    rocksdb_compactoptions_t *how = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(how, 0);
    rocksdb_compactoptions_set_bottommost_level_compaction(how, 3); /* 3: once, even unchanged */
    rocksdb_compact_range_opt(rocks->db, how, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(how);
    return thorough ? blob_cutoff_set(rocks, "0.25") : err_ok();
}

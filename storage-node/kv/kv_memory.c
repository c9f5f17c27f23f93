/* A treap (Seidel, Aragon 1996): a search tree by key that is a heap by a hash of the key, so its
 * shape does not depend on the order of inserts and a simulation runs the same each time.
 *
 * Nodes are counted references and copied on write: a node that a second version shares is never
 * changed. Who holds the only reference changes it in place. */
#include "kv_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "hash.h"
#include "kv.h"

enum { FLUSH_EVERY = 16, APPLIED_BYTES = 16 };
static const struct span applied_key = SPAN_INIT("\xff" "applied");
static const uint64_t priority_key[2] = { 0x6b765f6d656d6f72, 0x79207072696f7269 };

struct row {
    atomic_uint refs;
    size_t key_len, value_len;
    char bytes[]; /* key, value */
};

struct node {
    atomic_uint refs;
    uint64_t priority;
    struct node *left, *right;
    struct row *row;
};

struct kv_memory {
    struct kv kv; /* first: calls come with a pointer to it */
    struct kv_reader reader;
    pthread_mutex_t lock; /* of `root` and `persisted` */
    struct node *root, *persisted;
    uint64_t flush_seed;
    bool flush_asked;
};

/* ---- rows and nodes */

static struct row *row_new(struct span key, struct span value)
{
    struct row *row = malloc(sizeof(*row) + key.len + value.len);
    CHECK(row != NULL);
    atomic_init(&row->refs, 1);
    row->key_len = key.len;
    row->value_len = value.len;
    memcpy(row->bytes, key.ptr, key.len);
    if (value.len > 0) memcpy(row->bytes + key.len, value.ptr, value.len);
    return row;
}

static struct row *row_ref(struct row *row)
{
    atomic_fetch_add(&row->refs, 1);
    return row;
}

static void row_unref(struct row *row)
{
    if (atomic_fetch_sub(&row->refs, 1) == 1) free(row);
}

static struct span row_key(const struct row *row) { return span_of(row->bytes, row->key_len); }
static struct span row_value(const struct row *row)
{
    return span_of(row->bytes + row->key_len, row->value_len);
}

static struct node *node_ref(struct node *node)
{
    if (node != NULL) atomic_fetch_add(&node->refs, 1);
    return node;
}

static void node_unref(struct node *node)
{
    while (node != NULL && atomic_fetch_sub(&node->refs, 1) == 1) {
        struct node *right = node->right;
        node_unref(node->left);
        row_unref(node->row);
        free(node);
        node = right;
    }
}

/* The same node, ours alone: takes the reference and returns one that may be written to. */
static struct node *node_own(struct node *node)
{
    if (atomic_load(&node->refs) == 1) return node;
    struct node *copy = malloc(sizeof(*copy));
    CHECK(copy != NULL);
    atomic_init(&copy->refs, 1);
    copy->priority = node->priority;
    copy->left = node_ref(node->left);
    copy->right = node_ref(node->right);
    copy->row = row_ref(node->row);
    node_unref(node);
    return copy;
}

/* Splits a tree: keys below `key` (with `after` also `key` itself) go left. Takes the reference. */
static void split(struct node *node, struct span key, bool after, struct node **left,
                  struct node **right)
{
    if (node == NULL) {
        *left = *right = NULL;
        return;
    }
    node = node_own(node);
    int order = span_order(row_key(node->row), key);
    if (order < 0 || (order == 0 && after)) {
        split(node->right, key, after, &node->right, right);
        *left = node;
    } else {
        split(node->left, key, after, left, &node->left);
        *right = node;
    }
}

/* One tree of two; every key of `left` is below every key of `right`. Takes both references. */
static struct node *merge(struct node *left, struct node *right)
{
    if (left == NULL) return right;
    if (right == NULL) return left;
    if (left->priority >= right->priority) {
        left = node_own(left);
        left->right = merge(left->right, right);
        return left;
    }
    right = node_own(right);
    right->left = merge(left, right->left);
    return right;
}

/* Takes out the keys in [from, end], without `end` unless `with_end`, and puts `middle` there. */
static void replace(struct node **root, struct span from, struct span end, bool with_end,
                    struct node *middle)
{
    struct node *left, *rest, *gone, *right;
    split(*root, from, false, &left, &rest);
    split(rest, end, with_end, &gone, &right);
    node_unref(gone);
    *root = merge(merge(left, middle), right);
}

static void put(struct node **root, struct span key, struct span value)
{
    struct node *node = malloc(sizeof(*node));
    CHECK(node != NULL);
    atomic_init(&node->refs, 1);
    node->priority = hash_sip(priority_key, key);
    node->left = node->right = NULL;
    node->row = row_new(key, value);
    replace(root, key, key, true, node);
}

static const struct node *find(const struct node *node, struct span key)
{
    while (node != NULL) {
        int order = span_order(key, row_key(node->row));
        if (order == 0) return node;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

/* ---- reader */

static struct kv_memory *of_reader(struct kv_reader *reader)
{
    return (struct kv_memory *)(void *)((char *)reader - offsetof(struct kv_memory, reader));
}

static struct node *root_ref(struct kv_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    struct node *root = node_ref(memory->root);
    pthread_mutex_unlock(&memory->lock);
    return root;
}

static void release_row(void *owner) { row_unref(owner); }

static struct err memory_get(struct kv_reader *reader, struct span key, struct kv_value *value)
{
    struct node *root = root_ref(of_reader(reader));
    const struct node *found = find(root, key);
    if (found != NULL) {
        struct row *row = row_ref(found->row);
        *value = (struct kv_value){ row_value(row), row, release_row };
    }
    node_unref(root);
    return found != NULL ? err_ok() : err_make(ERR_NOT_FOUND, "row");
}

struct memory_iter {
    struct kv_iter iter;
    struct node *root;
    const struct node *at;
};

static struct memory_iter *of_iter(struct kv_iter *iter) { return (struct memory_iter *)iter; }

static const struct node *first_from(const struct node *node, struct span key, bool after)
{
    const struct node *found = NULL;
    while (node != NULL) {
        int order = span_order(row_key(node->row), key);
        if (order > 0 || (order == 0 && !after)) {
            found = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return found;
}

static void iter_seek(struct kv_iter *iter, struct span key)
{
    struct memory_iter *it = of_iter(iter);
    it->at = first_from(it->root, key, false);
}

static void iter_seek_last(struct kv_iter *iter, struct span key)
{
    struct memory_iter *it = of_iter(iter);
    it->at = NULL;
    for (const struct node *node = it->root; node != NULL;) {
        if (span_order(row_key(node->row), key) <= 0) {
            it->at = node;
            node = node->right;
        } else {
            node = node->left;
        }
    }
}

static void iter_next(struct kv_iter *iter)
{
    struct memory_iter *it = of_iter(iter);
    CHECK(it->at != NULL);
    if (it->at->right == NULL) {
        it->at = first_from(it->root, row_key(it->at->row), true);
        return;
    }
    it->at = it->at->right;
    while (it->at->left != NULL) it->at = it->at->left;
}

static bool iter_valid(struct kv_iter *iter) { return of_iter(iter)->at != NULL; }
static struct span iter_key(struct kv_iter *iter) { return row_key(of_iter(iter)->at->row); }
static struct span iter_value(struct kv_iter *iter) { return row_value(of_iter(iter)->at->row); }
static struct err iter_status(struct kv_iter *iter)
{
    (void)iter;
    return err_ok();
}

static void iter_free(struct kv_iter *iter)
{
    node_unref(of_iter(iter)->root);
    free(iter);
}

static const struct kv_iter_calls iter_calls = {
    iter_seek, iter_seek_last, iter_next, iter_valid, iter_key, iter_value, iter_status, iter_free,
};

static struct err memory_iter(struct kv_reader *reader, struct span within, struct kv_iter **ret)
{
    (void)within;
    struct memory_iter *it = calloc(1, sizeof(*it));
    if (it == NULL) return err_make(ERR_NOMEM, "iterator");
    it->iter.calls = &iter_calls;
    it->root = root_ref(of_reader(reader));
    *ret = &it->iter;
    return err_ok();
}

static const struct kv_reader_calls reader_calls = { memory_get, memory_iter };

/* ---- store */

static struct kv_memory *of_kv(struct kv *kv) { return (struct kv_memory *)kv; }

static struct kv_reader *memory_reader(struct kv *kv) { return &of_kv(kv)->reader; }

static void put_u64(char *to, uint64_t value)
{
    for (int i = 0; i < 8; i++) to[i] = (char)(value >> (8 * i) & 0xff);
}

static uint64_t get_u64(const char *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)(unsigned char)from[i] << (8 * i);
    return value;
}

static void persist(struct kv_memory *memory)
{
    node_unref(memory->persisted);
    memory->persisted = node_ref(memory->root);
    memory->flush_asked = false;
}

/* With a seed: one apply in FLUSH_EVERY flushes, and one in four of those that were asked to. */
static void flush_by_chance(struct kv_memory *memory)
{
    if (memory->flush_seed == 0) return;
    uint64_t draw = memory->flush_seed;
    draw ^= draw << 13;
    draw ^= draw >> 7;
    draw ^= draw << 17;
    memory->flush_seed = draw;
    unsigned every = memory->flush_asked ? 4 : FLUSH_EVERY;
    if (draw % every == 0) persist(memory);
}

static struct err memory_apply(struct kv *kv, struct span batch, uint64_t epoch, uint64_t index)
{
    struct kv_memory *memory = of_kv(kv);
    struct kv_change change;
    struct span rest = batch;
    struct err err;
    while ((err = kv_batch_next(&rest, &change)).code == ERR_OK) continue;
    if (err.code != ERR_NOT_FOUND) return err; /* nothing of a bad batch is applied */

    char applied[APPLIED_BYTES];
    put_u64(applied, epoch);
    put_u64(applied + 8, index);
    pthread_mutex_lock(&memory->lock);
    while (kv_batch_next(&batch, &change).code == ERR_OK) {
        if (change.op == KV_PUT) {
            put(&memory->root, change.key, change.value);
        } else if (change.op == KV_DELETE) {
            replace(&memory->root, change.key, change.key, true, NULL);
        } else if (span_order(change.key, change.value) < 0) {
            replace(&memory->root, change.key, change.value, false, NULL);
        }
    }
    put(&memory->root, applied_key, span_of(applied, sizeof(applied)));
    flush_by_chance(memory);
    pthread_mutex_unlock(&memory->lock);
    return err_ok();
}

static struct err memory_applied(struct kv *kv, bool persisted, uint64_t *epoch, uint64_t *index)
{
    struct kv_memory *memory = of_kv(kv);
    pthread_mutex_lock(&memory->lock);
    const struct node *row = find(persisted ? memory->persisted : memory->root, applied_key);
    *epoch = row == NULL ? 0 : get_u64(row_value(row->row).ptr);
    *index = row == NULL ? 0 : get_u64(row_value(row->row).ptr + 8);
    pthread_mutex_unlock(&memory->lock);
    return err_ok();
}

static struct err memory_flush(struct kv *kv, bool wait)
{
    struct kv_memory *memory = of_kv(kv);
    pthread_mutex_lock(&memory->lock);
    memory->flush_asked = true;
    if (wait || memory->flush_seed == 0) persist(memory);
    pthread_mutex_unlock(&memory->lock);
    return err_ok();
}

static void measure(const struct node *node, uint64_t *rows, uint64_t *bytes)
{
    for (; node != NULL; node = node->right) {
        *rows += 1;
        *bytes += sizeof(*node) + sizeof(*node->row) + node->row->key_len + node->row->value_len;
        measure(node->left, rows, bytes);
    }
}

static uint64_t memory_bytes(struct kv *kv)
{
    uint64_t rows = 0, bytes = 0;
    struct node *root = root_ref(of_kv(kv));
    measure(root, &rows, &bytes);
    node_unref(root);
    return bytes;
}

static void memory_close(struct kv *kv)
{
    struct kv_memory *memory = of_kv(kv);
    node_unref(memory->root);
    node_unref(memory->persisted);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct kv_calls kv_calls = {
    memory_reader, memory_apply, memory_applied, memory_flush, memory_bytes, memory_close,
};

struct kv *kv_memory_new(void)
{
    struct kv_memory *memory = calloc(1, sizeof(*memory));
    CHECK(memory != NULL);
    memory->kv.calls = &kv_calls;
    memory->reader.calls = &reader_calls;
    CHECK(pthread_mutex_init(&memory->lock, NULL) == 0);
    return &memory->kv;
}

void kv_memory_flush_seed(struct kv *kv, uint64_t seed) { of_kv(kv)->flush_seed = seed; }

void kv_memory_crash(struct kv *kv)
{
    struct kv_memory *memory = of_kv(kv);
    pthread_mutex_lock(&memory->lock);
    node_unref(memory->root);
    memory->root = node_ref(memory->persisted);
    memory->flush_asked = false;
    pthread_mutex_unlock(&memory->lock);
}

struct kv *kv_memory_copy(struct kv *kv)
{
    struct kv *copy = kv_memory_new();
    of_kv(copy)->root = root_ref(of_kv(kv));
    persist(of_kv(copy));
    return copy;
}

struct kv *kv_memory_copy_flushed(struct kv *kv)
{
    struct kv *copy = kv_memory_copy(kv);
    pthread_mutex_lock(&of_kv(kv)->lock);
    node_unref(of_kv(copy)->root);
    of_kv(copy)->root = node_ref(of_kv(kv)->persisted);
    pthread_mutex_unlock(&of_kv(kv)->lock);
    persist(of_kv(copy));
    return copy;
}

uint64_t kv_memory_rows(struct kv *kv)
{
    uint64_t rows = 0, bytes = 0;
    struct node *root = root_ref(of_kv(kv));
    measure(root, &rows, &bytes);
    node_unref(root);
    return rows;
}

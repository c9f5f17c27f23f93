/* Each key has one row here: the latest change of it. A batch owns the memory of its rows and lists
 * those that are still the latest; when it is applied they go, and what a newer batch says stays.
 * A range of a batch drops the rows it covers at once and hides the store's until it is applied. */
#include "kv_overlay.h"

#include <stdlib.h>

#include "check.h"
#include "kv_overlay_private.h"

struct overlay_batch {
    struct list in_batches; /* by index */
    struct list rows;
    uint64_t index;
    struct overlay_row *memory;
    char *bytes;
};

enum { RANGES_FIRST = 16 };

int overlay_compare(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (order != 0) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* ---- the tree */

/* Keys below `key` go left. */
static void split(struct overlay_row *row, struct span key, struct overlay_row **left,
                  struct overlay_row **right)
{
    while (row != NULL) {
        if (overlay_compare(row->key, key) < 0) {
            *left = row;
            left = &row->right;
            row = row->right;
        } else {
            *right = row;
            right = &row->left;
            row = row->left;
        }
    }
    *left = *right = NULL;
}

static struct overlay_row *merge(struct overlay_row *left, struct overlay_row *right)
{
    struct overlay_row *root = NULL, **at = &root;
    while (left != NULL && right != NULL) {
        if (left->priority >= right->priority) {
            *at = left;
            at = &left->right;
            left = left->right;
        } else {
            *at = right;
            at = &right->left;
            right = right->left;
        }
    }
    *at = left != NULL ? left : right;
    return root;
}

struct overlay_row *overlay_first_from(const struct kv_overlay *overlay, struct span key)
{
    struct overlay_row *found = NULL;
    for (struct overlay_row *row = overlay->root; row != NULL;) {
        if (overlay_compare(row->key, key) >= 0) {
            found = row;
            row = row->left;
        } else {
            row = row->right;
        }
    }
    return found;
}

static struct overlay_row *row_of(const struct kv_overlay *overlay, struct list *link)
{
    return link == &overlay->rows ? NULL : LIST_ITEM(link, struct overlay_row, in_order);
}

struct overlay_row *overlay_next(const struct kv_overlay *overlay, const struct overlay_row *row)
{
    return row_of(overlay, row->in_order.next);
}

struct overlay_row *overlay_before(const struct kv_overlay *overlay, const struct overlay_row *row)
{
    return row_of(overlay, row->in_order.prev);
}

struct overlay_row *overlay_last_to(const struct kv_overlay *overlay, struct span key)
{
    struct overlay_row *from = overlay_first_from(overlay, key);
    if (from != NULL && overlay_compare(from->key, key) == 0) return from;
    return from != NULL ? overlay_before(overlay, from) : row_of(overlay, overlay->rows.prev);
}

static void row_remove(struct kv_overlay *overlay, struct overlay_row *row)
{
    struct overlay_row **at = &overlay->root;
    while (*at != row) {
        CHECK(*at != NULL);
        at = overlay_compare(row->key, (*at)->key) < 0 ? &(*at)->left : &(*at)->right;
    }
    *at = merge(row->left, row->right);
    list_remove(&row->in_order);
    list_remove(&row->in_batch);
}

/* Puts `row` into the tree and the ordered list; its key is not there. */
static void row_insert(struct kv_overlay *overlay, struct overlay_row *row)
{
    struct overlay_row *behind = overlay_first_from(overlay, row->key);
    list_add(behind != NULL ? &behind->in_order : &overlay->rows, &row->in_order);
    overlay->draw ^= overlay->draw << 13;
    overlay->draw ^= overlay->draw >> 7;
    overlay->draw ^= overlay->draw << 17;
    row->priority = overlay->draw;
    struct overlay_row **at = &overlay->root;
    while (*at != NULL && (*at)->priority >= row->priority)
        at = overlay_compare(row->key, (*at)->key) < 0 ? &(*at)->left : &(*at)->right;
    split(*at, row->key, &row->left, &row->right);
    *at = row;
}

const struct overlay_range *overlay_hides(const struct kv_overlay *overlay, struct span key)
{
    for (size_t i = 0; i < overlay->ranges_count; i++) {
        const struct overlay_range *range = &overlay->ranges[i];
        if (overlay_compare(range->from, key) <= 0 && overlay_compare(key, range->end) < 0)
            return range;
    }
    return NULL;
}

/* ---- batches */

static void batch_free(struct overlay_batch *batch)
{
    free(batch->memory);
    free(batch->bytes);
    free(batch);
}

/* Counts the changes, and tells whether all are well formed. */
static struct err count_changes(struct span batch, size_t *rows, size_t *ranges)
{
    struct kv_change change;
    struct err err;
    while ((err = kv_batch_next(&batch, &change)).code == ERR_OK)
        *(change.op == KV_DELETE_RANGE ? ranges : rows) += 1;
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

static struct err reserve_ranges(struct kv_overlay *overlay, size_t more)
{
    size_t count = overlay->ranges_count + more;
    if (count > KV_OVERLAY_RANGES_MAX) return err_make(ERR_BUSY, "ranges of pending batches");
    if (count <= overlay->ranges_size) return err_ok();
    size_t size = overlay->ranges_size == 0 ? RANGES_FIRST : overlay->ranges_size;
    while (size < count) size *= 2;
    struct overlay_range *ranges = realloc(overlay->ranges, size * sizeof(*ranges));
    if (ranges == NULL) return err_make(ERR_NOMEM, "ranges of pending batches");
    overlay->ranges = ranges;
    overlay->ranges_size = size;
    return err_ok();
}

static struct overlay_batch *batch_new(struct span bytes, size_t rows)
{
    struct overlay_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) return NULL;
    batch->memory = calloc(rows + 1, sizeof(*batch->memory));
    batch->bytes = malloc(bytes.len + 1);
    if (batch->memory == NULL || batch->bytes == NULL) {
        batch_free(batch);
        return NULL;
    }
    if (bytes.len > 0) memcpy(batch->bytes, bytes.ptr, bytes.len);
    list_init(&batch->in_batches);
    list_init(&batch->rows);
    return batch;
}

static void add_range(struct kv_overlay *overlay, const struct kv_change *change, uint64_t index)
{
    if (overlay_compare(change->key, change->value) >= 0) return;
    struct overlay_row *row = overlay_first_from(overlay, change->key);
    while (row != NULL && overlay_compare(row->key, change->value) < 0) {
        struct overlay_row *next = overlay_next(overlay, row);
        row_remove(overlay, row);
        row = next;
    }
    overlay->ranges[overlay->ranges_count++] =
        (struct overlay_range){ change->key, change->value, index };
}

static void add_row(struct kv_overlay *overlay, struct overlay_batch *batch,
                    const struct kv_change *change, struct overlay_row *row)
{
    struct overlay_row *old = overlay_first_from(overlay, change->key);
    if (old != NULL && overlay_compare(old->key, change->key) == 0) row_remove(overlay, old);
    row->key = change->key;
    row->value = change->value;
    row->deleted = change->op == KV_DELETE;
    list_init(&row->in_order);
    list_init(&row->in_batch);
    row_insert(overlay, row);
    list_add(&batch->rows, &row->in_batch);
}

struct err kv_overlay_add(struct kv_overlay *overlay, struct span bytes, uint64_t index)
{
    CHECK(overlay->iters == 0);
    size_t rows = 0, ranges = 0;
    TRY(count_changes(bytes, &rows, &ranges));
    TRY(reserve_ranges(overlay, ranges));
    struct overlay_batch *batch = batch_new(bytes, rows);
    if (batch == NULL) return err_make(ERR_NOMEM, "pending batch");
    batch->index = index;

    struct span rest = span_of(batch->bytes, bytes.len);
    struct kv_change change;
    for (size_t at = 0; kv_batch_next(&rest, &change).code == ERR_OK;) {
        if (change.op == KV_DELETE_RANGE)
            add_range(overlay, &change, index);
        else
            add_row(overlay, batch, &change, &batch->memory[at++]);
    }
    list_add(&overlay->batches, &batch->in_batches);
    return err_ok();
}

static void batch_drop(struct kv_overlay *overlay, struct overlay_batch *batch)
{
    while (!list_is_empty(&batch->rows))
        row_remove(overlay, LIST_ITEM(batch->rows.next, struct overlay_row, in_batch));
    list_remove(&batch->in_batches);
    batch_free(batch);
}

void kv_overlay_applied(struct kv_overlay *overlay, uint64_t index)
{
    CHECK(overlay->iters == 0);
    size_t gone = 0;
    while (gone < overlay->ranges_count && overlay->ranges[gone].index <= index) gone++;
    overlay->ranges_count -= gone;
    if (gone > 0 && overlay->ranges_count > 0)
        memmove(overlay->ranges, overlay->ranges + gone,
                overlay->ranges_count * sizeof(*overlay->ranges));
    while (!list_is_empty(&overlay->batches)) {
        struct overlay_batch *batch =
            LIST_ITEM(overlay->batches.next, struct overlay_batch, in_batches);
        if (batch->index > index) break;
        batch_drop(overlay, batch);
    }
}

void kv_overlay_clear(struct kv_overlay *overlay) { kv_overlay_applied(overlay, UINT64_MAX); }

bool kv_overlay_is_empty(const struct kv_overlay *overlay)
{
    return overlay->root == NULL && overlay->ranges_count == 0;
}

/* ---- reader */

static struct err overlay_get(struct kv_reader *reader, struct span key, struct kv_value *value)
{
    struct kv_overlay *overlay = (struct kv_overlay *)reader;
    if (overlay->root == NULL && overlay->ranges_count == 0)
        return kv_get(overlay->base, key, value);
    struct overlay_row *row = overlay_first_from(overlay, key);
    if (row == NULL || overlay_compare(row->key, key) != 0) {
        if (overlay_hides(overlay, key) != NULL) return err_make(ERR_NOT_FOUND, "row");
        return kv_get(overlay->base, key, value);
    }
    if (row->deleted) return err_make(ERR_NOT_FOUND, "row");
    *value = (struct kv_value){ .bytes = row->value };
    return err_ok();
}

static struct err overlay_iter(struct kv_reader *reader, struct span within, struct kv_iter **ret)
{
    struct kv_overlay *overlay = (struct kv_overlay *)reader;
    if (kv_overlay_is_empty(overlay)) return kv_iter_within(overlay->base, within, ret);
    return overlay_iter_new(overlay, within, ret);
}

static const struct kv_reader_calls overlay_calls = { overlay_get, overlay_iter };

struct kv_overlay *kv_overlay_new(struct kv_reader *base)
{
    struct kv_overlay *overlay = calloc(1, sizeof(*overlay));
    if (overlay == NULL) return NULL;
    overlay->reader.calls = &overlay_calls;
    overlay->base = base;
    overlay->draw = 0x9e3779b97f4a7c15;
    list_init(&overlay->rows);
    list_init(&overlay->batches);
    return overlay;
}

void kv_overlay_free(struct kv_overlay *overlay)
{
    if (overlay == NULL) return;
    kv_overlay_clear(overlay);
    free(overlay->ranges);
    free(overlay);
}

struct kv_reader *kv_overlay_reader(struct kv_overlay *overlay) { return &overlay->reader; }

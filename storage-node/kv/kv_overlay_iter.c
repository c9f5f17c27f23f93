/* The merged walk over an overlay and the store below it. Two cursors, both beyond what was handed
 * out last; the lower key is next, and on equal keys the overlay's row is the one that counts. */
#include <stdlib.h>

#include "kv_overlay_private.h"

struct merged {
    struct kv_iter iter; /* first: calls come with a pointer to it */
    struct kv_overlay *overlay;
    struct kv_iter *base;
    struct overlay_row *row; /* the overlay's cursor, NULL at its end */
    bool on_row;             /* the current row is the overlay's */
    bool valid;
    char key[KV_KEY_MAX_BYTES];
};

static struct merged *of(struct kv_iter *iter) { return (struct merged *)iter; }

static bool base_valid(struct merged *m) { return m->base->calls->valid(m->base); }

/* Moves the store's cursor past rows that pending ranges hide. */
static void skip_hidden(struct merged *m)
{
    while (base_valid(m)) {
        const struct overlay_range *range = overlay_hides(m->overlay, m->base->calls->key(m->base));
        if (range == NULL) return;
        m->base->calls->seek(m->base, range->end);
    }
}

/* Finds the current row from where the two cursors stand. */
static void settle(struct merged *m)
{
    for (;;) {
        skip_hidden(m);
        bool below = base_valid(m);
        m->valid = below || m->row != NULL;
        if (!m->valid) return;
        int order = !below ? -1 : m->row == NULL ? 1
                  : overlay_compare(m->row->key, m->base->calls->key(m->base));
        m->on_row = order <= 0;
        if (order == 0) m->base->calls->next(m->base); /* the overlay's row stands for it */
        if (!m->on_row || !m->row->deleted) return;
        m->row = overlay_next(m->overlay, m->row);
    }
}

static void merged_seek(struct kv_iter *iter, struct span key)
{
    struct merged *m = of(iter);
    m->base->calls->seek(m->base, key);
    m->row = overlay_first_from(m->overlay, key);
    settle(m);
}

static void merged_next(struct kv_iter *iter)
{
    struct merged *m = of(iter);
    if (m->on_row)
        m->row = overlay_next(m->overlay, m->row);
    else
        m->base->calls->next(m->base);
    settle(m);
}

/* Seeks the store's last row below `key`. There is no call for it: the greatest key below is `key`
 * without its last byte when that is 0, else with that byte one lower and 0xff up to the bound. */
static void base_seek_below(struct merged *m, struct span key)
{
    char below[KV_KEY_MAX_BYTES];
    size_t len = key.len - 1;
    if (len > 0) memcpy(below, key.ptr, len);
    if (key.ptr[len] != 0) {
        below[len] = (char)((unsigned char)key.ptr[len] - 1);
        memset(below + len + 1, 0xff, sizeof(below) - len - 1);
        len = sizeof(below);
    }
    m->base->calls->seek_last(m->base, span_of(below, len));
}

/* Moves the store's cursor to its last row <= key that neither a range nor a row here hides. */
static void base_seek_last(struct merged *m, struct span key)
{
    m->base->calls->seek_last(m->base, key);
    while (base_valid(m)) {
        struct span at = m->base->calls->key(m->base);
        const struct overlay_range *range = overlay_hides(m->overlay, at);
        struct overlay_row *row = overlay_first_from(m->overlay, at);
        bool here = row != NULL && overlay_compare(row->key, at) == 0;
        if (range == NULL && !here) return;
        char copy[KV_KEY_MAX_BYTES];
        struct span from = range != NULL ? range->from : at;
        memcpy(copy, from.ptr, from.len); /* `at` dies with the move */
        base_seek_below(m, span_of(copy, from.len));
    }
}

static void merged_seek_last(struct kv_iter *iter, struct span key)
{
    struct merged *m = of(iter);
    base_seek_last(m, key);
    struct overlay_row *row = overlay_last_to(m->overlay, key);
    while (row != NULL && row->deleted) row = overlay_before(m->overlay, row);
    struct span last = row != NULL ? row->key : SPAN("");
    if (base_valid(m)) {
        struct span at = m->base->calls->key(m->base);
        if (row == NULL || overlay_compare(at, row->key) > 0) last = at;
    }
    m->valid = last.len > 0;
    if (!m->valid) return;
    memcpy(m->key, last.ptr, last.len);
    merged_seek(iter, span_of(m->key, last.len)); /* both cursors, ready to go on */
}

static bool merged_valid(struct kv_iter *iter) { return of(iter)->valid; }

static struct span merged_key(struct kv_iter *iter)
{
    struct merged *m = of(iter);
    return m->on_row ? m->row->key : m->base->calls->key(m->base);
}

static struct span merged_value(struct kv_iter *iter)
{
    struct merged *m = of(iter);
    return m->on_row ? m->row->value : m->base->calls->value(m->base);
}

static struct err merged_status(struct kv_iter *iter)
{
    return of(iter)->base->calls->status(of(iter)->base);
}

static void merged_free(struct kv_iter *iter)
{
    struct merged *m = of(iter);
    m->base->calls->free(m->base);
    m->overlay->iters--;
    free(m);
}

static const struct kv_iter_calls merged_calls = {
    merged_seek, merged_seek_last, merged_next, merged_valid,
    merged_key, merged_value, merged_status, merged_free,
};

struct err overlay_iter_new(struct kv_overlay *overlay, struct span within, struct kv_iter **ret)
{
    struct merged *m = malloc(sizeof(*m));
    if (m == NULL) return err_make(ERR_NOMEM, "iterator");
    *m = (struct merged){ .iter = { &merged_calls }, .overlay = overlay };
    struct err err = kv_iter_within(overlay->base, within, &m->base);
    if (err.code != ERR_OK) {
        free(m);
        return err;
    }
    overlay->iters++;
    *ret = &m->iter;
    return err_ok();
}

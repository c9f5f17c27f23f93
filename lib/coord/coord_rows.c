#include "coord_rows.h"

bool coord_key_under(struct span key, struct span prefix)
{
    return span_eq(span_head(key, prefix.len), prefix);
}

size_t coord_rows_find(const struct coord_rows *rows, struct span key)
{
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span_order(rows->rows[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct coord_row *coord_rows_get(const struct coord_rows *rows, struct span key)
{
    size_t at = coord_rows_find(rows, key);
    bool there = at < rows->count && span_eq(rows->rows[at].key, key);
    return there ? &rows->rows[at] : NULL;
}

/* The row at `at` if it is under the prefix, else NULL. */
static const struct coord_row *row_under(const struct coord_rows *rows, size_t at,
                                         struct span prefix)
{
    if (at >= rows->count) return NULL;
    const struct coord_row *row = &rows->rows[at];
    return coord_key_under(row->key, prefix) ? row : NULL;
}

bool coord_rows_same(const struct coord_rows *a, const struct coord_rows *b, struct span prefix)
{
    size_t at_a = coord_rows_find(a, prefix), at_b = coord_rows_find(b, prefix);
    for (;; at_a++, at_b++) {
        const struct coord_row *row_a = row_under(a, at_a, prefix);
        const struct coord_row *row_b = row_under(b, at_b, prefix);
        if (row_a == NULL || row_b == NULL) return row_a == row_b;
        if (row_a->revision != row_b->revision || !span_eq(row_a->key, row_b->key)) return false;
    }
}

bool coord_rows_empty(const struct coord_rows *rows, struct span prefix)
{
    return row_under(rows, coord_rows_find(rows, prefix), prefix) == NULL;
}

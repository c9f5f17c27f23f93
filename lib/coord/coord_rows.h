/* coord_rows.h: rows in order of their keys. Pure. */
#ifndef MAIL_COORD_ROWS_H
#define MAIL_COORD_ROWS_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

struct coord_rows {
    uint64_t revision;
    struct coord_row *rows;
    size_t count;
};

bool coord_key_under(struct span key, struct span prefix);

/* The first row with a key >= `key`. */
size_t coord_rows_find(const struct coord_rows *rows, struct span key);
/* The row of a key, or NULL. */
const struct coord_row *coord_rows_get(const struct coord_rows *rows, struct span key);

/* Whether the rows under a prefix are the same in both: keys and revisions. */
bool coord_rows_same(const struct coord_rows *a, const struct coord_rows *b, struct span prefix);

/* Whether no row is under a prefix. */
bool coord_rows_empty(const struct coord_rows *rows, struct span prefix);

#ifdef __cplusplus
}
#endif
#endif

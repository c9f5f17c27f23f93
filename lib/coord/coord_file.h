/* coord_file.h: the store of coord.h as bytes: pure reading and writing of its format. */
#ifndef MAIL_COORD_FILE_H
#define MAIL_COORD_FILE_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { COORD_ROWS_MAX = 1000000, COORD_FILE_HEAD_BYTES = 20 };

/* All rows, in order of keys; spans into the bytes they were read from. */
struct coord_rows {
    uint64_t revision;
    struct coord_row *rows;
    size_t count;
};

/* Reads the format; empty bytes are an empty store. ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NOMEM. */
MUST_USE struct err coord_file_read(struct span bytes, struct coord_rows *ret);
void coord_rows_free(struct coord_rows *rows);

/* The revision from the first COORD_FILE_HEAD_BYTES; false when they are none. */
bool coord_file_revision(struct span head, uint64_t *ret);

/* The first row with a key >= `key`. */
size_t coord_rows_find(const struct coord_rows *rows, struct span key);

/* Whether the rows under a prefix are the same in both: keys and revisions. */
bool coord_rows_same(const struct coord_rows *a, const struct coord_rows *b, struct span prefix);

/* The store with `change` applied, malloc'd, at revision + 1. ERR_CONFLICT; ERR_TOO_BIG, also for
 * an empty key; ERR_NOMEM. */
MUST_USE struct err coord_file_change(const struct coord_rows *rows,
                                      const struct coord_row *change, char **ret, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif

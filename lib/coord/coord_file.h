/* coord_file.h: the store of the back end `file` as bytes: pure reading and writing of its
 * format. */
#ifndef MAIL_COORD_FILE_H
#define MAIL_COORD_FILE_H

#include "coord_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { COORD_FILE_HEAD_BYTES = 20, COORD_MOVED_MAX_BYTES = 16 * 1024 };

/* All rows, with the lease of each (0: none), and where the store was moved to (empty: it was not);
 * spans into the bytes they were read from. */
struct coord_store {
    struct coord_rows rows;
    uint64_t *leases;
    struct span moved;
};

/* Reads the format; empty bytes are an empty store. ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NOMEM. */
MUST_USE struct err coord_file_read(struct span bytes, struct coord_store *ret);
void coord_store_free(struct coord_store *store);

/* The revision from the first COORD_FILE_HEAD_BYTES; false when they are none. */
bool coord_file_revision(struct span head, uint64_t *ret);

/* Takes out the rows of leases that are gone, and says how many. */
size_t coord_store_drop(struct coord_store *store,
                        bool (*gone)(void *holder, const struct coord_row *row, uint64_t lease),
                        void *holder);

/* The store with `change` applied, malloc'd, at revision + 1; `leases` has one for each item.
 * ERR_CONFLICT; ERR_TOO_BIG; ERR_MOVED; ERR_NOMEM. Keys are as coord_change_start() checks them. */
MUST_USE struct err coord_file_change(const struct coord_store *store,
                                      const struct coord_change *change, const uint64_t *leases,
                                      char **ret, size_t *ret_len);

/* The same as rows: spans into those of `store` and of `change`; coord_store_free() frees it. And a
 * store as bytes, malloc'd. */
MUST_USE struct err coord_file_apply(const struct coord_store *store,
                                     const struct coord_change *change, const uint64_t *leases,
                                     struct coord_store *ret);
MUST_USE struct err coord_file_write(const struct coord_store *store, char **ret, size_t *ret_len);

/* The store marked as moved to `where`, at revision + 1. The same errors. */
MUST_USE struct err coord_file_move(const struct coord_store *store, struct span where, char **ret,
                                    size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif

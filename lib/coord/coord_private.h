/* coord_private.h: the files of a store, for the loop that reads and the threads that write. */
#ifndef MAIL_COORD_PRIVATE_H
#define MAIL_COORD_PRIVATE_H

#include "coord_file.h"

enum { COORD_PATH_MAX_BYTES = 1024 };

/* Reads `data` whole, malloc'd; no file is no bytes. With `revision` not 0 nothing is read, and
 * `*same` is true, when the file is still at that revision. ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
MUST_USE struct err coord_data_load(const char *directory, uint64_t revision, struct span *ret,
                                    bool *same);

#endif

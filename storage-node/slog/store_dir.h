/* store_dir.h: a data directory: who it is, and that only one process uses it. */
#ifndef MAIL_STORE_DIR_H
#define MAIL_STORE_DIR_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct store_dir;

enum { STORE_ID_BYTES = 16 };

struct store_identity {
    uint8_t store_id[STORE_ID_BYTES]; /* random, drawn when the directory was initialised */
    uint64_t boot;                    /* how often it was opened: 1 the first time */
    uint32_t shards;                  /* of the cluster; fixed at initialisation */
};

/* Opens the data directory `path`, or initialises it (for `shards` shards) when it is missing or
 * empty, and holds its lock until store_dir_close(), also when the process is killed before.
 * Raises the boot number, durably. Within it are then `log/` (for slog_files_open) and `shards/`.
 *
 * ERR_EXISTS: another process has it open. ERR_CORRUPT: the identity is damaged, or missing though
 * there are other files: the directory must not be taken for the store it was. ERR_UNSUPPORTED: of
 * a newer format. ERR_FULL, ERR_IO. */
MUST_USE struct err store_dir_open(const char *path, uint32_t shards, struct store_dir **ret);
void store_dir_close(struct store_dir *dir); /* NULL is fine */

/* Lives as long as `dir`. */
const struct store_identity *store_dir_identity(const struct store_dir *dir);

#ifdef __cplusplus
}
#endif
#endif

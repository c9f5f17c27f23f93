/* slog_file.h: the files of one directory, as a table of calls: the disk (slog_file_posix.c), or a
 * fake of the tests that crashes, tears and fills up. Names are plain file names of our own. */
#ifndef MAIL_SLOG_FILE_H
#define MAIL_SLOG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SLOG_NAME_MAX_BYTES = 64 }; /* with the NUL; longer names in a directory are skipped */

struct slog_files;

/* Errors: ERR_FULL for no space (also over quota), ERR_NOT_FOUND and ERR_EXISTS where names are
 * opened, ERR_IO otherwise. `file` is what open() gave. */
struct slog_files_calls {
    /* Opens for reading and writing. `create`: the file must not exist yet. */
    struct err (*open)(struct slog_files *, const char *name, bool create, int *file);
    void (*close)(struct slog_files *, int file);
    struct err (*size)(struct slog_files *, int file, uint64_t *bytes);
    /* Writes some of `bytes`, at least one. */
    struct err (*write)(struct slog_files *, int file, struct span bytes, uint64_t at,
                        size_t *written);
    /* Reads up to `size` bytes; fewer only at the end of the file. */
    struct err (*read)(struct slog_files *, int file, char *to, size_t size, uint64_t at,
                       size_t *got);
    /* The file's bytes and length are on the medium when it returns (fdatasync). */
    struct err (*sync)(struct slog_files *, int file);
    /* Takes disk space up to `bytes`; what is new reads as zeros. */
    struct err (*allocate)(struct slog_files *, int file, uint64_t bytes);
    struct err (*truncate)(struct slog_files *, int file, uint64_t bytes);
    /* Clean pages are read from the medium again: after a failed sync the system's memory may
     * show bytes that never got there. */
    void (*forget)(struct slog_files *, int file);
    struct err (*rename)(struct slog_files *, const char *from, const char *to);
    struct err (*unlink)(struct slog_files *, const char *name);
    /* Names that were made, changed or removed are on the medium when it returns. */
    struct err (*sync_directory)(struct slog_files *);
    /* Calls `each` for every name, in any order, until it returns an error, which is returned. */
    struct err (*list)(struct slog_files *, struct err (*each)(void *holder, const char *name),
                       void *holder);
    struct err (*free_bytes)(struct slog_files *, uint64_t *bytes);
};

struct slog_files {
    const struct slog_files_calls *calls;
};

/* The directory `path`, made (mode 0700) and made durable in its parent when it is missing. */
MUST_USE struct err slog_files_open(const char *path, struct slog_files **ret);
void slog_files_close(struct slog_files *files); /* of slog_files_open(); NULL is fine */

/* Writes all of `bytes`, in several pieces if need be. */
MUST_USE struct err slog_file_write(struct slog_files *files, int file, struct span bytes,
                                    uint64_t at);

/* Reads exactly `size` bytes; ERR_CORRUPT when the file ends before. */
MUST_USE struct err slog_file_read(struct slog_files *files, int file, char *to, size_t size,
                                   uint64_t at);

#ifdef __cplusplus
}
#endif
#endif

/* checkpoint_files_private.h: the files of a checkpoint on the disk, both ends. All block. */
#ifndef MAIL_CHECKPOINT_FILES_PRIVATE_H
#define MAIL_CHECKPOINT_FILES_PRIVATE_H

#include "checkpoint_take.h"

/* One file of a directory at a time. Zeroed but for fd -1 at first. */
struct checkpoint_open {
    int fd;        /* -1: none */
    uint32_t file; /* which */
    bool writes;
};

/* The files of the directory in the order of their names: `*ret` is the caller's (free).
 * ERR_CORRUPT: there is something else in it; ERR_TOO_BIG, ERR_IO, ERR_NOMEM. */
struct err checkpoint_files_list(const char *path, struct checkpoint_file **ret, uint32_t *count);
/* Reads `size` bytes of a file. ERR_CORRUPT: it ends before. */
struct err checkpoint_files_read(struct checkpoint_open *open, const char *path,
                                 const struct checkpoint_file *files,
                                 struct checkpoint_piece *piece, char *to);
/* Writes a piece; makes the file when it is missing. What is left for another file is synced. */
struct err checkpoint_files_write(struct checkpoint_open *open, const char *path,
                                  const struct checkpoint_file *files,
                                  const struct checkpoint_piece *piece);
/* Closes; a file that was written is synced first. */
struct err checkpoint_files_close(struct checkpoint_open *open);
/* All files are there, as long as they should be; those of 0 bytes are made. */
struct err checkpoint_files_whole(const char *path, const struct checkpoint_file *files,
                                  uint32_t count);

#endif

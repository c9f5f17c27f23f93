/* log_file.h: the files that lines are written to, and putting them aside when they are full. All
 * of it blocks: for the log's own thread. */
#ifndef MAIL_LOG_FILE_H
#define MAIL_LOG_FILE_H

#include "log.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LOG_PATH_MAX_BYTES = 1024, LOG_FILES = LOG_NAMES + 1, LOG_FILE_EVENTS = LOG_NAMES };

/* One file; zeroed but for fd = -1 at first. */
struct log_file {
    int fd;
    uint64_t size_bytes, device, inode;
};

/* The files of a directory, opened at their first line: by enum log_name, then events.json.
 *
 * Several programs may share a directory. Lines are appended whole, by one write() to a file that
 * is open for appending; a file is put aside under a lock, DIRECTORY/.rotate, by whoever finds it
 * full; and whoever finds another file (or none) at a name than the one it has open opens that. */
struct log_files {
    char directory[LOG_PATH_MAX_BYTES]; /* empty: no files */
    uint64_t rotate_bytes;
    unsigned rotate_keep;
    struct log_file files[LOG_FILES];
};

/* Makes the directory. ERR_IO, ERR_TOO_BIG (the path). NULL: no files are written. */
MUST_USE struct err log_files_init(struct log_files *files, const char *directory);
/* Appends whole lines to a file; puts it aside before if they would make it too large. ERR_IO: they
 * are not there, or not all of them. */
MUST_USE struct err log_files_write(struct log_files *files, unsigned which, struct span lines);
/* The next line opens its file anew. */
void log_files_close(struct log_files *files);

#ifdef __cplusplus
}
#endif
#endif

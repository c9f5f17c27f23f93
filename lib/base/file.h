/* file.h: a small local file as a whole: keys, certificates, passwords, settings. Blocks for the
 * disk, so before a program serves, or for what is too small and too rare to matter. */
#ifndef MAIL_FILE_H
#define MAIL_FILE_H

#include <stddef.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads at most `size` bytes into `to`; `*len` of them are there. ERR_NOT_FOUND: there is no such
 * file; ERR_TOO_BIG: it is longer; ERR_IO. `detail` is errno. */
MUST_USE struct err file_read(const char *path, char *to, size_t size, size_t *len);

#ifdef __cplusplus
}
#endif
#endif

/* crypto_private.h: contexts that are costly to make, kept for the life of each thread; files that
 * are there whole or not at all. */
#ifndef MAIL_CRYPTO_PRIVATE_H
#define MAIL_CRYPTO_PRIVATE_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <zstd.h>

#include "err.h"
#include "span.h"

enum { CRYPTO_SCRATCH_BYTES = 64 * 1024, CRYPTO_PATH_MAX_BYTES = 4096 };

/* Each is NULL until its first use. Freed when the thread ends. */
struct crypto_thread {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    EVP_CIPHER *aes256_gcm;
    EVP_CIPHER_CTX *cipher;
    char *scratch; /* CRYPTO_SCRATCH_BYTES */
};

/* The calling thread's; NULL when there is no memory. */
struct crypto_thread *crypto_thread_get(void);

/* Reads the head of a stored body that has `rest` bytes behind it (stored_body.h). ERR_CORRUPT,
 * ERR_UNSUPPORTED. */
struct err stored_body_head(struct span head, uint64_t rest, uint64_t *length, bool *packed);

/* ERR_IO with the oldest number in OpenSSL's queue, which is emptied. */
struct err crypto_err(const char *what);

/* Writes a file durably, with `mode` from its first byte on: in place of what is at `path`, or only
 * if nothing is there (ERR_EXISTS). ERR_IO, ERR_FULL, ERR_TOO_BIG (the path). */
struct err crypto_file_replace(const char *path, struct span bytes, mode_t mode);
struct err crypto_file_new(const char *path, struct span bytes, mode_t mode);

#endif

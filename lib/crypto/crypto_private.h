/* crypto_private.h: contexts that are costly to make, kept for the life of each thread. */
#ifndef MAIL_CRYPTO_PRIVATE_H
#define MAIL_CRYPTO_PRIVATE_H

#include <openssl/evp.h>
#include <zstd.h>

#include "err.h"

enum { CRYPTO_SCRATCH_BYTES = 64 * 1024 };

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

/* ERR_IO with the oldest number in OpenSSL's queue, which is emptied. */
struct err crypto_err(const char *what);

#endif

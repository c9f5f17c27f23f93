#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

#include "crypto_private.h"

/* The one state of this room that changes: what a thread keeps. The key only has the thread's end
 * free it; reading is by the thread-local pointer. */
static _Thread_local struct crypto_thread *crypto_mine;
static pthread_key_t crypto_key;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;
static int crypto_key_error;

static void crypto_thread_free(void *arg)
{
    struct crypto_thread *thread = arg;
    ZSTD_freeCCtx(thread->pack);
    ZSTD_freeDCtx(thread->unpack);
    EVP_MD_CTX_free(thread->digest);
    EVP_MD_free(thread->sha256);
    EVP_CIPHER_CTX_free(thread->cipher);
    EVP_CIPHER_free(thread->aes256_gcm);
    free(thread->scratch);
    free(thread);
    crypto_mine = NULL;
}

static void crypto_make_key(void)
{
    crypto_key_error = pthread_key_create(&crypto_key, crypto_thread_free);
}

struct crypto_thread *crypto_thread_get(void)
{
    if (crypto_mine != NULL) return crypto_mine;
    pthread_once(&crypto_once, crypto_make_key);
    if (crypto_key_error != 0) return NULL;
    struct crypto_thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL) return NULL;
    if (pthread_setspecific(crypto_key, thread) != 0) {
        free(thread);
        return NULL;
    }
    crypto_mine = thread;
    return thread;
}

struct err crypto_err(const char *what)
{
    unsigned long number = ERR_get_error();
    ERR_clear_error();
    return err_make_detail(ERR_IO, (int)number, what);
}

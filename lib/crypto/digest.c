#include "digest.h"

#include <sodium.h>

#include "check.h"
#include "crypto_private.h"

/* OpenSSL's SHA-256 uses the processor's instructions. Its one-call functions look the algorithm
 * up each time, which costs as much as hashing half a kilobyte; so both are kept. */
static EVP_MD_CTX *digest_begin(void)
{
    struct crypto_thread *thread = crypto_thread_get();
    if (thread == NULL) return NULL;
    if (thread->sha256 == NULL) thread->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (thread->digest == NULL) thread->digest = EVP_MD_CTX_new();
    if (thread->sha256 == NULL || thread->digest == NULL) return NULL;
    return EVP_DigestInit_ex2(thread->digest, thread->sha256, NULL) == 1 ? thread->digest : NULL;
}

struct err digest_sha256_parts(const struct span *parts, size_t count, uint8_t ret[DIGEST_BYTES])
{
    EVP_MD_CTX *context = digest_begin();
    bool ok = context != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        ok = EVP_DigestUpdate(context, parts[i].ptr, parts[i].len) == 1;
    }
    uint8_t made[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ok = ok && EVP_DigestFinal_ex(context, made, &len) == 1 && len == DIGEST_BYTES;
    if (!ok) return err_make(ERR_NOMEM, "SHA-256");
    memcpy(ret, made, DIGEST_BYTES);
    return err_ok();
}

struct err digest_sha256(struct span bytes, uint8_t ret[DIGEST_BYTES])
{
    return digest_sha256_parts(&bytes, 1, ret);
}

/* libsodium's takes a key of any length and allocates nothing. */
static void hmac_parts(struct span key, const struct span *parts, size_t count,
                       uint8_t ret[DIGEST_BYTES])
{
    crypto_auth_hmacsha256_state state;
    const unsigned char *none = (const unsigned char *)"";
    crypto_auth_hmacsha256_init(&state, key.len == 0 ? none : (const unsigned char *)key.ptr,
                                key.len);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len == 0) continue;
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)parts[i].ptr, parts[i].len);
    }
    crypto_auth_hmacsha256_final(&state, ret);
    sodium_memzero(&state, sizeof(state));
}

struct err digest_hmac(struct span key, struct span bytes, uint8_t ret[DIGEST_BYTES])
{
    if (sodium_init() < 0) return err_make(ERR_IO, "libsodium");
    hmac_parts(key, &bytes, 1, ret);
    return err_ok();
}

bool digest_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

struct err digest_derive(struct span secret, struct span salt, struct span info, uint8_t *ret,
                         size_t size)
{
    static const uint8_t zeros[DIGEST_BYTES];
    uint8_t key[DIGEST_BYTES], block[DIGEST_BYTES];
    CHECK(size <= DIGEST_DERIVED_MAX_BYTES);
    if (sodium_init() < 0) return err_make(ERR_IO, "libsodium");
    hmac_parts(salt.len == 0 ? span_of(zeros, sizeof(zeros)) : salt, &secret, 1, key);
    for (size_t at = 0, made = 0; made < size; at++) {
        uint8_t number = (uint8_t)(at + 1);
        const struct span parts[] = { span_of(block, at == 0 ? 0 : sizeof(block)), info,
                                      span_of(&number, 1) };
        hmac_parts(span_of(key, sizeof(key)), parts, 3, block);
        size_t take = size - made < sizeof(block) ? size - made : sizeof(block);
        memcpy(ret + made, block, take);
        made += take;
    }
    sodium_memzero(key, sizeof(key));
    sodium_memzero(block, sizeof(block));
    return err_ok();
}

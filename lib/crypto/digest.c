#include "digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

struct err digest_sha256(struct span bytes, uint8_t ret[DIGEST_BYTES])
{
    unsigned len = 0;
    if (EVP_Digest(bytes.ptr, bytes.len, ret, &len, EVP_sha256(), NULL) != 1) {
        return err_make(ERR_NOMEM, "SHA-256");
    }
    return err_ok();
}

struct err digest_hmac(struct span key, struct span bytes, uint8_t ret[DIGEST_BYTES])
{
    unsigned len = 0;
    if (HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)bytes.ptr, bytes.len, ret,
             &len) == NULL) {
        return err_make(ERR_NOMEM, "HMAC-SHA-256");
    }
    return err_ok();
}

bool digest_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

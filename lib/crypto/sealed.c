#include "sealed.h"

#include <openssl/rand.h>
#include <sodium.h>
#include <stdlib.h>

#include "buf.h"
#include "crypto_private.h"

enum { VERSION = 1, HEAD_BYTES = 8, NONCE_BYTES = 12, TAG_BYTES = 16 };

/* What one sealing or opening works on. */
struct sealing {
    const struct sealed_key *key;
    const uint8_t *head;  /* HEAD_BYTES */
    const uint8_t *nonce; /* NONCE_BYTES */
    struct span whose, in;
    uint8_t *out; /* as long as `in` */
    uint8_t *tag; /* TAG_BYTES: written when sealing, read when opening */
};

static const struct sealed_key *key_find(const struct sealed_keys *keys, uint32_t id)
{
    for (unsigned i = 0; i < keys->count; i++) {
        if (keys->keys[i].id == id) return &keys->keys[i];
    }
    return NULL;
}

static EVP_CIPHER_CTX *cipher_context(const EVP_CIPHER **cipher)
{
    struct crypto_thread *thread = crypto_thread_get();
    if (thread == NULL) return NULL;
    if (thread->aes256_gcm == NULL) {
        thread->aes256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    }
    if (thread->cipher == NULL) thread->cipher = EVP_CIPHER_CTX_new();
    *cipher = thread->aes256_gcm;
    return thread->aes256_gcm == NULL ? NULL : thread->cipher;
}

static bool cipher_add(EVP_CIPHER_CTX *context, uint8_t *out, struct span in)
{
    int len = 0;
    return in.len == 0 || EVP_CipherUpdate(context, out, &len, (const unsigned char *)in.ptr,
                                           (int)in.len) == 1;
}

/* ERR_CORRUPT: the tag does not fit (opening only). */
static struct err cipher_run(const struct sealing *sealing, bool seal)
{
    const EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *context = cipher_context(&cipher);
    uint8_t last[16];
    int len = 0;
    if (context == NULL) return crypto_err("AES-256-GCM");
    bool ok = EVP_CipherInit_ex2(context, cipher, sealing->key->bytes, sealing->nonce, seal,
                                 NULL) == 1 &&
              cipher_add(context, NULL, span_of(sealing->head, HEAD_BYTES)) &&
              cipher_add(context, NULL, sealing->whose) &&
              cipher_add(context, sealing->out, sealing->in);
    if (ok && !seal) {
        ok = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, sealing->tag) == 1;
    }
    bool fits = ok && EVP_CipherFinal_ex(context, last, &len) == 1;
    if (fits && seal) {
        ok = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, sealing->tag) == 1;
    }
    EVP_CIPHER_CTX_reset(context); /* takes the key out of memory */
    if (!ok) return crypto_err("AES-256-GCM");
    return fits ? err_ok() : err_make(ERR_CORRUPT, "sealed secret");
}

struct err sealed_make(const struct sealed_keys *keys, struct span whose, struct span secret,
                       struct buf *to)
{
    if (keys->count == 0) return err_make(ERR_NOT_FOUND, "key of a sealed secret");
    size_t whole = secret.len + SEALED_OVERHEAD_BYTES;
    if (secret.len > SEALED_SECRET_MAX_BYTES || to->overflow || to->size - to->len < whole) {
        return err_make(ERR_TOO_BIG, "sealed secret");
    }
    const struct sealed_key *key = &keys->keys[keys->count - 1];
    uint8_t *at = (uint8_t *)to->bytes + to->len;
    memset(at, 0, HEAD_BYTES);
    at[0] = VERSION;
    for (unsigned i = 0; i < 4; i++) at[4 + i] = (uint8_t)(key->id >> (8 * i));
    if (RAND_bytes(at + HEAD_BYTES, NONCE_BYTES) != 1) return crypto_err("random bytes");
    const struct sealing sealing = { .key = key, .head = at, .nonce = at + HEAD_BYTES,
                                     .whose = whose, .in = secret,
                                     .out = at + HEAD_BYTES + NONCE_BYTES,
                                     .tag = at + whole - TAG_BYTES };
    TRY(cipher_run(&sealing, true));
    to->len += whole;
    return err_ok();
}

struct err sealed_open(const struct sealed_keys *keys, struct span whose, struct span sealed,
                       struct buf *to)
{
    const uint8_t *at = (const uint8_t *)sealed.ptr;
    if (sealed.len < SEALED_OVERHEAD_BYTES) return err_make(ERR_CORRUPT, "sealed secret");
    if (at[0] != VERSION) return err_make(ERR_UNSUPPORTED, "sealed secret");
    uint32_t id = (uint32_t)at[4] | (uint32_t)at[5] << 8 | (uint32_t)at[6] << 16 |
                  (uint32_t)at[7] << 24;
    const struct sealed_key *key = key_find(keys, id);
    if (key == NULL) return err_make(ERR_NOT_FOUND, "key of a sealed secret");
    size_t len = sealed.len - SEALED_OVERHEAD_BYTES;
    if (len > SEALED_SECRET_MAX_BYTES || to->overflow || to->size - to->len < len) {
        return err_make(ERR_TOO_BIG, "sealed secret");
    }
    uint8_t tag[TAG_BYTES], *out = (uint8_t *)to->bytes + to->len;
    memcpy(tag, at + sealed.len - TAG_BYTES, TAG_BYTES);
    const struct sealing sealing = { .key = key, .head = at, .nonce = at + HEAD_BYTES,
                                     .whose = whose,
                                     .in = span_of(at + HEAD_BYTES + NONCE_BYTES, len),
                                     .out = out, .tag = tag };
    struct err err = cipher_run(&sealing, false);
    if (err.code != ERR_OK) {
        sodium_memzero(out, len); /* not to be seen before it is known to be whole */
        return err;
    }
    to->len += len;
    return err_ok();
}

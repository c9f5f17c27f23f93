/* sealed.h: secrets at rest (passwords of other servers, private keys in the configuration store),
 * sealed with the installation's key-encryption keys.
 *
 * Format, version 1, integers little-endian:
 *
 *   version u8 = 1 | reserved 3 bytes = 0 | key id u32 | nonce 12 bytes (random)
 *   ciphertext (AES-256-GCM), as long as the secret | tag 16 bytes
 *
 * The additional data is the first 8 bytes and then the caller's, which says whose secret it is and
 * in which field, so that a sealed secret can't be moved to another place. A key seals at most 2^32
 * secrets with random nonces (NIST SP 800-38D 8.3); far fewer are ever made.
 *
 * The key file has one key a line, "ID KEY": a decimal number from 1 on, and 64 hexadecimal digits.
 * The last one seals; all open, so that keys can be changed one secret at a time. */
#ifndef MAIL_SEALED_H
#define MAIL_SEALED_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum {
    SEALED_OVERHEAD_BYTES = 36,
    SEALED_KEY_BYTES = 32,
    SEALED_KEYS_MAX = 16,
    SEALED_SECRET_MAX_BYTES = 1024 * 1024,
    SEALED_FILE_MAX_BYTES = 4096,
};

struct sealed_key {
    uint32_t id;
    uint8_t bytes[SEALED_KEY_BYTES];
};

/* The caller's memory; wiped by sealed_keys_clear(). */
struct sealed_keys {
    unsigned count;
    struct sealed_key keys[SEALED_KEYS_MAX];
};

/* Reads the text of a key file. ERR_SYNTAX, ERR_TOO_BIG. */
MUST_USE struct err sealed_keys_parse(struct span text, struct sealed_keys *ret);

/* Reads the key file at `path`. When there is none, makes one with a new key, mode 0600, durably;
 * of several processes that do so at once one wins and all read that. Blocks. ERR_IO,
 * ERR_SYNTAX, ERR_TOO_BIG. */
MUST_USE struct err sealed_keys_load(const char *path, struct sealed_keys *ret);
void sealed_keys_clear(struct sealed_keys *keys);

/* Appends the sealed secret. ERR_TOO_BIG: over SEALED_SECRET_MAX_BYTES, or no room in `to`;
 * ERR_NOT_FOUND: no keys. */
MUST_USE struct err sealed_make(const struct sealed_keys *keys, struct span whose,
                                struct span secret, struct buf *to);

/* Appends the secret. ERR_CORRUPT: changed, cut, or sealed for somebody else; ERR_NOT_FOUND: the
 * key is not there; ERR_UNSUPPORTED: a newer version. `to` stays as it was then. */
MUST_USE struct err sealed_open(const struct sealed_keys *keys, struct span whose,
                                struct span sealed, struct buf *to);

#ifdef __cplusplus
}
#endif
#endif

/* stored_body.h: a body as it lies in the log, in rows and on the wire: compressed once, before the
 * log (and, once a tenant has a key, encrypted behind that).
 *
 * Format, version 1, integers little-endian, 16 bytes and the packed bytes:
 *
 *   version u8 = 1 | codec u8 (0 plain, 1 zstd) | reserved u16 = 0
 *   key id u32     0: not encrypted. With a key (AES-256-GCM): a nonce of 12 bytes follows the
 *                  head, a tag of 16 bytes the packed bytes, and the head is the additional data
 *   length u64     of the body unpacked, at most STORED_BODY_MAX_BYTES
 *   packed bytes   to the end
 *
 * Plain is used where compression does not gain a sixteenth. */
#ifndef MAIL_STORED_BODY_H
#define MAIL_STORED_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct body_budget;

enum {
    STORED_BODY_VERSION = 1,
    STORED_BODY_HEAD_BYTES = 16,
    STORED_BODY_MAX_BYTES = 256 * 1024 * 1024,
};

/* Persisted. */
enum stored_body_codec { STORED_BODY_PLAIN = 0, STORED_BODY_ZSTD = 1 };

/* Packs `message` into a sealed body. Thread-safe; CPU work: of large bodies on a crew. ERR_NOMEM,
 * ERR_BUSY (budget), ERR_TOO_BIG. */
MUST_USE struct err stored_body_make(struct span message, struct body_budget *budget,
                                     struct body **ret);

/* The length of the body inside. ERR_CORRUPT, ERR_UNSUPPORTED (newer version, a key). */
MUST_USE struct err stored_body_length(struct span stored, uint64_t *ret);

/* Unpacks into `to`, which has the bytes that stored_body_length() says. ERR_CORRUPT. */
MUST_USE struct err stored_body_open(struct span stored, char *to, uint64_t size);

/* For a plain one: its bytes within `stored`, without a copy. False: it is packed. */
bool stored_body_is_plain(struct span stored, struct span *ret);

#ifdef __cplusplus
}
#endif
#endif

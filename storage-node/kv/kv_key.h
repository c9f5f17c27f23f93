/* kv_key.h: the keys of a shard's rows.
 *
 * Format; integers in keys are big-endian, so that memcmp orders them:
 *
 *   slot u16 | tenant u32 | account u64 | kind u8 | what the kind's row below says
 *
 * A row that belongs to no account has account 0 (no account has that number), one that belongs to
 * a whole slot has tenant 0 as well. A slot's rows are one contiguous range, an account's too.
 * The store's own rows (`applied`) begin with 0xFF, above every slot (slots are < 0x4000). */
#ifndef MAIL_KV_KEY_H
#define MAIL_KV_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kinds, numbered by hand and for ever, and what follows the kind in the key. */
enum kv_kind {
    /* Of an account. KV_ACCOUNT is the lowest: the rest goes as one range when it is deleted. */
    KV_ACCOUNT = 1,      /* nothing */
    KV_COUNTERS = 2,     /* nothing; the hot row */
    KV_MAILBOX = 3,      /* mailbox u32 */
    KV_MAILBOX_NAME = 4, /* the name, UTF-8 */
    KV_SUBSCRIPTION = 5, /* the name, UTF-8 */
    KV_MESSAGE = 6,      /* mailbox u32 | uid u32 */
    KV_EMAIL = 7,        /* email u64 */
    KV_FACTS = 8,        /* email u64 */
    KV_BODY = 9,         /* email u64 | chunk u32 */
    KV_CHANGE = 10,      /* modseq u64 */
    /* Reserved, of an account:
     *   11 ACL             mailbox u32 | identifier
     *   12 IDENTITY        id u64 (RFC 8621)
     *   13 VIEWER_FLAGS    mailbox u32 | viewer account u64 | uid u32 (its own \Seen)
     *   14 SIEVE           script name
     *   15 BAYES           token u64
     *   16 FTS_TERM        term | email u64        17 FTS_DOCUMENT  email u64
     *   18 CONTACT         book u32 | id u64       19 EVENT         calendar u32 | id u64
     *   20 TASK            list u32 | id u64       21 NOTE          list u32 | id u64
     *   22 METADATA        mailbox u32 | entry name (RFC 5464)
     *   23 OPTION          option name
     *   24 THREAD          hash of a Message-ID u64
     *   25 VACATION        hash of a correspondent u64
     *   26 PUSH            subscription id */

    /* Of a tenant, account 0. */
    KV_ADDRESS = 64,     /* canonical address */
    KV_DOMAIN_USER = 65, /* domain | 0x00 | local part */
    /* Reserved: 66 QUARANTINE  received_ms u64 | id 16 bytes,  67 QUARANTINE_BODY id | chunk u32 */

    KV_GRANT = 68, /* group | 0x00 | name; totals have no name, the tenant's no group either */

    /* Of a slot, tenant and account 0. */
    KV_OPERATION = 128,  /* hours since 1970 u32 (mbox_operation.c) | operation id 16 bytes */
    KV_QUEUE = 129,      /* queue id 16 bytes */
    KV_QUEUE_DUE = 130,  /* due_ms u64 | queue id 16 bytes */
    KV_QUEUE_BODY = 131, /* queue id 16 bytes | chunk u32 */
    /* Work left to do, so that it is found without a walk over accounts: */
    KV_PENDING_BODY = 132, /* tenant u32 | account u64 | email u64: chunks ahead */
    KV_PENDING_QUEUE = 133, /* queue id 16 bytes: the same for a queue entry */
    KV_DYING = 134, /* tenant u32 | account u64 | mailbox u32: deleted, its messages still go */
    /* Reserved: 135 COUNTER  hash u64,  136 MIGRATION  step u32 */
    KV_TRANSACTION = 137, /* hours since 1970 in which it ends u32 | key 32 bytes */
    KV_INTAKE = 138,      /* intake 16 bytes */
    KV_COPYING = 139, /* tenant u32 | account u64 | mailbox u32: a COPY that is not complete */
};

enum {
    KV_SLOTS = 16384,
    KV_KEY_HEAD_BYTES = 15, /* slot, tenant, account, kind */
    KV_KEY_TAIL_MAX_BYTES = 1024 - KV_KEY_HEAD_BYTES,
};

/* A key being made, on the stack. */
struct kv_key {
    size_t len;
    char bytes[1024]; /* only `len` of them are set */
};

/* What stands before the rest of a key. */
struct kv_owner {
    uint16_t slot;
    uint32_t tenant;
    uint64_t account;
};

static inline struct span kv_key_span(const struct kv_key *key)
{
    return span_of(key->bytes, key->len);
}

/* Begins a key of the owner's; then the parts of the kind's row, in their order. */
void kv_key_begin(struct kv_key *key, const struct kv_owner *owner, enum kv_kind kind);
void kv_key_u32(struct kv_key *key, uint32_t value);
void kv_key_u64(struct kv_key *key, uint64_t value);
/* At most KV_KEY_TAIL_MAX_BYTES in all (CHECK; callers bound names before). */
void kv_key_bytes(struct kv_key *key, struct span bytes);

/* Turns the key into the end (exclusive) of the range of all keys that begin with it. */
void kv_key_end(struct kv_key *key);

/* What a row's key says. ERR_CORRUPT: not a key of this format (a slot out of range, too short);
 * ERR_NOT_FOUND: one of the store's own rows. `*tail` is what follows the kind. */
MUST_USE struct err kv_key_read(struct span key, struct kv_owner *owner, unsigned *kind,
                                struct span *tail);

/* Take an integer off the front of a tail; false when it is too short. */
bool kv_key_take_u32(struct span *tail, uint32_t *value);
bool kv_key_take_u64(struct span *tail, uint64_t *value);

#ifdef __cplusplus
}
#endif
#endif

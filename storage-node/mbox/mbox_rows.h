/* mbox_rows.h: the values of the rows that belong to an account. Keys are in kv_key.h.
 *
 * Integers are little-endian. Each value begins with its version; a reader refuses a newer one
 * (ERR_UNSUPPORTED) and anything that is not such a row (ERR_CORRUPT). Numbers are fixed for ever.
 *
 * ACCOUNT       version u8 = 1 | Account of store.proto, protobuf
 * COUNTERS      version u8 = 1 | account state u8 | reserved u16
 *               | mailboxes u32 | subscriptions u32 | next_mailbox u32
 *               | uidvalidity u32 (last given)
 *               | quota_bytes u64 | quota_items u64 (both copied from ACCOUNT; 0: none)
 *               | used_bytes u64 | used_items u64 | modseq u64 (highest given)
 *               | lowest_modseq u64 (CHANGE rows below it are gone) | next_email u64
 * MAILBOX       version u8 = 1 | kind u8 | special_use u8 | state u8 (MBOX_MAILBOX_*)
 *               | uidvalidity u32 | uidnext u32 | messages u32 | unseen u32 | deleted u32
 *               | recent u32 | recent_from u32 (UIDs from it on are \Recent)
 *               | unseen_uid u32 | unseen_seq u32 (every message below unseen_uid is \Seen, and
 *                 there are unseen_seq - 1 of them; 0: nothing is known)
 *               | size_bytes u64 | highestmodseq u64 | keywords_modseq u64 (the list last grew)
 *               | created_ms u64 | name_len u16 | keywords u8 | extension_len u16
 *               | name | keywords times (len u8, bytes) | extension (rights and viewers to come)
 * MAILBOX_NAME  version u8 = 1 | mailbox u32
 * SUBSCRIPTION  version u8 = 1
 * MESSAGE       version u8 = 1 | hold u8 | facts_version u8 | stamp_len u8 | size u32 (RFC822.SIZE)
 *               | flags u64 (mail_flags.h) | modseq u64 | internaldate_ms u64 | savedate_ms u64
 *               | email u64 | thread u64 | retained_until_ms u64 | stored_bytes u32
 *               | scan stamp (scan_stamp.h, which has a version of its own)
 * EMAIL         version u8 = 1 | chunks u32 | refs u32 (MESSAGE rows with it) | stored_bytes u64
 * FACTS         facts.h, which has a version of its own
 * BODY          up to MBOX_CHUNK_BYTES of the stored body
 */
#ifndef MAIL_MBOX_ROWS_H
#define MAIL_MBOX_ROWS_H

#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MBOX_CHUNK_BYTES = 1024 * 1024,
    MBOX_KEYWORDS_MAX = 56, /* MAIL_KEYWORDS_MAX */
    MBOX_EXTENSION_MAX_BYTES = 4096,
    MBOX_COUNTERS_BYTES = 76,
    MBOX_MAILBOX_HEAD_BYTES = 77,
    MBOX_MESSAGE_HEAD_BYTES = 68,
    MBOX_EMAIL_BYTES = 17,
    MBOX_NAME_ROW_BYTES = 5,
};

struct mbox_counters {
    uint8_t state; /* AccountState of store.proto */
    uint32_t mailboxes, subscriptions, next_mailbox, uidvalidity;
    uint64_t quota_bytes, quota_items, used_bytes, used_items;
    uint64_t modseq, lowest_modseq, next_email;
};

/* Persisted bits. */
enum { MBOX_MAILBOX_NO_SELECT = 1, MBOX_MAILBOX_DYING = 2 };

struct mbox_mailbox {
    uint8_t kind, special_use, state;
    uint32_t uidvalidity, uidnext, messages, unseen, deleted, recent;
    uint32_t recent_from, unseen_uid, unseen_seq;
    uint64_t size_bytes, highestmodseq, keywords_modseq, created_ms;
    struct span name, extension;
    unsigned keywords_count;
    struct span keywords[MBOX_KEYWORDS_MAX]; /* keyword i is bit 8 + i of flags */
};

struct mbox_message {
    uint8_t hold, facts_version;
    uint32_t size, stored_bytes;
    uint64_t flags, modseq, internaldate_ms, savedate_ms;
    uint64_t email, thread, retained_until_ms;
    struct span stamp;
};

struct mbox_email {
    uint32_t chunks, refs;
    uint64_t stored_bytes;
};

/* Readers: spans of `*ret` point into `row`. Writers fill exactly the bytes of the _bytes function
 * (or the constant above). */
MUST_USE struct err mbox_counters_read(struct span row, struct mbox_counters *ret);
void mbox_counters_write(const struct mbox_counters *counters, char to[MBOX_COUNTERS_BYTES]);

MUST_USE struct err mbox_mailbox_read(struct span row, struct mbox_mailbox *ret);
size_t mbox_mailbox_bytes(const struct mbox_mailbox *mailbox);
void mbox_mailbox_write(const struct mbox_mailbox *mailbox, char *to);

MUST_USE struct err mbox_message_read(struct span row, struct mbox_message *ret);
static inline size_t mbox_message_bytes(const struct mbox_message *message)
{
    return MBOX_MESSAGE_HEAD_BYTES + message->stamp.len;
}
void mbox_message_write(const struct mbox_message *message, char *to);

MUST_USE struct err mbox_email_read(struct span row, struct mbox_email *ret);
void mbox_email_write(const struct mbox_email *email, char to[MBOX_EMAIL_BYTES]);

MUST_USE struct err mbox_name_read(struct span row, uint32_t *mailbox);
void mbox_name_write(uint32_t mailbox, char to[MBOX_NAME_ROW_BYTES]);

#ifdef __cplusplus
}
#endif
#endif

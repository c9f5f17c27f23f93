/* mbox_rows_log.h: the values of rows that tell what was done (CHANGE, OPERATION), of work in
 * progress, of the directory and of the queue. As in mbox_rows.h: little-endian, version first.
 *
 * CHANGE          version u8 = 1 | time_ms u64 | entries u16 | per entry:
 *                 mailbox u32 | what u8 (enum mbox_what) | set_len u32 | uid_set.h
 *                 One row per MODSEQ of the account. The expunged ones are the tombstones.
 * OPERATION       version u8 = 1 | state u8 (MBOX_OPERATION_*) | method u16 (store.proto)
 *                 | resume_uid u32 (PARTIAL: done up to this UID) | first_modseq u64
 *                 | the first answer, protobuf (Deliver: the DeliverResult of the target)
 * PENDING_BODY, PENDING_QUEUE, DYING
 *                 version u8 = 1 | time_ms u64
 * ADDRESS         version u8 = 1 | AddressReply of store.proto, protobuf
 * DOMAIN_USER     version u8 = 1 | kind u8 (AddressKind) | account u64
 * GRANT           version u8 = 1 | count u64 | bytes u64 | unlimited u64
 * QUEUE           version u8 = 1 | chunks u32 | stored_bytes u64
 *                 | QueueEntry of store.proto, protobuf
 * QUEUE_DUE       version u8 = 1
 * QUEUE_BODY      up to MBOX_CHUNK_BYTES of the stored body
 * TRANSACTION     version u8 = 1 | until_ms u64 | number u32 | id 16 bytes | intake 16 bytes
 * INTAKE          version u8 = 1 | time_ms u64 (last told) | turn u64 | ended_len u32
 *                 | ended, uid_set.h | broken, uid_set.h
 * COPYING         version u8 = 1 | first u32 | end u32: messages first <= UID < end are of a COPY
 *                 whose last batch takes this row away; when it is there, they never were
 */
#ifndef MAIL_MBOX_ROWS_LOG_H
#define MAIL_MBOX_ROWS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What happened to a mailbox. Persisted. */
enum mbox_what {
    MBOX_WHAT_ADDED = 1,   /* messages, their UIDs in the set */
    MBOX_WHAT_FLAGS = 2,
    MBOX_WHAT_EXPUNGED = 3,
    MBOX_WHAT_CREATED = 4, /* the mailbox itself; set empty, as below */
    MBOX_WHAT_RENAMED = 5,
    MBOX_WHAT_DELETED = 6,
    MBOX_WHAT_SUBSCRIBED = 7, /* mailbox 0: of a name */
    MBOX_WHAT_ACCOUNT = 8,    /* mailbox 0: the account's row */
};

enum {
    MBOX_CHANGE_HEAD_BYTES = 11,
    MBOX_CHANGE_ENTRY_BYTES = 9,
    MBOX_OPERATION_HEAD_BYTES = 16,
    MBOX_MARK_BYTES = 9,
    MBOX_DOMAIN_USER_BYTES = 10,
    MBOX_GRANT_BYTES = 25,
    MBOX_QUEUE_HEAD_BYTES = 13,
    MBOX_TRANSACTION_BYTES = 45,
    MBOX_INTAKE_HEAD_BYTES = 21,
    MBOX_COPYING_BYTES = 9,
    MBOX_ROW_VERSION = 1, /* of every row described here and in mbox_rows.h */
};

struct mbox_change_entry {
    uint32_t mailbox;
    uint8_t what;
    struct span uids;
};

/* Reads the head; `*entries` are the bytes that mbox_change_next takes apart. */
MUST_USE struct err mbox_change_read(struct span row, uint64_t *time_ms, struct span *entries);
/* ERR_NOT_FOUND at the end. */
MUST_USE struct err mbox_change_next(struct span *entries, struct mbox_change_entry *ret);
void mbox_change_head(uint64_t time_ms, unsigned entries, char to[MBOX_CHANGE_HEAD_BYTES]);
/* Writes the entry without its set, which follows. */
void mbox_change_entry(const struct mbox_change_entry *entry, char to[MBOX_CHANGE_ENTRY_BYTES]);

/* Persisted. */
enum { MBOX_OPERATION_DONE = 0, MBOX_OPERATION_PARTIAL = 1 };

struct mbox_operation {
    uint8_t state;
    uint16_t method;
    uint32_t resume_uid;
    uint64_t first_modseq;
    struct span answer;
};
MUST_USE struct err mbox_operation_read(struct span row, struct mbox_operation *ret);
void mbox_operation_head(const struct mbox_operation *operation,
                         char to[MBOX_OPERATION_HEAD_BYTES]);

MUST_USE struct err mbox_mark_read(struct span row, uint64_t *time_ms);
void mbox_mark_write(uint64_t time_ms, char to[MBOX_MARK_BYTES]);

MUST_USE struct err mbox_domain_user_read(struct span row, uint32_t *kind, uint64_t *account);
void mbox_domain_user_write(uint32_t kind, uint64_t account, char to[MBOX_DOMAIN_USER_BYTES]);

/* What one has, or totals of several. */
struct mbox_grant {
    uint64_t count, bytes, unlimited;
};
MUST_USE struct err mbox_grant_read(struct span row, struct mbox_grant *ret);
void mbox_grant_write(const struct mbox_grant *grant, char to[MBOX_GRANT_BYTES]);

struct mbox_queue_row {
    uint32_t chunks;
    uint64_t stored_bytes;
    struct span entry;
};
MUST_USE struct err mbox_queue_read(struct span row, struct mbox_queue_row *ret);
void mbox_queue_head(const struct mbox_queue_row *queue, char to[MBOX_QUEUE_HEAD_BYTES]);

/* The spans are 16 bytes each. */
struct mbox_transaction_row {
    uint64_t until_ms;
    uint32_t number;
    struct span id, intake;
};
MUST_USE struct err mbox_transaction_read(struct span row, struct mbox_transaction_row *ret);
void mbox_transaction_write(const struct mbox_transaction_row *transaction,
                            char to[MBOX_TRANSACTION_BYTES]);

struct mbox_intake_row {
    uint64_t time_ms, turn;
    struct span ended, broken;
};
MUST_USE struct err mbox_intake_read(struct span row, struct mbox_intake_row *ret);
/* Writes the row without its sets, which follow. */
void mbox_intake_head(const struct mbox_intake_row *intake, char to[MBOX_INTAKE_HEAD_BYTES]);

MUST_USE struct err mbox_copying_read(struct span row, uint32_t *first, uint32_t *end);
void mbox_copying_write(uint32_t first, uint32_t end, char to[MBOX_COPYING_BYTES]);

/* The protobuf behind the version of ACCOUNT and ADDRESS rows. */
MUST_USE struct err mbox_packed_read(struct span row, struct span *packed);

#ifdef __cplusplus
}
#endif
#endif

/* mbox.h: what a storage node does with mailboxes, addresses and queues, without doing it: a
 * command and the current rows give the rows to write and the answer. Pure: rows come through a
 * reader, the time is an argument, nothing is kept.
 *
 * Who prepares commands of a shard is one thread, on the rows with everything on its way laid over
 * (kv_overlay.h); it adds a result's batches to the log in their order, with nothing between them,
 * and to the overlay, and answers when the last one is applied. Reads (mbox_read.h, mbox_fetch.h,
 * mbox_search.h) take the store's own rows, so they see only what is committed. */
#ifndef MAIL_MBOX_H
#define MAIL_MBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct kv_batch;
struct kv_reader;
struct mbox_due;
struct mbox_index;

enum {
    MBOX_NAME_MAX_BYTES = 1000,
    MBOX_LEVEL_MAX_BYTES = 255,
    MBOX_DEPTH_MAX = 32,
    MBOX_MAILBOXES_MAX = 10000,
    MBOX_SUBSCRIPTIONS_MAX = 20000,
    MBOX_TARGETS_MAX = 1000,              /* of one Deliver */
    MBOX_COMMAND_MESSAGES_MAX = 1000000,  /* that one command changes */
    MBOX_COMMAND_RANGES_MAX = 200000,     /* of a uid_set in a request or an answer */
    MBOX_AHEAD_MAX_BYTES = 256 * 1024 * 1024, /* bodies that one command writes, all targets */
    MBOX_PART_BYTES = 6 * 1024 * 1024,    /* a batch ends beyond; what is left to add fits in */
    MBOX_ARENA_MAX_BYTES = 64 * 1024 * 1024,
    MBOX_CHANGES_KEPT = 65536,            /* CHANGE rows of an account, about */
    MBOX_QUEUE_RECIPIENTS_MAX = 10000,
    MBOX_ADDRESS_MAX_BYTES = 512,
    MBOX_TRANSACTION_KEEP_MS_MAX = 24 * 3600 * 1000,
    MBOX_INTAKE_RANGES_MAX = 16384, /* of each set in an IntakeReport */
};

struct mbox_context {
    struct kv_reader *rows;
    uint64_t time_ms; /* since 1970; of the command, so that it gives the same rows wherever run */
    uint32_t slot_first, slot_end; /* the shard's slots; others are ERR_MOVED */
    struct mbox_due *due;     /* mbox_queue.h; may be NULL: queue scans look at every slot */
    uint64_t quota_bytes, quota_items; /* of accounts that have none of their own; 0: no limit */
};

/* What a command touched, for watchers. */
struct mbox_touched {
    uint32_t tenant;
    uint64_t account;
    uint32_t mailbox; /* 0: the account itself */
    uint64_t modseq;
    bool gone; /* the mailbox or account is no more */
};

struct mbox_result {
    struct kv_batch *batches; /* in order; none when nothing changes */
    size_t batches_count, batches_size;
    const void *reply;        /* the method's reply struct of store_msg.h; NULL for maintenance */
    char *data;               /* of the reply, formats as store.proto says */
    size_t data_len, data_size;
    struct mbox_touched *touched;
    size_t touched_count, touched_size;
    bool duplicate; /* the first answer of an operation that was done before (Deliver: of all) */
    bool more;      /* maintenance: there is more to do */
    struct arena arena; /* the reply lies in it */
};

void mbox_result_init(struct mbox_result *result);
void mbox_result_free(struct mbox_result *result);

/* Prepares a change. `method` (enum store_method) is one of mbox_commands.def; `request` is the
 * struct of store_msg.h; `body`, sealed or NULL, is the stored body beside it. `*result` is
 * initialised and empty; after an error it holds no batches and is freed all the same. Errors:
 *   ERR_SYNTAX       out of the bounds of the .proto or of those above
 *   ERR_NOT_FOUND    no such account or mailbox (IMAP: TRYCREATE)
 *   ERR_EXISTS, ERR_CONFLICT, ERR_DENIED, ERR_QUOTA
 *   ERR_TOO_BIG      "keywords", "mailboxes" and so on: a bound (IMAP: NO [LIMIT])
 *   ERR_MOVED        not a slot of this shard
 *   ERR_UNSUPPORTED  not a change; or a row of a newer version
 *   ERR_CORRUPT, ERR_IO, ERR_NOMEM */
MUST_USE struct err mbox_change(const struct mbox_context *context, unsigned method,
                                const void *request, struct body *body,
                                struct mbox_result *result);

/* True for the methods that mbox_change takes. */
bool mbox_is_change(unsigned method);

#ifdef __cplusplus
}
#endif
#endif

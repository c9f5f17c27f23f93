/* mbox_work_private.h: a command being prepared: rows it has read, changed in memory, and the batch
 * that they are written to at the end of each part.
 *
 * A part is one batch that leaves every counter right by itself. Small commands have one part; one
 * over many messages has several, and its OPERATION row then says how far it came (PARTIAL), so
 * that a retry after a crash goes on instead of beginning again. */
#ifndef MAIL_MBOX_WORK_PRIVATE_H
#define MAIL_MBOX_WORK_PRIVATE_H

#include "kv.h"
#include "kv_key.h"
#include "mbox.h"
#include "mbox_rows.h"
#include "mbox_rows_log.h"
#include "uid_set.h"

struct proto_type;

/* What a part did to a mailbox: an entry of the CHANGE row. */
struct mbox_note {
    struct mbox_note *next;
    uint32_t mailbox;
    enum mbox_what what;
    struct uid_set uids;
};

struct mbox_account;

struct mbox_box {
    struct mbox_box *next;
    struct mbox_account *account;
    uint32_t id;
    bool dirty, removed; /* removed: its row was deleted in this part */
    struct mbox_mailbox row; /* texts in the arena */
};

/* The EMAIL rows that the command changes (mbox_email.c): a hash table, email 0 is free. */
struct mbox_email_slot {
    uint64_t email;
    struct mbox_email row;
    bool dirty;
};
struct mbox_emails {
    struct mbox_email_slot *slots;
    size_t size, count;
    struct kv_iter *iter;
};

struct mbox_account {
    struct mbox_account *next;
    struct kv_owner owner;
    struct mbox_counters counters;
    struct mbox_counters base; /* as before this part: what a batch ahead of it may show */
    uint64_t part_modseq;      /* 0: none taken yet in this part */
    bool dirty;
    struct mbox_box *boxes;
    struct mbox_note *notes;
    struct mbox_emails emails;
};

struct mbox_work {
    const struct mbox_context *context;
    struct mbox_result *result;
    struct arena *arena;
    struct kv_batch batch; /* of this part */
    struct mbox_account *accounts;
    size_t later_bytes;  /* that the end of the part will still write, about */
    uint64_t body_bytes; /* written so far, all targets */
    unsigned messages;   /* changed so far */
};

void mbox_work_init(struct mbox_work *work, const struct mbox_context *context,
                    struct mbox_result *result);
void mbox_work_free(struct mbox_work *work);

/* ERR_MOVED unless the shard has it. */
struct err mbox_work_slot(const struct mbox_work *work, uint32_t slot);

/* The account with its counters, read once. ERR_NOT_FOUND also when it is deleted. */
struct err mbox_work_account(struct mbox_work *work, uint32_t tenant, uint64_t account,
                             struct mbox_account **ret);

/* A mailbox by id or by name, not a dying one. ERR_NOT_FOUND. By id: also ERR_DENIED for a name
 * that can't be selected. */
struct err mbox_work_box(struct mbox_work *work, struct mbox_account *account, uint32_t id,
                         struct mbox_box **ret);
struct err mbox_work_box_named(struct mbox_work *work, struct mbox_account *account,
                               struct span name, struct mbox_box **ret);
/* A box for a row that is about to be made. */
struct err mbox_work_box_new(struct mbox_work *work, struct mbox_account *account, uint32_t id,
                             struct mbox_box **ret);

/* The MODSEQ of this part in the account. */
uint64_t mbox_work_modseq(struct mbox_account *account);

/* Notes for the CHANGE row and marks the mailbox as changed at this part's MODSEQ. UIDs of one
 * mailbox and kind come in rising order. */
struct err mbox_work_note(struct mbox_work *work, struct mbox_box *box, enum mbox_what what,
                          uint32_t uid);
/* The same without a message; `mailbox` may be 0. */
struct err mbox_work_note_plain(struct mbox_work *work, struct mbox_account *account,
                                uint32_t mailbox, enum mbox_what what);

/* True when the part should be ended before the next message. */
static inline bool mbox_work_is_full(const struct mbox_work *work)
{
    return work->batch.len + work->later_bytes > MBOX_PART_BYTES;
}

/* Ends the part: writes CHANGE, MAILBOX and COUNTERS rows and hands the batch to the result.
 * ERR_TOO_BIG when it does not fit. */
struct err mbox_work_end_part(struct mbox_work *work);

/* Hands over a batch that goes before the part's own. */
struct err mbox_work_push(struct mbox_work *work, struct kv_batch *batch);
struct err mbox_work_touched(struct mbox_work *work, const struct mbox_touched *touched);

/* Moves an iterator to a row by `next` if that is where it lies, else by `seek`: for walks that
 * meet their rows about in order. A fresh iterator seeks. */
struct err mbox_find_near(struct kv_iter *it, const struct kv_key *key, bool *found);
/* An iterator for the owner's rows of one kind. */
struct err mbox_iter_of(struct kv_reader *rows, const struct kv_owner *owner, enum kv_kind kind,
                        struct kv_iter **ret);

struct err mbox_get(struct kv_reader *rows, const struct kv_key *key, struct kv_value *value);
/* The row copied into the arena. */
struct err mbox_get_kept(struct mbox_work *work, const struct kv_key *key, struct span *ret);

/* Room for a reply struct, zeroed. */
void *mbox_work_alloc(struct mbox_work *work, size_t bytes);

/* ---- operations: the first answer (mbox_operation.c) */

struct mbox_done {
    bool found, partial;
    uint32_t resume_uid;
    uint64_t first_modseq;
    const void *answer; /* struct of the reply type; NULL when not found */
};

/* Looks the operation up. ERR_SYNTAX: not an id, or one from more than a day ahead; ERR_CONFLICT:
 * the id belongs to another method. */
struct err mbox_operation_find(struct mbox_work *work, uint16_t slot, struct span id,
                               unsigned method, const struct proto_type *type,
                               struct mbox_done *ret);

/* The same for what a courier may repeat days after the id was made. */
struct err mbox_operation_find_late(struct mbox_work *work, uint16_t slot, struct span id,
                                    unsigned method, const struct proto_type *type,
                                    struct mbox_done *ret);

/* Writes the answer (a struct of `type`) to this part's batch. */
struct err mbox_operation_keep(struct mbox_work *work, uint16_t slot, struct span id,
                               const struct mbox_operation *head, const struct proto_type *type,
                               const void *answer);

/* For find_late: it stays for a day after this command. */
struct err mbox_operation_keep_late(struct mbox_work *work, uint16_t slot, struct span id,
                                    const struct mbox_operation *head,
                                    const struct proto_type *type, const void *answer);

#endif

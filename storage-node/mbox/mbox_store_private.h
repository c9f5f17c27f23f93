/* mbox_store_private.h: what several commands do with messages, bodies, names and keywords. */
#ifndef MAIL_MBOX_STORE_PRIVATE_H
#define MAIL_MBOX_STORE_PRIVATE_H

#include "mbox_work_private.h"

struct body;

/* ---- messages (mbox_store.c) */

/* ERR_QUOTA when `bytes` and `items` more would go over. */
struct err mbox_quota_check(const struct mbox_work *work, const struct mbox_account *account,
                            uint64_t bytes, uint64_t items);

/* Gives the message the next UID and this part's MODSEQ, writes its MESSAGE row and counts it in.
 * `message` has the rest. ERR_TOO_BIG: the mailbox has no UIDs left. */
struct err mbox_message_add(struct mbox_work *work, struct mbox_box *box,
                            struct mbox_message *message, uint32_t *uid);

/* Deletes the MESSAGE row and counts it out; its email is left to mbox_email_change. */
struct err mbox_message_remove(struct mbox_work *work, struct mbox_box *box, uint32_t uid,
                               const struct mbox_message *message);

/* Counts a change of flags in; the caller writes the row. */
void mbox_flags_count(struct mbox_box *box, uint32_t uid, uint64_t before, uint64_t after);

/* One MESSAGE row more or less for an email that is there; without one its rows go. */
struct err mbox_email_change(struct mbox_work *work, struct mbox_account *account, uint64_t email,
                             bool more);
/* Writes what was counted in this part; and the end of it all. */
void mbox_emails_write(struct mbox_work *work, struct mbox_account *account);
void mbox_emails_free(struct mbox_account *account);

/* A body, or a part of one that holds several. */
struct mbox_slice {
    struct body *body; /* may be NULL: empty */
    uint64_t at, bytes;
};
struct mbox_slice mbox_slice_of(struct body *body);

/* Facts and body of new mail under a new email number, with one reference. Bodies that are too big
 * for this part go as batches ahead of it. `*message` gets email, thread, facts_version and
 * stored_bytes. ERR_SYNTAX: no such facts. */
struct err mbox_email_add(struct mbox_work *work, struct mbox_account *account, struct span facts,
                          struct body *body, struct mbox_message *message);
struct err mbox_email_add_slice(struct mbox_work *work, struct mbox_account *account,
                                struct span facts, struct mbox_slice slice,
                                struct mbox_message *message);

/* The THREADID of mail with these kept header fields: of all that name the same first message. */
uint64_t mbox_thread(struct span fields);

/* Takes the next field `name` off `*fields` (CRLF-ended header fields): its value, folded as it is
 * and with the line end. */
bool mbox_field_next(struct span *fields, struct span name, struct span *value);

/* The scan stamp of a request. ERR_DENIED: none, or one that lets nothing in. */
struct err mbox_stamp_check(struct span stamp);

/* ---- bodies (mbox_body.c) */

/* How a body's chunks are written: where, and the row that marks them as without an owner while
 * they are ahead of the batch that owns them. */
struct mbox_body_place {
    struct kv_key chunks;  /* the chunk number goes behind */
    struct kv_key pending;
    struct mbox_account *account; /* whose COUNTERS go along with what is ahead; NULL: nobody's */
};
struct err mbox_body_write(struct mbox_work *work, const struct mbox_body_place *place,
                           struct mbox_slice slice, uint32_t *chunks);
void mbox_body_delete(struct mbox_work *work, const struct kv_key *chunks, uint32_t count);

/* ---- copies that are not complete (mbox_transfer.c) */

void mbox_copying_key(const struct kv_owner *owner, uint32_t mailbox, struct kv_key *key);

/* ---- names (mbox_name.c) */

/* UTF-8 without controls, levels between '/' not empty, within the bounds of mbox.h; "INBOX" in
 * upper case. ERR_SYNTAX, ERR_TOO_BIG. */
struct err mbox_name_check(struct span name);

bool mbox_name_is_inbox(struct span name);

/* Everything before the last '/'. False at the top level. */
bool mbox_name_parent(struct span name, struct span *parent);

/* True when `name` lies below `parent`. */
bool mbox_name_is_below(struct span name, struct span parent);

/* Whether a mailbox lies below `name` in the rows (not counting what this command changed). */
struct err mbox_name_has_children(struct kv_reader *rows, const struct kv_owner *owner,
                                  struct span name, bool *ret);

struct mbox_make {
    struct span name; /* lives as long as the command */
    uint32_t kind, special_use;
};
/* Makes a mailbox and the parents that are missing; a name that only exists (\NoSelect) becomes a
 * new mailbox. ERR_EXISTS, ERR_TOO_BIG "mailboxes", and those of mbox_name_check. */
struct err mbox_make(struct mbox_work *work, struct mbox_account *account,
                     const struct mbox_make *make, struct mbox_box **ret);

/* The parents only. */
struct err mbox_make_parents(struct mbox_work *work, struct mbox_account *account,
                             const struct mbox_make *make);

/* Leaves `name` as a name that can't be selected. */
struct err mbox_make_no_select(struct mbox_work *work, struct mbox_account *account,
                               struct span name);

/* Writes or deletes the MAILBOX_NAME row. */
void mbox_name_put(struct mbox_work *work, struct mbox_account *account, struct span name,
                   uint32_t id);
void mbox_name_delete(struct mbox_work *work, struct mbox_account *account, struct span name);

/* ---- keywords (mbox_keywords.c) */

struct mbox_words {
    const struct span *words;
    size_t count;
};
/* The bits of the keywords in the mailbox's list. With `make` those that are missing are added:
 * ERR_TOO_BIG "keywords" when there is no room. Without, they are left out. ERR_SYNTAX: not a
 * keyword. `*grown`, if not NULL, is set when the list grew and left alone when not. */
struct err mbox_keywords(struct mbox_work *work, struct mbox_box *box, struct mbox_words words,
                         bool make, uint64_t *bits, bool *grown);

/* The flags of a message of `from` as they are in `to`; keywords for which there is no room are
 * left out. */
struct err mbox_keywords_carry(struct mbox_work *work, const struct mbox_box *from,
                               struct mbox_box *to, uint64_t flags, uint64_t *ret);

/* ---- replies (mbox_reply.c) */

struct store_mailbox;
/* Text of RFC 8474 for a mailbox, in the arena. */
struct err mbox_reply_id(struct arena *arena, uint64_t account, uint32_t mailbox,
                         struct span *ret);
struct err mbox_reply_mailbox(struct arena *arena, uint64_t account, uint32_t id,
                              const struct mbox_mailbox *row, struct store_mailbox *ret);

#endif

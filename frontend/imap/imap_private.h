/* imap_private.h: what the files of this folder do for each other. */
#ifndef MAIL_IMAP_PRIVATE_H
#define MAIL_IMAP_PRIVATE_H

#include "imap_state_private.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- imap_run.c: steps */
struct err imap_run_new(struct imap_session *session, enum imap_phase after);
void imap_run_free(struct imap_session *session);
void imap_pump(struct imap_session *session);
bool imap_has_room(const struct imap_session *session);
/* Names the steps of the command; into() puts others before what remains. */
void imap_steps(struct imap_session *session, imap_step_run *const *steps);
void imap_steps_into(struct imap_session *session, imap_step_run *const *steps);
void imap_wish_for(struct imap_session *session, enum imap_wish_kind kind);
void imap_call(struct imap_session *session, enum store_method method, const void *request,
               const struct imap_call_user *user);
/* Zeroed, in the run's arena. */
MUST_USE struct err imap_state_new(struct imap_session *session, size_t size, void *ret_pointer);
/* A new operation id in the run's arena; empty when there is no memory (the store refuses it). */
struct span imap_operation_id(struct imap_session *session);
/* Adds to `gather` until it holds `want` bytes; returns how many it took. ERR_NOMEM, TOO_BIG. */
MUST_USE struct err imap_gather_put(struct imap_gather *gather, struct span bytes);
/* `data` of calls that stream a uid_set into run->set. */
size_t imap_data_set(struct imap_session *session, struct span in);

/* ---- imap_read.c: returns how many bytes it used. Called while a phase reads. */
size_t imap_read(struct imap_session *session, struct span in);
struct err imap_dispatch_uid(struct imap_session *session, struct span verb);

/* ---- imap_reply.c */
void imap_put(struct imap_session *session, struct span text);
#define IMAP_SAY(session, literal) imap_put((session), SPAN(literal))
void imap_put_number(struct imap_session *session, uint64_t number);
/* "tag OK [code] NAME completed"; `code` empty: none. */
enum imap_step imap_ok(struct imap_session *session, struct span code);
/* The client has shown that it knows of mod-sequences (RFC 7162 3.1). */
void imap_enable_condstore(struct imap_session *session);
/* "tag OK" and a space: the caller writes the rest. */
void imap_ok_begin(struct imap_session *session);
void imap_completed(struct imap_session *session);
void imap_no(struct imap_session *session, struct span code, struct span text);
enum imap_step imap_no_err(struct imap_session *session, struct err err, struct span not_found);
void imap_bad(struct imap_session *session, struct span text);
void imap_bad_err(struct imap_session *session, struct err err);
/* "* BYE text", and no more. end() is without the text. */
void imap_hang_up(struct imap_session *session, struct span text);
void imap_end(struct imap_session *session);
void imap_put_capability(struct imap_session *session);
/* A mailbox name as astring in modified UTF-7. */
void imap_put_name(struct imap_session *session, struct span name);
/* Ranges as text from `*at` on, as far as there is room: true when all are out. */
bool imap_put_set(struct imap_session *session, struct span set, size_t *at);
imap_step_run imap_step_ok;

/* ---- imap_name.c: mailbox names and flags */
/* An astring as a mailbox name in UTF-8, INBOX in capitals; lives in the arena. */
MUST_USE struct err imap_take_mailbox(struct imap_session *session, struct span *ret);
MUST_USE struct err imap_name_decode(struct arena *arena, struct span from, struct span *ret);
MUST_USE struct err imap_name_encode(struct arena *arena, struct span from, struct span *ret);
struct imap_flag_list {
    uint64_t flags;
    struct span *keywords;
    size_t keywords_count;
};
/* "(...)" or, when `bare`, flags without parentheses too. */
MUST_USE struct err imap_take_flags(struct imap_session *session, bool bare,
                                    struct imap_flag_list *ret);
struct span imap_view_keyword(const struct imap_view *view, unsigned index);
MUST_USE struct err imap_view_keywords(struct imap_view *view, const struct span *keywords,
                                       size_t count);
/* Whether every keyword bit has a name. */
bool imap_flags_known(const struct imap_view *view, uint64_t flags);
/* "(\Seen $Junk)". Room: IMAP_FLAGS_MAX_BYTES. */
char *imap_put_flags(struct imap_run *run, struct imap_view *view, uint64_t flags, bool recent,
                     char *to);
void imap_put_flags_lines(struct imap_session *session);

/* ---- imap_status.c */
enum imap_status_item {
    IMAP_STATUS_MESSAGES = 1, IMAP_STATUS_RECENT = 2, IMAP_STATUS_UIDNEXT = 4,
    IMAP_STATUS_UIDVALIDITY = 8, IMAP_STATUS_UNSEEN = 16, IMAP_STATUS_HIGHESTMODSEQ = 32,
    IMAP_STATUS_SIZE = 64, IMAP_STATUS_MAILBOXID = 128, IMAP_STATUS_DELETED = 256,
    IMAP_STATUS_DELETED_STORAGE = 512, IMAP_STATUS_APPENDLIMIT = 1024,
};
/* RFC 7889: the longest message that APPEND takes, as a number of 32 bits. */
uint64_t imap_append_limit(const struct imap_session *session);
MUST_USE struct err imap_take_status_items(struct imap_cursor *args, unsigned *ret);
void imap_put_status(struct imap_session *session, const struct store_mailbox *mailbox,
                     unsigned items);
uint32_t imap_special_use(struct span name);
struct span imap_special_use_name(uint32_t special_use);
/* Asks for one mailbox, or all when `name` is empty, with what `items` of a STATUS need; they are
 * then in run->mailboxes. */
enum imap_step imap_call_mailboxes(struct imap_session *session, struct span name,
                                   unsigned items);

/* ---- imap_view.c */
void imap_view_close(struct imap_session *session);
/* Loads the UIDs of the view when they are not there; the command ends when that fails. */
imap_step_run imap_step_view;
uint32_t imap_walk(const struct imap_view *view, struct imap_walker *walker, uint32_t uid);
/* Checked set text -> UIDs. `uid`: the text holds UIDs. ERR_SYNTAX: no such message number. */
MUST_USE struct err imap_view_uids(const struct imap_view *view, struct span text, bool uid,
                                   struct uid_set *ret);
/* UIDs -> sequence numbers, those not in the view left out. */
MUST_USE struct err imap_view_numbers(const struct imap_view *view, struct span uids,
                                      struct uid_set *ret);
/* For UIDs in any order: an index in the arena, and the sequence number of one by it; 0: not in the
 * view. */
MUST_USE struct err imap_view_index(const struct imap_view *view, struct arena *arena,
                                    const uint32_t **ret);
uint32_t imap_view_number(const struct imap_view *view, const uint32_t *before, uint32_t uid);
uint32_t imap_view_star(const struct imap_view *view);
/* How many messages of the view are in `uids`. */
uint64_t imap_view_count(const struct imap_view *view, const struct uid_set *uids);
void imap_view_remove(struct imap_view *view, struct span uids);
void imap_view_seen(struct imap_view *view, uint64_t highestmodseq);
void imap_view_own(struct imap_view *view, uint64_t modseq, bool told);
bool imap_view_is_own(const struct imap_view *view, uint64_t modseq);

/* ---- imap_sync.c: news of the selected mailbox */
imap_step_run imap_step_sync;       /* asks the store */
imap_step_run imap_step_sync_newer; /* only when something newer has been seen */
/* Tells run->sync.expunged (set by expunge_begin) and takes it out of the view. */
void imap_expunge_begin(struct imap_session *session, struct span uids);
imap_step_run imap_step_expunge;
/* As imap_step_ok, with HIGHESTMODSEQ for who has enabled QRESYNC (RFC 7162 3.2.7). */
imap_step_run imap_step_ok_modseq;

/* ---- imap_vanished.c: VANISHED (RFC 7162 3.2.10) */
/* Zeroes run->vanished, made when it is not there. */
MUST_USE struct err imap_vanished_new(struct imap_session *session, struct imap_vanished **ret);
/* What of vanished->known has gone since: loads the view, asks the store, tells it. An error of the
 * store makes it all that is not there, which RFC 7162 5.1 allows. */
enum imap_step imap_vanished_earlier(struct imap_session *session, uint64_t since);
/* VANISHED instead of EXPUNGE for these ranges of uid_set.h. */
enum imap_step imap_vanished_tell(struct imap_session *session, struct span uids);

struct mail_record;
/* "* n FETCH (...)" with flags. `with_flags` false: only MODSEQ. Room: IMAP_OUT_ROOM. */
void imap_put_fetch_flags(struct imap_session *session, const struct mail_record *record,
                          uint32_t number, bool with_flags);
/* Takes the next whole record out of run->gather and `*in`. False: there is none, or run->err. */
bool imap_record_next(struct imap_session *session, struct span *in, struct mail_record *record);

/* ---- commands */
#define IMAP_CMD(name, function, states) \
    struct err imap_cmd_##function(struct imap_session *session);
#include "imap_commands.def"
#undef IMAP_CMD
/* AUTHENTICATE's and LOGIN's common end. */
imap_step_run imap_step_login_after;
/* APPEND while it is read: whether the literal at the end of the line is the message. */
bool imap_append_is_message(struct imap_session *session, struct span before);
struct err imap_append_begin(struct imap_session *session, uint64_t size_bytes);
void imap_append_bytes(struct imap_session *session, struct span bytes);
/* The line behind the message, without its end: empty, or words and one more message. The phase is
 * IMAP_READS_TAIL. */
void imap_append_tail(struct imap_session *session, struct span line);
/* A line without its end, in IMAP_READS_SASL and IMAP_READS_IDLE. */
void imap_sasl_line(struct imap_session *session, struct span line);
void imap_idle_line(struct imap_session *session, struct span line);
/* In IDLE with something newer seen: begins to tell it. */
void imap_idle_news(struct imap_session *session);

#ifdef __cplusplus
}
#endif
#endif

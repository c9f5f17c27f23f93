/* imap_private.h: what the files of this folder share.
 *
 * A command is a row in imap_commands.def. Its function parses the arguments and names the steps,
 * an array that the session walks (imap_run.c): each step writes at most IMAP_OUT_ROOM bytes, or
 * makes one wish and goes on in the next step once that is answered. */
#ifndef MAIL_IMAP_PRIVATE_H
#define MAIL_IMAP_PRIVATE_H

#include <assert.h>

#include "arena.h"
#include "body.h"
#include "imap_put.h"
#include "imap_session.h"
#include "imap_token.h"
#include "store_msg.h"
#include "uid_set.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    IMAP_RUN_MAX_BYTES = 16 * 1024 * 1024, /* arena of a command: a list of mailboxes */
    IMAP_VIEW_RANGES_MAX = 1024 * 1024,
    IMAP_FRAMES_MAX = 8,
    IMAP_OWN_MAX = 4,
    IMAP_FLAGS_MAX_BYTES = 8 * 1024, /* "(...)" of any message or mailbox */
    IMAP_LINE_ROOM = 256,            /* what stands around flags in an untagged line */
};

/* What the machine does at the moment. */
enum imap_phase {
    IMAP_READS_COMMAND,
    IMAP_READS_LITERAL, /* of an argument */
    IMAP_READS_MESSAGE, /* APPEND's literal */
    IMAP_READS_TAIL,    /* the CRLF behind it */
    IMAP_READS_SASL,    /* a line of AUTHENTICATE */
    IMAP_READS_IDLE,    /* waits for DONE */
    IMAP_RUNS,          /* a command has steps to do */
    IMAP_WISHES,        /* and wants something from the shell */
    IMAP_WAITS,         /* which is under way */
    IMAP_DRAINS,        /* answered, but data of it still go out */
};

/* Below 1 KiB: what an idle connection costs. */
struct imap_session {
    const struct imap_options *options;
    struct buf *out; /* of the call under way, else NULL */
    uint64_t wall_ms;
    struct imap_identity identity;
    struct imap_view *view; /* of the selected mailbox, else NULL */
    struct imap_run *run;   /* the command under way, else NULL */
    struct imap_wish wish;
    enum imap_state state;
    enum imap_phase phase;
    char *text;             /* of the command being read; NULL between commands */
    uint32_t text_len, text_size, line_at;
    uint64_t literal_left;
    uint32_t unread_bytes;  /* of the feed() under way, behind the command */
    uint16_t bad, login_failures;
    bool tls, condstore, watching;
    uint8_t tag_len;
    char tag[IMAP_TAG_MAX_BYTES];
};
static_assert(sizeof(struct imap_session) < 1024, "tens of thousands of idle sessions are cheap");

enum imap_step {
    IMAP_NEXT,
    IMAP_AGAIN,  /* the same step, as soon as there is room */
    IMAP_FINISH, /* the command ends here */
};
typedef enum imap_step imap_step_run(struct imap_session *session);

/* What comes back from a call. Either may be NULL. */
struct imap_call_user {
    void (*reply)(struct imap_session *session, const void *reply);
    /* Sets run->blocked when it stops for want of room. */
    size_t (*data)(struct imap_session *session, struct span in);
};

/* Bytes of a stream that was cut in the middle of something. */
struct imap_gather {
    char *bytes;
    size_t len, size;
};

/* The selected mailbox as this client knows it. */
struct imap_view {
    uint32_t mailbox, uidnext, exists, recent, recent_from;
    uint64_t modseq;           /* every change up to it has been told */
    uint64_t newer;            /* the highest one that a reply or the watch has shown */
    uint64_t own[IMAP_OWN_MAX]; /* this session's changes beyond `modseq`, told already */
    bool loaded;               /* `uids` holds the `exists` messages; else only their number */
    struct uid_set uids;
    char *keywords;            /* length byte and name, of bits 8, 9, ... */
    uint16_t keywords_bytes, keywords_max;
    uint8_t keywords_count;
};

/* Sequence numbers of UIDs asked for in rising order. */
struct imap_walker {
    size_t range;
    uint32_t before; /* messages in the ranges before it */
};

/* Text of FLAGS, kept from message to message. */
struct imap_flags_text {
    uint64_t flags;
    bool recent;
    uint16_t len; /* 0: nothing is kept */
    char text[256];
};

struct imap_sync {
    uint64_t highestmodseq;
    struct uid_set fresh;    /* new messages */
    struct span expunged;    /* uid_set.h, in the run's arena */
    size_t expunged_at;      /* the range, and the UID in it to be told next */
    uint32_t expunged_uid, expunged_told, recent_told;
    bool again, gone, keywords_grew;
    unsigned tries;
};

struct imap_frame {
    imap_step_run *const *steps; /* ends with NULL */
    unsigned at;
};

struct imap_mailboxes {
    struct store_mailbox *mailboxes; /* in the arena, names too */
    size_t count;
};

struct imap_run {
    struct arena arena;
    struct imap_frame frames[IMAP_FRAMES_MAX];
    unsigned depth;
    struct span name;            /* of the command, for its replies */
    struct imap_cursor args;
    char *text;                  /* of the command; freed with the run */
    uint32_t text_len;
    bool uid;                    /* the UID form */
    bool blocked;                /* the data handler waits for room */
    bool mid_line;               /* and has sent a part of a line */
    bool secret;                 /* passwords stand in the text */
    bool silent;                 /* no tagged reply: news during IDLE */
    enum imap_phase after;       /* when it has ended */
    const struct imap_call_user *call;
    struct err err;              /* of the last wish */
    struct body *body;           /* APPEND */
    struct imap_gather gather;
    struct imap_walker walker;
    struct imap_flags_text flags_text;
    struct imap_sync sync;
    struct imap_mailboxes mailboxes;
    struct uid_set set;          /* a result */
    struct imap_load *load;      /* imap_view.c, in the arena */
    struct uid_set fetched;      /* while loading: what was expunged */
    void *state;                 /* of the command, in the arena */
    void (*state_free)(struct imap_session *session, void *state);
};

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
    IMAP_STATUS_SIZE = 64, IMAP_STATUS_MAILBOXID = 128,
};
MUST_USE struct err imap_take_status_items(struct imap_cursor *args, unsigned *ret);
void imap_put_status(struct imap_session *session, const struct store_mailbox *mailbox,
                     unsigned items);
uint32_t imap_special_use(struct span name);
struct span imap_special_use_name(uint32_t special_use);
/* Asks for one mailbox, or all when `name` is empty; they are then in run->mailboxes. */
enum imap_step imap_call_mailboxes(struct imap_session *session, struct span name);

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
void imap_append_end(struct imap_session *session);
/* A line without its end, in IMAP_READS_SASL and IMAP_READS_IDLE. */
void imap_sasl_line(struct imap_session *session, struct span line);
void imap_idle_line(struct imap_session *session, struct span line);
/* In IDLE with something newer seen: begins to tell it. */
void imap_idle_news(struct imap_session *session);

#ifdef __cplusplus
}
#endif
#endif

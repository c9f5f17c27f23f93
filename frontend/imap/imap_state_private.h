/* imap_state_private.h: the structs of a session, and of a command under way.
 *
 * A command is a row in imap_commands.def. Its function parses the arguments and names the steps,
 * an array that the session walks (imap_run.c): each step writes at most IMAP_OUT_ROOM bytes, or
 * makes one wish and goes on in the next step once that is answered. */
#ifndef MAIL_IMAP_STATE_PRIVATE_H
#define MAIL_IMAP_STATE_PRIVATE_H

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
    IMAP_SAVED_RANGES_MAX = 64 * 1024, /* of a search result that is kept (RFC 5182) */
    IMAP_ORDER_MAX_BYTES = 16 * 1024 * 1024, /* of SORT and THREAD */
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
    uint64_t message_max; /* these three as the options were at the start */
    uint32_t line_max, failures_max;
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
    bool tls, condstore, qresync, watching, compressed;
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
    bool told_behind;          /* QRESYNC: HIGHESTMODSEQ was told below what is told */
    bool loaded;               /* `uids` holds the `exists` messages; else only their number */
    struct uid_set uids;
    struct uid_set saved;      /* "$" (RFC 5182) */
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

/* UIDs that are gone, to be told (RFC 7162 3.2.10); imap_vanished.c. */
struct imap_vanished {
    struct uid_set gone;
    size_t at;
    bool begun;
    /* (EARLIER): those among `known`, above `above`, gone since a mod-sequence. */
    struct uid_set known;
    uint32_t above;
    struct store_changes_request request;
    struct span expunged; /* uid_set.h, in the arena */
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
    struct imap_vanished *vanished; /* in the arena; its sets are freed with the run */
    struct uid_set fetched;      /* while loading: what was expunged */
    void *state;                 /* of the command, in the arena */
    void (*state_free)(struct imap_session *session, void *state);
};

#ifdef __cplusplus
}
#endif
#endif

/* coord_etcd_private.h: the back end `etcd`.
 *
 * coord_etcd.c         endpoints, log-in, one call with its answer read; opening and closing
 * coord_etcd_read.c    all rows of a prefix, page by page, at one revision
 * coord_etcd_follow.c  reads everything, then watches; looks whether the member is alive
 * coord_etcd_change.c  changes, refreshes
 * coord_etcd_lease.c   leases */
#ifndef MAIL_COORD_ETCD_PRIVATE_H
#define MAIL_COORD_ETCD_PRIVATE_H

#include "coord_http_private.h"
#include "coord_mirror.h"
#include "coord_private.h"
#include "coord_reply.h"
#include "coord_settle.h"
#include "coord_stream.h"

enum {
    ETCD_CALLS_MAX = 16,       /* at once; more wait */
    ETCD_CALL_MS = 2000,       /* for one answer */
    ETCD_LOGIN_MS = 5000,      /* bcrypt on a busy machine */
    ETCD_LOGINS_MAX = 2,       /* for one call */
    ETCD_TOKEN_MAX_BYTES = 1000,
    ETCD_RETRY_MS = 50,        /* to the next try of a call, */
    ETCD_RETRY_MAX_MS = 1000,  /* doubled up to this */
    ETCD_ALIVE_MS = 3000,      /* from one look at the member to the next */
};

struct etcd;

enum etcd_outcome {
    ETCD_ANSWER,  /* `reply` */
    ETCD_REFUSED, /* nothing was done (unless ERR_FULL), and will not be: err */
    ETCD_UNSENT,  /* nothing was done; worth another try */
    ETCD_UNKNOWN, /* it may have been done, or may still be */
};

struct etcd_answer {
    enum etcd_outcome outcome;
    struct err err;
    struct coord_reply *reply; /* until the callback returns; with ETCD_REFUSED it may be NULL */
};

/* One request and its answer. Stands in its owner; zeroed at first. */
struct etcd_call {
    struct list link;
    struct etcd *etcd; /* NULL: not under way */
    struct coord_http_call *http; /* NULL: it waits */
    struct later later;
    char *body; /* malloc'd; freed at its end */
    size_t body_len;
    const char *path;
    enum coord_reply_kind kind;
    uint64_t floor;       /* the highest revision known when it was sent */
    unsigned rotation;    /* of the endpoint it was sent to */
    unsigned token;       /* number of the token it had */
    unsigned logins;
    struct err unsent_err;
    void (*done)(struct etcd_call *call, const struct etcd_answer *answer);
};

/* All rows under a prefix, at one revision. Stands in its owner; zeroed at first. */
struct etcd_read {
    struct etcd *etcd; /* NULL: not under way */
    struct span prefix;
    struct coord_mirror rows; /* rows.rows.revision: the one they were read at */
    char after[COORD_KEY_MAX_BYTES];
    size_t after_len;
    unsigned limit, tries;
    uint64_t until_ms;
    struct etcd_call call;
    struct timer again;
    void (*done)(struct etcd_read *read, struct err err);
};

enum etcd_follow_state { FOLLOW_WAIT, FOLLOW_LOOK, FOLLOW_READ, FOLLOW_OPEN, FOLLOW_LIVE };

struct etcd_follow {
    enum etcd_follow_state state;
    struct err err; /* why not LIVE, for coord_state() */
    bool ever;      /* LIVE once */
    bool read_all;  /* what is watched is not what comes next */
    unsigned tries;
    struct timer timer; /* FOLLOW_WAIT: its end; FOLLOW_OPEN: the longest */
    struct etcd_call look;
    struct etcd_read read;
    size_t reading;
    struct coord_mirror fresh[COORD_PREFIXES_MAX];
    struct coord_stream stream;
    struct err stream_err; /* what on_stream() ended it for */
    struct coord_http_call *http;
    char *body;
    unsigned rotation, token;
    struct timer alive_timer;
    struct etcd_call alive;
    uint64_t alive_sent_ms, current_ms;
};

struct etcd {
    struct coord_back back;
    struct loop *loop;
    struct coord_options_copy *options;
    struct coord_http *http;
    struct coord_space space;
    char prefix[COORD_ETCD_PREFIX_MAX_BYTES];
    bool filling; /* as in struct coord */
    size_t endpoint;
    unsigned rotation; /* raised with each change of the endpoint */
    char token[ETCD_TOKEN_MAX_BYTES];
    unsigned token_number; /* raised with each token */
    bool has_token;
    struct coord_http_call *login;
    char login_body[COORD_REQUEST_LOGIN_BYTES];
    struct list waiting; /* calls */
    unsigned calls_count;
    uint64_t cluster, highest; /* of all answers' headers */
    struct coord_mirror mirror;
    /* Of each prefix of the options: all changes up to this are in the mirror; and what it has to
     * come to, since we know of it from elsewhere. */
    uint64_t seen[COORD_PREFIXES_MAX], expected[COORD_PREFIXES_MAX], overdue[COORD_PREFIXES_MAX];
    struct etcd_follow follow;
    struct list changes, refreshes, revokes;
};

/* ---- coord_etcd.c */

/* Sends `body`, malloc'd, which becomes the call's. `done` comes once, on a later turn. */
void etcd_call_start(struct etcd *etcd, struct etcd_call *call, char *body, size_t body_len);
/* Nothing is called any more. Harmless when it is not under way. */
void etcd_call_cancel(struct etcd_call *call);
/* The endpoint that was current at `rotation` is of no use: takes the next. */
void etcd_rotate(struct etcd *etcd, unsigned rotation);
/* The token with this number is not known any more. */
void etcd_token_drop(struct etcd *etcd, unsigned token);
const char *etcd_endpoint(const struct etcd *etcd);
/* How long to wait before try number `tries`. */
uint64_t etcd_retry_ms(unsigned tries);
/* The place of the prefix that a key is under, or the count of them. */
size_t etcd_prefix_of(const struct etcd *etcd, struct span key);
/* The watch of a prefix has to come to this revision. */
void etcd_expect(struct etcd *etcd, size_t prefix, uint64_t revision);
/* Takes a row from an answer (a NULL pointer in its value: none at that revision). */
void etcd_take_row(struct etcd *etcd, const struct coord_row *row);

/* ---- coord_etcd_read.c */

/* `read->prefix`, `done` are set; `revision` 0: now. ERR_... comes to `done` at `until_ms`. */
void etcd_read_start(struct etcd *etcd, struct etcd_read *read, uint64_t revision,
                     uint64_t until_ms);
void etcd_read_cancel(struct etcd_read *read);

/* ---- coord_etcd_follow.c */

void etcd_follow_start(struct etcd *etcd);
void etcd_follow_stop(struct etcd *etcd);
/* Everything is to be read anew. */
void etcd_follow_anew(struct etcd *etcd, struct err err);
/* The endpoint is another. */
void etcd_follow_moved(struct etcd *etcd);

/* ---- coord_etcd_change.c */

struct err etcd_change_start(struct coord_back *back, struct crew *crew,
                             struct coord_change_copy *change, coord_changed *changed,
                             void *holder);
struct err etcd_refresh_start(struct coord_back *back, struct span prefix, coord_done *done,
                              void *holder);
/* Ends all that is under way; those who wait are told on a later turn. */
void etcd_changes_close(struct etcd *etcd);

/* ---- coord_etcd_lease.c */

struct err etcd_lease_start(struct coord_back *back, struct coord_lease *lease);
void etcd_lease_stop(struct coord_lease *lease);
void etcd_revokes_close(struct etcd *etcd);

#endif

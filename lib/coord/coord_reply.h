/* coord_reply.h: answers of etcd's JSON gateway (v3) as structs. Pure.
 *
 * Its traps: numbers of 64 bits are strings; what is false, 0 or empty is left out (`succeeded`, a
 * revision, the type of a put, the number of the first watch, the TTL of a lease that is gone);
 * a refusal is an HTTP status with a JSON body, on a stream an object of its own, for a watch a
 * member `cancel_reason` of an answer with status 200. */
#ifndef MAIL_COORD_REPLY_H
#define MAIL_COORD_REPLY_H

#include "arena.h"
#include "coord_request.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    COORD_REPLY_MAX_BYTES = 16 * 1024 * 1024,
    COORD_REPLY_ROWS_MAX = 65536,
};

enum coord_reply_kind {
    COORD_REPLY_RANGE,
    COORD_REPLY_TXN,   /* the rows of all its readings */
    COORD_REPLY_LEASE, /* grant, keepalive, revoke */
    COORD_REPLY_LOGIN,
    COORD_REPLY_WATCH, /* one line of the stream; its rows are events */
};

/* What to do about a refusal. */
enum coord_refusal {
    COORD_REFUSED_NOT,   /* an answer */
    COORD_REFUSED,       /* for good, and nothing was done; or ERR_FULL (coord_settle.h) */
    COORD_REFUSED_LOGIN, /* the token is not known any more, nothing was done: log in, repeat */
    COORD_REFUSED_BUSY,  /* nothing was done: repeat */
    COORD_REFUSED_UNSURE /* it may have been done */
};

struct coord_reply {
    enum coord_refusal refusal;
    struct err err;     /* of a refusal */
    bool compacted;     /* refused, or the watch canceled: the revision is gone; read all again */
    uint64_t cluster, revision; /* of the header; 0: left out */
    struct coord_row *rows; /* keys without the space; a NULL pointer in a value: deleted */
    size_t rows_count;
    bool more, succeeded;
    uint64_t lease, seconds; /* 0 seconds: it is gone */
    struct span token;
    uint64_t watch;
    bool created, canceled, fragment;
    struct arena arena; /* what the spans point into */
};

/* `status` is that of HTTP, 200 for a line of a stream. Bytes that are no answer of this kind
 * (keys outside the space, bad base64, numbers that are none) are ERR_SYNTAX; ERR_TOO_BIG,
 * ERR_NOMEM; then there is nothing to free. */
MUST_USE struct err coord_reply_read(enum coord_reply_kind kind, struct coord_space space,
                                     unsigned status, struct span text, struct coord_reply *ret);
void coord_reply_free(struct coord_reply *reply);

#ifdef __cplusplus
}
#endif
#endif

/* coord_http_private.h: POST requests to etcd's gateway: libcurl's multi interface on the loop. */
#ifndef MAIL_COORD_HTTP_PRIVATE_H
#define MAIL_COORD_HTTP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "span.h"

struct loop;
struct coord_http;
struct coord_http_call;
struct coord_options;

enum {
    COORD_HTTP_CALLS_MAX = 64,
    COORD_HTTP_CONNECT_MS = 1000,
    COORD_HTTP_URL_MAX_BYTES = 1100,
    COORD_HTTP_HEADER_MAX_BYTES = 1100,
};

/* The files of `options` are read again for each new connection; their names live as long. */
MUST_USE struct err coord_http_new(struct loop *loop, const struct coord_options *options,
                                   struct coord_http **ret);
/* Calls under way are cancelled. Takes NULL. */
void coord_http_free(struct coord_http *http);

enum coord_http_outcome {
    COORD_HTTP_ANSWERED, /* to its end, with a status */
    COORD_HTTP_UNSENT,   /* the other end has seen no byte of the request */
    COORD_HTTP_LOST,     /* it may have seen all of it */
};

struct coord_http_result {
    enum coord_http_outcome outcome;
    unsigned status;
    struct span body; /* until the callback returns; of a stream: empty */
    struct err err;   /* unless ANSWERED */
};

struct coord_http_request {
    const char *endpoint, *path;
    const char *token;  /* for Authorization; empty: none */
    struct span body;   /* stays the caller's, and as it is, until the call ends */
    size_t reply_max;   /* bytes; more is LOST with ERR_TOO_BIG */
    unsigned wait_ms;   /* 0: a stream without an end */
    /* A stream: given bytes as they come, within libcurl: it starts and cancels nothing, and
     * returns false to have the call end. NULL: the body is collected. */
    bool (*data)(void *holder, struct span bytes);
    void (*done)(void *holder, const struct coord_http_result *result);
    void *holder;
};

/* Leads to `done` once, on a later turn, unless it is cancelled. The request is sent at most once:
 * libcurl does not repeat it on another connection by itself. ERR_BUSY, ERR_NOMEM. */
MUST_USE struct err coord_http_start(struct coord_http *http,
                                     const struct coord_http_request *request,
                                     struct coord_http_call **ret);
/* Nothing is called any more. Not within `data`. Takes NULL. */
void coord_http_cancel(struct coord_http_call *call);

#endif

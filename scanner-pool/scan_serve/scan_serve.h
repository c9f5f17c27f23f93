/* scan_serve.h: the calls of scan.proto. One loop. */
#ifndef MAIL_SCAN_SERVE_H
#define MAIL_SCAN_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body_budget;
struct engines;
struct loop;
struct metrics_text;
struct rpc_self;

enum {
    SCAN_SERVE_DEADLINE_MS = 60000,  /* of a call that brings none */
    SCAN_SERVE_CAPACITY_MS = 100,    /* between two words about busy workers */
    SCAN_SERVE_BEAT_MS = 1000,       /* the same word again, while any is busy */
};

struct scan_serve_options {
    const char *const *addresses; /* as in rpc_server.h */
    unsigned addresses_count;
    struct rpc_self *self;     /* outlives it */
    struct body_budget *budget;
    unsigned waiting_max;      /* messages without a worker; BUSY beyond */
};

struct scan_serve;

/* `engines` and what `options` refers to outlive it. */
MUST_USE struct err scan_serve_open(struct loop *loop, struct engines *engines,
                                    const struct scan_serve_options *options,
                                    struct scan_serve **ret);

/* The engines changed: tells those who watch, and gives waiting messages to free workers. */
void scan_serve_changed(struct scan_serve *serve);

/* Whether the signatures are too old to be trusted: it is not ready then. Not at first. */
void scan_serve_set_old(struct scan_serve *serve, bool old);
/* What keeps it from taking messages; empty: it is ready. A literal. */
struct span scan_serve_missing(const struct scan_serve *serve);

/* Appends to /metrics: calls, messages that wait. */
void scan_serve_metrics(const struct scan_serve *serve, const struct metrics_text *text);

/* Takes no new calls; ends the watching ones. */
void scan_serve_drain(struct scan_serve *serve);

/* Messages that wait or are being scanned. */
unsigned scan_serve_open_calls(const struct scan_serve *serve);

/* The port it listens on, for port 0. */
uint16_t scan_serve_port(const struct scan_serve *serve);

/* Ends all calls with CANCELLED and closes; `closed(holder)` comes on a later turn and is the
 * last: the engines may be closed then. */
void scan_serve_close(struct scan_serve *serve, void (*closed)(void *holder), void *holder);

#ifdef __cplusplus
}
#endif
#endif

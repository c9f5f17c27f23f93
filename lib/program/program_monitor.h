/* program_monitor.h: what a program says of itself to whoever runs it, over HTTP on an address of
 * its own:
 *
 *   /healthz   200 while its loop turns
 *   /readyz    200 when it can serve, else 503 with what is missing; then what else is to be known
 *   /metrics   numbers in Prometheus' text form
 *
 * No token is asked for, and nothing of a tenant is shown: the address is an inner one. */
#ifndef MAIL_PROGRAM_MONITOR_H
#define MAIL_PROGRAM_MONITOR_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;
struct http_request;
struct loop;
struct metrics_text;
struct program_monitor;

enum {
    PROGRAM_MONITOR_CLIENTS_MAX = 64,       /* connections; further ones are closed */
    PROGRAM_MONITOR_IDLE_MS = 30000,
    PROGRAM_METRICS_MAX_BYTES = 256 * 1024, /* 500 beyond */
};

/* Where the answers come from; asked on the loop, and none of it may block. */
struct program_monitor_source {
    unsigned programs;       /* enum metrics_of: whose counted rows are shown */
    struct span prefix;      /* of all names, like "godwit_scanner_" */
    /* What is missing to serve; empty: it is ready. Lives until the loop turns. */
    struct span (*missing)(void *holder);
    /* What is worth a second line of /readyz, whether it is ready or not; empty: nothing is. Lives
     * until the loop turns. May be NULL. */
    struct span (*detail)(void *holder);
    /* Adds what is looked up. May be NULL. */
    void (*metrics)(void *holder, const struct metrics_text *text);
    void *holder;
};

/* Listens at `address`, "ip:port"; logs it when that can't be (SERVICE_FAILED), with errors as
 * listener_open(). The source is copied. */
MUST_USE struct err program_monitor_open(struct loop *loop, const char *address,
                                         const struct program_monitor_source *source,
                                         struct program_monitor **ret);
/* The port, for port 0. */
uint16_t program_monitor_port(const struct program_monitor *monitor);
/* Breaks its connections and listens no more. Memory is freed as the loop turns. Takes NULL. */
void program_monitor_close(struct program_monitor *monitor);

/* The answer to one request: its status, and the body in `body` (PROGRAM_METRICS_MAX_BYTES of
 * room), which starts empty. */
unsigned program_monitor_answer(const struct program_monitor_source *source,
                                const struct http_request *request, struct buf *body);

/* Everything of /metrics: counted rows, the process itself, and what the source looks up. */
void program_metrics_put(const struct program_monitor_source *source, struct buf *to);

#ifdef __cplusplus
}
#endif
#endif

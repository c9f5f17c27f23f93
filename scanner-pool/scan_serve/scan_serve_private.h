/* scan_serve_private.h: what the two calls share. */
#ifndef MAIL_SCAN_SERVE_PRIVATE_H
#define MAIL_SCAN_SERVE_PRIVATE_H

#include "engines.h"
#include "list.h"
#include "rpc.h"
#include "scan_msg.h"
#include "scan_serve.h"
#include "timer.h"
#include "triage.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_server;
struct rpc_serving;

struct scan_serve {
    struct loop *loop;
    struct engines *engines;
    struct rpc_server *server;
    struct triage triage;
    struct list calls;   /* of struct scan_serve_call */
    unsigned calls_count;
    struct list watches; /* of struct scan_serve_watch */
    struct timer capacity_timer, beat_timer;
    struct engines_status said; /* what the watching ones last heard */
    unsigned said_busy;
    bool said_ready;
    bool draining, signatures_old;
    void (*closed)(void *holder);
    void *holder;
};

/* scan_serve_scan.c */
void scan_serve_scan(void *holder, struct rpc_serving *serving);
/* Gives waiting messages to free workers. */
void scan_serve_pump(struct scan_serve *serve);
void scan_serve_end_scans(struct scan_serve *serve);

/* scan_serve.c */
bool scan_serve_is_ready(const struct scan_serve *serve);

/* scan_serve_capacity.c */
void scan_serve_capacity(void *holder, struct rpc_serving *serving);
void scan_serve_tell(struct scan_serve *serve);
void scan_serve_end_watches(struct scan_serve *serve);

#ifdef __cplusplus
}
#endif
#endif

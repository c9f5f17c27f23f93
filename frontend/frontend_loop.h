/* frontend_loop.h: one loop of a frontend with all it needs. Loops share nothing but the crew, the
 * budget for bodies, and snapshots. */
#ifndef MAIL_FRONTEND_LOOP_H
#define MAIL_FRONTEND_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "api_options.h"
#include "directory_resolve.h"
#include "door.h"
#include "front.h"
#include "imap_session.h"
#include "intake.h"
#include "login_check.h"
#include "timer.h"
#include "wake.h"

enum { FRONTEND_LOOPS_MAX = 64, FRONTEND_SCANNERS_MAX = 64, FRONTEND_HASH_BYTES = 256 };

/* What all loops of the program share; made by main before any loop runs. */
struct frontend {
    const char *coord;                       /* directory */
    const char *addresses[DOOR_SERVICES];    /* NULL: not served */
    const char *scanners[FRONTEND_SCANNERS_MAX];
    unsigned scanners_count;
    struct body_budget *budget;
    struct crew *crew;
    struct tls_context *tls;                 /* of the start; each loop has its reference */
    struct tls_context *client_tls;          /* for connections to other servers */
    char decoy[FRONTEND_HASH_BYTES];         /* a stored password that nobody knows */
    char hostname[256];
};

struct frontend_loop {
    struct frontend *frontend;
    struct loop *loop;
    struct front front;
    struct directory_resolver resolver;
    struct login_services login;
    struct intake_services intake;
    struct imap_options imap, imap_open; /* open: passwords without TLS are allowed */
    struct coord *coord;
    struct coord_watch *watch;
    struct place_map *map;
    struct scan_pool *scan;
    struct courier *courier;
    struct dns *dns, *old_dns;
    struct front_settings *courier_settings; /* what the courier was given last */
    struct door *doors[DOOR_SERVICES];
    struct frontend_probe *probe;
    struct frontend_warn *warn;
    pthread_t thread;
    struct wake stop_wake, tls_wake;
    struct tls_context *new_tls;
    struct timer drain;
    unsigned number;
    unsigned tell_looks;
    bool stopping;
};

/* Makes everything and opens the listeners; nothing runs yet. */
MUST_USE struct err frontend_loop_open(struct frontend *frontend, unsigned number,
                                       struct frontend_loop **ret);
/* Runs until stopped, on the calling thread. */
void frontend_loop_run(struct frontend_loop *loop);
/* From any thread: take no more, let sessions end, then return from run. */
void frontend_loop_stop(struct frontend_loop *loop);
/* From any thread: new connections use these certificates (a reference is taken). */
void frontend_loop_set_tls(struct frontend_loop *loop, struct tls_context *tls);

/* frontend_conf.c: reads the configuration anew; what can't be read stays as it was. */
void frontend_conf_read(struct frontend_loop *loop);
MUST_USE struct err frontend_conf_first(struct frontend_loop *loop);

/* frontend_probe.c: whether the storage node answers. */
MUST_USE struct err frontend_probe_new(struct frontend_loop *loop, struct frontend_probe **ret);
bool frontend_probe_ok(const struct frontend_probe *probe);
void frontend_probe_free(struct frontend_probe *probe);

/* frontend_warn.c: warning mail to those whose box is nearly full. */
MUST_USE struct err frontend_warn_new(struct frontend_loop *loop, struct frontend_warn **ret);
void frontend_warn_free(struct frontend_warn *warn);

/* frontend_courier.c: the courier of the loop. */
MUST_USE struct err frontend_courier_open(struct frontend_loop *loop);
/* The settings have changed. */
void frontend_courier_configure(struct frontend_loop *loop);

/* frontend_body.c: stored bodies for IMAP. */
struct err frontend_body_open(void *holder, struct span stored, struct imap_opened *ret);
void frontend_body_close(void *holder, struct imap_opened *opened);

/* frontend_metrics.c: /metrics. */
struct err frontend_metrics(void *holder, struct arena *arena, struct span *ret);

#endif

/* frontend_loop.h: one loop of a frontend with all it needs. Loops share nothing but the crew, the
 * budget for bodies, and snapshots. */
#ifndef MAIL_FRONTEND_LOOP_H
#define MAIL_FRONTEND_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "api_options.h"
#include "coord.h"
#include "crew.h"
#include "directory_resolve.h"
#include "door.h"
#include "front.h"
#include "imap_session.h"
#include "intake.h"
#include "login_check.h"
#include "pop3_session.h"
#include "sealed.h"
#include "timer.h"
#include "wake.h"

struct buf;
struct frontend_loop;
struct mapping_pool;
struct sync;
struct frontend_probe;
struct frontend_tls;

enum { FRONTEND_LOOPS_MAX = 64, FRONTEND_SCANNERS_MAX = 64, FRONTEND_HASH_BYTES = 256,
       FRONTEND_SECRET_MAX_BYTES = 1024, FRONTEND_MISSING_BYTES = 192,
       FRONTEND_HASHES_MAX = 10000 }; /* passwords that wait to be hashed: BUSY beyond */

/* What all loops of the program share; made by main before any loop runs. */
struct frontend {
    struct coord_options coord;              /* texts of `boot` */
    const char *addresses[DOOR_SERVICES];    /* NULL: not served */
    const char *scanners[FRONTEND_SCANNERS_MAX];
    unsigned scanners_count;                 /* 0: as the configuration store lists them */
    struct body_budget *budget;
    struct door_limits *limits;
    struct crew *crew, *hash_crew;           /* hash_crew: passwords, made with the first loop */
    struct mapping_pool *mapping;            /* LDAP directories of domains */
    const char *tls_cert, *tls_key;          /* files; NULL: no TLS */
    struct tls_context *tls;                 /* the first loop's; each has a reference of its own */
    struct tls_context *client_tls;          /* for connections to other servers */
    struct rpc_self *self;                   /* who calls storage nodes and scanners */
    struct tls_context *verify_tls;          /* the same with certificates that hold */
    struct frontend_loop *loops[FRONTEND_LOOPS_MAX]; /* NULL: not open yet */
    struct frontend_loop *half_open;         /* could not be opened: the program ends */
    unsigned loops_count;
    char decoy[FRONTEND_HASH_BYTES];         /* a stored password that nobody knows, and its cost */
    struct login_cost decoy_cost;
    char hostname[256];
    struct sealed_keys keys;                 /* of secrets in the configuration */
    const char *name;                        /* --name */
};

/* A decoy being made at another cost. */
struct frontend_decoy {
    struct crew_job job;
    struct frontend_loop *loop;
    struct login_cost cost;
    size_t len;
    bool is_under_way;
    char text[FRONTEND_HASH_BYTES];
};

/* The last stored body that was made readable. */
struct frontend_kept {
    char *bytes;
    size_t size;
    bool lent;
};

struct frontend_loop {
    struct frontend *frontend;
    struct loop *loop;
    struct front front;
    struct directory_resolver resolver;
    struct login_services login;
    struct meter *meter;
    struct frontend_decoy decoy;
    char decoy_text[FRONTEND_HASH_BYTES]; /* what login.decoy points to, once one was made */
    unsigned remakes;
    struct intake_services intake;
    struct frontend_kept kept;
    struct imap_options imap, imap_open; /* open: passwords without TLS are allowed */
    struct pop3_options pop3, pop3_open;
    struct coord *coord;
    struct coord_watch *watch, *scanners_watch;
    struct sync *sync;       /* of the first loop */
    struct place_map *map;
    const char *map_missing; /* while front.waiting: why it can't be gone by */
    struct scan_pool *scan;
    struct courier *courier;
    struct dns *dns;
    struct front_settings *courier_settings; /* what the courier was given last */
    struct door *doors[DOOR_SERVICES];
    struct frontend_probe *probe;
    struct frontend_warn *warn;
    pthread_t thread;
    struct wake stop_wake, tls_wake;
    _Atomic(struct tls_context *) new_tls;   /* on its way here */
    atomic_bool is_told_to_stop;
    struct frontend_tls *tls;                /* of the first loop; NULL: no TLS */
    struct timer drain;
    uint8_t drain_stage;     /* of frontend_drain.c */
    uint64_t drain_until_ms; /* loop_now_ms() */
    unsigned number;
    unsigned scanners_said;   /* how many there were, as last logged */
    unsigned tell_looks;      /* after the drain */
    uint64_t options_seen;    /* a mark of the rows that options were read from last */
    uint64_t tenants_seen;    /* a mark of all rows of tenants */
    atomic_ullong options_revision; /* in force; any thread may look */
    char missing[FRONTEND_MISSING_BYTES];    /* what a refusal is told by */
    char said_missing[FRONTEND_MISSING_BYTES]; /* as last logged, if said_ready */
    bool said_ready;
};

/* Makes everything and opens the listeners; nothing runs yet. */
MUST_USE struct err frontend_loop_open(struct frontend *frontend, unsigned number,
                                       struct frontend_loop **ret);
/* Runs until stopped, on the calling thread. */
void frontend_loop_run(struct frontend_loop *loop);
/* frontend_drain.c. From any thread: take no more, let sessions end, then return from run. Asked
 * again, it goes on to the next of these steps at once. */
void frontend_loop_stop(struct frontend_loop *loop);
/* It has been asked to stop, and is not ready any more. */
bool frontend_is_leaving(const struct frontend_loop *loop);
/* From any thread: new connections use these certificates (a reference is taken). */
void frontend_loop_set_tls(struct frontend_loop *loop, struct tls_context *tls);

/* Logs whether all that it takes to serve is there, and what is not, if that is news. */
void frontend_say_ready(struct frontend_loop *loop);
/* frontend_tls.c: TLS of all loops, by the first. */
MUST_USE struct err frontend_tls_open(struct frontend_loop *loop);
void frontend_tls_configure(struct frontend_loop *loop);
/* Reads the files of the certificate anew. */
void frontend_tls_reload(struct frontend_loop *loop);

/* frontend_conf.c: reads the configuration anew; what can't be read stays as it was. */
void frontend_conf_read(struct frontend_loop *loop);
MUST_USE struct err frontend_conf_first(struct frontend_loop *loop);
/* frontend_domains.c: the directory, of which only what has changed is read. */
MUST_USE struct err frontend_domains_read(struct frontend_loop *loop);
/* Tells the administrator of something in the configuration that is refused. */
void frontend_complain(const char *what, const char *why);

/* frontend_scanners.c: has loop->scan follow the list of scanners, unless it was given one. */
MUST_USE struct err frontend_scanners_open(struct frontend_loop *loop);

/* frontend_warn.c: warning mail to those whose box is nearly full. */
MUST_USE struct err frontend_warn_new(struct frontend_loop *loop, struct frontend_warn **ret);
void frontend_warn_free(struct frontend_warn *warn);

/* frontend_courier.c: the courier of the loop. */
MUST_USE struct err frontend_courier_open(struct frontend_loop *loop);
/* The settings have changed. */
void frontend_courier_configure(struct frontend_loop *loop);

/* frontend_login.c: passwords. */
MUST_USE struct err frontend_login_crew(struct frontend_loop *loop); /* of all loops */
MUST_USE struct err frontend_login_open(struct frontend_loop *loop);
void frontend_login_configure(struct frontend_loop *loop);
struct login_cost frontend_cost(const struct frontend_loop *loop);
/* Blocking. */
MUST_USE struct err frontend_hash(struct span password, const struct login_cost *cost, char *ret,
                                  size_t *len);

/* frontend_sync.c: users of domains with LDAP directories, by the first loop. */
MUST_USE struct err frontend_sync_open(struct frontend_loop *loop);

/* frontend_secret.c: secrets as text for the configuration store, and back. `whose` is the place
 * where it stands. ERR_TOO_BIG; as sealed_open(). */
MUST_USE struct err frontend_seal(const struct frontend *frontend, struct span whose,
                                  struct span secret, struct buf *to);
MUST_USE struct err frontend_unseal(const struct frontend *frontend, struct span whose,
                                    struct span text, struct buf *to);

/* frontend_body.c: stored bodies for IMAP; the holder is the loop. */
struct err frontend_body_open(void *holder, struct span stored, struct imap_opened *ret);
void frontend_body_close(void *holder, struct imap_opened *opened);

/* frontend_unpack.c: POP3 over what the loop has; `sasl` is made by then. */
void frontend_pop3_options(struct frontend_loop *loop);

/* frontend_metrics.c: /metrics. */
struct err frontend_metrics(void *holder, struct arena *arena, struct span *ret);

#endif

/* sync_private.h: looks under way.
 *
 *   sync.c       who holds the office, and which domain is due
 *   sync_run.c   one look at one domain's directory
 *   sync_call.c  what it asks of the API
 *   sync_tell.c  what came of it, for those who ask the API
 *   sync_plan.c  what is to be done (pure) */
#ifndef MAIL_SYNC_PRIVATE_H
#define MAIL_SYNC_PRIVATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api.h"
#include "arena.h"
#include "coord_lease.h"
#include "crew.h"
#include "directory.h"
#include "http_session.h"
#include "map.h"
#include "mapping_pool.h"
#include "roster.h"
#include "sync.h"
#include "sync_plan.h"
#include "timer.h"

enum { SYNC_SAID_BYTES = 300, SYNC_PATH_BYTES = 1200 };

/* A domain with a directory. */
struct sync_place {
    struct span name;
    struct sync_run *run;     /* under way, or NULL */
    uint64_t mark, due_ms;    /* of the settings it was looked at by; when it is next */
    uint64_t refused_mark;    /* of what was last told of entries */
    char failure[SYNC_SAID_BYTES]; /* as last told; empty: the last look was whole */
    uint64_t told_ms, told_mark; /* of its row: when it was written last (0: never), what of */
    bool is_there;            /* scratch of sync.c */
};

struct sync {
    struct sync_options options;
    struct map places;        /* by name */
    struct coord_watch *watch;
    struct coord_lease *lease;
    struct timer timer;
    struct roster_id boot;    /* of this process: whose the row is */
    unsigned runs, telling;   /* under way */
    bool holds, standing, stopped;
};

/* A call of the API under way. */
struct sync_call {
    struct sync_run *run;
    struct http_request request;
    char path[SYNC_PATH_BYTES], query[SYNC_PATH_BYTES];
    char *body; /* malloc'd by jansson */
    /* `json` is the answer, or NULL when it is none; with a status of 300 and more `detail` says
     * why not. */
    void (*done)(struct sync_call *call, unsigned status, const json_t *json, const char *detail);
    const struct sync_change *change;
};

struct sync_told {
    struct span entry, why;
};

struct sync_run {
    struct crew_job job;      /* the plan */
    struct sync *sync;
    struct sync_place *place;
    struct arena arena;
    struct sync_rules rules;
    struct api_own own;
    struct mapping_job *search;
    struct mapping_found found;
    struct sync_account *accounts;
    size_t accounts_count, accounts_size;
    struct sync_plan plan;
    struct err plan_err;
    size_t next;              /* of the plan's changes */
    unsigned under_way, made, changed, gone, failed;
    struct sync_told told[SYNC_TOLD_MAX];
    size_t told_count;
    uint64_t refused_mark;
    bool is_given_up;         /* the office is lost, or the program ends */
};

/* What came of a look. `failure` is empty, or says why it was not whole: then nothing is known of
 * the rest. */
struct sync_said {
    uint32_t tenant;
    const char *failure;
    size_t entries, made, changed, disabled, refused;
    bool is_news; /* the failure is another than before */
};

/* ---- sync_tell.c */
void sync_tell(struct sync *sync, struct sync_place *place, const struct sync_said *said);
/* The domain has no directory any more. */
void sync_untell(struct sync *sync, struct span name);
/* The same of those that had one before this program held the office. */
void sync_sweep(struct sync *sync);

/* ---- sync.c */
/* Frees it when it is stopped and nothing is under way. */
void sync_end(struct sync *sync);
/* The look is over; `failure` is empty, or says why nothing was done. */
void sync_run_over(struct sync_run *run, const char *failure);

/* ---- sync_run.c */
MUST_USE struct err sync_run_start(struct sync *sync, struct sync_place *place,
                                   const struct directory_domain *domain);
void sync_run_give_up(struct sync_run *run);
/* An entry or an address that does not become a user. */
void sync_run_tell(struct sync_run *run, struct span entry, struct span why);

/* ---- sync_call.c: a request of the run; `body` is taken, NULL: none. `done` comes later, ERR
 * here: never, and the body is freed all the same. */
struct sync_ask {
    struct span method, path, argument, query; /* the argument follows the path, encoded */
    json_t *body;
    const struct sync_change *change;
    void (*done)(struct sync_call *call, unsigned status, const json_t *json, const char *detail);
};
MUST_USE struct err sync_call_start(struct sync_run *run, const struct sync_ask *ask);
/* Appends `text` as it may stand in a path or a query. */
void sync_call_encode(struct buf *to, struct span text);

#endif

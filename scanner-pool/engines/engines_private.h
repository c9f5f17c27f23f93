/* engines_private.h: the scanner's side: sets (a zygote each), workers, and who replaces whom. */
#ifndef MAIL_ENGINES_PRIVATE_H
#define MAIL_ENGINES_PRIVATE_H

#include "engines.h"
#include "later.h"
#include "timer.h"
#include "wire_private.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop_poll;

enum {
    ENGINES_NUMBERS = ENGINES_WORKERS_MAX * 2, /* workers of all sets together */
    ENGINES_STARTING_MAX = 4,      /* workers being started at a time */
    ENGINES_JOBS_MAX = 20000,      /* of one worker; then it is replaced */
    ENGINES_GRACE_MS = 3000,       /* beyond scan_ms, for a worker to end by itself */
    ENGINES_START_MS = 30000,      /* for a worker to be shut in and proved */
    ENGINES_LOAD_MS = 600000,      /* for a zygote to load */
    ENGINES_FILL_BYTES = 4 * 1024 * 1024, /* copied in one turn of the loop */
    ENGINES_BACKOFF_MIN_MS = 100,
    ENGINES_BACKOFF_MAX_MS = 30000,
};

enum engines_set_state { SET_LOADING, SET_PROVING, SET_LIVE, SET_ENDING };

struct engines_set {
    struct engines *engines;
    enum engines_set_state state;
    pid_t zygote;
    int control;
    struct loop_poll *watch;
    struct timer timer;
    unsigned workers;  /* not dead yet */
    uint64_t stamp;    /* of the folder when it was loaded; 0: it changed meanwhile */
    bool is_bad;       /* it failed for what is in it */
    struct wire_news loaded;
    struct engines_set *next; /* in engines->ending */
};

enum engines_worker_state {
    WORKER_FREE,     /* nobody has this number */
    WORKER_STARTING, /* ordered; has not said how it is shut in */
    WORKER_PROVING,  /* looks at a canary */
    WORKER_IDLE,
    WORKER_BUSY,
    WORKER_DYING,    /* killed, or seen dead; not buried */
};

struct engines_worker {
    struct engines *engines;
    struct engines_set *set;
    enum engines_worker_state state;
    unsigned number, jobs;
    pid_t pid;
    int socket, folder, memfd;  /* memfd: of a large message that is being copied; else -1 */
    struct loop_poll *watch;
    char *slot;                 /* WIRE_SLOT_BYTES, shared with the worker */
    uint64_t serial;
    uint32_t sandbox, reach_after;
    unsigned canary;            /* the one it looks at */
    struct engines_job *job;
    struct timer timer;
    struct later later;         /* the next piece of a large message */
};

struct engines {
    struct loop *loop;
    struct engines_options options;
    const struct engines_user *user;
    void *holder;
    struct engines_set *live, *coming, *ending;
    bool reload_again;          /* asked for while one was coming */
    bool closing;
    bool lacks_said;            /* the sandbox's missing layers were logged */
    uint64_t stamp;             /* of the folder as last loaded */
    unsigned sets_refused, workers_lost;
    uint64_t sets_proved;
    uint64_t refused_stamp;
    bool refused_is_bad;
    size_t refused_why_len;
    char refused_why[ENGINES_WHY_MAX_BYTES];
    unsigned set_failures, worker_failures; /* in a row */
    struct timer set_retry, worker_retry;
    struct later changed;
    uint32_t reach_before;
    unsigned numbers;           /* of workers[]: for two sets and a few that die */
    struct engines_worker workers[];
};

/* engines.c */
void engines_log(struct engines *engines, enum engines_level level, const char *event,
                 struct span text);
/* Brings the workers to what they should be: as many as asked for, of the live set. */
void engines_balance(struct engines *engines);
void engines_note_change(struct engines *engines);
uint64_t engines_backoff_ms(unsigned failures);
/* A set has shown that it is good, or is not. */
void engines_set_proved(struct engines_set *set);
void engines_set_failed(struct engines_set *set, const char *event, struct span why);

/* engines_set.c */
MUST_USE struct err engines_set_open(struct engines *engines, struct engines_set **ret);
/* Has the zygote end; the set frees itself when it and its workers have. */
void engines_set_end(struct engines_set *set);
/* At once. */
void engines_set_kill(struct engines_set *set);
/* Waits for a set that ends, SET_END_MS at most before it is killed, and frees it. */
void engines_set_wait(struct engines_set *set);

/* engines_worker.c */
MUST_USE struct err engines_worker_start(struct engines_set *set);
void engines_worker_kill(struct engines_worker *worker);
/* The zygote has buried it. */
void engines_worker_buried(struct engines_worker *worker, int status);
void engines_worker_prove(struct engines_worker *worker);
void engines_worker_give(struct engines_worker *worker, struct span bytes);

/* engines_job.c */
MUST_USE struct err engines_job_start(struct engines_worker *worker, struct engines_job *job);
void engines_job_end(struct engines_worker *worker, const struct engines_result *result);
void engines_job_lost(struct engines_worker *worker, enum engines_outcome outcome);

/* engines_folder.c */
/* A private folder for a worker, emptied if it is there: its descriptor, or -1. */
int engines_folder_make(const struct engines_options *options, unsigned number);
void engines_folder_remove(const struct engines_options *options, unsigned number);

#ifdef __cplusplus
}
#endif
#endif

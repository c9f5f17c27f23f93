/* checkpoint_fetch_private.h: a checkpoint on its way into a copy. */
#ifndef MAIL_CHECKPOINT_FETCH_PRIVATE_H
#define MAIL_CHECKPOINT_FETCH_PRIVATE_H

#include "checkpoint_fetch.h"
#include "checkpoint_files_private.h"
#include "crew.h"
#include "later.h"
#include "list.h"
#include "roster.h"
#include "shard_install.h"
#include "timer.h"
#include "wake.h"

enum { FETCH_PATH_BYTES = 1024 };

struct shard;

/* A piece that waits to be written. */
struct fetch_piece {
    struct fetch_piece *next;
    struct checkpoint_piece piece; /* its bytes are behind */
    char bytes[];
};

struct fetch {
    struct shard_install install;
    struct checkpoint_fetcher *fetcher;
    struct shard *shard;
    uint32_t number;
    struct roster_id from;
    struct rpc_client *client;
    struct rpc_call *call; /* NULL: none is under way */
    struct checkpoint_take *take;
    struct checkpoint_open open;      /* the crew's */
    char path[FETCH_PATH_BYTES];
    struct fetch_piece *first, *last; /* to be written */
    struct timer timer;               /* stall, break, asking again */
    struct wake wake;                 /* from the shard's thread */
    struct crew_job job;
    bool at_work;    /* the job is under way */
    bool told;       /* what the shard said came before the job was done */
    struct err err;  /* of the job */
    struct err said; /* of the shard */
    struct err bad;  /* why the call is broken off */
    unsigned breaks, asks;
};

struct checkpoint_fetcher {
    struct loop *loop;
    struct checkpoint_fetcher_options options;
    struct fetch *fetches[CHECKPOINT_FETCHES_MAX];
    bool closing;
    struct later over; /* nothing is under way any more */
};

/* Has `run` called on the crew, then `done` on the loop. ERR_BUSY: nothing is called. */
MUST_USE struct err fetch_work(struct fetch *fetch, void (*run)(struct crew_job *),
                               void (*done)(struct crew_job *));
/* Waits, then goes on with `run`. */
void fetch_wait(struct fetch *fetch, uint64_t wait_ms, void (*run)(void *holder));
/* The same, as long as after a break. */
void fetch_pause(struct fetch *fetch, void (*run)(void *holder));
/* It comes to nothing, or is done: tells, and frees. */
void fetch_end(struct fetch *fetch, struct err err);
/* All is here; checkpoint_install.c. */
void fetch_look(struct fetch *fetch);
/* What was fetched is no good: from the beginning, or not at all. */
void fetch_anew(struct fetch *fetch, struct err why);

#endif

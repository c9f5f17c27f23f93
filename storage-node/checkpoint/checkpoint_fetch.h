/* checkpoint_fetch.h: gets checkpoints for the copies of this node that are beyond their leader's
 * log, and has them installed (shard_install.h). One loop, each on a connection of its own.
 *
 *   fetching    into DIR/shards/<s>.incoming, piece by piece, each with its checksum. After a break
 *               it goes on where it was, as long as the leader has the checkpoint; else anew
 *   looking     all files are as long as they should be and on the disk; it opens as a store, whose
 *               row `applied` says what it is
 *   installing  when the copy says that it may
 *
 * Whatever goes wrong before the installing leaves the copy as it is: the leader says again that it
 * is behind. */
#ifndef MAIL_CHECKPOINT_FETCH_H
#define MAIL_CHECKPOINT_FETCH_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct checkpoint_fetcher;
struct crew;
struct loop;
struct roster_id;
struct rpc_self;
struct store_node;

enum {
    CHECKPOINT_FETCHES_MAX = 2,     /* shards at a time; BUSY beyond */
    CHECKPOINT_BREAKS_MAX = 10,     /* without a piece between them; it is given up then */
    CHECKPOINT_BREAK_MS = 500,      /* before it goes on */
    CHECKPOINT_STALL_MS = 30 * 1000, /* without anything from the leader: a break */
    CHECKPOINT_ASK_MS = 200,        /* the copy is busy: it is asked again, */
    CHECKPOINT_ASKS_MAX = 300,      /* so often */
};

struct checkpoint_notice {
    uint32_t shard;
    struct err err;        /* OK: the copy is what the checkpoint says */
    uint64_t epoch, index; /* then */
};

struct checkpoint_fetcher_options {
    struct store_node *node;
    struct crew *crew;            /* writes files, opens stores */
    struct rpc_self *self;
    const struct roster_id *boot; /* of this process */
    uint64_t break_ms;            /* 0: CHECKPOINT_BREAK_MS */
    /* How one ended; on the loop. */
    void (*noticed)(void *holder, const struct checkpoint_notice *notice);
    /* After checkpoint_fetcher_close(): nothing of it is under way. */
    void (*closed)(void *holder);
    void *holder;
};

MUST_USE struct err checkpoint_fetcher_open(struct loop *loop,
                                            const struct checkpoint_fetcher_options *options,
                                            struct checkpoint_fetcher **ret);
/* The open shard needs a checkpoint (shard_peers_calls.behind) of the store `from`, which takes its
 * calls at `address` (rpc_client.h). On the loop. ERR_EXISTS: one is under way for it; ERR_BUSY:
 * for too many others; ERR_NOT_FOUND: the shard is not open; ERR_SYNTAX: the address; ERR_NOMEM. */
MUST_USE struct err checkpoint_fetcher_want(struct checkpoint_fetcher *fetcher, uint32_t shard,
                                            const struct roster_id *from, struct span address);
/* Fetching ends at once, an installation first comes to where a start can go on. Takes NULL. */
void checkpoint_fetcher_close(struct checkpoint_fetcher *fetcher);

#ifdef __cplusplus
}
#endif
#endif

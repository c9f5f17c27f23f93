/* peers.h: what the copies of this node's shards need from outside (shard_copy.h): the way to the
 * other nodes, and to the cluster's rows.
 *
 * Messages: `rpc Tell` of proto/replica.proto; how a call is put together is described in
 * replica_wire.c. For each other data directory there is one connection for all shards, and two
 * queues: entries, and everything else (beats, acknowledgements), which so never stands behind a
 * large body. Of each queue one call is under way at a time; what comes meanwhile goes with the
 * next one, so that the messages of many shards, and the entries that one fsync made durable,
 * travel together, and entries arrive in their order. A call is answered as soon as its messages
 * are with their shards; what they say to it comes as messages of their own. A call that fails, or
 * is not answered within PEERS_CALL_MS, is lost with its messages: the step machine says again what
 * still matters. Connections are mutual TLS between certificates of storage nodes.
 *
 * Rows: a shard's compare-and-swap and its linearizable reads of `shards/<s>` go through lib/coord.
 * An EXPAND also compares the rows of the store and of the process whose acknowledgements it counts
 * on (REPLICATION 6.2). All reads that wait are answered by one refresh that began after them.
 *
 * Bounds: PEERS_LINKS_MAX directories, PEERS_QUEUE_BYTES of queued entries and PEERS_QUEUE_NOTES of
 * queued messages for each; beyond, messages are refused and said again later. */
#ifndef MAIL_PEERS_H
#define MAIL_PEERS_H

#include <stdint.h>

#include "err.h"
#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct coord;
struct crew;
struct loop;
struct metrics_text;
struct peers;
struct replica_config;
struct rpc_self;
struct rpc_service_row;
struct shard_peers;
struct store_node;

enum {
    PEERS_LINKS_MAX = 512,
    PEERS_QUEUE_BYTES = 16 * 1024 * 1024,
    PEERS_QUEUE_NOTES = 16384,
    PEERS_CALL_BYTES = 2 * 1024 * 1024, /* of entries of one call, unless one message has more */
    PEERS_CALL_NOTES = 1024,
    PEERS_CALL_MS = 1000,               /* the lease: what it brings later is of no use */
    PEERS_BODIES_BYTES = 256 * 1024 * 1024, /* of all calls under way */
    PEERS_TICK_MS = 50,
};

struct peers_options {
    struct store_node *node;  /* outlives it */
    struct rpc_self *self;    /* outlives it */
    struct coord *coord;      /* outlives it */
    struct crew *crew;        /* for the file back end */
    struct roster_id boot;    /* of this process */
    const char *spill_dir;    /* for bodies of more than they may hold in memory */
    /* On the loop: the role of a shard is another (enum replica_role). */
    void (*shown)(void *holder, uint32_t shard, unsigned role, uint64_t epoch);
    /* On the loop, again and again: the copy here needs a checkpoint of the store `from`, which
     * takes its calls at `address`. NULL: nobody gets any. */
    void (*behind)(void *holder, uint32_t shard, const struct roster_id *from,
                   struct span address);
    void *holder;
};

/* ERR_NOMEM. */
MUST_USE struct err peers_new(struct loop *loop, const struct peers_options *options,
                              struct peers **ret);
/* The process is about to end: from now on its copies have others lead, and ask to be taken out of
 * the sets of copies in sync, so that nobody waits for them when it is gone. What came of it, the
 * rows say (enroll_is_needed). */
void peers_leave(struct peers *peers);
/* Nothing is sent or told any more. The node may still call in. */
void peers_stop(struct peers *peers);
/* After the node was closed. Takes NULL. */
void peers_free(struct peers *peers);

/* For store_node_open_shard(). NULL: no memory. `shard` < STORE_SHARDS_MAX. */
struct shard_peers *peers_of_shard(struct peers *peers, uint32_t shard);

/* What the rows say: where the directories of a process are, and what is to become of a shard's
 * copies. The shard is open. */
void peers_know(struct peers *peers, const struct roster_live *live);
void peers_row(struct peers *peers, uint32_t shard, const struct replica_config *config);
void peers_place(struct peers *peers, uint32_t shard, const struct roster_place *place);
/* Has the shard, which this node leads, be led by the store `to`; whether it comes to it, the row
 * says. */
void peers_transfer(struct peers *peers, uint32_t shard, const struct roster_id *to);

/* The service Peer of replica.proto; the holder of its rows is the struct peers. */
const struct rpc_service_row *peers_rows(unsigned *count);

/* Appends "peers_...". */
void peers_metrics(const struct peers *peers, const struct metrics_text *text);

#ifdef __cplusplus
}
#endif
#endif

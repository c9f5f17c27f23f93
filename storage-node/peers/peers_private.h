/* peers_private.h: the node's other copies from the inside. */
#ifndef MAIL_PEERS_PRIVATE_H
#define MAIL_PEERS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "arena.h"
#include "body.h"
#include "list.h"
#include "map.h"
#include "peers.h"
#include "replica_step.h"
#include "replica_wire.h"
#include "rpc.h"
#include "shard.h"
#include "shard_copy.h"
#include "slog_format.h"
#include "store_node.h"
#include "timer.h"
#include "wake.h"

/* A message that waits to be sent; its entries and their bytes stand behind it. */
struct peers_note {
    struct peers_note *next;
    struct replica_note note;
    size_t bytes; /* of entries */
};

enum peers_lane { PEERS_LIGHT, PEERS_ENTRIES };
enum { PEERS_LANES = 2 };

struct peers_link;

struct peers_queue {
    struct peers_link *link;
    enum peers_lane lane;
    struct peers_note *first, *last; /* under peers->lock */
    size_t notes, bytes;             /* under peers->lock */
    bool under_way;
};

/* Another data directory. Never freed before the end: few ever come, and shards' threads hold on to
 * them for the time of a lock. */
struct peers_link {
    struct peers *peers;
    struct list link;
    struct roster_id sid;
    char address[ROSTER_ADDRESS_MAX_BYTES + 1]; /* empty: not known */
    struct rpc_client *client;                  /* NULL: not yet */
    struct peers_queue queues[PEERS_LANES];
    bool woken; /* under peers->lock: it stands in peers->wanting */
    struct peers_link *next_wanting;
    uint64_t calls, failed;
};

/* A shard of this node. */
struct peers_shard {
    struct shard_peers base; /* first */
    struct peers *peers;
    uint32_t number;
    bool open;               /* it has been seen open: there is a shard to tell */
    struct shard_job tick_job;
    _Atomic bool ticking;
    bool disk_ok, leaving;   /* for the tick under way */
    /* Under peers->lock. */
    bool woken;
    struct peers_shard *next_wanting;
    bool wants_cas, wants_row, wants_shown, wants_behind;
    struct roster_id behind_from;
    struct replica_cas cas;
    /* On the loop. */
    bool cas_waits, row_waits;      /* no answer yet; the row's: to the next refresh */
    bool row_asked;                 /* ... to the refresh under way */
    unsigned role;                  /* as last told */
    uint64_t epoch;
    bool cas_under_way;
    struct roster_id cas_nonce;     /* of what is under way */
};

struct peers {
    struct loop *loop;
    struct peers_options options;
    struct body_budget budget;
    struct timer timer;
    struct roster_id sid;
    bool stopped, refreshing, leaving;
    struct peers_shard *shards[STORE_SHARDS_MAX];
    struct arena arena;             /* of the call being made */
    pthread_mutex_t lock;
    struct wake wake;
    bool waking;                    /* under lock */
    struct map links;               /* by sid; under lock */
    struct list all_links;          /* on the loop and under lock */
    struct peers_link *wanting_links;   /* under lock */
    struct peers_shard *wanting_shards; /* under lock */
    uint64_t told, refused;         /* calls that came in */
};

/* ---- peers_link.c */
bool peers_send(struct shard_peers *base, struct shard *shard, const struct roster_id *to,
                const struct replica_message *message, const struct slog_record *entries);
/* On the loop: sends what waits there. */
void peers_link_go(struct peers_link *link);
/* The link of a directory, made when it is not there; NULL: too many, no memory. Under the lock. */
struct peers_link *peers_link_need(struct peers *peers, const struct roster_id *sid);

/* ---- peers_rows.c: on the shard's thread */
void peers_cas(struct shard_peers *base, struct shard *shard, const struct replica_cas *cas);
void peers_read_row(struct shard_peers *base, struct shard *shard);
/* On the loop: starts what the shard wants. */
void peers_rows_go(struct peers_shard *shard, bool cas, bool row);

/* ---- peers.c */
/* Has peers_link_go() or peers_rows_go() called on the loop. Under the lock. */
void peers_want_link(struct peers_link *link);
void peers_want_shard(struct peers_shard *shard);
/* Has the event happen on the shard's thread; what it points to is copied. */
void peers_event(struct peers_shard *shard, const struct replica_event *event);

/* ---- peers_tell.c */
void peers_tell(void *holder, struct rpc_serving *serving);

#endif

/* store_serve_private.h: a call under way, and what the files of this folder share. */
#ifndef MAIL_STORE_SERVE_PRIVATE_H
#define MAIL_STORE_SERVE_PRIVATE_H

#include "arena.h"
#include "body.h"
#include "crew.h"
#include "list.h"
#include "map.h"
#include "mbox.h"
#include "rpc.h"
#include "shard.h"
#include "store_msg.h"
#include "store_node.h"
#include "store_serve.h"
#include "store_serve_locks.h"
#include "wake.h"

struct store_serve {
    struct loop *loop;
    struct store_serve_options options;
    struct rpc_server *server; /* NULL once it is gone */
    unsigned calls;
    unsigned looks;           /* at queues, on shards' threads */
    struct map watches;       /* by account: struct serve_watched */
    unsigned watches_count;
    struct list shard_watches[STORE_SHARDS_MAX];
    struct list queue_watches;
    struct serve_locks locks;
    struct tally *tally;
    uint64_t due_ms[STORE_SHARDS_MAX]; /* as last told */
};

/* One call. Made on the loop, freed on the loop by serve_call_end(). */
struct serve_call {
    struct shard_job job;
    struct shard_change change;
    struct wake wake;
    struct crew_job crew;
    struct store_serve *serve;
    struct rpc_serving *serving;
    struct shard *shard;
    unsigned method;
    const void *request;
    struct err err, refused;   /* refused: why a change was not prepared */
    struct mbox_result result; /* of a change */
    struct arena arena;        /* of a read's reply */
    const void *reply;
    uint64_t due_ms;           /* of the shard's queue, behind a change of it */
    bool has_due;
    struct serve_stream *stream;
};

enum { SERVE_ARENA_MAX_BYTES = 32 * 1024 * 1024 };

/* A call for the shard of its request; NULL, and answered with an error, when there is none that
 * serves, or too many calls. */
struct serve_call *serve_call_new(struct store_serve *serve, struct rpc_serving *serving);
/* Answers and frees. */
void serve_call_end(struct serve_call *call, struct err err);

/* The shard that a request belongs to; NULL: not of this node. */
struct shard *serve_shard(struct store_serve *serve, unsigned method, const void *request);

/* Why a shard that does not serve refuses a call. */
struct err serve_refusal(const struct shard *shard);
/* Whether what was read of it may be given out; else why not. Looked at after reading. */
struct err serve_read_err(const struct shard *shard);

/* The context of a command or a read. */
void serve_context(struct shard *shard, struct kv_reader *rows, struct mbox_context *context);

/* Tells the watchers of what a change touched. */
void serve_tell(struct store_serve *serve, const struct mbox_result *result);
/* Tells when the shard's queue is due next, if that is news. */
void serve_tell_due(struct store_serve *serve, uint32_t shard, uint64_t due_ms);

/* Frees the store_serve once its server is gone and nothing on other threads refers to it. */
void serve_end_if_over(struct store_serve *serve);

/* Ends the watches of a shard that is not led here any more. */
void serve_watches_end(struct store_serve *serve, uint32_t shard);
/* Has the shard's queue looked at, and its watchers told when it is due. */
void serve_look_at_queue(struct store_serve *serve, struct shard *shard);

/* The rows of the service (rpc_service_row.serve); `holder` is the store_serve. */
void serve_change(void *holder, struct rpc_serving *serving);
void serve_read(void *holder, struct rpc_serving *serving);
void serve_mailbox_lock(void *holder, struct rpc_serving *serving);
void serve_tally(void *holder, struct rpc_serving *serving);
void serve_fetch(void *holder, struct rpc_serving *serving);
void serve_changes(void *holder, struct rpc_serving *serving);
void serve_uids(void *holder, struct rpc_serving *serving);
void serve_search(void *holder, struct rpc_serving *serving);
void serve_watch(void *holder, struct rpc_serving *serving);
void serve_queue_body(void *holder, struct rpc_serving *serving);
void serve_queue_watch(void *holder, struct rpc_serving *serving);
void serve_node_status(void *holder, struct rpc_serving *serving);

/* Whether the counter of failed log-ins lets anybody log in by the address of the request. */
void serve_login_state(struct store_serve *serve, const struct store_address_get_request *request,
                       struct store_address_reply *reply);

/* Prepares and logs something nobody waits for, on the shard's thread. */
void serve_claim(struct shard *shard, uint32_t tenant, uint64_t account, uint32_t mailbox,
                 uint32_t uidnext);

#endif

/* checkpoint_serve.h: checkpoints of the shards that this node leads, for copies beyond its log:
 * `rpc Checkpoint` of proto/replica.proto, on one loop.
 *
 * A checkpoint is a directory of hard links (store_open.h). Whoever asks again with its id and a
 * place goes on from there. It stays for CHECKPOINT_IDLE_MS after its last use, and as long the
 * leader's log keeps what comes behind it (shard_pin()). All calls together are no faster than
 * store_node_checkpoint_rate() says. */
#ifndef MAIL_CHECKPOINT_SERVE_H
#define MAIL_CHECKPOINT_SERVE_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct checkpoint_serve;
struct crew;
struct loop;
struct rpc_service_row;
struct rpc_serving;
struct store_node;

enum {
    CHECKPOINT_SERVED_MAX = 4,      /* of all shards together; BUSY beyond */
    CHECKPOINT_STREAMS_MAX = 8,     /* calls at a time; BUSY beyond */
    CHECKPOINT_IDLE_MS = 60 * 1000,
    CHECKPOINT_LOOK_MS = 5 * 1000,
};

struct checkpoint_serve_options {
    struct store_node *node;
    struct crew *crew;      /* reads files; makes and deletes checkpoints */
    /* After checkpoint_serve_close(): nothing of it is under way. */
    void (*closed)(void *holder);
    void *holder;
};

MUST_USE struct err checkpoint_serve_open(struct loop *loop,
                                          const struct checkpoint_serve_options *options,
                                          struct checkpoint_serve **ret);
/* The row of the service: leads to rpc_finish(). NOT_FOUND: another store, or the checkpoint that
 * it should go on with is gone; MOVED: the shard is not led here. */
void checkpoint_serve_call(struct checkpoint_serve *serve, struct rpc_serving *serving);
/* The rows of the service Peer that are served here; their holder is the checkpoint_serve. */
const struct rpc_service_row *checkpoint_serve_rows(unsigned *count);
/* Its server is being closed, which cancels the calls under way. Takes NULL. */
void checkpoint_serve_close(struct checkpoint_serve *serve);

#ifdef __cplusplus
}
#endif
#endif

/* store_serve.h: the calls of store.proto, answered by the shards of this node.
 *
 * A change is prepared on its shard's thread, logged, committed, applied, and then answered; reads
 * run on a crew beside and see what is committed; streams are made a buffer at a time and wait
 * while the receiver is slow. The loop itself touches no row. */
#ifndef MAIL_STORE_SERVE_H
#define MAIL_STORE_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body_budget;
struct crew;
struct loop;
struct metrics_text;
struct rpc_self;
struct rpc_service;
struct store_node;
struct store_serve;

enum {
    STORE_SERVE_CALLS_MAX = 16384,  /* under way; BUSY beyond */
    STORE_SERVE_WATCHES_MAX = 200000,
    STORE_TALLY_ITEMS_MAX = 256,    /* checks of one call */
    STORE_SERVE_STREAM_BYTES = 192 * 1024, /* made at a time */
};

struct store_serve_options {
    const char *const *addresses; /* as in rpc_server.h */
    unsigned addresses_count;
    struct rpc_self *self;      /* outlives it */
    struct store_node *node;
    struct crew *reads;
    struct body_budget *budget; /* for bodies of requests */
    /* After store_serve_close(), when nothing of it is left. NULL: not told. */
    void (*closed)(void *holder);
    void *holder;
};

MUST_USE struct err store_serve_open(struct loop *loop, const struct store_serve_options *options,
                                     struct store_serve **ret);
/* Another service beside store.proto, at the same addresses (rpc_server_serve). */
MUST_USE struct err store_serve_also(struct store_serve *serve, const struct rpc_service *service);
/* The shard serves from now on, or not any more: what waits for its news hears of it. */
void store_serve_shown(struct store_serve *serve, uint32_t shard, bool serves);
/* The TCP port it listens on, the first one (for port 0); 0: none. */
uint16_t store_serve_port(const struct store_serve *serve);
/* Takes no more calls; those under way are answered. */
void store_serve_drain(struct store_serve *serve);
unsigned store_serve_calls(const struct store_serve *serve);
/* Appends what its calls are like to /metrics. */
void store_serve_metrics(const struct store_serve *serve, const struct metrics_text *text);
/* Breaks all connections: watches hear CANCELLED. What is under way still ends on the loop, then
 * closed() comes; the node is closed after. Takes NULL. */
void store_serve_close(struct store_serve *serve);

#ifdef __cplusplus
}
#endif
#endif

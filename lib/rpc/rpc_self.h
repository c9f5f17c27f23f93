/* rpc_self.h: who this program is, for every hello that it says and for each that it hears: its
 * role, its cluster, the incarnation of the cluster's store, its certificate.
 *
 * One for a program, shared by its loops; every function may be called from any thread. A change
 * counts for connections made from then on and those that stand go on, but for a change of the
 * incarnation: a link of another one takes no more calls. */
#ifndef MAIL_RPC_SELF_H
#define MAIL_RPC_SELF_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "rpc_name.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_self;
struct tls_context;

/* A connection that came to nothing; the spans die on return. */
struct rpc_refusal {
    struct span address; /* of the other end */
    struct span name;    /* the URI of its certificate; empty: none was seen, or it is no TLS */
    struct span reason;
    struct err err;
    bool by_peer; /* the other end refuses us; else we refused it */
};

struct rpc_self_options {
    enum rpc_role role;
    /* On any loop. A server's own end tells of each connection that it refuses, a client's only
     * when the reason is another than the last time. NULL: nobody wants to know. */
    void (*refused)(void *holder, const struct rpc_refusal *refusal);
    void *holder;
};

MUST_USE struct err rpc_self_new(const struct rpc_self_options *options, struct rpc_self **ret);
/* Its clients, servers and their loops are gone. Takes NULL. */
void rpc_self_free(struct rpc_self *self);

enum rpc_role rpc_self_role(const struct rpc_self *self);

/* 16 bytes of 0 and 0: not known, as at first; then the other end's are not compared. */
void rpc_self_set_cluster(struct rpc_self *self, const uint8_t cluster[RPC_CLUSTER_BYTES],
                          uint32_t incarnation);
void rpc_self_cluster(struct rpc_self *self, uint8_t ret[RPC_CLUSTER_BYTES],
                      uint32_t *ret_incarnation);

/* One for what we are called by and one for what we call, both with our certificate and the CA's;
 * references are taken. Without them there is no TCP. */
void rpc_self_set_tls(struct rpc_self *self, struct tls_context *server,
                      struct tls_context *client);
bool rpc_self_has_tls(struct rpc_self *self);

#ifdef __cplusplus
}
#endif
#endif

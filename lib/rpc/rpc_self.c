#include "rpc_self.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "crew.h"
#include "rpc_private.h"
#include "tls.h"

enum { NAMES_THREADS = 4, NAMES_WAITING_MAX = 1024 };

struct rpc_self {
    struct rpc_self_options options;
    pthread_mutex_t lock; /* of all below */
    uint8_t cluster[RPC_CLUSTER_BYTES];
    atomic_uint incarnation; /* also read without the lock */
    struct tls_context *server, *client;
    struct crew *names; /* made when the first name is to be looked up */
};

struct err rpc_self_new(const struct rpc_self_options *options, struct rpc_self **ret)
{
    struct rpc_self *self = calloc(1, sizeof(*self));
    if (self == NULL) return err_make(ERR_NOMEM, "identity");
    self->options = *options;
    pthread_mutex_init(&self->lock, NULL);
    atomic_init(&self->incarnation, 0);
    *ret = self;
    return err_ok();
}

void rpc_self_free(struct rpc_self *self)
{
    if (self == NULL) return;
    crew_free(self->names);
    tls_context_unref(self->server);
    tls_context_unref(self->client);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

enum rpc_role rpc_self_role(const struct rpc_self *self) { return self->options.role; }

void rpc_self_set_cluster(struct rpc_self *self, const uint8_t cluster[RPC_CLUSTER_BYTES],
                          uint32_t incarnation)
{
    pthread_mutex_lock(&self->lock);
    memcpy(self->cluster, cluster, RPC_CLUSTER_BYTES);
    atomic_store(&self->incarnation, incarnation);
    pthread_mutex_unlock(&self->lock);
}

void rpc_self_cluster(struct rpc_self *self, uint8_t ret[RPC_CLUSTER_BYTES],
                      uint32_t *ret_incarnation)
{
    pthread_mutex_lock(&self->lock);
    memcpy(ret, self->cluster, RPC_CLUSTER_BYTES);
    *ret_incarnation = atomic_load(&self->incarnation);
    pthread_mutex_unlock(&self->lock);
}

void rpc_self_set_tls(struct rpc_self *self, struct tls_context *server,
                      struct tls_context *client)
{
    tls_context_ref(server);
    tls_context_ref(client);
    pthread_mutex_lock(&self->lock);
    struct tls_context *old_server = self->server, *old_client = self->client;
    self->server = server;
    self->client = client;
    pthread_mutex_unlock(&self->lock);
    tls_context_unref(old_server);
    tls_context_unref(old_client);
}

bool rpc_self_has_tls(struct rpc_self *self)
{
    pthread_mutex_lock(&self->lock);
    bool has = self->server != NULL;
    pthread_mutex_unlock(&self->lock);
    return has;
}

struct tls_context *rpc_self_tls(struct rpc_self *self, bool client)
{
    pthread_mutex_lock(&self->lock);
    struct tls_context *now = client ? self->client : self->server;
    if (now != NULL) tls_context_ref(now);
    pthread_mutex_unlock(&self->lock);
    return now;
}

bool rpc_self_same_incarnation(const struct rpc_self *self, uint32_t incarnation)
{
    uint32_t ours = atomic_load_explicit(&self->incarnation, memory_order_relaxed);
    return ours == incarnation || ours == 0 || incarnation == 0;
}

struct err rpc_self_names(struct rpc_self *self, struct crew **ret)
{
    struct err err = err_ok();
    pthread_mutex_lock(&self->lock);
    if (self->names == NULL) {
        err = crew_new("names", NAMES_THREADS, NAMES_WAITING_MAX, &self->names);
    }
    *ret = self->names;
    pthread_mutex_unlock(&self->lock);
    return err;
}

void rpc_self_refused(const struct rpc_self *self, const struct rpc_refusal *refusal)
{
    if (self->options.refused != NULL) self->options.refused(self->options.holder, refusal);
}

/* The first frame of each end: who is there, and whether we talk to it. */
#include "rpc_callers.h"
#include "rpc_private.h"

void rpc_hello_say(struct rpc_link *link, uint16_t low, uint16_t high)
{
    struct rpc_frame hello = { .kind = RPC_HELLO, .version_low = low, .version_high = high,
                               .role = rpc_self_role(link->self) };
    rpc_self_cluster(link->self, hello.cluster, &hello.incarnation);
    rpc_link_say(link, &hello);
}

/* Over TLS what the certificate says holds, and hello must say the same. */
static struct err rpc_hello_proof(const struct rpc_link *link, const struct rpc_frame *hello)
{
    struct conn_tls_info info;
    struct rpc_name name;
    if (!conn_tls_info(link->conn, &info)) {
        if (link->peer.kind == ENDPOINT_UNIX) return err_ok();
        return err_make(ERR_DENIED, "no TLS");
    }
    struct span uri = span_of(info.peer_uri, strlen(info.peer_uri));
    if (!info.peer_verified || rpc_name_parse(uri, &name).code != ERR_OK) {
        return err_make(ERR_DENIED, "certificate names no program of a cluster");
    }
    if ((uint32_t)name.role != hello->role) {
        return err_make(ERR_DENIED, "role is not the certificate's");
    }
    if (memcmp(name.cluster, hello->cluster, RPC_CLUSTER_BYTES) != 0) {
        return err_make(ERR_DENIED, "cluster is not the certificate's");
    }
    return err_ok();
}

struct err rpc_hello_check(struct rpc_link *link, const struct rpc_frame *hello, bool by_server)
{
    uint8_t cluster[RPC_CLUSTER_BYTES];
    uint32_t incarnation;
    enum rpc_role theirs = (enum rpc_role)hello->role, ours = rpc_self_role(link->self);
    if (rpc_role_text(theirs).len == 0) return err_make(ERR_DENIED, "no such role");
    TRY(rpc_hello_proof(link, hello));
    rpc_self_cluster(link->self, cluster, &incarnation);
    if (rpc_cluster_is_known(cluster) && rpc_cluster_is_known(hello->cluster) &&
        memcmp(cluster, hello->cluster, RPC_CLUSTER_BYTES) != 0) {
        return err_make(ERR_DENIED, "it is of another cluster");
    }
    if (!rpc_self_same_incarnation(link->self, hello->incarnation)) {
        return err_make(ERR_DENIED, "it is of another incarnation of the cluster");
    }
    if (!rpc_may_connect(by_server ? ours : theirs, by_server ? theirs : ours)) {
        return err_make(ERR_DENIED, "a program of this role does not call one of that");
    }
    link->peer_role = theirs;
    link->peer_incarnation = hello->incarnation;
    return err_ok();
}

bool rpc_link_is_stale(const struct rpc_link *link)
{
    return !rpc_self_same_incarnation(link->self, link->peer_incarnation);
}

void rpc_link_tell(const struct rpc_link *link, struct err err, struct span reason, bool by_peer)
{
    char address[ENDPOINT_TEXT_BYTES];
    struct conn_tls_info info = { .peer_uri = "" };
    if (link->conn != NULL) (void)conn_tls_info(link->conn, &info);
    struct rpc_refusal refusal = {
        .address = endpoint_text(&link->peer, address),
        .name = span_of(info.peer_uri, strlen(info.peer_uri)),
        .reason = reason,
        .err = err,
        .by_peer = by_peer,
    };
    rpc_self_refused(link->self, &refusal);
}

/* rpc_name.h: what a certificate of a cluster says of its program, as the one URI in its
 * subjectAltName:
 *
 *   godwit://CLUSTER/ROLE/NAME
 *
 *   CLUSTER  the cluster's id, 32 lower-case hexadecimal digits
 *   ROLE     frontend, storage-node, scanner, router, operator
 *   NAME     of this instance, like "storage-node-1": 1 to 63 of a-z 0-9 - . with a letter or digit
 *            at both ends
 *
 * No I/O in here. */
#ifndef MAIL_RPC_NAME_H
#define MAIL_RPC_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RPC_CLUSTER_BYTES = 16,
    RPC_NAME_MAX_BYTES = 63,
    RPC_ROLE_MAX_BYTES = 12,
    RPC_URI_MAX_BYTES = 9 + 2 * RPC_CLUSTER_BYTES + 1 + RPC_ROLE_MAX_BYTES + 1 +
                        RPC_NAME_MAX_BYTES,
};

/* Bits: who calls, and who is called. On the wire for ever. */
enum rpc_role {
    RPC_ROLE_FRONTEND = 1, RPC_ROLE_STORAGE_NODE = 2, RPC_ROLE_SCANNER = 4, RPC_ROLE_ROUTER = 8,
    RPC_ROLE_OPERATOR = 16,
};
enum { RPC_ROLES_COUNT = 5 };

/* The role's text, or the empty span for a number that is no role. */
struct span rpc_role_text(enum rpc_role role);
/* The role of a text; 0: none. */
enum rpc_role rpc_role_of(struct span text);

struct rpc_name {
    uint8_t cluster[RPC_CLUSTER_BYTES];
    enum rpc_role role;
    struct span name;
};

/* Takes a whole URI; `ret->name` points into it. ERR_SYNTAX: it is none of ours. */
MUST_USE struct err rpc_name_parse(struct span uri, struct rpc_name *ret);
/* Writes the URI with a NUL behind it. ERR_SYNTAX: no such role, or a name that is none. */
MUST_USE struct err rpc_name_put(const struct rpc_name *name, char to[RPC_URI_MAX_BYTES + 1]);

/* Whether a text can be the NAME of a program. */
bool rpc_name_fits(struct span text);
/* A cluster's id from its 32 digits; false: they are none, or all are 0. */
bool rpc_cluster_parse(struct span text, uint8_t ret[RPC_CLUSTER_BYTES]);
/* Whether it is an id at all: 16 bytes of 0 mean "not known". */
bool rpc_cluster_is_known(const uint8_t cluster[RPC_CLUSTER_BYTES]);

#ifdef __cplusplus
}
#endif
#endif

/* cluster.h: `godwitctl cluster init|cert|ca`: what is done to the configuration store itself, with
 * the key-encryption key at hand and no API: founding a cluster, and its certificates.
 *
 *   godwitctl cluster init STORE --kek-file FILE [--node ADDRESS] [--shards N]
 *       [--token-file FILE] [--cluster-id ID] [--incarnation N]
 *     Makes what is missing of a new cluster: its id, its certificate authority, the map with one
 *     storage node, the first tenant, an operator's token. What is there stays; so it may run
 *     before each start. Prints the cluster's id.
 *
 *   godwitctl cluster cert issue --role ROLE --name NAME --out DIR STORE --kek-file FILE
 *       [--days 90] [--renew-before DAYS] [--host NAME]... [--user USER] [--keep]
 *     Writes DIR/ca.pem, cert.pem and key.pem (0600) for one program, unless those that are there
 *     are good for long enough and of the authority that signs now: so it may run daily. A running
 *     program takes the new ones by itself. With --keep it stays in the foreground and does that
 *     again every --keep-every seconds and at SIGHUP, until SIGTERM: beside a program, as a
 *     sidecar.
 *
 *   godwitctl cluster ca list|add|use ID|remove ID STORE --kek-file FILE
 *     The authorities. To change: add; issue all certificates again (they then trust both); use the
 *     new one; issue all again; remove the old one; issue all again.
 *
 * FILE of --kek-file may be the one that frontends have (their --kek-file), or one of its own: then
 * a frontend's key opens no authority's.
 *
 * STORE is --coord DIR, or --etcd URL ... --cluster NAME and its companions (lib/coord).
 * Every option may also come as GODWIT_NAME from the environment or from the file of --config. */
#ifndef MAIL_CLUSTER_H
#define MAIL_CLUSTER_H

#include <stdbool.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CLUSTER_PROBLEM_BYTES = 512, CLUSTER_ID_BYTES = 33, CLUSTER_MAP_BYTES = 8 * 1024 };

/* Whether `godwitctl cluster WORD` is of this room. */
bool cluster_knows(const char *word);

/* Runs `words` ("cert", "issue", "--role=...", ...). Returns an exit status of client.h. */
int cluster_run(int count, char **words, bool json);

/* The commands with their options, on stderr or stdout. */
void cluster_usage(bool to_stderr);

struct coord_options;

struct cluster_founding {
    const struct coord_options *store;
    const char *kek_file;  /* made when missing */
    const char *node;      /* address of the storage node; NULL: no map is made */
    unsigned shards;       /* of that map */
    const char *token;     /* an operator's; NULL: none */
    const char *cluster;   /* its id; NULL: a new one, unless there is one */
    unsigned incarnation;  /* 0: 1 */
};

/* The row map/head of a cluster whose slots one storage node has all, with a NUL. ERR_TOO_BIG: the
 * address has no room. */
MUST_USE struct err cluster_map(unsigned shards, const char *node, char to[CLUSTER_MAP_BYTES]);

/* Makes what is missing; `id` is the cluster's then. On an error `problem` says what is wrong.
 * Blocks. ERR_CONFLICT: the store is another cluster's. */
MUST_USE struct err cluster_found(const struct cluster_founding *founding,
                                  char id[CLUSTER_ID_BYTES],
                                  char problem[CLUSTER_PROBLEM_BYTES]);

#ifdef __cplusplus
}
#endif
#endif

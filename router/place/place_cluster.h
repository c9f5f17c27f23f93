/* place_cluster.h: the map of slots made from the rows of the cluster (lib/roster): map/, shards/
 * and live/. Which node leads a shard is what shards/<s> says; where it listens is what live/ says
 * of the node that has the leader's data directory. Pure.
 *
 *     place_cluster_begin(&cluster);
 *     for each row under "map/", "shards/", "live/": place_cluster_add(cluster, key, value);
 *     place_cluster_end(cluster, version, &map); */
#ifndef MAIL_PLACE_CLUSTER_H
#define MAIL_PLACE_CLUSTER_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct place_cluster;
struct place_map;

enum { PLACE_LIVE_MAX = 512 }; /* nodes; those beyond are not seen */

MUST_USE struct err place_cluster_begin(struct place_cluster **ret);

/* A row, in any order. One that can't be read counts as one that is not there: a shard then has no
 * known leader, and its calls wait. Keys of other kinds are passed over. */
void place_cluster_add(struct place_cluster *cluster, struct span key, struct span value);

/* Makes the map and frees `cluster`. ERR_NOT_FOUND: there is no map/head, so no installation yet;
 * ERR_CORRUPT: the head or its chunks do not make a whole map. */
MUST_USE struct err place_cluster_end(struct place_cluster *cluster, uint64_t version,
                                      struct place_map **ret);

#ifdef __cplusplus
}
#endif
#endif

/* api_cluster_private.h: what api_cluster.c and api_shards.c have under way. */
#ifndef MAIL_API_CLUSTER_PRIVATE_H
#define MAIL_API_CLUSTER_PRIVATE_H

#include "api_state_private.h"
#include "id.h"
#include "overview.h"

struct coord_members;
struct gather;

enum { API_CLUSTER_WHY_MAX = 100 };

/* Of store_shard_status.role (proto/store.proto). */
enum { API_ROLE_SERVING = 6 };

struct api_node_shard {
    uint32_t shard, role;
    uint64_t epoch;
};

struct api_cluster {
    struct overview *overview;
    struct gather *gather;
    struct coord_members *members;
    /* Of the storage node of an installation of one. */
    bool node_answers, node_read_only;
    uint64_t node_free_bytes;
    const char *node_why; /* why it does not answer */
    uint32_t node_shards_count;
    struct api_node_shard node_shards[ROSTER_SHARDS_MAX];
};

/* Makes call->cluster of the rows of now. */
MUST_USE struct err api_cluster_read(struct api_call *call);
bool api_cluster_is_one_node(const struct api_call *call);
/* Adds what is known of scanners and their signatures (api_cluster_scanners.c). */
void api_cluster_put_scanners(struct api_call *call);
/* A step that asks the storage node of an installation of one; an answer that does not come is no
 * error. */
void api_cluster_ask_node(struct flow *flow);

#endif

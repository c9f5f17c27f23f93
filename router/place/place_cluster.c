#include "place_cluster.h"

#include <stdlib.h>

#include "roster.h"
#include "place_map.h"

/* What is needed of shards/<s>. */
struct cluster_leader {
    bool known;
    struct roster_id sid;
};

struct place_cluster {
    struct err head_err, chunk_err;
    struct roster_map_head head;
    struct roster_map_chunk chunk; /* the one being read */
    uint64_t chunk_version;
    uint32_t slots_known, lives;
    struct roster_slots slots[ROSTER_SHARDS_MAX];
    bool slots_are_known[ROSTER_SHARDS_MAX];
    struct cluster_leader leaders[ROSTER_SHARDS_MAX];
    struct roster_live live[PLACE_LIVE_MAX];
    struct place_shard_row rows[ROSTER_SHARDS_MAX];
};

struct err place_cluster_begin(struct place_cluster **ret)
{
    struct place_cluster *cluster = calloc(1, sizeof(*cluster));
    if (cluster == NULL) return err_make(ERR_NOMEM, "map of the cluster");
    cluster->head_err = err_make(ERR_NOT_FOUND, "map of the slots");
    *ret = cluster;
    return err_ok();
}

static void add_chunk(struct place_cluster *cluster, struct span value)
{
    struct roster_map_chunk *chunk = &cluster->chunk;
    struct err err = roster_map_chunk_read(value, chunk);
    if (err.code == ERR_OK && chunk->first + chunk->count > ROSTER_SHARDS_MAX) {
        err = err_make(ERR_CORRUPT, "chunk of the map");
    }
    if (err.code == ERR_OK && cluster->slots_known > 0 &&
        chunk->version != cluster->chunk_version) {
        err = err_make(ERR_CORRUPT, "chunks of two maps");
    }
    if (err.code != ERR_OK) {
        cluster->chunk_err = err;
        return;
    }
    cluster->chunk_version = chunk->version;
    for (uint32_t i = 0; i < chunk->count; i++) {
        uint32_t shard = chunk->first + i;
        if (!cluster->slots_are_known[shard]) cluster->slots_known++;
        cluster->slots_are_known[shard] = true;
        cluster->slots[shard] = chunk->slots[i];
    }
}

void place_cluster_add(struct place_cluster *cluster, struct span key, struct span value)
{
    static const struct span live = SPAN_INIT("live/");
    struct roster_shard shard;
    uint32_t number;
    if (span_eq(key, SPAN("map/head"))) {
        cluster->head_err = roster_map_head_read(value, &cluster->head);
    } else if (roster_key_read_number(key, "map", &number).code == ERR_OK) {
        add_chunk(cluster, value);
    } else if (roster_key_read_number(key, "shards", &number).code == ERR_OK) {
        if (number >= ROSTER_SHARDS_MAX || roster_shard_read(value, &shard).code != ERR_OK) return;
        cluster->leaders[number] = (struct cluster_leader){ shard.has_leader, shard.leader };
    } else if (span_eq(span_head(key, live.len), live) && cluster->lives < PLACE_LIVE_MAX) {
        if (roster_live_read(value, &cluster->live[cluster->lives]).code == ERR_OK) {
            cluster->lives++;
        }
    }
}

/* Where the node listens that has this data directory; empty when none says so. */
static struct span address_of(const struct place_cluster *cluster, const struct roster_id *sid)
{
    for (uint32_t i = 0; i < cluster->lives; i++) {
        const struct roster_live *live = &cluster->live[i];
        for (uint32_t j = 0; j < live->stores_count; j++) {
            if (!roster_id_eq(&live->stores[j], sid)) continue;
            return span_of(live->address, live->address_len);
        }
    }
    return span_of(NULL, 0);
}

static struct err make(struct place_cluster *cluster, uint64_t version, struct place_map **ret)
{
    const struct roster_map_head *head = &cluster->head;
    TRY(cluster->head_err);
    if (head->chunks == 0) {
        return place_map_one_node(version, head->shards, span_of(head->node, head->node_len), ret);
    }
    TRY(cluster->chunk_err);
    if (cluster->chunk_version != head->version || cluster->slots_known != head->shards) {
        return err_make(ERR_CORRUPT, "map of the slots");
    }
    for (uint32_t shard = 0; shard < head->shards; shard++) {
        const struct cluster_leader *leader = &cluster->leaders[shard];
        struct place_shard_row *row = &cluster->rows[shard];
        row->first = cluster->slots[shard].first;
        row->end = cluster->slots[shard].end;
        row->address = leader->known ? address_of(cluster, &leader->sid) : span_of(NULL, 0);
    }
    struct err err = place_map_make(version, cluster->rows, head->shards, ret);
    return err.code == ERR_SYNTAX ? err_make(ERR_CORRUPT, "map of the slots") : err;
}

struct err place_cluster_end(struct place_cluster *cluster, uint64_t version,
                             struct place_map **ret)
{
    struct err err = make(cluster, version, ret);
    free(cluster);
    return err;
}

#include "place_map.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "slot.h"

struct place_shard {
    uint16_t first, end; /* slots */
    struct span address; /* in `addresses` of the map */
};

struct place_map {
    atomic_uint refs;
    uint64_t version;
    unsigned shards_count;
    uint16_t shard_of[SLOT_COUNT];
    char addresses[PLACE_NODE_ADDRESS_MAX_BYTES];
    struct place_shard shards[];
};

struct err place_map_one_node(uint64_t version, unsigned shards, struct span address,
                              struct place_map **ret)
{
    if (shards == 0 || shards > PLACE_SHARDS_MAX) return err_make(ERR_SYNTAX, "number of shards");
    if (address.len == 0 || address.len > PLACE_NODE_ADDRESS_MAX_BYTES)
        return err_make(ERR_SYNTAX, "address of a storage node");
    struct place_map *map = calloc(1, sizeof(*map) + shards * sizeof(map->shards[0]));
    if (map == NULL) return err_make(ERR_NOMEM, "shard map");
    atomic_init(&map->refs, 1);
    map->version = version;
    map->shards_count = shards;
    memcpy(map->addresses, address.ptr, address.len);
    for (unsigned shard = 0; shard < shards; shard++) {
        struct place_shard *row = &map->shards[shard];
        row->first = (uint16_t)(shard * (unsigned)SLOT_COUNT / shards);
        row->end = (uint16_t)((shard + 1) * (unsigned)SLOT_COUNT / shards);
        row->address = span_of(map->addresses, address.len);
        for (unsigned slot = row->first; slot < row->end; slot++)
            map->shard_of[slot] = (uint16_t)shard;
    }
    *ret = map;
    return err_ok();
}

struct place_map *place_map_ref(struct place_map *map)
{
    atomic_fetch_add(&map->refs, 1);
    return map;
}

void place_map_unref(struct place_map *map)
{
    if (map != NULL && atomic_fetch_sub(&map->refs, 1) == 1) free(map);
}

uint64_t place_map_version(const struct place_map *map) { return map->version; }
unsigned place_map_shards(const struct place_map *map) { return map->shards_count; }

unsigned place_map_shard(const struct place_map *map, uint16_t slot)
{
    CHECK(slot < SLOT_COUNT);
    return map->shard_of[slot];
}

void place_map_slots(const struct place_map *map, unsigned shard, unsigned *first, unsigned *end)
{
    CHECK(shard < map->shards_count);
    *first = map->shards[shard].first;
    *end = map->shards[shard].end;
}

struct span place_map_address(const struct place_map *map, unsigned shard)
{
    CHECK(shard < map->shards_count);
    return map->shards[shard].address;
}

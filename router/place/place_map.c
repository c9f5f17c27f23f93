#include "place_map.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "slot.h"

struct place_shard {
    uint16_t first, end; /* slots */
    struct span address; /* behind the shards, in the same block */
};

struct place_map {
    atomic_uint refs;
    uint64_t version;
    unsigned shards_count;
    uint16_t shard_of[SLOT_COUNT];
    struct place_shard shards[];
};

/* Each slot has exactly one shard: as many slots as there are, and none twice. */
static bool slots_are_whole(const struct place_shard_row *rows, unsigned shards)
{
    uint8_t seen[SLOT_COUNT] = { 0 };
    unsigned count = 0;
    for (unsigned shard = 0; shard < shards; shard++) {
        if (rows[shard].first > rows[shard].end || rows[shard].end > SLOT_COUNT) return false;
        for (unsigned slot = rows[shard].first; slot < rows[shard].end; slot++) {
            if (seen[slot]++ != 0) return false;
            count++;
        }
    }
    return count == SLOT_COUNT;
}

struct err place_map_make(uint64_t version, const struct place_shard_row *rows, unsigned shards,
                          struct place_map **ret)
{
    if (shards == 0 || shards > PLACE_SHARDS_MAX) return err_make(ERR_SYNTAX, "number of shards");
    if (!slots_are_whole(rows, shards)) return err_make(ERR_SYNTAX, "slots of the map");
    size_t bytes = 0;
    for (unsigned shard = 0; shard < shards; shard++) {
        if (rows[shard].address.len > PLACE_NODE_ADDRESS_MAX_BYTES) {
            return err_make(ERR_SYNTAX, "address of a storage node");
        }
        bytes += rows[shard].address.len;
    }
    struct place_map *map = calloc(1, sizeof(*map) + shards * sizeof(map->shards[0]) + bytes);
    if (map == NULL) return err_make(ERR_NOMEM, "shard map");
    char *addresses = (char *)&map->shards[shards];
    atomic_init(&map->refs, 1);
    map->version = version;
    map->shards_count = shards;
    for (unsigned shard = 0; shard < shards; shard++) {
        const struct place_shard_row *row = &rows[shard];
        if (row->address.len > 0) memcpy(addresses, row->address.ptr, row->address.len);
        map->shards[shard] = (struct place_shard){ (uint16_t)row->first, (uint16_t)row->end,
                                                   span_of(addresses, row->address.len) };
        addresses += row->address.len;
        for (unsigned slot = row->first; slot < row->end; slot++)
            map->shard_of[slot] = (uint16_t)shard;
    }
    *ret = map;
    return err_ok();
}

struct err place_map_one_node(uint64_t version, unsigned shards, struct span address,
                              struct place_map **ret)
{
    if (shards == 0 || shards > PLACE_SHARDS_MAX) return err_make(ERR_SYNTAX, "number of shards");
    if (address.len == 0) return err_make(ERR_SYNTAX, "address of a storage node");
    struct place_shard_row *rows = calloc(shards, sizeof(*rows));
    if (rows == NULL) return err_make(ERR_NOMEM, "shard map");
    for (unsigned shard = 0; shard < shards; shard++) {
        rows[shard] = (struct place_shard_row){ shard * (unsigned)SLOT_COUNT / shards,
                                                (shard + 1) * (unsigned)SLOT_COUNT / shards,
                                                address };
    }
    struct err err = place_map_make(version, rows, shards, ret);
    free(rows);
    return err;
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

/* place_map.h: an immutable picture of where slots are: slot -> shard -> the leader's address.
 * Slots of accounts, addresses and domains come from base/slot.h.
 *
 * Whoever works with a map holds a reference; a newer map is a new object. Any thread may read. */
#ifndef MAIL_PLACE_MAP_H
#define MAIL_PLACE_MAP_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PLACE_SHARDS_MAX = 4096, PLACE_NODE_ADDRESS_MAX_BYTES = 255 };

struct place_map;

/* A new installation: `shards` (1..PLACE_SHARDS_MAX) of neighbouring slots each, of equal size as
 * far as it goes, all led by the node at `address` ("127.0.0.1:7000", "unix:/..."; copied).
 * ERR_SYNTAX: out of bounds. */
MUST_USE struct err place_map_one_node(uint64_t version, unsigned shards, struct span address,
                                       struct place_map **ret);

/* One shard: its slots [first, end), and where its leader listens; empty when none is known, and
 * calls for it then wait. */
struct place_shard_row {
    uint32_t first, end;
    struct span address;
};

/* The map of a cluster, shards by number; everything is copied. ERR_SYNTAX: out of bounds, or the
 * shards do not own each slot exactly once. */
MUST_USE struct err place_map_make(uint64_t version, const struct place_shard_row *rows,
                                   unsigned shards, struct place_map **ret);

struct place_map *place_map_ref(struct place_map *map);
void place_map_unref(struct place_map *map); /* takes NULL */

uint64_t place_map_version(const struct place_map *map);
unsigned place_map_shards(const struct place_map *map);

/* `slot` < SLOT_COUNT. */
unsigned place_map_shard(const struct place_map *map, uint16_t slot);

/* The slots [*first, *end) of a shard < place_map_shards(). */
void place_map_slots(const struct place_map *map, unsigned shard, unsigned *first, unsigned *end);

/* Where the shard's leader listens; empty when that is not known. Lives as long as the
 * reference. */
struct span place_map_address(const struct place_map *map, unsigned shard);

#ifdef __cplusplus
}
#endif
#endif

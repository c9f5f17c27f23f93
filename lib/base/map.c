#include "map.h"

#include <stdlib.h>

#include "check.h"
#include "hash.h"
#include "id.h"

enum { MAP_SIZE_MIN = 16 };

void map_init(struct map *map, size_t count_max)
{
    *map = (struct map){ .count_max = count_max };
    id_random(map->seed, sizeof(map->seed));
}

void map_free(struct map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->count = map->size = 0;
}

/* The slot of `key`, or the free one where it would stand. Linear probing; `size` is a power of
 * two and at most 3/4 full. */
static size_t map_find(const struct map_slot *slots, size_t size, struct span key, uint64_t hash)
{
    size_t at = (size_t)hash & (size - 1);
    while (slots[at].value != NULL &&
           (slots[at].hash != hash || !span_eq(slots[at].key, key))) {
        at = (at + 1) & (size - 1);
    }
    return at;
}

void *map_get(const struct map *map, struct span key)
{
    if (map->count == 0) return NULL;
    return map->slots[map_find(map->slots, map->size, key, hash_sip(map->seed, key))].value;
}

static struct err map_grow(struct map *map)
{
    size_t size = map->size == 0 ? MAP_SIZE_MIN : map->size * 2;
    struct map_slot *slots = calloc(size, sizeof(*slots));
    if (slots == NULL) return err_make(ERR_NOMEM, "map");
    for (size_t i = 0; i < map->size; i++) {
        const struct map_slot *old = &map->slots[i];
        if (old->value != NULL) slots[map_find(slots, size, old->key, old->hash)] = *old;
    }
    free(map->slots);
    map->slots = slots;
    map->size = size;
    return err_ok();
}

struct err map_put(struct map *map, struct span key, void *value)
{
    CHECK(value != NULL);
    if (map->count >= map->count_max) return err_make(ERR_BUSY, "map");
    if (map->count + 1 > map->size / 4 * 3) TRY(map_grow(map));
    uint64_t hash = hash_sip(map->seed, key);
    size_t at = map_find(map->slots, map->size, key, hash);
    CHECK(map->slots[at].value == NULL);
    map->slots[at] = (struct map_slot){ key, value, hash };
    map->count++;
    return err_ok();
}

void *map_remove(struct map *map, struct span key)
{
    if (map->count == 0) return NULL;
    size_t mask = map->size - 1;
    size_t hole = map_find(map->slots, map->size, key, hash_sip(map->seed, key));
    void *value = map->slots[hole].value;
    if (value == NULL) return NULL;
    map->slots[hole].value = NULL;
    map->count--;
    /* Move back what probing would no longer reach over the hole. */
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = (size_t)map->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        map->slots[hole] = map->slots[at];
        map->slots[at].value = NULL;
        hole = at;
    }
    return value;
}

void *map_next(const struct map *map, size_t *at)
{
    while (*at < map->size) {
        void *value = map->slots[(*at)++].value;
        if (value != NULL) return value;
    }
    return NULL;
}

/* map.h: a hash table from spans to pointers, with a bound on how many.
 *
 * The key bytes are the caller's and live as long as the entry (they usually stand in the value).
 * Hashing is SipHash-2-4 with a key drawn at map_init, so that a peer can't choose collisions. */
#ifndef MAIL_MAP_H
#define MAIL_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct map_slot {
    struct span key;
    void *value; /* NULL: free */
    uint64_t hash;
};

struct map {
    struct map_slot *slots;
    size_t count, size, count_max;
    uint64_t seed[2];
};

/* At most `count_max` entries; ERR_BUSY beyond. */
void map_init(struct map *map, size_t count_max);
void map_free(struct map *map);

/* The value, or NULL. */
void *map_get(const struct map *map, struct span key);

/* Adds an entry that is not there yet (CHECK). `value` is not NULL. */
MUST_USE struct err map_put(struct map *map, struct span key, void *value);

/* Takes the entry out and returns its value, or NULL. */
void *map_remove(struct map *map, struct span key);

/* Walks all entries: start with `*at` = 0; returns NULL at the end. Do not change the map
 * meanwhile, but for map_remove of what was just returned, after which start again. */
void *map_next(const struct map *map, size_t *at);

#ifdef __cplusplus
}
#endif
#endif

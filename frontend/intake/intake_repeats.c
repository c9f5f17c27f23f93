/* Which messages a client was told of and heard: in memory, per loop, for an hour. Lost with the
 * process: then the same bytes from the same client within the hour count as a retry, and are not
 * delivered a second time. */
#include <stdlib.h>
#include <string.h>

#include "intake_private.h"
#include "list.h"
#include "map.h"

struct intake_repeat {
    struct list link; /* oldest first */
    struct intake_key key;
    uint64_t last_ms;
    uint32_t count;
};

struct intake_repeats {
    struct map map;
    struct list oldest;
};

struct err intake_repeats_new(struct intake_repeats **ret)
{
    struct intake_repeats *repeats = calloc(1, sizeof(*repeats));
    if (repeats == NULL) return err_make(ERR_NOMEM, "repeats");
    map_init(&repeats->map, INTAKE_REPEATS_MAX);
    list_init(&repeats->oldest);
    *ret = repeats;
    return err_ok();
}

static void repeat_drop(struct intake_repeats *repeats, struct intake_repeat *repeat)
{
    map_remove(&repeats->map, span_of(repeat->key.bytes, sizeof(repeat->key.bytes)));
    list_remove(&repeat->link);
    free(repeat);
}

void intake_repeats_free(struct intake_repeats *repeats)
{
    if (repeats == NULL) return;
    while (!list_is_empty(&repeats->oldest)) {
        repeat_drop(repeats, LIST_ITEM(repeats->oldest.next, struct intake_repeat, link));
    }
    map_free(&repeats->map);
    free(repeats);
}

uint32_t intake_repeats_count(struct intake_repeats *repeats, struct intake_key key,
                              uint64_t now_ms, uint64_t life_ms)
{
    while (!list_is_empty(&repeats->oldest)) {
        struct intake_repeat *oldest = LIST_ITEM(repeats->oldest.next, struct intake_repeat, link);
        if (now_ms - oldest->last_ms < life_ms) break;
        repeat_drop(repeats, oldest);
    }
    const struct intake_repeat *repeat = map_get(&repeats->map, span_of(key.bytes, 16));
    return repeat == NULL ? 0 : repeat->count;
}

void intake_repeats_add(struct intake_repeats *repeats, struct intake_key key, uint64_t now_ms)
{
    struct intake_repeat *repeat = map_get(&repeats->map, span_of(key.bytes, 16));
    if (repeat == NULL) {
        if (repeats->map.count >= INTAKE_REPEATS_MAX) {
            repeat_drop(repeats, LIST_ITEM(repeats->oldest.next, struct intake_repeat, link));
        }
        repeat = calloc(1, sizeof(*repeat));
        if (repeat == NULL) return; /* then a repeat looks like a retry; nothing is lost */
        repeat->key = key;
        list_init(&repeat->link);
        if (map_put(&repeats->map, span_of(repeat->key.bytes, 16), repeat).code != ERR_OK) {
            free(repeat);
            return;
        }
    }
    list_remove(&repeat->link);
    list_add(&repeats->oldest, &repeat->link);
    repeat->last_ms = now_ms;
    repeat->count++;
}

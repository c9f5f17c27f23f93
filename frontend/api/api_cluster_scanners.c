/* What the overview of the cluster says of scanners beside their state (api_cluster.c), from their
 * rows and from that of the sets that failed their test (lib/roster/roster_scanner.h):
 *
 *   each of "scanners"     "workers": n, "signatures": version, "set": name, "signatures_ms": date,
 *                          "signatures_age_seconds": n, "refused_set": name
 *   "bad_signature_sets"   [{"set", "by", "why"} ...], the newest last; nobody who has a set in use
 *                          loads one of these
 *
 * What is not known is left out: of a scanner without a row in the pool, all of it. */
#include <string.h>

#include "api_cluster_private.h"
#include "buf.h"
#include "clock.h"
#include "coord.h"
#include "roster_scanner.h"

static void put_set(json_t *item, const char *member, uint64_t set)
{
    char text[ROSTER_SET_BYTES + 1];
    if (set == 0) return;
    roster_set_text(set, text);
    api_set(item, member, json_string(text));
}

static void put_scanner(struct api_call *call, json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    char bytes[ROSTER_KEY_MAX_BYTES];
    struct buf key;
    struct coord_row row;
    struct roster_scanner scanner;
    buf_init(&key, bytes, sizeof(bytes));
    roster_key_name(&key, "scanners", span_of(name, strlen(name)));
    if (key.overflow || !coord_get(call->api->options.coord, buf_span(&key), &row) ||
        roster_scanner_read(row.value, &scanner).code != ERR_OK) {
        return;
    }
    uint64_t now_ms = clock_wall_ms();
    api_set(item, "workers", json_integer(scanner.workers));
    api_set_text(item, "signatures", roster_text_span(&scanner.version));
    put_set(item, "set", scanner.set);
    put_set(item, "refused_set", scanner.refused);
    if (scanner.signatures_ms == 0) return;
    uint64_t age_ms = now_ms > scanner.signatures_ms ? now_ms - scanner.signatures_ms : 0;
    api_set(item, "signatures_ms", json_integer((json_int_t)scanner.signatures_ms));
    api_set(item, "signatures_age_seconds", json_integer((json_int_t)(age_ms / 1000)));
}

void api_cluster_put_scanners(struct api_call *call)
{
    json_t *list = json_array(), *item;
    struct coord_row row;
    struct roster_bad bad = { .count = 0 };
    size_t i;
    json_array_foreach(json_object_get(call->out, "scanners"), i, item) put_scanner(call, item);
    bool there = coord_get(call->api->options.coord, SPAN("signatures/bad"), &row);
    if (there && roster_bad_read(row.value, &bad).code != ERR_OK) bad.count = 0;
    for (uint32_t at = 0; at < bad.count; at++) {
        item = json_object();
        put_set(item, "set", bad.sets[at].set);
        api_set_text(item, "by", roster_name_span(&bad.sets[at].by));
        api_set_text(item, "why", roster_text_span(&bad.sets[at].why));
        json_array_append_new(list, item);
    }
    api_set(call->out, "bad_signature_sets", list);
}

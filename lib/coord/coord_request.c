#include "coord_request.h"

#include <inttypes.h>
#include <stdio.h>

#include "base64.h"
#include "buf.h"
#include "check.h"
#include "json_text.h"

/* JSON around the base64 of an item, in all three places where it stands. */
enum { ITEM_TEXT_BYTES = 400, KEY_TEXT_BYTES = (COORD_ETCD_KEY_MAX_BYTES + 2) / 3 * 4 };

static void put(struct buf *out, const char *text) { buf_put(out, span_of(text, strlen(text))); }

static void put_number(struct buf *out, const char *name, uint64_t number)
{
    char text[96];
    int len = snprintf(text, sizeof(text), "\"%s\":\"%" PRIu64 "\"", name, number);
    buf_put(out, span_of(text, (size_t)len));
}

static void put_bytes(struct buf *out, const char *name, struct span bytes)
{
    put(out, "\"");
    put(out, name);
    put(out, "\":\"");
    base64_encode(out, bytes);
    put(out, "\"");
}

/* The key in its space; with `next` the first key behind it, with `end` the first one that does not
 * begin with it. A space begins with a slash, so there is a byte below 0xff to raise. */
enum key_form { KEY, KEY_NEXT, KEY_END };

static void put_key(struct buf *out, const char *name, struct coord_space space, struct span key,
                    enum key_form form)
{
    char bytes[COORD_ETCD_KEY_MAX_BYTES];
    CHECK(space.prefix.len > 0 && space.prefix.len <= COORD_ETCD_PREFIX_MAX_BYTES);
    CHECK(key.len <= COORD_KEY_MAX_BYTES);
    size_t len = space.prefix.len + key.len;
    memcpy(bytes, space.prefix.ptr, space.prefix.len);
    if (key.len > 0) memcpy(bytes + space.prefix.len, key.ptr, key.len);
    if (form == KEY_NEXT) bytes[len++] = '\0';
    if (form == KEY_END) {
        while ((unsigned char)bytes[len - 1] == 0xff) len--;
        bytes[len - 1] = (char)((unsigned char)bytes[len - 1] + 1);
    }
    put_bytes(out, name, span_of(bytes, len));
}

void coord_request_range(struct buf *out, struct coord_space space,
                         const struct coord_range *range)
{
    struct span from = range->after.len > 0 ? range->after : range->prefix;
    put(out, "{");
    put_key(out, "key", space, from, range->after.len > 0 ? KEY_NEXT : KEY);
    put(out, ",");
    put_key(out, "range_end", space, range->prefix, KEY_END);
    if (range->limit > 0) {
        put(out, ",");
        put_number(out, "limit", range->limit);
    }
    if (range->revision > 0) {
        put(out, ",");
        put_number(out, "revision", range->revision);
    }
    put(out, "}");
    CHECK(!out->overflow);
}

void coord_request_get(struct buf *out, struct coord_space space, struct span key)
{
    put(out, "{");
    put_key(out, "key", space, key, KEY);
    put(out, "}");
    CHECK(!out->overflow);
}

/* ---- transactions */

size_t coord_request_change_size(const struct coord_change *change)
{
    size_t size = COORD_REQUEST_SMALL_BYTES;
    for (size_t i = 0; i < change->count; i++) {
        size += ITEM_TEXT_BYTES + 3 * KEY_TEXT_BYTES + (change->items[i].value.len + 2) / 3 * 4;
    }
    return size;
}

static void put_reads(struct buf *out, struct coord_space space, const struct coord_change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        put(out, i == 0 ? "{\"request_range\":{" : ",{\"request_range\":{");
        put_key(out, "key", space, change->items[i].key, KEY);
        put(out, "}}");
    }
}

static void put_write(struct buf *out, struct coord_space space, const struct coord_item *item,
                      uint64_t lease)
{
    put(out, item->action == COORD_PUT ? "{\"request_put\":{" : "{\"request_delete_range\":{");
    put_key(out, "key", space, item->key, KEY);
    if (item->action == COORD_PUT) {
        put(out, ",");
        put_bytes(out, "value", item->value);
    }
    if (item->action == COORD_PUT && lease != 0) {
        put(out, ",");
        put_number(out, "lease", lease);
    }
    put(out, "}}");
}

void coord_request_change(struct buf *out, struct coord_space space,
                          const struct coord_change *change, const uint64_t *leases)
{
    bool first = true;
    put(out, "{\"compare\":[");
    for (size_t i = 0; i < change->count; i++) {
        CHECK(change->items[i].revision != COORD_ANY);
        put(out, i == 0 ? "{" : ",{");
        put_key(out, "key", space, change->items[i].key, KEY);
        put(out, ",\"target\":\"MOD\",\"result\":\"EQUAL\",");
        put_number(out, "mod_revision", change->items[i].revision);
        put(out, "}");
    }
    put(out, "],\"success\":[");
    for (size_t i = 0; i < change->count; i++) {
        if (change->items[i].action == COORD_COMPARE) continue;
        put(out, first ? "" : ",");
        put_write(out, space, &change->items[i], leases[i]);
        first = false;
    }
    put(out, "],\"failure\":[");
    put_reads(out, space, change);
    put(out, "]}");
    CHECK(!out->overflow);
}

void coord_request_read(struct buf *out, struct coord_space space,
                        const struct coord_change *change)
{
    put(out, "{\"success\":[");
    put_reads(out, space, change);
    put(out, "]}");
    CHECK(!out->overflow);
}

/* ---- watches, leases, log-in */

size_t coord_request_watch_size(size_t count)
{
    return COORD_REQUEST_SMALL_BYTES + count * (ITEM_TEXT_BYTES + 2 * KEY_TEXT_BYTES);
}

void coord_request_watch(struct buf *out, struct coord_space space, const struct span *prefixes,
                         const uint64_t *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(out, "{\"create_request\":{");
        put_key(out, "key", space, prefixes[i], KEY);
        put(out, ",");
        put_key(out, "range_end", space, prefixes[i], KEY_END);
        put(out, ",");
        put_number(out, "start_revision", seen[i] + 1);
        put(out, ",\"fragment\":true}}");
    }
    CHECK(!out->overflow);
}

void coord_request_grant(struct buf *out, uint64_t lease, unsigned seconds)
{
    put(out, "{");
    put_number(out, "TTL", seconds);
    put(out, ",");
    put_number(out, "ID", lease);
    put(out, "}");
    CHECK(!out->overflow);
}

void coord_request_lease(struct buf *out, uint64_t lease)
{
    put(out, "{");
    put_number(out, "ID", lease);
    put(out, "}");
    CHECK(!out->overflow);
}

void coord_request_login(struct buf *out, struct span user, struct span password)
{
    put(out, "{\"name\":");
    json_text_put(out, user);
    put(out, ",\"password\":");
    json_text_put(out, password);
    put(out, "}");
    CHECK(!out->overflow);
}

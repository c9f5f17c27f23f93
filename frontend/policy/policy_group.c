#include "policy_group.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "map.h"

enum { ARENA_MAX_BYTES = 64 * 1024 * 1024, V4_PREFIX_BYTES = 12 };

/* A group: its own ranges, in order and apart from each other, and those that it names. */
struct group {
    struct span name;
    struct policy_ip_range *ranges;
    size_t ranges_count;
    struct span *names;
    const struct group **groups; /* sealed: of the names; NULL for one that is not there */
    size_t groups_count, number;
};

struct policy_groups {
    struct arena arena;
    struct map names;
    struct group **groups;
    size_t count;
};

/* ---- entries */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool policy_group_name_is_good(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.ptr[i])) return false;
    }
    return name.len > 0 && name.len <= POLICY_GROUP_NAME_MAX_BYTES;
}

struct err policy_group_entry_parse(struct span text, struct policy_group_entry *ret)
{
    static const char head[] = "group:";
    struct span start = span_of(head, sizeof(head) - 1);
    *ret = (struct policy_group_entry){ .group = SPAN("") };
    if (!span_eq(span_head(text, start.len), start)) {
        return policy_ip_range_parse(text, &ret->range);
    }
    ret->group = span_skip(text, start.len);
    return policy_group_name_is_good(ret->group) ? err_ok() : err_make(ERR_SYNTAX, "group's name");
}

/* How many bits the first and the last address have in common, if the others are 0 in the one and 1
 * in the other; 129: it is no network. */
static unsigned network_bits(const struct policy_ip_range *range)
{
    unsigned bits = 0;
    for (; bits < 128; bits++) {
        unsigned shift = 7 - bits % 8;
        unsigned a = range->first.bytes[bits / 8] >> shift & 1;
        unsigned b = range->last.bytes[bits / 8] >> shift & 1;
        if (a != b) break;
    }
    for (unsigned i = bits; i < 128; i++) {
        unsigned shift = 7 - i % 8;
        if ((range->first.bytes[i / 8] >> shift & 1) != 0) return 129;
        if ((range->last.bytes[i / 8] >> shift & 1) != 1) return 129;
    }
    return bits;
}

static bool is_v4(const struct policy_ip *ip)
{
    static const uint8_t prefix[V4_PREFIX_BYTES] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    return memcmp(ip->bytes, prefix, sizeof(prefix)) == 0;
}

static void put_ip(const struct policy_ip *ip, struct buf *to)
{
    char text[INET6_ADDRSTRLEN];
    bool v4 = is_v4(ip);
    inet_ntop(v4 ? AF_INET : AF_INET6, ip->bytes + (v4 ? V4_PREFIX_BYTES : 0), text, sizeof(text));
    buf_put(to, span_of(text, strlen(text)));
}

void policy_group_entry_put(const struct policy_group_entry *entry, struct buf *to)
{
    char text[8];
    if (entry->group.len > 0) {
        buf_put(to, SPAN("group:"));
        buf_put(to, entry->group);
        return;
    }
    unsigned bits = network_bits(&entry->range), base = is_v4(&entry->range.first) ? 96 : 0;
    bool is_network = bits >= base && bits <= 128;
    put_ip(&entry->range.first, to);
    if (bits == 128) return;
    if (!is_network) {
        buf_put(to, SPAN("-"));
        put_ip(&entry->range.last, to);
        return;
    }
    int len = snprintf(text, sizeof(text), "/%u", bits - base);
    buf_put(to, span_of(text, (size_t)len));
}

/* ---- reading */

static int by_first(const void *a, const void *b)
{
    const struct policy_ip_range *one = a, *two = b;
    return memcmp(one->first.bytes, two->first.bytes, POLICY_IP_BYTES);
}

/* In order, and what overlaps made one. */
static void merge(struct group *group)
{
    size_t kept = 0;
    if (group->ranges_count == 0) return;
    qsort(group->ranges, group->ranges_count, sizeof(*group->ranges), by_first);
    for (size_t i = 1; i < group->ranges_count; i++) {
        struct policy_ip_range *last = &group->ranges[kept], *next = &group->ranges[i];
        if (memcmp(next->first.bytes, last->last.bytes, POLICY_IP_BYTES) > 0) {
            group->ranges[++kept] = *next;
        } else if (memcmp(next->last.bytes, last->last.bytes, POLICY_IP_BYTES) > 0) {
            last->last = next->last;
        }
    }
    group->ranges_count = kept + 1;
}

static struct err bad(void) { return err_make(ERR_SYNTAX, "IP group"); }

static struct err read_entries(struct arena *arena, const json_t *array, struct group *group)
{
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > POLICY_GROUP_ENTRIES_MAX) return bad();
    group->ranges = arena_alloc(arena, (count + 1) * sizeof(*group->ranges));
    group->names = arena_alloc(arena, (count + 1) * sizeof(*group->names));
    group->groups = arena_alloc(arena, (count + 1) * sizeof(*group->groups));
    if (group->ranges == NULL || group->names == NULL || group->groups == NULL)
        return err_make(ERR_NOMEM, "IP group");
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        struct policy_group_entry entry;
        if (!json_is_string(value)) return bad();
        TRY(policy_group_entry_parse(
            span_of(json_string_value(value), json_string_length(value)), &entry));
        if (entry.group.len == 0) group->ranges[group->ranges_count++] = entry.range;
        else TRY(arena_copy(arena, entry.group, &group->names[group->groups_count++]));
    }
    merge(group);
    return err_ok();
}

static struct err add(struct policy_groups *groups, const json_t *row)
{
    const json_t *text = json_object_get(row, "name");
    struct span name = span_of(json_string_value(text), json_string_length(text));
    struct group *group = arena_alloc(&groups->arena, sizeof(*group));
    if (group == NULL) return err_make(ERR_NOMEM, "IP group");
    if (!json_is_string(text) || !policy_group_name_is_good(name)) return bad();
    if (map_get(&groups->names, name) != NULL) return bad();
    if (groups->count == POLICY_GROUPS_MAX) return err_make(ERR_BUSY, "IP groups");
    TRY(arena_copy(&groups->arena, name, &group->name));
    TRY(read_entries(&groups->arena, json_object_get(row, "entries"), group));
    TRY(map_put(&groups->names, group->name, group));
    group->number = groups->count;
    groups->groups[groups->count++] = group;
    return err_ok();
}

struct err policy_groups_new(struct policy_groups **ret)
{
    struct policy_groups *groups = calloc(1, sizeof(*groups));
    if (groups == NULL) return err_make(ERR_NOMEM, "IP groups");
    arena_init(&groups->arena, ARENA_MAX_BYTES);
    map_init(&groups->names, POLICY_GROUPS_MAX);
    groups->groups = arena_alloc(&groups->arena, POLICY_GROUPS_MAX * sizeof(*groups->groups));
    if (groups->groups == NULL) {
        policy_groups_free(groups);
        return err_make(ERR_NOMEM, "IP groups");
    }
    *ret = groups;
    return err_ok();
}

void policy_groups_free(struct policy_groups *groups)
{
    if (groups == NULL) return;
    map_free(&groups->names);
    arena_clear(&groups->arena);
    free(groups);
}

struct err policy_groups_add(struct policy_groups *groups, struct span json)
{
    json_t *row = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    if (row == NULL) return bad();
    struct err err = add(groups, row);
    json_decref(row);
    return err;
}

void policy_groups_seal(struct policy_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        struct group *group = groups->groups[i];
        for (size_t g = 0; g < group->groups_count; g++) {
            group->groups[g] = map_get(&groups->names, group->names[g]);
        }
    }
}

/* ---- looking up */

size_t policy_groups_count(const struct policy_groups *groups) { return groups->count; }

bool policy_groups_has(const struct policy_groups *groups, struct span name)
{
    return map_get(&groups->names, name) != NULL;
}

static bool has_range(const struct group *group, const struct policy_ip *ip)
{
    size_t low = 0, high = group->ranges_count; /* the first range that begins behind the address */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(group->ranges[middle].first.bytes, ip->bytes, POLICY_IP_BYTES) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && policy_ip_is_in(ip, &group->ranges[low - 1], 1);
}

/* What one walk from group to group looks for: an address, or a group. */
struct walk {
    const struct policy_ip *ip;
    const struct group *wanted;
    bool is_too_deep;
    bool seen[POLICY_GROUPS_MAX];
};

static bool find(struct walk *walk, const struct group *group, unsigned depth)
{
    if (walk->seen[group->number]) return false;
    walk->seen[group->number] = true;
    if (group == walk->wanted || (walk->ip != NULL && has_range(group, walk->ip))) return true;
    if (depth == POLICY_GROUP_DEPTH_MAX) {
        walk->is_too_deep = walk->is_too_deep || group->groups_count > 0;
        return false;
    }
    for (size_t i = 0; i < group->groups_count; i++) {
        if (group->groups[i] != NULL && find(walk, group->groups[i], depth + 1)) return true;
    }
    return false;
}

bool policy_groups_match(const struct policy_groups *groups, struct span name,
                         const struct policy_ip *ip)
{
    struct walk walk = { .ip = ip };
    const struct group *group = map_get(&groups->names, name);
    return group != NULL && find(&walk, group, 0);
}

bool policy_groups_lead(const struct policy_groups *groups, struct span from, struct span to)
{
    struct walk walk = { .wanted = map_get(&groups->names, to) };
    const struct group *group = map_get(&groups->names, from);
    if (group == NULL) return false;
    return find(&walk, group, 1) || walk.is_too_deep;
}

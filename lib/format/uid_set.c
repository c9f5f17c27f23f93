#include "uid_set.h"

#include <assert.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"

static_assert(sizeof(struct uid_range) == 8, "a range in memory is a range of the format");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ranges are written as they lie");

enum { UID_SET_RANGES_FIRST = 4, RANGE_BYTES = 8, U32_DIGITS_MAX = 10 };

void uid_set_init(struct uid_set *set, size_t ranges_max)
{
    *set = (struct uid_set){ .count_max = ranges_max };
}

void uid_set_free(struct uid_set *set)
{
    free(set->ranges);
    set->ranges = NULL;
    set->count = set->size = 0;
}

static bool reserve(struct uid_set *set, size_t count)
{
    if (count <= set->size) return true;
    size_t size = set->size == 0 ? UID_SET_RANGES_FIRST : set->size * 2;
    if (size < count) size = count;
    struct uid_range *ranges = realloc(set->ranges, size * sizeof(*ranges));
    if (ranges == NULL) return false;
    set->ranges = ranges;
    set->size = size;
    return true;
}

/* The first range that ends at `uid` or behind it; `count` when there is none. */
static size_t first_reaching(const struct uid_set *set, uint32_t uid)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < uid) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Makes room for a range at `at`. */
static void open_gap(struct uid_set *set, size_t at)
{
    memmove(set->ranges + at + 1, set->ranges + at, (set->count - at) * sizeof(*set->ranges));
    set->count++;
}

static void close_gap(struct uid_set *set, size_t from, size_t to)
{
    if (from == to) return;
    memmove(set->ranges + from, set->ranges + to, (set->count - to) * sizeof(*set->ranges));
    set->count -= to - from;
}

struct err uid_set_add(struct uid_set *set, uint32_t first, uint32_t last)
{
    if (first == 0 || first > last) return err_make(ERR_SYNTAX, "a range of UIDs");
    /* Usually at the end: then there is nothing to look for. */
    size_t at = set->count;
    if (at > 0 && (uint64_t)set->ranges[at - 1].last + 1 >= first) {
        at = first_reaching(set, first - 1);
    }
    size_t end = at;
    while (end < set->count && set->ranges[end].first <= (uint64_t)last + 1) end++;
    if (end == at) {
        if (set->count >= set->count_max) return err_make(ERR_TOO_BIG, "a set of UIDs");
        if (!reserve(set, set->count + 1)) return err_make(ERR_NOMEM, "a set of UIDs");
        open_gap(set, at);
        set->ranges[at] = (struct uid_range){ first, last };
        return err_ok();
    }
    if (set->ranges[at].first < first) first = set->ranges[at].first;
    if (set->ranges[end - 1].last > last) last = set->ranges[end - 1].last;
    set->ranges[at] = (struct uid_range){ first, last };
    close_gap(set, at + 1, end);
    return err_ok();
}

void uid_set_remove(struct uid_set *set, uint32_t first, uint32_t last)
{
    if (first > last) return;
    size_t at = first_reaching(set, first);
    if (at == set->count || set->ranges[at].first > last) return;
    struct uid_range *range = set->ranges + at;
    if (range->first < first && range->last > last) {
        /* The only case that needs room: a hole in one range. It may go one past count_max. */
        CHECK(reserve(set, set->count + 1));
        open_gap(set, at);
        set->ranges[at].last = first - 1;
        set->ranges[at + 1].first = last + 1;
        return;
    }
    if (range->first < first) {
        range->last = first - 1;
        at++;
    }
    size_t end = at;
    while (end < set->count && set->ranges[end].last <= last) end++;
    if (end < set->count && set->ranges[end].first <= last) set->ranges[end].first = last + 1;
    close_gap(set, at, end);
}

bool uid_set_has(const struct uid_set *set, uint32_t uid)
{
    size_t at = first_reaching(set, uid);
    return at < set->count && set->ranges[at].first <= uid;
}

uint64_t uid_set_count(const struct uid_set *set)
{
    uint64_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        count += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
    }
    return count;
}

uint32_t uid_set_position(const struct uid_set *set, uint32_t uid)
{
    uint32_t before = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct uid_range range = set->ranges[i];
        if (uid < range.first) return 0;
        if (uid <= range.last) return before + (uid - range.first) + 1;
        before += range.last - range.first + 1;
    }
    return 0;
}

uint32_t uid_set_at(const struct uid_set *set, uint32_t position)
{
    if (position == 0) return 0;
    uint64_t left = position;
    for (size_t i = 0; i < set->count; i++) {
        uint64_t here = (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
        if (left <= here) return (uint32_t)(set->ranges[i].first + left - 1);
        left -= here;
    }
    return 0;
}

struct span uid_set_bytes(const struct uid_set *set)
{
    return span_of(set->ranges, set->count * sizeof(*set->ranges));
}

static struct uid_range range_at(struct span bytes, size_t at)
{
    struct uid_range range;
    memcpy(&range, bytes.ptr + at, sizeof(range));
    return range;
}

struct err uid_set_read(struct uid_set *set, struct span bytes)
{
    if (bytes.len % RANGE_BYTES != 0) return err_make(ERR_SYNTAX, "a set of UIDs is cut short");
    if (bytes.len / RANGE_BYTES > set->count_max) return err_make(ERR_TOO_BIG, "a set of UIDs");
    uint64_t free_from = 1; /* what the next range may begin with */
    for (size_t at = 0; at < bytes.len; at += RANGE_BYTES) {
        struct uid_range range = range_at(bytes, at);
        if (range.first < free_from || range.first > range.last) {
            return err_make(ERR_SYNTAX, "a set of UIDs is out of order");
        }
        free_from = (uint64_t)range.last + 2;
    }
    if (!reserve(set, bytes.len / RANGE_BYTES)) return err_make(ERR_NOMEM, "a set of UIDs");
    if (bytes.len > 0) memcpy(set->ranges, bytes.ptr, bytes.len);
    set->count = bytes.len / RANGE_BYTES;
    return err_ok();
}

bool uid_set_walk(struct span bytes, size_t *at, uint32_t uid)
{
    while (bytes.len - *at >= RANGE_BYTES) {
        struct uid_range range = range_at(bytes, *at);
        if (uid <= range.last) return uid >= range.first;
        *at += RANGE_BYTES;
    }
    return false;
}

static void put_number(struct buf *out, uint32_t value)
{
    char digits[U32_DIGITS_MAX];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_put(out, span_of(digits + at, sizeof(digits) - at));
}

void uid_set_text(const struct uid_set *set, struct buf *out)
{
    for (size_t i = 0; i < set->count; i++) {
        if (i > 0) buf_put(out, SPAN(","));
        put_number(out, set->ranges[i].first);
        if (set->ranges[i].first == set->ranges[i].last) continue;
        buf_put(out, SPAN(":"));
        put_number(out, set->ranges[i].last);
    }
}

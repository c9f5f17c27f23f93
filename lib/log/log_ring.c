#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log_ring_private.h"

enum { HEAD_BYTES = 12, TAIL_BYTES = 80 /* of an answer, behind its lines */ };

struct entry {
    uint64_t number;
    struct span line;
};

static struct entry entry_at(const struct log_ring *ring, size_t at)
{
    struct entry entry;
    uint32_t len;
    memcpy(&entry.number, ring->bytes + at, sizeof(entry.number));
    memcpy(&len, ring->bytes + at + sizeof(entry.number), sizeof(len));
    entry.line = span_of(ring->bytes + at + HEAD_BYTES, len);
    return entry;
}

static size_t next_of(const struct log_ring *ring, size_t at)
{
    size_t next = at + HEAD_BYTES + entry_at(ring, at).line.len;
    return ring->wrapped && next == ring->limit ? 0 : next;
}

static void drop_oldest(struct log_ring *ring)
{
    size_t next = next_of(ring, ring->first);
    ring->dropped = entry_at(ring, ring->first).number;
    if (next < ring->first) ring->wrapped = false;
    ring->first = next;
    if (--ring->count == 0) {
        ring->first = ring->end = 0;
        ring->wrapped = false;
    }
}

/* Makes `end` the start of `need` free bytes. */
static void make_room(struct log_ring *ring, size_t need)
{
    if (!ring->wrapped && LOG_RECENT_BYTES - ring->end < need) {
        ring->limit = ring->end;
        ring->end = 0;
        ring->wrapped = ring->count > 0;
    }
    while (ring->wrapped && ring->first - ring->end < need) drop_oldest(ring);
    /* The upper part is used up: what is behind `end` is free as far as the memory goes. */
    if (!ring->wrapped && LOG_RECENT_BYTES - ring->end < need) make_room(ring, need);
}

void log_ring_put(struct log_ring *ring, uint64_t number, struct span line)
{
    uint32_t len = (uint32_t)line.len;
    if (ring->bytes == NULL) ring->bytes = malloc(LOG_RECENT_BYTES);
    if (ring->bytes == NULL || HEAD_BYTES + line.len > LOG_RECENT_BYTES / 2) {
        ring->dropped = number;
        return;
    }
    make_room(ring, HEAD_BYTES + line.len);
    char *to = ring->bytes + ring->end;
    memcpy(to, &number, sizeof(number));
    memcpy(to + sizeof(number), &len, sizeof(len));
    memcpy(to + HEAD_BYTES, line.ptr, line.len);
    ring->end += HEAD_BYTES + line.len;
    ring->count++;
}

void log_ring_free(struct log_ring *ring)
{
    free(ring->bytes);
    *ring = (struct log_ring){ .bytes = NULL };
}

/* ---- reading */

/* Of the lines behind `after`: how many, and bytes with a comma each. */
struct sum {
    size_t lines, bytes;
};

static struct sum sum_of(const struct log_ring *ring, uint64_t after)
{
    struct sum sum = { 0, 0 };
    size_t at = ring->first;
    for (size_t i = 0; i < ring->count; i++, at = next_of(ring, at)) {
        struct entry entry = entry_at(ring, at);
        if (entry.number <= after) continue;
        sum.lines++;
        sum.bytes += entry.line.len + 1;
    }
    return sum;
}

void log_ring_read(const struct log_ring *ring, const struct log_recent *ask, struct buf *to)
{
    char end[TAIL_BYTES];
    struct sum left = sum_of(ring, ask->after);
    uint64_t next = ask->after;
    size_t at = ring->first, max = ask->lines_max, lines = 0;
    if (max > LOG_RECENT_LINES_MAX) max = LOG_RECENT_LINES_MAX;
    buf_put(to, SPAN("{\"events\":["));
    size_t room = to->size - to->len > TAIL_BYTES ? to->size - to->len - TAIL_BYTES : 0;
    for (size_t i = 0; i < ring->count; i++, at = next_of(ring, at)) {
        struct entry entry = entry_at(ring, at);
        bool fits = left.lines <= max && left.bytes <= room;
        if (entry.number <= ask->after) continue;
        left.lines--;
        left.bytes -= entry.line.len + 1;
        if (ask->after == 0 && !fits) {
            next = entry.number; /* older than what is asked for */
            continue;
        }
        if (lines == max || entry.line.len + 1 > room) break;
        if (lines++ > 0) buf_put(to, SPAN(","));
        buf_put(to, entry.line);
        room -= entry.line.len + 1;
        next = entry.number;
    }
    int len = snprintf(end, sizeof(end), "],\"missed\":%s,\"next\":%" PRIu64 "}",
                       ask->after > 0 && ring->dropped > ask->after ? "true" : "false", next);
    buf_put(to, span_of(end, (size_t)len));
}

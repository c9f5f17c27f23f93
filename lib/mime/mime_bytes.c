#include "mime_bytes_private.h"

uint32_t mime_count_lines(struct span s)
{
    uint32_t count = 0;
    while (s.len > 0) {
        const char *end = memchr(s.ptr, '\n', s.len);
        if (end == NULL) break;
        count++;
        s = span_skip(s, (size_t)(end - s.ptr) + 1);
    }
    return count;
}

bool mime_has_8bit(struct span s)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    size_t at = 0;
    for (; s.len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, s.ptr + at, sizeof(word));
        /* The usual test for a zero byte; of bytes below 0x80 it has no false ones. */
        if (((word | (word - ones)) & highs) != 0) return true;
    }
    for (; at < s.len; at++) {
        if ((signed char)s.ptr[at] <= 0) return true;
    }
    return false;
}

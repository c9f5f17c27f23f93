#include "utf8.h"

#include "buf.h"

/* How many bytes a character that begins with `first` has, its bits in there, and the smallest
 * number that needs so many bytes. */
static size_t shape(unsigned char first, uint32_t *bits, uint32_t *least)
{
    if (first >= 0xf0 && first < 0xf5) {
        *bits = first & 0x07u;
        *least = 0x10000;
        return 4;
    }
    if (first >= 0xe0 && first < 0xf0) {
        *bits = first & 0x0fu;
        *least = 0x800;
        return 3;
    }
    if (first >= 0xc2 && first < 0xe0) {
        *bits = first & 0x1fu;
        *least = 0x80;
        return 2;
    }
    return 0;
}

size_t utf8_take(struct span in, uint32_t *ret)
{
    if (in.len == 0) return 0;
    unsigned char first = (unsigned char)in.ptr[0];
    if (first < 0x80) {
        *ret = first;
        return 1;
    }
    uint32_t value, least;
    size_t len = shape(first, &value, &least);
    if (len == 0 || in.len < len) return 0;
    for (size_t i = 1; i < len; i++) {
        unsigned char next = (unsigned char)in.ptr[i];
        if ((next & 0xc0) != 0x80) return 0;
        value = value << 6 | (next & 0x3fu);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
    *ret = value;
    return len;
}

/* How many bytes at the front are ASCII, as far as whole words tell. */
static size_t ascii_bytes(struct span s)
{
    size_t at = 0;
    for (; s.len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, s.ptr + at, sizeof(word));
        if ((word & 0x8080808080808080u) != 0) break;
    }
    return at;
}

bool utf8_is_valid(struct span s)
{
    uint32_t character;
    while (s.len > 0) {
        s = span_skip(s, ascii_bytes(s));
        if (s.len == 0) break;
        size_t len = utf8_take(s, &character);
        if (len == 0) return false;
        s = span_skip(s, len);
    }
    return true;
}

void utf8_put(struct buf *out, uint32_t c)
{
    unsigned char bytes[UTF8_MAX_BYTES];
    size_t len = 0;
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = UTF8_REPLACEMENT;
    if (c < 0x80) {
        bytes[len++] = (unsigned char)c;
    } else if (c < 0x800) {
        bytes[len++] = (unsigned char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[len++] = (unsigned char)(0xe0 | c >> 12);
        bytes[len++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[len++] = (unsigned char)(0xf0 | c >> 18);
        bytes[len++] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
        bytes[len++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80) bytes[len++] = (unsigned char)(0x80 | (c & 0x3f));
    buf_put(out, span_of(bytes, len));
}

void utf8_put_clean(struct buf *out, struct span s)
{
    size_t good = 0; /* bytes at the front that stay as they are */
    uint32_t character;
    while (good < s.len) {
        good += ascii_bytes(span_skip(s, good));
        if (good == s.len) break;
        size_t len = utf8_take(span_skip(s, good), &character);
        if (len > 0) {
            good += len;
            continue;
        }
        buf_put(out, span_head(s, good));
        utf8_put(out, UTF8_REPLACEMENT);
        s = span_skip(s, good + 1);
        good = 0;
    }
    buf_put(out, s);
}

struct span utf8_head(struct span s, size_t max_bytes)
{
    if (s.len <= max_bytes) return s;
    size_t len = max_bytes;
    while (len > 0 && max_bytes - len < UTF8_MAX_BYTES && (s.ptr[len] & 0xc0) == 0x80) len--;
    return span_head(s, len);
}

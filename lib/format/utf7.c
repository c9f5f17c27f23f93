#include "utf7.h"

#include <stdbool.h>
#include <stdint.h>

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == ',' ? 63 : -1;
}

/* What stands as itself, but for '&', which is "&-". */
static bool is_direct(uint32_t c) { return c >= 0x20 && c <= 0x7e; }

static void put_byte(struct buf *out, uint32_t byte)
{
    char c = (char)(unsigned char)(byte & 0xff);
    buf_put(out, span_of(&c, 1));
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        put_byte(out, c);
    } else if (c < 0x800) {
        put_byte(out, 0xc0 | c >> 6);
        put_byte(out, 0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        put_byte(out, 0xe0 | c >> 12);
        put_byte(out, 0x80 | (c >> 6 & 0x3f));
        put_byte(out, 0x80 | (c & 0x3f));
    } else {
        put_byte(out, 0xf0 | c >> 18);
        put_byte(out, 0x80 | (c >> 12 & 0x3f));
        put_byte(out, 0x80 | (c >> 6 & 0x3f));
        put_byte(out, 0x80 | (c & 0x3f));
    }
}

/* One unit of UTF-16; `*high` is the half of a pair that waits for the other, else 0. */
static bool take_unit(uint32_t unit, uint32_t *high, struct buf *out)
{
    bool is_high = unit >= 0xd800 && unit < 0xdc00, is_low = unit >= 0xdc00 && unit < 0xe000;
    if ((*high != 0) != is_low) return false;
    if (is_high) {
        *high = unit;
    } else if (is_low) {
        put_utf8(out, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
        *high = 0;
    } else if (is_direct(unit)) {
        return false; /* "Modified BASE64 MUST NOT be used to represent" it */
    } else {
        put_utf8(out, unit);
    }
    return true;
}

/* Base64 behind '&' up to and with '-'. Returns the bytes used, 0 when it is bad. */
static size_t take_base64(struct span in, struct buf *out)
{
    uint32_t bits = 0, high = 0;
    unsigned count = 0;
    for (size_t at = 0; at < in.len; at++) {
        if (in.ptr[at] == '-') {
            bool whole = count < 6 && (bits & ((1u << count) - 1)) == 0 && high == 0;
            return whole ? at + 1 : 0;
        }
        int value = base64_value(in.ptr[at]);
        if (value < 0) return 0;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        count += 6;
        if (count < 16) continue;
        count -= 16;
        if (!take_unit(bits >> count & 0xffff, &high, out)) return 0;
    }
    return 0;
}

struct err utf7_decode(struct span utf7, struct buf *out)
{
    size_t at = 0;
    while (at < utf7.len) {
        unsigned char c = (unsigned char)utf7.ptr[at++];
        if (!is_direct(c)) return err_make(ERR_SYNTAX, "modified UTF-7");
        if (c != '&') {
            put_byte(out, c);
            continue;
        }
        if (at < utf7.len && utf7.ptr[at] == '-') {
            put_byte(out, '&');
            at++;
            continue;
        }
        size_t used = take_base64(span_skip(utf7, at), out);
        if (used == 0) return err_make(ERR_SYNTAX, "modified UTF-7");
        at += used;
    }
    return out->overflow ? err_make(ERR_TOO_BIG, "mailbox name") : err_ok();
}

/* The first character of `in`; 0 when it is no UTF-8. */
static size_t take_utf8(struct span in, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = (unsigned char)in.ptr[0];
    size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || len > in.len) return 0;
    uint32_t value = len == 1 ? c : c & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char next = (unsigned char)in.ptr[i];
        if ((next & 0xc0) != 0x80) return 0;
        value = value << 6 | (next & 0x3f);
    }
    if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
    *ret = value;
    return len;
}

/* Base64 of UTF-16 that is being written. */
struct shifted {
    uint32_t bits;
    unsigned count;
    bool open;
};

static void put_unit(struct shifted *shifted, uint32_t unit, struct buf *out)
{
    if (!shifted->open) put_byte(out, '&');
    shifted->open = true;
    shifted->bits = (shifted->bits & 0x3f) << 16 | unit;
    shifted->count += 16;
    while (shifted->count >= 6) {
        shifted->count -= 6;
        uint32_t digit = shifted->bits >> shifted->count & 0x3f;
        put_byte(out, (uint32_t)(unsigned char)base64_digits[digit]);
    }
}

static void close_shift(struct shifted *shifted, struct buf *out)
{
    if (!shifted->open) return;
    if (shifted->count > 0) {
        uint32_t rest = shifted->bits << (6 - shifted->count) & 0x3f;
        put_byte(out, (uint32_t)(unsigned char)base64_digits[rest]);
    }
    put_byte(out, '-');
    *shifted = (struct shifted){ 0 };
}

struct err utf7_encode(struct span utf8, struct buf *out)
{
    struct shifted shifted = { 0 };
    size_t at = 0;
    while (at < utf8.len) {
        uint32_t c = 0;
        size_t used = take_utf8(span_skip(utf8, at), &c);
        if (used == 0) return err_make(ERR_SYNTAX, "UTF-8");
        at += used;
        if (is_direct(c)) {
            close_shift(&shifted, out);
            put_byte(out, c);
            if (c == '&') put_byte(out, '-');
        } else if (c < 0x10000) {
            put_unit(&shifted, c, out);
        } else {
            put_unit(&shifted, 0xd800 + ((c - 0x10000) >> 10), out);
            put_unit(&shifted, 0xdc00 + ((c - 0x10000) & 0x3ff), out);
        }
    }
    close_shift(&shifted, out);
    return out->overflow ? err_make(ERR_TOO_BIG, "mailbox name") : err_ok();
}

#include "login_base64.h"

#include <stdint.h>

#include "buf.h"

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four; `pads` of its last digits are "=". */
static bool group_decode(const char *text, size_t pads, struct buf *out)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i >= 4 - pads ? 0 : digit_value(text[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
    }
    char bytes[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };
    if (pads > 0 && bytes[2] != 0) return false;
    if (pads > 1 && bytes[1] != 0) return false;
    buf_put(out, span_of(bytes, 3 - pads));
    return true;
}

struct err login_base64_decode(struct span text, struct buf *out)
{
    if (text.len % 4 != 0) return err_make(ERR_SYNTAX, "base64");
    size_t before = out->len;
    for (size_t at = 0; at < text.len; at += 4) {
        size_t pads = 0;
        if (at + 4 == text.len && text.ptr[at + 3] == '=') pads = text.ptr[at + 2] == '=' ? 2 : 1;
        if (!group_decode(text.ptr + at, pads, out)) {
            out->len = before;
            return err_make(ERR_SYNTAX, "base64");
        }
    }
    if (out->overflow) {
        out->len = before;
        return err_make(ERR_TOO_BIG, "base64");
    }
    return err_ok();
}

void login_base64_encode(struct span bytes, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t have = bytes.len - at < 3 ? bytes.len - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++) {
            bits = bits << 8 | (i < have ? (unsigned char)bytes.ptr[at + i] : 0u);
        }
        char text[4] = { digits[bits >> 18 & 63], digits[bits >> 12 & 63], '=', '=' };
        if (have > 1) text[2] = digits[bits >> 6 & 63];
        if (have > 2) text[3] = digits[bits & 63];
        buf_put(out, span_of(text, 4));
    }
}

#include "base64.h"

#include <stdint.h>

#include "buf.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct span bytes)
{
    for (; bytes.len > 0; bytes = span_skip(bytes, 3)) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++) {
            bits = bits << 8 | (i < bytes.len ? (unsigned char)bytes.ptr[i] : 0u);
        }
        char text[4] = { digits[bits >> 18], digits[bits >> 12 & 63], digits[bits >> 6 & 63],
                         digits[bits & 63] };
        if (bytes.len < 3) text[3] = '=';
        if (bytes.len < 2) text[2] = '=';
        buf_put(out, span_of(text, sizeof(text)));
    }
}

void base64_encode_lines(struct buf *out, struct span bytes)
{
    const size_t line = BASE64_LINE_CHARACTERS / 4 * 3;
    for (; bytes.len > 0; bytes = span_skip(bytes, line)) {
        base64_encode(out, span_head(bytes, line));
        buf_put(out, SPAN("\r\n"));
    }
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

void base64_decode(struct buf *out, struct span text)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '=') have = 0;
        int value = digit_value(text.ptr[i]);
        if (value < 0) continue;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        char byte = (char)(unsigned char)(bits >> have & 0xff);
        buf_put(out, span_of(&byte, 1));
    }
}

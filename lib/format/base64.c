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

enum { NO_DIGIT = 64, PADDING = 65 };

static const unsigned char values[256] = {
#define N NO_DIGIT
#define N8 N, N, N, N, N, N, N, N
#define N32 N8, N8, N8, N8
    N32, N8, N, N, N, 62, N, N, N, 63, /* '+' '/' */
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, N, N, N, PADDING, N, N,
    N, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, N, N, N, N, N,
    N, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, N, N, N, N, N,
    N32, N32, N32, N32,
#undef N32
#undef N8
#undef N
};

/* Whole quanta without anything between them, while there is room; returns digits used. */
static size_t decode_quanta(struct buf *out, struct span text)
{
    const unsigned char *in = (const unsigned char *)text.ptr;
    size_t quanta = text.len / 4, room = (out->size - out->len) / 3, i = 0;
    char *to = out->bytes + out->len;
    if (quanta > room) quanta = room;
    for (; i < quanta; i++, in += 4, to += 3) {
        unsigned a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
        if ((a | b | c | d) >= NO_DIGIT) break;
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        to[0] = (char)(unsigned char)(bits >> 16);
        to[1] = (char)(unsigned char)(bits >> 8 & 0xff);
        to[2] = (char)(unsigned char)(bits & 0xff);
    }
    out->len += i * 3;
    return i * 4;
}

void base64_decode_some(struct base64_state *state, struct buf *out, struct span *text)
{
    struct span in = *text;
    while (in.len > 0) {
        if (state->have == 0 && in.len >= 4) {
            in = span_skip(in, decode_quanta(out, in));
            if (in.len == 0) break;
        }
        unsigned value = values[(unsigned char)in.ptr[0]];
        if (value == PADDING) state->have = 0;
        if (value < NO_DIGIT) {
            if (state->have >= 2 && out->len == out->size) break;
            state->bits = state->bits << 6 | value;
            state->have += 6;
            if (state->have >= 8) {
                state->have -= 8;
                out->bytes[out->len++] = (char)(unsigned char)(state->bits >> state->have & 0xff);
            }
        }
        in = span_skip(in, 1);
    }
    *text = in;
}

void base64_decode(struct buf *out, struct span text)
{
    struct base64_state state = { 0, 0 };
    base64_decode_some(&state, out, &text);
    if (text.len > 0) out->overflow = true;
}

/* One group of four; `pads` of its last digits are "=". */
static bool group_decode(struct buf *out, const char *text, size_t pads)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned value = i >= 4 - pads ? 0 : values[(unsigned char)text[i]];
        if (value >= NO_DIGIT) return false;
        bits = bits << 6 | value;
    }
    char bytes[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };
    if (pads > 0 && bytes[2] != 0) return false;
    if (pads > 1 && bytes[1] != 0) return false;
    buf_put(out, span_of(bytes, 3 - pads));
    return true;
}

struct err base64_decode_strict(struct buf *out, struct span text)
{
    if (text.len % 4 != 0) return err_make(ERR_SYNTAX, "base64");
    size_t before = out->len;
    for (size_t at = 0; at < text.len; at += 4) {
        size_t pads = 0;
        if (at + 4 == text.len && text.ptr[at + 3] == '=') pads = text.ptr[at + 2] == '=' ? 2 : 1;
        if (!group_decode(out, text.ptr + at, pads)) {
            out->len = before;
            return err_make(ERR_SYNTAX, "base64");
        }
    }
    if (!out->overflow) return err_ok();
    out->len = before;
    return err_make(ERR_TOO_BIG, "base64");
}

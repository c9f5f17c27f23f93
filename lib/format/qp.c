#include "qp.h"

#include <stdbool.h>

#include "buf.h"

static void put_char(struct buf *out, char c) { buf_put(out, span_of(&c, 1)); }

static bool is_crlf(struct span s, size_t at)
{
    return s.len - at >= 2 && s.ptr[at] == '\r' && s.ptr[at + 1] == '\n';
}

/* White space at the end of a line is lost on some ways; a dot alone, and "From ", are changed. */
static bool stands_as_it_is(struct span text, size_t at, size_t column)
{
    char c = text.ptr[at];
    bool ends_line = at + 1 == text.len || is_crlf(text, at + 1);
    if (c == ' ' || c == '\t') return !ends_line;
    if (column == 0 && (c == '.' || c == 'F')) return false;
    return c > ' ' && c < 0x7f && c != '=';
}

void qp_encode(struct buf *out, struct span text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t column = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (is_crlf(text, i)) {
            buf_put(out, SPAN("\r\n"));
            column = 0;
            i++;
            continue;
        }
        bool plain = stands_as_it_is(text, i, column);
        size_t width = plain ? 1 : 3;
        if (column + width >= QP_LINE_CHARACTERS) {
            buf_put(out, SPAN("=\r\n"));
            column = 0;
            plain = stands_as_it_is(text, i, column);
            width = plain ? 1 : 3;
        }
        unsigned char c = (unsigned char)text.ptr[i];
        if (!plain) {
            put_char(out, '=');
            put_char(out, hex[c >> 4]);
        }
        put_char(out, plain ? (char)c : hex[c & 15]);
        column += width;
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* "=XX" at the front of `s`: the byte, or -1. */
static int escape_value(struct span s)
{
    if (s.len < 3) return -1;
    int high = hex_value(s.ptr[1]), low = hex_value(s.ptr[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* "=" white space and a line end: how long it is, 0 when it is none. */
static size_t soft_break(struct span s)
{
    size_t at = 1;
    while (at < s.len && (s.ptr[at] == ' ' || s.ptr[at] == '\t')) at++;
    if (at == s.len) return at;
    if (s.ptr[at] == '\n') return at + 1;
    return is_crlf(s, at) ? at + 2 : 0;
}

static void decode(struct buf *out, struct span text, bool is_word)
{
    size_t plain = 0;
    while (plain < text.len) {
        char c = text.ptr[plain];
        if (c != '=' && !(is_word && c == '_')) {
            plain++;
            continue;
        }
        buf_put(out, span_head(text, plain));
        text = span_skip(text, plain);
        plain = 0;
        int value = c == '_' ? ' ' : escape_value(text);
        size_t used = c == '_' ? 1 : 3;
        if (value >= 0) put_char(out, (char)(unsigned char)value);
        else used = is_word ? 0 : soft_break(text);
        if (used == 0) plain = 1;
        text = span_skip(text, used);
    }
    buf_put(out, text);
}

void qp_decode(struct buf *out, struct span text) { decode(out, text, false); }

void qp_decode_word(struct buf *out, struct span text) { decode(out, text, true); }

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

/* The bytes at the front that stand for themselves. */
static size_t plain_bytes(struct span text, bool is_word)
{
    if (!is_word) {
        const char *end = memchr(text.ptr, '=', text.len);
        return end == NULL ? text.len : (size_t)(end - text.ptr);
    }
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '=' && text.ptr[len] != '_') len++;
    return len;
}

/* What begins with "=", or "_" in a word: the bytes of `text` it takes, and what it says. */
static size_t take_escape(struct span text, bool is_word, struct span *says, char *store)
{
    int value = text.ptr[0] == '_' ? ' ' : escape_value(text);
    size_t used = text.ptr[0] == '_' ? 1 : 3;
    *says = span_of(store, 1);
    *store = (char)(unsigned char)(value >= 0 ? value : '=');
    if (value >= 0) return used;
    used = is_word ? 0 : soft_break(text);
    if (used == 0) return 1; /* no encoding: it stands for itself */
    says->len = 0;
    return used;
}

static void decode(struct buf *out, struct span *text, bool is_word)
{
    struct span in = *text, says;
    char store;
    while (in.len > 0) {
        size_t room = out->size - out->len, plain = plain_bytes(in, is_word);
        if (plain > room) plain = room;
        buf_put(out, span_head(in, plain));
        in = span_skip(in, plain);
        if (in.len == 0 || (in.ptr[0] != '=' && !(is_word && in.ptr[0] == '_'))) break;
        size_t used = take_escape(in, is_word, &says, &store);
        if (says.len > out->size - out->len) break;
        buf_put(out, says);
        in = span_skip(in, used);
    }
    *text = in;
}

void qp_decode_some(struct buf *out, struct span *text) { decode(out, text, false); }

void qp_decode(struct buf *out, struct span text)
{
    decode(out, &text, false);
    if (text.len > 0) out->overflow = true;
}

void qp_decode_word(struct buf *out, struct span text)
{
    decode(out, &text, true);
    if (text.len > 0) out->overflow = true;
}

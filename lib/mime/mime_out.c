#include "mime_out.h"

#include <stdlib.h>

enum { QUOTED_MAX_BYTES = 4096, FIRST_BYTES = 2048 };

void mime_out_put(struct mime_out *out, struct span bytes)
{
    if (out->failed || bytes.len > out->limit - out->len) {
        out->failed = true;
        return;
    }
    if (bytes.len > out->size - out->len) {
        size_t size = out->size == 0 ? FIRST_BYTES : out->size;
        while (size - out->len < bytes.len) size *= 2;
        char *grown = realloc(out->bytes, size);
        if (grown == NULL) {
            out->failed = true;
            return;
        }
        out->bytes = grown;
        out->size = size;
    }
    if (bytes.len > 0) memcpy(out->bytes + out->len, bytes.ptr, bytes.len);
    out->len += bytes.len;
}

void mime_out_number(struct mime_out *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    mime_out_put(out, span_of(digits + at, sizeof(digits) - at));
}

/* A quoted string has 7-bit characters without NUL, CR and LF (RFC 3501 9: TEXT-CHAR). */
static bool is_quotable(struct span text)
{
    if (text.len > QUOTED_MAX_BYTES) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80 || c == '\0' || c == '\r' || c == '\n') return false;
    }
    return true;
}

void mime_out_string(struct mime_out *out, struct span text)
{
    if (!is_quotable(text)) {
        mime_out_char(out, '{');
        mime_out_number(out, text.len);
        mime_out_put(out, SPAN("}\r\n"));
        for (size_t i = 0; i < text.len; i++) {
            mime_out_char(out, text.ptr[i] == '\0' ? '?' : text.ptr[i]);
        }
        return;
    }
    mime_out_char(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '"' && text.ptr[i] != '\\') continue;
        mime_out_put(out, span_of(text.ptr + from, i - from));
        mime_out_char(out, '\\');
        from = i;
    }
    mime_out_put(out, span_of(text.ptr == NULL ? "" : text.ptr + from, text.len - from));
    mime_out_char(out, '"');
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static struct span trim(struct span s)
{
    while (s.len > 0 && is_space(s.ptr[0])) s = span_skip(s, 1);
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* Without the line ends of folds. Most values have none and are not copied. */
static void put_unfolded(struct mime_out *out, struct span value)
{
    if (memchr(value.ptr, '\n', value.len) == NULL && memchr(value.ptr, '\r', value.len) == NULL) {
        mime_out_string(out, value);
        return;
    }
    char *copy = malloc(value.len + 1);
    size_t len = 0;
    if (copy == NULL) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '\r' && value.ptr[i] != '\n') copy[len++] = value.ptr[i];
    }
    mime_out_string(out, span_of(copy, len));
    free(copy);
}

void mime_out_field(struct mime_out *out, struct span value)
{
    if (value.ptr == NULL) {
        mime_out_put(out, SPAN("NIL"));
        return;
    }
    put_unfolded(out, trim(value));
}

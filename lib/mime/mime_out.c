#include "mime_out_private.h"

#include <stdlib.h>

#include "buf.h"
#include "header.h"
#include "imap_put.h"

enum { OUT_FIRST_BYTES = 4096, LITERAL_HEAD_BYTES = 16 };

bool mime_out_reserve(struct mime_out *out, size_t bytes)
{
    if (out->failed) return false;
    if (bytes <= out->size - out->len) return true;
    size_t size = out->size == 0 ? OUT_FIRST_BYTES : out->size * 2;
    while (size - out->len < bytes) size *= 2;
    char *grown = realloc(out->bytes, size);
    if (grown == NULL) {
        out->failed = true;
        return false;
    }
    out->bytes = grown;
    out->size = size;
    return true;
}

void mime_out_put(struct mime_out *out, struct span bytes)
{
    if (bytes.len == 0 || !mime_out_reserve(out, bytes.len)) return;
    memcpy(out->bytes + out->len, bytes.ptr, bytes.len);
    out->len += bytes.len;
}

void mime_out_number(struct mime_out *out, uint64_t number)
{
    if (!mime_out_reserve(out, IMAP_U64_MAX_BYTES)) return;
    out->len = (size_t)(imap_put_u64(out->bytes + out->len, number) - out->bytes);
}

/* Room for it was made: LITERAL_HEAD_BYTES + text.len. */
static void put_literal(struct mime_out *out, struct span text)
{
    mime_out_char(out, '{');
    mime_out_number(out, text.len);
    mime_out_put(out, SPAN("}\r\n"));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        out->bytes[out->len++] = (char)((c < ' ' && c != '\t') || c == 0x7f ? ' ' : c);
    }
}

void mime_out_string(struct mime_out *out, struct span text)
{
    if (!mime_out_reserve(out, 2 * text.len + LITERAL_HEAD_BYTES)) return;
    char *to = out->bytes + out->len;
    *to++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80) {
            put_literal(out, text);
            return;
        }
        if (c == '"' || c == '\\') *to++ = '\\';
        *to++ = (char)((c < ' ' && c != '\t') || c == 0x7f ? ' ' : c);
    }
    *to++ = '"';
    out->len = (size_t)(to - out->bytes);
}

void mime_out_upper(struct mime_out *out, struct span text)
{
    size_t from = out->len;
    mime_out_string(out, text);
    for (size_t i = from; i < out->len; i++) {
        char c = out->bytes[i];
        if (c >= 'a' && c <= 'z') out->bytes[i] = (char)(c - 'a' + 'A');
    }
}

void mime_out_field(struct mime_out *out, struct span value, size_t max_bytes)
{
    if (value.ptr == NULL) {
        mime_out_put(out, SPAN("NIL"));
        return;
    }
    value = span_head(header_trim(value), max_bytes);
    if (value.len == 0 || memchr(value.ptr, '\n', value.len) == NULL) {
        mime_out_string(out, value);
        return;
    }
    /* Unfolded behind the room that its string can take, and from there into that. */
    size_t ahead = 2 * value.len + LITERAL_HEAD_BYTES;
    if (!mime_out_reserve(out, ahead + value.len)) return;
    struct buf line;
    buf_init(&line, out->bytes + out->len + ahead, value.len);
    header_unfold(&line, value);
    mime_out_string(out, buf_span(&line));
}

/* A file in a text:
 *
 *   begin <mode of 3 or 4 octal digits> <name>
 *   <length><data>     a line for each 45 bytes: the length and each 6 bits plus 32, "`" is 0
 *   `                  a line of length 0
 *   end
 */
#include "mime_uu_private.h"

#include "buf.h"

enum { LINE_BYTES_MAX = 63 };

static struct span take_line(struct span *text)
{
    const char *end = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    size_t whole = end == NULL ? text->len : (size_t)(end - text->ptr) + 1;
    struct span line = span_head(*text, end == NULL ? whole : whole - 1);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    *text = span_skip(*text, whole);
    return line;
}

static int value_of(char c)
{
    if (c < ' ' || c > '`') return -1;
    return (c - ' ') & 63;
}

/* How many bytes a line of data says; -1: it is no such line. White space at its end may be lost,
 * which was zeros. */
static int line_bytes(struct span line)
{
    if (line.len == 0) return -1;
    int count = value_of(line.ptr[0]);
    size_t digits = count <= 0 ? 0 : ((size_t)count + 2) / 3 * 4;
    if (count < 0 || line.len > digits + 2) return -1;
    for (size_t i = 1; i < line.len; i++) {
        if (value_of(line.ptr[i]) < 0) return -1;
    }
    return count;
}

static bool is_begin(struct span line, struct span *name)
{
    struct span mode;
    if (!span_starts_nocase(line, SPAN("begin "))) return false;
    if (!span_cut(span_skip(line, 6), ' ', &mode, name)) return false;
    if (mode.len < 3 || mode.len > 4 || name->len == 0) return false;
    for (size_t i = 0; i < mode.len; i++) {
        if (mode.ptr[i] < '0' || mode.ptr[i] > '7') return false;
    }
    return true;
}

bool mime_uu_begin(struct span *text, struct span *name)
{
    while (text->len > 0) {
        /* Most texts have no such line: look for its first letters and not line by line. */
        const char *at = memmem(text->ptr, text->len, "begin ", 6);
        if (at == NULL) break;
        bool starts_line = at == text->ptr || at[-1] == '\n';
        *text = span_skip(*text, (size_t)(at - text->ptr));
        struct span rest = *text, line = take_line(&rest);
        if (starts_line && is_begin(line, name)) {
            struct span data = rest;
            *text = rest;
            if (line_bytes(take_line(&data)) > 0) return true;
            continue;
        }
        *text = span_skip(*text, 6);
    }
    *text = span_skip(*text, text->len);
    return false;
}

static void decode_line(struct span line, int count, struct buf *out)
{
    for (size_t i = 1; count > 0; i += 4) {
        unsigned bits = 0;
        for (size_t k = 0; k < 4; k++) {
            int value = i + k < line.len ? value_of(line.ptr[i + k]) : 0;
            bits = bits << 6 | (unsigned)value;
        }
        char bytes[3] = { (char)(unsigned char)(bits >> 16),
                          (char)(unsigned char)(bits >> 8 & 0xff),
                          (char)(unsigned char)(bits & 0xff) };
        size_t here = count < 3 ? (size_t)count : 3;
        buf_put(out, span_of(bytes, here));
        count -= (int)here;
    }
}

bool mime_uu_decode(struct span *text, struct buf *out)
{
    while (out->size - out->len >= LINE_BYTES_MAX) {
        struct span rest = *text, line = take_line(&rest);
        int count = line_bytes(line);
        if (count <= 0) {
            if (count == 0) *text = rest;
            return false;
        }
        decode_line(line, count, out);
        *text = rest;
    }
    return true;
}

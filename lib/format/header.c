#include "header.h"

#include "buf.h"

static bool is_white(char c) { return c == ' ' || c == '\t'; }

/* The length of the line at the front, with its line end. */
static size_t line_bytes(struct span in)
{
    const char *end = in.len == 0 ? NULL : memchr(in.ptr, '\n', in.len);
    return end == NULL ? in.len : (size_t)(end - in.ptr) + 1;
}

/* Without CRLF or LF at the end. */
static struct span without_end(struct span line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\n') line.len--;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    return line;
}

/* ftext: printable, no colon. Empty when it is none. */
static struct span field_name(struct span name)
{
    while (name.len > 0 && is_white(name.ptr[name.len - 1])) name.len--;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] == 0x7f) return span_head(name, 0);
    }
    return name;
}

bool header_take(struct span *in, struct header_field *ret)
{
    size_t len = line_bytes(*in);
    struct span line = without_end(span_head(*in, len));
    if (line.len == 0) {
        *in = span_skip(*in, len);
        return false;
    }
    while (len < in->len && is_white(in->ptr[len])) len += line_bytes(span_skip(*in, len));
    ret->raw = span_head(*in, len);
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL) {
        ret->name = ret->value = span_head(line, 0);
    } else {
        size_t before = (size_t)(colon - line.ptr);
        ret->name = field_name(span_head(line, before));
        ret->value = span_skip(without_end(ret->raw), before + 1);
    }
    *in = span_skip(*in, len);
    return true;
}

bool header_find(struct span header, struct span name, struct span *value)
{
    struct header_field field;
    while (header_take(&header, &field)) {
        if (!span_eq_nocase(field.name, name)) continue;
        *value = field.value;
        return true;
    }
    return false;
}

struct span header_trim(struct span value)
{
    while (value.len > 0 && strchr(" \t\r\n", value.ptr[0]) != NULL && value.ptr[0] != '\0') {
        value = span_skip(value, 1);
    }
    while (value.len > 0 && strchr(" \t\r\n", value.ptr[value.len - 1]) != NULL
           && value.ptr[value.len - 1] != '\0') {
        value.len--;
    }
    return value;
}

static bool is_fold(struct span s, size_t at)
{
    if (s.ptr[at] == '\r' && at + 1 < s.len && s.ptr[at + 1] == '\n') at++;
    return s.ptr[at] == '\n' && at + 1 < s.len && is_white(s.ptr[at + 1]);
}

void header_unfold(struct buf *out, struct span value)
{
    size_t plain = 0;
    value = header_trim(value);
    while (plain < value.len) {
        unsigned char c = (unsigned char)value.ptr[plain];
        if ((c >= ' ' && c != 0x7f) || c == '\t') {
            plain++;
            continue;
        }
        buf_put(out, span_head(value, plain));
        bool fold = is_fold(value, plain);
        if (!fold) buf_put(out, SPAN(" "));
        value = span_skip(value, plain + (fold && c == '\r' ? 2 : 1));
        plain = 0;
    }
    buf_put(out, value);
}

#include "mbox_store_private.h"

/* The end of the field at the front: its line and those behind that begin with white space. */
static size_t field_end(struct span fields)
{
    size_t at = 0;
    for (;;) {
        const char *line = memchr(fields.ptr + at, '\n', fields.len - at);
        if (line == NULL) return fields.len;
        at = (size_t)(line - fields.ptr) + 1;
        if (at == fields.len || (fields.ptr[at] != ' ' && fields.ptr[at] != '\t')) return at;
    }
}

bool mbox_field_next(struct span *fields, struct span name, struct span *value)
{
    while (fields->len > 0) {
        size_t end = field_end(*fields);
        struct span field = span_head(*fields, end);
        *fields = span_skip(*fields, end);
        if (field.len <= name.len || field.ptr[name.len] != ':') continue;
        if (!span_starts_nocase(field, name)) continue;
        *value = span_skip(field, name.len + 1);
        return true;
    }
    return false;
}

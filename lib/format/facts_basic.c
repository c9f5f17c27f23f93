/* BODY out of BODYSTRUCTURE (RFC 3501 7.4.2): the same list without extension data.
 *
 *   body      = "(" ( part / multipart ) ")"
 *   multipart = 1*body SP subtype [ SP extension data ]
 *   part      = type SP subtype SP params SP id SP description SP encoding SP octets
 *               [ SP lines ]                        when the type is TEXT
 *               [ SP envelope SP body SP lines ]    when it is MESSAGE/RFC822
 *               [ SP extension data ]
 */
#include "buf.h"
#include "facts.h"

struct reader {
    struct span in;
    size_t at;
    struct buf *out;
};

enum { LIST_DEPTH_MAX = 2 * FACTS_DEPTH_MAX + 16, PART_ITEMS = 7 };

static char next(const struct reader *reader)
{
    return reader->at < reader->in.len ? reader->in.ptr[reader->at] : '\0';
}

static bool skip_quoted(struct reader *reader)
{
    for (size_t i = reader->at + 1; i < reader->in.len; i++) {
        char c = reader->in.ptr[i];
        if (c == '"') {
            reader->at = i + 1;
            return true;
        }
        if (c == '\\') i++;
    }
    return false;
}

/* "{" number "}" CRLF and that many octets. */
static bool skip_literal(struct reader *reader)
{
    size_t len = 0, i = reader->at + 1;
    for (; i < reader->in.len && reader->in.ptr[i] >= '0' && reader->in.ptr[i] <= '9'; i++) {
        len = len * 10 + (size_t)(reader->in.ptr[i] - '0');
        if (len > FACTS_MAX_BYTES) return false;
    }
    if (reader->in.len - i < 3 || memcmp(reader->in.ptr + i, "}\r\n", 3) != 0) return false;
    if (reader->in.len - i - 3 < len) return false;
    reader->at = i + 3 + len;
    return true;
}

static void skip_atom(struct reader *reader)
{
    while (reader->at < reader->in.len && strchr(" ()\"{", next(reader)) == NULL) reader->at++;
}

/* One value, a list with all in it. */
static bool skip_value(struct reader *reader)
{
    size_t depth = 0;
    do {
        size_t before = reader->at;
        switch (next(reader)) {
        case '(': depth++, reader->at++; break;
        case ')':
            if (depth == 0) return false;
            depth--, reader->at++;
            break;
        case '"':
            if (!skip_quoted(reader)) return false;
            break;
        case '{':
            if (!skip_literal(reader)) return false;
            break;
        case ' ':
            if (depth == 0) return false;
            reader->at++;
            break;
        default: skip_atom(reader);
        }
        if (reader->at == before) return false;
    } while (depth > 0);
    return true;
}

static void put_from(struct reader *reader, size_t from)
{
    buf_put(reader->out, span_of(reader->in.ptr + from, reader->at - from));
}

/* A value and the space before it. */
static bool copy_item(struct reader *reader, struct span *value)
{
    size_t from = reader->at;
    if (next(reader) != ' ') return false;
    reader->at++;
    if (!skip_value(reader)) return false;
    *value = span_of(reader->in.ptr + from + 1, reader->at - from - 1);
    put_from(reader, from);
    return true;
}

/* To the end of the list that we are in, which is written without what is skipped. */
static bool close_list(struct reader *reader)
{
    while (next(reader) == ' ') {
        reader->at++;
        if (!skip_value(reader)) return false;
    }
    if (next(reader) != ')') return false;
    reader->at++;
    buf_put(reader->out, SPAN(")"));
    return true;
}

static bool copy_body(struct reader *reader, unsigned depth);

static bool copy_part(struct reader *reader, unsigned depth)
{
    struct span type, subtype, value;
    size_t from = reader->at;
    if (!skip_value(reader)) return false;
    type = span_of(reader->in.ptr + from, reader->at - from);
    put_from(reader, from);
    if (!copy_item(reader, &subtype)) return false;
    for (unsigned i = 2; i < PART_ITEMS; i++) {
        if (!copy_item(reader, &value)) return false;
    }
    if (span_eq_nocase(type, SPAN("\"MESSAGE\"")) && span_eq_nocase(subtype, SPAN("\"RFC822\""))) {
        if (!copy_item(reader, &value) || next(reader) != ' ') return false;
        reader->at++;
        buf_put(reader->out, SPAN(" "));
        if (!copy_body(reader, depth + 1) || !copy_item(reader, &value)) return false;
    } else if (span_eq_nocase(type, SPAN("\"TEXT\""))) {
        if (!copy_item(reader, &value)) return false;
    }
    return close_list(reader);
}

static bool copy_body(struct reader *reader, unsigned depth)
{
    struct span subtype;
    if (depth > LIST_DEPTH_MAX || next(reader) != '(') return false;
    reader->at++;
    buf_put(reader->out, SPAN("("));
    if (next(reader) != '(') return copy_part(reader, depth);
    while (next(reader) == '(') {
        if (!copy_body(reader, depth + 1)) return false;
    }
    return copy_item(reader, &subtype) && close_list(reader);
}

void facts_structure_basic(struct span structure, struct buf *out)
{
    struct reader reader = { .in = structure, .out = out };
    size_t before = out->len;
    if (copy_body(&reader, 0) && reader.at == structure.len) return;
    /* A row that was damaged on its way: the client still gets a list that it can read over. */
    out->len = before;
    buf_put(out, structure);
}

#include "address.h"

#include "buf.h"

static const size_t nowhere = (size_t)-1;

void address_reader_init(struct address_reader *reader, struct span value)
{
    *reader = (struct address_reader){ .in = value };
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/* Behind the quote that closes the one at `at`, or 0. When one stays open no later one closes, so
 * nothing is looked through twice. */
static size_t quoted_end(struct address_reader *reader, size_t at)
{
    struct span in = reader->in;
    if (reader->no_more_quotes) return 0;
    for (size_t i = at + 1; i < in.len; i++) {
        if (in.ptr[i] == '\\') i++;
        else if (in.ptr[i] == '"') return i + 1;
    }
    reader->no_more_quotes = true;
    return 0;
}

/* Behind the comment at `at`; one that stays open goes to the end. */
static size_t comment_end(struct span in, size_t at)
{
    size_t depth = 0;
    for (; at < in.len; at++) {
        if (in.ptr[at] == '\\') at++;
        else if (in.ptr[at] == '(') depth++;
        else if (in.ptr[at] == ')' && --depth == 0) return at + 1;
    }
    return in.len;
}

/* Behind a quoted string, a comment or a character. */
static size_t step(struct address_reader *reader, size_t at)
{
    size_t end = 0;
    if (reader->in.ptr[at] == '"') end = quoted_end(reader, at);
    if (reader->in.ptr[at] == '(') end = comment_end(reader->in, at);
    return end > 0 ? end : at + 1;
}

/* Where ">" stands behind the "<" at `at`, else `nowhere`. */
static size_t bracket_end(struct address_reader *reader, size_t at)
{
    if (reader->no_more_brackets) return nowhere;
    while (at < reader->in.len) {
        if (reader->in.ptr[at] == '>') return at;
        at = step(reader, at);
    }
    reader->no_more_brackets = true;
    return nowhere;
}

/* Where the parts of the address at the front stand. */
struct shape {
    size_t open, close; /* "<" and ">", or nowhere */
    size_t comment;     /* the last one */
    size_t end;         /* of the address */
    bool is_group;      /* it ends with ":" */
};

static struct shape shape_of(struct address_reader *reader)
{
    struct shape shape = { nowhere, nowhere, nowhere, reader->in.len, false };
    bool in_literal = false;
    for (size_t at = reader->at; at < reader->in.len; at = step(reader, at)) {
        char c = reader->in.ptr[at];
        if (c == '[') in_literal = true;
        if (c == ']') in_literal = false;
        if (c == '(') shape.comment = at;
        if (c == '<' && shape.open == nowhere) {
            shape.open = at;
            shape.close = bracket_end(reader, at);
            if (shape.close != nowhere) at = shape.close;
            in_literal = false;
        }
        bool group = c == ':' && shape.open == nowhere && !reader->in_group && !in_literal;
        if (c == ',' || c == ';' || group) {
            shape.end = at;
            shape.is_group = group;
            break;
        }
    }
    if (shape.close == nowhere) shape.close = shape.end;
    return shape;
}

/* Copying: appends to scratch, and gives what was appended. */
struct copy {
    struct address_reader *reader;
    struct buf *out;
    size_t from; /* where it began in `out` */
};

static struct copy copy_begin(struct address_reader *reader, struct buf *out)
{
    return (struct copy){ reader, out, out->len };
}

static struct span copy_end(const struct copy *copy)
{
    return span_of(copy->out->bytes + copy->from, copy->out->len - copy->from);
}

static void copy_char(struct copy *copy, char c)
{
    if (copy->out->len == copy->out->size) return;
    copy->out->bytes[copy->out->len++] = c;
}

/* What is between the quotes at `at` and `end`, without backslashes. Folds lose their line end. */
static void copy_quoted(struct copy *copy, size_t at, size_t end)
{
    struct span in = copy->reader->in;
    for (at++; at + 1 < end; at++) {
        if (in.ptr[at] == '\\' && at + 2 < end) at++;
        if (in.ptr[at] == '\r' || in.ptr[at] == '\n') continue;
        copy_char(copy, in.ptr[at] == '\0' ? ' ' : in.ptr[at]);
    }
}

/* Words with one space between them (`spaces`), or all without any, as in an addr-spec. */
static struct span copy_words(struct address_reader *reader, struct buf *out, size_t at, size_t to,
                              bool spaces)
{
    struct copy copy = copy_begin(reader, out);
    bool gap = false;
    while (at < to) {
        char c = reader->in.ptr[at];
        size_t end = step(reader, at);
        if (end > to) end = to;
        if (is_white(c) || (c == '(' && end > at + 1)) {
            gap = spaces;
            at = end;
            continue;
        }
        if (gap && out->len > copy.from) copy_char(&copy, ' ');
        gap = false;
        if (c == '"' && end > at + 1) copy_quoted(&copy, at, end);
        else copy_char(&copy, c);
        at = end;
    }
    return copy_end(&copy);
}

/* The inside of a comment as a name. */
static struct span copy_comment(struct address_reader *reader, struct buf *out, size_t at)
{
    struct copy copy = copy_begin(reader, out);
    size_t end = comment_end(reader->in, at);
    if (reader->in.ptr[end - 1] == ')' && end > at + 1) end--;
    bool gap = false;
    for (at++; at < end; at++) {
        char c = reader->in.ptr[at];
        if (c == '\\' && at + 1 < end) c = reader->in.ptr[++at];
        if (is_white(c)) {
            gap = true;
            continue;
        }
        if (gap && out->len > copy.from) copy_char(&copy, ' ');
        gap = false;
        copy_char(&copy, c);
    }
    return copy_end(&copy);
}

/* local "@" domain between two places: the last "@" outside of quotes counts. */
static void copy_spec(struct address_reader *reader, struct buf *out, size_t at, size_t to,
                      struct address *ret)
{
    size_t sign = nowhere;
    for (size_t i = at; i < to; i = step(reader, i)) {
        if (reader->in.ptr[i] == '@') sign = i;
    }
    if (sign == nowhere) {
        ret->local = copy_words(reader, out, at, to, true);
        return;
    }
    ret->local = copy_words(reader, out, at, sign, false);
    ret->domain = copy_words(reader, out, sign + 1, to, false);
}

/* What is in the brackets: a source route goes to its first ":" outside of a domain literal. */
static void copy_bracket(struct address_reader *reader, struct buf *out, const struct shape *shape,
                         struct address *ret)
{
    size_t at = shape->open + 1;
    while (at < shape->close && is_white(reader->in.ptr[at])) at++;
    if (at < shape->close && reader->in.ptr[at] == '@') {
        bool in_literal = false;
        for (size_t i = at; i < shape->close; i = step(reader, i)) {
            char c = reader->in.ptr[i];
            if (c == '[' || c == ']') in_literal = c == '[';
            if (c != ':' || in_literal) continue;
            ret->route = copy_words(reader, out, at, i, false);
            at = i + 1;
            break;
        }
    }
    copy_spec(reader, out, at, shape->close, ret);
}

static bool end_group(struct address_reader *reader, struct address *ret)
{
    reader->in_group = false;
    *ret = (struct address){ .kind = ADDRESS_GROUP_END };
    return true;
}

/* Passes over commas and white space. False at the end. */
static bool find_start(struct address_reader *reader)
{
    while (reader->at < reader->in.len) {
        char c = reader->in.ptr[reader->at];
        if (!is_white(c) && c != ',' && (c != ';' || reader->in_group)) return true;
        reader->at++;
    }
    return false;
}

static void read_one(struct address_reader *reader, struct buf *out, const struct shape *shape,
                     struct address *ret)
{
    *ret = (struct address){ .kind = ADDRESS_MAILBOX };
    size_t phrase_end = shape->open < shape->end ? shape->open : shape->end;
    if (shape->is_group) {
        ret->kind = ADDRESS_GROUP_START;
        ret->name = copy_words(reader, out, reader->at, shape->end, true);
        reader->in_group = true;
        return;
    }
    if (shape->open != nowhere) {
        ret->name = copy_words(reader, out, reader->at, phrase_end, true);
        copy_bracket(reader, out, shape, ret);
    } else {
        copy_spec(reader, out, reader->at, shape->end, ret);
    }
    if (ret->name.len == 0 && shape->comment != nowhere) {
        ret->name = copy_comment(reader, out, shape->comment);
    }
}

bool address_next(struct address_reader *reader, struct buf *scratch, struct address *ret)
{
    while (find_start(reader) && reader->count < ADDRESS_COUNT_MAX) {
        scratch->len = 0;
        if (reader->in.ptr[reader->at] == ';') {
            reader->at++;
            return end_group(reader, ret);
        }
        struct shape shape = shape_of(reader);
        read_one(reader, scratch, &shape, ret);
        /* ";" is left where it is: it ends the group. */
        reader->at = shape.end;
        if (shape.end < reader->in.len && reader->in.ptr[shape.end] != ';') reader->at++;
        reader->count++;
        bool empty = ret->kind == ADDRESS_MAILBOX && shape.open == nowhere && ret->local.len == 0
            && ret->domain.len == 0;
        if (!empty) return true; /* a comment alone is no address */
    }
    return reader->in_group && end_group(reader, ret);
}

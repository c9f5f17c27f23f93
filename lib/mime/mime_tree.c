#include "mime_tree.h"

#include <stdlib.h>

#include "facts.h"
#include "header.h"

/* A boundary of a multipart that is open. */
struct open_boundary {
    char text[MIME_BOUNDARY_MAX_BYTES];
    size_t len;
};

/* Somewhere in the message, and how many lines end before it. */
struct place {
    uint32_t at, lines;
};

/* One pass: `at` is where the next line begins, `lines` how many there were. Lines are counted once
 * in the whole pass and those of a part are a difference: a message in a message in a message costs
 * no more than a flat one. */
struct pass {
    struct mime_tree *tree;
    size_t at;
    uint32_t lines;
    struct open_boundary open[MIME_DEPTH_MAX];
    size_t depth;
    /* The line that ended the last part: which of `open`, and whether it closes. */
    size_t ended_by; /* SIZE_MAX: the end of the message */
    bool closes;
    bool no_memory;
};

static const struct {
    struct span name;
    enum mime_field field;
} known[] = {
    { SPAN_INIT("From"), MIME_FROM },
    { SPAN_INIT("Sender"), MIME_SENDER },
    { SPAN_INIT("Reply-To"), MIME_REPLY_TO },
    { SPAN_INIT("To"), MIME_TO },
    { SPAN_INIT("Cc"), MIME_CC },
    { SPAN_INIT("Bcc"), MIME_BCC },
    { SPAN_INIT("Date"), MIME_DATE },
    { SPAN_INIT("Subject"), MIME_SUBJECT },
    { SPAN_INIT("Message-ID"), MIME_MESSAGE_ID },
    { SPAN_INIT("In-Reply-To"), MIME_IN_REPLY_TO },
    { SPAN_INIT("References"), MIME_REFERENCES },
    { SPAN_INIT("Content-Type"), MIME_CONTENT_TYPE },
    { SPAN_INIT("Content-Transfer-Encoding"), MIME_CONTENT_ENCODING },
    { SPAN_INIT("Content-ID"), MIME_CONTENT_ID },
    { SPAN_INIT("Content-Description"), MIME_CONTENT_DESCRIPTION },
    { SPAN_INIT("Content-Disposition"), MIME_CONTENT_DISPOSITION },
    { SPAN_INIT("Content-Language"), MIME_CONTENT_LANGUAGE },
    { SPAN_INIT("Content-Location"), MIME_CONTENT_LOCATION },
    { SPAN_INIT("Content-MD5"), MIME_CONTENT_MD5 },
};

static void keep_field(struct mime_node *node, const struct header_field *field)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].name.len != field->name.len || !span_eq_nocase(known[i].name, field->name)) {
            continue;
        }
        if (node->fields[known[i].field].ptr == NULL) node->fields[known[i].field] = field->value;
        return;
    }
}

/* Bytes from 0x80 on and NULs, eight at a time: true when there is one. */
static bool has_8bit(struct span s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    uint64_t word;
    for (; s.len >= sizeof(word); s = span_skip(s, sizeof(word))) {
        memcpy(&word, s.ptr, sizeof(word));
        /* Exact as far as no byte is above 0x80, and if one is the answer is true as well. */
        if (((word | (word - ones)) & highs) != 0) return true;
    }
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0x80 || s.ptr[i] == '\0') return true;
    }
    return false;
}

static uint8_t encoding_of(struct span value)
{
    static const struct { struct span name; uint8_t encoding; } names[] = {
        { SPAN_INIT("7bit"), FACTS_ENCODING_7BIT },     { SPAN_INIT("8bit"), FACTS_ENCODING_8BIT },
        { SPAN_INIT("binary"), FACTS_ENCODING_BINARY },
        { SPAN_INIT("base64"), FACTS_ENCODING_BASE64 },
        { SPAN_INIT("quoted-printable"), FACTS_ENCODING_QP },
    };
    struct span rest, word = mime_word(value, &rest);
    if (word.len == 0) return FACTS_ENCODING_7BIT;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_eq_nocase(word, names[i].name)) return names[i].encoding;
    }
    return FACTS_ENCODING_OTHER;
}

/* Type and subtype; text/plain when there is none that can be read (RFC 2045 5.2). In
 * multipart/digest the parts are messages (RFC 2046 5.1.5). */
static void read_type(struct mime_node *node, bool in_digest)
{
    struct span rest, subtype;
    struct span type = mime_word(node->fields[MIME_CONTENT_TYPE], &rest);
    if (type.len > 0 && rest.len > 0 && rest.ptr[0] == '/') {
        subtype = mime_word(span_skip(rest, 1), &rest);
        if (subtype.len > 0) {
            node->type = type;
            node->subtype = subtype;
            node->has_type = true;
            return;
        }
    }
    node->type = in_digest ? SPAN("message") : SPAN("text");
    node->subtype = in_digest ? SPAN("rfc822") : SPAN("plain");
}

/* Whether the line at `at` is one of the open boundaries; the innermost counts first. */
static bool is_boundary(struct pass *pass, struct span line)
{
    if (line.len < 2 || line.ptr[0] != '-' || line.ptr[1] != '-') return false;
    struct span text = span_skip(line, 2);
    while (text.len > 0 && (text.ptr[text.len - 1] == '\r' || text.ptr[text.len - 1] == ' ' ||
                            text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    for (size_t i = pass->depth; i-- > 0;) {
        struct span boundary = span_of(pass->open[i].text, pass->open[i].len);
        if (!span_eq(span_head(text, boundary.len), boundary)) continue;
        struct span tail = span_skip(text, boundary.len);
        if (tail.len != 0 && !span_eq(tail, SPAN("--"))) continue;
        pass->ended_by = i;
        pass->closes = tail.len == 2;
        return true;
    }
    return false;
}

/* Reads lines until one is a boundary or the message ends. Returns where the content ends: the line
 * end before a boundary belongs to it (RFC 2046 5.1.1). */
static struct place read_lines(struct pass *pass)
{
    struct span message = pass->tree->message;
    size_t begin = pass->at;
    while (pass->at < message.len) {
        const char *line = message.ptr + pass->at;
        size_t left = message.len - pass->at;
        const char *end = memchr(line, '\n', left);
        size_t len = end == NULL ? left : (size_t)(end - line);
        bool is_end = pass->depth > 0 && line[0] == '-' && is_boundary(pass, span_of(line, len));
        struct place place = { (uint32_t)pass->at, pass->lines };
        pass->at += len + (end != NULL ? 1 : 0);
        pass->lines += end != NULL ? 1 : 0;
        if (!is_end) continue;
        if (place.at > begin) {
            place.at--;
            place.lines--;
            if (place.at > begin && message.ptr[place.at - 1] == '\r') place.at--;
        }
        return place;
    }
    pass->ended_by = SIZE_MAX;
    return (struct place){ (uint32_t)message.len, pass->lines };
}

static int32_t node_new(struct pass *pass)
{
    struct mime_tree *tree = pass->tree;
    if (tree->count == MIME_PARTS_MAX) return -1;
    if (tree->count == tree->size) {
        size_t size = tree->size == 0 ? 8 : tree->size * 2;
        struct mime_node *grown = realloc(tree->nodes, size * sizeof(*grown));
        if (grown == NULL) {
            pass->no_memory = true;
            return -1;
        }
        tree->nodes = grown;
        tree->size = size;
    }
    tree->nodes[tree->count] = (struct mime_node){ .child = -1, .next = -1 };
    return (int32_t)tree->count++;
}

static uint32_t count_lines(struct span s)
{
    uint32_t count = 0;
    const char *at = s.ptr;
    for (size_t left = s.len; left > 0;) {
        const char *end = memchr(at, '\n', left);
        if (end == NULL) break;
        count++;
        left -= (size_t)(end - at) + 1;
        at = end + 1;
    }
    return count;
}

static void read_header(struct pass *pass, int32_t index)
{
    struct mime_tree *tree = pass->tree;
    struct span rest = span_skip(tree->message, pass->at);
    struct header_field field;
    struct mime_node *node = &tree->nodes[index];
    node->header_at = (uint32_t)pass->at;
    while (header_take(&rest, &field)) {
        /* A boundary in a header ends the part before it began: it has no body. */
        if (pass->depth > 0 && field.raw.ptr[0] == '-') {
            const char *end = memchr(field.raw.ptr, '\n', field.raw.len);
            size_t len = end == NULL ? field.raw.len : (size_t)(end - field.raw.ptr);
            if (is_boundary(pass, span_head(field.raw, len))) {
                rest = span_skip(tree->message, (size_t)(field.raw.ptr - tree->message.ptr));
                break;
            }
        }
        if (field.name.len == 0) {
            tree->malformed = true;
            continue;
        }
        keep_field(node, &field);
        if (index == 0 && span_eq_nocase(field.name, SPAN("Received"))) tree->received++;
    }
    pass->at = tree->message.len - rest.len;
    node->body_at = (uint32_t)pass->at;
    pass->lines += count_lines(span_of(tree->message.ptr + node->header_at,
                                       node->body_at - node->header_at));
    if (!tree->header_8bit) {
        tree->header_8bit = has_8bit(span_of(tree->message.ptr + node->header_at,
                                             node->body_at - node->header_at));
    }
}

static int32_t read_part(struct pass *pass, unsigned level, uint16_t section, bool in_digest,
                         struct place *end);

static bool push_boundary(struct pass *pass, int32_t index)
{
    struct open_boundary *open = &pass->open[pass->depth];
    struct span type, rest;
    const struct mime_node *node = &pass->tree->nodes[index];
    type = mime_word(node->fields[MIME_CONTENT_TYPE], &rest);
    (void)type;
    if (!mime_param(rest, SPAN("boundary"), open->text, sizeof(open->text), &open->len)) {
        return false;
    }
    while (open->len > 0 && open->text[open->len - 1] == ' ') open->len--;
    if (open->len == 0) return false;
    pass->depth++;
    return true;
}

/* The parts between the boundaries of a multipart; then what is behind its last one. Returns where
 * it ends. */
static struct place read_multi(struct pass *pass, int32_t index, unsigned level)
{
    size_t own = pass->depth - 1;
    bool digest = span_eq_nocase(pass->tree->nodes[index].subtype, SPAN("digest"));
    int32_t last = -1, child;
    uint16_t section = 0;
    struct place end = read_lines(pass);
    while (pass->ended_by == own && !pass->closes) {
        struct place child_end;
        child = read_part(pass, level + 1, ++section, digest, &child_end);
        if (child < 0) break;
        if (last < 0) pass->tree->nodes[index].child = child;
        else pass->tree->nodes[last].next = child;
        last = child;
        end = child_end;
    }
    pass->depth = own;
    if (pass->ended_by == own && pass->closes) return read_lines(pass);
    /* It did not end: its last part took everything up to an outer boundary or the end. */
    pass->tree->malformed = true;
    return end;
}

/* Reads what is in a message/rfc822; false when there is no room for it. */
static bool read_embedded(struct pass *pass, int32_t index, unsigned level, struct place *end)
{
    int32_t child = read_part(pass, level + 1, 1, false, end);
    if (child < 0) return false;
    pass->tree->nodes[index].kind = MIME_RFC822;
    pass->tree->nodes[index].child = child;
    return true;
}

/* What can't be looked into is shown as what its bytes are: IMAP has no multipart without parts and
 * no message without a structure (RFC 3501 7.4.2). */
static void become_leaf(struct pass *pass, int32_t index)
{
    struct mime_node *node = &pass->tree->nodes[index];
    bool is_multi = span_eq_nocase(node->type, SPAN("multipart"));
    pass->tree->malformed = true;
    node->type = is_multi ? SPAN("text") : SPAN("application");
    node->subtype = is_multi ? SPAN("plain") : SPAN("octet-stream");
}

/* Reads a part from its header to its end, `*end`; its index, or -1: there is no room for it. */
static int32_t read_part(struct pass *pass, unsigned level, uint16_t section, bool in_digest,
                         struct place *end)
{
    struct mime_tree *tree = pass->tree;
    int32_t index = node_new(pass);
    if (index < 0) {
        tree->malformed = true;
        *end = read_lines(pass);
        return -1;
    }
    struct mime_node *node = &tree->nodes[index];
    node->level = (uint8_t)level;
    node->section = section;
    read_header(pass, index);
    read_type(node, in_digest);
    node->encoding = encoding_of(node->fields[MIME_CONTENT_ENCODING]);
    struct place body = { node->body_at, pass->lines };
    bool deep = level + 1 >= MIME_DEPTH_MAX || pass->depth + 1 >= MIME_DEPTH_MAX;
    bool plain = node->encoding <= FACTS_ENCODING_BINARY;
    bool is_multi = span_eq_nocase(node->type, SPAN("multipart"));
    bool is_message = span_eq_nocase(node->type, SPAN("message")) &&
                      span_eq_nocase(node->subtype, SPAN("rfc822"));
    if (is_multi && !deep && push_boundary(pass, index)) {
        node->kind = MIME_MULTI;
        *end = read_multi(pass, index, level);
    } else if (!is_message || deep || !plain) {
        if (is_multi || is_message) become_leaf(pass, index);
        *end = read_lines(pass);
    } else if (!read_embedded(pass, index, level, end)) {
        become_leaf(pass, index);
    }
    node = &tree->nodes[index]; /* reading parts may have moved them */
    if (end->at < body.at) *end = body;
    node->end_at = end->at;
    node->lines = end->lines - body.lines;
    return index;
}

struct err mime_tree_read(struct span message, struct mime_tree *ret)
{
    struct mime_tree tree = { .message = message };
    if (message.len >= UINT32_MAX) return err_make(ERR_TOO_BIG, "message");
    struct pass *pass = malloc(sizeof(*pass));
    if (pass == NULL) return err_make(ERR_NOMEM, "message");
    pass->tree = &tree;
    pass->at = pass->depth = 0;
    pass->lines = 0;
    pass->no_memory = false;
    pass->ended_by = SIZE_MAX;
    pass->closes = false;
    struct place end;
    (void)read_part(pass, 0, 1, false, &end);
    bool no_memory = pass->no_memory;
    free(pass);
    if (no_memory) {
        free(tree.nodes);
        return err_make(ERR_NOMEM, "message");
    }
    struct mime_node *node = &tree.nodes[0];
    /* Parts beyond the limit, which are not listed, and what follows an end belong to it. */
    node->lines += count_lines(span_skip(message, end.at));
    node->end_at = (uint32_t)message.len;
    tree.body_8bit = has_8bit(span_skip(message, node->body_at));
    *ret = tree;
    return err_ok();
}

void mime_tree_free(struct mime_tree *tree)
{
    free(tree->nodes);
    *tree = (struct mime_tree){ 0 };
}

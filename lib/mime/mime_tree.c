#include "mime_tree_private.h"

#include <stdlib.h>

#include "buf.h"
#include "facts.h"
#include "header.h"
#include "mime_bytes_private.h"
#include "param.h"

enum { NODES_FIRST = 4, NONE = -1 };

/* A multipart whose boundary is looked for. */
struct open_multi {
    int32_t node;
    size_t depth; /* where it stands in `chain` */
    bool is_digest;
    struct span boundary;
    char store[MIME_BOUNDARY_MAX_BYTES]; /* for one that had to be unquoted */
};

struct pass {
    struct mime_tree *tree;
    const struct mime_tree_hook *hook;
    size_t at;      /* where the next line begins */
    uint32_t lines; /* line ends before it */
    int32_t chain[FACTS_DEPTH_MAX]; /* the part that is read, below all that it is in */
    size_t chain_count;
    struct open_multi open[FACTS_DEPTH_MAX];
    size_t open_count;
    bool no_memory;
};

/* ---- the header of a part */

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
    { SPAN_INIT("Content-Type"), MIME_CONTENT_TYPE },
    { SPAN_INIT("Content-Transfer-Encoding"), MIME_CONTENT_ENCODING },
    { SPAN_INIT("Content-ID"), MIME_CONTENT_ID },
    { SPAN_INIT("Content-Description"), MIME_CONTENT_DESCRIPTION },
    { SPAN_INIT("Content-Disposition"), MIME_CONTENT_DISPOSITION },
    { SPAN_INIT("Content-Language"), MIME_CONTENT_LANGUAGE },
    { SPAN_INIT("Content-Location"), MIME_CONTENT_LOCATION },
};

static void keep_field(struct mime_node *node, const struct header_field *field)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].name.len != field->name.len) continue;
        if (!span_eq_nocase(known[i].name, field->name)) continue;
        struct span *kept = &node->fields[known[i].field];
        if (kept->ptr == NULL) *kept = field->value;
        return;
    }
}

static uint8_t encoding_of(struct span value)
{
    static const struct { struct span name; uint8_t encoding; } names[] = {
        { SPAN_INIT("7bit"), FACTS_ENCODING_7BIT },
        { SPAN_INIT("8bit"), FACTS_ENCODING_8BIT },
        { SPAN_INIT("binary"), FACTS_ENCODING_BINARY },
        { SPAN_INIT("base64"), FACTS_ENCODING_BASE64 },
        { SPAN_INIT("quoted-printable"), FACTS_ENCODING_QP },
    };
    struct span word = param_take_word(&value);
    if (word.len == 0) return FACTS_ENCODING_7BIT;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_eq_nocase(word, names[i].name)) return names[i].encoding;
    }
    return FACTS_ENCODING_OTHER;
}

static void read_type(struct pass *pass, struct mime_node *node, bool in_digest)
{
    struct span value = node->fields[MIME_CONTENT_TYPE];
    node->params = span_of(NULL, 0);
    if (value.ptr != NULL && param_take_type(&value, &node->type, &node->subtype)) {
        node->params = value;
        return;
    }
    if (value.ptr != NULL) pass->tree->malformed = true;
    bool message = in_digest && value.ptr == NULL;
    node->type = message ? SPAN("message") : SPAN("text");
    node->subtype = message ? SPAN("rfc822") : SPAN("plain");
}

static bool take_boundary(const struct mime_node *node, struct open_multi *open)
{
    struct span params = node->params;
    struct param param;
    for (unsigned i = 0; i < PARAM_COUNT_MAX && param_take(&params, &param); i++) {
        if (!span_eq_nocase(param.name, SPAN("boundary"))) continue;
        open->boundary = param.value;
        if (param.quoted && memchr(param.value.ptr, '\\', param.value.len) != NULL) {
            struct buf out;
            buf_init(&out, open->store, sizeof(open->store));
            param_unquote(&out, &param);
            if (out.overflow) return false;
            open->boundary = buf_span(&out);
        }
        /* bchars does not end with a space; white space behind one does not count. */
        open->boundary = header_trim(open->boundary);
        return open->boundary.len > 0;
    }
    return false;
}

/* ---- boundaries */

static struct span line_at(const struct pass *pass, size_t *whole)
{
    struct span rest = span_skip(pass->tree->message, pass->at);
    const char *end = rest.len == 0 ? NULL : memchr(rest.ptr, '\n', rest.len);
    *whole = end == NULL ? rest.len : (size_t)(end - rest.ptr) + 1;
    return span_head(rest, end == NULL ? rest.len : *whole - 1);
}

/* "--" boundary [ "--" ] and white space, of an open multipart; the innermost counts first. */
static bool find_boundary(const struct pass *pass, struct span line, size_t *which, bool *closes)
{
    if (line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-') return false;
    line = span_skip(line, 2);
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) != NULL
           && line.ptr[line.len - 1] != '\0') {
        line.len--;
    }
    for (size_t i = pass->open_count; i-- > 0;) {
        struct span boundary = pass->open[i].boundary;
        size_t behind = line.len - boundary.len;
        if (line.len < boundary.len || (behind != 0 && behind != 2)) continue;
        if (!span_eq(span_head(line, boundary.len), boundary)) continue;
        if (behind == 2 && !span_eq(span_skip(line, boundary.len), SPAN("--"))) continue;
        *which = i;
        *closes = behind == 2;
        return true;
    }
    return false;
}

/* ---- parts */

static int32_t node_new(struct pass *pass, int32_t parent)
{
    struct mime_tree *tree = pass->tree;
    if (tree->count == tree->size) {
        size_t size = tree->size == 0 ? NODES_FIRST : tree->size * 2;
        struct mime_node *grown = realloc(tree->nodes, size * sizeof(*grown));
        if (grown == NULL) {
            pass->no_memory = true;
            return NONE;
        }
        tree->nodes = grown;
        tree->size = size;
    }
    int32_t index = (int32_t)tree->count++;
    struct mime_node *node = &tree->nodes[index];
    *node = (struct mime_node){ .child = NONE, .last_child = NONE, .next = NONE, .section = 1 };
    node->level = (uint8_t)pass->chain_count;
    pass->chain[pass->chain_count++] = index;
    if (parent == NONE) return index;
    struct mime_node *above = &tree->nodes[parent];
    if (above->last_child == NONE) {
        above->child = index;
    } else {
        tree->nodes[above->last_child].next = index;
        node->section = (uint16_t)(tree->nodes[above->last_child].section + 1);
    }
    above->last_child = index;
    return index;
}

static void read_header(struct pass *pass, struct mime_node *node)
{
    struct span rest = span_skip(pass->tree->message, pass->at);
    size_t from = pass->at, which;
    bool closes, is_top = node->level == 0;
    struct header_field field;
    for (;;) {
        if (rest.len > 2 && rest.ptr[0] == '-' && rest.ptr[1] == '-' && pass->open_count > 0) {
            size_t whole;
            pass->at = (size_t)(rest.ptr - pass->tree->message.ptr);
            if (find_boundary(pass, line_at(pass, &whole), &which, &closes)) break;
        }
        if (!header_take(&rest, &field)) break;
        if (field.name.len == 0) pass->tree->malformed = true;
        else keep_field(node, &field);
        if (is_top && pass->hook != NULL) pass->hook->field(pass->hook->holder, &field);
    }
    pass->at = pass->tree->message.len - rest.len;
    node->header_at = (uint32_t)from;
    node->body_at = (uint32_t)pass->at;
    pass->lines += mime_count_lines(mime_slice(pass->tree->message, from, pass->at));
    node->lines = pass->lines; /* until the part ends: those before its body */
}

/* What is read of a part's inside. */
static void decide_kind(struct pass *pass, struct mime_node *node, int32_t index)
{
    bool has_room = pass->chain_count < FACTS_DEPTH_MAX;
    if (mime_node_is(node, "message", "rfc822")) {
        bool plain = node->encoding <= FACTS_ENCODING_BINARY;
        bool readable = plain && has_room && pass->tree->count < FACTS_PARTS_MAX;
        node->kind = readable ? FACTS_PART_RFC822 : FACTS_PART_LEAF;
        node->opaque = !readable;
        return;
    }
    if (!mime_node_is(node, "multipart", NULL)) return;
    struct open_multi *open = &pass->open[pass->open_count];
    node->opaque = !has_room;
    if (!has_room) return;
    if (!take_boundary(node, open)) {
        pass->tree->malformed = true;
        node->type = SPAN("text");
        node->subtype = SPAN("plain");
        node->params = span_of(NULL, 0);
        return;
    }
    node->kind = FACTS_PART_MULTI;
    open->node = index;
    open->depth = pass->chain_count - 1;
    open->is_digest = span_eq_nocase(node->subtype, SPAN("digest"));
    pass->open_count++;
}

/* Reads a part's header, and those of the messages it begins with. */
static void begin_part(struct pass *pass, int32_t parent, bool in_digest)
{
    int32_t index = parent;
    do {
        index = node_new(pass, index);
        if (index == NONE) return;
        struct mime_node *node = &pass->tree->nodes[index];
        read_header(pass, node);
        read_type(pass, node, in_digest);
        node->encoding = encoding_of(node->fields[MIME_CONTENT_ENCODING]);
        decide_kind(pass, node, index);
        in_digest = false;
    } while (pass->tree->nodes[index].kind == FACTS_PART_RFC822);
}

/* Ends the parts that stand in the chain from `depth` on, the innermost first. When a header goes
 * right up to the boundary, its line end is its own, and what the part is in ends there too. */
static void end_parts(struct pass *pass, size_t depth, size_t content_end, uint32_t lines)
{
    while (pass->chain_count > depth) {
        struct mime_node *node = &pass->tree->nodes[pass->chain[--pass->chain_count]];
        if (content_end < node->body_at) {
            content_end = node->body_at;
            lines = node->lines;
        }
        node->end_at = (uint32_t)content_end;
        node->lines = lines - node->lines;
    }
}

/* A boundary's line of `whole` bytes: the line end before it belongs to it (RFC 2046 5.1.1). */
static void pass_boundary(struct pass *pass, size_t which, bool closes, size_t whole)
{
    struct open_multi *open = &pass->open[which];
    struct span message = pass->tree->message;
    size_t content_end = pass->at;
    uint32_t lines = pass->lines;
    if (content_end > 0 && message.ptr[content_end - 1] == '\n') {
        content_end--;
        lines--;
        if (content_end > 0 && message.ptr[content_end - 1] == '\r') content_end--;
    }
    if (which + 1 < pass->open_count) pass->tree->malformed = true;
    end_parts(pass, open->depth + 1, content_end, lines);
    pass->open_count = closes ? which : which + 1;
    pass->at += whole;
    pass->lines += message.ptr[pass->at - 1] == '\n';
    if (closes || pass->tree->count >= FACTS_PARTS_MAX) return;
    begin_part(pass, open->node, open->is_digest);
}

static void read_bodies(struct pass *pass)
{
    struct span message = pass->tree->message;
    while (pass->open_count > 0 && pass->at < message.len) {
        size_t whole, which;
        bool closes;
        struct span line = line_at(pass, &whole);
        if (find_boundary(pass, line, &which, &closes)) {
            pass_boundary(pass, which, closes, whole);
            continue;
        }
        pass->at += whole;
        pass->lines += whole > line.len;
    }
    /* Behind the last boundary of all there is nothing to look for any more. */
    pass->lines += mime_count_lines(span_skip(message, pass->at));
    if (pass->open_count > 0) pass->tree->malformed = true;
    end_parts(pass, 0, message.len, pass->lines);
}

struct err mime_tree_read(struct span message, const struct mime_tree_hook *hook,
                          struct mime_tree *ret)
{
    struct mime_tree tree = { .message = message };
    if (message.len >= UINT32_MAX) return err_make(ERR_TOO_BIG, "message");
    struct pass pass;
    pass.tree = &tree;
    pass.hook = hook;
    pass.at = pass.chain_count = pass.open_count = 0;
    pass.lines = 0;
    pass.no_memory = false;
    begin_part(&pass, NONE, false);
    if (!pass.no_memory) read_bodies(&pass);
    if (pass.no_memory) {
        mime_tree_free(&tree);
        return err_make(ERR_NOMEM, "parts of a message");
    }
    *ret = tree;
    return err_ok();
}

void mime_tree_free(struct mime_tree *tree)
{
    free(tree->nodes);
    *tree = (struct mime_tree){ .nodes = NULL };
}

/* BODYSTRUCTURE; the grammar stands in facts_basic.c, which takes the extension data out again. */
#include "buf.h"
#include "facts.h"
#include "header.h"
#include "mime_imap_private.h"
#include "mime_out_private.h"
#include "mime_tree_private.h"
#include "param.h"

struct structure {
    struct mime_out *out;
    const struct mime_tree *tree;
    size_t begin; /* where it begins in `out` */
};

static bool is_full(const struct structure *structure)
{
    return structure->out->len - structure->begin > MIME_STRUCTURE_FULL_BYTES;
}

static void put_nil(struct mime_out *out) { mime_out_put(out, SPAN("NIL")); }

static void put_value(struct mime_out *out, const struct param *param)
{
    char store[MIME_VALUE_MAX_BYTES];
    struct param cut = *param;
    struct buf value;
    buf_init(&value, store, sizeof(store));
    cut.value = span_head(cut.value, sizeof(store));
    param_unquote(&value, &cut);
    mime_out_string(out, buf_span(&value));
}

/* ("NAME" "value" ...) as the message has them, pieces of RFC 2231 too: putting them together is
 * the client's part. A text without a charset gets the one that RFC 2045 5.2 says it has. */
static void put_params(struct structure *structure, struct span params, bool add_charset)
{
    struct mime_out *out = structure->out;
    struct param param;
    unsigned count = 0;
    mime_out_char(out, '(');
    while (count < PARAM_COUNT_MAX && !is_full(structure) && param_take(&params, &param)) {
        if (count++ > 0) mime_out_char(out, ' ');
        mime_out_upper(out, span_head(param.name, MIME_VALUE_MAX_BYTES));
        mime_out_char(out, ' ');
        put_value(out, &param);
        if (span_eq_nocase(param.name, SPAN("charset"))) add_charset = false;
    }
    if (add_charset) {
        if (count++ > 0) mime_out_char(out, ' ');
        mime_out_put(out, SPAN("\"CHARSET\" \"us-ascii\""));
    }
    if (count > 0) {
        mime_out_char(out, ')');
    } else if (!out->failed) {
        out->len--;
        put_nil(out);
    }
}

static void put_disposition(struct structure *structure, const struct mime_node *node)
{
    struct span params, word = mime_node_disposition(node, &params);
    if (word.len == 0) {
        put_nil(structure->out);
        return;
    }
    mime_out_char(structure->out, '(');
    mime_out_upper(structure->out, span_head(word, MIME_TYPE_MAX_BYTES));
    mime_out_char(structure->out, ' ');
    put_params(structure, params, false);
    mime_out_char(structure->out, ')');
}

/* Content-Language: "de", or ("de" "en") (RFC 3282). */
static void put_language(struct structure *structure, struct span value)
{
    struct mime_out *out = structure->out;
    struct span head, rest = header_trim(span_head(value, MIME_VALUE_MAX_BYTES));
    if (rest.len == 0) {
        put_nil(out);
        return;
    }
    if (memchr(rest.ptr, ',', rest.len) == NULL) {
        mime_out_field(out, rest, MIME_VALUE_MAX_BYTES);
        return;
    }
    mime_out_char(out, '(');
    while (span_cut(rest, ',', &head, &rest)) {
        mime_out_field(out, head, MIME_VALUE_MAX_BYTES);
        mime_out_char(out, ' ');
    }
    mime_out_field(out, rest, MIME_VALUE_MAX_BYTES);
    mime_out_char(out, ')');
}

/* SP disposition SP language SP location */
static void put_extension(struct structure *structure, const struct mime_node *node)
{
    struct mime_out *out = structure->out;
    mime_out_char(out, ' ');
    put_disposition(structure, node);
    mime_out_char(out, ' ');
    put_language(structure, node->fields[MIME_CONTENT_LANGUAGE]);
    mime_out_char(out, ' ');
    mime_out_field(out, node->fields[MIME_CONTENT_LOCATION], MIME_VALUE_MAX_BYTES);
}

static void put_type(struct mime_out *out, const struct mime_node *node)
{
    mime_out_upper(out, span_head(node->type, MIME_TYPE_MAX_BYTES));
    mime_out_char(out, ' ');
    mime_out_upper(out, span_head(node->subtype, MIME_TYPE_MAX_BYTES));
}

/* The words of RFC 2045; of others what was said. */
static void put_encoding(struct mime_out *out, const struct mime_node *node)
{
    static const struct span names[] = {
        [FACTS_ENCODING_7BIT] = SPAN_INIT("\"7BIT\""),
        [FACTS_ENCODING_8BIT] = SPAN_INIT("\"8BIT\""),
        [FACTS_ENCODING_BINARY] = SPAN_INIT("\"BINARY\""),
        [FACTS_ENCODING_BASE64] = SPAN_INIT("\"BASE64\""),
        [FACTS_ENCODING_QP] = SPAN_INIT("\"QUOTED-PRINTABLE\""),
    };
    if (node->encoding != FACTS_ENCODING_OTHER) {
        mime_out_put(out, names[node->encoding]);
        return;
    }
    struct span value = node->fields[MIME_CONTENT_ENCODING];
    mime_out_upper(out, span_head(param_take_word(&value), MIME_TYPE_MAX_BYTES));
}

/* What a leaf is when its inside is not told: nobody misses an envelope there. */
static const struct span opaque_type = SPAN_INIT("\"APPLICATION\" \"OCTET-STREAM\"");

static void put_node(struct structure *structure, const struct mime_node *node);

/* SP envelope SP body, of an embedded message. */
static void put_inside(struct structure *structure, const struct mime_node *inside)
{
    struct mime_out *out = structure->out;
    mime_out_char(out, ' ');
    if (is_full(structure)) mime_out_put(out, SPAN("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"));
    else mime_put_envelope(out, inside);
    mime_out_char(out, ' ');
    put_node(structure, inside);
}

static void put_part(struct structure *structure, const struct mime_node *node)
{
    struct mime_out *out = structure->out;
    bool is_text = mime_node_is(node, "text", NULL), full = is_full(structure);
    mime_out_char(out, '(');
    if (node->opaque) mime_out_put(out, opaque_type);
    else put_type(out, node);
    mime_out_char(out, ' ');
    if (full) {
        mime_out_put(out, SPAN("NIL NIL NIL"));
    } else {
        put_params(structure, node->params, is_text);
        mime_out_char(out, ' ');
        mime_out_field(out, node->fields[MIME_CONTENT_ID], MIME_ID_MAX_BYTES);
        mime_out_char(out, ' ');
        mime_out_field(out, node->fields[MIME_CONTENT_DESCRIPTION], MIME_VALUE_MAX_BYTES);
    }
    mime_out_char(out, ' ');
    put_encoding(out, node);
    mime_out_char(out, ' ');
    mime_out_number(out, node->end_at - node->body_at);
    if (node->kind == FACTS_PART_RFC822) {
        put_inside(structure, &structure->tree->nodes[node->child]);
    }
    if (node->kind == FACTS_PART_RFC822 || is_text) {
        mime_out_char(out, ' ');
        mime_out_number(out, node->lines);
    }
    mime_out_put(out, SPAN(" NIL"));
    if (full) mime_out_put(out, SPAN(" NIL NIL NIL"));
    else put_extension(structure, node);
    mime_out_char(out, ')');
}

static void put_node(struct structure *structure, const struct mime_node *node)
{
    struct mime_out *out = structure->out;
    if (node->kind != FACTS_PART_MULTI) {
        put_part(structure, node);
        return;
    }
    mime_out_char(out, '(');
    /* No part at all: IMAP has no empty multipart. */
    if (node->child < 0) {
        mime_out_put(out, SPAN("(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" "
                               "0 0 NIL NIL NIL NIL)"));
    }
    for (int32_t i = node->child; i >= 0; i = structure->tree->nodes[i].next) {
        put_node(structure, &structure->tree->nodes[i]);
    }
    mime_out_char(out, ' ');
    mime_out_upper(out, span_head(node->subtype, MIME_TYPE_MAX_BYTES));
    if (is_full(structure)) {
        mime_out_put(out, SPAN(" NIL NIL NIL NIL)"));
        return;
    }
    mime_out_char(out, ' ');
    put_params(structure, node->params, false);
    put_extension(structure, node);
    mime_out_char(out, ')');
}

void mime_put_structure(struct mime_out *out, const struct mime_tree *tree)
{
    struct structure structure = { .out = out, .tree = tree, .begin = out->len };
    put_node(&structure, &tree->nodes[0]);
}

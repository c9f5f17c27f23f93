#include "mime_facts.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "date.h"
#include "facts.h"
#include "header.h"
#include "mime_out.h"
#include "mime_private.h"
#include "mime_tree.h"

enum {
    STRUCTURE_MAX_BYTES = 256 * 1024,
    ENVELOPE_MAX_BYTES = 128 * 1024,
    FIELDS_MAX_BYTES = 64 * 1024,
    PARAM_MAX_BYTES = 1024,
};

/* ---- ENVELOPE (RFC 3501 7.4.2) */

static void put_envelope(struct mime_out *out, const struct mime_node *node)
{
    const struct span *fields = node->fields;
    struct span from = fields[MIME_FROM];
    mime_out_char(out, '(');
    mime_out_field(out, fields[MIME_DATE]);
    mime_out_char(out, ' ');
    mime_out_field(out, fields[MIME_SUBJECT]);
    static const enum mime_field lists[] = {
        MIME_FROM, MIME_SENDER, MIME_REPLY_TO, MIME_TO, MIME_CC, MIME_BCC,
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct span value = fields[lists[i]];
        bool of_from = lists[i] == MIME_SENDER || lists[i] == MIME_REPLY_TO;
        if (of_from && header_trim(value).len == 0) value = from;
        mime_out_char(out, ' ');
        mime_out_addresses(out, value);
    }
    mime_out_char(out, ' ');
    mime_out_field(out, fields[MIME_IN_REPLY_TO]);
    mime_out_char(out, ' ');
    mime_out_field(out, fields[MIME_MESSAGE_ID]);
    mime_out_char(out, ')');
}

/* ---- BODYSTRUCTURE */

static void put_upper(struct mime_out *out, struct span word)
{
    char upper[64];
    if (word.len > sizeof(upper)) {
        mime_out_string(out, word);
        return;
    }
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    mime_out_string(out, span_of(upper, word.len));
}

/* Appends " name value" pairs, the first without its blank; whether one of them is a charset. */
static bool put_pairs(struct mime_out *out, struct span rest)
{
    struct span name, value;
    bool quoted, has_charset = false;
    size_t before = out->len;
    while (mime_param_take(&rest, &name, &value, &quoted)) {
        char plain[PARAM_MAX_BYTES];
        size_t len = 0;
        for (size_t i = 0; i < value.len && len < sizeof(plain); i++) {
            if (quoted && value.ptr[i] == '\\' && i + 1 < value.len) i++;
            if (value.ptr[i] != '\r' && value.ptr[i] != '\n') plain[len++] = value.ptr[i];
        }
        if (out->len > before) mime_out_char(out, ' ');
        put_upper(out, name);
        mime_out_char(out, ' ');
        mime_out_string(out, span_of(plain, len));
        if (span_eq_nocase(name, SPAN("charset"))) has_charset = true;
    }
    return has_charset;
}

/* Parentheses around what was appended from `at` on, behind a "("; NIL when it is nothing. */
static void end_params(struct mime_out *out, size_t at)
{
    if (out->failed) return;
    if (out->len > at) {
        mime_out_char(out, ')');
        return;
    }
    out->len--;
    mime_out_put(out, SPAN("NIL"));
}

static void put_params(struct mime_out *out, struct span rest)
{
    mime_out_char(out, '(');
    size_t at = out->len;
    (void)put_pairs(out, rest);
    end_params(out, at);
}

/* Parameters of the content type: those behind type "/" subtype. Text says its charset, be it the
 * default (RFC 2045 5.2). */
static void put_type_params(struct mime_out *out, const struct mime_node *node)
{
    struct span rest = SPAN("");
    mime_out_char(out, '(');
    size_t at = out->len;
    if (node->has_type) (void)mime_word(node->fields[MIME_CONTENT_TYPE], &rest);
    bool has_charset = put_pairs(out, rest);
    if (!has_charset && node->kind == MIME_LEAF && span_eq_nocase(node->type, SPAN("text"))) {
        if (out->len > at) mime_out_char(out, ' ');
        mime_out_put(out, SPAN("\"CHARSET\" \"us-ascii\""));
    }
    end_params(out, at);
}

/* Content-Language (RFC 3282): tags with commas between them, as a list. */
static void put_languages(struct mime_out *out, struct span value)
{
    struct span rest = value, word;
    bool any = false;
    while ((word = mime_word(rest, &rest)).len > 0) {
        mime_out_char(out, any ? ' ' : '(');
        any = true;
        mime_out_string(out, word);
        if (rest.len == 0 || rest.ptr[0] != ',') break;
        rest = span_skip(rest, 1);
    }
    if (any) mime_out_char(out, ')');
    else mime_out_put(out, SPAN("NIL"));
}

/* disposition language location, in front of which a blank stands */
static void put_extension(struct mime_out *out, const struct mime_node *node)
{
    struct span value = node->fields[MIME_CONTENT_DISPOSITION], rest;
    mime_out_char(out, ' ');
    struct span word = mime_word(value, &rest);
    if (word.len == 0) {
        mime_out_put(out, SPAN("NIL"));
    } else {
        mime_out_char(out, '(');
        put_upper(out, word);
        mime_out_char(out, ' ');
        put_params(out, rest);
        mime_out_char(out, ')');
    }
    mime_out_char(out, ' ');
    put_languages(out, node->fields[MIME_CONTENT_LANGUAGE]);
    mime_out_char(out, ' ');
    mime_out_field(out, node->fields[MIME_CONTENT_LOCATION]);
}

static void put_structure(struct mime_out *out, const struct mime_tree *tree,
                          const struct mime_node *node);

static void put_multi(struct mime_out *out, const struct mime_tree *tree,
                      const struct mime_node *node)
{
    mime_out_char(out, '(');
    if (node->child < 0) {
        /* No part at all: IMAP has no empty multipart. */
        mime_out_put(out, SPAN("(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" "
                               "0 0 NIL NIL NIL NIL)"));
    }
    for (int32_t i = node->child; i >= 0; i = tree->nodes[i].next) {
        put_structure(out, tree, &tree->nodes[i]);
    }
    mime_out_char(out, ' ');
    put_upper(out, node->subtype);
    mime_out_char(out, ' ');
    put_type_params(out, node);
    put_extension(out, node);
    mime_out_char(out, ')');
}

static void put_structure(struct mime_out *out, const struct mime_tree *tree,
                          const struct mime_node *node)
{
    struct span rest, encoding = mime_word(node->fields[MIME_CONTENT_ENCODING], &rest);
    if (node->kind == MIME_MULTI) {
        put_multi(out, tree, node);
        return;
    }
    mime_out_char(out, '(');
    put_upper(out, node->type);
    mime_out_char(out, ' ');
    put_upper(out, node->subtype);
    mime_out_char(out, ' ');
    put_type_params(out, node);
    mime_out_char(out, ' ');
    mime_out_field(out, node->fields[MIME_CONTENT_ID]);
    mime_out_char(out, ' ');
    mime_out_field(out, node->fields[MIME_CONTENT_DESCRIPTION]);
    mime_out_char(out, ' ');
    put_upper(out, encoding.len == 0 ? SPAN("7BIT") : encoding);
    mime_out_char(out, ' ');
    mime_out_number(out, node->end_at - node->body_at);
    if (node->kind == MIME_RFC822) {
        const struct mime_node *child = &tree->nodes[node->child];
        mime_out_char(out, ' ');
        put_envelope(out, child);
        mime_out_char(out, ' ');
        put_structure(out, tree, child);
    }
    if (node->kind == MIME_RFC822 || span_eq_nocase(node->type, SPAN("text"))) {
        mime_out_char(out, ' ');
        mime_out_number(out, node->lines);
    }
    mime_out_char(out, ' ');
    mime_out_field(out, node->fields[MIME_CONTENT_MD5]);
    put_extension(out, node);
    mime_out_char(out, ')');
}

/* ---- kept fields, attachments */

static void put_fields(struct mime_out *out, struct span header)
{
    struct header_field field;
    while (header_take(&header, &field)) {
        if (field.name.len > 0 && facts_field_is_kept(field.name)) mime_out_put(out, field.raw);
    }
}

static bool has_attachment(const struct mime_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct span rest, word = mime_word(tree->nodes[i].fields[MIME_CONTENT_DISPOSITION], &rest);
        if (span_eq_nocase(word, SPAN("attachment"))) return true;
    }
    return false;
}

/* ---- the row */

static void put_part(char *to, const struct mime_node *node)
{
    const struct facts_part part = {
        .level = node->level, .kind = node->kind, .encoding = node->encoding,
        .section = node->section, .header_at = node->header_at, .body_at = node->body_at,
        .end_at = node->end_at, .lines = node->lines,
    };
    facts_part_write(&part, to);
}

static struct err make_row(const struct mime_tree *tree, struct mime_out *text,
                           const size_t ends[3], struct mime_facts_out *ret)
{
    char preview_bytes[MIME_PREVIEW_MAX_BYTES];
    struct buf preview;
    const struct mime_node *top = &tree->nodes[0];
    struct facts facts = { .date_ms = INT64_MIN, .header_bytes = top->body_at };
    char *parts = malloc(tree->count * FACTS_PART_BYTES);
    if (parts == NULL) return err_make(ERR_NOMEM, "facts");
    for (size_t i = 0; i < tree->count; i++) {
        put_part(parts + i * FACTS_PART_BYTES, &tree->nodes[i]);
    }
    if (tree->header_8bit) facts.flags |= FACTS_HEADER_8BIT;
    if (tree->body_8bit) facts.flags |= FACTS_BODY_8BIT;
    if (tree->malformed) facts.flags |= FACTS_MALFORMED;
    if (has_attachment(tree)) facts.flags |= FACTS_ATTACHMENT;
    int64_t date;
    if (date_read(top->fields[MIME_DATE], &date).code == ERR_OK) facts.date_ms = date;
    facts.lines = top->lines;
    facts.parts_count = (uint16_t)tree->count;
    facts.parts = span_of(parts, tree->count * FACTS_PART_BYTES);
    facts.envelope = span_of(text->bytes, ends[0]);
    facts.structure = span_of(text->bytes + ends[0], ends[1] - ends[0]);
    facts.fields = span_of(text->bytes + ends[1], ends[2] - ends[1]);
    buf_init(&preview, preview_bytes, sizeof(preview_bytes));
    mime_preview(tree, &preview);
    facts.preview = buf_span(&preview);
    ret->received = tree->received;
    ret->thread_id = mime_thread_id(top->fields[MIME_REFERENCES], top->fields[MIME_IN_REPLY_TO],
                                    top->fields[MIME_MESSAGE_ID]);
    ret->row_len = facts_bytes(&facts);
    ret->row = malloc(ret->row_len);
    if (ret->row != NULL) facts_write(&facts, ret->row);
    free(parts);
    return ret->row == NULL ? err_make(ERR_NOMEM, "facts") : err_ok();
}

/* A text that grew over its limit is replaced by the smallest that is well formed. */
static void mend(struct mime_out *text, size_t from, struct span instead)
{
    if (!text->failed) return;
    text->failed = false;
    text->len = from;
    text->limit = SIZE_MAX;
    mime_out_put(text, instead);
}

struct err mime_facts(struct span message, struct mime_facts_out *ret)
{
    struct mime_tree tree;
    TRY(mime_tree_read(message, &tree));
    struct mime_out text = { .limit = ENVELOPE_MAX_BYTES };
    size_t ends[3];
    put_envelope(&text, &tree.nodes[0]);
    mend(&text, 0, SPAN("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"));
    ends[0] = text.len;
    text.limit = ends[0] + STRUCTURE_MAX_BYTES;
    put_structure(&text, &tree, &tree.nodes[0]);
    mend(&text, ends[0], SPAN("(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"8BIT\" 0 "
                              "NIL NIL NIL NIL)"));
    ends[1] = text.len;
    text.limit = ends[1] + FIELDS_MAX_BYTES;
    put_fields(&text, span_head(message, tree.nodes[0].body_at));
    mend(&text, ends[1], SPAN(""));
    ends[2] = text.len;
    struct err err = text.bytes == NULL ? err_make(ERR_NOMEM, "facts") : err_ok();
    if (err.code == ERR_OK) err = make_row(&tree, &text, ends, ret);
    free(text.bytes);
    mime_tree_free(&tree);
    return err;
}

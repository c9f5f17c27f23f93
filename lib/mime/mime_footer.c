#include "mime_footer.h"

#include <stdlib.h>

#include "facts.h"
#include "header.h"
#include "mime_bytes_private.h"
#include "mime_charset_private.h"
#include "mime_footer_private.h"
#include "param.h"

struct edits {
    const struct mime_tree *tree;
    const struct mime_node *nodes[MIME_FOOTER_PARTS_MAX]; /* that get a footer, in their order */
    size_t count;
};

/* ---- which texts */

static bool has_param(struct span params, struct span name)
{
    struct param param;
    for (unsigned i = 0; i < PARAM_COUNT_MAX && param_take(&params, &param); i++) {
        if (span_starts_nocase(param.name, name)) return true;
    }
    return false;
}

static bool is_shown(const struct mime_node *node)
{
    struct span params, disposition = mime_node_disposition(node, &params);
    if (node->opaque || node->kind != FACTS_PART_LEAF) return false;
    if (!mime_node_is(node, "text", "plain") && !mime_node_is(node, "text", "html")) return false;
    return !span_eq_nocase(disposition, SPAN("attachment")) && !has_param(params, SPAN("filename"))
        && !has_param(node->params, SPAN("name"));
}

/* Whether the header has an end, so that what is put behind it is content. */
static bool has_header_end(const struct mime_tree *tree, const struct mime_node *node)
{
    struct span header = mime_slice(tree->message, node->header_at, node->body_at);
    struct span before = header;
    if (header.len == 0 || header.ptr[header.len - 1] != '\n') return false;
    before.len--;
    if (before.len > 0 && before.ptr[before.len - 1] == '\r') before.len--;
    return before.len == 0 || before.ptr[before.len - 1] == '\n';
}

enum found { NOTHING, TEXTS, SEALED };

static enum found choose(struct edits *edits, int32_t index);

/* Each child of a multipart/alternative, the first of a multipart/related, the first with a text of
 * others. */
static enum found choose_within(struct edits *edits, const struct mime_node *node)
{
    enum found found = NOTHING;
    bool is_each = span_eq_nocase(node->subtype, SPAN("alternative"));
    bool is_first = span_eq_nocase(node->subtype, SPAN("related"));
    for (int32_t child = node->child; child >= 0; child = edits->tree->nodes[child].next) {
        enum found one = choose(edits, child);
        if (one > found) found = one;
        if (is_first || found == SEALED || (found == TEXTS && !is_each)) break;
    }
    return found;
}

static enum found choose(struct edits *edits, int32_t index)
{
    static const struct span sealed[] = { SPAN_INIT("signed"), SPAN_INIT("encrypted"),
                                          SPAN_INIT("report"), SPAN_INIT("digest") };
    const struct mime_node *node = &edits->tree->nodes[index];
    if (node->kind == FACTS_PART_MULTI && !node->opaque) {
        for (size_t i = 0; i < sizeof(sealed) / sizeof(sealed[0]); i++) {
            if (span_eq_nocase(node->subtype, sealed[i])) return SEALED;
        }
        return choose_within(edits, node);
    }
    if (!is_shown(node)) return NOTHING;
    bool fits = edits->count < MIME_FOOTER_PARTS_MAX && has_header_end(edits->tree, node);
    if (fits) edits->nodes[edits->count++] = node;
    return TEXTS;
}

/* ---- the header of a part that says something else now */

static void put_type(const struct footer_edit *edit, struct mime_out *out)
{
    struct span params = edit->node->params;
    struct param param;
    mime_out_put(out, SPAN("Content-Type: "));
    mime_out_put(out, edit->node->type);
    mime_out_char(out, '/');
    mime_out_put(out, edit->node->subtype);
    mime_out_put(out, SPAN("; charset=utf-8"));
    for (unsigned i = 0; i < PARAM_COUNT_MAX && param_take(&params, &param); i++) {
        if (span_eq_nocase(param.name, SPAN("charset"))) continue;
        mime_out_put(out, SPAN(";\r\n "));
        mime_out_put(out, param.name);
        mime_out_put(out, param.quoted ? SPAN("=\"") : SPAN("="));
        mime_out_put(out, param.value);
        if (param.quoted) mime_out_char(out, '"');
    }
    mime_out_put(out, SPAN("\r\n"));
}

static void put_header(struct span header, const struct footer_edit *edit, struct mime_out *out)
{
    struct header_field field;
    bool has_version = edit->node->level > 0;
    while (header_take(&header, &field)) {
        bool is_type = span_eq_nocase(field.name, SPAN("Content-Type"));
        bool is_encoding = span_eq_nocase(field.name, SPAN("Content-Transfer-Encoding"));
        if (span_eq_nocase(field.name, SPAN("MIME-Version"))) has_version = true;
        if ((is_type && edit->to_utf8) || (is_encoding && edit->to_qp)) continue;
        mime_out_put(out, field.raw);
    }
    if (!has_version) mime_out_put(out, SPAN("MIME-Version: 1.0\r\n"));
    if (edit->to_utf8) put_type(edit, out);
    if (edit->to_qp) mime_out_put(out, SPAN("Content-Transfer-Encoding: quoted-printable\r\n"));
    mime_out_put(out, SPAN("\r\n"));
}

/* ---- the message */

/* Whether there are the same parts as before. */
static struct err is_same(const struct mime_tree *tree, const struct mime_out *made, bool *same)
{
    struct mime_tree now;
    TRY(mime_tree_read(span_of(made->bytes, made->len), NULL, &now));
    *same = now.count == tree->count;
    for (size_t i = 0; *same && i < now.count; i++) {
        const struct mime_node *a = &tree->nodes[i], *b = &now.nodes[i];
        *same = a->kind == b->kind && a->level == b->level && a->opaque == b->opaque &&
                span_eq_nocase(a->type, b->type) && span_eq_nocase(a->subtype, b->subtype);
    }
    mime_tree_free(&now);
    return err_ok();
}

static struct err write_all(const struct edits *edits, const struct mime_footer *footer,
                            struct mime_out *out, bool *changed)
{
    struct span message = edits->tree->message;
    size_t at = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const struct mime_node *node = edits->nodes[i];
        struct footer_edit edit;
        bool is_new;
        struct err err = footer_edit_make(edits->tree, node, footer, &edit, &is_new);
        if (err.code == ERR_OK && is_new) {
            mime_out_put(out, mime_slice(message, at, node->header_at));
            struct span header = mime_slice(message, node->header_at, node->body_at);
            if (edit.to_utf8 || edit.to_qp) put_header(header, &edit, out);
            else mime_out_put(out, header);
            mime_out_put(out, span_of(edit.body.bytes, edit.body.len));
            at = node->end_at;
            *changed = true;
        }
        free(edit.body.bytes);
        TRY(err);
    }
    mime_out_put(out, span_skip(message, at));
    return out->failed ? err_make(ERR_NOMEM, "footer") : err_ok();
}

struct err mime_footer_add(struct span message, const struct mime_footer *footer, char **ret,
                           size_t *ret_len)
{
    struct mime_tree tree;
    struct mime_out out = { .bytes = NULL };
    bool changed = false, same = false;
    *ret = NULL;
    if (footer->text.len + footer->html.len == 0) return err_ok();
    if (footer->text.len > MIME_FOOTER_MAX_BYTES || footer->html.len > MIME_FOOTER_MAX_BYTES) {
        return err_ok();
    }
    TRY(mime_tree_read(message, NULL, &tree));
    struct edits edits = { .tree = &tree };
    bool is_sealed = choose(&edits, 0) == SEALED;
    struct err err = err_ok();
    if (!is_sealed) err = write_all(&edits, footer, &out, &changed);
    if (err.code == ERR_OK && changed) err = is_same(&tree, &out, &same);
    mime_tree_free(&tree);
    if (err.code != ERR_OK || !changed || !same) {
        free(out.bytes);
        return err;
    }
    *ret = out.bytes;
    *ret_len = out.len;
    return err_ok();
}

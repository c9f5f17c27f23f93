#include "mime_text.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "header.h"
#include "mime_private.h"
#include "mime_tree.h"

enum { GROWTH = MIME_UTF8_GROWTH };

static const struct header_charsets charsets = { mime_to_utf8, NULL };

struct err mime_text_decode(struct span value, struct arena *arena, struct span *ret)
{
    struct buf out;
    char *bytes = arena_alloc(arena, value.len * GROWTH + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "field");
    buf_init(&out, bytes, value.len * GROWTH + 1);
    header_decode(&out, value, &charsets);
    *ret = buf_span(&out);
    return err_ok();
}

/* Decodes one run of header text and gives it; true: no more is needed. */
static struct err give_header(struct span value, mime_text_take *take, void *holder, bool *enough)
{
    struct buf out;
    char *bytes = malloc(value.len * GROWTH + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "header");
    buf_init(&out, bytes, value.len * GROWTH + 1);
    header_decode(&out, value, &charsets);
    *enough = take(holder, buf_span(&out));
    free(bytes);
    return err_ok();
}

struct err mime_text_fields(struct span message, struct span name, mime_text_take *take,
                            void *holder)
{
    struct header_field field;
    bool enough = false;
    while (!enough && header_take(&message, &field)) {
        if (!span_eq_nocase(field.name, name)) continue;
        TRY(give_header(field.value, take, holder, &enough));
    }
    return err_ok();
}

struct err mime_text_header(struct span message, mime_text_take *take, void *holder)
{
    struct header_field field;
    bool enough = false;
    while (!enough && header_take(&message, &field)) {
        TRY(give_header(field.raw, take, holder, &enough));
    }
    return err_ok();
}

/* A text part without its transfer encoding, in UTF-8. */
static struct err give_part(const struct mime_tree *tree, const struct mime_node *node,
                            mime_text_take *take, void *holder, bool *enough)
{
    struct span raw = span_of(tree->message.ptr + node->body_at, node->end_at - node->body_at);
    char name[MIME_CHARSET_MAX_BYTES];
    struct buf plain, text;
    raw = span_head(raw, MIME_TEXT_PART_MAX_BYTES);
    char *decoded = malloc(raw.len + 4), *utf8 = malloc(raw.len * GROWTH + 4);
    if (decoded == NULL || utf8 == NULL) {
        free(decoded);
        free(utf8);
        return err_make(ERR_NOMEM, "text of a part");
    }
    buf_init(&plain, decoded, raw.len + 4);
    mime_decode(node, raw, &plain);
    buf_init(&text, utf8, raw.len * GROWTH + 4);
    mime_put_utf8(mime_charset(node, name), buf_span(&plain), &text);
    *enough = take(holder, buf_span(&text));
    free(decoded);
    free(utf8);
    return err_ok();
}

struct err mime_text_body(struct span message, mime_text_take *take, void *holder)
{
    struct mime_tree tree;
    TRY(mime_tree_read(message, &tree));
    struct err err = err_ok();
    bool enough = false;
    for (size_t i = 0; i < tree.count && err.code == ERR_OK && !enough; i++) {
        const struct mime_node *node = &tree.nodes[i];
        if (node->kind == MIME_RFC822 && node->child >= 0) {
            const struct mime_node *child = &tree.nodes[node->child];
            struct span header = span_of(message.ptr + child->header_at,
                                         child->body_at - child->header_at);
            err = give_header(header, take, holder, &enough);
        } else if (node->kind == MIME_LEAF && span_eq_nocase(node->type, SPAN("text"))) {
            err = give_part(&tree, node, take, holder, &enough);
        }
    }
    mime_tree_free(&tree);
    return err;
}

#include "mime_text.h"

#include <stdlib.h>

#include "arena.h"
#include "buf.h"
#include "facts.h"
#include "header.h"
#include "mime_bytes_private.h"
#include "mime_charset_private.h"
#include "mime_decode_private.h"
#include "mime_tree_private.h"

struct err mime_text_decode(struct span value, struct arena *arena, struct span *ret)
{
    struct buf out;
    size_t room = value.len * MIME_UTF8_GROWTH;
    char *bytes = arena_alloc(arena, room + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "a header field's text");
    buf_init(&out, bytes, room);
    header_decode(&out, value, &mime_charsets);
    *ret = buf_span(&out);
    return err_ok();
}

/* Decodes one run of header text and gives it. */
static struct err give_header(struct span value, mime_text_take *take, void *holder, bool *enough)
{
    struct buf out;
    size_t room = value.len * MIME_UTF8_GROWTH;
    char *bytes = malloc(room + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "a header field's text");
    buf_init(&out, bytes, room);
    header_decode(&out, value, &mime_charsets);
    *enough = take(holder, buf_span(&out));
    free(bytes);
    return err_ok();
}

static struct err give_fields(struct span header, mime_text_take *take, void *holder, bool *enough)
{
    struct header_field field;
    while (!*enough && header_take(&header, &field)) {
        TRY(give_header(field.raw, take, holder, enough));
    }
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
    bool enough = false;
    return give_fields(message, take, holder, &enough);
}

/* All of it at once: what is searched for may stand anywhere in it. */
static struct err give_part(const struct mime_tree *tree, const struct mime_node *node,
                            mime_text_take *take, void *holder, bool *enough)
{
    char name[MIME_CHARSET_MAX_BYTES];
    struct mime_decoder decoder;
    struct buf text;
    struct span body = span_head(mime_tree_body(tree, node), MIME_TEXT_PART_MAX_BYTES);
    bool encoded = node->encoding == FACTS_ENCODING_BASE64 || node->encoding == FACTS_ENCODING_QP;
    char *store = encoded ? malloc(body.len + 16) : NULL;
    char *utf8 = malloc(body.len * MIME_UTF8_GROWTH + 1);
    if ((encoded && store == NULL) || utf8 == NULL) {
        free(store);
        free(utf8);
        return err_make(ERR_NOMEM, "text of a part");
    }
    mime_decoder_init(&decoder, body, node->encoding);
    buf_init(&text, utf8, body.len * MIME_UTF8_GROWTH);
    mime_to_utf8(mime_charset_of(node->params, name), mime_decode(&decoder, store, body.len + 16),
                 &text);
    *enough = take(holder, buf_span(&text));
    free(store);
    free(utf8);
    return err_ok();
}

struct err mime_text_body(struct span message, mime_text_take *take, void *holder)
{
    struct mime_tree tree;
    TRY(mime_tree_read(message, NULL, &tree));
    struct err err = err_ok();
    bool enough = false;
    for (size_t i = 0; i < tree.count && err.code == ERR_OK && !enough; i++) {
        const struct mime_node *node = &tree.nodes[i];
        if (node->kind == FACTS_PART_RFC822) {
            const struct mime_node *inside = &tree.nodes[node->child];
            struct span header = mime_slice(message, inside->header_at, inside->body_at);
            err = give_fields(header, take, holder, &enough);
        } else if (node->kind == FACTS_PART_LEAF && !node->opaque
                   && mime_node_is(node, "text", NULL)) {
            err = give_part(&tree, node, take, holder, &enough);
        }
    }
    mime_tree_free(&tree);
    return err;
}

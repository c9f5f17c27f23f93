#include "mime_text.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ucnv.h>

#include "arena.h"
#include "base64.h"
#include "buf.h"
#include "facts.h"
#include "header.h"
#include "mime_tree.h"
#include "qp.h"
#include "utf8.h"

enum { CHARSET_MAX_BYTES = 64, GROWTH = 3 };

/* Bytes of a charset as UTF-8, by ICU. Unknown charsets: false. */
static bool to_utf8(void *user, struct span charset, struct span bytes, struct buf *out)
{
    char name[CHARSET_MAX_BYTES];
    UErrorCode code = U_ZERO_ERROR;
    (void)user;
    if (charset.len == 0 || charset.len >= sizeof(name) || bytes.len > INT32_MAX / GROWTH) return false;
    memcpy(name, charset.ptr, charset.len);
    name[charset.len] = '\0';
    char *star = strchr(name, '*'); /* RFC 2231 5: a language may follow */
    if (star != NULL) *star = '\0';
    if (span_eq_nocase(charset, SPAN("utf-8")) || span_eq_nocase(charset, SPAN("us-ascii"))) {
        utf8_put_clean(out, bytes);
        return true;
    }
    size_t room = out->size - out->len;
    int32_t len = ucnv_convert("UTF-8", name, out->bytes + out->len, (int32_t)room, bytes.ptr,
                               (int32_t)bytes.len, &code);
    if (U_FAILURE(code) || (size_t)len > room) return false;
    out->len += (size_t)len;
    return true;
}

static const struct header_charsets charsets = { to_utf8, NULL };

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
    struct span type, rest, charset = SPAN("us-ascii");
    char name[CHARSET_MAX_BYTES];
    size_t name_len;
    struct buf plain, text;
    raw = span_head(raw, MIME_TEXT_PART_MAX_BYTES);
    char *decoded = malloc(raw.len + 4), *utf8 = malloc(raw.len * GROWTH + 4);
    if (decoded == NULL || utf8 == NULL) {
        free(decoded);
        free(utf8);
        return err_make(ERR_NOMEM, "text of a part");
    }
    buf_init(&plain, decoded, raw.len + 4);
    if (node->encoding == FACTS_ENCODING_BASE64) base64_decode(&plain, raw);
    else if (node->encoding == FACTS_ENCODING_QP) qp_decode(&plain, raw);
    else buf_put(&plain, raw);
    type = mime_word(node->fields[MIME_CONTENT_TYPE], &rest);
    if (type.len > 0 && mime_param(rest, SPAN("charset"), name, sizeof(name), &name_len)) {
        charset = span_of(name, name_len);
    }
    buf_init(&text, utf8, raw.len * GROWTH + 4);
    if (!to_utf8(NULL, charset, buf_span(&plain), &text)) {
        text.len = 0;
        utf8_put_clean(&text, buf_span(&plain));
    }
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

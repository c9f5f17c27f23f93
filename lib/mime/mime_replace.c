#include "mime_replace.h"

#include <stdint.h>
#include <stdlib.h>

#include "facts.h"
#include "header.h"
#include "mime_bytes_private.h"
#include "mime_tree_private.h"

static const struct span notice_header = SPAN_INIT(
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n");

/* The node whose number is `number`; -1: there is none. A multipart that is the message in a part
 * has that part's number, and comes behind it. */
static int64_t find_part(const struct mime_tree *tree, struct span number)
{
    char text[MIME_NUMBER_MAX_BYTES];
    if (number.len == 0) return -1;
    for (size_t i = 0; i < tree->count; i++) {
        size_t len = mime_tree_number(tree, i, text);
        if (span_eq(number, span_of(text, len))) return (int64_t)i;
    }
    return -1;
}

static char *put(char *to, struct span bytes)
{
    if (bytes.len > 0) memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

/* The fields of the part's header that do not say what its content was. */
static char *put_header(char *to, struct span header)
{
    struct header_field field;
    while (header_take(&header, &field)) {
        if (field.name.len == 0 || span_starts_nocase(field.name, SPAN("Content-"))) continue;
        to = put(to, field.raw);
        if (field.raw.ptr[field.raw.len - 1] != '\n') to = put(to, SPAN("\r\n"));
    }
    to = put(to, notice_header);
    return put(to, SPAN("\r\n"));
}

struct err mime_replace_part(struct span message, struct span number, struct span notice,
                             char **ret, size_t *ret_len)
{
    struct mime_tree tree;
    TRY(mime_tree_read(message, NULL, &tree));
    int64_t index = find_part(&tree, number);
    struct mime_node node = tree.nodes[index < 0 ? 0 : index];
    mime_tree_free(&tree);
    if (index < 0) return err_make(ERR_NOT_FOUND, "part of a message");
    char *made = malloc(message.len + notice.len + notice_header.len + 8);
    if (made == NULL) return err_make(ERR_NOMEM, "part of a message");
    char *to = put(made, span_head(message, node.header_at));
    to = put_header(to, mime_slice(message, node.header_at, node.body_at));
    to = put(to, notice);
    /* A part whose header went right up to the boundary had no line end of its own before that. */
    bool at_line = node.end_at == node.body_at && node.end_at < message.len
        && message.ptr[node.end_at] == '-';
    if (at_line) to = put(to, SPAN("\r\n"));
    to = put(to, span_skip(message, node.end_at));
    *ret = made;
    *ret_len = (size_t)(to - made);
    return err_ok();
}

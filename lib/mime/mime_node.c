/* Questions about a part of a tree. */
#include "buf.h"
#include "check.h"
#include "facts.h"
#include "imap_put.h"
#include "mime_bytes_private.h"
#include "mime_tree_private.h"
#include "param.h"

struct span mime_tree_body(const struct mime_tree *tree, const struct mime_node *node)
{
    return mime_slice(tree->message, node->body_at, node->end_at);
}

bool mime_node_is(const struct mime_node *node, const char *type, const char *subtype)
{
    if (!span_eq_nocase(node->type, span_of(type, strlen(type)))) return false;
    return subtype == NULL || span_eq_nocase(node->subtype, span_of(subtype, strlen(subtype)));
}

struct span mime_node_disposition(const struct mime_node *node, struct span *params)
{
    *params = node->fields[MIME_CONTENT_DISPOSITION];
    return param_take_word(params);
}

/* RFC 3501 6.4.5: numbers are those of multiparts' parts. A message within a message has no number
 * of its own when it is a multipart, and ".1" when it is not. */
size_t mime_tree_number(const struct mime_tree *tree, size_t index, char to[MIME_NUMBER_MAX_BYTES])
{
    uint16_t numbers[FACTS_DEPTH_MAX];
    size_t count = 0, at = index;
    /* Depth first: what a part is in stands before it, the nearest one of a smaller level first. */
    for (;;) {
        const struct mime_node *node = &tree->nodes[at];
        size_t above = at;
        while (above > 0 && tree->nodes[above].level >= node->level) above--;
        bool in_multi = at > 0 && tree->nodes[above].kind == FACTS_PART_MULTI;
        CHECK(count < FACTS_DEPTH_MAX);
        if (in_multi || node->kind != FACTS_PART_MULTI) {
            numbers[count++] = in_multi ? node->section : 1;
        }
        if (at == 0) break;
        at = above;
    }
    char *end = to;
    while (count > 0) {
        end = imap_put_u32(end, numbers[--count]);
        if (count > 0) *end++ = '.';
    }
    return (size_t)(end - to);
}

#include "mime_replace.h"

#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "mime_tree.h"

/* The node that IMAP calls `number` (RFC 3501 6.4.5); -1: there is none. */
static int32_t find_part(const struct mime_tree *tree, struct span number)
{
    int32_t at = 0;
    while (number.len > 0) {
        uint32_t section = 0;
        struct span rest = SPAN(""), word = number;
        if (!span_cut(number, '.', &word, &rest)) rest = SPAN("");
        for (size_t i = 0; i < word.len; i++) {
            if (word.ptr[i] < '0' || word.ptr[i] > '9' || section > 100000) return -1;
            section = section * 10 + (uint32_t)(word.ptr[i] - '0');
        }
        number = rest;
        if (tree->nodes[at].kind == MIME_RFC822) at = tree->nodes[at].child;
        if (at >= 0 && tree->nodes[at].kind != MIME_MULTI) {
            if (section != 1) return -1;
            continue;
        }
        at = at < 0 ? -1 : tree->nodes[at].child;
        while (at >= 0 && tree->nodes[at].section != section) at = tree->nodes[at].next;
        if (at < 0) return -1;
    }
    return at;
}

static void put(char *to, size_t *len, struct span bytes)
{
    if (bytes.len > 0) memcpy(to + *len, bytes.ptr, bytes.len);
    *len += bytes.len;
}

struct err mime_replace_part(struct span message, struct span number, struct span notice,
                             char **ret, size_t *ret_len)
{
    static const char head[] =
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    struct mime_tree tree;
    TRY(mime_tree_read(message, &tree));
    int32_t at = find_part(&tree, number);
    char *made = at < 0 ? NULL : malloc(message.len + notice.len + sizeof(head) + 4);
    if (made == NULL) {
        mime_tree_free(&tree);
        return err_make(at < 0 ? ERR_NOT_FOUND : ERR_NOMEM, "part of a message");
    }
    struct mime_node node = tree.nodes[at];
    mime_tree_free(&tree);
    size_t len = 0;
    put(made, &len, span_head(message, node.header_at));
    /* Of its header what does not say what it was. */
    struct span header = span_of(message.ptr + node.header_at, node.body_at - node.header_at);
    struct header_field field;
    while (header_take(&header, &field)) {
        if (field.name.len > 0 && !span_starts_nocase(field.name, SPAN("Content-"))) {
            put(made, &len, field.raw);
        }
    }
    put(made, &len, span_of(head, sizeof(head) - 1));
    put(made, &len, SPAN("\r\n"));
    put(made, &len, notice);
    put(made, &len, span_skip(message, node.end_at));
    *ret = made;
    *ret_len = len;
    return err_ok();
}

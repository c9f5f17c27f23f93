#include "parts_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base64.h"
#include "buf.h"
#include "clam_private.h"
#include "clock.h"
#include "facts.h"
#include "mime_tree.h"
#include "qp.h"

struct parts {
    struct clam *clam;
    const struct mime_tree *tree;
    struct engines_result *result;
    uint64_t end_ms;
};

/* Looks at some bytes in the time that is left; false: there is none. */
static bool parts_look(const struct parts *parts, struct span bytes, struct span part,
                       struct span file_name)
{
    uint64_t now_ms = clock_boot_ms();
    if (now_ms >= parts->end_ms) {
        if (parts->result->outcome < ENGINES_NO_TIME) parts->result->outcome = ENGINES_NO_TIME;
        return false;
    }
    clam_set_time(parts->clam, (uint32_t)(parts->end_ms - now_ms));
    clam_scan(parts->clam, bytes, part, file_name, parts->result);
    return true;
}

/* The name that a reader of the mail would save the part by. */
static struct span part_file_name(const struct mime_node *node,
                                  char text[ENGINES_FILE_NAME_MAX_BYTES])
{
    const struct {
        enum mime_field field;
        struct span param;
    } places[] = { { MIME_CONTENT_DISPOSITION, SPAN("filename") },
                   { MIME_CONTENT_TYPE, SPAN("name") } };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct span value = node->fields[places[i].field], params;
        size_t len = 0;
        if (value.ptr == NULL) continue;
        (void)mime_word(value, &params);
        if (mime_param(params, places[i].param, text, ENGINES_FILE_NAME_MAX_BYTES, &len)) {
            return span_of(text, len);
        }
    }
    return span_of(NULL, 0);
}

static bool parts_leaf(const struct parts *parts, const struct mime_node *node, struct span number)
{
    char text[ENGINES_FILE_NAME_MAX_BYTES];
    struct span name = part_file_name(node, text);
    struct span raw = span_of(parts->tree->message.ptr + node->body_at,
                              node->end_at - node->body_at);
    if (node->encoding != FACTS_ENCODING_BASE64 && node->encoding != FACTS_ENCODING_QP) {
        return parts_look(parts, raw, number, name);
    }
    char *bytes = malloc(raw.len + 4);
    if (bytes == NULL) {
        parts->result->outcome = ENGINES_NO_MEMORY;
        return false;
    }
    struct buf decoded;
    buf_init(&decoded, bytes, raw.len + 4);
    if (node->encoding == FACTS_ENCODING_BASE64) {
        base64_decode(&decoded, raw);
    } else {
        qp_decode(&decoded, raw);
    }
    bool more = parts_look(parts, buf_span(&decoded), number, name);
    free(bytes);
    return more;
}

/* `number` with one more level; empty when it has no room. */
static struct span number_below(struct span number, unsigned section,
                                char text[ENGINES_PART_MAX_BYTES])
{
    int len = snprintf(text, ENGINES_PART_MAX_BYTES, "%.*s%s%u", (int)number.len,
                       number.len == 0 ? "" : number.ptr, number.len == 0 ? "" : ".", section);
    bool fits = len > 0 && len < ENGINES_PART_MAX_BYTES;
    return span_of(text, fits ? (size_t)len : 0);
}

/* `alone`: the node is a message's whole body, whose number is then `number`.1 (RFC 3501 6.4.5).
 * As deep as the tree, MIME_DEPTH_MAX. False: stop. */
static bool parts_walk(const struct parts *parts, int32_t index, struct span number, bool alone)
{
    const struct mime_node *node = &parts->tree->nodes[index];
    char text[ENGINES_PART_MAX_BYTES];
    if (node->kind == MIME_RFC822) return parts_walk(parts, node->child, number, true);
    if (node->kind == MIME_LEAF) {
        return parts_leaf(parts, node, alone ? number_below(number, 1, text) : number);
    }
    for (int32_t at = node->child; at >= 0; at = parts->tree->nodes[at].next) {
        struct span below = number_below(number, parts->tree->nodes[at].section, text);
        if (!parts_walk(parts, at, below, false)) return false;
    }
    return true;
}

/* Whether something was found that no further look can make less. */
static bool parts_infected(const struct engines_result *result)
{
    const struct span guess = SPAN("Heuristics.");
    for (uint32_t i = 0; i < result->findings_count; i++) {
        struct span name = span_of(result->findings[i].name, result->findings[i].name_len);
        if (!span_eq(span_head(name, guess.len), guess)) return true;
    }
    return false;
}

void parts_scan(struct clam *clam, struct span message, uint32_t scan_ms,
                struct engines_result *result)
{
    struct mime_tree tree;
    struct parts parts = { clam, &tree, result, clock_boot_ms() + scan_ms };
    struct err err = mime_tree_read(message, &tree);
    if (err.code != ERR_OK) {
        result->outcome = err.code == ERR_TOO_BIG ? ENGINES_LIMIT : ENGINES_NO_MEMORY;
        return;
    }
    bool more = parts_walk(&parts, 0, span_of(NULL, 0), true);
    mime_tree_free(&tree);
    if (more && !parts_infected(result)) {
        (void)parts_look(&parts, message, span_of(NULL, 0), span_of(NULL, 0));
    }
}

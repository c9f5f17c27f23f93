#include "mime_parts.h"

#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "facts.h"
#include "header.h"
#include "mime_charset_private.h"
#include "mime_decode_private.h"
#include "mime_tree_private.h"
#include "mime_uu_private.h"
#include "param.h"
#include "utf8.h"

/* A line of uuencoded data is not cut. */
enum { PIECE_BYTES_MIN = 64 };

struct walk {
    const struct mime_tree *tree;
    const struct mime_parts_visitor *visitor;
    void *holder;
    struct mime_parts_limits left;
    char *store; /* for decoded pieces, grown to the largest that was needed */
    size_t store_bytes;
    bool stopped, over, no_memory;
};

/* A name of the one or of the other field, cut to what a name may have. */
static struct span find_name(const struct mime_node *node, struct span disposition,
                             char store[MIME_PART_NAME_MAX_BYTES])
{
    char whole[PARAM_VALUE_MAX_BYTES * MIME_UTF8_GROWTH];
    struct buf out;
    buf_init(&out, whole, sizeof(whole));
    if (!param_find(disposition, SPAN("filename"), &mime_charsets, &out)
        && !param_find(node->params, SPAN("name"), &mime_charsets, &out)) {
        return span_of(NULL, 0);
    }
    struct span name = utf8_head(buf_span(&out), MIME_PART_NAME_MAX_BYTES);
    if (name.len > 0) memcpy(store, name.ptr, name.len);
    return span_of(store, name.len);
}

static bool begin(struct walk *walk, const struct mime_part *part)
{
    if (walk->left.parts_max == 0) {
        walk->over = true;
        return false;
    }
    walk->left.parts_max--;
    return walk->visitor->begin(walk->holder, part);
}

/* Gives a piece; false: the part's others are not wanted, or may not be given. */
static bool give(struct walk *walk, struct span piece)
{
    if (piece.len > walk->left.decoded_bytes_max) {
        walk->over = true;
        return false;
    }
    walk->left.decoded_bytes_max -= piece.len;
    return piece.len == 0 || walk->visitor->bytes(walk->holder, piece);
}

static void end(struct walk *walk)
{
    if (!walk->visitor->end(walk->holder)) walk->stopped = true;
}

/* Room for a piece of what `encoded_bytes` decode to, which is never more; 0: no memory. */
static size_t reserve(struct walk *walk, size_t encoded_bytes)
{
    size_t want = encoded_bytes + PIECE_BYTES_MIN;
    if (want > walk->left.piece_bytes_max) want = walk->left.piece_bytes_max;
    if (want <= walk->store_bytes) return want;
    char *grown = realloc(walk->store, want);
    if (grown == NULL) {
        walk->no_memory = walk->stopped = true;
        return 0;
    }
    walk->store = grown;
    walk->store_bytes = want;
    return want;
}

static void walk_content(struct walk *walk, const struct mime_node *node)
{
    struct mime_decoder decoder;
    struct span piece, body = mime_tree_body(walk->tree, node);
    bool encoded = node->encoding == FACTS_ENCODING_BASE64 || node->encoding == FACTS_ENCODING_QP;
    size_t room = encoded ? reserve(walk, body.len) : walk->left.piece_bytes_max;
    if (room == 0) return;
    mime_decoder_init(&decoder, body, node->encoding);
    do {
        piece = mime_decode(&decoder, walk->store, room);
    } while (piece.len > 0 && give(walk, piece));
}

/* The files in a text that has no encoding of its own. */
static void walk_uuencoded(struct walk *walk, const struct mime_node *node, struct mime_part part)
{
    struct span text = mime_tree_body(walk->tree, node), name;
    part.is_uuencoded = true;
    part.type = SPAN("application");
    part.subtype = SPAN("octet-stream");
    while (!walk->stopped && !walk->over && mime_uu_begin(&text, &name)) {
        char store[MIME_PART_NAME_MAX_BYTES];
        struct buf out;
        buf_init(&out, store, sizeof(store));
        utf8_put_clean(&out, span_head(name, sizeof(store) / MIME_UTF8_GROWTH));
        part.name = buf_span(&out);
        size_t room = reserve(walk, text.len);
        if (room == 0) return;
        bool wanted = begin(walk, &part), more = true;
        if (walk->over) return;
        while (more) {
            struct buf piece;
            buf_init(&piece, walk->store, room);
            more = mime_uu_decode(&text, &piece);
            wanted = wanted && give(walk, buf_span(&piece));
        }
        end(walk);
    }
}

static void walk_leaf(struct walk *walk, size_t index)
{
    char number[MIME_NUMBER_MAX_BYTES], name[MIME_PART_NAME_MAX_BYTES];
    const struct mime_node *node = &walk->tree->nodes[index];
    struct span params, disposition = mime_node_disposition(node, &params);
    struct mime_part part = { .type = node->type, .subtype = node->subtype };
    part.number = span_of(number, mime_tree_number(walk->tree, index, number));
    part.name = find_name(node, params, name);
    part.is_attachment = span_eq_nocase(disposition, SPAN("attachment"));
    bool wanted = begin(walk, &part);
    if (walk->over) return;
    if (wanted) walk_content(walk, node);
    end(walk);
    if (wanted && mime_node_is(node, "text", NULL) && node->encoding <= FACTS_ENCODING_BINARY) {
        walk_uuencoded(walk, node, part);
    }
}

struct err mime_parts_walk(struct span message, const struct mime_parts_limits *limits,
                           const struct mime_parts_visitor *visitor, void *holder)
{
    struct mime_tree tree;
    TRY(mime_tree_read(message, NULL, &tree));
    struct walk walk = { .tree = &tree, .visitor = visitor, .holder = holder, .left = *limits };
    bool all_listed = tree.count < FACTS_PARTS_MAX;
    CHECK(limits->piece_bytes_max >= PIECE_BYTES_MIN);
    for (size_t i = 0; i < tree.count && !walk.stopped && !walk.over; i++) {
        if (tree.nodes[i].kind == FACTS_PART_LEAF) walk_leaf(&walk, i);
    }
    struct err err = err_ok();
    if (walk.no_memory) err = err_make(ERR_NOMEM, "parts of a message");
    else if (walk.over || (!all_listed && !walk.stopped)) err = err_make(ERR_TOO_BIG, "parts");
    free(walk.store);
    mime_tree_free(&tree);
    return err;
}

/* mime_tree.h: the parts of a message with their places, in one pass over its lines (RFC 2046 5.1).
 *
 * Own code and not GMime: of the facts of a message the offsets are what matters, and building
 * GMime's objects costs several times the whole budget of a small message. */
#ifndef MAIL_MIME_TREE_H
#define MAIL_MIME_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MIME_PARTS_MAX = 1000, /* what is beyond belongs to the last one */
    MIME_DEPTH_MAX = 100,  /* deeper ones are opaque leaves */
    MIME_BOUNDARY_MAX_BYTES = 200,
};

/* The header fields that matter; values as they came, with folds. `ptr` NULL: not there. */
enum mime_field {
    MIME_FROM, MIME_SENDER, MIME_REPLY_TO, MIME_TO, MIME_CC, MIME_BCC, MIME_DATE, MIME_SUBJECT,
    MIME_MESSAGE_ID, MIME_IN_REPLY_TO, MIME_REFERENCES, MIME_CONTENT_TYPE, MIME_CONTENT_ENCODING,
    MIME_CONTENT_ID, MIME_CONTENT_DESCRIPTION, MIME_CONTENT_DISPOSITION, MIME_CONTENT_LANGUAGE,
    MIME_CONTENT_LOCATION, MIME_CONTENT_MD5, MIME_FIELDS,
};

enum mime_kind { MIME_LEAF = 0, MIME_MULTI = 1, MIME_RFC822 = 2 };

struct mime_node {
    uint8_t level, kind, encoding; /* encoding: FACTS_ENCODING_* */
    uint16_t section;              /* among its siblings, from 1 */
    uint32_t header_at, body_at, end_at, lines;
    struct span type, subtype;     /* as written; "text" "plain" when there is none */
    bool has_type;                 /* it says its type, in a form that can be read */
    struct span fields[MIME_FIELDS];
    int32_t child, next;           /* indexes; -1: none */
};

struct mime_tree {
    struct span message;
    struct mime_node *nodes; /* the message itself first, then depth first */
    size_t count, size;
    uint32_t received;       /* Received fields of the message itself */
    bool malformed;          /* a part did not end, a header was none */
    bool header_8bit, body_8bit;
};

/* `message` lives as long as the tree. ERR_NOMEM; ERR_TOO_BIG: 4 GiB or more. */
MUST_USE struct err mime_tree_read(struct span message, struct mime_tree *ret);
void mime_tree_free(struct mime_tree *tree);

/* Takes the next parameter off the front of `*rest`, what is behind the type: its name, and its
 * value with quotes and quoted pairs still in it when `*quoted`. False at the end. */
bool mime_param_take(struct span *rest, struct span *name, struct span *value, bool *quoted);

/* The type or disposition at the front of a field's value; `*rest` are its parameters. */
struct span mime_word(struct span value, struct span *rest);

/* The value of a parameter without its quoting, cut at `size`. False: it is not there. */
bool mime_param(struct span params, struct span name, char *to, size_t size, size_t *len);

#ifdef __cplusplus
}
#endif
#endif

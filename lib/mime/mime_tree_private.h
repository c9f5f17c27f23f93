/* mime_tree_private.h: the parts of a message with their places, in one pass over its lines (RFC
 * 2046 5.1).
 *
 * Own code and not GMime: offsets are what matters here, and building GMime's objects costs about
 * ten times the budget of a small message. GMime is what the tests compare this with.
 *
 * Whatever the bytes are, they are a message:
 *   - a header ends at its first empty line, at a boundary, or at the end of the message;
 *   - no Content-Type, one that can't be read, and a multipart without a boundary: text/plain (in
 *     multipart/digest message/rfc822 when there is none);
 *   - a multipart whose last boundary is missing ends where what holds it ends;
 *   - multiparts and messages below FACTS_DEPTH_MAX levels, messages when there are FACTS_PARTS_MAX
 *     parts, and messages in an encoding are one opaque leaf; parts beyond FACTS_PARTS_MAX are not
 *     listed. */
#ifndef MAIL_MIME_TREE_PRIVATE_H
#define MAIL_MIME_TREE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

struct header_field;

/* Boundaries have at most 70 characters (RFC 2046 5.1.1); longer ones work when they are written
 * without backslashes. */
enum { MIME_BOUNDARY_MAX_BYTES = 128 };

/* The header fields that matter: the first of each, its value with folds. `ptr` NULL: not there. */
enum mime_field {
    MIME_FROM, MIME_SENDER, MIME_REPLY_TO, MIME_TO, MIME_CC, MIME_BCC, MIME_DATE, MIME_SUBJECT,
    MIME_MESSAGE_ID, MIME_IN_REPLY_TO, MIME_CONTENT_TYPE, MIME_CONTENT_ENCODING, MIME_CONTENT_ID,
    MIME_CONTENT_DESCRIPTION, MIME_CONTENT_DISPOSITION, MIME_CONTENT_LANGUAGE,
    MIME_CONTENT_LOCATION, MIME_FIELDS,
};

struct mime_node {
    uint8_t level, kind, encoding; /* FACTS_PART_*, FACTS_ENCODING_* */
    bool opaque;                   /* shown as application/octet-stream: its inside is not read */
    uint16_t section;              /* among its siblings, from 1 */
    uint32_t header_at, body_at, end_at, lines;
    int32_t child, last_child, next; /* indexes; -1: none */
    struct span type, subtype;     /* as written; text/plain when there is none */
    struct span params;            /* of the type: what is behind it */
    struct span fields[MIME_FIELDS];
};

struct mime_tree {
    struct span message;
    struct mime_node *nodes; /* the message itself first, then depth first */
    size_t count, size;
    bool malformed;
};

/* Called for each field of the message's own header. */
struct mime_tree_hook {
    void (*field)(void *holder, const struct header_field *field);
    void *holder;
};

/* `message` lives as long as the tree; `hook` may be NULL. ERR_NOMEM; ERR_TOO_BIG: 4 GiB. */
MUST_USE struct err mime_tree_read(struct span message, const struct mime_tree_hook *hook,
                                   struct mime_tree *ret);
void mime_tree_free(struct mime_tree *tree);

/* The content of a part, as it is in the message. */
struct span mime_tree_body(const struct mime_tree *tree, const struct mime_node *node);

/* Whether a node is a leaf of that type; `subtype` may be NULL for any. */
bool mime_node_is(const struct mime_node *node, const char *type, const char *subtype);

/* The word at the front of Content-Disposition; empty when there is none. */
struct span mime_node_disposition(const struct mime_node *node, struct span *params);

/* Writes the number of the part at `index` as IMAP has it: "1.2". The empty text for what has none
 * (the message itself when it is a multipart). Returns its length. */
enum { MIME_NUMBER_MAX_BYTES = 640 };
size_t mime_tree_number(const struct mime_tree *tree, size_t index, char to[MIME_NUMBER_MAX_BYTES]);

#endif

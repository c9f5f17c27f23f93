/* mime_parts.h: the leaves of a message, decoded, one after the other: what a scanner looks at. */
#ifndef MAIL_MIME_PARTS_H
#define MAIL_MIME_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MIME_PART_NAME_MAX_BYTES = 1024, /* longer names are cut */
};

struct mime_part {
    struct span number;        /* as IMAP has it, "1.2"; that of its text for a uuencoded file */
    struct span type, subtype; /* as declared; what is not declared is text/plain */
    struct span name;          /* of the file, in UTF-8 (RFC 2231, RFC 2047); may be empty */
    bool is_attachment;        /* Content-Disposition says so */
    bool is_uuencoded;         /* a "begin 644 name" in a text: the text itself was a part before */
};

/* Spans live until the function returns. */
struct mime_parts_visitor {
    bool (*begin)(void *holder, const struct mime_part *part); /* false: pass over its bytes */
    bool (*bytes)(void *holder, struct span piece);            /* false: pass over the others */
    bool (*end)(void *holder);                                 /* false: stop the walk */
};

struct mime_parts_limits {
    uint32_t parts_max;         /* with uuencoded files */
    uint64_t decoded_bytes_max; /* of all parts together */
    size_t piece_bytes_max;     /* 64 or more; SIZE_MAX: every part comes in one piece. What needs
                                   no decoding is not copied */
};

/* Walks the leaves in their order; `end` follows each `begin`. A part that holds a message which
 * was not read into (in an encoding, or too deep) is a leaf as well. ERR_TOO_BIG: a limit ended the
 * walk, or the message has more parts than are listed (FACTS_PARTS_MAX); ERR_NOMEM. */
MUST_USE struct err mime_parts_walk(struct span message, const struct mime_parts_limits *limits,
                                    const struct mime_parts_visitor *visitor, void *holder);

#ifdef __cplusplus
}
#endif
#endif

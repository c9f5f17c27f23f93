/* mime_imap_private.h: ENVELOPE and BODYSTRUCTURE of a message (RFC 3501 7.4.2). */
#ifndef MAIL_MIME_IMAP_PRIVATE_H
#define MAIL_MIME_IMAP_PRIVATE_H

#include "span.h"

struct mime_out;
struct mime_tree;
struct mime_node;

/* What one message can make us store is bounded: texts are cut, lists end early, and when the parts
 * so far take MIME_STRUCTURE_FULL_BYTES the others are told without their parameters and ids. All
 * together they stay below FACTS_MAX_BYTES. */
enum {
    MIME_DATE_MAX_BYTES = 256,
    MIME_ID_MAX_BYTES = 1024,
    MIME_IDS_MAX_BYTES = 4096,
    MIME_SUBJECT_MAX_BYTES = 8192,
    MIME_ADDRESS_MAX_BYTES = 4096,
    MIME_FROM_FULL_BYTES = 8 * 1024,       /* of From, which may be written three times */
    MIME_ADDRESSES_FULL_BYTES = 32 * 1024, /* of all lists of an envelope together */
    MIME_TYPE_MAX_BYTES = 32,
    MIME_VALUE_MAX_BYTES = 1024,
    MIME_STRUCTURE_FULL_BYTES = 64 * 1024,
};

void mime_put_envelope(struct mime_out *out, const struct mime_node *node);

/* With its extension data; the body MD5 is always NIL. */
void mime_put_structure(struct mime_out *out, const struct mime_tree *tree);

#endif

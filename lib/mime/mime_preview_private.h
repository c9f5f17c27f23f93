/* mime_preview_private.h: the first words of a message (RFC 8970). */
#ifndef MAIL_MIME_PREVIEW_PRIVATE_H
#define MAIL_MIME_PREVIEW_PRIVATE_H

#include <stddef.h>

struct mime_tree;

/* How many characters, how many bytes these can be, and how much of a part's content is looked
 * through for them: HTML has its styles first. */
enum {
    MIME_PREVIEW_CHARACTERS = 200,
    MIME_PREVIEW_MAX_BYTES = 4 * MIME_PREVIEW_CHARACTERS,
    MIME_PREVIEW_LOOK_BYTES = 64 * 1024,
};

/* Writes the text of the first text part that says something, white space folded to single spaces;
 * tags, styles and scripts of HTML left out. Returns its length in bytes. */
size_t mime_preview(const struct mime_tree *tree, char to[MIME_PREVIEW_MAX_BYTES]);

#endif

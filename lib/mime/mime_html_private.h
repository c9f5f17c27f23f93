/* mime_html_private.h: what a reader sees of HTML, without building a document. */
#ifndef MAIL_MIME_HTML_PRIVATE_H
#define MAIL_MIME_HTML_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

/* Longer names of elements and references are not among those that mean something here. */
enum { MIME_HTML_NAME_MAX_BYTES = 10 };

enum mime_html_state { MIME_HTML_TEXT, MIME_HTML_TAG, MIME_HTML_QUOTED, MIME_HTML_COMMENT };

struct mime_html {
    uint8_t state;     /* enum mime_html_state */
    char quote;        /* what closes a quoted attribute */
    bool name_done;
    unsigned dashes;   /* in a comment: "-" right before this */
    size_t name_len;   /* of the tag that we are in, with "/" in front of an end tag */
    char name[MIME_HTML_NAME_MAX_BYTES];
    const char *hidden; /* the element whose content is not shown, or NULL */
};

/* Called with runs of text, and with a space where an element stands that separates words. Says
 * true when no more is needed. */
typedef bool mime_html_take(void *holder, struct span text);

void mime_html_init(struct mime_html *html);

/* Goes through a piece of the document; it may be cut anywhere. True: no more is needed. Character
 * references are left as they are. */
bool mime_html_feed(struct mime_html *html, struct span piece, mime_html_take *take, void *holder);

#endif

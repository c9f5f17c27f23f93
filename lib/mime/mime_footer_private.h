/* mime_footer_private.h: a part with a footer, between its two files. */
#ifndef MAIL_MIME_FOOTER_PRIVATE_H
#define MAIL_MIME_FOOTER_PRIVATE_H

#include "err.h"
#include "mime_footer.h"
#include "mime_out_private.h"
#include "mime_tree_private.h"

struct footer_edit {
    const struct mime_node *node;
    struct mime_out body;      /* the new content, encoded; the receiver's to free */
    bool to_utf8, to_qp;       /* what the header is to say from now on */
};

/* Makes the new content of a text. `*changed` false: it stays as it is. ERR_NOMEM. */
MUST_USE struct err footer_edit_make(const struct mime_tree *tree, const struct mime_node *node,
                                     const struct mime_footer *footer, struct footer_edit *edit,
                                     bool *changed);

#endif

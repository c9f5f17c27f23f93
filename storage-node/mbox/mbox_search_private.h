/* mbox_search_private.h: the tree made ready (mbox_search_tree.c), and one message put to it. */
#ifndef MAIL_MBOX_SEARCH_PRIVATE_H
#define MAIL_MBOX_SEARCH_PRIVATE_H

#include "mbox_index.h"
#include "mbox_pattern.h"
#include "mbox_read_private.h"
#include "mbox_search.h"
#include "store_msg.h"

/* What a key must read. In order of cost. */
enum mbox_search_cost { COST_INDEX, COST_MESSAGE, COST_FACTS, COST_CONTENT };

struct mbox_search_node {
    enum store_search_op op;
    enum mbox_search_cost cost; /* of its dearest part */
    uint64_t number;            /* KEYWORD: the bit, 0 when the mailbox has no such keyword */
    struct span name, text;     /* UIDS: checked */
    struct mbox_pattern pattern;
    size_t range;               /* UIDS: how far the walk has come */
    struct mbox_search_node **children; /* the cheap ones first */
    size_t children_count;
};

/* Several keys side by side are an AND. Patterns and nodes lie in `arena`. */
struct err mbox_search_tree(const struct store_search_request *request,
                            const struct mbox_mailbox *mailbox, struct arena *arena,
                            struct mbox_search_node **ret);

#endif

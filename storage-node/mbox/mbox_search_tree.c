#include "mail_flags.h"
#include "mbox_search_private.h"

struct builder {
    const struct store_search_request *request;
    const struct mbox_mailbox *mailbox;
    struct arena *arena;
    size_t at; /* the key that is next */
};

static struct err build(struct builder *builder, unsigned depth, struct mbox_search_node **ret);

static enum mbox_search_cost own_cost(enum store_search_op op)
{
    switch (op) {
    case STORE_SEARCH_LARGER: case STORE_SEARCH_SMALLER: case STORE_SEARCH_BEFORE:
    case STORE_SEARCH_ON: case STORE_SEARCH_SINCE: case STORE_SEARCH_SAVED_BEFORE:
    case STORE_SEARCH_SAVED_ON: case STORE_SEARCH_SAVED_SINCE: case STORE_SEARCH_OLDER:
    case STORE_SEARCH_YOUNGER: case STORE_SEARCH_EMAIL_ID: case STORE_SEARCH_THREAD_ID:
        return COST_MESSAGE;
    case STORE_SEARCH_SENT_BEFORE: case STORE_SEARCH_SENT_ON: case STORE_SEARCH_SENT_SINCE:
    case STORE_SEARCH_HEADER:
        return COST_FACTS;
    case STORE_SEARCH_BODY: case STORE_SEARCH_TEXT:
        return COST_CONTENT;
    case STORE_SEARCH_AND: case STORE_SEARCH_OR: case STORE_SEARCH_NOT: case STORE_SEARCH_ALL:
    case STORE_SEARCH_UIDS: case STORE_SEARCH_FLAGS_SET: case STORE_SEARCH_KEYWORD:
    case STORE_SEARCH_RECENT: case STORE_SEARCH_MODSEQ:
        break;
    }
    return COST_INDEX;
}

static uint64_t keyword_bit(const struct mbox_mailbox *mailbox, struct span word)
{
    for (unsigned i = 0; i < mailbox->keywords_count; i++)
        if (span_eq_nocase(mailbox->keywords[i], word)) return 1ull << (MAIL_KEYWORD_BIT_FIRST + i);
    return 0;
}

/* The children of a key that has them, cheap ones in front (in their order among equals). */
static struct err add_children(struct builder *builder, struct mbox_search_node *node,
                               size_t count, unsigned depth)
{
    if (count > builder->request->keys_count - builder->at)
        return err_make(ERR_SYNTAX, "search tree");
    node->children = arena_alloc(builder->arena, count * sizeof(struct mbox_search_node *) + 1);
    if (node->children == NULL) return err_make(ERR_NOMEM, "search");
    for (size_t i = 0; i < count; i++) {
        struct mbox_search_node *child = NULL;
        TRY(build(builder, depth + 1, &child));
        size_t at = node->children_count++;
        for (; at > 0 && node->children[at - 1]->cost > child->cost; at--)
            node->children[at] = node->children[at - 1];
        node->children[at] = child;
        if (child->cost > node->cost) node->cost = child->cost;
    }
    return err_ok();
}

static struct err fill(struct builder *builder, const struct store_search_key *key,
                       struct mbox_search_node *node, unsigned depth)
{
    switch (node->op) {
    case STORE_SEARCH_AND: return add_children(builder, node, key->count, depth);
    case STORE_SEARCH_OR: return add_children(builder, node, 2, depth);
    case STORE_SEARCH_NOT: return add_children(builder, node, 1, depth);
    case STORE_SEARCH_UIDS: return mbox_uids_check(key->text);
    case STORE_SEARCH_KEYWORD:
        node->number = keyword_bit(builder->mailbox, key->text);
        return err_ok();
    case STORE_SEARCH_HEADER: case STORE_SEARCH_BODY: case STORE_SEARCH_TEXT:
        return mbox_pattern_make(key->text, builder->arena, &node->pattern);
    case STORE_SEARCH_ALL: case STORE_SEARCH_FLAGS_SET: case STORE_SEARCH_RECENT:
    case STORE_SEARCH_LARGER: case STORE_SEARCH_SMALLER: case STORE_SEARCH_BEFORE:
    case STORE_SEARCH_ON: case STORE_SEARCH_SINCE: case STORE_SEARCH_SENT_BEFORE:
    case STORE_SEARCH_SENT_ON: case STORE_SEARCH_SENT_SINCE: case STORE_SEARCH_MODSEQ:
    case STORE_SEARCH_SAVED_BEFORE: case STORE_SEARCH_SAVED_ON: case STORE_SEARCH_SAVED_SINCE:
    case STORE_SEARCH_OLDER: case STORE_SEARCH_YOUNGER: case STORE_SEARCH_EMAIL_ID:
    case STORE_SEARCH_THREAD_ID:
        break;
    }
    return err_ok();
}

static struct err build(struct builder *builder, unsigned depth, struct mbox_search_node **ret)
{
    if (depth > MBOX_SEARCH_DEPTH_MAX) return err_make(ERR_TOO_BIG, "depth of a search");
    if (builder->at == builder->request->keys_count) return err_make(ERR_SYNTAX, "search tree");
    const struct store_search_key *key = &builder->request->keys[builder->at++];
    if (key->op > STORE_SEARCH_THREAD_ID) return err_make(ERR_SYNTAX, "search key");
    struct mbox_search_node *node = arena_alloc(builder->arena, sizeof(*node));
    if (node == NULL) return err_make(ERR_NOMEM, "search");
    node->op = (enum store_search_op)key->op;
    node->cost = own_cost(node->op);
    node->number = key->number;
    node->name = key->name;
    node->text = key->text;
    *ret = node;
    return fill(builder, key, node, depth);
}

struct err mbox_search_tree(const struct store_search_request *request,
                            const struct mbox_mailbox *mailbox, struct arena *arena,
                            struct mbox_search_node **ret)
{
    struct builder builder = { request, mailbox, arena, 0 };
    if (request->keys_count > MBOX_SEARCH_KEYS_MAX) return err_make(ERR_TOO_BIG, "search");
    struct mbox_search_node *root = arena_alloc(arena, sizeof(*root));
    if (root == NULL) return err_make(ERR_NOMEM, "search");
    root->op = STORE_SEARCH_AND;
    size_t bytes = request->keys_count * sizeof(struct mbox_search_node *);
    root->children = arena_alloc(arena, bytes + 1);
    if (root->children == NULL) return err_make(ERR_NOMEM, "search");
    while (builder.at < request->keys_count) {
        struct mbox_search_node *child = NULL;
        TRY(build(&builder, 1, &child));
        size_t at = root->children_count++;
        for (; at > 0 && root->children[at - 1]->cost > child->cost; at--)
            root->children[at] = root->children[at - 1];
        root->children[at] = child;
    }
    *ret = root;
    return err_ok();
}

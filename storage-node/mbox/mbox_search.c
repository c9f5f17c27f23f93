#include "mbox_search.h"

#include "facts.h"
#include "mbox_search_private.h"

enum { DAY_MS = 24 * 3600 * 1000, DECODE_MAX_BYTES = 256 * 1024 };

/* The message that is looked at. Rows are read when a key first asks for them. */
struct search {
    struct kv_reader *rows;
    struct kv_owner owner;
    uint32_t mailbox;
    const struct mbox_searcher *searcher;
    struct mbox_view view;
    uint32_t place;
    enum mbox_search_cost have; /* what is read of this message */
    bool gone;                  /* it was expunged meanwhile */
    struct kv_iter *messages, *facts_rows;
    struct mbox_message message;
    struct span facts_row;
    struct facts facts;
    struct arena scratch; /* cleared for each message */
};

static struct err read_message(struct search *search)
{
    struct kv_key key;
    bool found;
    if (search->messages == NULL)
        TRY(mbox_iter_of(search->rows, &search->owner, KV_MESSAGE, &search->messages));
    kv_key_begin(&key, &search->owner, KV_MESSAGE);
    kv_key_u32(&key, search->mailbox);
    kv_key_u32(&key, search->view.uids[search->place]);
    TRY(mbox_find_near(search->messages, &key, &found));
    search->gone = !found;
    if (search->gone) return err_ok();
    return mbox_message_read(search->messages->calls->value(search->messages), &search->message);
}

static struct err read_facts(struct search *search)
{
    struct kv_key key;
    bool found;
    if (search->facts_rows == NULL)
        TRY(mbox_iter_of(search->rows, &search->owner, KV_FACTS, &search->facts_rows));
    kv_key_begin(&key, &search->owner, KV_FACTS);
    kv_key_u64(&key, search->message.email);
    TRY(mbox_find_near(search->facts_rows, &key, &found));
    search->gone = !found;
    if (search->gone) return err_ok();
    search->facts_row = search->facts_rows->calls->value(search->facts_rows);
    return facts_read(search->facts_row, &search->facts);
}

/* Reads what a key of that cost needs. */
static struct err need(struct search *search, enum mbox_search_cost cost)
{
    if (search->have < COST_MESSAGE && cost >= COST_MESSAGE) TRY(read_message(search));
    if (!search->gone && search->have < COST_FACTS && cost >= COST_FACTS) TRY(read_facts(search));
    if (cost > search->have) search->have = cost;
    return err_ok();
}

/* ---- text */

struct match {
    struct mbox_search_sink sink; /* first: `take` comes with a pointer to it */
    const struct mbox_pattern *pattern;
    bool found;
};

static bool take(struct mbox_search_sink *sink, struct span text)
{
    struct match *match = (struct match *)sink;
    match->found = mbox_pattern_in(match->pattern, text, false);
    return match->found;
}

static struct err in_content(struct search *search, const struct mbox_search_node *node,
                             enum mbox_search_part part, bool *ret)
{
    struct match match = { { take }, &node->pattern, false };
    struct mbox_search_mail mail = {
        .rows = search->rows,
        .owner = &search->owner,
        .uid = search->view.uids[search->place],
        .size = search->message.size,
        .stored_bytes = search->message.stored_bytes,
        .email = search->message.email,
        .facts = search->facts_row,
    };
    struct err err = search->searcher->calls->content(search->searcher->holder, &mail, part,
                                                      node->name, &match.sink);
    if (err.code != ERR_NOT_FOUND) TRY(err);
    *ret = match.found;
    return err_ok();
}

/* One field's value, as received. */
static struct err in_value(struct search *search, const struct mbox_search_node *node,
                           struct span value, bool *ret)
{
    struct span decoded;
    if (node->pattern.folded.len == 0 || memmem(value.ptr, value.len, "=?", 2) == NULL) {
        *ret = mbox_pattern_in(&node->pattern, value, true);
        return err_ok();
    }
    TRY(search->searcher->calls->decode(search->searcher->holder, value, &search->scratch,
                                        &decoded));
    *ret = mbox_pattern_in(&node->pattern, decoded, true);
    return err_ok();
}

static struct err in_header(struct search *search, const struct mbox_search_node *node, bool *ret)
{
    struct span rest = search->facts.fields, value;
    bool is_cut = (search->facts.flags & FACTS_FIELDS_CUT) != 0;
    if (is_cut || !facts_field_is_kept(node->name))
        return in_content(search, node, MBOX_SEARCH_FIELD, ret);
    *ret = false;
    while (!*ret && mbox_field_next(&rest, node->name, &value))
        TRY(in_value(search, node, value, ret));
    return err_ok();
}

static struct err in_text(struct search *search, const struct mbox_search_node *node, bool *ret)
{
    TRY(in_content(search, node, MBOX_SEARCH_HEADER, ret));
    return *ret ? err_ok() : in_content(search, node, MBOX_SEARCH_BODY, ret);
}

/* ---- keys */

static int64_t day_of(int64_t time_ms)
{
    int64_t day = time_ms / DAY_MS;
    return time_ms % DAY_MS < 0 ? day - 1 : day;
}

static bool compare_day(enum store_search_op op, int64_t time_ms, uint64_t number)
{
    int64_t day = day_of(time_ms), wanted = number > INT32_MAX ? INT32_MAX : (int64_t)number;
    if (op == STORE_SEARCH_BEFORE || op == STORE_SEARCH_SENT_BEFORE ||
        op == STORE_SEARCH_SAVED_BEFORE)
        return day < wanted;
    if (op == STORE_SEARCH_ON || op == STORE_SEARCH_SENT_ON || op == STORE_SEARCH_SAVED_ON)
        return day == wanted;
    return day >= wanted;
}

static struct err eval(struct search *search, struct mbox_search_node *node, bool *ret);

/* AND and OR end at the first child that decides. */
static struct err eval_all(struct search *search, struct mbox_search_node *node, bool decides,
                           bool *ret)
{
    *ret = !decides;
    for (size_t i = 0; i < node->children_count; i++) {
        TRY(eval(search, node->children[i], ret));
        if (*ret == decides) break;
    }
    return err_ok();
}

/* What the MESSAGE row answers. */
static bool eval_message(const struct mbox_message *message, const struct mbox_search_node *node)
{
    uint64_t seconds = message->internaldate_ms / 1000;
    if (node->op == STORE_SEARCH_LARGER) return message->size > node->number;
    if (node->op == STORE_SEARCH_SMALLER) return message->size < node->number;
    if (node->op == STORE_SEARCH_OLDER) return seconds <= node->number;
    if (node->op == STORE_SEARCH_YOUNGER) return seconds >= node->number;
    if (node->op == STORE_SEARCH_EMAIL_ID) return message->email == node->number;
    if (node->op == STORE_SEARCH_THREAD_ID)
        return message->thread != 0 && message->thread == node->number;
    bool saved = node->op == STORE_SEARCH_SAVED_BEFORE || node->op == STORE_SEARCH_SAVED_ON ||
                 node->op == STORE_SEARCH_SAVED_SINCE;
    uint64_t time_ms = saved ? message->savedate_ms : message->internaldate_ms;
    return compare_day(node->op, (int64_t)time_ms, node->number);
}

static struct err eval_row(struct search *search, const struct mbox_search_node *node, bool *ret)
{
    TRY(need(search, node->cost));
    *ret = false;
    if (search->gone) return err_ok();
    if (node->cost == COST_MESSAGE) *ret = eval_message(&search->message, node);
    else if (node->op == STORE_SEARCH_HEADER) return in_header(search, node, ret);
    else if (node->op == STORE_SEARCH_BODY)
        return in_content(search, node, MBOX_SEARCH_BODY, ret);
    else if (node->op == STORE_SEARCH_TEXT) return in_text(search, node, ret);
    else
        *ret = search->facts.date_ms != INT64_MIN &&
               compare_day(node->op, search->facts.date_ms, node->number);
    return err_ok();
}

static struct err eval(struct search *search, struct mbox_search_node *node, bool *ret)
{
    uint64_t flags = search->view.flags[search->place];
    uint32_t uid = search->view.uids[search->place];
    switch (node->op) {
    case STORE_SEARCH_AND: return eval_all(search, node, false, ret);
    case STORE_SEARCH_OR: return eval_all(search, node, true, ret);
    case STORE_SEARCH_NOT:
        TRY(eval(search, node->children[0], ret));
        *ret = !*ret;
        return err_ok();
    case STORE_SEARCH_ALL: *ret = true; return err_ok();
    case STORE_SEARCH_UIDS: *ret = uid_set_walk(node->text, &node->range, uid); return err_ok();
    case STORE_SEARCH_FLAGS_SET: *ret = (flags & node->number) == node->number; return err_ok();
    case STORE_SEARCH_KEYWORD: *ret = (flags & node->number) != 0; return err_ok();
    case STORE_SEARCH_RECENT: *ret = uid >= node->number; return err_ok();
    case STORE_SEARCH_MODSEQ:
        *ret = search->view.modseqs[search->place] >= node->number;
        return err_ok();
    case STORE_SEARCH_LARGER: case STORE_SEARCH_SMALLER: case STORE_SEARCH_BEFORE:
    case STORE_SEARCH_ON: case STORE_SEARCH_SINCE: case STORE_SEARCH_SENT_BEFORE:
    case STORE_SEARCH_SENT_ON: case STORE_SEARCH_SENT_SINCE: case STORE_SEARCH_HEADER:
    case STORE_SEARCH_BODY: case STORE_SEARCH_TEXT: case STORE_SEARCH_SAVED_BEFORE:
    case STORE_SEARCH_SAVED_ON: case STORE_SEARCH_SAVED_SINCE: case STORE_SEARCH_OLDER:
    case STORE_SEARCH_YOUNGER: case STORE_SEARCH_EMAIL_ID: case STORE_SEARCH_THREAD_ID:
        return eval_row(search, node, ret);
    }
    *ret = false;
    return err_ok();
}

/* ---- the whole */

static struct err search_all(struct search *search, struct mbox_search_node *root,
                             struct uid_set *matches, struct store_search_reply *reply)
{
    for (search->place = 0; search->place < search->view.places; search->place++) {
        uint64_t modseq = search->view.modseqs[search->place];
        bool match = false;
        if (modseq == 0) continue;
        search->have = COST_INDEX;
        search->gone = false;
        if (search->scratch.used_bytes > 0) arena_clear(&search->scratch);
        TRY(eval(search, root, &match));
        if (!match || search->gone) continue;
        uint32_t uid = search->view.uids[search->place];
        TRY(uid_set_add(matches, uid, uid));
        reply->count++;
        if (modseq > reply->modseq_max) reply->modseq_max = modseq;
    }
    reply->highestmodseq = search->view.highestmodseq;
    return err_ok();
}

static struct err search_mailbox(struct search *search, struct mbox_index *index,
                                 const struct store_search_request *request, struct arena *arena,
                                 struct uid_set *matches, struct store_search_reply *reply)
{
    struct mbox_mailbox mailbox;
    struct mbox_search_node *root;
    TRY(mbox_read_mailbox(search->rows, &search->owner, request->mailbox, arena, &mailbox));
    TRY(mbox_search_tree(request, &mailbox, arena, &root));
    TRY(mbox_view_open(index, search->rows, &search->owner, request->mailbox, &search->view));
    struct err err = search_all(search, root, matches, reply);
    mbox_view_close(&search->view);
    if (search->messages != NULL) search->messages->calls->free(search->messages);
    if (search->facts_rows != NULL) search->facts_rows->calls->free(search->facts_rows);
    arena_clear(&search->scratch);
    return err;
}

struct err mbox_search(const struct mbox_context *context, struct mbox_index *index,
                       const struct store_search_request *request,
                       const struct mbox_searcher *searcher, struct uid_set *matches,
                       struct store_search_reply *reply)
{
    struct search search = { .rows = context->rows, .mailbox = request->mailbox,
                             .searcher = searcher };
    struct arena arena;
    *reply = (struct store_search_reply){ 0 };
    TRY(mbox_read_owner(context, request->tenant, request->account, &search.owner));
    arena_init(&arena, MBOX_ARENA_MAX_BYTES);
    arena_init(&search.scratch, DECODE_MAX_BYTES);
    struct err err = search_mailbox(&search, index, request, &arena, matches, reply);
    arena_clear(&arena);
    return err;
}

/* THREAD (RFC 5256): ORDEREDSUBJECT, and steps 2 to 6 of REFERENCES.
 *
 * Only parents are kept while threads are made; the lists of children come last, in order of date,
 * out of one list of all messages in that order. */
#include <stdlib.h>

#include "mbox_threads_private.h"

/* Nodes in order of sent date, then of UID. */
struct order {
    uint32_t *nodes;
    size_t count;
};

static struct err threads_count(void *holder, size_t messages)
{
    struct threading *threading = holder;
    threading->messages = messages;
    return err_ok();
}

static struct err threads_take(void *holder, const struct mbox_sort_mail *mail)
{
    struct threading *threading = holder;
    uint32_t at = THREAD_NONE;
    struct span subject = SPAN("");
    bool is_reply = false;
    TRY(mbox_sort_subject(mail, &subject, &is_reply));
    if (threading->references) TRY(mbox_thread_link(threading, mail, &at));
    else TRY(mbox_thread_node(threading, &at));
    struct thread_node *node = &threading->nodes[at];
    node->uid = mail->uid;
    node->date_ms = mail->date_ms;
    node->is_reply = is_reply;
    node->has_subject = subject.len > 0;
    node->subject = mbox_thread_hash(subject);
    return err_ok();
}

/* ---- order of date; a dummy's is that of its first child */

static const struct thread_node *dated(const struct thread_node *nodes, uint32_t at)
{
    return nodes[at].uid == 0 && nodes[at].first != THREAD_NONE ? &nodes[nodes[at].first]
                                                                : &nodes[at];
}

static int compare_dates(const void *a, const void *b, void *holder)
{
    const struct thread_node *nodes = holder;
    const struct thread_node *left = dated(nodes, *(const uint32_t *)a);
    const struct thread_node *right = dated(nodes, *(const uint32_t *)b);
    if (left->date_ms != right->date_ms) return left->date_ms < right->date_ms ? -1 : 1;
    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

static void sort_nodes(const struct threading *threading, struct order *order)
{
    qsort_r(order->nodes, order->count, sizeof(order->nodes[0]), compare_dates, threading->nodes);
}

/* ---- parents */

/* Step 3: the nearest node above that is a message, or at the root. What lies between are dummies,
 * which are led there too, so that nobody walks this way again. */
static void settle_parent(struct thread_node *nodes, uint32_t node)
{
    uint32_t top = nodes[node].parent;
    while (top != THREAD_NONE && nodes[top].uid == 0 && nodes[top].parent != THREAD_NONE) {
        top = nodes[top].parent;
    }
    for (uint32_t at = node; top != THREAD_NONE && nodes[at].parent != top;) {
        uint32_t next = nodes[at].parent;
        nodes[at].parent = top;
        at = next;
    }
}

/* Makes the lists of children, sorted: from the last message on, each to the front. */
static void list_children(struct threading *threading, const struct order *order)
{
    struct thread_node *nodes = threading->nodes;
    for (size_t i = 0; i < order->count; i++) settle_parent(nodes, order->nodes[i]);
    for (size_t i = 0; i < threading->count; i++) {
        nodes[i].first = nodes[i].next = THREAD_NONE;
        nodes[i].children = 0;
    }
    for (size_t i = order->count; i-- > 0;) {
        uint32_t at = order->nodes[i], parent = nodes[at].parent;
        if (parent == THREAD_NONE) continue;
        nodes[at].next = nodes[parent].first;
        nodes[parent].first = at;
        nodes[parent].children++;
    }
}

/* The rest of step 3: an only child of a dummy at the root takes its place. */
static void promote_only_children(struct threading *threading)
{
    struct thread_node *nodes = threading->nodes;
    for (size_t i = 0; i < threading->count; i++) {
        if (nodes[i].uid != 0 || nodes[i].children != 1) continue;
        nodes[nodes[i].first].parent = THREAD_NONE;
        nodes[i].children = 0;
    }
}

/* Steps 2 and 4: what stands at the root, in order. */
static void list_roots(const struct threading *threading, struct order *roots)
{
    const struct thread_node *nodes = threading->nodes;
    roots->count = 0;
    for (uint32_t i = 0; i < threading->count; i++) {
        bool stays = nodes[i].uid != 0 || nodes[i].children > 0;
        if (nodes[i].parent == THREAD_NONE && stays) roots->nodes[roots->count++] = i;
    }
    sort_nodes(threading, roots);
}

/* ---- step 5: threads of one subject */

static struct err subject_slot(const struct threading *threading, struct thread_table *subjects,
                               uint32_t root, struct thread_slot **ret)
{
    *ret = NULL;
    const struct thread_node *node = dated(threading->nodes, root);
    return node->has_subject ? mbox_thread_slot(subjects, node->subject, ret) : err_ok();
}

/* 5.B */
static struct err note_subjects(const struct threading *threading, const struct order *roots,
                                struct thread_table *subjects)
{
    const struct thread_node *nodes = threading->nodes;
    for (size_t i = 0; i < roots->count; i++) {
        uint32_t root = roots->nodes[i];
        struct thread_slot *slot;
        TRY(subject_slot(threading, subjects, root, &slot));
        if (slot == NULL) continue;
        if (slot->node == THREAD_NONE) {
            slot->node = root;
            subjects->count++;
            continue;
        }
        const struct thread_node *there = &nodes[slot->node];
        bool better = nodes[root].uid == 0 || (there->is_reply && !nodes[root].is_reply);
        if (there->uid != 0 && better) slot->node = root;
    }
    return err_ok();
}

/* 5.C for one that is not the one in the table. */
static struct err merge(struct threading *threading, uint32_t root, struct thread_slot *slot)
{
    struct thread_node *nodes = threading->nodes;
    const struct thread_node *there = &nodes[slot->node];
    /* A dummy led to another one gives it its children when parents are settled. */
    if (there->uid == 0 || (nodes[root].is_reply && !there->is_reply)) {
        nodes[root].parent = slot->node;
        return err_ok();
    }
    uint32_t dummy = THREAD_NONE;
    TRY(mbox_thread_node(threading, &dummy));
    threading->nodes[root].parent = threading->nodes[slot->node].parent = dummy;
    slot->node = dummy;
    return err_ok();
}

static struct err merge_subjects(struct threading *threading, const struct order *roots,
                                 struct thread_table *subjects)
{
    for (size_t i = 0; i < roots->count; i++) {
        struct thread_slot *slot;
        TRY(subject_slot(threading, subjects, roots->nodes[i], &slot));
        if (slot != NULL && slot->node != roots->nodes[i]) {
            TRY(merge(threading, roots->nodes[i], slot));
        }
    }
    return err_ok();
}

static struct err gather_subjects(struct threading *threading, const struct order *roots)
{
    struct thread_table subjects = { NULL, 0, 0 };
    struct err err = note_subjects(threading, roots, &subjects);
    if (err.code == ERR_OK) err = merge_subjects(threading, roots, &subjects);
    free(subjects.slots);
    return err;
}

/* ORDEREDSUBJECT: the first message of a subject is the parent of the others. */
static struct err order_subjects(struct threading *threading, const struct order *order)
{
    struct thread_table subjects = { NULL, 0, 0 };
    struct err err = err_ok();
    for (size_t i = 0; err.code == ERR_OK && i < order->count; i++) {
        uint32_t at = order->nodes[i];
        struct thread_slot *slot;
        err = mbox_thread_slot(&subjects, threading->nodes[at].subject, &slot);
        if (err.code != ERR_OK) break;
        if (slot->node != THREAD_NONE) {
            threading->nodes[at].parent = slot->node;
            continue;
        }
        slot->node = at;
        subjects.count++;
    }
    free(subjects.slots);
    return err;
}

/* ---- the answer */

struct writer {
    const struct thread_node *nodes;
    struct mbox_order *out;
    uint32_t *stack; /* children of lists that are open: those to come */
    size_t depth;
};

static void put(struct writer *writer, uint32_t number)
{
    writer->out->numbers[writer->out->count++] = number;
}

/* Writes a chain of only children up to where it ends or splits; then the first one of those. */
static uint32_t write_chain(struct writer *writer, uint32_t at)
{
    const struct thread_node *nodes = writer->nodes;
    put(writer, MBOX_THREAD_OPEN);
    for (;;) {
        if (nodes[at].uid != 0) put(writer, nodes[at].uid);
        if (nodes[at].children != 1) return nodes[at].first;
        at = nodes[at].first;
    }
}

static void write_thread(struct writer *writer, uint32_t root)
{
    uint32_t at = root;
    for (;;) {
        uint32_t first = write_chain(writer, at);
        if (first != THREAD_NONE) {
            writer->stack[writer->depth++] = writer->nodes[first].next;
            at = first;
            continue;
        }
        put(writer, MBOX_THREAD_CLOSE);
        while (writer->depth > 0 && writer->stack[writer->depth - 1] == THREAD_NONE) {
            writer->depth--;
            put(writer, MBOX_THREAD_CLOSE);
        }
        if (writer->depth == 0) return;
        at = writer->stack[writer->depth - 1];
        writer->stack[writer->depth - 1] = writer->nodes[at].next;
    }
}

/* A list is opened for each root and for each child of those that split: there are at most half as
 * many dummies as messages, and each node begins one list at most. */
static struct err write_threads(const struct threading *threading, const struct order *roots,
                                struct mbox_order *ret)
{
    size_t numbers = 4 * threading->count + 1;
    struct mbox_order out = { malloc(numbers * sizeof(uint32_t)), 0 };
    struct writer writer = { threading->nodes, &out,
                             malloc((threading->count + 1) * sizeof(uint32_t)), 0 };
    if (out.numbers == NULL || writer.stack == NULL) {
        free(out.numbers);
        free(writer.stack);
        return err_make(ERR_NOMEM, "threads");
    }
    for (size_t i = 0; i < roots->count; i++) write_thread(&writer, roots->nodes[i]);
    free(writer.stack);
    *ret = out;
    return err_ok();
}

/* ---- the whole */

static struct err make_threads(struct threading *threading, struct order *order,
                               struct order *roots, struct mbox_order *ret)
{
    for (uint32_t i = 0; i < threading->count; i++) {
        if (threading->nodes[i].uid != 0) order->nodes[order->count++] = i;
    }
    sort_nodes(threading, order);
    if (threading->references) {
        list_children(threading, order);
        promote_only_children(threading);
        list_roots(threading, roots);
        TRY(gather_subjects(threading, roots));
    } else {
        TRY(order_subjects(threading, order));
    }
    list_children(threading, order);
    list_roots(threading, roots);
    return write_threads(threading, roots, ret);
}

struct err mbox_threads(const struct mbox_context *context, struct mbox_index *index,
                        const struct store_thread_request *request,
                        const struct mbox_searcher *searcher, struct mbox_order *ret,
                        struct store_search_reply *reply)
{
    struct threading threading = { .references = request->algorithm == STORE_THREAD_REFERENCES };
    struct mbox_sort_walk walk = { context, index, searcher, request->uid_below, true };
    struct mbox_sort_user user = { &threading, threads_count, threads_take };
    struct store_search_request search = { request->tenant, request->account, request->mailbox,
                                           request->keys, request->keys_count };
    if (request->algorithm != STORE_THREAD_ORDEREDSUBJECT && !threading.references)
        return err_make(ERR_SYNTAX, "threading algorithm");
    struct err err = mbox_sort_each(&walk, &search, &user, reply);
    /* Dummies made for subjects come to at most half the messages. */
    size_t room = threading.count + threading.messages / 2 + 1;
    struct order order = { malloc(room * sizeof(uint32_t)), 0 };
    struct order roots = { malloc(room * sizeof(uint32_t)), 0 };
    if (order.nodes == NULL || roots.nodes == NULL) err = err_make(ERR_NOMEM, "threads");
    if (err.code == ERR_OK) err = make_threads(&threading, &order, &roots, ret);
    free(order.nodes);
    free(roots.nodes);
    free(threading.nodes);
    free(threading.ids.slots);
    return err;
}

/* REFERENCES (RFC 5256 section 3), step 1: parents by message identifiers. */
#include <stdlib.h>

#include "hash.h"
#include "mbox_threads_private.h"
#include "message_id.h"

enum { TABLE_FIRST = 256, NODES_FIRST = 256 };

struct thread_hash mbox_thread_hash(struct span text)
{
    static const uint64_t keys[2][2] = { { 0x20746977646f6721, 0x3161646572687421 },
                                         { 0x20746977646f6722, 0x3261646572687422 } };
    return (struct thread_hash){ { hash_sip(keys[0], text), hash_sip(keys[1], text) } };
}

static struct thread_slot *find_slot(const struct thread_table *table, struct thread_hash hash)
{
    size_t at = (size_t)hash.words[0] & (table->size - 1);
    for (;; at = (at + 1) & (table->size - 1)) {
        struct thread_slot *slot = &table->slots[at];
        bool same = slot->hash.words[0] == hash.words[0] && slot->hash.words[1] == hash.words[1];
        if (slot->node == THREAD_NONE || same) return slot;
    }
}

static struct err grow(struct thread_table *table)
{
    struct thread_table larger = { .size = table->size == 0 ? TABLE_FIRST : 2 * table->size };
    larger.slots = malloc(larger.size * sizeof(*larger.slots));
    if (larger.slots == NULL) return err_make(ERR_NOMEM, "threads");
    for (size_t i = 0; i < larger.size; i++) larger.slots[i].node = THREAD_NONE;
    for (size_t i = 0; i < table->size; i++) {
        if (table->slots[i].node == THREAD_NONE) continue;
        *find_slot(&larger, table->slots[i].hash) = table->slots[i];
    }
    larger.count = table->count;
    free(table->slots);
    *table = larger;
    return err_ok();
}

struct err mbox_thread_slot(struct thread_table *table, struct thread_hash hash,
                            struct thread_slot **ret)
{
    if (table->count > MBOX_THREAD_NODES_MAX) return err_make(ERR_TOO_BIG, "threads");
    if (2 * table->count >= table->size) TRY(grow(table));
    *ret = find_slot(table, hash);
    (*ret)->hash = hash;
    return err_ok();
}

struct err mbox_thread_node(struct threading *threading, uint32_t *ret)
{
    if (threading->count == MBOX_THREAD_NODES_MAX) return err_make(ERR_TOO_BIG, "threads");
    if (threading->count == threading->size) {
        size_t size = threading->size == 0 ? NODES_FIRST : 2 * threading->size;
        struct thread_node *nodes = realloc(threading->nodes, size * sizeof(*nodes));
        if (nodes == NULL) return err_make(ERR_NOMEM, "threads");
        threading->nodes = nodes;
        threading->size = size;
    }
    *ret = (uint32_t)threading->count++;
    threading->nodes[*ret] = (struct thread_node){ .parent = THREAD_NONE, .first = THREAD_NONE,
                                                   .next = THREAD_NONE };
    return err_ok();
}

/* The node that a reference names, made when nobody has named it yet. */
static struct err node_of(struct threading *threading, struct span id, uint32_t *ret)
{
    struct thread_slot *slot;
    TRY(mbox_thread_slot(&threading->ids, mbox_thread_hash(id), &slot));
    if (slot->node == THREAD_NONE) {
        TRY(mbox_thread_node(threading, &slot->node));
        threading->ids.count++;
    }
    *ret = slot->node;
    return err_ok();
}

/* Whether `node` lies above `from`, or is it. A node without children lies above nothing. */
static struct err is_above(struct threading *threading, uint32_t node, uint32_t from, bool *ret)
{
    *ret = node == from;
    if (*ret || threading->nodes[node].children == 0) return err_ok();
    for (uint32_t at = from; at != THREAD_NONE && !*ret; at = threading->nodes[at].parent) {
        *ret = at == node;
        if (++threading->steps > MBOX_THREAD_STEPS_MAX) return err_make(ERR_TOO_BIG, "threads");
    }
    return err_ok();
}

static void unlink_node(struct threading *threading, uint32_t node)
{
    uint32_t parent = threading->nodes[node].parent;
    if (parent == THREAD_NONE) return;
    threading->nodes[parent].children--;
    threading->nodes[node].parent = THREAD_NONE;
}

static struct err link_nodes(struct threading *threading, uint32_t parent, uint32_t child)
{
    bool loop;
    TRY(is_above(threading, child, parent, &loop));
    if (loop) return err_ok();
    threading->nodes[child].parent = parent;
    threading->nodes[parent].children++;
    return err_ok();
}

/* The message's own node: that of its identifier, unless an earlier message has it. */
static struct err own_node(struct threading *threading, const struct mbox_sort_mail *mail,
                           uint32_t *ret)
{
    char store[MESSAGE_ID_MAX_BYTES];
    struct span value = mail->envelope.message_id, id;
    if (message_id_take(&value, store, &id)) {
        TRY(node_of(threading, id, ret));
        if (threading->nodes[*ret].uid == 0) return err_ok();
    }
    return mbox_thread_node(threading, ret);
}

/* 1.A: each reference is the parent of the one behind it. `*last` is the last one. */
static struct err link_references(struct threading *threading, struct span value, uint32_t *last)
{
    char store[MESSAGE_ID_MAX_BYTES];
    struct span id;
    while (message_id_take(&value, store, &id)) {
        uint32_t node = THREAD_NONE;
        TRY(node_of(threading, id, &node));
        bool links = *last != THREAD_NONE && threading->nodes[node].parent == THREAD_NONE;
        if (links) TRY(link_nodes(threading, *last, node));
        *last = node;
    }
    return err_ok();
}

struct err mbox_thread_link(struct threading *threading, const struct mbox_sort_mail *mail,
                            uint32_t *ret)
{
    struct span fields = mail->facts.fields, value, id;
    char store[MESSAGE_ID_MAX_BYTES];
    uint32_t own = THREAD_NONE, last = THREAD_NONE;
    TRY(own_node(threading, mail, &own));
    threading->nodes[own].uid = mail->uid;
    *ret = own;
    if (mbox_field_next(&fields, SPAN("References"), &value)) {
        TRY(link_references(threading, value, &last));
    }
    value = mail->envelope.in_reply_to;
    if (last == THREAD_NONE && message_id_take(&value, store, &id)) {
        TRY(node_of(threading, id, &last));
    }
    /* 1.B: what this message says itself is better than what others cut short. */
    unlink_node(threading, own);
    return last == THREAD_NONE ? err_ok() : link_nodes(threading, last, own);
}

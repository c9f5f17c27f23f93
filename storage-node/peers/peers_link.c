/* The way to another directory: queues that the shards' threads fill, calls that the loop makes. */
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "peers_private.h"
#include "replica_msg.h"

/* ---- on the shards' threads */

/* The message with its entries, as one piece of memory; NULL: there is none. */
static struct peers_note *note_make(uint32_t shard, const struct replica_message *message,
                                    const struct slog_record *entries)
{
    size_t bytes = 0, records = message->count * sizeof(*entries);
    for (unsigned i = 0; i < message->count; i++) bytes += entries[i].payload.len;
    struct peers_note *note = malloc(sizeof(*note) + records + bytes);
    if (note == NULL) return NULL;
    struct slog_record *to = (struct slog_record *)(note + 1);
    char *payload = (char *)to + records;
    note->next = NULL;
    note->bytes = bytes;
    note->note = (struct replica_note){ .shard = shard, .message = *message, .entries = to };
    for (unsigned i = 0; i < message->count; i++) {
        size_t len = entries[i].payload.len;
        if (len > 0) memcpy(payload, entries[i].payload.ptr, len);
        to[i] = entries[i];
        to[i].payload = span_of(payload, len);
        payload += len;
    }
    return note;
}

struct peers_link *peers_link_need(struct peers *peers, const struct roster_id *sid)
{
    struct span key = span_of(sid->bytes, sizeof(sid->bytes));
    struct peers_link *link = map_get(&peers->links, key);
    if (link != NULL) return link;
    link = calloc(1, sizeof(*link));
    if (link == NULL) return NULL;
    link->peers = peers;
    link->sid = *sid;
    for (unsigned i = 0; i < PEERS_LANES; i++) {
        link->queues[i].link = link;
        link->queues[i].lane = (enum peers_lane)i;
    }
    key = span_of(link->sid.bytes, sizeof(link->sid.bytes));
    if (map_put(&peers->links, key, link).code != ERR_OK) {
        free(link);
        return NULL;
    }
    list_add(&peers->all_links, &link->link);
    return link;
}

bool peers_send(struct shard_peers *base, struct shard *shard, const struct roster_id *to,
                const struct replica_message *message, const struct slog_record *entries)
{
    struct peers *peers = LIST_ITEM(base, struct peers_shard, base)->peers;
    enum peers_lane lane = message->count > 0 ? PEERS_ENTRIES : PEERS_LIGHT;
    struct peers_note *note = note_make(shard_number(shard), message, entries);
    if (note == NULL) return false;
    pthread_mutex_lock(&peers->lock);
    struct peers_link *link = peers_link_need(peers, to);
    struct peers_queue *queue = link == NULL ? NULL : &link->queues[lane];
    bool fits = queue != NULL && queue->notes < PEERS_QUEUE_NOTES &&
                (queue->notes == 0 || queue->bytes + note->bytes <= PEERS_QUEUE_BYTES);
    if (fits) {
        if (queue->last == NULL) queue->first = note;
        else queue->last->next = note;
        queue->last = note;
        queue->notes++;
        queue->bytes += note->bytes;
        if (!queue->under_way) peers_want_link(link);
    }
    pthread_mutex_unlock(&peers->lock);
    if (!fits) free(note);
    return fits;
}

/* ---- on the loop */

static void notes_free(struct peers_note *note)
{
    while (note != NULL) {
        struct peers_note *next = note->next;
        free(note);
        note = next;
    }
}

/* What one call holds, off the front of the queue. */
static struct peers_note *take(struct peers_queue *queue, size_t *count)
{
    struct peers *peers = queue->link->peers;
    size_t bytes = 0, entries = 0;
    struct peers_note *last = NULL;
    *count = 0;
    pthread_mutex_lock(&peers->lock);
    struct peers_note *first = queue->first;
    for (struct peers_note *note = first; note != NULL; note = note->next) {
        bool full = bytes + note->bytes > PEERS_CALL_BYTES ||
                    entries + note->note.message.count > REPLICA_CALL_ENTRIES_MAX;
        if (*count > 0 && (full || *count == PEERS_CALL_NOTES)) break;
        bytes += note->bytes;
        entries += note->note.message.count;
        (*count)++;
        last = note;
    }
    if (last != NULL) {
        queue->first = last->next;
        if (queue->first == NULL) queue->last = NULL;
        last->next = NULL;
        queue->notes -= *count;
        queue->bytes -= bytes;
    }
    queue->under_way = last != NULL;
    pthread_mutex_unlock(&peers->lock);
    return last == NULL ? NULL : first;
}

/* The entries' bytes of a call, one behind the other; NULL: there are none. */
static struct err body_make(struct peers *peers, const struct replica_call *call,
                            struct body **ret)
{
    *ret = NULL;
    if (replica_wire_data(call) == 0) return err_ok();
    TRY(body_new(&peers->budget, ret));
    struct err err = err_ok();
    for (size_t i = 0; i < call->notes_count && err.code == ERR_OK; i++) {
        const struct replica_note *note = &call->notes[i];
        for (unsigned k = 0; k < note->message.count && err.code == ERR_OK; k++) {
            struct span payload = note->entries[k].payload;
            if (payload.len > 0) err = body_put(*ret, payload);
        }
    }
    if (err.code == ERR_OK) err = body_seal(*ret);
    if (err.code == ERR_OK) return err_ok();
    body_unref(*ret);
    *ret = NULL;
    return err;
}

static void on_done(void *holder, struct rpc_call *rpc, struct err err, struct span info)
{
    struct peers_queue *queue = holder;
    struct peers_link *link = queue->link;
    struct peers *peers = link->peers;
    (void)rpc;
    (void)info;
    if (err.code != ERR_OK) link->failed++;
    pthread_mutex_lock(&peers->lock);
    queue->under_way = false;
    if (queue->first != NULL) peers_want_link(link); /* on a later turn: no call within a call */
    pthread_mutex_unlock(&peers->lock);
}

static struct err call_start(struct peers_queue *queue, const struct peers_note *first,
                             size_t count)
{
    static const struct rpc_call_user user = { .done = on_done };
    struct peers_link *link = queue->link;
    struct peers *peers = link->peers;
    struct arena *arena = &peers->arena;
    struct replica_call call = { .store = peers->sid, .boot = peers->options.boot,
                                 .to = link->sid, .notes_count = count };
    struct peer_tell_request request;
    struct rpc_call_options options = { .deadline_ms = PEERS_CALL_MS };
    struct rpc_call *rpc;
    struct replica_note *notes = arena_alloc(arena, count * sizeof(*notes));
    if (notes == NULL) return err_make(ERR_NOMEM, "call to another copy");
    for (size_t i = 0; i < count; i++, first = first->next) notes[i] = first->note;
    call.notes = notes;
    TRY(replica_wire_make(&call, arena, &request));
    TRY(body_make(peers, &call, &options.body));
    struct err err = rpc_call_start(link->client, peer_method_find(PEER_METHOD_TELL), &request,
                                    &options, &user, queue, &rpc);
    body_unref(options.body);
    return err;
}

static void queue_go(struct peers_queue *queue)
{
    struct peers_link *link = queue->link;
    size_t count;
    if (queue->under_way) return;
    struct peers_note *notes = take(queue, &count);
    if (notes == NULL) return;
    struct err err = link->client == NULL ? err_make(ERR_UNREACHABLE, "directory")
                                          : call_start(queue, notes, count);
    notes_free(notes);
    arena_reset(&link->peers->arena);
    link->calls++;
    if (err.code != ERR_OK) on_done(queue, NULL, err, SPAN(""));
}

void peers_link_go(struct peers_link *link)
{
    for (unsigned i = 0; i < PEERS_LANES; i++) queue_go(&link->queues[i]);
}

void peers_know(struct peers *peers, const struct roster_live *live)
{
    for (uint32_t i = 0; i < live->stores_count; i++) {
        if (roster_id_eq(&live->stores[i], &peers->sid)) continue;
        pthread_mutex_lock(&peers->lock);
        struct peers_link *link = peers_link_need(peers, &live->stores[i]);
        pthread_mutex_unlock(&peers->lock);
        if (link == NULL || peers->stopped) continue;
        if (link->client != NULL && span_eq(span_of(link->address, strlen(link->address)),
                                            span_of(live->address, live->address_len)))
            continue;
        rpc_client_free(link->client);
        link->client = NULL;
        memcpy(link->address, live->address, live->address_len);
        link->address[live->address_len] = '\0';
        const struct rpc_client_options options = { .address = link->address,
                                                    .self = peers->options.self,
                                                    .peer_roles = RPC_ROLE_STORAGE_NODE };
        /* An address that is none, or no memory: as if it could not be reached. */
        if (rpc_client_new(peers->loop, &options, &link->client).code != ERR_OK)
            link->client = NULL;
    }
}

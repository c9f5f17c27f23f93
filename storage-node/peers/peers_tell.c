/* What other nodes' copies say: taken apart, and brought to their shards. */
#include <stdlib.h>
#include <string.h>

#include "peers_private.h"
#include "replica_msg.h"

enum { TELL_ARENA_BYTES = 16 * 1024 * 1024 };

struct tell;

struct tell_note {
    struct shard_job job;
    struct tell *tell;
    struct shard *shard;
    const struct replica_note *note;
};

/* A call that came in, until the last shard has heard its part. */
struct tell {
    _Atomic unsigned refs;
    struct arena arena;
    struct body *body; /* the entries lie in it, or ... */
    char *data;        /* ... here */
    struct replica_call call;
    struct tell_note notes[];
};

static void tell_unref(struct tell *tell)
{
    if (atomic_fetch_sub_explicit(&tell->refs, 1, memory_order_acq_rel) != 1) return;
    arena_clear(&tell->arena);
    body_unref(tell->body);
    free(tell->data);
    free(tell);
}

static void note_run(struct shard_job *job)
{
    struct tell_note *at = LIST_ITEM(job, struct tell_note, job);
    struct tell *tell = at->tell;
    struct replica_event event = { .kind = REPLICA_EVENT_MESSAGE, .from = tell->call.store,
                                   .boot = tell->call.boot, .message = &at->note->message };
    shard_copy_event(at->shard, &event, at->note->entries);
    tell_unref(tell);
}

/* All entries' bytes as one span that lives as long as `tell`. */
static struct err data_take(struct tell *tell, struct body *body, struct span *ret)
{
    *ret = SPAN("");
    if (body == NULL) return err_ok();
    if (body_size(body) > REPLICA_CALL_DATA_MAX_BYTES)
        return err_make(ERR_TOO_BIG, "entries of a call");
    if (body_whole(body, ret)) {
        tell->body = body_ref(body);
        return err_ok();
    }
    size_t size = body_size(body);
    tell->data = malloc(size + 1);
    if (tell->data == NULL) return err_make(ERR_NOMEM, "entries of a call");
    *ret = span_of(tell->data, body_copy(body, 0, tell->data, size));
    return err_ok();
}

static struct err tell_take(struct peers *peers, struct rpc_serving *serving, struct tell *tell)
{
    const struct peer_tell_request *request = rpc_serving_request(serving);
    struct span data;
    arena_init(&tell->arena, TELL_ARENA_BYTES);
    TRY(data_take(tell, rpc_serving_body(serving), &data));
    TRY(replica_wire_read(request, data, &tell->arena, &tell->call));
    if (!roster_id_eq(&tell->call.to, &peers->sid))
        return err_make(ERR_NOT_FOUND, "another data directory is meant");
    return err_ok();
}

void peers_tell(void *holder, struct rpc_serving *serving)
{
    struct peers *peers = holder;
    const struct peer_tell_request *request = rpc_serving_request(serving);
    size_t count = request->notes_count;
    struct tell *tell = NULL;
    struct err err = peers->stopped ? err_make(ERR_BUSY, "going down") : err_ok();
    if (count > REPLICA_NOTES_MAX) err = err_make(ERR_SYNTAX, "notes of a call: too many");
    if (err.code == ERR_OK) tell = calloc(1, sizeof(*tell) + count * sizeof(tell->notes[0]));
    if (err.code == ERR_OK && tell == NULL) err = err_make(ERR_NOMEM, "call of another copy");
    if (tell != NULL) {
        atomic_init(&tell->refs, 1);
        err = tell_take(peers, serving, tell);
    }
    for (size_t i = 0; err.code == ERR_OK && i < count; i++) {
        struct tell_note *at = &tell->notes[i];
        uint32_t number = tell->call.notes[i].shard;
        at->shard = number < store_node_shards(peers->options.node)
                        ? store_node_shard(peers->options.node, number) : NULL;
        if (at->shard == NULL || peers->shards[number] == NULL) continue; /* not open here yet */
        at->tell = tell;
        at->note = &tell->call.notes[i];
        at->job.run = note_run;
        atomic_fetch_add_explicit(&tell->refs, 1, memory_order_relaxed);
        /* Too much waits there: as good as lost on the way. */
        if (shard_post(at->shard, &at->job).code != ERR_OK) tell_unref(tell);
    }
    if (tell != NULL) tell_unref(tell);
    peers->told++;
    if (err.code != ERR_OK) peers->refused++;
    static const struct peer_tell_reply reply = { 0 };
    if (err.code == ERR_OK) rpc_put_reply(serving, &reply);
    rpc_finish(serving, err, err.code == ERR_OK ? SPAN("") : span_of(err.what, strlen(err.what)));
}

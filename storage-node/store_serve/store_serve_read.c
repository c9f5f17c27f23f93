/* Reads with one answer, on the crew. */
#include <stdlib.h>

#include "kv.h"
#include "loop.h"
#include "mbox_read.h"
#include "store_serve_private.h"

static void read_run(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct mbox_context context;
    serve_context(call->shard, shard_rows(call->shard), &context);
    call->err = mbox_read(&context, shard_index(call->shard), call->method, call->request,
                          &call->arena, &call->reply);
}

/* A mailbox was opened for writing: what is \Recent in it is this session's. */
static void read_claim(const struct serve_call *call)
{
    const struct store_mailbox_open_request *request = call->request;
    const struct store_mailbox_open_reply *reply = call->reply;
    if (!request->claim_recent || reply->mailbox.recent == 0) return;
    serve_claim(call->shard, request->tenant, request->account, reply->mailbox.id,
                reply->mailbox.uidnext);
}

/* Who logs in by an address that is not there hears what he would hear were it there. */
static void read_login(struct serve_call *call)
{
    const struct store_address_get_request *request = call->request;
    struct store_address_reply reply = { 0 };
    if (call->err.code == ERR_OK) reply = *(const struct store_address_reply *)call->reply;
    serve_login_state(call->serve, request, &reply);
    rpc_put_reply(call->serving, &reply);
    serve_call_end(call, err_ok());
}

static void read_done(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct err holds = serve_read_err(call->shard);
    if (holds.code != ERR_OK) {
        serve_call_end(call, holds);
        return;
    }
    if (call->method == STORE_METHOD_ADDRESS_GET &&
        ((const struct store_address_get_request *)call->request)->login &&
        (call->err.code == ERR_OK || call->err.code == ERR_NOT_FOUND)) {
        read_login(call);
        return;
    }
    if (call->err.code == ERR_OK) {
        rpc_put_reply(call->serving, call->reply);
        if (call->method == STORE_METHOD_MAILBOX_OPEN) read_claim(call);
    }
    serve_call_end(call, call->err);
}

void serve_read(void *holder, struct rpc_serving *serving)
{
    struct serve_call *call = serve_call_new(holder, serving);
    if (call == NULL) return;
    call->crew = (struct crew_job){ .run = read_run, .done = read_done, .loop = call->serve->loop };
    struct err err = crew_run(call->serve->options.reads, &call->crew);
    if (err.code != ERR_OK) serve_call_end(call, err);
}

void serve_node_status(void *holder, struct rpc_serving *serving)
{
    struct store_serve *serve = holder;
    struct store_node *node = serve->options.node;
    uint8_t id[16];
    unsigned all = store_node_shards(node), count = 0;
    struct store_shard_status *shards = arena_alloc(rpc_serving_arena(serving),
                                                    all * sizeof(*shards));
    if (shards == NULL) {
        rpc_finish(serving, err_make(ERR_NOMEM, "status"), SPAN(""));
        return;
    }
    for (unsigned i = 0; i < all; i++) {
        struct shard_state state;
        struct shard *shard = store_node_shard(node, i);
        if (shard == NULL) continue;
        shard_state_get(shard, &state);
        shards[count++] = (struct store_shard_status){ .shard = i, .epoch = state.epoch,
                                                 .last_index = state.last_index,
                                                 .commit_index = state.commit_index,
                                                 .applied_index = state.applied_index,
                                                 .role = state.role };
    }
    struct store_node_status_reply reply = { .shards = shards, .shards_count = count,
                                             .shard_count = count };
    store_node_id(node, id);
    reply.store_id = span_of(id, sizeof(id));
    reply.read_only = store_node_is_full(node, &reply.disk_free_bytes);
    rpc_put_reply(serving, &reply);
    rpc_finish(serving, err_ok(), SPAN(""));
}

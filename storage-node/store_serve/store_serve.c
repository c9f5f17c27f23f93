#include "store_serve.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "kv.h"
#include "loop.h"
#include "metrics_text.h"
#include "rpc_callers.h"
#include "slot.h"
#include "store_serve_private.h"
#include "tally.h"

enum { SERVE_LABELS_BYTES = 64 };

/* Who may call each stands in rpc_callers.def. */
#define ROW(method, serve) { STORE_METHOD_##method, RPC_CALLERS_STORE_##method, serve }

static const struct rpc_service_row rows[] = {
    ROW(ADDRESS_GET, serve_read),
    ROW(ADDRESS_PUT, serve_change),
    ROW(DOMAIN_INDEX_PUT, serve_change),
    ROW(DOMAIN_LIST, serve_read),
    ROW(GRANT_PUT, serve_change),
    ROW(ANSWER_KEEP, serve_change),
    ROW(ACCOUNT_CREATE, serve_change),
    ROW(ACCOUNT_GET, serve_read),
    ROW(ACCOUNT_SET, serve_change),
    ROW(ACCOUNT_DELETE, serve_change),
    ROW(MAILBOX_LIST, serve_read),
    ROW(MAILBOX_CREATE, serve_change),
    ROW(MAILBOX_DELETE, serve_change),
    ROW(MAILBOX_RENAME, serve_change),
    ROW(MAILBOX_SUBSCRIBE, serve_change),
    ROW(MAILBOX_OPEN, serve_read),
    ROW(MAILBOX_LOCK, serve_mailbox_lock),
    ROW(DELIVER, serve_change),
    ROW(APPEND, serve_change),
    ROW(APPEND_MANY, serve_change),
    ROW(FETCH, serve_fetch),
    ROW(CHANGES, serve_changes),
    ROW(UIDS, serve_uids),
    ROW(FLAGS_SET, serve_change),
    ROW(COPY, serve_change),
    ROW(EXPUNGE, serve_change),
    ROW(SEARCH, serve_search),
    ROW(SORT, serve_search),
    ROW(THREAD, serve_search),
    ROW(WATCH, serve_watch),
    ROW(QUEUE_PUT, serve_change),
    ROW(QUEUE_LEASE, serve_change),
    ROW(QUEUE_REPORT, serve_change),
    ROW(QUEUE_LIST, serve_read),
    ROW(QUEUE_BODY, serve_queue_body),
    ROW(QUEUE_WATCH, serve_queue_watch),
    ROW(INTAKE_REPORT, serve_change),
    ROW(INTAKE_STATE, serve_read),
    ROW(TALLY, serve_tally),
    ROW(NODE_STATUS, serve_node_status),
};

/* ---- which shard */

/* `.account` of a request; each struct has it elsewhere. */
#define BY_ACCOUNT(METHOD, type)                       \
    case STORE_METHOD_##METHOD: {                      \
        const struct store_##type##_request *r_ = request; \
        return slot_of_account(r_->account);           \
    }

static unsigned slot_of(unsigned method, const void *request)
{
    switch (method) {
    BY_ACCOUNT(ACCOUNT_GET, account_get)
    BY_ACCOUNT(ACCOUNT_DELETE, account_delete)
    BY_ACCOUNT(MAILBOX_LIST, mailbox_list)
    BY_ACCOUNT(MAILBOX_CREATE, mailbox_create)
    BY_ACCOUNT(MAILBOX_DELETE, mailbox_delete)
    BY_ACCOUNT(MAILBOX_RENAME, mailbox_rename)
    BY_ACCOUNT(MAILBOX_SUBSCRIBE, mailbox_subscribe)
    BY_ACCOUNT(MAILBOX_OPEN, mailbox_open)
    BY_ACCOUNT(MAILBOX_LOCK, mailbox_lock)
    BY_ACCOUNT(APPEND, append)
    BY_ACCOUNT(FETCH, fetch)
    BY_ACCOUNT(CHANGES, changes)
    BY_ACCOUNT(UIDS, uids)
    BY_ACCOUNT(FLAGS_SET, flags_set)
    BY_ACCOUNT(COPY, copy)
    BY_ACCOUNT(EXPUNGE, expunge)
    BY_ACCOUNT(SEARCH, search)
    BY_ACCOUNT(SORT, sort)
    BY_ACCOUNT(THREAD, thread)
    BY_ACCOUNT(APPEND_MANY, append_many)
    BY_ACCOUNT(WATCH, watch)
    default:
        return SLOT_COUNT;
    }
}

static unsigned slot_of_others(unsigned method, const void *request)
{
    switch (method) {
    case STORE_METHOD_ADDRESS_GET:
        return slot_of_name(((const struct store_address_get_request *)request)->address);
    case STORE_METHOD_ADDRESS_PUT:
        return slot_of_name(((const struct store_address_put_request *)request)->address);
    case STORE_METHOD_DOMAIN_INDEX_PUT:
        return slot_of_name(((const struct store_domain_index_put_request *)request)->domain);
    case STORE_METHOD_GRANT_PUT:
        return slot_of_account(((const struct store_grant_put_request *)request)->tenant);
    case STORE_METHOD_ANSWER_KEEP:
        return slot_of_name(((const struct store_answer_keep_request *)request)->operation_id);
    case STORE_METHOD_DOMAIN_LIST:
        return slot_of_name(((const struct store_domain_list_request *)request)->domain);
    case STORE_METHOD_ACCOUNT_CREATE:
        return slot_of_account(
            ((const struct store_account_create_request *)request)->account.account);
    case STORE_METHOD_ACCOUNT_SET:
        return slot_of_account(
            ((const struct store_account_set_request *)request)->account.account);
    case STORE_METHOD_DELIVER: {
        const struct store_deliver_request *deliver = request;
        return deliver->targets_count == 0 ? SLOT_COUNT
                                           : slot_of_account(deliver->targets[0].account);
    }
    case STORE_METHOD_INTAKE_REPORT:
        return slot_of_name(((const struct store_intake_report_request *)request)->intake);
    case STORE_METHOD_INTAKE_STATE:
        return slot_of_name(((const struct store_intake_state_request *)request)->intake);
    case STORE_METHOD_TALLY:
        return ((const struct store_tally_request *)request)->slot;
    case STORE_METHOD_QUEUE_PUT:
        return ((const struct store_queue_put_request *)request)->entry.slot;
    case STORE_METHOD_QUEUE_REPORT:
        return ((const struct store_queue_report_request *)request)->entry.slot;
    case STORE_METHOD_QUEUE_BODY:
        return ((const struct store_queue_body_request *)request)->slot;
    default:
        return SLOT_COUNT;
    }
}

struct shard *serve_shard(struct store_serve *serve, unsigned method, const void *request)
{
    struct store_node *node = serve->options.node;
    unsigned shard = STORE_SHARDS_MAX;
    if (method == STORE_METHOD_QUEUE_LEASE) {
        shard = ((const struct store_queue_lease_request *)request)->shard;
    } else if (method == STORE_METHOD_QUEUE_LIST) {
        shard = ((const struct store_queue_list_request *)request)->shard;
    } else {
        unsigned slot = slot_of(method, request);
        if (slot == SLOT_COUNT) slot = slot_of_others(method, request);
        return slot < SLOT_COUNT ? store_node_of_slot(node, slot) : NULL;
    }
    return shard < store_node_shards(node) ? store_node_shard(node, shard) : NULL;
}

void serve_context(struct shard *shard, struct kv_reader *reader, struct mbox_context *context)
{
    *context = (struct mbox_context){ .rows = reader, .time_ms = clock_wall_ms() };
    shard_slots(shard, &context->slot_first, &context->slot_end);
    shard_quota(shard, &context->quota_bytes, &context->quota_items);
}

/* ---- a call's beginning and end */

struct err serve_refusal(const struct shard *shard)
{
    if (!shard_leads(shard)) return err_make(ERR_MOVED, "shard is not led here");
    if (shard_owes(shard)) return err_make(ERR_FULL, "shard's start");
    return err_make(ERR_BUSY, "shard does not serve yet");
}

struct err serve_read_err(const struct shard *shard)
{
    if (shard_read_holds(shard)) return err_ok();
    if (!shard_serves(shard)) return serve_refusal(shard);
    return err_make(ERR_BUSY, "other copies do not confirm that this one leads");
}

struct serve_call *serve_call_new(struct store_serve *serve, struct rpc_serving *serving)
{
    unsigned method = rpc_serving_method(serving)->number;
    const void *request = rpc_serving_request(serving);
    struct shard *shard = serve_shard(serve, method, request);
    struct err err = err_ok();
    if (shard == NULL) err = err_make(ERR_MOVED, "not a slot of this node");
    else if (!shard_serves(shard)) err = serve_refusal(shard);
    else if (serve->calls >= STORE_SERVE_CALLS_MAX) err = err_make(ERR_BUSY, "calls");
    /* Its rows stay where they are until the call has ended. */
    else if (!shard_hold(shard)) err = err_make(ERR_BUSY, "shard's rows are being replaced");
    bool held = err.code == ERR_OK;
    struct serve_call *call = held ? calloc(1, sizeof(*call)) : NULL;
    if (call == NULL) {
        if (held) shard_release(shard);
        if (held) err = err_make(ERR_NOMEM, "call");
        rpc_finish(serving, err, span_of(err.what, strlen(err.what)));
        return NULL;
    }
    call->serve = serve;
    call->serving = serving;
    call->shard = shard;
    call->method = method;
    call->request = request;
    call->err = call->refused = err_ok();
    mbox_result_init(&call->result);
    arena_init(&call->arena, SERVE_ARENA_MAX_BYTES);
    serve->calls++;
    loop_hold(serve->loop);
    return call;
}

void serve_call_end(struct serve_call *call, struct err err)
{
    struct store_serve *serve = call->serve;
    rpc_finish(call->serving, err,
               err.code == ERR_OK ? SPAN("") : span_of(err.what, strlen(err.what)));
    mbox_result_free(&call->result);
    arena_clear(&call->arena);
    shard_release(call->shard);
    free(call);
    serve->calls--;
    loop_release(serve->loop);
}

/* ---- the server */

static void serve_free(struct store_serve *serve)
{
    tally_free(serve->tally);
    serve_locks_free(&serve->locks);
    map_free(&serve->watches);
    free(serve);
}

void serve_end_if_over(struct store_serve *serve)
{
    if (serve->server != NULL || serve->looks > 0) return;
    void (*closed)(void *) = serve->options.closed;
    void *holder = serve->options.holder;
    serve_free(serve);
    if (closed != NULL) closed(holder);
}

static void serve_closed(void *holder)
{
    struct store_serve *serve = holder;
    serve->server = NULL;
    serve_end_if_over(serve);
}

struct err store_serve_open(struct loop *loop, const struct store_serve_options *options,
                            struct store_serve **ret)
{
    struct store_serve *serve = calloc(1, sizeof(*serve));
    if (serve == NULL) return err_make(ERR_NOMEM, "server");
    serve->loop = loop;
    serve->options = *options;
    map_init(&serve->watches, STORE_SERVE_WATCHES_MAX);
    list_init(&serve->queue_watches);
    for (unsigned i = 0; i < STORE_SHARDS_MAX; i++) list_init(&serve->shard_watches[i]);
    serve_locks_init(&serve->locks, STORE_LOCKS_MAX);
    struct rpc_server_options server = {
        .addresses = options->addresses,
        .addresses_count = options->addresses_count,
        .self = options->self,
        .methods = store_methods,
        .methods_count = STORE_METHODS,
        .rows = rows,
        .rows_count = sizeof(rows) / sizeof(rows[0]),
        .holder = serve,
        .budget = options->budget,
        .closed = serve_closed,
    };
    struct err err = tally_new(&serve->tally);
    if (err.code == ERR_OK) err = rpc_server_open(loop, &server, &serve->server);
    if (err.code != ERR_OK) {
        serve_free(serve);
        return err;
    }
    *ret = serve;
    return err_ok();
}

struct err store_serve_also(struct store_serve *serve, const struct rpc_service *service)
{
    return rpc_server_serve(serve->server, service);
}

uint16_t store_serve_port(const struct store_serve *serve)
{
    return rpc_server_port(serve->server);
}

void store_serve_shown(struct store_serve *serve, uint32_t number, bool serves)
{
    struct shard *shard = store_node_shard(serve->options.node, number);
    if (serves && shard != NULL) {
        if (!list_is_empty(&serve->queue_watches)) serve_look_at_queue(serve, shard);
        return;
    }
    serve_watches_end(serve, number);
    serve_tell_due(serve, number, 0);
}

void store_serve_drain(struct store_serve *serve) { rpc_server_drain(serve->server); }
unsigned store_serve_calls(const struct store_serve *serve) { return serve->calls; }

void store_serve_metrics(const struct store_serve *serve, const struct metrics_text *text)
{
    char labels[SERVE_LABELS_BYTES];
    rpc_server_metrics(serve->server, text);
    metrics_text_head(text, "tally_keys", "gauge", "Keys that are counted for the whole cluster");
    for (unsigned kind = TALLY_NONE + 1; kind < TALLY_KINDS; kind++) {
        snprintf(labels, sizeof(labels), "kind=\"%s\"", tally_kind_text((enum tally_kind)kind));
        metrics_text_number(text, "tally_keys", labels,
                            (int64_t)tally_count(serve->tally, (enum tally_kind)kind));
    }
}

void store_serve_close(struct store_serve *serve)
{
    if (serve != NULL) rpc_server_close(serve->server); /* serve_closed() follows */
}

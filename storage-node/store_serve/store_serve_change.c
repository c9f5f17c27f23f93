/* Changes: prepared on the shard's thread, answered when they are durable, committed and applied.
 */
#include <stdlib.h>

#include "kv.h"
#include "mbox_queue.h"
#include "mbox_read.h"
#include "store_serve_private.h"

static bool is_queue(unsigned method)
{
    return method == STORE_METHOD_QUEUE_PUT || method == STORE_METHOD_QUEUE_LEASE ||
           method == STORE_METHOD_QUEUE_REPORT;
}

/* On the loop: the answer. */
static void change_answer(struct wake *wake)
{
    struct serve_call *call = LIST_ITEM(wake, struct serve_call, wake);
    struct store_serve *serve = call->serve;
    if (call->err.code == ERR_OK) {
        struct span data = span_of(call->result.data, call->result.data_len);
        if (data.len > 0) rpc_put_data(call->serving, data);
        if (call->result.reply != NULL) rpc_put_reply(call->serving, call->result.reply);
        serve_tell(serve, &call->result);
        if (call->has_due) serve_tell_due(serve, shard_number(call->shard), call->due_ms);
    }
    serve_call_end(call, call->err);
}

/* On the shard's thread. */
static void change_done(struct shard_change *change, struct err err)
{
    struct serve_call *call = LIST_ITEM(change, struct serve_call, change);
    struct mbox_context context;
    /* Nothing of its own was committed: it says what it has read. */
    if (err.code == ERR_OK && call->result.batches_count == 0) err = serve_read_err(call->shard);
    if (err.code == ERR_OK) err = call->refused;
    call->err = err;
    if (err.code == ERR_OK && is_queue(call->method)) {
        serve_context(call->shard, shard_rows_ahead(call->shard), &context);
        context.due = shard_due(call->shard);
        call->has_due = mbox_queue_next_due(&context, &call->due_ms).code == ERR_OK;
    }
    wake_post(call->serve->loop, &call->wake, change_answer);
}

/* A refusal that what is stored has led to. */
static bool is_of_state(struct err err)
{
    bool of_request = err.code == ERR_SYNTAX || err.code == ERR_TOO_BIG ||
                      err.code == ERR_UNSUPPORTED;
    return err_class(err) == ERR_PERMANENT && !of_request;
}

static void change_run(struct shard_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, job);
    struct mbox_result *result = &call->result;
    struct mbox_context context;
    serve_context(call->shard, shard_rows_ahead(call->shard), &context);
    context.due = shard_due(call->shard);
    call->change.done = change_done;
    struct err err = mbox_change(&context, call->method, call->request,
                                 rpc_serving_body(call->serving), result);
    /* Also without batches: a first answer that is given again may itself be on its way still, and
     * so may be what the change was refused for. */
    if (err.code != ERR_OK && is_of_state(err)) {
        call->refused = err;
        mbox_result_free(result);
        mbox_result_init(result);
        err = err_ok();
    }
    if (err.code == ERR_OK) {
        err = shard_propose(call->shard, result->batches, result->batches_count, &call->change);
    }
    if (err.code != ERR_OK) {
        call->err = err;
        wake_post(call->serve->loop, &call->wake, change_answer);
    }
}

/* Mail comes with a stored body beside it: without one it would be acknowledged and lost. */
static struct err change_check(unsigned method, const struct body *body)
{
    bool is_mail = method == STORE_METHOD_APPEND || method == STORE_METHOD_DELIVER ||
                   method == STORE_METHOD_QUEUE_PUT;
    return is_mail && body == NULL ? err_make(ERR_SYNTAX, "mail without its body") : err_ok();
}

void serve_change(void *holder, struct rpc_serving *serving)
{
    struct serve_call *call = serve_call_new(holder, serving);
    if (call == NULL) return;
    call->job.run = change_run;
    struct err err = change_check(call->method, rpc_serving_body(serving));
    if (err.code == ERR_OK) err = shard_post(call->shard, &call->job);
    if (err.code != ERR_OK) serve_call_end(call, err);
}

/* ---- what nobody waits for */

struct claim {
    struct shard_job job;
    struct shard_change change;
    struct shard *shard;
    struct mbox_claim claim;
    struct mbox_result result;
};

static void claim_done(struct shard_change *change, struct err err)
{
    struct claim *claim = LIST_ITEM(change, struct claim, change);
    (void)err; /* lost at worst: a message is \Recent once more */
    mbox_result_free(&claim->result);
    free(claim);
}

static void claim_run(struct shard_job *job)
{
    struct claim *claim = LIST_ITEM(job, struct claim, job);
    struct mbox_context context;
    serve_context(claim->shard, shard_rows_ahead(claim->shard), &context);
    context.due = shard_due(claim->shard);
    claim->change.done = claim_done;
    struct err err = mbox_claim(&context, &claim->claim, &claim->result);
    if (err.code == ERR_OK && claim->result.batches_count > 0) {
        err = shard_propose(claim->shard, claim->result.batches, claim->result.batches_count,
                            &claim->change);
        if (err.code == ERR_OK) return;
    }
    claim_done(&claim->change, err);
}

void serve_claim(struct shard *shard, uint32_t tenant, uint64_t account, uint32_t mailbox,
                 uint32_t uidnext)
{
    struct claim *claim = calloc(1, sizeof(*claim));
    if (claim == NULL) return;
    claim->shard = shard;
    claim->claim = (struct mbox_claim){ tenant, account, mailbox, uidnext };
    claim->job.run = claim_run;
    mbox_result_init(&claim->result);
    if (shard_post(shard, &claim->job).code != ERR_OK) claim_done(&claim->change, err_ok());
}

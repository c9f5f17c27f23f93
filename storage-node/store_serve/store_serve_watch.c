/* Watch and QueueWatch: calls that stay open. A watcher is told when a commit touched its mailbox;
 * the first answer is the state as it is. */
#include <stdlib.h>
#include <string.h>

#include "kv.h"
#include "loop.h"
#include "mbox_queue.h"
#include "mbox_read.h"
#include "store_serve_private.h"

enum { WATCH_KEY_BYTES = 12 };

/* Everybody who watches something of an account. */
struct serve_watched {
    struct list watches;
    char key[WATCH_KEY_BYTES]; /* tenant u32 | account u64 */
};

struct serve_watch {
    struct list link;     /* in serve_watched */
    struct list of_shard; /* in store_serve.shard_watches */
    struct crew_job crew; /* the first look */
    struct store_serve *serve;
    struct rpc_serving *serving;
    struct serve_watched *watched;
    struct shard *shard;
    struct store_watch_request request;
    uint64_t told_modseq;
    struct err err;
    uint64_t modseq;
    bool looking, ended;
};

static void watch_key(uint32_t tenant, uint64_t account, char key[WATCH_KEY_BYTES])
{
    memcpy(key, &tenant, 4);
    memcpy(key + 4, &account, 8);
}

static void watch_leave(struct serve_watch *watch)
{
    struct serve_watched *watched = watch->watched;
    list_remove(&watch->link);
    list_remove(&watch->of_shard);
    watch->serve->watches_count--;
    if (!list_is_empty(&watched->watches)) return;
    map_remove(&watch->serve->watches, span_of(watched->key, sizeof(watched->key)));
    free(watched);
}

static void watch_free(struct serve_watch *watch)
{
    if (watch->looking) return; /* its crew job frees it */
    free(watch);
}

static void watch_end(struct serve_watch *watch, struct err err)
{
    watch->ended = true;
    watch_leave(watch);
    rpc_finish(watch->serving, err, SPAN(""));
    watch_free(watch);
}

void serve_watches_end(struct store_serve *serve, uint32_t shard)
{
    struct list *watches = &serve->shard_watches[shard];
    while (!list_is_empty(watches)) {
        struct serve_watch *watch = LIST_ITEM(watches->next, struct serve_watch, of_shard);
        watch_end(watch, err_make(ERR_MOVED, "shard is not led here"));
    }
}

static void watch_cancelled(void *holder) { watch_end(holder, err_make(ERR_CANCELLED, "watch")); }

static void watch_tell(struct serve_watch *watch, uint32_t mailbox, uint64_t modseq, bool gone)
{
    if (modseq <= watch->told_modseq && !gone) return;
    struct store_watch_reply reply = { mailbox, modseq, gone };
    watch->told_modseq = modseq;
    rpc_put_reply(watch->serving, &reply);
}

void serve_tell(struct store_serve *serve, const struct mbox_result *result)
{
    char key[WATCH_KEY_BYTES];
    if (serve->watches.count == 0) return;
    for (size_t i = 0; i < result->touched_count; i++) {
        const struct mbox_touched *touched = &result->touched[i];
        watch_key(touched->tenant, touched->account, key);
        struct serve_watched *watched = map_get(&serve->watches, span_of(key, sizeof(key)));
        if (watched == NULL) continue;
        for (struct list *at = watched->watches.next; at != &watched->watches; at = at->next) {
            struct serve_watch *watch = LIST_ITEM(at, struct serve_watch, link);
            uint32_t wanted = watch->request.mailbox;
            bool all_gone = touched->mailbox == 0 && touched->gone;
            if (wanted != 0 && wanted != touched->mailbox && !all_gone) continue;
            watch_tell(watch, touched->mailbox, touched->modseq, touched->gone);
        }
    }
}

/* ---- the first look: after it is entered, so that nothing falls between */

static void look_run(struct crew_job *job)
{
    struct serve_watch *watch = LIST_ITEM(job, struct serve_watch, crew);
    struct mbox_context context;
    if (!shard_hold(watch->shard)) {
        watch->err = err_make(ERR_BUSY, "shard's rows are being replaced");
        return;
    }
    serve_context(watch->shard, shard_rows(watch->shard), &context);
    watch->err = mbox_modseq(&context, watch->request.tenant, watch->request.account,
                             watch->request.mailbox, &watch->modseq);
    shard_release(watch->shard);
}

static void look_done(struct crew_job *job)
{
    struct serve_watch *watch = LIST_ITEM(job, struct serve_watch, crew);
    watch->looking = false;
    if (watch->ended) {
        free(watch);
        return;
    }
    struct err holds = serve_read_err(watch->shard);
    if (holds.code != ERR_OK) watch->err = holds;
    bool gone = watch->err.code == ERR_NOT_FOUND;
    if (watch->err.code != ERR_OK && !gone) {
        watch_end(watch, watch->err);
        return;
    }
    struct store_watch_reply reply = { watch->request.mailbox, watch->modseq, gone };
    if (watch->modseq > watch->told_modseq) watch->told_modseq = watch->modseq;
    rpc_put_reply(watch->serving, &reply);
}

static struct err watch_enter(struct store_serve *serve, struct serve_watch *watch)
{
    char key[WATCH_KEY_BYTES];
    watch_key(watch->request.tenant, watch->request.account, key);
    if (serve->watches_count >= STORE_SERVE_WATCHES_MAX) return err_make(ERR_BUSY, "watches");
    struct serve_watched *watched = map_get(&serve->watches, span_of(key, sizeof(key)));
    if (watched == NULL) {
        watched = calloc(1, sizeof(*watched));
        if (watched == NULL) return err_make(ERR_NOMEM, "watch");
        memcpy(watched->key, key, sizeof(key));
        list_init(&watched->watches);
        struct err err = map_put(&serve->watches, span_of(watched->key, sizeof(key)), watched);
        if (err.code != ERR_OK) {
            free(watched);
            return err;
        }
    }
    watch->watched = watched;
    list_add(&watched->watches, &watch->link);
    list_add(&serve->shard_watches[shard_number(watch->shard)], &watch->of_shard);
    serve->watches_count++;
    return err_ok();
}

void serve_watch(void *holder, struct rpc_serving *serving)
{
    struct store_serve *serve = holder;
    const void *request = rpc_serving_request(serving);
    struct shard *shard = serve_shard(serve, STORE_METHOD_WATCH, request);
    struct serve_watch *watch = calloc(1, sizeof(*watch));
    if (shard == NULL || watch == NULL || !shard_serves(shard)) {
        struct err err = shard == NULL ? err_make(ERR_MOVED, "not a slot of this node")
                         : watch == NULL ? err_make(ERR_NOMEM, "watch") : serve_refusal(shard);
        free(watch);
        rpc_finish(serving, err, SPAN(""));
        return;
    }
    watch->serve = serve;
    watch->serving = serving;
    watch->shard = shard;
    memcpy(&watch->request, request, sizeof(watch->request));
    struct err err = watch_enter(serve, watch);
    if (err.code != ERR_OK) {
        free(watch);
        rpc_finish(serving, err, SPAN(""));
        return;
    }
    watch->crew = (struct crew_job){ .run = look_run, .done = look_done, .loop = serve->loop };
    watch->looking = true;
    rpc_serving_on_cancel(serving, watch_cancelled, watch);
    err = crew_run(serve->options.reads, &watch->crew);
    if (err.code == ERR_OK) return;
    watch->looking = false;
    watch_end(watch, err);
}

/* ---- QueueWatch */

struct queue_watch {
    struct list link;
    struct rpc_serving *serving;
};

static void queue_watch_cancelled(void *holder)
{
    struct queue_watch *watch = holder;
    list_remove(&watch->link);
    rpc_finish(watch->serving, err_make(ERR_CANCELLED, "watch"), SPAN(""));
    free(watch);
}

void serve_tell_due(struct store_serve *serve, uint32_t shard, uint64_t due_ms)
{
    if (serve->due_ms[shard] == due_ms) return;
    serve->due_ms[shard] = due_ms;
    struct store_queue_watch_reply reply = { shard, due_ms };
    for (struct list *at = serve->queue_watches.next; at != &serve->queue_watches; at = at->next) {
        rpc_put_reply(LIST_ITEM(at, struct queue_watch, link)->serving, &reply);
    }
}

/* Looks at the queue of a shard that nothing is known of yet. */
struct due_look {
    struct shard_job job;
    struct wake wake;
    struct store_serve *serve;
    struct shard *shard;
    uint64_t due_ms;
    struct err err;
};

static void due_told(struct wake *wake)
{
    struct due_look *look = LIST_ITEM(wake, struct due_look, wake);
    struct store_serve *serve = look->serve;
    bool ours = look->err.code == ERR_OK && shard_leads(look->shard);
    if (ours) serve_tell_due(serve, shard_number(look->shard), look->due_ms);
    loop_release(serve->loop);
    free(look);
    serve->looks--;
    serve_end_if_over(serve);
}

static void due_run(struct shard_job *job)
{
    struct due_look *look = LIST_ITEM(job, struct due_look, job);
    struct mbox_context context;
    serve_context(look->shard, shard_rows_ahead(look->shard), &context);
    context.due = shard_due(look->shard);
    look->err = mbox_queue_next_due(&context, &look->due_ms);
    wake_post(look->serve->loop, &look->wake, due_told);
}

void serve_look_at_queue(struct store_serve *serve, struct shard *shard)
{
    struct due_look *look = calloc(1, sizeof(*look));
    if (look == NULL) return;
    look->serve = serve;
    look->shard = shard;
    look->job.run = due_run;
    if (shard_post(look->shard, &look->job).code != ERR_OK) {
        free(look);
        return;
    }
    serve->looks++;
    loop_hold(serve->loop);
}

static void look_at_queues(struct store_serve *serve)
{
    for (unsigned i = 0; i < store_node_shards(serve->options.node); i++) {
        struct shard *shard = store_node_shard(serve->options.node, i);
        if (shard != NULL && shard_leads(shard)) serve_look_at_queue(serve, shard);
    }
}

void serve_queue_watch(void *holder, struct rpc_serving *serving)
{
    struct store_serve *serve = holder;
    struct queue_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        rpc_finish(serving, err_make(ERR_NOMEM, "watch"), SPAN(""));
        return;
    }
    watch->serving = serving;
    list_add(&serve->queue_watches, &watch->link);
    rpc_serving_on_cancel(serving, queue_watch_cancelled, watch);
    for (unsigned i = 0; i < store_node_shards(serve->options.node); i++) {
        struct store_queue_watch_reply reply = { i, serve->due_ms[i] };
        if (reply.due_ms != 0) rpc_put_reply(serving, &reply);
    }
    look_at_queues(serve);
}

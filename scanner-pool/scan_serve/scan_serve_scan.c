/* Scan: one message, from its coming to its verdict. */
#include <stdlib.h>

#include "body.h"
#include "loop.h"
#include "rpc_server.h"
#include "scan_serve_private.h"
#include "verdict.h"

struct scan_serve_call {
    struct list link;          /* in serve->calls */
    struct triage_item item;
    struct engines_job job;
    struct scan_serve *serve;
    struct rpc_serving *serving; /* its body lives as long */
    struct timer deadline;
};

/* Every end of a call passes here. */
static void call_finish(struct scan_serve_call *call, struct err err)
{
    struct scan_serve *serve = call->serve;
    timer_stop(&call->deadline);
    triage_remove(&serve->triage, &call->item);
    engines_cancel(serve->engines, &call->job);
    list_remove(&call->link);
    serve->calls_count--;
    struct rpc_serving *serving = call->serving;
    free(call);
    rpc_serving_on_cancel(serving, NULL, NULL);
    rpc_finish(serving, err, span_of(NULL, 0));
}

static void call_on_cancel(void *holder)
{
    struct scan_serve_call *call = holder;
    struct scan_serve *serve = call->serve;
    call_finish(call, err_make(ERR_CANCELLED, "scan"));
    scan_serve_pump(serve);
}

static void call_on_deadline(void *holder)
{
    struct scan_serve_call *call = holder;
    struct scan_serve *serve = call->serve;
    call_finish(call, err_make(ERR_TIMEOUT, "scan"));
    scan_serve_pump(serve);
}

static void call_reply(struct scan_serve_call *call, const struct engines_result *result)
{
    struct scan_finding findings[ENGINES_FINDINGS_MAX];
    for (uint32_t i = 0; i < result->findings_count; i++) {
        const struct engines_finding *from = &result->findings[i];
        findings[i] = (struct scan_finding){
            .engine = SPAN(ENGINES_CLAMAV_NAME),
            .name = span_of(from->name, from->name_len),
            .part = span_of(from->part, from->part_len),
            .file_name = span_of(from->file_name, from->file_name_len),
        };
    }
    struct scan_scan_reply reply = {
        .verdict = (uint32_t)verdict_of(result),
        .findings = findings,
        .findings_count = result->findings_count,
        .engine_version = span_of(result->version, result->version_len),
        .signatures_ms = result->signatures_ms,
        .micros = result->micros,
    };
    rpc_put_reply(call->serving, &reply);
    call_finish(call, err_ok());
}

static void call_on_done(struct engines_job *job, const struct engines_result *result)
{
    struct scan_serve_call *call = LIST_ITEM(job, struct scan_serve_call, job);
    struct scan_serve *serve = call->serve;
    if (verdict_worth_again(result) &&
        triage_again(&serve->triage, &call->item, loop_now_ms(serve->loop)).code == ERR_OK) {
        scan_serve_pump(serve);
        return;
    }
    (void)triage_answered(&call->item, TRIAGE_ENGINE_CLAMAV);
    call_reply(call, result);
    scan_serve_pump(serve);
}

void scan_serve_pump(struct scan_serve *serve)
{
    for (struct triage_item *item; (item = triage_take(&serve->triage)) != NULL;) {
        struct scan_serve_call *call = LIST_ITEM(item, struct scan_serve_call, item);
        struct err err = engines_scan(serve->engines, &call->job);
        if (err.code == ERR_OK) continue;
        if (err.code != ERR_BUSY) {
            call_finish(call, err);
            continue;
        }
        triage_put_back(&serve->triage, item);
        return;
    }
}

/* What keeps a call from being taken; the caller then asks another scanner. */
static struct err scan_check(const struct scan_serve *serve, struct rpc_serving *serving)
{
    const struct body *body = rpc_serving_body(serving);
    if (body == NULL || body_size(body) == 0) return err_make(ERR_SYNTAX, "scan without a message");
    struct engines_status status;
    engines_status(serve->engines, &status);
    if (!status.ready || serve->draining) return err_make(ERR_BUSY, "scanner not ready");
    return err_ok();
}

void scan_serve_scan(void *holder, struct rpc_serving *serving)
{
    struct scan_serve *serve = holder;
    struct err err = scan_check(serve, serving);
    struct scan_serve_call *call = NULL;
    uint64_t now_ms = loop_now_ms(serve->loop), deadline_ms = rpc_serving_deadline(serving);
    if (deadline_ms == 0) deadline_ms = now_ms + SCAN_SERVE_DEADLINE_MS;
    if (err.code == ERR_OK) {
        call = calloc(1, sizeof(*call));
        if (call == NULL) err = err_make(ERR_NOMEM, "scan");
    }
    if (err.code == ERR_OK) err = triage_add(&serve->triage, &call->item, deadline_ms, now_ms);
    if (err.code != ERR_OK) {
        free(call);
        rpc_finish(serving, err, span_of(NULL, 0));
        return;
    }
    call->serve = serve;
    call->serving = serving;
    call->job.body = rpc_serving_body(serving);
    call->job.done = call_on_done;
    list_add(&serve->calls, &call->link);
    serve->calls_count++;
    rpc_serving_on_cancel(serving, call_on_cancel, call);
    timer_start(serve->loop, &call->deadline, deadline_ms - now_ms, call_on_deadline, call);
    scan_serve_pump(serve);
}

void scan_serve_end_scans(struct scan_serve *serve)
{
    while (!list_is_empty(&serve->calls)) {
        call_finish(LIST_ITEM(serve->calls.next, struct scan_serve_call, link),
                    err_make(ERR_CANCELLED, "scan"));
    }
}

/* Scan: one message, from its coming to its verdict. */
#include <stdlib.h>

#include "body.h"
#include "clock.h"
#include "loop.h"
#include "metrics.h"
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
    uint64_t begun_us, given_us; /* clock_measure_us(); given: to a worker, 0: to none */
};

/* The places of the label of METRIC_SCANS. */
enum scan_end { SCAN_CLEAN, SCAN_INFECTED, SCAN_UNCHECKABLE, SCAN_CANCELLED, SCAN_TIMEOUT,
                SCAN_FAILED };

static enum scan_end end_of_err(struct err err)
{
    if (err.code == ERR_CANCELLED) return SCAN_CANCELLED;
    return err.code == ERR_TIMEOUT ? SCAN_TIMEOUT : SCAN_FAILED;
}

static enum scan_end end_of_verdict(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_CLEAN: return SCAN_CLEAN;
    case VERDICT_INFECTED: return SCAN_INFECTED;
    case VERDICT_UNCHECKABLE: return SCAN_UNCHECKABLE;
    case VERDICT_NONE: break;
    }
    return SCAN_FAILED;
}

/* A worker is done with it, whatever came of that. */
static void call_count_work(struct scan_serve_call *call)
{
    if (call->given_us == 0) return;
    metric_observe_us(METRIC_WORKER_TIME, clock_measure_us() - call->given_us);
    call->given_us = 0;
}

/* Every end of a call passes here. */
static void call_end(struct scan_serve_call *call, struct err err, enum scan_end end)
{
    struct scan_serve *serve = call->serve;
    metric_add(METRIC_SCANS, end, 1);
    metric_add(METRIC_SCAN_BYTES, 0, (int64_t)body_size(call->job.body));
    metric_observe_us(METRIC_SCAN_TIME, clock_measure_us() - call->begun_us);
    call_count_work(call);
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

static void call_finish(struct scan_serve_call *call, struct err err)
{
    call_end(call, err, end_of_err(err));
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
    enum verdict verdict = verdict_of(result);
    struct scan_scan_reply reply = {
        .verdict = (uint32_t)verdict,
        .findings = findings,
        .findings_count = result->findings_count,
        .engine_version = span_of(result->version, result->version_len),
        .signatures_ms = result->signatures_ms,
        .micros = result->micros,
    };
    rpc_put_reply(call->serving, &reply);
    call_end(call, err_ok(), end_of_verdict(verdict));
}

static void call_on_done(struct engines_job *job, const struct engines_result *result)
{
    struct scan_serve_call *call = LIST_ITEM(job, struct scan_serve_call, job);
    struct scan_serve *serve = call->serve;
    call_count_work(call);
    if (verdict_worth_again(result) &&
        triage_again(&serve->triage, &call->item, loop_now_ms(serve->loop)).code == ERR_OK) {
        metric_add(METRIC_SCAN_AGAIN, 0, 1);
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
        if (err.code == ERR_OK) call->given_us = clock_measure_us();
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
    if (!scan_serve_is_ready(serve)) return err_make(ERR_BUSY, "scanner not ready");
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
        if (err.code == ERR_BUSY) metric_add(METRIC_SCAN_BUSY, 0, 1);
        free(call);
        rpc_finish(serving, err, span_of(NULL, 0));
        return;
    }
    call->serve = serve;
    call->begun_us = clock_measure_us();
    call->serving = serving;
    call->job.body = rpc_serving_body(serving);
    call->job.done = call_on_done;
    list_add(&serve->calls, &call->link);
    serve->calls_count++;
    rpc_serving_on_cancel(serving, call_on_cancel, call);
    timer_start(serve->loop, &call->deadline, deadline_ms - now_ms, call_on_deadline, call);
    scan_serve_pump(serve);
    scan_serve_tell(serve); /* it may wait, which no worker notices */
}

void scan_serve_end_scans(struct scan_serve *serve)
{
    while (!list_is_empty(&serve->calls)) {
        call_finish(LIST_ITEM(serve->calls.next, struct scan_serve_call, link),
                    err_make(ERR_CANCELLED, "scan"));
    }
}

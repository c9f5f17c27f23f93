/* The steps before the store: trace headers, the scanner, facts. */
#include <stdio.h>
#include <string.h>

#include "body.h"
#include "buf.h"
#include "clock.h"
#include "hash.h"
#include "id.h"
#include "intake_private.h"
#include "loop.h"
#include "scan_call.h"
#include "scan_msg.h"
#include "scan_stamp.h"
#include "trace.h"

enum { TRACE_BYTES = 4096, ID_TEXT = 16 };

static struct err make_trace(struct intake *intake)
{
    const struct intake_message *message = &intake->message;
    char bytes[TRACE_BYTES], id[ID_TEXT];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    id_hex(intake->id + OPERATION_ID_BYTES - ID_TEXT / 2, ID_TEXT / 2, id);
    trace_return_path(message->sender, &out);
    struct trace_facts facts = {
        .helo = message->helo,
        .client_ip = message->client_ip,
        .with = message->with,
        .by = intake->services->hostname,
        .id = span_of(id, sizeof(id)),
        .for_address = message->recipients[0].address,
        .time_ms = intake->received_ms,
    };
    trace_received(&facts, &out);
    if (out.overflow) return err_make(ERR_TOO_BIG, "trace header");
    return arena_copy(&intake->arena, buf_span(&out), &intake->work.prefix);
}

void intake_step_prepare(struct flow *flow)
{
    struct intake *intake = (struct intake *)flow;
    struct err err = err_ok();
    intake->work.body = intake->message.body;
    intake->work.budget = intake->services->budget;
    intake->work.err = err_ok();
    for (size_t i = 0; i < intake->ends_count; i++) {
        if (!intake->ends[i].is_by && !intake->ends[i].is_of_domain) continue;
        intake->work.by_host = intake->services->hostname;
    }
    if (!intake->is_append) err = make_trace(intake);
    flow_next(flow, err);
}

/* ---- the scanner */

static void stamp(struct intake *intake, uint8_t verdict, uint8_t why,
                  const struct scan_scan_reply *reply)
{
    struct scan_stamp made = { .verdict = verdict, .why = why, .scanned_ms = clock_wall_ms(),
                               .parts_removed = intake->parts_removed };
    if (reply != NULL) {
        made.signatures_ms = reply->signatures_ms;
        made.engine = hash_crc32c(0, reply->engine_version);
    }
    scan_stamp_write(&made, (char *)intake->stamp);
    intake->stamp_len = SCAN_STAMP_BYTES;
}

/* Infected: refused with what was found, or, when an administrator chose so and it is one part,
 * with that part replaced. */
static struct err infected(struct intake *intake, const struct scan_scan_reply *reply)
{
    const struct scan_finding *finding = reply->findings_count > 0 ? &reply->findings[0] : NULL;
    struct span name = finding != NULL ? finding->name : SPAN("");
    int n = snprintf(intake->why, sizeof(intake->why), "%.*s", (int)name.len,
                     name.len == 0 ? "" : name.ptr);
    intake->why_len = n < 0 ? 0 : (size_t)n < sizeof(intake->why) ? (size_t)n
                                                                  : sizeof(intake->why) - 1;
    bool one_part = reply->findings_count == 1 && finding->part.len > 0;
    if (!intake->services->remove_infected || intake->is_append || !one_part) {
        return err_make(ERR_INFECTED, "a virus was found");
    }
    char notice[256];
    n = snprintf(notice, sizeof(notice),
                 "A part of this message was removed by the mail server: it held %s.\r\n",
                 intake->why);
    intake->parts_removed = 1;
    stamp(intake, SCAN_VERDICT_CLEAN, SCAN_WHY_SCANNED, reply);
    TRY(arena_copy(&intake->arena, span_of(notice, (size_t)n), &intake->work.notice));
    return arena_copy(&intake->arena, finding->part, &intake->work.remove_part);
}

static void on_scanned(void *holder, struct err err, const struct scan_scan_reply *reply)
{
    struct intake *intake = holder;
    intake->scan_call = NULL;
    timer_stop(&intake->scan_timer);
    if (err.code == ERR_OK) {
        switch (reply->verdict) {
        case SCAN_VERDICT_CLEAN:
        case SCAN_VERDICT_UNCHECKABLE:
            stamp(intake, (uint8_t)reply->verdict, SCAN_WHY_SCANNED, reply);
            break;
        case SCAN_VERDICT_INFECTED:
            err = infected(intake, reply);
            break;
        default:
            err = err_make(ERR_TIMEOUT, "no verdict");
        }
    }
    flow_next(&intake->flow, err);
}

static void on_scan_late(void *holder)
{
    struct intake *intake = holder;
    scan_call_cancel(intake->scan_call);
    intake->scan_call = NULL;
    flow_next(&intake->flow, err_make(ERR_TIMEOUT, "no verdict in time"));
}

void intake_step_scan(struct flow *flow)
{
    struct intake *intake = (struct intake *)flow;
    const struct intake_services *services = intake->services;
    bool wanted = services->scan_enabled && (!intake->is_append || services->scan_append);
    if (intake->message.ours || !wanted) {
        stamp(intake, SCAN_VERDICT_NONE, intake->message.ours ? SCAN_WHY_OURS : SCAN_WHY_OFF, NULL);
        flow_next(flow, err_ok());
        return;
    }
    intake->scan_request =
        (struct scan_call_request){ .sender = intake->message.sender,
                                    .client_address = intake->message.client_ip };
    memcpy(intake->scan_request.trace_id, intake->message.trace_id, 16);
    struct err err = scan_call_start(services->scan, &intake->scan_request, intake->message.body,
                                     on_scanned, intake, &intake->scan_call);
    if (err.code != ERR_OK) {
        flow_next(flow, err);
        return;
    }
    timer_start(services->loop, &intake->scan_timer, services->scan_deadline_ms, on_scan_late,
                intake);
}

/* ---- facts and the stored body */

/* Whether the account of `end` gets the message by another one. */
static bool has_account(const struct intake *intake, const struct intake_end *end)
{
    for (size_t i = 0; i < intake->ends_count; i++) {
        const struct intake_end *other = &intake->ends[i];
        if (other->outside.len == 0 && other->target.account == end->target.account &&
            other->target.tenant == end->target.tenant) {
            return true;
        }
    }
    return false;
}

/* Mail that has been here for the same recipient, or often, is not sent on once more. */
static struct err unring(struct intake *intake)
{
    const struct trace_passes *passes = &intake->work.passes;
    size_t count = 0;
    for (size_t i = 0; i < intake->ends_count; i++) {
        struct intake_end end = intake->ends[i];
        bool was_here = passes->count >= INTAKE_OWN_HOPS_MAX || trace_was_for(passes, end.asked);
        if (!was_here) {
            /* It goes on. */
        } else if (end.is_by) {
            end.outside = SPAN("");
            end.is_by = false;
            if (has_account(intake, &end)) continue;
            intake->local_count++;
        } else if (end.is_of_domain) {
            return err_make(ERR_LOOP, "domain that forwards");
        }
        intake->ends[count++] = end;
    }
    intake->ends_count = count;
    return err_ok();
}

static void made(struct intake *intake)
{
    struct err err = intake->work.err;
    if (err.code == ERR_OK && intake->work.hops > INTAKE_HOPS_MAX && !intake->is_append) {
        err = err_make(ERR_LOOP, "hops");
    }
    if (err.code == ERR_OK) err = unring(intake);
    flow_next(&intake->flow, err);
}

static void make_run(struct crew_job *job)
{
    intake_work_run(LIST_ITEM(job, struct intake_work, job));
}

static void make_done(struct crew_job *job)
{
    struct intake_work *work = LIST_ITEM(job, struct intake_work, job);
    made(LIST_ITEM(work, struct intake, work));
}

void intake_step_make(struct flow *flow)
{
    struct intake *intake = (struct intake *)flow;
    struct intake_work *work = &intake->work;
    if (body_size(work->body) <= INTAKE_INLINE_MAX_BYTES) {
        intake_work_run(work);
        made(intake);
        return;
    }
    work->job = (struct crew_job){ .run = make_run, .done = make_done,
                                   .loop = intake->services->loop };
    struct err err = crew_run(intake->services->crew, &work->job);
    if (err.code != ERR_OK) flow_next(flow, err);
}

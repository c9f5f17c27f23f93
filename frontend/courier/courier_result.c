/* What an attempt came to: the plan, the report to the sender, the report to the shard, in this
 * order, so that a recipient has not ended before his sender's report is durable. */
#include <inttypes.h>
#include <stdio.h>

#include "body.h"
#include "check.h"
#include "clock.h"
#include "courier_dsn.h"
#include "courier_private.h"
#include "imap_date.h"
#include "loop.h"

enum {
    RESULT_POSTS_MAX = 4,         /* attempts to hand a report over, ... */
    RESULT_POST_AGAIN_MS = 1000,  /* ... after a wait that doubles */
    RESULT_LOCAL_FIRST_MS = 2000, /* a shard of ours is back sooner than another server */
    RESULT_LOCAL_MAX_MS = 60 * 1000,
    RESULT_DATE_BYTES = 48,
    RESULT_ID_BYTES = ID_TEXT_BYTES + COURIER_HOST_NAME_BYTES + 3,
};

/* Of a recipient, before the plan. */
struct courier_kept {
    bool dsn_delay_sent;
};

/* ---- plan */

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void result_tell(struct courier_entry *entry, size_t index)
{
    static const enum courier_event_kind kinds[] = {
        [STORE_RCPT_WAITING] = COURIER_EVENT_DEFERRED,
        [STORE_RCPT_DONE] = COURIER_EVENT_DELIVERED,
        [STORE_RCPT_FAILED] = COURIER_EVENT_FAILED,
        [STORE_RCPT_EXPIRED] = COURIER_EVENT_EXPIRED,
    };
    struct courier *courier = entry->courier;
    const struct store_queue_recipient *recipient = &entry->row.recipients[index];
    const struct courier_event event = {
        .kind = kinds[recipient->state],
        .id = entry->row.id,
        .trace_id = entry->row.trace_id,
        .sender = entry->row.sender,
        .recipient = recipient->address,
        .answer = recipient->answer,
        .attempts = recipient->attempts,
        .is_local = recipient->has_target,
    };
    switch (event.kind) {
    case COURIER_EVENT_DELIVERED: courier->counts.delivered++; break;
    case COURIER_EVENT_DEFERRED: courier->counts.deferred++; break;
    case COURIER_EVENT_FAILED:
    case COURIER_EVENT_EXPIRED: courier->counts.failed++; break;
    }
    if (courier->options.told != NULL) courier->options.told(courier->options.holder, &event);
}

static bool result_has_reports(const struct courier_entry *entry)
{
    for (size_t i = 0; i < entry->row.recipients_count; i++) {
        if (entry->reports[i] != COURIER_REPORT_NONE) return true;
    }
    return false;
}

void courier_step_plan(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    const struct courier_options *options = &entry->courier->options;
    size_t count = entry->row.recipients_count;
    const struct courier_retry retry = { .retry_first_ms = options->retry_first_ms,
                                         .retry_max_ms = options->retry_max_ms,
                                         .retry_percent = options->retry_percent,
                                         .warn_after_ms = options->warn_ms,
                                         .expire_after_ms = options->expire_ms };
    struct courier_retry local = retry;
    local.retry_first_ms = least(retry.retry_first_ms, RESULT_LOCAL_FIRST_MS);
    local.retry_max_ms = least(retry.retry_max_ms, RESULT_LOCAL_MAX_MS);
    local.warn_after_ms = 0;
    struct courier_attempt attempt = { .retry = &retry, .now_ms = clock_wall_ms(),
                                       .local_retry = &local };
    if (courier_is_lost(entry)) {
        flow_next(flow, err_make(ERR_CONFLICT, "lease"));
        return;
    }
    entry->kept = arena_alloc(&entry->arena, count * sizeof(*entry->kept));
    if (entry->kept == NULL) {
        flow_next(flow, err_make(ERR_NOMEM, "plan"));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        entry->kept[i].dsn_delay_sent = entry->row.recipients[i].dsn_delay_sent;
    }
    id_random(&attempt.random, sizeof(attempt.random));
    entry->all_ended = courier_plan(&attempt, &entry->row, entry->outcomes, entry->reports);
    for (size_t i = 0; i < count; i++) {
        if (entry->outcomes[i].kind != COURIER_NOT_TRIED) result_tell(entry, i);
    }
    if (result_has_reports(entry)) {
        courier_entry_unpack(entry);
    } else {
        flow_next(flow, err_ok());
    }
}

/* ---- the report to the sender */

/* date-time of RFC 5322 3.3, in UTC. */
static struct span result_date(uint64_t wall_ms, char text[RESULT_DATE_BYTES])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 was a Thursday */
    uint64_t seconds = wall_ms / 1000;
    struct imap_day day = imap_day_of(seconds / 86400);
    unsigned second = (unsigned)(seconds % 86400);
    int len = snprintf(text, RESULT_DATE_BYTES, "%.3s, %u %.3s %04u %02u:%02u:%02u +0000",
                       days + seconds / 86400 % 7 * 3, day.day,
                       imap_month_names + (day.month - 1) * 3, day.year, second / 3600,
                       second / 60 % 60, second % 60);
    return span_of(text, (size_t)len);
}

/* Without the message (it can't be read) the report goes without it. */
static struct err result_original(struct courier_entry *entry)
{
    if (entry->body != NULL) return err_ok();
    TRY(body_new(entry->courier->options.budget, &entry->body));
    return body_seal(entry->body);
}

static struct err result_write(struct courier_entry *entry)
{
    const struct courier_options *options = &entry->courier->options;
    char date[RESULT_DATE_BYTES], arrival[RESULT_DATE_BYTES], boundary[ID_TEXT_BYTES];
    char id[RESULT_ID_BYTES];
    uint8_t random[ID_BYTES];
    TRY(result_original(entry));
    id_random(random, sizeof(random));
    id_hex(random, sizeof(random), boundary);
    int id_len = snprintf(id, sizeof(id), "<%.*s@%.*s>", ID_TEXT_BYTES, boundary,
                          (int)options->hostname.len, options->hostname.ptr);
    const struct courier_dsn dsn = {
        .entry = &entry->row,
        .reports = entry->reports,
        .hostname = options->hostname,
        .date = result_date(clock_wall_ms(), date),
        .arrival_date = result_date(entry->row.created_ms, arrival),
        .message_id = span_of(id, (size_t)id_len),
        .boundary = span_of(boundary, sizeof(boundary)),
        .original = entry->body,
    };
    TRY(body_new(options->budget, &entry->post_body));
    TRY(courier_dsn_write(&dsn, entry->post_body));
    return body_seal(entry->post_body);
}

/* Those whose end could not be told wait on: their next attempt ends the same way, and is told
 * then. Who has the mail keeps it, untold. */
static void result_take_back(struct courier_entry *entry)
{
    const struct courier_options *options = &entry->courier->options;
    uint64_t due_ms = clock_wall_ms() + least(options->retry_first_ms, RESULT_LOCAL_MAX_MS);
    for (size_t i = 0; i < entry->row.recipients_count; i++) {
        struct store_queue_recipient *recipient = &entry->row.recipients[i];
        if (entry->reports[i] == COURIER_REPORT_NONE) continue;
        if (recipient->state == STORE_RCPT_DONE) continue;
        recipient->state = STORE_RCPT_WAITING;
        recipient->dsn_delay_sent = entry->kept[i].dsn_delay_sent;
        recipient->due_ms = due_ms;
        if (entry->all_ended || due_ms < entry->row.due_ms) entry->row.due_ms = due_ms;
        entry->all_ended = false;
    }
}

static void result_post(void *holder);

static void on_posted(void *holder, struct err err)
{
    struct courier_entry *entry = holder;
    bool is_done = err.code == ERR_OK || err_class(err) == ERR_PERMANENT;
    if (is_done) {
        entry->courier->counts.bounced++;
        flow_next(&entry->flow, err_ok());
        return;
    }
    if (++entry->posts < RESULT_POSTS_MAX && !entry->courier->stopping) {
        timer_start(entry->courier->options.loop, &entry->post_timer,
                    (uint64_t)RESULT_POST_AGAIN_MS << (entry->posts - 1), result_post, entry);
        return;
    }
    result_take_back(entry);
    flow_next(&entry->flow, err_ok());
}

static void result_post(void *holder)
{
    struct courier_entry *entry = holder;
    const struct courier_options *options = &entry->courier->options;
    const struct courier_post post = {
        .recipient = entry->row.sender,
        .message = entry->post_body,
        .trace_id = entry->row.trace_id,
        .smtputf8 = entry->row.smtputf8,
        .body_8bit = entry->row.body_8bit,
    };
    options->post(options->holder, &post, on_posted, entry);
}

void courier_step_post(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    if (!result_has_reports(entry)) {
        flow_next(flow, err_ok());
        return;
    }
    if (result_write(entry).code != ERR_OK) {
        result_take_back(entry);
        flow_next(flow, err_ok());
        return;
    }
    result_post(entry);
}

/* ---- the report to the shard */

static void on_report_reply(void *holder, struct route_call *call, const void *message)
{
    (void)holder;
    (void)call;
    (void)message;
}

static void on_report_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct courier_entry *entry = holder;
    (void)call;
    (void)info;
    entry->call = NULL;
    /* CONFLICT: somebody else has the entry now, and knows better. */
    flow_next(&entry->flow, err);
}

void courier_step_report(struct flow *flow)
{
    static const struct route_call_user user = { NULL, on_report_reply, on_report_done };
    struct courier_entry *entry = courier_entry_of(flow);
    struct store_queue_report_request *request = &entry->request.report;
    *request = (struct store_queue_report_request){
        .operation_id = courier_operation(entry->operation),
        .has_entry = true,
        .remove = entry->all_ended,
        .entry = { .id = entry->row.id, .slot = entry->row.slot, .version = entry->row.version },
    };
    if (!entry->all_ended) {
        request->entry = entry->row;
        /* The shard keeps these as they are. */
        request->entry.facts = request->entry.scan_stamp = SPAN("");
        request->entry.lease_owner = SPAN("");
        request->entry.lease_until_ms = 0;
    }
    struct route_call_options options = { .slot = entry->row.slot,
                                          .deadline_ms = COURIER_REPORT_MS };
    if (entry->row.trace_id.len == ID_BYTES) {
        options.trace_id = (const uint8_t *)entry->row.trace_id.ptr;
    }
    struct err err = route_call_start(entry->courier->options.route,
                                      store_method_find(STORE_METHOD_QUEUE_REPORT), request,
                                      &options, &user, entry, &entry->call);
    if (err.code != ERR_OK) flow_next(flow, err);
}

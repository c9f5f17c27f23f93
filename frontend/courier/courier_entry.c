/* The way of one entry. A lease that was lost ends it at the next step, without a report: somebody
 * else works on it then. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "check.h"
#include "clock.h"
#include "courier_private.h"
#include "loop.h"
#include "place_address.h"
#include "proto_message.h"
#include "stored_body.h"

/* ---- life */

struct err courier_entry_new(struct courier *courier, const struct store_queue_entry *row,
                             struct courier_entry **ret)
{
    struct span packed;
    if (map_get(&courier->by_id, row->id) != NULL) return err_make(ERR_EXISTS, "queue entry");
    struct courier_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) return err_make(ERR_NOMEM, "queue entry");
    entry->courier = courier;
    list_init(&entry->link);
    arena_init(&entry->arena, COURIER_ENTRY_MAX_BYTES);
    /* The one copy that can't miss a field is by way of the wire. */
    struct err err = proto_pack(&store_queue_entry_type, row, &entry->arena, &packed);
    if (err.code == ERR_OK) {
        err = proto_unpack(&store_queue_entry_type, packed, &entry->arena, &entry->row);
    }
    size_t count = row->recipients_count;
    if (err.code == ERR_OK && count == 0) err = err_make(ERR_SYNTAX, "queue entry for nobody");
    if (err.code == ERR_OK) {
        entry->recipients = arena_alloc(&entry->arena, count * sizeof(*entry->recipients));
        entry->outcomes = arena_alloc(&entry->arena, count * sizeof(*entry->outcomes));
        entry->reports = arena_alloc(&entry->arena, count * sizeof(*entry->reports));
        bool is_short = entry->recipients == NULL || entry->outcomes == NULL ||
                        entry->reports == NULL;
        if (is_short) err = err_make(ERR_NOMEM, "queue entry");
    }
    if (err.code == ERR_OK) err = map_put(&courier->by_id, entry->row.id, entry);
    if (err.code != ERR_OK) {
        arena_clear(&entry->arena);
        free(entry);
        return err;
    }
    *ret = entry;
    return err_ok();
}

void courier_entry_free(struct courier_entry *entry)
{
    CHECK(entry->groups_open == 0 && entry->call == NULL && entry->lease.call == NULL);
    list_remove(&entry->link);
    (void)map_remove(&entry->courier->by_id, entry->row.id);
    body_unref(entry->stored);
    body_unref(entry->body);
    body_unref(entry->post_body);
    arena_clear(&entry->arena);
    free(entry);
}

/* With an error the row stays as it is, and is leased again in its time. */
static void entry_finish(struct flow *flow, struct err err)
{
    struct courier_entry *entry = courier_entry_of(flow);
    struct courier *courier = entry->courier;
    (void)err;
    timer_stop(&entry->lease.timer);
    if (entry->lease.call != NULL) { /* its done() comes back here */
        entry->is_finished = true;
        route_call_cancel(entry->lease.call);
        return;
    }
    courier->entries_count--;
    courier_entry_free(entry);
    courier_look_later(courier);
}

void courier_entry_finish(struct courier_entry *entry) { entry_finish(&entry->flow, err_ok()); }

bool courier_is_lost(const struct courier_entry *entry) { return entry->lease.is_lost; }

/* ---- outcomes */

bool courier_entry_waits(const struct courier_entry *entry, bool is_local)
{
    for (size_t i = 0; i < entry->row.recipients_count; i++) {
        const struct store_queue_recipient *recipient = &entry->row.recipients[i];
        if (entry->recipients[i].is_due && recipient->has_target == is_local) return true;
    }
    return false;
}

void courier_outcome_set(struct courier_entry *entry, size_t at, enum courier_outcome_kind kind,
                         struct span answer)
{
    struct span kept = SPAN("");
    /* Answers to many recipients are mostly the same. */
    struct span last = at > 0 ? entry->outcomes[at - 1].answer : SPAN("");
    answer = span_head(answer, COURIER_ANSWER_MAX_BYTES);
    if (span_eq(last, answer)) {
        kept = last;
    } else if (arena_copy(&entry->arena, answer, &kept).code != ERR_OK) {
        kept = SPAN("451 4.3.0 Out of memory");
    }
    entry->outcomes[at].kind = kind;
    entry->outcomes[at].answer = kept;
}

/* ---- the steps */

/* Which recipients are tried. A shard's clock may be ahead of ours: what it found due is. */
static void entry_step_begin(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    uint64_t now_ms = clock_wall_ms();
    if (entry->row.due_ms > now_ms) now_ms = entry->row.due_ms;
    for (size_t i = 0; i < entry->row.recipients_count; i++) {
        const struct store_queue_recipient *recipient = &entry->row.recipients[i];
        entry->recipients[i].is_due = recipient->state == STORE_RCPT_WAITING &&
                                      recipient->due_ms <= now_ms + COURIER_TOGETHER_MS;
    }
    flow_next(flow, err_ok());
}

static void on_body_data(void *holder, struct route_call *call, struct span bytes)
{
    struct courier_entry *entry = holder;
    if (entry->job_err.code == ERR_OK) entry->job_err = body_put(entry->stored, bytes);
    route_call_took(call, bytes.len);
}

static void on_body_reply(void *holder, struct route_call *call, const void *message)
{
    struct courier_entry *entry = holder;
    const struct store_queue_body_reply *reply = message;
    (void)call;
    if (entry->job_err.code == ERR_OK && reply->bytes != body_size(entry->stored)) {
        entry->job_err = err_make(ERR_CORRUPT, "length of a queued body");
    }
}

/* A body that can't be had defers everyone, so that the entry does not come back at once; only one
 * that is not there any more leaves nothing to do. */
static void entry_defer_all(struct courier_entry *entry)
{
    for (size_t i = 0; i < entry->row.recipients_count; i++) {
        if (!entry->recipients[i].is_due) continue;
        courier_outcome_set(entry, i, COURIER_DEFERRED,
                            SPAN("451 4.3.0 The message can't be read for now"));
        entry->recipients[i].is_due = false;
    }
}

static void on_body_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct courier_entry *entry = holder;
    (void)call;
    (void)info;
    entry->call = NULL;
    if (err.code == ERR_NOT_FOUND) {
        flow_next(&entry->flow, err);
        return;
    }
    if (err.code == ERR_OK) err = entry->job_err;
    if (err.code == ERR_OK) err = body_seal(entry->stored);
    if (err.code != ERR_OK) {
        body_unref(entry->stored);
        entry->stored = NULL;
        entry_defer_all(entry);
    }
    flow_next(&entry->flow, err_ok());
}

static void entry_step_body(struct flow *flow)
{
    static const struct route_call_user user = { on_body_data, on_body_reply, on_body_done };
    struct courier_entry *entry = courier_entry_of(flow);
    if (entry->stored != NULL) {
        flow_next(flow, err_ok());
        return;
    }
    entry->request.body = (struct store_queue_body_request){ .slot = entry->row.slot,
                                                             .id = entry->row.id };
    struct route_call_options options = { .slot = entry->row.slot, .deadline_ms = COURIER_CALL_MS };
    if (entry->row.trace_id.len == ID_BYTES) {
        options.trace_id = (const uint8_t *)entry->row.trace_id.ptr;
    }
    entry->job_err = err_ok();
    struct err err = body_new(entry->courier->options.budget, &entry->stored);
    if (err.code == ERR_OK) {
        err = route_call_start(entry->courier->options.route,
                               store_method_find(STORE_METHOD_QUEUE_BODY), &entry->request.body,
                               &options, &user, entry, &entry->call);
    }
    if (err.code == ERR_OK) return;
    body_unref(entry->stored);
    entry->stored = NULL;
    entry_defer_all(entry);
    flow_next(flow, err_ok());
}

/* ---- unpacking */

/* One piece of memory with all of the body: its own, or `*made`, which the caller frees. */
static struct err stored_whole(const struct body *stored, char **made, struct span *ret)
{
    *made = NULL;
    if (body_whole(stored, ret)) return err_ok();
    size_t size = (size_t)body_size(stored);
    *made = malloc(size + 1);
    if (*made == NULL) return err_make(ERR_NOMEM, "stored body");
    *ret = span_of(*made, body_copy(stored, 0, *made, size));
    return err_ok();
}

/* What goes to another server: without the Return-Path that intake put first, which only the server
 * of the mailbox may write (RFC 5321 section 4.4). */
static struct span without_return_path(struct span message)
{
    const struct span name = SPAN("Return-Path:");
    if (!span_eq_nocase(span_head(message, name.len), name)) return message;
    const char *end = memchr(message.ptr, '\n', message.len);
    if (end == NULL) return message;
    return span_skip(message, (size_t)(end - message.ptr) + 1);
}

static struct err put_message(const struct courier_entry *entry, struct span message,
                              struct body *to)
{
    char *made;
    size_t len = 0;
    message = without_return_path(message);
    TRY(mime_footer_add(message, &entry->footer, &made, &len));
    struct err err = body_put(to, made != NULL ? span_of(made, len) : message);
    free(made);
    return err;
}

static struct err unpack_into(const struct courier_entry *entry, struct span stored,
                              struct body *to)
{
    struct span plain;
    uint64_t length;
    TRY(stored_body_length(stored, &length));
    if (stored_body_is_plain(stored, &plain)) return put_message(entry, plain, to);
    char *bytes = malloc((size_t)length + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "body");
    struct err err = stored_body_open(stored, bytes, length);
    if (err.code == ERR_OK) err = put_message(entry, span_of(bytes, (size_t)length), to);
    free(bytes);
    return err;
}

/* On the loop, or on the crew's thread. */
static void unpack_run(struct crew_job *job)
{
    struct courier_entry *entry = LIST_ITEM(job, struct courier_entry, job);
    char *made = NULL;
    struct span stored;
    struct body *body = NULL;
    struct err err = stored_whole(entry->stored, &made, &stored);
    if (err.code == ERR_OK) err = body_new(entry->courier->options.budget, &body);
    if (err.code == ERR_OK) err = unpack_into(entry, stored, body);
    if (err.code == ERR_OK) err = body_seal(body);
    if (err.code == ERR_OK) {
        entry->body = body;
    } else {
        body_unref(body);
    }
    free(made);
    entry->job_err = err;
}

static void unpack_done(struct crew_job *job)
{
    struct courier_entry *entry = LIST_ITEM(job, struct courier_entry, job);
    if (entry->body == NULL) entry_defer_all(entry);
    flow_next(&entry->flow, err_ok());
}

void courier_entry_unpack(struct courier_entry *entry)
{
    uint64_t length = entry->row.size; /* of the body unpacked, or 0: not said */
    if (entry->body != NULL || entry->stored == NULL) {
        flow_next(&entry->flow, err_ok());
        return;
    }
    entry->job.run = unpack_run;
    entry->job.done = unpack_done;
    entry->job.loop = entry->courier->options.loop;
    bool is_small = length <= COURIER_INLINE_MAX_BYTES &&
                    body_size(entry->stored) <= COURIER_INLINE_MAX_BYTES;
    if (!is_small && crew_run(entry->courier->options.crew, &entry->job).code == ERR_OK) return;
    if (is_small) unpack_run(&entry->job); /* else BUSY: deferred */
    unpack_done(&entry->job);
}

/* What the domain of the sender puts below its mail. */
static struct err entry_footer(struct courier_entry *entry)
{
    const struct courier_options *options = &entry->courier->options;
    struct span local, domain;
    struct mime_footer footer;
    char bytes[PLACE_DOMAIN_MAX_BYTES];
    struct buf canonical;
    if (options->footer_of == NULL || entry->row.sender.len == 0) return err_ok();
    if (!place_address_split(entry->row.sender, &local, &domain)) return err_ok();
    buf_init(&canonical, bytes, sizeof(bytes));
    if (place_domain(domain, &canonical).code != ERR_OK || canonical.overflow) return err_ok();
    if (!options->footer_of(options->holder, buf_span(&canonical), &footer)) return err_ok();
    TRY(arena_copy(&entry->arena, footer.text, &entry->footer.text));
    return arena_copy(&entry->arena, footer.html, &entry->footer.html);
}

/* For those who are sent to by SMTP. */
static void entry_step_unpack(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    bool is_over = courier_is_lost(entry) || entry->courier->stopping;
    if (is_over || !courier_entry_waits(entry, false)) {
        flow_next(flow, courier_is_lost(entry) ? err_make(ERR_CONFLICT, "lease") : err_ok());
        return;
    }
    struct err err = entry_footer(entry);
    if (err.code == ERR_OK) courier_entry_unpack(entry);
    else flow_next(flow, err);
}

static const struct flow_step entry_steps[] = {
    { "begin", entry_step_begin },
    { "read body", entry_step_body },
    { "deliver here", courier_step_local },
    { "hold the lease", courier_step_lease },
    { "unpack", entry_step_unpack },
    { "send elsewhere", courier_step_remote },
    { "plan", courier_step_plan },
    { "tell the sender", courier_step_post },
    { "let the lease rest", courier_step_lease_rest },
    { "report", courier_step_report },
    { NULL, NULL },
};

void courier_entry_go(struct courier_entry *entry)
{
    struct later_queue *later = loop_later(entry->courier->options.loop);
    flow_start(&entry->flow, later, entry_steps, entry_finish);
}

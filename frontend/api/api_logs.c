/* The newest events of a log, of all programs of the cluster.
 *
 *   GET /api/v1/logs/NAME?lines=&filter=&after=&wait=
 *     {"items": [event ...], "next": cursor, "missed": bool,
 *      "unreachable": [{"program", "why"} ...]}
 *
 * Each program keeps its newest lines in memory (lib/log) and gives them out to frontends at the
 * address in its row (lib/admin_serve). The cursor, {kind/name=number,...}, says how far each was
 * read; behind one, all newer events are given, and `wait` seconds are waited for some. `missed`: a
 * program had more than it keeps. Who may see which event: api_logs_show.c. */
#include <stdlib.h>
#include <string.h>

#include "api_logs_private.h"
#include "buf.h"
#include "coord.h"
#include "log_line.h"

static const char names[] =
    "config, debug, error, mail, operations, security, spam and warning";

void api_logs_free(struct api_logs *logs)
{
    if (logs == NULL) return;
    if (logs->is_tail) logs->call->api->tails--;
    timer_stop(&logs->again);
    admin_call_free(logs->asked);
    json_decref(logs->events);
    json_decref(logs->unreachable);
    free(logs);
}

/* ---- the cursor */

static struct api_log_source *source_named(struct api_logs *logs, struct span name)
{
    for (size_t i = 0; i < logs->sources_count; i++) {
        struct api_log_source *source = &logs->sources[i];
        if (span_eq(name, span_of(source->name, strlen(source->name)))) return source;
    }
    if (logs->sources_count == API_LOGS_SOURCES_MAX || name.len > API_LOGS_SOURCE_BYTES) {
        return NULL;
    }
    struct api_log_source *source = &logs->sources[logs->sources_count++];
    memcpy(source->name, name.ptr, name.len);
    return source;
}

static bool read_cursor(struct api_logs *logs, struct span cursor)
{
    while (cursor.len > 0) {
        struct span item = cursor, rest = SPAN(""), name, number;
        span_cut(cursor, ',', &item, &rest);
        cursor = rest;
        uint64_t after = 0;
        if (!span_cut(item, '=', &name, &number)) return false;
        if (number.len == 0 || number.len > 18) return false;
        for (size_t i = 0; i < number.len; i++) {
            if (number.ptr[i] < '0' || number.ptr[i] > '9') return false;
            after = after * 10 + (uint64_t)(number.ptr[i] - '0');
        }
        struct api_log_source *source = source_named(logs, name);
        if (source == NULL) return false;
        source->after = after;
    }
    return true;
}

static json_t *cursor_text(const struct api_logs *logs)
{
    char text[API_LOGS_SOURCES_MAX * (API_LOGS_SOURCE_BYTES + 24)];
    size_t at = 0;
    for (size_t i = 0; i < logs->sources_count; i++) {
        const struct api_log_source *source = &logs->sources[i];
        if (source->after == 0) continue;
        int len = snprintf(text + at, sizeof(text) - at, "%s%s=%llu", at > 0 ? "," : "",
                           source->name, (unsigned long long)source->after);
        at += len > 0 ? (size_t)len : 0;
    }
    return api_json_text(span_of(text, at));
}

/* ---- whom to ask */

static void unreachable(struct api_logs *logs, const char *program, const char *why)
{
    json_array_append_new(logs->unreachable,
                          json_pack("{s:s, s:s}", "program", program, "why", why));
}

static void on_program(void *holder, const struct coord_row *row)
{
    struct api_logs *logs = holder;
    struct roster_program program;
    struct roster_name name;
    enum roster_kind kind;
    char text[API_LOGS_SOURCE_BYTES + 1];
    if (roster_key_read_program(row->key, &kind, &name).code != ERR_OK ||
        roster_program_read(row->value, &program).code != ERR_OK) {
        return;
    }
    snprintf(text, sizeof(text), "%s/%.*s", roster_kind_text(kind), name.len, name.text);
    struct api_log_source *source = source_named(logs, span_of(text, strlen(text)));
    if (source == NULL) {
        logs->left_out++;
        return;
    }
    if (source->own) return;
    source->there = true;
    source->target = (struct admin_call_target){ .kind = kind };
    memcpy(source->target.address, program.admin, program.admin_len);
}

static void find_sources(struct api_logs *logs)
{
    const struct api_options *options = &logs->call->api->options;
    char text[API_LOGS_SOURCE_BYTES + 1];
    logs->left_out = 0;
    for (size_t i = 0; i < logs->sources_count; i++) logs->sources[i].there = false;
    snprintf(text, sizeof(text), "frontend/%.*s", ROSTER_NAME_MAX_BYTES,
             options->name != NULL ? options->name : "frontend");
    struct api_log_source *own = source_named(logs, span_of(text, strlen(text)));
    if (own != NULL) own->own = own->there = true;
    coord_list(options->coord, SPAN("programs/"), on_program, logs);
}

/* ---- answers */

/* {"events": [...], "missed": ..., "next": ...} of log_recent_put(). False: not that. */
static bool take_events(struct api_logs *logs, struct api_log_source *source, struct span body)
{
    json_t *json = json_loadb(body.ptr, body.len, 0, NULL), *event;
    json_t *next = json_object_get(json, "next"), *events = json_object_get(json, "events");
    bool good = json_is_integer(next) && json_integer_value(next) >= 0 && json_is_array(events);
    size_t i;
    if (good) {
        source->after = (uint64_t)json_integer_value(next);
        logs->missed = logs->missed || json_is_true(json_object_get(json, "missed"));
    }
    if (good) {
        json_array_foreach(events, i, event) {
            if (!json_is_object(event) || !api_logs_shows(logs, event)) continue;
            json_array_append(logs->events, event);
        }
    }
    json_decref(json);
    return good;
}

static void take_own(struct api_logs *logs, struct api_log_source *source)
{
    const struct log_recent ask = { logs->name, source->after, LOG_RECENT_LINES_MAX };
    struct buf body;
    char *bytes = malloc(ADMIN_CALL_REPLY_MAX_BYTES);
    if (bytes == NULL) {
        unreachable(logs, source->name, "out of memory");
        return;
    }
    buf_init(&body, bytes, ADMIN_CALL_REPLY_MAX_BYTES);
    log_recent_put(&ask, &body);
    (void)take_events(logs, source, buf_span(&body));
    free(bytes);
}

static void ask_all(struct api_logs *logs);

static void on_again(void *holder) { ask_all(holder); }

static void answer(struct api_logs *logs)
{
    struct api_call *call = logs->call;
    api_logs_sort(logs);
    call->out = json_object();
    api_set(call->out, "items", json_incref(logs->events));
    api_set(call->out, "next", cursor_text(logs));
    api_set(call->out, "missed", json_boolean(logs->missed));
    api_set(call->out, "unreachable", json_incref(logs->unreachable));
    flow_next(&call->flow, err_ok());
}

static void on_asked(void *holder)
{
    struct api_logs *logs = holder;
    struct loop *loop = logs->call->api->options.loop;
    size_t target = 0;
    json_array_clear(logs->unreachable);
    for (size_t i = 0; i < logs->sources_count; i++) {
        struct api_log_source *source = &logs->sources[i];
        if (source->own) take_own(logs, source);
        if (source->own || !source->there) continue;
        struct admin_call_answer got = admin_call_answer(logs->asked, target++);
        if (got.why != NULL) unreachable(logs, source->name, got.why);
        else if (!take_events(logs, source, got.events)) {
            unreachable(logs, source->name, "its answer is none");
        }
    }
    admin_call_free(logs->asked);
    logs->asked = NULL;
    if (logs->left_out > 0) unreachable(logs, "others", "more programs than are asked");
    if (json_array_size(logs->events) == 0 && loop_now_ms(loop) < logs->until_ms) {
        timer_start(loop, &logs->again, API_LOGS_AGAIN_MS, on_again, logs);
        return;
    }
    answer(logs);
}

static void ask_all(struct api_logs *logs)
{
    struct api_call *call = logs->call;
    struct admin_call_target *targets = calloc(API_LOGS_SOURCES_MAX, sizeof(*targets));
    struct err err = err_make(ERR_NOMEM, "programs");
    size_t count = 0;
    find_sources(logs);
    for (size_t i = 0; targets != NULL && i < logs->sources_count; i++) {
        struct api_log_source *source = &logs->sources[i];
        if (source->own || !source->there) continue;
        targets[count] = source->target;
        targets[count++].after = source->after;
    }
    if (targets != NULL) {
        const char *name = log_name_text(logs->name);
        const struct admin_call_ask ask = { .log = span_of(name, strlen(name)),
                                            .lines = LOG_RECENT_LINES_MAX, .targets = targets,
                                            .count = count, .done = on_asked, .holder = logs };
        err = admin_call_logs(call->api->programs, &ask, &logs->asked);
    }
    free(targets);
    if (err.code != ERR_OK) api_fail(call, err);
}

/* ---- the beginning */

static bool read_request(struct api_logs *logs, struct api_call *call)
{
    static const uint64_t lines[2] = { 1, LOG_RECENT_LINES_MAX },
                          waits[2] = { 0, API_LOGS_WAIT_MAX_S };
    struct span after = api_query(call, "after");
    uint64_t wait_s = 0;
    logs->lines = API_LIST_DEFAULT;
    if (!log_name_read(call->argument, &logs->name)) {
        api_refuse(call, 404, "Not found", "no log %.*s; there are %s",
                   (int)span_head(call->argument, 64).len, call->argument.ptr, names);
        return false;
    }
    if (!api_query_number(call, "lines", lines, &logs->lines) ||
        !api_query_number(call, "wait", waits, &wait_s)) {
        return false;
    }
    if (!api_logs_filter(logs, api_query(call, "filter"))) {
        api_refuse(call, 400, "Bad parameter", "filter: at most %d words and %d bytes",
                   API_LOGS_WORDS_MAX, API_LOGS_FILTER_MAX_BYTES);
        return false;
    }
    if (!read_cursor(logs, after)) {
        api_refuse(call, 400, "Bad parameter", "after: what an answer has as \"next\"");
        return false;
    }
    logs->goes_on = after.len > 0;
    logs->until_ms = loop_now_ms(call->api->options.loop) + wait_s * 1000;
    logs->is_tail = wait_s > 0 && call->api->tails < API_LOGS_TAILS_MAX;
    if (wait_s > 0 && !logs->is_tail) {
        api_refuse(call, 503, "Too much at once", "at most %d calls wait for events",
                   API_LOGS_TAILS_MAX);
        return false;
    }
    if (logs->is_tail) call->api->tails++;
    return true;
}

static void logs_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct api_logs *logs = calloc(1, sizeof(*logs));
    if (logs == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "logs"));
        return;
    }
    call->logs = logs;
    logs->call = call;
    logs->events = json_array();
    logs->unreachable = json_array();
    if (read_request(logs, call)) ask_all(logs);
}
const struct flow_step api_logs[] = { { "logs", logs_step }, { NULL, NULL } };

/* The rows of an import under way, and the answer. */
#include "api_import_private.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1000, ROWS_AT_ONCE = 64, TRIES_MAX = 5, MEMBER_BYTES = 32 };

struct api_import {
    struct api_call *call;
    const struct api_import_kind *kind;
    json_t *rows;           /* of the request */
    json_t *results;        /* in their order */
    size_t next, under_way;
    unsigned made, unchanged, refused, failed;
};

struct api_row *api_row_of(struct flow *flow) { return (struct api_row *)(void *)flow; }

void api_row_go(struct flow *flow, const struct flow_step *steps)
{
    flow->steps = steps;
    flow_next(flow, err_ok());
}

void api_row_again(struct flow *flow, const struct flow_step *steps)
{
    struct api_row *row = api_row_of(flow);
    if (++row->tries < TRIES_MAX) api_row_go(flow, steps);
    else api_refuse(&row->call, 503, "Not available now", "others change the same at this moment");
}

/* Whether it is a row at all. */
static void row_look_at(struct flow *flow)
{
    const struct api_import_kind *kind = api_row_of(flow)->import->kind;
    struct api_call *call = api_of(flow);
    char detail[API_DETAIL_BYTES];
    if (!json_is_object(call->in)) {
        api_refuse(call, 400, "Bad value", "%s: an array of objects", kind->array);
    } else if (!api_members_are_known(call->in, kind->members, detail)) {
        api_refuse(call, 400, "Bad value", "%s", detail);
    } else {
        api_row_go(flow, kind->steps);
    }
}

static const struct flow_step begin_steps[] = { { "look at", row_look_at }, { NULL, NULL } };

static void import_more(struct api_import *import);

/* The member that a refusal begins with: "quota_bytes: a number from 0". */
static void member_of(const struct api_import *import, const char *detail,
                      char member[MEMBER_BYTES])
{
    size_t len = strcspn(detail, ":");
    bool is_name = detail[len] == ':' && len < MEMBER_BYTES &&
                   strspn(detail, "abcdefghijklmnopqrstuvwxyz_") == len;
    if (!is_name) detail = import->kind->name;
    snprintf(member, MEMBER_BYTES, "%.*s", is_name ? (int)len : MEMBER_BYTES, detail);
}

static json_t *row_result(struct api_row *row, struct err err)
{
    const struct api_call *call = &row->call;
    struct api_import *import = row->import;
    char member[MEMBER_BYTES];
    json_t *result = json_object();
    if (err.code == ERR_OK) {
        (*(row->is_there ? &import->unchanged : &import->made))++;
        api_set(result, "result", json_string(row->is_there ? "unchanged" : "made"));
        return result;
    }
    unsigned status = call->status < 400 ? 503 : call->status;
    (*(status >= 500 ? &import->failed : &import->refused))++;
    member_of(import, call->detail, member);
    api_set(result, "result", json_string(status >= 500 ? "failed" : "refused"));
    api_set(result, "status", json_integer((json_int_t)status));
    api_set(result, "member", json_string(member));
    api_set_text(result, "detail", span_of(call->detail, strlen(call->detail)));
    return result;
}

static void row_finish(struct flow *flow, struct err err)
{
    struct api_row *row = api_row_of(flow);
    struct api_import *import = row->import;
    struct api_call *call = &row->call;
    json_array_set_new(import->results, row->index, row_result(row, err));
    json_decref(call->in);
    json_decref(call->out);
    json_decref(call->row);
    directory_unref(call->directory);
    arena_clear(&call->arena);
    free(row);
    import->under_way--;
    import_more(import);
    if (import->under_way == 0) flow_next(&import->call->flow, err_ok());
}

static bool row_begin(struct api_import *import, size_t index)
{
    const struct api_call *parent = import->call;
    struct api_row *row = calloc(1, sizeof(*row));
    if (row == NULL) return false;
    struct api_call *call = &row->call;
    row->import = import;
    row->index = index;
    call->api = parent->api;
    call->request = parent->request;
    call->in = json_incref(json_array_get(import->rows, index));
    call->token = parent->token;
    call->tenant = parent->tenant;
    call->status = 200;
    call->is_row = true;
    arena_init(&call->arena, API_ARENA_MAX_BYTES);
    import->under_way++;
    flow_start(&call->flow, loop_later(call->api->options.loop), begin_steps, row_finish);
    return true;
}

/* What there is no memory for stays without an answer, which is shown as failed. */
static void import_more(struct api_import *import)
{
    size_t count = json_array_size(import->rows);
    while (import->under_way < ROWS_AT_ONCE && import->next < count) {
        if (!row_begin(import, import->next)) break;
        import->next++;
    }
}

void api_import_begin(struct api_call *call, const struct api_import_kind *kind)
{
    json_t *rows = json_object_get(call->in, kind->array);
    size_t count = json_array_size(rows);
    if (!json_is_array(rows) || count == 0 || count > ROWS_MAX) {
        api_refuse(call, 400, "Bad value", "%s: an array of 1 to %d objects", kind->array,
                   ROWS_MAX);
        return;
    }
    struct api_import *import = arena_alloc(&call->arena, sizeof(*import));
    json_t *results = json_array();
    call->out = json_object();
    api_set(call->out, "rows", results);
    for (size_t i = 0; i < count; i++) json_array_append_new(results, json_null());
    if (import == NULL || json_array_size(results) != count) {
        api_fail(call, err_make(ERR_NOMEM, "import"));
        return;
    }
    *import = (struct api_import){ .call = call, .kind = kind, .rows = rows, .results = results };
    call->import = import;
    import_more(import);
    if (import->under_way == 0) api_fail(call, err_make(ERR_NOMEM, "import"));
}

void api_import_audit(struct flow *flow)
{
    if (api_of(flow)->import->made > 0) api_audit(flow);
    else flow_next(flow, err_ok());
}

void api_import_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct api_import *import = call->import;
    unsigned left = (unsigned)(json_array_size(import->rows) - import->next);
    api_set(call->out, "made", json_integer(import->made));
    api_set(call->out, "unchanged", json_integer(import->unchanged));
    api_set(call->out, "refused", json_integer(import->refused));
    api_set(call->out, "failed", json_integer(import->failed + left));
    flow_next(flow, err_ok());
}

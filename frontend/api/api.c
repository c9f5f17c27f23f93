#include "api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "admin_call.h"
#include "api_state_private.h"
#include "api_users_private.h"
#include "check.h"
#include "directory.h"
#include "utf8.h"

enum { MEMBERS_BYTES = 1024 };

/* ---- the table of routes */

#define API_ROUTE(method, path, handler, role, members, text) \
    extern const struct flow_step api_##handler[];
#include "api_routes.def"
#undef API_ROUTE

const struct api_route api_routes[] = {
#define API_ROUTE(method, path, handler, role, members, text) \
    { method, path, api_##handler, role, members, text },
#include "api_routes.def"
#undef API_ROUTE
};
const size_t api_routes_count = sizeof(api_routes) / sizeof(api_routes[0]);

struct err api_new(const struct api_options *options, struct api **ret)
{
    struct api *api = calloc(1, sizeof(*api));
    if (api == NULL) return err_make(ERR_NOMEM, "api");
    api->options = *options;
    struct err err = admin_pool_new(options->loop, options->self, &api->programs);
    if (err.code == ERR_OK) *ret = api;
    else free(api);
    return err;
}

void api_free(struct api *api)
{
    if (api == NULL) return;
    admin_pool_free(api->programs);
    free(api);
}

/* Whether a path fits a row's, and what stands for {}. */
static bool path_fits(const char *pattern, struct span path, struct span *argument)
{
    const char *hole = strstr(pattern, "{}");
    size_t head = hole == NULL ? strlen(pattern) : (size_t)(hole - pattern);
    if (!span_eq(span_head(path, head), span_of(pattern, head))) return false;
    if (hole == NULL) return path.len == head;
    struct span tail = span_of(hole + 2, strlen(hole + 2)), rest = span_skip(path, head);
    if (rest.len <= tail.len) return false;
    struct span middle = span_head(rest, rest.len - tail.len);
    if (!span_eq(span_skip(rest, middle.len), tail)) return false;
    if (memchr(middle.ptr, '/', middle.len) != NULL) return false;
    *argument = middle;
    return true;
}

/* The row for a request; NULL, with `*path_is_known` when only the method is wrong. */
static const struct api_route *route_find(const struct http_request *request,
                                          struct span *argument, bool *path_is_known)
{
    struct span method = request->method;
    if (span_eq(method, SPAN("HEAD"))) method = SPAN("GET");
    *path_is_known = false;
    for (size_t i = 0; i < api_routes_count; i++) {
        const struct api_route *route = &api_routes[i];
        if (!path_fits(route->path, request->path, argument)) continue;
        *path_is_known = true;
        if (span_eq(method, span_of(route->method, strlen(route->method)))) return route;
    }
    return NULL;
}

/* ---- problems */

void api_refuse(struct api_call *call, unsigned status, const char *title, const char *detail, ...)
{
    va_list arguments;
    va_start(arguments, detail);
    vsnprintf(call->detail, sizeof(call->detail), detail, arguments);
    va_end(arguments);
    /* What did not fit may have been cut within a character. */
    call->detail[utf8_head(span_of(call->detail, strlen(call->detail)), API_DETAIL_BYTES - 4).len] =
        '\0';
    snprintf(call->title, sizeof(call->title), "%s", title);
    call->status = status;
    flow_next(&call->flow, err_make(ERR_DENIED, "refused"));
}

void api_fail(struct api_call *call, struct err err)
{
    static const struct { enum err_code code; unsigned status; const char *title; } rows[] = {
        { ERR_NOT_FOUND, 404, "Not found" },   { ERR_EXISTS, 409, "Exists" },
        { ERR_CONFLICT, 409, "Changed by somebody else meanwhile" },
        { ERR_SYNTAX, 400, "Bad value" },      { ERR_TOO_BIG, 400, "Over a limit" },
        { ERR_DENIED, 403, "Not allowed" },    { ERR_QUOTA, 409, "Over quota" },
        { ERR_FULL, 507, "The disk is full" }, { ERR_TIMEOUT, 504, "No answer in time" },
    };
    call->status = 503;
    const char *title = "Not available now";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].code != err.code) continue;
        call->status = rows[i].status;
        title = rows[i].title;
    }
    /* Of many rows one may be repeated by itself. */
    if (call->is_row && err.code == ERR_CONFLICT) call->status = 503;
    snprintf(call->title, sizeof(call->title), "%s", title);
    if (call->detail[0] == '\0') {
        snprintf(call->detail, sizeof(call->detail), "%s: %s", err.what, err_text(err));
    }
    flow_next(&call->flow, err_make(ERR_DENIED, "refused"));
}

static json_t *problem(const struct api_call *call)
{
    json_t *json = json_object();
    api_set(json, "type", json_string("about:blank"));
    api_set(json, "title", json_string(call->title));
    api_set(json, "status", json_integer((json_int_t)call->status));
    api_set_text(json, "detail", span_of(call->detail, strlen(call->detail)));
    api_set_text(json, "instance", call->request->path);
    return json;
}

/* ---- the end of a call */

void api_header(struct api_call *call, const char *name, struct span value)
{
    CHECK(call->headers_count < API_HEADERS_MAX);
    call->headers[call->headers_count++] =
        (struct http_header){ span_of(name, strlen(name)), value };
}

static void send_answer(struct api_call *call)
{
    struct api_answer answer = { .status = call->status, .content_type = SPAN("application/json") };
    char *text = NULL;
    if (call->is_problem) answer.content_type = SPAN("application/problem+json");
    if (call->out != NULL && answer.status != 204) {
        text = json_dumps(call->out, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        if (text != NULL) answer.body = span_of(text, strlen(text));
    } else if (!call->is_problem && call->text.len > 0) {
        answer.body = call->text;
        answer.content_type = SPAN("text/plain; version=0.0.4; charset=utf-8");
    }
    if (answer.body.len == 0) answer.content_type = SPAN("");
    if (answer.status == 401) api_header(call, "WWW-Authenticate", SPAN("Bearer"));
    answer.headers = call->headers;
    answer.headers_count = call->headers_count;
    call->api->calls--;
    call->done(call->holder, &answer);
    free(text);
    json_decref(call->in);
    json_decref(call->out);
    json_decref(call->row);
    json_decref(call->repeat.kept);
    api_cluster_free(call->cluster);
    api_logs_free(call->logs);
    directory_unref(call->directory);
    arena_clear(&call->arena);
    free(call);
}

static void api_finish(struct flow *flow, struct err err)
{
    struct api_call *call = api_of(flow);
    if (err.code != ERR_OK && call->status < 400) {
        call->status = 503;
        snprintf(call->title, sizeof(call->title), "Not available now");
    }
    if (err.code != ERR_OK) {
        json_decref(call->out);
        call->out = problem(call);
        call->is_problem = true;
    }
    if (!call->repeat.is_ours || call->repeat.is_kept) {
        send_answer(call);
        return;
    }
    call->repeat.is_kept = true;
    flow_start(&call->flow, loop_later(call->api->options.loop), api_repeat_end, api_finish);
}

/* A step that says what was changed. */
void api_audit(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct api_options *options = &call->api->options;
    struct api_change change = { .method = call->request->method, .target = call->request->path,
                                 .role = call->token.role, .token = call->token.id,
                                 .status = call->status };
    memcpy(change.client_ip, call->client_ip, sizeof(change.client_ip));
    if (options->audit != NULL && !call->is_row) options->audit(options->holder, &change);
    flow_next(flow, err_ok());
}

/* ---- the start of a call */

static void step_refused(struct flow *flow)
{
    flow_next(flow, err_make(ERR_DENIED, "refused"));
}

static const struct flow_step refused_steps[] = { { "refused", step_refused }, { NULL, NULL } };

static const struct flow_step *refuse_at_once(struct api_call *call, unsigned status,
                                              const char *title, const char *detail)
{
    call->status = status;
    snprintf(call->title, sizeof(call->title), "%s", title);
    if (detail != call->detail) snprintf(call->detail, sizeof(call->detail), "%s", detail);
    return refused_steps;
}

/* A client of another version of the API is told so. */
static const char *no_such_path(struct span path)
{
    bool is_api = span_eq(span_head(path, 6), SPAN("/api/v")) && path.len > 6;
    bool is_ours = is_api && path.ptr[6] == '1' && (path.len == 7 || path.ptr[7] == '/');
    return is_api && !is_ours ? "this is version 1 of the API; see /api/v1/openapi.json"
                              : "see /api/v1/openapi.json";
}

static const struct flow_step *choose(struct api_call *call)
{
    const struct http_request *request = call->request;
    bool known;
    struct span argument = SPAN("");
    const struct api_route *route = route_find(request, &argument, &known);
    if (route == NULL) {
        return known ? refuse_at_once(call, 405, "Method not allowed", "see /api/v1/openapi.json")
                     : refuse_at_once(call, 404, "Not found", no_such_path(request->path));
    }
    if (route->role != NOBODY && !call->is_own) {
        if (!api_authorize(call)) return refuse_at_once(call, 401, "Not authorized", call->detail);
        if (call->token.role < route->role) {
            return refuse_at_once(call, 403, "Not allowed", "the token's role is not enough");
        }
    }
    call->argument = api_decode(call, argument);
    if (request->body.len > 0) {
        char detail[API_DETAIL_BYTES], members[MEMBERS_BYTES];
        snprintf(members, sizeof(members), "%s%s", route->members,
                 call->is_own ? " directory_dn directory_gone" : "");
        if (!api_body_read(request->body, members, &call->in, detail)) {
            return refuse_at_once(call, 400, "Bad request", detail);
        }
    }
    const struct flow_step *steps = api_repeat_begin(call, route->steps);
    return steps != NULL ? steps : refuse_at_once(call, 400, "Bad request", call->detail);
}

static struct err call_new(struct api *api, const struct http_request *request,
                           api_answered *done, void *holder, struct api_call **ret)
{
    if (api->calls >= API_CALLS_MAX) return err_make(ERR_BUSY, "api");
    struct api_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "api");
    call->api = api;
    call->request = request;
    call->done = done;
    call->holder = holder;
    call->status = 200;
    arena_init(&call->arena, API_ARENA_MAX_BYTES);
    api->calls++;
    *ret = call;
    return err_ok();
}

struct err api_start(struct api *api, const struct http_request *request,
                     const uint8_t client_ip[16], api_answered *done, void *holder,
                     struct api_call **ret)
{
    struct api_call *call;
    TRY(call_new(api, request, done, holder, &call));
    memcpy(call->client_ip, client_ip, sizeof(call->client_ip));
    flow_start(&call->flow, loop_later(api->options.loop), choose(call), api_finish);
    *ret = call;
    return err_ok();
}

struct err api_start_own(struct api *api, const struct api_own *own,
                         const struct http_request *request, api_answered *done, void *holder)
{
    struct api_call *call;
    TRY(call_new(api, request, done, holder, &call));
    call->is_own = true;
    call->tenant = own->tenant;
    call->token = (struct api_token){ .role = DOMAIN_ADMIN, .tenant = own->tenant,
                                      .id = SPAN("directory"), .domain = own->domain };
    flow_start(&call->flow, loop_later(api->options.loop), choose(call), api_finish);
    return err_ok();
}

#include "api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api_state_private.h"
#include "api_users_private.h"
#include "coord.h"
#include "digest.h"
#include "directory.h"
#include "id.h"
#include "utf8.h"

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
    *ret = api;
    return err_ok();
}

void api_free(struct api *api) { free(api); }

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

static void api_finish(struct flow *flow, struct err err)
{
    struct api_call *call = api_of(flow);
    struct api_answer answer = { .status = call->status, .content_type = SPAN("application/json") };
    char *text = NULL;
    if (err.code != ERR_OK && call->status < 400) {
        call->status = 503;
        snprintf(call->title, sizeof(call->title), "Not available now");
    }
    if (err.code != ERR_OK) {
        json_decref(call->out);
        call->out = problem(call);
        answer.status = call->status;
        answer.content_type = SPAN("application/problem+json");
    }
    if (call->out != NULL && answer.status != 204) {
        text = json_dumps(call->out, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        if (text != NULL) answer.body = span_of(text, strlen(text));
    } else if (err.code == ERR_OK && call->text.len > 0) {
        answer.body = call->text;
        answer.content_type = SPAN("text/plain; version=0.0.4; charset=utf-8");
    }
    if (answer.body.len == 0) answer.content_type = SPAN("");
    struct http_header challenge = { SPAN("WWW-Authenticate"), SPAN("Bearer") };
    if (answer.status == 401) {
        answer.headers = &challenge;
        answer.headers_count = 1;
    }
    call->api->calls--;
    call->done(call->holder, &answer);
    free(text);
    json_decref(call->in);
    json_decref(call->out);
    json_decref(call->row);
    directory_unref(call->directory);
    arena_clear(&call->arena);
    free(call);
}

/* A step that says what was changed. */
void api_audit(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct api_options *options = &call->api->options;
    struct api_change change = { .method = call->request->method, .target = call->request->path,
                                 .role = call->role, .status = call->status };
    memcpy(change.client_ip, call->client_ip, sizeof(change.client_ip));
    if (options->audit != NULL && !call->is_row) options->audit(options->holder, &change);
    flow_next(flow, err_ok());
}

/* ---- who asks */

/* Tokens lie in the configuration under tokens/<SHA-256 in hex>: {"role": ..., "tenant": id}. */
static bool authorize(struct api_call *call)
{
    static const char *const names[] = { "nobody",   "user",  "auditor",
                                         "accounts", "admin", "operator" };
    struct span value = http_request_header(call->request, SPAN("authorization"));
    uint8_t digest[DIGEST_BYTES];
    char key[7 + 2 * DIGEST_BYTES] = "tokens/";
    struct coord_row row;
    if (!span_starts_nocase(value, SPAN("bearer "))) return false;
    struct span token = span_skip(value, 7);
    if (digest_sha256(token, digest).code != ERR_OK) return false;
    id_hex(digest, sizeof(digest), key + 7);
    if (!coord_get(call->api->options.coord, span_of(key, sizeof(key)), &row)) return false;
    json_t *json = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    const char *role = json_string_value(json_object_get(json, "role"));
    for (size_t i = 1; role != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(role, names[i]) == 0) call->role = (enum api_role)i;
    }
    call->tenant = (uint32_t)json_integer_value(json_object_get(json, "tenant"));
    json_decref(json);
    return call->role != NOBODY && (call->tenant != 0 || call->role == OPERATOR);
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
    snprintf(call->detail, sizeof(call->detail), "%s", detail);
    return refused_steps;
}

static const struct flow_step *choose(struct api_call *call)
{
    const struct http_request *request = call->request;
    bool known;
    struct span argument = SPAN("");
    const struct api_route *route = route_find(request, &argument, &known);
    if (route == NULL) {
        return known ? refuse_at_once(call, 405, "Method not allowed", "see /api/v1/openapi.json")
                     : refuse_at_once(call, 404, "Not found", "see /api/v1/openapi.json");
    }
    if (route->role != NOBODY) {
        if (!authorize(call)) {
            return refuse_at_once(call, 401, "Not authorized", "a valid bearer token is needed");
        }
        if (call->role < route->role) {
            return refuse_at_once(call, 403, "Not allowed", "the token's role is not enough");
        }
    }
    call->argument = api_decode(call, argument);
    if (request->body.len > 0) {
        char detail[API_DETAIL_BYTES];
        if (!api_body_read(request->body, route->members, &call->in, detail)) {
            return refuse_at_once(call, 400, "Bad request", detail);
        }
    }
    return route->steps;
}

struct err api_start(struct api *api, const struct http_request *request,
                     const uint8_t client_ip[16], api_answered *done, void *holder,
                     struct api_call **ret)
{
    if (api->calls >= API_CALLS_MAX) return err_make(ERR_BUSY, "api");
    struct api_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "api");
    call->api = api;
    call->request = request;
    call->done = done;
    call->holder = holder;
    call->status = 200;
    memcpy(call->client_ip, client_ip, sizeof(call->client_ip));
    arena_init(&call->arena, API_ARENA_MAX_BYTES);
    api->calls++;
    flow_start(&call->flow, loop_later(api->options.loop), choose(call), api_finish);
    *ret = call;
    return err_ok();
}

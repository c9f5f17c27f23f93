/* What the program says of itself: health, readiness, metrics, the API's description. */
#include <string.h>

#include "api_state_private.h"
#include "arena.h"
#include "buf.h"

static void health_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->text = SPAN("ok\n");
    flow_next(flow, err_ok());
}
const struct flow_step api_health[] = { { "health", health_step }, { NULL, NULL } };

static struct err say_lacking(struct api_call *call, struct span lacking)
{
    const struct span start = SPAN("ready; ");
    struct buf text;
    size_t size = start.len + lacking.len + 1;
    char *bytes = arena_alloc(&call->arena, size);
    if (bytes == NULL) return err_make(ERR_NOMEM, "readiness");
    buf_init(&text, bytes, size);
    buf_put(&text, start);
    buf_put(&text, lacking);
    buf_put(&text, SPAN("\n"));
    call->text = buf_span(&text);
    return err_ok();
}

static void ready_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct api_options *options = &call->api->options;
    struct span missing = options->missing(options->holder);
    if (missing.len > 0) {
        api_refuse(call, 503, "Not ready", "%.*s", (int)missing.len, missing.ptr);
        return;
    }
    struct span lacking = options->lacking(options->holder);
    struct err err = err_ok();
    call->text = SPAN("ready\n");
    if (lacking.len > 0) err = say_lacking(call, lacking);
    if (err.code != ERR_OK) api_fail(call, err);
    else flow_next(flow, err);
}
const struct flow_step api_ready[] = { { "ready", ready_step }, { NULL, NULL } };

static void metrics_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const struct api_options *options = &call->api->options;
    struct err err = options->metrics(options->holder, &call->arena, &call->text);
    if (err.code != ERR_OK) api_fail(call, err);
    else flow_next(flow, err_ok());
}
const struct flow_step api_metrics[] = { { "metrics", metrics_step }, { NULL, NULL } };

/* ---- the OpenAPI document, made of the table of routes */

static json_t *parameter(const char *name, const char *place)
{
    json_t *json = json_object(), *schema = json_object();
    api_set(schema, "type", json_string("string"));
    api_set(json, "name", json_string(name));
    api_set(json, "in", json_string(place));
    api_set(json, "required", json_boolean(strcmp(place, "path") == 0));
    api_set(json, "schema", schema);
    return json;
}

static json_t *answers(const struct api_route *route)
{
    json_t *json = json_object(), *good = json_object(), *bad = json_object();
    bool makes = strcmp(route->method, "POST") == 0 && strstr(route->path, "{}") == NULL;
    bool removes = strcmp(route->method, "DELETE") == 0;
    api_set(good, "description", json_string(route->text));
    api_set(json, makes ? "201" : removes ? "204" : "200", good);
    api_set(bad, "description", json_string("A problem document (RFC 9457)"));
    api_set(json, "default", bad);
    return json;
}

/* The members of a row; what each may be is said in the answer to what it may not. */
static json_t *properties(const char *members)
{
    json_t *json = json_object();
    char name[64];
    while (*members != '\0') {
        size_t len = strcspn(members, " ");
        snprintf(name, sizeof(name), "%.*s", (int)len, members);
        api_set(json, name, json_object());
        members += len + (members[len] == ' ');
    }
    return json;
}

static json_t *operation(const struct api_route *route)
{
    json_t *json = json_object(), *parameters = json_array();
    char role[64];
    api_set(json, "summary", json_string(route->text));
    snprintf(role, sizeof(role), "Role needed: %s", api_role_text(route->role));
    api_set(json, "description", json_string(role));
    if (strstr(route->path, "{}") != NULL)
        json_array_append_new(parameters, parameter("name", "path"));
    if (strcmp(route->method, "GET") == 0 && strstr(route->path, "{}") == NULL) {
        static const char *const names[] = { "domain", "limit", "after", "prefix", "filter" };
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            json_array_append_new(parameters, parameter(names[i], "query"));
    }
    api_set(json, "parameters", parameters);
    if (strcmp(route->method, "POST") == 0 || strcmp(route->method, "PUT") == 0 ||
        strcmp(route->method, "PATCH") == 0) {
        json_t *body = json_pack("{s:{s:{s:{s:s, s:o, s:b}}}}", "content", "application/json",
                                 "schema", "type", "object", "properties",
                                 properties(route->members), "additionalProperties", 0);
        api_set(json, "requestBody", body);
    }
    api_set(json, "responses", answers(route));
    return json;
}

static void openapi_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    json_t *paths = json_object();
    for (size_t i = 0; i < api_routes_count; i++) {
        const struct api_route *route = &api_routes[i];
        char path[128], method[16];
        const char *hole = strstr(route->path, "{}");
        if (hole != NULL) {
            snprintf(path, sizeof(path), "%.*s{name}%s", (int)(hole - route->path), route->path,
                     hole + 2);
        } else {
            snprintf(path, sizeof(path), "%s", route->path);
        }
        size_t len = strlen(route->method);
        for (size_t c = 0; c <= len; c++) {
            char upper = route->method[c];
            method[c] = upper >= 'A' && upper <= 'Z' ? (char)(upper | 0x20) : upper;
        }
        json_t *entry = json_object_get(paths, path);
        if (entry == NULL) {
            api_set(paths, path, json_object());
            entry = json_object_get(paths, path);
        }
        api_set(entry, method, operation(route));
    }
    call->out =
        json_pack("{s:s, s:{s:s, s:s}, s:{s:{s:{s:s, s:s}}}, s:o}", "openapi", "3.1.0", "info",
                  "title", "Godwit", "version", "1", "components", "securitySchemes", "token",
                  "type", "http", "scheme", "bearer", "paths", paths);
    if (call->out == NULL) api_fail(call, err_make(ERR_NOMEM, "openapi"));
    else flow_next(flow, err_ok());
}
const struct flow_step api_openapi[] = { { "openapi", openapi_step }, { NULL, NULL } };

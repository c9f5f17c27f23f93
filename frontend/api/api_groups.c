/* Groups, and aliases without a pattern: rows by address. Aliases with * or ? are rows of their
 * domain's configuration. */
#include <string.h>

#include "api_state_private.h"
#include "directory.h"
#include "directory_resolve.h"
#include "slot.h"

static bool is_pattern(struct span local)
{
    return memchr(local.ptr, '*', local.len) != NULL || memchr(local.ptr, '?', local.len) != NULL;
}

static json_t *row_json(const char *member, struct span address, const struct span *targets,
                        size_t count, struct span name)
{
    json_t *row = json_object(), *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, api_json_text(targets[i]));
    api_set_text(row, "address", address);
    if (name.len > 0) api_set_text(row, "name", name);
    api_set(row, member, list);
    return row;
}

/* Groups and aliases are one code: what differs is in here. */
static const char *member_of(unsigned kind)
{
    return kind == STORE_ADDRESS_GROUP ? "members" : "targets";
}

static const char *name_of(unsigned kind)
{
    return kind == STORE_ADDRESS_GROUP ? "group" : "alias";
}

/* Which of the two a call is about. */
static unsigned kind_of(const struct api_call *call)
{
    static const char groups[] = "/api/v1/groups";
    struct span path = call->request->path;
    return span_starts_nocase(path, span_of(groups, sizeof(groups) - 1)) ? STORE_ADDRESS_GROUP
                                                                         : STORE_ADDRESS_ALIAS;
}

/* ---- create */

static void create_take(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    unsigned kind = kind_of(call);
    struct span text = SPAN("");
    bool there = false;
    if (!api_in_text(call, "address", API_ADDRESS_BYTES, &text) || !api_take_address(call, text))
        return;
    if (!api_in_text(call, "name", 255, &call->account.full_name)) return;
    if (!api_in_addresses(call, member_of(kind), &there)) return;
    if (kind == STORE_ADDRESS_GROUP && is_pattern(call->local)) {
        api_refuse(call, 400, "Bad value", "address: * and ? are for aliases");
        return;
    }
    if (kind == STORE_ADDRESS_ALIAS && call->texts_count == 0) {
        api_refuse(call, 400, "Bad value", "targets: at least one address");
        return;
    }
    flow_next(flow, err_ok());
}

static char *domain_key(struct api_call *call)
{
    char *key = arena_alloc(&call->arena, call->domain.len + 16);
    if (key == NULL) return NULL;
    memcpy(key, "domains/", 8);
    memcpy(key + 8, call->domain.ptr, call->domain.len);
    key[8 + call->domain.len] = '\0';
    return key;
}

/* The address row, or for a pattern the domain's row. */
static void step_find(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!is_pattern(call->local)) {
        api_ask_address(call);
        return;
    }
    const char *key = domain_key(call);
    if (key == NULL) api_fail(call, err_make(ERR_NOMEM, "key"));
    else api_row_get(call, key);
}

/* Where the pattern stands in the domain's aliases; SIZE_MAX: nowhere. */
static size_t pattern_at(const struct api_call *call)
{
    const json_t *aliases = json_object_get(call->row, "aliases");
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        const json_t *pattern = json_object_get(json_array_get(aliases, i), "pattern");
        struct span text = span_of(json_string_value(pattern), json_string_length(pattern));
        if (span_eq_nocase(text, call->local)) return i;
    }
    return SIZE_MAX;
}

static json_t *pattern_row(const struct api_call *call)
{
    json_t *row = json_object(), *targets = json_array();
    for (size_t i = 0; i < call->texts_count; i++) {
        json_array_append_new(targets, api_json_text(call->texts[i]));
    }
    api_set_text(row, "pattern", call->local);
    api_set(row, "targets", targets);
    return row;
}

static void put_pattern(struct api_call *call, bool is_new)
{
    size_t at = pattern_at(call);
    json_t *aliases = json_object_get(call->row, "aliases");
    if (call->row == NULL) {
        api_refuse(call, 404, "Not found", "no such domain");
        return;
    }
    if (is_new != (at == SIZE_MAX)) {
        api_refuse(call, is_new ? 409 : 404, is_new ? "Exists" : "Not found", "the alias %.*s",
                   (int)call->address.len, call->address.ptr);
        return;
    }
    if (aliases == NULL) {
        api_set(call->row, "aliases", json_array());
        aliases = json_object_get(call->row, "aliases");
    }
    if (is_new && json_array_size(aliases) >= DIRECTORY_ALIASES_MAX) {
        api_refuse(call, 409, "Too many", "a domain has at most %d alias patterns",
                   DIRECTORY_ALIASES_MAX);
        return;
    }
    if (is_new) json_array_append_new(aliases, pattern_row(call));
    else json_array_set_new(aliases, at, pattern_row(call));
    api_row_put(call);
}

static void create_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (is_pattern(call->local)) {
        put_pattern(call, true);
        return;
    }
    if (call->found.kind != STORE_ADDRESS_NONE) {
        api_refuse(call, 409, "Exists", "the address %.*s is taken", (int)call->address.len,
                   call->address.ptr);
        return;
    }
    api_put_address(call, kind_of(call), STORE_ADDRESS_ACTIVE, call->found.version);
}

static void step_index(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (is_pattern(call->local)) flow_next(flow, err_ok());
    else api_put_index(call, kind_of(call), 0, false);
}

static void step_made(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    unsigned kind = kind_of(call);
    if (span_eq(call->request->method, SPAN("POST"))) call->status = 201;
    if (!is_pattern(call->local)) api_tag(call, call->found.version);
    call->out = row_json(member_of(kind), call->address, call->texts, call->texts_count,
                         call->account.full_name);
    flow_next(flow, err_ok());
}

const struct flow_step api_names_create[] = {
    { "take", create_take }, { "find", step_find }, { "put", create_put }, { "index", step_index },
    { "audit", api_audit },  { "show", step_made }, { NULL, NULL },
};

/* ---- show, set, delete */

static void step_take(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (api_take_address(call, call->argument)) flow_next(flow, err_ok());
}

static bool is_there(struct api_call *call)
{
    unsigned kind = kind_of(call);
    if (is_pattern(call->local) ? pattern_at(call) != SIZE_MAX : call->found.kind == kind)
        return true;
    api_refuse(call, 404, "Not found", "no %s %.*s", name_of(kind), (int)call->address.len,
               call->address.ptr);
    return false;
}

/* A pattern's row is its domain's, which is compared when it is written. */
static bool may_change(struct api_call *call)
{
    return is_pattern(call->local) || api_match(call, call->found.version);
}

static void show_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!is_there(call)) return;
    api_tag(call, is_pattern(call->local) ? call->revision : call->found.version);
    if (is_pattern(call->local)) {
        const json_t *alias =
            json_array_get(json_object_get(call->row, "aliases"), pattern_at(call));
        call->out = json_object();
        api_set_text(call->out, "address", call->address);
        api_set(call->out, "targets", json_deep_copy(json_object_get(alias, "targets")));
    } else {
        call->out = row_json(member_of(kind_of(call)), call->address, call->found.targets,
                             call->found.targets_count, call->found.name);
    }
    flow_next(flow, err_ok());
}

const struct flow_step api_names_show[] = {
    { "take", step_take }, { "find", step_find }, { "show", show_show }, { NULL, NULL },
};

/* The targets that a pattern has, as the texts of the call. */
static bool pattern_texts(struct api_call *call)
{
    const json_t *alias = json_array_get(json_object_get(call->row, "aliases"), pattern_at(call));
    const json_t *targets = json_object_get(alias, "targets");
    size_t count = json_array_size(targets);
    call->texts = arena_alloc(&call->arena, (count + 1) * sizeof(*call->texts));
    struct err err = call->texts == NULL ? err_make(ERR_NOMEM, "targets") : err_ok();
    for (size_t i = 0; err.code == ERR_OK && i < count; i++) {
        const json_t *text = json_array_get(targets, i);
        err = arena_copy(&call->arena, span_of(json_string_value(text), json_string_length(text)),
                         &call->texts[i]); /* the row is written anew below */
    }
    if (err.code != ERR_OK) api_fail(call, err);
    call->texts_count = count;
    return err.code == ERR_OK;
}

static void set_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    bool there = false;
    if (!is_there(call) || !may_change(call)) return;
    call->account.full_name = call->found.name;
    if (!api_in_text(call, "name", 255, &call->account.full_name)) return;
    if (!api_in_addresses(call, member_of(kind_of(call)), &there)) return;
    if (there && call->texts_count == 0 && kind_of(call) == STORE_ADDRESS_ALIAS) {
        api_refuse(call, 400, "Bad value", "targets: at least one address");
        return;
    }
    if (!there && is_pattern(call->local)) {
        if (!pattern_texts(call)) return;
    } else if (!there) {
        call->texts = call->found.targets;
        call->texts_count = call->found.targets_count;
    }
    if (is_pattern(call->local)) put_pattern(call, false);
    else api_put_address(call, kind_of(call), STORE_ADDRESS_ACTIVE, call->found.version);
}

const struct flow_step api_names_set[] = {
    { "take", step_take },  { "find", step_find }, { "put", set_put },
    { "audit", api_audit }, { "show", step_made }, { NULL, NULL },
};

static void delete_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!is_there(call) || !may_change(call)) return;
    if (is_pattern(call->local)) {
        json_array_remove(json_object_get(call->row, "aliases"), pattern_at(call));
        api_row_put(call);
    } else {
        api_remove_address(call, call->address);
    }
}

static void delete_index(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->status = 204;
    if (is_pattern(call->local)) flow_next(flow, err_ok());
    else api_put_index(call, kind_of(call), 0, true);
}

const struct flow_step api_names_delete[] = {
    { "take", step_take },       { "find", step_find },  { "put", delete_put },
    { "index", delete_index },   { "audit", api_audit }, { NULL, NULL },
};

/* ---- list: patterns first, then rows by address */

static void list_begin(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    call->out = json_object();
    api_set(call->out, "items", json_array());
    if (!api_take_domain(call, api_query(call, "domain"))) return;
    if (!api_page_take(call, API_LIST_DEFAULT)) return;
    if (kind_of(call) == STORE_ADDRESS_GROUP || call->page.after.len > 0) {
        flow_next(flow, err_ok());
        return;
    }
    const char *key = domain_key(call);
    if (key == NULL) api_fail(call, err_make(ERR_NOMEM, "key"));
    else api_row_get(call, key);
}

static void list_patterns(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const json_t *aliases = call->row == NULL ? NULL : json_object_get(call->row, "aliases");
    json_t *items = json_object_get(call->out, "items");
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        const json_t *alias = json_array_get(aliases, i);
        char text[API_ADDRESS_BYTES];
        const char *pattern = json_string_value(json_object_get(alias, "pattern"));
        if (pattern == NULL || !api_page_wants(call, span_of(pattern, strlen(pattern)))) continue;
        snprintf(text, sizeof(text), "%s@%.*s", pattern, (int)call->domain.len, call->domain.ptr);
        json_t *item = json_object();
        api_set_text(item, "address", span_of(text, strlen(text)));
        api_set(item, "targets", json_deep_copy(json_object_get(alias, "targets")));
        json_array_append_new(items, item);
    }
    api_list_domain(call, kind_of(call));
}

static void list_each(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    json_t *items = json_object_get(call->out, "items");
    if (call->made && call->found.kind == kind_of(call)) {
        json_array_append_new(items, row_json(member_of(kind_of(call)), call->address,
                                              call->found.targets, call->found.targets_count,
                                              call->found.name));
    }
    call->made = true;
    if (call->at == call->entries_count) {
        api_page_next(call);
        flow_next(flow, err_ok());
        return;
    }
    struct span local = call->entries[call->at++].local;
    char *address = arena_alloc(&call->arena, local.len + call->domain.len + 1);
    if (address == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "list"));
        return;
    }
    memcpy(address, local.ptr, local.len);
    address[local.len] = '@';
    memcpy(address + local.len + 1, call->domain.ptr, call->domain.len);
    call->address = span_of(address, local.len + call->domain.len + 1);
    flow->steps--;
    api_ask_address(call);
}

const struct flow_step api_names_list[] = {
    { "begin", list_begin }, { "patterns", list_patterns }, { "each", list_each }, { NULL, NULL },
};

/* ---- check-address */

static void on_resolved(void *holder, struct err err, const struct directory_resolution *found)
{
    static const char *const kinds[] = {
        [DIRECTORY_ACCOUNT] = "account",     [DIRECTORY_ALIAS] = "alias",
        [DIRECTORY_GROUP] = "group",         [DIRECTORY_NOBODY] = "nobody",
        [DIRECTORY_NOT_LOCAL] = "not local", [DIRECTORY_LOOP] = "loop",
    };
    struct api_call *call = holder;
    call->resolve = NULL;
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return;
    }
    json_t *targets = json_array();
    for (size_t i = 0; i < found->targets_count; i++) {
        json_array_append_new(targets, api_json_text(found->targets[i].address));
    }
    for (size_t i = 0; i < found->outside_count && found->kind != DIRECTORY_NOT_LOCAL; i++) {
        json_array_append_new(targets, api_json_text(found->outside[i]));
    }
    call->out = json_object();
    api_set_text(call->out, "address", found->canonical);
    api_set(call->out, "kind", json_string(kinds[found->kind]));
    api_set(call->out, "targets", targets);
    flow_next(&call->flow, err_ok());
}

static void check_step(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (!api_take_address(call, api_query(call, "address"))) return;
    struct err err = directory_resolve_start(call->api->options.resolver, call->local, call->domain,
                                             on_resolved, call, &call->resolve);
    if (err.code == ERR_OK) directory_resolve_within(call->resolve, call->tenant);
    else api_fail(call, err);
}

const struct flow_step api_check_address[] = { { "resolve", check_step }, { NULL, NULL } };

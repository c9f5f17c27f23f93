/* Options: what is set lies in the configuration store under policy/config, {key: text}. An option
 * that is set to the empty text is set; one that is deleted is at its default again. With ?domain=,
 * or a member of that name, the domain's: in its row under "options". */
#include <string.h>

#include "api_state_private.h"
#include "buf.h"
#include "conf.h"
#include "conf_show.h"
#include "coord.h"
#include "directory.h"

enum { OPTION_TEXT_BYTES = 64 * 1024, OPTION_SEALED_BYTES = 4096, DESCRIBE_BYTES = 8 * 1024,
       DOMAIN_KEY_BYTES = 300 };

/* The domain whose options are meant; empty: those of the whole installation. */
static struct span domain_name(struct api_call *call)
{
    const json_t *member = json_object_get(call->in, "domain");
    struct span name = api_query(call, "domain");
    if (name.len > 0 || !json_is_string(member)) return name;
    return span_of(json_string_value(member), json_string_length(member));
}

static bool is_domain(const struct api_call *call) { return call->known_domain != NULL; }

/* What is set: the row, or what a domain's row has of options. NULL: nothing. */
static json_t *settings_json(const struct api_call *call)
{
    return is_domain(call) ? json_object_get(call->row, "options") : call->row;
}

static enum conf_scope scope_of(const struct api_call *call)
{
    return is_domain(call) ? CONF_DOMAIN : CONF_CLUSTER;
}

/* What an object sets; a secret is not shown. NULL: no memory. */
static struct conf_setting *settings_of(struct api_call *call, json_t *object)
{
    size_t i = 0;
    struct conf_setting *settings =
        arena_alloc(&call->arena, (json_object_size(object) + 1) * sizeof(*settings));
    const char *key;
    json_t *value;
    if (settings == NULL) return NULL;
    json_object_foreach(object, key, value) {
        struct conf_setting *setting = &settings[i++];
        setting->key = span_of(key, strlen(key));
        setting->value = span_of(json_string_value(value), json_string_length(value));
        enum conf_key found = conf_find(setting->key);
        bool is_sealed = found != CONF_KEYS_COUNT && conf_is_secret(found);
        if (is_sealed && setting->value.len > 0) setting->value = SPAN("sealed");
    }
    return settings;
}

struct conf *api_conf_now(struct api_call *call)
{
    struct coord_row row;
    struct conf_problem problem;
    struct conf *conf = NULL;
    if (!coord_get(call->api->options.coord, SPAN("policy/config"), &row)) return NULL;
    json_t *object = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    struct conf_setting *settings = settings_of(call, object);
    if (settings == NULL ||
        conf_make(settings, json_object_size(object), 0, &conf, &problem).code != ERR_OK) {
        conf = NULL;
    }
    json_decref(object);
    return conf;
}

/* A snapshot with what the row that was just read sets: newer than the program's own. */
static struct err conf_of_row(struct api_call *call, struct conf **ret,
                              struct conf_problem *problem)
{
    const struct api_options *options = &call->api->options;
    size_t count = json_object_size(settings_json(call));
    const struct conf_setting *settings = settings_of(call, settings_json(call));
    if (settings == NULL) return err_make(ERR_NOMEM, "configuration");
    if (!is_domain(call)) return conf_make(settings, count, 0, ret, problem);
    return conf_narrow(options->conf(options->holder), CONF_DOMAIN, settings, count, ret, problem);
}

static void read_row(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span name = domain_name(call);
    char key[DOMAIN_KEY_BYTES];
    if (name.len == 0) {
        api_row_get(call, "policy/config");
    } else if (api_take_domain(call, name)) {
        snprintf(key, sizeof(key), "domains/%.*s", (int)call->domain.len, call->domain.ptr);
        api_row_get(call, key);
    }
}

/* For changes: those of the whole installation are the operator's. */
static void find_row(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    const json_t *member = json_object_get(call->in, "domain");
    if (member != NULL && json_string_length(member) == 0) {
        /* Not for the whole installation by mistake. */
        api_refuse(call, 400, "Bad value", "domain: a domain's name");
        return;
    }
    if (domain_name(call).len == 0 && call->token.role < OPERATOR) {
        api_refuse(call, 403, "Not allowed",
                   "the token's role is not enough for the whole installation; name a domain");
        return;
    }
    read_row(flow);
}

/* The option as JSON, with its value and default as texts: what `config set` takes. */
static json_t *option_json(const struct conf *conf, const struct conf *defaults, enum conf_key key)
{
    static const char *const names[] = { "value", "default" };
    const struct conf *const of[] = { conf, defaults };
    char text[OPTION_TEXT_BYTES];
    json_t *json = conf_show_json(conf, key);
    for (size_t i = 0; i < 2 && json != NULL; i++) {
        struct buf out;
        buf_init(&out, text, sizeof(text));
        conf_show_value(of[i], key, &out);
        api_set_text(json, names[i], buf_span(&out));
    }
    return json;
}

/* Makes the snapshot of the row and that of the defaults; false: refused. */
static bool take_confs(struct api_call *call, struct conf **conf, struct conf **defaults)
{
    struct conf_problem problem;
    struct err err = err_ok();
    if (is_domain(call) && call->row == NULL) err = err_make(ERR_NOT_FOUND, "domain");
    if (err.code == ERR_OK) err = conf_of_row(call, conf, &problem);
    if (err.code == ERR_OK) {
        err = conf_make(NULL, 0, 0, defaults, &problem);
        if (err.code != ERR_OK) conf_unref(*conf);
    }
    if (err.code == ERR_OK) return true;
    bool is_bad = err.code == ERR_SYNTAX || err.code == ERR_DENIED;
    if (is_bad) api_refuse(call, 400, "Bad value", "%s", problem.text);
    else api_fail(call, err);
    return false;
}

static void list_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct conf *conf, *defaults;
    if (!take_confs(call, &conf, &defaults)) return;
    json_t *items = json_array();
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        json_array_append_new(items, option_json(conf, defaults, (enum conf_key)i));
    }
    conf_unref(conf);
    conf_unref(defaults);
    call->out = json_object();
    api_set(call->out, "items", items);
    flow_next(flow, err_ok());
}

/* The key of the path; CONF_KEYS_COUNT, and refused, when there is none. */
static enum conf_key take_key(struct api_call *call)
{
    enum conf_key key = conf_find(call->argument);
    if (key == CONF_KEYS_COUNT) {
        api_refuse(call, 404, "Not found", "no option %.*s; GET /api/v1/config lists them",
                   (int)call->argument.len, call->argument.ptr);
    }
    return key;
}

static void show_show(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct conf *conf, *defaults;
    char text[DESCRIBE_BYTES];
    struct buf out;
    enum conf_key key = take_key(call);
    if (key == CONF_KEYS_COUNT || !take_confs(call, &conf, &defaults)) return;
    api_tag(call, call->revision);
    call->out = option_json(conf, defaults, key);
    if (api_query(call, "describe").len > 0) {
        buf_init(&out, text, sizeof(text));
        conf_show_describe(conf, key, &out);
        api_set_text(call->out, "description", buf_span(&out));
    }
    conf_unref(conf);
    conf_unref(defaults);
    flow_next(flow, err_ok());
}

/* A group that the option names and that is not there, in the arena; empty: none. */
static struct span missing_group(struct api_call *call, const struct conf *conf, enum conf_key key)
{
    struct coord_row row;
    struct span name = SPAN("");
    char text[API_KEY_BYTES];
    for (size_t i = 0; conf_is_networks(key); i++) {
        struct span group = conf_group(conf, key, i);
        if (group.len == 0) break;
        int len = snprintf(text, sizeof(text), "ipgroups/0/%.*s", (int)group.len, group.ptr);
        if (coord_get(call->api->options.coord, span_of(text, (size_t)len), &row)) continue;
        return arena_copy(&call->arena, group, &name).code == ERR_OK ? name : SPAN("?");
    }
    return name;
}

/* Answers with the option as it is now, and writes the row. */
static void put(struct api_call *call, enum conf_key key)
{
    struct conf *conf, *defaults;
    if (!take_confs(call, &conf, &defaults)) return;
    struct span missing = missing_group(call, conf, key);
    call->out = option_json(conf, defaults, key);
    conf_unref(conf);
    conf_unref(defaults);
    if (missing.len == 0) api_row_put(call);
    else api_refuse(call, 400, "Bad value", "%s: there is no IP group %.*s", conf_key_text(key),
                    (int)missing.len, missing.ptr);
}

/* Puts the value into the row, a secret in its seal. False: refused. */
static bool set_value(struct api_call *call, enum conf_key key, struct span value)
{
    const struct api_options *options = &call->api->options;
    char bytes[OPTION_SEALED_BYTES];
    struct buf sealed;
    if (conf_is_secret(key) && value.len > 0) {
        struct span whose = span_of(conf_key_text(key), strlen(conf_key_text(key)));
        buf_init(&sealed, bytes, sizeof(bytes));
        struct err err = options->seal(options->holder, whose, value, &sealed);
        if (err.code != ERR_OK) {
            api_fail(call, err);
            return false;
        }
        value = buf_span(&sealed);
    }
    if (call->row == NULL && !is_domain(call)) call->row = json_object();
    if (is_domain(call) && settings_json(call) == NULL) {
        api_set(call->row, "options", json_object());
    }
    api_set_text(settings_json(call), conf_key_text(key), value);
    return true;
}

static void set_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct conf_problem problem;
    struct buf text;
    char bytes[OPTION_TEXT_BYTES];
    enum conf_key key = take_key(call);
    if (key == CONF_KEYS_COUNT) return;
    const json_t *value = json_object_get(call->in, "value");
    buf_init(&text, bytes, sizeof(bytes));
    if (value == NULL || conf_show_from_json(value, &text).code != ERR_OK) {
        api_refuse(call, 400, "Bad value",
                   "%s: the member \"value\" is a boolean, a whole number, a text or a list of "
                   "texts (DELETE goes back to the default)",
                   conf_key_text(key));
        return;
    }
    struct conf_setting setting = { .key = call->argument, .value = buf_span(&text) };
    if (conf_check(&setting, scope_of(call), &problem).code != ERR_OK) {
        api_refuse(call, 400, "Bad value", "%s", problem.text);
        return;
    }
    if (set_value(call, key, buf_span(&text))) put(call, key);
}

static void unset_put(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    enum conf_key key = take_key(call);
    if (key == CONF_KEYS_COUNT) return;
    if (call->row == NULL && !is_domain(call)) call->row = json_object();
    json_object_del(settings_json(call), conf_key_text(key));
    put(call, key);
}

const struct flow_step api_config_list[] = {
    { "find", read_row }, { "show", list_show }, { NULL, NULL },
};
const struct flow_step api_config_show[] = {
    { "find", read_row }, { "show", show_show }, { NULL, NULL },
};
const struct flow_step api_config_set[] = {
    { "find", find_row }, { "put", set_put }, { "audit", api_audit }, { NULL, NULL },
};
const struct flow_step api_config_unset[] = {
    { "find", find_row }, { "put", unset_put }, { "audit", api_audit }, { NULL, NULL },
};

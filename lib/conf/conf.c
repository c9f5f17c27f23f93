#include "conf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "check.h"
#include "conf_private.h"
#include "conf_value.h"

enum { CONF_ARENA_MAX_BYTES = 4 * 1024 * 1024, ALLOWED_BYTES = 200, SHOWN_BYTES = 64 };

static struct span c_span(const char *text) { return span_of(text, strlen(text)); }

enum conf_key conf_find(struct span name)
{
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        if (span_eq(c_span(conf_rows[i].key), name)) return (enum conf_key)i;
    }
    return CONF_KEYS;
}

const char *conf_name(enum conf_key key)
{
    CHECK(key < CONF_KEYS);
    return conf_rows[key].key;
}

bool conf_may_be_set(enum conf_key key, enum conf_scope scope)
{
    CHECK(key < CONF_KEYS);
    return conf_rows[key].scope >= scope;
}

/* ---- what is wrong */

void conf_quote(struct span given, char *to, size_t size)
{
    size_t len = given.len < size - 1 ? given.len : size - 1;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)given.ptr[i];
        to[i] = c < ' ' || c >= 0x7f ? '?' : (char)c;
    }
    to[len] = '\0';
}

static struct err say_value(char why[CONF_WHY_BYTES], enum conf_key key, struct span value,
                            struct err err)
{
    const struct conf_row *row = &conf_rows[key];
    char allowed[ALLOWED_BYTES], shown[SHOWN_BYTES];
    struct buf to;
    if (err.code == ERR_NOMEM) return err;
    buf_init(&to, allowed, sizeof(allowed));
    conf_value_put_allowed(row, &to);
    conf_quote(row->type == CONF_IS_SECRET ? SPAN("***") : value, shown, sizeof(shown));
    snprintf(why, CONF_WHY_BYTES, "%s: \"%s\" is refused: %s; allowed: %.*s", row->key, shown,
             err.what, (int)to.len, to.bytes);
    return err_make(ERR_SYNTAX, "value of an option");
}

static struct err say_scope(char why[CONF_WHY_BYTES], enum conf_key key)
{
    static const char *const places[] = { "cluster", "tenant", "domain", "user" };
    snprintf(why, CONF_WHY_BYTES, "%s: is set for a whole %s, not for less", conf_rows[key].key,
             places[conf_rows[key].scope]);
    return err_make(ERR_DENIED, "scope of an option");
}

/* ---- taking what is set */

/* A setting as it lies in the JSON. */
struct conf_setting {
    struct span value, min, max;
    bool has_value;
};

/* The bound in `text`, or `*ret` as it was when there is none. */
static struct err take_bound(enum conf_key key, struct span text, struct arena *arena,
                             uint64_t *ret)
{
    struct conf_value value;
    if (text.len == 0) return err_ok();
    if (!conf_type_is_number(conf_rows[key].type)) {
        return err_make(ERR_SYNTAX, "this option has no bounds to be set");
    }
    TRY(conf_value_read(&conf_rows[key], text, arena, &value));
    *ret = value.number;
    return err_ok();
}

static uint64_t clamp(uint64_t number, uint64_t min, uint64_t max)
{
    return number < min ? min : number > max ? max : number;
}

/* Takes one setting into `entry`, which holds what the wider scope says. */
static struct err take_setting(enum conf_key key, const struct conf_setting *setting,
                               struct arena *arena, struct conf_entry *entry)
{
    const struct conf_row *row = &conf_rows[key];
    struct conf_entry next = *entry;
    uint64_t min = row->min, max = row->max;
    TRY(take_bound(key, setting->min, arena, &min));
    TRY(take_bound(key, setting->max, arena, &max));
    if (min > max) return err_make(ERR_SYNTAX, "its bounds contradict each other");
    if (setting->has_value) {
        TRY(conf_value_read(row, setting->value, arena, &next.value));
        next.is_set = true;
    }
    if (conf_type_is_number(row->type)) {
        /* What a wider scope allows bounds the bounds too. */
        next.value.number = clamp(next.value.number, entry->min, entry->max);
        next.min = clamp(min, entry->min, entry->max);
        next.max = clamp(max, entry->min, entry->max);
    }
    *entry = next;
    return err_ok();
}

struct err conf_check(enum conf_key key, struct span value, char why[CONF_WHY_BYTES])
{
    struct arena arena;
    struct conf_value read;
    CHECK(key < CONF_KEYS);
    arena_init(&arena, CONF_ARENA_MAX_BYTES);
    struct err err = conf_value_read(&conf_rows[key], value, &arena, &read);
    arena_clear(&arena);
    return err.code == ERR_OK ? err : say_value(why, key, value, err);
}

static struct span json_text(const json_t *json)
{
    const char *text = json_string_value(json);
    return text == NULL ? span_of(NULL, 0) : span_of(text, json_string_length(json));
}

/* False: the JSON is no setting. */
static bool setting_of(const json_t *json, struct conf_setting *ret)
{
    const json_t *value = json, *min = NULL, *max = NULL;
    if (json_is_object(json)) {
        value = json_object_get(json, "value");
        min = json_object_get(json, "min");
        max = json_object_get(json, "max");
    }
    bool fits = (value == NULL || json_is_string(value)) && (min == NULL || json_is_string(min)) &&
                (max == NULL || json_is_string(max));
    *ret = (struct conf_setting){ json_text(value), json_text(min), json_text(max),
                                  value != NULL };
    return fits;
}

static struct err take_row(struct conf *conf, enum conf_scope scope, enum conf_key key,
                           const json_t *json, char why[CONF_WHY_BYTES])
{
    struct conf_setting setting;
    if (!conf_may_be_set(key, scope)) return say_scope(why, key);
    struct err err = setting_of(json, &setting)
                         ? take_setting(key, &setting, &conf->arena, &conf->entries[key])
                         : err_make(ERR_SYNTAX, "no text");
    return err.code == ERR_OK ? err : say_value(why, key, setting.value, err);
}

static struct err take_rows(struct conf *conf, enum conf_scope scope, struct span json,
                            char why[CONF_WHY_BYTES])
{
    why[0] = '\0';
    if (json.len == 0) return err_ok();
    json_t *object = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    struct err err = json_is_object(object) ? err_ok() : err_make(ERR_SYNTAX, "configuration");
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        enum conf_key key = conf_find(c_span(name));
        if (key == CONF_KEYS) continue;
        err = take_row(conf, scope, key, value, why);
        if (err.code == ERR_NOMEM) break;
        err = err_ok();
    }
    json_decref(object);
    return err;
}

static struct err take_defaults(struct conf *conf)
{
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        struct conf_entry *entry = &conf->entries[i];
        entry->max = UINT64_MAX;
        struct err err = conf_value_read(&conf_rows[i], c_span(conf_rows[i].default_),
                                         &conf->arena, &entry->value);
        CHECK(err.code == ERR_OK || err.code == ERR_NOMEM); /* a default that its row refuses */
        if (err.code != ERR_OK) return err;
    }
    return err_ok();
}

/* Of `wide`, or of the defaults when that is NULL. */
static struct err conf_make(struct conf *wide, uint64_t version, struct conf **ret)
{
    struct conf *conf = calloc(1, sizeof(*conf));
    if (conf == NULL) return err_make(ERR_NOMEM, "configuration");
    conf->references = 1;
    conf->version = version;
    arena_init(&conf->arena, CONF_ARENA_MAX_BYTES);
    struct err err = err_ok();
    if (wide != NULL) {
        conf->wide = conf_ref(wide);
        memcpy(conf->entries, wide->entries, sizeof(conf->entries));
    } else {
        err = take_defaults(conf);
    }
    if (err.code != ERR_OK) {
        conf_unref(conf);
        return err;
    }
    *ret = conf;
    return err_ok();
}

struct err conf_new(struct span json, uint64_t version, char why[CONF_WHY_BYTES], struct conf **ret)
{
    struct conf *conf = NULL;
    TRY(conf_make(NULL, version, &conf));
    struct err err = take_rows(conf, CONF_CLUSTER, json, why);
    if (err.code != ERR_OK) {
        conf_unref(conf);
        return err;
    }
    *ret = conf;
    return err_ok();
}

struct err conf_narrow(struct conf *wide, enum conf_scope scope, struct span json,
                       char why[CONF_WHY_BYTES], struct conf **ret)
{
    struct conf *conf = NULL;
    TRY(conf_make(wide, wide->version, &conf));
    struct err err = take_rows(conf, scope, json, why);
    if (err.code != ERR_OK) {
        conf_unref(conf);
        return err;
    }
    *ret = conf;
    return err_ok();
}

struct conf *conf_ref(struct conf *conf)
{
    __atomic_fetch_add(&conf->references, 1, __ATOMIC_RELAXED);
    return conf;
}

void conf_unref(struct conf *conf)
{
    while (conf != NULL && __atomic_fetch_sub(&conf->references, 1, __ATOMIC_ACQ_REL) == 1) {
        struct conf *wide = conf->wide;
        arena_clear(&conf->arena);
        free(conf);
        conf = wide;
    }
}

/* ---- reading */

uint64_t conf_version(const struct conf *conf) { return conf->version; }

static const struct conf_value *value_of(const struct conf *conf, enum conf_key key)
{
    CHECK(key < CONF_KEYS);
    return &conf->entries[key].value;
}

bool conf_bool(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_rows[key].type == CONF_IS_BOOL);
    return value->number != 0;
}

uint64_t conf_number(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    enum conf_type type = conf_rows[key].type;
    CHECK(type == CONF_IS_NUMBER || type == CONF_IS_SIZE || type == CONF_IS_CHOICE);
    return value->number;
}

uint64_t conf_ms(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_rows[key].type == CONF_IS_SECONDS);
    return value->number * 1000;
}

struct span conf_text(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    enum conf_type type = conf_rows[key].type;
    CHECK(!conf_type_is_number(type) && type != CONF_IS_BOOL && type != CONF_IS_CHOICE);
    return value->text;
}

bool conf_endpoint(const struct conf *conf, enum conf_key key, struct span *host, uint16_t *port)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_rows[key].type == CONF_IS_ENDPOINT);
    if (value->host.len == 0) return false;
    *host = value->host;
    *port = (uint16_t)value->number;
    return true;
}

static bool network_has(const struct conf_network *network, const uint8_t ip[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->ip, ip, whole) != 0) return false;
    return rest == 0 || ((network->ip[whole] ^ ip[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool conf_has_address(const struct conf *conf, enum conf_key key, const uint8_t ip[16])
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_rows[key].type == CONF_IS_NETWORKS);
    for (size_t i = 0; i < value->networks_count; i++) {
        if (network_has(&value->networks[i], ip)) return true;
    }
    return false;
}

bool conf_is_set(const struct conf *conf, enum conf_key key)
{
    CHECK(key < CONF_KEYS);
    return conf->entries[key].is_set;
}

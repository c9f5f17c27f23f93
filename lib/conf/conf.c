#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "check.h"
#include "conf_private.h"
#include "conf_value.h"

enum { CONF_ARENA_MAX_BYTES = 16 * 1024 * 1024, ALLOWED_BYTES = 256, SHOWN_BYTES = 64 };

enum conf_key conf_find(struct span key)
{
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        const char *text = conf_rows[i].key;
        if (strlen(text) == key.len && memcmp(text, key.ptr, key.len) == 0) {
            return (enum conf_key)i;
        }
    }
    return CONF_KEYS_COUNT;
}

const char *conf_key_text(enum conf_key key)
{
    CHECK(key < CONF_KEYS_COUNT);
    return conf_rows[key].key;
}

bool conf_is_secret(enum conf_key key)
{
    CHECK(key < CONF_KEYS_COUNT);
    return conf_rows[key].type == CONF_TYPE_SECRET;
}

/* ---- what is wrong */

/* Up to `size` - 1 bytes of what was given, without what could forge a line. */
static void show(struct span given, char *to, size_t size)
{
    size_t len = given.len < size - 1 ? given.len : size - 1;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)given.ptr[i];
        to[i] = c < ' ' || c >= 0x7f ? '?' : (char)c;
    }
    to[len] = '\0';
}

static struct err problem_unknown(struct conf_problem *problem, struct span key)
{
    char shown[SHOWN_BYTES];
    show(key, shown, sizeof(shown));
    problem->key = CONF_KEYS_COUNT;
    snprintf(problem->text, sizeof(problem->text), "%s: there is no such option", shown);
    return err_make(ERR_NOT_FOUND, "option");
}

static struct err problem_value(struct conf_problem *problem, enum conf_key key, struct span value,
                                struct err err)
{
    char allowed[ALLOWED_BYTES], shown[SHOWN_BYTES];
    struct buf to;
    buf_init(&to, allowed, sizeof(allowed));
    conf_value_put_allowed(&conf_rows[key], &to);
    show(conf_is_secret(key) ? SPAN("********") : value, shown, sizeof(shown));
    problem->key = key;
    snprintf(problem->text, sizeof(problem->text), "%s: \"%s\" is refused: %s; allowed: %.*s",
             conf_rows[key].key, shown, err.what, (int)to.len, to.bytes);
    return err.code == ERR_NOMEM ? err : err_make(ERR_SYNTAX, "value of an option");
}

static struct err problem_scope(struct conf_problem *problem, enum conf_key key)
{
    static const char *const places[] = { "cluster", "tenant", "domain", "user" };
    problem->key = key;
    snprintf(problem->text, sizeof(problem->text), "%s: is set for a whole %s, not for less",
             conf_rows[key].key, places[conf_rows[key].scope]);
    return err_make(ERR_DENIED, "scope of an option");
}

/* ---- taking settings */

/* The bound in `text`, or `*ret` as it was when there is none. */
static struct err take_bound(enum conf_key key, struct span text, struct arena *arena,
                             uint64_t *ret)
{
    struct conf_value value;
    if (text.len == 0) return err_ok();
    if (!conf_type_is_number(conf_rows[key].type)) {
        return err_make(ERR_SYNTAX, "this option has no bounds to be set");
    }
    TRY(conf_value_parse(&conf_rows[key], text, arena, &value));
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
    bool only_bounds = setting->value.len == 0 && (setting->min.len > 0 || setting->max.len > 0);
    uint64_t min = row->min, max = row->max;
    TRY(take_bound(key, setting->min, arena, &min));
    TRY(take_bound(key, setting->max, arena, &max));
    if (min > max) return err_make(ERR_SYNTAX, "its bounds contradict each other");
    if (!only_bounds) {
        TRY(conf_value_parse(row, setting->value, arena, &next.value));
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

static struct span shown_value(const struct conf_setting *setting)
{
    return setting->value.len > 0 || setting->min.len == 0 ? setting->value : setting->min;
}

struct err conf_check(const struct conf_setting *setting, enum conf_scope scope,
                      struct conf_problem *problem)
{
    struct arena arena;
    enum conf_key key = conf_find(setting->key);
    if (key == CONF_KEYS_COUNT) return problem_unknown(problem, setting->key);
    if (conf_rows[key].scope < scope) return problem_scope(problem, key);
    struct conf_entry entry = { .min = 0, .max = UINT64_MAX };
    arena_init(&arena, CONF_ARENA_MAX_BYTES);
    struct err err = take_setting(key, setting, &arena, &entry);
    arena_clear(&arena);
    return err.code == ERR_OK ? err : problem_value(problem, key, shown_value(setting), err);
}

static struct err take_settings(struct conf *conf, enum conf_scope scope,
                                const struct conf_setting *settings, size_t count,
                                struct conf_problem *problem)
{
    for (size_t i = 0; i < count; i++) {
        enum conf_key key = conf_find(settings[i].key);
        if (key == CONF_KEYS_COUNT) {
            conf->unknown++;
            continue;
        }
        if (conf_rows[key].scope < scope) return problem_scope(problem, key);
        struct err err = take_setting(key, &settings[i], &conf->arena, &conf->entries[key]);
        if (err.code != ERR_OK) {
            return problem_value(problem, key, shown_value(&settings[i]), err);
        }
    }
    return err_ok();
}

static struct err conf_new(size_t count, struct conf **ret)
{
    if (count > CONF_SETTINGS_MAX) return err_make(ERR_TOO_BIG, "settings");
    struct conf *conf = calloc(1, sizeof(*conf));
    if (conf == NULL) return err_make(ERR_NOMEM, "configuration");
    conf->references = 1;
    arena_init(&conf->arena, CONF_ARENA_MAX_BYTES);
    *ret = conf;
    return err_ok();
}

struct err conf_make(const struct conf_setting *settings, size_t count, uint64_t version,
                     struct conf **ret, struct conf_problem *problem)
{
    struct conf *conf = NULL;
    TRY(conf_new(count, &conf));
    conf->version = version;
    struct err err = err_ok();
    for (unsigned i = 0; i < CONF_KEYS_COUNT && err.code == ERR_OK; i++) {
        const struct conf_row *row = &conf_rows[i];
        struct conf_entry *entry = &conf->entries[i];
        *entry = (struct conf_entry){ .min = 0, .max = UINT64_MAX };
        err = conf_value_parse(row, span_of(row->value, strlen(row->value)), &conf->arena,
                               &entry->value);
        CHECK(err.code == ERR_OK || err.code == ERR_NOMEM); /* a default that its row refuses */
    }
    if (err.code == ERR_OK) err = take_settings(conf, CONF_CLUSTER, settings, count, problem);
    if (err.code != ERR_OK) {
        conf_unref(conf);
        return err;
    }
    *ret = conf;
    return err_ok();
}

struct err conf_narrow(struct conf *wide, enum conf_scope scope,
                       const struct conf_setting *settings, size_t count, struct conf **ret,
                       struct conf_problem *problem)
{
    struct conf *conf = NULL;
    TRY(conf_new(count, &conf));
    conf->wide = conf_ref(wide);
    conf->version = wide->version;
    memcpy(conf->entries, wide->entries, sizeof(conf->entries));
    struct err err = take_settings(conf, scope, settings, count, problem);
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
        if (conf->groups != NULL) conf->groups->free(conf->groups);
        arena_clear(&conf->arena);
        free(conf);
        conf = wide;
    }
}

/* ---- reading */

uint64_t conf_version(const struct conf *conf) { return conf->version; }
size_t conf_unknown(const struct conf *conf) { return conf->unknown; }

static const struct conf_value *value_of(const struct conf *conf, enum conf_key key)
{
    CHECK(key < CONF_KEYS_COUNT);
    return &conf->entries[key].value;
}

bool conf_bool(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_rows[key].type == CONF_TYPE_BOOL);
    return value->number != 0;
}

uint64_t conf_number(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_type_is_number(conf_rows[key].type) || conf_rows[key].type == CONF_TYPE_CHOICE);
    return value->number;
}

uint64_t conf_ms(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_rows[key].type == CONF_TYPE_SECONDS);
    return value->number * 1000;
}

struct span conf_text(const struct conf *conf, enum conf_key key)
{
    const struct conf_value *value = value_of(conf, key);
    enum conf_type type = conf_rows[key].type;
    CHECK(type == CONF_TYPE_TEXT || type == CONF_TYPE_HOST || type == CONF_TYPE_ENDPOINT ||
          type == CONF_TYPE_SECRET);
    return value->text;
}

struct span conf_word(const struct conf *conf, enum conf_key key, size_t at)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_rows[key].type == CONF_TYPE_TEXTS);
    return at < value->count ? value->list.words[at] : span_of(NULL, 0);
}

void conf_set_groups(struct conf *conf, struct conf_groups *groups)
{
    CHECK(conf->groups == NULL);
    conf->groups = groups;
}

bool conf_is_networks(enum conf_key key) { return conf_rows[key].type == CONF_TYPE_NETWORKS; }

struct span conf_group(const struct conf *conf, enum conf_key key, size_t at)
{
    const struct conf_value *value = value_of(conf, key);
    CHECK(conf_is_networks(key));
    for (size_t i = 0; i < value->count; i++) {
        struct span group = value->list.networks[i].group;
        if (group.len > 0 && at-- == 0) return group;
    }
    return span_of(NULL, 0);
}

static bool group_has(const struct conf *conf, struct span group, const uint8_t ip[16])
{
    while (conf != NULL && conf->groups == NULL) conf = conf->wide;
    return conf != NULL && conf->groups->has(conf->groups, group, ip);
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
    CHECK(conf_rows[key].type == CONF_TYPE_NETWORKS);
    for (size_t i = 0; i < value->count; i++) {
        const struct conf_network *network = &value->list.networks[i];
        bool is_in = network->group.len > 0 ? group_has(conf, network->group, ip)
                                            : network_has(network, ip);
        if (is_in) return true;
    }
    return false;
}

bool conf_is_set(const struct conf *conf, enum conf_key key)
{
    CHECK(key < CONF_KEYS_COUNT);
    return conf->entries[key].is_set;
}

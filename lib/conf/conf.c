#include "conf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "conf_private.h"

const struct conf_row conf_rows[CONF_KEYS] = {
#define CONF_ROW(name, key, scope, type, unit, min, max, default_, when, text) \
    [CONF_##name] = { key, CONF_IS_##type, unit, min, max, default_, CONF_AT_##when, text },
#include "conf_rows.def"
#undef CONF_ROW
};

struct conf {
    unsigned references;
    uint64_t version;
    struct conf_value values[CONF_KEYS];
};

struct err conf_new(struct span json, uint64_t version, char why[CONF_WHY_BYTES], struct conf **ret)
{
    json_t *object = json.len == 0 ? json_object() : json_loadb(json.ptr, json.len, 0, NULL);
    why[0] = '\0';
    if (!json_is_object(object)) {
        json_decref(object);
        return err_make(ERR_SYNTAX, "configuration");
    }
    struct conf *conf = calloc(1, sizeof(*conf));
    if (conf == NULL) {
        json_decref(object);
        return err_make(ERR_NOMEM, "configuration");
    }
    conf->references = 1;
    conf->version = version;
    struct err err = err_ok();
    for (unsigned i = 0; i < CONF_KEYS && err.code == ERR_OK; i++) {
        const char *text = json_string_value(json_object_get(object, conf_rows[i].key));
        char bad[CONF_WHY_BYTES];
        if (text != NULL) {
            err = conf_value_read((enum conf_key)i, span_of(text, strlen(text)), &conf->values[i], bad);
            if (err.code == ERR_OK) continue;
            if (err.code == ERR_SYNTAX) snprintf(why, CONF_WHY_BYTES, "%s", bad);
        }
        text = conf_rows[i].default_;
        err = conf_value_read((enum conf_key)i, span_of(text, strlen(text)), &conf->values[i], bad);
        CHECK(err.code != ERR_SYNTAX); /* a default is within its own bounds */
    }
    json_decref(object);
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
    if (conf == NULL) return;
    if (__atomic_fetch_sub(&conf->references, 1, __ATOMIC_ACQ_REL) != 1) return;
    for (unsigned i = 0; i < CONF_KEYS; i++) conf_value_free(&conf->values[i]);
    free(conf);
}

uint64_t conf_version(const struct conf *conf) { return conf->version; }

bool conf_bool(const struct conf *conf, enum conf_key key)
{
    CHECK(conf_rows[key].type == CONF_IS_BOOL);
    return conf->values[key].number != 0;
}

uint64_t conf_number(const struct conf *conf, enum conf_key key)
{
    enum conf_type type = conf_rows[key].type;
    CHECK(type == CONF_IS_NUMBER || type == CONF_IS_SIZE || type == CONF_IS_CHOICE);
    return conf->values[key].number;
}

uint64_t conf_ms(const struct conf *conf, enum conf_key key)
{
    CHECK(conf_rows[key].type == CONF_IS_SECONDS);
    return conf->values[key].number * 1000;
}

struct span conf_text(const struct conf *conf, enum conf_key key)
{
    enum conf_type type = conf_rows[key].type;
    CHECK(type == CONF_IS_TEXT || type == CONF_IS_SECRET || type == CONF_IS_NETWORKS);
    return span_of(conf->values[key].text, conf->values[key].len);
}

bool conf_has_address(const struct conf *conf, enum conf_key key, const uint8_t ip[16])
{
    CHECK(conf_rows[key].type == CONF_IS_NETWORKS);
    const struct conf_value *value = &conf->values[key];
    for (size_t i = 0; i < value->networks_count; i++) {
        const struct conf_network *network = &value->networks[i];
        size_t whole = network->bits / 8, rest = network->bits % 8;
        if (memcmp(network->ip, ip, whole) != 0) continue;
        if (rest == 0) return true;
        uint8_t mask = (uint8_t)(0xff << (8 - rest));
        if ((network->ip[whole] & mask) == (ip[whole] & mask)) return true;
    }
    return false;
}

enum conf_key conf_find(struct span name)
{
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        if (span_eq(name, span_of(conf_rows[i].key, strlen(conf_rows[i].key)))) return (enum conf_key)i;
    }
    return CONF_KEYS;
}

const char *conf_name(enum conf_key key) { return conf_rows[key].key; }
const char *conf_default(enum conf_key key) { return conf_rows[key].default_; }
const char *conf_what(enum conf_key key) { return conf_rows[key].text; }

const char *conf_when(enum conf_key key)
{
    static const char *const texts[] = { "at once", "for new sessions", "when the program starts again" };
    return texts[conf_rows[key].when];
}

void conf_show(const struct conf *conf, enum conf_key key, char value[CONF_VALUE_MAX_BYTES])
{
    const struct conf_value *of = &conf->values[key];
    bool hidden = conf_rows[key].type == CONF_IS_SECRET && of->len > 0;
    snprintf(value, CONF_VALUE_MAX_BYTES, "%.*s", hidden ? 3 : (int)of->len, hidden ? "***" : of->text);
}

struct err conf_check(enum conf_key key, struct span value, char why[CONF_WHY_BYTES])
{
    struct conf_value read = { 0 };
    struct err err = conf_value_read(key, value, &read, why);
    conf_value_free(&read);
    return err;
}

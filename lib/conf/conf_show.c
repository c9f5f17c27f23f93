#include "conf_show.h"

#include <jansson.h>
#include <string.h>

#include "check.h"
#include "conf_private.h"

static const char *const scope_texts[] = { "cluster", "tenant", "domain", "user" };

static void put(struct buf *to, const char *text) { buf_put(to, span_of(text, strlen(text))); }

/* Of a SECRET only whether there is one. */
static void put_value(const struct conf *conf, enum conf_key key, struct buf *to)
{
    const struct conf_value *value = &conf->entries[key].value;
    if (conf_rows[key].type == CONF_IS_SECRET) {
        put(to, value->text.len > 0 ? "***" : "");
    } else {
        conf_value_put(&conf_rows[key], value, to);
    }
}

void conf_show(const struct conf *conf, enum conf_key key, char value[CONF_VALUE_MAX_BYTES])
{
    struct buf to;
    CHECK(key < CONF_KEYS);
    buf_init(&to, value, CONF_VALUE_MAX_BYTES - 1);
    put_value(conf, key, &to);
    value[to.len] = '\0';
}

const char *conf_default(enum conf_key key)
{
    CHECK(key < CONF_KEYS);
    return conf_rows[key].default_;
}

const char *conf_what(enum conf_key key)
{
    CHECK(key < CONF_KEYS);
    return conf_rows[key].text;
}

const char *conf_when(enum conf_key key)
{
    static const char *const texts[] = { "at once", "for new sessions",
                                         "when the program starts again" };
    CHECK(key < CONF_KEYS);
    return texts[conf_rows[key].when];
}

void conf_allowed(enum conf_key key, char ret[CONF_WHY_BYTES])
{
    struct buf to;
    CHECK(key < CONF_KEYS);
    buf_init(&to, ret, CONF_WHY_BYTES - 1);
    conf_value_put_allowed(&conf_rows[key], &to);
    ret[to.len] = '\0';
}

/* ---- JSON */

/* `text` is the value's as text, without a secret. */
static json_t *json_of(const struct conf_row *row, uint64_t number, const char *text)
{
    if (row->type == CONF_IS_BOOL) return json_boolean(number != 0);
    if (conf_type_is_number(row->type)) return json_integer((json_int_t)number);
    return json_string(text);
}

static json_t *json_of_choices(const struct conf_row *row)
{
    json_t *array = json_array();
    struct span rest = span_of(row->unit, strlen(row->unit)), head, tail;
    while (span_cut(rest, '|', &head, &tail)) {
        json_array_append_new(array, json_stringn(head.ptr, head.len));
        rest = tail;
    }
    json_array_append_new(array, json_stringn(rest.ptr, rest.len));
    return array;
}

static void set_bounds(json_t *object, const struct conf_row *row)
{
    if (row->type == CONF_IS_CHOICE) {
        json_object_set_new(object, "choices", json_of_choices(row));
    } else if (row->type != CONF_IS_BOOL) {
        json_object_set_new(object, "min", json_integer((json_int_t)row->min));
        json_object_set_new(object, "max", json_integer((json_int_t)row->max));
        if (row->unit[0] != '\0') json_object_set_new(object, "unit", json_string(row->unit));
    }
}

struct json_t *conf_show_json(const struct conf *conf, enum conf_key key)
{
    char text[CONF_VALUE_MAX_BYTES];
    struct arena arena;
    struct conf_value value = { 0 };
    CHECK(key < CONF_KEYS);
    const struct conf_row *row = &conf_rows[key];
    json_t *object = json_object();
    if (object == NULL) return NULL;
    arena_init(&arena, CONF_VALUE_MAX_BYTES * 2);
    struct span by_default = span_of(row->default_, strlen(row->default_));
    if (conf_value_read(row, by_default, &arena, &value).code == ERR_OK) {
        json_object_set_new(object, "default", json_of(row, value.number, row->default_));
    }
    arena_clear(&arena);
    conf_show(conf, key, text);
    json_object_set_new(object, "key", json_string(row->key));
    json_object_set_new(object, "value", json_of(row, conf->entries[key].value.number, text));
    json_object_set_new(object, "set", json_boolean(conf->entries[key].is_set));
    json_object_set_new(object, "type", json_string(conf_type_text(row->type)));
    json_object_set_new(object, "scope", json_string(scope_texts[row->scope]));
    json_object_set_new(object, "when", json_string(conf_when(key)));
    json_object_set_new(object, "text", json_string(row->text));
    set_bounds(object, row);
    return object;
}

struct json_t *conf_show_json_all(const struct conf *conf)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        json_array_append_new(array, conf_show_json(conf, (enum conf_key)i));
    }
    return array;
}

/* ---- text */

static void put_default(const struct conf_row *row, struct buf *to)
{
    put(to, row->default_[0] == '\0' ? "(nothing)" : row->default_);
}

void conf_show_describe(const struct conf *conf, enum conf_key key, struct buf *to)
{
    CHECK(key < CONF_KEYS);
    const struct conf_row *row = &conf_rows[key];
    put(to, row->key);
    put(to, "\n    ");
    put(to, row->text);
    put(to, "\n    value:   ");
    put_value(conf, key, to);
    if (!conf_is_set(conf, key)) put(to, "  (the default)");
    put(to, "\n    default: ");
    put_default(row, to);
    put(to, "\n    allowed: ");
    conf_value_put_allowed(row, to);
    put(to, "\n    set for: ");
    for (unsigned i = 0; i <= (unsigned)row->scope; i++) {
        if (i > 0) put(to, ", ");
        put(to, scope_texts[i]);
    }
    put(to, "\n    changes: ");
    put(to, conf_when(key));
    put(to, "\n");
}

/* mdoc takes a dot or an apostrophe at the start of a line as a request; a backslash escapes. */
static void put_mdoc(struct buf *to, const char *text)
{
    if (text[0] == '.' || text[0] == '\'') put(to, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\') {
            put(to, "\\e");
        } else {
            buf_put(to, span_of(text, 1));
        }
    }
}

void conf_show_manual(struct buf *to)
{
    put(to, ".Dd $Mdocdate$\n.Dt GODWIT.CONF 5\n.Os\n.Sh NAME\n.Nm godwit.conf\n"
            ".Nd options of Godwit\n.Sh DESCRIPTION\n"
            "An option has a default, may be set for the whole cluster by\n"
            ".Ic godwitctl config set ,\n"
            "and some of them for a tenant, a domain or a user as well: the narrowest wins.\n"
            "A file has one option a line,\n.Ar key No = Ar value ;\n"
            "lines that begin with # are comments.\n.Bl -tag -width Ds\n");
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        const struct conf_row *row = &conf_rows[i];
        char allowed[CONF_WHY_BYTES];
        conf_allowed((enum conf_key)i, allowed);
        put(to, ".It Ic ");
        put(to, row->key);
        put(to, "\n");
        put_mdoc(to, row->text);
        put(to, ".\nAllowed: ");
        put_mdoc(to, allowed);
        put(to, ".\nDefault: ");
        put_default(row, to);
        put(to, ".\nSet for: ");
        put(to, scope_texts[row->scope]);
        put(to, ".\nA change is in force ");
        put(to, conf_when((enum conf_key)i));
        put(to, ".\n");
    }
    put(to, ".El\n");
}

void conf_show_sample(struct buf *to)
{
    put(to, "# Options of Godwit with their defaults. Take the # off a line to set it.\n");
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        const struct conf_row *row = &conf_rows[i];
        put(to, "\n# ");
        put(to, row->text);
        put(to, ".\n# Allowed: ");
        conf_value_put_allowed(row, to);
        put(to, "; a change is in force ");
        put(to, conf_when((enum conf_key)i));
        put(to, ".\n#");
        put(to, row->key);
        put(to, " = ");
        put(to, row->default_);
        put(to, "\n");
    }
}

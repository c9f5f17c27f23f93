#include "conf_show.h"

#include <jansson.h>
#include <string.h>

#include "check.h"
#include "conf_private.h"

static const char *const scope_texts[] = { "cluster", "tenant", "domain", "user" };
static const char *const effect_texts[] = { "at once", "for new sessions", "after a restart" };

static void put(struct buf *to, const char *text) { buf_put(to, span_of(text, strlen(text))); }

/* What stands for a secret: whether there is one is no secret. */
static struct span shown_secret(const struct conf_value *value)
{
    return value->text.len > 0 ? SPAN("********") : SPAN("");
}

void conf_show_value(const struct conf *conf, enum conf_key key, struct buf *to)
{
    CHECK(key < CONF_KEYS_COUNT);
    if (conf_rows[key].type == CONF_TYPE_SECRET) {
        buf_put(to, shown_secret(&conf->entries[key].value));
        return;
    }
    conf_value_put(&conf_rows[key], &conf->entries[key].value, to);
}

/* ---- JSON */

static json_t *json_of_span(struct span s) { return json_stringn(s.len == 0 ? "" : s.ptr, s.len); }

static json_t *json_of_list(const struct conf_row *row, const struct conf_value *value)
{
    json_t *array = json_array();
    for (size_t i = 0; i < value->count; i++) {
        char text[64];
        struct buf one;
        if (row->type == CONF_TYPE_TEXTS) {
            json_array_append_new(array, json_of_span(value->list.words[i]));
            continue;
        }
        const struct conf_value single = { .list.networks = &value->list.networks[i], .count = 1 };
        buf_init(&one, text, sizeof(text));
        conf_value_put(row, &single, &one);
        json_array_append_new(array, json_of_span(buf_span(&one)));
    }
    return array;
}

static json_t *json_of_value(const struct conf_row *row, const struct conf_value *value)
{
    char word[64];
    struct buf to;
    switch (row->type) {
    case CONF_TYPE_BOOL: return json_boolean(value->number != 0);
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_BYTES:
    case CONF_TYPE_SECONDS: return json_integer((json_int_t)value->number);
    case CONF_TYPE_CHOICE:
        buf_init(&to, word, sizeof(word));
        conf_value_put(row, value, &to);
        return json_of_span(buf_span(&to));
    case CONF_TYPE_TEXT:
    case CONF_TYPE_HOST:
    case CONF_TYPE_ENDPOINT: return json_of_span(value->text);
    case CONF_TYPE_SECRET: return json_of_span(shown_secret(value));
    case CONF_TYPE_TEXTS:
    case CONF_TYPE_NETWORKS: return json_of_list(row, value);
    }
    return json_null();
}

static json_t *json_of_choices(const struct conf_row *row)
{
    json_t *array = json_array();
    struct span rest = span_of(row->unit, strlen(row->unit)), head, tail;
    while (span_cut(rest, '|', &head, &tail)) {
        json_array_append_new(array, json_of_span(head));
        rest = tail;
    }
    json_array_append_new(array, json_of_span(rest));
    return array;
}

static void set_bounds(json_t *object, const struct conf_row *row)
{
    if (row->type == CONF_TYPE_CHOICE) {
        json_object_set_new(object, "choices", json_of_choices(row));
    } else if (row->type != CONF_TYPE_BOOL) {
        json_object_set_new(object, "min", json_integer((json_int_t)row->min));
        json_object_set_new(object, "max", json_integer((json_int_t)row->max));
        if (row->unit[0] != '\0') json_object_set_new(object, "unit", json_string(row->unit));
    }
}

struct json_t *conf_show_json(const struct conf *conf, enum conf_key key)
{
    CHECK(key < CONF_KEYS_COUNT);
    const struct conf_row *row = &conf_rows[key];
    struct arena arena;
    struct conf_value value = { 0 };
    json_t *object = json_object();
    if (object == NULL) return NULL;
    arena_init(&arena, CONF_VALUE_MAX_BYTES * 2);
    struct err err = conf_value_parse(row, span_of(row->value, strlen(row->value)), &arena, &value);
    if (err.code == ERR_OK) {
        json_object_set_new(object, "default", json_of_value(row, &value));
    }
    arena_clear(&arena);
    json_object_set_new(object, "key", json_string(row->key));
    json_object_set_new(object, "value", json_of_value(row, &conf->entries[key].value));
    json_object_set_new(object, "set", json_boolean(conf->entries[key].is_set));
    json_object_set_new(object, "type", json_string(conf_type_text(row->type)));
    json_object_set_new(object, "scope", json_string(scope_texts[row->scope]));
    json_object_set_new(object, "effect", json_string(effect_texts[row->effect]));
    json_object_set_new(object, "text", json_string(row->text));
    set_bounds(object, row);
    return object;
}

struct json_t *conf_show_json_all(const struct conf *conf)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        json_array_append_new(array, conf_show_json(conf, (enum conf_key)i));
    }
    return array;
}

/* A member of a list is one word of it: what would be cut in two is refused. */
static struct err put_member(const json_t *value, struct buf *to)
{
    const char *text = json_string_value(value);
    if (text == NULL) return err_make(ERR_SYNTAX, "JSON of a list of texts");
    size_t len = json_string_length(value);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ',' || text[i] == ' ' || text[i] == '\t') {
            return err_make(ERR_SYNTAX, "a comma or blank within a member of a list");
        }
    }
    buf_put(to, span_of(text, len));
    return err_ok();
}

struct err conf_show_from_json(const struct json_t *value, struct buf *to)
{
    char digits[24];
    struct buf made = *to;
    size_t index;
    json_t *member;
    if (json_is_boolean(value)) {
        put(&made, json_is_true(value) ? "true" : "false");
    } else if (json_is_integer(value) && json_integer_value(value) >= 0) {
        uint64_t number = (uint64_t)json_integer_value(value);
        size_t at = sizeof(digits);
        do digits[--at] = (char)('0' + number % 10); while ((number /= 10) > 0);
        buf_put(&made, span_of(digits + at, sizeof(digits) - at));
    } else if (json_is_string(value)) {
        buf_put(&made, span_of(json_string_value(value), json_string_length(value)));
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            if (index > 0) put(&made, ", ");
            TRY(put_member(member, &made));
        }
    } else {
        return err_make(ERR_SYNTAX, "JSON of a value");
    }
    if (made.overflow) return err_make(ERR_TOO_BIG, "JSON of a value");
    *to = made;
    return err_ok();
}

/* ---- text */

static void put_default(const struct conf_row *row, struct buf *to)
{
    put(to, row->value[0] == '\0' ? "(nothing)" : row->value);
}

void conf_show_describe(const struct conf *conf, enum conf_key key, struct buf *to)
{
    CHECK(key < CONF_KEYS_COUNT);
    const struct conf_row *row = &conf_rows[key];
    put(to, row->key);
    put(to, "\n    ");
    put(to, row->text);
    put(to, "\n    value:   ");
    conf_show_value(conf, key, to);
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
    put(to, effect_texts[row->effect]);
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
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        const struct conf_row *row = &conf_rows[i];
        char allowed[256];
        struct buf in_words;
        buf_init(&in_words, allowed, sizeof(allowed) - 1);
        conf_value_put_allowed(row, &in_words);
        allowed[in_words.len] = '\0';
        put(to, ".It Ic ");
        put(to, row->key);
        put(to, "\n");
        put_mdoc(to, row->text);
        put(to, "\nAllowed: ");
        put_mdoc(to, allowed);
        put(to, ".\nDefault: ");
        put_default(row, to);
        put(to, ".\nSet for: ");
        put(to, scope_texts[row->scope]);
        put(to, ".\nA change is in force ");
        put(to, effect_texts[row->effect]);
        put(to, ".\n");
    }
    put(to, ".El\n");
}

void conf_show_sample(struct buf *to)
{
    put(to, "# Options of Godwit with their defaults. Take the # off a line to set it.\n");
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        const struct conf_row *row = &conf_rows[i];
        put(to, "\n# ");
        put(to, row->text);
        put(to, "\n# Allowed: ");
        conf_value_put_allowed(row, to);
        put(to, "; a change is in force ");
        put(to, effect_texts[row->effect]);
        put(to, ".\n#");
        put(to, row->key);
        put(to, " = ");
        put(to, row->value);
        put(to, "\n");
    }
}

#include "conf_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Settings point into `object`. */
static struct err settings_of(json_t *object, struct conf_setting **ret, size_t *count,
                              struct conf_problem *problem)
{
    const char *key;
    json_t *value;
    size_t at = 0;
    struct conf_setting *settings = calloc(json_object_size(object) + 1, sizeof(*settings));
    if (settings == NULL) return err_make(ERR_NOMEM, "configuration");
    json_object_foreach(object, key, value) {
        enum conf_key known = conf_find(span_of(key, strlen(key)));
        /* Sealed where it is stored: it is for who has the keys. */
        if (known != CONF_KEYS_COUNT && conf_is_secret(known)) continue;
        if (!json_is_string(value)) {
            problem->key = known;
            snprintf(problem->text, sizeof(problem->text), "%.100s: the stored value is no text",
                     key);
            free(settings);
            return err_make(ERR_SYNTAX, "stored configuration");
        }
        settings[at++] = (struct conf_setting){
            .key = span_of(key, strlen(key)),
            .value = span_of(json_string_value(value), json_string_length(value))
        };
    }
    *ret = settings;
    *count = at;
    return err_ok();
}

struct err conf_from_json(struct span json, uint64_t version, struct conf **ret,
                          struct conf_problem *problem)
{
    struct conf_setting *settings = NULL;
    size_t count = 0;
    if (json.len == 0) return conf_make(NULL, 0, version, ret, problem);
    json_error_t at;
    json_t *object = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(object)) {
        json_decref(object);
        problem->key = CONF_KEYS_COUNT;
        snprintf(problem->text, sizeof(problem->text),
                 "the stored configuration is no JSON object of texts (line %d: %.100s)", at.line,
                 at.text);
        return err_make(ERR_SYNTAX, "stored configuration");
    }
    struct err err = settings_of(object, &settings, &count, problem);
    if (err.code == ERR_OK) err = conf_make(settings, count, version, ret, problem);
    free(settings);
    json_decref(object);
    return err;
}

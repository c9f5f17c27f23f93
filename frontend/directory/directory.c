#include "directory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "conf.h"
#include "directory_private.h"

enum { DIRECTORY_ARENA_MAX_BYTES = 256 * 1024 * 1024, DIRECTORY_WHY_BYTES = 200 };

struct err directory_new(uint64_t version, struct directory **ret)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    if (directory == NULL) return err_make(ERR_NOMEM, "directory");
    arena_init(&directory->arena, DIRECTORY_ARENA_MAX_BYTES);
    map_init(&directory->names, (size_t)DIRECTORY_DOMAINS_MAX * 4);
    map_init(&directory->tenants, DIRECTORY_TENANTS_MAX);
    directory->version = version;
    directory->references = 1;
    *ret = directory;
    return err_ok();
}

struct directory *directory_ref(struct directory *directory)
{
    __atomic_fetch_add(&directory->references, 1, __ATOMIC_RELAXED);
    return directory;
}

void directory_unref(struct directory *directory)
{
    if (directory == NULL) return;
    if (__atomic_fetch_sub(&directory->references, 1, __ATOMIC_ACQ_REL) != 1) return;
    for (size_t i = 0; i < directory->count; i++) conf_unref(directory->domains[i]->conf);
    for (size_t i = 0; i < directory->old_count; i++) conf_unref(directory->old[i]->conf);
    for (size_t i = 0; i < directory->old_wide_count; i++) conf_unref(directory->old_wide[i]);
    free(directory->old);
    free(directory->old_wide);
    conf_unref(directory->wide);
    map_free(&directory->names);
    map_free(&directory->tenants);
    arena_clear(&directory->arena);
    free(directory->domains);
    free(directory);
}

uint64_t directory_version(const struct directory *directory) { return directory->version; }
size_t directory_count(const struct directory *directory) { return directory->count; }

const struct directory_domain *directory_at(const struct directory *directory, size_t index)
{
    CHECK(index < directory->count);
    return directory->domains[index];
}

const struct directory_domain *directory_find(const struct directory *directory, struct span name,
                                              bool *via_other_name)
{
    const struct directory_domain *domain = map_get(&directory->names, name);
    if (domain != NULL && via_other_name != NULL) *via_other_name = !span_eq(domain->name, name);
    return domain;
}

void directory_set_conf(struct directory *directory, struct conf *wide)
{
    CHECK(directory->wide == NULL && directory->count == 0);
    directory->wide = conf_ref(wide);
}

const struct conf *directory_conf(const struct directory *directory, struct span name)
{
    const struct directory_domain *domain = directory_find(directory, name, NULL);
    return domain != NULL && domain->conf != NULL ? domain->conf : directory->wide;
}

/* ---- reading the JSON */

struct err directory_reading_bad(struct directory_reading *reading, const char *why)
{
    reading->why = why;
    return err_make(ERR_SYNTAX, "domain");
}

static struct err read_text(struct directory_reading *reading, const json_t *value,
                            size_t bytes_max, struct span *ret)
{
    if (!json_is_string(value)) return directory_reading_bad(reading, "a text is expected");
    struct span text = span_of(json_string_value(value), json_string_length(value));
    if (text.len > bytes_max) return directory_reading_bad(reading, "a text is too long");
    return arena_copy(&reading->directory->arena, text, ret);
}

struct err directory_read_optional(struct directory_reading *reading, const json_t *object,
                                   const char *key, size_t bytes_max, struct span *ret)
{
    const json_t *value = json_object_get(object, key);
    *ret = SPAN("");
    return value == NULL ? err_ok() : read_text(reading, value, bytes_max, ret);
}

struct err directory_read_texts(struct directory_reading *reading, const json_t *array,
                                size_t count_max, struct span **ret, size_t *ret_count)
{
    *ret_count = 0;
    if (array == NULL) return err_ok();
    if (!json_is_array(array)) {
        return directory_reading_bad(reading, "an array of texts is expected");
    }
    size_t count = json_array_size(array);
    if (count > count_max) return directory_reading_bad(reading, "an array is too long");
    struct arena *arena = &reading->directory->arena;
    struct span *texts = arena_alloc(arena, (count + 1) * sizeof(*texts));
    if (texts == NULL) return err_make(ERR_NOMEM, "directory");
    for (size_t i = 0; i < count; i++) {
        TRY(read_text(reading, json_array_get(array, i), 1000, &texts[i]));
    }
    *ret = texts;
    *ret_count = count;
    return err_ok();
}

struct err directory_read_number(struct directory_reading *reading, const json_t *object,
                                 const char *key, uint64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL) return err_ok();
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return directory_reading_bad(reading, "a number from 0 is expected");
    }
    *ret = (uint64_t)json_integer_value(value);
    return err_ok();
}

static struct err read_aliases(struct directory_reading *reading, const json_t *array,
                               struct directory_domain *domain)
{
    if (array == NULL) return err_ok();
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > DIRECTORY_ALIASES_MAX) {
        return directory_reading_bad(reading, "aliases is an array of at most 1000");
    }
    domain->aliases = arena_alloc(&reading->directory->arena,
                                  (count + 1) * sizeof(*domain->aliases));
    if (domain->aliases == NULL) return err_make(ERR_NOMEM, "directory");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(array, i);
        struct directory_alias *alias = &domain->aliases[i];
        TRY(read_text(reading, json_object_get(row, "pattern"), DIRECTORY_PATTERN_MAX_BYTES,
                      &alias->pattern));
        TRY(directory_read_texts(reading, json_object_get(row, "targets"), DIRECTORY_TARGETS_MAX,
                       &alias->targets, &alias->targets_count));
    }
    domain->aliases_count = count;
    return err_ok();
}

/* A snapshot of its own for a domain with options. Bad ones must not make the domain unknown. */
static struct err read_options(struct directory_reading *reading, json_t *object,
                               struct directory_domain *domain)
{
    struct directory *directory = reading->directory;
    struct conf_problem problem;
    size_t count = json_object_size(object), i = 0;
    const char *key;
    json_t *value;
    if (object != NULL && !json_is_object(object)) {
        return directory_reading_bad(reading, "options is an object");
    }
    if (count == 0 || directory->wide == NULL) return err_ok();
    struct conf_setting *settings = calloc(count, sizeof(*settings));
    if (settings == NULL) return err_make(ERR_NOMEM, "directory");
    json_object_foreach(object, key, value) {
        settings[i++] = (struct conf_setting){
            .key = span_of(key, strlen(key)),
            .value = span_of(json_string_value(value), json_string_length(value))
        };
    }
    struct err err = conf_narrow(directory->wide, CONF_DOMAIN, settings, count, &domain->conf,
                                 &problem);
    free(settings);
    domain->options_are_refused = err.code != ERR_OK && err.code != ERR_NOMEM;
    return domain->options_are_refused ? err_ok() : err;
}

static struct err read_domain(struct directory_reading *reading, const json_t *object,
                              struct directory_domain *domain)
{
    uint64_t tenant = 0;
    struct span subaddress = SPAN("");
    if (!json_is_object(object)) return directory_reading_bad(reading, "an object is expected");
    TRY(read_text(reading, json_object_get(object, "name"), 255, &domain->name));
    if (domain->name.len == 0) return directory_reading_bad(reading, "name is empty");
    TRY(directory_read_number(reading, object, "tenant", &tenant));
    if (tenant == 0 || tenant > UINT32_MAX) {
        return directory_reading_bad(reading, "tenant is missing");
    }
    domain->tenant = (uint32_t)tenant;
    TRY(read_aliases(reading, json_object_get(object, "aliases"), domain));
    TRY(directory_read_texts(reading, json_object_get(object, "also"), 100, &domain->also,
                   &domain->also_count));
    TRY(directory_read_number(reading, object, "quota_bytes", &domain->quota_bytes));
    TRY(directory_read_number(reading, object, "quota_items", &domain->quota_items));
    TRY(directory_read_number(reading, object, "users_max", &domain->users_max));
    TRY(directory_read_number(reading, object, "size_max", &domain->size_max));
    TRY(directory_read_optional(reading, object, "forward_host", DIRECTORY_HOST_MAX_BYTES,
                      &domain->forward_host));
    TRY(directory_read_optional(reading, object, "footer_text", DIRECTORY_FOOTER_MAX_BYTES,
                      &domain->footer_text));
    TRY(directory_read_optional(reading, object, "footer_html", DIRECTORY_FOOTER_MAX_BYTES,
                      &domain->footer_html));
    TRY(directory_mapping_read(reading, object, &domain->mapping));
    domain->forward_all = json_is_true(json_object_get(object, "forward_all"));
    domain->footer_inside = json_is_true(json_object_get(object, "footer_inside"));
    const json_t *fold = json_object_get(object, "fold_case");
    domain->fold_case = fold == NULL || json_is_true(fold);
    const json_t *mark = json_object_get(object, "subaddress");
    if (mark != NULL) TRY(read_text(reading, mark, 1, &subaddress));
    domain->subaddress = subaddress.len == 1 ? subaddress.ptr[0] : 0;
    return err_ok();
}

/* ---- adding it */

/* Reads what is not entered yet. */
struct err directory_read(struct directory *directory, struct span json,
                          struct directory_domain **ret, struct span *ret_why)
{
    struct directory_reading reading = { directory, "not JSON" };
    json_error_t at;
    json_t *object = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &at);
    struct err err = err_make(ERR_SYNTAX, "domain");
    struct directory_domain *domain = arena_alloc(&directory->arena, sizeof(*domain));
    if (domain == NULL) {
        json_decref(object);
        return err_make(ERR_NOMEM, "directory");
    }
    if (object != NULL) err = read_domain(&reading, object, domain);
    json_t *options = json_object_get(object, "options");
    if (err.code == ERR_OK) err = read_options(&reading, options, domain);
    json_decref(object);
    if (err.code == ERR_SYNTAX) *ret_why = span_of(reading.why, strlen(reading.why));
    if (err.code == ERR_OK) *ret = domain;
    else conf_unref(domain->conf);
    return err;
}

struct err directory_add(struct directory *directory, struct span json, struct span *ret_why)
{
    return directory_add_row(directory, json, 0, ret_why);
}

struct err directory_add_row(struct directory *directory, struct span json, uint64_t revision,
                             struct span *ret_why)
{
    struct directory_domain *domain;
    TRY(directory_read(directory, json, &domain, ret_why));
    domain->revision = revision;
    struct err err = directory_add_at(directory, domain, directory->count, ret_why);
    if (err.code != ERR_OK) {
        conf_unref(domain->conf);
        domain->conf = NULL;
    }
    return err;
}

/* ---- tenants */

static struct err read_tenant(struct directory_reading *reading, const json_t *object,
                              struct directory_tenant *tenant)
{
    uint64_t id = 0;
    if (!json_is_object(object)) return directory_reading_bad(reading, "an object is expected");
    TRY(read_text(reading, json_object_get(object, "name"), 60, &tenant->name));
    TRY(directory_read_number(reading, object, "id", &id));
    if (id == 0 || id > INT32_MAX) return directory_reading_bad(reading, "id is missing");
    tenant->id = (uint32_t)id;
    TRY(directory_read_number(reading, object, "quota_bytes", &tenant->quota_bytes));
    TRY(directory_read_number(reading, object, "users_max", &tenant->users_max));
    return directory_read_number(reading, object, "domains_max", &tenant->domains_max);
}

struct err directory_add_tenant(struct directory *directory, struct span json,
                                struct span *ret_why)
{
    struct directory_reading reading = { directory, "not JSON" };
    json_t *object = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    struct err err = err_make(ERR_SYNTAX, "tenant");
    struct directory_tenant *tenant = arena_alloc(&directory->arena, sizeof(*tenant));
    if (tenant == NULL) err = err_make(ERR_NOMEM, "directory");
    else if (object != NULL) err = read_tenant(&reading, object, tenant);
    json_decref(object);
    if (err.code == ERR_OK) {
        struct span key = span_of(&tenant->id, sizeof(tenant->id));
        err = map_get(&directory->tenants, key) != NULL
                  ? directory_reading_bad(&reading, "the number is another tenant's")
                  : map_put(&directory->tenants, key, tenant);
    }
    if (err.code == ERR_SYNTAX) *ret_why = span_of(reading.why, strlen(reading.why));
    return err;
}

const struct directory_tenant *directory_tenant(const struct directory *directory, uint32_t id)
{
    return map_get(&directory->tenants, span_of(&id, sizeof(id)));
}

/* ---- patterns */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

/* Bytes of the UTF-8 character at the head of `s`; 1 for what is no character. */
static size_t character_bytes(struct span s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    return n <= s.len ? n : 1;
}

bool directory_pattern_fits(struct span pattern, struct span local)
{
    /* The classic walk with one place to go back to: the last star. */
    size_t p = 0, l = 0, star = SIZE_MAX, star_l = 0;
    while (l < local.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_l = l;
        } else if (p < pattern.len && pattern.ptr[p] == '?') {
            p++;
            l += character_bytes(span_skip(local, l));
        } else if (p < pattern.len && lower(pattern.ptr[p]) == lower(local.ptr[l])) {
            p++;
            l++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            star_l += character_bytes(span_skip(local, star_l));
            l = star_l;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') p++;
    return p == pattern.len;
}

static size_t alias_give(const struct directory_alias *alias,
                         void (*target)(void *holder, struct span address), void *holder)
{
    for (size_t i = 0; i < alias->targets_count; i++) target(holder, alias->targets[i]);
    return alias->targets_count;
}

size_t directory_alias_targets(const struct directory_domain *domain, struct span local,
                               void (*target)(void *holder, struct span address), void *holder)
{
    size_t count = 0;
    for (size_t i = 0; i < domain->aliases_count; i++) {
        const struct directory_alias *alias = &domain->aliases[i];
        if (span_eq(alias->pattern, SPAN("*"))) continue;
        if (!directory_pattern_fits(alias->pattern, local)) continue;
        count += alias_give(alias, target, holder);
    }
    for (size_t i = 0; count == 0 && i < domain->aliases_count; i++) {
        const struct directory_alias *alias = &domain->aliases[i];
        if (span_eq(alias->pattern, SPAN("*"))) count += alias_give(alias, target, holder);
    }
    return count;
}

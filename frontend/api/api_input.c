/* What comes in: members of the request, query parameters, addresses. */
#include <string.h>
#include <time.h>

#include "api_state_private.h"
#include "buf.h"
#include "directory.h"
#include "place_address.h"

enum { TEXTS_MAX = 1000 };

/* ---- JSON helpers */

json_t *api_json_text(struct span text)
{
    json_t *json = json_stringn(text.len == 0 ? "" : text.ptr, text.len);
    /* Rows written by other programs could hold what is not UTF-8: shown, and not fatal. */
    return json != NULL ? json : json_string("(not UTF-8)");
}

json_t *api_json_time(uint64_t ms)
{
    char text[40];
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (ms == 0 || gmtime_r(&seconds, &parts) == NULL) return json_null();
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

void api_set(json_t *object, const char *member, json_t *value)
{
    json_object_set_new(object, member, value);
}

void api_set_text(json_t *object, const char *member, struct span text)
{
    api_set(object, member, api_json_text(text));
}

bool api_in_text(struct api_call *call, const char *member, size_t bytes_max, struct span *ret)
{
    const json_t *value = json_object_get(call->in, member);
    if (value == NULL) return true;
    if (!json_is_string(value) || json_string_length(value) > bytes_max) {
        api_refuse(call, 400, "Bad value", "%s: a text of at most %zu bytes", member, bytes_max);
        return false;
    }
    *ret = span_of(json_string_value(value), json_string_length(value));
    return true;
}

bool api_in_number(struct api_call *call, const char *member, uint64_t *ret)
{
    const json_t *value = json_object_get(call->in, member);
    if (value == NULL) return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        api_refuse(call, 400, "Bad value", "%s: a number from 0", member);
        return false;
    }
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

/* ---- the query and the path */

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Percent-decoded into the arena; what is no escape stays. */
struct span api_decode(struct api_call *call, struct span text)
{
    char *to = arena_alloc(&call->arena, text.len + 1);
    size_t len = 0;
    if (to == NULL) return SPAN("");
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len && text.ptr[i] == '%' ? digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? digit(text.ptr[i + 2]) : -1;
        if (low >= 0) {
            to[len++] = (char)(high * 16 + low);
            i += 2;
        } else {
            to[len++] = text.ptr[i];
        }
    }
    return span_of(to, len);
}

struct span api_query(struct api_call *call, const char *name)
{
    struct span rest = call->request->query, one, key, value;
    struct span wanted = span_of(name, strlen(name));
    while (rest.len > 0) {
        one = rest;
        if (!span_cut(rest, '&', &one, &rest)) rest = SPAN("");
        if (span_cut(one, '=', &key, &value) && span_eq(key, wanted))
            return api_decode(call, value);
    }
    return SPAN("");
}

/* ---- addresses */

bool api_is_own(const struct api_call *call, const struct directory_domain *domain)
{
    if (call->tenant != 0 && domain->tenant != call->tenant) return false;
    return call->token.domain.len == 0 || span_eq(call->token.domain, domain->name);
}

static bool keep_domain(struct api_call *call, struct span canonical)
{
    directory_unref(call->directory);
    call->directory = directory_ref(call->api->options.resolver->directory);
    call->known_domain = directory_find(call->directory, canonical, NULL);
    if (call->known_domain == NULL || !api_is_own(call, call->known_domain)) {
        /* Another tenant's domain is as if it were not there. */
        api_refuse(call, 404, "Not found", "no domain %.*s", (int)canonical.len, canonical.ptr);
        return false;
    }
    call->domain = call->known_domain->name;
    return true;
}

bool api_take_domain(struct api_call *call, struct span name)
{
    char bytes[PLACE_DOMAIN_MAX_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    if (name.len == 0) {
        const struct directory *directory = call->api->options.resolver->directory;
        for (size_t i = 0; i < directory_count(directory); i++) {
            const struct directory_domain *domain = directory_at(directory, i);
            if (!api_is_own(call, domain)) continue;
            return keep_domain(call, domain->name);
        }
        api_refuse(call, 404, "Not found", "there is no domain yet");
        return false;
    }
    if (place_domain(name, &out).code != ERR_OK || out.overflow) {
        api_refuse(call, 400, "Bad value", "domain: not a domain: %.*s", (int)name.len, name.ptr);
        return false;
    }
    return keep_domain(call, buf_span(&out));
}

bool api_take_address(struct api_call *call, struct span text)
{
    struct span local, domain, canonical;
    char bytes[RESOLVE_ADDRESS_MAX_BYTES];
    if (!place_address_split(text, &local, &domain)) {
        api_refuse(call, 400, "Bad value", "address: not an address: %.*s", (int)text.len,
                   text.ptr);
        return false;
    }
    if (!api_take_domain(call, domain)) return false;
    if (!directory_canonical(call->directory, local, domain, bytes, &canonical) ||
        arena_copy(&call->arena, canonical, &call->address).code != ERR_OK) {
        api_refuse(call, 400, "Bad value", "address: not an address: %.*s", (int)text.len,
                   text.ptr);
        return false;
    }
    call->local = span_head(call->address, call->address.len - call->domain.len - 1);
    return true;
}

bool api_in_addresses(struct api_call *call, const char *member, bool *there)
{
    const json_t *array = json_object_get(call->in, member);
    call->texts_count = 0;
    *there = array != NULL;
    if (array == NULL) return true;
    if (!json_is_array(array) || json_array_size(array) > TEXTS_MAX) {
        api_refuse(call, 400, "Bad value", "%s: an array of at most %d addresses", member,
                   TEXTS_MAX);
        return false;
    }
    size_t count = json_array_size(array);
    call->texts = arena_alloc(&call->arena, (count + 1) * sizeof(*call->texts));
    if (call->texts == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "addresses"));
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        struct span text = span_of(json_string_value(value), json_string_length(value));
        struct span local, domain, canonical;
        char bytes[RESOLVE_ADDRESS_MAX_BYTES];
        const struct directory *directory = call->api->options.resolver->directory;
        if (!json_is_string(value) || !place_address_split(text, &local, &domain) ||
            !directory_canonical(directory, local, domain, bytes, &canonical) ||
            arena_copy(&call->arena, canonical, &call->texts[i]).code != ERR_OK) {
            api_refuse(call, 400, "Bad value", "%s: not an address: %.*s", member, (int)text.len,
                       text.len > 0 ? text.ptr : "");
            return false;
        }
        call->texts_count++;
    }
    return true;
}

bool api_texts_are_of_tenant(struct api_call *call, const char *member, uint32_t tenant)
{
    const struct directory *directory = call->api->options.resolver->directory;
    for (size_t i = 0; i < call->texts_count; i++) {
        struct span text = call->texts[i], local, domain = SPAN("");
        place_address_split(text, &local, &domain);
        const struct directory_domain *known = directory_find(directory, domain, NULL);
        if (known == NULL || known->tenant != tenant || !api_is_own(call, known)) {
            api_refuse(call, 400, "Bad value", "%s: %.*s is in no domain of the user's tenant",
                       member, (int)text.len, text.ptr);
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (!span_eq(call->texts[j], text)) continue;
            api_refuse(call, 400, "Bad value", "%s: %.*s stands there twice", member, (int)text.len,
                       text.ptr);
            return false;
        }
    }
    return true;
}

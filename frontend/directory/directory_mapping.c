#include "directory_mapping.h"

#include <jansson.h>
#include <string.h>

#include "directory_private.h"
#include "hash.h"

bool directory_tls_find(struct span word, enum directory_tls *ret)
{
    static const struct span words[] = {
        [DIRECTORY_TLS_START] = SPAN_INIT("starttls"),
        [DIRECTORY_TLS_LDAPS] = SPAN_INIT("ldaps"),
        [DIRECTORY_TLS_NONE] = SPAN_INIT("none"),
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!span_eq(word, words[i])) continue;
        *ret = (enum directory_tls)i;
        return true;
    }
    return false;
}

/* ---- the mark */

static uint64_t mark_more(uint64_t mark, struct span bytes)
{
    static const uint64_t key[2] = { 0x6d617070696e6731, 0x6d617070696e6732 };
    return mark * 1000003 + hash_sip(key, bytes);
}

static uint64_t mark_of(const struct directory_mapping *mapping)
{
    const struct span texts[] = { mapping->ca,      mapping->bind_dn, mapping->sealed_password,
                                  mapping->base,    mapping->filter,  mapping->address,
                                  mapping->name,    mapping->full_name };
    const uint32_t numbers[] = { (uint32_t)mapping->tls, mapping->sync_s, mapping->timeout_s,
                                 mapping->users_max };
    uint64_t mark = mark_more(mapping->hosts_count, span_of(numbers, sizeof(numbers)));
    for (size_t i = 0; i < mapping->hosts_count; i++) mark = mark_more(mark, mapping->hosts[i]);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) mark = mark_more(mark, texts[i]);
    return mark;
}

/* ---- reading it */

static struct err read_text(struct directory_reading *reading, const json_t *object,
                            const char *key, struct span missing, struct span *ret)
{
    size_t max = DIRECTORY_MAPPING_TEXT_MAX_BYTES;
    if (strcmp(key, "directory_ca") == 0) max = DIRECTORY_MAPPING_CA_MAX_BYTES;
    if (strcmp(key, "directory_password") == 0) max = DIRECTORY_MAPPING_SEALED_MAX_BYTES;
    TRY(directory_read_optional(reading, object, key, max, ret));
    if (ret->len == 0) *ret = missing;
    return err_ok();
}

static struct err read_number(struct directory_reading *reading, const json_t *object,
                              const char *key, const uint32_t bounds[2], uint32_t *value)
{
    uint64_t number = *value;
    TRY(directory_read_number(reading, object, key, &number));
    if (number < bounds[0] || number > bounds[1]) {
        return directory_reading_bad(reading, "a number of the directory is out of bounds");
    }
    *value = (uint32_t)number;
    return err_ok();
}

static struct err read_texts(struct directory_reading *reading, const json_t *object,
                             struct directory_mapping *mapping)
{
    const struct { const char *key; struct span missing, *to; } texts[] = {
        { "directory_ca", SPAN(""), &mapping->ca },
        { "directory_bind_dn", SPAN(""), &mapping->bind_dn },
        { "directory_password", SPAN(""), &mapping->sealed_password },
        { "directory_base", SPAN(""), &mapping->base },
        { "directory_filter", SPAN(DIRECTORY_MAPPING_FILTER_DEFAULT), &mapping->filter },
        { "directory_address", SPAN(DIRECTORY_MAPPING_ADDRESS_DEFAULT), &mapping->address },
        { "directory_name", SPAN(DIRECTORY_MAPPING_NAME_DEFAULT), &mapping->name },
        { "directory_full_name", SPAN(DIRECTORY_MAPPING_FULL_NAME_DEFAULT), &mapping->full_name },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        TRY(read_text(reading, object, texts[i].key, texts[i].missing, texts[i].to));
    }
    return err_ok();
}

struct err directory_mapping_read(struct directory_reading *reading, const json_t *object,
                                  const struct directory_mapping **ret)
{
    static const uint32_t sync[] = { DIRECTORY_MAPPING_SYNC_MIN_S, DIRECTORY_MAPPING_SYNC_MAX_S };
    static const uint32_t timeout[] = { DIRECTORY_MAPPING_TIMEOUT_MIN_S,
                                        DIRECTORY_MAPPING_TIMEOUT_MAX_S };
    static const uint32_t users[] = { 1, DIRECTORY_MAPPING_USERS_MAX };
    struct span *hosts = NULL, tls;
    size_t count;
    TRY(directory_read_texts(reading, json_object_get(object, "directory_hosts"),
                             DIRECTORY_MAPPING_HOSTS_MAX, &hosts, &count));
    if (count == 0) return err_ok();
    struct directory_mapping *mapping = arena_alloc(&reading->directory->arena, sizeof(*mapping));
    if (mapping == NULL) return err_make(ERR_NOMEM, "directory");
    memcpy(mapping->hosts, hosts, count * sizeof(*hosts));
    mapping->hosts_count = count;
    mapping->sync_s = DIRECTORY_MAPPING_SYNC_DEFAULT_S;
    mapping->timeout_s = DIRECTORY_MAPPING_TIMEOUT_DEFAULT_S;
    mapping->users_max = DIRECTORY_MAPPING_USERS_DEFAULT;
    TRY(read_text(reading, object, "directory_tls", SPAN("starttls"), &tls));
    if (!directory_tls_find(tls, &mapping->tls)) {
        return directory_reading_bad(reading, "directory_tls is " DIRECTORY_TLS_WORDS);
    }
    TRY(read_texts(reading, object, mapping));
    TRY(read_number(reading, object, "directory_sync", sync, &mapping->sync_s));
    TRY(read_number(reading, object, "directory_timeout", timeout, &mapping->timeout_s));
    TRY(read_number(reading, object, "directory_users_max", users, &mapping->users_max));
    mapping->mark = mark_of(mapping);
    *ret = mapping;
    return err_ok();
}

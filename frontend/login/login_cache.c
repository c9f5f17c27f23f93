#include "login_cache.h"

#include <stdlib.h>

#include "list.h"
#include "login_sasl.h"
#include "map.h"

struct login_entry {
    struct list age;
    uint64_t until_ms;
    uint8_t mac[LOGIN_MAC_BYTES]; /* the map's key */
};

struct login_cache {
    struct login_cache_options options;
    struct map by_mac;
    struct list oldest; /* all live equally long, so the order of age is that of ends */
};

struct err login_cache_new(const struct login_cache_options *options, struct login_cache **ret)
{
    struct login_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) return err_make(ERR_NOMEM, "log-in cache");
    cache->options = *options;
    map_init(&cache->by_mac, options->entries_max);
    list_init(&cache->oldest);
    *ret = cache;
    return err_ok();
}

static void login_cache_drop(struct login_cache *cache, struct login_entry *entry)
{
    map_remove(&cache->by_mac, span_of(entry->mac, LOGIN_MAC_BYTES));
    list_remove(&entry->age);
    free(entry);
}

static struct login_entry *login_cache_oldest(struct login_cache *cache)
{
    if (list_is_empty(&cache->oldest)) return NULL;
    return LIST_ITEM(cache->oldest.next, struct login_entry, age);
}

static void login_cache_empty(struct login_cache *cache)
{
    for (struct login_entry *entry; (entry = login_cache_oldest(cache)) != NULL;) {
        login_cache_drop(cache, entry);
    }
}

void login_cache_life(struct login_cache *cache, uint64_t life_ms)
{
    if (life_ms == cache->options.life_ms) return;
    login_cache_empty(cache);
    cache->options.life_ms = life_ms;
}

void login_cache_free(struct login_cache *cache)
{
    if (cache == NULL) return;
    login_cache_empty(cache);
    map_free(&cache->by_mac);
    explicit_bzero(cache, sizeof(*cache));
    free(cache);
}

static void put_u64(uint8_t *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

static bool login_cache_mac(const struct login_cache *cache, const struct login_subject *subject,
                            struct span password, uint8_t mac[LOGIN_MAC_BYTES])
{
    enum { SUBJECT_BYTES = 20 };
    uint8_t bytes[SUBJECT_BYTES + LOGIN_PASSWORD_MAX_BYTES];
    if (cache->options.life_ms == 0 || password.len > LOGIN_PASSWORD_MAX_BYTES) return false;
    put_u64(bytes, subject->tenant, 4);
    put_u64(bytes + 4, subject->account, 8);
    put_u64(bytes + 12, subject->version, 8);
    if (password.len > 0) memcpy(bytes + SUBJECT_BYTES, password.ptr, password.len);
    struct err err = cache->options.mac(span_of(cache->options.key, LOGIN_KEY_BYTES),
                                        span_of(bytes, SUBJECT_BYTES + password.len), mac);
    explicit_bzero(bytes, sizeof(bytes));
    return err.code == ERR_OK;
}

static void login_cache_expire(struct login_cache *cache, uint64_t now_ms)
{
    for (struct login_entry *entry; (entry = login_cache_oldest(cache)) != NULL;) {
        if (entry->until_ms > now_ms) return;
        login_cache_drop(cache, entry);
    }
}

bool login_cache_has(struct login_cache *cache, const struct login_subject *subject,
                     struct span password, uint64_t now_ms)
{
    uint8_t mac[LOGIN_MAC_BYTES];
    if (!login_cache_mac(cache, subject, password, mac)) return false;
    login_cache_expire(cache, now_ms);
    return map_get(&cache->by_mac, span_of(mac, LOGIN_MAC_BYTES)) != NULL;
}

void login_cache_put(struct login_cache *cache, const struct login_subject *subject,
                     struct span password, uint64_t now_ms)
{
    uint8_t mac[LOGIN_MAC_BYTES];
    if (cache->options.entries_max == 0) return;
    if (!login_cache_mac(cache, subject, password, mac)) return;
    login_cache_expire(cache, now_ms);
    struct login_entry *old = map_get(&cache->by_mac, span_of(mac, LOGIN_MAC_BYTES));
    if (old != NULL) login_cache_drop(cache, old);
    if (cache->by_mac.count == cache->options.entries_max) {
        login_cache_drop(cache, login_cache_oldest(cache));
    }
    struct login_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) return;
    memcpy(entry->mac, mac, sizeof(mac));
    entry->until_ms = now_ms + cache->options.life_ms;
    list_init(&entry->age);
    if (map_put(&cache->by_mac, span_of(entry->mac, LOGIN_MAC_BYTES), entry).code != ERR_OK) {
        free(entry);
        return;
    }
    list_add(&cache->oldest, &entry->age);
}

size_t login_cache_count(const struct login_cache *cache) { return cache->by_mac.count; }

/* What a resolver remembers, and the canonical form of addresses. */
#include <stdlib.h>

#include "buf.h"
#include "directory.h"
#include "directory_resolve_private.h"
#include "hash.h"
#include "loop.h"
#include "place_address.h"

/* Accounts found a moment ago, by address: a table in which a newer one takes the place of an
 * older. Addresses longer than fits are not remembered, nor accounts that forward their mail. */
struct resolve_entry {
    uint64_t until_ms; /* 0: free */
    struct directory_target target;
    uint8_t len;
    char address[127];
};

struct resolve_cache {
    uint64_t seed[2];
    struct resolve_entry entries[RESOLVE_CACHE_ENTRIES];
};

struct err directory_resolver_init(struct directory_resolver *resolver)
{
    resolver->cache = calloc(1, sizeof(*resolver->cache));
    if (resolver->cache == NULL) return err_make(ERR_NOMEM, "resolver");
    resolver->cache->seed[0] = 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)resolver->cache;
    return err_ok();
}

void directory_resolver_free(struct directory_resolver *resolver)
{
    free(resolver->cache);
    resolver->cache = NULL;
}

/* ---- the cache */

static struct resolve_entry *cache_entry(struct directory_resolver *resolver, struct span address)
{
    uint64_t hash = hash_sip(resolver->cache->seed, address);
    return &resolver->cache->entries[hash % RESOLVE_CACHE_ENTRIES];
}

void directory_cache_put(struct directory_resolver *resolver,
                         const struct directory_target *target)
{
    struct span address = target->address;
    struct resolve_entry *entry = cache_entry(resolver, address);
    if (resolver->cache_ms == 0 || address.len > sizeof(entry->address)) return;
    entry->target = *target;
    entry->target.address = span_of(entry->address, address.len);
    entry->len = (uint8_t)address.len;
    memcpy(entry->address, address.ptr, address.len);
    entry->until_ms = loop_now_ms(resolver->loop) + resolver->cache_ms;
}

const struct directory_target *directory_cache_get(struct directory_resolver *resolver,
                                                   struct span address)
{
    const struct resolve_entry *entry = cache_entry(resolver, address);
    if (entry->until_ms <= loop_now_ms(resolver->loop)) return NULL;
    if (!span_eq(span_of(entry->address, entry->len), address)) return NULL;
    return &entry->target;
}

/* ---- canonical addresses */

bool directory_canonical(const struct directory *directory, struct span local, struct span domain,
                         char to[RESOLVE_ADDRESS_MAX_BYTES], struct span *ret)
{
    struct buf name;
    char name_bytes[PLACE_DOMAIN_MAX_BYTES];
    buf_init(&name, name_bytes, sizeof(name_bytes));
    if (place_domain(domain, &name).code != ERR_OK || name.overflow) return false;
    const struct directory_domain *found = directory_find(directory, buf_span(&name), NULL);
    struct place_rules rules = { .fold_case = found != NULL && found->fold_case,
                                 .cut_subaddress = found != NULL ? found->subaddress : '\0' };
    /* Another name of a domain leads to the same boxes. */
    struct span real = found != NULL ? found->name : buf_span(&name);
    struct buf address;
    buf_init(&address, to, RESOLVE_ADDRESS_MAX_BYTES);
    if (place_local(local, &rules, &address).code != ERR_OK) return false;
    buf_put(&address, SPAN("@"));
    buf_put(&address, real);
    if (address.overflow) return false;
    *ret = buf_span(&address);
    return true;
}

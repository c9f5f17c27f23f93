#include "directory_resolve.h"

#include <stdlib.h>

#include "arena.h"
#include "buf.h"
#include "check.h"
#include "directory.h"
#include "hash.h"
#include "later.h"
#include "loop.h"
#include "map.h"
#include "place_address.h"
#include "route.h"
#include "slot.h"
#include "store_msg.h"

enum { RESOLVE_ARENA_MAX_BYTES = 4 * 1024 * 1024 };

/* Accounts found a moment ago, by address: a table in which a newer one takes the place of an
 * older. Addresses longer than fits are not remembered. */
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

/* An address still to be looked at. */
struct resolve_step {
    struct resolve_step *next;
    struct span address;
};

struct directory_resolve {
    struct later later;
    struct directory_resolver *resolver;
    struct directory *directory; /* the snapshot it began with */
    struct arena arena;
    struct map seen;
    struct resolve_step *first, *last;
    struct span address;         /* under way */
    const struct directory_domain *domain;
    struct route_call *call;
    struct store_address_get_request address_request;
    struct store_account_get_request account_request;
    struct directory_resolution resolution;
    struct directory_target targets[64];
    struct directory_target *targets_more;
    struct span *outside;
    size_t steps;
    directory_resolved *done;
    void *holder;
    struct err err;
    uint32_t within; /* a tenant: others are as if they were elsewhere; 0: all */
    bool root_done, cancelled;
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

static void cache_put(struct directory_resolver *resolver, const struct directory_target *target)
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

static const struct directory_target *cache_get(struct directory_resolver *resolver,
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

/* ---- the walk */

static void resolve_free(struct directory_resolve *resolve)
{
    map_free(&resolve->seen);
    arena_clear(&resolve->arena);
    directory_unref(resolve->directory);
    free(resolve);
}

static void resolve_end(struct directory_resolve *resolve, struct err err)
{
    bool cancelled = resolve->cancelled;
    struct directory_resolution *resolution = &resolve->resolution;
    if (err.code == ERR_OK && resolution->kind != DIRECTORY_LOOP &&
        resolution->targets_count + resolution->outside_count == 0) {
        /* An alias whose ends are all nobody leads nowhere. */
        resolution->kind = DIRECTORY_NOBODY;
    }
    if (!cancelled) resolve->done(resolve->holder, err, err.code == ERR_OK ? resolution : NULL);
    resolve_free(resolve);
}

static void resolve_next(struct directory_resolve *resolve);

static void resolve_loop(struct directory_resolve *resolve)
{
    resolve->resolution.kind = DIRECTORY_LOOP;
    resolve->resolution.targets_count = resolve->resolution.outside_count = 0;
    resolve_end(resolve, err_ok());
}

/* Puts an address on the list unless it was on it before. */
static struct err resolve_add(struct directory_resolve *resolve, struct span address)
{
    struct resolve_step *step = arena_alloc(&resolve->arena, sizeof(*step));
    if (step == NULL) return err_make(ERR_NOMEM, "resolve");
    if (map_get(&resolve->seen, address) != NULL) return err_ok();
    if (resolve->seen.count >= RESOLVE_STEPS_MAX) return err_make(ERR_TOO_BIG, "resolve");
    TRY(arena_copy(&resolve->arena, address, &step->address));
    TRY(map_put(&resolve->seen, step->address, step));
    if (resolve->last != NULL) resolve->last->next = step;
    else resolve->first = step;
    resolve->last = step;
    return err_ok();
}

/* Adds a target of an alias or group, which is written as somebody typed it. */
static void resolve_add_text(void *holder, struct span text)
{
    struct directory_resolve *resolve = holder;
    char bytes[RESOLVE_ADDRESS_MAX_BYTES];
    struct span address;
    size_t at = text.len;
    while (at > 0 && text.ptr[at - 1] != '@') at--;
    if (at < 2 || resolve->err.code != ERR_OK) return;
    if (!directory_canonical(resolve->directory, span_head(text, at - 1), span_skip(text, at),
                             bytes, &address)) {
        return;
    }
    resolve->err = resolve_add(resolve, address);
}

static bool resolve_add_target(struct directory_resolve *resolve,
                               const struct directory_target *target)
{
    struct directory_resolution *resolution = &resolve->resolution;
    for (size_t i = 0; i < resolution->targets_count; i++) {
        if (resolution->targets[i].account == target->account &&
            resolution->targets[i].tenant == target->tenant) {
            return true;
        }
    }
    if (resolution->targets_count == RESOLVE_TARGETS_MAX) return false;
    struct directory_target *to = resolve->targets;
    size_t size = sizeof(resolve->targets) / sizeof(resolve->targets[0]);
    if (resolution->targets_count >= size) {
        if (resolve->targets_more == NULL) {
            resolve->targets_more = arena_alloc(&resolve->arena, RESOLVE_TARGETS_MAX * sizeof(*to));
            if (resolve->targets_more == NULL) return false;
            memcpy(resolve->targets_more, resolve->targets, sizeof(resolve->targets));
        }
        to = resolve->targets_more;
        resolution->targets = to;
    }
    struct directory_target *new_target = &to[resolution->targets_count];
    *new_target = *target;
    if (arena_copy(&resolve->arena, target->address, &new_target->address).code != ERR_OK) {
        return false;
    }
    resolution->targets_count++;
    return true;
}

static bool resolve_add_outside(struct directory_resolve *resolve, struct span address)
{
    struct directory_resolution *resolution = &resolve->resolution;
    if (resolve->outside == NULL) {
        resolve->outside = arena_alloc(&resolve->arena, RESOLVE_TARGETS_MAX * sizeof(struct span));
        if (resolve->outside == NULL) return false;
        resolution->outside = resolve->outside;
    }
    if (resolution->outside_count == RESOLVE_TARGETS_MAX) return false;
    resolve->outside[resolution->outside_count++] = address;
    return true;
}

/* What the first address is; the others only add to where it leads. */
static void resolve_kind(struct directory_resolve *resolve, enum directory_result kind)
{
    if (resolve->root_done) return;
    resolve->resolution.kind = kind;
    resolve->root_done = true;
}

/* ---- answers of the store */

/* How much of a quota is used, 100 at most; 0 without one. */
static unsigned percent_of(uint64_t used, uint64_t quota)
{
    if (quota == 0) return 0;
    return used >= quota ? 100 : (unsigned)((double)used * 100 / (double)quota);
}

static void on_account(void *holder, struct route_call *call, const void *message)
{
    struct directory_resolve *resolve = holder;
    const struct store_account_reply *reply = message;
    const struct store_account *account = &reply->account;
    const struct store_account_usage *usage = &reply->usage;
    /* What holds is in the usage; a storage node of before tells of the account's own only. */
    uint64_t bytes = usage->quota_bytes != 0 ? usage->quota_bytes : account->quota_bytes;
    uint64_t items = usage->quota_items != 0 ? usage->quota_items : account->quota_items;
    unsigned bytes_percent = percent_of(usage->bytes, bytes);
    unsigned items_percent = percent_of(usage->items, items);
    (void)call;
    if (!reply->has_account || account->state >= STORE_ACCOUNT_CREATING) return;
    struct directory_target target = {
        .tenant = account->tenant,
        .account = account->account,
        .address = resolve->address,
        .disabled = account->state == STORE_ACCOUNT_DISABLED,
        .used_percent = bytes_percent > items_percent ? bytes_percent : items_percent,
        .room_bytes = bytes == 0 ? UINT64_MAX : usage->bytes < bytes ? bytes - usage->bytes : 0,
        .over_quota = (bytes != 0 && usage->bytes >= bytes) ||
                      (items != 0 && usage->items >= items),
    };
    cache_put(resolve->resolver, &target);
    if (!resolve_add_target(resolve, &target)) resolve->err = err_make(ERR_TOO_BIG, "resolve");
}

static void on_account_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct directory_resolve *resolve = holder;
    (void)call;
    (void)info;
    resolve->call = NULL;
    if (resolve->cancelled || (err.code != ERR_OK && err.code != ERR_NOT_FOUND)) {
        resolve_end(resolve, err);
        return;
    }
    resolve_next(resolve);
}

static struct err ask(struct directory_resolve *resolve, unsigned method, const void *request,
                      unsigned slot, const struct route_call_user *user)
{
    struct route_call_options options = { .slot = slot,
                                          .deadline_ms = resolve->resolver->deadline_ms };
    return route_call_start(resolve->resolver->route, store_method_find(method), request, &options,
                            user, resolve, &resolve->call);
}

static struct err ask_account(struct directory_resolve *resolve, uint32_t tenant, uint64_t account)
{
    static const struct route_call_user user = { NULL, on_account, on_account_done };
    resolve->account_request = (struct store_account_get_request){ .tenant = tenant,
                                                                   .account = account };
    return ask(resolve, STORE_METHOD_ACCOUNT_GET, &resolve->account_request,
               slot_of_account(account), &user);
}

static void on_address(void *holder, struct route_call *call, const void *message)
{
    struct directory_resolve *resolve = holder;
    const struct store_address_reply *reply = message;
    (void)call;
    if (reply->kind == STORE_ADDRESS_NONE || reply->state != STORE_ADDRESS_ACTIVE) return;
    if (reply->kind == STORE_ADDRESS_ACCOUNT || reply->kind == STORE_ADDRESS_RESOURCE) {
        resolve_kind(resolve, DIRECTORY_ACCOUNT);
        resolve->account_request.account = reply->account;
        resolve->account_request.tenant = reply->tenant;
        return;
    }
    resolve_kind(resolve, reply->kind == STORE_ADDRESS_ALIAS ? DIRECTORY_ALIAS : DIRECTORY_GROUP);
    for (size_t i = 0; i < reply->targets_count; i++) resolve_add_text(resolve, reply->targets[i]);
    resolve->account_request.account = 0;
    resolve->account_request.tenant = UINT32_MAX; /* found, and no account */
}

static void on_address_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct directory_resolve *resolve = holder;
    (void)call;
    (void)info;
    resolve->call = NULL;
    if (resolve->cancelled || (err.code != ERR_OK && err.code != ERR_NOT_FOUND)) {
        resolve_end(resolve, err);
        return;
    }
    const struct store_account_get_request *found = &resolve->account_request;
    if (found->account != 0) {
        err = ask_account(resolve, found->tenant, found->account);
        if (err.code != ERR_OK) resolve_end(resolve, err);
        return;
    }
    if (found->tenant != UINT32_MAX) { /* no row: the domain's patterns */
        size_t at = resolve->address.len - resolve->domain->name.len - 1;
        size_t count = directory_alias_targets(resolve->domain, span_head(resolve->address, at),
                                               resolve_add_text, resolve);
        resolve_kind(resolve, count > 0 ? DIRECTORY_ALIAS : DIRECTORY_NOBODY);
    }
    resolve_next(resolve);
}

static struct err ask_address(struct directory_resolve *resolve)
{
    static const struct route_call_user user = { NULL, on_address, on_address_done };
    resolve->account_request = (struct store_account_get_request){ 0 };
    resolve->address_request = (struct store_address_get_request){
        .tenant = resolve->domain->tenant, .address = resolve->address
    };
    return ask(resolve, STORE_METHOD_ADDRESS_GET, &resolve->address_request,
               slot_of_name(resolve->address), &user);
}

/* Looks at the address on top of the list. True: it was done with at once. */
static bool resolve_step(struct directory_resolve *resolve)
{
    size_t at = resolve->address.len;
    while (at > 0 && resolve->address.ptr[at - 1] != '@') at--;
    resolve->domain = directory_find(resolve->directory, span_skip(resolve->address, at), NULL);
    if (resolve->domain != NULL && resolve->within != 0 &&
        resolve->domain->tenant != resolve->within) {
        resolve->domain = NULL;
    }
    if (resolve->domain == NULL) {
        resolve_kind(resolve, DIRECTORY_NOT_LOCAL);
        if (!resolve_add_outside(resolve, resolve->address)) {
            resolve->err = err_make(ERR_TOO_BIG, "resolve");
        }
        return true;
    }
    if (!resolve->root_done) resolve->resolution.tenant = resolve->domain->tenant;
    const struct directory_target *known = cache_get(resolve->resolver, resolve->address);
    if (known != NULL) {
        resolve_kind(resolve, DIRECTORY_ACCOUNT);
        if (!resolve_add_target(resolve, known)) resolve->err = err_make(ERR_TOO_BIG, "resolve");
        return true;
    }
    struct err err = ask_address(resolve);
    if (err.code != ERR_OK) resolve->err = err;
    return err.code != ERR_OK;
}

static void resolve_next(struct directory_resolve *resolve)
{
    for (;;) {
        if (resolve->err.code == ERR_TOO_BIG || resolve->steps > RESOLVE_STEPS_MAX) {
            resolve_loop(resolve);
            return;
        }
        if (resolve->err.code != ERR_OK || resolve->first == NULL) {
            resolve_end(resolve, resolve->err);
            return;
        }
        resolve->address = resolve->first->address;
        resolve->first = resolve->first->next;
        if (resolve->first == NULL) resolve->last = NULL;
        resolve->steps++;
        if (!resolve_step(resolve)) return;
    }
}

static void resolve_begin(struct later *later)
{
    struct directory_resolve *resolve = LIST_ITEM(later, struct directory_resolve, later);
    if (resolve->cancelled) resolve_free(resolve);
    else resolve_next(resolve);
}

struct err directory_resolve_start(struct directory_resolver *resolver, struct span local,
                                   struct span domain, directory_resolved *done, void *holder,
                                   struct directory_resolve **ret)
{
    char bytes[RESOLVE_ADDRESS_MAX_BYTES];
    struct span address;
    struct directory_resolve *resolve = calloc(1, sizeof(*resolve));
    if (resolve == NULL) return err_make(ERR_NOMEM, "resolve");
    resolve->resolver = resolver;
    resolve->directory = directory_ref(resolver->directory);
    arena_init(&resolve->arena, RESOLVE_ARENA_MAX_BYTES);
    map_init(&resolve->seen, RESOLVE_STEPS_MAX);
    resolve->err = err_ok();
    resolve->done = done;
    resolve->holder = holder;
    resolve->resolution.targets = resolve->targets;
    resolve->resolution.kind = DIRECTORY_NOT_LOCAL;
    struct err err = err_ok();
    if (directory_canonical(resolver->directory, local, domain, bytes, &address)) {
        err = resolve_add(resolve, address);
        if (err.code == ERR_OK) resolve->resolution.canonical = resolve->first->address;
    }
    if (err.code != ERR_OK) {
        resolve_free(resolve);
        return err;
    }
    later_post(loop_later(resolver->loop), &resolve->later, resolve_begin);
    *ret = resolve;
    return err_ok();
}

void directory_resolve_within(struct directory_resolve *resolve, uint32_t tenant)
{
    resolve->within = tenant;
}

void directory_resolve_cancel(struct directory_resolve *resolve)
{
    if (resolve == NULL) return;
    resolve->cancelled = true;
    if (resolve->call != NULL) route_call_cancel(resolve->call);
}

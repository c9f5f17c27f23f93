#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "directory_resolve_private.h"
#include "loop.h"
#include "slot.h"

enum { RESOLVE_ARENA_MAX_BYTES = 4 * 1024 * 1024 };

/* ---- the walk */

static void resolve_free(struct directory_resolve *resolve)
{
    map_free(&resolve->seen);
    arena_clear(&resolve->arena);
    directory_unref(resolve->directory);
    free(resolve);
}

static void resolve_loop(struct directory_resolve *resolve);

static void resolve_end(struct directory_resolve *resolve, struct err err)
{
    bool cancelled = resolve->cancelled;
    if (err.code == ERR_OK && resolve->resolution.kind != DIRECTORY_LOOP) {
        resolve_keep(resolve);
        err = resolve->err;
        if (err.code == ERR_TOO_BIG) {
            resolve_loop(resolve);
            return;
        }
    }
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

static struct err resolve_met(struct directory_resolve *resolve, struct span address,
                              struct resolve_step **ret)
{
    struct resolve_step *step = arena_alloc(&resolve->arena, sizeof(*step));
    if (step == NULL) return err_make(ERR_NOMEM, "resolve");
    if (resolve->seen.count >= RESOLVE_STEPS_MAX) return err_make(ERR_TOO_BIG, "resolve");
    *step = (struct resolve_step){ .by = resolve->by };
    TRY(arena_copy(&resolve->arena, address, &step->address));
    TRY(map_put(&resolve->seen, step->address, step));
    if (resolve->last != NULL) resolve->last->next = step;
    else resolve->first = step;
    resolve->last = step;
    *ret = step;
    return err_ok();
}

struct err resolve_add(struct directory_resolve *resolve, struct span address)
{
    struct resolve_step *step = map_get(&resolve->seen, address);
    if (step == NULL) TRY(resolve_met(resolve, address, &step));
    if (resolve->step == NULL) return err_ok();
    struct resolve_edge *edge = arena_alloc(&resolve->arena, sizeof(*edge));
    if (edge == NULL) return err_make(ERR_NOMEM, "resolve");
    *edge = (struct resolve_edge){ step->parents, resolve->step };
    step->parents = edge;
    if (step->leads) resolve_leads(resolve->step);
    return err_ok();
}

void resolve_add_text(void *holder, struct span text)
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
        .size_max_bytes = account->size_max,
        .domain_only = account->domain_only,
    };
    if (account->forward_count == 0) directory_cache_put(resolve->resolver, &target);
    resolve_account(resolve, &target, account);
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
        bool is_forwarded = count == 0 && resolve->domain->forward_host.len > 0;
        resolve_kind(resolve, count > 0      ? DIRECTORY_ALIAS
                              : is_forwarded ? DIRECTORY_FORWARDED
                                             : DIRECTORY_NOBODY);
        if (is_forwarded) resolve_outside(resolve, true);
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
        resolve_outside(resolve, false);
        return true;
    }
    if (!resolve->root_done) resolve->resolution.tenant = resolve->domain->tenant;
    bool is_whole = resolve->domain->forward_all && resolve->domain->forward_host.len > 0;
    if (is_whole && !resolve->is_here) {
        resolve_kind(resolve, DIRECTORY_FORWARDED);
        resolve_outside(resolve, true);
        return true;
    }
    const struct directory_target *known =
        directory_cache_get(resolve->resolver, resolve->address);
    if (known != NULL) {
        resolve_kind(resolve, DIRECTORY_ACCOUNT);
        resolve_account(resolve, known, NULL);
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
        resolve->step = resolve->first;
        resolve->by = resolve->step->by;
        resolve->address = resolve->step->address;
        resolve->first = resolve->step->next;
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
        if (err.code == ERR_OK) err = arena_copy(&resolve->arena, local, &resolve->given);
        if (err.code == ERR_OK) {
            resolve->root = resolve->first;
            resolve->resolution.canonical = resolve->root->address;
        }
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

void directory_resolve_here(struct directory_resolve *resolve) { resolve->is_here = true; }

void directory_resolve_cancel(struct directory_resolve *resolve)
{
    if (resolve == NULL) return;
    resolve->cancelled = true;
    if (resolve->call != NULL) route_call_cancel(resolve->call);
}

#include "sync_plan.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "mapping_ldap.h"
#include "place_address.h"
#include "utf8.h"

/* An entry that has an address. */
struct user {
    struct span address, dn, full_name;
};

struct planning {
    const struct sync_input *input;
    struct arena *arena;
    struct sync_plan *plan;
    struct user *users;
    size_t users_count;
};

static void refuse(struct planning *planning, struct span dn, const char *why)
{
    struct sync_plan *plan = planning->plan;
    plan->refusals[plan->refusals_count++] = (struct sync_refusal){ dn, why };
}

/* ---- the address of an entry */

static bool is_ours(const struct sync_rules *rules, struct span domain)
{
    char bytes[PLACE_DOMAIN_MAX_BYTES];
    struct buf name;
    buf_init(&name, bytes, sizeof(bytes));
    if (place_domain(domain, &name).code != ERR_OK || name.overflow) return false;
    if (span_eq(buf_span(&name), rules->name)) return true;
    for (size_t i = 0; i < rules->also_count; i++) {
        if (span_eq(buf_span(&name), rules->also[i])) return true;
    }
    return false;
}

/* The canonical address with this local part in the domain. False: it is none. */
static bool address_of(const struct sync_rules *rules, struct span local,
                       char bytes[PLACE_ADDRESS_MAX_BYTES], struct span *ret)
{
    struct place_rules place = { .fold_case = rules->fold_case,
                                 .cut_subaddress = rules->subaddress };
    struct buf address;
    buf_init(&address, bytes, PLACE_ADDRESS_MAX_BYTES);
    if (place_local(local, &place, &address).code != ERR_OK) return false;
    buf_put(&address, SPAN("@"));
    buf_put(&address, rules->name);
    if (address.overflow) return false;
    *ret = buf_span(&address);
    return true;
}

/* The better one of two addresses of an entry. */
static bool is_better(struct span one, struct span than, struct span by_name)
{
    if (than.len == 0) return true;
    if (span_eq(than, by_name)) return false;
    return span_eq(one, by_name) || span_order(one, than) < 0;
}

/* NULL: it has an address here. */
static const char *user_address(const struct sync_rules *rules, const struct mapping_entry *entry,
                                char best[PLACE_ADDRESS_MAX_BYTES], struct span *ret)
{
    char name_bytes[PLACE_ADDRESS_MAX_BYTES], bytes[PLACE_ADDRESS_MAX_BYTES];
    struct span by_name = SPAN(""), found = SPAN(""), one, local, domain;
    bool is_broken = false;
    if (place_address_split(entry->name, &local, &domain)) { /* as userPrincipalName */
        if (is_ours(rules, domain)) (void)address_of(rules, local, name_bytes, &by_name);
    } else {
        (void)address_of(rules, entry->name, name_bytes, &by_name);
    }
    for (size_t i = 0; i < entry->addresses_count; i++) {
        if (!place_address_split(entry->addresses[i], &local, &domain)) is_broken = true;
        else if (is_ours(rules, domain) && !address_of(rules, local, bytes, &one)) is_broken = true;
        else if (is_ours(rules, domain) && is_better(one, found, by_name)) {
            memcpy(best, one.ptr, one.len);
            found = span_of(best, one.len);
        }
    }
    if (found.len == 0 && is_broken) return "its address is none";
    if (found.len == 0 && entry->addresses_count == 0) {
        if (by_name.len == 0) return "it has neither an address in the domain nor a usable name";
        memcpy(best, by_name.ptr, by_name.len);
        found = span_of(best, by_name.len);
    }
    *ret = found;
    return NULL;
}

static struct err take_entry(struct planning *planning, const struct mapping_entry *entry)
{
    char bytes[PLACE_ADDRESS_MAX_BYTES];
    struct span address = SPAN("");
    const char *why = NULL;
    if (entry->is_too_big) why = "its DN, a value or the number of addresses is over a bound";
    else if (!utf8_is_valid(entry->dn) || entry->dn.len == 0) why = "its DN is not UTF-8";
    else why = user_address(planning->input->rules, entry, bytes, &address);
    if (why != NULL) refuse(planning, entry->dn, why);
    if (why != NULL || address.len == 0) return err_ok();
    struct user *user = &planning->users[planning->users_count++];
    user->dn = entry->dn;
    if (utf8_is_valid(entry->full_name)) {
        user->full_name = utf8_head(entry->full_name, SYNC_FULL_NAME_MAX_BYTES);
    }
    return arena_copy(planning->arena, address, &user->address);
}

/* ---- both lists in order of addresses, side by side */

static int user_order(const void *a, const void *b)
{
    const struct user *one = a, *other = b;
    int difference = span_order(one->address, other->address);
    return difference != 0 ? difference : span_order(one->dn, other->dn);
}

static int account_order(const void *a, const void *b)
{
    const struct sync_account *one = a, *other = b;
    return span_order(one->address, other->address);
}

static void change(struct planning *planning, enum sync_kind kind, const struct user *user,
                   bool is_back)
{
    struct sync_plan *plan = planning->plan;
    plan->changes[plan->changes_count++] = (struct sync_change){
        .kind = kind, .address = user->address, .dn = user->dn, .full_name = user->full_name,
        .is_back = is_back
    };
}

/* An entry and the user of its address; NULL: there is none. */
static void match(struct planning *planning, const struct user *user,
                  const struct sync_account *account)
{
    if (account == NULL) {
        change(planning, SYNC_MAKE, user, false);
    } else if (account->dn.len == 0) {
        refuse(planning, user->dn, "a user who was made here has its address");
    } else {
        struct user wanted = *user;
        if (wanted.full_name.len == 0) wanted.full_name = account->full_name;
        bool same = span_eq(wanted.dn, account->dn) && !account->gone &&
                    span_eq(wanted.full_name, account->full_name);
        if (!same) change(planning, SYNC_CHANGE, &wanted, account->gone);
    }
}

/* `count` entries with one address. */
static void match_many(struct planning *planning, const struct user *users, size_t count,
                       const struct sync_account *account)
{
    const struct user *chosen = count == 1 ? users : NULL;
    for (size_t i = 0; i < count && chosen == NULL; i++) {
        if (account != NULL && account->dn.len > 0 && span_eq(users[i].dn, account->dn)) {
            chosen = &users[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (chosen == &users[i]) match(planning, chosen, account);
        else refuse(planning, users[i].dn, "another entry has the same address");
    }
}

static void match_all(struct planning *planning)
{
    const struct sync_input *input = planning->input;
    size_t at = 0, u = 0;
    while (u < planning->users_count || at < input->accounts_count) {
        const struct user *user = u < planning->users_count ? &planning->users[u] : NULL;
        const struct sync_account *account =
            at < input->accounts_count ? &input->accounts[at] : NULL;
        int side = user == NULL      ? 1
                   : account == NULL ? -1
                                     : span_order(user->address, account->address);
        if (side > 0) { /* nobody in the directory */
            struct user none = { account->address, account->dn, account->full_name };
            if (account->dn.len > 0 && account->enabled) change(planning, SYNC_GONE, &none, false);
            at++;
            continue;
        }
        size_t count = 1;
        while (u + count < planning->users_count &&
               span_eq(planning->users[u + count].address, user->address)) {
            count++;
        }
        match_many(planning, user, count, side == 0 ? account : NULL);
        u += count;
        if (side == 0) at++;
    }
}

struct err sync_plan_make(const struct sync_input *input, struct arena *arena,
                          struct sync_plan *ret)
{
    struct sync_plan plan = { .changes_count = 0 };
    struct planning planning = { .input = input, .arena = arena, .plan = &plan };
    size_t entries = input->entries_count;
    size_t changes = entries + input->accounts_count;
    planning.users = arena_alloc(arena, (entries + 1) * sizeof(*planning.users));
    plan.changes = arena_alloc(arena, (changes + 1) * sizeof(*plan.changes));
    plan.refusals = arena_alloc(arena, (entries + 1) * sizeof(*plan.refusals));
    if (planning.users == NULL || plan.changes == NULL || plan.refusals == NULL) {
        return err_make(ERR_NOMEM, "plan of a directory");
    }
    for (size_t i = 0; i < entries; i++) TRY(take_entry(&planning, &input->entries[i]));
    qsort(planning.users, planning.users_count, sizeof(*planning.users), user_order);
    qsort(input->accounts, input->accounts_count, sizeof(*input->accounts), account_order);
    match_all(&planning);
    *ret = plan;
    return err_ok();
}

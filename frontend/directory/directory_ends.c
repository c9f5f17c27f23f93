/* What a walk finds. An account that forwards and keeps nothing is an end only when its forwarding
 * leads to none: each step is marked as soon as it is known to lead to somebody, and with it the
 * steps that lead there; what is not marked at last keeps its own mail, the account found last
 * first, since with it the others of its ring lead to somebody as well. */
#include "directory_resolve_private.h"
#include "place_address.h"

void resolve_leads(struct resolve_step *step)
{
    struct resolve_step *marking = step;
    if (step->leads) return;
    step->leads = true;
    step->marking = NULL;
    while (marking != NULL) {
        struct resolve_step *one = marking;
        marking = one->marking;
        for (struct resolve_edge *edge = one->parents; edge != NULL; edge = edge->next) {
            if (edge->from->leads) continue;
            edge->from->leads = true;
            edge->from->marking = marking;
            marking = edge->from;
        }
    }
}

static void too_many(struct directory_resolve *resolve)
{
    resolve->err = err_make(ERR_TOO_BIG, "resolve");
}

/* ---- accounts */

static bool add_target(struct directory_resolve *resolve, const struct directory_target *target)
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
    if (resolution->targets_count >= RESOLVE_TARGETS_FEW) {
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

static struct span domain_of(struct span address)
{
    struct span local, domain = SPAN("");
    return place_address_split(address, &local, &domain) ? domain : SPAN("");
}

/* Who may not send to somebody does not forward to him either. */
static bool may_forward(const struct resolve_forward *by, struct span address)
{
    return by == NULL || !by->target.domain_only ||
           span_eq(domain_of(by->target.address), domain_of(address));
}

static void keep(struct directory_resolve *resolve, struct resolve_step *step,
                 const struct directory_target *target)
{
    if (!may_forward(step->by, step->address)) return;
    if (add_target(resolve, target)) resolve_leads(step);
    else too_many(resolve);
}

void resolve_account(struct directory_resolve *resolve, const struct directory_target *target,
                     const struct store_account *account)
{
    bool forwards = account != NULL && account->forward_count > 0 && !target->disabled;
    if (resolve->step == resolve->root) {
        resolve->own = *target;
        resolve->own.address = resolve->address;
        resolve->resolution.own = &resolve->own;
    }
    if (!forwards || account->forward_keep) keep(resolve, resolve->step, target);
    if (!forwards) return;
    struct resolve_forward *forward = arena_alloc(&resolve->arena, sizeof(*forward));
    if (forward == NULL) {
        resolve->err = err_make(ERR_NOMEM, "resolve");
        return;
    }
    *forward = (struct resolve_forward){ .next = resolve->forwards, .step = resolve->step,
                                         .target = *target, .keeps = account->forward_keep };
    forward->target.address = resolve->address;
    resolve->forwards = resolve->by = forward;
    for (size_t i = 0; i < account->forward_count && i < RESOLVE_FORWARD_MAX; i++) {
        resolve_add_text(resolve, account->forward[i]);
    }
}

void resolve_keep(struct directory_resolve *resolve)
{
    struct resolve_forward *forward = resolve->forwards;
    for (; forward != NULL && resolve->err.code == ERR_OK; forward = forward->next) {
        if (!forward->step->leads) keep(resolve, forward->step, &forward->target);
    }
}

/* ---- elsewhere */

/* The other server of a domain may tell capitals apart and cut nothing off a local part. */
static bool as_given(struct directory_resolve *resolve, struct span *ret)
{
    struct span domain = resolve->domain->name;
    char *text = arena_alloc(&resolve->arena, resolve->given.len + 1 + domain.len);
    if (text == NULL) return false;
    memcpy(text, resolve->given.ptr, resolve->given.len);
    text[resolve->given.len] = '@';
    memcpy(text + resolve->given.len + 1, domain.ptr, domain.len);
    *ret = span_of(text, resolve->given.len + 1 + domain.len);
    return true;
}

static bool add_outside(struct directory_resolve *resolve, const struct directory_outside *outside)
{
    struct directory_resolution *resolution = &resolve->resolution;
    struct directory_outside *to = resolve->outside;
    if (resolution->outside_count == RESOLVE_TARGETS_MAX) return false;
    if (resolution->outside_count >= RESOLVE_OUTSIDE_FEW) {
        if (resolve->outside_more == NULL) {
            resolve->outside_more = arena_alloc(&resolve->arena, RESOLVE_TARGETS_MAX * sizeof(*to));
            if (resolve->outside_more == NULL) return false;
            memcpy(resolve->outside_more, resolve->outside, sizeof(resolve->outside));
        }
        to = resolve->outside_more;
    }
    resolution->outside = to;
    to[resolution->outside_count++] = *outside;
    return true;
}

void resolve_outside(struct directory_resolve *resolve, bool is_of_domain)
{
    const struct resolve_forward *by = resolve->by;
    struct directory_outside outside = { .address = resolve->address,
                                         .by = by == NULL ? NULL : &by->target,
                                         .is_kept = by != NULL && by->keeps,
                                         .is_of_domain = is_of_domain };
    if (!may_forward(by, resolve->address)) return;
    bool as_asked = is_of_domain && resolve->step == resolve->root;
    if ((as_asked && !as_given(resolve, &outside.address)) || !add_outside(resolve, &outside)) {
        too_many(resolve);
        return;
    }
    resolve_leads(resolve->step);
}

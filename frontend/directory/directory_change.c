/* Domains into a directory and out of it. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "conf.h"
#include "directory_private.h"

static struct err pointers_room(struct directory_domain ***pointers, size_t count, size_t *size)
{
    if (count < *size) return err_ok();
    size_t more = *size == 0 ? 16 : *size * 2;
    void *grown = realloc(*pointers, more * sizeof(**pointers));
    if (grown == NULL) return err_make(ERR_NOMEM, "directory");
    *pointers = grown;
    *size = more;
    return err_ok();
}

static bool is_narrowed(const struct directory_domain *domain)
{
    return domain->conf != NULL || domain->options_are_refused;
}

/* At a place in the order. */
static struct err directory_enter(struct directory *directory, struct directory_domain *domain,
                                  size_t at)
{
    TRY(pointers_room(&directory->domains, directory->count, &directory->size));
    TRY(map_put(&directory->names, domain->name, domain));
    struct directory_domain **place = &directory->domains[at];
    memmove(place + 1, place, (directory->count - at) * sizeof(*place));
    *place = domain;
    directory->count++;
    directory->narrowed_count += is_narrowed(domain);
    directory->also_count += domain->also_count;
    for (size_t i = 0; i < domain->also_count; i++) {
        /* A domain of its own wins over another's further name. */
        if (map_get(&directory->names, domain->also[i]) != NULL) continue;
        TRY(map_put(&directory->names, domain->also[i], domain));
    }
    return err_ok();
}

struct err directory_add_at(struct directory *directory, struct directory_domain *domain, size_t at,
                            struct span *ret_why)
{
    const struct directory_domain *there = map_get(&directory->names, domain->name);
    if (directory->count == DIRECTORY_DOMAINS_MAX) {
        *ret_why = SPAN("too many domains");
        return err_make(ERR_SYNTAX, "domain");
    }
    if (there != NULL && span_eq(there->name, domain->name)) {
        *ret_why = SPAN("the domain is there already");
        return err_make(ERR_SYNTAX, "domain");
    }
    if (there != NULL) map_remove(&directory->names, domain->name);
    return directory_enter(directory, domain, at);
}

/* ---- changing it */

bool directory_change_conf(struct directory *directory, struct conf *wide)
{
    if (directory->narrowed_count > 0) return false;
    size_t count = directory->old_wide_count;
    struct conf **grown = realloc(directory->old_wide, (count + 1) * sizeof(*grown));
    if (grown == NULL) return false;
    grown[count] = directory->wide;
    directory->old_wide = grown;
    directory->old_wide_count++;
    directory->wide = conf_ref(wide);
    return true;
}

/* Where the domain of a name is, or would be. */
static size_t place_of(const struct directory *directory, struct span name)
{
    size_t low = 0, high = directory->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span_order(directory->domains[middle]->name, name) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool same_names(const struct directory_domain *a, const struct directory_domain *b)
{
    if (a->also_count != b->also_count) return false;
    for (size_t i = 0; i < a->also_count; i++) {
        if (!span_eq(a->also[i], b->also[i])) return false;
    }
    return true;
}

/* Into the place of `old`, which is kept. */
static struct err replace(struct directory *directory, size_t at, struct directory_domain *domain)
{
    struct directory_domain *old = directory->domains[at];
    if (!same_names(old, domain)) return err_make(ERR_CONFLICT, "domain");
    TRY(pointers_room(&directory->old, directory->old_count, &directory->old_size));
    map_remove(&directory->names, old->name);
    TRY(map_put(&directory->names, domain->name, domain));
    for (size_t i = 0; i < old->also_count; i++) {
        if (map_get(&directory->names, old->also[i]) != old) continue;
        map_remove(&directory->names, old->also[i]);
        TRY(map_put(&directory->names, domain->also[i], domain));
    }
    directory->old[directory->old_count++] = old;
    directory->domains[at] = domain;
    directory->narrowed_count += is_narrowed(domain);
    directory->narrowed_count -= is_narrowed(old);
    return err_ok();
}

struct err directory_put(struct directory *directory, struct span json, uint64_t revision,
                         struct span *ret_why)
{
    struct directory_domain *domain;
    struct err err = directory_read(directory, json, &domain, ret_why);
    if (err.code != ERR_OK) {
        directory->refused_count++;
        return err;
    }
    domain->revision = revision;
    size_t at = place_of(directory, domain->name);
    const struct directory_domain *there = map_get(&directory->names, domain->name);
    bool is_there = at < directory->count && span_eq(directory->domains[at]->name, domain->name);
    if (is_there) err = replace(directory, at, domain);
    else if (there != NULL) err = err_make(ERR_CONFLICT, "domain"); /* another's further name */
    else err = directory_add_at(directory, domain, at, ret_why);
    if (err.code != ERR_OK) {
        directory->refused_count++;
        conf_unref(domain->conf);
        domain->conf = NULL;
    }
    return err;
}

bool directory_remove(struct directory *directory, size_t index)
{
    CHECK(index < directory->count);
    struct directory_domain **place = &directory->domains[index], *old = *place;
    /* Another's further name may come to light by it. */
    if (directory->also_count > 0) return false;
    if (pointers_room(&directory->old, directory->old_count, &directory->old_size).code != ERR_OK) {
        return false;
    }
    map_remove(&directory->names, old->name);
    memmove(place, place + 1, (directory->count - index - 1) * sizeof(*place));
    directory->count--;
    directory->narrowed_count -= is_narrowed(old);
    directory->old[directory->old_count++] = old;
    return true;
}

size_t directory_leftovers(const struct directory *directory)
{
    return directory->old_count + directory->refused_count + 32 * directory->old_wide_count;
}

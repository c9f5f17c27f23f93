/* sync_plan.h: from what a domain's LDAP directory has, and who is a user of the domain, to what is
 * to be done. Pure; takes a while for many, so it is for a thread of a crew.
 *
 * An entry becomes the user of its address. That is, of the values of the mapping's address
 * attribute that lie in the domain, the one made of its name when it is among them, else the first
 * by bytes; of an entry without any value, NAME@DOMAIN. An entry whose addresses all lie in other
 * domains is nobody here: so no directory makes users in a domain that is not its own.
 *
 * A user who was made here is never the directory's. Of entries with one address the one counts
 * that the user is already; without such a one none does, so that nobody becomes another's heir
 * by writing an address into an entry. A user whose entry is gone is disabled, and keeps his mail;
 * he is back with his entry. Whom an administrator has disabled stays so. */
#ifndef MAIL_SYNC_PLAN_H
#define MAIL_SYNC_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;
struct mapping_entry;

enum { SYNC_FULL_NAME_MAX_BYTES = 255 };

/* How the domain reads addresses. */
struct sync_rules {
    struct span name;
    const struct span *also;
    size_t also_count;
    bool fold_case;
    char subaddress;
};

struct sync_account {
    struct span address, dn, full_name; /* dn is empty: made here */
    bool enabled, gone;
};

enum sync_kind { SYNC_MAKE, SYNC_CHANGE, SYNC_GONE };

struct sync_change {
    enum sync_kind kind;
    struct span address, dn, full_name; /* as they are to be */
    bool is_back;                       /* SYNC_CHANGE: he was gone */
};

/* An entry that does not become a user. */
struct sync_refusal {
    struct span dn;
    const char *why; /* literal */
};

struct sync_plan {
    struct sync_change *changes;
    size_t changes_count;
    struct sync_refusal *refusals;
    size_t refusals_count;
};

struct sync_input {
    const struct sync_rules *rules;
    const struct mapping_entry *entries;
    size_t entries_count;
    struct sync_account *accounts; /* put in order */
    size_t accounts_count;
};

/* All in the arena, or texts of the input. ERR_NOMEM. */
MUST_USE struct err sync_plan_make(const struct sync_input *input, struct arena *arena,
                                   struct sync_plan *ret);

#ifdef __cplusplus
}
#endif
#endif

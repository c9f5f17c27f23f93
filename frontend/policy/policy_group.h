/* policy_group.h: IP groups: named sets of addresses that options and other groups refer to.
 *
 * A group is a JSON object of the configuration store under `ipgroups/<tenant>/<name>`; those of
 * tenant 0 are the installation's:
 *
 *   name         text      1 to 60 of a-z, 0-9 and hyphen
 *   tenant       integer   whose it is
 *   description  text
 *   entries      array     of texts, each one of
 *                  "192.0.2.1", "2001:db8::1"          one address
 *                  "10.0.0.0/8", "10.0.0.0/255.0.0.0"  a network; bits behind the mask do not count
 *                  "10.0.0.1-10.0.0.9"                 a range
 *                  "group:NAME"                        what is in another group of the same tenant
 *
 * A set of them never changes once it is sealed. A look-up is a binary search in each group on the
 * way; a group that is reached twice is looked at once, so that a circle does no harm. */
#ifndef MAIL_POLICY_GROUP_H
#define MAIL_POLICY_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "policy_ip.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;
struct policy_groups;

enum {
    POLICY_GROUPS_MAX = 1000,         /* of a tenant */
    POLICY_GROUP_ENTRIES_MAX = 4000,
    POLICY_GROUP_NAME_MAX_BYTES = 60,
    POLICY_GROUP_DEPTH_MAX = 8,       /* groups within groups */
};

/* One entry: a range, or another group's name in the text it was read from. */
struct policy_group_entry {
    struct policy_ip_range range;
    struct span group; /* empty: a range */
};

bool policy_group_name_is_good(struct span name);
/* ERR_SYNTAX. */
MUST_USE struct err policy_group_entry_parse(struct span text, struct policy_group_entry *ret);
/* In one fixed form, which is read as the same entry: a network where it is one. */
void policy_group_entry_put(const struct policy_group_entry *entry, struct buf *to);

MUST_USE struct err policy_groups_new(struct policy_groups **ret);
void policy_groups_free(struct policy_groups *groups);
/* Reads one group's JSON and adds it. ERR_SYNTAX: it is none, or one of its name is there;
 * ERR_BUSY: POLICY_GROUPS_MAX; ERR_NOMEM. The set is as before then. */
MUST_USE struct err policy_groups_add(struct policy_groups *groups, struct span json);
/* Looks the groups up that entries name. Behind the last one that is added. */
void policy_groups_seal(struct policy_groups *groups);

size_t policy_groups_count(const struct policy_groups *groups);
bool policy_groups_has(const struct policy_groups *groups, struct span name);
/* Whether an address is in the group of this name; false when there is none. */
bool policy_groups_match(const struct policy_groups *groups, struct span name,
                         const struct policy_ip *ip);
/* Whether entries of `from` lead to the group `to`, itself or through others, so that an entry of
 * `to` that names `from` would make a circle; also when more groups than DEPTH_MAX lie between. */
bool policy_groups_lead(const struct policy_groups *groups, struct span from, struct span to);

#ifdef __cplusplus
}
#endif
#endif

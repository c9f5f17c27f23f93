/* directory.h: the domains of the installation as a frontend sees them.
 *
 * It belongs to one loop, which changes it between turns; what was found in it stays as it was, and
 * can be read, as long as a reference is held.
 *
 * A domain is a JSON object of the configuration store under `domains/<name>`:
 *
 *   name         text      canonical (A-labels, lower case)
 *   tenant       integer   whose it is
 *   aliases      array     of {"pattern": "?ime", "targets": ["u1@example.org", ...]}: local parts
 *                          with * and ?; every alias that matches applies; the pattern "*" is the
 *                          catch-all and applies only when nothing else does
 *   also         array     other names of the same domain: mail only, not for log-in
 *   fold_case    bool      local parts in lower case (fixed when the domain is made)
 *   subaddress   text      one character behind which a local part is cut ("+"); "": never
 *   quota_bytes, quota_items, users_max, size_max   integers, 0 is none; size_max is of a message
 *                          that one of its users sends
 *   forward_host text      "host" or "host:port" of another server that has users of this domain:
 *                          mail to whom nobody here has goes there; "": none
 *   forward_all  bool      all of its mail goes there
 *   footer_text, footer_html   texts put below what users send to other servers; "": none
 *   footer_inside  bool    and below what they send to one another
 *   directory_*            the LDAP directory that its users are in (directory_mapping.h)
 *   options      object    options of domain scope: texts by key, as in policy/config
 *
 * and a tenant one under `tenants/<name>`:
 *
 *   name         text      a-z, 0-9 and hyphen
 *   id           integer   its number, 1 to 2^31 - 1, never given again
 *   quota_bytes  integer   that its users' quotas may be together; 0: any, also users without one
 *   users_max, domains_max integers, 0 is any number
 *
 * Exact aliases with an address row, groups and accounts are not in here: they lie in the shard of
 * their address. */
#ifndef MAIL_DIRECTORY_H
#define MAIL_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DIRECTORY_DOMAINS_MAX = 20000,
    DIRECTORY_TENANTS_MAX = 20000,
    DIRECTORY_ALIASES_MAX = 1000, /* patterns of one domain */
    DIRECTORY_TARGETS_MAX = 1000, /* of one pattern */
    DIRECTORY_PATTERN_MAX_BYTES = 64,
    DIRECTORY_HOST_MAX_BYTES = 262,
    DIRECTORY_FOOTER_MAX_BYTES = 8 * 1024,
};

struct conf;
struct directory;
struct directory_mapping;

struct directory_tenant {
    struct span name;
    uint32_t id;
    uint64_t quota_bytes, users_max, domains_max;
};

struct directory_alias {
    struct span pattern;
    struct span *targets;
    size_t targets_count;
};

struct directory_domain {
    struct span name;
    uint32_t tenant;
    struct directory_alias *aliases;
    size_t aliases_count;
    struct span *also;
    size_t also_count;
    bool fold_case;
    char subaddress; /* 0: none */
    uint64_t quota_bytes, quota_items, users_max, size_max;
    struct span forward_host, footer_text, footer_html;
    bool forward_all, footer_inside;
    const struct directory_mapping *mapping; /* NULL: its users are all made here */
    uint64_t revision;       /* of its row, as directory_put() was told */
    struct conf *conf;       /* when it has options of its own; see directory_conf() */
    bool options_are_refused; /* one is bad: they are all left out */
};

/* An empty one with one reference. `version` is the configuration's. */
MUST_USE struct err directory_new(uint64_t version, struct directory **ret);

/* The installation's options, which those of a domain narrow. Before domains are added; a reference
 * is taken. */
void directory_set_conf(struct directory *directory, struct conf *wide);
/* The options for a domain of this canonical name, or of another name of it, or for nobody's. NULL:
 * there are none at all. */
const struct conf *directory_conf(const struct directory *directory, struct span name);

/* Others from now on. False: some domain has options of its own, which narrow the old ones: make
 * the directory anew. */
bool directory_change_conf(struct directory *directory, struct conf *wide);

/* Reads one domain's JSON and adds it, or puts it in the place of the one of its name. ERR_SYNTAX
 * as directory_add(); ERR_CONFLICT: what else changes by it can't be told, so make the directory
 * anew; it is as before. Costs no more with many domains than a move of their pointers. */
MUST_USE struct err directory_put(struct directory *directory, struct span json, uint64_t revision,
                                  struct span *ret_why);
/* Takes the domain at `index` out. False: as ERR_CONFLICT above. */
bool directory_remove(struct directory *directory, size_t index);
/* What was put and taken out since it was made and is still in memory, in domains. */
size_t directory_leftovers(const struct directory *directory);

/* Reads one domain's JSON and adds it. ERR_SYNTAX: not such an object (`*ret_why` then says what
 * is wrong and lives for ever); the directory is as before. Only before it is shared. */
MUST_USE struct err directory_add(struct directory *directory, struct span json,
                                  struct span *ret_why);

/* The same, and keeps the revision of its row. In order of names. */
MUST_USE struct err directory_add_row(struct directory *directory, struct span json,
                                      uint64_t revision, struct span *ret_why);

/* The same for a tenant. */
MUST_USE struct err directory_add_tenant(struct directory *directory, struct span json,
                                         struct span *ret_why);
/* The tenant of this number, or NULL. */
const struct directory_tenant *directory_tenant(const struct directory *directory, uint32_t id);

struct directory *directory_ref(struct directory *directory);
void directory_unref(struct directory *directory);

uint64_t directory_version(const struct directory *directory);
size_t directory_count(const struct directory *directory);

/* The domain of this canonical name, or the one that has it in `also`; NULL: not ours.
 * `*via_other_name` says which (NULL: not asked). */
const struct directory_domain *directory_find(const struct directory *directory, struct span name,
                                              bool *via_other_name);
const struct directory_domain *directory_at(const struct directory *directory, size_t index);

/* Whether a local part fits a pattern with * (any run) and ? (one character, of UTF-8), ASCII case
 * aside. Linear time. */
bool directory_pattern_fits(struct span pattern, struct span local);

/* Where the local part goes by the domain's patterns: calls `target` for each target of each alias
 * that fits, the catch-all only when no other did. Returns how many there were. */
size_t directory_alias_targets(const struct directory_domain *domain, struct span local,
                               void (*target)(void *holder, struct span address), void *holder);

#ifdef __cplusplus
}
#endif
#endif

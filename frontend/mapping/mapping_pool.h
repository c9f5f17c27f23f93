/* mapping_pool.h: visits to LDAP directories for loops, which never wait: what one pool of threads
 * does for the whole program.
 *
 * Passwords are checked by MAPPING_CREWS crews; a domain's go to one of them, so that a directory
 * which is slow or swallows connections holds up those of few other domains. Searches have a crew
 * of their own. Threads are made when they are first needed. Every answer comes within
 * MAPPING_CHECK_MS, whatever the hosts do: a visit that takes longer is left to itself.
 *
 * Hosts are visited in turn until one answers. What one says of a password counts; the next is not
 * asked for another opinion. A host that is given by name is looked up at the loop's resolver when
 * its turn comes (mapping_lookup_private.h), for `timeout_s` at most; no thread waits for that. */
#ifndef MAIL_MAPPING_POOL_H
#define MAIL_MAPPING_POOL_H

#include <stdint.h>

#include "err.h"
#include "mapping_ldap.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct directory_domain;
struct dns;
struct loop;
struct mapping_job;
struct mapping_pool;

enum {
    MAPPING_CREWS = 8,
    MAPPING_CREW_THREADS = 4,
    MAPPING_SEARCH_THREADS = 4,
    MAPPING_QUEUE_MAX = 256,       /* of one crew; BUSY beyond */
    MAPPING_CHECK_MS = 9000,
    MAPPING_SEARCH_MS = 180 * 1000,
    MAPPING_DOMAINS_MAX = 20000,
};

/* What is done on the threads: mapping_ldap.h; tests put others in its place. */
struct mapping_calls {
    struct err (*check)(struct mapping_visit *visit, struct span dn, struct span password);
    struct err (*search)(struct mapping_visit *visit, struct span filter, struct span password,
                         struct mapping_found *ret);
};
extern const struct mapping_calls mapping_calls_ldap;

MUST_USE struct err mapping_pool_new(const struct mapping_calls *calls, struct mapping_pool **ret);
/* Once nothing is under way. Takes NULL. */
void mapping_pool_free(struct mapping_pool *pool);

struct mapping_question {
    struct loop *loop;                     /* of the caller */
    struct dns *const *dns;                /* of the loop, as it is by then; NULL: no names */
    const struct directory_domain *domain; /* with a mapping */
    struct span dn;                        /* whose password; a search has none */
    struct span password;
};

typedef void mapping_checked(void *holder, struct err err);

/* Whether `password` is that of the entry `dn` in the domain's directory; all is copied, and the
 * password wiped. `done` comes once, on a later turn: as mapping_ldap_check(); TIMEOUT. ERR_BUSY,
 * ERR_UNREACHABLE (the directory is known to be away), ERR_NOMEM: nothing is called. */
MUST_USE struct err mapping_check_start(struct mapping_pool *pool,
                                        const struct mapping_question *question,
                                        mapping_checked *done, void *holder,
                                        struct mapping_job **ret);

/* `found` dies when it returns, unless it was taken; NULL with an error, which `said` puts in
 * words. */
typedef void mapping_searched(void *holder, struct err err, const char *said,
                              struct mapping_found *found);
/* Takes what was found: the caller clears its arena. */
static inline struct mapping_found mapping_found_take(struct mapping_found *found)
{
    struct mapping_found taken = *found;
    arena_init(&found->arena, 0);
    return taken;
}

/* The users of the domain's directory; `password` opens bind_dn. The rest as above. */
MUST_USE struct err mapping_search_start(struct mapping_pool *pool,
                                         const struct mapping_question *question,
                                         mapping_searched *done, void *holder,
                                         struct mapping_job **ret);

/* `done` is not called any more. Takes NULL. */
void mapping_job_cancel(struct mapping_job *job);

#ifdef __cplusplus
}
#endif
#endif

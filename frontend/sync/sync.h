/* sync.h: takes the users of domains from their LDAP directories (directory_mapping.h): who is in a
 * directory is a user of the domain, before he logs in first, so that mail to him is taken; who is
 * gone from it is disabled.
 *
 * Exactly one frontend of a cluster does it, the one that holds the office: the row
 * `directory/office` of the configuration store, {"name":...,"boot":...}, under a lease of
 * SYNC_LEASE_S. It is a frontend, and not the elected router, since that is who may call storage
 * nodes for users, has the keys to secrets, and speaks to what is outside of the cluster; what it
 * does is done by the API's own steps (api_start_own()), so that quotas, bounds, the index of the
 * domain and the log are the same as for an administrator's changes. Two at once, in the moments
 * until a lease that ran out is noticed, do no harm: each change is compare-and-swap, and the next
 * look puts right what came late. Frontends without any such domain do not ask for the office.
 *
 * A look is: search the directory, list the domain's users, plan (sync_plan.h), then the changes,
 * SYNC_CHANGES_MAX at a time. A search that is not whole changes nothing. A domain is looked at
 * when its settings change, every `directory_sync` seconds, and SYNC_RETRY_MS after a failure if
 * that is sooner. What came of the last look is told in a row, which the API shows (sync_tell.c).
 */
#ifndef MAIL_SYNC_H
#define MAIL_SYNC_H

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct api;
struct buf;
struct coord;
struct crew;
struct directory;
struct loop;
struct dns;
struct mapping_pool;
struct sync;

enum {
    SYNC_LEASE_S = 10,
    SYNC_RETRY_MS = 30 * 1000,
    SYNC_RUNS_MAX = 4,       /* domains that are looked at at once; the others wait */
    SYNC_CHANGES_MAX = 8,    /* of one look, under way */
    SYNC_PAGE_USERS = 200,
    SYNC_TOLD_MAX = 20,      /* entries of one look that the log names */
    SYNC_DOMAINS_MAX = 20000,
    SYNC_TELL_MS = 60 * 1000,  /* of rows that say nothing new (sync_tell.c) */
    SYNC_TELL_EACH_MS = 250,
};

struct sync_options {
    struct loop *loop;
    struct coord *coord;
    struct crew *crew;       /* for changes of a file store, and plans */
    struct api *api;
    struct mapping_pool *mapping;
    struct dns *const *dns;  /* of the loop */
    const char *name;        /* of this program */
    void *holder;            /* of the calls below */
    struct directory *(*directory)(void *holder);
    struct err (*unseal)(void *holder, struct span whose, struct span text, struct buf *to);
};

MUST_USE struct err sync_new(const struct sync_options *options, struct sync **ret);
/* Domains may have changed. */
void sync_configure(struct sync *sync);
/* Gives the office up; what is under way comes to an end by itself. Takes NULL. */
void sync_stop(struct sync *sync);

#ifdef __cplusplus
}
#endif
#endif

/* login_check.h: is this the password of that user? The shell around login_cache: finds the
 * account, hashes on a crew, remembers what was verified.
 *
 * A user who is not there costs the same hash as a wrong password, so that the time tells nothing.
 * Who has failed too often is not let in for a while (login_lockout.h).
 *
 * The password of a user whom the domain's LDAP directory has is checked there (mapping_pool.h), by
 * a bind as that user: mechanisms that need a stored secret do not exist for him. When the
 * directory does not answer, that is a temporary error and no failure of his; what was verified
 * a moment ago still is (login_cache.h). */
#ifndef MAIL_LOGIN_CHECK_H
#define MAIL_LOGIN_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "login_lockout.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct crew;
struct directory_resolver;
struct login_cache;
struct login_check;
struct loop;
struct dns;
struct mapping_pool;

enum { LOGIN_CHECK_USER_MAX_BYTES = 320, LOGIN_CHECK_PASSWORD_MAX_BYTES = 1024 };

/* What a hash costs (password.h). */
struct login_cost {
    uint32_t memory_kib, passes;
};

struct login_services {
    struct loop *loop;
    struct directory_resolver *resolver;
    struct crew *crew;                /* may be used by several loops */
    struct login_cache *cache;        /* of this loop */
    struct meter *meter;              /* of this loop; NULL: nobody is locked out */
    struct mapping_pool *mapping;     /* may be used by several loops; NULL: no directories */
    struct dns *const *dns;           /* of this loop: where the directories' hosts are */
    struct login_lockout_options lockout;
    struct span primary_domain;       /* for names without a domain; empty: none */
    struct span decoy;                /* a stored password that nobody knows; it may change */
    struct login_cost cost;           /* of hashes that are made now */
    unsigned *remakes;                /* login_remake.h: under way on this loop */
    /* Whether a hash is made otherwise than at that cost. */
    bool (*is_stale)(struct span stored, const struct login_cost *cost);
    /* Blocking, on the crew: whether `password` fits `stored` (modular crypt format); a new hash of
     * it, at most LOGIN_STORED_MAX_BYTES. `make` NULL: none is made anew. */
    bool (*verify)(struct span stored, struct span password);
    struct err (*make)(struct span password, const struct login_cost *cost, char *ret, size_t *len);
};

struct login_identity {
    uint32_t tenant;
    uint64_t account;
    uint32_t role;
    struct span address;   /* primary */
    struct span addresses[16]; /* further ones that it may send as */
    unsigned addresses_count;
};

struct login_attempt {
    struct span user, password;
    uint8_t client[16]; /* its address, IPv4 as ::ffff:a.b.c.d */
};

typedef void login_checked(void *holder, struct err err, const struct login_identity *identity);

/* User and password are copied (and the copies wiped). `done` comes once, on a later turn: OK with
 * the identity, which dies when it returns; DENIED: wrong, or no such user, or disabled, and
 * `detail` has the LOGIN_LOCKED_ bits of what is locked since now; LOCKED: not checked, too many
 * have failed; another temporary error: not checked, or that it was wrong could not be counted. ERR
 * here: nothing is called. */
MUST_USE struct err login_check_start(const struct login_services *services,
                                      const struct login_attempt *attempt, login_checked *done,
                                      void *holder, struct login_check **ret);

/* Gives it up: `done` is not called. */
void login_check_cancel(struct login_check *check);

#ifdef __cplusplus
}
#endif
#endif

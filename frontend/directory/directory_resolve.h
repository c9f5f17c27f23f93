/* directory_resolve.h: where mail to an address goes: accounts here, addresses elsewhere.
 *
 * Follows aliases, groups, patterns and what accounts forward to their ends: an address that was
 * met before is not followed again (so loops end), an account is listed once, and there is a bound
 * on steps. An account that forwards its mail and keeps none is no end of its own, unless all that
 * it forwards to leads nowhere or back to it: then it keeps it, so that no ring of accounts loses
 * mail. A disabled account forwards nothing. */
#ifndef MAIL_DIRECTORY_RESOLVE_H
#define MAIL_DIRECTORY_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct directory;
struct directory_resolve;
struct loop;
struct route;

enum {
    RESOLVE_STEPS_MAX = 2000,   /* addresses looked at for one; LOOP beyond */
    RESOLVE_TARGETS_MAX = 1000, /* accounts and outside addresses of one; LOOP beyond */
    RESOLVE_ADDRESS_MAX_BYTES = 512,
    RESOLVE_CACHE_ENTRIES = 1024,
    RESOLVE_FORWARD_MAX = 16,   /* addresses that an account forwards to */
};

enum directory_result {
    DIRECTORY_ACCOUNT,
    DIRECTORY_ALIAS,
    DIRECTORY_GROUP,
    DIRECTORY_NOBODY,    /* a domain of ours in which nobody has it, or it is no address */
    DIRECTORY_NOT_LOCAL, /* its domain is not ours */
    DIRECTORY_LOOP,      /* too many steps or targets */
    DIRECTORY_FORWARDED, /* a domain of ours; another server knows more of it */
};

struct directory_target {
    uint32_t tenant;
    uint64_t account;
    struct span address;   /* at which it was found: its own or a further one, canonical */
    bool disabled, over_quota;
    unsigned used_percent; /* of the quota, at most 100; 0 without one */
    uint64_t room_bytes;   /* what a message may have to fit in; UINT64_MAX without a quota */
    uint64_t size_max_bytes; /* of a message that it sends; 0: none of its own */
    bool domain_only;      /* sends to its own domain only, and gets mail from there only */
};

/* An address at another server. */
struct directory_outside {
    struct span address;
    const struct directory_target *by; /* the account that forwards its mail there; NULL: none */
    bool is_kept;          /* and keeps it as well */
    bool is_of_domain;     /* in a domain of ours that has another server (directory.h) */
};

struct directory_resolution {
    enum directory_result kind; /* of the address asked for */
    uint32_t tenant;            /* of its domain */
    const struct directory_target *targets;
    size_t targets_count;
    const struct directory_outside *outside;
    size_t outside_count;
    const struct directory_target *own; /* the account asked for, wherever its mail goes; or NULL */
    struct span canonical;      /* of the address asked for */
};

/* What a resolver works with; one per loop. `directory` may be changed between calls. An account
 * that was found is remembered for `cache_ms`, so that a flood to one address costs little. */
struct directory_resolver {
    struct loop *loop;
    struct route *route;
    struct directory *directory;
    uint64_t cache_ms;
    uint64_t deadline_ms;
    struct resolve_cache *cache; /* directory_resolver_init() makes it */
};

MUST_USE struct err directory_resolver_init(struct directory_resolver *resolver);
void directory_resolver_free(struct directory_resolver *resolver);

typedef void directory_resolved(void *holder, struct err err,
                                const struct directory_resolution *resolution);

/* Starts. `local` and `domain` are copied. `done` is called once, on a later turn; the resolution
 * dies when it returns; on an error (temporary: the directory gave no answer) it is NULL. ERR here:
 * nothing is called. */
MUST_USE struct err directory_resolve_start(struct directory_resolver *resolver, struct span local,
                                            struct span domain, directory_resolved *done,
                                            void *holder, struct directory_resolve **ret);

/* Right behind the start: addresses of other tenants are as if they were at other servers, so that
 * nobody is shown where another tenant's aliases and groups lead. 0: all are followed. */
void directory_resolve_within(struct directory_resolve *resolve, uint32_t tenant);

/* Right behind the start: the addresses of a domain of which all mail goes to another server are
 * looked for here all the same. For senders: whose address it is, not where mail to it goes. */
void directory_resolve_here(struct directory_resolve *resolve);

/* Gives it up: `done` is not called. */
void directory_resolve_cancel(struct directory_resolve *resolve);

/* Writes the canonical form of an address by the rules of its domain (when it is ours) to `to`.
 * False: it is no address. */
bool directory_canonical(const struct directory *directory, struct span local, struct span domain,
                         char to[RESOLVE_ADDRESS_MAX_BYTES], struct span *ret);

#ifdef __cplusplus
}
#endif
#endif

/* directory_resolve_private.h: a walk under way.
 *
 *   directory_resolve.c  the walk: from address to address, by the answers of the store
 *   directory_ends.c     what it finds: accounts, addresses elsewhere, and who keeps his mail
 *   directory_address.c  canonical addresses, and accounts found a moment ago */
#ifndef MAIL_DIRECTORY_RESOLVE_PRIVATE_H
#define MAIL_DIRECTORY_RESOLVE_PRIVATE_H

#include "arena.h"
#include "directory.h"
#include "directory_resolve.h"
#include "later.h"
#include "map.h"
#include "route.h"
#include "store_msg.h"

enum { RESOLVE_TARGETS_FEW = 64, RESOLVE_OUTSIDE_FEW = 4 };

/* An address that leads to another one. */
struct resolve_edge {
    struct resolve_edge *next;
    struct resolve_step *from;
};

/* An address that was met. */
struct resolve_step {
    struct resolve_step *next;     /* of those still to be looked at */
    struct resolve_step *marking;  /* of those whose parents are to be marked */
    struct resolve_edge *parents;
    struct resolve_forward *by;    /* the account by whose forwarding it was met; NULL: none */
    struct span address;
    bool leads;                    /* to somebody who gets the mail */
};

/* An account that forwards its mail. */
struct resolve_forward {
    struct resolve_forward *next;  /* the one found before it */
    struct resolve_step *step;
    struct directory_target target;
    bool keeps;
};

struct directory_resolve {
    struct later later;
    struct directory_resolver *resolver;
    struct directory *directory; /* the snapshot it began with */
    struct arena arena;
    struct map seen;             /* every address met -> its step */
    struct resolve_step *first, *last, *root;
    struct resolve_step *step;   /* under way */
    struct resolve_forward *by;  /* what is met now is met by it */
    struct resolve_forward *forwards;
    struct span address;         /* of the step */
    struct span given;           /* local part as it was asked for */
    const struct directory_domain *domain;
    struct route_call *call;
    struct store_address_get_request address_request;
    struct store_account_get_request account_request;
    struct directory_resolution resolution;
    struct directory_target own, targets[RESOLVE_TARGETS_FEW], *targets_more;
    struct directory_outside outside[RESOLVE_OUTSIDE_FEW], *outside_more;
    size_t steps;
    directory_resolved *done;
    void *holder;
    struct err err;
    uint32_t within; /* a tenant: others are as if they were elsewhere; 0: all */
    bool root_done, is_here, cancelled;
};

/* ---- directory_resolve.c */
/* Puts an address on the list unless it was on it before; the step under way leads there. */
struct err resolve_add(struct directory_resolve *resolve, struct span address);
/* A target of an alias, group or account, which is written as somebody typed it. */
void resolve_add_text(void *holder, struct span text);

/* ---- directory_ends.c */
/* The step under way is this account; `account` is NULL when it is not known to forward. */
void resolve_account(struct directory_resolve *resolve, const struct directory_target *target,
                     const struct store_account *account);
/* The step under way is at another server. */
void resolve_outside(struct directory_resolve *resolve, bool is_of_domain);
/* `step` leads to somebody, and so does whatever leads to it. */
void resolve_leads(struct resolve_step *step);
/* Nothing is left to look at: accounts whose forwarding leads to nobody keep their mail. */
void resolve_keep(struct directory_resolve *resolve);

/* ---- directory_address.c */
void directory_cache_put(struct directory_resolver *resolver,
                         const struct directory_target *target);
const struct directory_target *directory_cache_get(struct directory_resolver *resolver,
                                                   struct span address);

#endif

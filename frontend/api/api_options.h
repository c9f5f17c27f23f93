/* api_options.h: what the API works with; main fills it. */
#ifndef MAIL_API_OPTIONS_H
#define MAIL_API_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct api;
struct arena;
struct buf;
struct conf;
struct coord;
struct crew;
struct directory_resolver;
struct loop;
struct route;
struct rpc_self;

enum { API_PASSWORD_HASH_BYTES = 256 };

/* What was changed, and who did it. */
struct api_change {
    struct span method, target; /* of the request; secrets do not stand in it */
    unsigned role;              /* enum api_role, of the token */
    struct span token;          /* its public ID */
    unsigned status;            /* of the answer */
    uint8_t client_ip[16];      /* IPv4 as ::ffff:a.b.c.d */
};

struct api_options {
    struct loop *loop;
    struct route *route;
    struct directory_resolver *resolver;
    struct coord *coord;
    struct crew *crew, *hash_crew; /* the second for passwords */
    void *holder; /* of the calls below */
    /* Blocking, on hash_crew: a stored password, with a NUL. */
    struct err (*hash_password)(struct span password, uint32_t memory_kib, uint32_t passes,
                                char ret[API_PASSWORD_HASH_BYTES]);
    /* Appends a secret as text that only this installation's programs can open, for the place that
     * `whose` names. */
    struct err (*seal)(void *holder, struct span whose, struct span secret, struct buf *to);
    /* And back. */
    struct err (*unseal)(void *holder, struct span whose, struct span text, struct buf *to);
    /* The configuration of now; lives during the caller's turn. */
    struct conf *(*conf)(void *holder);
    /* What is missing to serve, or the empty span. */
    struct span (*missing)(void *holder);
    /* What is missing though most are served, or the empty span; until the next turn. */
    struct span (*lacking)(void *holder);
    /* The metrics of this program, in the arena. */
    struct err (*metrics)(void *holder, struct arena *arena, struct span *ret);
    const char *name;      /* of this frontend */
    struct rpc_self *self; /* who it is to the other programs; outlives the API */
    /* An administrator changed something: for the operations log. */
    void (*audit)(void *holder, const struct api_change *change);
};

MUST_USE struct err api_new(const struct api_options *options, struct api **ret);
void api_free(struct api *api);

#ifdef __cplusplus
}
#endif
#endif

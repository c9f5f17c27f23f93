/* gather.h: the same question to many programs of the cluster at once, over HTTP, each at the
 * address in its row (lib/roster, programs/).
 *
 * Nobody waits for one that does not answer longer than GATHER_WAIT_MS: its answer then says so. */
#ifndef MAIL_GATHER_H
#define MAIL_GATHER_H

#include "err.h"
#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gather;
struct loop;

enum {
    GATHER_TARGETS_MAX = 1024,
    GATHER_AT_ONCE = 32,              /* connections; the others wait for their turn */
    GATHER_CONNECT_MS = 1000,
    GATHER_WAIT_MS = 3000,            /* of one question, from when it is its turn */
    GATHER_PATH_MAX_BYTES = 128,      /* with its query */
    GATHER_REPLY_MAX_BYTES = 320 * 1024,
};

struct gather_target {
    char address[ROSTER_ADDRESS_MAX_BYTES + 1]; /* "ip:port"; empty: it is not asked */
    char path[GATHER_PATH_MAX_BYTES];           /* "/readyz" */
};

struct gather_answer {
    unsigned status;  /* of HTTP; 0: none came, for `why` */
    struct span body;
    const char *why;
};

/* Asks all of them; `targets` is copied. `done` comes once, on a later turn. ERR_TOO_BIG:
 * targets; ERR_NOMEM. */
MUST_USE struct err gather_start(struct loop *loop, const struct gather_target *targets,
                                 size_t count, void (*done)(void *holder), void *holder,
                                 struct gather **ret);
/* After done; lives until gather_free(). */
struct gather_answer gather_answer(const struct gather *gather, size_t target);
/* After done. Takes NULL. */
void gather_free(struct gather *gather);

#ifdef __cplusplus
}
#endif
#endif

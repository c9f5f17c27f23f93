/* member_private.h: shared by the files of this folder. */
#ifndef MAIL_MEMBER_PRIVATE_H
#define MAIL_MEMBER_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "member.h"
#include "rpc.h"
#include "timer.h"

enum { MEMBER_PATH_MAX_BYTES = 4096 };

struct member {
    struct rpc_self *self;
    enum rpc_role role;
    char certs[MEMBER_PATH_MAX_BYTES]; /* empty: none */
    char name[RPC_URI_MAX_BYTES + 1];  /* of the certificate in use */
    uint64_t from_ms, until_ms;        /* it is valid */
    uint8_t digest[DIGEST_BYTES];      /* of the files in use */

    struct loop *loop;
    struct loop_poll *poll; /* of inotify_fd */
    int inotify_fd;         /* -1: none */
    struct timer settle, check;
    unsigned again; /* readings since the last change that came to nothing */
    uint64_t warned_ms;
    char refused[MEMBER_PROBLEM_BYTES]; /* as last logged */

    struct coord *coord;
    struct coord_watch *watch;

    pthread_mutex_t refusals_lock; /* of what follows */
    uint64_t refusals_since_ms;
    unsigned refusals, refusals_more;
};

/* member_files.c: reads the files and puts them to use; `*ret_news` is whether they are others than
 * before. Errors as member_new(). */
MUST_USE struct err member_load(struct member *member, bool *ret_news,
                                char problem[MEMBER_PROBLEM_BYTES]);

/* member_refusals.c: the `refused` of rpc_self.h. */
void member_on_refused(void *holder, const struct rpc_refusal *refusal);
/* Says how many were left out, if nobody came since. */
void member_say_refusals(struct member *member);

#endif

/* member.h: what makes a program a member of its cluster: its certificate files, read again when
 * they change; the cluster's id and incarnation, from the configuration store; and the log of those
 * whom it refuses and who refuse it.
 *
 * The folder of --rpc-certs has what `godwitctl cluster cert issue` writes:
 *
 *   ca.pem    the authorities that are trusted, one or, while one takes over from another, more
 *   cert.pem  this program's certificate, which names it (lib/rpc/rpc_name.h)
 *   key.pem   its key
 *
 * A change of any of them (inotify, SIGHUP, at the latest after an hour) has all three read again;
 * what can't be used is logged, and what was in use stays. New connections use the new ones, those
 * that stand go on. Without the folder a program takes part over unix sockets only. */
#ifndef MAIL_MEMBER_H
#define MAIL_MEMBER_H

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct boot;
struct coord;
struct loop;
struct member;
struct rpc_self;

/* The rows of boot.h that each program's table has for this. */
#define MEMBER_OPTIONS                                                                           \
    { "rpc-certs", BOOT_TEXT, "",                                                                \
      "folder with ca.pem, cert.pem and key.pem, for calls over TCP; empty: unix sockets only" }

enum {
    MEMBER_PROBLEM_BYTES = 512,
    MEMBER_FILE_MAX_BYTES = 256 * 1024,
    MEMBER_SETTLE_MS = 200,         /* files are written one after the other */
    MEMBER_AGAIN_MS = 500,          /* before files that do not fit each other are read again ... */
    MEMBER_AGAIN_MAX = 4,           /* ... so often */
    MEMBER_CHECK_MS = 3600 * 1000,
    MEMBER_REFUSALS_MAX = 100,      /* lines in the log ... */
    MEMBER_REFUSALS_MS = 10 * 1000, /* ... in so long; of the others their number */
};

/* For a program of `role` (enum rpc_role). Reads the folder `certs`, unless that is empty; blocks.
 * On an error `problem` says what is wrong with which file: ERR_IO, ERR_SYNTAX, ERR_TOO_BIG,
 * ERR_DENIED (not this program's, or not valid), ERR_NOMEM. */
MUST_USE struct err member_new(unsigned role, const char *certs, struct member **ret,
                               char problem[MEMBER_PROBLEM_BYTES]);
/* The same for main(): says what is wrong on standard error and in the log. */
MUST_USE struct err member_open(const char *program, unsigned role, const char *certs,
                                struct member **ret);
/* Nothing is watched any more; connections may go on. Takes NULL. */
void member_stop(struct member *member);
/* All connections are gone. Takes NULL. */
void member_free(struct member *member);

/* For clients and servers of lib/rpc. Lives as long as the member. */
struct rpc_self *member_self(struct member *member);

/* Begins to watch the files, on this loop. ERR_NOMEM, ERR_IO. */
MUST_USE struct err member_watch(struct member *member, struct loop *loop);

/* Takes the cluster's id and incarnation from the row `meta` of the store, whose loop is that of
 * member_watch(), now and when it changes. A store without the row says nothing. ERR_DENIED: the
 * certificate is of another cluster; ERR_CORRUPT; ERR_BUSY: too many watches. */
MUST_USE struct err member_follow(struct member *member, struct coord *coord);

/* member_watch() and, when there is a store, member_follow(). */
MUST_USE struct err member_start(struct member *member, struct loop *loop, struct coord *coord);

/* Reads the files again: for SIGHUP. On the loop. */
void member_reload(struct member *member);

/* A BOOT_LIST of addresses to listen on, for servers of lib/rpc; the texts live as long as `boot`.
 * ERR_TOO_BIG. */
enum { MEMBER_ADDRESSES_MAX = 8 };
struct member_addresses {
    const char *each[MEMBER_ADDRESSES_MAX];
    unsigned count;
    const char *text; /* the first, for messages */
};
MUST_USE struct err member_addresses_read(const struct boot *boot, const char *name,
                                          struct member_addresses *ret);

#ifdef __cplusplus
}
#endif
#endif

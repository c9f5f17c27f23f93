/* program_announce.h: this program's row in the cluster, programs/<kind>/<name> (lib/roster): that
 * it runs, which version, and where it answers over HTTP and to the calls of admin.proto.
 *
 * The row depends on a lease and is written again when that was lost. A start replaces the row of a
 * program of the same name, which may just have died; later another's is left alone, and that is
 * logged. Without the store nothing but this row suffers. */
#ifndef MAIL_PROGRAM_ANNOUNCE_H
#define MAIL_PROGRAM_ANNOUNCE_H

#include "err.h"
#include "roster.h"

#ifdef __cplusplus
extern "C" {
#endif

struct boot;
struct coord;
struct loop;
struct program_announce;
struct program_monitor;

enum {
    PROGRAM_ANNOUNCE_LEASE_S = 10,
    PROGRAM_ANNOUNCE_RETRY_MS = 1000,
    PROGRAM_ANNOUNCE_CHANGES_MAX = 8, /* of the thread that writes to the back end `file` */
};

struct program_announce_options {
    struct loop *loop;
    struct coord *coord;      /* of this loop */
    enum roster_kind kind;
    const char *name;         /* --name */
    struct span address;      /* ip:port; empty: nowhere */
    struct span admin;        /* of admin.proto: that, or unix:/path */
};

/* What others are told where a program listens at `listens`: `chosen` (--announce) when it is not
 * empty; else that, with an address of this machine in place of 0.0.0.0 or [::], and with `port` in
 * place of 0. Empty, when it listens nowhere or that is no address. */
struct span program_announce_address(const char *chosen, const char *listens, uint16_t port,
                                     char text[ROSTER_ADDRESS_MAX_BYTES]);
/* The same where it listens for calls: a unix socket is told as it is, and of `chosen` only the
 * address is taken, in place of 0.0.0.0 or [::]. */
struct span program_announce_inner(const char *chosen, const char *listens, uint16_t port,
                                   char text[ROSTER_ADDRESS_MAX_BYTES]);

/* ERR_SYNTAX: the name, or the address; ERR_BUSY: too many watches; ERR_NOMEM. */
MUST_USE struct err program_announce_start(const struct program_announce_options *options,
                                           struct program_announce **ret);
/* The same for main() of a program with a monitor, NULL: it answers nowhere. */
struct program_announce_monitor {
    struct loop *loop;
    struct coord *coord;
    enum roster_kind kind;
    const struct program_monitor *monitor;
    struct span admin;
};
MUST_USE struct err program_announce_boot(const struct boot *boot,
                                          const struct program_announce_monitor *options,
                                          struct program_announce **ret);
/* The row goes soon. Memory is freed as the loop turns. Takes NULL. */
void program_announce_stop(struct program_announce *announce);

#ifdef __cplusplus
}
#endif
#endif

/* admin_serve.h: what a program answers when the others of its cluster ask about it: admin.proto,
 * on an address of its own (--admin-listen), over mutual TLS or, on one machine, a unix socket.
 *
 * Who may ask stands in lib/rpc/rpc_callers.def: frontends do, on behalf of an administrator, and
 * see to it that nobody is shown what is not his. */
#ifndef MAIL_ADMIN_SERVE_H
#define MAIL_ADMIN_SERVE_H

#include "err.h"
#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct admin_serve;
struct boot;
struct coord;
struct loop;
struct program_announce;
struct program_monitor;
struct rpc_self;

/* The row of boot.h that each program's table has for this. */
#define ADMIN_SERVE_OPTIONS                                                                    \
    { "admin-listen", BOOT_TEXT, "",                                                           \
      "where frontends ask for its logs: unix:/path; ip:port, with --rpc-certs; empty: nowhere" }

enum { ADMIN_SERVE_REPLY_MAX_BYTES = 256 * 1024 };

/* Listens at `address`, "unix:/path" or "ip:port"; `self` outlives it. Errors as
 * rpc_server_open(). */
MUST_USE struct err admin_serve_open(struct loop *loop, const char *address,
                                     struct rpc_self *self, struct admin_serve **ret);
/* The port, for port 0. */
uint16_t admin_serve_port(const struct admin_serve *serve);
/* Breaks its connections. Memory is freed as the loop turns. Takes NULL. */
void admin_serve_close(struct admin_serve *serve);

/* For main(): opens it at --admin-listen and logs when that can't be (SERVICE_FAILED). NULL and OK
 * when the option is empty. */
MUST_USE struct err admin_serve_boot(const struct boot *boot, struct loop *loop,
                                     struct rpc_self *self, struct admin_serve **ret);
/* What others are told where it is (program_announce.h); empty for NULL. Lives as long as `boot`
 * and `text`. */
struct span admin_serve_announced(const struct admin_serve *serve, const struct boot *boot,
                                  char text[ROSTER_ADDRESS_MAX_BYTES]);

/* The same and the program's row in the cluster, which says so: for main() of a program with one
 * loop. Without a store there is no row. Errors as admin_serve_open(), program_announce_boot(). */
struct admin_serve_program {
    struct loop *loop;
    struct coord *coord; /* may be NULL */
    enum roster_kind kind;
    const struct program_monitor *monitor;
    struct rpc_self *self;
};
MUST_USE struct err admin_serve_begin(const struct boot *boot,
                                      const struct admin_serve_program *program,
                                      struct admin_serve **ret, struct program_announce **row);

#ifdef __cplusplus
}
#endif
#endif

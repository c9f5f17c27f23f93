/* courier.h: works the queue off: local recipients by Deliver, others by SMTP; DSNs for what fails.
 *
 * Entries lie in the shards. One courier a frontend loop leases those that are due, works on them,
 * and reports what came of each recipient; a frontend that dies leaves its leases to run out.
 * Nothing is polled: each storage node tells when its next entry is due (QueueWatch). */
#ifndef MAIL_COURIER_H
#define MAIL_COURIER_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct body_budget;
struct courier;
struct crew;
struct dns;
struct loop;
struct route;
struct store_queue_entry;
struct tls_context;

enum {
    COURIER_ENTRIES_MAX = 256,      /* worked on at once by one courier */
    COURIER_CONNECTIONS_MAX = 64,   /* to other servers */
    COURIER_LEASE_MS = 120 * 1000,
    COURIER_BATCH = 16,             /* entries leased at a time */
};

struct courier_options {
    struct loop *loop;
    struct route *route;
    struct dns *dns;
    struct crew *crew;
    struct body_budget *budget;
    struct tls_context *tls;        /* for connections to other servers: verifies nothing */
    struct span hostname;           /* ours */
    struct span smart_host;         /* "host" or "host:port"; empty: MX */
    struct span smart_user, smart_password;
    uint16_t port;                  /* of other servers */
    bool tls_must;                  /* never send in the clear */
    uint32_t concurrency;           /* entries at once, at most COURIER_ENTRIES_MAX */
    uint64_t retry_first_ms, retry_max_ms, warn_ms, expire_ms;
};

/* Options are copied; spans and pointers in it outlive the courier. */
MUST_USE struct err courier_new(const struct courier_options *options, struct courier **ret);

/* Takes no new entries; reports what is under way as far as it got, then calls `stopped`. */
void courier_stop(struct courier *courier, void (*stopped)(void *holder), void *holder);
void courier_free(struct courier *courier);

/* Who leases entries, as rows say it: 16 random bytes of this courier. */
struct span courier_owner(const struct courier *courier);

/* An entry that was just put with a lease of ours: is worked on at once when there is room. The
 * stored body is at hand, so it is not read back (a reference is taken). `entry` is copied. */
void courier_new_entry(struct courier *courier, const struct store_queue_entry *entry,
                       struct body *stored);

/* New values of the options that may change while it runs. */
void courier_configure(struct courier *courier, const struct courier_options *options);

/* For /metrics and `queue list`. */
struct courier_counts { uint64_t delivered, deferred, failed, bounced; uint32_t open; };
struct courier_counts courier_counts(const struct courier *courier);

#ifdef __cplusplus
}
#endif
#endif

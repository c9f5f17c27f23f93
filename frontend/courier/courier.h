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
struct mime_footer;
struct route;
struct store_queue_entry;
struct tls_context;

enum {
    COURIER_ENTRIES_MAX = 256,      /* worked on at once by one courier */
    COURIER_BACKLOG_MAX = 1024,     /* new entries that wait for their turn */
    COURIER_CONNECTIONS_MAX = 64,   /* to other servers, counting those that are being looked up */
    COURIER_DESTINATION_MAX = 10,   /* of them to one domain, when the options say nothing */
    COURIER_LEASE_MS = 30 * 1000,   /* when the options say nothing */
    COURIER_BATCH = 16,             /* entries leased at a time */
    COURIER_CONNECT_MS = 30 * 1000, /* when the options say nothing */
    COURIER_STOP_MS = 10 * 1000,    /* for a body under way to arrive while we stop */
};

/* A message of our own, on its way to a sender: the report on his mail. Its own sender is <>. */
struct courier_post {
    struct span recipient; /* address */
    struct body *message;  /* sealed, CRLF lines; take a reference to keep it */
    struct span trace_id;  /* 16 bytes, that of the mail it is about */
    bool smtputf8, body_8bit;
};
/* Once. OK: it is durable; a permanent error: nobody can ever get it. */
typedef void courier_posted(void *posted_holder, struct err err);

/* What came of a recipient, for the log; everything dies on return. */
enum courier_event_kind {
    COURIER_EVENT_DELIVERED, COURIER_EVENT_DEFERRED, COURIER_EVENT_FAILED, COURIER_EVENT_EXPIRED,
};
struct courier_event {
    enum courier_event_kind kind;
    struct span id, trace_id, sender, recipient, answer;
    uint32_t attempts;
    bool is_local;
};

struct courier_options {
    struct loop *loop;
    struct route *route;
    struct dns *dns;
    struct crew *crew;
    struct body_budget *budget;
    struct tls_context *tls;        /* a client's; NULL: no TLS. One that verifies goes with
                                     * tls_must: the certificate is for the host's name or address,
                                     * or that host fails for the time being */
    struct span hostname;           /* ours, at most 255 bytes */
    struct span smart_host;         /* "host" or "host:port"; empty: MX */
    struct span smart_user, smart_password; /* sent under TLS only */
    uint16_t port;                  /* of other servers; 0: 25. With 25 nothing is sent to loopback
                                     * addresses that DNS names: that is ourselves */
    bool tls_must;                  /* never send in the clear */
    uint32_t concurrency;           /* entries at once, at most COURIER_ENTRIES_MAX; 0: that */
    uint32_t per_destination;       /* connections to one domain; 0: COURIER_DESTINATION_MAX */
    uint64_t retry_first_ms, retry_max_ms, warn_ms, expire_ms; /* as in courier_plan.h */
    uint32_t retry_percent;
    uint64_t lease_ms;              /* 0: COURIER_LEASE_MS; kept up while an entry is worked on */
    uint64_t connect_ms;            /* 0: COURIER_CONNECT_MS */
    uint64_t reply_max_ms;          /* no wait for a reply is longer; 0: those of RFC 5321 */
    /* Hands a report over, and leads to exactly one posted(posted_holder). It is called before the
     * row says that the recipient has ended: a crash repeats the report and does not lose it. */
    void (*post)(void *holder, const struct courier_post *post, courier_posted *posted,
                 void *posted_holder);
    void (*told)(void *holder, const struct courier_event *event); /* may be NULL */
    /* Whether mail to a domain (canonical) goes to a certain host, "host" or "host:port", and not
     * to the smart host or by MX; `*host` needs to live during the call only. May be NULL. */
    bool (*host_of)(void *holder, struct span domain, struct span *host);
    /* The footer of a sender's domain (canonical), for what goes to other servers; its texts need
     * to live during the call only. False: none. May be NULL. */
    bool (*footer_of)(void *holder, struct span domain, struct mime_footer *footer);
    void *holder;
};

/* Options are copied; spans and pointers in it outlive the courier. It begins to watch the storage
 * nodes of the route's map. ERR_NOMEM, ERR_SYNTAX (smart host, lengths). */
MUST_USE struct err courier_new(const struct courier_options *options, struct courier **ret);

/* Takes no new entries; reports what is under way as far as it got, then calls `stopped`, on a
 * later turn. Bodies that are being sent have COURIER_STOP_MS. */
void courier_stop(struct courier *courier, void (*stopped)(void *holder), void *holder);
/* After stopped(). The route, the resolver and the loop are still there. Takes NULL. */
void courier_free(struct courier *courier);

/* Who leases entries, as rows say it: 16 random bytes of this courier. */
struct span courier_owner(const struct courier *courier);

/* An entry that was just put: is worked on as soon as there is room. `entry` is what was put, with
 * the version, lease_owner and lease_until_ms that the row has now (QueueReply); without a lease
 * of ours one is taken before anything is sent by SMTP. The stored body is at hand, so it is not
 * read back (a reference is taken). `entry` is copied. */
void courier_new_entry(struct courier *courier, const struct store_queue_entry *entry,
                       struct body *stored);

/* New values of the options that may change while it runs: resolver, smart host, port, TLS, limits,
 * times, host name. The same errors as courier_new(); the old ones then stay. A resolver or TLS
 * context of before is not used any more when this returns OK. */
MUST_USE struct err courier_configure(struct courier *courier,
                                      const struct courier_options *options);

/* The route has a new map: other nodes may have to be watched. */
void courier_map_changed(struct courier *courier);

/* For /metrics: recipients by what came of them, reports sent, entries under way. */
struct courier_counts { uint64_t delivered, deferred, failed, bounced; uint32_t open; };
struct courier_counts courier_counts(const struct courier *courier);

#ifdef __cplusplus
}
#endif
#endif

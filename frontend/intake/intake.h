/* intake.h: one accepted message on its way: trace headers, scanner, facts, store or queue.
 *
 * 250 may be said when done() says OK: the message is durable then, for every recipient. All in one
 * commit: recipients whose accounts lie in one shard are delivered there directly; everything else
 * (several shards, outside addresses) is first written as one queue entry with what was decided for
 * each recipient, and the courier works it off, at once and again until done.
 *
 * The same message offered again because its 250 was lost is recognised: operation ids derive from
 * (client, envelope, content), so the store knows the first delivery. A client that did hear the
 * 250 and sends the same again means it: intake_confirmed() says so, and the next one is new. */
#ifndef MAIL_INTAKE_H
#define MAIL_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
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
struct directory_target;
struct intake;
struct intake_repeats;
struct loop;
struct route;
struct scan_pool;

enum {
    INTAKE_INLINE_MAX_BYTES = 64 * 1024, /* larger ones are worked on by the crew */
    INTAKE_HOPS_MAX = 100,               /* Received fields; then it goes round in a ring */
    INTAKE_RECIPIENTS_MAX = 20000,       /* accounts and addresses behind all recipients */
    INTAKE_REPEATS_MAX = 65536,
};

/* What intake works with; one per loop. */
struct intake_services {
    struct loop *loop;
    struct route *route;
    struct scan_pool *scan;
    struct crew *crew;
    struct courier *courier;      /* told of new queue entries; NULL: it finds them itself */
    struct body_budget *budget;
    struct intake_repeats *repeats;
    struct span hostname;
    bool scan_enabled, scan_append, remove_infected;
    uint64_t scan_deadline_ms, store_deadline_ms, repeat_ms;
};

struct intake_recipient {
    struct span address;                   /* as in RCPT */
    const struct directory_target *targets;
    size_t targets_count;
    const struct span *outside;
    size_t outside_count;
    struct span dsn_orcpt;
    uint8_t dsn_notify;
};

struct intake_message {
    struct span sender;                    /* address, empty: <> */
    const struct intake_recipient *recipients;
    size_t recipients_count;
    struct body *body;                     /* sealed; a reference is taken */
    struct span helo, client_ip, with;     /* for the trace header */
    uint32_t tenant;                       /* of the authenticated sender, else 0 */
    uint64_t account;
    struct span dsn_envid;
    bool dsn_ret_full, smtputf8, body_8bit;
    bool ours;                             /* made by this system: not scanned, no repeat */
    uint8_t trace_id[16];
};

/* `why`: text for the reply, like the name of a virus; may be empty. Dies on return. */
typedef void intake_done(void *holder, struct err err, struct span why);

MUST_USE struct err intake_repeats_new(struct intake_repeats **ret);
void intake_repeats_free(struct intake_repeats *repeats);

/* Starts. What `message` points to is copied. `done` comes once, on a later turn; ERR here: nothing
 * is called. Errors of done: INFECTED, QUOTA, FULL, BUSY, TIMEOUT (no verdict), TOO_BIG (hops). */
MUST_USE struct err intake_start(const struct intake_services *services,
                                 const struct intake_message *message, intake_done *done,
                                 void *holder, struct intake **ret);

/* The client is gone: `done` is not called; what is under way ends by itself. */
void intake_forget(struct intake *intake);

/* The client was heard again after our 250 to the message with this key (intake_key before done
 * returns): the same message sent again is a new one. */
struct intake_key { uint8_t bytes[16]; };
struct intake_key intake_key(const struct intake *intake);
void intake_confirmed(const struct intake_services *services, struct intake_key key,
                      uint64_t now_ms);

/* IMAP APPEND: scans (when that is on), makes facts and the stored body, and hands them to
 * `appended` for the Append call. */
struct intake_append {
    struct body *stored;  /* a reference, the receiver's */
    struct span facts, scan_stamp;
    uint32_t size;
};
typedef void intake_appended(void *holder, struct err err, const struct intake_append *append);
MUST_USE struct err intake_append_start(const struct intake_services *services, struct body *body,
                                        intake_appended *done, void *holder, struct intake **ret);

#ifdef __cplusplus
}
#endif
#endif

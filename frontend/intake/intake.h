/* intake.h: one accepted message on its way: trace headers, scanner, facts, store or queue.
 *
 * 250 may be said when done() says OK: the message is durable then, for every recipient. All in one
 * commit: recipients whose accounts lie in one shard are delivered there directly; everything else
 * (several shards, outside addresses) is first written as one queue entry with what was decided for
 * each recipient, and the courier works it off, at once and again until done.
 *
 * What an account forwards to another server goes with that account's address as envelope sender,
 * so that SPF holds and failures come to who set the forwarding up (a null sender stays null: there
 * are no reports on reports). Mail that was here before for the same recipient goes in a ring: an
 * account keeps it then in place of forwarding it; for the other server of a domain it is refused.
 *
 * The same message offered again because its 250 was lost is recognised by (client, envelope,
 * content): the store keeps the latest transaction of each, whichever frontend took it, and answers
 * for the first. A client that did hear the 250 and sends the same again means it: intake_heard()
 * says so, and the next one is new. Both hold over restarts: see intake_transactions.c. */
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
struct directory_outside;
struct directory_target;
struct intake;
struct intake_transactions;
struct loop;
struct mime_footer;
struct route;
struct scan_pool;

enum {
    INTAKE_INLINE_MAX_BYTES = 64 * 1024, /* larger ones are worked on by the crew */
    INTAKE_HOPS_MAX = 100,               /* Received fields; then it goes round in a ring */
    INTAKE_OWN_HOPS_MAX = 10,            /* of them ours, for what is sent on to another server */
    INTAKE_RECIPIENTS_MAX = 20000,       /* accounts and addresses behind all recipients */
    INTAKE_SILENT_MS = 5000, /* after which an intake that tells nothing counts as dead */
};

/* What intake works with; one per loop. */
struct intake_services {
    struct loop *loop;
    struct route *route;
    struct scan_pool *scan;
    struct crew *crew;
    struct courier *courier;      /* told of new queue entries; NULL: it finds them itself */
    struct body_budget *budget;
    struct intake_transactions *transactions;
    struct span hostname;
    bool scan_enabled, scan_append, remove_infected;
    uint64_t scan_deadline_ms, store_deadline_ms;
    uint64_t repeat_ms; /* how long a repeat counts as one, at most a day; 0: never */
};

struct intake_recipient {
    struct span address;                   /* as in RCPT */
    const struct directory_target *targets;
    size_t targets_count;
    const struct directory_outside *outside;
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
    const struct mime_footer *footer;      /* put below it for everybody; NULL: none */
    uint8_t trace_id[16];
};

/* `why`: text for the reply, like the name of a virus; may be empty. Dies on return. */
typedef void intake_done(void *holder, struct err err, struct span why);

/* The transactions of a loop and what became of them. `route` outlives it, and a turn of the loop
 * after _free(), which takes NULL. */
MUST_USE struct err intake_transactions_new(struct loop *loop, struct route *route,
                                            struct intake_transactions **ret);
void intake_transactions_free(struct intake_transactions *transactions);
/* Whether the store knows all there is to know: then the program may end. */
bool intake_transactions_are_told(const struct intake_transactions *transactions);

/* Starts. What `message` points to is copied. `done` comes once, on a later turn; ERR here: nothing
 * is called. Errors of done: INFECTED, QUOTA, FULL, BUSY, TIMEOUT (no verdict), LOOP. */
MUST_USE struct err intake_start(const struct intake_services *services,
                                 const struct intake_message *message, intake_done *done,
                                 void *holder, struct intake **ret);

/* The client is gone: `done` is not called; what is under way ends by itself. */
void intake_forget(struct intake *intake);

/* The number of its transaction among those of this loop, before done() returns; 0: there is none.
 * After done() with OK whoever gave the answer says what the client does next: it is heard again,
 * and the same message from it is a new one; or the connection breaks, and it is a repeat. Only
 * once; 0 is ignored. */
uint32_t intake_number(const struct intake *intake);
void intake_heard(const struct intake_services *services, uint32_t number);
void intake_unheard(const struct intake_services *services, uint32_t number);

/* 16 bytes: what it is called in trace headers, in the queue and in the log. */
struct span intake_id(const struct intake *intake);

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

/* courier_private.h: what the files of the shell share; the pure parts have headers of their own.
 *
 *   courier.c         life, options, which entries are worked on
 *   courier_watch.c   when entries are due; leases them
 *   courier_entry.c   an entry's way: body, mailboxes of ours, other servers, result
 *   courier_lease.c   keeps an entry's lease while it is worked on
 *   courier_local.c   the recipients in mailboxes of ours
 *   courier_group.c   the recipients at one domain: turn by turn, host after host
 *   courier_hosts.c   which hosts and addresses they are
 *   courier_link.c    a connection to one of them
 *   courier_result.c  plan, report to the sender, report to the shard */
#ifndef MAIL_COURIER_PRIVATE_H
#define MAIL_COURIER_PRIVATE_H

#include "arena.h"
#include "courier.h"
#include "courier_mx.h"
#include "courier_plan.h"
#include "crew.h"
#include "flow.h"
#include "id.h"
#include "list.h"
#include "map.h"
#include "mime_footer.h"
#include "route.h"
#include "store_msg.h"
#include "timer.h"

enum {
    COURIER_ENTRY_MAX_BYTES = 32 * 1024 * 1024, /* an entry with all that is made for it */
    COURIER_INLINE_MAX_BYTES = 64 * 1024,       /* larger bodies are unpacked on the crew */
    COURIER_CALL_MS = 30 * 1000,                /* a call to a storage node */
    COURIER_REPORT_MS = 10 * 60 * 1000,         /* what was done should not be forgotten */
    COURIER_DELIVERS_MAX = 16,                  /* Deliver calls of an entry at once */
    COURIER_DELIVER_TARGETS_MAX = 256,
    COURIER_DELIVER_MAX_BYTES = 8 * 1024 * 1024, /* of one commit */
    COURIER_GROUPS_MAX = 16,                    /* of an entry that wait or work at once */
    COURIER_DESTINATIONS_MAX = 8192,
    COURIER_TOGETHER_MS = 1000,   /* recipients due so little later are tried as well */
    COURIER_HOST_NAME_BYTES = 256,
    COURIER_WORDS_BYTES = 4 * 512, /* host name, smart host, user and password */
    COURIER_OUT_BYTES = 32 * 1024,
    COURIER_ANSWER_MAX_BYTES = 900,
};

struct courier_shard;
struct courier_node;
struct courier_group;
struct courier_link;
struct dns_query;

struct courier {
    struct courier_options options; /* its words are in `words` */
    char words[COURIER_WORDS_BYTES];
    uint8_t owner[ID_BYTES];
    struct list entries, backlog;   /* worked on; waiting to be */
    struct map by_id;               /* both, by entry id */
    uint32_t entries_count, backlog_count;
    struct courier_shard *shards;
    unsigned shards_count;
    struct list nodes;              /* whose queues we watch */
    struct timer due_timer, watch_timer;
    struct list waiting, sending;   /* groups: for a turn; with one */
    struct list links;
    uint32_t sending_count, links_count;
    struct map destinations;
    struct later look;              /* courier_look() is to run on the next turn */
    struct courier_counts counts;
    bool stopping;
    struct timer stop_timer;
    void (*stopped)(void *holder);
    void *stopped_holder;
    char out_bytes[COURIER_OUT_BYTES]; /* of whichever connection is writing */
};

/* A recipient while it is worked on; `row->recipients[i]` is what is stored. */
struct courier_recipient {
    size_t next;  /* of the same group; SIZE_MAX: none */
    bool is_due;
};

/* A lease as it is kept up; see courier_lease.c. */
struct courier_lease {
    struct timer timer;
    struct route_call *call;
    struct store_queue_lease_request request;
    uint8_t operation[OPERATION_ID_BYTES];
    uint64_t until_ms, asked_ms; /* clock_boot_ms() */
    bool is_held, is_lost, is_waited_for;
};

/* Freed in entry_finish() and nowhere else. */
struct courier_entry {
    struct flow flow; /* first: a flow of an entry's steps is its entry */
    struct list link;
    struct courier *courier;
    struct arena arena;
    struct store_queue_entry row;  /* in `arena`, as the rest */
    struct courier_recipient *recipients;
    struct courier_outcome *outcomes;
    enum courier_report *reports;
    struct body *stored, *body;    /* as it is stored; unpacked */
    struct mime_footer footer;     /* to be put below it then */
    struct crew_job job;
    struct err job_err;
    struct route_call *call;       /* of the step under way */
    uint8_t operation[OPERATION_ID_BYTES];
    union {
        struct store_queue_body_request body;
        struct store_queue_report_request report;
    } request;
    struct courier_lease lease;
    struct courier_deliveries *deliveries;
    struct courier_group *groups;  /* that have not had their turn yet */
    unsigned groups_open;
    struct courier_kept *kept;     /* what plan changed, to take it back */
    struct timer post_timer;
    struct body *post_body;
    unsigned posts;                /* attempts to hand a report over */
    bool all_ended, is_finished;
};

/* ---- courier.c */
/* An entry has ended, or a connection: there may be room for the next, or nothing left to stop. */
void courier_look_later(struct courier *courier);
/* A copy of `row` as an entry, in by_id and in no list. ERR_EXISTS: we have it already. */
MUST_USE struct err courier_entry_new(struct courier *courier, const struct store_queue_entry *row,
                                      struct courier_entry **ret);
void courier_entry_start(struct courier_entry *entry);
void courier_entry_go(struct courier_entry *entry); /* its flow: courier_entry.c */
void courier_entry_finish(struct courier_entry *entry); /* once more, after is_finished */
void courier_entry_free(struct courier_entry *entry);
static inline struct courier_entry *courier_entry_of(struct flow *flow)
{
    return (struct courier_entry *)flow;
}
bool courier_is_lost(const struct courier_entry *entry);
/* A new id for an operation of now. */
struct span courier_operation(uint8_t id[OPERATION_ID_BYTES]);

/* ---- courier_watch.c */
MUST_USE struct err courier_watch_new(struct courier *courier);
/* Watches the nodes of the map as it is now, and no others. */
void courier_watch_start(struct courier *courier);
void courier_watch_stop(struct courier *courier);
bool courier_watch_is_over(const struct courier *courier);
void courier_watch_free(struct courier *courier);
/* Leases what is due while there is room, and sets the timer for what is due next. */
void courier_watch_look(struct courier *courier);

/* ---- courier_lease.c */
/* Takes over the lease that the row has, when it is ours. */
void courier_lease_begin(struct courier_entry *entry);
/* The row of an entry that we have was leased to us once more. */
void courier_lease_found(struct courier_entry *entry, const struct store_queue_entry *row);
void courier_step_lease(struct flow *flow);      /* has one before anything is sent outside */
void courier_step_lease_rest(struct flow *flow); /* none is being renewed any more */

/* ---- courier_local.c, courier_group.c, courier_result.c */
void courier_step_local(struct flow *flow);
void courier_local_cancel(struct courier_entry *entry);
void courier_step_remote(struct flow *flow);
void courier_step_plan(struct flow *flow);
void courier_step_post(struct flow *flow);
void courier_step_report(struct flow *flow);

/* ---- courier_entry.c */
/* Unpacks entry->stored into entry->body, if that is not done yet; then flow_next(). */
void courier_entry_unpack(struct courier_entry *entry);
/* Whether a recipient that is due still waits, in a mailbox of ours or elsewhere. */
bool courier_entry_waits(const struct courier_entry *entry, bool is_local);
/* Sets an outcome; `answer` is copied. */
void courier_outcome_set(struct courier_entry *entry, size_t at, enum courier_outcome_kind kind,
                         struct span answer);

#endif

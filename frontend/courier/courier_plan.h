/* courier_plan.h: what an attempt changes in a queue entry, and whom to tell. Pure: the time and
 * the random number are arguments. */
#ifndef MAIL_COURIER_PLAN_H
#define MAIL_COURIER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct store_queue_entry;

struct courier_retry {
    uint64_t retry_first_ms;  /* 5 min: after the first attempt; grows with each further one */
    uint64_t retry_max_ms;    /* 30 min */
    uint64_t warn_after_ms;   /* 4 h from the entry's making; 0: never */
    uint64_t expire_after_ms; /* 4 days */
    uint32_t retry_percent;   /* 200: what each wait is of the one before; 0: that; 100 at least */
};

/* When an attempt ended, and by which times it is judged. */
struct courier_attempt {
    const struct courier_retry *retry;
    uint64_t now_ms; /* wall clock, as created_ms */
    uint64_t random;
    const struct courier_retry *local_retry; /* for mailboxes of ours; NULL: as `retry` */
};

/* How the attempt went for one recipient. */
enum courier_outcome_kind {
    COURIER_NOT_TRIED, /* nothing changes */
    COURIER_DONE,
    COURIER_DEFERRED,
    COURIER_FAILED,
};

struct courier_outcome {
    enum courier_outcome_kind kind;
    bool is_final;      /* DONE: in a mailbox of ours, not on another server */
    bool peer_has_dsn;  /* DONE: the other server took over the duty to report (RFC 3461 5.2.2) */
    struct span answer; /* the reply or error; kept by reference in the entry */
};

/* What to tell the sender about a recipient: Action of RFC 3464 2.3.3. */
enum courier_report {
    COURIER_REPORT_NONE,
    COURIER_REPORT_FAILED,  /* refused */
    COURIER_REPORT_EXPIRED, /* "failed" too: given up */
    COURIER_REPORT_DELAYED,
    COURIER_REPORT_DELIVERED,
    COURIER_REPORT_RELAYED,
};

/* How long to wait after `attempts` (1 and up): retry_first_ms, grown, at most retry_max_ms, less
 * up to a quarter of it by `random`, so that a burst does not come back as one. */
uint64_t courier_retry_wait_ms(const struct courier_retry *retry, uint32_t attempts,
                               uint64_t random);

/* Takes `outcomes[i]` for entry->recipients[i] into the entry: state, attempts, due time, answer,
 * and the entry's own due time. Recipients that had ended stay as they are. `reports[i]` says what
 * is to be reported; never anything for a null sender (RFC 5321 6.1). Returns whether every
 * recipient has ended, so that the row can go once the reports are queued. */
bool courier_plan(const struct courier_attempt *attempt, struct store_queue_entry *entry,
                  const struct courier_outcome *outcomes, enum courier_report *reports);

/* Whether a report carries the whole message (RFC 3461 4.3: RET=FULL, and only with failures); if
 * not, its header. */
bool courier_report_is_full(const struct store_queue_entry *entry, enum courier_report report);

#ifdef __cplusplus
}
#endif
#endif

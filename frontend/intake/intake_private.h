/* intake_private.h: what the files of this folder share. */
#ifndef MAIL_INTAKE_PRIVATE_H
#define MAIL_INTAKE_PRIVATE_H

#include "arena.h"
#include "crew.h"
#include "digest.h"
#include "flow.h"
#include "id.h"
#include "intake.h"
#include "list.h"
#include "mime_footer.h"
#include "scan_call.h"
#include "store_msg.h"
#include "timer.h"
#include "trace.h"

enum { INTAKE_ARENA_MAX_BYTES = 64 * 1024 * 1024, INTAKE_WHY_BYTES = 128 };

/* What is made of a message by CPU work alone: on the loop for a small one, else on the crew. */
struct intake_work {
    struct crew_job job;
    struct body_budget *budget;
    struct span prefix;      /* trace headers to put in front */
    struct body *body;       /* as received */
    struct span remove_part; /* IMAP number of a part to replace by `notice`; empty: none */
    struct span notice;
    struct mime_footer footer;
    struct span by_host;     /* whose Received fields are looked for; empty: nobody's */
    /* Out. `whole` is malloc'd: prefix and body in one piece. */
    char *whole;
    size_t whole_len;
    uint8_t digest[DIGEST_BYTES]; /* of the body as received */
    struct body *stored;
    char *facts;             /* malloc'd */
    size_t facts_len;
    unsigned hops;           /* Received fields */
    struct trace_passes passes; /* of the message as received */
    struct err err;
};

/* Does the work, on the calling thread. */
void intake_work_run(struct intake_work *work);
void intake_work_free(struct intake_work *work);

/* An account or an address that the message goes to. */
struct intake_end {
    struct store_deliver_target target; /* account; unused when `outside` is set */
    struct span outside;
    struct span orcpt;
    uint8_t notify;
    struct span asked;      /* the recipient as in RCPT, when it leads to `outside` */
    struct span by;         /* address of the account that forwards it to `outside`, which is ... */
    bool is_by, is_kept;    /* ... `target`; it has a copy of its own */
    bool is_of_domain;      /* `outside` is in a domain of ours */
};

enum intake_end_state { INTAKE_OPEN, INTAKE_ENDED, INTAKE_BROKEN };

/* The same message as it was taken before; see intake_again.c. */
struct intake_again {
    bool is_noted;
    uint8_t id[OPERATION_ID_BYTES], intake[ID_BYTES];
    uint32_t number;
    unsigned count, asked;
    struct timer timer;
    struct store_intake_state_request request;
    enum intake_end_state state;
    uint64_t first_turn, last_turn, seen_turn, since_ms, heard_ms;
};

/* Freed in intake_finish() and nowhere else. */
struct intake {
    struct flow flow; /* first: a flow of intake's steps is its intake */
    const struct intake_services *services;
    struct arena arena;
    struct intake_message message; /* its spans in `arena`; recipients are turned into `ends` */
    struct intake_end *ends;
    size_t ends_count, local_count;
    struct intake_work work;
    uint8_t id[OPERATION_ID_BYTES]; /* operation ids are made of it; a repeat has the first one's */
    uint8_t key[DIGEST_BYTES];      /* first of the envelope, then of all */
    struct store_transaction transaction;
    struct intake_again again;
    bool is_repeat;
    struct scan_call *scan_call;
    struct scan_call_request scan_request;
    struct timer scan_timer;
    struct route_call *call;
    struct store_deliver_request deliver;
    struct store_queue_put_request put;
    uint8_t stamp[32];
    size_t stamp_len;
    uint64_t received_ms; /* wall clock */
    struct err result;    /* of the store call */
    uint8_t parts_removed;
    bool forgotten, is_append;
    char why[INTAKE_WHY_BYTES];
    size_t why_len;
    intake_done *done;
    intake_appended *appended;
    void *holder;
};

/* Steps. Each leads to one flow_next(). */
void intake_step_prepare(struct flow *flow);
void intake_step_scan(struct flow *flow);
void intake_step_make(struct flow *flow);
void intake_step_store(struct flow *flow);

/* Calls the store with the message under intake->id; again when it turns out to be a repeat. */
void intake_store_go(struct intake *intake);

/* Notes what the store named as earlier; then finds out what this one is, and goes on. */
void intake_again_note(struct intake *intake, const struct store_transaction *earlier);
void intake_again_find_out(struct intake *intake);

/* ---- intake_transactions.c */
/* 16 bytes. */
struct span intake_transactions_id(const struct intake_transactions *transactions);
/* A new one, open; 0: this one can't be known again. */
uint32_t intake_transactions_begin(struct intake_transactions *transactions);
/* It has ended, or, for `broken_ms`, a repeat of it counts as one. */
void intake_transactions_over(struct intake_transactions *transactions, uint32_t number,
                              uint64_t broken_ms);
enum intake_end_state intake_transactions_state(const struct intake_transactions *transactions,
                                                uint32_t number);

#endif

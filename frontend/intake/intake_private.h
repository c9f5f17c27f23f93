/* intake_private.h: what the files of this folder share. */
#ifndef MAIL_INTAKE_PRIVATE_H
#define MAIL_INTAKE_PRIVATE_H

#include "arena.h"
#include "crew.h"
#include "flow.h"
#include "id.h"
#include "intake.h"
#include "list.h"
#include "scan_call.h"
#include "store_msg.h"
#include "timer.h"

enum { INTAKE_ARENA_MAX_BYTES = 64 * 1024 * 1024, INTAKE_WHY_BYTES = 128 };

/* What is made of a message by CPU work alone: on the loop for a small one, else on the crew. */
struct intake_work {
    struct crew_job job;
    struct body_budget *budget;
    struct span prefix;      /* trace headers to put in front */
    struct body *body;       /* as received */
    struct span remove_part; /* IMAP number of a part to replace by `notice`; empty: none */
    struct span notice;
    /* Out. `whole` is malloc'd: prefix and body in one piece. */
    char *whole;
    size_t whole_len;
    struct body *stored;
    char *facts;             /* malloc'd */
    size_t facts_len;
    unsigned hops;           /* Received fields */
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
    struct intake_key key;
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

/* Whether a message with this key was confirmed before, how often: part of operation ids. */
uint32_t intake_repeats_count(struct intake_repeats *repeats, struct intake_key key,
                              uint64_t now_ms, uint64_t life_ms);
void intake_repeats_add(struct intake_repeats *repeats, struct intake_key key, uint64_t now_ms);

#endif

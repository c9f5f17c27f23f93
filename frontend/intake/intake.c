#include "intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "check.h"
#include "clock.h"
#include "directory_resolve.h"
#include "intake_private.h"
#include "loop.h"

/* Scanned before it is stored, and acknowledged only after: RFC 5321 6.1. */
static const struct flow_step intake_steps[] = {
    { "prepare", intake_step_prepare },
    { "scan", intake_step_scan },
    { "make", intake_step_make },
    { "store", intake_step_store },
    { NULL, NULL },
};

static const struct flow_step append_steps[] = {
    { "prepare", intake_step_prepare },
    { "scan", intake_step_scan },
    { "make", intake_step_make },
    { NULL, NULL },
};

static void intake_free(struct intake *intake)
{
    intake_work_free(&intake->work);
    body_unref(intake->message.body);
    arena_clear(&intake->arena);
    free(intake);
}

/* A client that is not told OK and may try again does not hear from us whether it was taken. */
static void intake_transaction_over(struct intake *intake, struct err err)
{
    const struct intake_services *services = intake->services;
    bool is_told = err.code == ERR_OK && !intake->forgotten;
    if (intake->transaction.number == 0 || is_told) return;
    bool is_refused = err.code != ERR_OK && err_class(err) == ERR_PERMANENT;
    intake_transactions_over(services->transactions, intake->transaction.number,
                             is_refused ? 0 : services->repeat_ms);
}

static void intake_finish(struct flow *flow, struct err err)
{
    struct intake *intake = (struct intake *)flow;
    intake_transaction_over(intake, err);
    if (!intake->forgotten)
        intake->done(intake->holder, err, span_of(intake->why, intake->why_len));
    intake_free(intake);
}

static void append_finish(struct flow *flow, struct err err)
{
    struct intake *intake = (struct intake *)flow;
    struct intake_append append = { .stored = intake->work.stored,
                                    .facts = span_of(intake->work.facts, intake->work.facts_len),
                                    .scan_stamp = span_of(intake->stamp, intake->stamp_len),
                                    .size = (uint32_t)body_size(intake->message.body) };
    if (!intake->forgotten) {
        if (err.code == ERR_OK) intake->work.stored = NULL; /* the receiver's now */
        intake->appended(intake->holder, err, err.code == ERR_OK ? &append : NULL);
    }
    intake_free(intake);
}

static struct err intake_new(const struct intake_services *services, struct body *body,
                             struct intake **ret)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    if (intake == NULL) return err_make(ERR_NOMEM, "intake");
    arena_init(&intake->arena, INTAKE_ARENA_MAX_BYTES);
    intake->services = services;
    intake->message.body = body_ref(body);
    intake->received_ms = clock_wall_ms();
    intake->result = err_ok();
    id_operation(intake->received_ms, intake->id);
    *ret = intake;
    return err_ok();
}

/* ---- who it goes to */

/* Whether an account or address is there already: each gets the message once. */
static bool intake_has(const struct intake *intake, const struct directory_target *target,
                       struct span outside)
{
    for (size_t i = 0; i < intake->ends_count; i++) {
        const struct intake_end *end = &intake->ends[i];
        if (target == NULL) {
            if (span_eq_nocase(end->outside, outside) && outside.len > 0) return true;
        } else if (end->outside.len == 0 && end->target.account == target->account &&
                   end->target.tenant == target->tenant) {
            return true;
        }
    }
    return false;
}

/* What an account forwards keeps the account's number: that is where it goes when it can't. */
static struct err intake_copy_outside(struct intake *intake, const struct directory_outside *from,
                                      struct intake_end *end)
{
    TRY(arena_copy(&intake->arena, from->address, &end->outside));
    end->is_of_domain = from->is_of_domain;
    if (from->by == NULL) return err_ok();
    end->is_by = true;
    end->is_kept = from->is_kept;
    end->target = (struct store_deliver_target){ .tenant = from->by->tenant,
                                                 .account = from->by->account,
                                                 .mailbox = SPAN("INBOX") };
    return arena_copy(&intake->arena, from->by->address, &end->by);
}

static struct err intake_copy_recipient(struct intake *intake,
                                        const struct intake_recipient *recipient)
{
    struct arena *arena = &intake->arena;
    struct span orcpt = SPAN("");
    TRY(arena_copy(arena, recipient->dsn_orcpt, &orcpt));
    for (size_t i = 0; i < recipient->targets_count; i++) {
        const struct directory_target *target = &recipient->targets[i];
        if (intake_has(intake, target, SPAN(""))) continue;
        struct intake_end *end = &intake->ends[intake->ends_count];
        end->target = (struct store_deliver_target){ .tenant = target->tenant,
                                                     .account = target->account,
                                                     .mailbox = SPAN("INBOX") };
        end->orcpt = orcpt;
        end->notify = recipient->dsn_notify;
        intake->ends_count++;
        intake->local_count++;
    }
    struct span asked = SPAN("");
    if (recipient->outside_count > 0) TRY(arena_copy(arena, recipient->address, &asked));
    for (size_t i = 0; i < recipient->outside_count; i++) {
        if (intake_has(intake, NULL, recipient->outside[i].address)) continue;
        struct intake_end *end = &intake->ends[intake->ends_count];
        TRY(intake_copy_outside(intake, &recipient->outside[i], end));
        end->asked = asked;
        end->orcpt = orcpt;
        end->notify = recipient->dsn_notify;
        intake->ends_count++;
    }
    return err_ok();
}

static struct err intake_copy(struct intake *intake, const struct intake_message *from)
{
    struct intake_message *to = &intake->message;
    struct body *body = to->body;
    struct arena *arena = &intake->arena;
    size_t count = 0;
    for (size_t i = 0; i < from->recipients_count; i++) {
        count += from->recipients[i].targets_count + from->recipients[i].outside_count;
    }
    if (count > INTAKE_RECIPIENTS_MAX) return err_make(ERR_TOO_BIG, "recipients");
    intake->ends = arena_alloc(arena, (count + 1) * sizeof(*intake->ends));
    if (intake->ends == NULL) return err_make(ERR_NOMEM, "recipients");
    for (size_t i = 0; i < from->recipients_count; i++) {
        TRY(intake_copy_recipient(intake, &from->recipients[i]));
    }
    *to = *from;
    to->body = body;
    TRY(arena_copy(arena, from->sender, &to->sender));
    TRY(arena_copy(arena, from->helo, &to->helo));
    TRY(arena_copy(arena, from->client_ip, &to->client_ip));
    TRY(arena_copy(arena, from->dsn_envid, &to->dsn_envid));
    if (from->footer != NULL) {
        TRY(arena_copy(arena, from->footer->text, &intake->work.footer.text));
        TRY(arena_copy(arena, from->footer->html, &intake->work.footer.html));
    }
    to->footer = NULL;
    struct span only = SPAN("");
    if (from->recipients_count == 1) TRY(arena_copy(arena, from->recipients[0].address, &only));
    struct intake_recipient *shown = arena_alloc(arena, sizeof(*shown));
    if (shown == NULL) return err_make(ERR_NOMEM, "recipients");
    shown->address = only; /* for the trace header: only when there is one recipient */
    to->recipients = shown;
    to->recipients_count = 1;
    return err_ok();
}

/* ---- what makes it the same message again: client, envelope, content without trace headers. The
 * content comes in when it is worked on. A peer that knew how to make two keys meet could have
 * another's mail taken for a repeat: so it is a digest, and each text stands behind its length. */

static struct err intake_key_envelope(struct intake *intake, const struct intake_message *from)
{
    const struct span texts[] = { from->client_ip, from->helo, from->sender,
                                  span_of(&from->tenant, sizeof(from->tenant)),
                                  span_of(&from->account, sizeof(from->account)) };
    const size_t heads = sizeof(texts) / sizeof(texts[0]);
    size_t count = heads + from->recipients_count;
    struct span *parts = arena_alloc(&intake->arena, 2 * count * sizeof(*parts));
    uint64_t *lengths = arena_alloc(&intake->arena, count * sizeof(*lengths));
    if (parts == NULL || lengths == NULL) return err_make(ERR_NOMEM, "key of a message");
    for (size_t i = 0; i < count; i++) {
        struct span text = i < heads ? texts[i] : from->recipients[i - heads].address;
        lengths[i] = text.len;
        parts[2 * i] = span_of(&lengths[i], sizeof(lengths[i]));
        parts[2 * i + 1] = text;
    }
    return digest_sha256_parts(parts, 2 * count, intake->key);
}

struct err intake_start(const struct intake_services *services,
                        const struct intake_message *message, intake_done *done, void *holder,
                        struct intake **ret)
{
    struct intake *intake;
    TRY(intake_new(services, message->body, &intake));
    struct err err = intake_copy(intake, message);
    if (err.code == ERR_OK) err = intake_key_envelope(intake, message);
    if (err.code != ERR_OK) {
        intake_free(intake);
        return err;
    }
    intake->done = done;
    intake->holder = holder;
    flow_start(&intake->flow, loop_later(services->loop), intake_steps, intake_finish);
    *ret = intake;
    return err_ok();
}

struct err intake_append_start(const struct intake_services *services, struct body *body,
                               intake_appended *done, void *holder, struct intake **ret)
{
    struct intake *intake;
    TRY(intake_new(services, body, &intake));
    intake->is_append = true;
    intake->appended = done;
    intake->holder = holder;
    flow_start(&intake->flow, loop_later(services->loop), append_steps, append_finish);
    *ret = intake;
    return err_ok();
}

void intake_forget(struct intake *intake) { intake->forgotten = true; }

uint32_t intake_number(const struct intake *intake) { return intake->transaction.number; }

struct span intake_id(const struct intake *intake)
{
    return span_of(intake->id, sizeof(intake->id));
}

void intake_heard(const struct intake_services *services, uint32_t number)
{
    intake_transactions_over(services->transactions, number, 0);
}

void intake_unheard(const struct intake_services *services, uint32_t number)
{
    intake_transactions_over(services->transactions, number, services->repeat_ms);
}

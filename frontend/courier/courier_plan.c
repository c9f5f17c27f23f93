#include "courier_plan.h"

#include "smtp_params.h"
#include "store_msg.h"

enum { RETRY_PERCENT = 200 };

uint64_t courier_retry_wait_ms(const struct courier_retry *retry, uint32_t attempts,
                               uint64_t random)
{
    uint64_t wait_ms = retry->retry_first_ms, max_ms = retry->retry_max_ms;
    uint64_t percent = retry->retry_percent == 0 ? RETRY_PERCENT : retry->retry_percent;
    /* A wait that does not grow needs no steps. */
    for (uint32_t i = 1; i < attempts && wait_ms < max_ms; i++) {
        uint64_t grown_ms = wait_ms > UINT64_MAX / percent ? max_ms : wait_ms * percent / 100;
        if (grown_ms <= wait_ms) break;
        wait_ms = grown_ms;
    }
    if (wait_ms > max_ms) wait_ms = max_ms;
    return wait_ms - random % (wait_ms / 4 + 1);
}

/* Whether the sender wants to hear of it. Without NOTIFY he is told of failures and delays
 * (RFC 3461 4.1). */
static bool wants(const struct store_queue_entry *entry,
                  const struct store_queue_recipient *recipient, uint32_t what)
{
    if (entry->sender.len == 0 || recipient->has_kept) return false;
    uint32_t notify = recipient->dsn_notify;
    if (notify == 0) notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY;
    return (notify & SMTP_NOTIFY_NEVER) == 0 && (notify & what) != 0;
}

/* What can't be forwarded goes into the box of the account that forwards it. False: nobody does, or
 * it has it already. */
static bool plan_keep(const struct courier_attempt *attempt, const struct store_queue_entry *entry,
                      struct store_queue_recipient *recipient)
{
    if (!recipient->has_kept) return false;
    recipient->has_kept = false;
    for (size_t i = 0; i < entry->recipients_count; i++) {
        const struct store_queue_recipient *other = &entry->recipients[i];
        if (!other->has_target) continue;
        if (!span_eq(other->target.operation_id, recipient->kept.operation_id)) continue;
        recipient->dsn_notify = SMTP_NOTIFY_NEVER;
        return false;
    }
    recipient->has_target = true;
    recipient->target = recipient->kept;
    recipient->address = recipient->sender;
    recipient->sender = SPAN("");
    recipient->state = STORE_RCPT_WAITING;
    recipient->attempts = 0;
    recipient->due_ms = attempt->now_ms;
    return true;
}

static enum courier_report plan_done(const struct store_queue_entry *entry,
                                     struct store_queue_recipient *recipient,
                                     const struct courier_outcome *outcome)
{
    recipient->state = STORE_RCPT_DONE;
    if (!wants(entry, recipient, SMTP_NOTIFY_SUCCESS)) return COURIER_REPORT_NONE;
    if (outcome->is_final) return COURIER_REPORT_DELIVERED;
    return outcome->peer_has_dsn ? COURIER_REPORT_NONE : COURIER_REPORT_RELAYED;
}

static enum courier_report plan_deferred(const struct courier_attempt *attempt,
                                         const struct store_queue_entry *entry,
                                         struct store_queue_recipient *recipient)
{
    bool is_local = recipient->has_target && attempt->local_retry != NULL;
    const struct courier_retry *retry = is_local ? attempt->local_retry : attempt->retry;
    uint64_t now_ms = attempt->now_ms;
    /* A clock that was set back makes the entry young, never older than it is. */
    uint64_t age_ms = now_ms > entry->created_ms ? now_ms - entry->created_ms : 0;
    if (age_ms >= retry->expire_after_ms) {
        if (plan_keep(attempt, entry, recipient)) return COURIER_REPORT_NONE;
        recipient->state = STORE_RCPT_EXPIRED;
        return wants(entry, recipient, SMTP_NOTIFY_FAILURE) ? COURIER_REPORT_EXPIRED
                                                            : COURIER_REPORT_NONE;
    }
    uint64_t wait_ms = courier_retry_wait_ms(retry, recipient->attempts, attempt->random);
    uint64_t left_ms = retry->expire_after_ms - age_ms;
    /* The last attempt is made when the time is up, not before. */
    recipient->due_ms = now_ms + (wait_ms < left_ms ? wait_ms : left_ms);
    bool is_late = retry->warn_after_ms > 0 && age_ms >= retry->warn_after_ms;
    if (!is_late || recipient->dsn_delay_sent || !wants(entry, recipient, SMTP_NOTIFY_DELAY)) {
        return COURIER_REPORT_NONE;
    }
    recipient->dsn_delay_sent = true;
    return COURIER_REPORT_DELAYED;
}

static enum courier_report plan_one(const struct courier_attempt *attempt,
                                    const struct store_queue_entry *entry,
                                    struct store_queue_recipient *recipient,
                                    const struct courier_outcome *outcome)
{
    if (recipient->state != STORE_RCPT_WAITING || outcome->kind == COURIER_NOT_TRIED) {
        return COURIER_REPORT_NONE;
    }
    recipient->answer = outcome->answer;
    if (recipient->attempts < UINT32_MAX) recipient->attempts++;
    switch (outcome->kind) {
    case COURIER_DONE: return plan_done(entry, recipient, outcome);
    case COURIER_DEFERRED: return plan_deferred(attempt, entry, recipient);
    case COURIER_FAILED:
        if (plan_keep(attempt, entry, recipient)) break;
        recipient->state = STORE_RCPT_FAILED;
        if (wants(entry, recipient, SMTP_NOTIFY_FAILURE)) return COURIER_REPORT_FAILED;
        break;
    case COURIER_NOT_TRIED: break;
    }
    return COURIER_REPORT_NONE;
}

bool courier_plan(const struct courier_attempt *attempt, struct store_queue_entry *entry,
                  const struct courier_outcome *outcomes, enum courier_report *reports)
{
    bool all_ended = true;
    uint64_t due_ms = 0;
    for (size_t i = 0; i < entry->recipients_count; i++) {
        struct store_queue_recipient *recipient = &entry->recipients[i];
        /* One random number for all: recipients of a message stay together on the next try. */
        reports[i] = plan_one(attempt, entry, recipient, &outcomes[i]);
        if (recipient->state != STORE_RCPT_WAITING) continue;
        if (all_ended || recipient->due_ms < due_ms) due_ms = recipient->due_ms;
        all_ended = false;
    }
    entry->due_ms = due_ms;
    return all_ended;
}

bool courier_report_is_full(const struct store_queue_entry *entry, enum courier_report report)
{
    bool is_failure = report == COURIER_REPORT_FAILED || report == COURIER_REPORT_EXPIRED;
    return is_failure && entry->dsn_ret_full;
}

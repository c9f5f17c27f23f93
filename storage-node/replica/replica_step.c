#include "replica_step.h"

#include <stddef.h>
#include <string.h>

#include "check.h"
#include "replica_private.h"

void replica_init(struct replica *replica, uint32_t shard, unsigned min_isr)
{
    *replica = (struct replica){ .shard = shard, .role = REPLICA_OFFLINE, .isr_size = 1,
                                 .min_isr = min_isr, .disk_ok = true, .log_first = 1 };
}

void replica_join(struct replica *replica, const struct roster_id *sid,
                  const struct roster_id *boot)
{
    CHECK(replica->role == REPLICA_OFFLINE);
    replica->is_joined = true;
    replica->sid = *sid;
    replica->boot = *boot;
    replica->isr_size = 0;
}

void replica_set_role(struct replica *replica, struct replica_actions *actions,
                      enum replica_role role)
{
    if (replica->role != role) actions->role_changed = true;
    replica->role = role;
}

struct err replica_quarantine(struct replica *replica, struct replica_actions *actions,
                              enum err_code code)
{
    replica_set_role(replica, actions, REPLICA_QUARANTINED);
    actions->role_changed = true;
    replica->failed = code;
    return err_make(ERR_CORRUPT, "shard is in quarantine");
}

void replica_settle(struct replica *replica, struct replica_actions *actions)
{
    bool is_member = roster_copies_have(&replica->config.row.isr, &replica->sid);
    bool is_candidate = replica->role == REPLICA_CANDIDATE && is_member;
    if (is_candidate || replica->role < REPLICA_LEARNER || replica->role > REPLICA_CANDIDATE)
        return;
    replica_set_role(replica, actions, is_member ? REPLICA_FOLLOWER : REPLICA_LEARNER);
}

struct replica_message *replica_say(struct replica *replica, struct replica_actions *actions,
                                    const struct roster_id *to, enum replica_message_kind kind)
{
    if (actions->sends_count == REPLICA_SENDS_MAX) return NULL;
    struct replica_send *send = &actions->sends[actions->sends_count++];
    send->to = *to;
    send->message = (struct replica_message){ .kind = kind, .epoch = replica->epoch };
    return &send->message;
}

void replica_apply(struct replica *replica, struct replica_actions *actions)
{
    if (replica->commit_index <= replica->apply_index || replica->installing) return;
    if (actions->apply_from == 0) actions->apply_from = replica->apply_index + 1;
    actions->apply_to = replica->apply_index = replica->commit_index;
}

/* ---- from the copy's own disk */

/* R1-R3 of 6.9: what the log and the rows say. Rows that know more than the log: the log was lost
 * in part, or this is not its store. */
static struct err on_recovered(struct replica *replica, const struct replica_event *event,
                               struct replica_actions *actions)
{
    const struct replica_recovered *found = event->recovered;
    if (replica->role != REPLICA_OFFLINE) return replica_quarantine(replica, actions, ERR_CORRUPT);
    if (found->applied_index > found->last_index || found->commit_hint > found->last_index ||
        found->last_epoch > found->accepted_epoch) {
        return replica_quarantine(replica, actions, ERR_CORRUPT);
    }
    replica->accepted_epoch = replica->accepted_durable = found->accepted_epoch;
    replica->durable_index = found->last_index;
    replica->log_first = found->first_index;
    replica_epochs_set(replica, found);
    replica->applied_index = replica->apply_index = found->applied_index;
    replica->commit_index = found->commit_hint > found->applied_index ? found->commit_hint
                                                                      : found->applied_index;
    /* It may have promised just before the crash (6.6), if it has ever heard a leader. */
    replica->promise_until_ms = event->now_ms;
    if (found->accepted_epoch != 0) replica->promise_until_ms += REPLICA_PROMISE_MS;
    if (REPLICA_FAULT(replica, FORGET_PROMISE)) replica->promise_until_ms = 0;
    replica->tick_ms = event->now_ms;
    replica_set_role(replica, actions, REPLICA_REPLAY);
    replica_apply(replica, actions);
    if (actions->apply_from != 0) return err_ok();
    replica->role = replica->is_joined ? REPLICA_LEARNER : REPLICA_CANDIDATE;
    if (replica->is_joined) replica_settle(replica, actions);
    return err_ok();
}

/* Alone in its set: it was given an epoch. */
static struct err on_lead(struct replica *replica, const struct replica_event *event,
                          struct replica_actions *actions)
{
    /* Not begun: no entry of that epoch is anywhere but the very one that is logged now. */
    bool again = event->epoch == replica->accepted_epoch &&
                 event->epoch == replica->unbegun_epoch && event->epoch != 0;
    bool is_newer = event->epoch > replica->accepted_epoch;
    if (replica->is_joined || replica->role != REPLICA_CANDIDATE || !(is_newer || again)) {
        return replica_quarantine(replica, actions, ERR_CORRUPT);
    }
    return replica_begin(replica, event->epoch, event->now_ms, actions);
}

static struct err on_durable(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    uint64_t epoch = 0;
    bool known = replica_epoch_at(replica, event->index, &epoch);
    bool leads = replica_leads(replica);
    replica_raise(&replica->accepted_durable, event->accepted);
    if (event->index > replica->last_index && !replica->is_joined) {
        return replica_quarantine(replica, actions, ERR_CORRUPT);
    }
    /* An entry that was cut since: it tells nothing of the one that has its place. */
    if (known && epoch == event->epoch) {
        replica_raise(&replica->durable_index, event->index);
        replica_raise(&replica->accepted_durable, epoch);
    }
    if (leads) replica_advance(replica, event->now_ms, actions);
    else if (replica->is_joined) replica_follower_durable(replica, actions);
    return err_ok();
}

/* What the log has is what there is: the epochs too, since a TRUNC may be among the refused. */
static void log_is(struct replica *replica, const struct replica_event *event)
{
    const struct replica_recovered *found = event->recovered;
    if (found == NULL) {
        uint64_t epoch = 0;
        (void)replica_epoch_at(replica, replica->durable_index, &epoch);
        replica_epochs_cut(replica, epoch, replica->durable_index);
        return;
    }
    replica->durable_index = found->last_index;
    replica_epochs_set(replica, found);
    replica->match_index = 0;
    replica->accept_logged = false;
    replica_raise(&replica->accepted_durable, found->accepted_epoch);
}

/* What was proposed and is not in the log never was, if nobody else has seen it: alone in its set,
 * or before it was sent. Was it the EPOCH entry, then the copy leads nothing yet: it may try again,
 * with the same epoch. Others have seen it: then (epoch, index) is given, and the epoch must end
 * (I2). */
static struct err on_refused(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    bool leads = replica_leads(replica);
    if (!leads && !replica->is_joined) return replica_quarantine(replica, actions, ERR_CORRUPT);
    if (replica->is_joined && event->recovered == NULL)
        return replica_quarantine(replica, actions, ERR_CORRUPT);
    log_is(replica, event);
    if (!leads) return err_ok();
    if (replica->sent_index > replica->durable_index && !REPLICA_FAULT(replica, REUSE_REFUSED)) {
        replica_step_down(replica, event->now_ms, actions);
        replica_raise(&replica->promise_until_ms, event->now_ms + 2 * REPLICA_PROMISE_MS);
    } else if (replica->role == REPLICA_RECONCILE &&
               replica->durable_index < replica->epoch_start) {
        replica_set_role(replica, actions, REPLICA_CANDIDATE);
        replica->unbegun_epoch = replica->epoch;
    }
    return err_ok();
}

static struct err on_applied(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    if (event->index > replica->apply_index || event->index < replica->applied_index) {
        return replica_quarantine(replica, actions, ERR_CORRUPT);
    }
    replica->applied_index = event->index;
    if (replica->role == REPLICA_REPLAY && replica->applied_index == replica->commit_index) {
        replica_set_role(replica, actions,
                         replica->is_joined ? REPLICA_LEARNER : REPLICA_CANDIDATE);
        if (replica->is_joined) replica_settle(replica, actions);
    }
    if (replica->role == REPLICA_RECONCILE && replica->applied_index >= replica->epoch_start) {
        replica_set_role(replica, actions, REPLICA_SERVING);
    }
    /* Again when it replies: not with fewer copies than were promised (6.5). What is done with
     * fewer will be there or not; whoever waits must ask again. */
    bool enough = replica->isr_size >= replica->min_isr || REPLICA_FAULT(replica, IGNORE_MIN_ISR);
    if (replica->role == REPLICA_SERVING && enough) {
        actions->answer = true;
        actions->answered_index = replica->applied_index;
    } else if (replica->role == REPLICA_SERVING && replica->applied_index > replica->epoch_start) {
        actions->fail_waiting = true;
    }
    if (replica->handing_over) replica_handover(replica, event->now_ms, actions);
    return err_ok();
}

/* ---- from outside */

static struct err on_tick(struct replica *replica, const struct replica_event *event,
                          struct replica_actions *actions)
{
    uint64_t now = event->now_ms;
    if (!replica->is_joined || replica->role < REPLICA_LEARNER) return err_ok();
    if (replica->role == REPLICA_QUARANTINED) return err_ok();
    /* Whoever was paused has not heard what waits for it: it must not judge others by that. */
    if (now - replica->tick_ms > REPLICA_GAP_MS) {
        replica->steady_ms = now;
        replica_raise(&replica->promise_until_ms, now + 2 * REPLICA_BEAT_MS);
    }
    replica->tick_ms = now;
    replica->disk_ok = event->disk_ok;
    if (event->index != 0) replica->log_first = event->index;
    bool leads = replica_leads(replica);
    if (leads && !replica->disk_ok && replica->isr_size > 1) {
        replica_step_down(replica, now, actions);
        replica_raise(&replica->promise_until_ms, now + 2 * REPLICA_PROMISE_MS); /* others first */
        return err_ok();
    }
    replica_cas_tick(replica, now, actions);
    if (replica->role == REPLICA_CANDIDATE && replica->unbegun_epoch != 0) {
        return replica_begin(replica, replica->unbegun_epoch, now, actions);
    }
    if (replica_leads(replica)) {
        replica_beat(replica, now, actions);
        replica_sets_tick(replica, now, actions);
        replica_advance(replica, now, actions);
        return err_ok();
    }
    if (replica->accepted_epoch > replica->accepted_durable && !replica->accept_logged) {
        replica->accept_logged = actions->log_accept = true;
        actions->epoch = replica->accepted_epoch;
    }
    replica_candidate_tick(replica, now, actions);
    return err_ok();
}

static struct err on_message(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    if (!replica->is_joined || replica->role < REPLICA_LEARNER) return err_ok();
    if (roster_id_eq(&event->from, &replica->sid)) return err_ok();
    switch (event->message->kind) {
    case REPLICA_APPEND: return replica_on_append(replica, event, actions);
    case REPLICA_ACK: replica_on_ack(replica, event, actions); break;
    case REPLICA_REJECT: replica_on_reject(replica, event, actions); break;
    case REPLICA_BEAT: return replica_on_beat(replica, event, actions);
    case REPLICA_BEAT_ACK: replica_on_beat_ack(replica, event); break;
    case REPLICA_READ: replica_on_read_asked(replica, event, actions); break;
    case REPLICA_READ_REPLY: replica_on_read_reply(replica, event, actions); break;
    case REPLICA_BEHIND: return replica_on_behind(replica, event, actions);
    }
    return err_ok();
}

static struct err step(struct replica *replica, const struct replica_event *event,
                       struct replica_actions *actions)
{
    switch (event->kind) {
    case REPLICA_EVENT_PROPOSE: replica_propose(replica, event, actions); return err_ok();
    case REPLICA_EVENT_RECOVERED: return on_recovered(replica, event, actions);
    case REPLICA_EVENT_LEAD: return on_lead(replica, event, actions);
    case REPLICA_EVENT_DURABLE: return on_durable(replica, event, actions);
    case REPLICA_EVENT_APPLIED: return on_applied(replica, event, actions);
    case REPLICA_EVENT_REFUSED: return on_refused(replica, event, actions);
    case REPLICA_EVENT_FAIL: return replica_quarantine(replica, actions, event->code);
    case REPLICA_EVENT_TICK: return on_tick(replica, event, actions);
    case REPLICA_EVENT_MESSAGE: return on_message(replica, event, actions);
    case REPLICA_EVENT_CONFIG:
    case REPLICA_EVENT_READ_ROW: return replica_on_config(replica, event, actions);
    case REPLICA_EVENT_PLACE: replica_on_place(replica, event, actions); return err_ok();
    case REPLICA_EVENT_CAS: return replica_on_cas(replica, event, actions);
    case REPLICA_EVENT_TRANSFER: replica_on_transfer(replica, event, actions); return err_ok();
    case REPLICA_EVENT_READ: replica_on_read(replica, event, actions); return err_ok();
    case REPLICA_EVENT_INSTALL: replica_on_install(replica, event, actions); return err_ok();
    case REPLICA_EVENT_INSTALLED: return replica_on_installed(replica, event, actions);
    }
    return err_ok();
}

struct err replica_step(struct replica *replica, const struct replica_event *event,
                        struct replica_actions *actions)
{
    memset(actions, 0, offsetof(struct replica_actions, sends));
    actions->refused = err_ok();
    uint64_t commit = replica->commit_index, applied = replica->applied_index;
    uint64_t accepted = replica->accepted_epoch;
    TRY(step(replica, event, actions));
    bool fell = replica->commit_index < commit || replica->applied_index < applied ||
                replica->accepted_epoch < accepted;
    if (!fell && replica_wrong(replica) == NULL) return err_ok();
#ifdef REPLICA_FAULTS
    if (replica->fault != FAULT_NONE) return err_ok(); /* the simulator must find it by itself */
    CHECK(!"a rule of the copies is broken");
#endif
    return replica_quarantine(replica, actions, ERR_CORRUPT);
}

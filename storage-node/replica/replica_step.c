#include "replica_step.h"

void replica_init(struct replica *replica, uint32_t shard, unsigned min_isr)
{
    *replica = (struct replica){ .shard = shard, .role = REPLICA_OFFLINE, .isr_size = 1,
                                 .min_isr = min_isr };
}

static struct err quarantine(struct replica *replica, struct replica_actions *actions,
                             enum err_code code)
{
    replica->role = REPLICA_QUARANTINED;
    replica->failed = code;
    actions->role_changed = true;
    return err_make(ERR_CORRUPT, "shard is in quarantine");
}

/* R1-R3 of 6.9: what the log and the rows say. Rows that know more than the log: the log was lost
 * in part, or this is not its store. */
static struct err on_recovered(struct replica *replica, const struct replica_event *event,
                               struct replica_actions *actions)
{
    const struct replica_recovered *found = &event->recovered;
    if (replica->role != REPLICA_OFFLINE) return quarantine(replica, actions, ERR_CORRUPT);
    if (found->applied_index > found->last_index || found->commit_hint > found->last_index ||
        found->last_epoch > found->accepted_epoch) {
        return quarantine(replica, actions, ERR_CORRUPT);
    }
    replica->accepted_epoch = found->accepted_epoch;
    replica->last_epoch = found->last_epoch;
    replica->last_index = replica->durable_index = found->last_index;
    replica->applied_index = replica->apply_index = found->applied_index;
    replica->commit_index = found->commit_hint > found->applied_index ? found->commit_hint
                                                                      : found->applied_index;
    replica->role = REPLICA_REPLAY;
    actions->role_changed = true;
    if (replica->commit_index > replica->apply_index) {
        actions->apply_from = replica->apply_index + 1;
        actions->apply_to = replica->apply_index = replica->commit_index;
    } else {
        replica->role = REPLICA_CANDIDATE;
    }
    return err_ok();
}

/* 6.7: the promise, then the first entry of the new epoch. The inherited tail stays: it may be
 * committed. */
static struct err on_lead(struct replica *replica, const struct replica_event *event,
                          struct replica_actions *actions)
{
    /* Not begun: no entry of that epoch is anywhere but the very one that is logged now. */
    bool again = event->epoch == replica->accepted_epoch &&
                 event->epoch == replica->unbegun_epoch && event->epoch != 0;
    bool is_newer = event->epoch > replica->accepted_epoch;
    if (replica->role != REPLICA_CANDIDATE || !(is_newer || again)) {
        return quarantine(replica, actions, ERR_CORRUPT);
    }
    replica->unbegun_epoch = 0;
    replica->accepted_epoch = replica->epoch = replica->last_epoch = event->epoch;
    replica->epoch_start = ++replica->last_index;
    replica->role = REPLICA_RECONCILE;
    actions->log_accept = actions->log_epoch = actions->role_changed = true;
    actions->epoch = replica->epoch;
    actions->epoch_index = replica->epoch_start;
    return err_ok();
}

static struct err on_propose(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    if (replica->role == REPLICA_QUARANTINED) {
        actions->refused = err_make(ERR_CORRUPT, "shard is in quarantine");
    } else if (replica->role != REPLICA_SERVING) {
        actions->refused = err_make(ERR_BUSY, "shard does not serve yet");
    } else if (replica->isr_size < replica->min_isr) {
        actions->refused = err_make(ERR_BUSY, "too few copies in sync");
    } else if (replica->last_index - replica->applied_index + event->count > REPLICA_PENDING_MAX) {
        actions->refused = err_make(ERR_BUSY, "changes of a shard");
    } else {
        actions->epoch = replica->epoch;
        actions->first_index = replica->last_index + 1;
        replica->last_index += event->count;
    }
    return err_ok();
}

/* With one member, what is durable here is durable everywhere; nothing before the EPOCH entry. */
static struct err on_durable(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    if (event->index > replica->last_index) return quarantine(replica, actions, ERR_CORRUPT);
    if (event->index > replica->durable_index) replica->durable_index = event->index;
    bool leads = replica->role == REPLICA_RECONCILE || replica->role == REPLICA_SERVING;
    if (!leads || replica->durable_index < replica->epoch_start) return err_ok();
    if (replica->durable_index > replica->commit_index) {
        replica->commit_index = replica->durable_index;
    }
    if (replica->commit_index > replica->apply_index) {
        actions->apply_from = replica->apply_index + 1;
        actions->apply_to = replica->apply_index = replica->commit_index;
    }
    return err_ok();
}

/* What was proposed and is not in the log never was: nobody else has seen it, since a copy that has
 * not logged an entry has not acknowledged it. Was it the EPOCH entry, then the copy leads nothing
 * yet: it may try again, with the same epoch, since a cluster has given it this one. */
static struct err on_refused(struct replica *replica, struct replica_actions *actions)
{
    if (replica->role != REPLICA_SERVING && replica->role != REPLICA_RECONCILE) {
        return quarantine(replica, actions, ERR_CORRUPT);
    }
    replica->last_index = replica->durable_index;
    if (replica->role == REPLICA_RECONCILE && replica->durable_index < replica->epoch_start) {
        replica->role = REPLICA_CANDIDATE;
        replica->unbegun_epoch = replica->epoch;
        actions->role_changed = true;
    }
    return err_ok();
}

static struct err on_applied(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    if (event->index > replica->apply_index || event->index < replica->applied_index) {
        return quarantine(replica, actions, ERR_CORRUPT);
    }
    replica->applied_index = event->index;
    if (replica->role == REPLICA_REPLAY && replica->applied_index == replica->commit_index) {
        replica->role = REPLICA_CANDIDATE;
        actions->role_changed = true;
    }
    if (replica->role == REPLICA_RECONCILE && replica->applied_index >= replica->epoch_start) {
        replica->role = REPLICA_SERVING;
        actions->role_changed = true;
    }
    /* Again when it replies: not with fewer copies than were promised (6.5). */
    if (replica->role == REPLICA_SERVING && replica->isr_size >= replica->min_isr) {
        actions->answer = true;
        actions->answered_index = replica->applied_index;
    }
    return err_ok();
}

struct err replica_step(struct replica *replica, const struct replica_event *event,
                        struct replica_actions *actions)
{
    *actions = (struct replica_actions){ .refused = err_ok() };
    switch (event->kind) {
    case REPLICA_EVENT_PROPOSE:
        return on_propose(replica, event, actions);
    case REPLICA_EVENT_RECOVERED:
        return on_recovered(replica, event, actions);
    case REPLICA_EVENT_LEAD:
        return on_lead(replica, event, actions);
    case REPLICA_EVENT_DURABLE:
        return on_durable(replica, event, actions);
    case REPLICA_EVENT_APPLIED:
        return on_applied(replica, event, actions);
    case REPLICA_EVENT_REFUSED:
        return on_refused(replica, actions);
    case REPLICA_EVENT_FAIL:
        return quarantine(replica, actions, event->code);
    }
    return err_ok();
}

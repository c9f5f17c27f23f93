/* The copy that is sent entries: follower and learner, and whoever led before. */
#include <string.h>

#include "replica_private.h"

void replica_follow(struct replica *replica, uint64_t epoch, const struct roster_id *leader,
                    struct replica_actions *actions)
{
    replica_step_down(replica, replica->tick_ms, actions);
    replica->accepted_epoch = replica->epoch = epoch;
    replica->unbegun_epoch = 0;
    replica->leader = *leader;
    replica->has_leader = true;
    replica->match_index = replica->acked_index = 0;
    replica->accept_logged = actions->log_accept = true;
    actions->epoch = epoch;
    /* A takeover of its own came to nothing, or is history, if this epoch is not before it. */
    if (replica->cas.change == REPLICA_TAKEOVER && replica->cas.row.epoch <= epoch) {
        replica->cas.change = REPLICA_NO_CHANGE;
        replica->cas_unknown = false;
    }
    if (replica->role == REPLICA_CANDIDATE && replica->cas.change == REPLICA_NO_CHANGE)
        replica_set_role(replica, actions, REPLICA_FOLLOWER);
    replica_settle(replica, actions);
}

static void refuse(struct replica *replica, const struct replica_event *event,
                   enum replica_reason reason, struct replica_actions *actions)
{
    struct replica_message *m = replica_say(replica, actions, &event->from, REPLICA_REJECT);
    if (m == NULL) return;
    m->reason = reason;
    m->epoch = event->message->epoch;
    m->index = replica->accepted_epoch;
}

bool replica_listens(struct replica *replica, const struct replica_event *event,
                     struct replica_actions *actions)
{
    uint64_t epoch = event->message->epoch;
    if (replica->role == REPLICA_QUARANTINED) {
        refuse(replica, event, REPLICA_IN_QUARANTINE, actions);
        return false;
    }
    if (epoch < replica->accepted_epoch && !REPLICA_FAULT(replica, ACCEPT_STALE)) {
        refuse(replica, event, REPLICA_STALE, actions);
        return false;
    }
    if (epoch > replica->accepted_epoch) replica_follow(replica, epoch, &event->from, actions);
    if (epoch == replica->accepted_epoch && !replica_leads(replica) && !replica->has_leader) {
        /* After a start: the promise is known from the log, who it was given to is not. */
        replica->leader = event->from;
        replica->has_leader = true;
        replica->epoch = epoch;
    }
    return true;
}

/* ---- what it has */

/* Where this copy's entries and the leader's part, at the latest: `bound`. */
static void say_gap(struct replica *replica, const struct replica_event *event, uint64_t bound,
                    struct replica_actions *actions)
{
    struct replica_message *m = replica_say(replica, actions, &event->from, REPLICA_REJECT);
    if (m == NULL) return;
    m->reason = REPLICA_GAP;
    m->index = bound;
    for (unsigned i = replica->epochs_count; i > 0; i--) {
        const struct replica_start *start = &replica->epochs[i - 1];
        if (start->index > bound) continue;
        if (m->starts_count == REPLICA_STARTS_MAX) break;
        m->starts_count++;
        memmove(m->starts + 1, m->starts, (m->starts_count - 1) * sizeof(m->starts[0]));
        m->starts[0] = *start;
    }
}

/* I5, and only what is the same as the leader has: a tail of before may stand behind it. */
static void acknowledge(struct replica *replica, struct replica_actions *actions)
{
    uint64_t index = replica->match_index;
    if (index > replica->durable_index) index = replica->durable_index;
    if (REPLICA_FAULT(replica, ACK_UNMATCHED)) index = replica->durable_index;
    if (REPLICA_FAULT(replica, ACK_BEFORE_SYNC)) index = replica->match_index;
    if (!replica->has_leader || replica->accepted_durable < replica->epoch) return;
    if (replica->installing) return;
    struct replica_message *m = replica_say(replica, actions, &replica->leader, REPLICA_ACK);
    if (m == NULL) return;
    replica_raise(&replica->acked_index, index);
    m->index = index;
    m->applied = replica->applied_index;
}

static void commit(struct replica *replica, struct replica_actions *actions)
{
    uint64_t index = replica->told_commit;
    if (replica->installing) return;
    if (index > replica->match_index) index = replica->match_index;
    if (index > replica->durable_index) index = replica->durable_index;
    replica_raise(&replica->commit_index, index);
    replica_apply(replica, actions);
}

void replica_follower_durable(struct replica *replica, struct replica_actions *actions)
{
    if (replica->role == REPLICA_QUARANTINED) return;
    commit(replica, actions);
    if (replica->match_index > 0) acknowledge(replica, actions);
}

/* ---- entries */

/* The first of the message's entries that this copy does not have as they are. */
static uint64_t first_other(const struct replica *replica, const struct replica_message *m)
{
    uint64_t index = m->index + 1, epoch = 0;
    for (; index <= m->index + m->count && index <= replica->last_index; index++) {
        /* Not known any more: it is the same where it is committed. */
        bool known = replica_epoch_at(replica, index, &epoch);
        if (known ? epoch != m->entry_epoch : index > replica->commit_index) break;
    }
    return index;
}

/* Takes what is new, and cuts off what stands in its place. An entry that is committed here is
 * never cut: who asks for that, is not of this shard. */
static struct err take(struct replica *replica, const struct replica_message *m,
                       struct replica_actions *actions)
{
    uint64_t first = first_other(replica, m), end = m->index + m->count;
    if (first > end) return err_ok();
    if (first <= replica->last_index) {
        uint64_t epoch = 0;
        /* Of more epochs than are remembered, not committed: it might have been acknowledged. */
        if (first <= replica->commit_index || !replica_epoch_at(replica, first, &epoch))
            return replica_quarantine(replica, actions, ERR_CORRUPT);
        actions->log_trunc = true;
        actions->trunc_index = first - 1;
        actions->trunc_epoch = first - 1 == m->index ? m->index_epoch : m->entry_epoch;
        replica_epochs_cut(replica, actions->trunc_epoch, first - 1);
        if (replica->durable_index > first - 1) replica->durable_index = first - 1;
    }
    actions->append_index = first;
    replica->last_index = end;
    replica_epochs_push(replica, m->entry_epoch, first);
    return err_ok();
}

/* What no leader sends is passed over. */
static bool is_sound(const struct replica_message *m)
{
    if (m->count > REPLICA_APPEND_MAX || m->index > UINT64_MAX / 2) return false;
    if (m->index_epoch > m->epoch || (m->index == 0) != (m->index_epoch == 0)) return false;
    if (m->count == 0) return true;
    return m->entry_epoch >= m->index_epoch && m->entry_epoch <= m->epoch &&
           m->entry_epoch != 0;
}

struct err replica_on_append(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    const struct replica_message *m = event->message;
    uint64_t epoch = 0;
    if (!is_sound(m) || !replica_listens(replica, event, actions)) return err_ok();
    /* I1: nobody else leads this epoch. */
    if (replica_leads(replica)) return replica_quarantine(replica, actions, ERR_CORRUPT);
    if (replica->installing) return err_ok(); /* it is sent again */
    if (m->index > replica->last_index) {
        say_gap(replica, event, replica->last_index, actions);
        return err_ok();
    }
    if (replica_epoch_at(replica, m->index, &epoch) && epoch != m->index_epoch) {
        if (m->index <= replica->commit_index)
            return replica_quarantine(replica, actions, ERR_CORRUPT);
        say_gap(replica, event, m->index - 1, actions);
        return err_ok();
    }
    if (replica->last_index - replica->applied_index + m->count > REPLICA_PENDING_MAX)
        return err_ok(); /* it is sent again */
    TRY(take(replica, m, actions));
    replica->behind_epoch = 0;
    replica_raise(&replica->match_index, m->index + m->count);
    replica_raise(&replica->told_commit, m->commit);
    commit(replica, actions);
    /* What was new is acknowledged when it is on the disk. */
    if (actions->append_index == 0) acknowledge(replica, actions);
    return err_ok();
}

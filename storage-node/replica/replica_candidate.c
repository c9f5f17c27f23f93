/* Taking over from a leader that is not heard any more (6.7). */
#include "replica_private.h"

/* Where this copy stands among those that may take over: the leader that is gone does not count. */
static unsigned rank(const struct replica *replica)
{
    const struct roster_shard *row = &replica->config.row;
    unsigned before = 0;
    for (uint32_t i = 0; i < row->isr.count; i++) {
        if (roster_id_eq(&row->isr.ids[i], &replica->sid)) break;
        if (!row->has_leader || !roster_id_eq(&row->isr.ids[i], &row->leader)) before++;
    }
    return before;
}

/* Nobody else can lead, and no promise to anybody counts: this copy alone is in the set, and it led
 * last, as another process, or nobody ever has. Whoever led before it was waited for then. */
static bool is_alone(const struct replica *replica)
{
    const struct roster_shard *row = &replica->config.row;
    if (row->isr.count != 1 || !roster_id_eq(&row->isr.ids[0], &replica->sid)) return false;
    if (!row->has_leader) return row->how == ROSTER_BOOTSTRAP && row->epoch == 0;
    return roster_id_eq(&row->leader, &replica->sid);
}

void replica_candidate_tick(struct replica *replica, uint64_t now_ms,
                            struct replica_actions *actions)
{
    const struct roster_shard *row = &replica->config.row;
    bool expired = now_ms >= replica->promise_until_ms + rank(replica) * REPLICA_RANK_MS;
    if (is_alone(replica)) expired = true;
    if (REPLICA_FAULT(replica, NO_LEASE)) expired = now_ms + 1000 >= replica->promise_until_ms;
    if (replica->role == REPLICA_LEARNER && replica->config.revision == 0) {
        replica_ask_row(replica, now_ms, actions);
        return;
    }
    if (replica->role != REPLICA_FOLLOWER && replica->role != REPLICA_CANDIDATE) return;
    if (replica->installing) return;
    if (!expired || !replica->disk_ok || replica->cas.change != REPLICA_NO_CHANGE) return;
    replica_set_role(replica, actions, REPLICA_CANDIDATE);
    replica->candidate_epoch = row->epoch;
    replica_ask_row(replica, now_ms, actions);
}

/* The row's epoch lies below what was promised here only when the cluster's rows were restored
 * from a copy: nobody takes over then before they are put right. */
void replica_take_over(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    const struct roster_shard *row = &replica->config.row;
    bool is_member = roster_copies_have(&row->isr, &replica->sid);
    if (replica->role != REPLICA_CANDIDATE || replica->cas.change != REPLICA_NO_CHANGE) return;
    if (!is_member || row->epoch != replica->candidate_epoch || !replica->disk_ok ||
        row->epoch < replica->accepted_epoch) {
        replica_set_role(replica, actions, REPLICA_FOLLOWER);
        replica_settle(replica, actions);
        return;
    }
    struct roster_shard *next = &replica->cas.row;
    *next = *row;
    next->epoch = row->epoch + 1;
    next->has_leader = true;
    next->leader = replica->sid;
    next->boot = replica->boot;
    next->how = ROSTER_TAKEOVER;
    next->isr.count = 0;
    for (uint32_t i = 0; i < row->isr.count; i++) {
        const struct roster_id *id = &row->isr.ids[i];
        bool is_old = row->has_leader && roster_id_eq(id, &row->leader);
        if (!is_old || roster_id_eq(id, &replica->sid)) next->isr.ids[next->isr.count++] = *id;
    }
    replica->cas.change = REPLICA_TAKEOVER;
    replica_cas_start(replica, now_ms, actions);
}

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

void replica_candidate_tick(struct replica *replica, uint64_t now_ms,
                            struct replica_actions *actions)
{
    const struct roster_shard *row = &replica->config.row;
    bool expired = now_ms >= replica->promise_until_ms + rank(replica) * REPLICA_RANK_MS;
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

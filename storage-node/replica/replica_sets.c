/* What a leader does about the set of copies in sync, and about who is to lead (6.6, 6.8). */
#include "replica_private.h"

/* ---- out of it */

/* Silent, though this copy itself listened; or nothing of what is missing there arrives. */
static bool is_dead(const struct replica *replica, const struct replica_peer *peer,
                    uint64_t now_ms, uint64_t wait_ms)
{
    uint64_t heard = peer->heard_ms, progress = peer->progress_ms;
    replica_raise(&heard, replica->steady_ms);
    replica_raise(&progress, replica->steady_ms);
    return now_ms - heard > wait_ms || now_ms - progress > wait_ms;
}

/* A copy that is to go elsewhere leaves when as many as are wanted are there without it. */
static bool is_moved(const struct replica *replica, const struct replica_peer *peer,
                     uint32_t members)
{
    const struct roster_copies *placed = &replica->place.replicas;
    return placed->count > 0 && !peer->is_placed && members > placed->count;
}

static void leave(struct roster_copies *copies, const struct roster_id *id)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < copies->count; i++) {
        if (!roster_id_eq(&copies->ids[i], id)) copies->ids[kept++] = copies->ids[i];
    }
    copies->count = kept;
}

static bool shrink(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    struct replica_cas *cas = &replica->cas;
    cas->row = replica->config.row;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        bool is_last = cas->row.isr.count <= replica->min_isr;
        uint64_t wait = is_last ? REPLICA_SHRINK_LAST_MS : REPLICA_PROGRESS_MS;
        if (!peer->in_isr) continue;
        bool asks = peer->refuses && !is_last;
        if (asks || is_dead(replica, peer, now_ms, wait) ||
            is_moved(replica, peer, cas->row.isr.count))
            leave(&cas->row.isr, &peer->sid);
    }
    if (cas->row.isr.count == replica->config.row.isr.count) return false;
    cas->change = REPLICA_SHRINK;
    replica_cas_start(replica, now_ms, actions);
    return true;
}

/* ---- into it */

static bool is_ready(const struct replica *replica, const struct replica_peer *peer,
                     uint64_t now_ms)
{
    if (peer->in_max || !peer->is_placed || peer->refuses || peer->is_behind_log) return false;
    if (now_ms < peer->back_ms || now_ms >= peer->grant_until_ms) return false;
    if (REPLICA_FAULT(replica, NO_CATCHUP)) return true;
    return peer->is_known && peer->matched >= replica->commit_index &&
           replica->last_index - peer->matched <= REPLICA_EXPAND_LAG;
}

/* It counts from before the row may name it: until the outcome is known, and for ever if it
 * does. */
static void expand(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    struct replica_cas *cas = &replica->cas;
    if (replica->role != REPLICA_SERVING) return;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        struct replica_peer *peer = &replica->peers[i];
        if (!is_ready(replica, peer, now_ms)) continue;
        cas->row = replica->config.row;
        if (cas->row.isr.count == ROSTER_COPIES_MAX) return;
        cas->row.isr.ids[cas->row.isr.count++] = peer->sid;
        cas->joins = peer->sid;
        cas->joins_boot = peer->boot;
        cas->change = REPLICA_EXPAND;
        peer->progress_ms = now_ms;
        replica_cas_start(replica, now_ms, actions);
        return;
    }
}

/* ---- who leads */

static bool may_inherit(const struct replica_peer *peer, uint64_t now_ms)
{
    return peer->in_isr && !peer->refuses && now_ms < peer->grant_until_ms;
}

static void hand_over(struct replica *replica, const struct replica_peer *heir, uint64_t now_ms,
                      struct replica_actions *actions)
{
    replica->handing_over = true;
    replica->heir = heir->sid;
    replica->handover_ms = now_ms + REPLICA_HANDOVER_MS;
    replica_handover(replica, now_ms, actions);
}

/* It serves neither writes nor reads from the beginning on (6.2), so the heir has everything as
 * soon as it has acknowledged the last entry. */
void replica_handover(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    struct replica_cas *cas = &replica->cas;
    const struct replica_peer *heir = replica_peer_find(replica, &replica->heir);
    if (cas->change == REPLICA_TRANSFER) return;
    if (heir == NULL || !may_inherit(heir, now_ms) || now_ms > replica->handover_ms) {
        replica->handing_over = false;
        return;
    }
    if (cas->change != REPLICA_NO_CHANGE || replica->commit_index != replica->last_index) return;
    if (heir->matched != replica->last_index || replica->applied_index != replica->last_index)
        return;
    cas->row = replica->config.row;
    cas->row.epoch = replica->epoch + 1;
    cas->row.leader = heir->sid;
    cas->row.boot = heir->boot;
    cas->row.how = ROSTER_TRANSFER;
    cas->change = REPLICA_TRANSFER;
    replica_cas_start(replica, now_ms, actions);
}

/* Whoever has most of what this copy has. */
static const struct replica_peer *any_heir(const struct replica *replica, uint64_t now_ms)
{
    const struct replica_peer *heir = NULL;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        bool better = heir == NULL || peer->matched > heir->matched;
        if (may_inherit(peer, now_ms) && better) heir = peer;
    }
    return heir;
}

void replica_on_transfer(struct replica *replica, const struct replica_event *event,
                         struct replica_actions *actions)
{
    static const struct roster_id anybody = { { 0 } };
    const struct replica_peer *heir = replica_peer_find(replica, &event->from);
    if (roster_id_eq(&event->from, &anybody)) heir = any_heir(replica, event->now_ms);
    if (replica->role != REPLICA_SERVING) {
        actions->refused = err_make(ERR_MOVED, "shard is not led here");
    } else if (replica->handing_over) {
        actions->refused = err_make(ERR_BUSY, "shard is being handed over");
    } else if (heir == NULL || !heir->in_isr) {
        actions->refused = err_make(ERR_NOT_FOUND, "copy in sync to lead the shard");
    } else if (!may_inherit(heir, event->now_ms)) {
        actions->refused = err_make(ERR_UNREACHABLE, "copy that is to lead the shard");
    } else {
        hand_over(replica, heir, event->now_ms, actions);
    }
}

/* A leader whose place is elsewhere has another lead. */
static void give_away(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    const struct roster_copies *placed = &replica->place.replicas;
    if (placed->count == 0 || roster_copies_have(placed, &replica->sid)) return;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (!peer->is_placed || !may_inherit(peer, now_ms)) continue;
        hand_over(replica, peer, now_ms, actions);
        return;
    }
}

void replica_sets_tick(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    if (replica->handing_over) {
        replica_handover(replica, now_ms, actions);
        return;
    }
    if (replica->cas.change != REPLICA_NO_CHANGE) return;
    if (shrink(replica, now_ms, actions)) return;
    expand(replica, now_ms, actions);
    if (replica->cas.change == REPLICA_NO_CHANGE && replica->role == REPLICA_SERVING)
        give_away(replica, now_ms, actions);
}

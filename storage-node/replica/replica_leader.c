/* The leader: what it logs, what it sends to the other copies, and what is committed. */
#include <string.h>

#include "replica_private.h"

/* 6.7: the promise, then the first entry of the new epoch. The inherited tail stays: it may be
 * committed. */
struct err replica_begin(struct replica *replica, uint64_t epoch, uint64_t now_ms,
                         struct replica_actions *actions)
{
    replica->unbegun_epoch = 0;
    replica->accepted_epoch = replica->epoch = epoch;
    replica->epoch_start = ++replica->last_index;
    replica_epochs_push(replica, epoch, replica->epoch_start);
    replica_set_role(replica, actions, REPLICA_RECONCILE);
    replica->has_leader = replica->handing_over = false;
    replica->give_away_ms = 0;
    replica->sent_index = 0;
    replica->steady_ms = now_ms;
    replica->beat_ms = 0;
    replica_reckon(replica, now_ms);
    for (unsigned i = 0; i < replica->peers_count; i++) {
        replica_peer_begin(replica, &replica->peers[i], now_ms);
    }
    actions->log_accept = actions->log_epoch = true;
    actions->epoch = epoch;
    actions->epoch_index = replica->epoch_start;
    if (replica->is_joined) replica_advance(replica, now_ms, actions);
    return err_ok();
}

/* What is known of it is of another epoch or another process: it is asked where it stands. */
void replica_peer_begin(struct replica *replica, struct replica_peer *peer, uint64_t now_ms)
{
    peer->boot = (struct roster_id){ { 0 } };
    peer->matched = 0;
    peer->next = replica->epoch_start;
    peer->is_known = peer->is_probed = peer->is_behind_log = peer->refuses = false;
    peer->grant_until_ms = peer->sent_ms = 0;
    peer->heard_ms = peer->progress_ms = now_ms;
}

struct replica_peer *replica_peer_find(struct replica *replica, const struct roster_id *sid)
{
    for (unsigned i = 0; i < replica->peers_count; i++) {
        if (roster_id_eq(&replica->peers[i].sid, sid)) return &replica->peers[i];
    }
    return NULL;
}

void replica_step_down(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    if (!replica_leads(replica)) return;
    replica_set_role(replica, actions, REPLICA_FOLLOWER);
    replica_settle(replica, actions);
    /* A change of its own set may still be done; it harms nobody, and says nothing any more. */
    replica->cas.change = REPLICA_NO_CHANGE;
    replica->cas_unknown = replica->handing_over = false;
    replica->has_leader = false;
    replica->match_index = 0;
    replica_raise(&replica->promise_until_ms, now_ms + REPLICA_PROMISE_MS);
    actions->fail_waiting = true;
}

/* ---- changes */

struct err replica_may_propose(const struct replica *replica, unsigned count)
{
    bool enough = replica->isr_size >= replica->min_isr || REPLICA_FAULT(replica, IGNORE_MIN_ISR);
    if (replica->role == REPLICA_QUARANTINED) return err_make(ERR_CORRUPT, "shard in quarantine");
    if (replica->is_joined && !replica_leads(replica)) {
        return err_make(ERR_MOVED, "shard is not led here");
    }
    if (replica->role != REPLICA_SERVING) return err_make(ERR_BUSY, "shard does not serve yet");
    if (replica->handing_over) return err_make(ERR_BUSY, "shard is being handed over");
    if (!enough) return err_make(ERR_BUSY, "too few copies in sync");
    if (replica->last_index - replica->applied_index + count > REPLICA_PENDING_MAX) {
        return err_make(ERR_BUSY, "changes of a shard");
    }
    return err_ok();
}

void replica_propose(struct replica *replica, const struct replica_event *event,
                     struct replica_actions *actions)
{
    actions->refused = replica_may_propose(replica, event->count);
    if (actions->refused.code != ERR_OK) return;
    actions->epoch = replica->epoch;
    actions->first_index = replica->last_index + 1;
    replica->last_index += event->count;
    if (replica->peers_count > 0) replica_advance(replica, event->now_ms, actions);
}

/* ---- sending */

static void send_append(struct replica *replica, struct replica_peer *peer, uint64_t to,
                        uint64_t now_ms, struct replica_actions *actions)
{
    struct replica_message *m = replica_say(replica, actions, &peer->sid, REPLICA_APPEND);
    uint64_t before = 0;
    if (m == NULL) return;
    (void)replica_epoch_at(replica, peer->next - 1, &before);
    m->index = peer->next - 1;
    m->index_epoch = before;
    m->commit = replica->commit_index;
    peer->sent_ms = now_ms;
    if (to < peer->next) return;
    m->count = (unsigned)(to - m->index);
    (void)replica_epoch_at(replica, peer->next, &m->entry_epoch);
    peer->next = to + 1;
    replica_raise(&replica->sent_index, to);
}

static const struct roster_id unheard = { { 0 } };

/* Only what is committed goes to a copy outside the set: what it has says nothing of the set's. */
static void send_to(struct replica *replica, struct replica_peer *peer, uint64_t now_ms,
                    struct replica_actions *actions)
{
    uint64_t limit = peer->in_max ? replica->last_index : replica->commit_index, before;
    bool waits = now_ms - peer->sent_ms >= REPLICA_RESEND_MS;
    if (peer->is_known && peer->matched + 1 < peer->next && waits) {
        peer->next = peer->matched + 1; /* what was sent is lost, or answers are */
    }
    if (peer->next < replica->log_first || peer->next == 0 ||
        !replica_epoch_at(replica, peer->next - 1, &before)) {
        /* One that has not been heard yet is asked first. */
        peer->is_behind_log = !roster_id_eq(&peer->boot, &unheard);
        peer->next = replica->last_index + 1;
    }
    if (peer->is_behind_log) {
        replica_tell_behind(replica, peer, now_ms, actions);
        return;
    }
    if (!peer->is_known) {
        if (!peer->is_probed || waits) send_append(replica, peer, 0, now_ms, actions);
        peer->is_probed = true;
        return;
    }
    for (unsigned i = 0; i < 2 && peer->next <= limit; i++) {
        uint64_t end = replica_epochs_end(replica, peer->next);
        if (end > limit) end = limit;
        if (end - peer->next >= REPLICA_APPEND_MAX) end = peer->next + REPLICA_APPEND_MAX - 1;
        if (end - peer->matched > REPLICA_WINDOW) return;
        send_append(replica, peer, end, now_ms, actions);
    }
}

void replica_not_sent(struct replica *replica, const struct roster_id *to, uint64_t index)
{
    struct replica_peer *peer = replica_peer_find(replica, to);
    if (peer != NULL && replica_leads(replica) && index > peer->matched && index < peer->next)
        peer->next = index;
}

/* ---- committing */

static uint64_t durable_on_all(const struct replica *replica)
{
    uint64_t index = replica->durable_index;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (peer->in_max && peer->matched < index) index = peer->matched;
    }
    return index;
}

void replica_advance(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    if (!replica_leads(replica)) return;
    uint64_t index = durable_on_all(replica);
    /* Nothing before the EPOCH entry of the own epoch is everywhere (6.7.3). */
    bool begun = index >= replica->epoch_start;
    if (begun && index > replica->commit_index) replica->commit_index = index;
    replica_apply(replica, actions);
    for (unsigned i = 0; i < replica->peers_count; i++) {
        struct replica_peer *peer = &replica->peers[i];
        if (peer->matched >= replica->last_index) peer->progress_ms = now_ms;
        if (peer->in_max || peer->is_placed) send_to(replica, peer, now_ms, actions);
    }
    if (replica->handing_over) replica_handover(replica, now_ms, actions);
}

/* ---- answers of the copies */

/* The peer that an answer of this epoch came from; another process of it begins anew. */
struct replica_peer *replica_answering(struct replica *replica,
                                       const struct replica_event *event)
{
    struct replica_peer *peer = replica_peer_find(replica, &event->from);
    if (peer == NULL || !replica_leads(replica)) return NULL;
    if (event->message->epoch != replica->epoch) return NULL;
    if (!roster_id_eq(&peer->boot, &event->boot)) {
        uint64_t heard = peer->heard_ms, progress = peer->progress_ms, next = peer->next;
        replica_peer_begin(replica, peer, event->now_ms);
        peer->heard_ms = heard;
        peer->progress_ms = progress;
        peer->next = next;
        peer->boot = event->boot;
    }
    return peer;
}

void replica_on_ack(struct replica *replica, const struct replica_event *event,
                    struct replica_actions *actions)
{
    uint64_t index = event->message->index;
    struct replica_peer *peer = replica_answering(replica, event);
    if (peer == NULL) return;
    if (index > replica->last_index) { /* it has what was never logged: it is ill */
        peer->refuses = true;
        return;
    }
    if (index > peer->matched) peer->progress_ms = event->now_ms;
    replica_raise(&peer->matched, index);
    if (peer->is_behind_log) peer->next = peer->matched + 1;
    replica_raise(&peer->next, index + 1);
    peer->is_known = true;
    peer->is_probed = peer->is_behind_log = false;
    replica_advance(replica, event->now_ms, actions);
}

/* The last entry that both have, as far as the copy's epochs tell; `*sure` false: at most so. */
static uint64_t common(const struct replica *replica, const struct replica_message *m)
{
    uint64_t end = m->index;
    for (unsigned i = m->starts_count; i > 0; i--) {
        const struct replica_start *theirs = &m->starts[i - 1];
        for (unsigned k = replica->epochs_count; k > 0; k--) {
            const struct replica_start *ours = &replica->epochs[k - 1];
            if (ours->epoch != theirs->epoch) continue;
            uint64_t last = replica_epochs_end(replica, ours->index);
            if (last > end) last = end;
            if (last >= ours->index && last >= theirs->index) return last;
        }
        end = theirs->index == 0 ? 0 : theirs->index - 1;
    }
    return end;
}

void replica_on_reject(struct replica *replica, const struct replica_event *event,
                       struct replica_actions *actions)
{
    const struct replica_message *m = event->message;
    if (m->reason == REPLICA_STALE) {
        if (!replica_leads(replica) || m->index <= replica->epoch) return;
        replica_step_down(replica, event->now_ms, actions);
        replica_ask_row(replica, event->now_ms, actions);
        return;
    }
    struct replica_peer *peer = replica_answering(replica, event);
    if (peer == NULL) return;
    if (m->reason == REPLICA_IN_QUARANTINE) {
        peer->refuses = true;
        return;
    }
    if (peer->is_known) return; /* an old one, or what is behind `matched` is sent again soon */
    uint64_t next = common(replica, m) + 1;
    if (next > replica->last_index + 1) next = replica->last_index + 1;
    peer->next = next;
    peer->is_probed = peer->is_behind_log = false;
    send_to(replica, peer, event->now_ms, actions);
}

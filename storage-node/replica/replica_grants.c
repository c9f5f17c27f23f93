/* Leases that the copies grant to the leader, and what may be read by them (6.6). */
#include "replica_private.h"

/* ---- the copies */

struct err replica_on_beat(struct replica *replica, const struct replica_event *event,
                           struct replica_actions *actions)
{
    const struct replica_message *m = event->message;
    if (!replica_listens(replica, event, actions)) return err_ok();
    if (replica_leads(replica)) return replica_quarantine(replica, actions, ERR_CORRUPT);
    bool own = replica->cas.change == REPLICA_TAKEOVER;
    if (REPLICA_FAULT(replica, GRANT_IN_TAKEOVER)) own = false;
    bool grants = !own && replica->accepted_durable >= m->epoch && m->epoch == replica->epoch;
    if (grants) {
        if (replica->role == REPLICA_CANDIDATE && replica->cas.change == REPLICA_NO_CHANGE)
            replica_set_role(replica, actions, REPLICA_FOLLOWER);
        replica_raise(&replica->promise_until_ms, event->now_ms + REPLICA_PROMISE_MS);
    }
    replica_raise(&replica->told_commit, m->commit);
    replica_follower_durable(replica, actions);
    struct replica_message *ack = replica_say(replica, actions, &event->from, REPLICA_BEAT_ACK);
    if (ack == NULL) return err_ok();
    ack->sent_ms = m->sent_ms;
    ack->granted = grants;
    ack->disk_ok = replica->disk_ok;
    return err_ok();
}

/* ---- the leader */

void replica_beat(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    if (now_ms - replica->beat_ms < REPLICA_BEAT_MS) return;
    replica->beat_ms = now_ms;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        struct replica_peer *peer = &replica->peers[i];
        if (!peer->in_max && !peer->is_placed) continue;
        struct replica_message *m = replica_say(replica, actions, &peer->sid, REPLICA_BEAT);
        if (m == NULL) return;
        m->commit = replica->commit_index;
        m->sent_ms = now_ms;
    }
}

void replica_on_beat_ack(struct replica *replica, const struct replica_event *event)
{
    const struct replica_message *m = event->message;
    struct replica_peer *peer = replica_answering(replica, event);
    if (peer == NULL) return;
    if (m->sent_ms > event->now_ms) return; /* no beat of this process */
    peer->refuses = !m->disk_ok; /* in quarantine it would not answer */
    if (!m->granted) return;
    /* From when the beat was sent: when it came back says nothing of when it was granted. */
    uint64_t from = REPLICA_FAULT(replica, BEAT_BY_ARRIVAL) ? event->now_ms : m->sent_ms;
    replica_raise(&peer->grant_until_ms, from + REPLICA_LEASE_MS);
    replica_raise(&peer->heard_ms, m->sent_ms);
}

uint64_t replica_read_until(const struct replica *replica)
{
    uint64_t until = UINT64_MAX;
    if (replica->role != REPLICA_SERVING || replica->handing_over) return 0;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (REPLICA_FAULT(replica, READ_WITHOUT_GRANT)) continue;
        if (peer->in_max && peer->grant_until_ms < until) until = peer->grant_until_ms;
    }
    return until;
}

/* ---- reading from a copy that does not lead: how far must it have applied? */

static void read_ready(struct replica_actions *actions, uint64_t id, bool granted, uint64_t index)
{
    actions->read_ready = true;
    actions->read_id = id;
    actions->read_granted = granted;
    actions->read_index = index;
}

void replica_on_read(struct replica *replica, const struct replica_event *event,
                     struct replica_actions *actions)
{
    if (replica_leads(replica)) {
        bool granted = event->now_ms < replica_read_until(replica);
        read_ready(actions, event->index, granted, replica->commit_index);
        return;
    }
    if (!replica->has_leader || replica->role == REPLICA_QUARANTINED) {
        actions->refused = err_make(ERR_MOVED, "no leader is known");
        return;
    }
    struct replica_message *m = replica_say(replica, actions, &replica->leader, REPLICA_READ);
    if (m != NULL) m->id = event->index;
}

void replica_on_read_asked(struct replica *replica, const struct replica_event *event,
                           struct replica_actions *actions)
{
    if (!replica_leads(replica) || event->message->epoch != replica->epoch) return;
    struct replica_message *m = replica_say(replica, actions, &event->from, REPLICA_READ_REPLY);
    if (m == NULL) return;
    m->id = event->message->id;
    m->granted = event->now_ms < replica_read_until(replica);
    m->index = replica->commit_index;
}

void replica_on_read_reply(struct replica *replica, const struct replica_event *event,
                           struct replica_actions *actions)
{
    const struct replica_message *m = event->message;
    if (replica->role == REPLICA_QUARANTINED || m->epoch != replica->epoch) return;
    read_ready(actions, m->id, m->granted, m->index);
}

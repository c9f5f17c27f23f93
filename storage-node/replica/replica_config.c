/* The shard's row in the cluster: changes of it, what became of them, and what it says (6.2). */
#include <string.h>

#include "replica_private.h"

/* ---- asking */

void replica_ask_row(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    if (replica->reading && now_ms - replica->read_ms < REPLICA_ASK_MS) return;
    replica->reading = true;
    replica->read_ms = now_ms;
    actions->read_row = true;
}

void replica_cas_start(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    struct replica_cas *cas = &replica->cas;
    cas->revision = replica->config.revision;
    /* Led by force: where this copy stood, for those that come back with more (6.8). */
    if (cas->row.lossy == replica->epoch && replica_leads(replica))
        cas->row.base = replica->epoch_start - 1;
    /* Of this process alone, and of this change: the boot id is random. */
    cas->row.nonce = replica->boot;
    uint64_t number = ++replica->nonces;
    for (unsigned i = 0; i < 6; i++) cas->row.nonce.bytes[15 - i] = (uint8_t)(number >> (8 * i));
    replica->cas_unknown = false;
    replica->cas_ms = now_ms;
    actions->cas = true;
    replica_reckon(replica, now_ms);
}

/* An answer that does not come, and one that says nothing: the row tells. */
void replica_cas_tick(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    if (replica->cas.change == REPLICA_NO_CHANGE) return;
    if (now_ms - replica->cas_ms >= REPLICA_ASK_MS) replica->cas_unknown = true;
    if (replica->cas_unknown) replica_ask_row(replica, now_ms, actions);
}

/* ---- the sets */

static struct replica_peer *peer_need(struct replica *replica, const struct roster_id *sid,
                                      uint64_t now_ms)
{
    struct replica_peer *peer = replica_peer_find(replica, sid);
    if (peer != NULL || roster_id_eq(sid, &replica->sid)) return peer;
    if (replica->peers_count == REPLICA_PEERS_MAX) return NULL;
    peer = &replica->peers[replica->peers_count++];
    memset(peer, 0, sizeof(*peer));
    peer->sid = *sid;
    replica_peer_begin(replica, peer, now_ms);
    return peer;
}

/* Who is in none of the sets is forgotten, so that there is room for who is. */
static void peers_tidy(struct replica *replica)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (peer->in_max || peer->is_placed) replica->peers[kept++] = *peer;
    }
    replica->peers_count = kept;
}

/* Whose change may have been done although its outcome is not known. */
static bool may_join(const struct replica *replica, const struct roster_id *sid)
{
    const struct replica_cas *cas = &replica->cas;
    bool joins = cas->change == REPLICA_EXPAND || cas->change == REPLICA_RETRACT;
    return joins && roster_id_eq(&cas->joins, sid) && !REPLICA_FAULT(replica, LATE_EXPAND);
}

static void peer_mark(struct replica *replica, struct replica_peer *peer)
{
    const struct replica_cas *cas = &replica->cas;
    peer->in_isr = roster_copies_have(&replica->config.row.isr, &peer->sid);
    peer->in_max = peer->in_isr || may_join(replica, &peer->sid);
    peer->is_placed = roster_copies_have(&replica->place.replicas, &peer->sid);
    if (REPLICA_FAULT(replica, EARLY_SHRINK) && cas->change == REPLICA_SHRINK)
        peer->in_max = roster_copies_have(&cas->row.isr, &peer->sid);
}

void replica_reckon(struct replica *replica, uint64_t now_ms)
{
    const struct roster_copies *isr = &replica->config.row.isr;
    const struct roster_copies *placed = &replica->place.replicas;
    if (!replica->is_joined) return;
    for (unsigned i = 0; i < replica->peers_count; i++) peer_mark(replica, &replica->peers[i]);
    peers_tidy(replica);
    for (uint32_t i = 0; i < isr->count + placed->count; i++) {
        bool in_isr = i < isr->count;
        const struct roster_id *sid = in_isr ? &isr->ids[i] : &placed->ids[i - isr->count];
        struct replica_peer *peer = peer_need(replica, sid, now_ms);
        if (peer != NULL) peer_mark(replica, peer);
    }
    replica->isr_size = isr->count;
}

void replica_on_place(struct replica *replica, const struct replica_event *event,
                      struct replica_actions *actions)
{
    if (!replica->is_joined) return;
    replica->place = *event->place;
    if (event->place->min_isr != 0) replica->min_isr = event->place->min_isr;
    replica_reckon(replica, event->now_ms);
    if (replica_leads(replica)) replica_advance(replica, event->now_ms, actions);
}

/* ---- what became of a change */

static void flap(struct replica *replica, uint64_t now_ms)
{
    for (unsigned i = 0; i < replica->peers_count; i++) {
        struct replica_peer *peer = &replica->peers[i];
        bool leaves = peer->in_isr && !roster_copies_have(&replica->cas.row.isr, &peer->sid);
        if (!leaves) continue;
        bool again = peer->delay_ms != 0 && now_ms - peer->back_ms < REPLICA_BACK_MAX_MS;
        peer->delay_ms = again ? peer->delay_ms * 2 : REPLICA_BACK_MS;
        if (peer->delay_ms > REPLICA_BACK_MAX_MS) peer->delay_ms = REPLICA_BACK_MAX_MS;
        peer->back_ms = now_ms + peer->delay_ms;
    }
}

static struct err cas_done(struct replica *replica, uint64_t now_ms,
                           struct replica_actions *actions)
{
    struct replica_cas cas = replica->cas;
    if (cas.change == REPLICA_SHRINK) flap(replica, now_ms);
    replica->cas.change = REPLICA_NO_CHANGE;
    replica->cas_unknown = false;
    if (cas.change == REPLICA_TAKEOVER) {
        if (cas.row.epoch <= replica->accepted_epoch) { /* overtaken */
            replica_set_role(replica, actions, REPLICA_FOLLOWER);
            replica_settle(replica, actions);
            return err_ok();
        }
        return replica_begin(replica, cas.row.epoch, now_ms, actions);
    }
    if (cas.change == REPLICA_TRANSFER) {
        replica_step_down(replica, now_ms, actions);
        return err_ok();
    }
    replica_reckon(replica, now_ms);
    replica_advance(replica, now_ms, actions);
    return err_ok();
}

/* It is certain that it was not, and never will be, done. */
static void cas_lost(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    enum replica_change change = replica->cas.change;
    replica->cas.change = REPLICA_NO_CHANGE;
    replica->cas_unknown = false;
    replica->handing_over = false;
    if (change == REPLICA_TAKEOVER) {
        if (replica->role != REPLICA_CANDIDATE) return;
        replica_set_role(replica, actions, REPLICA_FOLLOWER);
        replica_settle(replica, actions);
        /* Whoever was faster gets the time to be heard. */
        replica_raise(&replica->promise_until_ms, now_ms + REPLICA_PROMISE_MS);
        return;
    }
    replica_reckon(replica, now_ms);
    replica_advance(replica, now_ms, actions);
}

struct err replica_on_cas(struct replica *replica, const struct replica_event *event,
                          struct replica_actions *actions)
{
    struct replica_cas *cas = &replica->cas;
    bool is_mine = roster_id_eq(&cas->row.nonce, &event->nonce);
    if (cas->change == REPLICA_NO_CHANGE || !is_mine || replica->role == REPLICA_QUARANTINED)
        return err_ok();
    if (event->code == ERR_OK) {
        replica->config = (struct replica_config){ event->index, cas->row };
        return cas_done(replica, event->now_ms, actions);
    }
    replica->cas_refused = event->code == ERR_CONFLICT;
    if (REPLICA_FAULT(replica, UNKNOWN_IS_LOST)) {
        cas_lost(replica, event->now_ms, actions);
        return err_ok();
    }
    replica->cas_unknown = true;
    replica->reading = false;
    replica_ask_row(replica, event->now_ms, actions);
    return err_ok();
}

/* ---- what the row says */

/* A newer row, not of one's own making. */
static struct err row_changed(struct replica *replica, uint64_t now_ms,
                              struct replica_actions *actions)
{
    const struct roster_shard *row = &replica->config.row;
    bool mine = row->has_leader && roster_id_eq(&row->leader, &replica->sid) &&
                roster_id_eq(&row->boot, &replica->boot);
    replica_reckon(replica, now_ms);
    if (replica_leads(replica)) {
        replica_advance(replica, now_ms, actions);
        return err_ok();
    }
    replica_settle(replica, actions);
    bool follows = replica->role == REPLICA_FOLLOWER || replica->role == REPLICA_CANDIDATE;
    bool named = row->how == ROSTER_TRANSFER || row->how == ROSTER_FORCED;
    follows = follows && !replica->installing;
    if (mine && follows && named && row->epoch > replica->accepted_epoch)
        return replica_begin(replica, row->epoch, now_ms, actions);
    return err_ok();
}

/* The row is as it was when the change was sent: it may still be done, so the very same is sent
 * again; two of them do no more than one. But for a copy that is no longer what it was when it was
 * to be taken in: an earlier try may be on its way still, so the row is moved on before it is no
 * longer reckoned with (6.2). */
static void cas_again(struct replica *replica, uint64_t now_ms, struct replica_actions *actions)
{
    struct replica_cas *cas = &replica->cas;
    if (cas->change == REPLICA_EXPAND && replica->cas_refused) {
        struct replica_peer *peer = replica_peer_find(replica, &cas->joins);
        if (peer != NULL) peer->back_ms = now_ms + REPLICA_BACK_MS;
        cas->change = REPLICA_RETRACT;
        cas->row = replica->config.row;
        replica_cas_start(replica, now_ms, actions);
        return;
    }
    replica->cas_unknown = false;
    replica->cas_ms = now_ms;
    actions->cas = true;
}

static struct err newer_row(struct replica *replica, const struct replica_config *config,
                            uint64_t now_ms, struct replica_actions *actions)
{
    bool opens = config->row.epoch > replica->config.row.epoch;
    if (REPLICA_FAULT(replica, FORGET_PROMISE) && replica->config.revision == 0) opens = false;
    bool done = replica->cas.change != REPLICA_NO_CHANGE &&
                roster_id_eq(&config->row.nonce, &replica->cas.row.nonce);
    replica->config = *config;
    if (done) return cas_done(replica, now_ms, actions);
    /* First of all: nothing is committed by sets of another epoch. */
    if (replica_leads(replica) && config->row.epoch > replica->epoch)
        replica_step_down(replica, now_ms, actions);
    if (replica->cas.change != REPLICA_NO_CHANGE) cas_lost(replica, now_ms, actions);
    /* Whoever opened this epoch gets the time to be heard. */
    if (opens) replica_raise(&replica->promise_until_ms, now_ms + REPLICA_PROMISE_MS);
    return row_changed(replica, now_ms, actions);
}

struct err replica_on_config(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    const struct replica_config *config = event->config;
    bool is_read = event->kind == REPLICA_EVENT_READ_ROW;
    uint64_t now = event->now_ms;
    if (!replica->is_joined || replica->role == REPLICA_QUARANTINED) return err_ok();
    if (is_read) replica->reading = false;
    if (is_read && event->code != ERR_OK) return err_ok(); /* a tick asks again */
    bool is_newer = config->revision > replica->config.revision; /* I10 */
    if (REPLICA_FAULT(replica, OLD_ROW)) is_newer = config->revision != replica->config.revision;
    if (!is_newer && config->revision != replica->config.revision) return err_ok();
    bool under_way = replica->cas.change != REPLICA_NO_CHANGE;
    if (is_newer) TRY(newer_row(replica, config, now, actions));
    else if (is_read && under_way && replica->cas_unknown) cas_again(replica, now, actions);
    if (is_read && !under_way) replica_take_over(replica, now, actions);
    return err_ok();
}

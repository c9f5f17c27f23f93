/* Copies that lack entries which the leader's log no longer has, and the checkpoints that they get.
 *
 * A checkpoint is a copy of rows, so the fold of committed entries 1..i, whoever made it. A copy
 * that installs one throws away its rows and all of its log: also entries that it has acknowledged,
 * if any of them are behind i. That is safe when no set, now or later, can count on those:
 *
 *   1. The leader of the epoch that this copy has promised said that it is behind: it reckons with
 *      sets that hold that of the row (I6), and tells it only to copies outside of all of them. So
 *      at that moment the row does not name this copy. (behind_epoch == accepted_epoch; a leader of
 *      a later epoch has to say it again: it may have inherited a set that names the copy.)
 *   2. From then on the row can name it only by an EXPAND of that same leader, for entries that
 *      this very process acknowledged in this epoch, and none of them is behind i (acked_index).
 *      Hence BEHIND says which process it means: one that was delayed by a restart says nothing.
 *   3. From the permission until the checkpoint is installed nothing is acknowledged.
 *
 * And i is behind what the copy knows to be committed (I4), so that a checkpoint never takes the
 * place of something newer. Its promise stays (I5): INSTALL does not lower it in the log. */
#include <string.h>

#include "replica_private.h"

uint64_t replica_behind_id(const struct roster_id *boot)
{
    uint64_t id = 0;
    for (unsigned i = 0; i < 8; i++) id = id << 8 | boot->bytes[i];
    return id;
}

/* ---- the leader */

/* The last entry that can't be sent: behind it the log goes on, and its epoch is known. */
static uint64_t needed(const struct replica *replica)
{
    uint64_t index = replica->log_first - 1;
    if (replica->epochs_count > 0) {
        uint64_t known = replica->epochs[0].index;
        if (known > index && known > 1) index = known;
    }
    return index;
}

/* A copy of the set that seems to be behind is not told so: it makes no progress and is taken out
 * of it first. */
void replica_tell_behind(struct replica *replica, struct replica_peer *peer, uint64_t now_ms,
                         struct replica_actions *actions)
{
    bool told = now_ms - peer->sent_ms < REPLICA_RESEND_MS;
    if (told || peer->in_max) return;
    struct replica_message *m = replica_say(replica, actions, &peer->sid, REPLICA_BEHIND);
    if (m == NULL) return;
    m->index = needed(replica);
    m->commit = replica->commit_index;
    m->id = replica_behind_id(&peer->boot);
    peer->sent_ms = now_ms;
}

uint64_t replica_acked(const struct replica *replica)
{
    uint64_t index = UINT64_MAX;
    if (!replica->is_joined) return index;
    /* Whoever follows does not know what the others have; it may lead them next. */
    if (!replica_leads(replica)) return 0;
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (peer->is_behind_log) continue;
        uint64_t has = peer->is_known ? peer->matched : 0;
        if (has < index) index = has;
    }
    return index;
}

/* ---- the copy */

struct err replica_on_behind(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions)
{
    const struct replica_message *m = event->message;
    if (m->index > UINT64_MAX / 2 || m->id != replica_behind_id(&replica->boot)) return err_ok();
    if (!replica_listens(replica, event, actions)) return err_ok();
    if (replica_leads(replica)) return replica_quarantine(replica, actions, ERR_CORRUPT);
    if (replica->installing) return err_ok();
    replica_raise(&replica->told_commit, m->commit);
    bool caught_up = replica->commit_index >= m->index || replica->acked_index >= m->index;
    if (REPLICA_FAULT(replica, BEHIND_IS_CAUGHT_UP)) caught_up = replica->last_index >= m->index;
    if (caught_up) {
        /* What is committed is the same everywhere: the leader goes on from there. */
        replica_raise(&replica->match_index, replica->commit_index);
        if (REPLICA_FAULT(replica, BEHIND_IS_CAUGHT_UP)) replica->match_index = replica->last_index;
        replica_follower_durable(replica, actions);
        return err_ok();
    }
    if (replica->role != REPLICA_LEARNER) return err_ok(); /* its row is old: it will hear */
    replica->behind_epoch = m->epoch;
    actions->fetch = true;
    actions->fetch_from = event->from;
    actions->fetch_index = m->index;
    return err_ok();
}

static struct err may_install(const struct replica *replica, uint64_t epoch, uint64_t index)
{
    if (replica->role == REPLICA_QUARANTINED) return err_make(ERR_CORRUPT, "shard in quarantine");
    if (replica->installing) return err_make(ERR_BUSY, "a checkpoint is being installed");
    if (REPLICA_FAULT(replica, INSTALL_OLDER) && !replica_leads(replica)) return err_ok();
    if (!replica->is_joined || replica->role != REPLICA_LEARNER)
        return err_make(ERR_CONFLICT, "the copy is no learner");
    if (replica->cas.change != REPLICA_NO_CHANGE)
        return err_make(ERR_BUSY, "a change of the shard's row is under way");
    if (index <= replica->commit_index || index < replica->acked_index)
        return err_make(ERR_CONFLICT, "the copy has more than the checkpoint");
    if (epoch == 0 || epoch > replica->accepted_epoch)
        return err_make(ERR_CONFLICT, "the checkpoint is of an epoch that is not known");
    if (replica->behind_epoch == 0 || replica->behind_epoch != replica->accepted_epoch)
        return err_make(ERR_BUSY, "the leader has not said that a checkpoint is needed");
    return err_ok();
}

void replica_on_install(struct replica *replica, const struct replica_event *event,
                        struct replica_actions *actions)
{
    actions->refused = may_install(replica, event->epoch, event->index);
    if (actions->refused.code == ERR_OK) replica->installing = true;
}

struct err replica_on_installed(struct replica *replica, const struct replica_event *event,
                                struct replica_actions *actions)
{
    const struct replica_recovered *found = event->recovered;
    if (!replica->installing) return replica_quarantine(replica, actions, ERR_CORRUPT);
    replica->installing = false;
    if (event->code != ERR_OK) return err_ok();
    if (found->last_index <= replica->commit_index || found->first_index != found->last_index + 1)
        return replica_quarantine(replica, actions, ERR_CORRUPT);
    replica_epochs_set(replica, found);
    replica->durable_index = replica->commit_index = found->last_index;
    replica->apply_index = replica->applied_index = found->last_index;
    replica->log_first = found->first_index;
    replica->match_index = found->last_index; /* committed: the leader has it too */
    replica->behind_epoch = 0;
    replica_settle(replica, actions);
    replica_follower_durable(replica, actions);
    return err_ok();
}

/* The rules that can be seen in one copy, looked at after every step. */
#include "replica_private.h"

/* I6: whoever is in the row's set counts, and I3: so does whoever may be. */
static const char *sets_wrong(const struct replica *replica)
{
    const struct roster_shard *row = &replica->config.row;
    if (row->epoch != replica->epoch) return NULL; /* it is about to hear of it */
    unsigned counted = roster_copies_have(&row->isr, &replica->sid);
    for (unsigned i = 0; i < replica->peers_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (roster_copies_have(&row->isr, &peer->sid)) {
            counted++;
            if (!peer->in_max) return "I6: a member of the set is not reckoned with";
        }
        if (peer->matched > replica->last_index) return "a copy has what was never logged";
    }
    return counted == row->isr.count ? NULL : "I6: a member of the set is not known";
}

const char *replica_wrong(const struct replica *replica)
{
    if (replica->applied_index > replica->apply_index) return "I4: applied and not handed out";
    if (replica->apply_index > replica->commit_index) return "I4: applied and not committed";
    if (replica->commit_index > replica->durable_index) return "I4: committed and not durable";
    if (replica->durable_index > replica->last_index) return "I4: durable and not logged";
    if (replica->last_epoch > replica->accepted_epoch) return "I5: an entry of no promised epoch";
    if (replica->accepted_durable > replica->accepted_epoch) return "I5: promise on disk alone";
    if (!replica->is_joined || !replica_leads(replica)) return NULL;
    if (replica->epoch != replica->accepted_epoch) return "I5: leads an epoch not promised";
    return sets_wrong(replica);
}

/* Which epoch an entry is of: the newest beginnings, ascending. */
#include <string.h>

#include "replica_private.h"

bool replica_epoch_at(const struct replica *replica, uint64_t index, uint64_t *epoch)
{
    if (index > replica->last_index) return false;
    if (index == 0) {
        *epoch = 0;
        return true;
    }
    for (unsigned i = replica->epochs_count; i > 0; i--) {
        if (replica->epochs[i - 1].index > index) continue;
        *epoch = replica->epochs[i - 1].epoch;
        return true;
    }
    return false;
}

void replica_epochs_push(struct replica *replica, uint64_t epoch, uint64_t index)
{
    unsigned count = replica->epochs_count;
    replica->last_epoch = epoch;
    if (count > 0 && replica->epochs[count - 1].epoch == epoch) return;
    if (count == REPLICA_EPOCHS_MAX) {
        memmove(replica->epochs, replica->epochs + 1,
                (REPLICA_EPOCHS_MAX - 1) * sizeof(replica->epochs[0]));
        count--;
    }
    replica->epochs[count] = (struct replica_start){ epoch, index };
    replica->epochs_count = count + 1;
}

void replica_epochs_cut(struct replica *replica, uint64_t epoch, uint64_t index)
{
    while (replica->epochs_count > 0 &&
           replica->epochs[replica->epochs_count - 1].index > index)
        replica->epochs_count--;
    replica->last_index = index;
    replica->last_epoch = epoch;
    if (replica->epochs_count == 0 && index > 0) replica_epochs_push(replica, epoch, index);
}

void replica_epochs_set(struct replica *replica, const struct replica_recovered *found)
{
    replica->epochs_count = found->starts_count;
    memcpy(replica->epochs, found->starts, found->starts_count * sizeof(replica->epochs[0]));
    replica_epochs_cut(replica, found->last_epoch, found->last_index);
}

uint64_t replica_epochs_end(const struct replica *replica, uint64_t index)
{
    for (unsigned i = 0; i < replica->epochs_count; i++) {
        if (replica->epochs[i].index > index) return replica->epochs[i].index - 1;
    }
    return replica->last_index;
}

#include "enroll_step.h"

#include <stddef.h>

bool enroll_wants(const struct enroll_self *self, const struct roster_shard *row,
                  const struct roster_place *place)
{
    if (row == NULL || place == NULL) return false;
    return roster_copies_have(&row->isr, &self->sid) ||
           roster_copies_have(&place->replicas, &self->sid);
}

bool enroll_is_clone(const struct roster_store *row, uint64_t boot) { return row->boot > boot; }

struct err enroll_store(const struct roster_store *old, uint64_t boot,
                        const struct roster_name *node, const struct roster_name *zone,
                        uint64_t capacity_bytes, struct roster_store *ret)
{
    if (old != NULL && old->boot >= boot) {
        return err_make(ERR_CONFLICT, "the cluster knows a later start of this data directory");
    }
    *ret = (struct roster_store){ .node = *node, .zone = *zone, .boot = boot,
                                  .capacity_bytes = capacity_bytes, .state = ROSTER_ACTIVE };
    if (old != NULL && old->state == ROSTER_DRAINING) ret->state = ROSTER_DRAINING;
    return err_ok();
}

bool enroll_may_go_live(const struct enroll_self *self, const struct roster_live *old)
{
    if (old == NULL || roster_id_eq(&old->boot, &self->boot)) return true;
    return old->stores_count == 1 && roster_id_eq(&old->stores[0], &self->sid);
}

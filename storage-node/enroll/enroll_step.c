#include "enroll_step.h"

static uint64_t max_of(uint64_t a, uint64_t b) { return a > b ? a : b; }

static bool is_self(const struct enroll_self *self, const struct roster_shard *row)
{
    return row->has_leader && roster_id_eq(&row->leader, &self->sid) &&
           roster_id_eq(&row->boot, &self->boot);
}

void enroll_step(const struct enroll_self *self, const struct roster_shard *row,
                 const struct enroll_here *here, struct enroll_answer *ret)
{
    *ret = (struct enroll_answer){ .wish = ENROLL_NOTHING };
    bool own = roster_copies_have(&row->isr, &self->sid);
    if (here->led_epoch != 0 && row->epoch > here->led_epoch) {
        /* With one copy nobody but this directory can have opened a later epoch. */
        if (!is_self(self, row)) ret->wish = ENROLL_CLONE;
        return;
    }
    if (here->led_epoch != 0 || !own) return;
    if (!here->is_open) {
        ret->wish = ENROLL_OPEN;
        return;
    }
    if (is_self(self, row) && row->epoch > here->accepted_epoch) {
        ret->wish = ENROLL_LEAD;
        ret->epoch = row->epoch;
        return;
    }
    if (row->isr.count > 1) return; /* others may lead: that is for the copies to find out */
    ret->wish = ENROLL_TAKE_OVER;
    ret->next = (struct roster_shard){
        .epoch = max_of(row->epoch, here->accepted_epoch) + 1,
        .has_leader = true,
        .leader = self->sid,
        .boot = self->boot,
        .how = ROSTER_TAKEOVER,
        .isr = row->isr,
    };
}

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

#include "enroll_park.h"

#include <stddef.h>

static bool row_names(const struct roster_shard *row, const struct roster_id *sid)
{
    return roster_copies_have(&row->isr, sid) ||
           (row->has_leader && roster_id_eq(&row->leader, sid));
}

/* Somebody else has what this copy had. */
static bool is_led_elsewhere(const struct roster_shard *row, uint64_t accepted_epoch)
{
    return row->has_leader && row->isr.count > 0 && row->epoch >= accepted_epoch;
}

enum enroll_park_wish enroll_park_step(struct enroll_park *park,
                                       const struct enroll_park_seen *seen)
{
    const struct roster_shard *row = seen->row, *read = seen->read;
    if (row == NULL || seen->place == NULL) return ENROLL_PARK_NOTHING;
    if (row_names(row, &seen->sid) || roster_copies_have(&seen->place->replicas, &seen->sid)) {
        *park = (struct enroll_park){ false, 0 };
        return ENROLL_PARK_NOTHING;
    }
    if (!park->is_parked) *park = (struct enroll_park){ true, seen->now_ms };
    if (!seen->is_closed) return ENROLL_PARK_CLOSE;
    if (seen->now_ms - park->since_ms < seen->delay_ms) return ENROLL_PARK_NOTHING;
    if (!is_led_elsewhere(row, seen->accepted_epoch)) return ENROLL_PARK_NOTHING;
    if (read == NULL || seen->read_ms < park->since_ms + seen->delay_ms) return ENROLL_PARK_ASK;
    if (row_names(read, &seen->sid)) { /* what was seen is old */
        *park = (struct enroll_park){ false, 0 };
        return ENROLL_PARK_NOTHING;
    }
    return is_led_elsewhere(read, seen->accepted_epoch) ? ENROLL_PARK_DROP : ENROLL_PARK_NOTHING;
}

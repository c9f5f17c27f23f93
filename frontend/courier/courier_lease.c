/* A lease that is kept up while its entry is worked on: at half its time it is asked for again
 * (QueueLease of this id by the same owner), which changes the row's version. When that is refused,
 * or does not come before the lease has run out, the entry is lost: what is under way is given up,
 * and nothing is reported. Entries that need no connections to other servers do without: to deliver
 * into a mailbox of ours twice is to deliver once. */
#include "clock.h"
#include "courier_group_private.h"
#include "courier_private.h"
#include "loop.h"

enum {
    LEASE_LEAST_MS = 2 * 1000, /* with less left, one is asked for before anything is sent */
    LEASE_AGAIN_MS = 1000,
    LEASE_LATE_MS = 100, /* the clocks of both ends and the way count too */
};

static void lease_timer_set(struct courier_entry *entry);

static void lease_lose(struct courier_entry *entry)
{
    timer_stop(&entry->lease.timer);
    entry->lease.is_held = false;
    entry->lease.is_lost = true;
    courier_groups_abort(entry);
}

/* Takes the row's new version. */
static void on_lease_reply(void *holder, struct route_call *call, const void *message)
{
    struct courier_entry *entry = holder;
    const struct store_queue_list_reply *reply = message;
    (void)call;
    if (reply->entries_count != 1) return;
    const struct store_queue_entry *row = &reply->entries[0];
    if (!span_eq(row->id, entry->row.id)) return;
    if (!span_eq(row->lease_owner, courier_owner(entry->courier))) return;
    entry->row.version = row->version;
    entry->lease.is_held = true;
    entry->lease.until_ms = entry->lease.asked_ms + entry->lease.request.lease_ms;
}

static void on_lease_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct courier_entry *entry = holder;
    struct courier_lease *lease = &entry->lease;
    (void)call;
    (void)info;
    lease->call = NULL;
    if (entry->is_finished) {
        courier_entry_finish(entry);
        return;
    }
    bool is_refused = err.code == ERR_CONFLICT || err.code == ERR_NOT_FOUND;
    bool is_late = clock_boot_ms() + LEASE_LATE_MS >= lease->until_ms;
    if (is_refused || is_late || !lease->is_held) {
        lease_lose(entry);
    } else {
        lease_timer_set(entry);
    }
    if (!lease->is_waited_for) return;
    lease->is_waited_for = false;
    flow_next(&entry->flow, lease->is_lost ? err_make(ERR_CONFLICT, "lease") : err_ok());
}

static struct err lease_ask(struct courier_entry *entry)
{
    static const struct route_call_user user = { NULL, on_lease_reply, on_lease_done };
    struct courier_lease *lease = &entry->lease;
    lease->request = (struct store_queue_lease_request){
        .operation_id = courier_operation(lease->operation),
        .owner = courier_owner(entry->courier),
        .lease_ms = entry->courier->options.lease_ms,
        .limit = 1,
        .id = entry->row.id,
        .slot = entry->row.slot,
    };
    lease->asked_ms = clock_boot_ms();
    struct route_call_options options = { .slot = entry->row.slot, .deadline_ms = COURIER_CALL_MS };
    if (lease->is_held) { /* no answer before its end is as good as a refusal */
        uint64_t left = lease->until_ms > lease->asked_ms ? lease->until_ms - lease->asked_ms : 1;
        if (left < options.deadline_ms) options.deadline_ms = left;
    }
    return route_call_start(entry->courier->options.route,
                            store_method_find(STORE_METHOD_QUEUE_LEASE), &lease->request, &options,
                            &user, entry, &lease->call);
}

static void lease_on_timer(void *holder)
{
    struct courier_entry *entry = holder;
    if (clock_boot_ms() >= entry->lease.until_ms) {
        lease_lose(entry);
    } else if (lease_ask(entry).code != ERR_OK) {
        lease_timer_set(entry);
    }
}

/* At half of what is left, but not in a hurry. */
static void lease_timer_set(struct courier_entry *entry)
{
    struct courier_lease *lease = &entry->lease;
    uint64_t now = clock_boot_ms();
    uint64_t left = lease->until_ms > now ? lease->until_ms - now : 0;
    uint64_t wait = left / 2 > LEASE_AGAIN_MS ? left / 2 : left < LEASE_AGAIN_MS ? left
                                                                                   : LEASE_AGAIN_MS;
    timer_start(entry->courier->options.loop, &lease->timer, wait, lease_on_timer, entry);
}

void courier_lease_begin(struct courier_entry *entry)
{
    uint64_t now = clock_wall_ms(), until = entry->row.lease_until_ms;
    if (!span_eq(entry->row.lease_owner, courier_owner(entry->courier))) return;
    if (until < now + LEASE_LEAST_MS) return;
    uint64_t most = entry->courier->options.lease_ms;
    uint64_t left = until - now < most ? until - now : most;
    entry->lease.is_held = true;
    entry->lease.until_ms = clock_boot_ms() + left;
}

void courier_lease_found(struct courier_entry *entry, const struct store_queue_entry *row)
{
    if (row->version <= entry->row.version) return;
    entry->row.version = row->version;
    entry->lease.is_held = true;
    entry->lease.until_ms = clock_boot_ms() + entry->courier->options.lease_ms;
}

void courier_step_lease(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    struct courier_lease *lease = &entry->lease;
    if (entry->courier->stopping || !courier_entry_waits(entry, false)) {
        flow_next(flow, err_ok());
        return;
    }
    if (lease->is_held && lease->until_ms > clock_boot_ms() + LEASE_LEAST_MS) {
        lease_timer_set(entry);
        flow_next(flow, err_ok());
        return;
    }
    lease->is_held = false;
    struct err err = lease_ask(entry);
    if (err.code != ERR_OK) {
        flow_next(flow, err);
        return;
    }
    lease->is_waited_for = true;
}

void courier_step_lease_rest(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    timer_stop(&entry->lease.timer);
    if (entry->lease.call != NULL) { /* the report needs the version that it brings */
        entry->lease.is_waited_for = true;
        return;
    }
    flow_next(flow, courier_is_lost(entry) ? err_make(ERR_CONFLICT, "lease") : err_ok());
}

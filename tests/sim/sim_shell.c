#include "sim_shell.h"

#include <stdlib.h>
#include <string.h>

#include "kv_overlay.h"
#include "replica_private.h"
#include "shard_copy.h"
#include "shard_private.h"
#include "slog.h"

struct err sim_shell_open(const struct sim_shell_place *place, struct kv *kv, struct shard **ret)
{
    struct slog_shard_view view = { 0 };
    uint64_t epoch = 0, applied = 0;
    *ret = NULL;
    TRY(shard_new(place->node, place->number, kv, ret));
    struct shard *shard = *ret;
    shard->slot_first = place->slot_first;
    shard->slot_end = place->slot_end;
    shard->worker = place->worker;
#ifdef REPLICA_FAULTS
    shard->replica.fault = place->fault;
#endif
    if (place->peers != NULL) shard_join(shard, place->peers, &place->sid, &place->boot);
    TRY(kv->calls->applied(kv, false, &epoch, &applied));
    struct err err = slog_shard_get(place->log, place->number, &view);
    if (err.code != ERR_OK && err.code != ERR_NOT_FOUND) return err;
    struct replica_recovered found;
    shard_copy_view(shard, &found);
    found.applied_index = applied;
    if (err.code == ERR_OK && view.first_index > applied + 1 && view.last_index > applied) {
        return err_make(ERR_CORRUPT, "the log begins behind what the shard's rows have");
    }
    TRY(shard_recover(shard, &found));
    if (place->peers != NULL) return err_ok();
    return shard_lead(shard, 0);
}

void sim_shell_drop(struct shard *shard)
{
    if (shard == NULL) return;
    shard->kv = NULL;
    shard_free(shard);
}

void sim_shell_pay(struct shard *shard)
{
    if (shard_owes(shard)) shard_pay(shard);
}

void sim_shell_drop_entry(struct slog_entry *entry)
{
    /* All others are in their shard's list. */
    if (entry->record.type == SLOG_ACCEPT || entry->record.type == SLOG_TRUNC) free(entry);
}

const struct replica *sim_shell_replica(const struct shard *shard) { return &shard->replica; }

bool sim_shell_kept(struct shard *shard, uint64_t now_ms, struct slog_kept *kept)
{
    if (!shard_hold(shard)) return false;
    shard_release(shard);
    kept->acked_index = atomic_load(&shard->acked_index);
    bool pinned = now_ms < atomic_load(&shard->pin_until_ms);
    kept->pinned_from = pinned ? atomic_load(&shard->pin_index) + 1 : 0;
    kept->pinned_bytes = UINT64_MAX;
    return true;
}

void sim_shell_clear_overlay(struct shard *shard) { kv_overlay_clear(shard->overlay); }

unsigned sim_shell_fault(const char *name)
{
    static const struct { const char *name; enum replica_fault fault; } faults[] = {
        { "early-shrink", FAULT_EARLY_SHRINK }, { "late-expand", FAULT_LATE_EXPAND },
        { "no-catchup", FAULT_NO_CATCHUP }, { "no-lease", FAULT_NO_LEASE },
        { "forget-promise", FAULT_FORGET_PROMISE },
        { "grant-in-takeover", FAULT_GRANT_IN_TAKEOVER },
        { "unknown-is-lost", FAULT_UNKNOWN_IS_LOST },
        { "ack-unmatched", FAULT_ACK_UNMATCHED }, { "beat-by-arrival", FAULT_BEAT_BY_ARRIVAL },
        { "read-without-grant", FAULT_READ_WITHOUT_GRANT },
        { "ack-before-sync", FAULT_ACK_BEFORE_SYNC },
        { "ignore-min-isr", FAULT_IGNORE_MIN_ISR }, { "accept-stale", FAULT_ACCEPT_STALE },
        { "install-before-rename", FAULT_INSTALL_EARLY },
        { "install-unlogged", FAULT_INSTALL_UNLOGGED }, { "install-older", FAULT_INSTALL_OLDER },
        { "behind-is-caught-up", FAULT_BEHIND_IS_CAUGHT_UP },
        { "old-row", FAULT_OLD_ROW }, { "reuse-refused", FAULT_REUSE_REFUSED },
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (strcmp(faults[i].name, name) == 0) return faults[i].fault;
    }
    return FAULT_NONE;
}

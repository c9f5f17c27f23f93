#include "sim_shell.h"

#include <stdlib.h>

#include "kv_overlay.h"
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
    TRY(kv->calls->applied(kv, false, &epoch, &applied));
    struct err err = slog_shard_get(place->log, place->number, &view);
    if (err.code != ERR_OK && err.code != ERR_NOT_FOUND) return err;
    const struct replica_recovered found = { .accepted_epoch = view.accepted_epoch,
                                             .last_epoch = view.last_epoch,
                                             .last_index = view.last_index,
                                             .commit_hint = view.commit,
                                             .applied_index = applied };
    if (err.code == ERR_OK && view.first_index > applied + 1 && view.last_index > applied) {
        return err_make(ERR_CORRUPT, "the log begins behind what the shard's rows have");
    }
    TRY(shard_recover(shard, &found));
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
    if (entry->record.type == SLOG_ACCEPT) free(entry);
}

const struct replica *sim_shell_replica(const struct shard *shard) { return &shard->replica; }

void sim_shell_clear_overlay(struct shard *shard) { kv_overlay_clear(shard->overlay); }

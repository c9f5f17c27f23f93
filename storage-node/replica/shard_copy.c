#include "shard_copy.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "shard_private.h"
#include "slog.h"
#include "store_node_private.h"

void shard_join(struct shard *shard, struct shard_peers *peers, const struct roster_id *sid,
                const struct roster_id *boot)
{
    shard->peers = peers;
    replica_join(&shard->replica, sid, boot);
}

void shard_copy_post(struct shard *shard, struct shard_job *job)
{
    CHECK(shard_worker_post(shard->worker, job, true).code == ERR_OK);
}

void shard_copy_event(struct shard *shard, const struct replica_event *event,
                      const struct slog_record *entries)
{
    struct replica_event known = *event;
    struct slog_shard_view view;
    if (event->kind == REPLICA_EVENT_TICK &&
        slog_shard_get(store_node_log(shard->node), shard->number, &view).code == ERR_OK)
        known.index = view.first_index;
    shard_event_entries(shard, &known, entries);
}

uint64_t shard_read_until(const struct shard *shard)
{
    return atomic_load_explicit(&shard->read_until_ms, memory_order_acquire);
}

/* ---- into the log */

void shard_copy_view(struct shard *shard, struct replica_recovered *ret)
{
    uint64_t epochs[REPLICA_EPOCHS_MAX], indexes[REPLICA_EPOCHS_MAX];
    struct slog *log = store_node_log(shard->node);
    struct slog_shard_view view = { .first_index = 1 };
    *ret = (struct replica_recovered){ 0 };
    (void)!slog_shard_get(log, shard->number, &view).code; /* not found: nothing of it */
    ret->accepted_epoch = view.accepted_epoch;
    ret->last_epoch = view.last_epoch;
    ret->last_index = view.last_index;
    ret->commit_hint = view.commit;
    ret->first_index = view.first_index;
    size_t count = slog_epoch_starts(log, shard->number, epochs, indexes, REPLICA_EPOCHS_MAX);
    for (size_t i = 0; i < count; i++) {
        ret->starts[i] = (struct replica_start){ epochs[i], indexes[i] };
    }
    ret->starts_count = (unsigned)count;
}

/* The leader's entry as it is, bytes copied; NULL: no memory. */
static struct shard_entry *entry_of(const struct slog_record *record)
{
    struct shard_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL || record->payload.len == 0) return entry;
    entry->batch.bytes = malloc(record->payload.len);
    if (entry->batch.bytes == NULL) {
        free(entry);
        return NULL;
    }
    memcpy(entry->batch.bytes, record->payload.ptr, record->payload.len);
    entry->batch.len = entry->batch.size = record->payload.len;
    return entry;
}

static void log_record(struct shard *shard, enum slog_type type, uint64_t epoch, uint64_t index)
{
    struct shard_entry *entry = calloc(1, sizeof(*entry));
    if (entry != NULL) entry->log.record.epoch = epoch;
    shard_entry_log(shard, entry, type, index);
}

void shard_copy_log(struct shard *shard, const struct replica_actions *actions,
                    const struct replica_message *append, const struct slog_record *entries)
{
    if (actions->log_accept) log_record(shard, SLOG_ACCEPT, actions->epoch, 0);
    if (actions->log_trunc) {
        shard_entries_cut(shard, actions->trunc_index);
        log_record(shard, SLOG_TRUNC, actions->trunc_epoch, actions->trunc_index);
    }
    if (actions->log_epoch) log_record(shard, SLOG_EPOCH, actions->epoch, actions->epoch_index);
    if (actions->append_index == 0) return;
    for (unsigned i = 0; i < append->count; i++) {
        uint64_t index = append->index + 1 + i;
        if (index < actions->append_index) continue;
        struct shard_entry *entry = entry_of(&entries[i]);
        if (entry != NULL) {
            entry->log.record.epoch = append->entry_epoch;
            entry->log.record.time_ms = entries[i].time_ms;
        }
        shard_entry_log(shard, entry, entries[i].type, index);
    }
}

/* ---- out */

/* Entries for one message: those on their way from memory, others read back from the log. */
struct gathered {
    struct slog_record records[REPLICA_APPEND_MAX];
    struct slog_room rooms[REPLICA_APPEND_MAX];
    unsigned count;
    size_t bytes;
};

static void gather(struct shard *shard, const struct replica_message *m, struct gathered *into)
{
    const struct shard_entry *entry = shard->first;
    memset(into->rooms, 0, m->count * sizeof(into->rooms[0]));
    into->bytes = into->count = 0;
    for (unsigned i = 0; i < m->count && into->bytes < SHARD_SEND_MAX_BYTES; i++) {
        struct slog_record *record = &into->records[i];
        uint64_t index = m->index + 1 + i;
        while (entry != NULL && entry->log.record.index < index) entry = entry->next;
        if (entry != NULL && entry->log.record.index == index) {
            *record = entry->log.record;
        } else if (slog_read(store_node_log(shard->node), shard->number, index, &into->rooms[i],
                             record).code != ERR_OK) {
            return; /* it is no longer there: the next tick knows */
        }
        into->bytes += record->payload.len;
        into->count++;
    }
}

static void send(struct shard *shard, const struct replica_send *send)
{
    struct shard_peers *peers = shard->peers;
    struct replica_message m = send->message;
    struct gathered gathered;
    unsigned wanted = m.count;
    if (m.count == 0) {
        (void)peers->calls->send(peers, shard, &send->to, &m, NULL);
        return;
    }
    gather(shard, &m, &gathered);
    m.count = gathered.count;
    bool sent = m.count > 0 && peers->calls->send(peers, shard, &send->to, &m, gathered.records);
    if (!sent) m.count = 0;
    if (m.count < wanted) replica_not_sent(&shard->replica, &send->to, m.index + m.count + 1);
    for (unsigned i = 0; i < wanted; i++) slog_room_free(&gathered.rooms[i]);
}

void shard_copy_tell(struct shard *shard, const struct replica_actions *actions)
{
    struct shard_peers *peers = shard->peers;
    for (unsigned i = 0; i < actions->sends_count; i++) {
        const struct replica_message *m = &actions->sends[i].message;
        /* The log refuses just now: what it does not have, nobody is sent (I2). */
        bool refused = shard->refusing.code != ERR_OK && m->count > 0;
        if (refused) replica_not_sent(&shard->replica, &actions->sends[i].to, m->index + 1);
        else send(shard, &actions->sends[i]);
    }
    if (actions->cas) peers->calls->cas(peers, shard, &shard->replica.cas);
    if (actions->read_row) peers->calls->read_row(peers, shard);
    if (actions->fetch && peers->calls->behind != NULL)
        peers->calls->behind(peers, shard, &actions->fetch_from, actions->fetch_index);
    if (actions->read_ready) {
        peers->calls->read_ready(peers, shard, actions->read_id, actions->read_granted,
                                 actions->read_index);
    }
}

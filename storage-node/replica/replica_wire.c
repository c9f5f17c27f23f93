/* A call from storage node to storage node: `rpc Tell` of proto/replica.proto.
 *
 *   head  TellRequest, protobuf: who speaks, who is meant, and a Note for each message of a copy,
 *         of any number of shards in any order
 *   data  raw: the payloads of all entries of all notes, one behind the other, in the order of the
 *         notes and, within a note, of the indexes; as many bytes as the entries' heads say
 *
 *   Note       kind  fields that count (the others are 0)
 *   APPEND      1    epoch, index, index_epoch (of the entry before), commit; with entries:
 *                    entry_epoch, and the entries, which are index + 1, index + 2, ...
 *   ACK         2    epoch, index, applied
 *   REJECT      3    epoch, reason (1 stale, 2 gap, 3 in quarantine), index; gap: starts
 *   BEAT        4    epoch, commit, sent_ms
 *   BEAT_ACK    5    epoch, sent_ms, granted, disk_ok
 *   READ        6    epoch, id
 *   READ_REPLY  7    epoch, id, granted, index
 *   BEHIND      8    epoch, id, index, commit
 *
 * Ids are 16 bytes. An entry is a batch of changes (kv.h), or the first of its epoch: that one has
 * no bytes, is alone in its APPEND and begins `entry_epoch`. Within a gap, starts rise in epoch and
 * index. Indexes and epochs stay below 2^63, so that sums of them do not wrap. What breaks a rule
 * makes the whole call ERR_SYNTAX: no copy has heard any of it. */
#include "replica_wire.h"

#include <string.h>

#include "replica_msg.h"
#include "slog_format.h"

static const uint64_t NUMBER_MAX = UINT64_MAX / 2;

/* ---- writing */

static struct span id_span(const struct roster_id *id)
{
    return span_of(id->bytes, sizeof(id->bytes));
}

static struct err entries_put(const struct replica_note *note, struct arena *arena,
                              struct peer_note *to)
{
    unsigned count = note->message.count;
    if (count == 0) return err_ok();
    to->entries = arena_alloc(arena, count * sizeof(*to->entries));
    if (to->entries == NULL) return err_make(ERR_NOMEM, "entries of a call");
    to->entries_count = count;
    for (unsigned i = 0; i < count; i++) {
        const struct slog_record *entry = &note->entries[i];
        to->entries[i] = (struct peer_entry){ .epoch_entry = entry->type == SLOG_EPOCH,
                                              .time_ms = entry->time_ms,
                                              .bytes = (uint32_t)entry->payload.len };
    }
    return err_ok();
}

static struct err starts_put(const struct replica_message *m, struct arena *arena,
                             struct peer_note *to)
{
    if (m->starts_count == 0) return err_ok();
    to->starts = arena_alloc(arena, m->starts_count * sizeof(*to->starts));
    if (to->starts == NULL) return err_make(ERR_NOMEM, "epochs of a call");
    to->starts_count = m->starts_count;
    for (unsigned i = 0; i < m->starts_count; i++)
        to->starts[i] = (struct peer_start){ m->starts[i].epoch, m->starts[i].index };
    return err_ok();
}

static struct err note_put(const struct replica_note *note, struct arena *arena,
                           struct peer_note *to)
{
    const struct replica_message *m = &note->message;
    *to = (struct peer_note){
        .shard = note->shard, .kind = m->kind, .reason = m->reason, .epoch = m->epoch,
        .index = m->index, .index_epoch = m->index_epoch, .entry_epoch = m->entry_epoch,
        .commit = m->commit, .applied = m->applied, .sent_ms = m->sent_ms, .id = m->id,
        .granted = m->granted, .disk_ok = m->disk_ok,
    };
    TRY(starts_put(m, arena, to));
    return entries_put(note, arena, to);
}

size_t replica_wire_data(const struct replica_call *call)
{
    size_t bytes = 0;
    for (size_t i = 0; i < call->notes_count; i++) {
        const struct replica_note *note = &call->notes[i];
        for (unsigned k = 0; k < note->message.count; k++) bytes += note->entries[k].payload.len;
    }
    return bytes;
}

struct err replica_wire_make(const struct replica_call *call, struct arena *arena,
                             struct peer_tell_request *ret)
{
    struct peer_tell_request request = { .store = id_span(&call->store),
                                         .boot = id_span(&call->boot),
                                         .to = id_span(&call->to) };
    size_t entries = 0;
    if (call->notes_count > REPLICA_NOTES_MAX) return err_make(ERR_TOO_BIG, "notes of a call");
    for (size_t i = 0; i < call->notes_count; i++) entries += call->notes[i].message.count;
    if (entries > REPLICA_CALL_ENTRIES_MAX) return err_make(ERR_TOO_BIG, "entries of a call");
    if (replica_wire_data(call) > REPLICA_CALL_DATA_MAX_BYTES)
        return err_make(ERR_TOO_BIG, "bytes of a call's entries");
    request.notes_count = call->notes_count;
    if (call->notes_count > 0) {
        request.notes = arena_alloc(arena, call->notes_count * sizeof(*request.notes));
        if (request.notes == NULL) return err_make(ERR_NOMEM, "notes of a call");
    }
    for (size_t i = 0; i < call->notes_count; i++)
        TRY(note_put(&call->notes[i], arena, &request.notes[i]));
    *ret = request;
    return err_ok();
}

struct err replica_wire_put(const struct replica_call *call, struct arena *arena,
                            struct span *head)
{
    struct peer_tell_request request;
    struct span bytes;
    TRY(replica_wire_make(call, arena, &request));
    TRY(proto_pack(&peer_tell_request_type, &request, arena, &bytes));
    if (bytes.len > REPLICA_CALL_HEAD_MAX_BYTES) return err_make(ERR_TOO_BIG, "notes of a call");
    *head = bytes;
    return err_ok();
}

/* ---- reading */

static struct err bad(const char *what) { return err_make(ERR_SYNTAX, what); }

static bool id_take(struct span bytes, struct roster_id *ret)
{
    if (bytes.len != sizeof(ret->bytes)) return false;
    memcpy(ret->bytes, bytes.ptr, sizeof(ret->bytes));
    return true;
}

static bool numbers_are_sound(const struct peer_note *from)
{
    return from->epoch <= NUMBER_MAX && from->index <= NUMBER_MAX &&
           from->index_epoch <= from->epoch && from->entry_epoch <= from->epoch &&
           from->commit <= NUMBER_MAX && from->applied <= NUMBER_MAX;
}

static struct err starts_take(const struct peer_note *from, struct replica_message *m)
{
    uint64_t epoch = 0, index = 0;
    if (from->starts_count > REPLICA_STARTS_MAX) return bad("epochs of a gap: too many");
    if (from->starts_count > 0 && from->reason != REPLICA_GAP) return bad("epochs without a gap");
    m->starts_count = (unsigned)from->starts_count;
    for (unsigned i = 0; i < m->starts_count; i++) {
        m->starts[i] = (struct replica_start){ from->starts[i].epoch, from->starts[i].index };
        if (m->starts[i].epoch <= epoch || m->starts[i].index <= index ||
            m->starts[i].epoch > NUMBER_MAX || m->starts[i].index > from->index)
            return bad("epochs of a gap: out of order");
        epoch = m->starts[i].epoch;
        index = m->starts[i].index;
    }
    return err_ok();
}

static struct err entries_take(const struct peer_note *from, struct span *data,
                               struct arena *arena, struct replica_note *to)
{
    size_t count = from->entries_count;
    bool is_append = from->kind == REPLICA_APPEND;
    if (count > REPLICA_APPEND_MAX) return bad("entries of a note: too many");
    if (count > 0 && !is_append) return bad("entries of what is no APPEND");
    if ((count > 0) != (from->entry_epoch != 0)) return bad("epoch of entries");
    if (is_append && (from->index == 0) != (from->index_epoch == 0)) return bad("entry before");
    if (is_append && count > 0 && from->entry_epoch < from->index_epoch)
        return bad("epoch of entries: falls");
    if (count == 0) return err_ok();
    struct slog_record *entries = arena_alloc(arena, count * sizeof(*entries));
    if (entries == NULL) return bad("a call of more than its memory");
    for (size_t i = 0; i < count; i++) {
        const struct peer_entry *head = &from->entries[i];
        bool first = head->epoch_entry == 1;
        if (head->epoch_entry > 1 || (first && head->bytes > 0)) return bad("kind of an entry");
        /* An epoch begins with it, and nothing else does. */
        if (first != (i == 0 && from->entry_epoch != from->index_epoch))
            return bad("first entry of an epoch");
        if (head->bytes > SLOG_PAYLOAD_MAX_BYTES) return bad("bytes of an entry: too many");
        if (head->bytes > data->len) return bad("bytes of an entry: missing");
        entries[i] = (struct slog_record){
            .type = first ? SLOG_EPOCH : SLOG_DATA, .shard = from->shard,
            .epoch = from->entry_epoch, .index = from->index + 1 + i, .time_ms = head->time_ms,
            .payload = span_head(*data, head->bytes),
        };
        *data = span_skip(*data, head->bytes);
    }
    to->entries = entries;
    to->message.count = (unsigned)count;
    return err_ok();
}

static struct err note_take(const struct peer_note *from, struct span *data, struct arena *arena,
                            struct replica_note *to)
{
    struct replica_message *m = &to->message;
    bool is_reject = from->kind == REPLICA_REJECT;
    if (from->kind == 0 || from->kind > REPLICA_MESSAGE_KINDS) return bad("kind of a note");
    if (is_reject != (from->reason != 0) || from->reason > REPLICA_IN_QUARANTINE)
        return bad("reason of a note");
    if (from->shard >= ROSTER_SHARDS_MAX) return bad("shard of a note");
    if (!numbers_are_sound(from)) return bad("epoch or index of a note");
    *to = (struct replica_note){ .shard = from->shard };
    *m = (struct replica_message){
        .kind = (enum replica_message_kind)from->kind,
        .reason = (enum replica_reason)from->reason, .epoch = from->epoch, .index = from->index,
        .index_epoch = from->index_epoch, .entry_epoch = from->entry_epoch,
        .commit = from->commit, .applied = from->applied, .sent_ms = from->sent_ms,
        .id = from->id, .granted = from->granted, .disk_ok = from->disk_ok,
    };
    TRY(starts_take(from, m));
    return entries_take(from, data, arena, to);
}

struct err replica_wire_read(const struct peer_tell_request *request, struct span data,
                             struct arena *arena, struct replica_call *ret)
{
    struct replica_call call = { .notes = NULL };
    if (data.len > REPLICA_CALL_DATA_MAX_BYTES) return bad("entries of a call: too long");
    if (!id_take(request->store, &call.store) || !id_take(request->boot, &call.boot) ||
        !id_take(request->to, &call.to))
        return bad("id of a call");
    if (request->notes_count > REPLICA_NOTES_MAX) return bad("notes of a call: too many");
    struct replica_note *notes = NULL;
    if (request->notes_count > 0) {
        notes = arena_alloc(arena, request->notes_count * sizeof(*notes));
        if (notes == NULL) return bad("a call of more than its memory");
    }
    for (size_t i = 0; i < request->notes_count; i++)
        TRY(note_take(&request->notes[i], &data, arena, &notes[i]));
    if (data.len > 0) return bad("bytes of no entry");
    call.notes = notes;
    call.notes_count = request->notes_count;
    *ret = call;
    return err_ok();
}

struct err replica_wire_take(struct span head, struct span data, struct arena *arena,
                             struct replica_call *ret)
{
    struct peer_tell_request request;
    if (head.len > REPLICA_CALL_HEAD_MAX_BYTES) return bad("a call: too long");
    TRY(proto_unpack(&peer_tell_request_type, head, arena, &request));
    return replica_wire_read(&request, data, arena, ret);
}

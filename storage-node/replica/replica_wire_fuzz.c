/* Calls between storage nodes from any bytes: `u16 LE length of the head | head | data`. What is
 * read says the same when it is written and read again, and each entry's bytes lie in the data. */
#include <stdint.h>

#include "check.h"
#include "replica_wire.h"
#include "slog_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 4 * 1024 * 1024 };

static void check_same(const struct replica_note *a, const struct replica_note *b)
{
    const struct replica_message *m = &a->message, *n = &b->message;
    CHECK(a->shard == b->shard && m->kind == n->kind && m->reason == n->reason);
    CHECK(m->epoch == n->epoch && m->index == n->index && m->index_epoch == n->index_epoch);
    CHECK(m->entry_epoch == n->entry_epoch && m->commit == n->commit && m->applied == n->applied);
    CHECK(m->sent_ms == n->sent_ms && m->id == n->id && m->granted == n->granted);
    CHECK(m->disk_ok == n->disk_ok && m->count == n->count && m->starts_count == n->starts_count);
    for (unsigned i = 0; i < m->starts_count; i++) {
        CHECK(m->starts[i].epoch == n->starts[i].epoch && m->starts[i].epoch > 0);
        CHECK(m->starts[i].index == n->starts[i].index && m->starts[i].index <= m->index);
    }
    for (unsigned i = 0; i < a->message.count; i++) {
        CHECK(a->entries[i].type == b->entries[i].type);
        CHECK(a->entries[i].epoch == b->entries[i].epoch);
        CHECK(a->entries[i].index == b->entries[i].index);
        CHECK(a->entries[i].time_ms == b->entries[i].time_ms);
        CHECK(span_eq(a->entries[i].payload, b->entries[i].payload));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct replica_call call, again;
    if (size < 2) return 0;
    struct span rest = span_of(data + 2, size - 2), head, packed;
    head = span_head(rest, (size_t)data[0] | (size_t)data[1] << 8);
    struct span bytes = span_skip(rest, head.len);
    arena_init(&arena, ARENA_BYTES);
    if (replica_wire_take(head, bytes, &arena, &call).code == ERR_OK) {
        CHECK(replica_wire_data(&call) == bytes.len);
        CHECK(replica_wire_put(&call, &arena, &packed).code == ERR_OK);
        CHECK(replica_wire_take(packed, bytes, &arena, &again).code == ERR_OK);
        CHECK(again.notes_count == call.notes_count);
        CHECK(roster_id_eq(&again.store, &call.store) && roster_id_eq(&again.boot, &call.boot));
        CHECK(roster_id_eq(&again.to, &call.to));
        for (size_t i = 0; i < call.notes_count; i++) check_same(&call.notes[i], &again.notes[i]);
    }
    arena_clear(&arena);
    return 0;
}

// Calls between storage nodes: what is put is what is taken, whatever is cut or turned; and what
// breaks a rule is refused whole.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "replica_msg.h"
#include "replica_wire.h"
#include "slog_format.h"

namespace {

struct Arena {
    Arena() { arena_init(&arena, 32 << 20); }
    ~Arena() { arena_clear(&arena); }
    struct arena arena;
};

roster_id Id(char c)
{
    roster_id id;
    memset(id.bytes, c, sizeof(id.bytes));
    return id;
}

struct Built {
    std::vector<slog_record> entries;
    std::vector<replica_note> notes;
    replica_call call{Id('s'), Id('b'), Id('t'), nullptr, 0};
    std::string data;
    void Finish()
    {
        call.notes = notes.data();
        call.notes_count = notes.size();
        for (auto &e : entries) data.append(e.payload.len ? e.payload.ptr : "", e.payload.len);
    }
};

slog_record Entry(slog_type type, uint64_t index, uint64_t epoch, span payload)
{
    slog_record r{};
    r.type = type;
    r.shard = 5;
    r.index = index;
    r.epoch = epoch;
    r.time_ms = 1000 + index;
    r.payload = payload;
    return r;
}

// A note of each kind, one of them with entries.
void Make(Built *b)
{
    b->entries = {Entry(SLOG_EPOCH, 8, 4, SPAN("")), Entry(SLOG_DATA, 9, 4, SPAN("first")),
                  Entry(SLOG_DATA, 10, 4, SPAN(""))};
    for (unsigned kind = 1; kind <= REPLICA_MESSAGE_KINDS; kind++) {
        replica_note note{};
        note.shard = 5;
        note.message.kind = replica_message_kind(kind);
        note.message.epoch = 4;
        b->notes.push_back(note);
    }
    replica_message &append = b->notes[0].message, &gap = b->notes[2].message;
    append.index = 7;
    append.index_epoch = 3;
    append.entry_epoch = 4;
    append.commit = 6;
    append.count = 3;
    b->notes[0].entries = b->entries.data();
    gap.reason = REPLICA_GAP;
    gap.index = 40;
    gap.starts_count = 2;
    gap.starts[0] = {1, 1};
    gap.starts[1] = {3, 17};
    b->notes[4].message.granted = b->notes[4].message.disk_ok = true;
    b->notes[4].message.sent_ms = 99;
    b->Finish();
}

TEST(ReplicaWire, WhatIsPutIsTaken)
{
    Built b;
    Make(&b);
    Arena a;
    span head;
    replica_call got;
    ASSERT_EQ(ERR_OK, replica_wire_put(&b.call, &a.arena, &head).code);
    span data = span_of(b.data.data(), b.data.size());
    ASSERT_EQ(b.data.size(), replica_wire_data(&b.call));
    ASSERT_EQ(ERR_OK, replica_wire_take(head, data, &a.arena, &got).code);
    ASSERT_EQ(b.notes.size(), got.notes_count);
    EXPECT_TRUE(roster_id_eq(&b.call.to, &got.to));
    EXPECT_TRUE(roster_id_eq(&b.call.boot, &got.boot));
    const replica_note &append = got.notes[0];
    ASSERT_EQ(3u, append.message.count);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(b.entries[i].type, append.entries[i].type);
        EXPECT_EQ(b.entries[i].index, append.entries[i].index);
        EXPECT_EQ(b.entries[i].time_ms, append.entries[i].time_ms);
        EXPECT_TRUE(span_eq(b.entries[i].payload, append.entries[i].payload));
    }
    EXPECT_EQ(17u, got.notes[2].message.starts[1].index);
    EXPECT_TRUE(got.notes[4].message.granted && got.notes[4].message.disk_ok);
    EXPECT_EQ(99u, got.notes[4].message.sent_ms);
    // Cut anywhere it is refused, or says less; nothing is read beyond its end.
    for (size_t cut = 0; cut < head.len; cut++) {
        std::string less(head.ptr, cut);
        (void)!replica_wire_take(span_of(less.data(), less.size()), data, &a.arena, &got).code;
    }
    for (size_t cut = 0; cut < data.len; cut++) {
        EXPECT_EQ(ERR_SYNTAX, replica_wire_take(head, span_head(data, cut), &a.arena, &got).code);
    }
}

TEST(ReplicaWire, WhatBreaksARuleIsRefused)
{
    using Spoil = std::function<void(peer_tell_request &)>;
    const struct { const char *name; Spoil spoil; } cases[] = {
        {"id of a store", [](auto &r) { r.store.len--; }},
        {"no id of who is meant", [](auto &r) { r.to.len = 0; }},
        {"kind 0", [](auto &r) { r.notes[1].kind = 0; }},
        {"unknown kind", [](auto &r) { r.notes[1].kind = REPLICA_MESSAGE_KINDS + 1; }},
        {"reject without a reason", [](auto &r) { r.notes[2].reason = 0; }},
        {"unknown reason", [](auto &r) { r.notes[2].reason = 4; }},
        {"reason of an ack", [](auto &r) { r.notes[1].reason = 1; }},
        {"shard", [](auto &r) { r.notes[1].shard = ROSTER_SHARDS_MAX; }},
        {"index wraps", [](auto &r) { r.notes[1].index = UINT64_MAX; }},
        {"entry before of a later epoch", [](auto &r) { r.notes[0].index_epoch = 5; }},
        {"entries of a later epoch", [](auto &r) { r.notes[0].entry_epoch = 5; }},
        {"entries of an earlier epoch", [](auto &r) { r.notes[0].entry_epoch = 2; }},
        {"entries without epoch", [](auto &r) { r.notes[0].entry_epoch = 0; }},
        {"no entry before", [](auto &r) { r.notes[0].index = 0; }},
        {"entries of an ack", [](auto &r) { r.notes[0].kind = REPLICA_ACK; }},
        {"epoch's first entry missing", [](auto &r) { r.notes[0].entries[0].epoch_entry = 0; }},
        {"epoch's first entry twice", [](auto &r) { r.notes[0].entries[2].epoch_entry = 1; }},
        {"kind of an entry", [](auto &r) { r.notes[0].entries[1].epoch_entry = 2; }},
        {"fewer bytes", [](auto &r) { r.notes[0].entries[1].bytes--; }},
        {"more bytes", [](auto &r) { r.notes[0].entries[1].bytes++; }},
        {"too many bytes", [](auto &r) { r.notes[0].entries[1].bytes = UINT32_MAX; }},
        {"gap's epochs fall", [](auto &r) { r.notes[2].starts[1].epoch = 1; }},
        {"gap's epochs are one", [](auto &r) { r.notes[2].starts[1].index = 1; }},
        {"gap's epoch behind it", [](auto &r) { r.notes[2].starts[1].index = 41; }},
        {"gap's epoch 0", [](auto &r) { r.notes[2].starts[0].epoch = 0; }},
        {"epochs without a gap", [](auto &r) { r.notes[2].reason = REPLICA_STALE; }},
    };
    for (auto &c : cases) {
        Built b;
        Make(&b);
        Arena a;
        span head;
        peer_tell_request request;
        replica_call got;
        ASSERT_EQ(ERR_OK, replica_wire_put(&b.call, &a.arena, &head).code);
        ASSERT_EQ(ERR_OK, proto_unpack(&peer_tell_request_type, head, &a.arena, &request).code);
        c.spoil(request);
        ASSERT_EQ(ERR_OK, proto_pack(&peer_tell_request_type, &request, &a.arena, &head).code);
        span data = span_of(b.data.data(), b.data.size());
        EXPECT_EQ(ERR_SYNTAX, replica_wire_take(head, data, &a.arena, &got).code) << c.name;
    }
}

TEST(ReplicaWire, LimitsHoldForWhoWritesToo)
{
    Arena a;
    span head;
    Built many;
    many.notes.resize(REPLICA_NOTES_MAX + 1);
    many.Finish();
    EXPECT_EQ(ERR_TOO_BIG, replica_wire_put(&many.call, &a.arena, &head).code);
    Built big;
    std::string payload(SLOG_PAYLOAD_MAX_BYTES, 'x');
    span bytes = span_of(payload.data(), payload.size());
    big.entries = {Entry(SLOG_DATA, 1, 1, bytes), Entry(SLOG_DATA, 2, 1, bytes)};
    big.notes.resize(1);
    big.notes[0].entries = big.entries.data();
    big.notes[0].message.count = 2;
    big.call.notes = big.notes.data();
    big.call.notes_count = 1;
    EXPECT_EQ(ERR_TOO_BIG, replica_wire_put(&big.call, &a.arena, &head).code);
}

}  // namespace

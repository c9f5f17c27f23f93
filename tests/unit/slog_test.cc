// The log: format, order, segments, deleting, reading back, space, damage.
#include <algorithm>

#include "hash.h"
#include "slog_log.h"

namespace {

std::string Whole(const Group &records, uint64_t lsn = 8192, const uint8_t *store_id = kStoreId)
{
    std::string bytes(1 << 20, 'x');
    slog_group group = {};
    memcpy(group.store_id, store_id, 16);
    group.lsn = lsn;
    group.previous_crc = 77;
    group.used_bytes = SLOG_GROUP_HEAD_BYTES;
    for (const auto &r : records) {
        slog_record record = {r.type, r.shard, r.epoch, r.index, 9, {r.payload.data(), r.payload.size()}};
        slog_record_put(&bytes[group.used_bytes], &record);
        group.used_bytes += (uint32_t)slog_record_bytes(r.payload.size());
    }
    slog_group_seal(bytes.data(), &group);
    bytes.resize(group.bytes);
    return bytes;
}

err CheckGroup(const std::string &bytes, slog_group *group)
{
    auto in = span_of(bytes.data(), bytes.size());
    auto err = slog_group_take(in, group);
    return err.code != ERR_OK ? err : slog_group_check(in, group);
}

TEST(SlogFormat, BytesAreAsDescribed)
{
    char bytes[SLOG_RECORD_HEAD_BYTES + 3];
    slog_record record = {SLOG_DATA, 0x01020304, 0x1112131415161718, 0x2122232425262728, 0x3132333435363738, {"abc", 3}};
    slog_record_put(bytes, &record);
    const std::string expected("\x03\x00\x00\xa7" "????" "\x01\x01\x00\x00" "\x04\x03\x02\x01"
                               "\x18\x17\x16\x15\x14\x13\x12\x11" "\x28\x27\x26\x25\x24\x23\x22\x21"
                               "\x38\x37\x36\x35\x34\x33\x32\x31" "abc", 43);
    std::string got(bytes, sizeof(bytes));
    uint32_t crc = hash_crc32c(hash_crc32c(0, span_of(bytes, 4)), span_of(bytes + 8, 35));
    for (int i = 0; i < 4; i++) EXPECT_EQ((char)(crc >> (8 * i)), got[4 + (size_t)i]);
    got.replace(4, 4, "????");
    EXPECT_EQ(expected, got);
}

TEST(SlogFormat, GroupsComeBack)
{
    Group records = {{SLOG_DATA, 1, 2, 3, "hello"}, {SLOG_TRUNC, 9, 1, 1, ""}, {SLOG_EPOCH, 1, 3, 4, std::string(9000, 'e')}};
    auto bytes = Whole(records);
    slog_group group;
    ASSERT_EQ(ERR_OK, CheckGroup(bytes, &group).code);
    EXPECT_EQ(8192u, group.lsn);
    EXPECT_EQ(3u, group.records);
    EXPECT_EQ(77u, group.previous_crc);
    EXPECT_EQ(12288u, group.bytes);
    auto rest = span_skip(span_of(bytes.data(), group.used_bytes), SLOG_GROUP_HEAD_BYTES);
    for (const auto &r : records) {
        slog_record record;
        ASSERT_EQ(ERR_OK, slog_record_take(&rest, &record).code);
        EXPECT_EQ(r.type, record.type);
        EXPECT_EQ(r.payload, std::string(record.payload.ptr, record.payload.len));
    }
    EXPECT_EQ(0u, rest.len);
}

TEST(SlogFormat, EveryFlippedBitAndEveryCutIsSeen)
{
    const auto good = Whole({{SLOG_DATA, 1, 2, 3, "hello"}, {SLOG_COMMIT, 1, 0, 3, ""}});
    slog_group group;
    ASSERT_EQ(ERR_OK, CheckGroup(good, &group).code);
    const size_t used = group.used_bytes;
    for (size_t bit = 0; bit < used * 8; bit++) {
        auto bad = good;
        bad[bit / 8] = (char)(bad[bit / 8] ^ (1 << bit % 8));
        EXPECT_EQ(ERR_CORRUPT, CheckGroup(bad, &group).code) << bit;
    }
    for (size_t len = 0; len < used; len++) EXPECT_EQ(ERR_CORRUPT, CheckGroup(good.substr(0, len), &group).code) << len;
}

TEST(SlogFormat, WhatIsNewerIsNotCalledDamaged)
{
    const struct { size_t at; char value; } cases[] = {{8, 2}, {8, 0}, {9, 10}, {9, 0}, {10, 1}, {11, 1}};
    for (const auto &c : cases) {
        char bytes[SLOG_RECORD_HEAD_BYTES];
        slog_record record = {SLOG_ACCEPT, 1, 2, 0, 0, {nullptr, 0}}, read;
        slog_record_put(bytes, &record);
        bytes[c.at] = c.value;
        auto in = span_of(bytes, sizeof(bytes));
        EXPECT_EQ(ERR_CORRUPT, slog_record_take(&in, &read).code) << c.at;
        uint32_t crc = hash_crc32c(hash_crc32c(0, span_of(bytes, 4)), span_of(bytes + 8, 32));
        for (int i = 0; i < 4; i++) bytes[4 + i] = (char)(crc >> (8 * i));
        EXPECT_EQ(ERR_UNSUPPORTED, slog_record_take(&in, &read).code) << c.at;
    }
}

TEST(SlogFormat, BadStatesAreRefused)
{
    const slog_state good = {3, 5, 2, 4, 9, 7};
    const struct { const char *what; slog_state a, b; } cases[] = {
        {"order", {4, 5, 2, 4, 9, 7}, good}, {"twice", good, good}, {"first 0", good, {4, 5, 0, 4, 9, 7}},
        {"first past the end", good, {4, 5, 11, 4, 9, 7}}, {"commit past the end", good, {4, 5, 2, 4, 9, 10}},
        {"epoch not accepted", good, {4, 3, 2, 4, 9, 7}}, {"no next index", good, {4, 5, 2, 4, UINT64_MAX, 7}}};
    for (const auto &c : cases) {
        slog_state rows[] = {c.a, c.b};
        std::string bytes(slog_state_bytes(2), 0);
        slog_state_put(bytes.data(), rows, 2);
        size_t count = 99;
        EXPECT_EQ(ERR_CORRUPT, slog_state_count(span_of(bytes.data(), bytes.size()), &count).code) << c.what;
        slog_state_put(bytes.data(), &good, 1);
        EXPECT_EQ(ERR_OK, slog_state_count(span_of(bytes.data(), slog_state_bytes(1)), &count).code);
        for (size_t len = 0; len < slog_state_bytes(1); len++) EXPECT_EQ(ERR_CORRUPT, slog_state_count(span_of(bytes.data(), len), &count).code);
    }
}

TEST(Slog, EntriesComeBackAfterAStart)
{
    FakeFiles files(1);
    {
        Log log(&files);
        ASSERT_EQ(ERR_OK, log.opened.code);
        log.Good({{SLOG_ACCEPT, 5, 3, 0, ""}, {SLOG_EPOCH, 5, 3, 1, "e"}, {SLOG_DATA, 5, 3, 2, "two"}, {SLOG_DATA, 2, 1, 1, ""}});
        log.Good({{SLOG_DATA, 5, 3, 3, std::string(30000, '3')}, {SLOG_COMMIT, 5, 0, 2, ""}});
        log.Good({});
        EXPECT_EQ("3:two", log.Read(5, 2));
    }
    for (int start = 0; start < 2; start++) {  // replaying twice is the same
        Log log(&files);
        ASSERT_EQ(ERR_OK, log.opened.code);
        auto view = log.View(5);
        EXPECT_EQ(3u, view.accepted_epoch);
        EXPECT_EQ(1u, view.first_index);
        EXPECT_EQ(3u, view.last_index);
        EXPECT_EQ(3u, view.last_epoch);
        EXPECT_EQ(2u, view.commit);
        EXPECT_EQ("3:e", log.Read(5, 1));
        EXPECT_EQ("3:two", log.Read(5, 2));
        EXPECT_EQ("3:" + std::string(30000, '3'), log.Read(5, 3));
        EXPECT_EQ("(NOT_FOUND)", log.Read(5, 4));
        EXPECT_EQ("(NOT_FOUND)", log.Read(5, 0));
        EXPECT_EQ("(NOT_FOUND)", log.Read(6, 1));
        EXPECT_EQ("1:", log.Read(2, 1));
        slog_shard_view next;
        ASSERT_TRUE(slog_shard_next(log.log, 0, &next));
        EXPECT_EQ(2u, next.shard);
        ASSERT_TRUE(slog_shard_next(log.log, 3, &next));
        EXPECT_EQ(5u, next.shard);
        EXPECT_FALSE(slog_shard_next(log.log, 6, &next));
        std::vector<uint64_t> seen;
        EXPECT_EQ(ERR_OK, slog_replay(log.log, 5, 2, 3, [](void *to, const slog_record *r) {
            return static_cast<std::vector<uint64_t> *>(to)->push_back(r->index), err_ok();
        }, &seen).code);
        EXPECT_EQ((std::vector<uint64_t>{2, 3}), seen);
        EXPECT_EQ(ERR_NOT_FOUND, slog_replay(log.log, 5, 3, 4, [](void *, const slog_record *) { return err_ok(); }, nullptr).code);
    }
}

TEST(Slog, RecordsOutOfOrderAreRefusedAndNotWritten)
{
    FakeFiles files(1);
    Log log(&files);
    log.Good({{SLOG_DATA, 1, 2, 1, "a"}, {SLOG_DATA, 1, 2, 2, "b"}, {SLOG_DATA, 1, 3, 3, "c"}, {SLOG_COMMIT, 1, 0, 2, ""}});
    const struct { const char *what; Record record; } cases[] = {
        {"gap", {SLOG_DATA, 1, 3, 5, ""}}, {"again", {SLOG_DATA, 1, 3, 3, ""}}, {"older epoch", {SLOG_DATA, 1, 2, 4, ""}},
        {"epoch 0", {SLOG_DATA, 7, 0, 1, ""}}, {"not the first", {SLOG_DATA, 7, 1, 2, ""}}, {"index 0", {SLOG_EPOCH, 7, 1, 0, ""}},
        {"cut below commit", {SLOG_TRUNC, 1, 2, 1, ""}}, {"cut past the end", {SLOG_TRUNC, 1, 3, 4, ""}},
        {"cut to an epoch not there", {SLOG_TRUNC, 1, 4, 2, ""}}, {"commit past the end", {SLOG_COMMIT, 1, 0, 4, ""}},
        {"install below commit", {SLOG_INSTALL, 1, 2, 1, ""}}, {"install the last index", {SLOG_INSTALL, 1, 9, UINT64_MAX, ""}},
        {"a group", {SLOG_GROUP, 1, 0, 0, ""}}, {"a state", {SLOG_STATE, 1, 0, 0, ""}}};
    auto before = log.Stats();
    for (const auto &c : cases) EXPECT_EQ(ERR_CONFLICT, log.Append({c.record})[0]) << c.what;
    EXPECT_EQ(before.groups, log.Stats().groups);
    auto results = log.Append({{SLOG_DATA, 1, 3, 9, "no"}, {SLOG_DATA, 1, 3, 4, "yes"}, {SLOG_DATA, 1, 3, 6, "no"}});
    EXPECT_EQ((std::vector<err_code>{ERR_CONFLICT, ERR_OK, ERR_CONFLICT}), results);
    EXPECT_EQ("3:yes", log.Read(1, 4));
    Log again(&files);
    EXPECT_EQ(4u, again.View(1).last_index);
}

TEST(Slog, TruncInstallDrop)
{
    FakeFiles files(1);
    auto check = [](Log &log) {
        EXPECT_EQ("1:b", log.Read(1, 2));
        EXPECT_EQ("4:C", log.Read(1, 3));
        EXPECT_EQ("(NOT_FOUND)", log.Read(1, 4));
        uint64_t epoch = 0, epochs[4], firsts[4];
        EXPECT_EQ(ERR_OK, slog_epoch_at(log.log, 1, 2, &epoch).code);
        EXPECT_EQ(1u, epoch);
        ASSERT_EQ(2u, slog_epoch_starts(log.log, 1, epochs, firsts, 4));
        EXPECT_EQ(1u, firsts[0]);
        EXPECT_EQ(3u, firsts[1]);
        EXPECT_EQ(1u, slog_epoch_starts(log.log, 1, epochs, firsts, 1));
        EXPECT_EQ(4u, epochs[0]);
        auto view = log.View(2);
        EXPECT_EQ(50u, view.last_index);
        EXPECT_EQ(51u, view.first_index);
        EXPECT_EQ(6u, view.last_epoch);
        EXPECT_EQ(ERR_OK, slog_epoch_at(log.log, 2, 50, &epoch).code);
        EXPECT_EQ(6u, epoch);
        EXPECT_EQ(ERR_NOT_FOUND, slog_epoch_at(log.log, 2, 49, &epoch).code);
        EXPECT_EQ(ERR_NOT_FOUND, slog_epoch_at(log.log, 2, 51, &epoch).code);
        EXPECT_EQ(0u, log.View(3).last_index);
        EXPECT_EQ(2u, log.View(4).last_index);
        EXPECT_EQ("1:y2", log.Read(4, 2));
    };
    Log log(&files);
    log.Good({{SLOG_DATA, 1, 1, 1, "a"}, {SLOG_DATA, 1, 1, 2, "b"}, {SLOG_DATA, 1, 2, 3, "c"}, {SLOG_DATA, 1, 3, 4, "d"},
              {SLOG_DATA, 2, 1, 1, "x"}, {SLOG_DATA, 3, 1, 1, "x"}, {SLOG_DATA, 4, 2, 1, "x"}});
    log.Good({{SLOG_TRUNC, 1, 1, 2, ""}, {SLOG_DATA, 1, 4, 3, "C"}, {SLOG_INSTALL, 2, 6, 50, ""}, {SLOG_DROP, 3, 0, 0, ""},
              {SLOG_DROP, 4, 0, 0, ""}, {SLOG_DATA, 4, 1, 1, "y"}, {SLOG_DATA, 4, 1, 2, "y2"}});
    check(log);
    Log again(&files);
    ASSERT_EQ(ERR_OK, again.opened.code);
    check(again);
}

TEST(Slog, SegmentsAreBegunAndTheOldestGo)
{
    FakeFiles files(1);
    Log log(&files);
    auto fill = [&](uint32_t shard, uint64_t from, uint64_t to) {
        for (auto i = from; i <= to; i++) log.Good({{SLOG_DATA, shard, 1, i, std::string(6000, (char)('a' + i % 26))}});
    };
    log.Good({{SLOG_DATA, 9, 1, 1, "cold"}, {SLOG_ACCEPT, 9, 8, 0, ""}});
    fill(1, 1, 40);
    auto segments = log.Stats().segments;
    EXPECT_GT(segments, 4u);
    slog_pins pins;
    // The cold shard holds the oldest segment though the busy one needs none.
    slog_kept cold[] = {{1, 40, UINT64_MAX}, {9, 0, UINT64_MAX}};
    EXPECT_EQ(ERR_OK, slog_gc(log.log, cold, 2, 0, &pins).code);
    EXPECT_EQ(0u, pins.segments_removed);
    ASSERT_EQ(1u, pins.count);
    EXPECT_EQ(9u, pins.shards[0]);
    EXPECT_EQ(ERR_OK, slog_gc(log.log, cold, 1, 0, &pins).code) << "a shard without a row counts as cold";
    EXPECT_EQ(0u, pins.segments_removed);
    // A copy that lags holds it too, but no longer than there is room.
    slog_kept lag[] = {{1, 40, 3}, {9, 1, UINT64_MAX}};
    EXPECT_EQ(ERR_OK, slog_gc(log.log, lag, 2, 1 << 30, &pins).code);
    EXPECT_EQ(0u, pins.segments_removed);
    EXPECT_EQ(0u, pins.count) << "a flush would not help";
    slog_kept half[] = {{1, 20, UINT64_MAX}, {9, 1, UINT64_MAX}};
    EXPECT_EQ(ERR_OK, slog_gc(log.log, half, 2, 1 << 30, &pins).code);
    EXPECT_GT(pins.segments_removed, 0u);
    EXPECT_EQ(1u, pins.shards[0]);
    EXPECT_GT(log.View(1).first_index, 1u);
    EXPECT_LE(log.View(1).first_index, 21u);
    EXPECT_EQ("(NOT_FOUND)", log.Read(9, 1));
    uint64_t epoch = 0;
    EXPECT_EQ(ERR_OK, slog_epoch_at(log.log, 9, 1, &epoch).code) << "of the last entry that went";
    fill(1, 41, 60);
    // So does one that is on its way to entries by a checkpoint, while the log is not too large.
    slog_kept pinned[] = {{1, 60, UINT64_MAX, 45, 1 << 30}, {9, 1, UINT64_MAX}};
    EXPECT_EQ(ERR_OK, slog_gc(log.log, pinned, 2, 0, &pins).code);
    EXPECT_LE(log.View(1).first_index, 45u);
    EXPECT_GT(log.Stats().segments, 1u);
    EXPECT_EQ(0u, pins.count);
    auto held = log.Stats().segments;
    pinned[0].pinned_bytes = log.Stats().log_bytes;
    EXPECT_EQ(ERR_OK, slog_gc(log.log, pinned, 2, 0, &pins).code);
    EXPECT_EQ(held, log.Stats().segments);
    pinned[0].pinned_bytes--;
    EXPECT_EQ(ERR_OK, slog_gc(log.log, pinned, 2, 0, &pins).code);
    EXPECT_EQ(held - 1, log.Stats().segments) << "one less, and it is small enough";
    slog_kept all[] = {{1, 60, 10}, {9, 1, UINT64_MAX}};
    EXPECT_EQ(ERR_OK, slog_gc(log.log, all, 2, 0, &pins).code);
    EXPECT_EQ(1u, log.Stats().segments);
    EXPECT_EQ(2u, files.names.size());
    EXPECT_EQ(1u, files.names.count("spare"));
    auto first = log.View(1).first_index;
    log.Good({{SLOG_DATA, 9, 8, 2, "warm"}});
    Log again(&files);
    ASSERT_EQ(ERR_OK, again.opened.code);
    EXPECT_EQ(first, again.View(1).first_index);
    EXPECT_EQ(60u, again.View(1).last_index);
    EXPECT_EQ(8u, again.View(9).accepted_epoch);
    EXPECT_EQ(2u, again.View(9).first_index);
    EXPECT_EQ("8:warm", again.Read(9, 2));
    EXPECT_EQ(log.Stats().log_bytes, again.Stats().log_bytes);
}

// A segment that goes is written over as the next one; what stands behind its groups is of lower
// LSNs and is not taken for the log's. It is not kept while someone reads it.
TEST(Slog, ASegmentIsWrittenOver)
{
    struct Case { const char *what; bool restart, read; };
    for (auto c : {Case{"at once", false, false}, {"gone with a start", true, false}, {"not while it is read", false, true}}) {
        SCOPED_TRACE(c.what);
        FakeFiles files(1);
        auto log = std::make_unique<Log>(&files);
        uint64_t index = 0;
        auto fill = [&](uint64_t segments) {
            for (auto to = log->Stats().segments + segments; log->Stats().segments < to; index++)
                log->Good({{SLOG_DATA, 1, 1, index + 1, std::string(6000, (char)('a' + index % 26))}});
        };
        auto start_again = [&] {
            log.reset(), log = std::make_unique<Log>(&files);
            ASSERT_EQ(ERR_OK, log->opened.code);
            EXPECT_EQ(index, log->View(1).last_index);
            for (auto i = log->View(1).first_index; i <= index; i++)
                EXPECT_EQ("1:" + std::string(6000, (char)('a' + (i - 1) % 26)), log->Read(1, i));
        };
        auto free_segments = [&] {
            slog_pins pins;
            slog_kept all[] = {{1, index, UINT64_MAX}};
            EXPECT_EQ(ERR_OK, slog_gc(log->log, all, 1, 0, &pins).code);
            EXPECT_EQ(2u, pins.segments_removed);
        };
        fill(2);
        auto oldest = files.names.begin()->second;
        if (c.read) {
            files.before_read = free_segments;
            EXPECT_EQ("1:" + std::string(6000, 'a'), log->Read(1, 1));
        } else {
            free_segments();
        }
        EXPECT_EQ(1u, log->Stats().segments);
        ASSERT_EQ(1u, files.names.count("spare"));
        auto spare = files.names.at("spare");
        EXPECT_EQ(!c.read, spare == oldest);
        if (c.restart) start_again();
        fill(1);
        EXPECT_EQ(0u, files.names.count("spare"));
        EXPECT_EQ(!c.restart, files.names.rbegin()->second == spare);
        start_again();
        fill(1);
        start_again();
    }
}

TEST(Slog, TruncBelowWhatTheLogStillHolds)
{
    FakeFiles files(1);
    Log log(&files);
    log.Good({{SLOG_DATA, 1, 1, 1, "a"}, {SLOG_DATA, 1, 1, 2, "b"}, {SLOG_DATA, 1, 2, 3, "c"}});
    for (uint64_t i = 1; i <= 12; i++) log.Good({{SLOG_DATA, 2, 1, i, std::string(6000, 'x')}});
    log.Good({{SLOG_TRUNC, 1, 1, 2, ""}});
    slog_kept kept[] = {{1, 2, UINT64_MAX}, {2, 12, UINT64_MAX}};
    slog_pins pins;
    ASSERT_EQ(ERR_OK, slog_gc(log.log, kept, 2, 0, &pins).code);
    ASSERT_GT(pins.segments_removed, 0u);
    Log again(&files);
    ASSERT_EQ(ERR_OK, again.opened.code);
    auto view = again.View(1);
    EXPECT_EQ(2u, view.last_index);
    EXPECT_EQ(1u, view.last_epoch);
    EXPECT_EQ(3u, view.first_index);
    again.Good({{SLOG_DATA, 1, 5, 3, "C"}});
    EXPECT_EQ("5:C", again.Read(1, 3));
}

TEST(Slog, AGroupBiggerThanASegment)
{
    FakeFiles files(1);
    Log log(&files);
    log.Good({{SLOG_DATA, 1, 1, 1, std::string(SLOG_PAYLOAD_MAX_BYTES, 'z')}});
    log.Good({{SLOG_DATA, 1, 1, 2, "after"}});
    EXPECT_EQ(3u, log.Stats().segments);
    Log again(&files);
    ASSERT_EQ(ERR_OK, again.opened.code);
    EXPECT_EQ((size_t)SLOG_PAYLOAD_MAX_BYTES + 2, again.Read(1, 1).size());
    EXPECT_EQ("1:after", again.Read(1, 2));
}

// A segment is full and the disk too, but for some blocks: an epoch can begin all the same.
TEST(Slog, WhatGoesIntoTheReserveGetsASegmentOfItsOwnSize)
{
    FakeFiles files(1);
    uint64_t i = 1, roll = 0;
    {
        Log log(&files);
        files.space_free = 0; // of the disk; the segment is there already
        while (log.Append({{SLOG_EPOCH, 1, i, i, std::string(9000, 'x')}}, 1)[0] == ERR_OK) i++;
        ASSERT_GT(i, 3u);
        EXPECT_EQ(1u, log.Stats().segments);
        files.space_free = 2 * 4096 + 4095; // STATE, and a block of records
        auto results = log.Append({{SLOG_ACCEPT, 1, i, 0, ""}, {SLOG_EPOCH, 1, i, i, ""}}, 2);
        EXPECT_EQ((std::vector<err_code>{ERR_OK, ERR_OK}), results);
        EXPECT_EQ(2u, log.Stats().segments);
        roll = i++;
        files.space_free = 4096; // not even that
        EXPECT_EQ(ERR_FULL, log.Append({{SLOG_EPOCH, 1, i, i, ""}}, 3)[0]);
        EXPECT_EQ(ERR_FULL, log.Append({{SLOG_DATA, 1, i, i, "d"}}, 4)[0]);
        files.space_free = 30000; // and data does not get a small one
        EXPECT_EQ(ERR_FULL, log.Append({{SLOG_DATA, 1, i, i, std::string(9000, 'd')}}, 2000)[0]);
        EXPECT_EQ(ERR_OK, log.failed.code);
        files.space_free = 1 << 30;
        EXPECT_EQ(ERR_OK, log.Append({{SLOG_DATA, 1, i, i, "data"}}, 4000)[0]);
        EXPECT_EQ(3u, log.Stats().segments);
    }
    Log again(&files);
    ASSERT_EQ(ERR_OK, again.opened.code);
    EXPECT_EQ(i, again.View(1).last_index);
    EXPECT_EQ(i, again.View(1).accepted_epoch);
    EXPECT_EQ(std::to_string(i) + ":data", again.Read(1, i));
    EXPECT_EQ(std::to_string(roll) + ":", again.Read(1, roll));
}

TEST(Slog, DataStopsAtTheReserveAndGoesOnWhenThereIsSpace)
{
    FakeFiles files(1);
    files.space_free = 1 << 20;
    Log log(&files, kSmallSegment, 100000);
    log.Good({{SLOG_DATA, 1, 1, 1, "a"}});
    files.space_free = 99999;
    auto before = files.writes;
    EXPECT_EQ(ERR_OK, log.Append({{SLOG_DATA, 1, 1, 2, "looked less than a second ago"}}, 900)[0]);
    EXPECT_EQ(ERR_FULL, log.Append({{SLOG_DATA, 1, 1, 3, "b"}}, 1002)[0]);
    EXPECT_EQ(before + 1, files.writes) << "nothing is written";
    EXPECT_TRUE(log.Stats().space_short);
    auto results = log.Append({{SLOG_DATA, 1, 1, 3, "no"}, {SLOG_EPOCH, 2, 1, 1, ""}, {SLOG_ACCEPT, 1, 4, 0, ""}, {SLOG_DATA, 1, 1, 3, "frees", true}}, 1003);
    EXPECT_EQ((std::vector<err_code>{ERR_FULL, ERR_OK, ERR_OK, ERR_OK}), results);
    EXPECT_EQ("1:frees", log.Read(1, 3));
    files.space_free = 1 << 20;
    EXPECT_EQ(ERR_OK, log.Append({{SLOG_DATA, 1, 1, 4, "b"}}, 2100)[0]);
    // A new segment would go into the reserve.
    files.space_free = 150000;
    uint64_t i = 5;
    while (log.Append({{SLOG_DATA, 1, 1, i, std::string(6000, 'x')}}, 2200)[0] == ERR_OK) i++;
    EXPECT_EQ(ERR_OK, log.failed.code);
    EXPECT_EQ(1u, log.Stats().segments);
    files.space_free = 10; // and there is none for anybody
    EXPECT_EQ(ERR_FULL, log.Append({{SLOG_EPOCH, 1, 1, i, std::string(70000, 'x')}}, 2300)[0]);
    EXPECT_EQ(ERR_OK, log.failed.code);
    EXPECT_EQ(1u, files.names.size());
    files.space_free = 1 << 20;
    EXPECT_EQ(ERR_OK, log.Append({{SLOG_DATA, 1, 1, i, std::string(6000, 'x')}}, 4000)[0]);
    Log again(&files);
    EXPECT_EQ(i, again.View(1).last_index);
}

TEST(Slog, FailedWritesAndSyncs)
{
    const struct { FakeFiles::Fault fault; err_code result, call; bool there; } cases[] = {
        {FakeFiles::kShortWrite, ERR_OK, ERR_OK, true}, {FakeFiles::kWriteFull, ERR_FULL, ERR_OK, false},
        {FakeFiles::kWriteIo, ERR_IO, ERR_IO, false}, {FakeFiles::kSyncIo, ERR_IO, ERR_IO, false}};
    for (const auto &c : cases) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            FakeFiles files(seed);
            Log log(&files);
            log.Good({{SLOG_DATA, 1, 1, 1, "one"}});
            files.FaultAt(files.ops + 1, c.fault);
            EXPECT_EQ(c.result, log.Append({{SLOG_DATA, 1, 1, 2, std::string(20000, '2')}})[0]) << c.fault;
            EXPECT_EQ(c.call, log.failed.code) << c.fault;
            EXPECT_EQ(c.there ? 2u : 1u, log.View(1).last_index);
            auto next = log.Append({{SLOG_DATA, 1, 1, 2, "again"}})[0];
            if (c.call != ERR_OK) EXPECT_EQ(c.call, log.failed.code) << "broken for good";
            else EXPECT_EQ(c.there ? ERR_CONFLICT : ERR_OK, next);
            Log again(&files);
            ASSERT_EQ(ERR_OK, again.opened.code);
            if (c.fault == FakeFiles::kWriteFull) EXPECT_EQ("1:again", again.Read(1, 2));
            EXPECT_EQ("1:one", again.Read(1, 1));
        }
    }
}

TEST(Slog, AFlippedBitInWhatWasAcknowledgedIsRefused)
{
    FakeFiles files(1);
    uint64_t tail = 0;
    {
        Log log(&files);
        for (uint64_t i = 1; i <= 12; i++) log.Good({{SLOG_DATA, 1, 1, i, std::string(6000, 'x')}});
        ASSERT_EQ(2u, log.Stats().segments);
        tail = log.Stats().log_bytes - 61440;
    }
    std::mt19937 random(7);
    const auto first = files.names.begin()->first, second = std::next(files.names.begin())->first;
    for (int round = 0; round < 300; round++) {
        bool in_second = random() % 4 == 0;
        // Each group here uses 6124 bytes of 8192, each STATE 128 or more of 4096. Of the last one nobody can tell.
        uint64_t pages = in_second ? (tail - 8192 - 4096) / 8192 : 7, group = random() % (pages + 1);
        uint64_t at = group == 0 ? random() % 128 : 4096 + (group - 1) * 8192 + random() % 6124;
        const auto &name = in_second ? second : first;
        auto before = files.names.at(name)->now;
        files.FlipBit(name, at, (int)(random() % 8));
        Log log(&files);
        EXPECT_EQ(ERR_CORRUPT, log.opened.code) << name << " " << at;
        files.names.at(name)->now = files.names.at(name)->disk = before;
    }
    Log log(&files);
    EXPECT_EQ(ERR_OK, log.opened.code) << "and nothing was changed by it";
    EXPECT_EQ(12u, log.View(1).last_index);
}

TEST(Slog, ABadLastGroupIsCutAndAnIdleGroupForbidsThat)
{
    for (bool idle : {false, true}) {
        FakeFiles files(1);
        uint64_t end = 0;
        {
            Log log(&files);
            log.Good({{SLOG_DATA, 1, 1, 1, "one"}});
            end = log.Stats().log_bytes;
            log.Good({{SLOG_DATA, 1, 1, 2, std::string(9000, '2')}});
            if (idle) log.Good({});
        }
        files.FlipBit(files.names.begin()->first, end + 5000);
        Log log(&files);
        EXPECT_EQ(idle ? ERR_CORRUPT : ERR_OK, log.opened.code);
        if (idle) continue;
        EXPECT_EQ(1u, log.View(1).last_index);
        const auto &inode = *files.names.begin()->second;
        EXPECT_EQ(std::string(kSmallSegment - end, '\0'), inode.disk.substr(end)) << "cut on the medium too";
        log.Good({{SLOG_DATA, 1, 1, 2, "new"}});
        Log again(&files);
        EXPECT_EQ("1:new", again.Read(1, 2));
    }
}

TEST(Slog, RefusesWhatIsNotItsLog)
{
    auto make = [](FakeFiles *files) {
        Log log(files);
        for (uint64_t i = 1; i <= 30; i++) log.Good({{SLOG_DATA, 1, 1, i, std::string(6000, 'x')}});
    };
    FakeFiles gap(1), foreign(1), newer(1), names(1);
    make(&gap);
    gap.names.erase(std::next(gap.names.begin())->first);
    EXPECT_EQ(ERR_CORRUPT, Log(&gap).opened.code);
    make(&foreign);
    slog_options options = {kSmallSegment, 0};
    slog *log = nullptr;
    const uint8_t other[16] = {'o'};
    EXPECT_EQ(ERR_CORRUPT, slog_open(&foreign, other, &options, &log).code);
    EXPECT_EQ(nullptr, log);
    make(&newer);
    auto &bytes = newer.names.begin()->second->now;
    bytes[8] = 2; // the version of the first group's record
    uint32_t crc = hash_crc32c(hash_crc32c(0, span_of(bytes.data(), 4)), span_of(bytes.data() + 8, SLOG_GROUP_HEAD_BYTES - 8));
    for (int i = 0; i < 4; i++) bytes[4 + (size_t)i] = (char)(crc >> (8 * i));
    EXPECT_EQ(ERR_UNSUPPORTED, Log(&newer).opened.code);
    make(&names); // other names are not the log's
    for (const char *name : {"notes.seg", "0000000000000099.segx", "000000000000000G.seg", "00000000000000aB.seg"})
        names.names[name] = std::make_shared<FakeInode>();
    Log fine(&names);
    EXPECT_EQ(ERR_OK, fine.opened.code);
    EXPECT_EQ(30u, fine.View(1).last_index);
}

TEST(Slog, MailThatLooksLikeTheLogIsNotTakenForIt)
{
    FakeFiles files(1);
    const uint8_t guess[16] = {'s', 't', 'o', 'r', 'e', 1, 2, 4};  // nobody knows our store id
    const auto forged = Whole({{SLOG_DATA, 1, 1, 2, "forged"}}, 1 << 20, guess);
    {
        Log log(&files);
        std::string payload(SLOG_PAGE_BYTES - SLOG_GROUP_HEAD_BYTES - SLOG_RECORD_HEAD_BYTES, 'x');
        log.Good({{SLOG_DATA, 1, 1, 1, payload + forged + forged}});
    }
    files.FlipBit(files.names.begin()->first, 4096 + 200);
    Log log(&files);
    EXPECT_EQ(ERR_OK, log.opened.code);
    EXPECT_EQ(0u, log.View(1).last_index);
}

}  // namespace

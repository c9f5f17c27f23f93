// A node that starts again and again, with nothing else to write, still starts: each start begins
// an epoch, and the log keeps the newest of their beginnings.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "slog.h"
#include "slog_append.h"
#include "slog_file.h"
#include "slog_format.h"
#include "slog_thread.h"

namespace {

enum { EPOCHS = 3000, GROUP = 500, SHARD = 4 };

void Append(slog *log, uint64_t from, uint64_t to)
{
    std::vector<slog_entry> entries(to - from);
    list ring;
    list_init(&ring);
    for (uint64_t i = 0; i < to - from; i++) {
        entries[i] = {};
        entries[i].record.type = SLOG_EPOCH;
        entries[i].record.shard = SHARD;
        entries[i].record.epoch = entries[i].record.index = from + i;
        list_add(&ring, &entries[i].link);
    }
    ASSERT_EQ(ERR_OK, slog_append(log, &ring, 1, 1).code);
    for (const slog_entry &entry : entries) ASSERT_EQ(ERR_OK, entry.result.code);
}

void Look(slog *log)
{
    std::vector<uint64_t> epochs(EPOCHS), first(EPOCHS);
    size_t count = slog_epoch_starts(log, SHARD, epochs.data(), first.data(), EPOCHS);
    ASSERT_LE(count, size_t{SLOG_EPOCHS_MAX});
    ASSERT_GE(count, size_t{SLOG_EPOCHS_MAX / 2});
    for (size_t i = 0; i < count; i++) {
        EXPECT_EQ(EPOCHS - count + i + 1, epochs[i]);
        EXPECT_EQ(epochs[i], first[i]);
    }
    uint64_t epoch = 0;
    EXPECT_EQ(ERR_OK, slog_epoch_at(log, SHARD, EPOCHS, &epoch).code);
    EXPECT_EQ(uint64_t{EPOCHS}, epoch);
    EXPECT_EQ(ERR_NOT_FOUND, slog_epoch_at(log, SHARD, 1, &epoch).code);
    slog_room room{};
    slog_record record;
    // The entry is there all the same.
    ASSERT_EQ(ERR_OK, slog_read(log, SHARD, 1, &room, &record).code);
    EXPECT_EQ(1u, record.epoch);
    slog_room_free(&room);
}

TEST(SlogEpochs, ThereIsNoLimitToHowManyTheLogHolds)
{
    std::string path = (std::filesystem::temp_directory_path() / "slog-XXXXXX").string();
    ASSERT_NE(nullptr, mkdtemp(path.data()));
    slog_files *files = nullptr;
    slog *log = nullptr;
    const uint8_t id[16] = {1, 2, 3};
    const slog_options options = {SLOG_SEGMENT_BYTES, 0};
    ASSERT_EQ(ERR_OK, slog_files_open((path + "/log").c_str(), &files).code);
    ASSERT_EQ(ERR_OK, slog_open(files, id, &options, &log).code);
    for (uint64_t at = 1; at <= EPOCHS; at += GROUP) Append(log, at, at + GROUP);
    Look(log);
    slog_close(log);
    ASSERT_EQ(ERR_OK, slog_open(files, id, &options, &log).code);
    Look(log);
    slog_close(log);
    slog_files_close(files);
    std::filesystem::remove_all(path);
}

}  // namespace

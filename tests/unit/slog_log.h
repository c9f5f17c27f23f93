// A log over the fake directory, and what it should hold, for the tests of slog.
#ifndef MAIL_SLOG_LOG_H
#define MAIL_SLOG_LOG_H

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fake_file.h"
#include "slog.h"
#include "slog_append.h"
#include "slog_format.h"
#include "slog_thread.h"

constexpr uint8_t kStoreId[16] = {'s', 't', 'o', 'r', 'e', 1, 2, 3};
constexpr uint64_t kSmallSegment = SLOG_SEGMENT_MIN_BYTES;

struct Record {
    slog_type type;
    uint32_t shard;
    uint64_t epoch, index;
    std::string payload;
    bool into_reserve = false;
};
using Group = std::vector<Record>;

// The log itself; one directory may have several after each other.
class Log {
  public:
    explicit Log(slog_files *files, uint64_t segment_bytes = kSmallSegment, uint64_t reserve_bytes = 0)
    {
        slog_options options = {segment_bytes, reserve_bytes};
        opened = slog_open(files, kStoreId, &options, &log);
    }
    ~Log() { slog_close(log); }

    // What came of each record; the error of the whole call is `failed`.
    std::vector<err_code> Append(const Group &group, uint64_t boot_ms = 1)
    {
        std::vector<slog_entry> entries(group.size());
        list ring;
        list_init(&ring);
        for (size_t i = 0; i < group.size(); i++) {
            const auto &r = group[i];
            entries[i].record = {r.type, r.shard, r.epoch, r.index, 1000 + r.index, {r.payload.data(), r.payload.size()}};
            entries[i].into_reserve = r.into_reserve;
            list_add(&ring, &entries[i].link);
        }
        failed = slog_append(log, &ring, boot_ms, 5);
        std::vector<err_code> results;
        for (auto &entry : entries) results.push_back(entry.result.code);
        return results;
    }
    void Good(const Group &group)
    {
        for (auto code : Append(group)) EXPECT_EQ(ERR_OK, code);
        EXPECT_EQ(ERR_OK, failed.code);
    }
    slog_shard_view View(uint32_t shard)
    {
        slog_shard_view view = {};
        if (slog_shard_get(log, shard, &view).code != ERR_OK) return {};
        return view;
    }
    std::string Read(uint32_t shard, uint64_t index)
    {
        slog_room room = {};
        slog_record record;
        auto err = slog_read(log, shard, index, &room, &record);
        std::string ret = err.code != ERR_OK ? std::string("(") + err_name(err.code) + ")"
                                             : std::to_string(record.epoch) + ":" + std::string(record.payload.ptr, record.payload.len);
        slog_room_free(&room);
        return ret;
    }
    slog_stats Stats()
    {
        slog_stats stats;
        slog_stats_get(log, &stats);
        return stats;
    }

    slog *log = nullptr;
    err opened, failed = {};
};

#endif

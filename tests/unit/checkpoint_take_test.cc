// Replies of a checkpoint: what may come in which order, which names are names; and how fast it goes.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint_rate.h"
#include "checkpoint_take.h"
#include "hash.h"
#include "replica_msg.h"

namespace {

span S(const std::string &s) { return span_of(s.data(), s.size()); }

TEST(CheckpointTake, Names)
{
    for (const char *name : {"CURRENT", "IDENTITY", "MANIFEST-000004", "OPTIONS-000007", "000012.sst", "000013.blob",
                             "1.sst", "000014.log"})
        EXPECT_TRUE(checkpoint_name_fits(S(name))) << name;
    for (const char *name : {"", ".", "..", "../000012.sst", "/etc/passwd", "a/000012.sst", "000012.sst/", "000012.sst ",
                             "CURRENT2", "current", "MANIFEST-", "MANIFEST-x", "MANIFEST-1/2", ".sst", "x.sst", "12",
                             "12.sst.old", "LOCK", "LOG", "-1.sst", "123456789012345678901.sst",
                             "MANIFEST-12345678901234567890123456"})
        EXPECT_FALSE(checkpoint_name_fits(S(name))) << name;
    EXPECT_FALSE(checkpoint_name_fits(span_of("CURRENT\0", 8)));
    EXPECT_FALSE(checkpoint_name_fits(span_of("1\0.sst", 6)));
}

// A checkpoint of four files, one of them empty, as it is sent.
struct Sender {
    std::string id = std::string(16, 'i');
    std::vector<std::pair<std::string, std::string>> files = {
        {"000001.sst", std::string(300000, 'a')}, {"000002.blob", ""}, {"CURRENT", "MANIFEST-000003\n"},
        {"MANIFEST-000003", std::string(5000, 'm')}};
    std::vector<peer_checkpoint_file> list;
    peer_checkpoint_reply First()
    {
        list.clear();
        for (auto &f : files) list.push_back({S(f.first), f.second.size()});
        peer_checkpoint_reply r{};
        r.checkpoint = S(id);
        r.files = list.data();
        r.files_count = list.size();
        return r;
    }
    peer_checkpoint_reply Piece(uint32_t file, uint64_t offset, uint32_t bytes)
    {
        peer_checkpoint_reply r{};
        r.file = file;
        r.offset = offset;
        r.bytes = bytes;
        r.crc32c = hash_crc32c(0, span_of(files[file].second.data() + offset, bytes));
        return r;
    }
    static peer_checkpoint_reply Last()
    {
        peer_checkpoint_reply r{};
        r.last = true;
        return r;
    }
};

struct Taker {
    std::unique_ptr<checkpoint_take> take{new checkpoint_take()};
    std::vector<std::string> files{8};
    err_code Reply(const peer_checkpoint_reply &r) { return checkpoint_take_reply(take.get(), &r).code; }
    err_code Data(const std::string &bytes, size_t step = SIZE_MAX)
    {
        for (size_t at = 0; at < bytes.size();) {
            std::string part = bytes.substr(at, step);
            span rest = S(part);
            at += part.size();
            while (rest.len > 0) {
                bool whole = false;
                checkpoint_piece piece;
                err e = checkpoint_take_data(take.get(), &rest, &whole, &piece);
                if (e.code != ERR_OK) return e.code;
                if (!whole) continue;
                EXPECT_EQ(files[piece.file].size(), piece.offset);
                files[piece.file].append(piece.bytes.ptr, piece.bytes.len);
            }
        }
        return ERR_OK;
    }
    // All pieces from where it is, at most `bytes` of each.
    err_code Rest(Sender &sender, uint32_t bytes, size_t step)
    {
        while (take->file < take->files_count) {
            uint32_t file = take->file;
            uint64_t offset = take->offset, left = sender.files[file].second.size() - offset;
            uint32_t n = left < bytes ? uint32_t(left) : bytes;
            err_code code = Reply(sender.Piece(file, offset, n));
            if (code == ERR_OK) code = Data(sender.files[file].second.substr(offset, n), step);
            if (code != ERR_OK) return code;
        }
        return Reply(Sender::Last());
    }
};

TEST(CheckpointTake, WholeHoweverItIsCut)
{
    for (uint32_t bytes : {1000u, 65536u, uint32_t(CHECKPOINT_PIECE_BYTES)}) {
        for (size_t step : {size_t(1), size_t(777), SIZE_MAX}) {
            Sender sender;
            Taker taker;
            ASSERT_EQ(ERR_OK, taker.Reply(sender.First()));
            ASSERT_EQ(ERR_OK, taker.Rest(sender, bytes, step));
            EXPECT_TRUE(taker.take->whole);
            for (size_t i = 0; i < sender.files.size(); i++) EXPECT_EQ(sender.files[i].second, taker.files[i]);
        }
    }
}

TEST(CheckpointTake, GoesOnWithTheSameOneAlone)
{
    Sender sender;
    Taker taker;
    ASSERT_EQ(ERR_OK, taker.Reply(sender.First()));
    ASSERT_EQ(ERR_OK, taker.Reply(sender.Piece(0, 0, 1000)));
    ASSERT_EQ(ERR_OK, taker.Data(sender.files[0].second.substr(0, 1000)));
    ASSERT_EQ(ERR_OK, taker.Reply(sender.Piece(0, 1000, 1000)));
    ASSERT_EQ(ERR_OK, taker.Data(sender.files[0].second.substr(0, 10)));
    checkpoint_take_again(taker.take.get()); // the piece under way comes again
    EXPECT_EQ(1000u, taker.take->offset);
    Sender other = sender;
    other.id[3] = 'x';
    EXPECT_EQ(ERR_CONFLICT, taker.Reply(other.First()));
    other = sender;
    other.files[3].second += "m";
    EXPECT_EQ(ERR_CONFLICT, taker.Reply(other.First()));
    other = sender;
    other.files.pop_back();
    EXPECT_EQ(ERR_CONFLICT, taker.Reply(other.First()));
    ASSERT_EQ(ERR_OK, taker.Reply(sender.First()));
    ASSERT_EQ(ERR_OK, taker.Rest(sender, 4096, SIZE_MAX));
    for (size_t i = 0; i < sender.files.size(); i++) EXPECT_EQ(sender.files[i].second, taker.files[i]);
    // Forgotten: any may come.
    checkpoint_take_forget(taker.take.get());
    other = sender;
    other.id[3] = 'x';
    EXPECT_EQ(ERR_OK, taker.Reply(other.First()));
    EXPECT_EQ(0u, taker.take->file + taker.take->offset);
}

TEST(CheckpointTake, RefusesFirstReplies)
{
    struct {
        const char *what;
        std::function<void(Sender &, peer_checkpoint_reply &)> spoil;
    } const cases[] = {
        {"no id", [](auto &, auto &r) { r.checkpoint = SPAN(""); }},
        {"a short id", [](auto &, auto &r) { r.checkpoint.len = 15; }},
        {"no files", [](auto &, auto &r) { r.files_count = 0; }},
        {"a way out", [](auto &s, auto &) { s.list[1].name = SPAN("../2.blob"); }},
        {"a name twice", [](auto &s, auto &) { s.list[1].name = s.list[0].name; }},
        {"names that fall", [](auto &s, auto &) { std::swap(s.list[2], s.list[3]); }},
        {"a file without an end", [](auto &s, auto &) { s.list[0].bytes = UINT64_MAX; }},
        {"the end", [](auto &, auto &r) { r.last = true; }},
        {"a piece", [](auto &, auto &r) { r.bytes = 5; }},
    };
    for (auto &c : cases) {
        Sender sender;
        Taker taker;
        peer_checkpoint_reply r = sender.First();
        c.spoil(sender, r);
        EXPECT_EQ(ERR_SYNTAX, taker.Reply(r)) << c.what;
        EXPECT_FALSE(taker.take->begun) << c.what;
        EXPECT_EQ(ERR_OK, taker.Reply(sender.First())) << c.what;
    }
    Taker taker;
    EXPECT_EQ(ERR_SYNTAX, taker.Reply(Sender::Last()));
    EXPECT_EQ(ERR_SYNTAX, taker.Data("x"));
}

TEST(CheckpointTake, RefusesPieces)
{
    struct {
        const char *what;
        std::function<void(Sender &, peer_checkpoint_reply &)> spoil;
    } const cases[] = {
        {"another file", [](auto &, auto &r) { r.file = 2; }},
        {"a file that is not there", [](auto &, auto &r) { r.file = 99; }},
        {"a gap", [](auto &, auto &r) { r.offset = 1; }},
        {"no bytes", [](auto &, auto &r) { r.bytes = 0; }},
        {"more than the file has", [](auto &, auto &r) { r.bytes = 300001; }},
        {"more than a piece has", [](auto &, auto &r) { r.bytes = CHECKPOINT_PIECE_BYTES + 1; }},
        {"the list again", [](auto &s, auto &r) { r = s.First(); }},
        {"an id", [](auto &s, auto &r) { r.checkpoint = S(s.id); }},
        {"the end before the end", [](auto &, auto &r) { r = Sender::Last(); }},
    };
    for (auto &c : cases) {
        Sender sender;
        Taker taker;
        ASSERT_EQ(ERR_OK, taker.Reply(sender.First()));
        peer_checkpoint_reply r = sender.Piece(0, 0, 1000);
        c.spoil(sender, r);
        EXPECT_EQ(ERR_SYNTAX, taker.Reply(r)) << c.what;
        EXPECT_EQ(ERR_OK, taker.Rest(sender, 100000, SIZE_MAX)) << c.what;
    }
    Sender sender;
    Taker taker;
    ASSERT_EQ(ERR_OK, taker.Reply(sender.First()));
    EXPECT_EQ(ERR_SYNTAX, taker.Data("x")) << "before its head";
    ASSERT_EQ(ERR_OK, taker.Reply(sender.Piece(0, 0, 1000)));
    EXPECT_EQ(ERR_SYNTAX, taker.Reply(sender.Piece(0, 1000, 1000))) << "before its bytes";
    EXPECT_EQ(ERR_CORRUPT, taker.Data(std::string(999, 'a') + "b"));
    EXPECT_EQ(0u, taker.take->offset) << "it is not there";
    ASSERT_EQ(ERR_OK, taker.Rest(sender, 100000, SIZE_MAX));
    EXPECT_EQ(ERR_SYNTAX, taker.Reply(Sender::Last())) << "twice";
    EXPECT_EQ(ERR_SYNTAX, taker.Data("x")) << "behind the end";
}

TEST(CheckpointRate, HoldsWhatItSays)
{
    checkpoint_rate rate{1000000, 0};
    uint64_t now = 50000, sent = 0, begin = now;
    while (now < begin + 10000) {
        sent += 131072;
        now += checkpoint_rate_wait_ms(&rate, 131072, now) + 1;
    }
    EXPECT_NEAR(10.0e6, double(sent), 0.5e6);
    // A long pause is made up for by a moment alone.
    now += 100000;
    uint64_t burst = 0;
    while (checkpoint_rate_wait_ms(&rate, 10000, now) == 0) burst += 10000;
    EXPECT_LE(burst, 120000u);
    rate.bytes_per_s = 0;
    EXPECT_EQ(0u, checkpoint_rate_wait_ms(&rate, UINT32_MAX, now));
}

}  // namespace

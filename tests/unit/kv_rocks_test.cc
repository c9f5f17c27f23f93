// The rows of a shard in RocksDB: reads, the `applied` row, checkpoints, and kill -9 at any moment.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "kv.h"
#include "kv_rocks.h"

extern char **environ;

namespace {
namespace fs = std::filesystem;

constexpr size_t kBuffer = 128 * 1024;
span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(span s) { return std::string(s.ptr, s.len); }

struct Batch {
    Batch() { kv_batch_init(&batch); }
    ~Batch() { kv_batch_free(&batch); }
    Batch &Put(const std::string &k, const std::string &v) { return kv_batch_put(&batch, S(k), S(v)), *this; }
    Batch &Delete(const std::string &k) { return kv_batch_delete(&batch, S(k)), *this; }
    Batch &DeleteRange(const std::string &a, const std::string &b) { return kv_batch_delete_range(&batch, S(a), S(b)), *this; }
    span Bytes() const { return span_of(batch.bytes, batch.len); }
    kv_batch batch;
};

class KvRocks : public testing::Test {
  protected:
    KvRocks()
    {
        auto name = testing::TempDir() + "kv_rocks_XXXXXX";
        EXPECT_NE(nullptr, mkdtemp(name.data()));
        dir = name;
        kv_rocks_limits limits = {8 << 20, 2};
        EXPECT_EQ(ERR_OK, kv_rocks_shared_new(&limits, &shared).code);
    }
    ~KvRocks() override
    {
        Close();
        kv_rocks_shared_free(shared);
        fs::remove_all(dir);
    }
    err Open(const std::string &name = "db") { return kv_rocks_open(shared, (dir / name).c_str(), kBuffer, &kv); }
    void Close()
    {
        if (kv != nullptr) kv->calls->close(kv);
        kv = nullptr;
    }
    void Apply(const Batch &b, uint64_t epoch, uint64_t index)
    {
        ASSERT_EQ(ERR_OK, kv->calls->apply(kv, b.Bytes(), epoch, index).code);
    }
    std::string Get(const std::string &key)
    {
        kv_value value = {};
        auto err = kv_get(kv->calls->reader(kv), S(key), &value);
        if (err.code == ERR_NOT_FOUND) return "(none)";
        EXPECT_EQ(ERR_OK, err.code);
        auto ret = Str(value.bytes);
        kv_value_free(&value);
        return ret;
    }
    std::pair<uint64_t, uint64_t> Applied(bool persisted)
    {
        uint64_t epoch = 99, index = 99;
        EXPECT_EQ(ERR_OK, kv->calls->applied(kv, persisted, &epoch, &index).code);
        return {epoch, index};
    }
    using At = std::pair<uint64_t, uint64_t>;

    fs::path dir;
    kv_rocks_shared *shared = nullptr;
    struct kv *kv = nullptr;
};

TEST_F(KvRocks, RowsAndApplied)
{
    ASSERT_EQ(ERR_OK, Open().code);
    EXPECT_EQ(At(0, 0), Applied(false));
    EXPECT_EQ(At(0, 0), Applied(true));
    const std::string body(100000, 'b');
    Apply(Batch().Put("a", "1").Put("b", "").Put("c", body), 3, 7);
    EXPECT_EQ("1", Get("a"));
    EXPECT_EQ("", Get("b"));
    EXPECT_EQ(body, Get("c"));
    EXPECT_EQ("(none)", Get("d"));
    EXPECT_EQ(At(3, 7), Applied(false));
    EXPECT_EQ(At(0, 0), Applied(true)) << "nothing is flushed yet";
    ASSERT_EQ(ERR_OK, kv->calls->flush(kv, true).code);
    EXPECT_EQ(At(3, 7), Applied(true));
    Apply(Batch().Delete("a").Put("e", "5"), 3, 8);
    EXPECT_EQ(At(3, 7), Applied(true));
    EXPECT_EQ(At(3, 8), Applied(false));
    Apply(Batch().DeleteRange("b", "d"), 4, 9);
    EXPECT_EQ("(none)", Get("a"));
    EXPECT_EQ("(none)", Get("c"));
    EXPECT_EQ("5", Get("e"));
    Apply(Batch(), 4, 10); // an EPOCH entry changes no row but `applied`
    EXPECT_EQ(At(4, 10), Applied(false));
    EXPECT_GT(kv->calls->memory_bytes(kv), 0u);
    Close();
    ASSERT_EQ(ERR_OK, Open().code);
    EXPECT_EQ(At(4, 10), Applied(true)) << "close flushes";
    EXPECT_EQ("(none)", Get("c"));
    EXPECT_EQ("5", Get("e"));
}

TEST_F(KvRocks, BadBatchesChangeNothing)
{
    ASSERT_EQ(ERR_OK, Open().code);
    Batch good;
    good.Put("k", "value");
    auto whole = Str(good.Bytes());
    std::vector<std::string> cases = {"\x09", std::string("\x01\x00", 2), whole + "x", whole + whole.substr(0, whole.size() - 1)};
    for (size_t n = 1; n < whole.size(); n++) cases.push_back(whole.substr(0, n));
    for (const auto &bytes : cases) {
        EXPECT_EQ(ERR_CORRUPT, kv->calls->apply(kv, S(bytes), 1, 1).code);
        EXPECT_EQ("(none)", Get("k"));
        EXPECT_EQ(At(0, 0), Applied(false));
    }
    Apply(good, 1, 1); // the store is not broken by them
    EXPECT_EQ("value", Get("k"));
}

TEST_F(KvRocks, EmptyAndReversedRangesDeleteNothing)
{
    ASSERT_EQ(ERR_OK, Open().code);
    Apply(Batch().Put("b", "1"), 1, 1);
    Apply(Batch().DeleteRange("b", "b").DeleteRange("c", "a"), 1, 2);
    EXPECT_EQ("1", Get("b"));
    EXPECT_EQ(At(1, 2), Applied(false));
}

TEST_F(KvRocks, IteratorSeesTheRowsOfItsMoment)
{
    ASSERT_EQ(ERR_OK, Open().code);
    Apply(Batch().Put("a", "1").Put("c", std::string(5000, 'c')).Put("e", "5"), 1, 1);
    ASSERT_EQ(ERR_OK, kv->calls->flush(kv, true).code);
    kv_iter *iter = nullptr;
    ASSERT_EQ(ERR_OK, kv_iter_new(kv->calls->reader(kv), &iter).code);
    Apply(Batch().Put("b", "2").Delete("c"), 1, 2);
    std::string seen;
    for (iter->calls->seek(iter, S("")); iter->calls->valid(iter); iter->calls->next(iter)) {
        auto key = Str(iter->calls->key(iter));
        if (key[0] != '\xff') seen += key + std::to_string(iter->calls->value(iter).len) + " ";
    }
    EXPECT_EQ("a1 c5000 e1 ", seen);
    EXPECT_EQ(ERR_OK, iter->calls->status(iter).code);
    const struct { const char *key, *first, *last; } cases[] = {
        {"a", "a", "a"}, {"b", "c", "a"}, {"e", "e", "e"}, {"z", "\xff" "applied", "e"}, {"A", "a", ""}};
    for (const auto &c : cases) {
        iter->calls->seek(iter, S(c.key));
        ASSERT_TRUE(iter->calls->valid(iter));
        EXPECT_EQ(c.first, Str(iter->calls->key(iter)));
        iter->calls->seek_last(iter, S(c.key));
        EXPECT_EQ(c.last, iter->calls->valid(iter) ? Str(iter->calls->key(iter)) : "");
    }
    iter->calls->free(iter);
}

TEST_F(KvRocks, AnIteratorWithinAPrefixEndsThere)
{
    ASSERT_EQ(ERR_OK, Open().code);
    const std::string name(40, 'n');
    Apply(Batch().Put("a", "").Put("b1", "").Put("b2", "").Put("b\xff" "3", "").Put("c", "").Put(name, "").Put("o", ""), 1, 1);
    const struct { std::string prefix, from, rows; } cases[] = {
        {"b", "b", "b1 b2 b\xff" "3 "}, {"b", "b2", "b2 b\xff" "3 "}, {"b", "a", "a b1 b2 b\xff" "3 "}, {"b", "c", ""},
        {"b\xff", "b", "b1 b2 b\xff" "3 "}, {"b1", "b1", "b1 "}, {"d", "d", ""}, {name, name, name + " "},
        {"\xff\xff", "o", "o "}, {"", "c", "c " + name + " o "},
    };
    for (const auto &c : cases) {
        kv_iter *iter = nullptr;
        ASSERT_EQ(ERR_OK, kv_iter_within(kv->calls->reader(kv), S(c.prefix), &iter).code);
        std::string seen;
        for (iter->calls->seek(iter, S(c.from)); iter->calls->valid(iter); iter->calls->next(iter)) {
            auto key = Str(iter->calls->key(iter));
            if (key[0] != '\xff') seen += key + " ";
        }
        EXPECT_EQ(c.rows, seen) << c.prefix << " from " << c.from;
        EXPECT_EQ(ERR_OK, iter->calls->status(iter).code);
        iter->calls->free(iter);
    }
}

TEST_F(KvRocks, RefusesWhatItCannotOpen)
{
    EXPECT_EQ(ERR_IO, Open("no/such/parent").code);
    ASSERT_EQ(ERR_OK, Open().code);
    struct kv *second = nullptr;
    EXPECT_EQ(ERR_IO, kv_rocks_open(shared, (dir / "db").c_str(), kBuffer, &second).code) << "open already";
    Apply(Batch().Put("a", "1"), 1, 1);
    Close();
    std::ofstream(dir / "db" / "CURRENT") << "MANIFEST-999999\n";
    EXPECT_NE(ERR_OK, Open().code);
    EXPECT_EQ(nullptr, kv);
}

TEST_F(KvRocks, ABitFlippedInABodyIsSeen)
{
    ASSERT_EQ(ERR_OK, Open().code);
    Apply(Batch().Put("body", std::string(9000, 'x')), 1, 1);
    Close();
    for (const auto &entry : fs::directory_iterator(dir / "db")) {
        if (entry.path().extension() != ".blob") continue;
        std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(4000);
        file.put('y');
    }
    ASSERT_EQ(ERR_OK, Open().code);
    kv_value value = {};
    EXPECT_EQ(ERR_CORRUPT, kv_get(kv->calls->reader(kv), S("body"), &value).code);
}

TEST_F(KvRocks, CheckpointIsAStoreOfItsOwn)
{
    ASSERT_EQ(ERR_OK, Open().code);
    Apply(Batch().Put("a", "1").Put("b", std::string(9000, 'b')), 2, 5);
    ASSERT_EQ(ERR_OK, kv_rocks_checkpoint(kv, (dir / "copy").c_str()).code);
    EXPECT_NE(ERR_OK, kv_rocks_checkpoint(kv, (dir / "copy").c_str()).code) << "is there already";
    Apply(Batch().Delete("a"), 2, 6);
    Close();
    ASSERT_EQ(ERR_OK, Open("copy").code);
    EXPECT_EQ("1", Get("a"));
    EXPECT_EQ(std::string(9000, 'b'), Get("b"));
    EXPECT_EQ(At(2, 5), Applied(true));
}

TEST_F(KvRocks, CompactionGivesSpaceBack)
{
    auto used = [&] {
        uintmax_t bytes = 0;
        for (const auto &entry : fs::directory_iterator(dir / "db")) bytes += entry.path().extension() == ".blob" ? entry.file_size() : 0;
        return bytes;
    };
    ASSERT_EQ(ERR_OK, Open().code);
    std::mt19937 random(1);
    std::string body(20000, 0);
    for (uint64_t i = 1; i <= 100; i++) {
        for (auto &c : body) c = (char)random();
        Apply(Batch().Put("k" + std::to_string(i), body), 1, i);
    }
    ASSERT_EQ(ERR_OK, kv->calls->flush(kv, true).code);
    auto before = used();
    for (uint64_t i = 1; i <= 90; i++) Apply(Batch().Delete("k" + std::to_string(i)), 1, 100 + i);
    ASSERT_EQ(ERR_OK, kv->calls->flush(kv, true).code);
    ASSERT_EQ(ERR_OK, kv_rocks_compact(kv, true).code);
    Close(); // obsolete files go by the time of a clean open
    ASSERT_EQ(ERR_OK, Open().code);
    EXPECT_LT(used(), before / 2);
    EXPECT_EQ(body, Get("k100"));
    EXPECT_EQ("(none)", Get("k50"));
}

// ---- kill -9. The child is this program again (no fork without exec beside RocksDB).

std::string RowValue(uint64_t index)
{
    std::mt19937 random((unsigned)index);
    std::string value(index % 3 == 0 ? 4000 + random() % 4000 : 10 + random() % 200, 0);
    for (auto &c : value) c = (char)random();
    return value;
}
std::string RowKey(uint64_t index)
{
    char key[20];
    snprintf(key, sizeof(key), "k%012llu", (unsigned long long)index);
    return key;
}

struct Progress {
    uint64_t applied, persisted;
};

// Applies one row after another until it is killed, and says so on descriptor 3.
TEST(KvRocksChild, DISABLED_ApplyForEver)
{
    const char *path = getenv("KV_ROCKS_CHILD");
    ASSERT_NE(nullptr, path);
    kv_rocks_limits limits = {8 << 20, 2};
    kv_rocks_shared *shared = nullptr;
    struct kv *kv = nullptr;
    ASSERT_EQ(ERR_OK, kv_rocks_shared_new(&limits, &shared).code);
    ASSERT_EQ(ERR_OK, kv_rocks_open(shared, path, kBuffer, &kv).code);
    uint64_t epoch = 0, index = 0, persisted = 0;
    ASSERT_EQ(ERR_OK, kv->calls->applied(kv, false, &epoch, &index).code);
    for (;;) {
        index++;
        Batch b;
        b.Put(RowKey(index), RowValue(index));
        if (index > 50) b.Delete(RowKey(index - 50));
        ASSERT_EQ(ERR_OK, kv->calls->apply(kv, b.Bytes(), 1, index).code);
        if (index % 100 == 0) ASSERT_EQ(ERR_OK, kv->calls->flush(kv, index % 200 == 0).code);
        ASSERT_EQ(ERR_OK, kv->calls->applied(kv, true, &epoch, &persisted).code);
        Progress progress = {index, persisted};
        if (write(3, &progress, sizeof(progress)) != sizeof(progress)) return; // the parent is gone
    }
}

pid_t StartChild(const fs::path &db, int *read_end)
{
    int ends[2];
    EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    std::vector<std::string> texts = {"/proc/self/exe", "--gtest_also_run_disabled_tests", "--gtest_filter=KvRocksChild.*"};
    std::vector<char *> argv, env;
    for (auto &text : texts) argv.push_back(text.data());
    argv.push_back(nullptr);
    std::string variable = "KV_ROCKS_CHILD=" + db.string();
    env.push_back(variable.data());
    for (char **e = environ; *e != nullptr; e++) env.push_back(*e);
    env.push_back(nullptr);
    pid_t pid = -1;
    EXPECT_EQ(0, posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), env.data()));
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *read_end = ends[0];
    return pid;
}

TEST_F(KvRocks, KilledAtAnyMomentAnExactPrefixIsLeft)
{
    std::mt19937 random(20261124);
    uint64_t before = 0;
    for (int round = 0; round < 8; round++) {
        int pipe_end = -1;
        pid_t pid = StartChild(dir / "db", &pipe_end);
        uint64_t enough = before + 1 + random() % 1500;
        Progress last = {0, 0}, got;
        while (last.applied < enough && read(pipe_end, &got, sizeof(got)) == sizeof(got)) last = got;
        EXPECT_GE(last.applied, enough) << "the child ended by itself";
        kill(pid, SIGKILL);
        int status = 0;
        ASSERT_EQ(pid, waitpid(pid, &status, 0));
        EXPECT_TRUE(WIFSIGNALED(status));
        while (read(pipe_end, &got, sizeof(got)) == sizeof(got)) last = got;
        close(pipe_end);

        ASSERT_EQ(ERR_OK, Open().code);
        auto [epoch, applied] = Applied(false);
        EXPECT_EQ(Applied(true), At(epoch, applied)) << "all that is left is on disk";
        EXPECT_GE(applied, last.persisted) << "the watermark had promised more";
        EXPECT_LE(applied, last.applied + 1);
        uint64_t lowest = applied > 50 ? applied - 49 : 1, rows = 0;
        kv_iter *iter = nullptr;
        ASSERT_EQ(ERR_OK, kv_iter_new(kv->calls->reader(kv), &iter).code);
        for (iter->calls->seek(iter, S("k")); iter->calls->valid(iter); iter->calls->next(iter), rows++) {
            if (Str(iter->calls->key(iter))[0] != 'k') break;
            EXPECT_EQ(RowKey(lowest + rows), Str(iter->calls->key(iter)));
            EXPECT_EQ(RowValue(lowest + rows), Str(iter->calls->value(iter)));
        }
        EXPECT_EQ(ERR_OK, iter->calls->status(iter).code);
        iter->calls->free(iter);
        EXPECT_EQ(applied == 0 ? 0 : applied - lowest + 1, rows);
        before = applied;
        Close();
    }
    EXPECT_GT(before, 100u) << "the rounds got nowhere";
}

}  // namespace

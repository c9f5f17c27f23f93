// The log thread and the data directory, on a real disk.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <fstream>
#include <mutex>
#include <thread>

#include "slog_log.h"
#include "store_dir.h"

namespace {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Directory {
  public:
    Directory()
    {
        auto name = testing::TempDir() + "slog_XXXXXX";
        EXPECT_NE(nullptr, mkdtemp(name.data()));
        path = name;
    }
    ~Directory() { fs::remove_all(path); }
    fs::path path;
};

// Entries whose callbacks are waited for.
struct Waiter {
    std::mutex lock;
    std::condition_variable changed;
    size_t done = 0;
    std::vector<std::string> order;
    bool Until(size_t count)
    {
        std::unique_lock<std::mutex> hold(lock);
        return changed.wait_for(hold, 30s, [&] { return done >= count; });
    }
};
struct Entry {
    slog_entry entry = {};  // first
    std::string payload;
    Waiter *waiter = nullptr;
    err result = {};
    std::function<void()> then;
    Entry(Waiter *w, Record r) : payload(r.payload), waiter(w)
    {
        entry.record = {r.type, r.shard, r.epoch, r.index, 1, {payload.data(), payload.size()}};
        entry.durable = [](slog_entry *e, err result) {
            auto self = reinterpret_cast<Entry *>(e);
            self->result = result;
            if (self->then) self->then();
            std::lock_guard<std::mutex> hold(self->waiter->lock);
            self->waiter->order.push_back(std::to_string(self->entry.record.shard) + "/" + std::to_string(self->entry.record.index));
            self->waiter->done++;
            self->waiter->changed.notify_all();
        };
    }
};

class SlogThread : public testing::Test {
  protected:
    void Start(slog_files *f, size_t queued_max = 1000, size_t bytes_max = 64 << 20)
    {
        slog_options options = {1 << 20, 0};
        ASSERT_EQ(ERR_OK, slog_open(f, kStoreId, &options, &log).code);
        slog_thread_options how = {bytes_max, queued_max, [](void *self, err e) { static_cast<SlogThread *>(self)->failed = e.code; }, this};
        ASSERT_EQ(ERR_OK, slog_thread_start(log, &how, &thread).code);
    }
    void Stop()
    {
        slog_thread_stop(thread);
        slog_close(log);
        thread = nullptr;
        log = nullptr;
    }
    ~SlogThread() override
    {
        Stop();
        slog_files_close(files);
    }
    void StartOnDisk()
    {
        ASSERT_EQ(ERR_OK, slog_files_open((dir.path / "log").c_str(), &files).code);
        Start(files);
    }
    slog_stats Stats()
    {
        slog_stats stats;
        slog_stats_get(log, &stats);
        return stats;
    }
    Directory dir;
    slog_files *files = nullptr;
    slog *log = nullptr;
    struct slog_thread *thread = nullptr;
    std::atomic<err_code> failed{ERR_OK};
};

TEST_F(SlogThread, ManySubmittersAllIsThereInOrder)
{
    constexpr uint32_t kShards = 10;
    constexpr uint64_t kEach = 50;
    StartOnDisk();
    std::vector<std::thread> submitters;
    for (uint32_t shard = 0; shard < kShards; shard++) {
        submitters.emplace_back([this, shard] {
            Waiter waiter;
            for (uint64_t i = 1; i <= kEach; i++) {
                Entry entry(&waiter, {SLOG_DATA, shard, 1, i, std::string(5000, (char)('a' + i % 26))});
                ASSERT_EQ(ERR_OK, slog_submit(thread, &entry.entry).code);
                ASSERT_TRUE(waiter.Until(i));
                ASSERT_EQ(ERR_OK, entry.result.code);
            }
        });
    }
    // Reads and deletes go on beside it.
    std::vector<slog_kept> kept;
    for (uint32_t shard = 0; shard < kShards; shard++) kept.push_back({shard, 25, UINT64_MAX});
    slog_shard_view view = {};
    while (slog_shard_get(log, 0, &view).code != ERR_OK || view.last_index < 40) {
        slog_room room = {};
        slog_record record;
        if (view.last_index > 0) {
            auto err = slog_read(log, 0, view.last_index, &room, &record);
            EXPECT_TRUE(err.code == ERR_OK || err.code == ERR_NOT_FOUND);
        }
        slog_room_free(&room);
        slog_pins pins;
        EXPECT_EQ(ERR_OK, slog_gc(log, kept.data(), kept.size(), 0, &pins).code);
        std::this_thread::yield();
    }
    for (auto &t : submitters) t.join();
    auto stats = Stats();
    EXPECT_EQ(kShards * kEach * 5000, stats.payload_bytes);
    EXPECT_LT(stats.groups, kShards * kEach) << "no two shared an fdatasync";
    Stop();
    slog_options options = {1 << 20, 0};
    ASSERT_EQ(ERR_OK, slog_open(files, kStoreId, &options, &log).code);
    for (uint32_t shard = 0; shard < kShards; shard++) {
        ASSERT_EQ(ERR_OK, slog_shard_get(log, shard, &view).code);
        EXPECT_EQ(kEach, view.last_index);
        EXPECT_LE(view.first_index, 26u);
    }
}

TEST_F(SlogThread, CallbacksComeInOrderAndMayFreeAndSubmit)
{
    StartOnDisk();
    Waiter waiter;
    std::deque<Entry> entries;
    for (uint64_t i = 1; i <= 200; i++) entries.emplace_back(&waiter, Record{SLOG_DATA, 1, 1, i, "x"});
    auto *commit = new Entry(&waiter, {SLOG_COMMIT, 1, 0, 100, ""});
    commit->entry.lazy = true;
    entries[99].then = [&] { EXPECT_EQ(ERR_OK, slog_submit(thread, &commit->entry).code); };
    for (auto &e : entries) ASSERT_EQ(ERR_OK, slog_submit(thread, &e.entry).code);
    ASSERT_TRUE(waiter.Until(201));
    EXPECT_EQ(ERR_OK, commit->result.code);
    delete commit;
    uint64_t next = 1;
    for (const auto &name : waiter.order) {
        if (next <= 200 && name == "1/" + std::to_string(next)) next++;
    }
    EXPECT_EQ(201u, next);
    slog_shard_view view;
    ASSERT_EQ(ERR_OK, slog_shard_get(log, 1, &view).code);
    EXPECT_EQ(100u, view.commit);
}

TEST_F(SlogThread, OneIdleGroupFollowsAndThenNothing)
{
    StartOnDisk();
    auto before = Stats().groups;
    Waiter waiter;
    Entry entry(&waiter, {SLOG_DATA, 1, 1, 1, "x"});
    auto began = std::chrono::steady_clock::now();
    ASSERT_EQ(ERR_OK, slog_submit(thread, &entry.entry).code);
    while (Stats().groups < before + 2 && std::chrono::steady_clock::now() - began < 30s) std::this_thread::yield();
    EXPECT_EQ(before + 2, Stats().groups);
    EXPECT_GE(std::chrono::steady_clock::now() - began, 100ms);
    // A lazy entry makes no more than one group of its own, and no second idle one behind it.
    Entry commit(&waiter, {SLOG_COMMIT, 1, 0, 1, ""});
    commit.entry.lazy = true;
    ASSERT_EQ(ERR_OK, slog_submit(thread, &commit.entry).code);
    ASSERT_TRUE(waiter.Until(2));
    Entry second(&waiter, {SLOG_DATA, 1, 1, 2, "y"});  // its group is the next one after all
    ASSERT_EQ(ERR_OK, slog_submit(thread, &second.entry).code);
    ASSERT_TRUE(waiter.Until(3));
    slog_thread_stop(thread);  // writes the idle group that is owed, unless it was time for it already
    thread = nullptr;
    EXPECT_EQ(before + 5, Stats().groups);
}

TEST_F(SlogThread, TheQueueIsBounded)
{
    FakeFiles fake(1);
    Start(&fake, 3, 1 << 20);
    Waiter waiter, gate;
    std::mutex open;
    open.lock();
    Entry first(&waiter, {SLOG_DATA, 1, 1, 1, "x"});  // holds the log thread in its callback
    std::atomic<bool> held{false};
    first.then = [&] {
        held = true;
        std::lock_guard<std::mutex> wait(open);
    };
    ASSERT_EQ(ERR_OK, slog_submit(thread, &first.entry).code);
    while (!held) std::this_thread::yield();
    std::deque<Entry> more;
    for (uint64_t i = 2; i <= 5; i++) more.emplace_back(&waiter, Record{SLOG_DATA, 1, 1, i, std::string(i == 2 ? 1 << 20 : 10, 'x')});
    EXPECT_EQ(ERR_OK, slog_submit(thread, &more[0].entry).code) << "one fits whatever its size";
    EXPECT_EQ(ERR_BUSY, slog_submit(thread, &more[1].entry).code) << "bytes";
    EXPECT_EQ((size_t)(1 << 20) + SLOG_RECORD_HEAD_BYTES, slog_thread_queued_bytes(thread));
    Entry big(&waiter, {SLOG_DATA, 1, 1, 3, std::string(SLOG_PAYLOAD_MAX_BYTES + 1, 'x')});
    EXPECT_EQ(ERR_TOO_BIG, slog_submit(thread, &big.entry).code);
    open.unlock();
    ASSERT_TRUE(waiter.Until(2));
    held = false;
    open.lock();
    more[1].then = first.then;
    ASSERT_EQ(ERR_OK, slog_submit(thread, &more[1].entry).code);
    while (!held) std::this_thread::yield();
    EXPECT_EQ(ERR_OK, slog_submit(thread, &more[2].entry).code);
    EXPECT_EQ(ERR_OK, slog_submit(thread, &more[3].entry).code);
    Entry other(&waiter, {SLOG_DATA, 2, 1, 1, ""}), too_many(&waiter, {SLOG_DATA, 3, 1, 1, ""});
    EXPECT_EQ(ERR_OK, slog_submit(thread, &other.entry).code);
    EXPECT_EQ(ERR_BUSY, slog_submit(thread, &too_many.entry).code) << "count";
    open.unlock();
    ASSERT_TRUE(waiter.Until(6));
    Stop();
}

TEST_F(SlogThread, MoreThanAGroupHoldsGoesInSeveral)
{
    FakeFiles fake(1);
    Start(&fake);
    Waiter waiter;
    std::deque<Entry> entries;
    for (uint64_t i = 1; i <= 7; i++) entries.emplace_back(&waiter, Record{SLOG_DATA, 1, 1, i, std::string(5 << 20, 'x')});
    for (auto &e : entries) ASSERT_EQ(ERR_OK, slog_submit(thread, &e.entry).code);
    ASSERT_TRUE(waiter.Until(7));
    for (auto &e : entries) EXPECT_EQ(ERR_OK, e.result.code);
    Stop();
}

TEST_F(SlogThread, AFailedSyncEndsIt)
{
    FakeFiles fake(1);
    Start(&fake);
    Waiter waiter;
    Entry good(&waiter, {SLOG_DATA, 1, 1, 1, "x"}), bad(&waiter, {SLOG_DATA, 1, 1, 2, "x"}), late(&waiter, {SLOG_DATA, 1, 1, 3, "x"});
    good.then = [&] { fake.FaultAt(fake.ops + 1, FakeFiles::kSyncIo); };  // on the log thread
    ASSERT_EQ(ERR_OK, slog_submit(thread, &good.entry).code);
    ASSERT_TRUE(waiter.Until(1));
    bad.then = [&] {
        EXPECT_EQ(ERR_IO, failed) << "the owner hears it first";
        EXPECT_EQ(ERR_OK, slog_submit(thread, &late.entry).code) << "still queued, then refused";
    };
    ASSERT_EQ(ERR_OK, slog_submit(thread, &bad.entry).code);
    ASSERT_TRUE(waiter.Until(3));
    EXPECT_EQ(ERR_OK, good.result.code);
    EXPECT_EQ(ERR_IO, bad.result.code);
    EXPECT_EQ(ERR_IO, late.result.code);
    Entry after(&waiter, {SLOG_DATA, 1, 1, 2, "x"});
    EXPECT_EQ(ERR_IO, slog_submit(thread, &after.entry).code);
    Stop();
}

TEST_F(SlogThread, StoppingWritesWhatIsQueued)
{
    FakeFiles fake(1);
    Start(&fake);
    Waiter waiter;
    std::deque<Entry> entries;
    for (uint64_t i = 1; i <= 100; i++) entries.emplace_back(&waiter, Record{SLOG_DATA, 1, 1, i, "x"});
    Entry refused(&waiter, {SLOG_DATA, 1, 1, 101, "x"}), lazy(&waiter, {SLOG_COMMIT, 1, 0, 5, ""});
    lazy.entry.lazy = true;
    for (auto &e : entries) ASSERT_EQ(ERR_OK, slog_submit(thread, &e.entry).code);
    ASSERT_EQ(ERR_OK, slog_submit(thread, &lazy.entry).code);
    Stop();
    EXPECT_EQ(101u, waiter.done);
    Log log_again(&fake);
    EXPECT_EQ(100u, log_again.View(1).last_index);
    EXPECT_EQ(5u, log_again.View(1).commit);
}

// ---- the directory's calls, as the fake imitates them

// What this process had to be written to disks; 0 where the kernel doesn't count.
uint64_t WrittenToDisks()
{
    std::ifstream in("/proc/self/io");
    for (std::string word; in >> word;)
        if (uint64_t bytes; word == "write_bytes:" && in >> bytes) return bytes;
    return 0;
}

// Small groups cost no more than themselves, also in a segment that was read whole at the start:
// pages in one large folio would all count again with each of them.
TEST(SlogFilePosix, SmallGroupsDoNotHaveLargePagesWritten)
{
    Directory dir;
    slog_files *files = nullptr;
    ASSERT_EQ(ERR_OK, slog_files_open((dir.path / "d").c_str(), &files).code);
    constexpr uint64_t kGroups = 200, kGroupBytes = 4096;
    for (uint64_t start = 0; start < 2; start++) {
        Log log(files, 4 << 20);
        uint64_t before = WrittenToDisks();
        for (uint64_t i = 1; i <= kGroups; i++) log.Good({{SLOG_DATA, 1, 1, start * kGroups + i, "small"}});
        EXPECT_LE(WrittenToDisks() - before, 2 * kGroups * kGroupBytes) << "start " << start;
    }
    slog_files_close(files);
}

TEST(SlogFilePosix, DoesWhatTheFakeDoes)
{
    Directory dir;
    slog_files *files = nullptr;
    EXPECT_EQ(ERR_NOT_FOUND, slog_files_open((dir.path / "no" / "parent").c_str(), &files).code);
    std::ofstream(dir.path / "file") << "x";
    EXPECT_EQ(ERR_IO, slog_files_open((dir.path / "file").c_str(), &files).code);
    ASSERT_EQ(ERR_OK, slog_files_open((dir.path / "d").c_str(), &files).code);
    const auto &c = *files->calls;
    int file = -1, second = -1;
    EXPECT_EQ(ERR_NOT_FOUND, c.open(files, "a", false, &file).code);
    ASSERT_EQ(ERR_OK, c.open(files, "a", true, &file).code);
    EXPECT_EQ(ERR_EXISTS, c.open(files, "a", true, &second).code);
    EXPECT_EQ(ERR_OK, c.allocate(files, file, 10000).code);
    EXPECT_EQ(ERR_OK, slog_file_write(files, file, span_of("hello", 5), 4096).code);
    char bytes[16] = "xxxxxxxxxxxxxxx";
    EXPECT_EQ(ERR_OK, slog_file_read(files, file, bytes, 8, 4094).code);
    EXPECT_EQ(std::string("\0\0hello\0", 8), std::string(bytes, 8));
    EXPECT_EQ(ERR_CORRUPT, slog_file_read(files, file, bytes, 8, 9996).code);
    size_t got = 9;
    EXPECT_EQ(ERR_OK, c.read(files, file, bytes, 8, 20000, &got).code);
    EXPECT_EQ(0u, got);
    EXPECT_EQ(ERR_OK, c.truncate(files, file, 4098).code);
    EXPECT_EQ(ERR_OK, c.sync(files, file).code);
    c.forget(files, file);
    uint64_t size = 0;
    EXPECT_EQ(ERR_OK, c.size(files, file, &size).code);
    EXPECT_EQ(4098u, size);
    EXPECT_EQ(ERR_IO, c.allocate(files, file, 1ull << 62).code) << "no file is that big";
    c.close(files, file);
    EXPECT_EQ(ERR_OK, c.rename(files, "a", "b").code);
    EXPECT_EQ(ERR_NOT_FOUND, c.rename(files, "a", "b").code);
    std::string names;
    auto each = [](void *to, const char *name) { return static_cast<std::string *>(to)->append(name), err_ok(); };
    EXPECT_EQ(ERR_OK, c.list(files, each, &names).code);
    EXPECT_EQ("b", names);
    auto stop = [](void *, const char *) { return err_make(ERR_BUSY, "stop"); };
    EXPECT_EQ(ERR_BUSY, c.list(files, stop, nullptr).code);
    EXPECT_EQ(ERR_OK, c.unlink(files, "b").code);
    EXPECT_EQ(ERR_NOT_FOUND, c.unlink(files, "b").code);
    EXPECT_EQ(ERR_OK, c.sync_directory(files).code);
    EXPECT_EQ(ERR_OK, c.free_bytes(files, &size).code);
    EXPECT_GT(size, 4098u);
    slog_files_close(files);
}

// ---- data directory

TEST(StoreDir, ItsIdentityLasts)
{
    Directory dir;
    auto path = dir.path / "data";
    uint8_t id[16];
    for (uint64_t boot = 1; boot <= 3; boot++) {
        store_dir *store = nullptr;
        ASSERT_EQ(ERR_OK, store_dir_open(path.c_str(), boot == 1 ? 64 : 8, &store).code);
        auto identity = store_dir_identity(store);
        EXPECT_EQ(boot, identity->boot);
        EXPECT_EQ(64u, identity->shards) << "fixed at initialisation";
        if (boot == 1) memcpy(id, identity->store_id, 16);
        EXPECT_EQ(0, memcmp(id, identity->store_id, 16));
        EXPECT_TRUE(fs::is_directory(path / "log") && fs::is_directory(path / "shards"));
        store_dir *second = nullptr;
        EXPECT_EQ(ERR_EXISTS, store_dir_open(path.c_str(), 64, &second).code);
        EXPECT_EQ(nullptr, second);
        store_dir_close(store);
    }
    Directory other;
    store_dir *store = nullptr;
    ASSERT_EQ(ERR_OK, store_dir_open(other.path.c_str(), 64, &store).code) << "an empty one that is there";
    EXPECT_NE(0, memcmp(id, store_dir_identity(store)->store_id, 16));
    store_dir_close(store);
}

TEST(StoreDir, TheLockIsFreeWhenItsHolderIsKilled)
{
    Directory dir;
    int ends[2];
    ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
    pid_t pid = fork();
    if (pid == 0) {
        store_dir *store = nullptr;
        char ok = store_dir_open(dir.path.c_str(), 4, &store).code == ERR_OK;
        if (write(ends[1], &ok, 1) == 1) pause();
        _exit(1);
    }
    char ok = 0;
    ASSERT_EQ(1, read(ends[0], &ok, 1));
    EXPECT_EQ(1, ok);
    store_dir *store = nullptr;
    EXPECT_EQ(ERR_EXISTS, store_dir_open(dir.path.c_str(), 4, &store).code);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    ASSERT_EQ(ERR_OK, store_dir_open(dir.path.c_str(), 4, &store).code);
    EXPECT_EQ(2u, store_dir_identity(store)->boot);
    store_dir_close(store);
    close(ends[0]);
    close(ends[1]);
}

TEST(StoreDir, ADamagedOrForeignIdentityIsRefused)
{
    Directory dir;
    store_dir *store = nullptr;
    ASSERT_EQ(ERR_OK, store_dir_open(dir.path.c_str(), 64, &store).code);
    store_dir_close(store);
    std::ifstream in(dir.path / "identity", std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(in)), {});
    ASSERT_EQ(48u, good.size());
    auto open_with = [&](const std::string &bytes) {
        std::ofstream(dir.path / "identity", std::ios::binary | std::ios::trunc) << bytes;
        store = nullptr;
        auto code = store_dir_open(dir.path.c_str(), 64, &store).code;
        store_dir_close(store);
        return code;
    };
    for (size_t i = 0; i < good.size(); i++) {
        auto bad = good;
        bad[i] ^= 1;
        EXPECT_NE(ERR_OK, open_with(bad)) << i;
        EXPECT_EQ(ERR_CORRUPT, open_with(good.substr(0, i))) << i;
    }
    EXPECT_EQ(ERR_CORRUPT, open_with(good + "x"));
    auto newer = good;
    newer[8] = 2;
    EXPECT_EQ(ERR_UNSUPPORTED, open_with(newer));
    std::ofstream(dir.path / "identity.new") << "of a start that was killed";
    EXPECT_EQ(ERR_OK, open_with(good));
    fs::remove(dir.path / "identity");
    EXPECT_EQ(ERR_CORRUPT, store_dir_open(dir.path.c_str(), 64, &store).code) << "log/ is there";
    fs::remove(dir.path / "log");
    fs::remove(dir.path / "shards");
    fs::create_directory(dir.path / "lost+found");
    ASSERT_EQ(ERR_OK, store_dir_open(dir.path.c_str(), 64, &store).code);
    store_dir_close(store);
}

}  // namespace

// A storage node's data directory at work: restarts, kill -9, a full disk, a second process.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "kv.h"
#include "rocksdb_tsan.h"
#include "shard.h"
#include "metrics.h"
#include "store_node.h"

extern char **environ;

namespace {

enum { SHARDS = 3, WRITERS = 10, BODY_BYTES = 5000, OWN_KIND = 23 };

span S(const std::string &s) { return span_of(s.data(), s.size()); }

// Row `number` of a shard: of a kind that no room reads.
std::string Key(uint64_t number)
{
    std::string key(14, '\0');
    key += (char)OWN_KIND;
    for (int i = 7; i >= 0; i--) key += (char)(number >> (8 * i));
    return key;
}

std::string Value(unsigned shard, uint64_t number, size_t bytes)
{
    std::string value(bytes, '\0');
    uint64_t at = number * 2654435761u + shard;
    for (char &c : value) {
        at = at * 6364136223846793005u + 1442695040888963407u;
        c = (char)(at >> 56);
    }
    return value;
}

void Failed(err err)
{
    fprintf(stderr, "the disk failed: %s\n", err.what);
    abort();
}

store_node_options Options(const std::string &directory)
{
    store_node_options o{};
    o.directory = directory.c_str();
    o.shards = SHARDS;
    o.workers = 2;
    o.memory_bytes = 4 << 20;
    o.cache_bytes = 4 << 20;
    o.index_bytes = 1 << 20;
    o.segment_bytes = 1 << 20;
    o.settings.operation_keep_ms = 3600 * 1000;
    o.failed = Failed;
    return o;
}

// How many dense rows a shard has, from 1 on; each is checked, and none is behind a gap.
uint64_t Rows(struct shard *shard, size_t bytes)
{
    uint64_t count = 0;
    kv_iter *iter;
    EXPECT_EQ(ERR_OK, kv_iter_new(shard_rows(shard), &iter).code);
    for (iter->calls->seek(iter, S(Key(0))); iter->calls->valid(iter); iter->calls->next(iter)) {
        span key = iter->calls->key(iter), value = iter->calls->value(iter);
        if ((unsigned char)key.ptr[0] == 0xFF) break;
        EXPECT_EQ(Key(count + 1), std::string(key.ptr, key.len));
        EXPECT_EQ(Value(shard_number(shard), count + 1, bytes), std::string(value.ptr, value.len));
        count++;
    }
    EXPECT_EQ(ERR_OK, iter->calls->status(iter).code);
    iter->calls->free(iter);
    return count;
}

// Writes rows one after another, until the last; the next one when the one before is answered.
struct Writer {
    shard_job job;       // first: the calls give these back
    shard_change change;
    struct shard *shard;
    struct Crowd *crowd;
};

struct Crowd {
    std::mutex lock;
    std::condition_variable wake;
    unsigned running = 0;
    uint64_t next[SHARDS] = {}, last = 0; // next: on the shard's thread
    uint64_t answered[SHARDS] = {};
    int tell = -1;                        // a pipe that hears of each answer
    err_code stopped = ERR_OK;
    size_t bytes = BODY_BYTES;

    void Ended(err_code code)
    {
        std::lock_guard<std::mutex> hold(lock);
        if (code != ERR_OK) stopped = code;
        running--;
        wake.notify_all();
    }
};

void WriteNext(shard_job *job);

void Done(shard_change *change, err err)
{
    Writer *w = reinterpret_cast<Writer *>(reinterpret_cast<char *>(change) -
                                           offsetof(Writer, change));
    unsigned shard = shard_number(w->shard);
    if (err.code != ERR_OK) {
        w->crowd->Ended(err.code);
        return;
    }
    w->crowd->answered[shard]++;
    char said = (char)shard;
    if (w->crowd->tell >= 0 && write(w->crowd->tell, &said, 1) != 1) abort();
    WriteNext(&w->job);
}

void WriteNext(shard_job *job)
{
    Writer *w = reinterpret_cast<Writer *>(job);
    unsigned shard = shard_number(w->shard);
    uint64_t number = w->crowd->next[shard] + 1;
    if (number > w->crowd->last) {
        w->crowd->Ended(ERR_OK);
        return;
    }
    kv_batch batch;
    kv_batch_init(&batch);
    kv_batch_put(&batch, S(Key(number)), S(Value(shard, number, w->crowd->bytes)));
    w->change.done = Done;
    err err = shard_propose(w->shard, &batch, 1, &w->change);
    kv_batch_free(&batch);
    if (err.code == ERR_OK) w->crowd->next[shard] = number;
    else w->crowd->Ended(err.code);
}

// Rows up to `last` in every shard, by WRITERS at once. What stopped it, if something did.
err_code WriteAll(store_node *node, Crowd *crowd)
{
    std::vector<Writer> writers(WRITERS);
    crowd->running = WRITERS;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].shard = store_node_shard(node, i % SHARDS);
        writers[i].crowd = crowd;
        writers[i].job.run = WriteNext;
        EXPECT_EQ(ERR_OK, shard_post(writers[i].shard, &writers[i].job).code);
    }
    std::unique_lock<std::mutex> hold(crowd->lock);
    EXPECT_TRUE(crowd->wake.wait_for(hold, std::chrono::seconds(120),
                                     [&] { return crowd->running == 0; }));
    return crowd->stopped;
}

class StoreNode : public ::testing::Test {
protected:
    void SetUp() override
    {
        std::string path = (std::filesystem::temp_directory_path() / "store-XXXXXX").string();
        ASSERT_NE(nullptr, mkdtemp(path.data()));
        base = path;
        directory = base + "/data";
    }
    void TearDown() override { std::filesystem::remove_all(base); }
    std::string base, directory;
};

TEST_F(StoreNode, WhatWasAnsweredIsThereAfterRestarts)
{
    uint64_t epoch[SHARDS] = {};
    for (uint64_t life = 1; life <= 4; life++) {
        store_node *node;
        store_node_options options = Options(directory);
        if (life > 1) options.shards = 7; // an old directory keeps its number
        ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
        ASSERT_EQ(unsigned{SHARDS}, store_node_shards(node));
        Crowd crowd;
        crowd.last = life * 40;
        for (unsigned i = 0; i < SHARDS; i++) {
            struct shard *shard = store_node_shard(node, i);
            shard_state state;
            shard_state_get(shard, &state);
            EXPECT_TRUE(shard_serves(shard));
            EXPECT_LT(epoch[i], state.epoch); // each start leads a new one
            epoch[i] = state.epoch;
            crowd.next[i] = Rows(shard, BODY_BYTES);
            EXPECT_EQ((life - 1) * 40, crowd.next[i]);
        }
        EXPECT_EQ(ERR_OK, WriteAll(node, &crowd));
        for (unsigned i = 0; i < SHARDS; i++)
            EXPECT_EQ(life * 40, Rows(store_node_shard(node, i), BODY_BYTES));
        store_node_close(node);
    }
}

TEST_F(StoreNode, EverySlotHasItsShard)
{
    store_node *node;
    store_node_options options = Options(directory);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    for (unsigned slot = 0; slot < 16384; slot++) {
        uint32_t first, end;
        struct shard *shard = store_node_of_slot(node, slot);
        ASSERT_NE(nullptr, shard);
        shard_slots(shard, &first, &end);
        ASSERT_TRUE(first <= slot && slot < end) << slot;
    }
    EXPECT_EQ(nullptr, store_node_of_slot(node, 16384));
    store_node_close(node);
}

TEST_F(StoreNode, ASecondStartIsRefused)
{
    store_node *node, *second = nullptr;
    store_node_options options = Options(directory);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    EXPECT_EQ(ERR_EXISTS, store_node_open(&options, &second).code);
    store_node_close(node);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &second).code);
    store_node_close(second);
}

TEST_F(StoreNode, ADirectoryThatLostItsLogIsNotServed)
{
    store_node *node;
    store_node_options options = Options(directory);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    Crowd crowd;
    crowd.last = 5;
    EXPECT_EQ(ERR_OK, WriteAll(node, &crowd));
    store_node_close(node);
    std::filesystem::remove_all(directory + "/log");
    EXPECT_EQ(ERR_CORRUPT, store_node_open(&options, &node).code);
}

TEST_F(StoreNode, BelowTheReserveChangesAreRefusedAndReadsGoOn)
{
    store_node *node;
    store_node_options options = Options(directory);
    std::vector<store_notice> notices;
    options.noticed = [](void *holder, const store_notice *notice) {
        static_cast<std::vector<store_notice> *>(holder)->push_back(*notice); // the test's own thread looks at the disk
    };
    options.holder = &notices;
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    Crowd first;
    first.last = 3;
    EXPECT_EQ(ERR_OK, WriteAll(node, &first));
    options.settings.reserve_bytes = UINT64_MAX;
    store_node_configure(node, &options.settings);
    EXPECT_TRUE(store_node_is_full(node, nullptr));
    ASSERT_EQ(1u, notices.size());
    EXPECT_EQ(STORE_DISK_FULL, notices[0].kind);
    EXPECT_GT(notices[0].free_bytes, 0u);
    store_node_stats stats;
    store_node_stats_get(node, &stats);
    EXPECT_TRUE(stats.is_full);
    Crowd full;
    full.last = 6;
    std::fill(full.next, full.next + SHARDS, 3);
    EXPECT_EQ(ERR_FULL, WriteAll(node, &full));
    for (unsigned i = 0; i < SHARDS; i++)
        EXPECT_EQ(3u, Rows(store_node_shard(node, i), BODY_BYTES));
    options.settings.reserve_bytes = 0;
    store_node_configure(node, &options.settings);
    Crowd again;
    again.last = 6;
    std::fill(again.next, again.next + SHARDS, 3);
    EXPECT_EQ(ERR_OK, WriteAll(node, &again));
    for (unsigned i = 0; i < SHARDS; i++)
        EXPECT_EQ(6u, Rows(store_node_shard(node, i), BODY_BYTES));
    EXPECT_FALSE(store_node_is_full(node, nullptr));
    ASSERT_EQ(2u, notices.size()); // each news once
    EXPECT_EQ(STORE_DISK_FREE, notices[1].kind);
    store_node_close(node);
}

TEST_F(StoreNode, TellsOfItselfInNumbers)
{
    store_node *node;
    store_node_options options = Options(directory);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    store_node_stats before, after;
    store_node_stats_get(node, &before);
    EXPECT_EQ(unsigned(SHARDS), before.shards[6]); // serving
    EXPECT_EQ(0u, before.behind);
    int64_t entries = metric_get(METRIC_ENTRIES, 0), groups = metric_get(METRIC_GROUPS, 0), syncs = metric_get(METRIC_SYNC_TIME, 0);
    Crowd crowd;
    crowd.last = 10;
    EXPECT_EQ(ERR_OK, WriteAll(node, &crowd));
    store_node_stats_get(node, &after);
    EXPECT_GE(metric_get(METRIC_ENTRIES, 0), entries + 10 * SHARDS);
    EXPECT_GT(metric_get(METRIC_GROUPS, 0), groups);
    EXPECT_GT(metric_get(METRIC_SYNC_TIME, 0), syncs);
    EXPECT_GT(after.log_bytes, before.log_bytes);
    EXPECT_GE(after.log_segments, 1u);
    EXPECT_EQ(0u, after.behind); // all was answered, so all is applied
    EXPECT_EQ(0u, after.behind_most);
    EXPECT_GT(after.free_bytes, 0u);
    EXPECT_FALSE(after.is_full);
    EXPECT_STREQ("serving", store_role_text(6));
    EXPECT_STREQ("unknown", store_role_text(8));
    store_node_close(node);
}

// The node closes while changes are proposed: each is answered once, and none hangs.
TEST_F(StoreNode, ClosesWhileChangesComeIn)
{
    store_node *node;
    store_node_options options = Options(directory);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    Crowd crowd;
    crowd.last = UINT64_MAX - 1;
    crowd.bytes = 100;
    std::vector<Writer> writers(WRITERS);
    crowd.running = WRITERS;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].shard = store_node_shard(node, i % SHARDS);
        writers[i].crowd = &crowd;
        writers[i].job.run = WriteNext;
        ASSERT_EQ(ERR_OK, shard_post(writers[i].shard, &writers[i].job).code);
    }
    store_node_close(node);
    EXPECT_EQ(0u, crowd.running);
    EXPECT_EQ(ERR_CANCELLED, crowd.stopped);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    for (unsigned i = 0; i < SHARDS; i++)
        EXPECT_EQ(crowd.answered[i], Rows(store_node_shard(node, i), 100));
    store_node_close(node);
}

// Runs this program again as a writer (main below), hears `answers` of it, and kills it.
void WriteAndKill(const std::string &directory, unsigned answers, uint64_t heard[SHARDS])
{
    int ends[2];
    pid_t child;
    char self[] = "/proc/self/exe", mode[] = "--write";
    ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    std::string path = directory;
    char *arguments[] = {self, mode, path.data(), nullptr};
    ASSERT_EQ(0, posix_spawn(&child, self, &files, nullptr, arguments, environ));
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    char shard;
    for (unsigned n = 0; read(ends[0], &shard, 1) == 1;) {
        heard[(unsigned char)shard]++;
        if (++n == answers) kill(child, SIGKILL);
    }
    close(ends[0]);
    int status;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_F(StoreNode, KilledAtAnyMomentItHasAPrefixWithEverythingAnswered)
{
    uint64_t heard[SHARDS] = {};
    const unsigned answers[] = {1, 37, 200, 411, 2, 600};
    for (unsigned n : answers) {
        WriteAndKill(directory, n, heard);
        if (HasFatalFailure()) return;
        store_node *node;
        store_node_options options = Options(directory);
        ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
        for (unsigned i = 0; i < SHARDS; i++) {
            uint64_t rows = Rows(store_node_shard(node, i), BODY_BYTES);
            EXPECT_GE(rows, heard[i]);
            heard[i] = rows;
        }
        store_node_close(node);
    }
}

int WriteUntilKilled(const char *directory)
{
    store_node *node;
    std::string path = directory;
    store_node_options options = Options(path);
    if (store_node_open(&options, &node).code != ERR_OK) return 1;
    Crowd crowd;
    crowd.last = 1000000;
    crowd.tell = STDOUT_FILENO;
    for (unsigned i = 0; i < SHARDS; i++)
        crowd.next[i] = Rows(store_node_shard(node, i), BODY_BYTES);
    return (int)WriteAll(node, &crowd);
}

}  // namespace

int main(int argc, char **argv)
{
    if (argc == 3 && std::string(argv[1]) == "--write") return WriteUntilKilled(argv[2]);
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}

// A storage node's data directory at work: restarts, kill -9, a full disk, a second process.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "kv.h"
#include "mbox_fixture.h"
#include "shard.h"
#include "metrics.h"
#include "store_node.h"

extern char **environ;

namespace {

enum { SHARDS = 3, WRITERS = 10, BODY_BYTES = 5000, OWN_KIND = 23 };

using mbox_test::S;

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
    void TearDown() override
    {
        (void)umount((directory + "/log").c_str()); // where a test has failed
        std::filesystem::remove_all(base);
    }
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

bool Waits(const std::function<bool()> &done, int seconds = 60)
{
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!done() && std::chrono::steady_clock::now() < until) usleep(2000);
    return done();
}

// A batch of one's own, put into a shard and answered.
struct Put {
    shard_job job;
    shard_change change;
    struct shard *shard;
    std::vector<kv_batch> batches;
    std::atomic<bool> answered{false};
    err_code code = ERR_OK;
    err_code Do(struct shard *to)
    {
        shard = to;
        job.run = [](shard_job *j) {
            Put *put = reinterpret_cast<Put *>(j);
            put->change.done = [](shard_change *c, err e) {
                Put *own = reinterpret_cast<Put *>(reinterpret_cast<char *>(c) - offsetof(Put, change));
                own->code = e.code;
                own->answered = true;
            };
            err e = shard_propose(put->shard, put->batches.data(), put->batches.size(), &put->change);
            if (e.code != ERR_OK) put->change.done(&put->change, e);
        };
        EXPECT_EQ(ERR_OK, shard_post(shard, &job).code);
        EXPECT_TRUE(Waits([&] { return answered.load(); }));
        for (auto &batch : batches) kv_batch_free(&batch);
        return code;
    }
    void Row(const std::string &key, const std::string &value)
    {
        kv_batch batch;
        kv_batch_init(&batch);
        kv_batch_put(&batch, S(key), S(value));
        batches.push_back(batch);
    }
};

// Whether a shard has a row.
bool Has(struct shard *shard, const std::string &key)
{
    kv_value value = {};
    err e = kv_get(shard_rows(shard), S(key), &value);
    kv_value_free(&value);
    return e.code == ERR_OK;
}

// From now on this process mounts for itself alone, and what it mounted ends with it. Who is not root
// is so in a user name space of his own.
void OwnMounts()
{
    auto uid = std::to_string(geteuid()), gid = std::to_string(getegid());
    bool root = geteuid() == 0;
    ASSERT_EQ(0, unshare(root ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER)) << strerror(errno);
    if (!root) {
        std::ofstream("/proc/self/setgroups") << "deny";
        std::ofstream("/proc/self/uid_map") << "0 " + uid + " 1";
        std::ofstream("/proc/self/gid_map") << "0 " + gid + " 1";
    }
    ASSERT_EQ(0, mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr)) << strerror(errno);
}

// The disk of the log has no room for the epoch that a start begins with. The node is up all the
// same, and serves as soon as there is room, without a new start.
TEST_F(StoreNode, AStartOnAFullDiskWaitsForSpaceAndThenServes)
{
    OwnMounts(); // before there are threads
    std::string log = directory + "/log", first = directory + "/first-log";
    store_node *node = nullptr;
    store_node_options options = Options(directory);
    options.segment_bytes = 64 << 10;
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    store_node_close(node);
    std::filesystem::rename(log, first);
    std::filesystem::create_directory(log);
    ASSERT_EQ(0, mount("none", log.c_str(), "tmpfs", 0, "size=128k")) << strerror(errno);
    std::filesystem::copy(first, log);
    unsigned starts = 0;
    for (bool owes = false; !owes; starts++) { // each takes a little more of it
        ASSERT_LT(starts, 100u);
        ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code) << "start " << starts;
        for (unsigned i = 0; i < SHARDS; i++) owes = owes || shard_owes(store_node_shard(node, i));
        if (!owes) store_node_close(node);
    }
    EXPECT_GT(starts, 2u);
    for (unsigned i = 0; i < SHARDS; i++) { // those that began before the last block was taken serve
        struct shard *shard = store_node_shard(node, i);
        if (!shard_owes(shard)) continue;
        EXPECT_FALSE(shard_serves(shard));
        Put refused;
        refused.Row(Key(1), "x");
        EXPECT_NE(ERR_OK, refused.Do(shard));
        EXPECT_FALSE(Has(shard, Key(1)));
    }
    ASSERT_EQ(0, mount("none", log.c_str(), "tmpfs", MS_REMOUNT, "size=64m"));
    EXPECT_TRUE(Waits([&] {
        for (unsigned i = 0; i < SHARDS; i++) {
            if (!shard_serves(store_node_shard(node, i))) return false;
        }
        return true;
    }));
    Crowd crowd;
    crowd.last = 20;
    EXPECT_EQ(ERR_OK, WriteAll(node, &crowd));
    store_node_close(node);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    for (unsigned i = 0; i < SHARDS; i++)
        EXPECT_EQ(20u, Rows(store_node_shard(node, i), BODY_BYTES));
    store_node_close(node);
    EXPECT_EQ(0, umount(log.c_str()));
}

// What is to be forgotten goes in a node that nobody writes to, and it does not take a busy keeper.
TEST_F(StoreNode, AnIdleNodeForgetsToo)
{
    store_node *node;
    store_node_options options = Options(directory);
    options.trim_every_ms = 1500;
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    struct shard *shard = store_node_shard(node, 0);
    uint32_t hours = uint32_t(time(nullptr) / 3600);
    auto operation = [](uint32_t hour) { // KV_OPERATION of slot 0
        std::string key(14, '\0');
        key += (char)128;
        for (int i = 3; i >= 0; i--) key += (char)(hour >> (8 * i));
        return key + std::string(16, 'o');
    };
    Put put;
    put.Row(operation(hours - 5), "old");
    put.Row(operation(hours), "new");
    ASSERT_EQ(ERR_OK, put.Do(shard));
    EXPECT_TRUE(Has(shard, operation(hours - 5)));
    EXPECT_TRUE(Waits([&] { return !Has(shard, operation(hours - 5)); }));
    EXPECT_TRUE(Has(shard, operation(hours)));
    // Once what that wrote is looked after there is nothing to forget: it looks as seldom as it is told
    // to, and writes nothing.
    auto turns = [&] {
        store_node_stats stats;
        store_node_stats_get(node, &stats);
        return stats.keeper_turns;
    };
    uint64_t first = turns();
    ASSERT_TRUE(Waits([&] { return turns() >= first + 2; }));
    shard_state before, after;
    shard_state_get(shard, &before);
    uint64_t from = turns();
    auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(Waits([&] { return turns() >= from + 2; }));
    EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(options.trim_every_ms));
    shard_state_get(shard, &after);
    EXPECT_EQ(before.last_index, after.last_index);
    store_node_close(node);
}

// A COPY of several log entries that was cut off by a crash: nobody sees it after the start.
TEST_F(StoreNode, ACopyThatWasCutOffIsTakenBackBeforeItServes)
{
    store_node *node;
    store_node_options options = Options(directory);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    uint64_t account = 1;
    while (store_node_of_slot(node, slot_of_account(account)) != store_node_shard(node, 0)) account++;
    struct shard *shard = store_node_shard(node, 0);
    uint64_t ids = 0;
    auto id = [&] {
        std::string text(16, '\0');
        uint32_t seconds = uint32_t(time(nullptr));
        for (int i = 0; i < 4; i++) text[i] = char(seconds >> (8 * (3 - i)));
        memcpy(&text[8], &++ids, 8);
        return text;
    };
    // Prepared on the committed rows, as nothing is on its way; of a copy only the first part is
    // logged, as a crash behind it leaves it.
    auto run = [&](unsigned method, const void *request, bool cut) {
        mbox_context context = {shard_rows(shard), uint64_t(time(nullptr)) * 1000, 0, 0, nullptr};
        shard_slots(shard, &context.slot_first, &context.slot_end);
        mbox_result result;
        mbox_result_init(&result);
        ASSERT_EQ(ERR_OK, mbox_change(&context, method, request, nullptr, &result).code);
        if (cut) ASSERT_GT(result.batches_count, 1u);
        Put put;
        for (size_t i = 0; i < (cut ? 1 : result.batches_count); i++) {
            put.batches.push_back(result.batches[i]);
            kv_batch_init(&result.batches[i]);
        }
        EXPECT_EQ(ERR_OK, put.Do(shard));
        mbox_result_free(&result);
    };
    auto messages = [&](const char *name) {
        arena arena;
        const void *reply;
        arena_init(&arena, 1 << 20);
        mbox_context context = {shard_rows(shard), 0, 0, 0, nullptr};
        shard_slots(shard, &context.slot_first, &context.slot_end);
        store_mailbox_open_request request = {1, account, span_of(name, strlen(name)), false};
        EXPECT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_MAILBOX_OPEN, &request, &arena, &reply).code);
        uint32_t count = static_cast<const store_mailbox_open_reply *>(reply)->mailbox.messages;
        arena_clear(&arena);
        return count;
    };
    auto create_id = id(), append_id = id(), to_id = id();
    store_account_create_request create = {};
    create.operation_id = S(create_id), create.has_account = true, create.account.tenant = 1;
    create.account.account = account, create.account.address = SPAN("a@example.org");
    run(STORE_METHOD_ACCOUNT_CREATE, &create, false);
    store_mailbox_create_request to = {S(to_id), 1, account, SPAN("to"), 0, 0};
    run(STORE_METHOD_MAILBOX_CREATE, &to, false);
    auto facts = mbox_test::Facts("x"), stamp = mbox_test::Stamp();
    store_append_request append = {};
    append.operation_id = S(append_id), append.tenant = 1, append.account = account, append.mailbox = SPAN("INBOX");
    append.facts = S(facts), append.scan_stamp = S(stamp), append.size = 1;
    run(STORE_METHOD_APPEND, &append, false);
    uint32_t count = 1;
    while (count < 80000) {
        auto copy_id = id(), set = mbox_test::SetOf({1});
        uint32_t range[2] = {1, count};
        memcpy(set.data(), range, 8);
        store_copy_request copy = {S(copy_id), 1, account, 1, S(set), SPAN("INBOX"), false};
        run(STORE_METHOD_COPY, &copy, false);
        count *= 2;
    }
    auto copy_id = id(), set = mbox_test::SetOf({1});
    uint32_t range[2] = {1, count};
    memcpy(set.data(), range, 8);
    store_copy_request copy = {S(copy_id), 1, account, 1, S(set), SPAN("to"), false};
    run(STORE_METHOD_COPY, &copy, true);
    EXPECT_GT(messages("to"), 0u);
    store_node_close(node);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    shard = store_node_shard(node, 0);
    ASSERT_TRUE(shard_serves(shard));
    EXPECT_EQ(0u, messages("to"));
    EXPECT_EQ(count, messages("INBOX"));
    run(STORE_METHOD_COPY, &copy, false); // its client tries again
    EXPECT_EQ(count, messages("to"));
    store_node_close(node);
    ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
    shard = store_node_shard(node, 0);
    EXPECT_EQ(count, messages("to")); // and this one stays
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

// copies_fixture.h: two data directories in one process: A leads shard 0 by itself, B has a copy of it that is told
// what it is told by the test. One file of a test program includes this.
#ifndef MAIL_COPIES_FIXTURE_H
#define MAIL_COPIES_FIXTURE_H

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include "kv.h"
#include "loop_fixture.h"
#include "replica_step.h"
#include "shard.h"
#include "shard_copy.h"
#include "shard_install.h"
#include "slog_format.h"
#include "store_node.h"
#include "store_open.h"
#include "store_rows.h"

// Work on a shard's thread, waited for.
template <class F> void OnShard(struct shard *shard, F run)
{
    struct Job {
        shard_job job;
        F *run;
        std::mutex lock;
        std::condition_variable wake;
        bool done = false;
    } job{{}, &run, {}, {}, false};
    job.job.run = [](shard_job *at) {
        Job *self = reinterpret_cast<Job *>(at);
        (*self->run)();
        std::lock_guard<std::mutex> hold(self->lock);
        self->done = true;
        self->wake.notify_all();
    };
    ASSERT_EQ(ERR_OK, shard_post(shard, &job.job).code);
    std::unique_lock<std::mutex> hold(job.lock);
    job.wake.wait(hold, [&] { return job.done; });
}

class CopiesTest : public LoopTest {
protected:
    struct Peers : shard_peers {
        std::mutex lock;
        std::vector<std::pair<roster_id, replica_message>> sent;
        std::optional<uint64_t> behind; // the index that it needs
    } peers;
    struct store_node *a = nullptr, *b = nullptr;
    roster_id boot_a{}, boot_b{}, a_id{}, b_id{};
    std::string a_dir, b_dir;

    void SetUp() override
    {
        LoopTest::SetUp();
        static const shard_peers_calls calls = {
            [](shard_peers *p, struct shard *, const roster_id *to, const replica_message *m, const slog_record *) {
                auto *self = static_cast<Peers *>(p);
                std::lock_guard<std::mutex> hold(self->lock);
                self->sent.emplace_back(*to, *m);
                return true;
            },
            [](shard_peers *, struct shard *, const replica_cas *) {},
            [](shard_peers *, struct shard *) {},
            [](shard_peers *, struct shard *, uint64_t, bool, uint64_t) {},
            nullptr,
            [](shard_peers *p, struct shard *, const roster_id *, uint64_t index) {
                auto *self = static_cast<Peers *>(p);
                std::lock_guard<std::mutex> hold(self->lock);
                self->behind = index;
            },
        };
        peers.calls = &calls;
        memset(boot_a.bytes, 'a', sizeof(boot_a.bytes));
        memset(boot_b.bytes, 'b', sizeof(boot_b.bytes));
        a_dir = dir + "/a";
        b_dir = dir + "/b";
        OpenA();
        OpenB();
    }
    void TearDown() override
    {
        CloseB();
        store_node_close(a);
        std::filesystem::remove_all(a_dir);
        std::filesystem::remove_all(b_dir);
        LoopTest::TearDown();
    }
    static store_node_options Options(const std::string &directory)
    {
        store_node_options o{};
        o.directory = directory.c_str();
        o.shards = 1;
        o.workers = 1;
        o.memory_bytes = 4 << 20;
        o.cache_bytes = 1 << 20;
        o.index_bytes = 1 << 20;
        o.segment_bytes = 1 << 20;
        o.settings.operation_keep_ms = 3600 * 1000;
        o.failed = [](struct err) { abort(); };
        return o;
    }
    void OpenA()
    {
        store_node_options o = Options(a_dir);
        ASSERT_EQ(ERR_OK, store_node_open(&o, &a).code);
        store_node_id(a, a_id.bytes);
    }
    // Without its shard, if that can't be opened as it should not be.
    err_code OpenB(bool shard = true)
    {
        store_node_options o = Options(b_dir);
        o.of_cluster = true;
        EXPECT_EQ(ERR_OK, store_node_open(&o, &b).code);
        store_node_id(b, b_id.bytes);
        return shard ? OpenShardB() : ERR_OK;
    }
    err_code OpenShardB()
    {
        store_shard_place place = {0, 0, 16384, &peers, &boot_b};
        return store_node_open_shard(b, &place).code;
    }
    void CloseB()
    {
        store_node_close(b);
        b = nullptr;
    }
    struct shard *AShard() { return store_node_shard(a, 0); }
    struct shard *BShard() { return store_node_shard(b, 0); }
    static shard_state StateOf(struct shard *shard)
    {
        shard_state state;
        shard_state_get(shard, &state);
        return state;
    }

    // ---- rows

    static std::string Key(uint64_t number)
    {
        std::string key(14, '\0');
        key += char(23); // a kind that no room reads
        for (int i = 7; i >= 0; i--) key += char(number >> (8 * i));
        return key;
    }
    // `count` rows more, each in an entry of its own.
    uint64_t rows = 0;
    void Write(unsigned count, size_t bytes)
    {
        struct Change : shard_change {
            std::mutex lock;
            std::condition_variable wake;
            std::optional<err_code> code;
        } change;
        change.done = [](shard_change *c, err e) {
            Change *self = static_cast<Change *>(c);
            std::lock_guard<std::mutex> hold(self->lock);
            self->code = e.code;
            self->wake.notify_all();
        };
        std::vector<kv_batch> batches(count);
        for (auto &batch : batches) {
            std::string value = Pattern(bytes + rows % 7);
            kv_batch_init(&batch);
            kv_batch_put(&batch, S(Key(++rows)), S(value));
        }
        OnShard(AShard(), [&] {
            EXPECT_EQ(ERR_OK, shard_propose(AShard(), batches.data(), batches.size(), &change).code);
        });
        std::unique_lock<std::mutex> hold(change.lock);
        change.wake.wait(hold, [&] { return change.code.has_value(); });
        EXPECT_EQ(ERR_OK, *change.code);
    }
    static uint64_t RowsOf(struct shard *shard)
    {
        uint64_t count = 0;
        kv_iter *iter;
        if (!shard_hold(shard)) return UINT64_MAX;
        EXPECT_EQ(ERR_OK, kv_iter_new(shard_rows(shard), &iter).code);
        for (iter->calls->seek(iter, S(Key(0))); iter->calls->valid(iter); iter->calls->next(iter)) {
            if ((unsigned char)iter->calls->key(iter).ptr[0] == 0xFF) break;
            EXPECT_EQ(Key(count + 1), Str(iter->calls->key(iter)));
            count++;
        }
        EXPECT_EQ(ERR_OK, iter->calls->status(iter).code);
        iter->calls->free(iter);
        shard_release(shard);
        return count;
    }

    // ---- what B is told

    void TellB(replica_event event)
    {
        OnShard(BShard(), [&] { shard_copy_event(BShard(), &event, nullptr); });
    }
    void TellRow(uint64_t revision, bool b_is_member)
    {
        replica_config config{};
        config.revision = revision;
        config.row.epoch = StateOf(AShard()).epoch;
        config.row.has_leader = true;
        config.row.leader = a_id;
        config.row.boot = boot_a;
        config.row.isr.ids[config.row.isr.count++] = a_id;
        if (b_is_member) config.row.isr.ids[config.row.isr.count++] = b_id;
        replica_event event{};
        event.kind = REPLICA_EVENT_CONFIG;
        event.config = &config;
        TellB(event);
    }
    void TellMessage(const replica_message &message)
    {
        replica_event event{};
        event.kind = REPLICA_EVENT_MESSAGE;
        event.from = a_id;
        event.boot = boot_a;
        event.message = &message;
        TellB(event);
    }
    // A says that B needs what it has applied now.
    void TellBehind()
    {
        replica_message m{};
        m.kind = REPLICA_BEHIND;
        m.epoch = StateOf(AShard()).epoch;
        m.index = StateOf(AShard()).applied_index;
        m.commit = m.index;
        m.id = replica_behind_id(&boot_b);
        peers.behind.reset();
        TellMessage(m);
    }
    // The last thing that B said to A, once the log has written what it had to.
    std::optional<replica_message> Said(replica_message_kind kind)
    {
        std::lock_guard<std::mutex> hold(peers.lock);
        for (auto at = peers.sent.rbegin(); at != peers.sent.rend(); ++at)
            if (at->second.kind == kind) return at->second;
        return std::nullopt;
    }
    bool Exists(enum store_rows which) { return store_rows_exist(b_dir.c_str(), 0, which); }
};

#endif

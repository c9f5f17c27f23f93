// A checkpoint in the place of a copy's rows: a start after a crash at any step finds what was or what became; and
// copies that are wanted nowhere are closed and deleted.
#include <chrono>

#include "copies_fixture.h"

namespace {

namespace fs = std::filesystem;

// An installation as checkpoint_install.c leads it, step by step.
struct Install : shard_install {
    std::mutex lock;
    std::condition_variable wake;
    std::optional<err_code> was_begun, was_logged, was_done;
    Install()
    {
        static_cast<shard_install &>(*this) = {};
        begun = [](shard_install *i, err e) { Of(i).Say(&Install::was_begun, e); };
        logged = [](shard_install *i, err e) { Of(i).Say(&Install::was_logged, e); };
        done = [](shard_install *i, err e) { Of(i).Say(&Install::was_done, e); };
    }
    static Install &Of(shard_install *i) { return *static_cast<Install *>(i); }
    void Say(std::optional<err_code> Install::*what, err e)
    {
        std::lock_guard<std::mutex> hold(lock);
        this->*what = e.code;
        wake.notify_all();
    }
    err_code Wait(std::optional<err_code> Install::*what)
    {
        std::unique_lock<std::mutex> hold(lock);
        if (!wake.wait_for(hold, std::chrono::seconds(60), [&] { return (this->*what).has_value(); })) return ERR_TIMEOUT;
        err_code code = *(this->*what);
        (this->*what).reset();
        return code;
    }
};

class InstallTest : public CopiesTest {
protected:
    unsigned names = 0;

    // A's rows of now as B's incoming ones.
    void Fetch(Install *install)
    {
        char from[1024], to[1024];
        uint64_t least = StateOf(AShard()).applied_index;
        std::string name = std::string(31, '0') + char('a' + names++);
        ASSERT_EQ(ERR_OK, store_checkpoint_make(a, 0, name.c_str(), from, sizeof(from)).code);
        ASSERT_EQ(ERR_OK, store_incoming_begin(b, 0, to, sizeof(to)).code);
        fs::copy(from, to, fs::copy_options::recursive);
        store_checkpoint_remove(a, name.c_str());
        EXPECT_FALSE(fs::exists(from));
        err e = store_incoming_check(b, 0, &install->epoch, &install->index);
        ASSERT_EQ(ERR_OK, e.code) << e.what;
        EXPECT_GE(install->index, least);
        install->shard = BShard();
    }
    err_code Begin(Install *install)
    {
        EXPECT_EQ(ERR_OK, shard_install_begin(install).code);
        return install->Wait(&Install::was_begun);
    }
    // B has promised A's epoch, on its disk: its log has nothing to do any more.
    void Promise()
    {
        replica_message beat{};
        beat.kind = REPLICA_BEAT;
        beat.epoch = StateOf(AShard()).epoch;
        Until([&] {
            TellMessage(beat);
            return Said(REPLICA_BEAT_ACK).has_value() && Said(REPLICA_BEAT_ACK)->granted;
        }, "the promise is on the disk");
    }
    void Whole(Install *install)
    {
        TellRow(5, false);
        Promise();
        TellBehind();
        Fetch(install);
        ASSERT_EQ(ERR_OK, Begin(install));
        store_incoming_swap(b, install);
        ASSERT_EQ(ERR_OK, install->Wait(&Install::was_logged));
        ASSERT_EQ(ERR_OK, store_incoming_settle(b, install).code);
        ASSERT_EQ(ERR_OK, install->Wait(&Install::was_done));
    }
    // Entries of a leader that are on B's disk and not committed as far as B knows.
    void AppendToB(uint64_t index, unsigned count)
    {
        replica_message m{};
        m.kind = REPLICA_APPEND;
        m.epoch = m.index_epoch = m.entry_epoch = StateOf(AShard()).epoch;
        m.index = m.commit = index;
        m.count = count;
        std::vector<slog_record> entries(count);
        for (unsigned i = 0; i < count; i++) {
            entries[i].type = SLOG_DATA;
            entries[i].epoch = m.epoch;
            entries[i].index = index + 1 + i;
            entries[i].payload = SPAN("");
        }
        replica_event event{};
        event.kind = REPLICA_EVENT_MESSAGE;
        event.from = a_id;
        event.boot = boot_a;
        event.message = &m;
        OnShard(BShard(), [&] { shard_copy_event(BShard(), &event, entries.data()); });
        Until([&] { return Said(REPLICA_ACK).has_value() && Said(REPLICA_ACK)->index == index + count; }, "it is durable");
    }
    void Crash(Install *install)
    {
        shard_install_leave(install);
        CloseB();
    }
    // B is open, closed to nobody, and what it says to the leader is what it has.
    void ExpectB(uint64_t index, uint64_t count, uint64_t last)
    {
        shard_state state = StateOf(BShard());
        EXPECT_EQ(index, state.applied_index);
        EXPECT_EQ(last, state.last_index);
        EXPECT_EQ(count, RowsOf(BShard()));
        for (auto which : {STORE_ROWS_INCOMING, STORE_ROWS_OLD, STORE_ROWS_GONE}) EXPECT_FALSE(Exists(which)) << which;
    }
};

TEST_F(InstallTest, AStartAfterACrashAtAnyStep)
{
    enum Step { FETCHED, MOVED_AWAY, SWAPPED, LOGGED, OUT_OF_THE_WAY, STEPS };
    for (int step = 0; step < STEPS; step++) {
        SCOPED_TRACE(step);
        Write(20, 300);
        Install first;
        ASSERT_NO_FATAL_FAILURE(Whole(&first));
        AppendToB(first.index, 3); // a tail that the checkpoint takes the place of, or not
        uint64_t before = rows;
        Write(30, 300);
        TellBehind();
        ASSERT_TRUE(peers.behind.has_value());
        Install install;
        ASSERT_NO_FATAL_FAILURE(Fetch(&install));
        ASSERT_EQ(StateOf(AShard()).applied_index, install.index);
        if (step > FETCHED) ASSERT_EQ(ERR_OK, Begin(&install));
        const char *at = b_dir.c_str();
        if (step == MOVED_AWAY || step == SWAPPED) {
            install.old->calls->close(install.old);
            ASSERT_EQ(ERR_OK, store_rows_move(at, 0, STORE_ROWS, STORE_ROWS_OLD).code);
        }
        if (step == SWAPPED) ASSERT_EQ(ERR_OK, store_rows_move(at, 0, STORE_ROWS_INCOMING, STORE_ROWS).code);
        if (step == LOGGED || step == OUT_OF_THE_WAY) {
            store_incoming_swap(b, &install);
            ASSERT_EQ(ERR_OK, install.Wait(&Install::was_logged));
        }
        if (step == OUT_OF_THE_WAY) ASSERT_EQ(ERR_OK, store_rows_move(at, 0, STORE_ROWS_OLD, STORE_ROWS_GONE).code);
        Crash(&install);
        ASSERT_EQ(ERR_OK, OpenB());
        bool became = step >= SWAPPED;
        if (became) ExpectB(install.index, rows, install.index);
        else ExpectB(first.index, before, first.index + 3);
        // And it can be had again, or is what the leader goes on from.
        TellRow(9, false);
        TellBehind();
        EXPECT_EQ(!became, peers.behind.has_value());
        if (became) EXPECT_EQ(install.index, Said(REPLICA_ACK)->index);
        CloseB();
        ASSERT_EQ(ERR_OK, OpenB());
        if (became) ExpectB(install.index, rows, install.index);
        else ExpectB(first.index, before, first.index + 3);
    }
}

TEST_F(InstallTest, WhatMustNotBeInstalled)
{
    Write(20, 300);
    Install install;
    TellRow(5, false);
    Promise();
    ASSERT_NO_FATAL_FAILURE(Fetch(&install));
    EXPECT_EQ(ERR_BUSY, Begin(&install)) << "no leader has said that it is behind";
    TellBehind();
    install.index--;
    install.epoch += 7;
    EXPECT_EQ(ERR_CONFLICT, Begin(&install)) << "of an epoch that nobody promised";
    install.epoch = 0;
    EXPECT_EQ(ERR_CONFLICT, Begin(&install)) << "of no epoch";
    install.epoch = StateOf(AShard()).epoch;
    install.index = 0;
    EXPECT_EQ(ERR_CONFLICT, Begin(&install)) << "nothing at all";
    TellRow(6, true);
    ASSERT_NO_FATAL_FAILURE(Fetch(&install));
    EXPECT_EQ(ERR_CONFLICT, Begin(&install)) << "the copy is in the set";
    TellRow(7, false);
    ASSERT_TRUE(shard_hold(BShard()));
    EXPECT_EQ(ERR_BUSY, Begin(&install)) << "somebody reads";
    shard_release(BShard());
    EXPECT_EQ(0u, RowsOf(BShard())) << "all is as it was";

    // While it is being installed nobody reads, and the copy says nothing; undone, all is as it was.
    ASSERT_EQ(ERR_OK, Begin(&install));
    EXPECT_FALSE(shard_hold(BShard()));
    kv_value value;
    EXPECT_EQ(ERR_BUSY, kv_get(shard_rows(BShard()), S(Key(1)), &value).code);
    OnShard(BShard(), [&] { EXPECT_EQ(ERR_BUSY, kv_get(shard_rows_ahead(BShard()), S(Key(1)), &value).code); });
    kv_iter *iter;
    EXPECT_EQ(ERR_BUSY, kv_iter_new(shard_rows(BShard()), &iter).code);
    struct kv *old = install.old;
    Install second;
    second.shard = BShard();
    second.epoch = install.epoch;
    second.index = install.index;
    EXPECT_EQ(ERR_BUSY, Begin(&second)) << "another one is at it";
    shard_install_undone(&install, old);
    EXPECT_EQ(ERR_CANCELLED, install.Wait(&Install::was_done));
    EXPECT_EQ(0u, RowsOf(BShard()));
    ASSERT_NO_FATAL_FAILURE(Whole(&install));
    ExpectB(install.index, rows, install.index);

    // It has that by now.
    ASSERT_NO_FATAL_FAILURE(Fetch(&install));
    TellBehind();
    EXPECT_EQ(ERR_CONFLICT, Begin(&install));
}

TEST_F(InstallTest, WhatIsNoStoreIsNoCheckpoint)
{
    char path[1024];
    uint64_t epoch = 0, index = 0;
    Install install;
    Write(20, 300);
    TellRow(5, false);
    TellBehind();
    ASSERT_EQ(ERR_OK, store_incoming_begin(b, 0, path, sizeof(path)).code);
    EXPECT_EQ(ERR_CORRUPT, store_incoming_check(b, 0, &epoch, &index).code) << "a new one, of nothing";
    ASSERT_NO_FATAL_FAILURE(Fetch(&install));
    for (auto &entry : fs::directory_iterator(path)) {
        if (entry.path().extension() == ".sst") fs::resize_file(entry.path(), 100);
    }
    EXPECT_NE(ERR_OK, store_incoming_check(b, 0, &epoch, &index).code) << "tables that end early";
    store_incoming_drop(b, 0);
    EXPECT_FALSE(Exists(STORE_ROWS_INCOMING));
    char small[4];
    EXPECT_EQ(ERR_TOO_BIG, store_incoming_begin(b, 0, small, sizeof(small)).code);
    EXPECT_EQ(ERR_NOT_FOUND, store_checkpoint_make(a, 9, "x", path, sizeof(path)).code);
}

// ---- wanted nowhere

TEST_F(InstallTest, AParkedCopyIsClosedAndThenDeleted)
{
    unsigned number = 99;
    Write(20, 300);
    Install install;
    ASSERT_NO_FATAL_FAILURE(Whole(&install));
    AppendToB(install.index, 3);
    EXPECT_EQ(ERR_EXISTS, store_node_drop_shard(b, 0).code) << "it is open";
    EXPECT_EQ(ERR_TOO_BIG, store_node_drop_shard(b, 77).code);
    EXPECT_EQ(ERR_TOO_BIG, store_node_park_shard(b, 77).code);
    EXPECT_EQ(ERR_CONFLICT, store_node_park_shard(a, 0).code) << "it leads";
    TellRow(6, true);
    EXPECT_EQ(ERR_CONFLICT, store_node_park_shard(b, 0).code) << "it is in the set";
    TellRow(7, false);
    ASSERT_TRUE(shard_hold(BShard()));
    EXPECT_EQ(ERR_BUSY, store_node_park_shard(b, 0).code) << "somebody reads";
    shard_release(BShard());
    struct shard *old = BShard();
    ASSERT_EQ(ERR_OK, store_node_park_shard(b, 0).code);
    EXPECT_EQ(nullptr, BShard());
    EXPECT_EQ(nullptr, store_node_of_slot(b, 5));
    EXPECT_EQ(ERR_OK, store_node_park_shard(b, 0).code) << "again";
    EXPECT_TRUE(store_node_shard_here(b, 0, &number));
    EXPECT_EQ(0u, number);
    // Whoever still knows it is not heard.
    EXPECT_FALSE(shard_hold(old));
    size_t said = peers.sent.size();
    replica_message m{};
    m.kind = REPLICA_BEAT;
    m.epoch = 50;
    replica_event event{};
    event.kind = REPLICA_EVENT_MESSAGE;
    event.from = a_id;
    event.message = &m;
    OnShard(old, [&] { shard_copy_event(old, &event, nullptr); });
    EXPECT_EQ(said, peers.sent.size());
    install.shard = old;
    EXPECT_EQ(ERR_CONFLICT, Begin(&install));

    // It may be wanted again: it is what its rows say, and keeps its promise.
    uint64_t epoch = StateOf(AShard()).epoch;
    ASSERT_EQ(ERR_OK, OpenShardB());
    ExpectB(install.index, 20, install.index);
    EXPECT_EQ(epoch, StateOf(BShard()).accepted_epoch);
    ASSERT_EQ(ERR_OK, store_node_park_shard(b, 0).code);
    ASSERT_EQ(ERR_OK, store_node_drop_shard(b, 0).code);
    EXPECT_FALSE(store_node_shard_here(b, 0, &number));
    EXPECT_FALSE(Exists(STORE_ROWS));
    EXPECT_FALSE(Exists(STORE_ROWS_DROPPED));
    EXPECT_EQ(ERR_OK, store_node_drop_shard(b, 0).code) << "nothing is there";
    EXPECT_EQ(ERR_OK, store_node_park_shard(b, 0).code);
    ASSERT_EQ(ERR_OK, OpenShardB());
    ExpectB(0, 0, 0);
}

TEST_F(InstallTest, ACopyThatIsNotOpenHoldsNothingOfTheLogEither)
{
    Write(20, 300);
    Install install;
    ASSERT_NO_FATAL_FAILURE(Whole(&install));
    AppendToB(install.index, 3);
    CloseB();
    ASSERT_EQ(ERR_OK, OpenB(false));
    ASSERT_EQ(ERR_OK, store_node_park_shard(b, 0).code);
    ASSERT_EQ(ERR_OK, OpenShardB());
    ExpectB(install.index, 20, install.index); // the tail was given up
}

TEST_F(InstallTest, AStartAfterACrashInTheMidstOfDeleting)
{
    for (bool wanted : {false, true}) {
        SCOPED_TRACE(wanted);
        Write(20, 300);
        Install install;
        ASSERT_NO_FATAL_FAILURE(Whole(&install));
        CloseB();
        ASSERT_EQ(ERR_OK, store_rows_move(b_dir.c_str(), 0, STORE_ROWS, STORE_ROWS_DROPPED).code);
        ASSERT_EQ(ERR_OK, OpenB(false));
        unsigned number;
        EXPECT_TRUE(store_node_shard_here(b, 0, &number)) << "it is not forgotten";
        if (!wanted) {
            EXPECT_EQ(ERR_OK, store_node_park_shard(b, 0).code);
            EXPECT_EQ(ERR_OK, store_node_drop_shard(b, 0).code);
            EXPECT_FALSE(store_node_shard_here(b, 0, &number));
        }
        ASSERT_EQ(ERR_OK, OpenShardB());
        ExpectB(0, 0, 0);
        EXPECT_FALSE(Exists(STORE_ROWS_DROPPED));
    }
}

}  // namespace

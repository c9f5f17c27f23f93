// A checkpoint from the leader's disk over a connection into a copy: whole, after breaks, and refused.
#include "checkpoint_fetch.h"
#include "checkpoint_serve.h"
#include "checkpoint_take.h"
#include "copies_fixture.h"
#include "crew.h"
#include "replica_msg.h"
#include "rpc.h"
#include "test_self.h"

namespace {

namespace fs = std::filesystem;

struct Asked {
    bool done = false;
    err_code code = ERR_OK;
    std::vector<std::string> ids;
    size_t bytes = 0, pieces = 0;
    bool last = false;
    rpc_call *call = nullptr;
    size_t cancel_at = SIZE_MAX; // bytes
};

class CheckpointTest : public CopiesTest {
protected:
    crew *work = nullptr;
    rpc_server *server = nullptr;
    checkpoint_serve *serve = nullptr;
    checkpoint_fetcher *fetcher = nullptr;
    rpc_client *client = nullptr;
    test_self self = TestSelf(RPC_ROLE_STORAGE_NODE);
    std::string address;
    std::vector<checkpoint_notice> notices;

    void SetUp() override
    {
        CopiesTest::SetUp();
        address = "unix:" + dir + "/a.sock";
        ASSERT_EQ(ERR_OK, crew_new("files", 2, 256, &work).code);
        OpenServer();
        checkpoint_fetcher_options options{};
        options.node = b;
        options.crew = work;
        options.self = self.get();
        options.boot = &boot_b;
        options.break_ms = 50;
        options.noticed = [](void *holder, const checkpoint_notice *notice) {
            static_cast<CheckpointTest *>(holder)->notices.push_back(*notice);
        };
        options.closed = [](void *holder) { static_cast<CheckpointTest *>(holder)->fetcher = nullptr; };
        options.holder = this;
        ASSERT_EQ(ERR_OK, checkpoint_fetcher_open(loop, &options, &fetcher).code);
        rpc_client_options calling{};
        calling.address = address.c_str();
        calling.self = self.get();
        ASSERT_EQ(ERR_OK, rpc_client_new(loop, &calling, &client).code);
    }
    void TearDown() override
    {
        rpc_client_free(client);
        checkpoint_fetcher_close(fetcher);
        Until([&] { return fetcher == nullptr; }, "the fetcher ends");
        CloseServer();
        Turn();
        crew_free(work);
        Turn();
        CopiesTest::TearDown();
    }
    void OpenServer()
    {
        static const rpc_service_row row = {
            PEER_METHOD_CHECKPOINT, RPC_ROLE_STORAGE_NODE, [](void *holder, rpc_serving *serving) {
                checkpoint_serve_call(static_cast<CheckpointTest *>(holder)->serve, serving);
            }};
        checkpoint_serve_options serving{};
        serving.node = a;
        serving.crew = work;
        serving.closed = [](void *holder) { static_cast<CheckpointTest *>(holder)->serve = nullptr; };
        serving.holder = this;
        if (serve == nullptr) ASSERT_EQ(ERR_OK, checkpoint_serve_open(loop, &serving, &serve).code);
        rpc_server_options options{};
        const char *addresses[] = {address.c_str()};
        options.addresses = addresses;
        options.addresses_count = 1;
        options.self = self.get();
        options.methods = peer_methods;
        options.methods_count = PEER_METHODS;
        options.rows = &row;
        options.rows_count = 1;
        options.holder = this;
        options.budget = &budget;
        options.closed = [](void *holder) { static_cast<CheckpointTest *>(holder)->server = nullptr; };
        ASSERT_EQ(ERR_OK, rpc_server_open(loop, &options, &server).code);
    }
    void CloseServer(bool serving_too = true)
    {
        rpc_server_close(server);
        if (serving_too) checkpoint_serve_close(serve);
        Until([&] { return server == nullptr && (serve == nullptr || !serving_too); }, "the server ends");
    }
    void SetRate(uint64_t bytes_per_s)
    {
        store_node_settings settings = Options(a_dir).settings;
        settings.checkpoint_bytes_per_s = bytes_per_s;
        store_node_configure(a, &settings);
    }
    void Want()
    {
        TellRow(5, false);
        TellBehind();
        ASSERT_TRUE(peers.behind.has_value());
        ASSERT_EQ(ERR_OK, checkpoint_fetcher_want(fetcher, 0, &a_id, S(address)).code);
    }
    // B is what A was when it was asked, and goes on from there.
    void ExpectInstalled(uint64_t index)
    {
        ASSERT_EQ(1u, notices.size());
        EXPECT_EQ(ERR_OK, notices[0].err.code) << (notices[0].err.what ? notices[0].err.what : "");
        EXPECT_EQ(index, notices[0].index);
        EXPECT_EQ(StateOf(AShard()).epoch, notices[0].epoch);
        shard_state state = StateOf(BShard());
        EXPECT_EQ(index, state.applied_index);
        EXPECT_EQ(index, state.last_index);
        EXPECT_EQ(unsigned(REPLICA_LEARNER), state.role);
        EXPECT_EQ(rows, RowsOf(BShard()));
        auto ack = Said(REPLICA_ACK);
        ASSERT_TRUE(ack.has_value());
        EXPECT_EQ(index, ack->index);
        EXPECT_FALSE(Exists(STORE_ROWS_INCOMING));
        EXPECT_FALSE(Exists(STORE_ROWS_OLD));
        EXPECT_FALSE(Exists(STORE_ROWS_GONE));
    }
    size_t Checkpoints()
    {
        return size_t(std::distance(fs::directory_iterator(a_dir + "/checkpoints"), fs::directory_iterator()));
    }
    size_t Fetched()
    {
        size_t bytes = 0;
        std::error_code none;
        for (auto &entry : fs::directory_iterator(b_dir + "/shards/0.incoming", none)) bytes += entry.file_size(none);
        return bytes;
    }
    // A call of the test's own.
    Asked Ask(const roster_id &to, uint32_t shard, const std::string &id = "", uint32_t file = 0, uint64_t offset = 0,
              size_t cancel_at = SIZE_MAX)
    {
        Asked asked;
        asked.cancel_at = cancel_at;
        static const rpc_call_user user = {
            [](void *holder, rpc_call *call, span bytes) {
                auto *a = static_cast<Asked *>(holder);
                a->bytes += bytes.len;
                rpc_call_took(call, bytes.len);
                if (a->bytes >= a->cancel_at) rpc_call_cancel(call);
            },
            [](void *holder, rpc_call *, const void *reply) {
                auto *a = static_cast<Asked *>(holder);
                auto *r = static_cast<const peer_checkpoint_reply *>(reply);
                if (r->checkpoint.len > 0) a->ids.push_back(Str(r->checkpoint));
                a->pieces += r->bytes > 0;
                a->last = a->last || r->last;
            },
            [](void *holder, rpc_call *, err e, span) {
                auto *a = static_cast<Asked *>(holder);
                a->done = true;
                a->code = e.code;
            }};
        peer_checkpoint_request request{};
        request.store = span_of(b_id.bytes, sizeof(b_id.bytes));
        request.boot = span_of(boot_b.bytes, sizeof(boot_b.bytes));
        request.to = span_of(to.bytes, sizeof(to.bytes));
        request.shard = shard;
        request.checkpoint = S(id);
        request.file = file;
        request.offset = offset;
        rpc_call_options options{};
        options.deadline_ms = 30000;
        EXPECT_EQ(ERR_OK, rpc_call_start(client, peer_method_find(PEER_METHOD_CHECKPOINT), &request, &options, &user,
                                         &asked, &asked.call).code);
        Until([&] { return asked.done; }, "an answer");
        return asked;
    }
};

TEST_F(CheckpointTest, ACopyBecomesWhatTheLeaderWas)
{
    Write(100, 300);
    Write(40, 50000); // in blob files
    uint64_t index = StateOf(AShard()).applied_index;
    Want();
    EXPECT_EQ(ERR_EXISTS, checkpoint_fetcher_want(fetcher, 0, &a_id, S(address)).code);
    Until([&] { return !notices.empty(); }, "it is installed");
    ExpectInstalled(index);
    // What the leader sends next continues it.
    replica_message m{};
    m.kind = REPLICA_APPEND;
    m.epoch = m.index_epoch = StateOf(AShard()).epoch;
    m.index = m.commit = index;
    TellMessage(m);
    EXPECT_EQ(index, Said(REPLICA_ACK)->index);
    // And again, over what it has by then.
    Write(10, 300);
    notices.clear();
    Want();
    Until([&] { return !notices.empty(); }, "it is installed again");
    ExpectInstalled(index + 10);
    CloseB();
    ASSERT_EQ(ERR_OK, OpenB());
    EXPECT_EQ(index + 10, StateOf(BShard()).applied_index);
    EXPECT_EQ(rows, RowsOf(BShard()));
}

TEST_F(CheckpointTest, ABreakIsGoneOnFrom)
{
    Write(60, 60000);
    uint64_t index = StateOf(AShard()).applied_index;
    SetRate(2 << 20);
    Want();
    Until([&] { return Fetched() > 300000; }, "some of it is there");
    CloseServer(false);
    EXPECT_GT(Fetched(), 300000u);
    SetRate(0);
    OpenServer();
    Until([&] { return !notices.empty(); }, "it is installed");
    ExpectInstalled(index);
    EXPECT_EQ(1u, Checkpoints()) << "it went on with the same one";
}

TEST_F(CheckpointTest, ACheckpointThatIsGoneIsBegunAnew)
{
    Write(60, 60000);
    uint64_t index = StateOf(AShard()).applied_index;
    SetRate(2 << 20);
    Want();
    Until([&] { return Fetched() > 300000; }, "some of it is there");
    SetRate(0);
    CloseServer(); // the leader's memory of it is lost
    OpenServer();
    Until([&] { return !notices.empty(); }, "it is installed");
    ExpectInstalled(index);
    EXPECT_EQ(2u, Checkpoints());
}

TEST_F(CheckpointTest, WhatACopyDoesNotNeedAnyMoreIsNotInstalled)
{
    Write(20, 300);
    Want();
    TellRow(6, true); // it is in the set by now
    Until([&] { return !notices.empty(); }, "it is given up");
    EXPECT_EQ(ERR_CONFLICT, notices[0].err.code);
    EXPECT_EQ(0u, StateOf(BShard()).applied_index);
    EXPECT_EQ(0u, RowsOf(BShard()));
    EXPECT_FALSE(Exists(STORE_ROWS_INCOMING));
}

TEST_F(CheckpointTest, NobodyAnswersAndItIsGivenUp)
{
    Write(20, 300);
    CloseServer();
    Want();
    Until([&] { return !notices.empty(); }, "it is given up");
    EXPECT_EQ(ERR_UNREACHABLE, notices[0].err.code);
    EXPECT_EQ(0u, StateOf(BShard()).applied_index);
}

TEST_F(CheckpointTest, ItEndsInTheMidst)
{
    Write(60, 60000);
    SetRate(1 << 20);
    Want();
    Until([&] { return Fetched() > 100000; }, "some of it is there");
    checkpoint_fetcher_close(fetcher);
    Until([&] { return fetcher == nullptr; }, "it ends");
    EXPECT_EQ(ERR_CANCELLED, notices.at(0).err.code);
    CloseB();
    ASSERT_EQ(ERR_OK, OpenB());
    EXPECT_EQ(0u, StateOf(BShard()).applied_index);
    EXPECT_FALSE(Exists(STORE_ROWS_INCOMING)) << "a start sweeps";
}

TEST_F(CheckpointTest, WhoMayAskForWhat)
{
    Write(30, 60000);
    Asked whole = Ask(a_id, 0);
    EXPECT_EQ(ERR_OK, whole.code);
    EXPECT_TRUE(whole.last);
    ASSERT_EQ(1u, whole.ids.size());
    EXPECT_GT(whole.bytes, 30u * 60000);
    EXPECT_GE(whole.pieces, whole.bytes / CHECKPOINT_PIECE_BYTES);
    const std::string id = whole.ids[0];
    Asked again = Ask(a_id, 0, id, 1, 0);
    EXPECT_EQ(ERR_OK, again.code);
    EXPECT_EQ(whole.ids, again.ids);
    EXPECT_LT(again.bytes, whole.bytes);
    Asked cut = Ask(a_id, 0, id, 0, 0, 100000);
    EXPECT_EQ(ERR_CANCELLED, cut.code);

    struct {
        const char *what;
        roster_id to;
        uint32_t shard;
        std::string id;
        uint32_t file;
        uint64_t offset;
        err_code code;
    } const cases[] = {
        {"another store", b_id, 0, "", 0, 0, ERR_NOT_FOUND},
        {"a shard that is not there", a_id, 7, "", 0, 0, ERR_MOVED},
        {"a number that is none", a_id, UINT32_MAX, "", 0, 0, ERR_MOVED},
        {"a checkpoint nobody made", a_id, 0, std::string(16, 'x'), 0, 0, ERR_NOT_FOUND},
        {"an id that is none", a_id, 0, "short", 0, 0, ERR_NOT_FOUND},
        {"that of another shard", a_id, 1, id, 0, 0, ERR_NOT_FOUND},
        {"a file behind the last", a_id, 0, id, 5000, 0, ERR_SYNTAX},
        {"a place behind the end", a_id, 0, id, 0, 1ull << 40, ERR_SYNTAX},
    };
    for (auto &c : cases) {
        Asked asked = Ask(c.to, c.shard, c.id, c.file, c.offset);
        EXPECT_EQ(c.code, asked.code) << c.what;
        EXPECT_EQ(0u, asked.bytes) << c.what;
    }
    EXPECT_EQ(1u, Checkpoints());
}

TEST_F(CheckpointTest, OnlySoManyAtATime)
{
    Write(5, 300);
    std::vector<std::string> ids;
    for (int i = 0; i < CHECKPOINT_SERVED_MAX; i++) {
        Asked asked = Ask(a_id, 0);
        ASSERT_EQ(ERR_OK, asked.code);
        ids.push_back(asked.ids.at(0));
    }
    EXPECT_EQ(size_t(CHECKPOINT_SERVED_MAX), Checkpoints());
    // Nobody uses them: one makes room for who comes next.
    EXPECT_EQ(ERR_BUSY, Ask(a_id, 0).code);
    Until([&] { return Ask(a_id, 0).code == ERR_OK; }, "there is room");
    EXPECT_LE(Checkpoints(), size_t(CHECKPOINT_SERVED_MAX));
}

TEST_F(CheckpointTest, CheckpointsOfBeforeAreSweptAtTheStart)
{
    Write(5, 300);
    ASSERT_EQ(ERR_OK, Ask(a_id, 0).code);
    EXPECT_EQ(1u, Checkpoints());
    CloseServer();
    store_node_close(a);
    OpenA();
    EXPECT_EQ(0u, Checkpoints());
    OpenServer();
}

}  // namespace

// Peers that are not there, die, go away or drain.
#include "rpc_fixture.h"

namespace {

TEST_F(Rpc, NobodyThereIsUnreachableAndSomebodyLaterIsFound)
{
    OpenClient();
    Call call, later;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    EXPECT_FALSE(call.done);
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_UNREACHABLE, call.err.code);
    // Attempts wait for each other: a loop of calls does not become a loop of connects.
    uint64_t begin = clock_boot_ms();
    for (int i = 0; i < 4; i++) {
        Call again;
        ASSERT_EQ(ERR_OK, Start(&again, "x").code);
        Until([&] { return again.done; });
        EXPECT_EQ(ERR_UNREACHABLE, again.err.code);
    }
    EXPECT_GE(clock_boot_ms() - begin, 15u + 30u + 60u + 120u - 8u);
    OpenServer();
    ASSERT_EQ(ERR_OK, Start(&later, "x").code);
    Until([&] { return later.done; });
    EXPECT_EQ(ERR_OK, later.err.code);
}

TEST_F(Rpc, APeerThatDiesLeavesTheOutcomeUnknown)
{
    Open();
    Call sent, after;
    bool heard = false;
    HoldCalls(&heard);
    ASSERT_EQ(ERR_OK, Start(&sent, "x").code);
    Until([&] { return held.size() == 1; });
    rpc_server_close(server);
    server = nullptr;
    Until([&] { return sent.done && heard; });
    EXPECT_EQ(ERR_UNKNOWN, sent.err.code);
    EXPECT_FALSE(server_gone); // a serving is still with its handler
    rpc_finish(held[0], err_ok(), S(""));
    held.clear();
    Until([&] { return server_gone; });
    EchoCalls();
    OpenServer();
    ASSERT_EQ(ERR_OK, Start(&after, "x").code);
    Until([&] { return after.done; });
    EXPECT_EQ(ERR_OK, after.err.code);
}

TEST_F(Rpc, ABreakBeforeTheRequestHasLeftIsUnreachable)
{
    Open();
    Call first, large;
    ASSERT_EQ(ERR_OK, Start(&first, "x").code);
    Until([&] { return first.done; });
    struct body *body = Body(20 << 20);
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    loop_step(loop, 0);
    rpc_server_close(server);
    server = nullptr;
    Until([&] { return large.done; });
    EXPECT_EQ(ERR_UNREACHABLE, large.err.code);
    body_unref(body);
}

TEST_F(Rpc, AClientThatGoesAwayCancelsItsCalls)
{
    Open();
    Call call;
    bool heard = false;
    HoldCalls(&heard);
    ASSERT_EQ(ERR_OK, Start(&call, "x", 0).code);
    Until([&] { return held.size() == 1; });
    rpc_client_free(client);
    client = nullptr;
    EXPECT_TRUE(call.done);
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
    Until([&] { return heard; });
}

TEST_F(Rpc, AClientMayBeFreedFromItsOwnCallbacks)
{
    Open();
    Call call, other;
    call.on_reply = [&](Call *) {
        rpc_client_free(client);
        client = nullptr;
    };
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    ASSERT_EQ(ERR_OK, Start(&other, "y").code);
    Until([&] { return call.done && other.done; });
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
    EXPECT_EQ(ERR_CANCELLED, other.err.code);
}

TEST_F(Rpc, ADrainLetsCallsEndAndTakesNoMore)
{
    Open();
    Call before, after;
    HoldCalls();
    ASSERT_EQ(ERR_OK, Start(&before, "x").code);
    Until([&] { return held.size() == 1; });
    rpc_server_drain(server);
    ASSERT_EQ(ERR_OK, Start(&after, "y").code); // perhaps before GOAWAY has come
    Until([&] { return after.done; });
    EXPECT_EQ(ERR_UNREACHABLE, after.err.code);
    EXPECT_FALSE(before.done);
    Echo(held[0]);
    held.clear();
    Until([&] { return before.done; });
    EXPECT_EQ(ERR_OK, before.err.code);
}

}  // namespace

// Calls and their answers: errors, long messages, bodies, deadlines, cancels.
#include "rpc_fixture.h"

namespace {

TEST_F(Rpc, ACallIsAnswered)
{
    Open();
    Call call;
    const std::string name("a\0b", 3);
    serve = [&](struct rpc_serving *serving) {
        EXPECT_EQ(RPC_ROLE_FRONTEND, rpc_serving_role(serving));
        EXPECT_EQ(0, memcmp("0123456789abcdef", rpc_serving_trace_id(serving), 16));
        uint64_t now = clock_boot_ms(), deadline = rpc_serving_deadline(serving);
        EXPECT_GT(deadline, now);
        EXPECT_LE(deadline, now + 10000);
        EXPECT_EQ(nullptr, rpc_serving_body(serving));
        EXPECT_EQ(Method(kAddressGet), rpc_serving_method(serving));
        EXPECT_FALSE(rpc_serving_cancelled(serving));
        Echo(serving);
    };
    ASSERT_EQ(ERR_OK, Start(&call, name).code);
    EXPECT_FALSE(call.done);
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_OK, call.err.code);
    EXPECT_EQ(std::vector<std::string>{ name }, call.replies);
}

TEST_F(Rpc, ThousandsAreUnderWayAtOnceAndNoMore)
{
    Open();
    std::vector<std::unique_ptr<Call>> calls;
    HoldCalls();
    for (unsigned i = 0; i < RPC_CALLS_MAX; i++) {
        calls.push_back(std::make_unique<Call>());
        ASSERT_EQ(ERR_OK, Start(calls.back().get(), std::to_string(i)).code) << i;
    }
    Call over;
    EXPECT_EQ(ERR_BUSY, Start(&over, "x").code);
    Until([&] { return held.size() == RPC_CALLS_MAX; });
    EXPECT_EQ(ERR_BUSY, Start(&over, "x").code);
    EXPECT_FALSE(over.done);
    // Answered backwards, to show that each answer finds its call.
    for (size_t i = held.size(); i-- > 0;) Echo(held[i]);
    held.clear();
    Until([&] { return calls.front()->done; });
    for (unsigned i = 0; i < RPC_CALLS_MAX; i++) {
        EXPECT_EQ(std::vector<std::string>{ std::to_string(i) }, calls[i]->replies);
    }
    ASSERT_EQ(ERR_OK, Start(&over, "room again").code);
    EchoCalls();
    Until([&] { return over.done; });
    EXPECT_EQ(ERR_OK, over.err.code);
}

TEST_F(Rpc, ErrorsTravelWithTheirText)
{
    Open();
    const enum err_code codes[] = { ERR_NOT_FOUND, ERR_MOVED, ERR_BUSY, ERR_DENIED, ERR_QUOTA };
    for (auto code : codes) {
        Call call;
        serve = [&](struct rpc_serving *serving) {
            rpc_finish(serving, err_make(code, "test"), S("node-7"));
        };
        ASSERT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        EXPECT_EQ(code, call.err.code);
        EXPECT_EQ("node-7", call.info);
        EXPECT_TRUE(call.replies.empty());
    }
}

TEST_F(Rpc, MessagesLongerThanAFrameArrive)
{
    Open();
    for (size_t size : { 65000u, 65536u, 70000u, 1000000u, 4000000u }) {
        Call call;
        std::string text(size, 'x');
        text[size / 2] = 'y';
        ASSERT_EQ(ERR_OK, Start(&call, text).code);
        Until([&] { return call.done; });
        ASSERT_EQ(ERR_OK, call.err.code) << size;
        ASSERT_EQ(1u, call.replies.size());
        EXPECT_TRUE(call.replies[0] == text) << size;
    }
    Call call;
    EXPECT_EQ(ERR_TOO_BIG, Start(&call, std::string(RPC_MESSAGE_MAX_BYTES + 1, 'x')).code);
}

TEST_F(Rpc, ABodyArrivesWholeAndDelaysNobody)
{
    Open();
    struct body *body = Body(3 << 20);
    std::string order;
    serve = [&](struct rpc_serving *serving) {
        if (rpc_serving_body(serving) == nullptr) {
            order += 's';
            Echo(serving);
            return;
        }
        order += 'L';
        struct body *got = rpc_serving_body(serving);
        EXPECT_EQ(body_size(body), body_size(got));
        std::string a(3 << 20, 'a'), b(3 << 20, 'b');
        body_copy(body, 0, a.data(), a.size());
        body_copy(got, 0, b.data(), b.size());
        EXPECT_TRUE(a == b);
        rpc_finish(serving, err_ok(), S(""));
    };
    Call first, large, small;
    ASSERT_EQ(ERR_OK, Start(&first, "x").code);
    Until([&] { return first.done; });
    order.clear();
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    ASSERT_EQ(ERR_OK, Start(&small, "s").code);
    Until([&] { return large.done && small.done; });
    EXPECT_EQ("sL", order);
    EXPECT_EQ(ERR_OK, large.err.code);
    body_unref(body);
}

TEST_F(Rpc, ABodyOverTheBudgetIsBusyAndTheLinkGoesOn)
{
    OpenServer();
    OpenClient();
    struct body *body = Body(3 << 20);
    budget.file_bytes_max = budget.file_bytes + (1 << 20);
    Call large, small;
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    ASSERT_EQ(ERR_OK, Start(&small, "s").code);
    Until([&] { return large.done && small.done; });
    EXPECT_EQ(ERR_BUSY, large.err.code);
    EXPECT_EQ(ERR_OK, small.err.code);
    Call after;
    ASSERT_EQ(ERR_OK, Start(&after, "after").code);
    Until([&] { return after.done; });
    EXPECT_EQ(ERR_OK, after.err.code);
    body_unref(body);
}

TEST_F(Rpc, ACancelIsHeardAndTheNumberFreed)
{
    Open();
    Call call;
    bool heard = false;
    HoldCalls(&heard);
    ASSERT_EQ(ERR_OK, Start(&call, "x", 0).code);
    Until([&] { return held.size() == 1; });
    rpc_call_cancel(call.call);
    EXPECT_FALSE(call.done);
    Until([&] { return call.done && heard; });
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
    EXPECT_TRUE(rpc_serving_cancelled(held[0]));
    store_address_reply reply = {};
    rpc_put_reply(held[0], &reply); // goes nowhere
    EXPECT_TRUE(rpc_put_data(held[0], S("nowhere")));
    rpc_finish(held[0], err_ok(), S(""));
    held.clear();
    EchoCalls();
    Call again;
    ASSERT_EQ(ERR_OK, Start(&again, "again").code);
    Until([&] { return again.done; });
    EXPECT_EQ(ERR_OK, again.err.code);
    EXPECT_TRUE(call.replies.empty());
}

TEST_F(Rpc, ACallCancelledBeforeThereIsALinkEnds)
{
    Open();
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    rpc_call_cancel(call.call);
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
}

TEST_F(Rpc, DeadlinesHoldOnBothSides)
{
    Open();
    Call call;
    bool heard = false;
    HoldCalls(&heard);
    uint64_t begin = clock_boot_ms();
    ASSERT_EQ(ERR_OK, Start(&call, "x", 60).code);
    Until([&] { return call.done && heard; });
    EXPECT_EQ(ERR_TIMEOUT, call.err.code);
    EXPECT_GE(clock_boot_ms() - begin, 55u);
    EXPECT_TRUE(rpc_serving_cancelled(held[0]));
}

TEST_F(Rpc, CallsMayBeStartedFromDone)
{
    Open();
    Call first, second;
    first.on_done = [&](Call *) { ASSERT_EQ(ERR_OK, Start(&second, "two").code); };
    ASSERT_EQ(ERR_OK, Start(&first, "one").code);
    Until([&] { return second.done; });
    EXPECT_EQ("two", second.replies.at(0));
}

}  // namespace

// Calls and ends over mutual TLS; who may call whom is in rpc_trust_test.cc.
#include "rpc_fixture.h"

namespace {

TEST_F(RpcTls, CallsAndBodiesArrive)
{
    Contexts();
    Open();
    CallAndExpect(ERR_OK);
    struct body *body = Body(3 << 20);
    Call large, small;
    uint64_t got = 0;
    serve = [&](struct rpc_serving *serving) {
        if (rpc_serving_body(serving) == nullptr) {
            Echo(serving);
            return;
        }
        got = body_size(rpc_serving_body(serving));
        rpc_put_body(serving, rpc_serving_body(serving), 0, got);
        rpc_finish(serving, err_ok(), S(""));
    };
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    ASSERT_EQ(ERR_OK, Start(&small, "s").code);
    Until([&] { return large.done && small.done; });
    EXPECT_EQ(body_size(body), got);
    std::string whole(3 << 20, 0);
    body_copy(body, 0, whole.data(), whole.size());
    EXPECT_TRUE(large.data == whole);
    body_unref(body);
}

TEST_F(RpcTls, AServerThatDiesLeavesTheOutcomeUnknown)
{
    Contexts();
    Open();
    HoldCalls();
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    Until([&] { return held.size() == 1; });
    rpc_server_close(server);
    server = nullptr;
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_UNKNOWN, call.err.code);
}

}  // namespace

// Calls find the node that leads: by the map, by a redirect, after a retry, or not in time.
#include "route.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "body.h"
#include "clock.h"
#include "loop.h"
#include "place_map.h"
#include "rpc.h"
#include "rpc_server.h"
#include "slot.h"
#include "store_msg.h"
#include "test_self.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

// A storage node that answers AddressGet as it is told: one answer for each call, then OK.
struct Node {
    struct Answer { err_code code; std::string info; };
    std::string address;
    std::deque<Answer> answers;
    std::vector<std::string> seen; // the addresses that were asked for
    bool holds = false;            // keeps calls open
    std::vector<rpc_serving *> held;
    rpc_server *server = nullptr;
    body_budget budget = {};
    bool closed = false;
    test_self self;

    static void Serve(void *holder, rpc_serving *serving)
    {
        auto *node = static_cast<Node *>(holder);
        auto *request = static_cast<const store_address_get_request *>(rpc_serving_request(serving));
        node->seen.push_back(Str(request->address));
        if (node->holds) {
            node->held.push_back(serving);
            return;
        }
        Answer answer = { ERR_OK, "" };
        if (!node->answers.empty()) {
            answer = node->answers.front();
            node->answers.pop_front();
        }
        if (answer.code == ERR_OK) {
            store_address_reply reply = {};
            rpc_put_reply(serving, &reply);
        }
        rpc_finish(serving, err_make(answer.code, "told"), S(answer.info));
    }
    void Open(struct loop *loop)
    {
        static const rpc_service_row rows[] = { { 1, RPC_ROLE_FRONTEND, Serve } };
        rpc_server_options options = {};
        const char *const addresses[] = { address.c_str() };
        self = TestSelf(RPC_ROLE_STORAGE_NODE);
        options.self = self.get();
        options.addresses = addresses;
        options.addresses_count = 1;
        options.methods = store_methods;
        options.methods_count = STORE_METHODS;
        options.rows = rows;
        options.rows_count = 1;
        options.holder = this;
        options.budget = &budget;
        options.closed = [](void *holder) { static_cast<Node *>(holder)->closed = true; };
        budget.memory_bytes_max = 1 << 20;
        ASSERT_EQ(ERR_OK, rpc_server_open(loop, &options, &server).code);
    }
};

struct Call {
    store_address_get_request request = {};
    std::string address;
    route_call *call = nullptr;
    bool done = false;
    unsigned replies = 0;
    err_code code = ERR_OK;
    std::string info;
};

class Route : public testing::Test {
protected:
    std::string dir;
    struct loop *loop = nullptr;
    struct route *route = nullptr;
    std::deque<Node> nodes;
    test_self self;

    void SetUp() override
    {
        char name[] = "/tmp/route_test.XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        for (int i = 0; i < 2; i++) {
            nodes.emplace_back();
            nodes.back().address = "unix:" + dir + "/" + std::to_string(i);
            nodes.back().Open(loop);
        }
        self = TestSelf(RPC_ROLE_FRONTEND);
        auto *map = Map(nodes[0].address, nodes[1].address);
        ASSERT_EQ(ERR_OK, route_new(loop, map, self.get(), &route).code);
        place_map_unref(map);
    }
    void TearDown() override
    {
        route_free(route);
        for (auto &node : nodes) {
            for (auto *serving : node.held) rpc_finish(serving, err_ok(), S(""));
            rpc_server_close(node.server);
            EXPECT_TRUE(Until([&] { return node.closed; }));
        }
        loop_run(loop); // connections close
        loop_free(loop);
        for (auto &node : nodes) unlink(node.address.c_str() + 5);
        rmdir(dir.c_str());
    }
    static place_map *Map(const std::string &first, const std::string &second)
    {
        const place_shard_row rows[] = { { 0, 8192, S(first) }, { 8192, 16384, S(second) } };
        place_map *map = nullptr;
        EXPECT_EQ(ERR_OK, place_map_make(1, rows, 2, &map).code);
        return map;
    }
    void SetMap(const std::string &first, const std::string &second)
    {
        auto *map = Map(first, second);
        route_set_map(route, map);
        place_map_unref(map);
    }
    bool Until(const std::function<bool()> &what, uint64_t ms = 10000)
    {
        uint64_t end = clock_boot_ms() + ms;
        while (!what()) {
            if (clock_boot_ms() > end) return false;
            loop_step(loop, 20);
        }
        return true;
    }
    std::unique_ptr<Call> Start(unsigned slot, uint64_t deadline_ms = 0, err_code want = ERR_OK)
    {
        static const route_call_user user = {
            nullptr, [](void *holder, route_call *, const void *) { static_cast<Call *>(holder)->replies++; },
            [](void *holder, route_call *, err error, span info) {
                auto *call = static_cast<Call *>(holder);
                EXPECT_FALSE(call->done);
                call->done = true;
                call->code = error.code;
                call->info = Str(info);
            }
        };
        auto call = std::make_unique<Call>();
        call->address = "a" + std::to_string(slot) + "@x.example";
        call->request.address = S(call->address);
        route_call_options options = {};
        options.slot = slot;
        options.deadline_ms = deadline_ms;
        EXPECT_EQ(want, route_call_start(route, Method(), &call->request, &options, &user, call.get(),
                                         &call->call).code);
        return call;
    }
    static const proto_method *Method()
    {
        for (unsigned i = 0; i < STORE_METHODS; i++) {
            if (store_methods[i].number == 1) return &store_methods[i];
        }
        return nullptr;
    }
    err_code Do(unsigned slot, uint64_t deadline_ms = 0)
    {
        auto call = Start(slot, deadline_ms);
        EXPECT_TRUE(Until([&] { return call->done; }));
        EXPECT_EQ(call->code == ERR_OK ? 1u : 0u, call->replies);
        return call->code;
    }
};

TEST_F(Route, TheMapDecides)
{
    EXPECT_EQ(ERR_OK, Do(0));
    EXPECT_EQ(ERR_OK, Do(8191));
    EXPECT_EQ(ERR_OK, Do(8192));
    EXPECT_EQ(ERR_OK, Do(ROUTE_SHARD | 1));
    EXPECT_EQ(2u, nodes[0].seen.size());
    EXPECT_EQ(2u, nodes[1].seen.size());
    SetMap(nodes[1].address, nodes[0].address);
    EXPECT_EQ(ERR_OK, Do(0));
    EXPECT_EQ(3u, nodes[1].seen.size());
}

TEST_F(Route, WhatMayBeTriedAgainIsWithTheSameRequest)
{
    for (err_code code : { ERR_BUSY, ERR_MOVED, ERR_UNKNOWN, ERR_UNREACHABLE }) {
        nodes[0].seen.clear();
        nodes[0].answers = { { code, "" }, { code, "" } };
        EXPECT_EQ(ERR_OK, Do(7)) << err_name(code);
        EXPECT_EQ(std::vector<std::string>(3, "a7@x.example"), nodes[0].seen) << err_name(code);
    }
}

TEST_F(Route, WhatIsAnAnswerIsNot)
{
    for (err_code code : { ERR_NOT_FOUND, ERR_CONFLICT, ERR_QUOTA, ERR_FULL, ERR_DENIED, ERR_CORRUPT }) {
        nodes[0].seen.clear();
        nodes[0].answers = { { code, "" } };
        EXPECT_EQ(code, Do(7));
        EXPECT_EQ(1u, nodes[0].seen.size()) << err_name(code);
    }
}

TEST_F(Route, ARedirectIsFollowedOnce)
{
    nodes[0].answers = { { ERR_MOVED, nodes[1].address } };
    EXPECT_EQ(ERR_OK, Do(7));
    EXPECT_EQ(1u, nodes[0].seen.size());
    EXPECT_EQ(1u, nodes[1].seen.size());
    // The node it led to does not know better: the map again, which may be a newer one by now.
    nodes[0].answers = { { ERR_MOVED, nodes[1].address } };
    nodes[1].answers = { { ERR_BUSY, "" } };
    EXPECT_EQ(ERR_OK, Do(7));
    EXPECT_EQ(3u, nodes[0].seen.size());
    EXPECT_EQ(2u, nodes[1].seen.size());
}

// A node that has just started leads nothing yet, and says so in words: no reason to bounce a mail.
TEST_F(Route, ARedirectToNoAddressIsByTheMap)
{
    for (const std::string &words : { std::string("not a slot of this node"), std::string(":"), std::string("a b:1"),
                                      std::string("127.0.0.1:70000"), std::string("127.0.0.1:1\0x", 13),
                                      std::string(300, 'a'), std::string("x:") }) {
        nodes[0].seen.clear();
        nodes[0].answers = { { ERR_MOVED, words } };
        EXPECT_EQ(ERR_OK, Do(7)) << words;
        EXPECT_EQ(2u, nodes[0].seen.size()) << words;
    }
}

TEST_F(Route, AShardWithoutALeaderIsWaitedFor)
{
    SetMap("", nodes[1].address);
    auto call = Start(7);
    EXPECT_FALSE(Until([&] { return call->done; }, 100));
    SetMap(nodes[0].address, nodes[1].address);
    EXPECT_TRUE(Until([&] { return call->done; }));
    EXPECT_EQ(ERR_OK, call->code);
    SetMap("", nodes[1].address);
    EXPECT_EQ(ERR_UNREACHABLE, Do(7, 300));
    call = Start(7);
    route_call_cancel(call->call);
    EXPECT_TRUE(Until([&] { return call->done; }));
    EXPECT_EQ(ERR_CANCELLED, call->code);
    Start(ROUTE_SHARD | 2, 0, ERR_NOT_FOUND);
}

// The node that led is stopped, and says nothing: nobody waits for the deadline.
TEST_F(Route, WhatIsUnderWayGoesToTheNodeThatLeadsNow)
{
    nodes[0].holds = true;
    auto silent = Start(7, 60000), other = Start(8192);
    EXPECT_TRUE(Until([&] { return nodes[0].held.size() == 1 && other->done; }));
    SetMap(nodes[0].address, nodes[1].address); // nothing new: it stays where it is
    EXPECT_FALSE(Until([&] { return silent->done; }, 100));
    EXPECT_EQ(1u, nodes[0].seen.size());
    SetMap(nodes[1].address, nodes[1].address);
    EXPECT_TRUE(Until([&] { return silent->done; }));
    EXPECT_EQ(ERR_OK, silent->code);
    EXPECT_EQ(1u, silent->replies);
    EXPECT_EQ("a7@x.example", nodes[1].seen.back());
    // Back and forth while it is being given up: it ends once, where the last map says.
    nodes[1].holds = true;
    auto call = Start(9, 60000);
    EXPECT_TRUE(Until([&] { return nodes[1].held.size() == 1; }));
    nodes[0].holds = false;
    SetMap(nodes[0].address, nodes[1].address);
    SetMap(nodes[1].address, nodes[1].address);
    SetMap(nodes[0].address, nodes[1].address);
    EXPECT_TRUE(Until([&] { return call->done; }));
    EXPECT_EQ(ERR_OK, call->code);
    // One that was cancelled stays so.
    call = Start(8193, 60000);
    EXPECT_TRUE(Until([&] { return nodes[1].held.size() == 2; }));
    route_call_cancel(call->call);
    SetMap(nodes[0].address, nodes[0].address);
    EXPECT_TRUE(Until([&] { return call->done; }));
    EXPECT_EQ(ERR_CANCELLED, call->code);
}

// A watch has no deadline and has been answered before: its owner hears that it must watch again.
TEST_F(Route, AWatchAtANodeThatLeadsNoMoreEnds)
{
    nodes[0].holds = true;
    auto watch = Start(7, ROUTE_NO_DEADLINE);
    EXPECT_TRUE(Until([&] { return nodes[0].held.size() == 1; }));
    store_address_reply reply = {};
    rpc_put_reply(nodes[0].held[0], &reply);
    EXPECT_TRUE(Until([&] { return watch->replies == 1; }));
    SetMap(nodes[1].address, nodes[1].address);
    EXPECT_TRUE(Until([&] { return watch->done; }));
    EXPECT_EQ(ERR_UNKNOWN, watch->code);
    // An answer that has begun and will end is not cut off.
    nodes[1].holds = true;
    auto answer = Start(7, 60000);
    EXPECT_TRUE(Until([&] { return nodes[1].held.size() == 1; }));
    rpc_put_reply(nodes[1].held[0], &reply);
    EXPECT_TRUE(Until([&] { return answer->replies == 1; }));
    SetMap(nodes[0].address, nodes[1].address);
    EXPECT_FALSE(Until([&] { return answer->done; }, 100));
    rpc_finish(nodes[1].held[0], err_ok(), S(""));
    nodes[1].held.clear();
    EXPECT_TRUE(Until([&] { return answer->done; }));
    EXPECT_EQ(ERR_OK, answer->code);
}

// What waits for its next try after a failover does not wait on.
TEST_F(Route, ANewMapIsTriedAtOnce)
{
    nodes[0].answers.assign(40, { ERR_BUSY, "" });
    auto call = Start(7, 60000);
    EXPECT_TRUE(Until([&] { return nodes[0].seen.size() >= 6; })); // waits half a second by now
    SetMap(nodes[1].address, nodes[1].address);
    EXPECT_TRUE(Until([&] { return call->done; }));
    EXPECT_EQ(ERR_OK, call->code);
    EXPECT_EQ(1u, nodes[1].seen.size());
}

TEST_F(Route, WhoDoesNotCareForTheReplyGetsNone)
{
    static const route_call_user user = {
        nullptr, nullptr,
        [](void *holder, route_call *, err error, span) { *static_cast<err_code *>(holder) = error.code; }
    };
    store_address_get_request request = {};
    request.address = SPAN("a@x.example");
    route_call_options options = {};
    route_call *call;
    err_code ended = ERR_UNKNOWN;
    ASSERT_EQ(ERR_OK, route_call_start(route, Method(), &request, &options, &user, &ended, &call).code);
    EXPECT_TRUE(Until([&] { return ended == ERR_OK; }));
}

TEST_F(Route, NobodyThereEndsWithTheDeadline)
{
    SetMap("unix:" + dir + "/nobody", nodes[1].address);
    uint64_t before = clock_boot_ms();
    EXPECT_EQ(ERR_UNREACHABLE, Do(7, 400));
    EXPECT_LT(clock_boot_ms() - before, 5000u);
    nodes[1].answers.assign(1000, { ERR_BUSY, "" });
    EXPECT_EQ(ERR_BUSY, Do(9000, 400));
    EXPECT_LT(nodes[1].seen.size(), 10u);
}

TEST_F(Route, AddressesComeAndGo)
{
    // More than the table holds, none of them in use: each makes room for the next.
    nodes[1].holds = true;
    auto held = Start(8192, 600 * 1000); // longer than all that follows takes, on any machine
    EXPECT_TRUE(Until([&] { return nodes[1].held.size() == 1; }));
    for (unsigned i = 0; i < ROUTE_NODES_MAX + 10; i++) {
        SetMap("unix:" + dir + "/gone" + std::to_string(i), nodes[1].address);
        err_code code = Do(7, 5); // as soon as it is not there, or its time is over
        EXPECT_TRUE(code == ERR_UNREACHABLE || code == ERR_TIMEOUT) << i << " " << err_name(code);
    }
    EXPECT_FALSE(held->done);
    store_address_reply reply = {};
    rpc_put_reply(nodes[1].held[0], &reply);
    rpc_finish(nodes[1].held[0], err_ok(), S(""));
    nodes[1].held.clear();
    EXPECT_TRUE(Until([&] { return held->done; }));
    EXPECT_EQ(ERR_OK, held->code);
    EXPECT_EQ(1u, held->replies);
}

TEST_F(Route, FreeingItCancelsWhatIsOpen)
{
    nodes[0].holds = true;
    auto open = Start(7);
    EXPECT_TRUE(Until([&] { return nodes[0].held.size() == 1; }));
    SetMap("", "");
    auto waiting = Start(8);
    route_free(route);
    route = nullptr;
    EXPECT_TRUE(open->done);
    EXPECT_EQ(ERR_CANCELLED, open->code);
    EXPECT_TRUE(waiting->done);
    EXPECT_EQ(ERR_CANCELLED, waiting->code);
}

} // namespace

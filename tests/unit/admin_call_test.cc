// The calls of admin.proto: what a program answers (admin_serve), and many asked at once (admin_call).
#include "admin_call.h"

#include <unistd.h>

#include "admin_peer.h"
#include "admin_serve.h"
#include "log.h"
#include "rpc_client.h"

namespace {

class Admin : public LoopTest {
protected:
    test_self self = TestSelf(RPC_ROLE_FRONTEND);
    struct admin_pool *pool = nullptr;
    std::vector<admin_call_target> targets;
    bool done = false;

    void SetUp() override
    {
        LoopTest::SetUp();
        ASSERT_EQ(ERR_OK, admin_pool_new(loop, self.get(), &pool).code);
    }
    void TearDown() override
    {
        admin_pool_free(pool);
        for (const char *name : { "one", "two", "own" }) unlink((dir + "/" + name).c_str());
        LoopTest::TearDown();
    }
    void Turn() { loop_step(loop, 5); }
    void Add(const std::string &address, enum roster_kind kind = ROSTER_STORAGE_NODE, uint64_t after = 0)
    {
        admin_call_target target = {};
        target.kind = kind;
        target.after = after;
        snprintf(target.address, sizeof(target.address), "%s", address.c_str());
        targets.push_back(target);
    }
    admin_call_ask Question(const char *log = "security")
    {
        admin_call_ask ask = {};
        ask.log = span_of(log, strlen(log));
        ask.lines = 7;
        ask.targets = targets.data();
        ask.count = targets.size();
        ask.done = [](void *holder) { static_cast<Admin *>(holder)->done = true; };
        ask.holder = this;
        return ask;
    }
    // The answer or "why: ..." of each.
    std::vector<std::string> Ask(const char *log = "security")
    {
        struct admin_call *call = nullptr;
        std::vector<std::string> all;
        auto ask = Question(log);
        done = false;
        EXPECT_EQ(ERR_OK, admin_call_logs(pool, &ask, &call).code);
        EXPECT_FALSE(done);
        Until([&] { return done; });
        for (size_t i = 0; i < targets.size(); i++) {
            auto answer = admin_call_answer(call, i);
            all.push_back(answer.why != nullptr ? std::string("why: ") + answer.why : Str(answer.events));
        }
        admin_call_free(call);
        return all;
    }
    using Texts = std::vector<std::string>;
};

TEST_F(Admin, EachAnswersForItself)
{
    admin_peer one(loop, dir + "/one", RPC_ROLE_STORAGE_NODE), two(loop, dir + "/two", RPC_ROLE_ROUTER);
    one.answer = [](const admin_peer::Asked &asked) { return asked.name + " " + std::to_string(asked.after) + " " + std::to_string(asked.lines); };
    two.answer = [](const admin_peer::Asked &) { return ""; };
    Add(one.address, ROSTER_STORAGE_NODE, 5);
    Add(two.address, ROSTER_ROUTER);
    Add("");
    Add("unix:" + dir + "/nobody");
    EXPECT_EQ((Texts{ "security 5 7", "", "why: it says no address", "why: it is not reachable" }), Ask());
    EXPECT_EQ((Texts{ "mail 5 7", "", "why: it says no address", "why: it is not reachable" }), Ask("mail"));
    targets.clear();
    EXPECT_TRUE(Ask().empty());
    one.Close([&] { Turn(); });
    two.Close([&] { Turn(); });
}

TEST_F(Admin, WhatIsNoAnswer)
{
    admin_peer one(loop, dir + "/one", RPC_ROLE_STORAGE_NODE);
    Add(one.address);
    one.answer = [](const admin_peer::Asked &) { return std::string(ADMIN_CALL_REPLY_MAX_BYTES + 1, 'x'); };
    EXPECT_EQ(Texts{ "why: its answer is too long" }, Ask());
    one.code = ERR_DENIED;
    EXPECT_EQ(Texts{ "why: it refuses" }, Ask());
    one.code = ERR_OK;
    targets[0].kind = ROSTER_SCANNER; // who answers there is of another role than the row says
    EXPECT_EQ(Texts{ "why: it refuses" }, Ask());
    targets[0].kind = ROSTER_STORAGE_NODE;
    one.silent = true;
    EXPECT_EQ(Texts{ "why: it does not answer" }, Ask()); // and nobody waits longer
    one.silent = false;
    one.Release();
    one.answer = [](const admin_peer::Asked &) { return "again"; };
    EXPECT_EQ(Texts{ "again" }, Ask());
    one.Close([&] { Turn(); });
    // Another one at the same address is found.
    admin_peer again(loop, dir + "/one", RPC_ROLE_STORAGE_NODE);
    Until([&] { return Ask()[0].find("next") != std::string::npos; });
    again.Close([&] { Turn(); });
}

TEST_F(Admin, SoManyAreAskedAndNoMore)
{
    struct admin_call *call = nullptr;
    for (unsigned i = 0; i <= ADMIN_CALL_TARGETS_MAX; i++) Add("");
    auto ask = Question();
    EXPECT_EQ(ERR_TOO_BIG, admin_call_logs(pool, &ask, &call).code);
    EXPECT_EQ(nullptr, call);
    // More addresses than connections, one after the other: the longest unused make room.
    admin_peer one(loop, dir + "/one", RPC_ROLE_STORAGE_NODE);
    for (unsigned i = 0; i < ADMIN_CALL_PEERS_MAX + 40; i++) {
        targets.clear();
        Add(i % 2 == 0 ? one.address : "unix:" + dir + "/none-" + std::to_string(i));
        EXPECT_EQ(i % 2 == 0 ? R"({"events":[],"missed":false,"next":1})" : "why: it is not reachable", Ask()[0]);
    }
    one.Close([&] { Turn(); });
}

// ---- the program that answers

class AdminServe : public Admin {
protected:
    test_self own = TestSelf(RPC_ROLE_SCANNER);
    struct admin_serve *serve = nullptr;

    void SetUp() override
    {
        Admin::SetUp();
        log_options log = {};
        log.program = "scanner-1";
        log.level = LOG_LEVEL_INFO;
        ASSERT_EQ(ERR_OK, log_start(&log).code);
        ASSERT_EQ(ERR_OK, admin_serve_open(loop, ("unix:" + dir + "/own").c_str(), own.get(), &serve).code);
        const log_value values[] = { log_words("something") };
        log_event(LOG_EVENT_PROGRAM_FAILED, nullptr, values, 1);
        Add("unix:" + dir + "/own", ROSTER_SCANNER);
    }
    void TearDown() override
    {
        admin_serve_close(serve);
        admin_serve_close(nullptr);
        for (int i = 0; i < 5; i++) Turn();
        log_stop();
        Admin::TearDown();
    }
};

TEST_F(AdminServe, GivesItsLines)
{
    std::string text = Ask("error")[0];
    EXPECT_EQ(0u, text.find("{\"events\":[{")) << text;
    EXPECT_NE(std::string::npos, text.find("\"reason\":\"something\"")) << text;
    EXPECT_NE(std::string::npos, text.find("\"missed\":false,\"next\":")) << text;
    EXPECT_EQ(0u, Ask("mail")[0].find("{\"events\":[],"));
    targets[0].after = std::stoull(text.substr(text.find("\"next\":") + 7));
    EXPECT_EQ(0u, Ask("error")[0].find("{\"events\":[],"));
}

TEST_F(AdminServe, BadQuestionsAreRefused)
{
    for (const char *name : { "", "nosuch", "Error", "../error", "error " }) {
        EXPECT_EQ(0u, Ask(name)[0].find("why: ")) << name;
    }
    struct admin_call *call = nullptr;
    for (unsigned lines : { 0u, 1001u, ~0u }) {
        auto ask = Question("error");
        ask.lines = lines;
        done = false;
        ASSERT_EQ(ERR_OK, admin_call_logs(pool, &ask, &call).code);
        Until([&] { return done; });
        EXPECT_NE(nullptr, admin_call_answer(call, 0).why) << lines;
        admin_call_free(call);
    }
    targets[0].after = ~0ull;
    EXPECT_EQ(0u, Ask("error")[0].find("why: "));
}

TEST_F(AdminServe, OnlyFrontendsReadLogs)
{
    admin_pool_free(pool);
    pool = nullptr;
    for (auto role : { RPC_ROLE_SCANNER, RPC_ROLE_STORAGE_NODE, RPC_ROLE_ROUTER, RPC_ROLE_OPERATOR }) {
        for (auto server : { RPC_ROLE_SCANNER, RPC_ROLE_STORAGE_NODE, RPC_ROLE_ROUTER, RPC_ROLE_FRONTEND }) {
            admin_serve_close(serve);
            for (int i = 0; i < 3; i++) Turn();
            own = TestSelf(server);
            ASSERT_EQ(ERR_OK, admin_serve_open(loop, ("unix:" + dir + "/own").c_str(), own.get(), &serve).code);
            self = TestSelf(role);
            targets[0].kind = server == RPC_ROLE_SCANNER ? ROSTER_SCANNER : server == RPC_ROLE_ROUTER ? ROSTER_ROUTER
                              : server == RPC_ROLE_FRONTEND ? ROSTER_FRONTEND : ROSTER_STORAGE_NODE;
            ASSERT_EQ(ERR_OK, admin_pool_new(loop, self.get(), &pool).code);
            EXPECT_EQ(Texts{ "why: it refuses" }, Ask("error")) << role << " " << server;
            admin_pool_free(pool);
            pool = nullptr;
        }
    }
}

TEST_F(AdminServe, WhereItCanNotListen)
{
    struct admin_serve *other = nullptr;
    EXPECT_EQ(ERR_DENIED, admin_serve_open(loop, "127.0.0.1:0", own.get(), &other).code); // no certificate
    for (const char *bad : { "here", "127.0.0.1", "unix:", "unix:/nowhere/at/all" }) {
        EXPECT_NE(ERR_OK, admin_serve_open(loop, bad, own.get(), &other).code) << bad;
    }
    EXPECT_EQ(nullptr, other);
}

}  // namespace

// One question to many programs: answers, silence, junk, too much.
#include "gather.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "http_peer.h"
#include "loop_fixture.h"

namespace {

class Gather : public LoopTest {
protected:
    std::vector<gather_target> targets;
    bool done = false;

    void Add(const std::string &address, const std::string &path = "/readyz")
    {
        gather_target target = {};
        snprintf(target.address, sizeof(target.address), "%s", address.c_str());
        snprintf(target.path, sizeof(target.path), "%s", path.c_str());
        targets.push_back(target);
    }
    std::string At(const http_peer &peer) { return "127.0.0.1:" + std::to_string(peer.port); }
    // "200 body" or "why" of each.
    std::vector<std::string> Ask()
    {
        struct gather *gather = nullptr;
        std::vector<std::string> all;
        done = false;
        EXPECT_EQ(ERR_OK, gather_start(loop, targets.data(), targets.size(), [](void *self) { static_cast<Gather *>(self)->done = true; }, this, &gather).code);
        EXPECT_FALSE(done);
        Until([&] { return done; });
        for (size_t i = 0; i < targets.size(); i++) {
            auto answer = gather_answer(gather, i);
            all.push_back(answer.status == 0 ? answer.why : std::to_string(answer.status) + " " + std::string(answer.body.ptr, answer.body.len));
        }
        gather_free(gather);
        return all;
    }
};

TEST_F(Gather, EachAnswersForItself)
{
    http_peer one, two;
    two.answer = [](const http_peer::Request &request) { return http_peer::Json("503 No", request.target); };
    Add(At(one), "/readyz");
    Add(At(two), "/logs/mail?after=7");
    Add("127.0.0.1:1");
    Add("");
    Add("nonsense");
    EXPECT_EQ((std::vector<std::string>{ "200 {}", "503 /logs/mail?after=7", "it is not reachable", "it says no address", "not well formed" }), Ask());
    ASSERT_EQ(1u, one.Requests().size());
    EXPECT_EQ("GET", one.Requests()[0].method);
    EXPECT_EQ(std::string::npos, one.Requests()[0].head.find("Authorization:"));
    targets.clear();
    EXPECT_TRUE(Ask().empty());
}

TEST_F(Gather, WhatIsNoAnswer)
{
    http_peer peer;
    const struct { std::string text; const char *why; } cases[] = {
        { "", "its answer is none" },
        { "220 mx ESMTP\r\n", "its answer is none" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "its answer is none" },
        { http_peer::Json("200 OK", std::string(GATHER_REPLY_MAX_BYTES, 'x')), "its answer is too long" },
    };
    Add(At(peer));
    for (const auto &c : cases) {
        peer.answer = [&](const http_peer::Request &) { return c.text; };
        EXPECT_EQ(std::vector<std::string>{ c.why }, Ask()) << c.text.substr(0, 40);
    }
}

TEST_F(Gather, WhoIsSilentIsNotWaitedFor)
{
    // Connections wait in the kernel and nobody takes them.
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(at);
    ASSERT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
    ASSERT_EQ(0, getsockname(fd, reinterpret_cast<sockaddr *>(&at), &len));
    ASSERT_EQ(0, listen(fd, 64));
    http_peer peer;
    Add("127.0.0.1:" + std::to_string(ntohs(at.sin_port)));
    Add(At(peer));
    EXPECT_EQ((std::vector<std::string>{ "it does not answer", "200 {}" }), Ask());
    close(fd);
}

TEST_F(Gather, ManyHaveTheirTurn)
{
    http_peer peer;
    for (unsigned i = 0; i < 3 * GATHER_AT_ONCE; i++) Add(At(peer), "/" + std::to_string(i));
    peer.answer = [](const http_peer::Request &request) { return http_peer::Json("200 OK", request.target); };
    auto all = Ask();
    for (size_t i = 0; i < all.size(); i++) EXPECT_EQ("200 /" + std::to_string(i), all[i]);
    struct gather *gather = nullptr;
    targets.resize(GATHER_TARGETS_MAX + 1);
    EXPECT_EQ(ERR_TOO_BIG, gather_start(loop, targets.data(), targets.size(), nullptr, nullptr, &gather).code);
}

}  // namespace

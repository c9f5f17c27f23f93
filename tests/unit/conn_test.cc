// Bytes over a connection: what is left over, pauses, limits, ends, and allocations that fail.
#include "conn_fixture.h"

namespace {

TEST_F(Conn, WhatIsLeftOverIsShownAgainWithMore)
{
    End *server = Open();
    std::vector<std::string> seen;
    server->on_bytes = [&](struct conn *, struct span in) {
        std::string text(in.ptr, in.len);
        seen.push_back(text);
        return text.rfind('\n') + 1;
    };
    Say(client.conn, SPAN("ha"));
    Until([&] { return seen.size() == 1; });
    Say(client.conn, SPAN("lf\nre"));
    Until([&] { return seen.size() == 3; });
    Say(client.conn, SPAN("st\n"));
    Until([&] { return seen.size() == 4; });
    EXPECT_EQ((std::vector<std::string>{ "ha", "half\nre", "re", "rest\n" }), seen);
}

TEST_F(Conn, InputThatIsOfNoUseEndsIt)
{
    End *server = Open();
    server->on_bytes = [](struct conn *, struct span) { return 0; };
    Say(client.conn, S(std::string(CONN_IN_BYTES + 1, 'a')));
    Until([&] { return server->closed; });
    EXPECT_EQ(ERR_TOO_BIG, server->why.code);
}

TEST_F(Conn, APauseStrandsNothingWhereverItEnds)
{
    End *server = Open();
    std::string seen;
    bool resume_at_once = true;
    server->on_bytes = [&](struct conn *conn, struct span in) {
        conn_pause(conn, true);
        seen += in.ptr[0];
        if (resume_at_once) conn_pause(conn, false);
        return 1;
    };
    Say(client.conn, SPAN("abc"));
    Until([&] { return seen == "abc"; });
    resume_at_once = false;
    Say(client.conn, SPAN("def"));
    Until([&] { return seen == "abcd"; });
    Say(client.conn, SPAN("gh")); // comes during the pause
    Turn();
    EXPECT_EQ("abcd", seen);
    for (size_t i = 5; i <= 8; i++) {
        conn_pause(server->conn, false);
        EXPECT_EQ(i - 1, seen.size()); // never inside the call
        Until([&] { return seen.size() == i; });
        Turn();
    }
    EXPECT_EQ("abcdefgh", seen);
}

TEST_F(Conn, ASendPastTheLimitIsRefusedWhole)
{
    End *server = Open();
    conn_pause(client.conn, true);
    const std::string block(10000, 'x');
    size_t taken = 0;
    struct err err = err_ok();
    while (err.code == ERR_OK && taken < kMoreThanAnyKernelKeeps) {
        err = conn_send(server->conn, S(block));
        if (err.code == ERR_OK) taken += block.size();
        if (taken % 400000 == 0) loop_step(loop, 0);
    }
    ASSERT_EQ(ERR_BUSY, err.code);
    EXPECT_LE(conn_waiting_bytes(server->conn), static_cast<uint64_t>(CONN_OUT_MAX_BYTES));
    int drains = server->drains; // while the kernel still took some
    conn_pause(client.conn, false);
    Until([&] { return client.heard_bytes == taken; });
    EXPECT_EQ(drains + 1, server->drains);
    EXPECT_EQ(0u, conn_waiting_bytes(server->conn));
    EXPECT_EQ(ERR_OK, conn_send(server->conn, S(block)).code);
}

TEST_F(Conn, NothingIsReadWhileThePeerTakesNothing)
{
    End *server = Open();
    conn_pause(client.conn, true);
    const std::string reply(60000, 'x');
    const size_t pieces = 400;
    size_t answered = 0;
    server->on_bytes = [&](struct conn *conn, struct span) {
        EXPECT_LT(conn_waiting_bytes(conn), static_cast<uint64_t>(CONN_OUT_HIGH_BYTES));
        EXPECT_EQ(ERR_OK, conn_send(conn, S(reply)).code);
        answered++;
        return 1;
    };
    Say(client.conn, S(std::string(pieces, 'a')));
    Until([&] { return answered == pieces || conn_waiting_bytes(server->conn) >= CONN_OUT_HIGH_BYTES; });
    Turn(100);
    ASSERT_LT(answered, pieces);
    conn_pause(client.conn, false);
    Until([&] { return client.heard_bytes == pieces * reply.size(); });
    EXPECT_EQ(pieces, answered);
}

TEST_F(Conn, ABodyIsSentByReferenceInItsPlace)
{
    End *server = Open();
    const std::string bytes = Pattern(900000);
    struct body *body = BodyOf(bytes);
    Say(server->conn, SPAN("{3}\r\n"));
    ASSERT_EQ(ERR_OK, conn_send_body(server->conn, body, 10, 890000).code);
    Say(server->conn, SPAN(")\r\n"));
    ASSERT_EQ(ERR_OK, conn_send_body(server->conn, body, 0, 0).code);
    body_unref(body); // it holds its own
    std::string want = "{3}\r\n" + bytes.substr(10, 890000) + ")\r\n";
    Until([&] { return client.heard.size() == want.size(); });
    EXPECT_TRUE(client.heard == want);
}

TEST_F(Conn, TheLastWordsAreHeardAlthoughThePeerStillSends)
{
    End *server = Open();
    server->on_bytes = [&](struct conn *conn, struct span in) {
        Say(conn, SPAN("421 too much\r\n"));
        conn_close(conn);
        return in.len;
    };
    for (int i = 0; i < 20 && !client.closed; i++) {
        TrySay(client.conn, S(std::string(20000, 'x')));
        loop_step(loop, 0);
    }
    Until([&] { return client.closed && server->closed; });
    EXPECT_EQ("421 too much\r\n", client.heard);
    EXPECT_EQ(ERR_OK, server->why.code);
    EXPECT_EQ(ERR_CANCELLED, client.why.code);
}

TEST_F(Conn, APeerThatSendsNoMoreMayStillRead)
{
    server_calls = &half_calls;
    Listen();
    int fd = RawTcp(listener_port(listener));
    ASSERT_EQ(5, send(fd, "QUIT\n", 5, 0));
    ASSERT_EQ(0, shutdown(fd, SHUT_WR));
    Until([&] { return servers.size() == 1 && servers[0]->ended; });
    EXPECT_EQ("QUIT\n", servers[0]->heard);
    Turn();
    EXPECT_FALSE(servers[0]->closed);
    Say(servers[0]->conn, SPAN("221 bye\n"));
    conn_close(servers[0]->conn);
    Until([&] { return servers[0]->closed; });
    char heard[64];
    EXPECT_EQ(8, recv(fd, heard, sizeof(heard), 0));
    close(fd);
}

TEST_F(Conn, AResetIsAnEndAndNotACrash)
{
    Listen();
    for (bool writing : { false, true }) {
        servers.clear();
        int fd = RawTcp(listener_port(listener));
        Until([&] { return servers.size() == 1; });
        struct linger hard = { 1, 0 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(fd);
        if (writing) TrySay(servers[0]->conn, S(std::string(100000, 'x')));
        Until([&] { return servers[0]->closed; });
        EXPECT_EQ(ERR_CANCELLED, servers[0]->why.code);
    }
}

TEST_F(Conn, AbortInAnyCallbackIsFine)
{
    End *server = Open();
    server->on_bytes = [&](struct conn *conn, struct span) {
        conn_abort(conn, err_make(ERR_DENIED, "test"));
        EXPECT_EQ(ERR_CANCELLED, conn_send(conn, SPAN("x")).code);
        conn_close(conn);
        conn_pause(conn, true);
        conn_pause(conn, false);
        return 0;
    };
    Say(client.conn, SPAN("x"));
    Until([&] { return server->closed && client.closed; });
    EXPECT_EQ(ERR_DENIED, server->why.code);
}

TEST_F(Conn, EachAllocationMayFail)
{
    Listen();
    // However far it comes, every end hears of its end and nothing leaks (ASan looks).
    for (long at = 1; at <= 30; at++) {
        End one;
        servers.clear();
        mallocs_left = at;
        struct err err = Connect(&one);
        if (err.code == ERR_OK) {
            Turn(5);
            if (!one.closed && one.readies > 0) TrySay(one.conn, S(std::string(30000, 'x')));
            for (auto &end : servers) {
                if (end->closed) continue;
                end->on_bytes = [](struct conn *, struct span in) { return in.len > 10000 ? in.len - 10000 : 0; };
                TrySay(end->conn, SPAN("220 hello\r\n"));
            }
            Turn(5);
        } else {
            EXPECT_EQ(ERR_NOMEM, err.code);
        }
        mallocs_left = -1;
        if (err.code == ERR_OK && !one.closed) conn_close(one.conn);
        Until([&] {
            bool all = err.code != ERR_OK || one.closed;
            for (auto &end : servers) all = all && end->closed;
            return all;
        });
    }
}

}  // namespace

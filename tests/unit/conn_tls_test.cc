// Bytes over TLS, from the first one or behind STARTTLS, and what is no TLS.
#include "conn_fixture.h"

namespace {

TEST_F(ConnTls, BytesGoBothWaysAndBothKnowWhoIsThere)
{
    for (const std::string &at : { std::string("127.0.0.1:0"), "unix:" + dir + "/s" }) {
        End *server = OpenTls("mail.example.org", at);
        struct conn_tls_info info;
        ASSERT_TRUE(conn_tls_info(client.conn, &info));
        EXPECT_STREQ("TLSv1.3", info.version);
        EXPECT_STREQ("mail.example.org", info.peer_name);
        EXPECT_TRUE(info.peer_verified);
        EXPECT_GE(info.secret_bits, 128u);
        ASSERT_TRUE(conn_tls_info(server->conn, &info));
        EXPECT_STREQ("mail.example.org", info.name);
        EXPECT_FALSE(info.peer_verified);
        EXPECT_STREQ("", info.peer_name);
        EXPECT_EQ(0u, info.dropped_bytes);
        Say(server->conn, SPAN("* OK\r\n"));
        Say(client.conn, SPAN("a LOGIN"));
        Until([&] { return client.heard == "* OK\r\n" && server->heard == "a LOGIN"; });
        Say(server->conn, SPAN("* BYE\r\n"));
        conn_close(server->conn);
        Until([&] { return client.closed && server->closed; });
        EXPECT_EQ("* OK\r\n* BYE\r\n", client.heard);
        Again();
    }
}

TEST_F(ConnTls, LargeOutputWaitsAndArrives)
{
    End *server = OpenTls();
    const std::string bytes = Pattern(20000000);
    struct body *body = BodyOf(bytes);
    conn_pause(client.conn, true);
    std::string got;
    client.on_bytes = [&](struct conn *, struct span in) { got.append(in.ptr, in.len); return in.len; };
    Say(server->conn, SPAN("head"));
    ASSERT_EQ(ERR_OK, conn_send_body(server->conn, body, 0, bytes.size()).code);
    Say(server->conn, SPAN("tail"));
    Turn(200);
    EXPECT_GE(conn_waiting_bytes(server->conn), static_cast<uint64_t>(CONN_OUT_HIGH_BYTES));
    conn_pause(client.conn, false);
    Until([&] { return got.size() == bytes.size() + 8; });
    EXPECT_TRUE(got == "head" + bytes + "tail");
    EXPECT_EQ(1, server->drains);
    conn_close(server->conn);
    Until([&] { return client.closed; });
    body_unref(body);
}

TEST_F(ConnTls, PausesLoseNothing)
{
    End *server = OpenTls();
    std::string sent, got;
    for (int i = 0; i < 200000; i++) sent += static_cast<char>('a' + i % 26);
    server->on_bytes = [&](struct conn *conn, struct span in) {
        size_t take = in.len < 1000 ? in.len : 1000;
        got.append(in.ptr, take);
        conn_pause(conn, true);
        return take;
    };
    ASSERT_EQ(ERR_OK, conn_send(client.conn, S(sent)).code);
    conn_close(client.conn); // all of it comes before the end
    Until([&] {
        if (!server->closed) conn_pause(server->conn, false);
        return got.size() == sent.size();
    });
    EXPECT_TRUE(got == sent);
    if (!server->closed) conn_pause(server->conn, false);
    Until([&] { return server->closed; });
}

TEST_F(ConnTls, StartTlsSendsThePlainReplyFirst)
{
    End *server = Open();
    server->on_bytes = [&](struct conn *conn, struct span in) {
        if (std::string(in.ptr, in.len).rfind("STARTTLS\r\n", 0) != 0) {
            server->heard.append(in.ptr, in.len);
            return in.len;
        }
        Say(conn, SPAN("220 go\r\n"));
        EXPECT_EQ(ERR_OK, conn_start_tls(conn, server_tls, nullptr).code);
        EXPECT_EQ(ERR_EXISTS, conn_start_tls(conn, server_tls, nullptr).code);
        Say(conn, SPAN("secret"));
        return static_cast<size_t>(10);
    };
    client.on_bytes = [&](struct conn *conn, struct span in) {
        client.heard.append(in.ptr, in.len);
        if (client.heard == "220 go\r\n") {
            EXPECT_EQ(ERR_OK, conn_start_tls(conn, client_tls, "mail.example.org").code);
        }
        return in.len;
    };
    client.on_ready = [&](struct conn *conn) { Say(conn, SPAN("EHLO\r\n")); };
    Say(client.conn, SPAN("STARTTLS\r\n"));
    Until([&] { return client.heard == "220 go\r\nsecret" && server->heard == "EHLO\r\n"; });
    struct conn_tls_info info;
    ASSERT_TRUE(conn_tls_info(server->conn, &info));
    EXPECT_EQ(0u, info.dropped_bytes);
}

TEST_F(ConnTls, BytesBehindStartTlsAreDroppedAndCounted)
{
    for (bool in_callback : { true, false }) {
        End *server = Open();
        server->on_bytes = [&](struct conn *conn, struct span in) -> size_t {
            struct conn_tls_info info;
            if (conn_tls_info(conn, &info)) {
                server->heard.append(in.ptr, in.len);
                return in.len;
            }
            if (in_callback) {
                EXPECT_EQ(ERR_OK, conn_start_tls(conn, server_tls, nullptr).code);
            } else {
                conn_pause(conn, true); // the session asks somebody first
            }
            return 10;
        };
        Say(client.conn, SPAN("STARTTLS\r\nRSET\r\n"));
        Turn();
        if (!in_callback) {
            ASSERT_EQ(ERR_OK, conn_start_tls(server->conn, server_tls, nullptr).code);
            conn_pause(server->conn, false);
        }
        ASSERT_EQ(ERR_OK, conn_start_tls(client.conn, client_tls, "mail.example.org").code);
        Until([&] { return client.readies == 2 && server->readies == 1; });
        Say(client.conn, SPAN("EHLO"));
        Until([&] { return server->heard == "EHLO"; });
        struct conn_tls_info info;
        ASSERT_TRUE(conn_tls_info(server->conn, &info));
        EXPECT_EQ(6u, info.dropped_bytes);
        conn_close(client.conn);
        Again();
    }
}

TEST_F(ConnTls, JunkInsteadOfAHandshakeEndsIt)
{
    for (const std::string &junk : { std::string("EHLO you\r\n"), std::string(300, '\0'), std::string(5000, '\xff'),
                                     std::string("\x16\x03\x01\xff\xff\x01\x00", 7) + std::string(65535, 'x') }) {
        End *server = Open();
        ASSERT_EQ(ERR_OK, conn_start_tls(server->conn, server_tls, nullptr).code);
        Say(client.conn, S(junk));
        Until([&] { return server->closed; });
        EXPECT_EQ(ERR_SYNTAX, server->why.code);
        EXPECT_EQ(0, server->readies);
        Again();
    }
}

TEST_F(ConnTls, APeerThatLeavesInTheHandshakeEndsIt)
{
    End *server = Open();
    ASSERT_EQ(ERR_OK, conn_start_tls(server->conn, server_tls, nullptr).code);
    Say(client.conn, SPAN("\x16\x03\x01"));
    conn_close(client.conn);
    Until([&] { return server->closed; });
    EXPECT_NE(ERR_OK, server->why.code);
    EXPECT_EQ(0, server->readies);
}

TEST_F(ConnTls, JunkAmongRecordsEndsIt)
{
    // The client's end is broken open: what it sends next is no record.
    End *server = OpenTls();
    int fd = -1;
    for (int i = 3; i < 1024 && fd < 0; i++) {
        sockaddr_in at = {};
        socklen_t len = sizeof(at);
        if (getsockname(i, reinterpret_cast<sockaddr *>(&at), &len) == 0 && at.sin_family == AF_INET &&
            ntohs(at.sin_port) == conn_local(client.conn).port) fd = i;
    }
    ASSERT_GE(fd, 0);
    ASSERT_EQ(20, send(fd, "\x17\x03\x03\x00\x0fxxxxxxxxxxxxxxx", 20, 0));
    Until([&] { return server->closed; });
    EXPECT_EQ(ERR_SYNTAX, server->why.code);
}

TEST_F(ConnTls, EachAllocationOfOursMayFail)
{
    for (long at = 1; at <= 25; at++) {
        End *server = Open();
        mallocs_left = at;
        struct err a = conn_start_tls(server->conn, server_tls, nullptr);
        struct err b = conn_start_tls(client.conn, client_tls, "mail.example.org");
        if (a.code == ERR_OK && b.code == ERR_OK) Turn(50);
        mallocs_left = -1;
        if (!server->closed) conn_close(server->conn);
        if (!client.closed) conn_close(client.conn);
        Again();
    }
}

}  // namespace

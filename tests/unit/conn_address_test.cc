// Listeners and where connections lead: kinds of addresses, those that are refused, and whom nobody takes.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "conn_fixture.h"

namespace {

TEST_F(Conn, BytesGoBothWaysOverEachKindOfAddress)
{
    for (const std::string &at : { std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + dir + "/s" }) {
        SCOPED_TRACE(at);
        End *server = Open(at);
        ASSERT_EQ(ERR_OK, conn_send(server->conn, SPAN("220 hello\r\n")).code);
        ASSERT_EQ(ERR_OK, conn_send(client.conn, SPAN("EHLO ")).code);
        ASSERT_EQ(ERR_OK, conn_send(client.conn, SPAN("you\r\n")).code);
        Until([&] { return client.heard == "220 hello\r\n" && server->heard == "EHLO you\r\n"; });
        struct endpoint peer = conn_peer(server->conn), local = conn_local(client.conn);
        EXPECT_TRUE(endpoint_same_ip(&peer, &local));
        EXPECT_EQ(peer.port, local.port);
        EXPECT_EQ(listener_port(listener), conn_peer(client.conn).port);
        conn_close(client.conn);
        Until([&] { return client.closed && server->closed; });
        EXPECT_EQ(ERR_OK, client.why.code);
        EXPECT_EQ(ERR_CANCELLED, server->why.code);
        Again();
    }
}

TEST_F(Conn, AUnixSocketIsOursAloneAndReplacedWhenDead)
{
    const std::string path = dir + "/s";
    Listen("unix:" + path);
    struct stat stat;
    ASSERT_EQ(0, ::stat(path.c_str(), &stat));
    EXPECT_EQ(0600u, stat.st_mode & 07777u);
    listener_options options = {};
    const std::string at = "unix:" + path;
    options.address = at.c_str();
    options.ready = Accept;
    options.holder = this;
    struct listener *second;
    EXPECT_EQ(ERR_EXISTS, listener_open(loop, &options, &second).code);
    listener_close(listener);
    listener = nullptr;
    EXPECT_NE(0, ::stat(path.c_str(), &stat));
    // What a killed program leaves behind.
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un left = {};
    left.sun_family = AF_UNIX;
    memcpy(left.sun_path, path.c_str(), path.size());
    ASSERT_EQ(0, bind(fd, reinterpret_cast<sockaddr *>(&left), sizeof(left)));
    close(fd);
    Open("unix:" + path);
    listener_close(listener);
    listener = nullptr;
    // A file that is no socket is nobody's to remove.
    close(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
    EXPECT_EQ(ERR_EXISTS, listener_open(loop, &options, &second).code);
    unlink(path.c_str());
}

TEST_F(Conn, AddressesThatAreNoneAreRefused)
{
    listener_options options = {};
    options.ready = Accept;
    const std::string deep = "unix:/" + std::string(200, 'x');
    const struct { const char *address; enum err_code code; } cases[] = {
        { "localhost:25", ERR_SYNTAX }, { "", ERR_SYNTAX }, { "127.0.0.1", ERR_SYNTAX }, { "unix:", ERR_SYNTAX },
        { deep.c_str(), ERR_TOO_BIG }, { "192.0.2.1:0", ERR_IO }, { "unix:/nowhere/at/all", ERR_IO },
    };
    struct listener *none;
    for (const auto &c : cases) {
        options.address = c.address;
        EXPECT_EQ(c.code, listener_open(loop, &options, &none).code) << c.address;
    }
    for (const char *text : { "localhost:25", "", "unix:" }) {
        address = text;
        EXPECT_EQ(ERR_SYNTAX, Connect(&client).code);
    }
    Listen();
    options.address = address.c_str();
    EXPECT_EQ(ERR_EXISTS, listener_open(loop, &options, &none).code);
}

TEST_F(Conn, SeveralListenersShareAPort)
{
    listener_options options = {};
    options.address = "127.0.0.1:0";
    options.share_port = true;
    options.ready = Accept;
    options.holder = this;
    struct listener *second;
    ASSERT_EQ(ERR_OK, listener_open(loop, &options, &listener).code);
    address = "127.0.0.1:" + std::to_string(listener_port(listener));
    options.address = address.c_str();
    ASSERT_EQ(ERR_OK, listener_open(loop, &options, &second).code);
    EXPECT_EQ(listener_port(listener), listener_port(second));
    listener_close(second);
}

TEST_F(Conn, NobodyThereIsUnreachable)
{
    Listen();
    listener_close(listener);
    listener = nullptr;
    struct err err = Connect(&client);
    if (err.code == ERR_OK) {
        Until([&] { return client.closed; });
        err = client.why;
    }
    EXPECT_EQ(ERR_UNREACHABLE, err.code);
    End other;
    address = "unix:" + dir + "/none";
    EXPECT_EQ(ERR_UNREACHABLE, Connect(&other).code);
}

TEST_F(Conn, ConnectingEndsAtItsDeadline)
{
    // A backlog that is full answers nothing.
    int full = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(at);
    ASSERT_EQ(0, bind(full, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
    ASSERT_EQ(0, listen(full, 0));
    ASSERT_EQ(0, getsockname(full, reinterpret_cast<sockaddr *>(&at), &len));
    std::vector<int> fillers;
    for (int i = 0; i < 4; i++) {
        fillers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        (void)connect(fillers.back(), reinterpret_cast<sockaddr *>(&at), sizeof(at));
    }
    address = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    conn_target target = {};
    target.address = address.c_str();
    target.connect_ms = 50;
    ASSERT_EQ(ERR_OK, conn_connect(loop, &target, &end_calls, &client, &client.conn).code);
    Until([&] { return client.closed; });
    EXPECT_EQ(ERR_TIMEOUT, client.why.code);
    EXPECT_EQ(0, client.readies);
    for (int fd : fillers) close(fd);
    close(full);
}

TEST_F(Conn, ItComesFromTheAddressItIsTold)
{
    Listen();
    ASSERT_EQ(ERR_OK, Connect(&client, &end_calls, "127.0.0.9:0").code);
    Until([&] { return servers.size() == 1; });
    struct endpoint peer = conn_peer(servers[0]->conn);
    char text[ENDPOINT_TEXT_BYTES];
    EXPECT_STREQ("127.0.0.9", endpoint_ip_text(&peer, text).ptr);
    End other;
    EXPECT_NE(ERR_OK, Connect(&other, &end_calls, "192.0.2.77:0").code);
}

TEST_F(Conn, AConnectionThatIsNotTakenIsClosed)
{
    refuse = true;
    Listen();
    ASSERT_EQ(ERR_OK, Connect(&client).code);
    Until([&] { return client.closed; });
    EXPECT_TRUE(servers.empty());
}

TEST_F(Conn, APausedListenerLeavesThemWaiting)
{
    Listen();
    listener_pause(listener, true);
    ASSERT_EQ(ERR_OK, Connect(&client).code);
    Until([&] { return client.readies == 1; });
    Turn();
    EXPECT_TRUE(servers.empty());
    listener_pause(listener, false);
    Until([&] { return servers.size() == 1; });
}

TEST_F(Conn, OutOfDescriptorsItRestsAndGoesOn)
{
    Listen();
    ASSERT_EQ(ERR_OK, Connect(&client).code);
    rlimit before, tight;
    getrlimit(RLIMIT_NOFILE, &before);
    int next = dup(0);
    close(next);
    tight = before;
    tight.rlim_cur = static_cast<rlim_t>(next);
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &tight));
    rusage a, b;
    getrusage(RUSAGE_SELF, &a);
    uint64_t end = clock_boot_ms() + 250;
    while (clock_boot_ms() < end) loop_step(loop, 50);
    getrusage(RUSAGE_SELF, &b);
    EXPECT_TRUE(servers.empty());
    EXPECT_LT((b.ru_utime.tv_sec - a.ru_utime.tv_sec + b.ru_stime.tv_sec - a.ru_stime.tv_sec) * 1000000 +
                  b.ru_utime.tv_usec - a.ru_utime.tv_usec + b.ru_stime.tv_usec - a.ru_stime.tv_usec, 50000);
    End other;
    EXPECT_EQ(ERR_IO, Connect(&other).code);
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    Until([&] { return servers.size() == 1; });
}

}  // namespace

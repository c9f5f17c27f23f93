// Connections and listeners, plain and under TLS, from both ends.
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "body.h"
#include "clock.h"
#include "conn.h"
#include "listener.h"
#include "loop.h"
#include "test_certificates.h"
#include "tls.h"

// Allocations of the code under test come here (-Wl,--wrap): the one that counts to zero fails.
static long mallocs_left = -1;
extern "C" {
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size) { return mallocs_left > 0 && --mallocs_left == 0 ? nullptr : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size)
{
    return mallocs_left > 0 && --mallocs_left == 0 ? nullptr : __real_calloc(count, size);
}
}

namespace {

constexpr uint64_t kPatienceMs = 20000;
constexpr size_t kMoreThanAnyKernelKeeps = 60000000;

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

void Say(struct conn *conn, struct span what) { EXPECT_EQ(ERR_OK, conn_send(conn, what).code); }

// Where it may be refused.
void TrySay(struct conn *conn, struct span what)
{
    struct err err = conn_send(conn, what);
    EXPECT_TRUE(err.code == ERR_OK || err.what != nullptr);
}

// One end of a connection.
struct End {
    struct conn *conn = nullptr;
    std::string heard;
    size_t heard_bytes = 0;
    int readies = 0, drains = 0;
    bool closed = false, ended = false;
    struct err why = err_ok();
    std::function<size_t(struct conn *, struct span)> on_bytes;
    std::function<void(struct conn *)> on_ready;

    static size_t Bytes(void *user, struct conn *conn, struct span in)
    {
        auto *self = static_cast<End *>(user);
        if (self->on_bytes) return self->on_bytes(conn, in);
        self->heard_bytes += in.len;
        if (self->heard.size() < 1000000) self->heard.append(in.ptr, in.len);
        return in.len;
    }
    static void Closed(void *user, struct err why)
    {
        auto *self = static_cast<End *>(user);
        EXPECT_FALSE(self->closed);
        self->closed = true;
        self->why = why;
    }
    static void Ready(void *user, struct conn *conn)
    {
        auto *self = static_cast<End *>(user);
        self->readies++;
        if (self->on_ready) self->on_ready(conn);
    }
    static void Drained(void *user, struct conn *) { static_cast<End *>(user)->drains++; }
    static void Ended(void *user, struct conn *) { static_cast<End *>(user)->ended = true; }
};
const conn_user end_calls = { End::Bytes, End::Closed, End::Ready, End::Drained, nullptr };
const conn_user half_calls = { End::Bytes, End::Closed, End::Ready, End::Drained, End::Ended };

class Conn : public testing::Test {
protected:
    struct loop *loop = nullptr;
    struct listener *listener = nullptr;
    const conn_user *server_calls = &end_calls;
    std::vector<std::unique_ptr<End>> servers;
    End client;
    std::string dir, address;
    std::function<void(End *)> on_accept;
    bool refuse = false;

    static void Accept(void *holder, struct listener *listener)
    {
        auto *test = static_cast<Conn *>(holder);
        if (test->refuse) return;
        test->servers.push_back(std::make_unique<End>());
        auto *end = test->servers.back().get();
        struct err err = conn_accept(listener, test->server_calls, end, &end->conn);
        if (err.code != ERR_OK) {
            test->servers.pop_back();
        } else if (test->on_accept) {
            test->on_accept(end);
        }
    }
    void SetUp() override
    {
        char name[] = "/tmp/conn_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
    }
    void TearDown() override
    {
        mallocs_left = -1;
        for (auto &end : servers) {
            if (!end->closed) conn_abort(end->conn, err_ok());
        }
        if (client.conn != nullptr && !client.closed) conn_abort(client.conn, err_ok());
        listener_close(listener);
        loop_run(loop);
        for (auto &end : servers) EXPECT_TRUE(end->closed);
        loop_free(loop);
        EXPECT_EQ(0, rmdir(dir.c_str()));
    }
    void Until(const std::function<bool()> &done)
    {
        uint64_t end = clock_boot_ms() + kPatienceMs;
        while (!done() && clock_boot_ms() < end) loop_step(loop, 50);
        EXPECT_TRUE(done());
    }
    void Turn(int times = 20) { for (int i = 0; i < times; i++) loop_step(loop, 0); }
    void Listen(const std::string &at = "127.0.0.1:0")
    {
        listener_options options = {};
        options.address = at.c_str();
        options.ready = Accept;
        options.holder = this;
        ASSERT_EQ(ERR_OK, listener_open(loop, &options, &listener).code);
        address = at;
        char text[ENDPOINT_TEXT_BYTES];
        struct endpoint endpoint = listener_endpoint(listener);
        if (at.rfind("unix:", 0) != 0) address = endpoint_text(&endpoint, text).ptr;
    }
    struct err Connect(End *end, const conn_user *calls = &end_calls, const char *source = nullptr)
    {
        conn_target target = {};
        target.address = address.c_str();
        target.source = source;
        target.connect_ms = 5000;
        return conn_connect(loop, &target, calls, end, &end->conn);
    }
    // Both ends stand.
    End *Open(const std::string &at = "127.0.0.1:0")
    {
        Listen(at);
        EXPECT_EQ(ERR_OK, Connect(&client).code);
        Until([&] { return client.readies == 1 && servers.size() == 1; });
        return servers[0].get();
    }
};

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
        listener_close(listener);
        listener = nullptr;
        servers.clear();
        client = End();
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
    body_budget budget = {};
    budget.memory_bytes_max = budget.file_bytes_max = 10 << 20;
    budget.spill_dir = dir.c_str();
    struct body *body;
    ASSERT_EQ(ERR_OK, body_new(&budget, &body).code);
    std::string bytes(900000, 0);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<char>(i * 7 + i / 251);
    ASSERT_EQ(ERR_OK, body_put(body, S(bytes)).code);
    ASSERT_EQ(ERR_OK, body_seal(body).code);
    Say(server->conn, SPAN("{3}\r\n"));
    ASSERT_EQ(ERR_OK, conn_send_body(server->conn, body, 10, 890000).code);
    Say(server->conn, SPAN(")\r\n"));
    ASSERT_EQ(ERR_OK, conn_send_body(server->conn, body, 0, 0).code);
    body_unref(body); // it holds its own
    std::string want = "{3}\r\n" + bytes.substr(10, 890000) + ")\r\n";
    Until([&] { return client.heard.size() == want.size(); });
    EXPECT_TRUE(client.heard == want);
    EXPECT_EQ(0u, budget.memory_bytes);
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
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(listener_port(listener));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
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
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(listener_port(listener));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        servers.clear();
        ASSERT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
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

// ---- TLS

class ConnTls : public Conn {
protected:
    test_ca ca;
    struct tls_context *server_tls = nullptr, *client_tls = nullptr;
    std::vector<test_pair> pairs;
    tls_ticket_key keys[2];

    struct tls_context *Context(tls_options options)
    {
        struct tls_context *context = nullptr;
        EXPECT_EQ(ERR_OK, tls_context_new(&options, &context).code);
        return context;
    }
    struct tls_context *ServerContext(bool verify = false, const char *const *protocols = nullptr)
    {
        std::vector<tls_certificate> certificates;
        for (const auto &pair : pairs) certificates.push_back({ S(pair.chain), S(pair.key) });
        tls_options options = {};
        options.certificates = certificates.data();
        options.certificates_count = static_cast<unsigned>(certificates.size());
        options.verify = verify ? TLS_VERIFY_REQUIRED : TLS_VERIFY_NONE;
        options.ca = S(ca.pem);
        options.ticket_keys = keys;
        options.ticket_keys_count = 2;
        options.protocols = protocols;
        return Context(options);
    }
    struct tls_context *ClientContext(const test_pair *own = nullptr, const char *const *protocols = nullptr)
    {
        tls_options options = {};
        tls_certificate certificate;
        if (own != nullptr) certificate = { S(own->chain), S(own->key) };
        options.certificates = &certificate;
        options.certificates_count = own == nullptr ? 0 : 1;
        options.verify = TLS_VERIFY_REQUIRED;
        options.ca = S(ca.pem);
        options.client = true;
        options.protocols = protocols;
        return Context(options);
    }
    void SetUp() override
    {
        Conn::SetUp();
        memset(keys, 1, sizeof(keys[0]));
        memset(keys + 1, 2, sizeof(keys[1]));
        pairs.push_back(ca.Issue("mail.example.org", { "mail.example.org" }));
        pairs.push_back(ca.Issue("wild", { "*.example.net", "example.net" }));
        server_tls = ServerContext();
        client_tls = ClientContext();
    }
    void TearDown() override
    {
        Conn::TearDown();
        tls_context_unref(server_tls);
        tls_context_unref(client_tls);
    }
    // TLS from the first byte.
    End *OpenTls(const char *name = "mail.example.org", const std::string &at = "127.0.0.1:0")
    {
        End *server = Open(at);
        StartTls(server, name);
        Until([&] { return client.readies == 2 && server->readies == 1; });
        return server;
    }
    void StartTls(End *server, const char *name)
    {
        ASSERT_EQ(ERR_OK, conn_start_tls(server->conn, server_tls, nullptr).code);
        ASSERT_EQ(ERR_OK, conn_start_tls(client.conn, client_tls, name).code);
    }
    void ExpectRefused(const char *name, enum err_code code)
    {
        End *server = Open();
        StartTls(server, name);
        Until([&] { return client.closed && server->closed; });
        EXPECT_EQ(code, client.why.code);
        EXPECT_LT(client.readies, 2);
    }
};

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
        listener_close(listener);
        listener = nullptr;
        servers.clear();
        client = End();
    }
}

TEST_F(ConnTls, LargeOutputWaitsAndArrives)
{
    End *server = OpenTls();
    body_budget budget = {};
    budget.memory_bytes_max = budget.file_bytes_max = 64 << 20;
    budget.spill_dir = dir.c_str();
    struct body *body;
    ASSERT_EQ(ERR_OK, body_new(&budget, &body).code);
    std::string bytes(20000000, 0);
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<char>(i * 7 + i / 251);
    ASSERT_EQ(ERR_OK, body_put(body, S(bytes)).code);
    ASSERT_EQ(ERR_OK, body_seal(body).code);
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
        Until([&] { return client.closed && server->closed; });
        listener_close(listener);
        listener = nullptr;
        servers.clear();
        client = End();
    }
}

TEST_F(ConnTls, TheNameChoosesTheCertificate)
{
    tls_options options = {};
    options.client = true; // looks at no name, to see what it is given
    tls_context_unref(client_tls);
    client_tls = Context(options);
    const struct { const char *name, *certificate; } cases[] = {
        { "mail.example.org", "mail.example.org" }, { "MAIL.Example.ORG", "mail.example.org" },
        { "imap.example.net", "wild" }, { "example.net", "wild" }, { "a.b.example.net", "mail.example.org" },
        { "unknown.example.com", "mail.example.org" }, { nullptr, "mail.example.org" },
    };
    for (const auto &c : cases) {
        End *server = OpenTls(c.name);
        struct conn_tls_info info;
        ASSERT_TRUE(conn_tls_info(client.conn, &info));
        EXPECT_STREQ(c.certificate, info.peer_name) << (c.name == nullptr ? "none" : c.name);
        EXPECT_FALSE(info.peer_verified);
        conn_close(client.conn);
        Until([&] { return client.closed && server->closed; });
        listener_close(listener);
        listener = nullptr;
        servers.clear();
        client = End();
    }
}

TEST_F(ConnTls, AWrongNameIsDenied) { ExpectRefused("other.example.com", ERR_DENIED); }

TEST_F(ConnTls, ACertificateOfAnotherCaIsDenied)
{
    test_ca other;
    pairs[0] = other.Issue("mail.example.org", { "mail.example.org" });
    tls_context_unref(server_tls);
    server_tls = ServerContext();
    ExpectRefused("mail.example.org", ERR_DENIED);
}

TEST_F(ConnTls, AClientShowsItsCertificateAndRole)
{
    auto own = ca.Issue("node-7", {}, "urn:godwit:role:storage-node");
    tls_context_unref(server_tls);
    tls_context_unref(client_tls);
    server_tls = ServerContext(true);
    client_tls = ClientContext(&own);
    End *server = OpenTls();
    struct conn_tls_info info;
    ASSERT_TRUE(conn_tls_info(server->conn, &info));
    EXPECT_TRUE(info.peer_verified);
    EXPECT_STREQ("node-7", info.peer_name);
    EXPECT_STREQ("urn:godwit:role:storage-node", info.peer_uri);
}

TEST_F(ConnTls, AClientWithoutCertificateIsDenied)
{
    tls_context_unref(server_tls);
    server_tls = ServerContext(true);
    End *server = Open();
    StartTls(server, "mail.example.org");
    Until([&] { return client.closed && server->closed; });
    EXPECT_EQ(ERR_DENIED, server->why.code);
    EXPECT_EQ(0, server->readies);
}

TEST_F(ConnTls, ProtocolsAreAgreedOrRefused)
{
    const char *ours[] = { "imap", "http/1.1", nullptr }, *theirs[] = { "h2", "http/1.1", nullptr },
               *foreign[] = { "pop3", nullptr };
    tls_context_unref(server_tls);
    server_tls = ServerContext(false, ours);
    tls_context_unref(client_tls);
    client_tls = ClientContext(nullptr, theirs);
    End *server = OpenTls();
    struct conn_tls_info info;
    ASSERT_TRUE(conn_tls_info(server->conn, &info));
    EXPECT_STREQ("http/1.1", info.protocol);
    conn_close(client.conn);
    Until([&] { return client.closed && server->closed; });
    listener_close(listener);
    listener = nullptr;
    servers.clear();
    client = End();
    tls_context_unref(client_tls);
    client_tls = ClientContext(nullptr, foreign);
    ExpectRefused("mail.example.org", ERR_SYNTAX);
}

TEST_F(ConnTls, ASnapshotLivesAsLongAsItsConnections)
{
    End *server = OpenTls();
    tls_context_unref(server_tls);
    server_tls = ServerContext();
    Say(server->conn, SPAN("old"));
    Until([&] { return client.heard == "old"; });
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
        Until([&] { return client.closed; });
        listener_close(listener);
        listener = nullptr;
        servers.clear();
        client = End();
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
        Until([&] { return client.closed && server->closed; });
        listener_close(listener);
        listener = nullptr;
        servers.clear();
        client = End();
    }
}

// A client of libssl's own that keeps its session: connects, reads the greeting, leaves.
bool TalkAndResume(uint16_t port, int version, SSL_SESSION **session)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (*session != nullptr) SSL_set_session(ssl, *session);
    char greeting[16];
    EXPECT_EQ(1, SSL_connect(ssl));
    EXPECT_EQ(5, SSL_read(ssl, greeting, sizeof(greeting)));
    bool resumed = SSL_session_reused(ssl) == 1;
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return resumed;
}

TEST_F(ConnTls, TicketsResumeUntilTheirKeyIsDropped)
{
    on_accept = [&](End *end) {
        ASSERT_EQ(ERR_OK, conn_start_tls(end->conn, server_tls, nullptr).code);
        Say(end->conn, SPAN("hello"));
    };
    Listen();
    for (int version : { TLS1_2_VERSION, TLS1_3_VERSION }) {
        SSL_SESSION *session = nullptr;
        auto talk = [&] {
            std::atomic<bool> done{ false };
            bool resumed = false;
            std::thread peer([&] {
                resumed = TalkAndResume(listener_port(listener), version, &session);
                done = true;
            });
            Until([&] { return done.load(); });
            peer.join();
            return resumed;
        };
        auto rotate = [&](uint8_t first, uint8_t second) {
            memset(keys, first, sizeof(keys[0]));
            memset(keys + 1, second, sizeof(keys[1]));
            tls_context_unref(server_tls);
            server_tls = ServerContext();
        };
        rotate(1, 2);
        EXPECT_FALSE(talk());
        EXPECT_TRUE(talk());
        rotate(3, 1); // the old key is still taken, and answered with a ticket of the new one
        EXPECT_TRUE(talk());
        rotate(4, 3);
        EXPECT_TRUE(talk());
        rotate(5, 6);
        EXPECT_FALSE(talk());
        SSL_SESSION_free(session);
    }
}

// tls.min, each side of it, and what is older than both.
TEST_F(ConnTls, TheOldestVersionIsThatOfTheContext)
{
    const struct { enum tls_min min; int version; bool good; } rows[] = {
        { TLS_MIN_1_2, TLS1_1_VERSION, false }, { TLS_MIN_1_2, TLS1_2_VERSION, true }, { TLS_MIN_1_2, TLS1_3_VERSION, true },
        { TLS_MIN_1_3, TLS1_1_VERSION, false }, { TLS_MIN_1_3, TLS1_2_VERSION, false }, { TLS_MIN_1_3, TLS1_3_VERSION, true },
    };
    on_accept = [&](End *end) { ASSERT_EQ(ERR_OK, conn_start_tls(end->conn, server_tls, nullptr).code); };
    Listen();
    for (const auto &row : rows) {
        tls_certificate certificate = { S(pairs[0].chain), S(pairs[0].key) };
        tls_options options = {};
        options.certificates = &certificate;
        options.certificates_count = 1;
        options.min = row.min;
        tls_context_unref(server_tls);
        server_tls = Context(options);
        std::atomic<int> connected{ -2 };
        std::thread peer([&] {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            sockaddr_in to = {};
            to.sin_family = AF_INET;
            to.sin_port = htons(listener_port(listener));
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
            SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
            SSL_CTX_set_security_level(ctx, 0); // or it would not even ask for 1.1
            SSL_CTX_set_min_proto_version(ctx, row.version);
            SSL_CTX_set_max_proto_version(ctx, row.version);
            SSL *ssl = SSL_new(ctx);
            SSL_set_fd(ssl, fd);
            connected = SSL_connect(ssl);
            SSL_free(ssl);
            SSL_CTX_free(ctx);
            close(fd);
        });
        Until([&] { return connected != -2; });
        peer.join();
        EXPECT_EQ(row.good, connected == 1) << row.min << " " << row.version;
    }
}

TEST_F(ConnTls, ContextsThatCannotBeMadeSayWhich)
{
    struct tls_context *context;
    auto third = ca.Issue("x", {});
    const std::string junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const struct { std::string chain, key, ca; int detail; } cases[] = {
        { "", third.key, ca.pem, 2 },          { junk, third.key, ca.pem, 2 },
        { third.chain, "", ca.pem, 2 },        { third.chain, pairs[0].key, ca.pem, 2 },
        { third.chain + junk, third.key, ca.pem, 2 }, { third.chain, third.key, junk, 0 },
        { third.chain, third.key, "no PEM", 0 },
    };
    for (const auto &c : cases) {
        tls_certificate certificates[] = { { S(pairs[0].chain), S(pairs[0].key) }, { S(c.chain), S(c.key) } };
        tls_options options = {};
        options.certificates = certificates;
        options.certificates_count = 2;
        options.verify = TLS_VERIFY_REQUIRED;
        options.ca = S(c.ca);
        struct err err = tls_context_new(&options, &context);
        EXPECT_EQ(ERR_SYNTAX, err.code);
        EXPECT_EQ(c.detail, err.detail);
    }
    uint64_t now = clock_wall_ms(), expires = tls_context_expires_ms(server_tls, 0);
    EXPECT_GT(expires, now);
    EXPECT_LT(expires, now + 2 * 3600 * 1000);
}

}  // namespace

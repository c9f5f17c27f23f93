// conn_fixture.h: a listener and both ends of its connections, plain and under TLS. Its allocator stands in one
// file of each test program.
#ifndef MAIL_CONN_FIXTURE_H
#define MAIL_CONN_FIXTURE_H

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "body.h"
#include "clock.h"
#include "conn.h"
#include "listener.h"
#include "loop.h"
#include "loop_fixture.h"
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

constexpr size_t kMoreThanAnyKernelKeeps = 60000000;

inline void Say(struct conn *conn, struct span what) { EXPECT_EQ(ERR_OK, conn_send(conn, what).code); }

// Where it may be refused.
inline void TrySay(struct conn *conn, struct span what)
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

// A socket of the test's own that is connected to a listener here.
inline int RawTcp(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
    return fd;
}

class Conn : public LoopTest {
protected:
    struct listener *listener = nullptr;
    const conn_user *server_calls = &end_calls;
    std::vector<std::unique_ptr<End>> servers;
    End client;
    std::string address;
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
        LoopTest::TearDown();
    }
    // Both ends have gone, or go now: ready for another pair.
    void Again()
    {
        Until([&] {
            bool all = client.conn == nullptr || client.closed;
            for (auto &end : servers) all = all && end->closed;
            return all;
        });
        listener_close(listener);
        listener = nullptr;
        servers.clear();
        client = End();
    }
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


#endif

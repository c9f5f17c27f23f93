// Who is there, under TLS: names, certificates, protocols, tickets.
#include <openssl/ssl.h>

#include <atomic>
#include <thread>

#include "conn_fixture.h"

namespace {

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
        Again();
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
    Again();
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
            int fd = RawTcp(listener_port(listener));
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

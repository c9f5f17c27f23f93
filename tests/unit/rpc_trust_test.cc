// Who may call whom, and what a program's certificate, cluster and incarnation are good for.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

#include <atomic>
#include <set>
#include <thread>

#include "crew.h"
#include "lookup.h"
#include "admin_msg.h"
#include "replica_msg.h"
#include "rpc_callers.h"
#include "rpc_fixture.h"
#include "scan_msg.h"

namespace {

const enum rpc_role kRoles[] = { RPC_ROLE_FRONTEND, RPC_ROLE_STORAGE_NODE, RPC_ROLE_SCANNER, RPC_ROLE_ROUTER,
                                 RPC_ROLE_OPERATOR };
std::string Text(enum rpc_role role) { return Str(rpc_role_text(role)); }

// ---- names

TEST(RpcName, WhatIsOneIsWrittenAgain)
{
    const struct { std::string uri; enum rpc_role role; std::string name; } cases[] = {
        { Uri("frontend", "f"), RPC_ROLE_FRONTEND, "f" },
        { Uri("storage-node", "storage-node-0.godwit.svc"), RPC_ROLE_STORAGE_NODE, "storage-node-0.godwit.svc" },
        { Uri("scanner", "7"), RPC_ROLE_SCANNER, "7" },
        { Uri("router", std::string(63, 'r')), RPC_ROLE_ROUTER, std::string(63, 'r') },
        { Uri("operator", "a-b", kOther), RPC_ROLE_OPERATOR, "a-b" },
    };
    for (const auto &c : cases) {
        struct rpc_name name;
        char again[RPC_URI_MAX_BYTES + 1];
        ASSERT_EQ(ERR_OK, rpc_name_parse(S(c.uri), &name).code) << c.uri;
        EXPECT_EQ(c.role, name.role);
        EXPECT_EQ(c.name, Str(name.name));
        ASSERT_EQ(ERR_OK, rpc_name_put(&name, again).code);
        EXPECT_EQ(c.uri, again);
    }
}

TEST(RpcName, WhatIsNoneIsRefused)
{
    const std::string cases[] = {
        "", "godwit://", "godwit:/" + Uri("frontend").substr(9), "Godwit" + Uri("frontend").substr(6),
        "urn:godwit:role:frontend", Uri(""), Uri("janitor"), Uri("etcd"), Uri("Frontend"), Uri("frontend", ""),
        Uri("frontend", std::string(64, 'x')), Uri("frontend", "-a"), Uri("frontend", "a-"), Uri("frontend", ".a"),
        Uri("frontend", "A"), Uri("frontend", "a b"), Uri("frontend", "a/b"), Uri("frontend", "a_b"),
        Uri("frontend", std::string("a\0b", 3)), Uri("frontend", "\xc3\xa4"), Uri("frontend") + "\n",
        Uri("frontend", "a", ""), Uri("frontend", "a", kCluster.substr(1)), Uri("frontend", "a", kCluster + "0"),
        Uri("frontend", "a", std::string(32, '0')), Uri("frontend", "a", "G" + kCluster.substr(1)),
        Uri("frontend", "a", "00112233445566778899AABBCCDDEEFF"), "x" + Uri("frontend"),
    };
    for (const auto &uri : cases) {
        struct rpc_name name = {};
        EXPECT_EQ(ERR_SYNTAX, rpc_name_parse(S(uri), &name).code) << uri;
        EXPECT_EQ(0, name.role); // untouched
    }
    struct rpc_name bad = {};
    char to[RPC_URI_MAX_BYTES + 1];
    bad.name = SPAN("a");
    EXPECT_EQ(ERR_SYNTAX, rpc_name_put(&bad, to).code);
    bad.role = static_cast<enum rpc_role>(RPC_ROLE_FRONTEND | RPC_ROLE_SCANNER);
    EXPECT_EQ(ERR_SYNTAX, rpc_name_put(&bad, to).code);
}

// ---- who may call whom

// The same as the table says, from the architecture's words and not from the table.
const std::set<std::pair<enum rpc_role, enum rpc_role>> kPairs = {
    { RPC_ROLE_FRONTEND, RPC_ROLE_STORAGE_NODE },  { RPC_ROLE_FRONTEND, RPC_ROLE_SCANNER },
    { RPC_ROLE_ROUTER, RPC_ROLE_STORAGE_NODE },    { RPC_ROLE_ROUTER, RPC_ROLE_FRONTEND },
    { RPC_ROLE_STORAGE_NODE, RPC_ROLE_STORAGE_NODE }, { RPC_ROLE_FRONTEND, RPC_ROLE_FRONTEND },
    { RPC_ROLE_FRONTEND, RPC_ROLE_ROUTER },
};

bool MayCall(enum rpc_role caller, enum rpc_role server, const std::string &method)
{
    if (method == "Tell" || method == "Checkpoint")
        return caller == RPC_ROLE_STORAGE_NODE && server == RPC_ROLE_STORAGE_NODE;
    if (method == "LogRecent") return caller == RPC_ROLE_FRONTEND && server != RPC_ROLE_OPERATOR;
    if (caller == RPC_ROLE_FRONTEND) return server == RPC_ROLE_STORAGE_NODE || server == RPC_ROLE_SCANNER;
    return caller == RPC_ROLE_ROUTER && server == RPC_ROLE_STORAGE_NODE && method == "NodeStatus";
}

struct TableRow {
    const struct proto_method *method;
    uint32_t callers;
};
#define RPC_METHOD(service, name, callers) RPC_METHOD_##service(name, callers)
#define RPC_METHOD_STORE(name, callers) { store_method_find(STORE_METHOD_##name), callers },
#define RPC_METHOD_PEER(name, callers)
#define RPC_METHOD_SCAN(name, callers)
#define RPC_METHOD_ADMIN(name, callers)
const TableRow kStore[] = {
#include "rpc_callers.def"
};
#undef RPC_METHOD_STORE
#undef RPC_METHOD_PEER
#define RPC_METHOD(service, name, callers) RPC_METHOD_##service(name, callers)
#define RPC_METHOD_STORE(name, callers)
#define RPC_METHOD_PEER(name, callers) { peer_method_find(PEER_METHOD_##name), callers },
const TableRow kPeer[] = {
#include "rpc_callers.def"
};
#undef RPC_METHOD_PEER
#undef RPC_METHOD_SCAN
#define RPC_METHOD(service, name, callers) RPC_METHOD_##service(name, callers)
#define RPC_METHOD_PEER(name, callers)
#define RPC_METHOD_SCAN(name, callers) { scan_method_find(SCAN_METHOD_##name), callers },
const TableRow kScan[] = {
#include "rpc_callers.def"
};
#undef RPC_METHOD_SCAN
#undef RPC_METHOD_ADMIN
#define RPC_METHOD(service, name, callers) RPC_METHOD_##service(name, callers)
#define RPC_METHOD_SCAN(name, callers)
#define RPC_METHOD_ADMIN(name, callers) { admin_method_find(ADMIN_METHOD_##name), callers },
const TableRow kAdmin[] = {
#include "rpc_callers.def"
};
struct Service {
    const TableRow *rows;
    size_t count;
    const struct proto_method *methods;
    std::vector<enum rpc_role> servers;
};
const Service kServices[] = {
    { kStore, std::size(kStore), store_methods, { RPC_ROLE_STORAGE_NODE } },
    { kPeer, std::size(kPeer), peer_methods, { RPC_ROLE_STORAGE_NODE } },
    { kScan, std::size(kScan), scan_methods, { RPC_ROLE_SCANNER } },
    { kAdmin, std::size(kAdmin), admin_methods, { RPC_ROLE_FRONTEND, RPC_ROLE_STORAGE_NODE, RPC_ROLE_SCANNER, RPC_ROLE_ROUTER } },
};

class RpcCallers : public RpcTls {
protected:
    void Between(enum rpc_role caller, enum rpc_role callee, bool tls, const Service &service = kServices[0])
    {
        rpc_client_free(client);
        rpc_server_close(server);
        if (server != nullptr) Until([&] { return server_gone; });
        client = nullptr;
        server = nullptr;
        server_self = TestSelf(callee, Refused, &server_refusals);
        client_self = TestSelf(caller, Refused, &client_refusals);
        SetCluster(server_self, kCluster, 1);
        SetCluster(client_self, kCluster, 1);
        address = "unix:" + dir + "/s";
        if (tls) {
            Contexts(Uri(Text(callee)), Uri(Text(caller)));
            address = "127.0.0.1:0";
        }
        OpenServer([&](rpc_server_options *options) {
            options->methods = service.methods;
            options->methods_count = static_cast<unsigned>(service.count);
        });
        OpenClient();
    }
    enum err_code CallOf(const struct proto_method *method)
    {
        Call call;
        static const uint64_t zeros[64] = {};
        rpc_call_options options = {};
        options.deadline_ms = 10000;
        EXPECT_LE(method->request->size, sizeof(zeros));
        EXPECT_EQ(ERR_OK, rpc_call_start(client, method, zeros, &options, &ended_user, &call, &call.call).code);
        Until([&] { return call.done; });
        return call.err.code;
    }
    static constexpr rpc_call_user ended_user = { nullptr, nullptr, Call::Done };
};

TEST_F(RpcCallers, EachPairThatIsNotInTheTableIsRefusedAtHello)
{
    serve = [](struct rpc_serving *serving) { rpc_finish(serving, err_ok(), S("")); };
    for (bool tls : { false, true }) {
        for (auto caller : kRoles) {
            for (auto callee : kRoles) {
                SCOPED_TRACE(Text(caller) + " calls " + Text(callee) + (tls ? " over TLS" : ""));
                bool allowed = kPairs.count({ caller, callee }) > 0;
                EXPECT_EQ(allowed, rpc_may_connect(caller, callee));
                server_refusals.clear();
                client_refusals.clear();
                rows.clear();
                rows.push_back({ kAddressGet, 31, Serve });
                Between(caller, callee, tls);
                EXPECT_EQ(allowed ? ERR_OK : ERR_DENIED, CallOf(store_method_find(kAddressGet)));
                ASSERT_EQ(allowed ? 0u : 1u, server_refusals.size());
                ASSERT_EQ(allowed ? 0u : 1u, client_refusals.size());
                if (allowed) continue;
                EXPECT_EQ(tls ? Uri(Text(caller)) : "", server_refusals[0].name);
                EXPECT_FALSE(server_refusals[0].by_peer);
                EXPECT_TRUE(client_refusals[0].by_peer);
                EXPECT_EQ(server_refusals[0].reason, client_refusals[0].reason);
            }
        }
    }
}

TEST_F(RpcCallers, EachMethodIsForItsCallersOnly)
{
    unsigned called = 0;
    serve = [&](struct rpc_serving *serving) {
        called++;
        rpc_finish(serving, err_ok(), S(""));
    };
    ASSERT_EQ(size_t(STORE_METHODS), std::size(kStore)); // none is missing
    ASSERT_EQ(size_t(SCAN_METHODS), std::size(kScan));
    ASSERT_EQ(size_t(PEER_METHODS), std::size(kPeer));
    ASSERT_EQ(size_t(ADMIN_METHODS), std::size(kAdmin));
    for (const auto &service : kServices) {
        rows.clear();
        for (size_t i = 0; i < service.count; i++) rows.push_back({ service.rows[i].method->number, service.rows[i].callers, Serve });
        for (auto callee : service.servers) {
            for (auto caller : kRoles) {
                Between(caller, callee, true, service);
                for (size_t i = 0; i < service.count; i++) {
                    const std::string name = service.rows[i].method->name;
                    bool allowed = MayCall(caller, callee, name);
                    called = 0;
                    rpc_client_free(client); // one that was refused would wait before it tries again
                    OpenClient();
                    EXPECT_EQ(allowed ? ERR_OK : ERR_DENIED, CallOf(service.rows[i].method)) << Text(caller) << " " << name;
                    EXPECT_EQ(allowed ? 1u : 0u, called);
                }
            }
        }
    }
}

// ---- certificates

struct Fault {
    const char *what;
    std::string reason;             // what the end that refuses says; part of it
    std::function<void(test_ca &ca, test_ca &other, const test_self &self, const std::string &role)> equip;
};
const Fault kFaults[] = {
    { "expired", "expired",
      [](test_ca &ca, test_ca &, const test_self &self, const std::string &role) {
          Equip(self, ca.Issue("x", {}, Uri(role), -60), ca.pem);
      } },
    { "of another CA", "issuer",
      [](test_ca &ca, test_ca &other, const test_self &self, const std::string &role) {
          Equip(self, other.Issue("x", {}, Uri(role)), ca.pem);
      } },
    { "of another CA of the same name", "signature",
      [](test_ca &ca, test_ca &, const test_self &self, const std::string &role) {
          test_ca fake(ca.name);
          Equip(self, fake.Issue("x", {}, Uri(role)), ca.pem);
      } },
    { "of another role", "role is not the certificate's",
      [](test_ca &ca, test_ca &, const test_self &self, const std::string &) {
          Equip(self, ca.Issue("x", {}, Uri("scanner")), ca.pem);
      } },
    { "without a name", "names no program",
      [](test_ca &ca, test_ca &, const test_self &self, const std::string &) {
          Equip(self, ca.Issue("x", { "host.example" }), ca.pem);
      } },
    { "with a name of another kind", "names no program",
      [](test_ca &ca, test_ca &, const test_self &self, const std::string &role) {
          Equip(self, ca.Issue("x", {}, "urn:godwit:role:" + role), ca.pem);
      } },
    { "of another cluster", "cluster is not the certificate's",
      [](test_ca &ca, test_ca &, const test_self &self, const std::string &role) {
          Equip(self, ca.Issue("x", {}, Uri(role, "x", kOther)), ca.pem);
      } },
    { "of another cluster, and says so", "another cluster",
      [](test_ca &ca, test_ca &, const test_self &self, const std::string &role) {
          Equip(self, ca.Issue("x", {}, Uri(role, "x", kOther)), ca.pem);
          SetCluster(self, kOther, 1);
      } },
};

TEST_F(RpcTls, AClientWithACertificateThatIsNoGoodIsRefused)
{
    for (const auto &fault : kFaults) {
        SCOPED_TRACE(fault.what);
        test_ca other;
        address = "127.0.0.1:0";
        server_refusals.clear();
        client_refusals.clear();
        Contexts();
        SetCluster(client_self, kCluster, 1);
        fault.equip(ca, other, client_self, "frontend");
        unsigned served = 0;
        serve = [&](struct rpc_serving *serving) { served++, Echo(serving); };
        Open();
        CallAndExpect(ERR_DENIED);
        Until([&] { return !server_refusals.empty(); });
        EXPECT_NE(std::string::npos, server_refusals.at(0).reason.find(fault.reason)) << server_refusals.at(0).reason;
        EXPECT_EQ(ERR_DENIED, server_refusals.at(0).code);
        EXPECT_EQ(0u, server_refusals.at(0).address.find("127.0.0.1:"));
        EXPECT_EQ(1u, client_refusals.size());
        CallAndExpect(ERR_DENIED); // tried again; it is no news
        EXPECT_EQ(1u, client_refusals.size());
        EXPECT_EQ(0u, served);
        // With the right one it goes on by itself.
        Contexts();
        SetCluster(client_self, kCluster, 1);
        CallAndExpect(ERR_OK);
        struct span reason;
        EXPECT_EQ(ERR_OK, rpc_client_refusal(client, &reason));
        rpc_client_free(client);
        rpc_server_close(server);
        client = nullptr;
        server = nullptr;
        Until([&] { return server_gone; });
    }
}

TEST_F(RpcTls, AServerWithACertificateThatIsNoGoodIsRefused)
{
    for (const auto &fault : kFaults) {
        SCOPED_TRACE(fault.what);
        test_ca other;
        address = "127.0.0.1:0";
        server_refusals.clear();
        client_refusals.clear();
        Contexts();
        SetCluster(server_self, kCluster, 1);
        fault.equip(ca, other, server_self, "storage-node");
        unsigned served = 0;
        serve = [&](struct rpc_serving *serving) { served++, Echo(serving); };
        Open();
        CallAndExpect(ERR_DENIED);
        ASSERT_EQ(1u, client_refusals.size());
        EXPECT_NE(std::string::npos, client_refusals[0].reason.find(fault.reason)) << client_refusals[0].reason;
        struct span reason;
        EXPECT_EQ(ERR_DENIED, rpc_client_refusal(client, &reason));
        EXPECT_EQ(client_refusals[0].reason, Str(reason));
        EXPECT_EQ(0u, served);
        rpc_client_free(client);
        rpc_server_close(server);
        client = nullptr;
        server = nullptr;
        Until([&] { return server_gone; });
    }
}

TEST_F(RpcTls, WithoutCertificatesThereIsNoTcp)
{
    Contexts();
    OpenServer();
    client_self = TestSelf(RPC_ROLE_FRONTEND, Refused, &client_refusals);
    OpenClient();
    CallAndExpect(ERR_DENIED);
    ASSERT_EQ(1u, client_refusals.size());
    EXPECT_EQ("a call over TCP needs certificates of our own", client_refusals[0].reason);
    EXPECT_EQ(address, client_refusals[0].address);
    test_self bare = TestSelf(RPC_ROLE_STORAGE_NODE);
    rpc_server_options options = {};
    struct rpc_server *none = nullptr;
    const char *addresses[] = { "127.0.0.1:0" };
    options.addresses = addresses;
    options.addresses_count = 1;
    options.methods = store_methods;
    options.methods_count = STORE_METHODS;
    options.self = bare.get();
    EXPECT_EQ(ERR_DENIED, rpc_server_open(loop, &options, &none).code);
    EXPECT_EQ(nullptr, none);
}

TEST_F(RpcTls, AServerListensOnSeveralAddresses)
{
    Contexts();
    std::string path = "unix:" + dir + "/s";
    OpenServer();
    ASSERT_EQ(ERR_OK, rpc_server_listen(server, path.c_str()).code);
    for (unsigned i = 2; i < RPC_LISTENERS_MAX; i++) ASSERT_EQ(ERR_OK, rpc_server_listen(server, "127.0.0.2:0").code);
    EXPECT_EQ(ERR_TOO_BIG, rpc_server_listen(server, "127.0.0.3:0").code);
    OpenClient();
    CallAndExpect(ERR_OK);
    rpc_client_free(client);
    client = nullptr;
    address = path;
    OpenClient();
    CallAndExpect(ERR_OK);
}

// ---- peers of libssl's own, and peers without manners

// A blocking client on a thread of its own, while the loop turns.
class RpcRaw : public RpcTls {
protected:
    static int Socket(uint16_t port)
    {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
        return fd;
    }
    void Aside(const std::function<void()> &work)
    {
        std::atomic<bool> over{ false };
        std::thread thread([&] { work(), over = true; });
        Until([&] { return over.load(); });
        thread.join();
    }
    // What comes of a handshake with that highest version; the server's certificate's name.
    bool Handshake(int version, const test_pair *pair, std::string *name = nullptr)
    {
        uint16_t port = rpc_server_port(server);
        bool good = false;
        Aside([&] {
            int fd = Socket(port);
            SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
            SSL_CTX_set_min_proto_version(ctx, 0);
            SSL_CTX_set_max_proto_version(ctx, version);
            SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
            if (pair != nullptr) {
                BIO *chain = BIO_new_mem_buf(pair->chain.data(), static_cast<int>(pair->chain.size()));
                BIO *key = BIO_new_mem_buf(pair->key.data(), static_cast<int>(pair->key.size()));
                X509 *cert = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
                EVP_PKEY *secret = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
                SSL_CTX_use_certificate(ctx, cert);
                SSL_CTX_use_PrivateKey(ctx, secret);
                X509_free(cert);
                EVP_PKEY_free(secret);
                BIO_free(chain);
                BIO_free(key);
            }
            SSL *ssl = SSL_new(ctx);
            SSL_set_fd(ssl, fd);
            // TLS 1.3 tells a client only afterwards that its certificate is not taken.
            std::string hello = Hello();
            uint8_t cluster[RPC_CLUSTER_BYTES];
            rpc_cluster_parse(S(kCluster), cluster);
            memcpy(&hello[RPC_HEAD_BYTES + 16], cluster, sizeof(cluster));
            char byte;
            good = SSL_connect(ssl) == 1 && SSL_write(ssl, hello.data(), static_cast<int>(hello.size())) > 0 &&
                   SSL_read(ssl, &byte, 1) == 1;
            X509 *peer = good ? SSL_get1_peer_certificate(ssl) : nullptr;
            char text[256] = "";
            if (peer != nullptr) X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, text, sizeof(text));
            if (name != nullptr) *name = text;
            X509_free(peer);
            SSL_free(ssl);
            SSL_CTX_free(ctx);
            close(fd);
        });
        return good;
    }
};

TEST_F(RpcRaw, OldVersionsAndBareClientsGetNoHello)
{
    Contexts();
    OpenServer();
    auto pair = ca.Issue("fe-1", {}, Uri("frontend"));
    EXPECT_TRUE(Handshake(TLS1_3_VERSION, &pair));
    EXPECT_TRUE(Handshake(TLS1_2_VERSION, &pair));
    ASSERT_EQ(0u, server_refusals.size());
    EXPECT_FALSE(Handshake(TLS1_1_VERSION, &pair));
    EXPECT_FALSE(Handshake(TLS1_VERSION, &pair));
    Until([&] { return server_refusals.size() == 2; });
    EXPECT_NE(std::string::npos, server_refusals[0].reason.find("unsupported protocol")) << server_refusals[0].reason;
    EXPECT_FALSE(Handshake(TLS1_3_VERSION, nullptr));
    EXPECT_FALSE(Handshake(TLS1_2_VERSION, nullptr));
    Until([&] { return server_refusals.size() == 4; });
    EXPECT_NE(std::string::npos, server_refusals[2].reason.find("did not return a certificate")) << server_refusals[2].reason;
    EXPECT_EQ(ERR_DENIED, server_refusals[3].code);
}

TEST_F(RpcRaw, PlainBytesOverTcpAreNoHello)
{
    Contexts();
    OpenServer();
    uint16_t port = rpc_server_port(server);
    for (const std::string &bytes : { Hello(), std::string("GET / HTTP/1.1\r\n\r\n"), std::string(2000, '\0') }) {
        server_refusals.clear();
        std::string heard;
        Aside([&] {
            int fd = Socket(port);
            (void)!send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            char part[256];
            for (ssize_t count; (count = recv(fd, part, sizeof(part), 0)) > 0;) heard.append(part, static_cast<size_t>(count));
            close(fd);
        });
        Until([&] { return server_refusals.size() == 1; });
        EXPECT_EQ(ERR_SYNTAX, server_refusals[0].code);
        EXPECT_EQ(std::string::npos, heard.find("GODWIT"));
    }
}

TEST_F(RpcRaw, WhoOnlyLooksIsNoNews)
{
    Contexts();
    OpenServer();
    uint16_t port = rpc_server_port(server);
    Aside([&] {
        for (int i = 0; i < 20; i++) close(Socket(port));
    });
    OpenClient();
    CallAndExpect(ERR_OK);
    EXPECT_EQ(0u, server_refusals.size());
}

// Reads until the other end is gone; how long that took. -1: it is not gone.
int64_t GoneAfter(int fd, uint64_t since, uint64_t until)
{
    timeval wait = { 0, 100000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    char part[4096];
    while (clock_boot_ms() < until) {
        ssize_t count = recv(fd, part, sizeof(part), 0);
        if (count == 0 || (count < 0 && errno == ECONNRESET)) return static_cast<int64_t>(clock_boot_ms() - since);
    }
    return -1;
}

TEST_F(RpcRaw, AHandshakeThatTakesTooLongEnds)
{
    Contexts();
    OpenServer([](rpc_server_options *options) { options->hello_ms = 300; });
    uint16_t port = rpc_server_port(server);
    // The head of a handshake record that promises more; nothing at all; a byte now and then.
    for (const std::string &start : { std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9), std::string() }) {
        int64_t gone = -1;
        Aside([&] {
            int fd = Socket(port);
            uint64_t since = clock_boot_ms();
            (void)!send(fd, start.data(), start.size(), MSG_NOSIGNAL);
            gone = GoneAfter(fd, since, since + kPatienceMs);
            close(fd);
        });
        EXPECT_GE(gone, 250);
    }
    int64_t gone = -1;
    Aside([&] {
        int fd = Socket(port);
        uint64_t since = clock_boot_ms();
        const char head[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
        for (size_t i = 0; i < sizeof(head) - 1 && send(fd, head + i, 1, MSG_NOSIGNAL) == 1; i++) {
            timeval wait = { 0, 50000 };
            select(0, nullptr, nullptr, nullptr, &wait);
        }
        gone = GoneAfter(fd, since, since + kPatienceMs);
        close(fd);
    });
    EXPECT_GE(gone, 250);
    for (const auto &refusal : server_refusals) EXPECT_EQ("no hello in time", refusal.reason);
    EXPECT_EQ(3u, server_refusals.size());
}

TEST_F(RpcRaw, ACrowdOfHalfOpenConnectionsKeepsNobodyOut)
{
    Contexts();
    OpenServer([](rpc_server_options *options) { options->hello_ms = 60000; });
    OpenClient();
    CallAndExpect(ERR_OK); // a connection that stands is not touched
    uint16_t port = rpc_server_port(server);
    std::vector<int> crowd;
    const size_t more = 40, count = RPC_STRANGERS_MAX + more;
    Aside([&] {
        for (size_t i = 0; i < count; i++) crowd.push_back(Socket(port));
    });
    Until([&] { return server_refusals.size() >= more; }); // the oldest were sent away
    EXPECT_EQ(more, server_refusals.size());
    CallAndExpect(ERR_OK);
    struct rpc_client *first = client;
    client = nullptr;
    OpenClient();
    CallAndExpect(ERR_OK); // and another comes in
    rpc_client_free(first);
    unsigned gone = 0;
    Aside([&] {
        for (int fd : crowd) {
            char byte;
            ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
            gone += got == 0 || (got < 0 && errno == ECONNRESET);
            close(fd);
        }
    });
    EXPECT_EQ(more + 1, gone);
    for (const auto &refusal : server_refusals) EXPECT_EQ(ERR_BUSY, refusal.code);
}

TEST_F(RpcRaw, ConnectionsTakeNewCertificatesAndOldOnesGoOn)
{
    test_ca next;
    Contexts();
    OpenServer();
    OpenClient();
    CallAndExpect(ERR_OK);
    struct rpc_serving *open_call = nullptr;
    serve = [&](struct rpc_serving *serving) { open_call = serving; };
    Call during;
    ASSERT_EQ(ERR_OK, Start(&during, "during").code);
    Until([&] { return open_call != nullptr; });
    serve = [](struct rpc_serving *serving) { Echo(serving); };

    // Both CAs are trusted, then each end has a certificate of the new one, then the old one goes.
    std::string name;
    const std::string both = ca.pem + next.pem;
    auto old_client = ca.Issue("old client", {}, Uri("frontend"));
    auto new_client = next.Issue("new client", {}, Uri("frontend"));
    Equip(server_self, ca.Issue("old server", {}, Uri("storage-node")), both);
    Equip(client_self, old_client, both);
    EXPECT_TRUE(Handshake(TLS1_3_VERSION, &old_client, &name));
    EXPECT_EQ("old server", name);
    EXPECT_TRUE(Handshake(TLS1_3_VERSION, &new_client, &name));
    Equip(server_self, next.Issue("new server", {}, Uri("storage-node")), both);
    Equip(client_self, new_client, both);
    EXPECT_TRUE(Handshake(TLS1_3_VERSION, &old_client, &name));
    EXPECT_EQ("new server", name);
    Equip(server_self, next.Issue("newer server", {}, Uri("storage-node")), next.pem);
    Equip(client_self, new_client, next.pem);
    EXPECT_FALSE(Handshake(TLS1_3_VERSION, &old_client, &name));
    EXPECT_TRUE(Handshake(TLS1_3_VERSION, &new_client, &name));
    EXPECT_EQ("newer server", name);

    EXPECT_FALSE(during.done);
    CallAndExpect(ERR_OK); // still on the first connection
    Echo(open_call);
    Until([&] { return during.done; });
    EXPECT_EQ(ERR_OK, during.err.code);
    rpc_client_free(client);
    client = nullptr;
    OpenClient();
    CallAndExpect(ERR_OK); // on a new one
}

// ---- clusters and incarnations

TEST_F(Rpc, WhatBothKnowOfTheClusterMustBeTheSame)
{
    const struct {
        std::string server, client;
        uint32_t server_incarnation, client_incarnation;
        const char *reason; // nullptr: they talk
    } cases[] = {
        { "", "", 0, 0, nullptr },
        { kCluster, kCluster, 1, 1, nullptr },
        { kCluster, "", 7, 0, nullptr }, // a scanner has no store to know it from
        { "", kCluster, 0, 7, nullptr },
        { kCluster, kOther, 1, 1, "it is of another cluster" },
        { kOther, kCluster, 0, 0, "it is of another cluster" },
        { kCluster, kCluster, 1, 2, "it is of another incarnation of the cluster" },
        { kCluster, kCluster, 2, 1, "it is of another incarnation of the cluster" },
        { kCluster, kCluster, 0xffffffff, 1, "it is of another incarnation of the cluster" },
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(c.server + " " + c.client);
        SetCluster(server_self, c.server, c.server_incarnation);
        SetCluster(client_self, c.client, c.client_incarnation);
        server_refusals.clear();
        Open();
        Call call;
        ASSERT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        EXPECT_EQ(c.reason == nullptr ? ERR_OK : ERR_DENIED, call.err.code);
        EXPECT_EQ(c.reason == nullptr ? "" : c.reason, call.info);
        EXPECT_EQ(c.reason == nullptr ? 0u : 1u, server_refusals.size());
        rpc_client_free(client);
        rpc_server_close(server);
        client = nullptr;
        server = nullptr;
        Until([&] { return server_gone; });
    }
}

TEST_F(Rpc, ANewIncarnationEndsLinksOfTheOldOne)
{
    auto call_is = [&](enum err_code code) {
        Call call;
        ASSERT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        EXPECT_EQ(code, call.err.code);
    };
    SetCluster(server_self, kCluster, 1);
    SetCluster(client_self, kCluster, 1);
    Open();
    call_is(ERR_OK);
    SetCluster(server_self, kCluster, 2);
    call_is(ERR_UNKNOWN); // the server breaks the link
    call_is(ERR_DENIED);
    SetCluster(client_self, kCluster, 2);
    call_is(ERR_OK);
    SetCluster(client_self, kCluster, 3); // the client leaves it
    call_is(ERR_DENIED);
    SetCluster(server_self, kCluster, 3);
    call_is(ERR_OK);
}

// ---- names

TEST_F(RpcTls, AServerIsFoundByItsName)
{
    Contexts();
    OpenServer();
    address = "localhost:" + std::to_string(rpc_server_port(server));
    OpenClient();
    // The loopback may come as ::1 first, where nobody listens: then the next attempt has the next.
    Until([&] {
        Call call;
        EXPECT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        return call.err.code == ERR_OK;
    });
}

TEST_F(RpcTls, ANameThatIsNoneIsUnreachable)
{
    Contexts();
    address = "no-such-host.invalid:7000";
    OpenClient();
    CallAndExpect(ERR_UNREACHABLE);
    rpc_client_free(client);
    client = nullptr;
    OpenClient();
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    loop_step(loop, 0);
    loop_step(loop, 0);
    rpc_client_free(client); // while it is being looked up
    client = nullptr;
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
}

TEST_F(Rpc, AddressesThatAreNoneAreRefused)
{
    const struct { const char *address; bool good; } cases[] = {
        { "unix:/run/x", true }, { "127.0.0.1:1", true }, { "[::1]:1", true }, { "localhost:1", true },
        { "storage-node-0.godwit.svc.cluster.local:7000", true }, { "a_b:1", true }, { "node-1:65535", true },
        { "", false }, { "localhost", false }, { "localhost:", false }, { ":1", false }, { "a:b", false },
        { "::1:1", false }, { "[::1]", false }, { "256.0.0.1:1", false }, { "1.2.3:1", false }, { "a b:1", false },
        { "http://a:1", false }, { "a:123456", false }, { "127.0.0.1", false }, { "a:-1", false },
    };
    for (const auto &c : cases) {
        rpc_client_options options = {};
        struct rpc_client *made = nullptr;
        options.address = c.address;
        options.self = client_self.get();
        EXPECT_EQ(c.good ? ERR_OK : ERR_SYNTAX, rpc_client_new(loop, &options, &made).code) << c.address;
        rpc_client_free(made);
    }
}

}  // namespace

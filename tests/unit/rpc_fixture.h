// rpc_fixture.h: two ends of RPC in one process, over a unix socket or over mutual TLS.
#ifndef MAIL_RPC_FIXTURE_H
#define MAIL_RPC_FIXTURE_H

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "body.h"
#include "clock.h"
#include "loop.h"
#include "loop_fixture.h"
#include "rpc.h"
#include "rpc_frame.h"
#include "store_msg.h"
#include "test_certificates.h"
#include "test_self.h"
#include "tls.h"

namespace {

const proto_method *Method(uint16_t number) { return store_method_find(number); }

enum : uint16_t { kAddressGet = 1, kAppend = 31, kFetch = 32, kWatch = 39, kDomainList = 4 };

// What a caller hears.
struct Call {
    struct rpc_call *call = nullptr;
    std::vector<std::string> replies;
    std::string data;
    size_t data_bytes = 0;
    bool take = true, done = false;
    struct err err = err_ok();
    std::string info;
    std::function<void(Call *)> on_reply, on_done;

    static void Data(void *holder, struct rpc_call *call, struct span bytes)
    {
        auto *self = static_cast<Call *>(holder);
        self->data_bytes += bytes.len;
        if (self->data.size() < 8000000) self->data += Str(bytes);
        if (self->take) rpc_call_took(call, bytes.len);
    }
    static void Reply(void *holder, struct rpc_call *, const void *reply)
    {
        auto *self = static_cast<Call *>(holder);
        self->replies.push_back(Str(static_cast<const store_address_reply *>(reply)->name));
        if (self->on_reply) self->on_reply(self);
    }
    static void Done(void *holder, struct rpc_call *, struct err err, struct span info)
    {
        auto *self = static_cast<Call *>(holder);
        EXPECT_FALSE(self->done);
        self->done = true;
        self->err = err;
        self->info = Str(info);
        if (self->on_done) self->on_done(self);
    }
};
const rpc_call_user call_user = { Call::Data, Call::Reply, Call::Done };

class Rpc : public LoopTest {
protected:
    struct rpc_server *server = nullptr;
    struct rpc_client *client = nullptr;
    struct Refusal {
        std::string address, name, reason;
        enum err_code code;
        bool by_peer;
    };
    std::vector<Refusal> server_refusals, client_refusals;
    test_self server_self = TestSelf(RPC_ROLE_STORAGE_NODE, Refused, &server_refusals);
    test_self client_self = TestSelf(RPC_ROLE_FRONTEND, Refused, &client_refusals);
    std::string address;
    bool server_gone = false;
    std::vector<rpc_service_row> rows;
    std::function<void(struct rpc_serving *)> serve;
    std::vector<struct rpc_serving *> held;

    static void Serve(void *holder, struct rpc_serving *serving)
    {
        static_cast<Rpc *>(holder)->serve(serving);
    }
    static void Closed(void *holder) { static_cast<Rpc *>(holder)->server_gone = true; }
    static void Refused(void *holder, const struct rpc_refusal *refusal)
    {
        static_cast<std::vector<Refusal> *>(holder)->push_back(
            { Str(refusal->address), Str(refusal->name), Str(refusal->reason), refusal->err.code, refusal->by_peer });
    }

    void SetUp() override
    {
        LoopTest::SetUp();
        address = "unix:" + dir + "/s";
        for (uint16_t number : { kAddressGet, kAppend, kFetch, kWatch }) {
            rows.push_back({ number, RPC_ROLE_FRONTEND | RPC_ROLE_OPERATOR, Serve });
        }
        rows.push_back({ kDomainList, RPC_ROLE_ROUTER, Serve });
        EchoCalls();
    }
    void TearDown() override
    {
        rpc_client_free(client);
        bool opened = server != nullptr;
        rpc_server_close(server);
        for (auto *serving : held) rpc_finish(serving, err_make(ERR_CANCELLED, "test"), S(""));
        Until([&] { return !opened || server_gone; });
        unlink((dir + "/s").c_str());
        LoopTest::TearDown();
    }
    void EchoCalls()
    {
        serve = [this](struct rpc_serving *serving) { Echo(serving); };
    }
    // Calls are kept in `held`; `heard` becomes true when one is cancelled.
    void HoldCalls(bool *heard = nullptr)
    {
        serve = [this, heard](struct rpc_serving *serving) {
            held.push_back(serving);
            if (heard == nullptr) return;
            rpc_serving_on_cancel(serving, [](void *flag) { *static_cast<bool *>(flag) = true; }, heard);
        };
    }
    void OpenServer(std::function<void(rpc_server_options *)> change = nullptr)
    {
        rpc_server_options options = {};
        const char *addresses[] = { address.c_str() };
        options.addresses = addresses;
        options.addresses_count = 1;
        options.self = server_self.get();
        options.methods = store_methods;
        options.methods_count = STORE_METHODS;
        options.rows = rows.data();
        options.rows_count = static_cast<unsigned>(rows.size());
        options.holder = this;
        options.budget = &budget;
        options.closed = Closed;
        if (change) change(&options);
        server_gone = false;
        ASSERT_EQ(ERR_OK, rpc_server_open(loop, &options, &server).code);
        if (address.rfind("unix:", 0) != 0) {
            address = "127.0.0.1:" + std::to_string(rpc_server_port(server));
        }
    }
    void OpenClient(std::function<void(rpc_client_options *)> change = nullptr)
    {
        rpc_client_options options = {};
        options.address = address.c_str();
        options.self = client_self.get();
        if (change) change(&options);
        ASSERT_EQ(ERR_OK, rpc_client_new(loop, &options, &client).code);
    }
    void Open()
    {
        OpenServer();
        OpenClient();
    }
    struct err Start(Call *call, const std::string &text, uint64_t deadline_ms = 10000,
                     struct body *body = nullptr, uint16_t method = kAddressGet)
    {
        store_address_get_request request = {};
        static const uint64_t zeros[64] = {}; // an empty request of any other method
        rpc_call_options options = {};
        request.address = S(text);
        options.deadline_ms = deadline_ms;
        options.body = body;
        memcpy(options.trace_id, "0123456789abcdef", sizeof(options.trace_id));
        EXPECT_LE(Method(method)->request->size, sizeof(zeros));
        const void *message = zeros;
        if (method == kAddressGet) message = &request;
        return rpc_call_start(client, Method(method), message, &options, &call_user, call,
                              &call->call);
    }
    // The address comes back as the reply's name.
    static void Echo(struct rpc_serving *serving)
    {
        const auto *request = static_cast<const store_address_get_request *>(rpc_serving_request(serving));
        store_address_reply reply = {};
        reply.name = request->address;
        rpc_put_reply(serving, &reply);
        rpc_finish(serving, err_ok(), S(""));
    }
    struct body *Body(size_t size) { return BodyOf(Pattern(size)); }
    // A socket of our own to the server, for a peer that does what it should not.
    int RawSocket()
    {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        sockaddr_un to = {};
        to.sun_family = AF_UNIX;
        memcpy(to.sun_path, address.c_str() + 5, address.size() - 5);
        EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof(to)));
        return fd;
    }
    // Sends it, and waits for the server to close; returns what it said.
    std::string RawTalk(const std::string &bytes)
    {
        int fd = RawSocket();
        EXPECT_EQ(static_cast<ssize_t>(bytes.size()), send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
        std::string heard;
        Until([&] {
            char part[4096];
            ssize_t count = recv(fd, part, sizeof(part), 0);
            if (count > 0) heard.append(part, static_cast<size_t>(count));
            return count == 0 || (count < 0 && errno == ECONNRESET);
        });
        close(fd);
        return heard;
    }
    static std::string Frame(rpc_frame frame, const std::string &payload = "")
    {
        char head[RPC_HEAD_MAX_BYTES];
        size_t len = rpc_frame_head(&frame, payload.size(), head);
        return std::string(head, len) + payload;
    }
    static std::string Hello(uint32_t role = RPC_ROLE_FRONTEND, uint16_t low = 1, uint16_t high = 1)
    {
        rpc_frame hello = {};
        hello.kind = RPC_HELLO;
        hello.version_low = low;
        hello.version_high = high;
        hello.role = role;
        return Frame(hello);
    }
};

// ---- over mutual TLS

const std::string kCluster = "00112233445566778899aabbccddeeff", kOther = "ffeeddccbbaa99887766554433221100";

std::string Uri(const std::string &role, const std::string &name = "some-1", const std::string &cluster = kCluster)
{
    return "godwit://" + cluster + "/" + role + "/" + name;
}

void SetCluster(const test_self &self, const std::string &cluster, uint32_t incarnation)
{
    uint8_t id[RPC_CLUSTER_BYTES] = {};
    if (!cluster.empty()) ASSERT_TRUE(rpc_cluster_parse(S(cluster), id));
    rpc_self_set_cluster(self.get(), id, incarnation);
}

// Gives a program a certificate, and the CAs that it trusts.
void Equip(const test_self &self, const test_pair &pair, const std::string &cas)
{
    tls_certificate certificate = { S(pair.chain), S(pair.key) };
    tls_options options = {};
    struct tls_context *server = nullptr, *client = nullptr;
    options.certificates = &certificate;
    options.certificates_count = 1;
    options.verify = TLS_VERIFY_REQUIRED;
    options.ca = S(cas);
    ASSERT_EQ(ERR_OK, tls_context_new(&options, &server).code);
    options.client = true;
    ASSERT_EQ(ERR_OK, tls_context_new(&options, &client).code);
    rpc_self_set_tls(self.get(), server, client);
    tls_context_unref(server);
    tls_context_unref(client);
}

class RpcTls : public Rpc {
protected:
    test_ca ca;
    void SetUp() override
    {
        Rpc::SetUp();
        SetCluster(server_self, kCluster, 1);
        SetCluster(client_self, kCluster, 1);
        address = "127.0.0.1:0";
    }
    void Contexts(const std::string &server_uri = Uri("storage-node"), const std::string &client_uri = Uri("frontend"),
                  test_ca *client_ca = nullptr)
    {
        Equip(server_self, ca.Issue("node-1", {}, server_uri), ca.pem);
        Equip(client_self, (client_ca == nullptr ? &ca : client_ca)->Issue("fe-1", {}, client_uri), ca.pem);
    }
    void CallAndExpect(enum err_code code)
    {
        Call call;
        ASSERT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        EXPECT_EQ(code, call.err.code);
        if (code == ERR_DENIED) EXPECT_NE("", call.info);
    }
};

}  // namespace

#endif

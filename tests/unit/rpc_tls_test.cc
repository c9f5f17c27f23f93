// RPC over mutual TLS: roles are those of certificates.
#include "rpc_fixture.h"
#include "test_certificates.h"

namespace {

class RpcTls : public Rpc {
protected:
    test_ca ca;
    void Contexts(const std::string &server_role, const std::string &client_role, test_ca *client_ca = nullptr)
    {
        auto server_pair = ca.Issue("node-1", {}, "urn:godwit:role:" + server_role);
        auto client_pair = (client_ca == nullptr ? &ca : client_ca)->Issue("fe-1", {}, "urn:godwit:role:" + client_role);
        tls_certificate certificates[2] = { { S(server_pair.chain), S(server_pair.key) },
                                            { S(client_pair.chain), S(client_pair.key) } };
        tls_options options = {};
        options.certificates = &certificates[0];
        options.certificates_count = 1;
        options.verify = TLS_VERIFY_REQUIRED;
        options.ca = S(ca.pem);
        ASSERT_EQ(ERR_OK, tls_context_new(&options, &server_tls).code);
        options.certificates = &certificates[1];
        options.client = true;
        ASSERT_EQ(ERR_OK, tls_context_new(&options, &client_tls).code);
        address = "127.0.0.1:0";
    }
    void CallAndExpect(enum err_code code)
    {
        Call call;
        ASSERT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        EXPECT_EQ(code, call.err.code);
    }
};

TEST_F(RpcTls, CallsAndBodiesArrive)
{
    Contexts("storage-node", "frontend");
    Open();
    CallAndExpect(ERR_OK);
    struct body *body = Body(3 << 20);
    Call large, small;
    uint64_t got = 0;
    serve = [&](struct rpc_serving *serving) {
        if (rpc_serving_body(serving) == nullptr) {
            Echo(serving);
            return;
        }
        got = body_size(rpc_serving_body(serving));
        rpc_put_body(serving, rpc_serving_body(serving), 0, got);
        rpc_finish(serving, err_ok(), S(""));
    };
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    ASSERT_EQ(ERR_OK, Start(&small, "s").code);
    Until([&] { return large.done && small.done; });
    EXPECT_EQ(body_size(body), got);
    std::string whole(3 << 20, 0);
    body_copy(body, 0, whole.data(), whole.size());
    EXPECT_TRUE(large.data == whole);
    body_unref(body);
}

TEST_F(RpcTls, ARoleThatIsNotTheCertificatesIsDenied)
{
    Contexts("storage-node", "scanner"); // says frontend
    Open();
    CallAndExpect(ERR_DENIED);
}

TEST_F(RpcTls, AServerWhoseRoleIsNotItsCertificatesIsDenied)
{
    Contexts("scanner", "frontend"); // says storage-node
    Open();
    CallAndExpect(ERR_DENIED);
}

TEST_F(RpcTls, ACertificateOfAnotherCaIsRefused)
{
    test_ca other;
    Contexts("storage-node", "frontend", &other);
    Open();
    CallAndExpect(ERR_UNREACHABLE);
}

TEST_F(RpcTls, ClientWithoutTlsIsRefused)
{
    Contexts("storage-node", "frontend");
    OpenServer();
    tls_context_unref(client_tls);
    client_tls = nullptr;
    OpenClient();
    CallAndExpect(ERR_UNREACHABLE);
}

TEST_F(RpcTls, AServerThatDiesLeavesTheOutcomeUnknown)
{
    Contexts("storage-node", "frontend");
    Open();
    HoldCalls();
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    Until([&] { return held.size() == 1; });
    rpc_server_close(server);
    server = nullptr;
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_UNKNOWN, call.err.code);
}

}  // namespace

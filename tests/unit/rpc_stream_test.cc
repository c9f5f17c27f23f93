// Streams: credit, order, and pings while they are quiet.
#include "rpc_fixture.h"

namespace {

TEST_F(Rpc, CreditStopsAFastSender)
{
    Open();
    Call slow, quick;
    size_t put = 0;
    const std::string block(50000, 'd');
    const size_t total = 2000000;
    struct rpc_serving *stream = nullptr;
    std::function<void()> more = [&] {
        bool room = true;
        while (room && put < total) {
            room = rpc_put_data(stream, S(block));
            put += block.size();
        }
        if (put >= total) {
            rpc_finish(stream, err_ok(), S(""));
            stream = nullptr;
        }
    };
    serve = [&](struct rpc_serving *serving) {
        if (rpc_serving_method(serving)->number != kWatch) {
            Echo(serving);
            return;
        }
        stream = serving;
        rpc_serving_on_ready(serving, [](void *holder) { (*static_cast<std::function<void()> *>(holder))(); }, &more);
        more();
    };
    slow.take = false;
    ASSERT_EQ(ERR_OK, Start(&slow, "", 0, nullptr, kWatch).code);
    Until([&] { return slow.data_bytes == RPC_CREDIT_BYTES; });
    ASSERT_EQ(ERR_OK, Start(&quick, "q").code);
    Until([&] { return quick.done; });
    // Not a byte more than the credit; and the server keeps no more than it said.
    EXPECT_EQ(static_cast<size_t>(RPC_CREDIT_BYTES), slow.data_bytes);
    EXPECT_LE(put, 2 * RPC_CREDIT_BYTES + block.size());
    EXPECT_FALSE(slow.done);
    slow.take = true;
    rpc_call_took(slow.call, slow.data_bytes);
    Until([&] { return slow.done; });
    EXPECT_EQ(ERR_OK, slow.err.code);
    EXPECT_EQ(total, slow.data_bytes);
}

TEST_F(Rpc, RepliesAndDataOfAStreamKeepTheirOrder)
{
    Open();
    Call call;
    struct body *body = Body(200000);
    std::string seen;
    serve = [&](struct rpc_serving *serving) {
        store_address_reply reply = {};
        reply.name = SPAN("one");
        rpc_put_reply(serving, &reply);
        rpc_put_data(serving, S(std::string(300, 'd')));
        rpc_put_body(serving, body, 100, 150000);
        reply.name = SPAN("two");
        rpc_put_reply(serving, &reply);
        rpc_finish(serving, err_ok(), S(""));
    };
    call.on_reply = [&](Call *self) { seen += self->replies.back() + std::to_string(self->data_bytes) + " "; };
    ASSERT_EQ(ERR_OK, Start(&call, "x", 10000, nullptr, kAddressGet).code);
    Until([&] { return call.done; });
    EXPECT_EQ("one0 two150300 ", seen);
    std::string whole(150000, 0);
    body_copy(body, 100, whole.data(), whole.size());
    EXPECT_TRUE(call.data.substr(300) == whole);
    body_unref(body);
}

TEST_F(Rpc, PingFindsAPeerThatIsSilentWhileAStreamIsOpen)
{
    // A server that accepts and says hello, and then nothing.
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_un at = {};
    at.sun_family = AF_UNIX;
    memcpy(at.sun_path, address.c_str() + 5, address.size() - 5);
    ASSERT_EQ(0, bind(listening, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
    ASSERT_EQ(0, listen(listening, 1));
    OpenClient([](rpc_client_options *options) { options->ping_ms = 30; });
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x", 0).code);
    int fd = -1;
    Until([&] { return fd >= 0 || (fd = accept(listening, nullptr, nullptr)) >= 0; });
    std::string hello = Hello(RPC_ROLE_STORAGE_NODE);
    ASSERT_EQ(static_cast<ssize_t>(hello.size()), send(fd, hello.data(), hello.size(), 0));
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_UNKNOWN, call.err.code);
    std::string heard(4096, 0);
    ssize_t count = recv(fd, heard.data(), heard.size(), MSG_DONTWAIT);
    ASSERT_GT(count, 0);
    rpc_frame ping = {};
    ping.kind = RPC_PING;
    EXPECT_NE(std::string::npos, heard.substr(0, static_cast<size_t>(count)).find(Frame(ping)));
    close(fd);
    close(listening);
}

TEST_F(Rpc, PingKeepsAQuietStreamOpen)
{
    OpenServer([](rpc_server_options *options) { options->ping_ms = 15; });
    OpenClient([](rpc_client_options *options) { options->ping_ms = 15; });
    HoldCalls();
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x", 0).code);
    Until([&] { return held.size() == 1; });
    uint64_t end = clock_boot_ms() + 150; // ten times as long as a dead peer would be given
    Until([&] { return clock_boot_ms() >= end; });
    EXPECT_FALSE(call.done);
    rpc_client_free(client); // while `call` is there to hear of it
    client = nullptr;
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
}

}  // namespace

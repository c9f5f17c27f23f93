// What is refused: callers, roles, versions, and bytes that are no RPC.
#include "rpc_fixture.h"

namespace {

TEST_F(Rpc, WhoMayNotCallIsDenied)
{
    Open();
    Call call, unknown;
    ASSERT_EQ(ERR_OK, Start(&call, "x", 1000, nullptr, kDomainList).code);
    ASSERT_EQ(ERR_OK, Start(&unknown, "x", 1000, nullptr, 60).code);
    Until([&] { return call.done && unknown.done; });
    EXPECT_EQ(ERR_DENIED, call.err.code);
    EXPECT_EQ(ERR_UNSUPPORTED, unknown.err.code);
}

TEST_F(Rpc, AServerOfAnotherRoleIsRefused)
{
    OpenServer();
    OpenClient([](rpc_client_options *options) { options->peer_roles = RPC_ROLE_SCANNER; });
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_DENIED, call.err.code);
}

TEST_F(Rpc, VersionsMeetOrTheCallIsUnsupported)
{
    const struct { uint8_t server[2], client[2]; enum err_code code; } cases[] = {
        { { 1, 1 }, { 1, 3 }, ERR_OK },          { { 1, 2 }, { 2, 9 }, ERR_OK },
        { { 1, 1 }, { 2, 3 }, ERR_UNSUPPORTED }, { { 3, 4 }, { 1, 2 }, ERR_UNSUPPORTED },
    };
    for (const auto &c : cases) {
        OpenServer([&](rpc_server_options *options) { memcpy(options->versions, c.server, 2); });
        OpenClient([&](rpc_client_options *options) { memcpy(options->versions, c.client, 2); });
        Call call;
        ASSERT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        EXPECT_EQ(c.code, call.err.code);
        rpc_client_free(client);
        rpc_server_close(server);
        client = nullptr;
        server = nullptr;
        Until([&] { return server_gone; });
    }
}

TEST_F(Rpc, JunkEndsTheConnectionAndNothingElse)
{
    Open();
    rpc_frame request = {};
    request.kind = RPC_REQUEST;
    request.flags = RPC_FLAG_FIRST | RPC_FLAG_LAST;
    request.method = kAddressGet;
    request.call = 4096;
    rpc_frame reply = request, data = request, end = {};
    reply.kind = RPC_REPLY;
    reply.method = 0;
    data.kind = RPC_DATA;
    data.method = 0;
    data.flags = 0;
    end.kind = RPC_END;
    end.call = 5;
    const std::string bad[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        std::string(100, '\0'),
        std::string(100, '\xff'),
        Hello().substr(0, 12) + "GODWITR2" + Hello().substr(20),
        Frame(request, ""), // no hello
        Hello() + Hello(),
        Hello() + Frame(reply),
        Hello() + Frame(end),
        Hello(RPC_ROLE_FRONTEND, 7, 9),
        Hello(0),
        Hello(RPC_ROLE_FRONTEND | RPC_ROLE_SCANNER),
        Hello() + std::string("\0\0\0\0\0\0\0\1\x4d\0\0\0", 12),
    };
    for (const auto &bytes : bad) {
        SCOPED_TRACE(bytes.substr(0, 40));
        RawTalk(bytes);
        Call call;
        ASSERT_EQ(ERR_OK, Start(&call, "still here").code);
        Until([&] { return call.done; });
        ASSERT_EQ(ERR_OK, call.err.code);
    }
}

TEST_F(Rpc, CallsThatAreNotWellFormedEndAlone)
{
    Open();
    rpc_frame request = {}, data = {};
    request.kind = RPC_REQUEST;
    request.flags = RPC_FLAG_FIRST | RPC_FLAG_LAST;
    request.method = kAddressGet;
    request.message_bytes = 3;
    data.kind = RPC_DATA;
    std::string talk = Hello();
    request.call = 1; // no protobuf
    talk += Frame(request, "\xff\xff\xff");
    request.call = 2; // says 3, brings 5
    talk += Frame(request, "abcde");
    request.call = 3; // more data than it said
    request.message_bytes = 0;
    request.body_bytes = 10;
    talk += Frame(request);
    data.call = 3;
    talk += Frame(data, std::string(11, 'd'));
    request.call = 4; // less
    data.call = 4;
    data.flags = RPC_FLAG_LAST;
    talk += Frame(request) + Frame(data, "123");
    request.call = 5; // far too much
    request.body_bytes = 1ull << 60;
    talk += Frame(request);
    request.call = 6; // begins twice
    request.body_bytes = 0;
    request.message_bytes = RPC_MESSAGE_MAX_BYTES;
    request.flags = RPC_FLAG_FIRST;
    talk += Frame(request, "begun") + Frame(request, "begun");
    data.call = 99; // no such call: passed over
    talk += Frame(data, "123");
    int fd = RawSocket();
    ASSERT_EQ(static_cast<ssize_t>(talk.size()), send(fd, talk.data(), talk.size(), 0));
    std::string heard;
    std::map<uint32_t, uint16_t> ends;
    rpc_decoder decoder = {};
    Until([&] {
        char part[4096];
        ssize_t count = recv(fd, part, sizeof(part), MSG_DONTWAIT);
        if (count > 0) heard.append(part, static_cast<size_t>(count));
        rpc_frame frame;
        size_t used;
        while (rpc_frame_take(&decoder, S(heard), &frame, &used) == RPC_DECODED) {
            if (frame.kind == RPC_END) ends[frame.call] = frame.error;
            heard.erase(0, used);
        }
        return ends.size() == 6;
    });
    EXPECT_EQ(ERR_SYNTAX, ends[1]);
    EXPECT_EQ(ERR_SYNTAX, ends[2]);
    EXPECT_EQ(ERR_SYNTAX, ends[3]);
    EXPECT_EQ(ERR_SYNTAX, ends[4]);
    EXPECT_EQ(ERR_TOO_BIG, ends[5]);
    EXPECT_EQ(ERR_SYNTAX, ends[6]);
    close(fd);
}

TEST_F(Rpc, BytesThatComeOneByOneMakeTheSameCall)
{
    Open();
    store_address_get_request request = {};
    request.address = SPAN("one by one");
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct span packed;
    ASSERT_EQ(ERR_OK, proto_pack(&store_address_get_request_type, &request, &arena, &packed).code);
    rpc_frame frame = {};
    frame.kind = RPC_REQUEST;
    frame.flags = RPC_FLAG_FIRST | RPC_FLAG_LAST;
    frame.method = kAddressGet;
    frame.call = 77;
    frame.message_bytes = static_cast<uint32_t>(packed.len);
    frame.deadline_ms = 10000;
    std::string talk = Hello() + Frame(frame, Str(packed)), seen;
    serve = [&](struct rpc_serving *serving) {
        seen = Str(static_cast<const store_address_get_request *>(rpc_serving_request(serving))->address);
        Echo(serving);
    };
    int fd = RawSocket();
    for (char c : talk) {
        ASSERT_EQ(1, send(fd, &c, 1, 0));
        loop_step(loop, 0);
    }
    Until([&] { return !seen.empty(); });
    EXPECT_EQ("one by one", seen);
    close(fd);
    arena_clear(&arena);
}

}  // namespace

// Calls between two ends in one process.
#include "rpc_fixture.h"

namespace {

TEST_F(Rpc, ACallIsAnswered)
{
    Open();
    Call call;
    const std::string name("a\0b", 3);
    serve = [&](struct rpc_serving *serving) {
        EXPECT_EQ(RPC_ROLE_FRONTEND, rpc_serving_role(serving));
        EXPECT_EQ(0, memcmp("0123456789abcdef", rpc_serving_trace_id(serving), 16));
        uint64_t now = clock_boot_ms(), deadline = rpc_serving_deadline(serving);
        EXPECT_GT(deadline, now);
        EXPECT_LE(deadline, now + 10000);
        EXPECT_EQ(nullptr, rpc_serving_body(serving));
        EXPECT_EQ(Method(kAddressGet), rpc_serving_method(serving));
        EXPECT_FALSE(rpc_serving_cancelled(serving));
        Echo(serving);
    };
    ASSERT_EQ(ERR_OK, Start(&call, name).code);
    EXPECT_FALSE(call.done);
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_OK, call.err.code);
    EXPECT_EQ(std::vector<std::string>{ name }, call.replies);
}

TEST_F(Rpc, ThousandsAreUnderWayAtOnceAndNoMore)
{
    Open();
    std::vector<std::unique_ptr<Call>> calls;
    serve = [&](struct rpc_serving *serving) { held.push_back(serving); };
    for (unsigned i = 0; i < RPC_CALLS_MAX; i++) {
        calls.push_back(std::make_unique<Call>());
        ASSERT_EQ(ERR_OK, Start(calls.back().get(), std::to_string(i)).code) << i;
    }
    Call over;
    EXPECT_EQ(ERR_BUSY, Start(&over, "x").code);
    Until([&] { return held.size() == RPC_CALLS_MAX; });
    EXPECT_EQ(ERR_BUSY, Start(&over, "x").code);
    EXPECT_FALSE(over.done);
    // Answered backwards, to show that each answer finds its call.
    for (size_t i = held.size(); i-- > 0;) Echo(held[i]);
    held.clear();
    Until([&] { return calls.front()->done; });
    for (unsigned i = 0; i < RPC_CALLS_MAX; i++) {
        EXPECT_EQ(std::vector<std::string>{ std::to_string(i) }, calls[i]->replies);
    }
    ASSERT_EQ(ERR_OK, Start(&over, "room again").code);
    serve = [this](struct rpc_serving *serving) { Echo(serving); };
    Until([&] { return over.done; });
    EXPECT_EQ(ERR_OK, over.err.code);
}

TEST_F(Rpc, ErrorsTravelWithTheirText)
{
    Open();
    const enum err_code codes[] = { ERR_NOT_FOUND, ERR_MOVED, ERR_BUSY, ERR_DENIED, ERR_QUOTA };
    for (auto code : codes) {
        Call call;
        serve = [&](struct rpc_serving *serving) {
            rpc_finish(serving, err_make(code, "test"), S("node-7"));
        };
        ASSERT_EQ(ERR_OK, Start(&call, "x").code);
        Until([&] { return call.done; });
        EXPECT_EQ(code, call.err.code);
        EXPECT_EQ("node-7", call.info);
        EXPECT_TRUE(call.replies.empty());
    }
}

TEST_F(Rpc, MessagesLongerThanAFrameArrive)
{
    Open();
    for (size_t size : { 65000u, 65536u, 70000u, 1000000u, 4000000u }) {
        Call call;
        std::string text(size, 'x');
        text[size / 2] = 'y';
        ASSERT_EQ(ERR_OK, Start(&call, text).code);
        Until([&] { return call.done; });
        ASSERT_EQ(ERR_OK, call.err.code) << size;
        ASSERT_EQ(1u, call.replies.size());
        EXPECT_TRUE(call.replies[0] == text) << size;
    }
    Call call;
    EXPECT_EQ(ERR_TOO_BIG, Start(&call, std::string(RPC_MESSAGE_MAX_BYTES + 1, 'x')).code);
}

TEST_F(Rpc, ABodyArrivesWholeAndDelaysNobody)
{
    Open();
    struct body *body = Body(3 << 20);
    std::string order;
    serve = [&](struct rpc_serving *serving) {
        if (rpc_serving_body(serving) == nullptr) {
            order += 's';
            Echo(serving);
            return;
        }
        order += 'L';
        struct body *got = rpc_serving_body(serving);
        EXPECT_EQ(body_size(body), body_size(got));
        std::string a(3 << 20, 'a'), b(3 << 20, 'b');
        body_copy(body, 0, a.data(), a.size());
        body_copy(got, 0, b.data(), b.size());
        EXPECT_TRUE(a == b);
        rpc_finish(serving, err_ok(), S(""));
    };
    Call first, large, small;
    ASSERT_EQ(ERR_OK, Start(&first, "x").code);
    Until([&] { return first.done; });
    order.clear();
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    ASSERT_EQ(ERR_OK, Start(&small, "s").code);
    Until([&] { return large.done && small.done; });
    EXPECT_EQ("sL", order);
    EXPECT_EQ(ERR_OK, large.err.code);
    body_unref(body);
}

TEST_F(Rpc, ABodyOverTheBudgetIsBusyAndTheLinkGoesOn)
{
    OpenServer();
    OpenClient();
    struct body *body = Body(3 << 20);
    budget.file_bytes_max = budget.file_bytes + (1 << 20);
    Call large, small;
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    ASSERT_EQ(ERR_OK, Start(&small, "s").code);
    Until([&] { return large.done && small.done; });
    EXPECT_EQ(ERR_BUSY, large.err.code);
    EXPECT_EQ(ERR_OK, small.err.code);
    Call after;
    ASSERT_EQ(ERR_OK, Start(&after, "after").code);
    Until([&] { return after.done; });
    EXPECT_EQ(ERR_OK, after.err.code);
    body_unref(body);
}

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

TEST_F(Rpc, ACancelIsHeardAndTheNumberFreed)
{
    Open();
    Call call;
    bool heard = false;
    serve = [&](struct rpc_serving *serving) {
        held.push_back(serving);
        rpc_serving_on_cancel(serving, [](void *flag) { *static_cast<bool *>(flag) = true; }, &heard);
    };
    ASSERT_EQ(ERR_OK, Start(&call, "x", 0).code);
    Until([&] { return held.size() == 1; });
    rpc_call_cancel(call.call);
    EXPECT_FALSE(call.done);
    Until([&] { return call.done && heard; });
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
    EXPECT_TRUE(rpc_serving_cancelled(held[0]));
    store_address_reply reply = {};
    rpc_put_reply(held[0], &reply); // goes nowhere
    EXPECT_TRUE(rpc_put_data(held[0], S("nowhere")));
    rpc_finish(held[0], err_ok(), S(""));
    held.clear();
    serve = [this](struct rpc_serving *serving) { Echo(serving); };
    Call again;
    ASSERT_EQ(ERR_OK, Start(&again, "again").code);
    Until([&] { return again.done; });
    EXPECT_EQ(ERR_OK, again.err.code);
    EXPECT_TRUE(call.replies.empty());
}

TEST_F(Rpc, ACallCancelledBeforeThereIsALinkEnds)
{
    Open();
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    rpc_call_cancel(call.call);
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
}

TEST_F(Rpc, DeadlinesHoldOnBothSides)
{
    Open();
    Call call;
    bool heard = false;
    serve = [&](struct rpc_serving *serving) {
        held.push_back(serving);
        rpc_serving_on_cancel(serving, [](void *flag) { *static_cast<bool *>(flag) = true; }, &heard);
    };
    uint64_t begin = clock_boot_ms();
    ASSERT_EQ(ERR_OK, Start(&call, "x", 60).code);
    Until([&] { return call.done && heard; });
    EXPECT_EQ(ERR_TIMEOUT, call.err.code);
    EXPECT_GE(clock_boot_ms() - begin, 55u);
    EXPECT_TRUE(rpc_serving_cancelled(held[0]));
}

TEST_F(Rpc, NobodyThereIsUnreachableAndSomebodyLaterIsFound)
{
    OpenClient();
    Call call, later;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    EXPECT_FALSE(call.done);
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_UNREACHABLE, call.err.code);
    // Attempts wait for each other: a loop of calls does not become a loop of connects.
    uint64_t begin = clock_boot_ms();
    for (int i = 0; i < 4; i++) {
        Call again;
        ASSERT_EQ(ERR_OK, Start(&again, "x").code);
        Until([&] { return again.done; });
        EXPECT_EQ(ERR_UNREACHABLE, again.err.code);
    }
    EXPECT_GE(clock_boot_ms() - begin, 15u + 30u + 60u + 120u - 8u);
    OpenServer();
    ASSERT_EQ(ERR_OK, Start(&later, "x").code);
    Until([&] { return later.done; });
    EXPECT_EQ(ERR_OK, later.err.code);
}

TEST_F(Rpc, APeerThatDiesLeavesTheOutcomeUnknown)
{
    Open();
    Call sent, after;
    bool heard = false;
    serve = [&](struct rpc_serving *serving) {
        held.push_back(serving);
        rpc_serving_on_cancel(serving, [](void *flag) { *static_cast<bool *>(flag) = true; }, &heard);
    };
    ASSERT_EQ(ERR_OK, Start(&sent, "x").code);
    Until([&] { return held.size() == 1; });
    rpc_server_close(server);
    server = nullptr;
    Until([&] { return sent.done && heard; });
    EXPECT_EQ(ERR_UNKNOWN, sent.err.code);
    EXPECT_FALSE(server_gone); // a serving is still with its handler
    rpc_finish(held[0], err_ok(), S(""));
    held.clear();
    Until([&] { return server_gone; });
    serve = [this](struct rpc_serving *serving) { Echo(serving); };
    OpenServer();
    ASSERT_EQ(ERR_OK, Start(&after, "x").code);
    Until([&] { return after.done; });
    EXPECT_EQ(ERR_OK, after.err.code);
}

TEST_F(Rpc, ABreakBeforeTheRequestHasLeftIsUnreachable)
{
    Open();
    Call first, large;
    ASSERT_EQ(ERR_OK, Start(&first, "x").code);
    Until([&] { return first.done; });
    struct body *body = Body(20 << 20);
    ASSERT_EQ(ERR_OK, Start(&large, "", 20000, body, kAppend).code);
    loop_step(loop, 0);
    rpc_server_close(server);
    server = nullptr;
    Until([&] { return large.done; });
    EXPECT_EQ(ERR_UNREACHABLE, large.err.code);
    body_unref(body);
}

TEST_F(Rpc, AClientThatGoesAwayCancelsItsCalls)
{
    Open();
    Call call;
    bool heard = false;
    serve = [&](struct rpc_serving *serving) {
        held.push_back(serving);
        rpc_serving_on_cancel(serving, [](void *flag) { *static_cast<bool *>(flag) = true; }, &heard);
    };
    ASSERT_EQ(ERR_OK, Start(&call, "x", 0).code);
    Until([&] { return held.size() == 1; });
    rpc_client_free(client);
    client = nullptr;
    EXPECT_TRUE(call.done);
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
    Until([&] { return heard; });
}

TEST_F(Rpc, AClientMayBeFreedFromItsOwnCallbacks)
{
    Open();
    Call call, other;
    call.on_reply = [&](Call *) {
        rpc_client_free(client);
        client = nullptr;
    };
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    ASSERT_EQ(ERR_OK, Start(&other, "y").code);
    Until([&] { return call.done && other.done; });
    EXPECT_EQ(ERR_CANCELLED, call.err.code);
    EXPECT_EQ(ERR_CANCELLED, other.err.code);
}

TEST_F(Rpc, CallsMayBeStartedFromDone)
{
    Open();
    Call first, second;
    first.on_done = [&](Call *) { ASSERT_EQ(ERR_OK, Start(&second, "two").code); };
    ASSERT_EQ(ERR_OK, Start(&first, "one").code);
    Until([&] { return second.done; });
    EXPECT_EQ("two", second.replies.at(0));
}

TEST_F(Rpc, ADrainLetsCallsEndAndTakesNoMore)
{
    Open();
    Call before, after;
    serve = [&](struct rpc_serving *serving) { held.push_back(serving); };
    ASSERT_EQ(ERR_OK, Start(&before, "x").code);
    Until([&] { return held.size() == 1; });
    rpc_server_drain(server);
    ASSERT_EQ(ERR_OK, Start(&after, "y").code); // perhaps before GOAWAY has come
    Until([&] { return after.done; });
    EXPECT_EQ(ERR_UNREACHABLE, after.err.code);
    EXPECT_FALSE(before.done);
    Echo(held[0]);
    held.clear();
    Until([&] { return before.done; });
    EXPECT_EQ(ERR_OK, before.err.code);
}

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
    serve = [&](struct rpc_serving *serving) { held.push_back(serving); };
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

// ---- over mutual TLS

TEST_F(RpcTls, CallsAndBodiesArrive)
{
    Contexts();
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

TEST_F(RpcTls, AServerThatDiesLeavesTheOutcomeUnknown)
{
    Contexts();
    Open();
    serve = [&](struct rpc_serving *serving) { held.push_back(serving); };
    Call call;
    ASSERT_EQ(ERR_OK, Start(&call, "x").code);
    Until([&] { return held.size() == 1; });
    rpc_server_close(server);
    server = nullptr;
    Until([&] { return call.done; });
    EXPECT_EQ(ERR_UNKNOWN, call.err.code);
}

}  // namespace

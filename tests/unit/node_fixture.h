// node_fixture.h: a storage node in the test's own process: its data in a private directory, its calls behind
// a unix socket. One file of a test program includes this.
#ifndef MAIL_NODE_FIXTURE_H
#define MAIL_NODE_FIXTURE_H

#include <filesystem>
#include <memory>
#include <vector>

#include "arena.h"
#include "body.h"
#include "crew.h"
#include "loop_fixture.h"
#include "mail_flags.h"
#include "mime_facts.h"
#include "place_map.h"
#include "proto_message.h"
#include "route.h"
#include "rpc.h"
#include "scan_stamp.h"
#include "slot.h"
#include "store_msg.h"
#include "store_node.h"
#include "store_serve.h"
#include "test_self.h"
#include "stored_body.h"

// A call and what came back. Stays where it is.
class store_call {
public:
    bool done = false, take = true;
    struct err err = err_ok();
    std::string info, data;
    size_t data_bytes = 0;
    struct rpc_call *call = nullptr;
    std::vector<const void *> replies;

    explicit store_call(const struct proto_method *method) : method_(method) { arena_init(&arena_, 64 << 20); }
    ~store_call()
    {
        EXPECT_TRUE(done);
        arena_clear(&arena_);
    }
    store_call(const store_call &) = delete;
    store_call &operator=(const store_call &) = delete;

    // The last reply; its spans live as long as this.
    template <class T> const T &Reply() const
    {
        static const T none{};
        EXPECT_FALSE(replies.empty()) << method_->name;
        return replies.empty() ? none : *static_cast<const T *>(replies.back());
    }
    static void Data(void *holder, struct rpc_call *call, struct span bytes)
    {
        auto *self = static_cast<store_call *>(holder);
        self->data_bytes += bytes.len;
        if (self->data.size() < (32 << 20)) self->data += Str(bytes);
        if (self->take) rpc_call_took(call, bytes.len);
    }
    static void Replied(void *holder, struct rpc_call *, const void *reply)
    {
        auto *self = static_cast<store_call *>(holder);
        struct span packed;
        void *kept = arena_alloc(&self->arena_, self->method_->reply->size);
        ASSERT_EQ(ERR_OK, proto_pack(self->method_->reply, reply, &self->arena_, &packed).code);
        ASSERT_EQ(ERR_OK, proto_unpack(self->method_->reply, packed, &self->arena_, kept).code);
        self->replies.push_back(kept);
    }
    static void Done(void *holder, struct rpc_call *, struct err err, struct span info)
    {
        auto *self = static_cast<store_call *>(holder);
        EXPECT_FALSE(self->done);
        self->done = true;
        self->err = err;
        self->info = Str(info);
    }

private:
    const struct proto_method *method_;
    struct arena arena_;
};

class NodeTest : public LoopTest {
protected:
    static constexpr unsigned kShards = 4;

    struct store_node *node = nullptr;
    struct store_serve *serve = nullptr;
    struct crew *reads = nullptr, *crew = nullptr;
    struct place_map *map = nullptr;
    struct route *route = nullptr;
    struct rpc_client *client = nullptr;
    test_self node_self = TestSelf(RPC_ROLE_STORAGE_NODE), client_self = TestSelf(RPC_ROLE_FRONTEND);
    std::string address, data;
    uint64_t operations = 0;

    void SetUp() override
    {
        LoopTest::SetUp();
        address = "unix:" + dir + "/node";
        ASSERT_EQ(ERR_OK, crew_new("reads", 2, 1024, &reads).code);
        ASSERT_EQ(ERR_OK, crew_new("crew", 1, 1024, &crew).code);
        ASSERT_EQ(ERR_OK, place_map_one_node(1, kShards, S(address), &map).code);
        ASSERT_EQ(ERR_OK, route_new(loop, map, client_self.get(), &route).code);
        rpc_client_options options = {};
        options.address = address.c_str();
        options.self = client_self.get();
        ASSERT_EQ(ERR_OK, rpc_client_new(loop, &options, &client).code);
        OpenNode();
    }
    void TearDown() override
    {
        rpc_client_free(client);
        route_free(route);
        CloseNode();
        crew_free(crew);
        crew_free(reads);
        place_map_unref(map);
        std::filesystem::remove_all(data);
        LoopTest::TearDown();
    }
    void OpenNode()
    {
        data = dir + "/data";
        store_node_options options = {};
        options.directory = data.c_str();
        options.shards = kShards;
        options.workers = 2;
        options.memory_bytes = 4 << 20;
        options.cache_bytes = 4 << 20;
        options.index_bytes = 1 << 20;
        options.segment_bytes = 1 << 20;
        options.settings.operation_keep_ms = 3600 * 1000;
        options.failed = [](struct err) { abort(); };
        ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
        store_serve_options serving = {};
        const char *addresses[] = { address.c_str() };
        serving.addresses = addresses;
        serving.addresses_count = 1;
        serving.self = node_self.get();
        serving.node = node;
        serving.reads = reads;
        serving.budget = &budget;
        serving.closed = [](void *holder) { static_cast<NodeTest *>(holder)->serve = nullptr; };
        serving.holder = this;
        ASSERT_EQ(ERR_OK, store_serve_open(loop, &serving, &serve).code);
    }
    // Below so many free bytes changes are refused.
    void SetReserve(uint64_t reserve_bytes)
    {
        store_node_settings settings = {};
        settings.operation_keep_ms = 3600 * 1000;
        settings.reserve_bytes = reserve_bytes;
        store_node_configure(node, &settings);
    }
    void CloseNode()
    {
        if (node == nullptr) return;
        store_serve_drain(serve);
        Until([&] { return store_serve_calls(serve) == 0; });
        store_serve_close(serve);
        Until([&] { return serve == nullptr; });
        store_node_close(node);
        node = nullptr;
        Turn(); // clients hear that their connections are gone
    }

    // ---- calls, each answered by the node once and not tried again

    template <class T>
    std::unique_ptr<store_call> Start(unsigned method, const T &request, struct body *body = nullptr,
                                      uint64_t deadline_ms = 20000, struct rpc_client *by = nullptr)
    {
        const struct proto_method *row = store_method_find(method);
        EXPECT_EQ(row->request->size, sizeof(T)) << row->name;
        auto call = std::make_unique<store_call>(row);
        static const struct rpc_call_user user = { store_call::Data, store_call::Replied, store_call::Done };
        rpc_call_options options = {};
        options.deadline_ms = deadline_ms;
        options.body = body;
        EXPECT_EQ(ERR_OK, rpc_call_start(by == nullptr ? client : by, row, &request, &options, &user, call.get(),
                                         &call->call).code);
        return call;
    }
    template <class T>
    std::unique_ptr<store_call> Ask(unsigned method, const T &request, struct body *body = nullptr)
    {
        auto call = Start(method, request, body);
        Until([&] { return call->done; });
        return call;
    }
    // A stream that stays open until it is cancelled.
    template <class T> std::unique_ptr<store_call> Watch(unsigned method, const T &request)
    {
        return Start(method, request, nullptr, 0);
    }
    void Cancel(store_call *call)
    {
        rpc_call_cancel(call->call);
        Until([&] { return call->done; });
    }

    // ---- what most tests need

    // 16 bytes of an operation that nobody had before, in the hour of now.
    std::string Operation()
    {
        uint64_t hour = clock_wall_ms() / 1000, number = ++operations;
        std::string id(16, '\0');
        for (int i = 0; i < 4; i++) id[i] = static_cast<char>(hour >> (24 - 8 * i));
        for (int i = 0; i < 8; i++) id[8 + i] = static_cast<char>(number >> (56 - 8 * i));
        return id;
    }
    void PutAddress(const std::string &text, unsigned kind, uint64_t account, const std::vector<std::string> &targets = {},
                    uint32_t tenant = 1, unsigned state = STORE_ADDRESS_ACTIVE)
    {
        std::string operation = Operation();
        std::vector<struct span> spans;
        for (const auto &target : targets) spans.push_back(S(target));
        store_address_put_request put = {};
        put.operation_id = S(operation);
        put.tenant = tenant;
        put.address = S(text);
        put.kind = kind;
        put.state = state;
        put.account = account;
        put.targets = spans.data();
        put.targets_count = spans.size();
        put.any_version = true;
        EXPECT_EQ(ERR_OK, Ask(STORE_METHOD_ADDRESS_PUT, put)->err.code) << text;
    }
    // An account with its address row; `change` sees the row before it is made.
    void PutAccount(uint64_t number, const std::string &text, uint32_t tenant = 1,
                    const std::function<void(store_account *)> &change = nullptr)
    {
        std::string operation = Operation();
        store_account_create_request create = {};
        create.operation_id = S(operation);
        create.has_account = true;
        create.account.tenant = tenant;
        create.account.account = number;
        create.account.address = S(text);
        if (change) change(&create.account);
        EXPECT_EQ(ERR_OK, Ask(STORE_METHOD_ACCOUNT_CREATE, create)->err.code) << text;
        PutAddress(text, STORE_ADDRESS_ACCOUNT, number, {}, tenant);
    }
    static std::string Stamp()
    {
        scan_stamp stamp = {};
        stamp.why = SCAN_WHY_OFF;
        std::string bytes(SCAN_STAMP_BYTES, '\0');
        scan_stamp_write(&stamp, bytes.data());
        return bytes;
    }
    static std::string FactsOf(const std::string &message)
    {
        mime_facts_out facts;
        EXPECT_EQ(ERR_OK, mime_facts(S(message), &facts).code);
        std::string row(facts.row, facts.row_len);
        free(facts.row);
        return row;
    }
    std::unique_ptr<store_call> Append(uint64_t account, const std::string &mailbox, const std::string &message,
                                       const std::function<void(store_append_request *)> &change = nullptr)
    {
        std::string operation = Operation(), facts = FactsOf(message), stamp = Stamp();
        store_append_request append = {};
        append.operation_id = S(operation);
        append.tenant = 1;
        append.account = account;
        append.mailbox = S(mailbox);
        append.facts = S(facts);
        append.size = static_cast<uint32_t>(message.size());
        append.scan_stamp = S(stamp);
        if (change) change(&append);
        struct body *body = Stored(message);
        auto call = Ask(STORE_METHOD_APPEND, append, body);
        body_unref(body);
        return call;
    }
    struct body *Stored(const std::string &message)
    {
        struct body *body = nullptr;
        EXPECT_EQ(ERR_OK, stored_body_make(S(message), &budget, &body).code);
        return body;
    }
};

#endif

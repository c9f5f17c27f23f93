// mail_node.h: a storage node over rows in memory behind a real RPC server: commands are those of
// mbox, and each that writes is a commit.
#ifndef MAIL_MAIL_NODE_H
#define MAIL_MAIL_NODE_H

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "clock.h"
#include "loop.h"
#include "fake_watches.h"
#include "mbox_fixture.h"
#include "place_map.h"
#include "rpc.h"
#include "test_self.h"

class mail_node {
public:
    mbox_test::Shard shard;                // holds every slot
    std::map<unsigned, unsigned> commits;  // by method
    std::map<unsigned, unsigned> calls;
    std::function<err_code(unsigned method)> refuse;   // instead of doing it
    std::function<bool(unsigned method)> lose_answer;  // it is done, and nobody hears of it
    std::set<std::string> silent;                      // intakes that are not heard any more
    std::vector<std::string> operations;               // ids of all delivered targets
    bool is_gone = false;

    mail_node(struct loop *loop, const std::string &address, struct body_budget *budget, struct place_map *map)
        : map_(map), watches_(place_map_shards(map))
    {
        for (uint16_t number : {STORE_METHOD_DELIVER, STORE_METHOD_QUEUE_PUT, STORE_METHOD_QUEUE_LEASE,
                                STORE_METHOD_QUEUE_REPORT, STORE_METHOD_QUEUE_BODY, STORE_METHOD_QUEUE_WATCH,
                                STORE_METHOD_INTAKE_REPORT, STORE_METHOD_INTAKE_STATE})
            rows_.push_back({number, RPC_ROLE_FRONTEND, Serve});
        rpc_server_options options = {};
        const char *addresses[] = {address.c_str()};
        options.addresses = addresses;
        options.addresses_count = 1;
        options.self = self_.get();
        options.methods = store_methods;
        options.methods_count = STORE_METHODS;
        options.rows = rows_.data();
        options.rows_count = unsigned(rows_.size());
        options.holder = this;
        options.budget = budget;
        options.closed = [](void *holder) { static_cast<mail_node *>(holder)->is_gone = true; };
        EXPECT_EQ(ERR_OK, rpc_server_open(loop, &options, &server_).code);
    }
    void Close()
    {
        watches_.Close();
        rpc_server_close(server_);
    }
    // How many messages an account has.
    size_t Messages(uint64_t account)
    {
        return Count([&](const kv_owner &owner, unsigned kind) { return kind == KV_MESSAGE && owner.account == account; });
    }
    size_t RowsOf(unsigned wanted)
    {
        return Count([&](const kv_owner &, unsigned kind) { return kind == wanted; });
    }

private:
    struct place_map *map_;
    test_self self_ = TestSelf(RPC_ROLE_STORAGE_NODE);
    struct rpc_server *server_ = nullptr;
    std::vector<rpc_service_row> rows_;
    fake_watches watches_;

    size_t Count(const std::function<bool(const kv_owner &, unsigned)> &is)
    {
        size_t count = 0;
        for (auto &[key, value] : shard.Rows()) {
            kv_owner owner;
            unsigned kind;
            span tail;
            if (kv_key_read(mbox_test::S(key), &owner, &kind, &tail).code == ERR_OK) count += is(owner, kind);
        }
        return count;
    }
    mbox_context Context(unsigned shard_number)
    {
        auto context = shard.Prepare();
        unsigned first = 0, end = SLOT_COUNT;
        if (shard_number < watches_.shards()) place_map_slots(map_, shard_number, &first, &end);
        context.slot_first = first, context.slot_end = end;
        return context;
    }
    static void Finish(struct rpc_serving *serving, err_code code) { rpc_finish(serving, err_make(code, "test"), SPAN("")); }
    void Tell()
    {
        for (unsigned i = 0; i < watches_.shards(); i++) {
            uint64_t due = 0;
            auto context = Context(i);
            EXPECT_EQ(ERR_OK, mbox_queue_next_due(&context, &due).code);
            watches_.Tell(i, due);
        }
    }
    static void Serve(void *holder, struct rpc_serving *serving)
    {
        auto *self = static_cast<mail_node *>(holder);
        unsigned method = rpc_serving_method(serving)->number;
        self->shard.now_ms = clock_wall_ms();
        self->calls[method]++;
        if (method == STORE_METHOD_QUEUE_WATCH) return self->watches_.Add(serving);
        err_code refused = self->refuse ? self->refuse(method) : ERR_OK;
        if (method == STORE_METHOD_INTAKE_REPORT) {
            auto *request = static_cast<const store_intake_report_request *>(rpc_serving_request(serving));
            if (self->silent.count(mbox_test::Str(request->intake))) refused = ERR_DENIED;
        }
        if (refused != ERR_OK) return Finish(serving, refused);
        if (method == STORE_METHOD_INTAKE_STATE) return self->Read(serving);
        if (method == STORE_METHOD_QUEUE_BODY) return self->Body(serving);
        self->Change(serving, method);
    }
    void Change(struct rpc_serving *serving, unsigned method)
    {
        mbox_test::Result result;
        const void *request = rpc_serving_request(serving);
        unsigned number = UINT32_MAX;
        if (method == STORE_METHOD_QUEUE_LEASE) {
            auto *lease = static_cast<const store_queue_lease_request *>(request);
            if (lease->id.len == 0) number = lease->shard;
        }
        auto context = Context(number);
        err e = mbox_change(&context, method, request, rpc_serving_body(serving), &result.r);
        if (e.code == ERR_OK) {
            commits[method] += result.r.batches_count > 0;
            shard.Add(&result);
            shard.Apply();
            if (method == STORE_METHOD_DELIVER) Note(*static_cast<const store_deliver_request *>(request), result);
        }
        if (lose_answer && lose_answer(method)) e = err_make(ERR_UNKNOWN, "test");
        if (e.code == ERR_OK) rpc_put_reply(serving, result.r.reply);
        rpc_finish(serving, e, SPAN(""));
        Tell();
    }
    void Note(const store_deliver_request &request, const mbox_test::Result &result)
    {
        auto &reply = *static_cast<const store_deliver_reply *>(result.r.reply);
        for (size_t i = 0; i < reply.results_count; i++)
            if (reply.results[i].status == 0) operations.push_back(mbox_test::Str(request.targets[i].operation_id));
    }
    void Read(struct rpc_serving *serving)
    {
        arena arena;
        const void *reply;
        arena_init(&arena, 1 << 20);
        auto context = shard.Read();
        err e = mbox_read(&context, nullptr, rpc_serving_method(serving)->number, rpc_serving_request(serving), &arena, &reply);
        if (e.code == ERR_OK) rpc_put_reply(serving, reply);
        rpc_finish(serving, e, SPAN(""));
        arena_clear(&arena);
    }
    void Body(struct rpc_serving *serving)
    {
        auto *request = static_cast<const store_queue_body_request *>(rpc_serving_request(serving));
        mbox_body_cursor cursor;
        store_queue_body_reply reply{};
        auto context = shard.Read();
        err e = mbox_queue_body_open(&context, request->slot, request->id, &cursor, &reply.bytes);
        if (e.code == ERR_OK) {
            for (span piece; mbox_body_next(&cursor, &piece).code == ERR_OK;) rpc_put_data(serving, piece);
            mbox_body_close(&cursor);
            rpc_put_reply(serving, &reply);
        }
        rpc_finish(serving, e, SPAN(""));
    }
};

#endif

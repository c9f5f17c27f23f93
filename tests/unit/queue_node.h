// queue_node.h: the queue of a storage node, in memory, behind a real RPC server.
#ifndef MAIL_QUEUE_NODE_H
#define MAIL_QUEUE_NODE_H

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "body.h"
#include "clock.h"
#include "loop.h"
#include "fake_watches.h"
#include "place_map.h"
#include "proto_message.h"
#include "rpc.h"
#include "store_msg.h"
#include "test_self.h"

// An entry that owns what it points to.
class queue_row {
public:
    store_queue_entry entry{};
    std::string body;

    queue_row() { arena_init(&arena_, 64 << 20); }
    ~queue_row() { arena_clear(&arena_); }
    queue_row(const queue_row &) = delete;
    queue_row &operator=(const queue_row &) = delete;
    void Set(const store_queue_entry &from)
    {
        struct arena arena;
        struct span packed;
        arena_init(&arena, 64 << 20);
        ASSERT_EQ(ERR_OK, proto_pack(&store_queue_entry_type, &from, &arena, &packed).code);
        struct arena old = arena_;
        arena_init(&arena_, 64 << 20);
        ASSERT_EQ(ERR_OK, proto_unpack(&store_queue_entry_type, packed, &arena_, &entry).code);
        arena_clear(&arena);
        arena_clear(&old);
    }

private:
    struct arena arena_;
};

class queue_node {
public:
    struct Delivered {
        unsigned shard;
        std::vector<std::string> operations;
        std::string body, facts;
        bool ignore_quota;
    };
    struct Report {
        bool remove;
        std::shared_ptr<queue_row> row;
        uint64_t at_ms;
        err_code code;
    };
    std::map<std::string, std::shared_ptr<queue_row>> rows;
    std::vector<Delivered> delivered;
    std::vector<Report> reports;
    uint64_t lease_ms_asked = 0; // by the last QueueLease
    unsigned leases = 0, leases_by_id = 0, bodies = 0, watches_begun = 0;
    std::function<err_code(uint64_t account)> deliver_status; // of a target
    std::function<err_code()> lease_error, deliver_error, body_error;

    queue_node(struct loop *loop, const std::string &address, struct body_budget *budget, struct place_map *map)
        : loop_(loop), map_(map)
    {
        for (uint16_t number : { STORE_METHOD_DELIVER, STORE_METHOD_QUEUE_LEASE, STORE_METHOD_QUEUE_REPORT, STORE_METHOD_QUEUE_BODY, STORE_METHOD_QUEUE_WATCH }) {
            rows_.push_back({ number, RPC_ROLE_FRONTEND, Serve });
        }
        rpc_server_options options = {};
        const char *addresses[] = { address.c_str() };
        options.addresses = addresses;
        options.addresses_count = 1;
        options.self = self_.get();
        options.methods = store_methods;
        options.methods_count = STORE_METHODS;
        options.rows = rows_.data();
        options.rows_count = static_cast<unsigned>(rows_.size());
        options.holder = this;
        options.budget = budget;
        options.closed = [](void *holder) { static_cast<queue_node *>(holder)->is_gone = true; };
        EXPECT_EQ(ERR_OK, rpc_server_open(loop, &options, &server_).code);
        watches_ = std::make_unique<fake_watches>(place_map_shards(map));
    }
    bool is_gone = false;
    void Close()
    {
        watches_->Close();
        rpc_server_close(server_);
    }
    // As QueuePut does it.
    void Put(const store_queue_entry &entry, const std::string &stored)
    {
        auto row = std::make_shared<queue_row>();
        row->Set(entry);
        row->entry.version = 1;
        row->body = stored;
        rows[Str(entry.id)] = row;
        Tell();
    }
    void BreakWatches(err_code code)
    {
        watches_->Close(code);
    }
    static std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

private:
    struct loop *loop_;
    struct place_map *map_;
    test_self self_ = TestSelf(RPC_ROLE_STORAGE_NODE);
    struct rpc_server *server_ = nullptr;
    std::vector<rpc_service_row> rows_;
    std::unique_ptr<fake_watches> watches_;

    static uint64_t Wake(const store_queue_entry &entry) { return std::max(entry.lease_until_ms, entry.due_ms); }
    uint64_t Due(unsigned shard)
    {
        uint64_t due = 0;
        for (const auto &[id, row] : rows) {
            if (place_map_shard(map_, static_cast<uint16_t>(row->entry.slot)) != shard) continue;
            if (due == 0 || Wake(row->entry) < due) due = Wake(row->entry);
        }
        return due;
    }
    void Tell()
    {
        for (unsigned shard = 0; shard < watches_->shards(); shard++) watches_->Tell(shard, Due(shard));
    }
    static void Finish(struct rpc_serving *serving, err_code code) { rpc_finish(serving, err_make(code, "test"), SPAN("")); }

    static void Serve(void *holder, struct rpc_serving *serving)
    {
        auto *self = static_cast<queue_node *>(holder);
        switch (rpc_serving_method(serving)->number) {
        case STORE_METHOD_DELIVER: self->Deliver(serving); break;
        case STORE_METHOD_QUEUE_LEASE: self->Lease(serving); break;
        case STORE_METHOD_QUEUE_REPORT: self->DoReport(serving); break;
        case STORE_METHOD_QUEUE_BODY: self->Body(serving); break;
        default: self->Watch(serving); break;
        }
    }
    void Watch(struct rpc_serving *serving)
    {
        watches_begun++;
        watches_->Add(serving);
    }
    void Deliver(struct rpc_serving *serving)
    {
        const auto *request = static_cast<const store_deliver_request *>(rpc_serving_request(serving));
        if (deliver_error && deliver_error() != ERR_OK) {
            Finish(serving, deliver_error());
            return;
        }
        Delivered call{};
        char bytes[70000];
        size_t len = body_copy(rpc_serving_body(serving), 0, bytes, sizeof(bytes));
        call.body.assign(bytes, len);
        call.facts = Str(request->facts);
        call.ignore_quota = request->ignore_quota;
        std::vector<store_deliver_result> results(request->targets_count);
        for (size_t i = 0; i < request->targets_count; i++) {
            call.operations.push_back(Str(request->targets[i].operation_id));
            if (deliver_status) results[i].status = deliver_status(request->targets[i].account);
        }
        delivered.push_back(call);
        store_deliver_reply reply{ results.data(), results.size() };
        rpc_put_reply(serving, &reply);
        Finish(serving, ERR_OK);
    }
    void Lease(struct rpc_serving *serving)
    {
        const auto *request = static_cast<const store_queue_lease_request *>(rpc_serving_request(serving));
        std::vector<store_queue_entry> found;
        uint64_t now = clock_wall_ms();
        bool more = false;
        if (lease_error && lease_error() != ERR_OK) {
            Finish(serving, lease_error());
            return;
        }
        leases++;
        lease_ms_asked = request->lease_ms;
        if (request->id.len > 0) leases_by_id++;
        for (auto &[id, row] : rows) {
            auto &entry = row->entry;
            if (request->id.len > 0) {
                if (id != Str(request->id)) continue;
                if (entry.lease_until_ms > now && Str(entry.lease_owner) != Str(request->owner)) {
                    Finish(serving, ERR_CONFLICT);
                    return;
                }
            } else {
                if (place_map_shard(map_, static_cast<uint16_t>(entry.slot)) != request->shard || Wake(entry) > now) continue;
                if (found.size() == request->limit) {
                    more = true;
                    break;
                }
            }
            auto copy = entry;
            copy.lease_owner = request->owner;
            copy.lease_until_ms = now + request->lease_ms;
            copy.version++;
            row->Set(copy);
            found.push_back(row->entry);
        }
        if (request->id.len > 0 && found.empty()) {
            Finish(serving, ERR_NOT_FOUND);
            return;
        }
        store_queue_list_reply reply{ found.data(), found.size(), more };
        rpc_put_reply(serving, &reply);
        Finish(serving, ERR_OK);
        Tell();
    }
    void DoReport(struct rpc_serving *serving)
    {
        const auto *request = static_cast<const store_queue_report_request *>(rpc_serving_request(serving));
        auto at = rows.find(Str(request->entry.id));
        Report report{ request->remove, std::make_shared<queue_row>(), clock_wall_ms(), ERR_OK };
        report.row->Set(request->entry);
        if (at == rows.end()) report.code = ERR_NOT_FOUND;
        else if (at->second->entry.version != request->entry.version) report.code = ERR_CONFLICT;
        reports.push_back(report);
        if (report.code != ERR_OK) {
            Finish(serving, report.code);
            return;
        }
        if (request->remove) {
            rows.erase(at);
        } else {
            auto copy = request->entry;
            copy.facts = at->second->entry.facts;
            copy.version++;
            at->second->Set(copy);
        }
        store_progress_reply reply{};
        rpc_put_reply(serving, &reply);
        Finish(serving, ERR_OK);
        Tell();
    }
    void Body(struct rpc_serving *serving)
    {
        const auto *request = static_cast<const store_queue_body_request *>(rpc_serving_request(serving));
        bodies++;
        auto at = rows.find(Str(request->id));
        if (at == rows.end() || (body_error && body_error() != ERR_OK)) {
            Finish(serving, at == rows.end() ? ERR_NOT_FOUND : body_error());
            return;
        }
        const auto &bytes = at->second->body;
        rpc_put_data(serving, span_of(bytes.data(), bytes.size()));
        store_queue_body_reply reply{ bytes.size() };
        rpc_put_reply(serving, &reply);
        Finish(serving, ERR_OK);
    }
};

#endif

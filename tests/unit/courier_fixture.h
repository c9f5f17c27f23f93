// courier_fixture.h: a courier with everything it works with, on one loop.
#ifndef MAIL_COURIER_FIXTURE_H
#define MAIL_COURIER_FIXTURE_H

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "body.h"
#include "clock.h"
#include "courier.h"
#include "crew.h"
#include "dns.h"
#include "dns_server.h"
#include "id.h"
#include "later.h"
#include "loop.h"
#include "loop_fixture.h"
#include "place_map.h"
#include "queue_node.h"
#include "route.h"
#include "slot.h"
#include "smtp_sink.h"
#include "store_msg.h"
#include "stored_body.h"

class CourierTest : public LoopTest {
public:
    static constexpr unsigned kShards = 16;

    struct crew *crew = nullptr;
    struct place_map *map = nullptr;
    struct route *route = nullptr;
    struct dns *dns = nullptr;
    struct courier *courier = nullptr;
    std::unique_ptr<queue_node> node;
    std::unique_ptr<smtp_sink> sink; // 127.0.0.1
    dns_server names;
    std::string text = "From: <a@here.test>\r\nSubject: hello\r\n\r\nfirst\r\n.dot\r\nlast\r\n";
    courier_options options{};
    bool stopped = false;
    struct Event { courier_event_kind kind; std::string recipient, answer; uint32_t attempts; };
    std::vector<Event> events;

    // Reports to senders.
    struct Post {
        struct later later;
        CourierTest *test;
        std::string recipient, message;
        size_t reports_before;
        courier_posted *posted;
        void *holder;
    };
    std::list<Post> posts;
    test_self self = TestSelf(RPC_ROLE_FRONTEND);
    std::function<err_code(size_t)> post_error;

    static void PostLater(struct later *later)
    {
        auto *post = reinterpret_cast<Post *>(reinterpret_cast<char *>(later) - offsetof(Post, later));
        CourierTest *test = post->test;
        post->posted(post->holder, err_make(test->post_error ? test->post_error(test->posts.size()) : ERR_OK, "test"));
    }
    static void DoPost(void *holder, const courier_post *post, courier_posted *posted, void *posted_holder)
    {
        auto *self = static_cast<CourierTest *>(holder);
        std::string message(body_size(post->message), '\0');
        body_copy(post->message, 0, message.data(), message.size());
        self->posts.push_back({ {}, self, Str(post->recipient), message, self->node->reports.size(), posted, posted_holder });
        later_post(loop_later(self->loop), &self->posts.back().later, PostLater);
    }
    static void Told(void *holder, const courier_event *event)
    {
        static_cast<CourierTest *>(holder)->events.push_back({ event->kind, Str(event->recipient), Str(event->answer), event->attempts });
    }

    void SetUp() override
    {
        LoopTest::SetUp();
        ASSERT_EQ(ERR_OK, crew_new("test", 1, 64, &crew).code);
        std::string address = "unix:" + dir + "/node";
        ASSERT_EQ(ERR_OK, place_map_one_node(1, kShards, S(address), &map).code);
        node = std::make_unique<queue_node>(loop, address, &budget, map);
        ASSERT_EQ(ERR_OK, route_new(loop, map, self.get(), &route).code);
        dns_options resolver{};
        std::string server = names.Address();
        resolver.resolver = S(server);
        resolver.deadline_ms = 2000;
        ASSERT_EQ(ERR_OK, dns_new(loop, &resolver, &dns).code);
        sink = std::make_unique<smtp_sink>(loop, "127.0.0.1");
        options.loop = loop;
        options.route = route;
        options.dns = dns;
        options.crew = crew;
        options.budget = &budget;
        options.hostname = SPAN("us.test");
        options.port = sink->Port();
        options.retry_first_ms = 400;
        options.retry_max_ms = 1000;
        options.expire_ms = 3600 * 1000;
        options.post = DoPost;
        options.told = Told;
        options.holder = this;
        names.Mx("there.test", 10, "mx.there.test");
        names.Address4("mx.there.test", "127.0.0.1");
    }
    void Start() { ASSERT_EQ(ERR_OK, courier_new(&options, &courier).code); }
    void Stop()
    {
        if (courier == nullptr) return;
        if (!stopped) courier_stop(courier, [](void *holder) { static_cast<CourierTest *>(holder)->stopped = true; }, this);
        Until([&] { return stopped; });
        courier_free(courier);
        courier = nullptr;
    }
    void TearDown() override
    {
        Stop();
        sink->CloseAll();
        dns_free(dns);
        route_free(route);
        node->Close();
        Until([&] { return node->is_gone && sink->open == 0; });
        sink.reset();
        loop_run(loop);
        crew_free(crew);
        place_map_unref(map);
        unlink((dir + "/node").c_str());
        LoopTest::TearDown();
    }
    std::string Stored() const
    {
        struct body *body;
        struct body_budget unlimited {};
        unlimited.memory_bytes_max = unlimited.file_bytes_max = 1u << 30;
        unlimited.spill_dir = dir.c_str();
        EXPECT_EQ(ERR_OK, stored_body_make(S(text), &unlimited, &body).code);
        std::string stored(body_size(body), '\0');
        body_copy(body, 0, stored.data(), stored.size());
        body_unref(body);
        return stored;
    }
    struct Mail {
        std::string id = std::string(16, 'i'), sender = "a@here.test";
        std::vector<std::string> to{ "b@there.test" };
        std::vector<uint64_t> accounts; // recipients of ours
        uint64_t age_ms = 0, slot = 5;
        uint32_t notify = 0;
        bool full = false;
    };
    // The row of a mail; the pointers live until the next call.
    store_queue_entry Entry(const Mail &mail)
    {
        static std::vector<store_queue_recipient> recipients;
        static std::vector<std::string> operations;
        static Mail kept;
        kept = mail;
        recipients.clear();
        operations.clear();
        uint64_t now = clock_wall_ms();
        for (uint64_t account : kept.accounts) operations.push_back(std::string(12, 'o') + std::to_string(1000 + account));
        for (const auto &to : kept.to) {
            store_queue_recipient recipient{};
            recipient.address = S(to);
            recipient.due_ms = now;
            recipient.dsn_notify = kept.notify;
            recipients.push_back(recipient);
        }
        for (size_t i = 0; i < kept.accounts.size(); i++) {
            store_queue_recipient recipient{};
            recipient.due_ms = now;
            recipient.has_target = true;
            recipient.target.operation_id = S(operations[i]);
            recipient.target.account = kept.accounts[i];
            recipient.target.mailbox = SPAN("INBOX");
            recipients.push_back(recipient);
        }
        store_queue_entry entry{};
        entry.id = S(kept.id);
        entry.slot = static_cast<uint32_t>(kept.slot);
        entry.sender = S(kept.sender);
        entry.recipients = recipients.data();
        entry.recipients_count = recipients.size();
        entry.created_ms = now - kept.age_ms;
        entry.due_ms = now;
        entry.size = static_cast<uint32_t>(text.size());
        entry.facts = SPAN("facts");
        entry.internaldate_ms = now;
        entry.scan_stamp = SPAN("stamp");
        entry.trace_id = SPAN("0123456789abcdef");
        entry.dsn_ret_full = kept.full;
        return entry;
    }
    void Put(const Mail &mail) { node->Put(Entry(mail), Stored()); }
    // As after a QueuePut with a lease of ours.
    void PutNew(const Mail &mail, uint64_t lease_ms = 60000, bool is_row = true)
    {
        auto entry = Entry(mail);
        entry.version = 1;
        if (lease_ms > 0) {
            entry.lease_owner = courier_owner(courier);
            entry.lease_until_ms = clock_wall_ms() + lease_ms;
        }
        std::string stored = Stored();
        if (is_row) node->Put(entry, stored);
        struct body *body;
        ASSERT_EQ(ERR_OK, body_new(&budget, &body).code);
        ASSERT_EQ(ERR_OK, body_put(body, S(stored)).code);
        ASSERT_EQ(ERR_OK, body_seal(body).code);
        courier_new_entry(courier, &entry, body);
        body_unref(body);
    }
    static std::vector<uint64_t> Accounts(unsigned count, struct place_map *map)
    {
        std::vector<uint64_t> accounts; // each in a shard of its own
        std::vector<bool> taken(kShards);
        for (uint64_t account = 1; accounts.size() < count; account++) {
            unsigned shard = place_map_shard(map, slot_of_account(account));
            if (taken[shard]) continue;
            taken[shard] = true;
            accounts.push_back(account);
        }
        return accounts;
    }
};

#endif

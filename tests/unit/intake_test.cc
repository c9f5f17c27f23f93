// Intake over a storage node in memory: what a message costs, and which message is a repeat.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "courier.h"
#include "crew.h"
#include "directory_resolve.h"
#include "dns.h"
#include "dns_server.h"
#include "intake.h"
#include "later.h"
#include "mail_node.h"
#include "route.h"
#include "test_self.h"

namespace {

using mbox_test::S;
using mbox_test::Str;

// A loop of a frontend: what intake works with, and a courier if it is to have one.
struct Frontend {
    struct route *route = nullptr;
    struct dns *dns = nullptr;
    struct courier *courier = nullptr;
    intake_services services{};
    bool stopped = false;
};

class Intake : public testing::Test {
public:
    static constexpr uint64_t kPatienceMs = 30000;
    static constexpr unsigned kShards = 16;

    void SetUp() override
    {
        char name[] = "/tmp/intake_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        budget.memory_bytes_max = budget.file_bytes_max = 64 << 20;
        budget.spill_dir = dir.c_str();
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        ASSERT_EQ(ERR_OK, crew_new("test", 1, 64, &crew).code);
        std::string address = "unix:" + dir + "/node";
        ASSERT_EQ(ERR_OK, place_map_one_node(1, kShards, S(address), &map).code);
        node = std::make_unique<mail_node>(loop, address, &budget, map);
        node->shard.now_ms = clock_wall_ms();
        for (uint64_t account = 1; account <= 400; account++) ASSERT_EQ(ERR_OK, node->shard.MakeAccount(account));
        node->shard.Apply();
        server = names.Address();
    }
    void TearDown() override
    {
        while (!frontends.empty()) Close(&frontends.front());
        node->Close();
        Until([&] { return node->is_gone; });
        node.reset();
        crew_free(crew);
        loop_run(loop);
        loop_free(loop);
        place_map_unref(map);
        EXPECT_EQ(0u, budget.memory_bytes);
        unlink((dir + "/node").c_str());
        EXPECT_EQ(0, rmdir(dir.c_str()));
    }
    void Until(const std::function<bool()> &done, const char *what = "")
    {
        uint64_t end = clock_boot_ms() + kPatienceMs;
        while (!done() && clock_boot_ms() < end) loop_step(loop, 20);
        EXPECT_TRUE(done()) << what;
    }

    Frontend *Open(bool with_courier = false)
    {
        Frontend &f = frontends.emplace_back();
        EXPECT_EQ(ERR_OK, route_new(loop, map, self.get(), &f.route).code);
        f.services.loop = loop, f.services.route = f.route, f.services.crew = crew, f.services.budget = &budget;
        f.services.hostname = SPAN("us.test");
        f.services.scan_deadline_ms = 1000, f.services.store_deadline_ms = 10000, f.services.repeat_ms = 3600 * 1000;
        EXPECT_EQ(ERR_OK, intake_transactions_new(loop, f.route, &f.services.transactions).code);
        if (!with_courier) return &f;
        dns_options resolver{};
        resolver.resolver = S(server), resolver.deadline_ms = 2000;
        EXPECT_EQ(ERR_OK, dns_new(loop, &resolver, &f.dns).code);
        courier_options options{};
        options.loop = loop, options.route = f.route, options.dns = f.dns, options.crew = crew, options.budget = &budget;
        options.hostname = SPAN("us.test"), options.port = 1;
        options.retry_first_ms = options.retry_max_ms = 1000, options.expire_ms = 3600 * 1000;
        options.post = [](void *, const courier_post *, courier_posted *, void *) { abort(); };
        EXPECT_EQ(ERR_OK, courier_new(&options, &f.courier).code);
        f.services.courier = f.courier;
        return &f;
    }
    void Close(Frontend *f)
    {
        if (f->courier != nullptr) {
            courier_stop(f->courier, [](void *holder) { static_cast<Frontend *>(holder)->stopped = true; }, f);
            Until([&] { return f->stopped; }, "the courier stops");
            courier_free(f->courier);
        }
        intake_transactions_free(f->services.transactions);
        loop_step(loop, 0);
        dns_free(f->dns);
        route_free(f->route);
        for (auto at = frontends.begin(); at != frontends.end(); ++at) {
            if (&*at != f) continue;
            frontends.erase(at);
            return;
        }
    }
    // It is killed: nobody hears of it any more.
    void Kill(Frontend *f) { node->silent.insert(IdOf(f)); }
    std::string IdOf(Frontend *f); // of its transactions, as the store knows it

    struct Mail {
        std::vector<uint64_t> to{1};
        std::string text = "From: <a@there.test>\r\nSubject: hello\r\n\r\nhello\r\n";
        std::string ip = "192.0.2.1", helo = "there.test", sender = "a@there.test";
        std::vector<std::string> outside;
        uint64_t by = 0; // the account that forwards there
        bool kept = false, of_domain = false, ours = false;
    };
    struct Sent {
        bool done = false;
        err_code code = ERR_OK;
        uint32_t number = 0;
        std::string id;
        intake *it = nullptr;
    };
    // Starts it; `sent` outlives it.
    void Start(Frontend *f, const Mail &mail, Sent *sent)
    {
        std::vector<directory_target> targets(mail.to.size());
        std::vector<std::string> addresses;
        for (uint64_t account : mail.to) addresses.push_back("u" + std::to_string(account) + "@example.org");
        for (size_t i = 0; i < targets.size(); i++) {
            targets[i] = {};
            targets[i].tenant = 1, targets[i].account = mail.to[i], targets[i].address = S(addresses[i]);
        }
        std::vector<directory_outside> outside;
        std::string by_address = "u" + std::to_string(mail.by) + "@example.org";
        directory_target by{};
        by.tenant = 1, by.account = mail.by, by.address = S(by_address);
        for (auto &address : mail.outside) outside.push_back({ S(address), mail.by != 0 ? &by : nullptr, mail.kept, mail.of_domain });
        std::vector<intake_recipient> recipients;
        for (size_t i = 0; i < targets.size(); i++) {
            intake_recipient recipient{};
            recipient.address = targets[i].address, recipient.targets = &targets[i], recipient.targets_count = 1;
            recipients.push_back(recipient);
        }
        for (auto &address : outside) {
            intake_recipient recipient{};
            recipient.address = mail.by != 0 ? S(by_address) : address.address, recipient.outside = &address, recipient.outside_count = 1;
            recipients.push_back(recipient);
        }
        struct body *body;
        ASSERT_EQ(ERR_OK, body_new(&budget, &body).code);
        ASSERT_EQ(ERR_OK, body_put(body, S(mail.text)).code);
        ASSERT_EQ(ERR_OK, body_seal(body).code);
        intake_message message{};
        message.sender = S(mail.sender), message.recipients = recipients.data(), message.recipients_count = recipients.size();
        message.body = body, message.helo = S(mail.helo), message.client_ip = S(mail.ip), message.with = SPAN("ESMTP");
        message.ours = mail.ours;
        auto done = [](void *holder, struct err err, span) {
            auto *s = static_cast<Sent *>(holder);
            s->done = true, s->code = err.code, s->number = intake_number(s->it), s->id = Str(intake_id(s->it));
        };
        ASSERT_EQ(ERR_OK, intake_start(&f->services, &message, done, sent, &sent->it).code);
        body_unref(body);
    }
    Sent Send(Frontend *f, const Mail &mail)
    {
        Sent sent;
        Start(f, mail, &sent);
        Until([&] { return sent.done; }, "the message is answered");
        return sent;
    }
    // The client goes on after the answer, or has gone without it.
    void Heard(Frontend *f, const Sent &sent) { intake_heard(&f->services, sent.number); }
    void Unheard(Frontend *f, const Sent &sent) { intake_unheard(&f->services, sent.number); }
    void Told(Frontend *f) { Until([&] { return intake_transactions_are_told(f->services.transactions); }, "told"); }
    // `count` accounts, each in a shard of its own.
    std::vector<uint64_t> Accounts(unsigned count)
    {
        std::vector<uint64_t> accounts;
        std::set<unsigned> taken;
        for (uint64_t account = 1; accounts.size() < count; account++)
            if (taken.insert(place_map_shard(map, slot_of_account(account))).second) accounts.push_back(account);
        return accounts;
    }
    unsigned Commits(unsigned method) { return node->commits[method]; }

    struct loop *loop = nullptr;
    struct body_budget budget{};
    struct crew *crew = nullptr;
    struct place_map *map = nullptr;
    std::unique_ptr<mail_node> node;
    test_self self = TestSelf(RPC_ROLE_FRONTEND);
    dns_server names;
    std::string dir, server;
    std::list<Frontend> frontends;
};

extern "C" struct span intake_transactions_id(const struct intake_transactions *);
std::string Intake::IdOf(Frontend *f) { return Str(intake_transactions_id(f->services.transactions)); }

// ---- what goes on to another server

// An entry of the queue, with his address as envelope sender; it was here before: his box, once.
TEST_F(Intake, WhatIsForwardedGoesByTheQueueUnlessItComesBack)
{
    Frontend *f = Open();
    Mail mail;
    mail.to.clear(), mail.by = 7, mail.outside = { "x@away.test" };
    ASSERT_EQ(ERR_OK, Send(f, mail).code);
    EXPECT_EQ(1u, node->RowsOf(KV_QUEUE));
    EXPECT_EQ(0u, node->Messages(7));
    const std::string received = "Received: from x by US.test with ESMTP id 1 for <u7@example.org>; Tue, 1 Jan 2030 00:00:00 +0000\r\n";
    mail.text = received + mail.text;
    ASSERT_EQ(ERR_OK, Send(f, mail).code);
    EXPECT_EQ(1u, node->RowsOf(KV_QUEUE));
    EXPECT_EQ(1u, node->Messages(7));
    mail.text += "again\r\n", mail.outside = { "x@away.test", "y@away.test" }, mail.to = { 7 };
    ASSERT_EQ(ERR_OK, Send(f, mail).code);
    EXPECT_EQ(2u, node->Messages(7));
    // Trace of another recipient, or of another server, is no ring; much of ours is.
    mail.to.clear(), mail.outside = { "x@away.test" };
    mail.text = "Received: by us.test for <u8@example.org>; x\r\nReceived: by them.test for <u7@example.org>; x\r\n\r\nhi\r\n";
    ASSERT_EQ(ERR_OK, Send(f, mail).code);
    EXPECT_EQ(2u, node->RowsOf(KV_QUEUE));
    std::string ours;
    for (int i = 0; i < INTAKE_OWN_HOPS_MAX; i++) ours += "Received: by us.test; x\r\n";
    mail.text = ours + "\r\nhi\r\n";
    ASSERT_EQ(ERR_OK, Send(f, mail).code);
    EXPECT_EQ(2u, node->RowsOf(KV_QUEUE));
    EXPECT_EQ(3u, node->Messages(7));
}

TEST_F(Intake, WhatTheOtherServerOfADomainSendsBackIsRefused)
{
    Frontend *f = Open();
    Mail mail;
    mail.to.clear(), mail.of_domain = true, mail.outside = { "x@ours.test" };
    ASSERT_EQ(ERR_OK, Send(f, mail).code);
    EXPECT_EQ(1u, node->RowsOf(KV_QUEUE));
    mail.text = "Received: by us.test for <X@ours.test>; x\r\n" + mail.text;
    EXPECT_EQ(ERR_LOOP, Send(f, mail).code);
    EXPECT_EQ(1u, node->RowsOf(KV_QUEUE));
    mail.of_domain = false; // an alias to somewhere else is none of ours
    EXPECT_EQ(ERR_OK, Send(f, mail).code);
    std::string hops;
    for (int i = 0; i <= INTAKE_HOPS_MAX; i++) hops += "Received: by them.test; x\r\n";
    mail.text = hops + "\r\nhi\r\n";
    EXPECT_EQ(ERR_LOOP, Send(f, mail).code);
}

// ---- what it costs

TEST_F(Intake, OneShardIsOneCommit)
{
    Frontend *f = Open(true);
    ASSERT_EQ(ERR_OK, Send(f, {}).code);
    EXPECT_EQ(1u, node->Messages(1));
    EXPECT_EQ(1u, Commits(STORE_METHOD_DELIVER));
    EXPECT_EQ(0u, node->calls[STORE_METHOD_QUEUE_PUT]);
}

// Ten shards: the entry, a delivery in each, the report. No lease, since the entry was put with one.
TEST_F(Intake, AFanOutNeedsNoCommitForItsLease)
{
    Frontend *f = Open(true);
    Mail mail;
    mail.to = Accounts(10);
    ASSERT_EQ(ERR_OK, Send(f, mail).code);
    Until([&] { return node->RowsOf(KV_QUEUE) == 0; }, "worked off");
    for (uint64_t account : mail.to) EXPECT_EQ(1u, node->Messages(account)) << account;
    EXPECT_EQ(1u, Commits(STORE_METHOD_QUEUE_PUT));
    EXPECT_EQ(10u, Commits(STORE_METHOD_DELIVER));
    EXPECT_EQ(1u, Commits(STORE_METHOD_QUEUE_REPORT));
    EXPECT_EQ(0u, Commits(STORE_METHOD_QUEUE_LEASE));
    EXPECT_EQ(0u, node->calls[STORE_METHOD_QUEUE_BODY]); // nor is the body read back
    EXPECT_EQ(0u, node->RowsOf(KV_QUEUE_BODY));
}

// Who put the entry is gone: the next courier takes it when the lease has run out, and not before.
TEST_F(Intake, AnEntryOfTheDeadIsTakenByAnother)
{
    Frontend *dead = Open(true);
    Mail mail;
    mail.to = Accounts(3);
    node->refuse = [](unsigned method) { return method == STORE_METHOD_DELIVER ? ERR_DENIED : ERR_OK; };
    ASSERT_EQ(ERR_OK, Send(dead, mail).code);
    uint64_t put_ms = clock_wall_ms();
    // It dies before it can say anything: no report comes.
    node->refuse = [](unsigned method) {
        return method == STORE_METHOD_DELIVER || method == STORE_METHOD_QUEUE_REPORT ? ERR_DENIED : ERR_OK;
    };
    Until([&] { return courier_counts(dead->courier).open == 0; }, "the dead one has ended");
    Close(dead);
    node->refuse = nullptr;
    EXPECT_EQ(1u, node->RowsOf(KV_QUEUE));
    Frontend *next = Open(true);
    Until([&] { return node->RowsOf(KV_QUEUE) == 0; }, "worked off");
    EXPECT_GE(clock_wall_ms(), put_ms + 8000);
    EXPECT_EQ(1u, Commits(STORE_METHOD_QUEUE_LEASE));
    for (uint64_t account : mail.to) EXPECT_EQ(1u, node->Messages(account)) << account;
    Until([&] { return courier_counts(next->courier).open == 0; });
}

// ---- repeats

TEST_F(Intake, SentTwiceOnPurposeItArrivesTwice)
{
    Frontend *f = Open();
    for (unsigned i = 1; i <= 4; i++) {
        auto sent = Send(f, {});
        ASSERT_EQ(ERR_OK, sent.code);
        Heard(f, sent);
        EXPECT_EQ(i, node->Messages(1));
    }
    // Also while the first is on its way, or its client has said nothing yet.
    Sent a, b;
    Start(f, {}, &a), Start(f, {}, &b);
    Until([&] { return a.done && b.done; });
    EXPECT_EQ(6u, node->Messages(1));
}

TEST_F(Intake, ALostAnswerIsNoSecondMessage)
{
    Frontend *f = Open();
    auto first = Send(f, {});
    Unheard(f, first);
    auto second = Send(f, {});
    EXPECT_EQ(ERR_OK, second.code);
    EXPECT_EQ(first.id, second.id);
    EXPECT_EQ(1u, node->Messages(1));
    Unheard(f, second); // that answer was lost too
    auto third = Send(f, {});
    EXPECT_EQ(1u, node->Messages(1));
    Heard(f, third); // now he has heard it
    EXPECT_EQ(ERR_OK, Send(f, {}).code);
    EXPECT_EQ(2u, node->Messages(1));
}

TEST_F(Intake, WhatMakesAMessageTheSame)
{
    Frontend *f = Open();
    Unheard(f, Send(f, {}));
    const struct { const char *what; void (*change)(Mail *); } cases[] = {
        {"client", [](Mail *m) { m->ip = "192.0.2.2"; }},
        {"name of the client", [](Mail *m) { m->helo = "elsewhere.test"; }},
        {"sender", [](Mail *m) { m->sender = "b@there.test"; }},
        {"no sender", [](Mail *m) { m->sender = ""; }},
        {"another recipient", [](Mail *m) { m->to = {1, 2}; }},
        {"text", [](Mail *m) { m->text += "\r\n"; }},
        {"where texts part", [](Mail *m) { m->helo = "there.testa", m->sender = "@there.test"; }},
    };
    size_t messages = 1;
    for (auto &c : cases) {
        Mail mail;
        c.change(&mail);
        ASSERT_EQ(ERR_OK, Send(f, mail).code) << c.what;
        Until([&] { return node->Messages(1) > messages || node->RowsOf(KV_QUEUE) > 0; }, c.what);
        if (mail.to.size() == 1) EXPECT_EQ(++messages, node->Messages(1)) << c.what;
    }
    EXPECT_EQ(ERR_OK, Send(f, {}).code);
    EXPECT_EQ(messages, node->Messages(1)); // the first is known all the time
}

TEST_F(Intake, OursAreNeverRepeats)
{
    Frontend *f = Open();
    Mail mail;
    mail.ours = true;
    for (unsigned i = 1; i <= 3; i++) {
        auto sent = Send(f, mail);
        EXPECT_EQ(0u, sent.number);
        EXPECT_EQ(i, node->Messages(1));
    }
    f->services.repeat_ms = 0; // switched off
    Unheard(f, Send(f, {}));
    Unheard(f, Send(f, {}));
    EXPECT_EQ(5u, node->Messages(1));
    EXPECT_EQ(0u, node->RowsOf(KV_TRANSACTION));
}

// What another frontend took, or this one before it was started anew.
TEST_F(Intake, AnotherFrontendKnowsBoth)
{
    Frontend *a = Open(), *b = Open();
    auto heard = Send(a, {});
    Heard(a, heard);
    Told(a);
    EXPECT_EQ(ERR_OK, Send(b, {}).code); // on purpose
    EXPECT_EQ(2u, node->Messages(1));
    Mail other;
    other.to = {2};
    auto lost = Send(a, other);
    Unheard(a, lost);
    Told(a);
    auto again = Send(b, other); // once more
    EXPECT_EQ(ERR_OK, again.code);
    EXPECT_EQ(lost.id, again.id);
    EXPECT_EQ(1u, node->Messages(2));
}

TEST_F(Intake, ARestartForgetsNothing)
{
    Frontend *before = Open();
    Mail heard, lost;
    heard.to = {1}, lost.to = {2};
    for (unsigned i = 0; i < 3; i++) Heard(before, Send(before, heard));
    Unheard(before, Send(before, lost));
    Told(before);
    Close(before);
    Frontend *after = Open();
    EXPECT_EQ(ERR_OK, Send(after, heard).code);
    EXPECT_EQ(4u, node->Messages(1));
    EXPECT_EQ(ERR_OK, Send(after, lost).code);
    EXPECT_EQ(1u, node->Messages(2));
}

// It is told a moment later: the next one waits for that.
TEST_F(Intake, WhatIsNotToldYetIsWaitedFor)
{
    Frontend *a = Open(), *b = Open();
    for (unsigned i = 1; i <= 5; i++) {
        auto sent = Send(i % 2 ? a : b, {});
        ASSERT_EQ(ERR_OK, sent.code);
        EXPECT_EQ(i, node->Messages(1));
        Heard(i % 2 ? a : b, sent);
    }
}

// Killed between the commit and its answer, or before the client said anything: a repeat.
TEST_F(Intake, OfTheDeadItIsARepeat)
{
    Frontend *dead = Open(), *next = Open();
    auto first = Send(dead, {});
    Kill(dead);
    uint64_t from = clock_boot_ms();
    auto again = Send(next, {});
    EXPECT_EQ(ERR_OK, again.code);
    EXPECT_EQ(first.id, again.id);
    EXPECT_GE(clock_boot_ms() - from, uint64_t(INTAKE_SILENT_MS));
    EXPECT_EQ(1u, node->Messages(1));
}

// It lives, and so does that connection: its client sends the same on another one on purpose.
TEST_F(Intake, OfOneThatLivesAndIsOpenItIsNone)
{
    Frontend *a = Open(), *b = Open();
    ASSERT_EQ(ERR_OK, Send(a, {}).code);
    EXPECT_EQ(ERR_OK, Send(b, {}).code);
    EXPECT_EQ(2u, node->Messages(1));
}

// The node took it and the answer did not come in time: the client is told to try again.
TEST_F(Intake, AnOutcomeThatIsNotKnownIsFoundOutByTheRepeat)
{
    Frontend *f = Open();
    f->services.store_deadline_ms = 300;
    node->lose_answer = [](unsigned method) { return method == STORE_METHOD_DELIVER; };
    auto first = Send(f, {});
    EXPECT_EQ(ERR_TEMPORARY, err_class(err_make(first.code, "")));
    EXPECT_EQ(1u, node->Messages(1)); // tried again and again, and delivered once
    EXPECT_GT(node->calls[STORE_METHOD_DELIVER], 1u);
    Heard(f, first); // QUIT, after a 451
    node->lose_answer = nullptr;
    f->services.store_deadline_ms = 10000;
    EXPECT_EQ(ERR_OK, Send(f, {}).code);
    EXPECT_EQ(1u, node->Messages(1));
}

TEST_F(Intake, TheClientIsGoneBeforeTheAnswer)
{
    Frontend *f = Open();
    Sent gone;
    Start(f, {}, &gone);
    intake_forget(gone.it);
    Until([&] { return node->Messages(1) == 1; });
    Told(f);
    EXPECT_EQ(ERR_OK, Send(f, {}).code);
    EXPECT_EQ(1u, node->Messages(1));
}

TEST_F(Intake, WhatWasRefusedIsTriedAfresh)
{
    Frontend *f = Open();
    Mail mail;
    mail.to = {9999}; // gone since RCPT
    auto refused = Send(f, mail);
    EXPECT_EQ(ERR_NOT_FOUND, refused.code);
    node->shard.now_ms = clock_wall_ms();
    ASSERT_EQ(ERR_OK, node->shard.MakeAccount(9999));
    node->shard.Apply();
    EXPECT_EQ(ERR_OK, Send(f, mail).code);
    EXPECT_EQ(1u, node->Messages(9999));
}

TEST_F(Intake, AFanOutIsRepeatedAsAWhole)
{
    Frontend *a = Open(true), *b = Open(true);
    Mail mail;
    mail.to = Accounts(5);
    auto first = Send(a, mail);
    Unheard(a, first);
    Told(a);
    for (Frontend *f : {a, b}) { // while it is worked off, and after
        auto again = Send(f, mail);
        EXPECT_EQ(ERR_OK, again.code);
        EXPECT_EQ(first.id, again.id);
        Unheard(f, again);
        Told(f);
        Until([&] { return node->RowsOf(KV_QUEUE) == 0; });
    }
    for (uint64_t account : mail.to) EXPECT_EQ(1u, node->Messages(account));
    auto third = Send(b, mail);
    Heard(b, third);
    Told(b);
    auto purpose = Send(a, mail);
    EXPECT_EQ(ERR_OK, purpose.code);
    EXPECT_NE(first.id, purpose.id);
    Until([&] { return node->RowsOf(KV_QUEUE) == 0; });
    for (uint64_t account : mail.to) EXPECT_EQ(2u, node->Messages(account));
}

// Nothing to tell, nothing open: nothing is done.
TEST_F(Intake, IdleItIsSilent)
{
    Frontend *f = Open();
    auto sent = Send(f, {});
    Heard(f, sent);
    Told(f);
    unsigned reports = node->calls[STORE_METHOD_INTAKE_REPORT];
    uint64_t end = clock_boot_ms() + 2500;
    while (clock_boot_ms() < end) loop_step(loop, 500);
    EXPECT_EQ(reports, node->calls[STORE_METHOD_INTAKE_REPORT]);
}

// Many messages go along in one report.
TEST_F(Intake, ReportsAreFew)
{
    Frontend *f = Open();
    for (unsigned i = 0; i < 300; i++) {
        Mail mail;
        mail.text += std::to_string(i);
        Heard(f, Send(f, mail));
    }
    uint64_t from = clock_boot_ms();
    Told(f);
    EXPECT_LT(node->calls[STORE_METHOD_INTAKE_REPORT], 300u / 4 + (clock_boot_ms() - from) / 200);
    EXPECT_EQ(300u, node->Messages(1));
}

} // namespace

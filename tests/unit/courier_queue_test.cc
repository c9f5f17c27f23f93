// The courier and the queue: fan-out, leases, limits, large bodies, end.
#include "courier_fixture.h"

namespace {

using CourierQueue = CourierTest;

TEST_F(CourierQueue, FanOutIsOneCallForEachShard)
{
    Start();
    auto accounts = Accounts(10, map);
    PutNew({ .to = {}, .accounts = accounts });
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(10u, node->delivered.size());
    std::string stored = Stored();
    std::vector<std::string> operations;
    for (const auto &call : node->delivered) {
        EXPECT_EQ(stored, call.body);
        EXPECT_EQ("facts", call.facts);
        EXPECT_TRUE(call.ignore_quota);
        ASSERT_EQ(1u, call.operations.size());
        operations.push_back(call.operations[0]);
    }
    std::sort(operations.begin(), operations.end());
    for (size_t i = 0; i < 10; i++) EXPECT_EQ(std::string(12, 'o') + std::to_string(1000 + accounts[i]), operations[i]);
    EXPECT_EQ(0u, node->leases);
    ASSERT_EQ(1u, node->reports.size());
    EXPECT_TRUE(node->reports[0].remove);
    EXPECT_TRUE(posts.empty());
    EXPECT_EQ(0u, sink->connections);
}

TEST_F(CourierQueue, FanOutIsCheap)
{
    Start();
    auto accounts = Accounts(10, map);
    text.append(4000, 'x');
    const int kMessages = 300;
    // Once, so that connections stand and memory is warm.
    PutNew({ .to = {}, .accounts = accounts });
    Until([&] { return node->rows.empty(); });
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < kMessages; i++) {
        PutNew({ .id = "i" + std::to_string(100000000000000 + i), .to = {}, .accounts = accounts });
        if (i % 10 == 9) Until([&] { return node->rows.empty(); });
    }
    getrusage(RUSAGE_SELF, &after);
    EXPECT_EQ(10u * (kMessages + 1), node->delivered.size());
    auto us = [](const rusage &r) { return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + r.ru_utime.tv_usec + r.ru_stime.tv_usec; };
    // Both ends of all calls are in it, and the packing of the stored body.
    long each = (us(after) - us(before)) / kMessages;
    printf("CPU of a fan-out to 10 shards: %ld us\n", each);
    RecordProperty("fan_out_us", static_cast<int>(each));
#ifndef MAIL_SANITIZED
    EXPECT_LT(each, 1500);
#endif
}

TEST_F(CourierQueue, LocalFailuresAreToldApart)
{
    auto accounts = Accounts(4, map);
    node->deliver_status = [&](uint64_t account) {
        return account == accounts[0] ? ERR_OK : account == accounts[1] ? ERR_NOT_FOUND : account == accounts[2] ? ERR_FULL : ERR_QUOTA;
    };
    Start();
    Put({ .to = {}, .accounts = accounts });
    Until([&] { return node->reports.size() == 1; });
    const char *answers[] = { "250 2.0.0", "550 5.1.1", "451 4.3.0", "552 5.2.2" };
    for (size_t i = 0; i < 4; i++) EXPECT_EQ(answers[i], events.at(i).answer.substr(0, 9));
    EXPECT_FALSE(node->reports[0].remove);
    EXPECT_EQ("", Str(node->reports[0].row->entry.facts)); // the row keeps them
    EXPECT_EQ(1u, posts.size());
    node->deliver_status = nullptr;
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(5u, node->delivered.size());
    EXPECT_EQ("facts", node->delivered.back().facts);
}

TEST_F(CourierQueue, AShardThatCannotBeReachedIsTriedAgainSoon)
{
    node->deliver_error = [] { return ERR_DENIED; };
    Start();
    PutNew({ .to = {}, .accounts = { 7 } });
    Until([&] { return node->reports.size() == 1; });
    EXPECT_LE(node->reports[0].row->entry.recipients[0].due_ms, clock_wall_ms() + 2000);
    node->deliver_error = nullptr;
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(1u, node->delivered.size());
}

TEST_F(CourierQueue, OneEntryMayGoBothWays)
{
    Start();
    PutNew({ .to = { "b@there.test" }, .accounts = Accounts(2, map) });
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(2u, node->delivered.size());
    EXPECT_EQ(1u, sink->messages.size());
    EXPECT_EQ(1u, node->reports.size());
}

TEST_F(CourierQueue, ManyTargetsOfAShardAreCutIntoCommits)
{
    Start();
    std::vector<uint64_t> accounts;
    for (uint64_t account = 1; accounts.size() < 600; account++) {
        if (place_map_shard(map, slot_of_account(account)) == 3) accounts.push_back(account);
    }
    PutNew({ .to = {}, .accounts = accounts });
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(3u, node->delivered.size());
    size_t all = 0;
    for (const auto &call : node->delivered) all += call.operations.size();
    EXPECT_EQ(600u, all);
}

TEST_F(CourierQueue, AnEntryThatAnotherHasIsLeftAlone)
{
    Start();
    PutNew({}, 60000);
    // Somebody else wrote the row meanwhile: what we did is not reported over it.
    node->rows.begin()->second->entry.version = 9;
    Until([&] { return node->reports.size() == 1 && courier_counts(courier).open == 0; });
    EXPECT_EQ(ERR_CONFLICT, node->reports[0].code);
    node->rows.clear();
    // Without a lease, and another has it: nothing is sent.
    unsigned connections = sink->connections;
    auto entry = Entry({ .id = std::string(16, 'x') });
    entry.lease_owner = SPAN("other");
    entry.lease_until_ms = clock_wall_ms() + 60000;
    node->Put(entry, Stored());
    PutNew({ .id = std::string(16, 'x') }, 0, false);
    Until([&] { return courier_counts(courier).open == 0; });
    EXPECT_EQ(connections, sink->connections);
    EXPECT_EQ(1u, node->reports.size());
    node->rows.clear();
}

TEST_F(CourierQueue, ALeaseThatIsLostMidwayStopsTheTransfer)
{
    sink->answer = [](const std::string &line) -> std::string { return line.rfind("RCPT", 0) == 0 ? "-" : ""; };
    Start();
    PutNew({}, 3000);
    Until([&] { return sink->lines.size() >= 3; });
    auto &row = node->rows.begin()->second->entry;
    row.lease_owner = SPAN("other");
    row.lease_until_ms = clock_wall_ms() + 60000;
    Until([&] { return courier_counts(courier).open == 0; });
    Until([&] { return sink->open == 0; });
    EXPECT_TRUE(node->reports.empty());
    EXPECT_TRUE(sink->messages.empty());
    node->rows.clear();
}

TEST_F(CourierQueue, ALeaseIsKeptUpWhileATransferLasts)
{
    bool hold = true;
    sink->answer = [&](const std::string &line) -> std::string { return line == "." && hold ? "-" : ""; };
    options.reply_max_ms = 3500;
    options.retry_first_ms = options.retry_max_ms = 3600 * 1000;
    Start();
    PutNew({}, 3000);
    Until([&] { return node->leases_by_id == 1; });
    EXPECT_EQ(2u, node->rows.begin()->second->entry.version);
    Until([&] { return node->reports.size() == 1; });
    EXPECT_EQ(ERR_OK, node->reports[0].code);
    EXPECT_EQ(2u, node->reports[0].row->entry.version);
}

TEST_F(CourierQueue, LargeBodiesArriveAsTheReaderTakesThem)
{
    text = "Subject: large\r\n\r\n";
    for (int i = 0; text.size() < 6 << 20; i++) text += std::string(i % 3 == 0 ? "." : "") + std::to_string(i * 7919) + std::string(static_cast<size_t>(i * 31 % 900), 'x') + "\r\n";
    sink->pause_after = 1 << 20;
    Start();
    Put({});
    Until([&] { return sink->connections == 1 && !sink->lines.empty() && sink->lines.back() == "DATA"; });
    for (int i = 0; i < 20; i++) loop_step(loop, 10);
    EXPECT_TRUE(sink->messages.empty());
    sink->Resume();
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(1u, sink->messages.size());
    EXPECT_TRUE(text == sink->messages[0].body);
}

TEST_F(CourierQueue, ManyRecipientsShareAConnection)
{
    Start();
    Mail mail;
    mail.to.clear();
    for (int i = 0; i < 250; i++) mail.to.push_back("r" + std::to_string(i) + (i % 2 ? "@there.test" : "@THERE.test"));
    Put(mail);
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(3u, sink->messages.size());
    EXPECT_EQ(1u, sink->connections);
    EXPECT_EQ(100u, sink->messages[0].rcpts.size());
    EXPECT_EQ(50u, sink->messages[2].rcpts.size());
}

TEST_F(CourierQueue, ADestinationHasFewConnectionsAtOnce)
{
    options.per_destination = 2;
    Start();
    for (int i = 0; i < 12; i++) Put({ .id = "0123456789abcde" + std::string(1, static_cast<char>('a' + i)) });
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(12u, sink->messages.size());
    EXPECT_LE(sink->open_most, 4u); // those that say goodbye may still be there
}

TEST_F(CourierQueue, ManyDomainsHaveTheirTurns)
{
    Start();
    Mail mail;
    mail.to.clear();
    for (int i = 0; i < 60; i++) {
        std::string domain = "d" + std::to_string(i) + ".test";
        names.Address4(domain, "127.0.0.1");
        mail.to.push_back("r@" + domain);
    }
    Put(mail);
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(60u, sink->messages.size());
}

TEST_F(CourierQueue, MoreNewEntriesThanRoomWaitTheirTurn)
{
    options.concurrency = 2;
    Start();
    for (int i = 0; i < 40; i++) PutNew({ .id = "i" + std::to_string(100000000000000 + i), .to = {}, .accounts = { 1, 2, 3 } });
    EXPECT_EQ(40u, courier_counts(courier).open);
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(0u, node->leases);
    for (int i = 0; i < 40; i++) Put({ .id = "i" + std::to_string(200000000000000 + i), .slot = static_cast<uint64_t>(i * 400) });
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(40u, sink->messages.size());
}

TEST_F(CourierQueue, AWatchThatBreaksIsBegunAgain)
{
    Start();
    Until([&] { return node->watches_begun == 1; });
    node->BreakWatches(ERR_IO);
    Put({});
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(2u, node->watches_begun);
}

TEST_F(CourierQueue, ALeaseThatFailsIsAskedForAgain)
{
    unsigned failures = 2;
    node->lease_error = [&] { return failures > 0 ? failures--, ERR_DENIED : ERR_OK; };
    Start();
    Put({});
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(1u, sink->messages.size());
}

TEST_F(CourierQueue, ABodyThatCannotBeReadDefersAndOneThatIsGoneEnds)
{
    bool broken = true;
    node->body_error = [&] { return broken ? ERR_IO : ERR_OK; };
    Start();
    Put({});
    Until([&] { return node->reports.size() == 1; });
    EXPECT_EQ("451 4.3.0", events.at(0).answer.substr(0, 9));
    broken = false;
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(1u, sink->messages.size());
    node->Put(Entry({ .id = std::string(16, 'x') }), "not a stored body");
    Until([&] { return node->reports.size() == 3; });
    EXPECT_FALSE(node->reports[2].remove);
    node->rows.clear();
}

TEST_F(CourierQueue, IdleItDoesNothing)
{
    Start();
    PutNew({});
    Until([&] { return node->rows.empty() && sink->open == 0; });
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    uint64_t end = clock_boot_ms() + 500;
    while (clock_boot_ms() < end) loop_step(loop, 500);
    getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_nvcsw - before.ru_nvcsw, 20);
}

TEST_F(CourierQueue, StoppingGivesBackWhatWasNotDone)
{
    sink->answer = [](const std::string &line) -> std::string { return line.rfind("RCPT", 0) == 0 ? "-" : ""; };
    options.per_destination = 1;
    Start();
    Put({ .id = std::string(16, 'x') });
    Put({ .id = std::string(16, 'y') });
    Until([&] { return sink->lines.size() >= 3 && node->leases >= 1 && courier_counts(courier).open == 2; });
    uint64_t from = clock_boot_ms();
    Stop();
    EXPECT_LT(clock_boot_ms() - from, 5000u);
    ASSERT_EQ(2u, node->reports.size());
    for (const auto &report : node->reports) {
        EXPECT_FALSE(report.remove);
        EXPECT_EQ(ERR_OK, report.code);
        EXPECT_EQ(0u, report.row->entry.recipients[0].attempts);
        EXPECT_LE(report.row->entry.recipients[0].due_ms, clock_wall_ms());
    }
    for (const auto &[id, row] : node->rows) EXPECT_EQ(0u, row->entry.lease_until_ms);
}

TEST_F(CourierQueue, StoppingLetsABodyThatIsUnderWayArrive)
{
    text = "Subject: large\r\n\r\n";
    for (int i = 0; text.size() < 3 << 20; i++) text += std::to_string(i) + "\r\n";
    sink->pause_after = 1 << 20;
    Start();
    Put({});
    Until([&] { return !sink->lines.empty() && sink->lines.back() == "DATA"; });
    for (int i = 0; i < 10; i++) loop_step(loop, 10);
    courier_stop(courier, [](void *holder) { static_cast<CourierQueue *>(holder)->stopped = true; }, this);
    for (int i = 0; i < 10; i++) loop_step(loop, 10);
    EXPECT_FALSE(stopped);
    sink->Resume();
    Until([&] { return stopped; });
    EXPECT_EQ(1u, sink->messages.size());
    EXPECT_TRUE(node->rows.empty());
    courier_free(courier);
    courier = nullptr;
}

} // namespace

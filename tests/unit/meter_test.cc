// What a frontend's loop asks of counters that hold for the whole cluster, against a real storage node: two meters
// are two frontends.
#include "node_fixture.h"

#include "meter.h"
#include "metrics.h"

namespace {

class MeterTest : public NodeTest {
protected:
    struct meter *one = nullptr, *two = nullptr;
    struct route *second = nullptr; // of `two`

    void SetUp() override
    {
        NodeTest::SetUp();
        ASSERT_EQ(ERR_OK, route_new(loop, map, client_self.get(), &second).code);
        ASSERT_EQ(ERR_OK, meter_new(loop, route, "owner number one", &one).code);
        ASSERT_EQ(ERR_OK, meter_new(loop, second, "owner number two", &two).code);
    }
    void TearDown() override
    {
        route_free(second);
        route_free(route);
        route = nullptr;
        meter_free(one);
        meter_free(two);
        NodeTest::TearDown();
    }

    // A check and what it came to. Stays where it is.
    struct Check {
        bool done = false;
        struct err err = err_ok();
        meter_result result = {};
        struct meter_check *check = nullptr;
        static void Done(void *holder, struct err err, const meter_result *result)
        {
            auto *self = static_cast<Check *>(holder);
            EXPECT_FALSE(self->done);
            self->done = true, self->err = err;
            EXPECT_EQ(err.code == ERR_OK, result != nullptr);
            if (result != nullptr) self->result = *result;
        }
    };
    static meter_ask Failure(const std::string &key, uint32_t add, uint64_t deadline_ms = 20000)
    {
        static std::set<std::string> keys;
        meter_ask ask = {};
        ask.kind = STORE_TALLY_LOGIN_USER, ask.tenant = 1, ask.key = S(*keys.insert(key).first), ask.add = add;
        ask.limit = { 10, 60000, 300000 };
        ask.deadline_ms = deadline_ms;
        return ask;
    }
    std::unique_ptr<Check> Start(struct meter *meter, const meter_ask &ask)
    {
        auto check = std::make_unique<Check>();
        EXPECT_EQ(ERR_OK, meter_check_start(meter, &ask, Check::Done, check.get(), &check->check).code);
        EXPECT_FALSE(check->done); // never within the call
        return check;
    }
    meter_result Ask(struct meter *meter, const meter_ask &ask)
    {
        auto check = Start(meter, ask);
        Until([&] { return check->done; });
        EXPECT_EQ(ERR_OK, check->err.code);
        return check->result;
    }

    // A connection. Stays where it is.
    struct Seat {
        bool done = false, in = false;
        struct meter_seat *seat = nullptr;
        std::function<void()> then;
        static void Done(void *holder, struct err err)
        {
            auto *self = static_cast<Seat *>(holder);
            EXPECT_FALSE(self->done);
            self->done = true, self->in = err.code == ERR_OK;
            if (!self->in) {
                EXPECT_EQ(ERR_BUSY, err.code);
                self->seat = nullptr;
            }
            if (self->then) self->then();
        }
        void Leave()
        {
            meter_leave(seat);
            seat = nullptr;
        }
        ~Seat() { Leave(); }
    };
    std::unique_ptr<Seat> Enter(struct meter *meter, uint8_t last, uint32_t limit, unsigned kind = STORE_TALLY_CONNECTIONS_IMAP)
    {
        auto seat = std::make_unique<Seat>();
        meter_place place = { kind, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last }, limit };
        EXPECT_EQ(ERR_OK, meter_enter(meter, &place, Seat::Done, seat.get(), &seat->seat).code);
        EXPECT_FALSE(seat->done);
        return seat;
    }
    // Until() asks again at its end; here the first yes counts.
    void Eventually(const std::function<bool()> &does)
    {
        bool did = false;
        Until([&] { return did || (did = does()); });
    }
    // The next one is refused. Where the machine stood still for METER_ENTER_MS it was let in unasked: then the one after.
    void Refused(const std::function<bool()> &is_in) { Eventually([&] { return !is_in(); }); }
    bool IsIn(struct meter *meter, uint8_t last, uint32_t limit, std::vector<std::unique_ptr<Seat>> *kept)
    {
        auto seat = Enter(meter, last, limit);
        Until([&] { return seat->done; });
        bool in = seat->in;
        if (in && kept != nullptr) kept->push_back(std::move(seat));
        return in;
    }
};

TEST_F(MeterTest, ChecksOfATurnGoTogetherAndInOrder)
{
    Ask(one, Failure("first", 0)); // the connection stands
    int64_t calls = metric_get(METRIC_COUNTER_CALLS, 0), checks = metric_get(METRIC_COUNTER_CHECKS, 0);
    std::vector<std::unique_ptr<Check>> all;
    for (int i = 0; i < 9; i++) all.push_back(Start(one, Failure("u", 1)));
    Until([&] { return all.back()->done; });
    for (unsigned i = 0; i < 9; i++) EXPECT_EQ(i + 1, all[i]->result.count);
    EXPECT_EQ(1, metric_get(METRIC_COUNTER_CALLS, 0) - calls);
    EXPECT_EQ(9, metric_get(METRIC_COUNTER_CHECKS, 0) - checks);
}

TEST_F(MeterTest, ManyMoreThanOneCallHolds)
{
    std::vector<std::unique_ptr<Check>> all;
    meter_ask ask = Failure("u", 1);
    ask.limit.limit = 0;
    for (int i = 0; i < 1000; i++) all.push_back(Start(one, ask));
    Until([&] { return all.back()->done; });
    EXPECT_EQ(1000u, all.back()->result.count);
}

TEST_F(MeterTest, FrontendsShareACounter)
{
    EXPECT_EQ(6u, Ask(one, Failure("u", 6)).count);
    EXPECT_EQ(9u, Ask(two, Failure("u", 3)).count);
    auto last = Ask(one, Failure("u", 1));
    EXPECT_TRUE(last.began);
    EXPECT_LT(290000u, Ask(two, Failure("u", 0)).held_ms);
    EXPECT_EQ(0u, Ask(two, Failure("v", 0)).held_ms);
    for (struct meter *meter : { one, two }) {
        EXPECT_TRUE(meter_is_held(meter, STORE_TALLY_LOGIN_USER, 1, SPAN("u")));
        EXPECT_FALSE(meter_is_held(meter, STORE_TALLY_LOGIN_USER, 2, SPAN("u")));
        EXPECT_FALSE(meter_is_held(meter, STORE_TALLY_LOGIN_ADDRESS, 1, SPAN("u")));
        EXPECT_FALSE(meter_is_held(meter, STORE_TALLY_LOGIN_USER, 1, SPAN("v")));
    }
    // Cleared, and nobody waits for that.
    meter_ask clear = Failure("u", 0);
    clear.clear = true;
    ASSERT_EQ(ERR_OK, meter_check_start(one, &clear, nullptr, nullptr, nullptr).code);
    EXPECT_EQ(0u, Ask(one, Failure("u", 0)).held_ms);
    EXPECT_FALSE(meter_is_held(one, STORE_TALLY_LOGIN_USER, 1, SPAN("u")));
    Until([&] { return !meter_is_held(two, STORE_TALLY_LOGIN_USER, 1, SPAN("u")); }); // believed for a moment only
}

TEST_F(MeterTest, ALeaderThatIsAwayIsATemporaryError)
{
    CloseNode();
    auto check = Start(one, Failure("u", 1, 50));
    Until([&] { return check->done; });
    EXPECT_EQ(ERR_TIMEOUT, check->err.code);
    EXPECT_EQ(ERR_TEMPORARY, err_class(check->err));
    // It is counted once the leader is back in time.
    check = Start(one, Failure("u", 1));
    Turn();
    OpenNode();
    Until([&] { return check->done; });
    EXPECT_EQ(ERR_OK, check->err.code);
}

TEST_F(MeterTest, WhatIsGivenUpIsNotCalledAndEventsCountNevertheless)
{
    auto check = Start(one, Failure("u", 2)), asked = Start(one, Failure("u", 0));
    meter_check_cancel(check->check);
    meter_check_cancel(asked->check);
    meter_check_cancel(nullptr);
    EXPECT_EQ(2u, Ask(one, Failure("u", 0)).count);
    check = Start(one, Failure("u", 2));
    asked = Start(one, Failure("u", 0));
    loop_step(loop, 0); // on their way
    if (!check->done) meter_check_cancel(check->check);
    if (!asked->done) meter_check_cancel(asked->check);
    EXPECT_EQ(4u, Ask(one, Failure("u", 0)).count);
}

TEST_F(MeterTest, WaitingHasABound)
{
    CloseNode();
    meter_ask ask = Failure("u", 1, 1);
    unsigned ended = 0;
    struct meter_check *check;
    auto done = [](void *holder, struct err, const meter_result *) { ++*static_cast<unsigned *>(holder); };
    for (unsigned i = 0; i < METER_WAITING_MAX; i++) ASSERT_EQ(ERR_OK, meter_check_start(one, &ask, done, &ended, &check).code);
    EXPECT_EQ(ERR_BUSY, meter_check_start(one, &ask, done, &ended, &check).code);
    Until([&] { return ended == METER_WAITING_MAX; });
    EXPECT_EQ(ERR_OK, meter_check_start(one, &ask, done, &ended, &check).code);
    meter_ask longest = Failure(std::string(METER_KEY_MAX_BYTES + 1, 'k'), 1);
    EXPECT_EQ(ERR_TOO_BIG, meter_check_start(one, &longest, done, &ended, &check).code);
    Until([&] { return ended == METER_WAITING_MAX + 1; });
}

TEST_F(MeterTest, ConnectionsOverAllFrontends)
{
    std::vector<std::unique_ptr<Seat>> kept;
    for (int i = 0; i < 5; i++) EXPECT_TRUE(IsIn(i % 2 ? one : two, 1, 5, &kept)) << i;
    Refused([&] { return IsIn(one, 1, 5, nullptr); });
    Refused([&] { return IsIn(two, 1, 5, nullptr); });
    EXPECT_TRUE(IsIn(two, 2, 5, nullptr)); // another address
    auto other = Enter(two, 1, 5, STORE_TALLY_CONNECTIONS_POP3);
    Until([&] { return other->done; });
    EXPECT_TRUE(other->in); // another protocol
    kept.erase(kept.begin()); // one of `two`'s
    Eventually([&] { return IsIn(one, 1, 5, &kept); });
    Refused([&] { return IsIn(two, 1, 5, nullptr); });
    EXPECT_TRUE(IsIn(two, 1, 6, nullptr)); // the option was raised
}

TEST_F(MeterTest, OneTurnsConnectionsAreGrantedTogether)
{
    // Where the machine stood still for METER_ENTER_MS, connections were let in unasked: once more then.
    for (int64_t alone = -1; alone != metric_get(METRIC_COUNTER_ALONE, 0);) {
        alone = metric_get(METRIC_COUNTER_ALONE, 0);
        std::vector<std::unique_ptr<Seat>> all;
        for (int i = 0; i < 20; i++) all.push_back(Enter(i % 2 ? one : two, 1, 7));
        all[3]->Leave(); // before it was asked for
        all[3]->done = true;
        Until([&] { return std::all_of(all.begin(), all.end(), [](auto &seat) { return seat->done; }); });
        auto in = std::count_if(all.begin(), all.end(), [](auto &seat) { return seat->in; });
        if (alone == metric_get(METRIC_COUNTER_ALONE, 0)) EXPECT_EQ(7, in);
        else EXPECT_LE(7, in);
    }
    std::vector<std::unique_ptr<Seat>> kept;
    for (int i = 0; i < 7; i++) Eventually([&] { return IsIn(one, 1, 7, &kept); });
    Refused([&] { return IsIn(two, 1, 7, nullptr); });
}

TEST_F(MeterTest, ACallMayEndOthers)
{
    std::vector<std::unique_ptr<Seat>> all;
    for (int i = 0; i < 6; i++) all.push_back(Enter(one, 1, 4));
    all[0]->then = [&] { all[0]->Leave(), all[1]->Leave(), all[5]->Leave(); };
    Until([&] { return all[2]->done && all[3]->done && all[4]->done; });
    EXPECT_FALSE(all[1]->done || all[5]->done);
    all.erase(all.begin(), all.begin() + 2);
    std::vector<std::unique_ptr<Seat>> kept;
    Eventually([&] { return IsIn(two, 1, 4, &kept); });
}

TEST_F(MeterTest, AFrontendThatDiedIsForgotten)
{
    std::vector<std::unique_ptr<Seat>> kept, lost;
    meter_set_lease(one, 1000);
    meter_set_lease(two, 1000);
    for (int i = 0; i < 3; i++) ASSERT_TRUE(IsIn(one, 1, 5, &kept));
    for (int i = 0; i < 2; i++) ASSERT_TRUE(IsIn(two, 1, 5, &lost));
    Refused([&] { return IsIn(one, 1, 5, nullptr); });
    lost.clear();
    route_free(second); // and it tells nothing any more
    second = nullptr;
    meter_free(two);
    two = nullptr;
    // Its two are free after the lease; one's three are told again and stay.
    Eventually([&] { return IsIn(one, 1, 5, &kept); });
    Eventually([&] { return IsIn(one, 1, 5, &kept); });
    EXPECT_EQ(5u, kept.size());
    Refused([&] { return IsIn(one, 1, 5, nullptr); });
}

TEST_F(MeterTest, AFrontendThatEndsSaysSo)
{
    std::vector<std::unique_ptr<Seat>> kept, lost;
    for (int i = 0; i < 5; i++) ASSERT_TRUE(IsIn(two, 1, 5, &lost));
    ASSERT_TRUE(IsIn(two, 2, 5, &lost));
    Refused([&] { return IsIn(one, 1, 5, nullptr); });
    meter_leave_all(two);
    meter_leave_all(two);
    Until([&] { return meter_is_quiet(two); });
    for (int i = 0; i < 5; i++) EXPECT_TRUE(IsIn(one, 1, 5, &kept)); // long before the lease is over
    lost.clear();
    Turn();
    EXPECT_TRUE(meter_is_quiet(two));
}

TEST_F(MeterTest, ANewLeaderLearnsWhatIsOpen)
{
    std::vector<std::unique_ptr<Seat>> kept;
    meter_set_lease(one, 1500);
    meter_set_lease(two, 1500);
    for (int i = 0; i < 5; i++) ASSERT_TRUE(IsIn(one, 1, 5, &kept));
    CloseNode();
    OpenNode();
    Eventually([&] { return !IsIn(two, 1, 5, nullptr); });
}

TEST_F(MeterTest, WithoutALeaderEachFrontendIsOnItsOwn)
{
    std::vector<std::unique_ptr<Seat>> kept;
    CloseNode();
    int64_t alone = metric_get(METRIC_COUNTER_ALONE, 0);
    uint64_t began = clock_boot_ms();
    EXPECT_TRUE(IsIn(one, 1, 2, &kept));
    EXPECT_GE(clock_boot_ms() - began + 1, uint64_t(METER_ENTER_MS)); // the leader had its chance
    for (int i = 0; i < 3; i++) EXPECT_TRUE(IsIn(one, 1, 2, &kept));
    EXPECT_EQ(4, metric_get(METRIC_COUNTER_ALONE, 0) - alone);
    // Back again it hears of all four.
    OpenNode();
    Eventually([&] { return !IsIn(two, 1, 4, nullptr); });
}

TEST(MeterNetwork, IsTheAddressOrThe64)
{
    const struct { const char *what; uint8_t ip[16], want[16]; } rows[] = {
        { "IPv4", { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4 }, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4 } },
        { "IPv6", { 0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, { 0x20, 1, 0xd, 0xb8, 1, 2, 3, 4 } },
        { "loopback", { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, {} },
        { "nearly IPv4", { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4 }, { 1 } },
    };
    for (const auto &row : rows) {
        uint8_t got[16];
        meter_network(row.ip, got);
        EXPECT_EQ(0, memcmp(got, row.want, 16)) << row.what;
    }
}

} // namespace

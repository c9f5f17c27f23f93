// Counters of the whole cluster: events over a window, what is open under leases, and both against a model that
// remembers everything.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tally.h"

namespace {

constexpr uint64_t kMinute = 60000;

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
// A span that outlives the text it was made of.
struct span Kept(const std::string &s)
{
    static std::set<std::string> all;
    return S(*all.insert(s).first);
}
const std::string kOwners[] = { std::string(16, 'a'), std::string(16, 'b'), std::string(16, 'c') };

class Tally : public testing::Test {
protected:
    struct tally *tally = nullptr;
    void SetUp() override { ASSERT_EQ(ERR_OK, tally_new(&tally).code); }
    void TearDown() override { tally_free(tally); }

    static tally_ask Events(const std::string &key, uint32_t add, uint32_t limit = 10, uint64_t window = kMinute, uint64_t hold = 5 * kMinute)
    {
        tally_ask ask = {};
        ask.kind = TALLY_LOGIN_USER, ask.tenant = 1, ask.key = Kept(key), ask.add = add, ask.limit = limit;
        ask.window_ms = window, ask.hold_ms = hold;
        return ask;
    }
    static tally_ask Open(const std::string &key, const std::string &owner, uint32_t open, uint32_t more, uint32_t limit = 5)
    {
        tally_ask ask = {};
        ask.kind = TALLY_CONNECTIONS_IMAP, ask.key = Kept(key), ask.owner = Kept(owner);
        ask.open = open, ask.more = more, ask.limit = limit, ask.lease_ms = 30000;
        return ask;
    }
    tally_answer Take(const tally_ask &ask, uint64_t now)
    {
        tally_answer answer = {};
        EXPECT_EQ(ERR_OK, tally_take(tally, &ask, now, &answer).code);
        return answer;
    }
};

TEST_F(Tally, WhatItRefuses)
{
    const std::string key = "u", owner(16, 'o'), longest(TALLY_KEY_MAX_BYTES, 'k'), longer = longest + "k";
    struct Row { const char *what; tally_ask ask; enum err_code want; };
    std::vector<Row> table;
    auto events = [&](const char *what, enum err_code want, auto change) {
        tally_ask ask = Events(key, 1);
        change(ask);
        table.push_back({ what, ask, want });
    };
    auto open = [&](const char *what, enum err_code want, auto change) {
        tally_ask ask = Open(key, owner, 0, 1);
        change(ask);
        table.push_back({ what, ask, want });
    };
    events("good", ERR_OK, [](tally_ask &) {});
    events("longest key", ERR_OK, [&](tally_ask &a) { a.key = S(longest); });
    events("most", ERR_OK, [](tally_ask &a) { a.add = a.limit = TALLY_COUNT_MAX; });
    events("longest window", ERR_OK, [](tally_ask &a) { a.window_ms = a.hold_ms = TALLY_WINDOW_MAX_MS; });
    events("no kind", ERR_SYNTAX, [](tally_ask &a) { a.kind = TALLY_NONE; });
    events("unknown kind", ERR_SYNTAX, [](tally_ask &a) { a.kind = TALLY_KINDS; });
    events("huge kind", ERR_SYNTAX, [](tally_ask &a) { a.kind = UINT32_MAX; });
    events("no key", ERR_SYNTAX, [](tally_ask &a) { a.key = SPAN(""); });
    events("long key", ERR_SYNTAX, [&](tally_ask &a) { a.key = S(longer); });
    events("too many", ERR_SYNTAX, [](tally_ask &a) { a.add = TALLY_COUNT_MAX + 1; });
    events("limit", ERR_SYNTAX, [](tally_ask &a) { a.limit = UINT32_MAX; });
    events("no window", ERR_SYNTAX, [](tally_ask &a) { a.window_ms = 0; });
    events("short window", ERR_SYNTAX, [](tally_ask &a) { a.window_ms = TALLY_TIME_MIN_MS - 1; });
    events("long window", ERR_SYNTAX, [](tally_ask &a) { a.window_ms = TALLY_WINDOW_MAX_MS + 1ull; });
    events("long hold", ERR_SYNTAX, [](tally_ask &a) { a.hold_ms = UINT64_MAX; });
    open("good", ERR_OK, [](tally_ask &) {});
    open("no owner", ERR_SYNTAX, [](tally_ask &a) { a.owner = SPAN(""); });
    open("short owner", ERR_SYNTAX, [](tally_ask &a) { a.owner = SPAN("123456789012345"); });
    open("long owner", ERR_SYNTAX, [](tally_ask &a) { a.owner = SPAN("12345678901234567"); });
    open("no lease", ERR_SYNTAX, [](tally_ask &a) { a.lease_ms = 0; });
    open("long lease", ERR_SYNTAX, [](tally_ask &a) { a.lease_ms = TALLY_LEASE_MAX_MS + 1; });
    open("open", ERR_SYNTAX, [](tally_ask &a) { a.open = TALLY_COUNT_MAX + 1; });
    open("more", ERR_SYNTAX, [](tally_ask &a) { a.more = UINT32_MAX; });
    for (const Row &row : table) {
        tally_answer answer = { 77, 77, 77, true };
        EXPECT_EQ(row.want, tally_take(tally, &row.ask, 1, &answer).code) << row.what;
        if (row.want != ERR_OK) EXPECT_EQ(77u, answer.count) << row.what;
    }
}

TEST_F(Tally, TooManyEventsHoldTheKey)
{
    for (uint32_t i = 1; i < 10; i++) {
        auto answer = Take(Events("u", 1), 1000 * i);
        EXPECT_EQ(i, answer.count);
        EXPECT_EQ(0u, answer.held_ms);
    }
    auto last = Take(Events("u", 1), 10000);
    EXPECT_TRUE(last.began);
    EXPECT_EQ(5 * kMinute, last.held_ms);
    // Held: what comes now counts nothing and prolongs nothing.
    auto held = Take(Events("u", 1), 20000);
    EXPECT_FALSE(held.began);
    EXPECT_EQ(5 * kMinute - 10000, held.held_ms);
    EXPECT_EQ(1u, Take(Events("u", 0), 10000 + 5 * kMinute - 1).held_ms);
    // Over: it begins from 0.
    EXPECT_EQ(1u, Take(Events("u", 1), 10000 + 5 * kMinute).count);
    EXPECT_EQ(0u, Take(Events("v", 0), 10000 + 5 * kMinute).count); // others were never touched
}

TEST_F(Tally, EventsLeaveTheWindow)
{
    EXPECT_EQ(5u, Take(Events("u", 5), 1000).count);
    EXPECT_EQ(5u, Take(Events("u", 0), 1000 + kMinute - 100).count);
    EXPECT_GT(5u, Take(Events("u", 0), 1000 + kMinute + 100).count); // there is room again after exactly a window
    EXPECT_EQ(0u, Take(Events("u", 0), 1000 + kMinute + kMinute / 7 + 10).count);
    EXPECT_EQ(0u, tally_count(tally, TALLY_LOGIN_USER));
    EXPECT_EQ(1u, Take(Events("u", 1), 1000 + 3 * kMinute).count);
}

TEST_F(Tally, KeysAreOfAKindAndATenant)
{
    tally_ask other = Events("u", 1);
    Take(Events("u", 3), 5);
    other.tenant = 2;
    EXPECT_EQ(1u, Take(other, 5).count);
    other.tenant = 1, other.kind = TALLY_LOGIN_ADDRESS;
    EXPECT_EQ(1u, Take(other, 5).count);
    EXPECT_EQ(4u, Take(Events("u", 1), 5).count);
    EXPECT_EQ(1u, Take(Events("uu", 1), 5).count);
}

TEST_F(Tally, ClearForgets)
{
    EXPECT_TRUE(Take(Events("u", 10), 5).began);
    tally_ask clear = Events("u", 0);
    clear.clear = true;
    EXPECT_EQ(0u, Take(clear, 6).held_ms);
    EXPECT_EQ(0u, tally_count(tally, TALLY_LOGIN_USER));
    EXPECT_EQ(1u, Take(Events("u", 1), 7).count);
    clear.add = 2;
    EXPECT_EQ(2u, Take(clear, 8).count);
    EXPECT_EQ(0u, Take(Events("u", 0, 0), 9).held_ms); // no limit: nothing is held
}

TEST_F(Tally, WhatIsOpenIsCountedOverAllOwners)
{
    const auto &[a, b, c] = kOwners;
    EXPECT_EQ(3u, Take(Open("k", a, 0, 3), 1).granted);
    auto answer = Take(Open("k", b, 0, 4), 2);
    EXPECT_EQ(2u, answer.granted);
    EXPECT_EQ(5u, answer.count);
    EXPECT_EQ(0u, Take(Open("k", c, 0, 1), 3).granted);
    EXPECT_EQ(5u, Take(Open("k", a, 3, 0), 4).count); // a renewal changes nothing
    EXPECT_EQ(4u, Take(Open("k", a, 2, 0), 5).count);
    EXPECT_EQ(1u, Take(Open("k", c, 0, 2), 6).granted);
    // What is open is open, whatever the limit says.
    answer = Take(Open("k", a, 9, 1), 7);
    EXPECT_EQ(0u, answer.granted);
    EXPECT_EQ(12u, answer.count);
    for (const auto &owner : kOwners) Take(Open("k", owner, 0, 0), 8);
    EXPECT_EQ(0u, tally_count(tally, TALLY_CONNECTIONS_IMAP));
}

TEST_F(Tally, AnOwnerThatIsSilentIsForgotten)
{
    const auto &[a, b, c] = kOwners;
    Take(Open("k", a, 0, 4), 1000);
    Take(Open("k", b, 0, 1), 2000);
    EXPECT_EQ(0u, Take(Open("k", c, 0, 1), 30999).granted);
    Take(Open("k", b, 1, 0), 30999);
    EXPECT_EQ(4u, Take(Open("k", c, 0, 9), 31000).granted); // a's lease is over, b's is not
    EXPECT_EQ(4u, Take(Open("k", a, 4, 0), 31001).count - 5); // it was only slow: it has them still
}

TEST_F(Tally, AFullTableRefusesNewKeysOnlyUntilSomeRunOut)
{
    constexpr uint32_t kMax = 100000; // tally_kinds.def
    for (uint32_t i = 0; i < kMax; i++) Take(Events("u" + std::to_string(i), 1), 1000);
    EXPECT_EQ(size_t(kMax), tally_count(tally, TALLY_LOGIN_USER));
    tally_answer answer = {};
    tally_ask one_more = Events("more", 1), asked = Events("more", 0), known = Events("u7", 1);
    EXPECT_EQ(ERR_BUSY, tally_take(tally, &one_more, 1001, &answer).code);
    EXPECT_EQ(0u, Take(asked, 1001).count);
    EXPECT_EQ(2u, Take(known, 1001).count);
    tally_ask other = Events("more", 1);
    other.kind = TALLY_LOGIN_ADDRESS;
    EXPECT_EQ(1u, Take(other, 1001).count); // another kind has room of its own
    EXPECT_EQ(1u, Take(one_more, 1000 + 2 * kMinute).count);
    EXPECT_GT(size_t(kMax), tally_count(tally, TALLY_LOGIN_USER));
    for (uint32_t i = 0; i < kMax; i++) Take(Events("none", 0), 1000 + 20 * kMinute);
    EXPECT_EQ(0u, tally_count(tally, TALLY_LOGIN_USER)); // asking clears away
    EXPECT_STREQ("login_user", tally_kind_text(TALLY_LOGIN_USER));
}

TEST_F(Tally, AKeyHasAtMostSoManyOwners)
{
    tally_answer answer = {};
    for (unsigned i = 0; i <= TALLY_OWNERS_MAX; i++) {
        std::string owner(16, 'o');
        snprintf(owner.data(), 16, "%u", i);
        tally_ask ask = Open("k", owner, 0, 1, 100000);
        EXPECT_EQ(i < TALLY_OWNERS_MAX ? ERR_OK : ERR_BUSY, tally_take(tally, &ask, 5, &answer).code) << i;
    }
}

// Any run of checks: the count lies between that of six sevenths of the window and that of eight.
TEST_F(Tally, EventsAgainstAModel)
{
    struct Model { std::deque<std::pair<uint64_t, uint32_t>> events; uint64_t held_until = 0; };
    for (unsigned seed = 0; seed < 20; seed++) {
        std::mt19937 random(seed);
        std::map<std::string, Model> model;
        const uint64_t window = 1000 + random() % 100000, hold = 1 + random() % 200000, part = (window + 6) / 7;
        const uint32_t limit = 2 + random() % 30;
        uint64_t now = 1 + random() % 100000;
        struct tally *t = nullptr;
        ASSERT_EQ(ERR_OK, tally_new(&t).code);
        for (int turn = 0; turn < 3000; turn++) {
            now += random() % 3 == 0 ? random() % (window / 2) : random() % 100;
            std::string key = "k" + std::to_string(random() % 4);
            tally_ask ask = Events(key, random() % 3, limit, window, hold);
            ask.clear = random() % 50 == 0;
            tally_answer answer = {};
            ASSERT_EQ(ERR_OK, tally_take(t, &ask, now, &answer).code);
            Model &m = model[key];
            if (ask.clear) m = Model();
            ASSERT_EQ(m.held_until > now ? m.held_until - now : 0, answer.began ? 0 : answer.held_ms) << seed << " " << turn;
            if (m.held_until > now) continue;
            if (m.held_until != 0) m = Model();
            if (ask.add > 0) m.events.push_back({ now, ask.add });
            uint64_t least = 0, most = 0;
            for (const auto &[at, add] : m.events) {
                if (at + window > now + part) least += add;
                if (at + window + part >= now) most += add;
            }
            ASSERT_LE(least, answer.count) << seed << " " << turn;
            ASSERT_GE(most, answer.count) << seed << " " << turn;
            ASSERT_EQ(answer.count >= limit, answer.began);
            if (answer.began) m.held_until = now + hold;
        }
        tally_free(t);
    }
}

// Any run of reports: never more granted than the limit leaves over those whose lease holds, and as much as that.
TEST_F(Tally, OpenThingsAgainstAModel)
{
    struct Share { uint32_t open; uint64_t until; };
    for (unsigned seed = 0; seed < 20; seed++) {
        std::mt19937 random(seed);
        std::map<std::string, std::map<std::string, Share>> model;
        const uint32_t limit = 1 + random() % 10;
        uint64_t now = 1;
        struct tally *t = nullptr;
        ASSERT_EQ(ERR_OK, tally_new(&t).code);
        for (int turn = 0; turn < 3000; turn++) {
            now += random() % 10 == 0 ? random() % 40000 : random() % 100;
            std::string key = "k" + std::to_string(random() % 3);
            const std::string &owner = kOwners[random() % 3];
            auto &shares = model[key];
            uint32_t has = shares.count(owner) && shares[owner].until > now ? shares[owner].open : 0;
            tally_ask ask = Open(key, owner, has - (has > 0 ? random() % (has + 1) : 0), random() % 4, limit);
            tally_answer answer = {};
            ASSERT_EQ(ERR_OK, tally_take(t, &ask, now, &answer).code);
            uint32_t others = 0;
            for (const auto &[name, share] : shares) others += name != owner && share.until > now ? share.open : 0;
            uint32_t room = others + ask.open < limit ? limit - others - ask.open : 0;
            ASSERT_EQ(std::min(room, ask.more), answer.granted) << seed << " " << turn;
            shares[owner] = { ask.open + answer.granted, now + 30000 };
            ASSERT_EQ(others + shares[owner].open, answer.count);
        }
        tally_free(t);
    }
}

TEST_F(Tally, PlacesAreReservedUpToTheLimit)
{
    auto reserve = [&](uint64_t now, uint64_t release = 0, uint32_t add = 0) {
        auto ask = Events("u", add, 3);
        ask.more = add == 0 ? 1 : 0, ask.release = release;
        return Take(ask, now);
    };
    auto one = reserve(0), two = reserve(1);
    EXPECT_NE(0u, one.reservation);
    EXPECT_FALSE(one.busy || two.busy);
    EXPECT_EQ(0u, one.count);
    EXPECT_EQ(1u, reserve(2, one.reservation, 1).count); // it was wrong: an event in its place
    auto three = reserve(3);
    EXPECT_FALSE(three.busy);
    auto four = reserve(4); // one event and two places
    EXPECT_TRUE(four.busy);
    EXPECT_EQ(0u, four.reservation);
    EXPECT_EQ(0u, four.held_ms);
    auto back = Events("u", 0, 3);
    back.release = two.reservation;
    Take(back, 5); // it was right
    four = reserve(6);
    EXPECT_FALSE(four.busy);
    reserve(7, three.reservation, 1);
    EXPECT_TRUE(reserve(8, four.reservation, 1).began); // the third
    EXPECT_EQ(0u, reserve(9).reservation);
    EXPECT_GT(reserve(9).held_ms, 0u);
    EXPECT_FALSE(reserve(9).busy);
    EXPECT_FALSE(reserve(8 + 5 * kMinute).busy); // the time is over
}

TEST_F(Tally, PlacesRunOutByThemselvesAndNotTooSoon)
{
    auto ask = Events("u", 0, 2);
    ask.more = 1;
    for (uint64_t begin : { uint64_t(1000), uint64_t(19999), uint64_t(20000), uint64_t(3600007) }) {
        auto first = Take(ask, begin);
        Take(ask, begin);
        for (uint64_t at = begin; at < begin + TALLY_RESERVE_MS; at += 997) EXPECT_TRUE(Take(ask, at).busy) << begin << " " << at;
        uint64_t end = begin + TALLY_RESERVE_MS + TALLY_RESERVE_MS / 3;
        EXPECT_FALSE(Take(ask, end).busy) << begin;
        // What has run out, or is none, is given back without harm.
        for (uint64_t release : { first.reservation, uint64_t(0), first.reservation + 1000, ~uint64_t(0) }) {
            auto back = Events("u", 0, 2);
            back.release = release;
            Take(back, end);
        }
        EXPECT_FALSE(Take(ask, end).busy);
        EXPECT_TRUE(Take(ask, end).busy);
        EXPECT_EQ(1u, tally_count(tally, TALLY_LOGIN_USER));
        tally_free(tally);
        ASSERT_EQ(ERR_OK, tally_new(&tally).code);
    }
}

TEST_F(Tally, PlacesStayWhenFailuresAreForgotten)
{
    auto ask = Events("u", 0, 3), clear = Events("u", 0, 3);
    ask.more = 1;
    uint64_t place = Take(ask, 0).reservation;
    Take(ask, 0);
    Take(Events("u", 1, 3), 0);
    EXPECT_TRUE(Take(ask, 1).busy);
    clear.clear = true, clear.release = place;
    EXPECT_EQ(0u, Take(clear, 2).count);
    EXPECT_FALSE(Take(ask, 3).busy);
    EXPECT_FALSE(Take(ask, 3).busy);
    EXPECT_TRUE(Take(ask, 3).busy);
    clear.release = 0;
    Take(clear, 2 * TALLY_RESERVE_MS); // nothing is left of it
    EXPECT_EQ(0u, tally_count(tally, TALLY_LOGIN_USER));
    // Without a limit there are places without end; two at once are none.
    auto any = Events("v", 0, 0);
    any.more = 1;
    for (int i = 0; i < 100; i++) EXPECT_FALSE(Take(any, 3 * TALLY_RESERVE_MS).busy);
    any.more = 2;
    tally_answer answer;
    EXPECT_EQ(ERR_SYNTAX, tally_take(tally, &any, 3 * TALLY_RESERVE_MS, &answer).code);
}

TEST_F(Tally, WhereThereIsNoRoomAPlaceIsGrantedUncounted)
{
    auto ask = Events("u", 0, 1);
    ask.more = 1;
    for (int i = 0; i < 100000; i++) {
        std::string key = std::to_string(i);
        ask.key = S(key);
        ASSERT_NE(0u, Take(ask, 5).reservation);
    }
    ask.key = SPAN("one more");
    for (int i = 0; i < 3; i++) {
        auto answer = Take(ask, 6);
        EXPECT_FALSE(answer.busy);
        EXPECT_EQ(0u, answer.reservation);
    }
}

} // namespace

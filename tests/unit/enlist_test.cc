// Scanners of one pool on a file store: their rows, their turns, and what they know as bad.
#include "enlist.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "clock.h"
#include "coord.h"
#include "crew.h"
#include "loop.h"
#include "test_directory.h"

namespace {

constexpr uint64_t kPatienceMs = 30000;

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

struct Member {
    struct coord *coord = nullptr;
    struct enlist *enlist = nullptr;
    unsigned changes = 0, stops = 0;
    std::vector<enum enlist_event> events;

    static void Noticed(void *holder, enum enlist_event event, struct err)
    {
        static_cast<Member *>(holder)->events.push_back(event);
    }
    static void Changed(void *holder) { static_cast<Member *>(holder)->changes++; }
    static void Stopped(void *holder) { static_cast<Member *>(holder)->stops++; }
    bool Saw(enum enlist_event event) const
    {
        for (auto e : events) {
            if (e == event) return true;
        }
        return false;
    }
};

class Enlist : public testing::Test {
protected:
    TestDirectory d;
    struct loop *loop = nullptr;
    struct crew *crew = nullptr;
    Member members[3];

    void SetUp() override
    {
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        ASSERT_EQ(ERR_OK, crew_new("test", 2, 64, &crew).code);
        for (auto &m : members) ASSERT_EQ(ERR_OK, coord_open(loop, d.path.c_str(), &m.coord).code);
    }
    void TearDown() override
    {
        for (auto &m : members) {
            if (m.enlist != nullptr) Leave(&m);
        }
        for (auto &m : members) coord_close(m.coord);
        crew_free(crew);
        for (int i = 0; i < 5; i++) loop_step(loop, 0);
        loop_free(loop);
    }
    bool Until(const std::function<bool()> &is)
    {
        uint64_t end_ms = clock_boot_ms() + kPatienceMs;
        while (!is()) {
            if (clock_boot_ms() > end_ms) return false;
            loop_step(loop, 20);
        }
        return true;
    }
    enum err_code Join(Member *m, const std::string &name, const std::string &address)
    {
        struct enlist_options options = {};
        options.coord = m->coord;
        options.crew = crew;
        options.name = S(name);
        options.address = S(address);
        options.workers = 2;
        options.noticed = Member::Noticed;
        options.changed = Member::Changed;
        options.holder = m;
        return enlist_start(loop, &options, &m->enlist).code;
    }
    void Leave(Member *m)
    {
        unsigned stops = m->stops;
        enlist_stop(m->enlist, Member::Stopped, m);
        m->enlist = nullptr;
        EXPECT_TRUE(Until([&] { return m->stops == stops + 1; }));
    }
    // As the others see it.
    static void Say(struct enlist *enlist, uint64_t set, struct span version, uint64_t refused, uint64_t date_ms = 5)
    {
        enlist_signatures signatures = { set, date_ms, refused, version };
        enlist_say(enlist, &signatures);
    }
    bool Row(const std::string &name, struct roster_scanner *ret)
    {
        struct coord_row row;
        return coord_get(members[2].coord, S("scanners/" + name), &row) && roster_scanner_read(row.value, ret).code == ERR_OK;
    }
};

TEST_F(Enlist, AScannerIsListedAndSaysWhatItUses)
{
    struct roster_scanner row = {};
    ASSERT_EQ(ERR_OK, Join(&members[0], "scanner-1", "10.0.0.1:7001"));
    ASSERT_TRUE(Until([&] { return enlist_is_listed(members[0].enlist) && Row("scanner-1", &row); }));
    EXPECT_TRUE(enlist_has_contact(members[0].enlist));
    EXPECT_TRUE(members[0].Saw(ENLIST_LISTED));
    EXPECT_EQ("10.0.0.1:7001", std::string(row.address, row.address_len));
    EXPECT_EQ(2u, row.workers);
    EXPECT_EQ(0u, row.set);
    Say(members[0].enlist, 77, S("1.4/5\""), 0);
    ASSERT_TRUE(Until([&] { return Row("scanner-1", &row) && row.set == 77; }));
    EXPECT_EQ("1.4/5?", Str(roster_text_span(&row.version)));
    Say(members[0].enlist, 77, S("1.4/5"), 78);
    Say(members[0].enlist, 79, S("1.4/6"), 0); // the last word counts
    ASSERT_TRUE(Until([&] { return Row("scanner-1", &row) && row.set == 79; }));
    EXPECT_EQ(0u, row.refused);
    Leave(&members[0]); // gives its lease back
    EXPECT_TRUE(Until([&] { return !Row("scanner-1", &row); }));
}

TEST_F(Enlist, ANameIsOneScannersAndAnAddressToo)
{
    struct roster_scanner first = {}, row = {};
    ASSERT_EQ(ERR_OK, Join(&members[0], "scanner-1", "10.0.0.1:7001"));
    ASSERT_TRUE(Until([&] { return enlist_is_listed(members[0].enlist) && Row("scanner-1", &first); }));
    ASSERT_EQ(ERR_OK, Join(&members[1], "scanner-1", "10.0.0.2:7001"));
    ASSERT_TRUE(Until([&] { return members[1].Saw(ENLIST_NAME_IN_USE); }));
    EXPECT_FALSE(enlist_is_listed(members[1].enlist));
    Leave(&members[0]);
    ASSERT_TRUE(Until([&] { return enlist_is_listed(members[1].enlist); })); // now the name is free
    // One that starts at the address of another, which is therefore gone, takes its row at once.
    members[1].events.clear();
    ASSERT_EQ(ERR_OK, Join(&members[0], "scanner-1", "10.0.0.2:7001"));
    ASSERT_TRUE(Until([&] { return enlist_is_listed(members[0].enlist); }));
    ASSERT_TRUE(Until([&] { return Row("scanner-1", &row); }));
    EXPECT_FALSE(roster_id_eq(&first.boot, &row.boot));
    // The one before does not take it back: two do not write in turns.
    ASSERT_TRUE(Until([&] { return members[1].Saw(ENLIST_NAME_IN_USE); }));
    EXPECT_FALSE(enlist_is_listed(members[1].enlist));
    first = row;
    Say(members[1].enlist, 5, S("v"), 0);
    Say(members[0].enlist, 6, S("v"), 0);
    ASSERT_TRUE(Until([&] { return Row("scanner-1", &row) && row.set == 6; }));
    EXPECT_TRUE(roster_id_eq(&first.boot, &row.boot));
}

TEST_F(Enlist, OneAtATimeHasTheTurn)
{
    ASSERT_EQ(ERR_OK, Join(&members[0], "scanner-1", "10.0.0.1:7001"));
    ASSERT_EQ(ERR_OK, Join(&members[1], "scanner-2", "10.0.0.2:7001"));
    ASSERT_TRUE(Until([&] {
        return enlist_is_listed(members[0].enlist) && enlist_is_listed(members[1].enlist) &&
               !enlist_is_busy(members[0].enlist) && !enlist_is_busy(members[1].enlist);
    }));
    struct enlist *a = members[0].enlist, *b = members[1].enlist;
    EXPECT_EQ(ENLIST_NOBODYS, enlist_turn(a));
    enlist_give_turn(a); // it has none: nothing happens
    EXPECT_FALSE(enlist_is_busy(a));
    enlist_take_turn(a, 5);
    enlist_take_turn(b, 5); // at the same moment
    EXPECT_TRUE(enlist_is_busy(a));
    ASSERT_TRUE(Until([&] {
        return !enlist_is_busy(a) && !enlist_is_busy(b) && enlist_turn(a) != ENLIST_NOBODYS && enlist_turn(b) != ENLIST_NOBODYS;
    }));
    EXPECT_NE(enlist_turn(a) == ENLIST_OURS, enlist_turn(b) == ENLIST_OURS);
    Member *holder = enlist_turn(a) == ENLIST_OURS ? &members[0] : &members[1];
    Member *other = holder == &members[0] ? &members[1] : &members[0];
    EXPECT_EQ(ENLIST_ANOTHERS, enlist_turn(other->enlist));
    enlist_give_turn(holder->enlist);
    ASSERT_TRUE(Until([&] { return enlist_turn(other->enlist) == ENLIST_NOBODYS && !enlist_is_busy(other->enlist); }));
    enlist_take_turn(other->enlist, 5);
    ASSERT_TRUE(Until([&] { return enlist_turn(other->enlist) == ENLIST_OURS; }));
    ASSERT_TRUE(Until([&] { return enlist_turn(holder->enlist) == ENLIST_ANOTHERS; }));
    Leave(other); // with it goes its turn
    ASSERT_TRUE(Until([&] { return enlist_turn(holder->enlist) == ENLIST_NOBODYS; }));
}

TEST_F(Enlist, WhatOneMarksAsBadAllKnow)
{
    ASSERT_EQ(ERR_OK, Join(&members[0], "scanner-1", "10.0.0.1:7001"));
    ASSERT_EQ(ERR_OK, Join(&members[1], "scanner-2", "10.0.0.2:7001"));
    ASSERT_TRUE(Until([&] {
        return enlist_is_listed(members[0].enlist) && enlist_is_listed(members[1].enlist) &&
               !enlist_is_busy(members[0].enlist) && !enlist_is_busy(members[1].enlist);
    }));
    struct roster_bad bad;
    auto knows = [&](Member &m, uint64_t set) {
        enlist_bad(m.enlist, &bad);
        return roster_bad_find(&bad, set) != nullptr;
    };
    enlist_mark(members[0].enlist, 5, S("it does not find EICAR"));
    ASSERT_TRUE(Until([&] { return knows(members[1], 5) && !enlist_is_busy(members[1].enlist); }));
    EXPECT_EQ("scanner-1", Str(roster_name_span(&bad.sets[0].by)));
    EXPECT_EQ("it does not find EICAR", Str(roster_text_span(&bad.sets[0].why)));
    enlist_mark(members[1].enlist, 6, S("Malformed database"));
    ASSERT_TRUE(Until([&] { return knows(members[0], 6) && knows(members[0], 5) && !enlist_is_busy(members[0].enlist); }));
    enlist_unmark(members[0].enlist, 5);
    ASSERT_TRUE(Until([&] { return !knows(members[1], 5); }));
    EXPECT_TRUE(knows(members[1], 6));
    // A list that nobody can read is no list, and is written anew.
    ASSERT_TRUE(Until([&] { return !enlist_is_busy(members[0].enlist); }));
    const struct coord_row junk = { SPAN("signatures/bad"), SPAN("[]"), COORD_ANY };
    ASSERT_EQ(ERR_OK, coord_put(d.path.c_str(), &junk).code);
    ASSERT_TRUE(Until([&] { return !knows(members[0], 6); }));
    ASSERT_TRUE(Until([&] { return !enlist_is_busy(members[0].enlist); }));
    enlist_mark(members[0].enlist, 7, S("x"));
    ASSERT_TRUE(Until([&] { return knows(members[1], 7); }));
    EXPECT_EQ(1u, bad.count);
}

TEST_F(Enlist, BadNamesAndAddressesAreRefused)
{
    const struct { const char *name, *address; } cases[] = {
        { "", "10.0.0.1:1" }, { "a/b", "10.0.0.1:1" }, { "a b", "10.0.0.1:1" }, { "a", "" }, { "a", "10.0.0.1: 1" },
        { "a", "un\"ix:/x" }, { "a", "unix:\\x" }, { "a", "unix:/\xff" },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(ERR_SYNTAX, Join(&members[0], c.name, c.address)) << c.name << " " << c.address;
        EXPECT_EQ(nullptr, members[0].enlist);
    }
    EXPECT_EQ(ERR_SYNTAX, Join(&members[0], std::string(64, 'n'), "h:1"));
    EXPECT_EQ(ERR_SYNTAX, Join(&members[0], "n", std::string(256, 'h')));
}

}  // namespace

// When a copy that is wanted nowhere is closed, and when it is deleted.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "enroll_park.h"

namespace {

roster_id Id(char c)
{
    roster_id id;
    memset(id.bytes, c, sizeof(id.bytes));
    return id;
}

const roster_id kMe = Id('m'), kA = Id('a'), kB = Id('b');
enum { kDelay = 86400000, kBegin = 5000 };

struct Copy {
    roster_shard row{}, read{};
    roster_place place{};
    enroll_park park{};
    enroll_park_seen seen{};
    Copy()
    {
        row.epoch = 7;
        row.has_leader = true;
        row.leader = kA;
        row.isr = Copies({kA, kB});
        read = row;
        place.replicas = Copies({kA, kB});
        seen.sid = kMe;
        seen.row = &row;
        seen.place = &place;
        seen.accepted_epoch = 6;
        seen.now_ms = kBegin;
        seen.delay_ms = kDelay;
    }
    static roster_copies Copies(const std::vector<roster_id> &ids)
    {
        roster_copies copies{};
        for (auto &id : ids) copies.ids[copies.count++] = id;
        return copies;
    }
    enroll_park_wish Step() { return enroll_park_step(&park, &seen); }
    // Parked, closed, and the delay is over.
    void Parked()
    {
        ASSERT_EQ(ENROLL_PARK_CLOSE, Step());
        seen.is_closed = true;
        ASSERT_EQ(ENROLL_PARK_NOTHING, Step());
        seen.now_ms = kBegin + kDelay - 1;
        ASSERT_EQ(ENROLL_PARK_NOTHING, Step());
        seen.now_ms++;
        ASSERT_EQ(ENROLL_PARK_ASK, Step());
        seen.read = &read;
        seen.read_ms = seen.now_ms;
    }
};

TEST(EnrollPark, ClosedAtOnceAndDeletedAfterTheDelayAndARead)
{
    Copy copy;
    copy.Parked();
    EXPECT_EQ(ENROLL_PARK_DROP, copy.Step());
    EXPECT_EQ(ENROLL_PARK_DROP, copy.Step()) << "again, if it could not be done";
    Copy at_once;
    at_once.seen.delay_ms = 0;
    at_once.seen.is_closed = true;
    EXPECT_EQ(ENROLL_PARK_ASK, at_once.Step());
}

TEST(EnrollPark, WhoIsNamedIsLeftAlone)
{
    const std::function<void(Copy &)> cases[] = {
        [](Copy &c) { c.row.isr = Copy::Copies({kA, kMe}); },
        [](Copy &c) { c.row.leader = kMe; },
        [](Copy &c) { c.place.replicas = Copy::Copies({kA, kMe}); },
        [](Copy &c) { c.seen.row = nullptr; },
        [](Copy &c) { c.seen.place = nullptr; },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SCOPED_TRACE(i);
        Copy copy;
        cases[i](copy);
        EXPECT_EQ(ENROLL_PARK_NOTHING, copy.Step());
        Copy parked;
        parked.Parked();
        cases[i](parked);
        EXPECT_EQ(ENROLL_PARK_NOTHING, parked.Step());
    }
}

TEST(EnrollPark, NothingIsDeletedThatMayBeTheLast)
{
    const std::function<void(Copy &)> cases[] = {
        [](Copy &c) { c.read.isr = Copy::Copies({kA, kMe}); },   // the read names it
        [](Copy &c) { c.read.leader = kMe; },
        [](Copy &c) { c.read.has_leader = c.row.has_leader = false; },
        [](Copy &c) { c.read.has_leader = false; },
        [](Copy &c) { c.read.isr.count = 0; },
        [](Copy &c) { c.row.isr.count = 0; },
        [](Copy &c) { c.seen.accepted_epoch = 8; },              // rows of before
        [](Copy &c) { c.read.epoch = 5; },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SCOPED_TRACE(i);
        Copy copy;
        copy.Parked();
        cases[i](copy);
        EXPECT_EQ(ENROLL_PARK_NOTHING, copy.Step());
    }
    Copy early;
    early.Parked();
    early.seen.read_ms = kBegin + kDelay - 1;
    EXPECT_EQ(ENROLL_PARK_ASK, early.Step()) << "read before the delay was over";
}

TEST(EnrollPark, WhoWasNamedInBetweenWaitsTheWholeDelayAgain)
{
    Copy copy;
    copy.Parked();
    copy.place.replicas = Copy::Copies({kA, kMe});
    EXPECT_EQ(ENROLL_PARK_NOTHING, copy.Step());
    copy.place.replicas = Copy::Copies({kA, kB});
    copy.seen.is_closed = false;
    EXPECT_EQ(ENROLL_PARK_CLOSE, copy.Step());
    copy.seen.is_closed = true;
    EXPECT_EQ(ENROLL_PARK_NOTHING, copy.Step());
    copy.seen.now_ms += kDelay;
    EXPECT_EQ(ENROLL_PARK_ASK, copy.Step()) << "and the read of before does not count";
    copy.seen.read_ms = copy.seen.now_ms;
    EXPECT_EQ(ENROLL_PARK_DROP, copy.Step());
}

}  // namespace

// What a data directory does about the cluster's rows.
#include "enroll_step.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

struct roster_id Id(uint8_t n)
{
    struct roster_id id = {};
    id.bytes[0] = n;
    return id;
}

enum : uint8_t { SELF = 1, OTHER = 2, BOOT = 10, OLD_BOOT = 11 };

struct roster_shard Row(uint64_t epoch, uint8_t leader, uint8_t boot, std::vector<uint8_t> isr)
{
    struct roster_shard row = {};
    row.epoch = epoch;
    row.has_leader = epoch > 0;
    row.how = epoch > 0 ? ROSTER_TAKEOVER : ROSTER_BOOTSTRAP;
    row.leader = Id(leader);
    row.boot = Id(boot);
    for (uint8_t id : isr) row.isr.ids[row.isr.count++] = Id(id);
    return row;
}

struct roster_place Place(std::vector<uint8_t> replicas)
{
    struct roster_place place = {};
    place.target = 3;
    place.min_isr = 2;
    for (uint8_t id : replicas) place.replicas.ids[place.replicas.count++] = Id(id);
    return place;
}

TEST(Enroll, OnlyWhatTheRowsNameIsOpened)
{
    const struct enroll_self self = { Id(SELF), Id(BOOT) };
    const struct {
        const char *what;
        std::vector<uint8_t> isr, replicas;
        bool wants;
    } cases[] = {
        { "another's", { OTHER }, { OTHER }, false },
        { "alone", { SELF }, { SELF }, true },
        { "in sync, among others", { OTHER, SELF, 5 }, { OTHER, SELF, 5 }, true },
        { "to be a copy", { OTHER }, { OTHER, SELF }, true },
        { "to be one no more, and in sync still", { OTHER, SELF }, { OTHER, 5 }, true },
        { "removed", { OTHER, 5 }, { OTHER, 5 }, false },
        { "nobody is in sync", {}, { SELF }, true },
        { "nobody at all", {}, {}, false },
    };
    for (const auto &c : cases) {
        struct roster_shard row = Row(3, OTHER, 5, c.isr);
        struct roster_place place = Place(c.replicas);
        EXPECT_EQ(c.wants, enroll_wants(&self, &row, &place)) << c.what;
        // How many copies a change needs is not known, or who is in sync is not.
        EXPECT_FALSE(enroll_wants(&self, &row, nullptr)) << c.what;
        EXPECT_FALSE(enroll_wants(&self, nullptr, &place)) << c.what;
        EXPECT_FALSE(enroll_wants(&self, nullptr, nullptr)) << c.what;
    }
}

TEST(Enroll, ALaterStartOfTheSameDirectoryIsAClone)
{
    struct roster_store row = {};
    row.boot = 4;
    EXPECT_FALSE(enroll_is_clone(&row, 4));
    EXPECT_FALSE(enroll_is_clone(&row, 5)); // our own row is on its way
    EXPECT_TRUE(enroll_is_clone(&row, 3));
    row.boot = UINT64_MAX;
    EXPECT_TRUE(enroll_is_clone(&row, UINT64_MAX - 1));
}

TEST(Enroll, ADirectoryThatIsBehindItsRowIsRefused)
{
    struct roster_name node, zone = {};
    struct roster_store old = {}, next;
    ASSERT_EQ(ERR_OK, roster_name_set(&node, S("n1")).code);
    ASSERT_EQ(ERR_OK, enroll_store(nullptr, 1, &node, &zone, 500, &next).code);
    EXPECT_EQ(1u, next.boot);
    EXPECT_EQ(500u, next.capacity_bytes);
    EXPECT_EQ(ROSTER_ACTIVE, next.state);
    old.boot = 4;
    for (uint64_t boot : { 1u, 3u, 4u }) {
        EXPECT_EQ(ERR_CONFLICT, enroll_store(&old, boot, &node, &zone, 500, &next).code) << boot;
    }
    // A start that ended before it could say so is no reason.
    for (uint64_t boot : { 5u, 6u, 90u }) {
        EXPECT_EQ(ERR_OK, enroll_store(&old, boot, &node, &zone, 500, &next).code) << boot;
        EXPECT_EQ(boot, next.boot);
    }
    old.state = ROSTER_DEAD;
    ASSERT_EQ(ERR_OK, enroll_store(&old, 5, &node, &zone, 500, &next).code);
    EXPECT_EQ(ROSTER_ACTIVE, next.state);
    old.state = ROSTER_DRAINING;
    ASSERT_EQ(ERR_OK, enroll_store(&old, 5, &node, &zone, 500, &next).code);
    EXPECT_EQ(ROSTER_DRAINING, next.state);
}

TEST(Enroll, ANameIsOneNodes)
{
    const struct enroll_self self = { Id(SELF), Id(BOOT) };
    struct roster_live live = {};
    EXPECT_TRUE(enroll_may_go_live(&self, nullptr));
    live.boot = Id(OLD_BOOT);
    live.stores_count = 1;
    live.stores[0] = Id(OTHER);
    EXPECT_FALSE(enroll_may_go_live(&self, &live));
    live.stores_count = 0;
    EXPECT_FALSE(enroll_may_go_live(&self, &live));
    live.stores_count = 1;
    live.stores[0] = Id(SELF); // of the process before this one
    EXPECT_TRUE(enroll_may_go_live(&self, &live));
    live.boot = Id(BOOT);
    live.stores[0] = Id(OTHER);
    EXPECT_TRUE(enroll_may_go_live(&self, &live));
}

} // namespace

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

TEST(Enroll, EachRowHasItsWish)
{
    const struct enroll_self self = { Id(SELF), Id(BOOT) };
    const struct {
        const char *what;
        struct roster_shard row;
        struct enroll_here here; // open, accepted, led
        enum enroll_wish wish;
        uint64_t epoch;
    } cases[] = {
        { "another's", Row(3, OTHER, 5, { OTHER }), { false, 0, 0 }, ENROLL_NOTHING, 0 },
        { "another's, though its rows lie here", Row(3, OTHER, 5, { OTHER }), { true, 2, 0 },
          ENROLL_NOTHING, 0 },
        { "new", Row(0, 0, 0, { SELF }), { false, 0, 0 }, ENROLL_OPEN, 0 },
        { "new, open", Row(0, 0, 0, { SELF }), { true, 0, 0 }, ENROLL_TAKE_OVER, 1 },
        { "of the last start", Row(7, SELF, OLD_BOOT, { SELF }), { true, 7, 0 }, ENROLL_TAKE_OVER, 8 },
        { "the row came before its EPOCH was logged", Row(7, SELF, OLD_BOOT, { SELF }), { true, 5, 0 },
          ENROLL_TAKE_OVER, 8 },
        { "moved from one machine, where epochs were its own", Row(0, 0, 0, { SELF }), { true, 40, 0 },
          ENROLL_TAKE_OVER, 41 },
        { "won", Row(8, SELF, BOOT, { SELF }), { true, 7, 0 }, ENROLL_LEAD, 8 },
        { "won, not open yet", Row(8, SELF, BOOT, { SELF }), { false, 0, 0 }, ENROLL_OPEN, 0 },
        { "led", Row(8, SELF, BOOT, { SELF }), { true, 8, 8 }, ENROLL_NOTHING, 0 },
        { "led, the row seen late", Row(7, SELF, OLD_BOOT, { SELF }), { true, 8, 8 }, ENROLL_NOTHING, 0 },
        { "a copy of the directory took over", Row(9, SELF, 12, { SELF }), { true, 8, 8 }, ENROLL_CLONE, 0 },
        { "another took over", Row(9, OTHER, 12, { OTHER }), { true, 8, 8 }, ENROLL_CLONE, 0 },
        { "with other copies it is not alone to say", Row(7, OTHER, 5, { OTHER, SELF }), { true, 7, 0 },
          ENROLL_NOTHING, 0 },
        { "with other copies, own earlier lead", Row(7, SELF, OLD_BOOT, { SELF, OTHER }), { true, 7, 0 },
          ENROLL_NOTHING, 0 },
    };
    for (const auto &c : cases) {
        struct enroll_answer answer;
        enroll_step(&self, &c.row, &c.here, &answer);
        EXPECT_EQ(c.wish, answer.wish) << c.what;
        if (c.wish == ENROLL_LEAD) {
            EXPECT_EQ(c.epoch, answer.epoch) << c.what;
        }
        if (c.wish != ENROLL_TAKE_OVER) continue;
        EXPECT_EQ(c.epoch, answer.next.epoch) << c.what;
        EXPECT_TRUE(roster_id_eq(&answer.next.leader, &self.sid)) << c.what;
        EXPECT_TRUE(roster_id_eq(&answer.next.boot, &self.boot)) << c.what;
        EXPECT_EQ(ROSTER_TAKEOVER, answer.next.how);
        EXPECT_EQ(1u, answer.next.isr.count);
        // Carried out, it is led, with an epoch that the log takes.
        struct enroll_here here = c.here;
        const struct roster_shard carried = answer.next;
        enroll_step(&self, &carried, &here, &answer);
        EXPECT_EQ(ENROLL_LEAD, answer.wish) << c.what;
        EXPECT_GT(answer.epoch, here.accepted_epoch) << c.what;
    }
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

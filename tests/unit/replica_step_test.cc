// One copy of a shard as a step machine: tables of histories, and random ones against the rules.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <vector>

#include "replica_step.h"

namespace {

replica_event Recovered(uint64_t accepted, uint64_t last_epoch, uint64_t last, uint64_t commit,
                        uint64_t applied)
{
    static std::deque<replica_recovered> kept; // events only point at them
    replica_recovered found{};
    found.accepted_epoch = accepted;
    found.last_epoch = last_epoch;
    found.last_index = last;
    found.commit_hint = commit;
    found.applied_index = applied;
    found.first_index = 1;
    kept.push_back(found);
    replica_event e{};
    e.kind = REPLICA_EVENT_RECOVERED;
    e.recovered = &kept.back();
    return e;
}

replica_event Event(replica_event_kind kind, uint64_t index = 0)
{
    replica_event e{};
    e.kind = kind;
    e.index = index;
    return e;
}

replica_event Lead(uint64_t epoch)
{
    replica_event e = Event(REPLICA_EVENT_LEAD);
    e.epoch = epoch;
    return e;
}

replica_event Propose(unsigned count)
{
    replica_event e = Event(REPLICA_EVENT_PROPOSE);
    e.count = count;
    return e;
}

struct Copy {
    explicit Copy(unsigned min_isr = 1) { replica_init(&replica, 7, min_isr); }
    err_code Step(replica_event event)
    {
        bool known = event.kind == REPLICA_EVENT_DURABLE && event.epoch == 0;
        if (known) (void)replica_epoch_at(&replica, event.index, &event.epoch);
        return replica_step(&replica, &event, &actions).code;
    }
    // A copy of an empty store that serves: its EPOCH entry is entry 1 of epoch 1.
    void Serve()
    {
        ASSERT_EQ(ERR_OK, Step(Recovered(0, 0, 0, 0, 0)));
        ASSERT_EQ(ERR_OK, Step(Lead(1)));
        ASSERT_EQ(ERR_OK, Step(Event(REPLICA_EVENT_DURABLE, 1)));
        ASSERT_EQ(ERR_OK, Step(Event(REPLICA_EVENT_APPLIED, 1)));
        ASSERT_EQ(REPLICA_SERVING, replica.role);
    }
    struct replica replica;
    replica_actions actions;
};

TEST(ReplicaStep, AnEmptyStoreServesAfterItsEpochIsDurableAndApplied)
{
    Copy c;
    EXPECT_EQ(REPLICA_OFFLINE, c.replica.role);
    EXPECT_EQ(ERR_OK, c.Step(Recovered(0, 0, 0, 0, 0)));
    EXPECT_EQ(REPLICA_CANDIDATE, c.replica.role);
    EXPECT_EQ(0u, c.actions.apply_from);
    EXPECT_EQ(ERR_OK, c.Step(Lead(1)));
    EXPECT_EQ(REPLICA_RECONCILE, c.replica.role);
    EXPECT_TRUE(c.actions.log_accept && c.actions.log_epoch);
    EXPECT_EQ(1u, c.actions.epoch);
    EXPECT_EQ(1u, c.actions.epoch_index);
    EXPECT_EQ(ERR_OK, c.Step(Propose(1)));
    EXPECT_EQ(ERR_BUSY, c.actions.refused.code); // it does not serve yet
    EXPECT_EQ(1u, c.replica.last_index);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, 1)));
    EXPECT_EQ(1u, c.actions.apply_from);
    EXPECT_EQ(1u, c.actions.apply_to);
    EXPECT_FALSE(c.actions.answer);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, 1)));
    EXPECT_EQ(REPLICA_SERVING, c.replica.role);
}

// What the log holds beyond the commit hint is not applied before the new epoch is durable: with
// more copies it might be cut. Then it is committed with the epoch's entry.
TEST(ReplicaStep, TheInheritedTailIsCommittedByTheNewEpochAlone)
{
    Copy c;
    EXPECT_EQ(ERR_OK, c.Step(Recovered(4, 4, 20, 12, 10)));
    EXPECT_EQ(REPLICA_REPLAY, c.replica.role);
    EXPECT_EQ(11u, c.actions.apply_from);
    EXPECT_EQ(12u, c.actions.apply_to);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, 12)));
    EXPECT_EQ(REPLICA_CANDIDATE, c.replica.role);
    EXPECT_EQ(ERR_OK, c.Step(Lead(5)));
    EXPECT_EQ(21u, c.actions.epoch_index);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, 20))); // not the epoch's entry
    EXPECT_EQ(0u, c.actions.apply_from);
    EXPECT_EQ(12u, c.replica.commit_index);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, 21)));
    EXPECT_EQ(13u, c.actions.apply_from);
    EXPECT_EQ(21u, c.actions.apply_to);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, 21)));
    EXPECT_EQ(REPLICA_SERVING, c.replica.role);
}

TEST(ReplicaStep, AChangeIsAnsweredWhenItIsAppliedAndNotBefore)
{
    Copy c;
    c.Serve();
    EXPECT_EQ(ERR_OK, c.Step(Propose(3)));
    EXPECT_EQ(ERR_OK, c.actions.refused.code);
    EXPECT_EQ(2u, c.actions.first_index);
    EXPECT_EQ(1u, c.actions.epoch);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, 3)));
    EXPECT_EQ(2u, c.actions.apply_from);
    EXPECT_EQ(3u, c.actions.apply_to);
    EXPECT_FALSE(c.actions.answer);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, 3)));
    EXPECT_TRUE(c.actions.answer);
    EXPECT_EQ(3u, c.actions.answered_index);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, 4)));
    EXPECT_EQ(4u, c.actions.apply_from);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, 4)));
    EXPECT_EQ(4u, c.actions.answered_index);
}

TEST(ReplicaStep, WhatTheLogRefusedWasNever)
{
    Copy c;
    c.Serve();
    EXPECT_EQ(ERR_OK, c.Step(Propose(5)));
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, 4)));
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, 4)));
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_REFUSED)));
    EXPECT_EQ(4u, c.replica.last_index);
    EXPECT_EQ(ERR_OK, c.Step(Propose(1)));
    EXPECT_EQ(5u, c.actions.first_index); // the index is given again: nobody saw the other
}

TEST(ReplicaStep, BoundsAndCopiesAreLookedAtWhenAChangeComesAndWhenItIsAnswered)
{
    Copy c;
    c.Serve();
    EXPECT_EQ(ERR_OK, c.Step(Propose(REPLICA_PENDING_MAX)));
    EXPECT_EQ(ERR_OK, c.actions.refused.code);
    EXPECT_EQ(ERR_OK, c.Step(Propose(1)));
    EXPECT_EQ(ERR_BUSY, c.actions.refused.code);
    EXPECT_EQ(1u + REPLICA_PENDING_MAX, c.replica.last_index);
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, c.replica.last_index)));
    c.replica.min_isr = 2; // the set has shrunk meanwhile
    EXPECT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, c.replica.last_index)));
    EXPECT_FALSE(c.actions.answer);
    EXPECT_EQ(ERR_OK, c.Step(Propose(1)));
    EXPECT_EQ(ERR_BUSY, c.actions.refused.code);
}

TEST(ReplicaStep, WhatCanNotBeQuarantines)
{
    struct Case {
        const char *name;
        std::vector<replica_event> before;
        replica_event last;
    };
    const std::vector<replica_event> served = {Recovered(0, 0, 0, 0, 0), Lead(1),
                                               Event(REPLICA_EVENT_DURABLE, 1),
                                               Event(REPLICA_EVENT_APPLIED, 1)};
    const Case cases[] = {
        {"rows ahead of the log", {}, Recovered(1, 1, 5, 0, 6)},
        {"hint ahead of the log", {}, Recovered(1, 1, 5, 6, 5)},
        {"entry above the promise", {}, Recovered(1, 2, 5, 5, 5)},
        {"recovered twice", {Recovered(0, 0, 0, 0, 0)}, Recovered(0, 0, 0, 0, 0)},
        {"leads before it recovered", {}, Lead(1)},
        {"leads an epoch it promised", {Recovered(3, 3, 5, 5, 5)}, Lead(3)},
        {"leads twice", served, Lead(2)},
        {"durable what was not logged", served, Event(REPLICA_EVENT_DURABLE, 2)},
        {"applied what was not handed out", served, Event(REPLICA_EVENT_APPLIED, 2)},
        {"applied falls", served, Event(REPLICA_EVENT_APPLIED, 0)},
        {"refused without a leader", {Recovered(0, 0, 0, 0, 0)}, Event(REPLICA_EVENT_REFUSED)},
        {"the disk fails", served, Event(REPLICA_EVENT_FAIL)},
    };
    for (const Case &k : cases) {
        Copy c;
        for (const auto &e : k.before) ASSERT_EQ(ERR_OK, c.Step(e)) << k.name;
        EXPECT_EQ(ERR_CORRUPT, c.Step(k.last)) << k.name;
        EXPECT_EQ(REPLICA_QUARANTINED, c.replica.role) << k.name;
        EXPECT_TRUE(c.actions.role_changed) << k.name;
        EXPECT_FALSE(c.actions.answer) << k.name;
        EXPECT_EQ(ERR_OK, c.Step(Propose(1))) << k.name;
        EXPECT_EQ(ERR_CORRUPT, c.actions.refused.code) << k.name;
    }
}

// Any order in which the disk and the rows can answer, with restarts in between that keep what is
// durable: I2, I4, I5 and I9 hold at each step, and nothing answered is lost.
TEST(ReplicaStep, RandomHistoriesKeepTheRules)
{
    for (unsigned seed = 0; seed < 300; seed++) {
        std::mt19937 draw(seed);
        uint64_t accepted = 0, last_epoch = 0, on_disk = 0, applied_disk = 0, answered = 0;
        for (unsigned life = 0; life < 6; life++) {
            Copy c;
            uint64_t hint = std::min<uint64_t>(on_disk, answered);
            ASSERT_EQ(ERR_OK, c.Step(Recovered(accepted, last_epoch, on_disk, hint, applied_disk)));
            if (c.actions.apply_from != 0) {
                ASSERT_EQ(applied_disk + 1, c.actions.apply_from);
                ASSERT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, c.actions.apply_to)));
            }
            ASSERT_EQ(ERR_OK, c.Step(Lead(accepted + 1)));
            uint64_t logged = c.replica.last_index, handed = c.replica.apply_index;
            for (unsigned i = 0; i < 60; i++) {
                const struct replica was = c.replica;
                switch (draw() % 3) {
                case 0: {
                    unsigned count = 1 + (unsigned)(draw() % 4);
                    ASSERT_EQ(ERR_OK, c.Step(Propose(count)));
                    if (c.actions.refused.code != ERR_OK) break;
                    ASSERT_EQ(logged + 1, c.actions.first_index);
                    logged += count;
                    break;
                }
                case 1:
                    on_disk += draw() % (logged - on_disk + 1);
                    if (on_disk >= c.replica.epoch_start) accepted = last_epoch = c.replica.epoch;
                    ASSERT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_DURABLE, on_disk)));
                    break;
                default:
                    ASSERT_EQ(ERR_OK, c.Step(Event(REPLICA_EVENT_APPLIED, handed)));
                    if (draw() % 2 == 0) applied_disk = handed;
                }
                if (c.actions.apply_from != 0) {
                    ASSERT_EQ(handed + 1, c.actions.apply_from);
                    ASSERT_GE(on_disk, c.replica.epoch_start);
                    handed = c.actions.apply_to;
                }
                if (c.actions.answer) {
                    ASSERT_LE(c.actions.answered_index, on_disk);
                    answered = std::max(answered, c.actions.answered_index);
                }
                ASSERT_LE(c.replica.applied_index, c.replica.commit_index);
                ASSERT_LE(c.replica.commit_index, c.replica.durable_index);
                ASSERT_LE(c.replica.durable_index, c.replica.last_index);
                ASSERT_GE(c.replica.commit_index, was.commit_index);
                ASSERT_GE(c.replica.applied_index, was.applied_index);
                ASSERT_GE(c.replica.accepted_epoch, was.accepted_epoch);
            }
            ASSERT_LE(answered, on_disk);
        }
    }
}

}  // namespace

// A copy among others as a step machine: what each role answers, and what it must not do. Histories
// of several together are the simulator's (tests/sim).
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <vector>

#include "replica_step.h"

namespace {

roster_id Id(char c)
{
    roster_id id;
    memset(id.bytes, c, sizeof(id.bytes));
    return id;
}

const roster_id A = Id('a'), B = Id('b'), C = Id('c'), kBoot = Id('x');

roster_shard Row(uint64_t epoch, const roster_id *leader, const std::vector<roster_id> &isr)
{
    roster_shard row{};
    row.epoch = epoch;
    row.has_leader = leader != nullptr;
    if (leader != nullptr) row.leader = *leader;
    row.boot = kBoot;
    row.how = ROSTER_TAKEOVER;
    for (auto &id : isr) row.isr.ids[row.isr.count++] = id;
    row.nonce = Id(char(epoch));
    return row;
}

// The copy A of a shard with copies B and C.
struct Copy {
    explicit Copy(uint64_t accepted = 0, uint64_t last_epoch = 0, uint64_t last = 0, uint64_t applied = 0)
    {
        replica_init(&replica, 7, 2);
        replica_join(&replica, &A, &kBoot);
        replica_recovered found{};
        found.accepted_epoch = accepted;
        found.last_epoch = last_epoch;
        found.last_index = last;
        found.applied_index = applied;
        found.first_index = 1;
        if (last > 0) found.starts[found.starts_count++] = {last_epoch, 1};
        replica_event e{};
        e.kind = REPLICA_EVENT_RECOVERED;
        e.recovered = &found;
        EXPECT_EQ(ERR_OK, Step(e));
        roster_place place{};
        place.replicas.count = 3;
        place.replicas.ids[0] = A, place.replicas.ids[1] = B, place.replicas.ids[2] = C;
        place.target = 3;
        place.min_isr = 2;
        e = {};
        e.kind = REPLICA_EVENT_PLACE;
        e.place = &place;
        EXPECT_EQ(ERR_OK, Step(e));
    }
    err_code Step(replica_event event)
    {
        event.now_ms = now;
        return replica_step(&replica, &event, &actions).code;
    }
    err_code Config(uint64_t revision, const roster_shard &row, bool read = false)
    {
        replica_config config{revision, row};
        replica_event e{};
        e.kind = read ? REPLICA_EVENT_READ_ROW : REPLICA_EVENT_CONFIG;
        e.config = &config;
        return Step(e);
    }
    err_code Tell(const roster_id &from, replica_message m)
    {
        replica_event e{};
        e.kind = REPLICA_EVENT_MESSAGE;
        e.from = from;
        e.boot = kBoot;
        e.message = &m;
        return Step(e);
    }
    err_code Tick(uint64_t ms)
    {
        replica_event e{};
        e.kind = REPLICA_EVENT_TICK;
        e.disk_ok = true;
        for (uint64_t end = now + ms; now < end; now += 50)
            if (Step(e) != ERR_OK) return ERR_CORRUPT;
        return Step(e);
    }
    err_code Durable(uint64_t epoch, uint64_t index)
    {
        replica_event e{};
        e.kind = REPLICA_EVENT_DURABLE;
        e.epoch = epoch;
        e.index = index;
        e.accepted = epoch;
        return Step(e);
    }
    err_code Simple(replica_event_kind kind, uint64_t index = 0, unsigned count = 0)
    {
        replica_event e{};
        e.kind = kind;
        e.index = index;
        e.count = count;
        return Step(e);
    }
    err_code Answer(err_code code, uint64_t revision)
    {
        replica_event e{};
        e.kind = REPLICA_EVENT_CAS;
        e.nonce = replica.cas.row.nonce;
        e.code = code;
        e.index = revision;
        return Step(e);
    }
    const replica_message *Sent(const roster_id &to, replica_message_kind kind) const
    {
        for (unsigned i = 0; i < actions.sends_count; i++) {
            const replica_send &s = actions.sends[i];
            if (s.message.kind == kind && roster_id_eq(&s.to, &to)) return &s.message;
        }
        return nullptr;
    }
    struct replica replica;
    replica_actions actions;
    uint64_t now = 1000;
};

replica_message Append(uint64_t epoch, uint64_t index, uint64_t index_epoch, unsigned count, uint64_t entry_epoch,
                       uint64_t commit = 0)
{
    replica_message m{};
    m.kind = REPLICA_APPEND;
    m.epoch = epoch;
    m.index = index;
    m.index_epoch = index_epoch;
    m.count = count;
    m.entry_epoch = count > 0 ? entry_epoch : 0;
    m.commit = commit;
    return m;
}

replica_message Simple(replica_message_kind kind, uint64_t epoch, uint64_t index = 0)
{
    replica_message m{};
    m.kind = kind;
    m.epoch = epoch;
    m.index = index;
    return m;
}

replica_message BeatAck(uint64_t epoch, uint64_t sent_ms)
{
    replica_message m = Simple(REPLICA_BEAT_ACK, epoch);
    m.sent_ms = sent_ms;
    m.granted = m.disk_ok = true;
    return m;
}

// A follower of B that has entries 1..10 of epoch 1.
void Follow(Copy &c)
{
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {A, B, C})));
    ASSERT_EQ(REPLICA_FOLLOWER, c.replica.role);
    ASSERT_EQ(ERR_OK, c.Tell(B, Append(1, 0, 0, 10, 1, 0)));
    ASSERT_EQ(1u, c.actions.append_index);
    ASSERT_EQ(ERR_OK, c.Durable(1, 10));
}

// A leads epoch 2 after B, with C in the set.
void Lead(Copy &c)
{
    Follow(c);
    ASSERT_EQ(ERR_OK, c.Tick(REPLICA_PROMISE_MS + 1000));
    ASSERT_EQ(REPLICA_CANDIDATE, c.replica.role);
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {A, B, C}), true));
    ASSERT_TRUE(c.actions.cas);
    ASSERT_EQ(2u, c.replica.cas.row.epoch);
    ASSERT_EQ(2u, c.replica.cas.row.isr.count); // without B
    ASSERT_EQ(ERR_OK, c.Answer(ERR_OK, 6));
    ASSERT_EQ(REPLICA_RECONCILE, c.replica.role);
    ASSERT_TRUE(c.actions.log_accept && c.actions.log_epoch);
    ASSERT_EQ(11u, c.actions.epoch_index);
}

void Serve(Copy &c)
{
    Lead(c);
    ASSERT_EQ(ERR_OK, c.Durable(2, 11));
    ASSERT_EQ(0u, c.actions.apply_from); // C does not have it
    ASSERT_EQ(ERR_OK, c.Tell(C, Simple(REPLICA_ACK, 2, 11)));
    ASSERT_EQ(11u, c.actions.apply_to);
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_APPLIED, 11));
    ASSERT_EQ(REPLICA_SERVING, c.replica.role);
}

TEST(ReplicaCopies, AFollowerAcknowledgesWhatIsOnItsDiskAndPromised)
{
    Copy c;
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {A, B, C})));
    ASSERT_EQ(ERR_OK, c.Tell(B, Append(1, 0, 0, 10, 1, 0)));
    EXPECT_TRUE(c.actions.log_accept);
    EXPECT_EQ(nullptr, c.Sent(B, REPLICA_ACK)); // I5: the promise is not on the disk
    ASSERT_EQ(ERR_OK, c.Durable(1, 4));
    ASSERT_NE(nullptr, c.Sent(B, REPLICA_ACK));
    EXPECT_EQ(4u, c.Sent(B, REPLICA_ACK)->index);
    EXPECT_EQ(0u, c.actions.apply_from); // nobody said that it is committed
    ASSERT_EQ(ERR_OK, c.Tell(B, Append(1, 10, 1, 0, 0, 9)));
    EXPECT_EQ(4u, c.actions.apply_to); // and durable here
    ASSERT_EQ(ERR_OK, c.Durable(1, 10));
    EXPECT_EQ(9u, c.actions.apply_to);
}

TEST(ReplicaCopies, WhatAFollowerAnswers)
{
    struct Case {
        const char *name;
        replica_message message;
        bool acks;
        unsigned reason; // of a REJECT
        uint64_t index;  // of either
        uint64_t trunc;  // + 1; 0: nothing is cut
    };
    const Case cases[] = {
        {"nothing new", Append(1, 10, 1, 0, 0), true, 0, 10, 0},
        {"again what is there", Append(1, 2, 1, 5, 1), true, 0, 10, 0},
        {"a gap", Append(1, 12, 1, 1, 1), false, REPLICA_GAP, 10, 0},
        {"another entry before", Append(3, 10, 2, 1, 3), false, REPLICA_GAP, 9, 0},
        {"an old leader", Append(0, 10, 0, 0, 0), false, 0, 0, 0},
        {"a tail of its own is cut", Append(2, 8, 1, 1, 2), false, 0, 0, 9},
        {"its first entry is cut", Append(2, 0, 0, 1, 2), false, 0, 0, 1},
        {"entries of a later epoch than the leader's", Append(1, 10, 1, 1, 2), false, 0, 0, 0},
        {"entries of an earlier epoch than the one before", Append(2, 10, 2, 1, 1), false, 0, 0, 0},
        {"more than a message has", Append(1, 10, 1, REPLICA_APPEND_MAX + 1, 1), false, 0, 0, 0},
        {"an index that wraps", Append(1, UINT64_MAX, 1, 2, 1), false, 0, 0, 0},
    };
    for (auto &k : cases) {
        Copy c;
        Follow(c);
        ASSERT_EQ(ERR_OK, c.Tell(B, k.message)) << k.name;
        const replica_message *ack = c.Sent(B, REPLICA_ACK), *reject = c.Sent(B, REPLICA_REJECT);
        EXPECT_EQ(k.acks, ack != nullptr) << k.name;
        if (ack != nullptr) EXPECT_EQ(k.index, ack->index) << k.name;
        EXPECT_EQ(k.reason, reject == nullptr ? 0u : unsigned(reject->reason)) << k.name;
        if (reject != nullptr) EXPECT_EQ(k.index, reject->index) << k.name;
        EXPECT_EQ(k.trunc != 0, c.actions.log_trunc) << k.name;
        if (k.trunc != 0) EXPECT_EQ(k.trunc - 1, c.actions.trunc_index) << k.name;
    }
}

TEST(ReplicaCopies, NothingCommittedIsEverCut)
{
    for (uint64_t index : {0u, 3u, 7u}) {
        Copy c;
        Follow(c);
        ASSERT_EQ(ERR_OK, c.Tell(B, Append(1, 10, 1, 0, 0, 8)));
        ASSERT_EQ(8u, c.replica.commit_index);
        EXPECT_EQ(ERR_CORRUPT, c.Tell(C, Append(2, index, index == 0 ? 0 : 1, 1, 2)));
        EXPECT_EQ(REPLICA_QUARANTINED, c.replica.role);
        EXPECT_FALSE(c.actions.log_trunc);
        ASSERT_EQ(ERR_OK, c.Tell(C, Append(2, 10, 1, 1, 2)));
        ASSERT_NE(nullptr, c.Sent(C, REPLICA_REJECT));
        EXPECT_EQ(REPLICA_IN_QUARANTINE, c.Sent(C, REPLICA_REJECT)->reason);
    }
}

TEST(ReplicaCopies, ATailOfBeforeIsNotAcknowledgedToANewLeader)
{
    Copy c;
    Follow(c);
    ASSERT_EQ(ERR_OK, c.Tell(C, Append(2, 6, 1, 0, 0)));
    ASSERT_EQ(ERR_OK, c.Durable(2, 10)); // the promise; entry (2, 10) is not there
    ASSERT_NE(nullptr, c.Sent(C, REPLICA_ACK));
    EXPECT_EQ(6u, c.Sent(C, REPLICA_ACK)->index); // of ten on its disk
}

TEST(ReplicaCopies, APromiseIsKeptAndThenItTakesOver)
{
    Copy c;
    Follow(c);
    replica_message beat = Simple(REPLICA_BEAT, 1);
    beat.sent_ms = 77;
    ASSERT_EQ(ERR_OK, c.Tell(B, beat));
    ASSERT_NE(nullptr, c.Sent(B, REPLICA_BEAT_ACK));
    EXPECT_TRUE(c.Sent(B, REPLICA_BEAT_ACK)->granted);
    EXPECT_EQ(77u, c.Sent(B, REPLICA_BEAT_ACK)->sent_ms);
    ASSERT_EQ(ERR_OK, c.Tick(REPLICA_PROMISE_MS - 100));
    EXPECT_EQ(REPLICA_FOLLOWER, c.replica.role);
    ASSERT_EQ(ERR_OK, c.Tick(200));
    EXPECT_EQ(REPLICA_CANDIDATE, c.replica.role);
    // A beat before the change is sent: it follows again.
    ASSERT_EQ(ERR_OK, c.Tell(B, beat));
    EXPECT_EQ(REPLICA_FOLLOWER, c.replica.role);
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {A, B, C}), true));
    EXPECT_FALSE(c.actions.cas);
    ASSERT_EQ(ERR_OK, c.Tick(REPLICA_PROMISE_MS + 200));
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {A, B, C}), true));
    EXPECT_TRUE(c.actions.cas);
    // From now on nothing is granted, until it is certain that it was not done.
    ASSERT_EQ(ERR_OK, c.Tell(B, beat));
    EXPECT_FALSE(c.Sent(B, REPLICA_BEAT_ACK)->granted);
    ASSERT_EQ(ERR_OK, c.Answer(ERR_UNKNOWN, 0));
    EXPECT_TRUE(c.actions.read_row);
    ASSERT_EQ(ERR_OK, c.Tell(B, beat));
    EXPECT_FALSE(c.Sent(B, REPLICA_BEAT_ACK)->granted);
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {A, B, C}), true)); // it may still be done
    EXPECT_TRUE(c.actions.cas);
    roster_shard other = Row(2, &C, {A, C});
    ASSERT_EQ(ERR_OK, c.Config(6, other)); // another was faster
    EXPECT_EQ(REPLICA_FOLLOWER, c.replica.role);
    EXPECT_EQ(REPLICA_NO_CHANGE, c.replica.cas.change);
}

TEST(ReplicaCopies, WhoIsNotInTheSetNeverTakesOver)
{
    Copy c;
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {B, C})));
    EXPECT_EQ(REPLICA_LEARNER, c.replica.role);
    ASSERT_EQ(ERR_OK, c.Tick(60000));
    EXPECT_EQ(REPLICA_LEARNER, c.replica.role);
    EXPECT_FALSE(c.actions.cas);
    // An older row is not acted upon (I10).
    ASSERT_EQ(ERR_OK, c.Config(4, Row(1, &B, {A, B, C})));
    EXPECT_EQ(REPLICA_LEARNER, c.replica.role);
}

TEST(ReplicaCopies, ALeaderCommitsWhatEveryMemberHas)
{
    Copy c;
    Serve(c);
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 2));
    ASSERT_EQ(ERR_OK, c.actions.refused.code);
    ASSERT_NE(nullptr, c.Sent(C, REPLICA_APPEND));
    EXPECT_EQ(2u, c.Sent(C, REPLICA_APPEND)->count);
    ASSERT_EQ(ERR_OK, c.Tell(C, Simple(REPLICA_ACK, 2, 13)));
    EXPECT_EQ(0u, c.actions.apply_from); // not on its own disk
    ASSERT_EQ(ERR_OK, c.Durable(2, 13));
    EXPECT_EQ(13u, c.actions.apply_to);
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_APPLIED, 13));
    EXPECT_TRUE(c.actions.answer);
    // Acks of another epoch, of strangers and of what was never logged count for nothing.
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
    ASSERT_EQ(ERR_OK, c.Durable(2, 14));
    ASSERT_EQ(ERR_OK, c.Tell(C, Simple(REPLICA_ACK, 1, 14)));
    EXPECT_EQ(13u, c.replica.commit_index);
    ASSERT_EQ(ERR_OK, c.Tell(Id('z'), Simple(REPLICA_ACK, 2, 14)));
    EXPECT_EQ(13u, c.replica.commit_index);
    ASSERT_EQ(ERR_OK, c.Tell(C, Simple(REPLICA_ACK, 2, 99)));
    EXPECT_EQ(13u, c.replica.commit_index);
}

TEST(ReplicaCopies, ALeaderIsReadOnlyWithGrants)
{
    Copy c;
    Serve(c);
    EXPECT_EQ(0u, replica_read_until(&c.replica));
    ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(2, c.now - 300)));
    EXPECT_EQ(c.now - 300 + REPLICA_LEASE_MS, replica_read_until(&c.replica)); // of sending
    ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(1, c.now)));
    ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(2, c.now + 5000))); // no beat of this process
    EXPECT_EQ(c.now - 300 + REPLICA_LEASE_MS, replica_read_until(&c.replica));
    replica_message stale = Simple(REPLICA_REJECT, 2, 3);
    stale.reason = REPLICA_STALE;
    ASSERT_EQ(ERR_OK, c.Tell(C, stale));
    EXPECT_EQ(REPLICA_FOLLOWER, c.replica.role);
    EXPECT_EQ(0u, replica_read_until(&c.replica));
    EXPECT_TRUE(c.actions.fail_waiting);
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
    EXPECT_EQ(ERR_MOVED, c.actions.refused.code);
}

TEST(ReplicaCopies, ASilentCopyLeavesWhenTheRowSaysSo)
{
    Copy c;
    Serve(c); // A and C; two are wanted
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
    ASSERT_EQ(ERR_OK, c.Durable(2, 12));
    ASSERT_EQ(ERR_OK, c.Tick(REPLICA_SHRINK_LAST_MS - 500)); // one more would be too few
    EXPECT_EQ(REPLICA_NO_CHANGE, c.replica.cas.change);
    ASSERT_EQ(ERR_OK, c.Tick(1000));
    ASSERT_EQ(REPLICA_SHRINK, c.replica.cas.change);
    EXPECT_EQ(1u, c.replica.cas.row.isr.count);
    EXPECT_EQ(11u, c.replica.commit_index); // it counts until then
    ASSERT_EQ(ERR_OK, c.Answer(ERR_OK, 7));
    EXPECT_EQ(12u, c.replica.commit_index);
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_APPLIED, 12));
    EXPECT_FALSE(c.actions.answer); // not with one copy
    EXPECT_TRUE(c.actions.fail_waiting);
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
    EXPECT_EQ(ERR_BUSY, c.actions.refused.code);
    EXPECT_EQ(UINT64_MAX, replica_read_until(&c.replica)); // reads go on
}

TEST(ReplicaCopies, ACopyThatIsTakenInCountsFromBefore)
{
    Copy c;
    Serve(c);
    ASSERT_EQ(ERR_OK, c.Tick(300));
    ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(2, c.now)));
    ASSERT_EQ(ERR_OK, c.Tell(B, Simple(REPLICA_ACK, 2, 11)));
    ASSERT_EQ(ERR_OK, c.Tell(B, BeatAck(2, c.now)));
    ASSERT_EQ(ERR_OK, c.Tick(100));
    ASSERT_EQ(REPLICA_EXPAND, c.replica.cas.change);
    EXPECT_TRUE(roster_id_eq(&B, &c.replica.cas.joins));
    EXPECT_TRUE(roster_id_eq(&kBoot, &c.replica.cas.joins_boot));
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
    ASSERT_EQ(ERR_OK, c.Durable(2, 12));
    ASSERT_EQ(ERR_OK, c.Tell(C, Simple(REPLICA_ACK, 2, 12)));
    EXPECT_EQ(11u, c.replica.commit_index); // B may be in the set
    // It is another process by now: the row is moved on before B counts no more.
    ASSERT_EQ(ERR_OK, c.Answer(ERR_CONFLICT, 0));
    ASSERT_EQ(ERR_OK, c.Config(6, c.replica.config.row, true));
    ASSERT_EQ(REPLICA_RETRACT, c.replica.cas.change);
    EXPECT_EQ(11u, c.replica.commit_index);
    ASSERT_EQ(ERR_OK, c.Answer(ERR_OK, 7));
    EXPECT_EQ(12u, c.replica.commit_index);
}

TEST(ReplicaCopies, ALeaderHandsOverWhatItStoppedServing)
{
    Copy c;
    Serve(c);
    replica_event transfer{};
    transfer.kind = REPLICA_EVENT_TRANSFER;
    transfer.from = B;
    ASSERT_EQ(ERR_OK, c.Step(transfer));
    EXPECT_EQ(ERR_NOT_FOUND, c.actions.refused.code); // not in the set
    transfer.from = C;
    ASSERT_EQ(ERR_OK, c.Step(transfer));
    EXPECT_EQ(ERR_UNREACHABLE, c.actions.refused.code);
    ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(2, c.now)));
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
    ASSERT_EQ(ERR_OK, c.Step(transfer));
    ASSERT_EQ(ERR_OK, c.actions.refused.code);
    EXPECT_FALSE(c.actions.cas); // C lacks an entry
    EXPECT_EQ(0u, replica_read_until(&c.replica));
    EXPECT_EQ(ERR_BUSY, replica_may_propose(&c.replica, 1).code);
    ASSERT_EQ(ERR_OK, c.Tell(C, Simple(REPLICA_ACK, 2, 12)));
    ASSERT_EQ(ERR_OK, c.Durable(2, 12));
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_APPLIED, 12));
    ASSERT_EQ(REPLICA_TRANSFER, c.replica.cas.change);
    EXPECT_EQ(3u, c.replica.cas.row.epoch);
    EXPECT_TRUE(roster_id_eq(&C, &c.replica.cas.row.leader));
    EXPECT_EQ(2u, c.replica.cas.row.isr.count);
    ASSERT_EQ(ERR_OK, c.Answer(ERR_OK, 7));
    EXPECT_EQ(REPLICA_FOLLOWER, c.replica.role);
}

TEST(ReplicaCopies, WhoThePlaceWishesToLeadIsHandedTheShardOnceItMayLead)
{
    for (const roster_id &wished : {A, B, C}) {
        Copy c;
        Serve(c);
        roster_place place = c.replica.place;
        place.has_lead = true;
        place.lead = wished;
        replica_event e{};
        e.kind = REPLICA_EVENT_PLACE;
        e.place = &place;
        ASSERT_EQ(ERR_OK, c.Step(e));
        ASSERT_EQ(ERR_OK, c.Tick(50));
        EXPECT_FALSE(c.replica.handing_over); // no grant of C yet
        ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(2, c.now)));
        ASSERT_EQ(ERR_OK, c.Tick(50));
        bool may = roster_id_eq(&wished, &C); // A does lead, and B is not in the set
        EXPECT_EQ(may, c.replica.cas.change == REPLICA_TRANSFER);
        if (!may) continue;
        EXPECT_TRUE(roster_id_eq(&C, &c.replica.cas.row.leader));
        EXPECT_EQ(2u, c.replica.cas.row.isr.count);
    }
}

TEST(ReplicaCopies, AWishThatCannotBeFollowedDoesNotStopTheShardAgainAndAgain)
{
    Copy c;
    Serve(c);
    roster_place place = c.replica.place;
    place.has_lead = true;
    place.lead = C;
    replica_event e{};
    e.kind = REPLICA_EVENT_PLACE;
    e.place = &place;
    ASSERT_EQ(ERR_OK, c.Step(e));
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
    ASSERT_EQ(ERR_OK, c.Durable(2, 12));
    unsigned stopped_ms = 0, times = 0;
    bool before = false;
    for (unsigned ms = 0; ms < 20000; ms += 50) {
        ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(2, c.now)));
        // It follows, but so slowly that it never has the last entry; what it had is told again.
        if (ms % 500 == 0) c.replica.peers[0].progress_ms = c.replica.peers[1].progress_ms = c.now;
        ASSERT_EQ(ERR_OK, c.Tick(50));
        stopped_ms += c.replica.handing_over ? 50 : 0;
        times += c.replica.handing_over && !before;
        before = c.replica.handing_over;
    }
    EXPECT_EQ(1u, times);
    EXPECT_LE(stopped_ms, unsigned(REPLICA_HANDOVER_MS) + 200);
    EXPECT_EQ(REPLICA_SERVING, c.replica.role);
}

TEST(ReplicaCopies, TheHeirLeadsIfItIsTheSameProcess)
{
    for (bool same : {true, false}) {
        Copy c;
        Follow(c);
        roster_shard row = Row(2, &A, {A, B, C});
        row.how = ROSTER_TRANSFER;
        if (!same) row.boot = Id('y');
        ASSERT_EQ(ERR_OK, c.Config(6, row));
        EXPECT_EQ(same ? REPLICA_RECONCILE : REPLICA_FOLLOWER, c.replica.role);
        EXPECT_EQ(same, c.actions.log_epoch);
    }
}

TEST(ReplicaCopies, ALeaderByForceLeadsWithWhatItHasAndSaysHowMuchThatIs)
{
    for (bool same : {true, false}) {
        Copy c(1, 1, 7, 5);
        ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {B, C})));
        ASSERT_EQ(REPLICA_LEARNER, c.replica.role); // what it lacks, nobody can say
        roster_shard row = Row(1001, &A, {A});
        row.how = ROSTER_FORCED;
        row.lossy = 1001;
        if (!same) row.boot = Id('y');
        ASSERT_EQ(ERR_OK, c.Config(6, row));
        EXPECT_EQ(same ? REPLICA_RECONCILE : REPLICA_FOLLOWER, c.replica.role);
        if (!same) continue;
        EXPECT_EQ(8u, c.actions.epoch_index);
        ASSERT_EQ(ERR_OK, c.Durable(1001, 8));
        ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_APPLIED, 8));
        ASSERT_EQ(REPLICA_SERVING, c.replica.role);
        // It takes the next copy in: then the row says where it stood.
        for (unsigned i = 0; i < 100 && c.replica.cas.change != REPLICA_EXPAND; i++) {
            ASSERT_EQ(ERR_OK, c.Tick(50));
            ASSERT_EQ(ERR_OK, c.Tell(C, BeatAck(1001, c.now)));
            ASSERT_EQ(ERR_OK, c.Tell(C, Simple(REPLICA_ACK, 1001, 8)));
        }
        ASSERT_EQ(REPLICA_EXPAND, c.replica.cas.change);
        EXPECT_EQ(1001u, c.replica.cas.row.lossy);
        EXPECT_EQ(7u, c.replica.cas.row.base);
    }
}

TEST(ReplicaCopies, ALogThatRefusesWhatWasSentEndsTheLead)
{
    for (bool sent : {true, false}) {
        Copy c;
        Serve(c);
        ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_PROPOSE, 0, 1));
        if (!sent) {
            // The shell had no room for it; whether an earlier try was sent is not kept, so say so.
            replica_not_sent(&c.replica, &C, 12);
            c.replica.sent_index = 11;
        }
        replica_recovered found{};
        found.accepted_epoch = found.last_epoch = 2;
        found.last_index = 11;
        found.starts_count = 2;
        found.starts[0] = {1, 1};
        found.starts[1] = {2, 11};
        replica_event refused{};
        refused.kind = REPLICA_EVENT_REFUSED;
        refused.recovered = &found;
        ASSERT_EQ(ERR_OK, c.Step(refused));
        EXPECT_EQ(sent ? REPLICA_FOLLOWER : REPLICA_SERVING, c.replica.role); // I2
        EXPECT_EQ(11u, c.replica.last_index);
        EXPECT_EQ(sent, c.actions.fail_waiting);
    }
}

TEST(ReplicaCopies, ReadersAtAFollowerAreToldByTheLeader)
{
    Copy c;
    Follow(c);
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_READ, 42));
    ASSERT_NE(nullptr, c.Sent(B, REPLICA_READ));
    EXPECT_EQ(42u, c.Sent(B, REPLICA_READ)->id);
    replica_message reply = Simple(REPLICA_READ_REPLY, 1, 9);
    reply.id = 42;
    reply.granted = true;
    ASSERT_EQ(ERR_OK, c.Tell(B, reply));
    EXPECT_TRUE(c.actions.read_ready && c.actions.read_granted);
    EXPECT_EQ(9u, c.actions.read_index);
    Copy l;
    Serve(l);
    replica_message read = Simple(REPLICA_READ, 2);
    ASSERT_EQ(ERR_OK, l.Tell(C, read));
    EXPECT_FALSE(l.Sent(C, REPLICA_READ_REPLY)->granted); // nobody granted it anything
    ASSERT_EQ(ERR_OK, l.Tell(C, BeatAck(2, l.now)));
    ASSERT_EQ(ERR_OK, l.Tell(C, read));
    EXPECT_TRUE(l.Sent(C, REPLICA_READ_REPLY)->granted);
    EXPECT_EQ(11u, l.Sent(C, REPLICA_READ_REPLY)->index);
}

// ---- copies beyond the leader's log

replica_message Behind(uint64_t epoch, uint64_t index, const roster_id &boot = kBoot)
{
    replica_message m = Simple(REPLICA_BEHIND, epoch, index);
    m.commit = index;
    m.id = replica_behind_id(&boot);
    return m;
}

// A learner that has entries 1..10 of epoch 1, 6 of them committed.
void Learn(Copy &c)
{
    ASSERT_EQ(ERR_OK, c.Config(5, Row(1, &B, {B, C})));
    ASSERT_EQ(REPLICA_LEARNER, c.replica.role);
    ASSERT_EQ(ERR_OK, c.Tell(B, Append(1, 0, 0, 10, 1, 6)));
    ASSERT_EQ(ERR_OK, c.Durable(1, 10));
    ASSERT_EQ(ERR_OK, c.Simple(REPLICA_EVENT_APPLIED, 6));
}

err_code Install(Copy &c, uint64_t epoch, uint64_t index)
{
    replica_event e{};
    e.kind = REPLICA_EVENT_INSTALL;
    e.epoch = epoch;
    e.index = index;
    EXPECT_EQ(ERR_OK, c.Step(e));
    return c.actions.refused.code;
}

err_code Installed(Copy &c, uint64_t epoch, uint64_t index, err_code code = ERR_OK)
{
    replica_recovered found{};
    found.accepted_epoch = c.replica.accepted_epoch;
    found.last_epoch = epoch;
    found.last_index = index;
    found.first_index = index + 1;
    found.starts[found.starts_count++] = {epoch, index};
    replica_event e{};
    e.kind = REPLICA_EVENT_INSTALLED;
    e.code = code;
    e.recovered = &found;
    return c.Step(e);
}

TEST(ReplicaCopies, ALeaderTellsACopyBeyondItsLogAndNoneOfTheSet)
{
    Copy c;
    Serve(c); // A, with C in the set; B is placed
    replica_message gap = Simple(REPLICA_REJECT, 2, 4);
    gap.reason = REPLICA_GAP;
    gap.starts[gap.starts_count++] = {1, 1};
    replica_event tick{};
    tick.kind = REPLICA_EVENT_TICK;
    tick.disk_ok = true;
    tick.index = 9; // the log begins there
    c.now += 50;
    ASSERT_EQ(ERR_OK, c.Step(tick));
    c.now += REPLICA_RESEND_MS;
    ASSERT_EQ(ERR_OK, c.Tell(B, gap));
    const replica_message *m = c.Sent(B, REPLICA_BEHIND);
    ASSERT_NE(nullptr, m);
    EXPECT_EQ(8u, m->index);
    EXPECT_EQ(11u, m->commit);
    EXPECT_EQ(replica_behind_id(&kBoot), m->id);
    EXPECT_EQ(nullptr, c.Sent(B, REPLICA_APPEND));
    ASSERT_EQ(ERR_OK, c.Tell(B, gap));
    EXPECT_EQ(nullptr, c.Sent(B, REPLICA_BEHIND)) << "not at once again";
    c.now += REPLICA_RESEND_MS;
    ASSERT_EQ(ERR_OK, c.Step(tick));
    EXPECT_NE(nullptr, c.Sent(B, REPLICA_BEHIND));
    // It does not hold the log; C does.
    EXPECT_EQ(11u, replica_acked(&c.replica));
    // It says where it is: from there on there are entries again.
    ASSERT_EQ(ERR_OK, c.Tell(B, Simple(REPLICA_ACK, 2, 8)));
    m = c.Sent(B, REPLICA_APPEND);
    ASSERT_NE(nullptr, m);
    EXPECT_EQ(8u, m->index);
    EXPECT_EQ(8u, replica_acked(&c.replica));
    // C is of the set.
    Copy d;
    Serve(d);
    d.now += 50;
    tick.index = 12;
    ASSERT_EQ(ERR_OK, d.Step(tick));
    for (auto &peer : d.replica.peers) {
        if (roster_id_eq(&peer.sid, &C)) peer.next = 5;
    }
    d.now += REPLICA_RESEND_MS;
    ASSERT_EQ(ERR_OK, d.Step(tick));
    EXPECT_EQ(nullptr, d.Sent(C, REPLICA_BEHIND));
}

TEST(ReplicaCopies, ACopyThatIsBehindAsksForACheckpointAndGoesOnFromIt)
{
    Copy c;
    Learn(c);
    EXPECT_EQ(0u, replica_acked(&c.replica)) << "it may lead others next";
    ASSERT_EQ(ERR_OK, c.Tell(B, Behind(1, 50)));
    EXPECT_TRUE(c.actions.fetch);
    EXPECT_EQ(50u, c.actions.fetch_index);
    EXPECT_TRUE(roster_id_eq(&B, &c.actions.fetch_from));
    ASSERT_EQ(ERR_OK, Install(c, 1, 60));
    // Meanwhile nothing is taken, told or applied.
    ASSERT_EQ(ERR_OK, c.Tell(B, Append(1, 10, 1, 5, 1, 15)));
    EXPECT_EQ(0u, c.actions.append_index);
    EXPECT_EQ(nullptr, c.Sent(B, REPLICA_ACK));
    EXPECT_EQ(nullptr, c.Sent(B, REPLICA_REJECT));
    replica_message beat = Simple(REPLICA_BEAT, 1);
    beat.commit = 60;
    ASSERT_EQ(ERR_OK, c.Tell(B, beat));
    EXPECT_EQ(0u, c.actions.apply_from);
    EXPECT_NE(nullptr, c.Sent(B, REPLICA_BEAT_ACK));
    ASSERT_EQ(ERR_OK, c.Tell(B, Behind(1, 50)));
    EXPECT_FALSE(c.actions.fetch);
    EXPECT_EQ(ERR_BUSY, Install(c, 1, 60));
    ASSERT_EQ(ERR_OK, Installed(c, 1, 60));
    EXPECT_EQ(60u, c.replica.applied_index);
    EXPECT_EQ(60u, c.replica.commit_index);
    ASSERT_NE(nullptr, c.Sent(B, REPLICA_ACK));
    EXPECT_EQ(60u, c.Sent(B, REPLICA_ACK)->index);
    ASSERT_EQ(ERR_OK, c.Tell(B, Append(1, 60, 1, 2, 1, 61)));
    EXPECT_EQ(61u, c.actions.append_index);
    // What comes late is answered with what it has.
    ASSERT_EQ(ERR_OK, c.Tell(B, Behind(1, 50)));
    EXPECT_FALSE(c.actions.fetch);
    EXPECT_EQ(60u, c.Sent(B, REPLICA_ACK)->index);
}

TEST(ReplicaCopies, WhenACheckpointIsNotInstalled)
{
    struct {
        const char *what;
        uint64_t epoch, index;
        err_code code;
        std::function<void(Copy &)> before;
    } const cases[] = {
        {"nobody has said that it is behind", 1, 60, ERR_BUSY, [](Copy &) {}},
        {"another process was told", 1, 60, ERR_BUSY, [](Copy &c) { (void)c.Tell(B, Behind(1, 50, Id('y'))); }},
        {"a leader of before has said it", 1, 60, ERR_BUSY,
         [](Copy &c) { (void)c.Tell(B, Behind(1, 50)), (void)c.Tell(C, Append(2, 0, 0, 0, 0)); }},
        {"it has taken entries since", 1, 60, ERR_BUSY,
         [](Copy &c) { (void)c.Tell(B, Behind(1, 50)), (void)c.Tell(B, Append(1, 10, 1, 1, 1)); }},
        {"it is of the set by now", 1, 60, ERR_CONFLICT,
         [](Copy &c) { (void)c.Tell(B, Behind(1, 50)), (void)c.Config(9, Row(1, &B, {A, B, C})); }},
        {"it has that", 1, 6, ERR_CONFLICT, [](Copy &c) { (void)c.Tell(B, Behind(1, 50)); }},
        {"it has acknowledged more", 1, 9, ERR_CONFLICT, [](Copy &c) { (void)c.Tell(B, Behind(1, 50)); }},
        {"it is of an epoch that nobody promised", 4, 60, ERR_CONFLICT,
         [](Copy &c) { (void)c.Tell(B, Behind(1, 50)); }},
        {"it is of no epoch", 0, 60, ERR_CONFLICT, [](Copy &c) { (void)c.Tell(B, Behind(1, 50)); }},
        {"it is as good as nothing", 1, 0, ERR_CONFLICT, [](Copy &c) { (void)c.Tell(B, Behind(1, 50)); }},
    };
    for (auto &test : cases) {
        Copy c;
        Learn(c);
        test.before(c);
        EXPECT_EQ(test.code, Install(c, test.epoch, test.index)) << test.what;
        EXPECT_FALSE(c.replica.installing) << test.what;
    }
    // Not of one that leads, or is alone, or is not told by a leader.
    Copy leads;
    Serve(leads);
    EXPECT_EQ(ERR_CONFLICT, Install(leads, 2, 60));
    ASSERT_EQ(ERR_OK, leads.Tell(C, Behind(1, 50)));
    EXPECT_FALSE(leads.actions.fetch) << "of an epoch that is over";
    EXPECT_EQ(ERR_CORRUPT, leads.Tell(C, Behind(2, 50))) << "two lead";
    Copy member;
    Follow(member);
    ASSERT_EQ(ERR_OK, member.Tell(B, Behind(1, 50)));
    EXPECT_FALSE(member.actions.fetch);
    // Undone: all is as it was. Something else than what was said: quarantine.
    Copy undone;
    Learn(undone);
    ASSERT_EQ(ERR_OK, undone.Tell(B, Behind(1, 50)));
    ASSERT_EQ(ERR_OK, Install(undone, 1, 60));
    ASSERT_EQ(ERR_OK, Installed(undone, 1, 60, ERR_CANCELLED));
    EXPECT_EQ(10u, undone.replica.last_index);
    EXPECT_EQ(ERR_CORRUPT, Installed(undone, 1, 60)) << "nobody asked";
    Copy fell;
    Learn(fell);
    ASSERT_EQ(ERR_OK, fell.Tell(B, Behind(1, 50)));
    ASSERT_EQ(ERR_OK, Install(fell, 1, 60));
    EXPECT_EQ(ERR_CORRUPT, Installed(fell, 1, 5));
}

TEST(ReplicaCopies, ACopyWhoseRowsAreReplacedDoesNotTakeOver)
{
    Copy c;
    Learn(c);
    ASSERT_EQ(ERR_OK, c.Tell(B, Behind(1, 50)));
    ASSERT_EQ(ERR_OK, Install(c, 1, 60));
    ASSERT_EQ(ERR_OK, c.Config(9, Row(1, &B, {A, B, C}))); // it can't be, but if it were
    ASSERT_EQ(ERR_OK, c.Tick(REPLICA_PROMISE_MS + 2000));
    EXPECT_NE(REPLICA_CANDIDATE, c.replica.role);
    EXPECT_FALSE(c.actions.read_row);
    ASSERT_EQ(ERR_OK, Installed(c, 1, 60));
    ASSERT_EQ(ERR_OK, c.Tick(1000));
    EXPECT_EQ(REPLICA_CANDIDATE, c.replica.role);
}

}  // namespace

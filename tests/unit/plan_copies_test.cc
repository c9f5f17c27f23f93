// The planner with several copies: random clusters are played to their fixed point with leaders that
// work towards place/<s> as storage nodes do, while nodes die, return, join and drain.
#include "plan.h"
#include "plan_preview.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

void Zeros(void *bytes, size_t size) { memset(bytes, 0, size); }

unsigned Both(const roster_copies &a, const roster_copies &b)
{
    unsigned both = 0;
    for (uint32_t i = 0; i < a.count; i++) both += roster_copies_have(&b, &a.ids[i]);
    return both;
}

void Remove(roster_copies *copies, roster_id id)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < copies->count; i++) {
        if (!roster_id_eq(&copies->ids[i], &id)) copies->ids[kept++] = copies->ids[i];
    }
    copies->count = kept;
}

struct Cluster {
    std::unique_ptr<plan_view> view = std::make_unique<plan_view>();
    std::unique_ptr<plan> out = std::make_unique<plan>();
    plan_options options = { 1, 16, 3, 2, 60000, 0, 0, 600000, 4, true, 1000 };
    std::mt19937 random;
    unsigned refused = 0; // percent: a copy does not get in sync at a step
    unsigned changes = 0;

    explicit Cluster(unsigned seed) : random(seed) {}
    unsigned Below(unsigned n) { return unsigned(random() % n); }

    plan_store *Store(unsigned number, const std::string &node, const std::string &zone = "")
    {
        plan_store *store = &view->stores[view->stores_count++];
        *store = {};
        store->sid.bytes[14] = uint8_t(number >> 8);
        store->sid.bytes[15] = uint8_t(number);
        EXPECT_EQ(ERR_OK, roster_name_set(&store->row.node, S(node)).code);
        if (!zone.empty()) EXPECT_EQ(ERR_OK, roster_name_set(&store->row.zone, S(zone)).code);
        store->live = true;
        store->live_since_ms = store->gone_since_ms = view->now_ms;
        store->revision = 1;
        return store;
    }
    plan_store *Find(const roster_id &sid)
    {
        int at = plan_store_of(view.get(), &sid);
        return at < 0 ? nullptr : &view->stores[at];
    }
    bool Live(const roster_id &sid) { return Find(sid) != nullptr && Find(sid)->live; }
    std::string Node(const roster_id &sid)
    {
        const roster_name &name = Find(sid)->row.node;
        return std::string(name.text, name.len);
    }
    void Kill(unsigned at) { view->stores[at].live = false; view->stores[at].gone_since_ms = view->now_ms; }
    void Return(unsigned at)
    {
        view->stores[at].live = true;
        view->stores[at].live_since_ms = view->now_ms;
        if (view->stores[at].row.state == ROSTER_DEAD) view->stores[at].row.state = ROSTER_ACTIVE;
    }

    // What must hold of each change of a place.
    void Check(const plan_shard &shard, const roster_place &next)
    {
        const roster_place &old = shard.place;
        unsigned before = Both(old.replicas, shard.row.isr), after = Both(next.replicas, shard.row.isr);
        EXPECT_GE(after, std::min(before, next.target)) << "copies in sync are given up";
        EXPECT_LE(next.replicas.count, std::max(old.replicas.count, std::max(next.target, old.target) + 1));
        if (next.min_isr > old.min_isr) EXPECT_GE(shard.row.isr.count, next.min_isr);
        std::set<std::string> nodes;
        unsigned staying = 0;
        for (uint32_t i = 0; i < next.replicas.count; i++) {
            if (next.has_leaving && roster_id_eq(&next.leaving, &next.replicas.ids[i])) continue;
            staying++;
            if (Find(next.replicas.ids[i]) != nullptr) nodes.insert(Node(next.replicas.ids[i]));
            else nodes.insert("?" + std::to_string(i));
        }
        EXPECT_EQ(staying, nodes.size()) << "two copies on one node";
    }
    bool Plan()
    {
        if (!plan_next(view.get(), &options, Zeros, out.get())) return false;
        EXPECT_GT(out->items_count, 0u);
        EXPECT_NE(nullptr, out->why);
        for (uint32_t i = 0; i < out->items_count; i++) {
            const plan_item &item = out->items[i];
            struct span key = span_of(item.key, item.key_len);
            struct span value = span_of(out->bytes + item.value_at, item.value_len);
            roster_id sid;
            uint32_t number;
            changes++;
            if (roster_key_read_number(key, "place", &number).code == ERR_OK) {
                plan_shard &shard = view->shards[number];
                roster_place next;
                EXPECT_EQ(ERR_OK, roster_place_read(value, &next).code);
                if (shard.has_place) Check(shard, next);
                EXPECT_EQ(shard.has_place ? shard.revision : 0, item.revision);
                shard.place = next;
                shard.has_place = true;
                shard.revision++;
            } else if (roster_key_read_number(key, "shards", &number).code == ERR_OK) {
                view->shards[number].has_shard = true;
                EXPECT_EQ(ERR_OK, roster_shard_read(value, &view->shards[number].row).code);
            } else if (roster_key_read_id(key, "stores", &sid).code == ERR_OK) {
                EXPECT_EQ(ERR_OK, roster_store_read(value, &Find(sid)->row).code);
            } else if (std::string(item.key, item.key_len) == "map/head") {
                view->has_head = true;
            }
        }
        CheckBounds();
        return true;
    }
    void CheckBounds()
    {
        unsigned leaving = 0, leads = 0;
        for (uint32_t s = 0; s < options.shards; s++) {
            const plan_shard &shard = view->shards[s];
            bool led = shard.row.has_leader && Live(shard.row.leader);
            leaving += led && shard.place.has_leaving;
            leads += shard.place.has_lead;
        }
        EXPECT_LE(leaving, std::max(options.moves_max, begun));
        EXPECT_LE(leads, unsigned(PLAN_LEADS_MAX));
    }
    unsigned begun = 0; // moves of an operator

    // A shard's leader for a moment, as replica_sets.c is.
    void Lead(plan_shard &shard)
    {
        roster_shard &row = shard.row;
        if (!row.has_leader || !Live(row.leader)) {
            roster_copies left = row.isr;
            if (row.has_leader) Remove(&left, row.leader);
            for (uint32_t i = 0; i < left.count; i++) {
                if (!Live(left.ids[i])) continue;
                row.leader = left.ids[i];
                row.isr = left;
                row.has_leader = true;
                row.epoch++;
                row.how = ROSTER_TAKEOVER;
                return;
            }
            if (row.has_leader || !Live(row.isr.ids[0])) return; // offline
            row = { 1, true, row.isr.ids[0], {}, ROSTER_TAKEOVER, row.isr, {}, 0, 0 };
        }
        roster_copies members = row.isr;
        for (uint32_t i = 0; i < members.count; i++) {
            if (!Live(members.ids[i])) Remove(&row.isr, members.ids[i]);
        }
        const roster_copies &placed = shard.place.replicas;
        for (uint32_t i = 0; i < placed.count && row.isr.count < ROSTER_COPIES_MAX; i++) {
            bool there = roster_copies_have(&row.isr, &placed.ids[i]);
            if (there || !Live(placed.ids[i]) || Below(100) < refused) continue;
            row.isr.ids[row.isr.count++] = placed.ids[i];
        }
        roster_id heir = row.leader;
        if (!roster_copies_have(&placed, &heir)) {
            for (uint32_t i = 0; i < row.isr.count; i++) {
                if (roster_copies_have(&placed, &row.isr.ids[i])) heir = row.isr.ids[i];
            }
        }
        if (shard.place.has_lead && roster_copies_have(&row.isr, &shard.place.lead)) heir = shard.place.lead;
        row.leader = heir;
        members = row.isr;
        for (uint32_t i = 0; i < members.count; i++) {
            bool stays = roster_copies_have(&placed, &members.ids[i]) || roster_id_eq(&members.ids[i], &heir);
            if (!stays && row.isr.count > placed.count) Remove(&row.isr, members.ids[i]);
        }
    }
    void Work()
    {
        for (uint32_t s = 0; s < options.shards; s++) {
            if (view->shards[s].has_place && view->shards[s].has_shard) Lead(view->shards[s]);
        }
    }
    void Step(uint64_t ms)
    {
        view->now_ms += ms;
        Work();
        Plan();
    }
    // To the end: no time will change anything any more.
    void Settle(unsigned rounds_max = 5000)
    {
        refused = 0;
        for (unsigned round = 0; round < rounds_max; round++) {
            Work();
            if (Plan()) continue;
            uint64_t wait = plan_wait_ms(view.get(), &options);
            if (wait == UINT64_MAX) return;
            view->now_ms += wait;
        }
        FAIL() << "does not come to an end";
    }

    // Nodes that may have something.
    unsigned Usable()
    {
        std::set<std::string> usable;
        for (uint32_t i = 0; i < view->stores_count; i++) {
            const plan_store &store = view->stores[i];
            if (store.live && store.row.state == ROSTER_ACTIVE) usable.insert(Node(store.sid));
        }
        return unsigned(usable.size());
    }
    // Of each node that may have something, and of each that has.
    std::map<std::string, unsigned> Count(bool leads)
    {
        std::map<std::string, unsigned> count;
        for (uint32_t i = 0; i < view->stores_count; i++) {
            const plan_store &store = view->stores[i];
            if (store.live && store.row.state == ROSTER_ACTIVE) count[Node(store.sid)] += 0;
        }
        for (uint32_t s = 0; s < options.shards; s++) {
            const plan_shard &shard = view->shards[s];
            if (leads) count[Node(shard.row.leader)]++;
            for (uint32_t i = 0; i < shard.place.replicas.count && !leads; i++) count[Node(shard.place.replicas.ids[i])]++;
        }
        return count;
    }
    static unsigned Spread(const std::map<std::string, unsigned> &count)
    {
        unsigned least = UINT32_MAX, most = 0;
        for (const auto &one : count) {
            least = std::min(least, one.second);
            most = std::max(most, one.second);
        }
        return most - least;
    }
    // Every shard is whole, on stores that may have it, on as many nodes as there are copies.
    void ExpectWhole()
    {
        unsigned nodes = Usable();
        unsigned copies = options.copies_now > 0 ? options.copies_now : options.copies;
        for (uint32_t s = 0; s < options.shards; s++) {
            const plan_shard &shard = view->shards[s];
            EXPECT_EQ(copies, shard.place.target);
            EXPECT_FALSE(shard.place.has_leaving) << s;
            EXPECT_FALSE(shard.place.has_lead) << s;
            EXPECT_EQ(std::min(copies, nodes), shard.place.replicas.count) << s;
            EXPECT_EQ(shard.place.replicas.count, Both(shard.place.replicas, shard.row.isr)) << s;
            EXPECT_EQ(shard.place.replicas.count, shard.row.isr.count) << s;
            for (uint32_t i = 0; i < shard.place.replicas.count; i++) {
                const plan_store *store = Find(shard.place.replicas.ids[i]);
                ASSERT_NE(nullptr, store);
                EXPECT_TRUE(store->live);
                EXPECT_EQ(ROSTER_ACTIVE, store->row.state);
            }
        }
    }
    unsigned Zones(const plan_shard &shard)
    {
        std::set<std::string> zones;
        for (uint32_t i = 0; i < shard.place.replicas.count; i++) {
            const roster_name &zone = Find(shard.place.replicas.ids[i])->row.zone;
            zones.insert(std::string(zone.text, zone.len));
        }
        return unsigned(zones.size());
    }
};

TEST(PlanCopies, RandomClustersComeToRestWholeAndEven)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        SCOPED_TRACE(seed);
        Cluster c(seed);
        unsigned nodes = 1 + c.Below(8);
        c.options.shards = 1 + c.Below(40);
        c.options.copies = 1 + c.Below(5);
        c.options.min_isr = 1 + c.Below(c.options.copies);
        c.options.moves_max = 1 + c.Below(6);
        for (unsigned i = 0; i < nodes; i++) c.Store(i, "n" + std::to_string(i));
        c.Settle();
        c.refused = 50;
        // Nodes die, return, join and drain, while the copies are on their way.
        for (unsigned event = 0; event < 30; event++) {
            unsigned at = c.Below(c.view->stores_count);
            plan_store &store = c.view->stores[at];
            unsigned live = c.Usable();
            switch (c.Below(5)) {
            case 0: if (c.view->stores_count < 12) c.Store(c.view->stores_count, "n" + std::to_string(c.view->stores_count)); break;
            case 1: if (live > 2 && store.live) c.Kill(at); break;
            case 2: if (!store.live) c.Return(at); break;
            case 3: if (live > 2 && store.live) store.row.state = ROSTER_DRAINING; break;
            default: if (store.row.state == ROSTER_DRAINING) store.row.state = ROSTER_ACTIVE; break;
            }
            for (unsigned step = c.Below(6); step > 0; step--) c.Step(c.Below(200000));
        }
        // All return that hold the only copies of something; then what drains is emptied, if there
        // are nodes enough.
        for (uint32_t i = 0; i < c.view->stores_count; i++) c.Return(i);
        if (c.Usable() < c.options.copies) {
            for (uint32_t i = 0; i < c.view->stores_count; i++) c.view->stores[i].row.state = ROSTER_ACTIVE;
        }
        c.Settle();
        c.ExpectWhole();
        EXPECT_LE(Cluster::Spread(c.Count(false)), 1u);
        EXPECT_LE(Cluster::Spread(c.Count(true)), 1u);
        // At rest is at rest.
        unsigned changes = c.changes;
        for (unsigned i = 0; i < 5; i++) c.Step(1000000);
        EXPECT_EQ(changes, c.changes);
    }
}

TEST(PlanCopies, ZonesAreDistinctWhileThereAreEnough)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        SCOPED_TRACE(seed);
        Cluster c(seed);
        unsigned zones = 1 + c.Below(4), number = 0;
        c.options.shards = 12 + c.Below(30);
        c.options.copies = 2 + c.Below(2);
        c.options.moves_max = 8;
        for (unsigned z = 0; z < zones; z++) {
            for (unsigned i = 0; i < 3; i++) {
                c.Store(number, "n" + std::to_string(number), "z" + std::to_string(z));
                number++;
            }
        }
        // At first all is in the first zone; the others join later.
        for (uint32_t i = 3; i < c.view->stores_count; i++) c.view->stores[i].live = false;
        c.Settle();
        for (uint32_t i = 3; i < c.view->stores_count; i++) c.Return(i);
        c.Settle();
        c.ExpectWhole();
        for (uint32_t s = 0; s < c.options.shards; s++) EXPECT_EQ(std::min(zones, c.options.copies), c.Zones(c.view->shards[s]));
        // Even within each zone, when copies of one shard never meet in it.
        auto count = c.Count(false);
        for (unsigned z = 0; z < zones && zones >= c.options.copies; z++) {
            std::map<std::string, unsigned> part;
            for (unsigned i = 3 * z; i < 3 * z + 3; i++) part["n" + std::to_string(i)] = count["n" + std::to_string(i)];
            EXPECT_LE(Cluster::Spread(part), 1u);
        }
    }
}

TEST(PlanCopies, NodesOfSeveralDirectoriesHaveEachShardOnce)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        SCOPED_TRACE(seed);
        Cluster c(seed);
        unsigned number = 0, nodes = 3 + c.Below(3);
        c.options.shards = 1 + c.Below(30);
        for (unsigned node = 0; node < nodes; node++) {
            for (unsigned i = 1 + c.Below(3); i > 0; i--) c.Store(number++, "n" + std::to_string(node));
        }
        c.Settle();
        c.ExpectWhole();
        unsigned at = c.Below(number);
        c.Kill(at);
        c.Settle();
        c.view->stores[c.Below(number)].row.state = ROSTER_DRAINING;
        c.Settle();
        c.Return(at);
        for (unsigned i = 0; i < number && c.Usable() < 3; i++) c.view->stores[i].row.state = ROSTER_ACTIVE;
        c.Settle();
        c.ExpectWhole();
    }
}

TEST(PlanCopies, OneNodeGrowsToThreeAndToFive)
{
    Cluster c(1);
    c.options.copies = 1;
    c.options.min_isr = 1;
    c.options.shards = 30;
    c.Store(0, "a");
    c.Settle();
    EXPECT_EQ(1u, c.view->shards[29].place.replicas.count);
    // Three copies, two of them needed: nothing is demanded before it is there.
    c.options.copies_now = 3;
    c.options.min_isr_now = 2;
    c.Plan();
    EXPECT_EQ(3u, c.view->shards[0].place.target);
    EXPECT_EQ(1u, c.view->shards[0].place.min_isr);
    c.Store(1, "b");
    c.Store(2, "c");
    c.Settle();
    c.ExpectWhole();
    for (unsigned s = 0; s < 30; s++) EXPECT_EQ(2u, c.view->shards[s].place.min_isr);
    EXPECT_EQ(0u, Cluster::Spread(c.Count(true)));
    c.Store(3, "d");
    c.Store(4, "e");
    c.Settle();
    c.ExpectWhole();
    EXPECT_EQ(0u, Cluster::Spread(c.Count(false))); // 90 of 5
    EXPECT_EQ(0u, Cluster::Spread(c.Count(true)));
    // And back: to two copies, then to one.
    c.options.copies_now = 2;
    c.options.min_isr_now = 0;
    c.Settle();
    c.ExpectWhole();
    c.options.copies_now = 1;
    c.Settle();
    c.ExpectWhole();
    EXPECT_EQ(1u, c.view->shards[0].place.min_isr);
}

TEST(PlanCopies, ADeadNodesCopiesAreReplacedAfterTheDelayAndNotBefore)
{
    Cluster c(1);
    for (unsigned i = 0; i < 4; i++) c.Store(i, std::string(1, char('a' + i)));
    c.Settle();
    uint64_t since = c.view->now_ms;
    c.Kill(1);
    for (unsigned i = 0; i < 20; i++) {
        c.Work();
        c.Plan();
    }
    c.view->now_ms = since + 599999;
    while (c.Plan()) c.Work();
    EXPECT_EQ(12u, c.Count(false)["b"]);
    EXPECT_EQ(1u, plan_wait_ms(c.view.get(), &c.options));
    c.view->now_ms = since + 600000;
    ASSERT_TRUE(c.Plan());
    EXPECT_STREQ("node is gone", c.out->why);
    EXPECT_EQ(4u, c.out->items_count); // moves_max
    EXPECT_EQ(4u, c.view->shards[0].place.replicas.count);
    c.Settle();
    c.ExpectWhole();
    EXPECT_EQ(0u, c.Count(false)["b"]);
    c.Return(1);
    c.Settle();
    c.ExpectWhole();
    EXPECT_EQ(12u, c.Count(false)["b"]);
}

TEST(PlanCopies, TheWorkOfANodeFallsOnMany)
{
    Cluster c(1);
    c.options.shards = 64;
    for (unsigned i = 0; i < 10; i++) c.Store(i, "n" + std::to_string(i));
    c.Settle();
    std::map<std::string, std::set<std::string>> partners;
    for (unsigned s = 0; s < 64; s++) {
        const roster_copies &copies = c.view->shards[s].place.replicas;
        for (uint32_t i = 0; i < copies.count; i++) {
            for (uint32_t j = 0; j < copies.count; j++) {
                if (i != j) partners[c.Node(copies.ids[i])].insert(c.Node(copies.ids[j]));
            }
        }
    }
    for (const auto &one : partners) EXPECT_GE(one.second.size(), 8u) << one.first;
}

TEST(PlanCopies, WhatAnOperatorPlacedStays)
{
    Cluster c(1);
    c.options.shards = 12;
    for (unsigned i = 0; i < 4; i++) c.Store(i, std::string(1, char('a' + i)));
    c.Settle();
    // Three shards are moved from wherever to d by hand.
    unsigned moved = 0;
    std::set<unsigned> by_hand;
    for (unsigned s = 0; s < 12 && moved < 2; s++) {
        roster_place &place = c.view->shards[s].place;
        if (roster_copies_have(&place.replicas, &c.view->stores[3].sid)) continue;
        place.leaving = place.replicas.ids[1];
        place.has_leaving = place.by_hand = true;
        place.replicas.ids[place.replicas.count++] = c.view->stores[3].sid;
        by_hand.insert(s);
        moved++;
    }
    ASSERT_EQ(2u, moved);
    c.Settle();
    c.ExpectWhole();
    for (unsigned s : by_hand) EXPECT_TRUE(roster_copies_have(&c.view->shards[s].place.replicas, &c.view->stores[3].sid));
    EXPECT_EQ(0u, Cluster::Spread(c.Count(false))); // others went the other way
    // A drain takes them along.
    c.view->stores[3].row.state = ROSTER_DRAINING;
    c.Settle();
    EXPECT_EQ(0u, c.Count(false)["d"]);
    for (unsigned s : by_hand) EXPECT_FALSE(c.view->shards[s].place.by_hand);
}

TEST(PlanCopies, NothingIsDoneThatCannotBeKnownOrCarriedOut)
{
    Cluster c(1);
    for (unsigned i = 0; i < 3; i++) c.Store(i, std::string(1, char('a' + i)));
    c.Settle();
    auto again = std::make_unique<plan_view>(*c.view);
    // A row of a store that can't be read: it looks like a store that is not there.
    c.view->stores_count = 2;
    c.view->is_partial = true;
    EXPECT_FALSE(c.Plan());
    EXPECT_STREQ("rows of data directories that can be read", c.out->why);
    *c.view = *again;
    // No node for a fourth copy: the drain waits, and takes nothing away. Leads go.
    c.view->stores[2].row.state = ROSTER_DRAINING;
    c.Settle();
    EXPECT_EQ(16u, c.Count(false)["c"]);
    EXPECT_EQ(0u, c.Count(true)["c"]);
    c.Store(3, "d");
    c.Settle();
    EXPECT_EQ(0u, c.Count(false)["c"]);
    c.ExpectWhole();
    // A shard whose copies are all gone is not placed anew: nobody could fill the copies.
    for (unsigned i = 0; i < 4; i++) c.Kill(i);
    c.Store(4, "e");
    c.Store(5, "f");
    unsigned places = 0;
    c.view->now_ms += 1000000;
    while (c.Plan()) {
        for (uint32_t i = 0; i < c.out->items_count; i++) places += c.out->items[i].key[0] == 'p';
    }
    EXPECT_EQ(0u, places);
    // Off: nothing moves.
    c.options.moves_max = 0;
    c.options.evens = false;
    for (unsigned i = 0; i < 4; i++) c.Return(i);
    c.Kill(0);
    unsigned before = c.changes;
    for (unsigned i = 0; i < 10; i++) c.Step(1);
    EXPECT_EQ(before, c.changes);
}

TEST(PlanCopies, ANodeWhoseCopiesNeverGetInSyncIsEmptied)
{
    Cluster c(1);
    for (unsigned i = 0; i < 5; i++) c.Store(i, std::string(1, char('a' + i)));
    c.Settle();
    // An ill disk: live, but out of every set; far more shards than moves_max.
    plan_store &ill = c.view->stores[1];
    ill.row.state = ROSTER_DRAINING;
    for (unsigned round = 0; round < 200; round++) {
        c.Work();
        for (unsigned s = 0; s < c.options.shards; s++) {
            roster_shard &row = c.view->shards[s].row;
            if (!roster_id_eq(&row.leader, &ill.sid)) Remove(&row.isr, ill.sid);
        }
        c.Plan();
    }
    c.Settle();
    EXPECT_EQ(0u, c.Count(false)["b"]);
    c.ExpectWhole();
}

TEST(PlanCopies, HealthIsWhatOperatorsAreToldOf)
{
    Cluster c(1);
    plan_health health;
    for (unsigned i = 0; i < 4; i++) c.Store(i, std::string(1, char('a' + i)));
    c.Settle();
    plan_health_get(c.view.get(), &health);
    EXPECT_EQ(16u, health.shards);
    EXPECT_EQ(0u, health.without_leader + health.under_min_isr + health.copies_missing + health.moving);
    // One node gone: nobody leads what it led, then copies are missing, then they are on their way.
    c.Kill(0);
    plan_health_get(c.view.get(), &health);
    EXPECT_EQ(4u, health.without_leader);
    c.Work();
    plan_health_get(c.view.get(), &health);
    EXPECT_EQ(0u, health.without_leader + health.under_min_isr + health.moving);
    EXPECT_EQ(12u, health.copies_missing);
    c.view->now_ms += 600000;
    ASSERT_TRUE(c.Plan()); // it is dead
    ASSERT_TRUE(c.Plan());
    plan_health_get(c.view.get(), &health);
    EXPECT_EQ(4u, health.moving);
    // Two gone: one copy is less than the two that a change needs.
    c.Kill(1);
    c.Work();
    plan_health_get(c.view.get(), &health);
    EXPECT_GT(health.under_min_isr, 0u);
    EXPECT_EQ(0u, health.without_leader);
}

TEST(PlanCopies, LeadsWaitUntilANodeIsSettled)
{
    Cluster c(1);
    c.options.settle_ms = 30000;
    for (unsigned i = 0; i < 3; i++) c.Store(i, std::string(1, char('a' + i)));
    c.Settle();
    c.Kill(0);
    c.Step(3000);
    c.Return(0);
    for (unsigned i = 0; i < 10; i++) c.Step(2000);
    EXPECT_EQ(0u, c.Count(true)["a"]);
    EXPECT_EQ(10000u, plan_wait_ms(c.view.get(), &c.options));
    for (unsigned i = 0; i < 10; i++) c.Step(2000);
    EXPECT_LE(Cluster::Spread(c.Count(true)), 1u);
}

TEST(PlanPreview, SaysWhatWillBeDoneAndNothingMore)
{
    Cluster c(1);
    for (unsigned i = 0; i < 4; i++) c.Store(i, std::string(1, char('a' + i)));
    c.Settle();
    auto preview = std::make_unique<plan_preview>();
    auto view = std::make_unique<plan_view>(*c.view);
    ASSERT_EQ(ERR_OK, plan_preview_make(view.get(), &c.options, preview.get()).code);
    EXPECT_EQ(0u, preview->changes_count);
    c.view->stores[2].row.state = ROSTER_DRAINING;
    *view = *c.view;
    ASSERT_EQ(ERR_OK, plan_preview_make(view.get(), &c.options, preview.get()).code);
    EXPECT_FALSE(preview->is_more);
    unsigned moves = 0;
    for (uint32_t i = 0; i < preview->changes_count; i++) {
        const plan_change &change = preview->changes[i];
        if (change.kind != PLAN_CHANGE_MOVE) continue;
        moves++;
        EXPECT_EQ(2, change.from);
        EXPECT_NE(2, change.to);
        EXPECT_STREQ("node is drained", change.why);
        EXPECT_EQ(0u, change.after_ms);
    }
    EXPECT_EQ(12u, moves);
    // What is done in the end is what was said.
    c.Settle();
    for (unsigned s = 0; s < c.options.shards; s++) {
        EXPECT_EQ(c.view->shards[s].place.replicas.count, Both(c.view->shards[s].place.replicas, view->shards[s].place.replicas));
    }
    // A node that is gone: after the delay.
    c.Kill(0);
    c.Work();
    *view = *c.view;
    view->stores[2].row.state = ROSTER_ACTIVE;
    ASSERT_EQ(ERR_OK, plan_preview_make(view.get(), &c.options, preview.get()).code);
    unsigned late = 0;
    for (uint32_t i = 0; i < preview->changes_count; i++) {
        const plan_change &change = preview->changes[i];
        late += change.kind == PLAN_CHANGE_MOVE && change.from == 0 && change.after_ms >= 600000;
    }
    EXPECT_GT(late, 0u);
    for (unsigned kind = PLAN_CHANGE_ADD; kind <= PLAN_CHANGE_NUMBER; kind++) EXPECT_GT(strlen(plan_change_text(plan_change_kind(kind))), 2u);
}

} // namespace

// The controller's planner: who gets which shards, what is left as it is, who is marked dead.
#include "plan.h"
#include "plan_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "slot.h"

namespace {

std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

unsigned counter;
void Counted(void *bytes, size_t size)
{
    memset(bytes, 0, size);
    memcpy(bytes, &counter, sizeof(counter));
    counter++;
}

class Plan : public testing::Test {
protected:
    std::unique_ptr<plan_view> view = std::make_unique<plan_view>();
    std::unique_ptr<plan> out = std::make_unique<plan>();
    plan_options options = { 3, 64, 1, 1, 60000 };
    std::map<std::string, std::string> rows;

    void Store(unsigned number, const std::string &node, const std::string &zone = "")
    {
        plan_store *store = &view->stores[view->stores_count++];
        *store = {};
        store->sid.bytes[15] = uint8_t(number);
        ASSERT_EQ(ERR_OK, roster_name_set(&store->row.node, S(node)).code);
        if (!zone.empty()) {
            ASSERT_EQ(ERR_OK, roster_name_set(&store->row.zone, S(zone)).code);
        }
        store->live = true;
        store->revision = 100 + number;
    }
    // Carries the transaction out, as the store would.
    void Carry()
    {
        for (uint32_t i = 0; i < out->items_count; i++) {
            const plan_item &item = out->items[i];
            std::string key(item.key, item.key_len);
            span value = span_of(out->bytes + item.value_at, item.value_len);
            ASSERT_TRUE(item.revision != 0 || rows.count(key) == 0) << key;
            rows[key] = Str(value);
            uint32_t number;
            if (roster_key_read_number(S(key), "place", &number).code == ERR_OK) {
                view->shards[number].has_place = true;
                ASSERT_EQ(ERR_OK, roster_place_read(value, &view->shards[number].place).code);
            } else if (roster_key_read_number(S(key), "shards", &number).code == ERR_OK) {
                struct roster_shard shard;
                view->shards[number].has_shard = true;
                ASSERT_EQ(ERR_OK, roster_shard_read(value, &shard).code);
                EXPECT_FALSE(shard.has_leader);
            } else if (key == "map/head") {
                view->has_head = true;
            }
        }
    }
    unsigned All()
    {
        unsigned rounds = 0;
        while (rounds < 1000 && plan_next(view.get(), &options, Counted, out.get())) {
            EXPECT_LE(out->items_count, unsigned(PLAN_ITEMS_MAX));
            EXPECT_GT(out->items_count, 0u);
            Carry();
            rounds++;
        }
        return rounds;
    }
    // store -> how many shards it is the first, and any, copy of.
    std::map<unsigned, unsigned> Firsts(std::map<unsigned, unsigned> *copies = nullptr)
    {
        std::map<unsigned, unsigned> firsts;
        for (unsigned s = 0; s < options.shards; s++) {
            const roster_copies &c = view->shards[s].place.replicas;
            firsts[c.ids[0].bytes[15]]++;
            for (unsigned i = 0; copies != nullptr && i < c.count; i++) (*copies)[c.ids[i].bytes[15]]++;
        }
        return firsts;
    }
};

TEST_F(Plan, BootstrapWaitsForItsNodes)
{
    EXPECT_FALSE(plan_next(view.get(), &options, Counted, out.get()));
    EXPECT_STREQ("waiting for storage nodes", out->why);
    Store(1, "a");
    Store(2, "b");
    Store(3, "b"); // a second directory is no third node
    EXPECT_FALSE(plan_next(view.get(), &options, Counted, out.get()));
    Store(4, "c");
    view->stores[3].row.state = ROSTER_DRAINING;
    EXPECT_FALSE(plan_next(view.get(), &options, Counted, out.get()));
    view->stores[3].row.state = ROSTER_ACTIVE;
    EXPECT_TRUE(plan_next(view.get(), &options, Counted, out.get()));
    EXPECT_STREQ("bootstrap", out->why);
    EXPECT_EQ(0u, rows.count("map/head"));
}

TEST_F(Plan, ShardsAreSpreadEvenlyAndTheHeadComesLast)
{
    for (unsigned shards : { 1u, 3u, 64u, 1000u, 4096u }) {
        *view = {};
        rows.clear();
        options.shards = shards;
        Store(1, "a");
        Store(2, "b");
        Store(3, "c");
        All();
        EXPECT_TRUE(view->has_head);
        auto firsts = Firsts();
        for (unsigned id = 1; id <= 3; id++) {
            EXPECT_GE(firsts[id] + 1, (shards + 2) / 3) << shards;
            EXPECT_LE(firsts[id], (shards + 2) / 3) << shards;
        }
        // The chunks own every slot once.
        unsigned at = 0, chunks = 0;
        auto chunk = std::make_unique<roster_map_chunk>();
        roster_map_head head;
        ASSERT_EQ(ERR_OK, roster_map_head_read(S(rows["map/head"]), &head).code);
        for (const auto &row : rows) {
            uint32_t number;
            if (roster_key_read_number(S(row.first), "map", &number).code != ERR_OK) continue;
            ASSERT_EQ(ERR_OK, roster_map_chunk_read(S(row.second), chunk.get()).code);
            EXPECT_EQ(head.version, chunk->version);
            EXPECT_EQ(chunks++ * ROSTER_CHUNK_SHARDS, chunk->first);
            for (unsigned i = 0; i < chunk->count; i++) {
                EXPECT_EQ(at, chunk->slots[i].first);
                at = chunk->slots[i].end;
            }
        }
        EXPECT_EQ(head.chunks, chunks);
        EXPECT_EQ(unsigned(SLOT_COUNT), at);
        EXPECT_FALSE(plan_next(view.get(), &options, Counted, out.get()));
        EXPECT_EQ(nullptr, out->why);
    }
}

TEST_F(Plan, ANewControllerGoesOnWhereTheOldOneStopped)
{
    Store(1, "a");
    Store(2, "b");
    Store(3, "c");
    options.shards = 200;
    ASSERT_TRUE(plan_next(view.get(), &options, Counted, out.get()));
    Carry();
    auto before = rows;
    // One row of a pair was lost with the transaction of somebody else; the rest is kept.
    view->shards[7].has_shard = false;
    rows.erase("shards/00007");
    All();
    for (const auto &row : before) {
        if (row.first != "shards/00007") {
            EXPECT_EQ(row.second, rows[row.first]) << row.first;
        }
    }
    EXPECT_EQ(1u, rows.count("shards/00007"));
    EXPECT_EQ(200u + 200u + 1u + 1u, rows.size());
    auto firsts = Firsts();
    for (unsigned id = 1; id <= 3; id++) EXPECT_NEAR(67, firsts[id], 1);
}

TEST_F(Plan, CopiesAreOnDistinctNodesAndZones)
{
    options.copies = 3;
    options.min_isr = 2;
    Store(1, "a", "z1");
    Store(2, "a", "z1"); // a second disk of the same node
    Store(3, "b", "z1");
    Store(4, "c", "z2");
    Store(5, "d", "z3");
    All();
    std::map<unsigned, unsigned> copies;
    auto firsts = Firsts(&copies);
    for (unsigned s = 0; s < options.shards; s++) {
        const roster_place &place = view->shards[s].place;
        ASSERT_EQ(3u, place.replicas.count);
        EXPECT_EQ(2u, place.min_isr);
        std::set<std::string> zones;
        for (unsigned i = 0; i < 3; i++) {
            unsigned id = place.replicas.ids[i].bytes[15];
            zones.insert(id <= 3 ? "z1" : id == 4 ? "z2" : "z3");
        }
        EXPECT_EQ(3u, zones.size()) << s;
    }
    for (unsigned id = 1; id <= 5; id++) EXPECT_NEAR(64.0 / 5, firsts[id], 1.0);
}

TEST_F(Plan, FewerNodesThanCopiesStillBegin)
{
    options.copies = 3;
    options.nodes_wanted = 1;
    Store(1, "a");
    Store(2, "a");
    All();
    EXPECT_EQ(1u, view->shards[0].place.replicas.count);
    EXPECT_EQ(3u, view->shards[0].place.target);
}

TEST_F(Plan, ANodeThatIsGoneForLongIsDead)
{
    view->has_head = true;
    Store(1, "a");
    Store(2, "b");
    view->now_ms = 100000;
    view->stores[1].live = false;
    view->stores[1].gone_since_ms = 50000;
    EXPECT_FALSE(plan_next(view.get(), &options, Counted, out.get()));
    EXPECT_EQ(10000u, plan_wait_ms(view.get(), &options));
    view->now_ms = 110000;
    ASSERT_TRUE(plan_next(view.get(), &options, Counted, out.get()));
    ASSERT_EQ(1u, out->items_count);
    EXPECT_EQ(102u, out->items[0].revision);
    Carry();
    roster_store row;
    ASSERT_EQ(ERR_OK, roster_store_read(S(rows.begin()->second), &row).code);
    EXPECT_EQ(ROSTER_DEAD, row.state);
    view->stores[1].row.state = ROSTER_DEAD;
    EXPECT_FALSE(plan_next(view.get(), &options, Counted, out.get()));
    EXPECT_EQ(UINT64_MAX, plan_wait_ms(view.get(), &options));
}

TEST_F(Plan, ThePictureIsMadeOfRowsInOrderOfStores)
{
    const std::string a(32, 'a'), b(32, 'b'), c(32, 'c');
    auto store = [](const char *node) {
        return std::string("{\"node\":\"") + node + "\",\"boot\":1,\"zone\":\"\",\"capacity\":1,\"state\":\"active\"}";
    };
    auto add = [&](const std::string &key, const std::string &value) { plan_rows_add(view.get(), S(key), S(value), 7); };
    plan_rows_begin(view.get(), 5000);
    add("map/head", "{}");
    add("stores/" + c, store("n3"));
    add("stores/" + a, store("n1"));
    add("stores/" + b, store("n2"));
    add("live/n2", "{\"boot\":\"" + a + "\",\"stores\":[\"" + b + "\"],\"address\":\"h:1\"}");
    add("live/n9", "{}");
    add("place/00003", "{\"replicas\":[\"" + a + "\"],\"target\":3,\"min_isr\":2}");
    add("place/00004", "{}");
    add("place/04096", "{\"replicas\":[\"" + a + "\"],\"target\":3,\"min_isr\":2}");
    add("shards/00003", "{\"epoch\":0,\"how\":\"bootstrap\",\"isr\":[\"" + a + "\"],\"nonce\":\"" + a + "\"}");
    add("other/00003", "{}");
    EXPECT_TRUE(view->has_head);
    EXPECT_FALSE(view->is_partial);
    ASSERT_EQ(3u, view->stores_count);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ('0' + i + 1, unsigned(view->stores[i].row.node.text[1]));
        EXPECT_EQ(i == 1, view->stores[i].live);
        EXPECT_EQ(5000u, view->stores[i].gone_since_ms);
        EXPECT_EQ(int(i), plan_store_of(view.get(), &view->stores[i].sid));
    }
    EXPECT_TRUE(view->shards[3].has_place && view->shards[3].has_shard);
    EXPECT_EQ(7u, view->shards[3].revision);
    EXPECT_FALSE(view->shards[4].has_place);
    for (const char *bad : { "stores/x", "stores/0123456789abcdef0123456789abcdef" }) {
        plan_rows_begin(view.get(), 5000);
        add(bad, "{}");
        EXPECT_TRUE(view->is_partial) << bad;
        EXPECT_EQ(0u, view->stores_count);
    }
    plan_rows_begin(view.get(), 5000);
    for (unsigned i = 0; i < PLAN_STORES_MAX + 1; i++) {
        char key[48];
        snprintf(key, sizeof(key), "stores/%032x", i);
        EXPECT_FALSE(view->is_partial);
        add(key, store("n"));
    }
    EXPECT_TRUE(view->is_partial);
}

} // namespace

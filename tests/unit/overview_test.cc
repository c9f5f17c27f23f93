// What the rows of a cluster say of it.
#include "overview.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace {

std::string Id(unsigned n)
{
    char text[33];
    snprintf(text, sizeof(text), "%032x", n);
    return text;
}
std::string Ids(const std::vector<unsigned> &ids)
{
    std::string text = "[";
    for (unsigned id : ids) text += (text.size() > 1 ? ",\"" : "\"") + Id(id) + "\"";
    return text + "]";
}
std::string Key(const char *folder, unsigned number)
{
    char text[64];
    snprintf(text, sizeof(text), "%s/%05u", folder, number);
    return text;
}

class Overview : public testing::Test {
protected:
    struct overview *overview = nullptr;
    void SetUp() override { ASSERT_EQ(ERR_OK, overview_new(&overview).code); }
    void TearDown() override { overview_free(overview); }
    void Add(const std::string &key, const std::string &value)
    {
        overview_add(overview, span_of(key.data(), key.size()), span_of(value.data(), value.size()));
    }
    void Store(unsigned sid, const std::string &node, const char *state = "active")
    {
        Add("stores/" + Id(sid), "{\"node\":\"" + node + "\",\"boot\":1,\"zone\":\"z1\",\"capacity\":1000,\"state\":\"" + state + "\"}");
    }
    void Live(const std::string &node, unsigned boot, const std::vector<unsigned> &sids)
    {
        Add("live/" + node, "{\"boot\":\"" + Id(boot) + "\",\"stores\":" + Ids(sids) + ",\"address\":\"10.0.0.1:7000\"}");
    }
    void Place(unsigned shard, const std::vector<unsigned> &sids, unsigned target = 1, unsigned min = 1)
    {
        Add(Key("place", shard), "{\"replicas\":" + Ids(sids) + ",\"target\":" + std::to_string(target) + ",\"min_isr\":" + std::to_string(min) + "}");
    }
    void Shard(unsigned shard, unsigned leader, unsigned boot, const std::vector<unsigned> &isr)
    {
        std::string led = leader == 0 ? "\"epoch\":0,\"how\":\"bootstrap\"" : "\"epoch\":2,\"leader\":\"" + Id(leader) + "\",\"boot\":\"" + Id(boot) + "\",\"how\":\"takeover\"";
        Add(Key("shards", shard), "{" + led + ",\"isr\":" + Ids(isr) + ",\"nonce\":\"" + Id(9) + "\"}");
    }
    void Map(unsigned shards)
    {
        Add("map/head", "{\"version\":3,\"shards\":" + std::to_string(shards) + ",\"chunks\":1}");
        std::string slots;
        for (unsigned i = 0; i < shards; i++) {
            slots += (i > 0 ? ",[" : "[") + std::to_string(i * 10) + "," + std::to_string(i * 10 + 10) + "]";
        }
        Add("map/00000", "{\"version\":3,\"first\":0,\"slots\":[" + slots + "]}");
    }
    static std::string Name(const struct roster_name &name) { return std::string(name.text, name.len); }
};

TEST_F(Overview, NodesAndWhatTheyLead)
{
    Map(4);
    Live("node-b", 22, { 2 });
    Store(3, "node-c", "dead");
    Store(2, "node-b");
    Store(1, "node-a", "draining");
    Store(4, "node-a");
    Live("node-a", 11, { 1, 4 });
    for (unsigned i = 0; i < 4; i++) Place(i, { 1 });
    Shard(0, 1, 11, { 1 });
    Shard(1, 4, 11, { 4 });
    Shard(2, 2, 22, { 2 });
    Shard(3, 3, 33, { 3 });
    Add("controller", "{\"name\":\"router-2\",\"boot\":\"" + Id(5) + "\"}");
    overview_end(overview);
    ASSERT_EQ(3u, overview->nodes_count);
    const struct { const char *name; bool alive, draining, dead; unsigned stores, leads; uint64_t capacity; } wanted[] = {
        { "node-a", true, true, false, 2, 2, 2000 }, { "node-b", true, false, false, 1, 1, 1000 }, { "node-c", false, false, true, 1, 0, 1000 },
    };
    for (size_t i = 0; i < 3; i++) {
        const struct overview_node &node = overview->nodes[i];
        EXPECT_EQ(wanted[i].name, Name(node.name));
        EXPECT_EQ(wanted[i].alive, node.alive) << i;
        EXPECT_EQ(wanted[i].draining, node.draining) << i;
        EXPECT_EQ(wanted[i].dead, node.dead) << i;
        EXPECT_EQ(wanted[i].stores, node.stores) << i;
        EXPECT_EQ(wanted[i].leads, node.leads) << i;
        EXPECT_EQ(wanted[i].capacity, node.capacity_bytes) << i;
        EXPECT_EQ("z1", Name(node.zone)) << i;
    }
    EXPECT_EQ("router-2", Name(overview->controller));
    EXPECT_EQ(3u, overview->by_state[OVERVIEW_LED]);
    EXPECT_EQ(1u, overview->by_state[OVERVIEW_LEADER_GONE]);
    EXPECT_EQ(0u, overview->corrupt + overview->left_out);
    struct roster_id sid = {};
    sid.bytes[15] = 2;
    EXPECT_EQ("node-b", Name(overview_node_of(overview, &sid)->name));
    sid.bytes[15] = 99;
    EXPECT_EQ(nullptr, overview_node_of(overview, &sid));
}

TEST_F(Overview, StatesOfShards)
{
    Map(9);
    Store(1, "node-a");
    Store(2, "node-b");
    Live("node-a", 11, { 1 });
    const struct { unsigned leader, boot; std::vector<unsigned> isr; unsigned target, min; enum overview_shard_state state; } cases[] = {
        { 1, 11, { 1 }, 1, 1, OVERVIEW_LED },
        { 1, 11, { 1, 2, 3 }, 3, 2, OVERVIEW_LED },
        { 1, 11, { 1, 2 }, 3, 2, OVERVIEW_COPIES_MISSING },
        { 1, 11, { 1 }, 3, 2, OVERVIEW_NO_CHANGES },
        { 1, 12, { 1 }, 1, 1, OVERVIEW_LEADER_GONE }, // another process by now
        { 2, 22, { 2 }, 1, 1, OVERVIEW_LEADER_GONE }, // not there
        { 7, 77, { 7 }, 1, 1, OVERVIEW_LEADER_GONE }, // nobody knows it
        { 0, 0, { 1 }, 1, 1, OVERVIEW_NO_LEADER },
    };
    for (unsigned i = 0; i < 8; i++) {
        Place(i, { 1, 2, 3 }, cases[i].target, cases[i].min);
        Shard(i, cases[i].leader, cases[i].boot, cases[i].isr);
    }
    Shard(8, 1, 11, { 1 }); // no place
    overview_end(overview);
    unsigned counted = 0;
    for (unsigned i = 0; i < 8; i++) {
        EXPECT_STREQ(overview_shard_text(cases[i].state), overview_shard_text(overview->shards[i].state)) << i;
    }
    EXPECT_EQ(OVERVIEW_UNKNOWN, overview->shards[8].state);
    for (unsigned n : overview->by_state) counted += n;
    EXPECT_EQ(9u, counted);
    EXPECT_EQ(10u, overview->shards[1].slots.first);
}

TEST_F(Overview, ProgramsInOrder)
{
    const std::string row = "{\"boot\":\"" + Id(1) + "\",\"version\":\"0.1\",\"address\":\"1.2.3.4:5\",\"admin\":\"\"}";
    for (const char *key : { "router/r-1", "frontend/f-2", "scanner/s", "frontend/f-1", "storage-node/n", "frontend/f" }) {
        Add(std::string("programs/") + key, row);
    }
    overview_end(overview);
    std::string all;
    for (unsigned i = 0; i < overview->programs_count; i++) {
        all += std::string(roster_kind_text(overview->programs[i].kind)) + "/" + Name(overview->programs[i].name) + " ";
    }
    EXPECT_EQ("frontend/f frontend/f-1 frontend/f-2 storage-node/n scanner/s router/r-1 ", all);
}

TEST_F(Overview, BadRowsAreCountedAndCountForNothing)
{
    const struct { const char *key, *value; } cases[] = {
        { "stores/xyz", "{}" }, { "stores/", "{}" }, { "live/a b", "{}" }, { "live/", "{}" }, { "live/a", "[]" },
        { "programs/baker/x", "{}" }, { "programs/router/x", "" }, { "map/head", "{}" }, { "map/00000", "{" },
        { "place/00001", "{}" }, { "shards/00001", "null" }, { "controller", "{\"boot\":1}" }, { "controller", "{\"name\":\"\"}" },
    };
    for (const auto &c : cases) Add(c.key, c.value);
    EXPECT_EQ(sizeof(cases) / sizeof(cases[0]), overview->corrupt);
    for (const char *key : { "meta", "tokens/x", "shards/1", "place/x", "livery/x", "" }) Add(key, "{}");
    EXPECT_EQ(sizeof(cases) / sizeof(cases[0]), overview->corrupt);
    overview_end(overview);
    EXPECT_FALSE(overview->has_head);
    EXPECT_FALSE(overview->has_controller);
    EXPECT_EQ(0u, overview->nodes_count + overview->programs_count + overview->stores_count);
}

TEST_F(Overview, OneNodeHasNoRowsOfShards)
{
    Add("map/head", "{\"shards\":4,\"node\":\"unix:/x\"}");
    overview_end(overview);
    EXPECT_TRUE(overview->has_head);
    EXPECT_EQ(0u, overview->head.chunks);
    for (unsigned n : overview->by_state) EXPECT_EQ(0u, n);
}

TEST_F(Overview, WhatIsBeyondTheBoundsIsLeftOut)
{
    for (unsigned i = 0; i < OVERVIEW_NODES_MAX + 5; i++) Live("n" + std::to_string(i), i + 1, { i + 1 });
    const std::string row = "{\"boot\":\"" + Id(1) + "\",\"version\":\"0.1\",\"address\":\"\",\"admin\":\"\"}";
    for (unsigned i = 0; i < OVERVIEW_PROGRAMS_MAX + 3; i++) Add("programs/frontend/f" + std::to_string(i), row);
    for (unsigned i = 0; i < OVERVIEW_STORES_MAX + 2; i++) Store(i + 1, "n1");
    Add("shards/99999", "{}");
    overview_end(overview);
    EXPECT_EQ(unsigned(OVERVIEW_NODES_MAX), overview->nodes_count);
    EXPECT_EQ(unsigned(OVERVIEW_PROGRAMS_MAX), overview->programs_count);
    EXPECT_EQ(unsigned(OVERVIEW_STORES_MAX), overview->stores_count);
    EXPECT_EQ(5u + 3u + 2u + 1u, overview->left_out);
}

}  // namespace

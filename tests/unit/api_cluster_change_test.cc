// What operators change of where copies are: drains, moves, transfers, leaders by force; and the plan.
#include "api_fixture.h"

namespace {

class ApiClusterChange : public ApiTest {
protected:
    static std::string Id(unsigned n)
    {
        char text[33];
        snprintf(text, sizeof(text), "%032x", n);
        return text;
    }
    static std::string Q(unsigned n) { return "\"" + Id(n) + "\""; }
    static std::string Key(const char *folder, unsigned shard)
    {
        char text[32];
        snprintf(text, sizeof(text), "%s/%05u", folder, shard);
        return text;
    }
    void Store(unsigned n, const std::string &state = "active")
    {
        Put("stores/" + Id(n), "{\"node\":\"n" + std::to_string(n) + "\",\"boot\":1,\"zone\":\"\",\"capacity\":4096,\"state\":\"" + state + "\"}");
    }
    void Live(unsigned n)
    {
        Put("live/n" + std::to_string(n), "{\"boot\":" + Q(10 + n) + ",\"stores\":[" + Q(n) + "],\"address\":\"10.0.0.9:7000\"}");
    }
    static std::string Ids(const std::vector<unsigned> &ids)
    {
        std::string all = "[";
        for (unsigned id : ids) all += (all.size() > 1 ? "," : "") + Q(id);
        return all + "]";
    }
    void Shard(unsigned shard, const std::vector<unsigned> &replicas, const std::vector<unsigned> &isr, unsigned leader, const std::string &more = "")
    {
        Put(Key("place", shard), "{\"replicas\":" + Ids(replicas) + ",\"target\":3,\"min_isr\":2" + more + "}");
        Put(Key("shards", shard), "{\"epoch\":3,\"leader\":" + Q(leader) + ",\"boot\":" + Q(10 + leader) + ",\"how\":\"takeover\",\"isr\":" + Ids(isr) +
                                      ",\"nonce\":" + Q(9) + "}");
    }
    // Four nodes, of which the fourth has nothing, and two shards.
    void SetUp() override
    {
        ApiTest::SetUp();
        Put("map/head", R"({"version":7,"shards":2,"chunks":1})");
        Put("map/00000", R"({"version":7,"first":0,"slots":[[0,100],[100,16384]]})");
        for (unsigned n = 1; n <= 4; n++) {
            Store(n);
            Live(n);
        }
        for (unsigned shard = 0; shard < 2; shard++) Shard(shard, { 1, 2, 3 }, { 1, 2, 3 }, 1);
        Fresh();
    }
    void Fresh() { ASSERT_EQ(ERR_OK, coord_refresh(coord).code); }
    roster_place Place(unsigned shard)
    {
        roster_place place = {};
        std::string text = Row(Key("place", shard));
        EXPECT_EQ(ERR_OK, roster_place_read(span_of(text.data(), text.size()), &place).code) << text;
        return place;
    }
    roster_shard Shard(unsigned shard)
    {
        roster_shard row = {};
        std::string text = Row(Key("shards", shard));
        EXPECT_EQ(ERR_OK, roster_shard_read(span_of(text.data(), text.size()), &row).code) << text;
        return row;
    }
    static std::string Text(const roster_id &id)
    {
        char text[ID_TEXT_BYTES];
        id_hex(id.bytes, ID_BYTES, text);
        return std::string(text, sizeof(text));
    }
    // "do shard from>to why; ..." of the plan.
    std::string Plan()
    {
        json_t *json = Good(200, "GET", "/api/v1/cluster/plan").Json(), *item;
        std::string all;
        size_t i;
        json_array_foreach(json_object_get(json, "items"), i, item) {
            auto text = [&](const char *member) { return Response::Text(json_object_get(item, member)); };
            all += text("do") + " " + text("shard") + " " + text("from") + ">" + text("to") + " " + text("why") + "; ";
        }
        json_decref(json);
        return all;
    }
};

TEST_F(ApiClusterChange, ANodeIsDrainedAndLetInAgain)
{
    auto r = Good(200, "POST", "/api/v1/cluster/nodes/n2/drain");
    EXPECT_EQ("draining", r["state"]);
    EXPECT_EQ("2", r["copies"]);
    EXPECT_NE(std::string::npos, Row("stores/" + Id(2)).find("draining"));
    EXPECT_NE(std::string::npos, Row("stores/" + Id(3)).find("active"));
    EXPECT_EQ("POST /api/v1/cluster/nodes/n2/drain", audits.back());
    Good(200, "POST", "/api/v1/cluster/nodes/n2/drain"); // again: nothing new
    std::string plan = Plan();
    EXPECT_NE(std::string::npos, plan.find("move 0 n2>n4 node is drained")) << plan;
    EXPECT_NE(std::string::npos, plan.find("move 1 n2>n4 node is drained")) << plan;
    EXPECT_EQ("active", Good(200, "DELETE", "/api/v1/cluster/nodes/n2/drain")["state"]);
    EXPECT_NE(std::string::npos, Row("stores/" + Id(2)).find("active"));
    // One that is dead may be drained, and is not made live by the other.
    Store(3, "dead");
    Fresh();
    Good(200, "DELETE", "/api/v1/cluster/nodes/n3/drain");
    EXPECT_NE(std::string::npos, Row("stores/" + Id(3)).find("dead"));
    Good(200, "POST", "/api/v1/cluster/nodes/n3/drain");
    EXPECT_NE(std::string::npos, Row("stores/" + Id(3)).find("draining"));
    EXPECT_NE(std::string::npos, Refused(404, "POST", "/api/v1/cluster/nodes/n9/drain").find("no storage node n9"));
}

TEST_F(ApiClusterChange, ThePlanFollowsTheRowsAndOptions)
{
    // The fourth node is given copies, and each of the first three keeps as many.
    EXPECT_NE(std::string::npos, Plan().find(">n4 copies are evened out"));
    Put("policy/config", R"({"options":{"cluster.rebalance":"false"}})");
    Shard(1, { 1, 2 }, { 1, 2 }, 2);
    Shard(0, { 1, 2, 3, 4 }, { 1, 2, 3 }, 1, ",\"leaving\":" + Q(2));
    Fresh();
    std::string plan = Plan();
    EXPECT_EQ(0u, plan.find("move 0 n2>n4 under way; ")) << plan;
    EXPECT_NE(std::string::npos, plan.find("add 1 >n3 too few copies; ")) << plan;
    Put("stores/" + Id(7), "{}");
    Fresh();
    EXPECT_EQ(5u, Call("GET", "/api/v1/cluster/plan").status / 100);
}

TEST_F(ApiClusterChange, ACopyIsMoved)
{
    auto r = Good(200, "POST", "/api/v1/cluster/shards/1/move", R"({"from":"n3","to":"n4"})");
    EXPECT_EQ("1", r["shard"]);
    roster_place place = Place(1);
    ASSERT_EQ(4u, place.replicas.count);
    EXPECT_EQ(Id(4), Text(place.replicas.ids[3]));
    EXPECT_TRUE(place.has_leaving && place.by_hand);
    EXPECT_EQ(Id(3), Text(place.leaving));
    EXPECT_EQ(3u, Place(0).replicas.count);
    EXPECT_EQ("POST /api/v1/cluster/shards/1/move", audits.back());
    json_t *json = Good(200, "GET", "/api/v1/cluster/shards?after=0").Json();
    const json_t *item = json_array_get(json_object_get(json, "items"), 0);
    EXPECT_EQ("n4", Response::Text(json_object_get(item, "coming")));
    EXPECT_EQ("n3", Response::Text(json_object_get(item, "leaving")));
    EXPECT_EQ("true", Response::Text(json_object_get(item, "by_hand")));
    json_decref(json);
    Good(200, "POST", "/api/v1/cluster/shards/1/release");
    EXPECT_FALSE(Place(1).by_hand);
    EXPECT_NE(std::string::npos, Refused(409, "POST", "/api/v1/cluster/shards/1/move", R"({"from":"n1","to":"n4"})").find("n4 has a copy"));
    Store(5);
    Live(5);
    Store(6);
    Store(7, "draining");
    Live(7);
    Fresh();
    const struct { unsigned status; const char *shard, *body, *says; } cases[] = {
        { 409, "1", R"({"from":"n1","to":"n5"})", "on its way" },
        { 409, "0", R"({"from":"n4","to":"n5"})", "n4 has no copy of shard 0" },
        { 409, "0", R"({"from":"n1","to":"n2"})", "n2 has a copy of shard 0 already" },
        { 400, "0", R"({"from":"n1","to":"n1"})", "another storage node" },
        { 409, "0", R"({"from":"n1","to":"n6"})", "n6 is gone" },
        { 409, "0", R"({"from":"n1","to":"n7"})", "n7 is drained" },
        { 404, "0", R"({"from":"n1","to":"n9"})", "no storage node n9" },
        { 400, "0", R"({"from":"n1"})", "to: the name" },
        { 400, "0", R"({"from":7,"to":"n5"})", "from: a text" },
        { 400, "0", R"({"from":"n1","to":"n5","force":true})", "force" },
        { 404, "2", R"({"from":"n1","to":"n5"})", "no shard 2" },
        { 400, "4096", R"({"from":"n1","to":"n5"})", "number of a shard" },
        { 400, "-1", R"({"from":"n1","to":"n5"})", "number of a shard" },
        { 400, "1x", R"({"from":"n1","to":"n5"})", "number of a shard" },
        { 400, "99999999999999999999", R"({"from":"n1","to":"n5"})", "number of a shard" },
    };
    for (const auto &c : cases) {
        std::string says = Refused(c.status, "POST", std::string("/api/v1/cluster/shards/") + c.shard + "/move", c.body);
        EXPECT_NE(std::string::npos, says.find(c.says)) << says;
    }
    EXPECT_EQ(3u, Place(0).replicas.count);
}

TEST_F(ApiClusterChange, ALeadIsTransferred)
{
    Good(200, "POST", "/api/v1/cluster/shards/0/transfer", R"({"node":"n2"})");
    roster_place place = Place(0);
    ASSERT_TRUE(place.has_lead && place.by_hand);
    EXPECT_EQ(Id(2), Text(place.lead));
    // To who leads already: it stays there.
    Good(200, "POST", "/api/v1/cluster/shards/1/transfer", R"({"node":"n1"})");
    EXPECT_FALSE(Place(1).has_lead);
    EXPECT_TRUE(Place(1).by_hand);
    Shard(1, { 1, 2, 3 }, { 1, 2 }, 1);
    Fresh();
    EXPECT_NE(std::string::npos, Refused(409, "POST", "/api/v1/cluster/shards/1/transfer", R"({"node":"n3"})").find("no copy of shard 1 in sync"));
    Shard(1, { 1, 2, 3, 4 }, { 1, 2, 3 }, 1, ",\"leaving\":" + Q(2));
    Fresh();
    Refused(409, "POST", "/api/v1/cluster/shards/1/transfer", R"({"node":"n2"})");
    Refused(409, "POST", "/api/v1/cluster/shards/1/transfer", R"({"node":"n4"})");
    Put("live/n1", "{}"); // who leads is gone
    Fresh();
    EXPECT_NE(std::string::npos, Refused(409, "POST", "/api/v1/cluster/shards/1/transfer", R"({"node":"n3"})").find("nobody leads"));
}

TEST_F(ApiClusterChange, ALeaderIsForcedOnlyWhenAllInSyncAreLost)
{
    const std::string path = "/api/v1/cluster/shards/0/force-leader", body = R"({"node":"n3","accept_loss":true})";
    auto expect = [&](unsigned status, const std::string &what, const char *says) {
        std::string text = Refused(status, "POST", path, what);
        EXPECT_NE(std::string::npos, text.find(says)) << text;
    };
    Shard(0, { 1, 2, 3 }, { 1, 2 }, 1);
    Fresh();
    expect(400, R"({"node":"n3"})", "accept_loss");
    expect(400, R"({"node":"n3","accept_loss":false})", "accept_loss");
    expect(409, body, "has not been gone for long enough");
    Put("live/n1", "{}");
    Fresh();
    expect(409, body, "n2 has shard 0 in sync");
    expect(409, R"({"node":"n4","accept_loss":true})", "n4 has no copy");
    expect(409, R"({"node":"n1","accept_loss":true})", "n1 is gone");
    expect(404, R"({"node":"n9","accept_loss":true})", "no storage node n9");
    EXPECT_EQ(3u, Shard(0).epoch);
    Put("live/n2", "{}");
    Fresh();
    Good(200, "POST", path, body);
    roster_shard row = Shard(0);
    EXPECT_EQ(1003u, row.epoch);
    EXPECT_EQ(1003u, row.lossy);
    EXPECT_EQ(ROSTER_FORCED, row.how);
    EXPECT_EQ(Id(3), Text(row.leader));
    EXPECT_EQ(Id(13), Text(row.boot));
    ASSERT_EQ(1u, row.isr.count);
    EXPECT_NE(Id(9), Text(row.nonce));
    EXPECT_EQ("POST " + path, audits.back());
    expect(409, body, "has not been gone for long enough"); // it leads now
    EXPECT_EQ(3u, Place(0).replicas.count);
}

TEST_F(ApiClusterChange, AnInstallationOfOneNodeHasNothingToMove)
{
    Put("map/head", R"({"shards":4,"node":")" + address + R"("})");
    Fresh();
    Refused(409, "POST", "/api/v1/cluster/shards/0/move", R"({"from":"n1","to":"n4"})");
    for (const char *token : { "user-1", "auditor-1", "accounts-1", "admin-1" }) {
        Refused(403, "GET", "/api/v1/cluster/plan", "", token);
        Refused(403, "POST", "/api/v1/cluster/nodes/n1/drain", "", token);
        Refused(403, "POST", "/api/v1/cluster/shards/0/force-leader", R"({"node":"n3","accept_loss":true})", token);
    }
}

} // namespace

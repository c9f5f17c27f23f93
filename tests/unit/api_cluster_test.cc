// /api/v1/cluster and its shards: one node, a cluster by its rows, programs that answer or do not.
#include "api_fixture.h"
#include "clock.h"

#include "http_peer.h"

namespace {

class ApiCluster : public ApiTest {
protected:
    http_peer peer;

    static std::string Id(unsigned n)
    {
        char text[33];
        snprintf(text, sizeof(text), "%032x", n);
        return text;
    }
    void Program(const std::string &name, const std::string &at)
    {
        Put("programs/" + name, "{\"boot\":\"" + Id(1) + "\",\"version\":\"0.1.0\",\"address\":\"" + at + "\",\"admin\":\"\"}");
    }
    std::string At() { return "127.0.0.1:" + std::to_string(peer.port); }
    void OneNode() { Put("map/head", "{\"shards\":4,\"node\":\"" + address + "\"}"); }
    // Two nodes and three shards, of which the second node leads one.
    void Cluster(bool second_is_there)
    {
        Put("map/head", R"({"version":7,"shards":3,"chunks":1})");
        Put("map/00000", R"({"version":7,"first":0,"slots":[[0,100],[100,200],[200,16384]]})");
        Put("meta", R"({"cluster":"abc","incarnation":2})");
        Put("controller", R"({"name":"router-1","boot":"x"})");
        for (unsigned n : { 1u, 2u }) {
            std::string name = "node-" + std::to_string(n);
            Put("stores/" + Id(n), "{\"node\":\"" + name + "\",\"boot\":1,\"zone\":\"west\",\"capacity\":4096,\"state\":\"active\"}");
            if (n == 2 && !second_is_there) continue;
            Put("live/" + name, "{\"boot\":\"" + Id(10 + n) + "\",\"stores\":[\"" + Id(n) + "\"],\"address\":\"10.0.0.9:7000\"}");
        }
        for (unsigned shard = 0; shard < 3; shard++) {
            unsigned leader = shard == 1 ? 2 : 1;
            std::string key = "0000" + std::to_string(shard);
            Put("place/" + key, "{\"replicas\":[\"" + Id(leader) + "\"],\"target\":1,\"min_isr\":1}");
            Put("shards/" + key, "{\"epoch\":3,\"leader\":\"" + Id(leader) + "\",\"boot\":\"" + Id(10 + leader) +
                                     "\",\"how\":\"takeover\",\"isr\":[\"" + Id(leader) + "\"],\"nonce\":\"" + Id(9) + "\"}");
        }
    }
    Response Status()
    {
        EXPECT_EQ(ERR_OK, coord_refresh(coord).code);
        return Good(200, "GET", "/api/v1/cluster");
    }
    // Of the shards, by state.
    static std::string Shards(const Response &r, const char *state)
    {
        json_t *json = r.Json();
        std::string value = Response::Text(json_object_get(json_object_get(json, "shards"), state));
        json_decref(json);
        return value;
    }
    static std::string Of(const Response &r, const char *list, const char *member)
    {
        json_t *json = r.Json(), *item;
        std::string all;
        size_t i;
        json_array_foreach(json_object_get(json, list), i, item) {
            all += (i > 0 ? "," : "") + Response::Text(json_object_get(item, member));
        }
        json_decref(json);
        return all;
    }
};

TEST_F(ApiCluster, OneNodeThatIsWell)
{
    OneNode();
    peer.answer = [](const http_peer::Request &request) {
        EXPECT_EQ("/readyz", request.target);
        return http_peer::Json("200 OK", "ready\n");
    };
    for (const char *name : { "frontend/frontend-1", "scanner/scanner-1", "storage-node/storage-node-1" }) Program(name, At());
    auto r = Status();
    EXPECT_EQ("healthy", r["state"]) << r.text;
    EXPECT_EQ("", r["why"]);
    EXPECT_EQ("storage-node-1", Of(r, "storage_nodes", "name"));
    EXPECT_EQ("ready", Of(r, "storage_nodes", "state"));
    EXPECT_EQ("true", Of(r, "storage_nodes", "alive"));
    EXPECT_EQ("4", Of(r, "storage_nodes", "shards_led"));
    EXPECT_EQ("0.1.0", Of(r, "frontends", "version"));
    EXPECT_EQ("ok", Of(r, "store", "state"));
    EXPECT_EQ(coord_dir, Of(r, "store", "name"));
    EXPECT_EQ("4", Shards(r, "count"));
    EXPECT_EQ("4", Shards(r, "led"));
    EXPECT_EQ("0", Shards(r, "leader-gone"));
    auto shards = Good(200, "GET", "/api/v1/cluster/shards");
    EXPECT_EQ(address + "," + address + "," + address + "," + address, Of(shards, "items", "leader"));
    EXPECT_EQ("0-4095,4096-8191,8192-12287,12288-16383", Of(shards, "items", "slots"));
    EXPECT_EQ("led,led,led,led", Of(shards, "items", "state"));
    EXPECT_EQ("", shards["next"]);
}

TEST_F(ApiCluster, WhatIsNotWellIsNamed)
{
    OneNode();
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("503 No", "no engine is loaded\nmore\n"); };
    Program("frontend/frontend-1", "127.0.0.1:1");
    Program("frontend/frontend-2", "");
    auto r = Status();
    EXPECT_EQ("degraded", r["state"]);
    EXPECT_EQ("it is not reachable,it says no address", Of(r, "frontends", "state"));
    EXPECT_EQ("frontend frontend-1: it is not reachable,frontend frontend-2: it says no address,no scanner is there", r["why"]);
    Program("scanner/scanner-1", At());
    r = Status();
    EXPECT_EQ("no engine is loaded", Of(r, "scanners", "state"));
    EXPECT_NE(std::string::npos, r["why"].find("scanner scanner-1: no engine is loaded"));
    Put("programs/scanner/junk", "{}");
    EXPECT_NE(std::string::npos, Status()["why"].find("1 rows can't be read"));
}

TEST_F(ApiCluster, ScannersSayWhatTheyScanWith)
{
    OneNode();
    for (const char *name : { "a", "b", "c", "junk" }) Program(std::string("scanner/") + name, At());
    uint64_t now = clock_wall_ms();
    auto scanner = [](const std::string &set, const std::string &more) {
        return R"({"boot":")" + Id(1) + R"(","address":"h:1","workers":3,"set":")" + set + R"(","version":"1.4/27)" + R"(")" + more + "}";
    };
    Put("scanners/a", scanner("00000000000000aa", ",\"date_ms\":" + std::to_string(now - 7200500) + ",\"refused\":\"00000000000000bb\""));
    Put("scanners/b", scanner("", ",\"date_ms\":" + std::to_string(now + 3600000) + ",\"refused\":\"\"")); // its clock is wrong
    Put("scanners/c", scanner("00000000000000aa", ",\"refused\":\"\"")); // of a version without a date
    Put("scanners/junk", "{}");
    Put("signatures/bad", R"({"sets":[{"set":"00000000000000bb","by":"a","why":"it does not find EICAR"}]})");
    ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
    auto r = Status();
    json_t *json = r.Json(), *list = json_object_get(json, "scanners");
    auto text = [&](size_t i, const char *member) { return Response::Text(json_object_get(json_array_get(list, i), member)); };
    ASSERT_EQ(4u, json_array_size(list));
    EXPECT_EQ("3", text(0, "workers"));
    EXPECT_EQ("1.4/27", text(0, "signatures"));
    EXPECT_EQ("00000000000000aa", text(0, "set"));
    EXPECT_EQ("00000000000000bb", text(0, "refused_set"));
    json_int_t age = json_integer_value(json_object_get(json_array_get(list, 0), "signatures_age_seconds"));
    EXPECT_TRUE(age >= 7200 && age < 7500) << age;
    EXPECT_EQ("0", text(1, "signatures_age_seconds"));
    EXPECT_EQ("", text(1, "set") + text(1, "refused_set") + text(2, "refused_set") + text(2, "signatures_age_seconds"));
    EXPECT_EQ("3", text(2, "workers"));
    EXPECT_EQ("", text(3, "workers") + text(3, "set"));
    json_t *bad = json_object_get(json, "bad_signature_sets");
    ASSERT_EQ(1u, json_array_size(bad));
    EXPECT_STREQ("00000000000000bb", json_string_value(json_object_get(json_array_get(bad, 0), "set")));
    EXPECT_STREQ("a", json_string_value(json_object_get(json_array_get(bad, 0), "by")));
    EXPECT_STREQ("it does not find EICAR", json_string_value(json_object_get(json_array_get(bad, 0), "why")));
    json_decref(json);
    for (const char *junk : { "{}", "junk", R"({"sets":[{"set":"zz"}]})" }) {
        Put("signatures/bad", junk);
        ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
        EXPECT_EQ("", Status()["bad_signature_sets"]) << junk;
    }
}

TEST_F(ApiCluster, WithoutAMap)
{
    auto r = Status();
    EXPECT_EQ("degraded", r["state"]);
    EXPECT_NE(std::string::npos, r["why"].find("there is no map of the slots"));
    EXPECT_NE(std::string::npos, r["why"].find("nobody is the controller"));
    EXPECT_EQ("0", Shards(r, "count"));
    EXPECT_EQ("", Good(200, "GET", "/api/v1/cluster/shards")["items"]);
}

TEST_F(ApiCluster, AClusterByItsRows)
{
    Cluster(true);
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("200 OK", "ready\n"); };
    for (const char *name : { "frontend/f", "scanner/s", "storage-node/node-1", "storage-node/node-2", "router/router-1", "router/router-2" }) {
        Program(name, At());
    }
    auto r = Status();
    EXPECT_EQ("healthy", r["state"]) << r.text;
    EXPECT_EQ("abc", r["cluster"]);
    EXPECT_EQ("2", r["incarnation"]);
    EXPECT_EQ("7", r["map_version"]);
    EXPECT_EQ("router-1", r["controller"]);
    EXPECT_EQ("true,false", Of(r, "routers", "controller"));
    EXPECT_EQ("2,1", Of(r, "storage_nodes", "shards_led"));
    EXPECT_EQ("west,west", Of(r, "storage_nodes", "zone"));
    EXPECT_EQ("4096,4096", Of(r, "storage_nodes", "capacity_bytes"));
    EXPECT_EQ(Id(1) + "," + Id(2), Of(r, "storage_nodes", "stores"));
    EXPECT_EQ("3", Shards(r, "led"));
}

TEST_F(ApiCluster, ANodeThatIsGone)
{
    Cluster(false);
    auto r = Status();
    EXPECT_EQ("live,gone", Of(r, "storage_nodes", "state"));
    EXPECT_EQ("true,false", Of(r, "storage_nodes", "alive"));
    EXPECT_NE(std::string::npos, r["why"].find("storage node node-2 is gone"));
    EXPECT_NE(std::string::npos, r["why"].find("1 of 3 shards: leader-gone"));
    EXPECT_EQ("2", Shards(r, "led"));
    auto first = Good(200, "GET", "/api/v1/cluster/shards?limit=2");
    EXPECT_EQ("0,1", Of(first, "items", "shard"));
    EXPECT_EQ("led,leader-gone", Of(first, "items", "state"));
    EXPECT_EQ("node-1,node-2", Of(first, "items", "leader"));
    EXPECT_EQ("node-1,node-2", Of(first, "items", "isr"));
    EXPECT_EQ("3,3", Of(first, "items", "epoch"));
    EXPECT_EQ("1", first["next"]);
    auto second = Good(200, "GET", "/api/v1/cluster/shards?limit=2&after=" + first["next"]);
    EXPECT_EQ("2", Of(second, "items", "shard"));
    EXPECT_EQ("200-16383", Of(second, "items", "slots"));
    EXPECT_EQ("", second["next"]);
    EXPECT_EQ("", Good(200, "GET", "/api/v1/cluster/shards?after=4000")["items"]);
}

TEST_F(ApiCluster, Refusals)
{
    for (const char *token : { "user-1", "auditor-1", "accounts-1", "admin-1" }) {
        Refused(403, "GET", "/api/v1/cluster", "", token);
        Refused(403, "GET", "/api/v1/cluster/shards", "", token);
    }
    EXPECT_EQ(401u, Call("GET", "/api/v1/cluster", "", "").status);
    EXPECT_EQ(405u, Call("POST", "/api/v1/cluster").status);
    const struct { const char *query, *says; } cases[] = {
        { "limit=0", "limit: a number from 1 to 1000" }, { "limit=1001", "limit:" }, { "limit=-1", "limit:" },
        { "limit=1e2", "limit:" }, { "limit=99999999999999999999", "limit:" },
        { "after=x", "after: a number from 0 to 4096" }, { "after=5000", "after:" }, { "after=%31%20", "after:" },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(0u, Refused(400, "GET", std::string("/api/v1/cluster/shards?") + c.query).find(c.says)) << c.query;
    }
}

}  // namespace

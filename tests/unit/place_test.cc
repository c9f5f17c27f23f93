#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>
#include <map>

#include "place_address.h"
#include "place_cluster.h"
#include "place_map.h"
#include "slot.h"

namespace {

span S(const std::string &s) { return span_of(s.data(), s.size()); }

std::string Canonical(const std::string &address, place_rules rules = {true, false, 0})
{
    char bytes[PLACE_ADDRESS_MAX_BYTES];
    buf out;
    buf_init(&out, bytes, sizeof(bytes));
    err e = place_address(S(address), &rules, &out);
    if (e.code != ERR_OK) {
        EXPECT_EQ(ERR_SYNTAX, e.code) << address;
        EXPECT_EQ(0u, out.len);
        return "";
    }
    return std::string(out.bytes, out.len);
}

TEST(Slot, NeverChanges)
{
    const struct { uint64_t account; unsigned slot; } accounts[] = {{1, 12553u}, {2, 10452u}, {UINT64_MAX, 7090u}};
    for (const auto &c : accounts) EXPECT_EQ(c.slot, slot_of_account(c.account));
    EXPECT_EQ(4356u, slot_of_name(S("joe@example.org")));
    EXPECT_EQ(14413u, slot_of_name(S("example.org")));
}

TEST(Slot, SpreadsEvenly)
{
    std::string counts(SLOT_COUNT, '\0');
    for (uint64_t account = 1; account <= 20 * SLOT_COUNT; account++) counts[slot_of_account(account)]++;
    for (char count : counts) {
        EXPECT_GT(count, 0);
        EXPECT_LT(count, 60);
    }
}

TEST(PlaceAddress, CanonicalForm)
{
    const struct { const char *address, *want; place_rules rules; } cases[] = {
        {"joe@example.org", "joe@example.org", {true, false, 0}},
        {"Joe@EXAMPLE.Org", "joe@example.org", {true, false, 0}},
        {"Joe@EXAMPLE.Org", "Joe@example.org", {false, false, 0}},
        {"\"joe\"@x.org", "joe@x.org", {true, false, 0}},
        {"\"jo\\e doe\"@x.org", "joe doe@x.org", {true, false, 0}},
        {"\"a@b\"@x.org", "a@b@x.org", {true, false, 0}},
        {"J.Doe+Lists@x.org", "j.doe+lists@x.org", {true, false, 0}},
        {"J.Doe+Lists@x.org", "jdoe@x.org", {true, true, '+'}},
        {"+lists@x.org", "+lists@x.org", {true, false, '+'}},
        {"joe@[127.0.0.1]", "joe@[127.0.0.1]", {true, false, 0}},
        {"joe@[IPv6:FE80::1]", "joe@[ipv6:fe80::1]", {true, false, 0}},
        // IDNA 2008: U-labels become A-labels, sharp s stays itself, capitals map down.
        {"joe@b\xc3\xbc" "cher.example", "joe@xn--bcher-kva.example", {true, false, 0}},
        {"joe@B\xc3\x9c" "CHER.example", "joe@xn--bcher-kva.example", {true, false, 0}},
        {"joe@bu\xcc\x88" "cher.example", "joe@xn--bcher-kva.example", {true, false, 0}},
        {"joe@xn--BCHER-kva.example", "joe@xn--bcher-kva.example", {true, false, 0}},
        {"joe@stra\xc3\x9f" "e.example", "joe@xn--strae-oqa.example", {true, false, 0}},
        // Local parts: NFC; folded when the domain says so (sharp s folds to ss).
        {"ju\xcc\x88rgen@x.org", "j\xc3\xbcrgen@x.org", {false, false, 0}},
        {"J\xc3\x9cRGEN@x.org", "j\xc3\xbcrgen@x.org", {true, false, 0}},
        {"J\xc3\x9cRGEN@x.org", "J\xc3\x9cRGEN@x.org", {false, false, 0}},
        {"stra\xc3\x9f" "e@x.org", "strasse@x.org", {true, false, 0}},
        {"a_b@my_host.x.org", "a_b@my_host.x.org", {true, false, 0}},
    };
    for (const auto &c : cases) EXPECT_EQ(c.want, Canonical(c.address, c.rules)) << c.address;
}

TEST(PlaceAddress, WhatIsNone)
{
    const std::string cases[] = {
        "", "@", "joe", "joe@", "@x.org", "joe@.org", "joe@x..org", "joe@x.org.", "joe@-x.org", "joe@x-.org",
        "joe@x y.org", "joe@[", "joe@[]", "joe@[1.2.3.4", "joe@[a b]", "joe@" + std::string(64, 'a') + ".org",
        "joe@" + std::string(254, 'a') + ".b", std::string(65, 'a') + "@x.org", "\"joe@x.org", "\"\"@x.org",
        "\"joe\\\"@x.org", "\"a\"b@x.org", "\xff\xfe@x.org", "\xc3@x.org", "joe@\xff.org", "joe@x\xe2\x98\x83\xff",
        std::string("joe@x\0y.org", 11), "joe@xn--\xc3\xbc.org",
    };
    for (const auto &address : cases) EXPECT_EQ("", Canonical(address)) << ::testing::PrintToString(address);
}

TEST(PlaceAddress, CanonicalIsAFixedPoint)
{
    for (const char *address : {"Joe@Example.ORG", "\"x y\"@b\xc3\xbc" "cher.example", "STRA\xc3\x9f" "E@x.org",
                                "\xef\xac\x81sh@x.org", "\xe1\xba\x9e@x.org"}) {
        auto once = Canonical(address);
        EXPECT_NE("", once);
        EXPECT_EQ(once, Canonical(once));
    }
}

TEST(PlaceMap, OneNode)
{
    for (unsigned shards : {1u, 3u, 64u, 4096u}) {
        place_map *map;
        ASSERT_EQ(ERR_OK, place_map_one_node(7, shards, S("127.0.0.1:7000"), &map).code);
        EXPECT_EQ(7u, place_map_version(map));
        EXPECT_EQ(shards, place_map_shards(map));
        unsigned at = 0;
        for (unsigned shard = 0; shard < shards; shard++) {
            unsigned first, end;
            place_map_slots(map, shard, &first, &end);
            EXPECT_EQ(at, first);
            EXPECT_LT(first, end);
            EXPECT_LE(end - first, SLOT_COUNT / shards + 1);
            for (at = first; at < end; at++) EXPECT_EQ(shard, place_map_shard(map, uint16_t(at)));
            EXPECT_EQ("127.0.0.1:7000", std::string(place_map_address(map, shard).ptr, place_map_address(map, shard).len));
        }
        EXPECT_EQ(unsigned(SLOT_COUNT), at);
        EXPECT_EQ(map, place_map_ref(map));
        place_map_unref(map);
        EXPECT_EQ(shards, place_map_shards(map));
        place_map_unref(map);
    }
    place_map_unref(nullptr);
}

TEST(PlaceMap, OutOfBounds)
{
    place_map *map = nullptr;
    EXPECT_EQ(ERR_SYNTAX, place_map_one_node(1, 0, S("a"), &map).code);
    EXPECT_EQ(ERR_SYNTAX, place_map_one_node(1, 4097, S("a"), &map).code);
    EXPECT_EQ(ERR_SYNTAX, place_map_one_node(1, 1, S(""), &map).code);
    EXPECT_EQ(ERR_SYNTAX, place_map_one_node(1, 1, S(std::string(256, 'a')), &map).code);
    EXPECT_EQ(nullptr, map);
}

TEST(PlaceMap, SlotsAreOwnedOnce)
{
    place_map *map = nullptr;
    const struct { const char *what; std::vector<place_shard_row> rows; err_code code; } cases[] = {
        { "one", { { 0, 16384, SPAN("a") } }, ERR_OK },
        { "two, the second first", { { 8000, 16384, SPAN("a") }, { 0, 8000, SPAN("b") } }, ERR_OK },
        { "an empty shard, no leader", { { 0, 16384, SPAN("") }, { 5, 5, SPAN("b") } }, ERR_OK },
        { "a slot without a shard", { { 0, 16383, SPAN("a") } }, ERR_SYNTAX },
        { "a slot with two", { { 0, 16384, SPAN("a") }, { 7, 8, SPAN("b") } }, ERR_SYNTAX },
        { "as many, but one twice", { { 0, 8192, SPAN("a") }, { 0, 8192, SPAN("b") } }, ERR_SYNTAX },
        { "backwards", { { 16384, 0, SPAN("a") } }, ERR_SYNTAX },
        { "beyond", { { 0, 16385, SPAN("a") } }, ERR_SYNTAX },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.code, place_map_make(3, c.rows.data(), unsigned(c.rows.size()), &map).code) << c.what;
        if (c.code != ERR_OK) continue;
        for (unsigned i = 0; i < c.rows.size(); i++) {
            EXPECT_TRUE(span_eq(c.rows[i].address, place_map_address(map, i))) << c.what;
        }
        place_map_unref(map);
    }
}

// Rows as they lie in the coordination store, and the addresses that come of them.
class PlaceCluster : public testing::Test {
protected:
    const std::string a = std::string(32, 'a'), b = std::string(32, 'b'), n = std::string(32, '0');
    std::map<std::string, std::string> rows = {
        { "map/head", R"({"version":2,"shards":2,"chunks":1})" },
        { "map/00000", R"({"version":2,"first":0,"slots":[[0,8000],[8000,16384]]})" },
        { "shards/00000", Shard(a) },
        { "shards/00001", Shard(b) },
        { "live/n1", Live(a, "127.0.0.2:7000") },
        { "live/n2", Live(b, "127.0.0.3:7000") },
    };
    std::string Shard(const std::string &sid)
    {
        return R"({"epoch":1,"leader":")" + sid + R"(","boot":")" + n +
               R"(","how":"takeover","isr":[")" + sid + R"("],"nonce":")" + n + "\"}";
    }
    std::string Live(const std::string &sid, const std::string &address)
    {
        return R"({"boot":")" + n + R"(","stores":[")" + sid + R"("],"address":")" + address + "\"}";
    }
    // The addresses of both shards, or the error's name.
    std::string Made()
    {
        place_cluster *cluster;
        place_map *map;
        EXPECT_EQ(ERR_OK, place_cluster_begin(&cluster).code);
        for (const auto &row : rows) place_cluster_add(cluster, S(row.first), S(row.second));
        err error = place_cluster_end(cluster, 9, &map);
        if (error.code != ERR_OK) return err_name(error.code);
        EXPECT_EQ(9u, place_map_version(map));
        std::string made;
        for (unsigned i = 0; i < place_map_shards(map); i++) {
            span address = place_map_address(map, i);
            made += (i ? " " : "") + (address.len ? std::string(address.ptr, address.len) : "-");
        }
        place_map_unref(map);
        return made;
    }
};

TEST_F(PlaceCluster, LeadersAreWhereTheirDirectoriesAre)
{
    EXPECT_EQ("127.0.0.2:7000 127.0.0.3:7000", Made());
    rows["shards/00000"] = Shard(b);
    EXPECT_EQ("127.0.0.3:7000 127.0.0.3:7000", Made());
    rows["tenants/1"] = "{}";
    rows["map/head"] = R"({"shards":2,"node":"unix:/s"})";
    EXPECT_EQ("unix:/s unix:/s", Made());
}

TEST_F(PlaceCluster, WhatIsMissingHasNoLeader)
{
    rows.erase("live/n1");
    EXPECT_EQ("- 127.0.0.3:7000", Made());
    rows["shards/00001"] = R"({"epoch":0,"how":"bootstrap","isr":[")" + b + R"("],"nonce":")" + n + "\"}";
    EXPECT_EQ("- -", Made());
    rows["shards/00001"] = "{";
    rows["live/n2"] = "x";
    EXPECT_EQ("- -", Made());
}

TEST_F(PlaceCluster, NoMapOrHalfOfOneIsRefused)
{
    auto whole = rows;
    rows.erase("map/head");
    EXPECT_EQ("NOT_FOUND", Made());
    const std::pair<const char *, const char *> cases[] = {
        { "map/head", "{}" },
        { "map/head", R"({"version":3,"shards":2,"chunks":1})" },
        { "map/head", R"({"version":2,"shards":3,"chunks":1})" },
        { "map/00000", R"({"version":2,"first":0,"slots":[[0,8000],[8001,16384]]})" },
        { "map/00000", R"({"version":2,"first":1,"slots":[[0,8000],[8000,16384]]})" },
        { "map/00000", R"({"version":2,"first":4095,"slots":[[0,8000],[8000,16384]]})" },
        { "map/00001", R"({"version":1,"first":0,"slots":[[0,8000]]})" },
        { "map/00000", "no" },
    };
    for (const auto &c : cases) {
        rows = whole;
        rows[c.first] = c.second;
        EXPECT_EQ("CORRUPT", Made()) << c.first << " " << c.second;
    }
    rows = whole;
    rows.erase("map/00000");
    EXPECT_EQ("CORRUPT", Made());
}

}  // namespace

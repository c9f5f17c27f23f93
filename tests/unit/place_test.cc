#include <gtest/gtest.h>

#include <string>

#include "place_address.h"
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

}  // namespace

// IP groups: what an entry may be, what a set of groups holds, and circles in it.
#include "policy_group.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "buf.h"

namespace {

struct span S(const std::string &text) { return span_of(text.data(), text.size()); }

TEST(PolicyGroup, EntriesHaveOneFixedForm)
{
    const struct { std::string text; const char *put; } cases[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "192.0.2.1/32", "192.0.2.1" },
        { "192.0.2.1-192.0.2.1", "192.0.2.1" },
        { "10.1.2.3/8", "10.0.0.0/8" },
        { "10.0.0.0/255.255.0.0", "10.0.0.0/16" },
        { "10.0.0.0-10.0.0.255", "10.0.0.0/24" },
        { "10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9" },
        { "10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2" },
        { "0.0.0.0/0", "0.0.0.0/0" },
        { "2001:DB8::1", "2001:db8::1" },
        { "2001:db8:ffff::/33", "2001:db8:8000::/33" },
        { "::/0", "::/0" },
        { "::1-::5", "::1-::5" },
        { "group:office-1", "group:office-1" },
        { "", nullptr }, { " ", nullptr }, { "192.0.2.256", nullptr }, { "192.0.2", nullptr },
        { "192.0.2.0/33", nullptr }, { "192.0.2.0/", nullptr }, { "/8", nullptr }, { "10.0.0.0/255.0.255.0", nullptr },
        { "10.0.0.9-10.0.0.1", nullptr }, { "10.0.0.1-", nullptr }, { "10.0.0.1-::1", nullptr },
        { "10.0.0.1-10.0.0.2-10.0.0.3", nullptr }, { "host.example.org", nullptr }, { "2001:db8::/129", nullptr },
        { "group:", nullptr }, { "group:A", nullptr }, { "group:a b", nullptr }, { "Group:a", nullptr },
        { "group:" + std::string(61, 'a'), nullptr }, { std::string("10.0.0.1\0", 9), nullptr }, { "10.0.0.1 ", nullptr },
    };
    for (const auto &c : cases) {
        struct policy_group_entry entry, again;
        char bytes[256];
        struct buf out;
        buf_init(&out, bytes, sizeof(bytes));
        auto err = policy_group_entry_parse(S(c.text), &entry);
        EXPECT_EQ(c.put != nullptr ? ERR_OK : ERR_SYNTAX, err.code) << c.text;
        if (err.code != ERR_OK || c.put == nullptr) continue;
        policy_group_entry_put(&entry, &out);
        EXPECT_EQ(c.put, std::string(bytes, out.len)) << c.text;
        EXPECT_EQ(ERR_OK, policy_group_entry_parse(buf_span(&out), &again).code);
    }
}

class PolicyGroups : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(ERR_OK, policy_groups_new(&groups).code); }
    void TearDown() override { policy_groups_free(groups); }
    err_code Add(const std::string &name, const std::vector<std::string> &entries)
    {
        std::string json = "{\"name\":\"" + name + "\",\"tenant\":0,\"entries\":[";
        for (size_t i = 0; i < entries.size(); i++) json += (i == 0 ? "\"" : ",\"") + entries[i] + "\"";
        return policy_groups_add(groups, S(json + "]}")).code;
    }
    bool In(const std::string &name, const std::string &ip)
    {
        struct policy_ip address;
        EXPECT_EQ(ERR_OK, policy_ip_parse(S(ip), &address).code) << ip;
        return policy_groups_match(groups, S(name), &address);
    }
    struct policy_groups *groups = nullptr;
};

TEST_F(PolicyGroups, HoldWhatTheirEntriesAndThoseOfNestedOnesDo)
{
    ASSERT_EQ(ERR_OK, Add("office", { "10.0.0.0/8", "10.1.0.0/16", "192.0.2.5", "172.16.0.1-172.16.0.9", "172.16.0.5-172.16.0.20", "2001:db8::/32" }));
    ASSERT_EQ(ERR_OK, Add("all", { "198.51.100.1", "group:office", "group:gone" }));
    ASSERT_EQ(ERR_OK, Add("empty", {}));
    policy_groups_seal(groups);
    const struct { const char *ip; bool office; } cases[] = {
        { "10.0.0.0", true }, { "10.255.255.255", true }, { "11.0.0.0", false }, { "9.255.255.255", false }, { "192.0.2.5", true },
        { "192.0.2.4", false }, { "192.0.2.6", false }, { "172.16.0.1", true }, { "172.16.0.20", true }, { "172.16.0.21", false },
        { "172.16.0.0", false }, { "2001:db8::", true }, { "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true }, { "2001:db9::", false }, { "::1", false },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.office, In("office", c.ip)) << c.ip;
        EXPECT_EQ(c.office, In("all", c.ip)) << c.ip;
        EXPECT_FALSE(In("empty", c.ip));
        EXPECT_FALSE(In("gone", c.ip));
    }
    EXPECT_TRUE(In("all", "198.51.100.1"));
    EXPECT_FALSE(In("office", "198.51.100.1"));
    EXPECT_EQ(3u, policy_groups_count(groups));
    EXPECT_TRUE(policy_groups_has(groups, SPAN("all")));
    EXPECT_FALSE(policy_groups_has(groups, SPAN("gone")));
}

TEST_F(PolicyGroups, ThousandsOfRangesAreFound)
{
    std::vector<std::string> entries;
    for (int i = 3999; i >= 0; i--) entries.push_back("10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".8/29");
    ASSERT_EQ(ERR_OK, Add("many", entries));
    policy_groups_seal(groups);
    for (int i = 0; i < 4000; i++) {
        std::string head = "10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".";
        ASSERT_FALSE(In("many", head + "7"));
        ASSERT_TRUE(In("many", head + "8"));
        ASSERT_TRUE(In("many", head + "15"));
        ASSERT_FALSE(In("many", head + "16"));
    }
    entries.push_back("::1");
    EXPECT_EQ(ERR_SYNTAX, Add("toomany", entries));
}

TEST_F(PolicyGroups, CirclesEndAndAreSeen)
{
    ASSERT_EQ(ERR_OK, Add("a", { "group:b", "10.0.0.1" }));
    ASSERT_EQ(ERR_OK, Add("b", { "group:c", "group:a" }));
    ASSERT_EQ(ERR_OK, Add("c", { "group:b", "10.0.0.3" }));
    ASSERT_EQ(ERR_OK, Add("self", { "group:self" }));
    for (int i = 0; i < 12; i++) ASSERT_EQ(ERR_OK, Add("d" + std::to_string(i), { "10.1.0." + std::to_string(i), "group:d" + std::to_string(i + 1) }));
    policy_groups_seal(groups);
    for (const char *name : { "a", "b", "c" }) {
        EXPECT_TRUE(In(name, "10.0.0.1"));
        EXPECT_TRUE(In(name, "10.0.0.3"));
        EXPECT_FALSE(In(name, "10.0.0.2"));
    }
    EXPECT_FALSE(In("self", "10.0.0.1"));
    EXPECT_TRUE(policy_groups_lead(groups, SPAN("a"), SPAN("c")));
    EXPECT_TRUE(policy_groups_lead(groups, SPAN("c"), SPAN("a")));
    EXPECT_FALSE(policy_groups_lead(groups, SPAN("c"), SPAN("self")));
    EXPECT_TRUE(In("d0", "10.1.0.8"));   // as deep as may be
    EXPECT_FALSE(In("d0", "10.1.0.9"));
    EXPECT_TRUE(policy_groups_lead(groups, SPAN("d0"), SPAN("self"))); // too deep to be sure
    EXPECT_FALSE(policy_groups_lead(groups, SPAN("d5"), SPAN("self")));
}

TEST_F(PolicyGroups, RowsThatAreNone)
{
    for (const char *json : { "", "[]", "null", "{}", R"({"name":"a"})", R"({"name":"a","entries":{}})", R"({"name":"a","entries":[5]})",
                              R"({"name":"a","entries":["nothing"]})", R"({"name":"A","entries":[]})", R"({"name":"","entries":[]})",
                              R"({"name":5,"entries":[]})", R"({"name":"a","name":"a","entries":[]})", R"({"name":"a","entries":["group:"]})" }) {
        EXPECT_EQ(ERR_SYNTAX, policy_groups_add(groups, S(json)).code) << json;
    }
    EXPECT_EQ(ERR_OK, Add("a", {}));
    EXPECT_EQ(ERR_SYNTAX, Add("a", {})); // twice
    EXPECT_EQ(1u, policy_groups_count(groups));
}

}  // namespace

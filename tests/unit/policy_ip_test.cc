#include <gtest/gtest.h>

#include <string>

#include "policy_ip.h"

namespace {

using namespace std::string_literals;
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

policy_ip Ip(const std::string &text)
{
    policy_ip ip{};
    EXPECT_EQ(ERR_OK, policy_ip_parse(S(text), &ip).code) << text;
    return ip;
}

TEST(PolicyIp, Ranges)
{
    const struct { const char *range, *in, *out; } rows[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.2"}, {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"}, {"10.1.2.3/8", "10.0.0.0", "9.255.255.255"},
        {"10.0.0.0/255.0.0.0", "10.9.9.9", "11.0.0.0"}, {"192.0.2.4/30", "192.0.2.7", "192.0.2.8"}, {"192.0.2.4/32", "192.0.2.4", "192.0.2.5"},
        {"10.0.0.5-10.0.1.2", "10.0.1.2", "10.0.1.3"}, {"10.0.0.5-10.0.1.2", "10.0.0.5", "10.0.0.4"}, {"0.0.0.0/0", "255.255.255.255", "2001:db8::1"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"}, {"2001:db8::1", "2001:0db8:0::1", "2001:db8::2"}, {"::1-::5", "::3", "::6"},
        {"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"}, {"fe80::/10", "fe80::1", "10.0.0.1"}, {"2001:db8::/ffff:ffff::", "2001:db8::9", "2001:db9::"},
    };
    for (const auto &row : rows) {
        policy_ip_range range;
        ASSERT_EQ(ERR_OK, policy_ip_range_parse(S(row.range), &range).code) << row.range;
        policy_ip in = Ip(row.in), out = Ip(row.out);
        EXPECT_TRUE(policy_ip_is_in(&in, &range, 1)) << row.range;
        EXPECT_FALSE(policy_ip_is_in(&out, &range, 1)) << row.range;
        EXPECT_FALSE(policy_ip_is_in(&in, &range, 0));
    }
}

TEST(PolicyIp, BadOnes)
{
    for (const std::string &bad : {""s, "x"s, "10.0.0"s, "10.0.0.256"s, "10.0.0.1 "s, "10.0.0.0/"s, "10.0.0.0/33"s, "10.0.0.0/-1"s, "10.0.0.0/8x"s, "10.0.0.0/255.0.255.0"s,
                                   "10.0.0.0/0.0.0.255"s, "2001:db8::/129"s, "2001:db8::/255.0.0.0"s, "10.0.0.0/ffff::"s, "10.0.0.2-10.0.0.1"s, "10.0.0.1-::2"s, "10.0.0.1-"s,
                                   "-10.0.0.1"s, "10.0.0.1\0"s, "1.2.3.4/8/8"s, std::string(200, '1'), "/8"s, ":::"s}) {
        policy_ip_range range;
        EXPECT_EQ(ERR_SYNTAX, policy_ip_range_parse(S(bad), &range).code) << bad;
    }
}

TEST(PolicyIp, Several)
{
    policy_ip_range ranges[2];
    ASSERT_EQ(ERR_OK, policy_ip_range_parse(SPAN("10.0.0.0/8"), &ranges[0]).code);
    ASSERT_EQ(ERR_OK, policy_ip_range_parse(SPAN("::1"), &ranges[1]).code);
    const struct { const char *ip; bool in; } rows[] = {{"10.1.1.1", true}, {"::1", true}, {"::2", false}, {"127.0.0.1", false}};
    for (const auto &row : rows) {
        policy_ip ip = Ip(row.ip);
        EXPECT_EQ(row.in, policy_ip_is_in(&ip, ranges, 2)) << row.ip;
    }
}

}  // namespace

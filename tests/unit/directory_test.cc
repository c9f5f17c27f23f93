// Domains as JSON, their names and their alias patterns.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "directory.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

TEST(DirectoryPattern, Fits)
{
    const struct { const char *pattern, *local; bool fits; } cases[] = {
        { "?ime", "time", true },   { "?ime", "DIME", true },  { "?ime", "prime", false },
        { "?ime", "ime", false },   { "*", "", true },         { "*", "anything", true },
        { "a*b*c", "aXXbYYc", true }, { "a*b*c", "abc", true }, { "a*b*c", "acb", false },
        { "", "", true },           { "", "a", false },        { "a?", "a\xc3\xa9", true },
        { "a??", "a\xc3\xa9", false }, { "*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.fits, directory_pattern_fits(S(c.pattern), S(c.local))) << c.pattern << " " << c.local;
    }
}

class Directory : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(ERR_OK, directory_new(5, &directory).code); }
    void TearDown() override { directory_unref(directory); }
    std::string Add(const std::string &json)
    {
        struct span why = {};
        struct err err = directory_add(directory, S(json), &why);
        return err.code == ERR_OK ? "" : std::string(why.ptr, why.len);
    }
    std::vector<std::string> Targets(const char *domain, const char *local)
    {
        std::vector<std::string> all;
        directory_alias_targets(
            directory_find(directory, S(domain), nullptr), S(local),
            [](void *holder, struct span a) {
                static_cast<std::vector<std::string> *>(holder)->emplace_back(a.ptr, a.len);
            },
            &all);
        return all;
    }
    struct directory *directory;
};

TEST_F(Directory, EveryAliasThatFitsAppliesAndTheCatchAllOnlyWhenNoneDoes)
{
    ASSERT_EQ("", Add(R"({"name":"a.test","tenant":3,"aliases":[{"pattern":"*","targets":["all@a.test"]},
        {"pattern":"?ime","targets":["u1@a.test"]},{"pattern":"t*","targets":["u2@a.test","x@out.test"]}],
        "also":["b.test"],"subaddress":"+","quota_bytes":7})"));
    using V = std::vector<std::string>;
    EXPECT_EQ(V({ "u1@a.test", "u2@a.test", "x@out.test" }), Targets("a.test", "time"));
    EXPECT_EQ(V({ "u1@a.test" }), Targets("a.test", "dime"));
    EXPECT_EQ(V({ "all@a.test" }), Targets("a.test", "prime"));
    bool other = false;
    const struct directory_domain *domain = directory_find(directory, SPAN("b.test"), &other);
    ASSERT_NE(nullptr, domain);
    EXPECT_TRUE(other);
    EXPECT_EQ(3u, domain->tenant);
    EXPECT_EQ('+', domain->subaddress);
    EXPECT_TRUE(domain->fold_case);
    EXPECT_EQ(7u, domain->quota_bytes);
    EXPECT_EQ(nullptr, directory_find(directory, SPAN("c.test"), &other));
}

TEST_F(Directory, ADomainOfItsOwnWinsOverAFurtherName)
{
    ASSERT_EQ("", Add(R"({"name":"a.test","tenant":1,"also":["b.test"]})"));
    ASSERT_EQ("", Add(R"({"name":"b.test","tenant":2})"));
    EXPECT_EQ(2u, directory_find(directory, SPAN("b.test"), nullptr)->tenant);
    EXPECT_EQ(2u, directory_count(directory));
}

TEST_F(Directory, WhatIsNoDomainIsRefusedWithAReason)
{
    const char *bad[] = { "", "[", "[]", "{}", R"({"name":""})", R"({"name":"a.test"})",
                          R"({"name":"a.test","tenant":0})", R"({"name":"a.test","tenant":-1})",
                          R"({"name":7,"tenant":1})", R"({"name":"a.test","tenant":1,"aliases":{}})",
                          R"({"name":"a.test","tenant":1,"aliases":[{"pattern":"x"},7]})",
                          R"({"name":"a.test","tenant":1,"also":"b"})",
                          R"({"name":"a.test","tenant":1,"quota_bytes":"1"})",
                          R"({"name":"a.test","name":"b.test","tenant":1})" };
    for (const char *json : bad) EXPECT_NE("", Add(json)) << json;
    EXPECT_EQ(0u, directory_count(directory));
    ASSERT_EQ("", Add(R"({"name":"a.test","tenant":1})"));
    EXPECT_NE("", Add(R"({"name":"a.test","tenant":1})"));
}

} // namespace

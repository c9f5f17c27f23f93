// Domains as JSON, their names and their alias patterns.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "conf.h"
#include "directory.h"
#include "directory_mapping.h"

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

TEST_F(Directory, TheLdapDirectoryOfADomain)
{
    ASSERT_EQ("", Add(R"({"name":"a.test","tenant":1})"));
    ASSERT_EQ("", Add(R"({"name":"b.test","tenant":1,"directory_hosts":[],"directory_tls":"what"})"));
    ASSERT_EQ("", Add(R"({"name":"c.test","tenant":1,"directory_hosts":["one","two:389"]})"));
    ASSERT_EQ("", Add(R"x({"name":"d.test","tenant":1,"directory_hosts":["one"],"directory_tls":"ldaps","directory_ca":"PEM",
        "directory_bind_dn":"cn=r","directory_password":"sealed","directory_base":"dc=x","directory_filter":"(a=b)",
        "directory_address":"m","directory_name":"n","directory_full_name":"f","directory_sync":7,"directory_timeout":8,
        "directory_users_max":9})x"));
    auto mapping = [&](const char *name) { return directory_find(directory, S(name), nullptr)->mapping; };
    auto text = [](struct span s) { return std::string(s.len == 0 ? "" : s.ptr, s.len); };
    EXPECT_EQ(nullptr, mapping("a.test"));
    EXPECT_EQ(nullptr, mapping("b.test"));
    const auto *c = mapping("c.test"), *d = mapping("d.test");
    ASSERT_EQ(2u, c->hosts_count);
    EXPECT_EQ("two:389", text(c->hosts[1]));
    EXPECT_EQ(DIRECTORY_TLS_START, c->tls);
    EXPECT_EQ("(objectClass=person) mail uid cn", text(c->filter) + " " + text(c->address) + " " + text(c->name) + " " + text(c->full_name));
    EXPECT_EQ(300u, c->sync_s);
    EXPECT_EQ(3u, c->timeout_s);
    EXPECT_EQ(10000u, c->users_max);
    EXPECT_EQ(DIRECTORY_TLS_LDAPS, d->tls);
    EXPECT_EQ("PEM cn=r sealed dc=x (a=b) m n f", text(d->ca) + " " + text(d->bind_dn) + " " + text(d->sealed_password) + " " + text(d->base) + " " +
                                                     text(d->filter) + " " + text(d->address) + " " + text(d->name) + " " + text(d->full_name));
    EXPECT_EQ("7 8 9", std::to_string(d->sync_s) + " " + std::to_string(d->timeout_s) + " " + std::to_string(d->users_max));
    // Whatever is another makes another mark; an alias does not.
    ASSERT_EQ("", Add(R"({"name":"e.test","tenant":1,"directory_hosts":["one","two:389"],"aliases":[{"pattern":"x","targets":["y@z.test"]}]})"));
    ASSERT_EQ("", Add(R"({"name":"f.test","tenant":1,"directory_hosts":["one","two:389"],"directory_sync":299})"));
    ASSERT_EQ("", Add(R"({"name":"g.test","tenant":1,"directory_hosts":["two:389","one"]})"));
    EXPECT_EQ(c->mark, mapping("e.test")->mark);
    EXPECT_NE(c->mark, mapping("f.test")->mark);
    EXPECT_NE(c->mark, mapping("g.test")->mark);
    for (const char *bad : { R"("directory_hosts":"one")", R"("directory_hosts":[1])", R"("directory_hosts":["1","2","3","4","5"])",
                             R"("directory_hosts":["one"],"directory_tls":"tls")", R"("directory_hosts":["one"],"directory_sync":0)",
                             R"("directory_hosts":["one"],"directory_sync":86401)", R"("directory_hosts":["one"],"directory_timeout":31)",
                             R"("directory_hosts":["one"],"directory_users_max":0)", R"("directory_hosts":["one"],"directory_base":7)" }) {
        EXPECT_NE("", Add(std::string(R"({"name":"h.test","tenant":1,)") + bad + "}")) << bad;
    }
}

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

// Options of a domain narrow the installation's; bad ones are left out, and the domain stays.
TEST_F(Directory, OptionsOfADomain)
{
    struct conf *wide = nullptr;
    struct conf_problem problem;
    struct conf_setting setting = { SPAN("password.length.min"), SPAN("8"), SPAN(""), SPAN("12") };
    ASSERT_EQ(ERR_OK, conf_make(&setting, 1, 1, &wide, &problem).code);
    directory_set_conf(directory, wide);
    conf_unref(wide);
    const struct { const char *name, *options; uint64_t length_min; bool foreign, refused; } rows[] = {
        { "none.test", "", 8, false, false },
        { "empty.test", R"(,"options":{})", 8, false, false },
        { "one.test", R"(,"options":{"password.length.min":"10"})", 10, false, false },
        { "two.test", R"(,"options":{"password.length.min":"11","smtp.sender.foreign":"true"})", 11, true, false },
        { "bound.test", R"(,"options":{"password.length.min":"100"})", 12, false, false }, // by the wider one
        { "newer.test", R"(,"options":{"not.known.yet":"1","password.length.min":"9"})", 9, false, false },
        { "bad.test", R"(,"options":{"smtp.sender.foreign":"true","password.length.min":"many"})", 8, false, true },
        { "scope.test", R"(,"options":{"smtp.size.max":"1M"})", 8, false, true },
        { "type.test", R"(,"options":{"password.length.min":9})", 8, false, true },
    };
    for (const auto &row : rows) {
        ASSERT_EQ("", Add(std::string(R"({"name":")") + row.name + R"(","tenant":1,"also":["also.)" + row.name + "\"]" + row.options + "}"));
        for (const auto &name : { std::string(row.name), "also." + std::string(row.name) }) {
            const struct conf *conf = directory_conf(directory, S(name));
            EXPECT_EQ(row.length_min, conf_number(conf, CONF_PASSWORD_LENGTH_MIN)) << name;
            EXPECT_EQ(row.foreign, conf_bool(conf, CONF_SMTP_SENDER_FOREIGN)) << name;
        }
        EXPECT_EQ(row.refused, directory_find(directory, S(row.name), nullptr)->options_are_refused) << row.name;
    }
    EXPECT_EQ(8u, conf_number(directory_conf(directory, SPAN("nobody.test")), CONF_PASSWORD_LENGTH_MIN));
    EXPECT_EQ("options is an object", Add(R"({"name":"array.test","tenant":1,"options":[]})"));
    EXPECT_EQ("the domain is there already", Add(R"({"name":"one.test","tenant":1,"options":{"password.length.min":"9"}})"));
}

TEST_F(Directory, ADomainOfItsOwnWinsOverAFurtherName)
{
    ASSERT_EQ("", Add(R"({"name":"a.test","tenant":1,"also":["b.test"]})"));
    ASSERT_EQ("", Add(R"({"name":"b.test","tenant":2})"));
    EXPECT_EQ(2u, directory_find(directory, SPAN("b.test"), nullptr)->tenant);
    EXPECT_EQ(2u, directory_count(directory));
}

TEST_F(Directory, TenantsByNumber)
{
    auto add = [&](const std::string &json) {
        struct span why = {};
        struct err err = directory_add_tenant(directory, S(json), &why);
        return err.code == ERR_OK ? "" : std::string(why.ptr, why.len);
    };
    EXPECT_EQ("", add(R"({"id":1,"name":"one"})"));
    EXPECT_EQ("", add(R"({"id":2147483647,"name":"two","quota_bytes":5,"users_max":6,"domains_max":7})"));
    const struct directory_tenant *two = directory_tenant(directory, 2147483647);
    ASSERT_NE(nullptr, two);
    EXPECT_EQ(5u, two->quota_bytes);
    EXPECT_EQ(6u, two->users_max);
    EXPECT_EQ(7u, two->domains_max);
    EXPECT_EQ(0u, directory_tenant(directory, 1)->users_max);
    EXPECT_EQ(nullptr, directory_tenant(directory, 2));
    EXPECT_EQ(nullptr, directory_tenant(directory, 0));
    EXPECT_EQ("the number is another tenant's", add(R"({"id":1,"name":"again"})"));
    for (const char *id : { "0", "-1", "2147483648", "\"1\"", "null" }) {
        EXPECT_NE("", add(std::string(R"({"name":"x","id":)") + id + "}")) << id;
    }
    for (const char *json : { "", "[]", "{}", R"({"id":9})", R"({"id":9,"name":5})", R"({"id":9,"name":"x","users_max":-1})" }) {
        EXPECT_NE("", add(json)) << json;
    }
}

TEST_F(Directory, DomainsArePutAndTakenOutInTheOrderOfTheirNames)
{
    auto put = [&](const std::string &json, uint64_t revision) {
        struct span why = {};
        return directory_put(directory, S(json), revision, &why).code;
    };
    auto names = [&] {
        std::string all;
        for (size_t i = 0; i < directory_count(directory); i++) {
            const directory_domain *domain = directory_at(directory, i);
            bool other = true;
            EXPECT_EQ(domain, directory_find(directory, domain->name, &other));
            EXPECT_FALSE(other);
            all += std::string(domain->name.ptr, domain->name.len) + ":" + std::to_string(domain->revision) + " ";
        }
        return all;
    };
    EXPECT_EQ(ERR_OK, put(R"({"name":"m.test","tenant":1})", 1));
    EXPECT_EQ(ERR_OK, put(R"({"name":"z.test","tenant":1,"quota_bytes":1})", 2));
    EXPECT_EQ(ERR_OK, put(R"({"name":"a.test","tenant":1})", 3));
    EXPECT_EQ(ERR_OK, put(R"({"name":"a.test.x","tenant":1})", 4));
    EXPECT_EQ("a.test:3 a.test.x:4 m.test:1 z.test:2 ", names());
    // Whoever holds what was there reads on.
    const directory_domain *old = directory_find(directory, S("z.test"), nullptr);
    EXPECT_EQ(ERR_OK, put(R"({"name":"z.test","tenant":1,"quota_bytes":2})", 5));
    EXPECT_EQ(1u, old->quota_bytes);
    EXPECT_EQ(2u, directory_find(directory, S("z.test"), nullptr)->quota_bytes);
    EXPECT_TRUE(directory_remove(directory, 1));
    EXPECT_EQ(nullptr, directory_find(directory, S("a.test.x"), nullptr));
    EXPECT_EQ("a.test:3 m.test:1 z.test:5 ", names());
    EXPECT_EQ(2u, directory_leftovers(directory));
    // What is no domain leaves all as it was, but its memory.
    for (const char *bad : { "", "{", "[]", R"({"name":"z.test"})", R"({"name":"","tenant":1})", R"({"name":"q.test","tenant":"x"})" }) {
        EXPECT_EQ(ERR_SYNTAX, put(bad, 9)) << bad;
    }
    EXPECT_EQ("a.test:3 m.test:1 z.test:5 ", names());
    EXPECT_EQ(8u, directory_leftovers(directory));
    // Further names: the same ones follow; what else would come or go can't be told.
    EXPECT_EQ(ERR_CONFLICT, put(R"({"name":"m.test","tenant":1,"also":["n.test"]})", 6));
    EXPECT_EQ(ERR_OK, put(R"({"name":"o.test","tenant":1,"also":["p.test","a.test"]})", 6));
    EXPECT_EQ(ERR_OK, put(R"({"name":"o.test","tenant":1,"also":["p.test","a.test"],"quota_bytes":3})", 7));
    EXPECT_EQ(3u, directory_find(directory, S("p.test"), nullptr)->quota_bytes);
    EXPECT_EQ(ERR_CONFLICT, put(R"({"name":"p.test","tenant":1})", 8));
    EXPECT_EQ(ERR_CONFLICT, put(R"({"name":"o.test","tenant":1,"also":["p.test"]})", 8));
    EXPECT_FALSE(directory_remove(directory, 0));
    EXPECT_EQ("a.test:3 m.test:1 o.test:7 z.test:5 ", names());
}

TEST_F(Directory, OtherOptionsForAllUnlessADomainNarrowsThem)
{
    struct conf *one = nullptr, *two = nullptr;
    struct conf_problem problem;
    struct span why = {};
    ASSERT_EQ(ERR_OK, conf_make(nullptr, 0, 1, &one, &problem).code);
    ASSERT_EQ(ERR_OK, conf_make(nullptr, 0, 2, &two, &problem).code);
    directory_set_conf(directory, one);
    conf_unref(one);
    ASSERT_EQ(ERR_OK, directory_put(directory, S(R"({"name":"a.test","tenant":1})"), 1, &why).code);
    const struct conf *held = directory_conf(directory, S("a.test"));
    EXPECT_TRUE(directory_change_conf(directory, two));
    EXPECT_EQ(two, directory_conf(directory, S("a.test")));
    EXPECT_EQ(1u, conf_version(held)); // still there
    const std::string narrow = R"({"name":"b.test","tenant":1,"options":{"password.length.min":"9"}})";
    ASSERT_EQ(ERR_OK, directory_put(directory, S(narrow), 2, &why).code);
    EXPECT_NE(two, directory_conf(directory, S("b.test")));
    EXPECT_FALSE(directory_change_conf(directory, two));
    EXPECT_TRUE(directory_remove(directory, 1));
    EXPECT_TRUE(directory_change_conf(directory, two));
    conf_unref(two);
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

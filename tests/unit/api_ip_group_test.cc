// IP groups by the API: made, changed, named by options and by each other, and kept while they are.
#include "api_fixture.h"

namespace {

class ApiIpGroup : public ApiTest {};

TEST_F(ApiIpGroup, AreMadeShownChangedListedAndRemoved)
{
    auto made = Good(201, "POST", "/api/v1/ip-groups", R"({"name":"office","description":"all of us","entries":["10.1.2.3/8","2001:DB8::1","192.0.2.1-192.0.2.9"]})");
    EXPECT_EQ("10.0.0.0/8,2001:db8::1,192.0.2.1-192.0.2.9", made["entries"]);
    EXPECT_EQ("0", made["tenant"]);
    EXPECT_NE("", Row("ipgroups/0/office"));
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"more","entries":["group:office","198.51.100.1"]})");
    auto shown = Good(200, "GET", "/api/v1/ip-groups/more?address=10.9.9.9");
    EXPECT_EQ("true", shown["has_address"]);
    EXPECT_EQ("false", Good(200, "GET", "/api/v1/ip-groups/more?address=11.0.0.1")["has_address"]);
    EXPECT_EQ("", Good(200, "GET", "/api/v1/ip-groups/more")["has_address"]);
    EXPECT_EQ("more,office", Good(200, "GET", "/api/v1/ip-groups")["items"]);
    EXPECT_EQ("more", Good(200, "GET", "/api/v1/ip-groups?limit=1")["next"]);
    EXPECT_EQ("office", Good(200, "GET", "/api/v1/ip-groups?filter=FF")["items"]);
    auto set = Good(200, "PATCH", "/api/v1/ip-groups/office", R"({"entries":["10.0.0.1"]})");
    EXPECT_EQ("10.0.0.1", set["entries"]);
    EXPECT_EQ("all of us", set["description"]);
    EXPECT_EQ("it is named by IP group more", Refused(409, "DELETE", "/api/v1/ip-groups/office"));
    Good(204, "DELETE", "/api/v1/ip-groups/more");
    Good(204, "DELETE", "/api/v1/ip-groups/office");
    Refused(404, "GET", "/api/v1/ip-groups/office");
    Refused(404, "DELETE", "/api/v1/ip-groups/office");
    EXPECT_EQ(5u, audits.size());
}

TEST_F(ApiIpGroup, AreEachTenantsOwn)
{
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"office","entries":["10.0.0.1"]})");
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"office","entries":["10.0.0.2"]})", kAdmin);
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"office","tenant":"two","entries":["10.0.0.3"]})");
    EXPECT_EQ("10.0.0.1", Good(200, "GET", "/api/v1/ip-groups/office")["entries"]);
    EXPECT_EQ("10.0.0.2", Good(200, "GET", "/api/v1/ip-groups/office", "", "auditor-1")["entries"]);
    EXPECT_EQ("10.0.0.3", Good(200, "GET", "/api/v1/ip-groups/office", "", kOther)["entries"]);
    EXPECT_EQ("10.0.0.3", Good(200, "GET", "/api/v1/ip-groups/office?tenant=two")["entries"]);
    Refused(403, "POST", "/api/v1/ip-groups", R"({"name":"x"})", "auditor-1");
    Refused(403, "POST", "/api/v1/ip-groups", R"({"name":"x"})", "accounts-1");
    Good(204, "DELETE", "/api/v1/ip-groups/office", R"({"tenant":"two"})");
    Refused(404, "GET", "/api/v1/ip-groups/office", "", kOther);
    // An option of the installation takes its own only.
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"mine","entries":["10.0.0.2"]})", kAdmin);
    EXPECT_EQ("proxy.trusted: there is no IP group mine", Refused(400, "PUT", "/api/v1/config/proxy.trusted", R"({"value":"group:mine"})"));
    const std::string domain = Good(201, "POST", "/api/v1/tokens", R"({"role":"domain-admin","domain":"a.test"})")["token"];
    EXPECT_EQ("IP groups are a tenant's; the token is for a domain", Refused(403, "GET", "/api/v1/ip-groups", "", domain));
    Good(201, "POST", "/api/v1/tenants", R"({"name":"three"})");
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"left","tenant":"three"})");
    EXPECT_EQ("the tenant has IP groups", Refused(409, "DELETE", "/api/v1/tenants/three"));
}

TEST_F(ApiIpGroup, NamedByAnOptionAreKept)
{
    EXPECT_EQ("smtp.relay.networks: there is no IP group office",
              Refused(400, "PUT", "/api/v1/config/smtp.relay.networks", R"({"value":"10.0.0.1, group:office"})"));
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"office","entries":["10.0.0.1"]})");
    EXPECT_EQ("10.0.0.1, group:office", Good(200, "PUT", "/api/v1/config/smtp.relay.networks", R"({"value":["10.0.0.1","group:office"]})")["value"]);
    Good(200, "PUT", "/api/v1/config/proxy.trusted", R"({"value":"group:office"})");
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"more","entries":["group:office"]})");
    auto detail = Refused(409, "DELETE", "/api/v1/ip-groups/office");
    for (const char *who : { "it is named by ", "IP group more", "option smtp.relay.networks", "option proxy.trusted" }) {
        EXPECT_NE(std::string::npos, detail.find(who)) << detail;
    }
    Good(200, "DELETE", "/api/v1/config/proxy.trusted");
    Good(200, "DELETE", "/api/v1/config/smtp.relay.networks");
    Good(204, "DELETE", "/api/v1/ip-groups/more");
    Good(204, "DELETE", "/api/v1/ip-groups/office");
    for (const char *value : { "group:", "group:A", "group", "group:a/8", "groupx:a" }) {
        auto why = Refused(400, "PUT", "/api/v1/config/proxy.trusted", std::string(R"({"value":")") + value + "\"}");
        EXPECT_NE(std::string::npos, why.find("group:NAME")) << why;
    }
}

TEST_F(ApiIpGroup, EntriesThatAreWrongAreNamed)
{
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"a","entries":["10.0.0.1"]})");
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"b","entries":["group:a"]})");
    Good(201, "POST", "/api/v1/ip-groups", R"({"name":"c","entries":["group:b"]})");
    std::string many = R"(["::1")";
    for (int i = 0; i < 4000; i++) many += R"(,"::1")";
    std::string longs = "[\"::1\"";
    for (int i = 0; i < 2000; i++) longs += ",\"2001:db8:1111:2222:3333:4444:5555:" + std::to_string(1000 + i) + "\"";
    const struct { const char *method, *path; std::string body; const char *detail; } cases[] = {
        { "POST", "/api/v1/ip-groups", "{}", "name: 1 to 60 of a-z, 0-9 and -" },
        { "POST", "/api/v1/ip-groups", R"({"name":"A"})", "name: 1 to 60" },
        { "POST", "/api/v1/ip-groups", R"({"name":"../0/a"})", "name: 1 to 60" },
        { "POST", "/api/v1/ip-groups", R"({"name":7})", "name: a text" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":"10.0.0.1"})", "entries: an array of at most 4000 texts" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":)" + many + "]}", "entries: an array of at most 4000 texts" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":)" + longs + "]}", "entries: at most 65536 bytes" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":["10.0.0.1",5]})", "entries[1]: : an address" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":["10.0.0.1","10.0.0.300"]})", "entries[1]: 10.0.0.300: an address" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":["10.0.0.9-10.0.0.1"]})", "entries[0]: 10.0.0.9-10.0.0.1: an address" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":["group:none"]})", "entries[0]: there is no IP group none" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","entries":["group:n"]})", "entries[0]: group:n leads back" },
        { "PATCH", "/api/v1/ip-groups/a", R"({"entries":["10.0.0.2","group:c"]})", "entries[1]: group:c leads back to this one" },
        { "PATCH", "/api/v1/ip-groups/a", R"({"description":5})", "description: a text" },
        { "POST", "/api/v1/ip-groups", R"({"name":"n","tenant":"nine"})", "tenant: there is none of this name" },
        { "GET", "/api/v1/ip-groups/a?address=x", "", "address: not an IP address: x" },
    };
    for (const auto &c : cases) {
        auto detail = Refused(400, c.method, c.path, c.body);
        EXPECT_EQ(0u, detail.find(c.detail)) << c.body.substr(0, 80) << ": " << detail;
    }
    EXPECT_EQ("10.0.0.1", Good(200, "GET", "/api/v1/ip-groups/a")["entries"]);
    EXPECT_EQ("there is an IP group of this name", Refused(409, "POST", "/api/v1/ip-groups", R"({"name":"a"})"));
}

}  // namespace

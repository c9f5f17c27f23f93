// A token of one tenant sees nothing of another and changes nothing of it.
#include "api_fixture.h"

namespace {

class ApiTenant : public ApiTest {
protected:
    void SetUp() override
    {
        ApiTest::SetUp();
        Good(201, "POST", "/api/v1/users", R"({"address":"eve@z.test","full_name":"Secret"})");
        Good(201, "POST", "/api/v1/groups", R"({"address":"ring@z.test","members":["eve@z.test","spy@out.test"]})");
        Good(201, "POST", "/api/v1/aliases", R"({"address":"post@z.test","targets":["eve@z.test"]})");
        Good(201, "POST", "/api/v1/aliases", R"({"address":"x*@z.test","targets":["eve@z.test"]})");
        ReadDomains();
        audits.clear();
    }
};

// What is another's is as if it were not there; and the answer is the same as for what is nobody's.
TEST_F(ApiTenant, EachCallOnAnotherTenantsNamesFindsNothing)
{
    const struct { const char *method, *path, *body; } cases[] = {
        { "GET", "/api/v1/domains/z.test", "" },
        { "PATCH", "/api/v1/domains/z.test", R"({"users_max":1})" },
        { "DELETE", "/api/v1/domains/z.test", "" },
        { "GET", "/api/v1/users?domain=z.test", "" },
        { "POST", "/api/v1/users", R"({"address":"new@z.test"})" },
        { "GET", "/api/v1/users/eve@z.test", "" },
        { "PATCH", "/api/v1/users/eve@z.test", R"({"password":"mine"})" },
        { "DELETE", "/api/v1/users/eve@z.test", "" },
        { "GET", "/api/v1/groups?domain=z.test", "" },
        { "POST", "/api/v1/groups", R"({"address":"new@z.test"})" },
        { "GET", "/api/v1/groups/ring@z.test", "" },
        { "PATCH", "/api/v1/groups/ring@z.test", R"({"members":[]})" },
        { "DELETE", "/api/v1/groups/ring@z.test", "" },
        { "GET", "/api/v1/aliases?domain=z.test", "" },
        { "POST", "/api/v1/aliases", R"({"address":"new@z.test","targets":["joe@a.test"]})" },
        { "POST", "/api/v1/aliases", R"({"address":"n?@z.test","targets":["joe@a.test"]})" },
        { "GET", "/api/v1/aliases/post@z.test", "" },
        { "GET", "/api/v1/aliases/x*@z.test", "" },
        { "PATCH", "/api/v1/aliases/post@z.test", R"({"targets":["joe@a.test"]})" },
        { "DELETE", "/api/v1/aliases/x*@z.test", "" },
        { "GET", "/api/v1/check-address?address=eve@z.test", "" },
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(std::string(c.method) + " " + c.path);
        EXPECT_EQ("no domain z.test", Refused(404, c.method, c.path, c.body, kAdmin));
        std::string path = c.path, body = c.body;
        for (std::string *text : { &path, &body }) {
            for (size_t at; (at = text->find("z.test")) != std::string::npos;) text->replace(at, 6, "nowhere");
        }
        EXPECT_EQ("no domain nowhere", Refused(404, c.method, path, body, kAdmin));
    }
    EXPECT_TRUE(audits.empty());
    EXPECT_EQ("Secret", Good(200, "GET", "/api/v1/users/eve@z.test")["full_name"]);
    EXPECT_EQ("eve@z.test,spy@out.test", Good(200, "GET", "/api/v1/groups/ring@z.test")["members"]);
}

TEST_F(ApiTenant, ListsShowTheOwnTenantOnly)
{
    EXPECT_EQ("a.test", Good(200, "GET", "/api/v1/domains", "", kAdmin)["items"]);
    EXPECT_EQ("z.test", Good(200, "GET", "/api/v1/domains", "", kOther)["items"]);
    // Without a domain named: the first of the own ones.
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    EXPECT_EQ("joe@a.test", Good(200, "GET", "/api/v1/users", "", kAdmin)["items"]);
    EXPECT_EQ("eve@z.test", Good(200, "GET", "/api/v1/users", "", kOther)["items"]);
    EXPECT_EQ("ring@z.test", Good(200, "GET", "/api/v1/groups", "", kOther)["items"]);
    PutToken("empty", R"({"role":"admin","tenant":3})");
    ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
    EXPECT_EQ("there is no domain yet", Refused(404, "GET", "/api/v1/users", "", "empty"));
}

TEST_F(ApiTenant, AnAliasIntoAnotherTenantShowsNothingOfWhatLiesBehind)
{
    Good(201, "POST", "/api/v1/aliases", R"({"address":"peek@a.test","targets":["ring@z.test","post@z.test","xy@z.test"]})", kAdmin);
    auto check = Good(200, "GET", "/api/v1/check-address?address=peek@a.test", "", kAdmin);
    EXPECT_EQ("ring@z.test,post@z.test,xy@z.test", check["targets"]);
    check = Good(200, "GET", "/api/v1/check-address?address=peek@a.test"); // an operator sees all
    EXPECT_EQ("eve@z.test,spy@out.test", check["targets"]);
}

// Who may send as an address is who has it: nobody takes one of another tenant, or of nobody's domain.
TEST_F(ApiTenant, FurtherAddressesAreOfTheOwnTenant)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})", kAdmin);
    for (const char *token : { kAdmin, kOperator }) {
        EXPECT_EQ("addresses: boss@z.test is in no domain of the user's tenant",
                  Refused(400, "PATCH", "/api/v1/users/joe@a.test", R"({"addresses":["boss@z.test"]})", token));
        EXPECT_EQ("addresses: eve@z.test is in no domain of the user's tenant",
                  Refused(400, "POST", "/api/v1/users", R"({"address":"jim@a.test","addresses":["eve@z.test"]})", token));
    }
    EXPECT_EQ("", Good(200, "GET", "/api/v1/users/joe@a.test")["addresses"]);
}

TEST_F(ApiTenant, NamesOfAnotherTenantsDomainsAreTaken)
{
    EXPECT_EQ("there is a domain of this name", Refused(409, "POST", "/api/v1/domains", R"({"name":"z.test"})", kAdmin));
    EXPECT_EQ("also: z.test is a domain already, or another name of one",
              Refused(409, "POST", "/api/v1/domains", R"({"name":"b.test","also":["z.test"]})", kAdmin));
    EXPECT_EQ("also: z.test is a domain already, or another name of one",
              Refused(409, "PATCH", "/api/v1/domains/a.test", R"({"also":["z.test"]})", kAdmin));
    Good(200, "PATCH", "/api/v1/domains/z.test", R"({"also":["y.test"]})", kOther);
    ReadDomains();
    EXPECT_EQ("there is a domain of this name", Refused(409, "POST", "/api/v1/domains", R"({"name":"y.test"})", kAdmin));
    Refused(409, "PATCH", "/api/v1/domains/a.test", R"({"also":["y.test"]})", kAdmin);
    // A tenant cannot make a domain for another.
    EXPECT_EQ("tenant: only an operator names one",
              Refused(403, "POST", "/api/v1/domains", R"({"name":"b.test","tenant":"two"})", kAdmin));
}

}  // namespace

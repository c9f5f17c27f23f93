// Each call of the API: what it does when all is well.
#include "api_fixture.h"

namespace {

class Api : public ApiTest {};

TEST_F(Api, HealthReadinessMetricsAndTheDescriptionNeedNoToken)
{
    auto health = Good(200, "GET", "/healthz", "", "");
    EXPECT_EQ("ok\n", health.text);
    EXPECT_EQ("text/plain; version=0.0.4; charset=utf-8", health.type);
    EXPECT_EQ("ready\n", Good(200, "GET", "/readyz", "", "").text);
    lacking = "1 of 3 storage nodes do not answer: 127.0.0.32:7000";
    EXPECT_EQ("ready; " + lacking + "\n", Good(200, "GET", "/readyz", "", "").text);
    missing = "no scanner is ready";
    EXPECT_EQ("no scanner is ready", Refused(503, "GET", "/readyz", "", ""));
    EXPECT_EQ("up 1\n", Good(200, "GET", "/metrics", "", "").text);
    auto openapi = Good(200, "GET", "/api/v1/openapi.json", "", "");
    EXPECT_EQ("application/json", openapi.type);
    json_t *json = openapi.Json();
    json_t *users = json_object_get(json_object_get(json, "paths"), "/api/v1/users");
    ASSERT_NE(nullptr, users);
    EXPECT_EQ(2u, json_object_size(users));
    const json_t *schema = json_object_get(
        json_object_get(json_object_get(json_object_get(json_object_get(users, "post"), "requestBody"), "content"),
                        "application/json"), "schema");
    const json_t *properties = json_object_get(schema, "properties");
    EXPECT_NE(nullptr, json_object_get(properties, "quota_bytes"));
    EXPECT_EQ(14u, json_object_size(properties));
    json_decref(json);
}

TEST_F(Api, TenantsAreMadeListedShownAndRemoved)
{
    auto made = Good(201, "POST", "/api/v1/tenants", R"({"name":"three"})");
    EXPECT_EQ("three", made["name"]);
    EXPECT_GT(std::stoll(made["id"]), 0);
    EXPECT_EQ("one,three,two", Good(200, "GET", "/api/v1/tenants")["items"]);
    EXPECT_EQ(made["id"], Good(200, "GET", "/api/v1/tenants/three")["id"]);
    Refused(409, "POST", "/api/v1/tenants", R"({"name":"three"})");
    EXPECT_EQ("", Good(204, "DELETE", "/api/v1/tenants/three").text);
    Refused(404, "GET", "/api/v1/tenants/three");
    Refused(404, "DELETE", "/api/v1/tenants/three");
    EXPECT_EQ("the tenant has domains", Refused(409, "DELETE", "/api/v1/tenants/one"));
    EXPECT_EQ((Texts{ "POST /api/v1/tenants", "DELETE /api/v1/tenants/three" }), audits);
}

TEST_F(Api, DomainsAreMadeChangedAndRemoved)
{
    auto made = Good(201, "POST", "/api/v1/domains",
                     R"({"name":"B\u00fccher.Test","also":["buch.test"],"subaddress":"","quota_bytes":5})", kAdmin);
    EXPECT_EQ("xn--bcher-kva.test", made["name"]);
    EXPECT_EQ("1", made["tenant"]);
    EXPECT_EQ("", made["subaddress"]);
    ReadDomains();
    EXPECT_EQ("a.test,xn--bcher-kva.test,z.test", Good(200, "GET", "/api/v1/domains")["items"]);
    EXPECT_EQ("a.test,xn--bcher-kva.test", Good(200, "GET", "/api/v1/domains", "", kAdmin)["items"]);
    auto set = Good(200, "PATCH", "/api/v1/domains/xn--bcher-kva.test", R"({"users_max":7,"subaddress":"-"})", kAdmin);
    EXPECT_EQ("7", set["users_max"]);
    EXPECT_EQ("5", set["quota_bytes"]);
    EXPECT_EQ("buch.test", set["also"]);
    EXPECT_EQ("-", Good(200, "GET", "/api/v1/domains/b%C3%BCcher.test")["subaddress"]);
    // Its own further names again are no clash.
    Good(200, "PATCH", "/api/v1/domains/xn--bcher-kva.test", R"({"also":["buch.test","buch2.test"]})", kAdmin);
    Good(204, "DELETE", "/api/v1/domains/xn--bcher-kva.test", "", kAdmin);
    auto theirs = Good(201, "POST", "/api/v1/domains", R"({"name":"y.test","tenant":"two"})");
    EXPECT_EQ("2", theirs["tenant"]);
}

TEST_F(Api, ADomainInUseIsNotRemoved)
{
    Good(201, "POST", "/api/v1/aliases", R"({"address":"?ime@a.test","targets":["joe@a.test"]})");
    EXPECT_EQ("the domain has users, groups or aliases", Refused(409, "DELETE", "/api/v1/domains/a.test"));
    Good(204, "DELETE", "/api/v1/aliases/%3Fime@a.test");
    Good(201, "POST", "/api/v1/groups", R"({"address":"all@a.test"})");
    Refused(409, "DELETE", "/api/v1/domains/a.test");
    Good(204, "DELETE", "/api/v1/groups/all@a.test");
    Good(204, "DELETE", "/api/v1/domains/a.test");
}

TEST_F(Api, AUserIsMadeShownChangedListedAndRemoved)
{
    auto made = Good(201, "POST", "/api/v1/users",
                     R"({"address":"Joe+x@A.test","password":"secret","full_name":"J\u00f6","quota_bytes":1000,
                         "role":"auditor","addresses":["joseph@a.test"]})", kAdmin);
    EXPECT_EQ("joe@a.test", made["address"]);
    EXPECT_EQ("joseph@a.test", made["addresses"]);
    EXPECT_EQ("auditor", made["role"]);
    EXPECT_EQ("true", made["enabled"]);
    EXPECT_EQ("0", made["used_bytes"]);
    EXPECT_EQ(std::string::npos, made.text.find("secret"));
    store_address_get_request get = { 1, SPAN("joseph@a.test") };
    auto row = Ask(STORE_METHOD_ADDRESS_GET, get);
    uint64_t account = row->Reply<store_address_reply>().account;
    store_account_get_request account_get = { 1, account };
    auto kept = Ask(STORE_METHOD_ACCOUNT_GET, account_get);
    EXPECT_EQ("hash of secret", Str(kept->Reply<store_account_reply>().account.password));
    store_mailbox_list_request boxes = {};
    boxes.tenant = 1;
    boxes.account = account;
    EXPECT_EQ(6u, Ask(STORE_METHOD_MAILBOX_LIST, boxes)->Reply<store_mailbox_list_reply>().mailboxes_count);
    EXPECT_EQ("J\u00f6", Good(200, "GET", "/api/v1/users/joe@a.test")["full_name"]);
    auto set = Good(200, "PATCH", "/api/v1/users/joe@a.test", R"({"enabled":false,"description":"away"})", kAdmin);
    EXPECT_EQ("false", set["enabled"]);
    EXPECT_EQ("away", set["description"]);
    EXPECT_EQ("1000", set["quota_bytes"]);
    Good(200, "PATCH", "/api/v1/users/joe@a.test", R"({"password":"another"})");
    EXPECT_EQ("hash of another", Str(Ask(STORE_METHOD_ACCOUNT_GET, account_get)->Reply<store_account_reply>().account.password));
    Refused(409, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    for (const char *name : { "ann", "bob", "cid" }) {
        Good(201, "POST", "/api/v1/users", std::string(R"({"address":")") + name + R"(@a.test"})");
    }
    auto page = Good(200, "GET", "/api/v1/users?domain=a.test&limit=2", "", "auditor-1");
    EXPECT_EQ("ann@a.test,bob@a.test", page["items"]);
    EXPECT_EQ("bob", page["next"]);
    auto rest = Good(200, "GET", "/api/v1/users?limit=1000&after=bob%40a.test", "", "auditor-1");
    EXPECT_EQ("cid@a.test,joe@a.test", rest["items"]);
    EXPECT_EQ("", rest["next"]);
    Good(204, "DELETE", "/api/v1/users/joe@a.test", "", kAdmin);
    Refused(404, "GET", "/api/v1/users/joe@a.test");
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE }, Ask(STORE_METHOD_ADDRESS_GET, get)->Reply<store_address_reply>().kind);
    EXPECT_EQ("ann@a.test,bob@a.test,cid@a.test", Good(200, "GET", "/api/v1/users?domain=a.test")["items"]);
}

TEST_F(Api, FurtherAddressesAreAddedKeptAndTakenAway)
{
    auto owner = [&](const std::string &address) {
        store_address_get_request get = { 1, S(address) };
        return Ask(STORE_METHOD_ADDRESS_GET, get)->Reply<store_address_reply>().account;
    };
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test","addresses":["j1@a.test","j2@a.test"]})");
    uint64_t joe = owner("joe@a.test");
    EXPECT_EQ(joe, owner("j1@a.test"));
    auto set = Good(200, "PATCH", "/api/v1/users/joe@a.test", R"({"addresses":["j2@a.test","j3@a.test"]})");
    EXPECT_EQ("j2@a.test,j3@a.test", set["addresses"]);
    EXPECT_EQ(0u, owner("j1@a.test"));
    EXPECT_EQ(joe, owner("j2@a.test"));
    EXPECT_EQ(joe, owner("j3@a.test"));
    // Somebody else's is refused, and nothing has changed.
    Good(201, "POST", "/api/v1/users", R"({"address":"ann@a.test"})");
    EXPECT_EQ("addresses: ann@a.test is taken",
              Refused(409, "PATCH", "/api/v1/users/joe@a.test", R"({"addresses":["j4@a.test","ann@a.test"],"full_name":"no"})"));
    auto shown = Good(200, "GET", "/api/v1/users/joe@a.test");
    EXPECT_EQ("j2@a.test,j3@a.test", shown["addresses"]);
    EXPECT_EQ("", shown["full_name"]);
    EXPECT_EQ(0u, owner("j4@a.test"));
    EXPECT_EQ("addresses: j3@a.test is taken", Refused(409, "POST", "/api/v1/users", R"({"address":"bob@a.test","addresses":["j3@a.test"]})"));
    Refused(404, "GET", "/api/v1/users/bob@a.test");
    EXPECT_EQ(0u, owner("bob@a.test"));
    Good(201, "POST", "/api/v1/users", R"({"address":"bob@a.test"})"); // nothing was left half made
    Good(200, "PATCH", "/api/v1/users/joe@a.test", R"({"addresses":[]})");
    EXPECT_EQ(0u, owner("j2@a.test"));
    EXPECT_EQ(joe, owner("joe@a.test"));
}

TEST_F(Api, GroupsAndAliasesAreMadeShownChangedListedAndRemoved)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    auto group = Good(201, "POST", "/api/v1/groups", R"({"address":"all@a.test","name":"Everybody","members":["Joe@A.test","x@Out.test"]})", "accounts-1");
    EXPECT_EQ("joe@a.test,x@out.test", group["members"]);
    EXPECT_EQ("Everybody", Good(200, "GET", "/api/v1/groups/all@a.test")["name"]);
    auto set = Good(200, "PATCH", "/api/v1/groups/all@a.test", R"({"members":["joe@a.test"]})");
    EXPECT_EQ("joe@a.test", set["members"]);
    EXPECT_EQ("Everybody", set["name"]);
    Good(201, "POST", "/api/v1/aliases", R"({"address":"post@a.test","targets":["all@a.test"]})");
    Good(201, "POST", "/api/v1/aliases", R"({"address":"?ime@a.test","targets":["joe@a.test"]})");
    EXPECT_EQ("?ime@a.test,post@a.test", Good(200, "GET", "/api/v1/aliases?domain=a.test")["items"]);
    EXPECT_EQ("all@a.test", Good(200, "GET", "/api/v1/groups?domain=a.test")["items"]);
    EXPECT_EQ("all@a.test", Good(200, "GET", "/api/v1/aliases/post@a.test")["targets"]);
    EXPECT_EQ("joe@a.test", Good(200, "GET", "/api/v1/aliases/%3Fime@a.test")["targets"]);
    EXPECT_EQ("joe@a.test", Good(200, "PATCH", "/api/v1/aliases/%3Fime@a.test", "{}")["targets"]); // as it was
    Good(200, "PATCH", "/api/v1/aliases/%3Fime@a.test", R"({"targets":["all@a.test"]})");
    ReadDomains();
    auto check = Good(200, "GET", "/api/v1/check-address?address=time%40a.test");
    EXPECT_EQ("alias", check["kind"]);
    EXPECT_EQ("joe@a.test", check["targets"]);
    EXPECT_EQ("nobody", Good(200, "GET", "/api/v1/check-address?address=prime@a.test")["kind"]);
    Refused(404, "GET", "/api/v1/aliases/all@a.test"); // it is a group
    Refused(404, "DELETE", "/api/v1/groups/post@a.test");
    Refused(409, "POST", "/api/v1/aliases", R"({"address":"joe@a.test","targets":["all@a.test"]})");
    Refused(409, "POST", "/api/v1/aliases", R"({"address":"?ime@a.test","targets":["all@a.test"]})");
    Good(204, "DELETE", "/api/v1/aliases/%3Fime@a.test");
    Good(204, "DELETE", "/api/v1/aliases/post@a.test");
    Good(204, "DELETE", "/api/v1/groups/all@a.test");
    EXPECT_EQ("", Good(200, "GET", "/api/v1/groups?domain=a.test")["items"]);
}

TEST_F(Api, OptionsAreListedShownSetAndUnset)
{
    auto shown = Good(200, "GET", "/api/v1/config/smtp.size.max");
    std::string before = shown["value"];
    EXPECT_EQ(before, shown["default"]);
    auto set = Good(200, "PUT", "/api/v1/config/smtp.size.max", R"({"value":1048576})");
    EXPECT_EQ("1M", set["value"]);
    EXPECT_EQ("1M", Good(200, "GET", "/api/v1/config/smtp.size.max", "", "auditor-1")["value"]);
    EXPECT_NE("", Good(200, "GET", "/api/v1/config/smtp.size.max?describe=1")["description"]);
    EXPECT_NE(std::string::npos, Row("policy/config").find("smtp.size.max"));
    EXPECT_EQ(before, Good(200, "DELETE", "/api/v1/config/smtp.size.max")["value"]);
    json_t *all = Good(200, "GET", "/api/v1/config").Json();
    EXPECT_GT(json_array_size(json_object_get(all, "items")), 20u);
    json_decref(all);
}

TEST_F(Api, TheQueueIsListedShownRetriedAndEmptied)
{
    const std::string id(16, 'q'), name = "0005" + [] { std::string hex; for (int i = 0; i < 16; i++) hex += "71"; return hex; }();
    std::string operation = Operation(), stamp = Stamp();
    store_queue_recipient to = {};
    to.address = SPAN("b@there.test");
    to.due_ms = clock_wall_ms() + 3600 * 1000;
    store_queue_put_request put = {};
    put.operation_id = S(operation);
    put.has_entry = true;
    put.entry.id = S(id);
    put.entry.slot = 5;
    put.entry.tenant = 1;
    put.entry.sender = SPAN("joe@a.test");
    put.entry.recipients = &to;
    put.entry.recipients_count = 1;
    put.entry.created_ms = clock_wall_ms();
    put.entry.due_ms = to.due_ms;
    put.entry.size = 5;
    put.entry.scan_stamp = S(stamp);
    struct body *body = Stored("hello");
    ASSERT_EQ(ERR_OK, Ask(STORE_METHOD_QUEUE_PUT, put, body)->err.code);
    body_unref(body);
    json_t *list = Good(200, "GET", "/api/v1/queue", "", "auditor-1").Json();
    const json_t *items = json_object_get(list, "items");
    ASSERT_EQ(1u, json_array_size(items));
    EXPECT_EQ(name, Response::Text(json_object_get(json_array_get(items, 0), "id")));
    json_decref(list);
    EXPECT_EQ("b@there.test", Good(200, "GET", "/api/v1/queue/" + name)["recipients"]);
    Good(200, "POST", "/api/v1/queue/" + name + "/retry", "", kAdmin);
    EXPECT_EQ("", Good(200, "GET", "/api/v1/queue", "", kOther)["items"]);
    Refused(404, "GET", "/api/v1/queue/" + name, "", kOther);
    Refused(404, "DELETE", "/api/v1/queue/" + name, "", kOther);
    Good(204, "DELETE", "/api/v1/queue/" + name, "", kAdmin);
    Refused(404, "GET", "/api/v1/queue/" + name);
}

}  // namespace

// api_fixture.h: the API of a frontend over a real storage node and a configuration store in a private directory,
// with two tenants and a token of each role. One file of a test program includes this.
#ifndef MAIL_API_FIXTURE_H
#define MAIL_API_FIXTURE_H

#include <jansson.h>

#include <map>
#include <set>
#include <tuple>

#include "api.h"
#include "api_options.h"
#include "buf.h"
#include "conf.h"
#include "coord.h"
#include "digest.h"
#include "directory.h"
#include "directory_resolve.h"
#include "http_session.h"
#include "id.h"
#include "node_fixture.h"
#include "roster.h"

class ApiTest : public NodeTest {
protected:
    using Texts = std::vector<std::string>;
    static constexpr char kOperator[] = "operator", kAdmin[] = "admin-1", kOther[] = "admin-2";

    // A request under way and its answer.
    struct Response {
        std::string method, path, query, body, token_line;
        std::vector<std::pair<std::string, std::string>> sent; // further header fields
        std::vector<http_header> header;
        http_request request{};
        struct api_call *call = nullptr;
        bool done = false;
        unsigned status = 0;
        std::string type, text, challenge;
        std::map<std::string, std::string> headers;

        json_t *Json() const { return json_loads(text.c_str(), 0, nullptr); }
        // A member of the answer, as text; arrays with commas between.
        std::string operator[](const char *member) const
        {
            json_t *json = Json();
            std::string value = Text(json_object_get(json, member));
            json_decref(json);
            return value;
        }
        static std::string Text(const json_t *value)
        {
            if (json_is_string(value)) return json_string_value(value);
            if (json_is_integer(value)) return std::to_string(json_integer_value(value));
            if (json_is_boolean(value)) return json_is_true(value) ? "true" : "false";
            std::string all;
            for (size_t i = 0; i < json_array_size(value); i++) {
                const json_t *item = json_array_get(value, i);
                if (json_is_object(item)) {
                    const json_t *name = json_object_get(item, "address");
                    item = name != nullptr ? name : json_object_get(item, "name");
                }
                all += (i == 0 ? "" : ",") + Text(item);
            }
            return all;
        }
    };

    struct coord *coord = nullptr;
    struct directory_resolver resolver = {};
    struct api *api = nullptr;
    api_options kept_options = {};
    struct conf *conf = nullptr;
    std::string sealed; // what was sealed last
    std::string coord_dir, missing, lacking, metrics = "up 1\n";
    Texts audits;
    std::vector<std::pair<std::string, std::string>> send_too; // with each request

    void SetUp() override
    {
        NodeTest::SetUp();
        coord_dir = dir + "/coord";
        std::filesystem::create_directory(coord_dir);
        Put("tenants/one", R"({"id":1,"name":"one"})");
        Put("tenants/two", R"({"id":2,"name":"two"})");
        Put("domains/a.test", R"({"name":"a.test","tenant":1,"fold_case":true,"subaddress":"+"})");
        Put("domains/z.test", R"({"name":"z.test","tenant":2,"fold_case":true})");
        PutToken(kOperator, R"({"role":"operator","tenant":0})");
        PutToken(kAdmin, R"({"role":"admin","tenant":1})");
        PutToken("accounts-1", R"({"role":"accounts","tenant":1})");
        PutToken("auditor-1", R"({"role":"auditor","tenant":1})");
        PutToken("user-1", R"({"role":"user","tenant":1})");
        PutToken(kOther, R"({"role":"admin","tenant":2})");
        ASSERT_EQ(ERR_OK, coord_open(loop, coord_dir.c_str(), &coord).code);
        resolver.loop = loop;
        resolver.route = route;
        resolver.deadline_ms = 10000;
        ASSERT_EQ(ERR_OK, directory_resolver_init(&resolver).code);
        api_options options = {};
        options.loop = loop;
        options.route = route;
        options.resolver = &resolver;
        options.coord = coord;
        options.crew = options.hash_crew = crew;
        options.holder = this;
        options.name = "frontend-1";
        options.self = client_self.get();
        conf_problem problem;
        ASSERT_EQ(ERR_OK, conf_make(nullptr, 0, 0, &conf, &problem).code);
        ReadDomains();
        options.conf = [](void *holder) { return static_cast<ApiTest *>(holder)->conf; };
        options.seal = [](void *holder, struct span, struct span secret, struct buf *to) {
            static_cast<ApiTest *>(holder)->sealed = Str(secret);
            buf_put(to, SPAN("sealed:"));
            buf_put(to, SPAN("x"));
            return secret.len > 0 ? err_ok() : err_make(ERR_IO, "test");
        };
        options.unseal = [](void *holder, struct span, struct span text, struct buf *to) {
            EXPECT_EQ("sealed:x", Str(text));
            buf_put(to, S(static_cast<ApiTest *>(holder)->sealed));
            return err_ok();
        };
        options.hash_password = [](struct span password, uint32_t, uint32_t, char ret[API_PASSWORD_HASH_BYTES]) {
            snprintf(ret, API_PASSWORD_HASH_BYTES, "hash of %.*s", static_cast<int>(password.len), password.ptr);
            return err_ok();
        };
        options.missing = [](void *holder) { return S(static_cast<ApiTest *>(holder)->missing); };
        options.lacking = [](void *holder) { return S(static_cast<ApiTest *>(holder)->lacking); };
        options.metrics = [](void *holder, struct arena *, struct span *ret) {
            *ret = S(static_cast<ApiTest *>(holder)->metrics);
            return err_ok();
        };
        options.audit = [](void *holder, const struct api_change *change) {
            static_cast<ApiTest *>(holder)->audits.push_back(Str(change->method) + " " + Str(change->target));
        };
        kept_options = options;
        ASSERT_EQ(ERR_OK, api_new(&options, &api).code);
    }
    void TearDown() override
    {
        api_free(api);
        directory_resolver_free(&resolver);
        directory_unref(resolver.directory);
        conf_unref(conf);
        coord_close(coord);
        std::filesystem::remove_all(coord_dir);
        NodeTest::TearDown();
    }

    // ---- the configuration store

    void Put(const std::string &key, const std::string &value)
    {
        coord_row row = { S(key), S(value), COORD_ANY };
        ASSERT_EQ(ERR_OK, coord_put(coord_dir.c_str(), &row).code);
    }
    static std::string TokenKey(const std::string &token)
    {
        uint8_t digest[DIGEST_BYTES];
        std::string hex(2 * DIGEST_BYTES, '\0');
        EXPECT_EQ(ERR_OK, digest_sha256(S(token), digest).code);
        id_hex(digest, sizeof(digest), hex.data());
        return "tokens/" + hex;
    }
    void PutToken(const std::string &token, const std::string &row) { Put(TokenKey(token), row); }
    std::string Row(const std::string &key)
    {
        coord_row row;
        EXPECT_EQ(ERR_OK, coord_refresh(coord).code);
        return coord_get(coord, S(key), &row) ? Str(row.value) : "";
    }
    // As the frontend does when a domain has changed.
    void ReadDomains()
    {
        ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
        directory_unref(resolver.directory);
        ASSERT_EQ(ERR_OK, directory_new(0, &resolver.directory).code);
        directory_set_conf(resolver.directory, conf);
        coord_list(
            coord, SPAN("tenants/"),
            [](void *directory, const coord_row *row) {
                struct span why = {};
                EXPECT_EQ(ERR_OK, directory_add_tenant(static_cast<struct directory *>(directory), row->value, &why).code);
            },
            resolver.directory);
        coord_list(
            coord, SPAN("domains/"),
            [](void *directory, const coord_row *row) {
                struct span why = {};
                EXPECT_EQ(ERR_OK, directory_add(static_cast<struct directory *>(directory), row->value, &why).code)
                    << Str(row->value) << ": " << Str(why);
            },
            resolver.directory);
    }

    // ---- calls

    static void Answered(void *holder, const struct api_answer *answer)
    {
        auto *self = static_cast<Response *>(holder);
        EXPECT_FALSE(self->done);
        self->done = true;
        self->status = answer->status;
        self->type = Str(answer->content_type);
        self->text = Str(answer->body);
        for (size_t i = 0; i < answer->headers_count; i++) {
            self->headers[Str(answer->headers[i].name)] = Str(answer->headers[i].value);
            self->challenge = Str(answer->headers[i].name) + ": " + Str(answer->headers[i].value);
        }
    }
    // `path` may have a query; an empty token sends none.
    std::unique_ptr<Response> Begin(const std::string &method, const std::string &path, const std::string &body = "",
                                    const std::string &token = kOperator, enum err_code code = ERR_OK)
    {
        auto r = std::make_unique<Response>();
        size_t mark = path.find('?');
        r->method = method;
        r->path = path.substr(0, mark);
        r->query = mark == std::string::npos ? "" : path.substr(mark + 1);
        r->body = body;
        r->token_line = token.find(' ') == std::string::npos ? "Bearer " + token : token;
        if (!token.empty()) r->header.push_back({ SPAN("Authorization"), S(r->token_line) });
        r->sent = send_too;
        for (auto &one : r->sent) r->header.push_back({ S(one.first), S(one.second) });
        r->request.method = S(r->method);
        r->request.target = r->request.path = S(r->path);
        r->request.query = S(r->query);
        r->request.headers = r->header.data();
        r->request.headers_count = r->header.size();
        r->request.body = S(r->body);
        const uint8_t ip[16] = {};
        EXPECT_EQ(code, api_start(api, &r->request, ip, Answered, r.get(), &r->call).code);
        EXPECT_FALSE(r->done); // never within the start
        return r;
    }
    Response Call(const std::string &method, const std::string &path, const std::string &body = "",
                  const std::string &token = kOperator)
    {
        auto r = Begin(method, path, body, token);
        Until([&] { return r->done; });
        if (r->status >= 400) {
            EXPECT_EQ("application/problem+json", r->type);
            EXPECT_EQ(std::to_string(r->status), (*r)["status"]) << r->text;
            EXPECT_EQ(r->path, (*r)["instance"]);
            EXPECT_NE("", (*r)["title"]);
        }
        return *r;
    }
    // A call that is refused; returns its detail.
    std::string Refused(unsigned status, const std::string &method, const std::string &path, const std::string &body = "",
                        const std::string &token = kOperator)
    {
        auto r = Call(method, path, body, token);
        EXPECT_EQ(status, r.status) << method << " " << path << " " << body << ": " << r.text;
        return r["detail"];
    }
    Response Good(unsigned status, const std::string &method, const std::string &path, const std::string &body = "",
                  const std::string &token = kOperator)
    {
        auto r = Call(method, path, body, token);
        EXPECT_EQ(status, r.status) << method << " " << path << " " << body << ": " << r.text;
        return r;
    }
};

#endif

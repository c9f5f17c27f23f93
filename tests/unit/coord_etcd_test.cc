// What goes to etcd's gateway and comes from it, as bytes.
#include <gtest/gtest.h>
#include <string.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base64.h"
#include "buf.h"
#include "coord_reply.h"
#include "coord_request.h"
#include "coord_stream.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
struct span S(const char *s) { return span_of(s, strlen(s)); }
std::string Str(struct span s) { return s.ptr == nullptr ? "(null)" : std::string(s.ptr, s.len); }

const struct coord_space kSpace = { { "/g/", 3 } };

std::string B64(const std::string &text)
{
    std::string to(text.size() * 2 + 8, ' ');
    struct buf out;
    buf_init(&out, to.data(), to.size());
    base64_encode(&out, S(text));
    return to.substr(0, out.len);
}

std::string Key(const std::string &key) { return B64("/g/" + key); }

std::string Made(size_t size, const std::function<void(struct buf *)> &make)
{
    std::string bytes(size, '\0');
    struct buf out;
    buf_init(&out, bytes.data(), bytes.size());
    make(&out);
    return bytes.substr(0, out.len);
}

// ---- requests

TEST(CoordRequest, Ranges)
{
    struct coord_range range = {};
    range.prefix = S("a/");
    auto make = [&](struct buf *out) { coord_request_range(out, kSpace, &range); };
    EXPECT_EQ(R"({"key":"L2cvYS8=","range_end":"L2cvYTA="})", Made(4096, make)); // "/g/a/" to "/g/a0"
    range.limit = 64;
    EXPECT_EQ(R"({"key":"L2cvYS8=","range_end":"L2cvYTA=","limit":"64"})", Made(4096, make));
    range.revision = UINT64_MAX;
    std::string after = "a/b";
    range.after = S(after);
    EXPECT_EQ("{\"key\":\"" + B64(std::string("/g/a/b\0", 7)) +
                  R"(","range_end":"L2cvYTA=","limit":"64","revision":"18446744073709551615"})",
              Made(4096, make));
    // The whole space; a key that ends in the last byte there is.
    range = {};
    EXPECT_EQ(R"({"key":"L2cv","range_end":"L2cw"})", Made(4096, make));
    std::string last = "a\xff\xff";
    range.prefix = S(last);
    EXPECT_EQ("{\"key\":\"" + Key(last) + "\",\"range_end\":\"" + Key("b") + "\"}", Made(4096, make));
    last = "\xff";
    range.prefix = S(last);
    EXPECT_EQ("{\"key\":\"" + Key(last) + "\",\"range_end\":\"" + B64("/g0") + "\"}", Made(4096, make));
    EXPECT_EQ(R"({"key":"L2cvbW92aW5n"})", Made(4096, [](struct buf *out) { coord_request_get(out, kSpace, SPAN("moving")); }));
}

TEST(CoordRequest, Changes)
{
    struct coord_item items[4] = {};
    std::string value = "v\0\xff", big(COORD_VALUE_MAX_BYTES, 'x');
    items[0].key = S("a");
    items[0].value = span_of(value.data(), 1);
    items[1].key = S("b");
    items[1].action = COORD_DELETE;
    items[1].revision = 7;
    items[2].key = S("c");
    items[2].action = COORD_COMPARE;
    items[2].revision = 8;
    uint64_t leases[4] = { 12345678901234567890u, 0, 0, 0 };
    struct coord_change change = { items, 3, 0 };
    EXPECT_EQ(R"({"compare":[{"key":"L2cvYQ==","target":"MOD","result":"EQUAL","mod_revision":"0"},)"
              R"({"key":"L2cvYg==","target":"MOD","result":"EQUAL","mod_revision":"7"},)"
              R"({"key":"L2cvYw==","target":"MOD","result":"EQUAL","mod_revision":"8"}],)"
              R"("success":[{"request_put":{"key":"L2cvYQ==","value":"dg==","lease":"12345678901234567890"}},)"
              R"({"request_delete_range":{"key":"L2cvYg=="}}],)"
              R"("failure":[{"request_range":{"key":"L2cvYQ=="}},{"request_range":{"key":"L2cvYg=="}},)"
              R"({"request_range":{"key":"L2cvYw=="}}]})",
              Made(coord_request_change_size(&change), [&](struct buf *out) { coord_request_change(out, kSpace, &change, leases); }));
    EXPECT_EQ(R"({"success":[{"request_range":{"key":"L2cvYQ=="}},{"request_range":{"key":"L2cvYg=="}},)"
              R"({"request_range":{"key":"L2cvYw=="}}]})",
              Made(coord_request_change_size(&change), [&](struct buf *out) { coord_request_read(out, kSpace, &change); }));
    // A comparison may come first: no comma before the first put.
    struct coord_item two[2] = { items[2], items[0] };
    change = { two, 2, 0 };
    uint64_t none[2] = {};
    auto text = Made(coord_request_change_size(&change), [&](struct buf *out) { coord_request_change(out, kSpace, &change, none); });
    EXPECT_NE(std::string::npos, text.find(R"("success":[{"request_put":{"key":"L2cvYQ==","value":"dg=="}}],)")) << text;
    // The largest there is fits the size that was said.
    std::vector<struct coord_item> most(COORD_CHANGE_ITEMS_MAX);
    std::vector<std::string> keys(most.size());
    std::vector<uint64_t> most_leases(most.size(), UINT64_MAX);
    for (size_t i = 0; i < most.size(); i++) {
        keys[i] = std::to_string(1000 + i) + std::string(COORD_KEY_MAX_BYTES - 4, 'k');
        most[i].key = S(keys[i]);
        most[i].value = i < 8 ? S(big) : S(value);
        most[i].revision = UINT64_MAX - 1;
    }
    change = { most.data(), most.size(), 0 };
    EXPECT_LT(900000u, Made(coord_request_change_size(&change), [&](struct buf *out) { coord_request_change(out, kSpace, &change, most_leases.data()); }).size());
}

TEST(CoordRequest, WatchesLeasesLogIn)
{
    struct span prefixes[2] = { S("a/"), S("b/") };
    uint64_t seen[2] = { 0, 41 };
    EXPECT_EQ(R"({"create_request":{"key":"L2cvYS8=","range_end":"L2cvYTA=","start_revision":"1","fragment":true}})"
              R"({"create_request":{"key":"L2cvYi8=","range_end":"L2cvYjA=","start_revision":"42","fragment":true}})",
              Made(coord_request_watch_size(2), [&](struct buf *out) { coord_request_watch(out, kSpace, prefixes, seen, 2); }));
    EXPECT_EQ(R"({"TTL":"10","ID":"9223372036854775807"})", Made(4096, [](struct buf *out) { coord_request_grant(out, INT64_MAX, 10); }));
    EXPECT_EQ(R"({"ID":"77"})", Made(4096, [](struct buf *out) { coord_request_lease(out, 77); }));
    EXPECT_EQ("{\"name\":\"u\",\"password\":\"a\\\"b\\\\c\xc3\xa9\"}", Made(COORD_REQUEST_LOGIN_BYTES, [](struct buf *out) {
                  coord_request_login(out, SPAN("u"), SPAN("a\"b\\c\xc3\xa9"));
              }));
    std::string longest(COORD_OPTION_MAX_BYTES, '\1');
    EXPECT_LT(12000u, Made(COORD_REQUEST_LOGIN_BYTES, [&](struct buf *out) { coord_request_login(out, S(longest), S(longest)); }).size());
}

// ---- replies

struct Reply {
    Reply(enum coord_reply_kind kind, const std::string &text, unsigned status = 200)
    {
        code = coord_reply_read(kind, kSpace, status, S(text), &reply).code;
    }
    ~Reply() { if (code == ERR_OK) coord_reply_free(&reply); }
    struct coord_reply reply = {};
    enum err_code code;
};

const std::string kHeader = R"("header":{"cluster_id":"9087666264657136056","member_id":"1","revision":"31","raft_term":"2"})";

std::string Kv(const std::string &key, const std::string &value, const std::string &revision)
{
    return R"({"key":")" + Key(key) + R"(","create_revision":"2","mod_revision":")" + revision + R"(","version":"1","value":")" + B64(value) + "\"}";
}

TEST(CoordReply, Ranges)
{
    Reply some(COORD_REPLY_RANGE, "{" + kHeader + R"(,"kvs":[)" + Kv("a", "1", "9") + "," + Kv("b", std::string(COORD_VALUE_MAX_BYTES, 'x'), "18446744073709551615") + R"(],"more":true,"count":"2"})");
    ASSERT_EQ(ERR_OK, some.code);
    EXPECT_EQ(COORD_REFUSED_NOT, some.reply.refusal);
    EXPECT_EQ(9087666264657136056u, some.reply.cluster);
    EXPECT_EQ(31u, some.reply.revision);
    EXPECT_TRUE(some.reply.more);
    ASSERT_EQ(2u, some.reply.rows_count);
    EXPECT_EQ("a", Str(some.reply.rows[0].key));
    EXPECT_EQ("1", Str(some.reply.rows[0].value));
    EXPECT_EQ(9u, some.reply.rows[0].revision);
    EXPECT_EQ(UINT64_MAX, some.reply.rows[1].revision);
    EXPECT_EQ(size_t(COORD_VALUE_MAX_BYTES), some.reply.rows[1].value.len);
    // What is empty is left out: no rows, an empty value, a header without a revision.
    Reply none(COORD_REPLY_RANGE, "{" + kHeader + "}");
    ASSERT_EQ(ERR_OK, none.code);
    EXPECT_EQ(0u, none.reply.rows_count);
    EXPECT_FALSE(none.reply.more);
    Reply empty(COORD_REPLY_RANGE, R"({"header":{"cluster_id":"1"},"kvs":[{"key":")" + Key("a") + R"(","mod_revision":3}]})");
    ASSERT_EQ(ERR_OK, empty.code);
    EXPECT_EQ(0u, empty.reply.revision);
    EXPECT_EQ(3u, empty.reply.rows[0].revision); // a number that is none is taken too
    EXPECT_EQ("", Str(empty.reply.rows[0].value));
    ASSERT_EQ(ERR_OK, Reply(COORD_REPLY_RANGE, "{}").code);
}

TEST(CoordReply, BadOnes)
{
    const std::string row = R"({"kvs":[{"key":"L2cvYQ==","mod_revision":"3","value":"eA=="}]})";
    ASSERT_EQ(ERR_OK, Reply(COORD_REPLY_RANGE, row).code);
    auto with = [&](const std::string &from, const std::string &to) {
        std::string text = row;
        text.replace(text.find(from), from.size(), to);
        return text;
    };
    const struct { const char *what; std::string text; enum err_code want; } cases[] = {
        { "nothing", "", ERR_SYNTAX },
        { "no object", "[]", ERR_SYNTAX },
        { "cut", row.substr(0, row.size() - 1), ERR_SYNTAX },
        { "more behind it", row + "x", ERR_SYNTAX },
        { "twice the same member", R"({"kvs":[],"kvs":[]})", ERR_SYNTAX },
        { "rows no array", R"({"kvs":{}})", ERR_SYNTAX },
        { "row no object", R"({"kvs":[5]})", ERR_SYNTAX },
        { "key no text", with(R"("L2cvYQ==")", "5"), ERR_SYNTAX },
        { "key without padding", with("L2cvYQ==", "L2cvYQ"), ERR_SYNTAX },
        { "key with bits too much", with("L2cvYQ==", "L2cvYR=="), ERR_SYNTAX },
        { "key of the other alphabet", with("L2cvYQ==", "L2cvYQ-_"), ERR_SYNTAX },
        { "key with a line end", with("L2cvYQ==", "L2cv\\nYQ=="), ERR_SYNTAX },
        { "key outside the space", with("L2cvYQ==", B64("/h/a")), ERR_SYNTAX },
        { "key that is the space", with("L2cvYQ==", B64("/g/")), ERR_SYNTAX },
        { "key too long", with("L2cvYQ==", B64("/g/" + std::string(COORD_KEY_MAX_BYTES + 1, 'k'))), ERR_SYNTAX },
        { "no key", with(R"("key":"L2cvYQ==",)", ""), ERR_SYNTAX },
        { "value no base64", with("eA==", "***="), ERR_SYNTAX },
        { "value no text", with(R"("eA==")", "null"), ERR_SYNTAX },
        { "value too long", with("eA==", B64(std::string(COORD_VALUE_MAX_BYTES + 1, 'v'))), ERR_TOO_BIG },
        { "no revision", with(R"("mod_revision":"3",)", ""), ERR_SYNTAX },
        { "revision 0", with(R"("3")", R"("0")"), ERR_SYNTAX },
        { "revision negative", with(R"("3")", R"("-3")"), ERR_SYNTAX },
        { "revision negative number", with(R"("3")", "-3"), ERR_SYNTAX },
        { "revision with a point", with(R"("3")", "3.5"), ERR_SYNTAX },
        { "revision too large", with(R"("3")", R"("18446744073709551616")"), ERR_SYNTAX },
        { "revision empty", with(R"("3")", R"("")"), ERR_SYNTAX },
        { "revision with a blank", with(R"("3")", R"("3 ")"), ERR_SYNTAX },
        { "header no object", R"({"header":"x"})", ERR_SYNTAX },
        { "revision of the header no number", R"({"header":{"revision":"x"}})", ERR_SYNTAX },
        { "more is a text", R"({"more":"true"})", ERR_SYNTAX },
        { "result no object", R"({"result":[]})", ERR_SYNTAX },
        { "not UTF-8", "{\"kvs\":[],\"x\":\"\xff\"}", ERR_SYNTAX },
        { "too large", std::string(COORD_REPLY_MAX_BYTES + 1, ' '), ERR_TOO_BIG },
        { "too deep", std::string(5000, '['), ERR_SYNTAX },
    };
    for (const auto &c : cases) EXPECT_EQ(c.want, Reply(COORD_REPLY_RANGE, c.text).code) << c.what;
}

TEST(CoordReply, Transactions)
{
    Reply done(COORD_REPLY_TXN, "{" + kHeader + R"(,"succeeded":true,"responses":[{"response_put":{"header":{"revision":"31"}}},{"response_delete_range":{"header":{}}}]})");
    ASSERT_EQ(ERR_OK, done.code);
    EXPECT_TRUE(done.reply.succeeded);
    EXPECT_EQ(31u, done.reply.revision);
    EXPECT_EQ(0u, done.reply.rows_count);
    // Lost: `succeeded` is left out.
    Reply lost(COORD_REPLY_TXN, "{" + kHeader + R"(,"responses":[{"response_range":{"header":{"revision":"31"},"kvs":[)" + Kv("a", "x", "3") +
                                    R"(],"count":"1"}},{"response_range":{"header":{"revision":"31"}}},{"response_range":{"kvs":[)" + Kv("b", "y", "4") + "]}}]}");
    ASSERT_EQ(ERR_OK, lost.code);
    EXPECT_FALSE(lost.reply.succeeded);
    ASSERT_EQ(2u, lost.reply.rows_count);
    EXPECT_EQ("a", Str(lost.reply.rows[0].key));
    EXPECT_EQ("b", Str(lost.reply.rows[1].key));
    for (const char *bad : { R"({"succeeded":"true"})", R"({"responses":{}})", R"({"responses":[5]})", R"({"responses":[{"response_range":[]}]})",
                             R"({"responses":[{"response_range":{"kvs":[{}]}}]})", R"({"responses":[{"response_range":{"kvs":{"a":1}}}]})" })
        EXPECT_EQ(ERR_SYNTAX, Reply(COORD_REPLY_TXN, bad).code) << bad;
}

TEST(CoordReply, LeasesAndTokens)
{
    Reply granted(COORD_REPLY_LEASE, "{" + kHeader + R"(,"ID":"4568","TTL":"2"})");
    EXPECT_EQ(4568u, granted.reply.lease);
    EXPECT_EQ(2u, granted.reply.seconds);
    Reply kept(COORD_REPLY_LEASE, R"({"result":{)" + kHeader + R"(,"ID":"4567","TTL":"5"}})" + "\n");
    EXPECT_EQ(5u, kept.reply.seconds);
    Reply gone(COORD_REPLY_LEASE, R"({"result":{)" + kHeader + R"(,"ID":"4599"}})");
    ASSERT_EQ(ERR_OK, gone.code);
    EXPECT_EQ(0u, gone.reply.seconds);
    EXPECT_EQ(ERR_SYNTAX, Reply(COORD_REPLY_LEASE, R"({"ID":"x"})").code);
    EXPECT_EQ(ERR_SYNTAX, Reply(COORD_REPLY_LEASE, R"({"TTL":"-1"})").code);
    Reply token(COORD_REPLY_LOGIN, "{" + kHeader + R"(,"token":"gECXHkpTckrQNHDf.25"})");
    EXPECT_EQ("gECXHkpTckrQNHDf.25", Str(token.reply.token));
    for (const char *bad : { "{}", R"({"token":""})", R"({"token":5})" }) EXPECT_EQ(ERR_SYNTAX, Reply(COORD_REPLY_LOGIN, bad).code) << bad;
}

TEST(CoordReply, Refusals)
{
    auto json = [](const std::string &text, int code) { return R"({"error":")" + text + R"(","message":")" + text + R"(","code":)" + std::to_string(code) + "}"; };
    const struct { unsigned status; std::string text; enum coord_refusal refusal; enum err_code err; bool compacted; } cases[] = {
        { 401, json("etcdserver: invalid auth token", 16), COORD_REFUSED_LOGIN, ERR_DENIED, false },
        { 400, json("etcdserver: user name is empty", 3), COORD_REFUSED_LOGIN, ERR_DENIED, false },
        { 400, json("etcdserver: revision in header is old", 3), COORD_REFUSED_LOGIN, ERR_DENIED, false },
        { 400, json("etcdserver: authentication failed, invalid user ID or password", 3), COORD_REFUSED, ERR_DENIED, false },
        { 412, json("etcdserver: authentication is not enabled", 9), COORD_REFUSED, ERR_DENIED, false },
        { 403, json("etcdserver: permission denied", 7), COORD_REFUSED, ERR_DENIED, false },
        { 400, json("etcdserver: request is too large", 3), COORD_REFUSED, ERR_TOO_BIG, false },
        { 400, json("etcdserver: too many operations in txn request", 3), COORD_REFUSED, ERR_TOO_BIG, false },
        { 400, json("etcdserver: duplicate key given in txn request", 3), COORD_REFUSED, ERR_SYNTAX, false },
        { 404, json("etcdserver: requested lease not found", 5), COORD_REFUSED, ERR_NOT_FOUND, false },
        { 412, json("etcdserver: lease already exists", 9), COORD_REFUSED, ERR_EXISTS, false },
        { 429, json("etcdserver: mvcc: database space exceeded", 8), COORD_REFUSED, ERR_FULL, false },
        { 429, json("etcdserver: too many requests", 8), COORD_REFUSED_BUSY, ERR_BUSY, false },
        { 400, json("etcdserver: mvcc: required revision has been compacted", 11), COORD_REFUSED, ERR_NOT_FOUND, true },
        { 400, json("etcdserver: mvcc: required revision is a future revision", 11), COORD_REFUSED, ERR_NOT_FOUND, false },
        { 500, json("context deadline exceeded", 2), COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 503, json("etcdserver: no leader", 14), COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 503, json("etcdserver: request timed out", 14), COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 500, json("something new", 13), COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 500, R"({"code":2,"message":"as 3.6 says it","details":[]})", COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 403, R"({"code":7,"message":"etcdserver: permission denied","details":[]})", COORD_REFUSED, ERR_DENIED, false },
        { 200, R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}})", COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 200, R"({"error":{"code":16,"message":"etcdserver: invalid auth token"}})", COORD_REFUSED_LOGIN, ERR_DENIED, false },
        { 200, R"({"error":"etcdserver: permission denied","code":"7"})", COORD_REFUSED, ERR_DENIED, false },
        { 200, R"({"error":{"grpc_code":"x","message":5}})", COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 500, "", COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 502, "<html>bad gateway</html>", COORD_REFUSED_UNSURE, ERR_UNREACHABLE, false },
        { 404, "Not Found\n", COORD_REFUSED, ERR_UNSUPPORTED, false },
        { 400, "Client sent an HTTP request to an HTTPS server.\n", COORD_REFUSED, ERR_UNSUPPORTED, false },
        { 400, "CommonName of client sending a request against gateway will be ignored and not used as expected\n", COORD_REFUSED, ERR_DENIED, false },
    };
    for (const auto &c : cases) {
        for (auto kind : { COORD_REPLY_RANGE, COORD_REPLY_TXN, COORD_REPLY_LEASE, COORD_REPLY_LOGIN, COORD_REPLY_WATCH }) {
            Reply got(kind, c.text, c.status);
            ASSERT_EQ(ERR_OK, got.code) << c.text;
            EXPECT_EQ(c.refusal, got.reply.refusal) << c.text;
            EXPECT_EQ(c.err, got.reply.err.code) << c.text;
            EXPECT_EQ(c.compacted, got.reply.compacted) << c.text;
            EXPECT_EQ(0u, got.reply.rows_count);
        }
    }
}

// ---- the stream

std::string Line(const std::string &members) { return "{\"result\":{" + kHeader + (members.empty() ? "" : ",") + members + "}}\n"; }
std::string Put(const std::string &key, const std::string &value, const std::string &revision) { return R"({"kv":)" + Kv(key, value, revision) + "}"; }
std::string Delete(const std::string &key, const std::string &revision) { return R"({"type":"DELETE","kv":{"key":")" + Key(key) + R"(","mod_revision":")" + revision + "\"}}"; }

// The events of a stream, each a line; it is given `step` bytes at a time.
std::vector<std::string> Events(const std::string &bytes, size_t step, std::vector<std::string> prefixes = { "a/", "b/" })
{
    std::vector<std::string> events;
    std::vector<struct span> spans;
    for (const auto &prefix : prefixes) spans.push_back(S(prefix));
    struct coord_stream stream;
    coord_stream_init(&stream, kSpace, spans.data(), spans.size());
    bool over = false;
    for (size_t at = 0; at < bytes.size() && !over; at += step) {
        std::string piece = bytes.substr(at, step); // of its own: nothing may point into the one before
        struct span in = S(piece);
        struct coord_stream_event event;
        do {
            struct err err = coord_stream_feed(&stream, &in, &event);
            if (err.code != ERR_OK) events.push_back(std::string("bad ") + err_name(err.code));
            over = err.code != ERR_OK || event.kind == COORD_STREAM_ENDED;
            if (err.code != ERR_OK) break;
            if (event.kind == COORD_STREAM_CREATED) events.push_back("created");
            if (event.kind == COORD_STREAM_ENDED) events.push_back(std::string("ended ") + err_name(event.err.code) + (event.compacted ? " compacted" : "") + (event.refusal == COORD_REFUSED_LOGIN ? " login" : ""));
            if (event.kind == COORD_STREAM_CHANGES) {
                std::string text = std::to_string(event.watch);
                for (size_t i = 0; i < event.rows_count; i++) text += " " + Str(event.rows[i].key) + "=" + Str(event.rows[i].value).substr(0, 20) + "@" + std::to_string(event.rows[i].revision);
                events.push_back(text);
            }
        } while (!over && event.kind != COORD_STREAM_NOTHING);
    }
    coord_stream_free(&stream);
    return events;
}

TEST(CoordStream, WholeAndInPieces)
{
    // Number 0 is left out; a word that nothing has happened says nothing.
    const std::string created = Line(R"("created":true)") + Line(R"("watch_id":"1","created":true)");
    const struct { const char *what; std::string bytes; std::vector<std::string> want; } cases[] = {
        { "created", created, { "created" } },
        { "only one of them", Line(R"("created":true)"), {} },
        { "changes", created + Line(R"("events":[)" + Put("a/1", "x", "32") + "," + Delete("a/2", "32") + "]") + Line(R"("watch_id":"1","events":[)" + Put("b/1", "", "33") + "]"),
          { "created", "0 a/1=x@32 a/2=(null)@32", "1 b/1=@33" } },
        { "nothing has happened", created + Line("") + Line(R"("watch_id":"1")") + "\n", { "created" } },
        { "no line end yet", created + Line(R"("events":[)" + Put("a/1", "x", "32") + "]").substr(0, 40), { "created" } },
        { "fragments", created + Line(R"("fragment":true,"events":[)" + Put("a/1", "x", "32") + "]") + Line(R"("fragment":true,"events":[)" + Put("a/2", "y", "32") + "]") + Line(R"("events":[)" + Put("a/3", "z", "33") + "]") + Line(R"("events":[)" + Delete("a/3", "34") + "]"),
          { "created", "0 a/1=x@32 a/2=y@32 a/3=z@33", "0 a/3=(null)@34" } },
        { "fragments, the last one empty", created + Line(R"("fragment":true,"events":[)" + Put("a/1", "x", "32") + "]") + Line(""), { "created", "0 a/1=x@32" } },
        { "a fragment alone", created + Line(R"("fragment":true,"events":[)" + Put("a/1", "x", "32") + "]"), { "created" } },
        { "compacted", created + Line(R"("watch_id":"1","canceled":true,"compact_revision":"6")"), { "created", "ended UNREACHABLE compacted" } },
        { "compacted, without a revision in the header", created + "{\"result\":{\"header\":{\"cluster_id\":\"1\"},\"canceled\":true,\"compact_revision\":\"6\"}}\n", { "created", "ended UNREACHABLE compacted" } },
        { "no permission", Line(R"("watch_id":"-1","created":true,"canceled":true,"cancel_reason":"rpc error: code = PermissionDenied desc = etcdserver: permission denied")"), { "ended DENIED" } },
        { "no token", Line(R"("watch_id":"-1","created":true,"canceled":true,"cancel_reason":"rpc error: code = InvalidArgument desc = etcdserver: user name is empty")"), { "ended DENIED login" } },
        { "an old token", Line(R"("watch_id":"-1","created":true,"canceled":true,"cancel_reason":"rpc error: code = Unauthenticated desc = etcdserver: invalid auth token")"), { "ended DENIED login" } },
        { "no leader", created + R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}})" + "\n", { "created", "ended UNREACHABLE" } },
        { "canceled without a word", created + Line(R"("canceled":true)"), { "created", "ended UNREACHABLE" } },
        { "one too many", created + Line(R"("watch_id":"2","created":true)"), { "created", "bad SYNTAX" } },
        { "not in order", Line(R"("watch_id":"1","created":true)"), { "bad SYNTAX" } },
        { "of no watch", created + Line(R"("watch_id":"2","events":[)" + Put("a/1", "x", "32") + "]"), { "created", "bad SYNTAX" } },
        { "of another prefix", created + Line(R"("events":[)" + Put("b/1", "x", "32") + "]"), { "created", "bad SYNTAX" } },
        { "backwards", created + Line(R"("events":[)" + Put("a/1", "x", "32") + "," + Put("a/1", "x", "31") + "]"), { "created", "bad SYNTAX" } },
        { "another's between fragments", created + Line(R"("fragment":true,"events":[)" + Put("a/1", "x", "32") + "]") + Line(R"("watch_id":"1","events":[)" + Put("b/1", "x", "32") + "]"), { "created", "bad SYNTAX" } },
        { "a type of which we know nothing", created + Line(R"("events":[{"type":"MOVE","kv":{"key":"L2cvYS8x","mod_revision":"3"}}])"), { "created", "bad SYNTAX" } },
        { "a type that is a number", created + Line(R"("events":[{"type":1,"kv":{"key":"L2cvYS8x","mod_revision":"3"}}])"), { "created", "bad SYNTAX" } },
        { "an event without a row", created + Line(R"("events":[{"type":"PUT"}])"), { "created", "bad SYNTAX" } },
        { "events no array", created + Line(R"("events":{})"), { "created", "bad SYNTAX" } },
        { "created is a number", Line(R"("created":1)"), { "bad SYNTAX" } },
        { "a number below zero", Line(R"("watch_id":"-1","created":true)"), { "bad SYNTAX" } },
        { "no JSON", created + "hello\n", { "created", "bad SYNTAX" } },
        { "a value too large", created + Line(R"("events":[)" + Put("a/1", std::string(COORD_VALUE_MAX_BYTES + 1, 'x'), "32") + "]"), { "created", "bad TOO_BIG" } },
    };
    for (const auto &c : cases) {
        for (size_t step : { c.bytes.size(), size_t(1), size_t(7), size_t(1000) }) EXPECT_EQ(c.want, Events(c.bytes, step)) << c.what << " by " << step;
    }
}

TEST(CoordStream, Bounds)
{
    const std::string created = Line(R"("created":true)");
    std::string line = Line(R"("events":[)" + Put("1", "x", "32") + "]"), longest(COORD_STREAM_LINE_MAX_BYTES - line.size() + 1, ' ');
    longest = line.substr(0, line.size() - 1) + longest + "\n"; // exactly at the bound, without its end
    EXPECT_EQ((std::vector<std::string>{ "created", "0 1=x@32" }), Events(created + longest, 65536, { "" }));
    for (size_t step : { size_t(65536), longest.size() * 2 })
        EXPECT_EQ((std::vector<std::string>{ "created", "bad TOO_BIG" }), Events(created + " " + longest, step, { "" }));
    EXPECT_EQ((std::vector<std::string>{ "bad TOO_BIG" }), Events(std::string(COORD_STREAM_LINE_MAX_BYTES + 1, 'x'), 65536, { "" }));
    std::string fragments = created;
    for (int i = 0; i < COORD_STREAM_PARTS_MAX; i++) fragments += Line(R"("fragment":true,"events":[)" + Put("1", "x", "32") + "]");
    EXPECT_EQ((std::vector<std::string>{ "created" }), Events(fragments, 65536, { "" }));
    EXPECT_EQ((std::vector<std::string>{ "created", "bad TOO_BIG" }), Events(fragments + Line(R"("events":[)" + Put("1", "x", "32") + "]"), 65536, { "" }));
}

}  // namespace

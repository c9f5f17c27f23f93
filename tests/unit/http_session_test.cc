// HTTP/1.1 dialogues, each whole and byte by byte.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http_session.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.len ? s.ptr : "", s.len); }

struct Dialogue {
    std::vector<std::string> requests;
    std::string out;
    bool closed = false;
};

Dialogue Feed(const std::string &in, size_t step, bool secure = false, uint64_t body_max = HTTP_BODY_MAX_BYTES)
{
    Dialogue run;
    std::vector<char> bytes(1 << 20);
    struct buf out;
    buf_init(&out, bytes.data(), bytes.size());
    struct http_session *session;
    EXPECT_EQ(ERR_OK, http_session_new(secure, &session).code);
    if (body_max != HTTP_BODY_MAX_BYTES) http_session_body_max(session, body_max);
    size_t done = 0, shown = 0;
    while (!run.closed) {
        if (http_session_wish(session) == HTTP_WISH_ANSWER) {
            const struct http_request *r = http_session_request(session);
            run.requests.push_back(Str(r->method) + " " + Str(r->path) + " [" + Str(r->query) + "] " +
                                   Str(http_request_header(r, SPAN("x-a"))) + " " + Str(r->body));
            struct http_response response = {};
            response.status = 200;
            response.content_type = SPAN("text/plain");
            response.body = SPAN("hi");
            http_session_answer(session, &response, &out);
            if (!http_session_is_head(session)) buf_put(&out, response.body);
        } else if (http_session_wish(session) == HTTP_WISH_CLOSE) {
            run.closed = true;
        } else {
            size_t used = http_session_feed(session, S(in.substr(done, shown - done)), &out);
            done += used;
            if (http_session_wish(session) != HTTP_WISH_NOTHING) continue;
            if (shown == in.size()) break;
            shown = std::min(in.size(), shown + step);
        }
    }
    run.out.assign(bytes.data(), out.len);
    http_session_free(session);
    return run;
}

struct Case {
    const char *name;
    std::string in;
    std::vector<std::string> requests;
    std::string status; // how the output begins
    bool closed;
};
void PrintTo(const Case &c, std::ostream *os) { *os << c.name; }

const Case cases[] = {
    { "get", "GET /a HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n", { "GET /a [] 1 " }, "HTTP/1.1 200 OK\r\n", false },
    { "two pipelined", "GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\nPUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
      { "GET /a [x=1]  ", "PUT /b []  abc" }, "HTTP/1.1 200", false },
    { "chunked", "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
      { "POST /c []  abcde" }, "HTTP/1.1 200", false },
    { "trailers are dropped", "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: evil\r\n\r\nGET /n HTTP/1.1\r\nHost: h\r\n\r\n",
      { "POST /c []  a", "GET /n []  " }, "HTTP/1.1 200", false },
    { "close", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", { "GET /a []  " }, "HTTP/1.1 200", true },
    { "http 1.0", "GET /a HTTP/1.0\r\n\r\n", { "GET /a []  " }, "HTTP/1.1 200", true },
    { "head", "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", { "HEAD /a []  " }, "HTTP/1.1 200", false },
    { "no host", "GET /a HTTP/1.1\r\n\r\n", {}, "HTTP/1.1 400", true },
    { "not http", "EHLO there\r\n\r\n", {}, "HTTP/1.1 400", true },
    { "bad version", "GET / HTTP/9.9x\r\n\r\n", {}, "HTTP/1.1 400", true },
    { "too large", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4194305\r\n\r\n", {}, "HTTP/1.1 413", true },
    { "absurd length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n", {}, "HTTP/1.1 400", true },
    { "two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", {}, "HTTP/1.1 400", true },
    { "length and chunked", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {}, "HTTP/1.1 400", true },
    { "target too long", "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", {}, "HTTP/1.1 414", true },
    { "header too long", "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(40000, 'a') + "\r\n\r\n", {}, "HTTP/1.1 431", true },
    { "connect", "CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n", {}, "HTTP/1.1 501", true },
    { "upgrade", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", {}, "HTTP/1.1 501", true },
};

class HttpSession : public testing::TestWithParam<Case> {};

TEST_P(HttpSession, SameHoweverCut)
{
    const Case &c = GetParam();
    for (size_t step : { c.in.size(), size_t(1), size_t(7) }) {
        Dialogue run = Feed(c.in, step);
        EXPECT_EQ(c.requests, run.requests) << step;
        EXPECT_EQ(c.status, run.out.substr(0, c.status.size())) << step;
        EXPECT_EQ(c.closed, run.closed) << step;
    }
}
INSTANTIATE_TEST_SUITE_P(All, HttpSession, testing::ValuesIn(cases),
                         [](const auto &info) {
                             std::string name = info.param.name;
                             for (char &ch : name) if (!isalnum(static_cast<unsigned char>(ch))) ch = '_';
                             return name;
                         });

TEST(Http, TooManyHeadersAreRefused)
{
    std::string in = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (int i = 0; i < 200; i++) in += "X-" + std::to_string(i) + ": y\r\n";
    Dialogue run = Feed(in + "\r\n", 1000);
    EXPECT_EQ("HTTP/1.1 431", run.out.substr(0, 12));
}

TEST(Http, ContinueIsSaidBeforeTheBody)
{
    Dialogue run = Feed("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab", 1);
    EXPECT_EQ(0u, run.out.find("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
}

TEST(Http, HeadHasALengthAndNoBody)
{
    Dialogue run = Feed("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 100, true);
    EXPECT_NE(std::string::npos, run.out.find("Content-Length: 2\r\n"));
    EXPECT_NE(std::string::npos, run.out.find("Strict-Transport-Security"));
    EXPECT_EQ("\r\n\r\n", run.out.substr(run.out.size() - 4));
}

std::string Post(size_t length, bool chunked)
{
    std::string body(length, 'b');
    char head[200];
    if (chunked) {
        snprintf(head, sizeof(head), "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", length);
        return head + body + "\r\n0\r\n\r\n";
    }
    snprintf(head, sizeof(head), "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", length);
    return head + body;
}

/* http.body.max: its bound from both sides, and a change between two requests. */
TEST(Http, BodyMax)
{
    static const struct { uint64_t max; size_t length; bool is_taken; } rows[] = {
        { 1024, 0, true },     { 1024, 1024, true },   { 1024, 1025, false }, { 1024, 100000, false },
        { 65536, 65536, true }, { 65536, 65537, false },
    };
    for (const auto &row : rows) {
        for (bool chunked : { false, true }) {
            if (chunked && row.length == 0) continue;
            Dialogue run = Feed(Post(row.length, chunked), 999, false, row.max);
            EXPECT_EQ(row.is_taken ? 1u : 0u, run.requests.size()) << row.length << chunked;
            EXPECT_EQ(row.is_taken ? "HTTP/1.1 200" : "HTTP/1.1 413", run.out.substr(0, 12));
            EXPECT_EQ(!row.is_taken, run.closed);
        }
    }
}

TEST(Http, BodyMaxChangesBetweenRequests)
{
    std::vector<char> bytes(1 << 16);
    struct buf out;
    buf_init(&out, bytes.data(), bytes.size());
    struct http_session *session;
    ASSERT_EQ(ERR_OK, http_session_new(false, &session).code);
    http_session_body_max(session, 2000);
    std::string in = Post(1500, false), head = in.substr(0, in.size() - 1500);
    size_t used = http_session_feed(session, S(head), &out);
    EXPECT_EQ(head.size(), used);
    http_session_body_max(session, 1024); /* the one under way goes by what it began with */
    EXPECT_EQ(1500u, http_session_feed(session, S(in.substr(head.size())), &out));
    ASSERT_EQ(HTTP_WISH_ANSWER, http_session_wish(session));
    struct http_response response = {};
    response.status = 204;
    http_session_answer(session, &response, &out);
    (void)http_session_feed(session, S(in), &out);
    EXPECT_EQ(HTTP_WISH_CLOSE, http_session_wish(session));
    EXPECT_NE(std::string::npos, Str(buf_span(&out)).find("HTTP/1.1 413"));
    http_session_free(session);
}

} // namespace

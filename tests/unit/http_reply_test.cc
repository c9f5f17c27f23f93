// Answers of HTTP, each whole and byte by byte.
#include "http_reply.h"

#include <gtest/gtest.h>

#include <string>

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

TEST(HttpReply, WholeOnes)
{
    const struct { std::string text; unsigned status; const char *body; } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready", 200, "ready" },
        { "HTTP/1.1 503 Service Unavailable\r\nX: y\r\ncontent-length:3\r\nConnection: close\r\n\r\nno\n", 503, "no\n" },
        { "HTTP/1.0 404\r\nContent-Length: \t 0 \r\n\r\n", 404, "" },
        { "HTTP/1.1 999 \r\nContent-Length: 1\r\nA:\r\n\r\nx", 999, "x" },
    };
    for (const auto &c : cases) {
        struct http_reply reply = {};
        for (size_t i = 0; i < c.text.size(); i++) {
            EXPECT_EQ(HTTP_REPLY_MORE, http_reply_read(S(c.text.substr(0, i)), &reply)) << c.text << " " << i;
        }
        EXPECT_EQ(0u, reply.status);
        for (const std::string &more : { std::string(), std::string("GET"), std::string(1, '\0') }) {
            std::string text = c.text + more;
            ASSERT_EQ(HTTP_REPLY_OK, http_reply_read(S(text), &reply)) << c.text;
            EXPECT_EQ(c.status, reply.status);
            EXPECT_EQ(c.body, std::string(reply.body.len ? reply.body.ptr : "", reply.body.len));
        }
    }
}

TEST(HttpReply, WhatIsNone)
{
    for (const std::string &text : std::initializer_list<std::string>{
             "SSH-2.0-x\r\n", "\r\n", "HTTP/2 200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 20x OK\r\n", "HTTP/1.1 099 X\r\n",
             "HTTP/1.1  200 OK\r\n", "HTTP/1.1 2000 OK\r\n", "http/1.1 200 OK\r\n", "HTTP/1.x 200 OK\r\n",
             "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n", "HTTP/1.1 200 OK\r\n: x\r\n",
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx",
             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
             "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: \r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1 1\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n",
             std::string(HTTP_REPLY_HEAD_MAX_BYTES + 1, 'x'),
             "HTTP/1.1 200 OK\r\nA: " + std::string(HTTP_REPLY_HEAD_MAX_BYTES, 'x'),
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: " + std::string(HTTP_REPLY_HEAD_MAX_BYTES, 'x') + "\r\n\r\n" }) {
        struct http_reply reply = {};
        EXPECT_EQ(HTTP_REPLY_BAD, http_reply_read(S(text), &reply)) << text.substr(0, 90);
        EXPECT_EQ(0u, reply.status);
    }
}

}  // namespace

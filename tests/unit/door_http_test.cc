// HTTP over loopback: requests one after the other, answers of any size, what is no request, clients that go.
#include "front_fixture.h"

namespace {

const std::string kGet = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

class DoorHttp : public FrontTest {
protected:
    void Options() override { Set("http.connections.per.address", "100"); }
    static std::string Answer(const std::string &body, const std::string &status = "200 OK",
                              const std::string &type = "text/plain; version=0.0.4; charset=utf-8", const std::string &more = "")
    {
        return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nContent-Type: " + type +
               "\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n" + more + "\r\n";
    }
};

TEST_F(DoorHttp, RequestsOfOneConnectionAreAnsweredInTheirOrder)
{
    Wire *wire = Connect(DOOR_HTTP);
    wire->Send(kGet);
    Expect(wire, Answer(metrics) + metrics);
    wire->Send(kGet + "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    Expect(wire, Answer(metrics) + metrics + Answer(metrics) + Answer("ok\n") + "ok\n");
    for (char byte : kGet) {
        wire->Send(std::string(1, byte));
        loop_step(loop, 0);
    }
    Expect(wire, Answer(metrics) + metrics);
    missing = "no scanner is ready";
    wire->Send("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    Until([&] { return wire->closed; });
    EXPECT_EQ(0u, wire->heard.find("HTTP/1.1 503 Service Unavailable\r\n")) << wire->heard;
    EXPECT_NE(std::string::npos, wire->heard.find("Content-Type: application/problem+json\r\n"));
    EXPECT_NE(std::string::npos, wire->heard.find("Connection: close\r\n"));
    EXPECT_NE(std::string::npos, wire->heard.find("no scanner is ready"));
}

// Larger than what may wait for a client at once.
TEST_F(DoorHttp, AnAnswerOfAnySizeArrivesWhole)
{
    for (size_t size : { size_t{ 0 }, size_t{ 1 }, size_t{ 100000 }, size_t{ CONN_OUT_MAX_BYTES }, size_t{ 3000000 } }) {
        metrics = Pattern(size);
        std::string want = size == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\r\n"
                                     : Answer(metrics) + metrics;
        Wire *wire = Connect(DOOR_HTTP);
        conn_pause(wire->conn, true);
        wire->Send(kGet + kGet);
        Turn(100);
        conn_pause(wire->conn, false);
        Until([&] { return wire->closed || wire->heard.size() >= 2 * want.size(); });
        EXPECT_FALSE(wire->closed) << size;
        EXPECT_TRUE(wire->heard == want + want) << size;
    }
}

TEST_F(DoorHttp, WhatIsNoRequestIsAnsweredAndEndsIt)
{
    const struct { std::string bytes; const char *status; } cases[] = {
        { "EHLO you\r\n\r\n", "400 Bad Request" },
        { std::string("\0\0\0\0", 4), "400 Bad Request" },
        { "GET /healthz HTTP/1.1\r\n\r\n", "400 Bad Request" }, // without a Host
        { "GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported" },
        { "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request" },
        { "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400 Bad Request" },
        { "GET /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n", "414 URI Too Long" },
        { "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(33000, 'x') + "\r\n\r\n", "431 Request Header Fields Too Large" },
        { "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", "413 Payload Too Large" },
        { "CONNECT x:25 HTTP/1.1\r\nHost: x\r\n\r\n", "501 Not Implemented" },
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(c.bytes.substr(0, 60));
        Wire *wire = Connect(DOOR_HTTP);
        for (size_t at = 0; at < c.bytes.size(); at += 15000) {
            if (!wire->closed) wire->Send(c.bytes.substr(at, 15000));
            Turn(2);
        }
        Until([&] { return wire->closed; });
        EXPECT_EQ(9u, wire->heard.find(c.status)) << wire->heard;
        EXPECT_NE(std::string::npos, wire->heard.find("Connection: close\r\n"));
    }
    // A body that is too long although it did not say so.
    Wire *wire = Connect(DOOR_HTTP);
    wire->Send("POST /api/v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 200 && !wire->closed; i++) {
        if (conn_waiting_bytes(wire->conn) < CONN_OUT_MAX_BYTES / 2) wire->Send("10000\r\n" + std::string(65536, 'x') + "\r\n");
        Turn(2);
    }
    Until([&] { return wire->closed; });
    EXPECT_EQ(9u, wire->heard.find("413 ")) << wire->heard;
}

TEST_F(DoorHttp, WithoutATokenNothingIsShown)
{
    for (const char *path : { "/api/v1/users", "/api/v1/config", "/api/v1/tenants" }) {
        Wire *wire = Connect(DOOR_HTTP);
        wire->Send(std::string("GET ") + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Until([&] { return wire->closed; });
        EXPECT_EQ(0u, wire->heard.find("HTTP/1.1 401 Unauthorized\r\n")) << wire->heard;
        EXPECT_NE(std::string::npos, wire->heard.find("WWW-Authenticate: Bearer\r\n"));
    }
}

TEST_F(DoorHttp, ClientsThatGoBeforeTheirAnswerCostNothing)
{
    for (int turns : { 0, 1, 2, 3, 5 }) {
        for (bool abort : { true, false }) {
            Wire *wire = Connect(DOOR_HTTP);
            wire->Send(kGet + kGet);
            Turn(turns);
            if (abort) conn_abort(wire->conn, err_ok());
            else conn_close(wire->conn);
            Until([&] { return wire->closed; });
        }
    }
    Until([&] { return front.connections_count == 0; });
}

// Going down, the answer under way is still given, and then there is no more.
TEST_F(DoorHttp, GoingDownTheAnswerUnderWayIsGiven)
{
    Wire *idle = Connect(DOOR_HTTP), *busy = Connect(DOOR_HTTP);
    idle->Send(kGet);
    Expect(idle, Answer(metrics) + metrics);
    busy->Send(kGet);
    Until([&] { return front.connections_count == 2; });
    for (auto *&door : doors) {
        door_close(door);
        door = nullptr;
    }
    door_drain(&front);
    Until([&] { return idle->closed && busy->closed; });
    EXPECT_TRUE(busy->heard.empty() || busy->heard.find(metrics) != std::string::npos) << busy->heard;
}

}  // namespace

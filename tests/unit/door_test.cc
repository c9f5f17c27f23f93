// What all doors do alike: greetings, TLS from the first byte, PROXY headers, limits, idle clients, the end.
#include "front_fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

const std::string kSmtp = "220 mx.a.test ESMTP Godwit\r\n", kImap = "* OK ";

class Door : public FrontTest {
protected:
    void Options() override
    {
        Set("proxy.trusted", "127.0.0.2");
        Set("login.without.tls", "192.0.2.0/24,2001:db8::/32");
        Set("smtp.connections.per.address", "2");
        Set("server.connections.max", "10");
    }
    // What an IMAP client may do tells which address the door takes it for: LOGIN without TLS or not.
    bool MayLogIn(Wire *wire)
    {
        std::string capability = Ask_(wire, "a CAPABILITY\r\n", "a");
        EXPECT_NE(std::string::npos, capability.find("IMAP4rev1")) << capability;
        return capability.find("LOGINDISABLED") == std::string::npos;
    }
    void GoDown()
    {
        for (auto *&door : doors) {
            door_close(door);
            door = nullptr;
        }
        door_drain(&front);
    }
    static std::string ProxyV2(char command, char family, const std::string &addresses)
    {
        std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
        header += command;
        header += family;
        header += static_cast<char>(addresses.size() >> 8);
        header += static_cast<char>(addresses.size());
        return header + addresses;
    }
};

TEST_F(Door, EachServiceGreetsInItsWay)
{
    const struct { enum door_service service; bool tls; std::string greeting; } cases[] = {
        { DOOR_SMTP, false, kSmtp }, { DOOR_SUBMISSION, false, kSmtp }, { DOOR_SMTPS, true, kSmtp },
        { DOOR_LMTP, false, "220 mx.a.test LMTP Godwit\r\n" },
    };
    for (const auto &c : cases) {
        Wire *wire = c.tls ? ConnectTls(c.service) : Connect(c.service);
        Expect(wire, c.greeting);
        wire->Send("QUIT\r\n");
        ExpectClosed(wire, "221 2.0.0 Bye\r\n");
    }
    for (enum door_service service : { DOOR_IMAP, DOOR_IMAPS }) {
        Wire *wire = service == DOOR_IMAP ? Connect(service) : ConnectTls(service);
        std::string greeting = Until_(wire, "\r\n");
        EXPECT_EQ(0u, greeting.find(kImap)) << greeting;
        EXPECT_EQ(service == DOOR_IMAPS, MayLogIn(wire));
        wire->Send("b LOGOUT\r\n");
        Until([&] { return wire->closed; });
        EXPECT_EQ(0u, wire->heard.find("* BYE"));
    }
    for (enum door_service service : { DOOR_HTTP, DOOR_HTTPS }) {
        Wire *wire = service == DOOR_HTTP ? Connect(service) : ConnectTls(service);
        wire->Send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Until([&] { return wire->closed; });
        EXPECT_EQ(0u, wire->heard.find("HTTP/1.1 200 OK\r\n")) << wire->heard;
        EXPECT_EQ(service == DOOR_HTTPS, wire->heard.find("Strict-Transport-Security") != std::string::npos);
    }
}

TEST_F(Door, AProxyHeaderNamesTheClient)
{
    const std::string four("\xc0\x00\x02\x07\x7f\x00\x00\x01\x12\x34\x00\x8f", 12);
    std::string six("\x20\x01\x0d\xb8", 4);
    six += std::string(11, '\0') + "\x07" + std::string(15, '\0') + "\x01" + "\x12\x34" + std::string("\x00\x8f", 2);
    const struct { std::string header; bool is_known; } cases[] = {
        { "PROXY TCP4 192.0.2.7 127.0.0.1 4660 143\r\n", true },
        { "PROXY TCP4 198.51.100.7 127.0.0.1 4660 143\r\n", false },
        { "PROXY TCP6 2001:db8::7 ::1 4660 143\r\n", true },
        { "PROXY UNKNOWN\r\n", false },
        { "PROXY UNKNOWN whatever is said here\r\n", false },
        { ProxyV2('\x21', '\x11', four), true },
        { ProxyV2('\x21', '\x21', six), true },
        { ProxyV2('\x21', '\x11', four + std::string("\x04\x00\x03" "abc", 6)), true }, // with a TLV behind
        { ProxyV2('\x20', '\x00', ""), false }, // LOCAL: the balancer's own look at us
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(c.header);
        for (bool piecemeal : { false, true }) {
            Wire *wire = Connect(DOOR_IMAP, "127.0.0.2:0");
            if (!piecemeal) {
                wire->Send(c.header);
            } else {
                for (char byte : c.header) {
                    EXPECT_EQ("", wire->heard); // nothing is said before it is whole
                    wire->Send(std::string(1, byte));
                    Turn(2);
                }
            }
            EXPECT_EQ(0u, Until_(wire, "\r\n").find(kImap));
            EXPECT_EQ(c.is_known, MayLogIn(wire));
            conn_close(wire->conn);
            Until([&] { return wire->closed; });
        }
    }
    // The session's first bytes may come with it.
    Wire *wire = Connect(DOOR_SMTP, "127.0.0.2:0");
    wire->Send("PROXY TCP4 192.0.2.7 127.0.0.1 4660 25\r\nNOOP\r\nQUIT\r\n");
    ExpectClosed(wire, kSmtp + "250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n");
}

TEST_F(Door, WithoutAProxyHeaderNothingIsSaid)
{
    const std::string cases[] = {
        "EHLO you\r\n", "\r\nNOOP\r\n", "PROXY\r\n", "PROXY TCP4 192.0.2.7 127.0.0.1 4660\r\n", "PROXY TCP4 300.0.2.7 127.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 127.0.0.1 70000 25\r\n", "PROXY TCP4 192.0.2.7 127.0.0.1 1 2\nEHLO you\r\n",
        "PROXY TCP9 192.0.2.7 127.0.0.1 1 2\r\n", "proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "PROXY " + std::string(200, 'x') + "\r\n",
        ProxyV2('\x31', '\x11', std::string(12, 'x')), ProxyV2('\x2f', '\x11', std::string(12, 'x')),
        ProxyV2('\x21', '\x11', "short"), std::string("\r\n\r\n\0\r\nQUIX\n", 12) + std::string(20, 'x'),
        std::string("\x16\x03\x01\x02\x00", 5),
    };
    for (const auto &bytes : cases) {
        SCOPED_TRACE(bytes);
        for (enum door_service service : { DOOR_SMTP, DOOR_IMAP, DOOR_HTTP, DOOR_SMTPS }) {
            Wire *wire = Connect(service, "127.0.0.2:0");
            wire->Send(bytes);
            ExpectClosed(wire);
            EXPECT_EQ(ERR_CANCELLED, wire->why.code);
        }
    }
    // From others it is no header but a command.
    Wire *wire = Connect(DOOR_SMTP, "127.0.0.3:0");
    wire->Send("PROXY TCP4 192.0.2.7 127.0.0.1 4660 25\r\n");
    Expect(wire, kSmtp + "500 5.5.1 Unknown command\r\n");
    // A client that leaves in the middle of it, or says nothing at all.
    for (const char *bytes : { "", "PRO", "PROXY TCP4 1" }) {
        Wire *gone = Connect(DOOR_IMAP, "127.0.0.2:0");
        if (bytes[0] != '\0') gone->Send(bytes);
        Turn();
        conn_close(gone->conn);
        ExpectClosed(gone);
    }
}

TEST_F(Door, AnAddressHasSoManyConnectionsAndNoMore)
{
    Wire *one = Connect(DOOR_SMTP), *two = Connect(DOOR_SUBMISSION);
    Expect(one, kSmtp);
    Expect(two, kSmtp);
    ExpectClosed(Connect(DOOR_SMTP));
    ExpectClosed(Connect(DOOR_LMTP));
    Expect(Connect(DOOR_SMTP, "127.0.0.3:0"), kSmtp); // of another address
    // The client's own address counts and not the balancer's.
    for (int i = 0; i < 3; i++) {
        Wire *wire = Connect(DOOR_SMTP, "127.0.0.2:0");
        wire->Send("PROXY TCP4 192.0.2.9 127.0.0.1 4660 25\r\n");
        if (i < 2) Expect(wire, kSmtp);
        else ExpectClosed(wire);
    }
    one->Send("QUIT\r\n");
    ExpectClosed(one, "221 2.0.0 Bye\r\n");
    Until([&] { return front.connections_count == 4; });
    Expect(Connect(DOOR_SMTP), kSmtp);
}

TEST_F(Door, AllTogetherHaveSoManyConnectionsAndNoMore)
{
    std::vector<Wire *> open;
    for (unsigned i = 0; i < 10; i++) open.push_back(Connect(DOOR_HTTP));
    Until([&] { return front.connections_count == 10; });
    for (enum door_service service : { DOOR_SMTP, DOOR_IMAP, DOOR_HTTP, DOOR_IMAPS }) ExpectClosed(Connect(service));
    conn_close(open[0]->conn);
    Until([&] { return front.connections_count == 9; });
    Expect(Connect(DOOR_SMTP, "127.0.0.3:0"), kSmtp);
}

TEST_F(Door, JunkInsteadOfTlsEndsIt)
{
    for (enum door_service service : { DOOR_SMTPS, DOOR_IMAPS, DOOR_HTTPS }) {
        for (const std::string &junk : { std::string("EHLO you\r\n"), std::string(400, '\0'), std::string("GET / HTTP/1.1\r\n\r\n") }) {
            Wire *wire = Connect(service);
            wire->Send(junk);
            Until([&] { return wire->closed; });
            EXPECT_EQ(std::string::npos, wire->heard.find("220")) << wire->heard;
        }
        Wire *wire = Connect(service); // leaves in the middle of the handshake
        wire->Send("\x16\x03\x01");
        Turn();
        conn_close(wire->conn);
        Until([&] { return wire->closed; });
    }
}

TEST_F(Door, ClientsThatSayNothingAreSentAway)
{
    front.settings->smtp_idle_ms = front.settings->imap_login_ms = front.settings->http_idle_ms = 400;
    Wire *smtp = Connect(DOOR_SMTP), *imap = Connect(DOOR_IMAP), *http = Connect(DOOR_HTTP);
    ExpectClosed(smtp, kSmtp + "421 4.4.2 Idle for too long, closing\r\n");
    Until([&] { return imap->closed; });
    EXPECT_NE(std::string::npos, imap->heard.find("\r\n* BYE idle for too long\r\n")) << imap->heard;
    ExpectClosed(http);
    // A client that goes on saying something stays.
    Wire *busy = Connect(DOOR_SMTP);
    Expect(busy, kSmtp);
    uint64_t end = clock_boot_ms() + 1000;
    while (clock_boot_ms() < end) {
        busy->Send("NOOP\r\n");
        Expect(busy, "250 2.0.0 Ok\r\n");
        loop_step(loop, 10);
    }
    EXPECT_FALSE(busy->closed);
}

const std::string kGoing = "421 4.3.2 Shutting down, try again later\r\n";

TEST_F(Door, GoingDownEachSessionHearsOfIt)
{
    Wire *smtp = Connect(DOOR_SMTP), *imap = Connect(DOOR_IMAP), *http = Connect(DOOR_HTTP);
    Expect(smtp, kSmtp);
    Until_(imap, "\r\n");
    Until([&] { return front.connections_count == 3; });
    GoDown();
    ExpectClosed(smtp, kGoing);
    ExpectClosed(imap, "* BYE the server is going down\r\n");
    ExpectClosed(http);
    EXPECT_EQ(0u, front.connections_count);
}

// Until there is a map of slots nobody is served and everybody is told, but for HTTP, which says why.
TEST_F(Door, NotReadyYetEachSessionHearsOfIt)
{
    front.waiting = true;
    Wire *smtp = Connect(DOOR_SMTP), *imap = Connect(DOOR_IMAP), *pop3 = Connect(DOOR_POP3), *http = Connect(DOOR_HTTP), *tls = Connect(DOOR_SMTPS);
    StartTls(tls);
    ExpectClosed(smtp, kSmtp + "421 4.3.2 Not ready yet, try again later\r\n");
    ExpectClosed(tls, kSmtp + "421 4.3.2 Not ready yet, try again later\r\n");
    for (const auto &[wire, word] : { std::pair(imap, "\r\n* BYE the server is not ready yet\r\n"), std::pair(pop3, "\r\n-ERR [SYS/TEMP] the server is not ready yet\r\n") }) {
        Until([&, wire = wire] { return wire->closed; });
        EXPECT_NE(std::string::npos, wire->heard.find(word)) << wire->heard;
    }
    missing = "the map";
    http->Send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    Until([&] { return http->heard.find("the map") != std::string::npos; });
    EXPECT_EQ(0u, http->heard.find("HTTP/1.1 503")) << http->heard;
    front.waiting = false;
    Wire *now = Connect(DOOR_SMTP);
    Expect(now, kSmtp);
    now->Send("NOOP\r\n");
    Expect(now, "250 2.0.0 Ok\r\n");
}

// Who has connected and is not in a session yet hears it when he is: nobody is cut off without a word.
TEST_F(Door, GoingDownThoseOnTheirWayHearOfItToo)
{
    Wire *proxy = Connect(DOOR_SMTP, "127.0.0.2:0"), *tls = Connect(DOOR_SMTPS, "127.0.0.3:0");
    Until([&] { return front.connections_count == 2; });
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_port = htons(door_port(doors[DOOR_SMTP]));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at))); // and nobody has accepted it
    GoDown();
    EXPECT_EQ(3u, front.connections_count);
    proxy->Send("PROXY TCP4 192.0.2.9 127.0.0.1 4660 25\r\n");
    ExpectClosed(proxy, kSmtp + kGoing);
    StartTls(tls);
    ExpectClosed(tls, kSmtp + kGoing);
    std::string heard;
    Until([&] {
        char bytes[256];
        ssize_t count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (count > 0) heard.append(bytes, static_cast<size_t>(count));
        return count == 0;
    });
    close(fd);
    EXPECT_EQ(kSmtp + kGoing, heard);
    Until([&] { return front.connections_count == 0; });
}

// Recipients who are being looked up are answered first, also when the client is slow to hear the end.
TEST_F(Door, GoingDownWhatIsBeingWorkedOnIsAnsweredFirst)
{
    std::vector<Wire *> clients;
    std::string many;
    for (int i = 0; i < 50; i++) many += "RCPT TO:<joe@a.test>\r\n";
    for (int i = 0; i < 8; i++) {
        clients.push_back(Connect(DOOR_SMTP, ("127.0.0." + std::to_string(10 + i) + ":0").c_str()));
        Expect(clients.back(), kSmtp);
        clients.back()->Send("HELO x\r\n");
        Until_(clients.back(), "\r\n");
        clients.back()->Send("MAIL FROM:<>\r\n");
        EXPECT_EQ('2', Until_(clients.back(), "\r\n")[0]);
    }
    for (Wire *client : clients) {
        client->Send(many);
        Turn(1);
    }
    Turn(3);
    for (Wire *client : clients) conn_pause(client->conn, true);
    GoDown();
    Turn(50);
    for (Wire *client : clients) {
        conn_pause(client->conn, false);
        Until([&] { return client->closed; });
        EXPECT_EQ(client->heard.size() - kGoing.size(), client->heard.rfind(kGoing)) << client->heard;
    }
    EXPECT_EQ(0u, front.connections_count);
}

TEST_F(Door, GoingDownIsNotHeldUpByThoseWhoSayNothing)
{
    Wire *proxy = Connect(DOOR_SMTP, "127.0.0.2:0"), *tls = Connect(DOOR_IMAPS, "127.0.0.3:0");
    Until([&] { return front.connections_count == 2; });
    uint64_t begin = clock_boot_ms();
    GoDown();
    Until([&] { return proxy->closed && tls->closed; });
    EXPECT_GE(clock_boot_ms() - begin + 100, static_cast<uint64_t>(DOOR_LEAVING_MS));
    EXPECT_EQ(0u, front.connections_count);
}

TEST_F(Door, ANewSnapshotIsForNewSessions)
{
    Wire *before = Connect(DOOR_SMTP);
    Expect(before, kSmtp);
    struct front_settings *old = front.settings;
    auto *changed = static_cast<front_settings *>(malloc(sizeof(front_settings)));
    *changed = *old;
    changed->references = 1;
    conf_ref(changed->conf);
    changed->hostname = SPAN("new.a.test");
    front.settings = changed;
    EXPECT_EQ(2u, old->references);
    front_settings_unref(old); // the session keeps it
    before->Send("HELO you\r\n");
    Expect(before, "250 mx.a.test\r\n");
    Expect(Connect(DOOR_SMTP), "220 new.a.test ESMTP Godwit\r\n");
}

}  // namespace

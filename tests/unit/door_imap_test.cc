// IMAP over loopback against a real storage node: log-in, large answers to slow clients, APPEND, IDLE, and
// connections and nodes that go in the middle.
#include "front_fixture.h"

namespace {

class DoorImap : public FrontTest {
protected:
    void Options() override
    {
        Set("login.without.tls", "127.0.0.5");
        Set("imap.connections.per.address", "100");
    }
    Wire *Hello(const char *source = "127.0.0.5:0")
    {
        Wire *wire = Connect(DOOR_IMAP, source);
        std::string greeting = Until_(wire, "\r\n");
        EXPECT_EQ(0u, greeting.find("* OK ")) << greeting;
        return wire;
    }
    Wire *LoggedIn()
    {
        Wire *wire = Hello();
        std::string said = Ask_(wire, "l LOGIN joe@a.test secret\r\n", "l");
        EXPECT_NE(std::string::npos, said.find("l OK ")) << said;
        return wire;
    }
    Wire *Selected()
    {
        Wire *wire = LoggedIn();
        std::string said = Ask_(wire, "s SELECT INBOX\r\n", "s");
        EXPECT_NE(std::string::npos, said.find("s OK ")) << said;
        return wire;
    }
    void Leave(Wire *wire)
    {
        conn_abort(wire->conn, err_ok());
        Until([&] { return wire->closed; });
    }
    static std::string Noise(size_t bytes)
    {
        std::string text = "Subject: noise\r\n\r\n";
        for (uint32_t i = 1; text.size() < bytes; i = i * 1664525 + 1013904223) text += std::to_string(i) + "\r\n";
        return text;
    }
};

TEST_F(DoorImap, LogInWorksOrNotAndIsHeldBack)
{
    Wire *plain = Hello("127.0.0.4:0");
    std::string said = Ask_(plain, "a LOGIN joe@a.test secret\r\n", "a");
    EXPECT_EQ(0u, said.find("a NO ")) << said; // not in the clear
    said = Ask_(plain, "b SELECT INBOX\r\n", "b");
    EXPECT_EQ(0u, said.find("b BAD ")) << said;
    Wire *wire = Hello();
    uint64_t begin = clock_boot_ms();
    const std::string denied = Ask_(wire, "a LOGIN joe@a.test wrong\r\n", "a");
    EXPECT_EQ(0u, denied.find("a NO [AUTHENTICATIONFAILED]")) << denied;
    EXPECT_GE(clock_boot_ms() - begin, 28u);
    said = Ask_(wire, "a LOGIN nobody@a.test secret\r\n", "a");
    EXPECT_EQ(denied, said); // nothing tells which of the two was wrong
    said = Ask_(wire, "a LOGIN joe@a.test secret\r\n", "a");
    EXPECT_EQ(0u, said.find("a OK ")) << said;
    said = Ask_(wire, "b LIST \"\" *\r\n", "b");
    EXPECT_NE(std::string::npos, said.find("INBOX")) << said;
    Wire *sasl = Hello();
    sasl->Send("a AUTHENTICATE PLAIN AGpvZUBhLnRlc3QAc2VjcmV0\r\n");
    said = Until_(sasl, "\r\n");
    EXPECT_EQ(0u, said.find("a OK ")) << said;
    for (int turns : { 0, 1, 3, 8 }) { // gone while it is looked at or held back
        Wire *gone = Hello();
        gone->Send("a LOGIN joe@a.test wrong\r\n");
        Turn(turns);
        Leave(gone);
    }
}

TEST_F(DoorImap, TooManyFailedLogInsEndIt)
{
    Wire *wire = Hello();
    std::string all;
    for (int i = 0; i < 10 && !wire->closed; i++) {
        wire->Send("a LOGIN joe@a.test wrong\r\n");
        size_t seen = wire->heard.size();
        Until([&] { return wire->closed || (wire->heard.size() > seen && wire->heard.compare(wire->heard.size() - 2, 2, "\r\n") == 0); });
        Turn();
    }
    Until([&] { return wire->closed; });
    EXPECT_NE(std::string::npos, wire->heard.find("* BYE ")) << wire->heard;
}

TEST_F(DoorImap, StartTlsTakesNothingThatCameBefore)
{
    Wire *eager = Hello("127.0.0.4:0");
    eager->Send("a STARTTLS\r\nb LOGIN joe@a.test secret\r\n");
    ExpectClosed(eager, "a BAD nothing can follow STARTTLS before TLS is up\r\n* BYE bytes behind STARTTLS\r\n");
    Wire *wire = Hello("127.0.0.4:0");
    std::string said = Ask_(wire, "a STARTTLS\r\n", "a");
    EXPECT_EQ(0u, said.find("a OK ")) << said;
    StartTls(wire);
    Turn();
    EXPECT_EQ("", wire->heard);
    said = Ask_(wire, "c LOGIN joe@a.test secret\r\n", "c");
    EXPECT_EQ(0u, said.find("c OK ")) << said;
    said = Ask_(wire, "d STARTTLS\r\n", "d");
    EXPECT_EQ(0u, said.find("d BAD ")) << said;
}

TEST_F(DoorImap, AMessageIsAppendedAndReadBack)
{
    Wire *wire = Selected();
    const std::string message = "From: a@b\r\nSubject: x\r\n\r\nbody\r\n";
    wire->Send("a APPEND INBOX (\\Seen) {" + std::to_string(message.size()) + "}\r\n");
    EXPECT_EQ(0u, Until_(wire, "\r\n").find("+ "));
    std::string said = Ask_(wire, message + "\r\n", "a");
    EXPECT_NE(std::string::npos, said.find("a OK [APPENDUID ")) << said;
    said = Ask_(wire, "f FETCH 1 (FLAGS BODY.PEEK[])\r\n", "f");
    EXPECT_NE(std::string::npos, said.find("{" + std::to_string(message.size()) + "}\r\n" + message + ")\r\n")) << said;
    EXPECT_NE(std::string::npos, said.find("\\Seen")) << said;
    EXPECT_EQ(std::vector<std::string>{ message }, Inbox(1));
    const struct { const char *command, *answer; } bad[] = {
        { "x APPEND Nowhere {3+}\r\nabc\r\n", "x NO [TRYCREATE]" }, { "x APPEND INBOX {99999999}\r\n", "x NO [TOOBIG]" },
        { "x APPEND\r\n", "x BAD" }, { "x FETCH 0 FLAGS\r\n", "x BAD" }, { "x SELECT Nowhere\r\n", "x NO" }, { "x WHAT\r\n", "x BAD" },
    };
    for (const auto &c : bad) {
        Wire *other = Selected();
        said = Ask_(other, c.command, "x");
        EXPECT_NE(std::string::npos, said.find(c.answer)) << c.command << said;
    }
}

TEST_F(DoorImap, CommandsAtOnceAreAnsweredInTheirOrder)
{
    ASSERT_EQ(ERR_OK, Append(1, "INBOX", "Subject: one\r\n\r\n1\r\n")->err.code);
    const std::string talk = "a SELECT INBOX\r\nb FETCH 1 BODY.PEEK[TEXT]\r\nc STORE 1 +FLAGS (\\Deleted)\r\nd EXPUNGE\r\ne STATUS INBOX (MESSAGES)\r\nf LOGOUT\r\n";
    for (size_t piece : { talk.size(), size_t{ 5 }, size_t{ 1 } }) {
        if (piece != talk.size()) ASSERT_EQ(ERR_OK, Append(1, "INBOX", "Subject: one\r\n\r\n1\r\n")->err.code);
        Wire *wire = LoggedIn();
        for (size_t at = 0; at < talk.size() && !wire->closed; at += piece) wire->Send(talk.substr(at, piece));
        Until([&] { return wire->closed; });
        size_t last = 0;
        for (const char *part : { "a OK ", "{3}\r\n1\r\n", "b OK ", "\\Deleted", "c OK ", "* 1 EXPUNGE\r\n", "d OK ", "(MESSAGES 0)", "e OK ", "* BYE ", "f OK " }) {
            size_t at = wire->heard.find(part, last);
            EXPECT_NE(std::string::npos, at) << part << " in " << wire->heard;
            if (at != std::string::npos) last = at;
        }
    }
}

// The client reads nothing for a while: what waits for it is bounded, and nothing is lost.
TEST_F(DoorImap, ALargeAnswerWaitsForASlowClient)
{
    std::vector<std::string> messages;
    for (int i = 0; i < 12; i++) {
        messages.push_back(Noise(700000 + static_cast<size_t>(i)));
        ASSERT_EQ(ERR_OK, Append(1, "INBOX", messages.back())->err.code);
    }
    Wire *wire = Selected();
    conn_pause(wire->conn, true);
    wire->Send("f FETCH 1:* BODY.PEEK[]\r\n");
    uint64_t memory = 0;
    for (int i = 0; i < 300; i++) {
        loop_step(loop, 1);
        memory = std::max(memory, budget.memory_bytes);
    }
    EXPECT_EQ("", wire->heard);
    conn_pause(wire->conn, false);
    Until([&] { return wire->heard.find("\r\nf OK ") != std::string::npos; });
    size_t at = 0;
    for (const auto &message : messages) {
        at = wire->heard.find("{" + std::to_string(message.size()) + "}\r\n", at);
        ASSERT_NE(std::string::npos, at);
        at += std::to_string(message.size()).size() + 4;
        EXPECT_TRUE(wire->heard.compare(at, message.size(), message) == 0);
    }
    // One who goes in the middle of it costs nothing.
    for (int turns : { 1, 5, 20, 60 }) {
        Wire *gone = Selected();
        conn_pause(gone->conn, true);
        gone->Send("f FETCH 1:* BODY.PEEK[]\r\n");
        Turn(turns);
        Leave(gone);
    }
    Until([&] { return store_serve_calls(serve) == 0; });
}

TEST_F(DoorImap, IdleHearsNewsUntilItIsDone)
{
    Wire *wire = Selected();
    wire->Send("i IDLE\r\n");
    EXPECT_EQ(0u, Until_(wire, "\r\n").find("+ "));
    ASSERT_EQ(ERR_OK, Append(1, "INBOX", "Subject: news\r\n\r\nx\r\n")->err.code);
    Until([&] { return wire->heard.find("* 1 EXISTS\r\n") != std::string::npos; });
    wire->heard.clear();
    std::string said = Ask_(wire, "DONE\r\n", "i");
    EXPECT_NE(std::string::npos, said.find("i OK ")) << said;
    for (int turns : { 0, 1, 4, 10 }) { // gone while it idles
        Wire *gone = Selected();
        gone->Send("i IDLE\r\n");
        Turn(turns);
        Leave(gone);
    }
    // The node goes and comes back while somebody idles.
    Wire *patient = Selected();
    patient->Send("i IDLE\r\n");
    EXPECT_EQ(0u, Until_(patient, "\r\n").find("+ "));
    CloseNode();
    OpenNode();
    Until([&] {
        auto append = Append(1, "INBOX", "Subject: more\r\n\r\nx\r\n");
        return append->err.code == ERR_OK;
    });
    Until([&] { return patient->heard.find(" EXISTS\r\n") != std::string::npos; });
    patient->heard.clear();
    said = Ask_(patient, "DONE\r\n", "i");
    EXPECT_NE(std::string::npos, said.find("i OK ")) << said;
}

// What is under way when the node goes is tried again until it is back.
TEST_F(DoorImap, ANodeThatIsBackInTimeIsNoError)
{
    Wire *wire = Selected();
    CloseNode();
    wire->Send("a STATUS INBOX (MESSAGES)\r\n");
    Turn(50);
    EXPECT_EQ("", wire->heard);
    OpenNode();
    std::string said = Until_(wire, "\r\n");
    EXPECT_NE(std::string::npos, said.find("* STATUS")) << said;
}

TEST_F(DoorImap, AConnectionThatGoesAtAnyMomentOfAnAppend)
{
    const std::string message = Noise(200000), head = "a APPEND INBOX {" + std::to_string(message.size()) + "+}\r\n";
    const std::string all = head + message + "\r\n";
    for (size_t sent : { head.size() / 2, head.size(), head.size() + 1000, all.size() - 2, all.size() }) {
        for (int turns : { 1, 3, 10, 30 }) {
            Wire *wire = LoggedIn();
            for (size_t at = 0; at < sent; at += 60000) {
                wire->Send(all.substr(at, std::min<size_t>(60000, sent - at)));
                Turn(2);
            }
            Turn(turns);
            Leave(wire);
        }
    }
    Until([&] { return front.connections_count == 0 && store_serve_calls(serve) == 0; });
    for (const auto &kept : Inbox(1)) EXPECT_TRUE(kept == message); // whole, or not there
}

TEST_F(DoorImap, GoingDownACommandIsFinishedFirst)
{
    for (int i = 0; i < 6; i++) ASSERT_EQ(ERR_OK, Append(1, "INBOX", Noise(300000))->err.code);
    Wire *idle = Selected(), *busy = Selected();
    idle->Send("i IDLE\r\n");
    EXPECT_EQ(0u, Until_(idle, "\r\n").find("+ "));
    busy->Send("f FETCH 1:* BODY.PEEK[]\r\n");
    Until([&] { return busy->heard.size() > 1000; });
    for (auto *&door : doors) {
        door_close(door);
        door = nullptr;
    }
    door_drain(&front);
    Until([&] { return idle->closed && busy->closed; });
    EXPECT_NE(std::string::npos, idle->heard.find("* BYE the server is going down\r\n")) << idle->heard;
    size_t done = busy->heard.find("\r\nf OK ");
    ASSERT_NE(std::string::npos, done);
    EXPECT_NE(std::string::npos, busy->heard.find("* BYE the server is going down\r\n", done));
}

}  // namespace

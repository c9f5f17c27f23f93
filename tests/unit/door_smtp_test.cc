// SMTP, submission and LMTP over loopback: whom the door asks, what it says, and where the mail is afterwards.
#include "front_fixture.h"

namespace {

const std::string kGreeting = "220 mx.a.test ESMTP Godwit\r\n";
const std::string kNoUser = "550 5.1.1 No such user here\r\n", kSenderOk = "250 2.1.0 Sender ok\r\n",
                  kRecipientOk = "250 2.1.5 Recipient ok\r\n", kGo = "354 End with <CRLF>.<CRLF>\r\n",
                  kTaken = "250 2.0.0 Message accepted\r\n";

class DoorSmtp : public FrontTest {
protected:
    void Options() override
    {
        Set("login.without.tls", "127.0.0.5");
        Set("smtp.relay.networks", "127.0.0.6");
        Set("smtp.connections.per.address", "50");
    }
    void SetUp() override
    {
        FrontTest::SetUp();
        PutAccount(2, "off@a.test", 1, [](store_account *account) { account->state = STORE_ACCOUNT_DISABLED; });
        PutAccount(3, "full@a.test", 1, [](store_account *account) { account->quota_items = 1; });
        ASSERT_EQ(ERR_OK, Append(3, "INBOX", "x\r\n")->err.code);
        PutAddress("team@a.test", STORE_ADDRESS_GROUP, 0, { "joe@a.test", "full@a.test", "off@a.test" });
        PutAddress("ring@a.test", STORE_ADDRESS_ALIAS, 0, { "ring@a.test" });
    }
    // Says what a client says, line by line, and hears exactly what it should.
    using Dialogue = std::vector<std::pair<std::string, std::string>>;
    void Talk(Wire *wire, const Dialogue &dialogue)
    {
        for (const auto &[line, reply] : dialogue) {
            SCOPED_TRACE(line);
            if (!line.empty()) wire->Send(line);
            Expect(wire, reply);
        }
    }
    Wire *Hello(enum door_service service = DOOR_SMTP, const char *source = nullptr)
    {
        Wire *wire = Connect(service, source);
        Talk(wire, { { "", service == DOOR_LMTP ? "220 mx.a.test LMTP Godwit\r\n" : kGreeting } });
        wire->Send(service == DOOR_LMTP ? "LHLO you\r\n" : "EHLO you\r\n");
        std::string said = Until_(wire, "\r\n");
        EXPECT_EQ(0u, said.find("250-mx.a.test")) << said;
        return wire;
    }
    static std::string Plain(const std::string &user, const std::string &password)
    {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        std::string in = std::string(1, '\0') + user + std::string(1, '\0') + password, out;
        for (size_t i = 0; i < in.size(); i += 3) {
            uint32_t three = 0;
            for (size_t j = 0; j < 3; j++) three = three << 8 | (i + j < in.size() ? static_cast<uint8_t>(in[i + j]) : 0);
            for (size_t j = 0; j < 4; j++) out += i + j > in.size() ? '=' : letters[three >> (18 - 6 * j) & 63];
        }
        return "AUTH PLAIN " + out + "\r\n";
    }
};

TEST_F(DoorSmtp, AMessageIsInItsBoxWhenItIsAcknowledged)
{
    Wire *wire = Hello();
    Talk(wire, { { "MAIL FROM:<x@out.test>\r\n", kSenderOk }, { "RCPT TO:<Joe@A.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo } });
    EXPECT_TRUE(Inbox(1).empty());
    Talk(wire, { { "Subject: hello\r\n\r\n..dot\r\n.\r\n", kTaken } });
    auto inbox = Inbox(1);
    ASSERT_EQ(1u, inbox.size());
    const std::string &mail = inbox[0];
    EXPECT_NE(std::string::npos, mail.find("Return-Path: <x@out.test>\r\n")) << mail;
    EXPECT_NE(std::string::npos, mail.find("Received: from you")) << mail;
    EXPECT_NE(std::string::npos, mail.find("127.0.0.1")) << mail;
    EXPECT_EQ(mail.size() - 24, mail.find("Subject: hello\r\n\r\n.dot\r\n")) << mail;
    // Another one on the same connection, and the null sender.
    Talk(wire, { { "MAIL FROM:<>\r\n", kSenderOk }, { "RCPT TO:<joe@a.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo }, { ".\r\n", kTaken },
                 { "QUIT\r\n", "221 2.0.0 Bye\r\n" } });
    EXPECT_EQ(2u, Inbox(1).size());
    ExpectClosed(wire);
}

TEST_F(DoorSmtp, EverythingAtOnceIsTheSame)
{
    const std::string talk = "EHLO you\r\nMAIL FROM:<x@out.test>\r\nRCPT TO:<joe@a.test>\r\nRCPT TO:<nobody@a.test>\r\nDATA\r\nSubject: a\r\n\r\nb\r\n.\r\n"
                             "MAIL FROM:<x@out.test>\r\nRCPT TO:<joe@a.test>\r\nBDAT 5\r\nX: y\nBDAT 3 LAST\r\n\r\n\nQUIT\r\n";
    std::string whole;
    for (size_t piece : { talk.size(), size_t{ 7 }, size_t{ 1 } }) {
        Wire *wire = Connect(DOOR_SMTP);
        for (size_t at = 0; at < talk.size() && !wire->closed; at += piece) {
            wire->Send(talk.substr(at, piece));
            if (piece < talk.size()) loop_step(loop, 0);
        }
        Until([&] { return wire->closed; });
        EXPECT_NE(std::string::npos, wire->heard.find(kTaken)) << wire->heard;
        EXPECT_EQ(wire->heard.size() - 15, wire->heard.find("221 2.0.0 Bye\r\n")) << wire->heard;
        if (whole.empty()) whole = wire->heard;
        EXPECT_EQ(whole, wire->heard) << piece;
    }
}

TEST_F(DoorSmtp, RecipientsAreAskedOfTheDirectory)
{
    Wire *wire = Hello();
    Talk(wire, {
        { "RCPT TO:<joe@a.test>\r\n", "503 5.5.1 Not now\r\n" },
        { "MAIL FROM:<x@out.test>\r\n", kSenderOk },
        { "RCPT TO:<nobody@a.test>\r\n", kNoUser },
        { "RCPT TO:<>\r\n", "501 5.1.3 Bad recipient address\r\n" },
        { "RCPT TO:<joe@out.test>\r\n", "550 5.7.1 Relaying denied\r\n" },
        { "RCPT TO:<off@a.test>\r\n", "550 5.2.1 Mailbox is disabled\r\n" },
    });
    conn_close(wire->conn);
    wire = Hello();
    Talk(wire, {
        { "MAIL FROM:<x@out.test>\r\n", kSenderOk },
        { "RCPT TO:<full@a.test>\r\n", "452 4.2.2 Mailbox is full\r\n" },
        { "RCPT TO:<ring@a.test>\r\n", kNoUser },
        { "DATA\r\n", "503 5.5.1 Not now\r\n" },
        { "RCPT TO:<postmaster>\r\n", kNoUser },
        { "RCPT TO:<team@a.test>\r\n", kRecipientOk }, // who of it can take mail gets it
        { "DATA\r\n", kGo },
        { "x\r\n.\r\n", kTaken },
    });
    EXPECT_EQ(1u, Inbox(1).size());
    EXPECT_EQ(1u, Inbox(3).size()); // what was there before
}

TEST_F(DoorSmtp, SubmissionNeedsALogInOverTls)
{
    Wire *wire = Hello(DOOR_SUBMISSION);
    Talk(wire, { { "MAIL FROM:<joe@a.test>\r\n", "530 5.7.0 Authentication required\r\n" },
                 { Plain("joe@a.test", "secret"), "538 5.7.11 Encryption is required for this mechanism\r\n" },
                 { "STARTTLS\r\n", "220 2.0.0 Start TLS\r\n" } });
    StartTls(wire);
    wire->Send("EHLO you\r\n");
    std::string said = Until_(wire, "\r\n");
    EXPECT_EQ(std::string::npos, said.find("STARTTLS")) << said;
    EXPECT_NE(std::string::npos, said.find("AUTH PLAIN LOGIN")) << said;
    Talk(wire, {
        { Plain("joe@a.test", "wrong"), "535 5.7.8 Wrong name or password\r\n" },
        { Plain("nobody@a.test", "secret"), "535 5.7.8 Wrong name or password\r\n" },
        { Plain("joe@a.test", "secret"), "235 2.7.0 Authenticated\r\n" },
        { "MAIL FROM:<boss@a.test>\r\n", "553 5.7.1 This sender address is not yours\r\n" },
        { "MAIL FROM:<joe@a.test>\r\n", kSenderOk },
        { "RCPT TO:<joe@a.test>\r\n", kRecipientOk },
        { "RSET\r\n", "250 2.0.0 Ok\r\n" },
        { "MAIL FROM:<joe@a.test>\r\n", kSenderOk },
        { "RCPT TO:<x@out.test>\r\n", kRecipientOk }, // relayed for who has logged in
        { "DATA\r\n", kGo },
        { "Subject: away\r\n\r\nx\r\n.\r\n", kTaken },
    });
    // It waits in the sender's shard.
    store_queue_list_request list = {};
    list.limit = 10;
    list.shard = place_map_shard(map, slot_of_account(1));
    auto queue = Ask(STORE_METHOD_QUEUE_LIST, list);
    ASSERT_EQ(1u, queue->Reply<store_queue_list_reply>().entries_count);
    const auto &entry = queue->Reply<store_queue_list_reply>().entries[0];
    EXPECT_EQ("joe@a.test", Str(entry.sender));
    EXPECT_EQ(1u, entry.tenant);
    ASSERT_EQ(1u, entry.recipients_count);
    EXPECT_EQ("x@out.test", Str(entry.recipients[0].address));
}

TEST_F(DoorSmtp, FailedLogInsAreHeldBackAndEndIt)
{
    Wire *wire = Hello(DOOR_SUBMISSION, "127.0.0.5:0");
    uint64_t begin = clock_boot_ms();
    Talk(wire, { { Plain("joe@a.test", "1"), "535 5.7.8 Wrong name or password\r\n" },
                 { Plain("joe@a.test", "2"), "535 5.7.8 Wrong name or password\r\n" } });
    EXPECT_GE(clock_boot_ms() - begin, 55u);
    wire->Send(Plain("joe@a.test", "3"));
    ExpectClosed(wire, "535 5.7.8 Wrong name or password\r\n421 4.7.0 Too many failed log-ins, closing\r\n");
    // Bad exchanges end before anybody is asked.
    wire = Hello(DOOR_SUBMISSION, "127.0.0.5:0");
    Talk(wire, { { "AUTH CRAM-MD5\r\n", "504 5.5.4 Mechanism is not offered\r\n" },
                 { "AUTH PLAIN !!!\r\n", "501 5.5.2 Bad response\r\n" },
                 { "AUTH PLAIN\r\n", "334 \r\n" },
                 { "*\r\n", "501 5.7.0 Log-in cancelled\r\n" } });
    // A client that goes while its log-in is looked at or held back.
    for (int turns : { 0, 1, 3, 8 }) {
        Wire *gone = Hello(DOOR_SUBMISSION, "127.0.0.5:0");
        gone->Send(Plain("joe@a.test", "wrong"));
        Turn(turns);
        conn_abort(gone->conn, err_ok());
        Until([&] { return gone->closed; });
    }
}

TEST_F(DoorSmtp, ARelayClientNeedsNone)
{
    Wire *wire = Hello(DOOR_SMTP, "127.0.0.6:0");
    Talk(wire, { { "MAIL FROM:<printer@a.test>\r\n", kSenderOk }, { "RCPT TO:<x@out.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo },
                 { "x\r\n.\r\n", kTaken } });
}

TEST_F(DoorSmtp, LmtpAnswersForEachRecipient)
{
    Wire *wire = Hello(DOOR_LMTP);
    Talk(wire, { { "MAIL FROM:<x@out.test>\r\n", kSenderOk }, { "RCPT TO:<joe@a.test>\r\n", kRecipientOk },
                 { "RCPT TO:<nobody@a.test>\r\n", kNoUser }, { "RCPT TO:<JOE@a.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo },
                 { "x\r\n.\r\n", kTaken + kTaken } });
    EXPECT_EQ(1u, Inbox(1).size());
    wire->Send("EHLO you\r\n");
    EXPECT_EQ('5', Until_(wire, "\r\n")[0]);
}

TEST_F(DoorSmtp, BytesBehindStartTlsAreNeverRead)
{
    Wire *wire = Hello();
    wire->Send("STARTTLS\r\nMAIL FROM:<evil@out.test>\r\nRCPT TO:<joe@a.test>\r\n");
    Until([&] { return !wire->heard.empty(); });
    EXPECT_EQ("220 2.0.0 Start TLS\r\n", wire->heard);
    wire->heard.clear();
    StartTls(wire);
    Talk(wire, { { "RCPT TO:<joe@a.test>\r\n", "503 5.5.1 Not now\r\n" } }); // and not EHLO's state either
    Wire *junk = Hello(); // what follows is no TLS
    junk->Send("STARTTLS\r\n");
    Expect(junk, "220 2.0.0 Start TLS\r\n");
    junk->Send("EHLO you\r\n");
    Until([&] { return junk->closed; });
}

TEST_F(DoorSmtp, ErrorsAreCountedAndEndIt)
{
    Wire *wire = Hello();
    for (int i = 0; i < 4; i++) Talk(wire, { { "WHAT\r\n", "500 5.5.1 Unknown command\r\n" } });
    wire->Send("WHAT\r\n");
    Until([&] { return wire->closed; });
    EXPECT_NE(std::string::npos, wire->heard.find("421 4.7.0 Too many errors, closing\r\n")) << wire->heard;
    wire = Hello();
    wire->Send(std::string(70000, 'x') + "\r\n");
    Expect(wire, "500 5.5.2 Line too long\r\n");
    wire = Hello();
    Talk(wire, { { "MAIL FROM:<x@out.test>\r\n", kSenderOk }, { "RCPT TO:<joe@a.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo } });
    wire->Send("x\n.\nMAIL FROM:<evil@out.test>\r\n.\r\n"); // bare line ends
    Until([&] { return !wire->heard.empty(); });
    EXPECT_EQ('5', wire->heard[0]) << wire->heard;
    EXPECT_TRUE(Inbox(1).empty());
}

TEST_F(DoorSmtp, AMessageOverTheSizeIsRefused)
{
    front.settings->size_max_bytes = 1000;
    Wire *wire = Hello();
    Talk(wire, { { "MAIL FROM:<x@out.test> SIZE=1001\r\n", "552 5.3.4 Message is too big\r\n" },
                 { "MAIL FROM:<x@out.test>\r\n", kSenderOk }, { "RCPT TO:<joe@a.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo } });
    std::string text;
    for (int i = 0; i < 40; i++) text += std::string(60, 'x') + "\r\n";
    Talk(wire, { { text + ".\r\n", "552 5.3.4 Message is too big\r\n" }, { "NOOP\r\n", "250 2.0.0 Ok\r\n" } });
    EXPECT_TRUE(Inbox(1).empty());
}

TEST_F(DoorSmtp, ALargeMessageIsWorkedOnBesideTheLoop)
{
    std::string text = "Subject: large\r\n\r\n";
    for (uint32_t i = 1; text.size() < (1 << 20); i = i * 1664525 + 1013904223) text += std::to_string(i) + "\r\n";
    Wire *wire = Hello();
    Talk(wire, { { "MAIL FROM:<x@out.test>\r\n", kSenderOk }, { "RCPT TO:<joe@a.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo } });
    for (size_t at = 0; at < text.size(); at += 50000) {
        wire->Send(text.substr(at, 50000));
        Turn(2);
    }
    Talk(wire, { { ".\r\n", kTaken } });
    auto inbox = Inbox(1);
    ASSERT_EQ(1u, inbox.size());
    EXPECT_TRUE(inbox[0].compare(inbox[0].size() - text.size(), text.size(), text) == 0);
}

TEST_F(DoorSmtp, WithoutAStorageNodeMailIsDeferredAndNeverLost)
{
    Wire *wire = Hello(), *later = Hello();
    Talk(later, { { "MAIL FROM:<x@out.test>\r\n", kSenderOk }, { "RCPT TO:<joe@a.test>\r\n", kRecipientOk }, { "DATA\r\n", kGo } });
    CloseNode();
    resolver.deadline_ms = intake.store_deadline_ms = 100;
    Talk(wire, { { "MAIL FROM:<x@out.test>\r\n", kSenderOk },
                 { "RCPT TO:<joe@a.test>\r\n", "451 4.3.0 Directory can't be reached, try again later\r\n" },
                 { "RCPT TO:<x@out.test>\r\n", "550 5.7.1 Relaying denied\r\n" } });
    Talk(later, { { "x\r\n.\r\n", "451 4.3.0 Try again later\r\n" } });
    Wire *login = Hello(DOOR_SUBMISSION, "127.0.0.5:0");
    (void)login; // its log-in waits longer than a test does: the client goes
    login->Send(Plain("joe@a.test", "secret"));
    Turn();
    OpenNode();
    Expect(login, "235 2.7.0 Authenticated\r\n");
    EXPECT_TRUE(Inbox(1).empty());
}

// At every moment of a delivery: nothing hangs, nothing leaks, and the message is there once or not at all.
TEST_F(DoorSmtp, AClientThatGoesAtAnyMoment)
{
    const std::string talk = "EHLO you\r\nMAIL FROM:<x@out.test>\r\nRCPT TO:<joe@a.test>\r\nDATA\r\nSubject: a\r\n\r\nb\r\n.\r\n";
    for (size_t sent : { size_t{ 0 }, size_t{ 3 }, size_t{ 10 }, size_t{ 30 }, size_t{ 45 }, size_t{ 60 }, size_t{ 70 }, talk.size() - 2, talk.size() }) {
        for (int turns : { 0, 1, 2, 4, 8 }) {
            Wire *wire = Connect(DOOR_SMTP);
            if (sent > 0) wire->Send(talk.substr(0, sent));
            Turn(turns);
            conn_abort(wire->conn, err_ok());
            Until([&] { return wire->closed; });
        }
    }
    Until([&] { return front.connections_count == 0; });
}

}  // namespace

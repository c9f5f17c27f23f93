// The courier between a fake storage node, an SMTP sink and a DNS server.
#include "courier_fixture.h"

#include "test_certificates.h"

namespace {

using Courier = CourierTest;

TEST_F(Courier, MailGoesToTheMxHostAndTheRowGoes)
{
    Start();
    Put({});
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(1u, sink->messages.size());
    EXPECT_EQ(text, sink->messages[0].body);
    EXPECT_EQ("MAIL FROM:<a@here.test>", sink->messages[0].mail);
    EXPECT_EQ((std::vector<std::string>{ "RCPT TO:<b@there.test>" }), sink->messages[0].rcpts);
    EXPECT_EQ("EHLO us.test", sink->lines[0]);
    ASSERT_EQ(1u, node->reports.size());
    EXPECT_TRUE(node->reports[0].remove);
    EXPECT_EQ(1u, node->bodies);
    EXPECT_TRUE(posts.empty());
    ASSERT_EQ(1u, events.size());
    EXPECT_EQ(COURIER_EVENT_DELIVERED, events[0].kind);
    EXPECT_EQ("250 taken", events[0].answer);
    EXPECT_EQ(1u, courier_counts(courier).delivered);
    Until([&] { return courier_counts(courier).open == 0; });
}

TEST_F(Courier, NewEntriesNeedNeitherLeaseNorBody)
{
    Start();
    PutNew({});
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(1u, sink->messages.size());
    EXPECT_EQ(0u, node->leases);
    EXPECT_EQ(0u, node->bodies);
}

TEST_F(Courier, WithoutALeaseOneIsTakenBeforeAnythingIsSent)
{
    Start();
    node->lease_error = [&] { return sink->connections == 0 ? ERR_OK : ERR_DENIED; };
    PutNew({}, 0);
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(1u, sink->messages.size());
    EXPECT_GE(node->leases, 1u);
}

TEST_F(Courier, ATemporaryFailureWaitsAndIsTriedAgain)
{
    unsigned refusals = 2;
    sink->answer = [&](const std::string &line) -> std::string {
        return line.rfind("RCPT", 0) == 0 && refusals-- > 0 ? "451 4.7.1 Greylisted" : "";
    };
    Start();
    Put({});
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(3u, node->reports.size());
    const uint64_t waits[] = { 400, 800 };
    for (size_t i = 0; i < 2; i++) {
        const auto &entry = node->reports[i].row->entry;
        EXPECT_FALSE(node->reports[i].remove);
        EXPECT_EQ("451 4.7.1 Greylisted", Str(entry.recipients[0].answer));
        EXPECT_EQ(i + 1, entry.recipients[0].attempts);
        uint64_t wait = entry.recipients[0].due_ms - node->reports[i].at_ms;
        EXPECT_LE(wait, waits[i]);
        EXPECT_GE(wait + 200, waits[i] * 3 / 4);
        EXPECT_EQ("", Str(entry.lease_owner));
        EXPECT_EQ(COURIER_EVENT_DEFERRED, events[i].kind);
    }
    EXPECT_TRUE(node->reports[2].remove);
    EXPECT_EQ(1u, sink->messages.size());
    EXPECT_TRUE(posts.empty());
}

TEST_F(Courier, ARefusalGoesBackToTheSenderBeforeTheRowEnds)
{
    sink->answer = [&](const std::string &line) -> std::string { return line.find("<bad@") != std::string::npos ? "550 5.1.1 No such user" : ""; };
    Start();
    Put({ .to = { "bad@there.test", "good@there.test" }, .full = true });
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(1u, posts.size());
    const Post &post = posts.front();
    EXPECT_EQ("a@here.test", post.recipient);
    EXPECT_EQ(0u, post.reports_before);
    EXPECT_NE(std::string::npos, post.message.find("Final-Recipient: rfc822;bad@there.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
    EXPECT_NE(std::string::npos, post.message.find("Diagnostic-Code: smtp; 550 5.1.1 No such user"));
    EXPECT_EQ(std::string::npos, post.message.find("rfc822;good@"));
    EXPECT_NE(std::string::npos, post.message.find(text));
    EXPECT_EQ(0u, post.message.find("Date: "));
    EXPECT_EQ(1u, sink->messages.size());
    EXPECT_EQ(1u, courier_counts(courier).bounced);
    EXPECT_EQ(1u, courier_counts(courier).failed);
}

TEST_F(Courier, NobodyIsToldOfTheNullSendersMail)
{
    sink->answer = [&](const std::string &line) -> std::string { return line.rfind("RCPT", 0) == 0 ? "550 5.1.1 No" : ""; };
    Start();
    Put({ .sender = "" });
    Until([&] { return node->rows.empty(); });
    EXPECT_TRUE(posts.empty());
    EXPECT_EQ(COURIER_EVENT_FAILED, events.at(0).kind);
    EXPECT_EQ("MAIL FROM:<>", sink->lines.at(1));
}

TEST_F(Courier, ExpiredAndLateMailIsReported)
{
    sink->answer = [&](const std::string &line) -> std::string { return line.rfind("RCPT", 0) == 0 ? "451 4.2.0 Later" : ""; };
    options.warn_ms = 1000 * 1000;
    options.retry_first_ms = options.retry_max_ms = 3600 * 1000;
    options.expire_ms = 2000 * 1000;
    Start();
    Put({ .age_ms = 1100 * 1000 });
    Until([&] { return node->reports.size() == 1; });
    ASSERT_EQ(1u, posts.size());
    EXPECT_NE(std::string::npos, posts.front().message.find("Action: delayed"));
    EXPECT_EQ(1u, node->rows.size());
    EXPECT_TRUE(node->reports[0].row->entry.recipients[0].dsn_delay_sent);
    Put({ .id = std::string(16, 'x'), .age_ms = 2001 * 1000 });
    Until([&] { return node->rows.size() == 1 && posts.size() == 2; });
    EXPECT_NE(std::string::npos, posts.back().message.find("Action: failed\r\nStatus: 4.4.7"));
    EXPECT_EQ(COURIER_EVENT_EXPIRED, events.back().kind);
}

TEST_F(Courier, AReportThatCannotBeHandedOverKeepsTheRecipientWaiting)
{
    sink->answer = [&](const std::string &line) -> std::string { return line.rfind("RCPT", 0) == 0 ? "550 5.1.1 No" : ""; };
    post_error = [&](size_t count) { return count < 3 ? ERR_BUSY : ERR_OK; };
    Start();
    Put({});
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(3u, posts.size()); // in one attempt, with waits between
    EXPECT_EQ(1u, node->reports.size());
    Until([&] { return courier_counts(courier).open == 0; });
    posts.clear();
    post_error = [&](size_t count) { return count <= 4 ? ERR_UNREACHABLE : ERR_NOT_FOUND; };
    node->reports.clear();
    Put({ .id = std::string(16, 'x') });
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(2u, node->reports.size());
    EXPECT_FALSE(node->reports[0].remove);
    EXPECT_EQ(STORE_RCPT_WAITING, static_cast<int>(node->reports[0].row->entry.recipients[0].state));
    EXPECT_TRUE(node->reports[1].remove); // the sender is gone: nobody to tell
    EXPECT_EQ(5u, posts.size());
}

TEST_F(Courier, DomainsWithoutAHostFailAtOnceOrLater)
{
    names.Address4("plain.test", "127.0.0.1");
    names.Mx("null.test", 0, "");
    names.Mx("loop.test", 10, "us.test");
    names.Mx("zero.test", 10, "zero.zero.test");
    names.Address4("zero.zero.test", "0.0.0.0");
    names.Address6("zero.zero.test", "::");
    names.Mx("nohost.test", 10, "gone.nohost.test");
    names.Servfail("broken.test");
    names.Mx("brokenhost.test", 10, "broken.test");
    names.Raw("text.test", dns_server::TXT, "\x01x");
    const struct { const char *to; courier_event_kind kind; const char *answer; } rows[] = {
        { "a@plain.test", COURIER_EVENT_DELIVERED, "250 taken" },
        { "a@null.test", COURIER_EVENT_FAILED, "556 5.1.10" },
        { "a@gone.test", COURIER_EVENT_FAILED, "550 5.1.2" },
        { "a@loop.test", COURIER_EVENT_FAILED, "554 5.4.6" },
        { "a@zero.test", COURIER_EVENT_FAILED, "550 5.4.4" },
        { "a@nohost.test", COURIER_EVENT_FAILED, "550 5.4.4" },
        { "a@text.test", COURIER_EVENT_FAILED, "550 5.4.4" },
        { "a@broken.test", COURIER_EVENT_DEFERRED, "451 4.4.3" },
        { "a@brokenhost.test", COURIER_EVENT_DEFERRED, "451 4.4.3" },
        { "a@[127.0.0.1]", COURIER_EVENT_DELIVERED, "250 taken" },
        { "a@[IPv6:::]", COURIER_EVENT_FAILED, "550 5.4.4" },
        { "nodomain", COURIER_EVENT_FAILED, "553 5.1.3" },
        { "a@b..c", COURIER_EVENT_FAILED, "553 5.1.3" },
    };
    options.retry_first_ms = options.retry_max_ms = 3600 * 1000;
    Start();
    Mail mail;
    mail.to.clear();
    for (const auto &row : rows) mail.to.push_back(row.to);
    Put(mail);
    Until([&] { return node->reports.size() == 1; });
    ASSERT_EQ(std::size(rows), events.size());
    for (size_t i = 0; i < std::size(rows); i++) {
        EXPECT_EQ(rows[i].kind, events[i].kind) << rows[i].to << ": " << events[i].answer;
        EXPECT_EQ(rows[i].answer, events[i].answer.substr(0, strlen(rows[i].answer))) << rows[i].to;
    }
    EXPECT_EQ(2u, sink->messages.size());
    ASSERT_EQ(1u, posts.size());
    EXPECT_EQ(1u, node->rows.size());
}

TEST_F(Courier, LoopbackIsOurselvesAtTheRealPort)
{
    options.port = 25;
    Start();
    Put({});
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ("550 5.4.4", events.at(0).answer.substr(0, 9));
    EXPECT_EQ(0u, sink->connections);
}

TEST_F(Courier, HostsAreTriedInOrderUntilOneTakesIt)
{
    smtp_sink second(loop, "127.0.0.2", sink->Port()), third(loop, "127.0.0.3", sink->Port());
    names.Mx("many.test", 30, "third.many.test");
    names.Mx("many.test", 20, "second.many.test");
    names.Mx("many.test", 10, "closed.many.test");
    names.Address4("closed.many.test", "127.0.0.9"); // nobody listens there
    names.Address4("second.many.test", "127.0.0.2");
    names.Address4("third.many.test", "127.0.0.3");
    second.answer = [](const std::string &line) -> std::string { return line.find("<later@") != std::string::npos ? "451 4.2.0 Later" : line.find("<never@") != std::string::npos ? "550 5.1.1 Never" : ""; };
    Start();
    Put({ .to = { "later@many.test", "never@many.test", "now@many.test" } });
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(1u, second.messages.size());
    EXPECT_EQ((std::vector<std::string>{ "RCPT TO:<now@many.test>" }), second.messages[0].rcpts);
    ASSERT_EQ(1u, third.messages.size());
    EXPECT_EQ((std::vector<std::string>{ "RCPT TO:<later@many.test>" }), third.messages[0].rcpts);
    EXPECT_EQ(1u, posts.size());
    Until([&] { return second.open == 0 && third.open == 0; });
}

TEST_F(Courier, AHostThatIsFullInItsGreetingIsPassedOver)
{
    smtp_sink second(loop, "127.0.0.2", sink->Port());
    names.Mx("two.test", 10, "mx.there.test");
    names.Mx("two.test", 20, "second.two.test");
    names.Address4("second.two.test", "127.0.0.2");
    sink->answer = [](const std::string &line) -> std::string { return line.empty() ? "421 4.3.2 Too busy" : ""; };
    Start();
    Put({ .to = { "b@two.test" } });
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(1u, second.messages.size());
    EXPECT_EQ(1u, sink->connections);
    Until([&] { return second.open == 0; });
}

TEST_F(Courier, EverythingGoesToTheSmartHost)
{
    std::string host = sink->Address();
    options.smart_host = S(host);
    options.port = 25; // not for the smart host
    Start();
    Put({ .to = { "a@one.test", "b@two.test", "c@three.test" } });
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(1u, sink->messages.size());
    EXPECT_EQ(3u, sink->messages[0].rcpts.size());
    names.Address4("smart.test", "127.0.0.1");
    host = "smart.test:" + std::to_string(sink->Port());
    options.smart_host = S(host);
    ASSERT_EQ(ERR_OK, courier_configure(courier, &options).code);
    Put({ .id = std::string(16, 'x') });
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(2u, sink->messages.size());
    for (const char *bad : { "a b", "[::1", "..", "[1.2.3]" }) {
        options.smart_host = span_of(bad, strlen(bad));
        EXPECT_EQ(ERR_SYNTAX, courier_configure(courier, &options).code) << bad;
    }
}

TEST_F(Courier, AnotherResolverIsAskedAgain)
{
    names.Silent("there2.test");
    dns_server others;
    others.Address4("there2.test", "127.0.0.1");
    Start();
    Put({ .to = { "b@there2.test" } });
    Until([&] { return names.Asked() > 0; });
    dns_options resolver{};
    std::string server = others.Address();
    resolver.resolver = S(server);
    struct dns *old = dns;
    ASSERT_EQ(ERR_OK, dns_new(loop, &resolver, &dns).code);
    options.dns = dns;
    ASSERT_EQ(ERR_OK, courier_configure(courier, &options).code);
    dns_free(old);
    Until([&] { return node->rows.empty(); });
    EXPECT_EQ(1u, sink->messages.size());
    EXPECT_EQ(1u, node->reports.size());
}

class CourierTls : public CourierTest {
protected:
    test_ca ca;
    struct tls_context *server = nullptr, *client = nullptr;
    void SetUp() override
    {
        CourierTest::SetUp();
        test_pair pair = ca.Issue("mx.there.test", { "mx.there.test" });
        tls_certificate certificate{ S(pair.chain), S(pair.key) };
        tls_options tls{};
        tls.certificates = &certificate;
        tls.certificates_count = 1;
        ASSERT_EQ(ERR_OK, tls_context_new(&tls, &server).code);
        tls = {};
        tls.client = true;
        ASSERT_EQ(ERR_OK, tls_context_new(&tls, &client).code);
        options.tls = client;
        sink->tls = server;
    }
    void TearDown() override
    {
        CourierTest::TearDown();
        tls_context_unref(server);
        tls_context_unref(client);
    }
};

TEST_F(CourierTls, IsUsedWhereItIsOffered)
{
    std::string host = sink->Address();
    options.smart_user = SPAN("user");
    options.smart_password = SPAN("secret");
    Start();
    Put({});
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(1u, sink->messages.size());
    EXPECT_TRUE(sink->messages[0].tls);
    EXPECT_EQ(text, sink->messages[0].body);
    for (const auto &line : sink->lines) EXPECT_NE("AUTH", line.substr(0, 4)); // for the smart host only
    options.smart_host = S(host);
    ASSERT_EQ(ERR_OK, courier_configure(courier, &options).code);
    Put({ .id = std::string(16, 'x') });
    Until([&] { return node->rows.empty(); });
    EXPECT_TRUE(sink->messages.at(1).tls);
    EXPECT_EQ(1, std::count(sink->lines.begin(), sink->lines.end(), "AUTH PLAIN AHVzZXIAc2VjcmV0"));
}

TEST_F(CourierTls, WhenItBreaksMailGoesWithoutUnlessItMust)
{
    options.reply_max_ms = 300;
    Start();
    const decltype(sink->break_tls) ways[] = { smtp_sink::TLS_CUT, smtp_sink::TLS_JUNK, smtp_sink::TLS_SILENT };
    for (auto way : ways) {
        sink->break_tls = way;
        sink->messages.clear();
        sink->connections = 0;
        Put({ .id = std::string(16, static_cast<char>('a' + way)) });
        Until([&] { return node->rows.empty(); });
        ASSERT_EQ(1u, sink->messages.size()) << way;
        EXPECT_FALSE(sink->messages[0].tls) << way;
        EXPECT_EQ(2u, sink->connections) << way;
    }
    options.tls_must = true;
    options.retry_first_ms = 3600 * 1000;
    ASSERT_EQ(ERR_OK, courier_configure(courier, &options).code);
    for (bool offered : { true, false }) {
        sink->break_tls = offered ? smtp_sink::TLS_JUNK : smtp_sink::TLS_FINE;
        sink->tls = nullptr;
        node->reports.clear();
        Put({ .id = std::string(16, offered ? 'x' : 'y'), .to = { offered ? "b@there.test" : "b@[127.0.0.1]" } });
        Until([&] { return node->reports.size() == 1; });
        EXPECT_FALSE(node->reports[0].remove);
        EXPECT_EQ('4', Str(node->reports[0].row->entry.recipients[0].answer)[0]);
    }
    EXPECT_EQ(1u, sink->messages.size());
}

TEST_F(CourierTls, NotEvenWhereItIsOffered)
{
    options.tls = nullptr; // courier.tls=none
    Start();
    Put({});
    Until([&] { return node->rows.empty(); });
    ASSERT_EQ(1u, sink->messages.size());
    EXPECT_FALSE(sink->messages[0].tls);
    EXPECT_EQ(0, std::count(sink->lines.begin(), sink->lines.end(), "STARTTLS"));
}

// courier.tls=verify: what can't be shown to be the host defers the mail, and nothing is sent in the clear.
TEST_F(CourierTls, VerifyTakesOnlyTheHostsOwnCertificate)
{
    const struct { const char *name, *to; std::vector<std::string> hosts; bool same_ca, offered, good; } rows[] = {
        { "its name", "b@there.test", { "mx.there.test" }, true, true, true },
        { "one of its names", "b@there.test", { "other.test", "mx.there.test" }, true, true, true },
        { "a wildcard", "b@there.test", { "*.there.test" }, true, true, true },
        { "its address", "b@[127.0.0.1]", { "IP:127.0.0.1" }, true, true, true },
        { "the domain's name", "b@there.test", { "there.test" }, true, true, false },
        { "another name", "b@there.test", { "mx.other.test" }, true, true, false },
        { "its address for a name", "b@there.test", { "IP:127.0.0.1" }, true, true, false },
        { "a name for its address", "b@[127.0.0.1]", { "127.0.0.1" }, true, true, false },
        { "another address", "b@[127.0.0.1]", { "IP:127.0.0.2" }, true, true, false },
        { "nobody we trust", "b@there.test", { "mx.there.test" }, false, true, false },
        { "no TLS", "b@there.test", {}, true, false, false },
    };
    test_ca other;
    tls_options verify{};
    verify.client = true, verify.verify = TLS_VERIFY_REQUIRED, verify.ca = S(ca.pem);
    tls_context_unref(client);
    ASSERT_EQ(ERR_OK, tls_context_new(&verify, &client).code);
    options.tls = client;
    options.tls_must = true;
    options.retry_first_ms = options.retry_max_ms = 3600 * 1000;
    Start();
    char id = 'a';
    for (const auto &row : rows) {
        test_pair pair = (row.same_ca ? ca : other).Issue("x", row.hosts);
        tls_certificate certificate{ S(pair.chain), S(pair.key) };
        tls_options tls{};
        tls.certificates = &certificate, tls.certificates_count = 1;
        tls_context_unref(server);
        ASSERT_EQ(ERR_OK, tls_context_new(&tls, &server).code);
        sink->tls = row.offered ? server : nullptr;
        sink->messages.clear();
        node->reports.clear();
        Put({ .id = std::string(16, id++), .to = { row.to } });
        Until([&] { return node->reports.size() == 1; }, row.name);
        ASSERT_EQ(1u, node->reports.size());
        EXPECT_EQ(row.good ? 1u : 0u, sink->messages.size()) << row.name;
        EXPECT_EQ(row.good, node->reports[0].remove) << row.name;
        if (row.good) continue;
        std::string answer = Str(node->reports[0].row->entry.recipients[0].answer);
        EXPECT_EQ(row.offered ? "454 4.7.5 The server's certificate does not hold"
                              : "451 4.7.10 The server offers no TLS", answer) << row.name;
        // Else the next row would find a domain that is known not to answer.
        Stop();
        stopped = false;
        Start();
    }
}

TEST_F(Courier, LeaseIsAsLongAsTheOptionSays)
{
    const struct { uint64_t option_ms, asked_ms; } rows[] = { { 0, COURIER_LEASE_MS }, { 10000, 10000 }, { 86400000, 86400000 } };
    Start();
    for (const auto &row : rows) {
        options.lease_ms = row.option_ms;
        ASSERT_EQ(ERR_OK, courier_configure(courier, &options).code);
        Put({});
        Until([&] { return node->rows.empty(); });
        EXPECT_EQ(row.asked_ms, node->lease_ms_asked);
    }
}

TEST_F(Courier, ASilentServerIsGivenUpInTime)
{
    const char *silent[] = { "", "EHLO", "RCPT", "." };
    options.reply_max_ms = 150;
    options.retry_first_ms = options.retry_max_ms = 3600 * 1000;
    Start();
    for (unsigned i = 0; i < std::size(silent); i++) {
        std::string at = silent[i];
        // From that line on, since the commands behind it are under way already.
        sink->answer = [at, mute = false](const std::string &line) mutable -> std::string {
            mute = mute || line.substr(0, 4) == at;
            return mute ? "-" : "";
        };
        node->reports.clear();
        node->rows.clear();
        std::string to = "b@d" + std::to_string(i) + ".test"; // a new destination each
        names.Address4(to.substr(2), "127.0.0.1");
        uint64_t from = clock_boot_ms();
        Put({ .id = std::string(16, static_cast<char>('a' + i)), .to = { to } });
        Until([&] { return node->reports.size() == 1; });
        ASSERT_FALSE(node->reports[0].remove) << at << ": " << events.back().answer;
        EXPECT_GE(clock_boot_ms() - from, 140u) << at;
        EXPECT_EQ("450 4.4.2 No reply in time", Str(node->reports[0].row->entry.recipients[0].answer)) << at;
    }
    EXPECT_TRUE(sink->messages.empty());
}

TEST_F(Courier, AConnectionThatBreaksAtTheEndIsNotTriedElsewhere)
{
    smtp_sink second(loop, "127.0.0.2", sink->Port());
    names.Mx("two.test", 10, "mx.there.test");
    names.Mx("two.test", 20, "second.two.test");
    names.Address4("second.two.test", "127.0.0.2");
    sink->answer = [](const std::string &line) -> std::string { return line == "." ? "!" : ""; };
    options.retry_first_ms = options.retry_max_ms = 3600 * 1000;
    Start();
    Put({ .to = { "b@two.test" } });
    Until([&] { return node->reports.size() == 1; });
    EXPECT_EQ(0u, second.connections);
    EXPECT_EQ("450 4.4.2 The connection was lost", Str(node->reports[0].row->entry.recipients[0].answer));
}

TEST_F(Courier, AfterADeadHostTheNextMailForItWaitsWithoutTrying)
{
    names.Mx("dead.test", 10, "host.dead.test");
    names.Address4("host.dead.test", "127.0.0.9");
    options.retry_first_ms = options.retry_max_ms = 3600 * 1000;
    Start();
    Put({ .to = { "b@dead.test" } });
    Until([&] { return node->reports.size() == 1; });
    EXPECT_EQ("451 4.4.1 host.dead.test can't be connected to", events.at(0).answer);
    smtp_sink late(loop, "127.0.0.9", sink->Port());
    Put({ .id = std::string(16, 'x'), .to = { "b@dead.test" } });
    Until([&] { return node->reports.size() == 2; });
    EXPECT_EQ(0u, late.connections);
    EXPECT_EQ(events.at(0).answer, events.at(1).answer);
}

} // namespace

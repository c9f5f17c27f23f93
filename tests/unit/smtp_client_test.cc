#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "body.h"
#include "smtp_client.h"
#include "smtp_talk.h"

namespace {

using namespace std::string_literals;
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string T(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

bool Starts(const std::string &s, const char *prefix) { return s.compare(0, strlen(prefix), prefix) == 0; }

struct Letter {
    smtp_client_options options{};
    std::string sender = "a@ours.test", body = "Subject: x\r\n\r\nhi\r\n";
    std::vector<std::string> to = {"b@there.test"};
    smtp_client_message message{};
    uint8_t notify = 0;
    std::string orcpt;
    Letter() { options.hostname = SPAN("us.test"), options.tls = SMTP_CLIENT_TLS_IF_OFFERED; }
};

// A server that answers each line by a function of it and says nothing by itself; "" is no answer.
using Server = std::function<std::string(const std::string &)>;

struct Outcome {
    std::string said;   // by the client, the body too
    std::string result; // "D250 2.6.0", "W451", "F550 5.1.1" for each recipient
    bool failed = false, tls_failed = false;
    smtp_client_reply failure{};
    std::string failure_text;
};

const char *const kGreeting = "220 there\r\n";

Outcome Talk(Letter setup, const Server &server, size_t piece, bool tls_works = true, size_t out_bytes = 5000)
{
    Outcome outcome;
    body_budget budget{1 << 24, 1 << 24, 0, 0, "/tmp"};
    struct body *body = nullptr;
    EXPECT_EQ(ERR_OK, body_new(&budget, &body).code);
    EXPECT_EQ(ERR_OK, body_put(body, S(setup.body)).code);
    EXPECT_EQ(ERR_OK, body_seal(body).code);
    std::vector<smtp_client_recipient> recipients(setup.to.size());
    for (size_t i = 0; i < recipients.size(); i++) {
        recipients[i] = {};
        recipients[i].address = S(setup.to[i]), recipients[i].notify = setup.notify, recipients[i].orcpt = S(setup.orcpt);
    }
    smtp_client_message message = setup.message;
    message.sender = S(setup.sender), message.body = body, message.recipients = recipients.data(), message.recipients_count = recipients.size();
    std::vector<char> bytes(out_bytes);
    struct buf out;
    buf_init(&out, bytes.data(), bytes.size());
    smtp_client client;
    smtp_client_init(&client, &setup.options, &out);
    std::string in = kGreeting, line;
    bool in_body = false, sent = false, eof = false;
    size_t seen = 0, done = 0, idle = 0, octets = 0;
    while (client.wish != SMTP_CLIENT_WISH_CLOSE && idle < 3) {
        size_t before = outcome.said.size() + done;
        seen = std::min(in.size(), seen + piece);
        done += smtp_client_feed(&client, span_of(in.data() + done, seen - done));
        if (client.wish == SMTP_CLIENT_WISH_START_TLS) {
            seen = done = in.size();
            outcome.said += std::string(out.bytes, out.len), out.len = 0;
            smtp_client_answer_tls(&client, tls_works ? err_ok() : err_make(ERR_IO, "tls"));
        } else if (client.wish == SMTP_CLIENT_WISH_MESSAGE) {
            if (sent) smtp_client_quit(&client); else smtp_client_send(&client, &message);
            sent = true;
        }
        smtp_client_pump(&client);
        std::string chunk(out.bytes, out.len);
        EXPECT_FALSE(out.overflow);
        out.len = 0;
        outcome.said += chunk;
        for (char c : chunk) {
            if (octets > 0) { // of BDAT
                if (--octets == 0) in += server("BDAT");
                continue;
            }
            line += c;
            if (!in_body && Starts(line, "BDAT ") && c == '\n') {
                octets = strtoul(line.c_str() + 5, nullptr, 10);
                if (octets == 0) in += server("BDAT");
                line.clear();
                continue;
            }
            if (in_body ? (line.size() < 5 ? line == ".\r\n" : line.compare(line.size() - 5, 5, "\r\n.\r\n") == 0)
                        : (line.size() >= 2 && line.compare(line.size() - 2, 2, "\r\n") == 0)) {
                std::string answer = server(in_body ? "." : line.substr(0, line.size() - 2));
                in_body = answer.compare(0, 3, "354") == 0;
                line.clear();
                if (answer == "EOF") eof = true; else in += answer;
            }
        }
        bool moved = outcome.said.size() + done != before || seen < in.size();
        idle = moved ? 0 : idle + 1;
        if (eof && seen == in.size() && client.wish != SMTP_CLIENT_WISH_CLOSE && idle > 0) smtp_client_lost(&client, err_make(ERR_IO, "gone"));
    }
    EXPECT_EQ(SMTP_CLIENT_WISH_CLOSE, client.wish) << outcome.said << "<<" << in;
    for (const auto &r : recipients) {
        outcome.result += (outcome.result.empty() ? "" : "|") + std::string(1, "PADWF"[r.result]) + std::to_string(r.reply.code);
        if (r.reply.subject + r.reply.detail > 0) outcome.result += " " + std::to_string(r.reply.subject) + "." + std::to_string(r.reply.detail);
    }
    outcome.failed = client.has_failed, outcome.tls_failed = client.tls_has_failed, outcome.failure = client.failure;
    outcome.failure_text = T(client.failure.text);
    smtp_client_free(&client);
    body_unref(body);
    EXPECT_EQ(0u, budget.memory_bytes);
    return outcome;
}

// What a server of few words says, unless `changed` has something else for the line.
Server Plain(std::vector<std::pair<std::string, std::string>> changed, std::string ehlo = "250 there\r\n")
{
    return [=](const std::string &line) -> std::string {
        for (const auto &[prefix, answer] : changed) if (Starts(line, prefix.c_str())) return answer;
        if (Starts(line, "EHLO") || Starts(line, "LHLO")) return ehlo;
        if (line == "DATA") return "354 go\r\n";
        if (line == "QUIT") return "221 bye\r\n";
        return "250 2.0.0 ok\r\n";
    };
}

const char *const kPipelining = "250-there\r\n250 PIPELINING\r\n";
const char *const kAll = "250-there hello\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-8bitmime\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n250 AUTH LOGIN PLAIN\r\n";

struct Row { const char *name; std::vector<std::pair<std::string, std::string>> changed; const char *ehlo, *result; };

// Two recipients: one by one, and as a group.
TEST(SmtpClient, Results)
{
    const Row rows[] = {
        {"all good", {}, nullptr, "D250 0.0|D250 0.0"},
        {"enhanced", {{".", "250 2.6.0 queued as 1\r\n"}}, nullptr, "D250 6.0|D250 6.0"},
        {"mail 5xx", {{"MAIL", "550 5.7.1 no\r\n"}, {"RCPT", "503 5.5.1 mail first\r\n"}, {"DATA", "503 5.5.1 no\r\n"}}, nullptr, "F550 7.1|F550 7.1"},
        {"mail 4xx", {{"MAIL", "451 4.7.1 later\r\n"}, {"RCPT", "503 mail first\r\n"}, {"DATA", "503 no\r\n"}}, nullptr, "W451 7.1|W451 7.1"},
        {"mail 5xx, 354 all the same", {{"MAIL", "550 5.7.1 no\r\n"}, {"RCPT", "503 5.5.1 mail first\r\n"}, {".", "554 5.5.1 no recipients\r\n"}}, nullptr, "F550 7.1|F550 7.1"},
        {"first rcpt 5xx", {{"RCPT TO:<b@", "550 5.1.1 unknown\r\n"}}, nullptr, "F550 1.1|D250 0.0"},
        {"second rcpt 4xx", {{"RCPT TO:<c@", "450 4.2.1 greylisted\r\n"}}, nullptr, "D250 0.0|W450 2.1"},
        {"rcpt 552", {{"RCPT TO:<c@", "552 too many\r\n"}}, nullptr, "D250 0.0|W552"},
        {"both rcpt refused", {{"RCPT", "550 5.1.1 unknown\r\n"}, {"DATA", "554 5.5.1 none\r\n"}}, nullptr, "F550 1.1|F550 1.1"},
        {"both refused, 354 all the same", {{"RCPT", "550 5.1.1 unknown\r\n"}, {".", "554 none\r\n"}}, nullptr, "F550 1.1|F550 1.1"},
        {"data 4xx", {{"DATA", "451 4.3.0 no\r\n"}}, nullptr, "W451 3.0|W451 3.0"},
        {"data 5xx", {{"DATA", "554 5.7.1 no\r\n"}}, nullptr, "F554 7.1|F554 7.1"},
        {"data 250", {{"DATA", "250 what\r\n"}}, nullptr, "W250|W250"},
        {"dot 4xx", {{".", "452 4.3.1 full\r\n"}}, nullptr, "W452 3.1|W452 3.1"},
        {"dot 5xx", {{".", "554 5.6.0 spam\r\n"}}, nullptr, "F554 6.0|F554 6.0"},
        {"421 to mail", {{"MAIL", "421 4.3.2 closing\r\n"}}, nullptr, "W421 3.2|W421 3.2"},
        {"421 to dot", {{".", "421 4.3.2 closing\r\n"}}, nullptr, "W421 3.2|W421 3.2"},
        {"gone at mail", {{"MAIL", "EOF"}, {"RCPT", ""}, {"DATA", ""}}, nullptr, "W450 4.2|W450 4.2"},
        {"gone at dot", {{".", "EOF"}}, nullptr, "W450 4.2|W450 4.2"},
        {"multi-line", {{".", "250-2.6.0 one\r\n250-2.6.0 two\r\n250 2.6.0 three\r\n"}}, nullptr, "D250 6.0|D250 6.0"},
        {"wrong class in enhanced", {{".", "250 5.6.0 odd\r\n"}}, nullptr, "D250|D250"},
        {"code alone", {{".", "250\r\n"}}, nullptr, "D250|D250"},
        {"not a reply", {{"MAIL", "hello\r\n"}}, nullptr, "W450 5.0|W450 5.0"},
        {"reply with bare LF", {{"MAIL", "250 ok\n"}}, nullptr, "W450 5.0|W450 5.0"},
        {"codes differ", {{"MAIL", "250-a\r\n251 b\r\n"}}, nullptr, "W450 5.0|W450 5.0"},
        {"100", {{"MAIL", "100 a\r\n"}}, nullptr, "W450 5.0|W450 5.0"},
        {"four digits", {{"MAIL", "2500 a\r\n"}}, nullptr, "W450 5.0|W450 5.0"},
        {"endless line", {{"MAIL", "250 " + std::string(5000, 'x') + "\r\n"}}, nullptr, "W450 5.0|W450 5.0"},
        {"endless lines", {{"MAIL", [] { std::string s; for (int i = 0; i < 300; i++) s += "250-x\r\n"; return s; }()}}, nullptr, "W450 5.0|W450 5.0"},
    };
    for (const auto &row : rows) {
        for (const char *ehlo : {"250 there\r\n", kPipelining, kAll}) {
            std::string first;
            for (size_t piece : {size_t(1) << 16, size_t(1), size_t(7)}) {
                Letter setup;
                setup.to = {"b@there.test", "c@there.test"};
                Outcome outcome = Talk(setup, Plain(row.changed, ehlo), piece);
                std::string expected = row.result;
                for (size_t at; (at = expected.find(" 0.0")) != std::string::npos;) expected.erase(at, 4);
                EXPECT_EQ(expected, outcome.result) << row.name << " " << ehlo << " " << piece;
                if (first.empty()) first = outcome.said;
                EXPECT_EQ(first, outcome.said) << row.name << piece;
            }
        }
    }
}

TEST(SmtpClient, WhatIsSent)
{
    Letter setup;
    EXPECT_EQ("EHLO us.test\r\nMAIL FROM:<a@ours.test>\r\nRCPT TO:<b@there.test>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n", Talk(setup, Plain({}), 99).said);
    setup.sender = "";
    setup.notify = 1 | 4, setup.orcpt = "rfc822;x", setup.message.has_ret = true, setup.message.envid = SPAN("id+2B");
    setup.message.body_8bit = setup.options.send_8bit_anyway = true;
    EXPECT_EQ("EHLO us.test\r\nMAIL FROM:<>\r\nRCPT TO:<b@there.test>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n", Talk(setup, Plain({}), 99).said);
    EXPECT_EQ("EHLO us.test\r\nMAIL FROM:<> SIZE=18 BODY=8BITMIME RET=HDRS ENVID=id+2B\r\nRCPT TO:<b@there.test> NOTIFY=NEVER ORCPT=rfc822;x\r\n"
              "DATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n", Talk(setup, Plain({}, kAll), 99).said);
    setup.notify = 2 | 4 | 8, setup.orcpt = "bad", setup.message.envid = SPAN("a b"), setup.message.smtputf8 = setup.message.ret_full = true;
    setup.to = {"\xc3\xbc@there.test"}, setup.options.chunking = true;
    std::string said = Talk(setup, Plain({}, kAll), 99).said;
    EXPECT_EQ("EHLO us.test\r\nMAIL FROM:<> SIZE=18 BODY=8BITMIME SMTPUTF8 RET=FULL\r\nRCPT TO:<\xc3\xbc@there.test> NOTIFY=SUCCESS,FAILURE,DELAY\r\n"
              "BDAT 18 LAST\r\nSubject: x\r\n\r\nhi\r\nQUIT\r\n", said);
}

TEST(SmtpClient, BodiesAreStuffedAndNormal)
{
    const struct { std::string body, sent; } rows[] = {
        {"", ".\r\n"}, {".", "..\r\n.\r\n"}, {".\r\n", "..\r\n.\r\n"}, {"a", "a\r\n.\r\n"}, {"a\r\n.b\r\n..\r\n", "a\r\n..b\r\n...\r\n.\r\n"},
        {"a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"}, {"a\r.\rb\r", "a\r\n..\r\nb\r\n.\r\n"}, {"a\n.\r\nMAIL", "a\r\n..\r\nMAIL\r\n.\r\n"}, {"a\r\n.\rb", "a\r\n..\r\nb\r\n.\r\n"},
        {"\r\n", "\r\n.\r\n"}, {"\n\n", "\r\n\r\n.\r\n"}, {"\r\r\n", "\r\n\r\n.\r\n"}, {"a\0b\xff"s, "a\0b\xff\r\n.\r\n"s},
    };
    for (const auto &row : rows) {
        Letter setup;
        setup.body = row.body;
        std::string said = Talk(setup, Plain({}), 99).said;
        size_t at = said.find("DATA\r\n") + 6;
        EXPECT_EQ(row.sent, said.substr(at, said.rfind("QUIT") - at));
    }
    // Much more than there is room for, in all sizes of room.
    std::string body, sent;
    for (int i = 0; i < 9000; i++) {
        std::string line = std::string(static_cast<size_t>(i % 5), '.') + std::string(static_cast<size_t>(i * 7 % 300), 'x');
        body += line + (i % 3 == 0 ? "\n" : i % 3 == 1 ? "\r\n" : "\r");
        if (i % 3 == 2) body += "y\r\n";
        sent += (line[0] == '.' ? "." : "") + line + "\r\n" + (i % 3 == 2 ? "y\r\n" : "");
    }
    for (size_t room : {4096u, 4100u, 5001u, 65536u}) {
        Letter setup;
        setup.body = body;
        std::string said = Talk(setup, Plain({}), 99, true, room).said;
        size_t at = said.find("DATA\r\n") + 6;
        EXPECT_TRUE(sent + ".\r\n" == said.substr(at, said.rfind("QUIT") - at)) << room;
    }
}

TEST(SmtpClient, WhatTheServerCannotTake)
{
    Letter setup;
    setup.message.body_8bit = true;
    EXPECT_EQ("F554 6.3", Talk(setup, Plain({}), 99).result);
    setup.message.body_8bit = false, setup.message.smtputf8 = true;
    EXPECT_EQ("F553 6.7", Talk(setup, Plain({}), 99).result);
    setup.message.smtputf8 = false, setup.sender = "\xc3\xbc@ours.test";
    EXPECT_EQ("F553 6.7", Talk(setup, Plain({}), 99).result);
    setup.sender = "a@ours.test", setup.body = std::string(11, 'x');
    EXPECT_EQ("F552 3.4", Talk(setup, Plain({}, "250-x\r\n250 SIZE 10\r\n"), 99).result);
    EXPECT_EQ("D250", Talk(setup, Plain({{".", "250 ok\r\n"}}, "250-x\r\n250 SIZE 0\r\n"), 99).result);
    EXPECT_EQ("D250", Talk(setup, Plain({{".", "250 ok\r\n"}}, "250-x\r\n250 SIZE\r\n"), 99).result);
    // Addresses that would be commands are never sent.
    for (std::string bad : {"x>\r\nRCPT TO:<y@z", "x", "x@", "@y", "x@y\r\n", "x@y>", "", "a b@c"}) {
        setup.to = {bad, "good@there.test", bad};
        for (const char *ehlo : {"250 x\r\n", kAll}) {
            Outcome outcome = Talk(setup, Plain({{".", "250 ok\r\n"}}, ehlo), 99);
            EXPECT_EQ("F553 1.3|D250|F553 1.3", outcome.result) << bad;
            EXPECT_EQ(outcome.said.find("RCPT"), outcome.said.rfind("RCPT"));
        }
        setup.to = {bad};
        Outcome outcome = Talk(setup, Plain({}), 99);
        EXPECT_EQ("F553 1.3", outcome.result);
        EXPECT_EQ(std::string::npos, outcome.said.find("MAIL"));
        setup.to = {"good@there.test"};
        if (bad.empty()) continue;
        setup.sender = bad;
        EXPECT_EQ("F553 1.7", Talk(setup, Plain({}), 99).result) << bad;
        setup.sender = "a@ours.test";
    }
}

TEST(SmtpClient, HelloTlsAndAuth)
{
    Letter setup;
    Server old = Plain({{"EHLO", "500 what\r\n"}, {".", "250 ok\r\n"}});
    EXPECT_EQ("EHLO us.test\r\nHELO us.test\r\nMAIL", Talk(setup, old, 99).said.substr(0, 32));
    EXPECT_EQ("D250", Talk(setup, old, 99).result);
    EXPECT_TRUE(Talk(setup, Plain({{"EHLO", "450 no\r\n"}}), 99).failed);
    EXPECT_TRUE(Talk(setup, Plain({{"EHLO", "500 no\r\n"}, {"HELO", "550 no\r\n"}}), 99).failed);
    setup.options.lmtp = true;
    EXPECT_TRUE(Talk(setup, Plain({{"LHLO", "500 no\r\n"}}), 99).failed);
    setup.options.lmtp = false;
    const char *tls = "250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";
    std::string said = Talk(setup, Plain({{"STARTTLS", "220 go\r\n250 injected\r\n"}}, tls), 99).said;
    EXPECT_EQ("EHLO us.test\r\nSTARTTLS\r\nEHLO us.test\r\nMAIL", said.substr(0, 42));
    Outcome outcome = Talk(setup, Plain({{"STARTTLS", "220 go\r\n"}}, tls), 99, false);
    EXPECT_TRUE(outcome.failed && outcome.tls_failed);
    // Refused: without it when it need not be.
    EXPECT_EQ("D250", Talk(setup, Plain({{"STARTTLS", "454 no\r\n"}, {".", "250 x\r\n"}}, tls), 99).result);
    setup.options.tls = SMTP_CLIENT_TLS_MUST;
    EXPECT_TRUE(Talk(setup, Plain({{"STARTTLS", "454 no\r\n"}}, tls), 99).tls_failed);
    EXPECT_TRUE(Talk(setup, Plain({}), 99).tls_failed);
    EXPECT_TRUE(Talk(setup, old, 99).tls_failed);
    setup.options.tls = SMTP_CLIENT_TLS_NEVER;
    EXPECT_EQ(std::string::npos, Talk(setup, Plain({}, tls), 99).said.find("STARTTLS"));
    setup.options.user = SPAN("u"), setup.options.password = SPAN("p");
    outcome = Talk(setup, Plain({}, tls), 99);
    EXPECT_TRUE(outcome.failed);
    EXPECT_EQ(std::string::npos, outcome.said.find("AUTH"));
    setup.options.tls_active = true;
    outcome = Talk(setup, Plain({{"AUTH", "235 ok\r\n"}, {".", "250 x\r\n"}}, tls), 99);
    EXPECT_NE(std::string::npos, outcome.said.find("\r\nAUTH PLAIN AHUAcA==\r\nMAIL"));
    EXPECT_EQ("D250", outcome.result);
    outcome = Talk(setup, Plain({{"AUTH", "535 5.7.8 no\r\n"}}, tls), 99);
    EXPECT_TRUE(outcome.failed);
    EXPECT_EQ(535u, outcome.failure.code);
    EXPECT_EQ("no", outcome.failure_text);
    EXPECT_TRUE(Talk(setup, Plain({}, "250-x\r\n250 AUTH CRAM-MD5\r\n"), 99).failed);
}

TEST(SmtpClient, AuthLogin)
{
    const struct { const char *name; std::vector<std::pair<std::string, std::string>> changed; unsigned code; } rows[] = {
        {"good", {{"AUTH", "334 VXNlcm5hbWU6\r\n"}, {"dQ==", "334 UGFzc3dvcmQ6\r\n"}, {"cA==", "235 ok\r\n"}}, 0},
        {"any prompt", {{"AUTH", "334\r\n"}, {"dQ==", "334 ?\r\n"}, {"cA==", "235 ok\r\n"}}, 0},
        {"no", {{"AUTH", "504 5.5.4 no\r\n"}}, 504},
        {"no name", {{"AUTH", "334\r\n"}, {"dQ==", "535 5.7.8 no\r\n"}}, 535},
        {"no password", {{"AUTH", "334\r\n"}, {"dQ==", "334\r\n"}, {"cA==", "535 5.7.8 no\r\n"}}, 535},
        {"one prompt more", {{"AUTH", "334\r\n"}, {"dQ==", "334\r\n"}, {"cA==", "334\r\n"}}, 334},
        {"too good", {{"AUTH", "235 ok\r\n"}}, 235},
        {"goes down", {{"AUTH", "334\r\n"}, {"dQ==", "421 4.3.2 bye\r\n"}}, 421},
        {"cut", {{"AUTH", "334\r\n"}, {"dQ==", "EOF"}}, 450},
    };
    Letter setup;
    setup.options.user = SPAN("u"), setup.options.password = SPAN("p"), setup.options.tls_active = true;
    for (const auto &row : rows) {
        for (size_t piece : {1, 999}) {
            Outcome outcome = Talk(setup, Plain(row.changed, "250-x\r\n250 AUTH LOGIN\r\n"), piece);
            EXPECT_EQ(row.code != 0, outcome.failed) << row.name;
            if (row.code != 0) EXPECT_EQ(row.code, outcome.failure.code) << row.name;
            bool mailed = outcome.said.find("MAIL FROM") != std::string::npos;
            EXPECT_EQ(row.code == 0, mailed) << row.name;
        }
    }
    Outcome outcome = Talk(setup, Plain(rows[0].changed, "250-x\r\n250 AUTH LOGIN\r\n"), 99);
    EXPECT_NE(std::string::npos, outcome.said.find("\r\nAUTH LOGIN\r\ndQ==\r\ncA==\r\nMAIL")) << outcome.said;
    // Never without TLS.
    setup.options.tls_active = false;
    outcome = Talk(setup, Plain(rows[0].changed, "250-x\r\n250 AUTH LOGIN\r\n"), 99);
    EXPECT_TRUE(outcome.failed);
    EXPECT_EQ(std::string::npos, outcome.said.find("AUTH"));
}

TEST(SmtpClient, LmtpAnswersForEach)
{
    Letter setup;
    setup.options.lmtp = true;
    setup.to = {"b@x", "c@x", "d@x", "e@x"};
    for (const char *ehlo : {"250 x\r\n", kAll}) {
        for (size_t piece : {1, 5, 999}) {
            Outcome outcome = Talk(setup, Plain({{"RCPT TO:<c@", "550 5.1.1 no\r\n"}, {".", "250 2.0.0 a\r\n452 4.2.2 full\r\n550 5.0.1 no\r\n"}}, ehlo), piece);
            EXPECT_EQ("D250|F550 1.1|W452 2.2|F550 0.1", outcome.result);
            outcome = Talk(setup, Plain({{"RCPT", "550 5.1.1 no\r\n"}}, ehlo), piece);
            EXPECT_EQ(std::string::npos, outcome.said.find("DATA"));
            EXPECT_NE(std::string::npos, outcome.said.find("RSET"));
            outcome = Talk(setup, Plain({{".", "250 a\r\n421 4.3.2 bye\r\n"}}, ehlo), piece);
            EXPECT_EQ("D250|W421 3.2|W421 3.2|W421 3.2", outcome.result);
        }
    }
}

TEST(SmtpClient, EveryStateHasItsWait)
{
    smtp_client client{};
    for (int state = SMTP_CLIENT_GREETING; state < SMTP_CLIENT_END; state++) {
        client.state = static_cast<smtp_client_state>(state);
        EXPECT_GT(smtp_client_wait_s(&client), 0u);
        EXPECT_GT(smtp_client_phase(&client).len, 0u);
    }
    client.state = SMTP_CLIENT_BODY_END;
    EXPECT_EQ(600u, smtp_client_wait_s(&client));
}

// Our client against our server: what goes in comes out, but for lone CR and LF.
TEST(SmtpClient, TalksToOurServer)
{
    unsigned seed = 1;
    auto next = [&seed](unsigned n) { return (seed = seed * 1103515245u + 12345u) >> 8 & 0xffffffu ? (seed >> 8) % n : 0u; };
    for (int round = 0; round < 60; round++) {
        std::string body, normal;
        for (unsigned i = 0, n = next(40); i < n; i++) {
            const char *words[] = {".", "..", "x", "\r\n", "\r\n", "\n", "\r", "From ", ".\r\n.", "\r\n.\r\n"};
            body += words[next(10)];
        }
        for (size_t i = 0; i < body.size(); i++) {
            if (body[i] != '\r' && body[i] != '\n') { normal += body[i]; continue; }
            if (body[i] == '\r' && i + 1 < body.size() && body[i + 1] == '\n') i++;
            normal += "\r\n";
        }
        if (!normal.empty() && normal.compare(normal.size() - std::min<size_t>(2, normal.size()), 2, "\r\n") != 0) normal += "\r\n";
        for (bool chunking : {false, true}) {
            SmtpTalk server;
            Letter setup;
            setup.sender = "a@b.test", setup.to = {"u1@ours.test"}, setup.body = body, setup.options.chunking = chunking;
            // The client's bytes, recorded against a server of kAll, are played to ours.
            std::string said = Talk(setup, Plain({}, kAll), 99).said;
            std::string log = server.Run(said, 1 + next(50)), shown;
            for (char c : chunking ? body : normal) shown += c == '\r' ? "\\r" : c == '\n' ? "\\n" : std::string(1, c);
            EXPECT_NE(std::string::npos, log.find("D a@b.test > u1@ours.test : " + shown + "\r\n250 2.0.0")) << log;
            EXPECT_NE(std::string::npos, log.find("221 2.0.0"));
        }
    }
}

}  // namespace

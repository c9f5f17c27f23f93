#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "body.h"
#include "courier_dsn.h"
#include "courier_plan.h"
#include "store_msg.h"

namespace {

using namespace std::string_literals;
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

struct Letter {
    std::vector<store_queue_recipient> recipients;
    std::vector<courier_report> reports;
    store_queue_entry entry{};
    std::string original = "From: a@b\r\nSubject: x\r\n\r\nthe text\r\n";
    uint64_t memory_max = 1 << 20;
    err_code code = ERR_OK;

    void Add(const char *address, courier_report report, struct span answer, const char *orcpt = "")
    {
        store_queue_recipient one{};
        one.address = span_of(address, strlen(address)), one.answer = answer, one.dsn_orcpt = span_of(orcpt, strlen(orcpt));
        recipients.push_back(one);
        reports.push_back(report);
    }

    std::string Write()
    {
        body_budget budget{memory_max, 1 << 20, 0, 0, "/tmp"}, other{1 << 20, 1 << 20, 0, 0, "/tmp"};
        body *in = nullptr, *out = nullptr;
        EXPECT_EQ(ERR_OK, body_new(&other, &in).code);
        EXPECT_EQ(ERR_OK, body_put(in, S(original)).code);
        EXPECT_EQ(ERR_OK, body_seal(in).code);
        EXPECT_EQ(ERR_OK, body_new(&budget, &out).code);
        if (entry.sender.len == 0) entry.sender = SPAN("a@b.test");
        entry.recipients = recipients.data(), entry.recipients_count = recipients.size();
        courier_dsn dsn{&entry, reports.data(), SPAN("us.test"), SPAN("DATE"), SPAN("ARRIVED"), SPAN("<id@us.test>"), SPAN("BOUNDARY"), in};
        code = courier_dsn_write(&dsn, out).code;
        EXPECT_EQ(ERR_OK, body_seal(out).code);
        std::string text(body_size(out), '\0');
        body_copy(out, 0, text.data(), text.size());
        body_unref(in);
        body_unref(out);
        return text;
    }
};

TEST(CourierDsn, Whole)
{
    Letter letter;
    letter.Add("x@y.test", COURIER_REPORT_FAILED, SPAN("550 5.1.1 No such user"), "rfc822;x+2By@z");
    letter.Add("quiet@y.test", COURIER_REPORT_NONE, SPAN("250 ok"));
    letter.Add("late@y.test", COURIER_REPORT_EXPIRED, SPAN("451 4.2.0 later"));
    letter.entry.dsn_envid = SPAN("id+3D1");
    EXPECT_EQ("Date: DATE\r\nFrom: Mail Delivery System <postmaster@us.test>\r\nTo: <a@b.test>\r\nSubject: Your message could not be delivered\r\n"
              "Message-ID: <id@us.test>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
              "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"BOUNDARY\"\r\n\r\n"
              "--BOUNDARY\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis is the mail system at us.test.\r\n\r\n"
              "<x@y.test> was refused.\r\n    The answer was: 550 5.1.1 No such user\r\n"
              "<late@y.test> could not be reached in time.\r\n    The answer was: 451 4.2.0 later\r\n\r\n"
              "--BOUNDARY\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;us.test\r\nOriginal-Envelope-Id: id=1\r\nArrival-Date: ARRIVED\r\n\r\n"
              "Original-Recipient: rfc822;x+y@z\r\nFinal-Recipient: rfc822;x@y.test\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user\r\n\r\n"
              "Final-Recipient: rfc822;late@y.test\r\nAction: failed\r\nStatus: 4.4.7\r\nDiagnostic-Code: smtp; 451 4.2.0 later\r\n\r\n"
              "--BOUNDARY\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: a@b\r\nSubject: x\r\n\r\n--BOUNDARY--\r\n",
              letter.Write());
    letter.entry.dsn_ret_full = letter.entry.body_8bit = true;
    EXPECT_NE(std::string::npos, letter.Write().find("message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + letter.original + "\r\n--BOUNDARY--"));
}

TEST(CourierDsn, StatusAndSubject)
{
    const struct { courier_report report; const char *answer, *status, *action, *subject; } rows[] = {
        {COURIER_REPORT_FAILED, "550 5.7.1 no", "5.7.1", "failed", "could not be delivered"}, {COURIER_REPORT_FAILED, "550 no", "5.0.0", "failed", "could not be delivered"},
        {COURIER_REPORT_FAILED, "", "5.0.0", "failed", "could not be delivered"}, {COURIER_REPORT_FAILED, "550", "5.0.0", "failed", "could not be delivered"},
        {COURIER_REPORT_FAILED, "550 4.1.1 x", "5.0.0", "failed", "could not be delivered"}, {COURIER_REPORT_FAILED, "550 5.1. x", "5.0.0", "failed", "could not be delivered"},
        {COURIER_REPORT_FAILED, "550 5.1.1.1 x", "5.0.0", "failed", "could not be delivered"}, {COURIER_REPORT_FAILED, "550 5.1.1", "5.1.1", "failed", "could not be delivered"},
        {COURIER_REPORT_DELAYED, "451 4.7.1 x", "4.7.1", "delayed", "is delayed"}, {COURIER_REPORT_DELIVERED, "250 2.1.5 x", "2.1.5", "delivered", "was delivered"},
        {COURIER_REPORT_RELAYED, "", "2.0.0", "relayed", "was delivered"},
    };
    for (const auto &row : rows) {
        Letter letter;
        letter.entry.dsn_ret_full = true;
        letter.Add("x@y.test", row.report, span_of(row.answer, strlen(row.answer)));
        std::string text = letter.Write();
        EXPECT_NE(std::string::npos, text.find("\r\nStatus: "s + row.status + "\r\n")) << row.answer;
        EXPECT_NE(std::string::npos, text.find("\r\nAction: "s + row.action + "\r\n"));
        EXPECT_NE(std::string::npos, text.find("Subject: Your message "s + row.subject + "\r\n"));
        bool failed = row.action == "failed"s;
        EXPECT_EQ(failed, text.find("the text") != std::string::npos);
    }
}

// Nothing from outside can add a line of its own, or more than its bound.
TEST(CourierDsn, AnswersFromOutsideStayOneLine)
{
    std::string evil = "550 5.1.1 x\r\nAction: delivered\r\n\0\xff"s + std::string(5000, 'y');
    Letter letter;
    letter.Add("x@y.test", COURIER_REPORT_FAILED, S(evil), "rfc822;a+0D+0AAction:+20delivered");
    letter.entry.dsn_envid = SPAN("+0D+0AX:+20y");
    std::string text = letter.Write();
    EXPECT_EQ(std::string::npos, text.find("\nAction: delivered"));
    EXPECT_EQ(std::string::npos, text.find("\nX: y"));
    EXPECT_EQ(std::string::npos, text.find(std::string(COURIER_DSN_ANSWER_MAX_BYTES, 'y')));
    for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at++) EXPECT_EQ('\r', text[at - 1]);
}

TEST(CourierDsn, HeadersEndWhereTheyEnd)
{
    const struct { std::string original; size_t header; } rows[] = {
        {"", 0}, {"A: b\r\n", 6}, {"A: b\r\n\r\nX: y\r\n", 6}, {"\r\nA: b\r\n", 0}, {"A: b", 4}, {"A: b\n\nc", 5},
        {[] { std::string s; for (int i = 0; i < 9000; i++) s += "X: 12345\r\n"; return s; }(), 65530},
    };
    for (const auto &row : rows) {
        Letter letter;
        letter.original = row.original;
        letter.Add("x@y.test", COURIER_REPORT_FAILED, SPAN("550 x"));
        std::string text = letter.Write(), mark = "text/rfc822-headers\r\n\r\n";
        size_t at = text.find(mark) + mark.size();
        EXPECT_TRUE(text.substr(at) == row.original.substr(0, row.header) + "\r\n--BOUNDARY--\r\n") << row.original.size() << " " << text.size() - at;
    }
}

TEST(CourierDsn, NoRoom)
{
    Letter letter;
    letter.memory_max = 4096;
    letter.entry.dsn_ret_full = true;
    letter.original = std::string(10000, 'x');
    letter.Add("x@y.test", COURIER_REPORT_FAILED, SPAN("550 x"));
    letter.Write();
    EXPECT_EQ(ERR_BUSY, letter.code);
}

}  // namespace

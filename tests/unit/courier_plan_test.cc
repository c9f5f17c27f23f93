#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "courier_mx.h"
#include "courier_plan.h"
#include "store_msg.h"

namespace {

std::string T(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

constexpr uint64_t kMinute = 60000, kHour = 60 * kMinute, kDay = 24 * kHour, kStart = 1000 * kDay;
const courier_retry options{5 * kMinute, 30 * kMinute, 4 * kHour, 4 * kDay};

const courier_attempt *At(uint64_t now_ms, uint64_t random)
{
    static courier_attempt attempt;
    attempt = {&options, now_ms, random, nullptr};
    return &attempt;
}

TEST(CourierPlan, WaitsDouble)
{
    const uint64_t waits[] = {5, 5, 10, 20, 30, 30};
    for (uint32_t attempts = 0; attempts < 6; attempts++) {
        EXPECT_EQ(waits[attempts] * kMinute, courier_retry_wait_ms(&options, attempts, 0));
        for (uint64_t random = 1; random < 1ull << 63; random *= 7) {
            uint64_t wait = courier_retry_wait_ms(&options, attempts, random);
            EXPECT_LE(wait, waits[attempts] * kMinute);
            EXPECT_GE(wait, waits[attempts] * kMinute * 3 / 4);
            if (random > 1ull << 58) break;
        }
    }
    EXPECT_EQ(30 * kMinute, courier_retry_wait_ms(&options, UINT32_MAX, 0));
    const courier_retry odd{10, 3, 0, 0}, none{0, 0, 0, 0}, huge{UINT64_MAX, UINT64_MAX, 0, 0};
    EXPECT_EQ(3u, courier_retry_wait_ms(&odd, 1, 0));
    EXPECT_EQ(0u, courier_retry_wait_ms(&none, 9, 12345));
    EXPECT_EQ(UINT64_MAX, courier_retry_wait_ms(&huge, 9, 0));
}

TEST(CourierPlan, WaitsGrowByTheFactor)
{
    const struct { uint32_t percent; std::vector<uint64_t> minutes; } rows[] = {
        {0, {5, 10, 20, 30, 30}}, {200, {5, 10, 20, 30, 30}}, {100, {5, 5, 5, 5, 5}},
        {120, {5, 6}}, {150, {5, 7 /* and a half */}}, {1000, {5, 30, 30}}, {UINT32_MAX, {5, 30, 30}},
    };
    for (const auto &row : rows) {
        courier_retry retry = options;
        retry.retry_percent = row.percent;
        for (size_t i = 0; i < row.minutes.size(); i++) {
            EXPECT_EQ(row.minutes[i], courier_retry_wait_ms(&retry, uint32_t(i + 1), 0) / kMinute) << row.percent << " " << i;
        }
        uint64_t last = row.percent == 100 ? 5 : 30;
        EXPECT_EQ(last, courier_retry_wait_ms(&retry, UINT32_MAX, 0) / kMinute) << row.percent;
    }
    courier_retry slow{1, UINT64_MAX, 0, 0, 150}, most{UINT64_MAX - 1, UINT64_MAX, 0, 0, 1000};
    EXPECT_EQ(1u, courier_retry_wait_ms(&slow, UINT32_MAX, 0)); // half a millisecond more is none
    EXPECT_EQ(UINT64_MAX, courier_retry_wait_ms(&most, 2, 0));
}

enum { NEVER = 1, SUCCESS = 2, FAILURE = 4, DELAY = 8 };

// What an account forwards and can't goes into its own box, once; its sender is told nothing.
TEST(CourierPlan, WhatCannotBeForwardedIsKept)
{
    const courier_outcome failed{COURIER_FAILED, false, false, SPAN("550")}, deferred{COURIER_DEFERRED, false, false, SPAN("451")};
    const struct { const char *name; courier_outcome outcome; uint64_t age; bool kept; } rows[] = {
        {"failed", failed, 0, true}, {"deferred", deferred, kHour, false}, {"late", deferred, 5 * kHour, false},
        {"expired", deferred, 4 * kDay, true}, {"done", {COURIER_DONE, false, false, SPAN("250")}, 0, false},
    };
    for (const auto &row : rows) {
        store_queue_recipient to[2]{};
        courier_report reports[2];
        store_queue_entry entry{};
        entry.sender = SPAN("a@b"), entry.created_ms = kStart, entry.recipients = to, entry.recipients_count = 2;
        for (auto &one : to) {
            one.address = SPAN("x@away"), one.sender = SPAN("ann@here"), one.has_kept = true, one.attempts = 3;
            one.kept.account = 7, one.kept.operation_id = SPAN("0123456789abcdef");
        }
        const courier_outcome outcomes[] = {row.outcome, row.outcome};
        const uint64_t now = kStart + row.age;
        bool ended = courier_plan(At(now, 0), &entry, outcomes, reports);
        EXPECT_EQ(COURIER_REPORT_NONE, reports[0]) << row.name;
        EXPECT_EQ(COURIER_REPORT_NONE, reports[1]) << row.name;
        EXPECT_EQ(row.kept, to[0].has_target) << row.name;
        if (!row.kept) continue;
        EXPECT_FALSE(ended);
        EXPECT_EQ(now, entry.due_ms);
        EXPECT_EQ(7u, to[0].target.account);
        EXPECT_EQ("ann@here", T(to[0].address));
        EXPECT_EQ(0u, to[0].sender.len + to[0].attempts);
        EXPECT_FALSE(to[0].has_kept || to[1].has_kept || to[1].has_target);
        EXPECT_EQ(uint32_t(STORE_RCPT_WAITING), to[0].state);
        EXPECT_NE(uint32_t(STORE_RCPT_WAITING), to[1].state);
        // Nor can it be kept: the first sender hears of it.
        const courier_outcome gone[] = {failed, failed};
        EXPECT_TRUE(courier_plan(At(now, 0), &entry, gone, reports));
        EXPECT_EQ(COURIER_REPORT_FAILED, reports[0]);
    }
}

TEST(CourierPlan, OneRecipient)
{
    const struct {
        const char *name, *sender;
        uint32_t notify;
        bool delay_sent;
        uint64_t age;
        courier_outcome outcome;
        uint32_t state;
        courier_report report;
    } rows[] = {
        {"done", "a@b", 0, false, 0, {COURIER_DONE, false, false, SPAN("250")}, STORE_RCPT_DONE, COURIER_REPORT_NONE},
        {"done, told", "a@b", SUCCESS, false, 0, {COURIER_DONE, false, false, SPAN("250")}, STORE_RCPT_DONE, COURIER_REPORT_RELAYED},
        {"done, the other tells", "a@b", SUCCESS, false, 0, {COURIER_DONE, false, true, SPAN("250")}, STORE_RCPT_DONE, COURIER_REPORT_NONE},
        {"delivered here", "a@b", SUCCESS | FAILURE, false, 0, {COURIER_DONE, true, false, SPAN("250")}, STORE_RCPT_DONE, COURIER_REPORT_DELIVERED},
        {"done, never", "a@b", NEVER, false, 0, {COURIER_DONE, true, false, SPAN("250")}, STORE_RCPT_DONE, COURIER_REPORT_NONE},
        {"done, null sender", "", SUCCESS, false, 0, {COURIER_DONE, true, false, SPAN("250")}, STORE_RCPT_DONE, COURIER_REPORT_NONE},
        {"failed", "a@b", 0, false, 0, {COURIER_FAILED, false, false, SPAN("550")}, STORE_RCPT_FAILED, COURIER_REPORT_FAILED},
        {"failed, asked", "a@b", FAILURE, false, 0, {COURIER_FAILED, false, false, SPAN("550")}, STORE_RCPT_FAILED, COURIER_REPORT_FAILED},
        {"failed, only success asked", "a@b", SUCCESS, false, 0, {COURIER_FAILED, false, false, SPAN("550")}, STORE_RCPT_FAILED, COURIER_REPORT_NONE},
        {"failed, never", "a@b", NEVER, false, 0, {COURIER_FAILED, false, false, SPAN("550")}, STORE_RCPT_FAILED, COURIER_REPORT_NONE},
        {"failed, null sender", "", 0, false, 0, {COURIER_FAILED, false, false, SPAN("550")}, STORE_RCPT_FAILED, COURIER_REPORT_NONE},
        {"deferred", "a@b", 0, false, kHour, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
        {"deferred, just before the warning", "a@b", 0, false, 4 * kHour - 1, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
        {"deferred, late", "a@b", 0, false, 4 * kHour, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_DELAYED},
        {"deferred, late, told before", "a@b", 0, true, 5 * kHour, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
        {"deferred, late, only failure asked", "a@b", FAILURE, false, 5 * kHour, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
        {"deferred, late, never", "a@b", NEVER, false, 5 * kHour, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
        {"deferred, late, null sender", "", 0, false, 5 * kHour, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
        {"just before the end", "a@b", 0, true, 4 * kDay - 1, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
        {"expired", "a@b", 0, true, 4 * kDay, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_EXPIRED, COURIER_REPORT_EXPIRED},
        {"expired, only delay asked", "a@b", DELAY, true, 4 * kDay, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_EXPIRED, COURIER_REPORT_NONE},
        {"expired, null sender", "", 0, false, 9 * kDay, {COURIER_DEFERRED, false, false, SPAN("451")}, STORE_RCPT_EXPIRED, COURIER_REPORT_NONE},
        {"not tried", "a@b", 0, false, 9 * kDay, {COURIER_NOT_TRIED, false, false, SPAN("")}, STORE_RCPT_WAITING, COURIER_REPORT_NONE},
    };
    for (const auto &row : rows) {
        store_queue_recipient recipient{};
        recipient.dsn_notify = row.notify, recipient.dsn_delay_sent = row.delay_sent, recipient.attempts = 2, recipient.due_ms = 77;
        store_queue_entry entry{};
        entry.sender = span_of(row.sender, strlen(row.sender)), entry.recipients = &recipient, entry.recipients_count = 1, entry.created_ms = kStart;
        courier_report report = COURIER_REPORT_NONE;
        uint64_t now = kStart + row.age;
        bool ended = courier_plan(At(now, 0), &entry, &row.outcome, &report);
        EXPECT_EQ(row.state, recipient.state) << row.name;
        EXPECT_EQ(row.report, report) << row.name;
        EXPECT_EQ(row.state != STORE_RCPT_WAITING, ended) << row.name;
        EXPECT_EQ(row.delay_sent || row.report == COURIER_REPORT_DELAYED, recipient.dsn_delay_sent) << row.name;
        bool tried = row.outcome.kind != COURIER_NOT_TRIED;
        EXPECT_EQ(tried ? 3u : 2u, recipient.attempts) << row.name;
        EXPECT_EQ(T(row.outcome.answer), T(recipient.answer)) << row.name;
        if (row.state == STORE_RCPT_WAITING) {
            EXPECT_EQ(tried ? std::min(now + 20 * kMinute, kStart + 4 * kDay) : 77u, recipient.due_ms) << row.name;
            EXPECT_EQ(recipient.due_ms, entry.due_ms) << row.name;
        } else {
            EXPECT_EQ(0u, entry.due_ms) << row.name;
        }
    }
}

TEST(CourierPlan, ManyRecipientsAndEndedOnesStay)
{
    std::vector<store_queue_recipient> recipients(5);
    for (auto &r : recipients) r = {};
    recipients[0].state = STORE_RCPT_DONE, recipients[1].state = STORE_RCPT_FAILED, recipients[2].due_ms = kStart + kHour;
    store_queue_entry entry{};
    entry.sender = SPAN("a@b"), entry.recipients = recipients.data(), entry.recipients_count = 5, entry.created_ms = kStart;
    const courier_outcome outcomes[] = {{COURIER_FAILED, false, false, SPAN("x")}, {COURIER_DONE, false, false, SPAN("x")}, {COURIER_NOT_TRIED, false, false, SPAN("")},
                                        {COURIER_DEFERRED, false, false, SPAN("451 x")}, {COURIER_DONE, false, false, SPAN("250 x")}};
    courier_report reports[5];
    EXPECT_FALSE(courier_plan(At(kStart, 0), &entry, outcomes, reports));
    const uint32_t states[] = {STORE_RCPT_DONE, STORE_RCPT_FAILED, STORE_RCPT_WAITING, STORE_RCPT_WAITING, STORE_RCPT_DONE};
    for (size_t i = 0; i < 5; i++) {
        EXPECT_EQ(states[i], recipients[i].state) << i;
        EXPECT_EQ(COURIER_REPORT_NONE, reports[i]) << i;
    }
    EXPECT_EQ("", T(recipients[0].answer));
    EXPECT_EQ(kStart + 5 * kMinute, entry.due_ms);
}

// Mailboxes of ours have times of their own.
TEST(CourierPlan, LocalRecipientsHaveTheirOwnTimes)
{
    const courier_retry local{1000, 4000, 0, kDay};
    const courier_attempt attempt{&options, kStart + 5 * kHour, 0, &local};
    store_queue_recipient recipients[2]{};
    recipients[1].has_target = true;
    store_queue_entry entry{};
    entry.sender = SPAN("a@b"), entry.recipients = recipients, entry.recipients_count = 2, entry.created_ms = kStart;
    const courier_outcome outcomes[] = {{COURIER_DEFERRED, false, false, SPAN("451")}, {COURIER_DEFERRED, false, false, SPAN("451")}};
    courier_report reports[2];
    EXPECT_FALSE(courier_plan(&attempt, &entry, outcomes, reports));
    EXPECT_EQ(COURIER_REPORT_DELAYED, reports[0]);
    EXPECT_EQ(COURIER_REPORT_NONE, reports[1]);
    EXPECT_EQ(attempt.now_ms + 5 * kMinute, recipients[0].due_ms);
    EXPECT_EQ(attempt.now_ms + 1000, recipients[1].due_ms);
    EXPECT_EQ(recipients[1].due_ms, entry.due_ms);
}

// From the first attempt to the end: attempts come ever later, one warning, one end, in bounded time.
TEST(CourierPlan, AWholeLife)
{
    for (uint64_t random : {uint64_t(0), uint64_t(123456789), UINT64_MAX}) {
        store_queue_recipient recipient{};
        store_queue_entry entry{};
        entry.sender = SPAN("a@b"), entry.recipients = &recipient, entry.recipients_count = 1, entry.created_ms = kStart;
        const courier_outcome outcome{COURIER_DEFERRED, false, false, SPAN("451")};
        uint64_t now = kStart;
        unsigned attempts = 0, warnings = 0, ends = 0;
        for (bool ended = false; !ended && attempts < 1000; attempts++) {
            courier_report report;
            ended = courier_plan(At(now, random), &entry, &outcome, &report);
            warnings += report == COURIER_REPORT_DELAYED, ends += report == COURIER_REPORT_EXPIRED;
            if (ended) break;
            ASSERT_GT(entry.due_ms, now);
            now = entry.due_ms;
        }
        EXPECT_EQ(1u, warnings);
        EXPECT_EQ(1u, ends);
        EXPECT_EQ(kStart + 4 * kDay, now);
        EXPECT_GT(attempts, 190u);
        EXPECT_LT(attempts, 300u);
    }
}

TEST(CourierPlan, WholeMessagesOnlyWithFailures)
{
    store_queue_entry entry{};
    for (bool full : {false, true}) {
        entry.dsn_ret_full = full;
        EXPECT_EQ(full, courier_report_is_full(&entry, COURIER_REPORT_FAILED));
        EXPECT_EQ(full, courier_report_is_full(&entry, COURIER_REPORT_EXPIRED));
        for (auto other : {COURIER_REPORT_NONE, COURIER_REPORT_DELAYED, COURIER_REPORT_DELIVERED, COURIER_REPORT_RELAYED}) EXPECT_FALSE(courier_report_is_full(&entry, other));
    }
}

TEST(CourierMx, Order)
{
    struct Mx { uint16_t preference; const char *host; };
    const struct { const char *name; std::vector<Mx> in; courier_mx_verdict verdict; std::string out; } rows[] = {
        {"none", {}, COURIER_MX_IMPLICIT, ""},
        {"one", {{10, "a.test"}}, COURIER_MX_OK, "a.test"},
        {"sorted", {{30, "c."}, {10, "a"}, {20, "b"}}, COURIER_MX_OK, "a b c."},
        {"null", {{0, "."}}, COURIER_MX_NULL, ""},
        {"null without a dot", {{0, ""}}, COURIER_MX_NULL, ""},
        {"null twice", {{0, "."}, {10, "."}}, COURIER_MX_NULL, ""},
        {"null among others", {{0, "."}, {10, "a"}}, COURIER_MX_OK, "a"},
        {"we are a backup", {{10, "a"}, {20, "us.test"}, {30, "c"}}, COURIER_MX_OK, "a"},
        {"we are one of the backups", {{10, "a"}, {20, "US.test."}, {20, "b"}}, COURIER_MX_OK, "a"},
        {"by our other name", {{10, "a"}, {5, "mail.us.test"}}, COURIER_MX_LOOP, ""},
        {"we are the best", {{10, "us.test"}, {20, "b"}}, COURIER_MX_LOOP, ""},
        {"we are equal to the best", {{10, "a"}, {10, "us.test."}}, COURIER_MX_LOOP, ""},
        {"only we", {{0, "us.test"}}, COURIER_MX_LOOP, ""},
        {"nearly our name", {{10, "us.test.x"}, {20, "xus.test"}}, COURIER_MX_OK, "us.test.x xus.test"},
    };
    const struct span own[] = {SPAN("us.test"), SPAN("mail.us.test.")};
    for (const auto &row : rows) {
        std::vector<courier_mx> mx;
        for (const auto &one : row.in) mx.push_back({one.preference, span_of(one.host, strlen(one.host))});
        mx.resize(mx.size() + 1);
        size_t count = row.in.size();
        EXPECT_EQ(row.verdict, courier_mx_order(mx.data(), &count, own, 2, 1)) << row.name;
        std::string out;
        for (size_t i = 0; i < count; i++) out += (i == 0 ? "" : " ") + T(mx[i].host);
        EXPECT_EQ(row.out, out) << row.name;
    }
}

TEST(CourierMx, EqualsTakeTurns)
{
    std::set<std::string> orders;
    for (uint64_t random = 0; random < 500; random++) {
        courier_mx mx[] = {{10, SPAN("a")}, {10, SPAN("b")}, {10, SPAN("c")}, {20, SPAN("d")}};
        size_t count = 4;
        ASSERT_EQ(COURIER_MX_OK, courier_mx_order(mx, &count, nullptr, 0, random));
        EXPECT_EQ("d", T(mx[3].host));
        orders.insert(T(mx[0].host) + T(mx[1].host) + T(mx[2].host));
    }
    EXPECT_EQ(6u, orders.size());
    std::vector<courier_mx> many(1000, courier_mx{1, SPAN("x")});
    size_t count = many.size();
    EXPECT_EQ(COURIER_MX_OK, courier_mx_order(many.data(), &count, nullptr, 0, 7));
    EXPECT_EQ(static_cast<size_t>(COURIER_MX_MAX), count);
}

}  // namespace

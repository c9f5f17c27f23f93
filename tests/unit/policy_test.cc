#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "policy.h"

namespace {

using Set = std::function<void(policy_facts &)>;
struct Row { const char *name; Set set; unsigned code, subject, detail; };

std::string Shown(const policy_verdict &v) { return std::to_string(v.code) + " " + std::to_string(v.subject) + "." + std::to_string(v.detail); }
std::string Shown(const Row &r) { return std::to_string(r.code) + " " + std::to_string(r.subject) + "." + std::to_string(r.detail); }

void Mine(policy_facts &f) { f.sender = POLICY_SENDER_LOCAL, f.tenant = f.sender_tenant = 1, f.account = f.sender_account = 5, f.is_authenticated = true; }

TEST(Policy, Sender)
{
    const Row rows[] = {
        {"null", [](auto &f) { f.sender = POLICY_SENDER_NULL; }, 250, 1, 0},
        {"foreign", [](auto &f) { f.sender = POLICY_SENDER_FOREIGN; }, 250, 1, 0},
        {"local from outside, allowed", [](auto &f) { f.sender = POLICY_SENDER_LOCAL; }, 250, 1, 0},
        {"local from outside", [](auto &f) { f.sender = POLICY_SENDER_LOCAL, f.local_sender_needs_auth = true; }, 550, 7, 1},
        {"nobody's from outside", [](auto &f) { f.sender = POLICY_SENDER_NOBODY, f.local_sender_needs_auth = true; }, 550, 7, 1},
        {"local from the group", [](auto &f) { f.sender = POLICY_SENDER_LOCAL, f.local_sender_needs_auth = f.client_is_trusted = true; }, 250, 1, 0},
        {"local from the group, auth failed", [](auto &f) { f.sender = POLICY_SENDER_LOCAL, f.local_sender_needs_auth = f.client_is_trusted = f.auth_has_failed = true; }, 550, 7, 1},
        {"local by LMTP", [](auto &f) { f.service = POLICY_LMTP, f.sender = POLICY_SENDER_LOCAL, f.local_sender_needs_auth = true; }, 250, 1, 0},
        {"null from outside, strict", [](auto &f) { f.sender = POLICY_SENDER_NULL, f.local_sender_needs_auth = true; }, 250, 1, 0},
        {"unreachable", [](auto &f) { f.sender = POLICY_SENDER_UNREACHABLE; }, 451, 3, 0},
        {"stale", [](auto &f) { f.policy_is_stale = true; }, 451, 3, 5},
        {"stale, own address", [](auto &f) { Mine(f); f.policy_is_stale = true; }, 451, 3, 5},
        {"stale, not refused for good", [](auto &f) { Mine(f); f.sender_account = 6, f.policy_is_stale = true; }, 451, 3, 5},
        {"submission without auth", [](auto &f) { f.service = POLICY_SUBMISSION; }, 530, 7, 0},
        {"submission without auth, group", [](auto &f) { f.service = POLICY_SUBMISSION, f.client_is_trusted = true; }, 530, 7, 0},
        {"submission, unreachable, no auth", [](auto &f) { f.service = POLICY_SUBMISSION, f.sender = POLICY_SENDER_UNREACHABLE; }, 530, 7, 0},
        {"own address", [](auto &f) { Mine(f); f.service = POLICY_SUBMISSION; }, 250, 1, 0},
        {"own address, strict MX", [](auto &f) { Mine(f); f.local_sender_needs_auth = true; }, 250, 1, 0},
        {"another's address", [](auto &f) { Mine(f); f.sender_account = 6; }, 553, 7, 1},
        {"same number in another tenant", [](auto &f) { Mine(f); f.sender_tenant = 2; }, 553, 7, 1},
        {"granted", [](auto &f) { Mine(f); f.sender_account = 6, f.sender_is_granted = true; }, 250, 1, 0},
        {"nobody's address", [](auto &f) { Mine(f); f.sender = POLICY_SENDER_NOBODY; }, 553, 7, 1},
        {"foreign, authenticated", [](auto &f) { Mine(f); f.sender = POLICY_SENDER_FOREIGN; }, 553, 7, 1},
        {"foreign, authenticated, allowed", [](auto &f) { Mine(f); f.sender = POLICY_SENDER_FOREIGN, f.foreign_sender_allowed = true; }, 250, 1, 0},
        {"null, authenticated", [](auto &f) { Mine(f); f.sender = POLICY_SENDER_NULL; }, 250, 1, 0},
    };
    for (const auto &row : rows) {
        policy_facts facts{};
        row.set(facts);
        EXPECT_EQ(Shown(row), Shown(policy_sender(&facts))) << row.name;
    }
}

TEST(Policy, Recipient)
{
    const Row rows[] = {
        {"account", [](auto &) {}, 250, 1, 5},
        {"another server of the domain", [](auto &f) { f.recipient = POLICY_RECIPIENT_FORWARDED; }, 250, 1, 5},
        {"confined sender", [](auto &f) { Mine(f); f.sender_is_confined = true; }, 550, 7, 1},
        {"confined sender, not local", [](auto &f) { Mine(f); f.recipient = POLICY_RECIPIENT_NOT_LOCAL, f.sender_is_confined = true; }, 550, 7, 1},
        {"confined recipient", [](auto &f) { f.recipient_is_confined = true; }, 550, 7, 1},
        {"confined, nobody", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOBODY, f.recipient_is_confined = true; }, 550, 1, 1},
        {"confined before disabled", [](auto &f) { f.recipient_is_confined = f.recipient_is_disabled = true; }, 550, 7, 1},
        {"confined, stale", [](auto &f) { f.recipient_is_confined = f.policy_is_stale = true; }, 451, 3, 5},
        {"alias", [](auto &f) { f.recipient = POLICY_RECIPIENT_ALIAS; }, 250, 1, 5},
        {"group", [](auto &f) { f.recipient = POLICY_RECIPIENT_GROUP; }, 250, 1, 5},
        {"stale", [](auto &f) { f.policy_is_stale = true; }, 451, 3, 5},
        {"nobody, stale", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOBODY, f.policy_is_stale = true; }, 451, 3, 5},
        {"relay, stale", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOT_LOCAL, f.policy_is_stale = true; }, 451, 3, 5},
        {"nobody", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOBODY; }, 550, 1, 1},
        {"nobody, authenticated", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOBODY, f.is_authenticated = true; }, 550, 1, 1},
        {"relay", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOT_LOCAL; }, 550, 7, 1},
        {"relay, authenticated", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOT_LOCAL, f.is_authenticated = true; }, 250, 1, 5},
        {"relay, group", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOT_LOCAL, f.client_is_trusted = true; }, 250, 1, 5},
        {"relay, group, auth failed", [](auto &f) { f.recipient = POLICY_RECIPIENT_NOT_LOCAL, f.client_is_trusted = f.auth_has_failed = true; }, 550, 7, 1},
        {"relay by LMTP", [](auto &f) { f.service = POLICY_LMTP, f.recipient = POLICY_RECIPIENT_NOT_LOCAL, f.client_is_trusted = true; }, 550, 7, 1},
        {"relay, submission, no auth", [](auto &f) { f.service = POLICY_SUBMISSION, f.recipient = POLICY_RECIPIENT_NOT_LOCAL, f.client_is_trusted = true; }, 530, 7, 0},
        {"local, submission, no auth", [](auto &f) { f.service = POLICY_SUBMISSION; }, 530, 7, 0},
        {"unreachable", [](auto &f) { f.recipient = POLICY_RECIPIENT_UNREACHABLE; }, 451, 3, 0},
        {"loop", [](auto &f) { f.recipient = POLICY_RECIPIENT_LOOP; }, 550, 4, 6},
        {"disabled", [](auto &f) { f.recipient_is_disabled = true; }, 550, 2, 1},
        {"full", [](auto &f) { f.recipient_is_over_quota = true; }, 452, 2, 2},
        {"full for good", [](auto &f) { f.recipient_is_over_quota = f.quota_is_permanent = true; }, 552, 2, 2},
        {"disabled and full", [](auto &f) { f.recipient_is_disabled = f.recipient_is_over_quota = true; }, 550, 2, 1},
    };
    for (const auto &row : rows) {
        policy_facts facts{};
        row.set(facts);
        EXPECT_EQ(Shown(row), Shown(policy_recipient(&facts))) << row.name;
    }
}

// Over everything that facts may hold: mail for elsewhere is taken only from the authenticated and
// from the group, and nothing at all from 587 without a log-in.
TEST(Policy, NeverAnOpenRelay)
{
    for (unsigned bits = 0; bits < 1u << 9; bits++) {
        for (auto service : {POLICY_MX, POLICY_SUBMISSION, POLICY_LMTP}) {
            policy_facts f{};
            f.service = service, f.recipient = POLICY_RECIPIENT_NOT_LOCAL;
            f.client_is_trusted = bits & 1, f.is_authenticated = bits & 2, f.auth_has_failed = bits & 4, f.sender_is_granted = bits & 8;
            f.recipient_is_disabled = bits & 16, f.recipient_is_over_quota = bits & 32, f.local_sender_needs_auth = bits & 64;
            f.foreign_sender_allowed = bits & 128, f.quota_is_permanent = bits & 256;
            bool may = service != POLICY_LMTP && (f.is_authenticated || (service == POLICY_MX && f.client_is_trusted && !f.auth_has_failed));
            if (policy_accepts(policy_recipient(&f))) { EXPECT_TRUE(may) << bits; }
            if (service == POLICY_SUBMISSION && !f.is_authenticated) { EXPECT_FALSE(policy_accepts(policy_sender(&f))); }
        }
    }
}

TEST(Policy, EveryTextIsOneLineOfAscii)
{
    for (unsigned i = 0; i < POLICY_SAY_COUNT; i++) {
        policy_verdict v = policy_verdict_of(static_cast<policy_text>(i));
        EXPECT_GE(v.code, 200u);
        EXPECT_LT(v.code, 600u);
        EXPECT_GT(v.text.len, 0u);
        for (size_t k = 0; k < v.text.len; k++) EXPECT_TRUE(v.text.ptr[k] >= 32 && v.text.ptr[k] < 127);
    }
}

TEST(Policy, ErrorsKeepTheirClass)
{
    for (unsigned number = 0; number < 20; number++) {
        struct err err = err_make(err_code_of(number), "test");
        for (bool permanent : {false, true}) {
            unsigned digit = policy_of_err(err, permanent).code / 100u;
            if (err_class(err) == ERR_NONE) { EXPECT_EQ(2u, digit); }
            if (err_class(err) == ERR_TEMPORARY || err_class(err) == ERR_GONE) { EXPECT_EQ(4u, digit) << number; }
            if (err_class(err) == ERR_PERMANENT && err.code != ERR_QUOTA) { EXPECT_EQ(5u, digit) << number; }
        }
    }
    EXPECT_EQ("452 2.2", Shown(policy_of_err(err_make(ERR_QUOTA, "test"), false)));
    EXPECT_EQ("552 2.2", Shown(policy_of_err(err_make(ERR_QUOTA, "test"), true)));
}

TEST(Policy, SizesSayTheLimit)
{
    const struct { uint64_t a, b, max; } rows[] = { {0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {5, 6, 5}, {6, 5, 5}, {UINT64_MAX, 1, 1} };
    for (const auto &row : rows) EXPECT_EQ(row.max, policy_size_max(row.a, row.b));
    char text[POLICY_SIZE_TEXT_BYTES];
    for (uint64_t max : {uint64_t{1}, UINT64_MAX}) {
        auto verdict = policy_size(max, text);
        EXPECT_EQ("552 3.4", Shown(verdict));
        EXPECT_NE(std::string::npos, std::string(verdict.text.ptr, verdict.text.len).find(" " + std::to_string(max) + " bytes"));
    }
    EXPECT_EQ("554 4.6", Shown(policy_of_err(err_make(ERR_LOOP, "x"), false)));
}

}  // namespace

// From a directory's entries and a domain's users to what is to be done.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "arena.h"
#include "mapping_ldap.h"
#include "sync_plan.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.len == 0 ? "" : s.ptr, s.len); }

struct Entry {
    std::string dn, name, full_name;
    std::vector<std::string> addresses;
    bool is_too_big = false;
};
struct Account {
    std::string address, dn, full_name;
    bool enabled = true, gone = false;
};
using Lines = std::vector<std::string>;

// What is to be done, and after "not" what does not become a user; in order.
Lines Plan(const std::vector<Entry> &entries, const std::vector<Account> &accounts)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct span also[] = { SPAN_INIT("alias.lab") };
    struct sync_rules rules = { SPAN_INIT("corp.lab"), also, 1, true, '+' };
    std::vector<std::vector<struct span>> addresses(entries.size());
    std::vector<mapping_entry> found;
    for (size_t i = 0; i < entries.size(); i++) {
        for (const auto &address : entries[i].addresses) addresses[i].push_back(S(address));
        found.push_back({ S(entries[i].dn), S(entries[i].name), S(entries[i].full_name), addresses[i].data(), addresses[i].size(),
                          entries[i].is_too_big });
    }
    std::vector<sync_account> users;
    for (const auto &a : accounts) users.push_back({ S(a.address), S(a.dn), S(a.full_name), a.enabled, a.gone });
    users.reserve(1);
    struct sync_input input = { &rules, found.data(), found.size(), users.data(), users.size() };
    struct sync_plan plan;
    EXPECT_EQ(ERR_OK, sync_plan_make(&input, &arena, &plan).code);
    const char *const kinds[] = { "make ", "change ", "gone " };
    Lines lines;
    for (size_t i = 0; i < plan.changes_count; i++) {
        const auto &c = plan.changes[i];
        lines.push_back(kinds[c.kind] + Str(c.address) + " " + Str(c.dn) + " " + Str(c.full_name) + (c.is_back ? " back" : ""));
    }
    for (size_t i = 0; i < plan.refusals_count; i++) lines.push_back("not " + Str(plan.refusals[i].dn) + ": " + plan.refusals[i].why);
    arena_clear(&arena);
    return lines;
}

TEST(SyncPlan, UsersAreMadeChangedAndDisabled)
{
    EXPECT_EQ(Lines({}), Plan({}, {}));
    // In order of addresses; nothing is done twice.
    EXPECT_EQ(Lines({ "make anna@corp.lab cn=a Anna", "make bert@corp.lab cn=b Bert" }),
              Plan({ { "cn=b", "bert", "Bert", {} }, { "cn=a", "x", "Anna", { "anna@corp.lab" } } }, {}));
    EXPECT_EQ(Lines({}), Plan({ { "cn=a", "anna", "Anna", {} } }, { { "anna@corp.lab", "cn=a", "Anna" } }));
    // A new DN, a new name; a name that is not there any more stays.
    EXPECT_EQ(Lines({ "change anna@corp.lab cn=new Anna" }), Plan({ { "cn=new", "anna", "Anna", {} } }, { { "anna@corp.lab", "cn=a", "Anna" } }));
    EXPECT_EQ(Lines({ "change anna@corp.lab cn=a Anne" }), Plan({ { "cn=a", "anna", "Anne", {} } }, { { "anna@corp.lab", "cn=a", "Anna" } }));
    EXPECT_EQ(Lines({}), Plan({ { "cn=a", "anna", "", {} } }, { { "anna@corp.lab", "cn=a", "Anna" } }));
    EXPECT_EQ(Lines({ "gone anna@corp.lab cn=a Anna" }), Plan({}, { { "anna@corp.lab", "cn=a", "Anna" } }));
    EXPECT_EQ(Lines({}), Plan({}, { { "anna@corp.lab", "cn=a", "Anna", false, true } }));
    EXPECT_EQ(Lines({ "change anna@corp.lab cn=a Anna back" }), Plan({ { "cn=a", "anna", "Anna", {} } }, { { "anna@corp.lab", "cn=a", "Anna", false, true } }));
}

TEST(SyncPlan, WhatAnAdministratorDidStays)
{
    // Disabled here: stays so, with and without an entry.
    EXPECT_EQ(Lines({}), Plan({ { "cn=a", "anna", "Anna", {} } }, { { "anna@corp.lab", "cn=a", "Anna", false } }));
    EXPECT_EQ(Lines({}), Plan({}, { { "anna@corp.lab", "cn=a", "Anna", false } }));
    // Made here: neither taken over nor disabled.
    EXPECT_EQ(Lines({ "not cn=a: a user who was made here has its address" }), Plan({ { "cn=a", "anna", "Anna", {} } }, { { "anna@corp.lab", "", "Other" } }));
    EXPECT_EQ(Lines({}), Plan({}, { { "anna@corp.lab", "", "Anna" } }));
}

TEST(SyncPlan, TheAddressOfAnEntry)
{
    const struct { const char *name; std::vector<std::string> addresses; const char *address; } cases[] = {
        { "anna", {}, "anna@corp.lab" },
        { "Anna", {}, "anna@corp.lab" },
        { "anna", { "z@corp.lab", "b@corp.lab" }, "b@corp.lab" },
        { "anna", { "b@corp.lab", "anna@corp.lab" }, "anna@corp.lab" },
        { "anna", { "B@ALIAS.lab" }, "b@corp.lab" },
        { "anna", { "b+sub@corp.lab" }, "b@corp.lab" },
        { "anna", { "anna@other.lab", "c@corp.lab" }, "c@corp.lab" },
        { "anna@corp.lab", {}, "anna@corp.lab" },
        { "anna", { "nonsense", "c@corp.lab" }, "c@corp.lab" },
        // Nobody here: no word about it.
        { "anna", { "anna@other.lab" }, nullptr },
        { "anna", { "anna@sub.corp.lab" }, nullptr },
    };
    for (const auto &c : cases) {
        Lines expected;
        if (c.address != nullptr) expected.push_back(std::string("make ") + c.address + " cn=a A");
        EXPECT_EQ(expected, Plan({ { "cn=a", c.name, "A", c.addresses } }, {})) << c.name;
    }
}

TEST(SyncPlan, BadEntries)
{
    const std::string none = "its address is none", nothing = "it has neither an address in the domain nor a usable name";
    const struct { Entry entry; std::string why; } cases[] = {
        { { "cn=a", "anna", "A", { "nonsense" } }, none },
        { { "cn=a", "anna", "A", { std::string(70, 'x') + "@corp.lab" } }, none },
        { { "cn=a", "", "A", {} }, nothing },
        { { "cn=a", "anna@other.lab", "A", {} }, nothing },
        { { "cn=a", std::string(70, 'x'), "A", {} }, nothing },
        { { "cn=\xff", "anna", "A", {} }, "its DN is not UTF-8" },
        { { "", "anna", "A", {} }, "its DN is not UTF-8" },
        { { "cn=a", "anna", "A", { "anna@corp.lab" }, true }, "its DN, a value or the number of addresses is over a bound" },
    };
    for (const auto &c : cases) EXPECT_EQ(Lines({ "not " + c.entry.dn + ": " + c.why }), Plan({ c.entry }, {})) << c.why;
    // A full name is cut, or left out when it is none.
    EXPECT_EQ(Lines({ "make anna@corp.lab cn=a " + std::string(SYNC_FULL_NAME_MAX_BYTES, 'n') }), Plan({ { "cn=a", "anna", std::string(300, 'n'), {} } }, {}));
    EXPECT_EQ(Lines({ "make anna@corp.lab cn=a " }), Plan({ { "cn=a", "anna", "\xff", {} } }, {}));
}

TEST(SyncPlan, NobodyBecomesAnothersHeir)
{
    const std::string same = ": another entry has the same address";
    std::vector<Entry> two = { { "cn=a", "anna", "Anna", {} }, { "cn=b", "bert", "Bert", { "anna@corp.lab" } } };
    // Of two new ones neither is it.
    EXPECT_EQ(Lines({ "not cn=a" + same, "not cn=b" + same }), Plan(two, {}));
    // The one that it is stays, whichever comes first, and is not gone.
    EXPECT_EQ(Lines({ "not cn=b" + same }), Plan(two, { { "anna@corp.lab", "cn=a", "Anna" } }));
    EXPECT_EQ(Lines({ "not cn=a" + same }), Plan(two, { { "anna@corp.lab", "cn=b", "Bert" } }));
    EXPECT_EQ(Lines({ "not cn=a" + same, "not cn=b" + same }), Plan(two, { { "anna@corp.lab", "cn=c", "Carl" } }));
}

TEST(SyncPlan, Many)
{
    std::vector<Entry> entries;
    std::vector<Account> accounts;
    for (int i = 0; i < 3000; i++) {
        std::string name = "u" + std::to_string(i);
        if (i % 3 != 0) entries.push_back({ "cn=" + name, name, name, {} });
        if (i % 3 != 1) accounts.push_back({ name + "@corp.lab", "cn=" + name, name });
    }
    std::reverse(entries.begin(), entries.end());
    Lines lines = Plan(entries, accounts);
    EXPECT_EQ(2000u, lines.size());
    EXPECT_EQ(1000, std::count_if(lines.begin(), lines.end(), [](const std::string &line) { return line.rfind("make ", 0) == 0; }));
    EXPECT_EQ(1000, std::count_if(lines.begin(), lines.end(), [](const std::string &line) { return line.rfind("gone ", 0) == 0; }));
}

} // namespace

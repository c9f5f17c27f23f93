// Where mail to an address goes, asked of a real storage node: every kind of address, loops and limits, what is
// no address, a directory that gives no answer.
#include "node_fixture.h"

#include "directory.h"
#include "directory_resolve.h"

namespace {

using Texts = std::vector<std::string>;

class Resolve : public NodeTest {
protected:
    struct Answer {
        bool done = false;
        enum err_code code = ERR_OK;
        int kind = -1;
        uint32_t tenant = 0;
        std::string canonical;
        Texts targets, outside; // a target is followed by what is special of it
        struct directory_resolve *resolve = nullptr;

        static void Done(void *holder, struct err err, const struct directory_resolution *found)
        {
            auto *self = static_cast<Answer *>(holder);
            EXPECT_FALSE(self->done);
            EXPECT_EQ(err.code != ERR_OK, found == nullptr);
            self->done = true;
            self->code = err.code;
            if (found == nullptr) return;
            self->kind = found->kind;
            self->tenant = found->tenant;
            self->canonical = Str(found->canonical);
            for (size_t i = 0; i < found->targets_count; i++) {
                const auto &target = found->targets[i];
                self->targets.push_back(Str(target.address) + (target.disabled ? " disabled" : "") +
                                        (target.over_quota ? " full" : ""));
            }
            for (size_t i = 0; i < found->outside_count; i++) self->outside.push_back(Str(found->outside[i].address));
        }
    };
    struct directory_resolver resolver = {};

    void SetUp() override
    {
        NodeTest::SetUp();
        ASSERT_EQ(ERR_OK, directory_new(1, &resolver.directory).code);
        Add(R"({"name":"a.test","tenant":1,"also":["b.test"],"subaddress":"+","aliases":[
            {"pattern":"?ime","targets":["joe@a.test","clock@out.test"]},{"pattern":"dead*","targets":["nobody@a.test"]}]})");
        Add(R"({"name":"c.test","tenant":2})");
        Add(R"({"name":"all.test","tenant":1,"aliases":[{"pattern":"*","targets":["joe@a.test"]}]})");
        resolver.loop = loop;
        resolver.route = route;
        resolver.deadline_ms = 10000;
        ASSERT_EQ(ERR_OK, directory_resolver_init(&resolver).code);
        PutAccount(1, "joe@a.test");
        PutAccount(2, "ann@a.test", 1, [](store_account *account) { account->state = STORE_ACCOUNT_DISABLED; });
        PutAccount(3, "full@a.test", 1, [](store_account *account) { account->quota_items = 1; });
        PutAccount(4, "eve@c.test", 2);
    }
    void TearDown() override
    {
        directory_resolver_free(&resolver);
        directory_unref(resolver.directory);
        NodeTest::TearDown();
    }
    void Add(const std::string &json)
    {
        struct span why = {};
        ASSERT_EQ(ERR_OK, directory_add(resolver.directory, S(json), &why).code) << Str(why);
    }
    enum err_code Start(Answer *answer, const std::string &local, const std::string &domain)
    {
        auto code = directory_resolve_start(&resolver, S(local), S(domain), Answer::Done, answer, &answer->resolve).code;
        EXPECT_FALSE(answer->done); // never within the start
        return code;
    }
    Answer Ask(const std::string &local, const std::string &domain)
    {
        Answer answer;
        EXPECT_EQ(ERR_OK, Start(&answer, local, domain));
        Until([&] { return answer.done; });
        return answer;
    }
    Answer Ask(const std::string &address) // at its last '@'
    {
        size_t at = address.rfind('@');
        return Ask(address.substr(0, at), address.substr(at + 1));
    }
};

TEST_F(Resolve, EachAddressLeadsWhereItShould)
{
    EXPECT_EQ(ERR_OK, Append(3, "INBOX", "x\r\n")->err.code);
    PutAddress("post@a.test", STORE_ADDRESS_ALIAS, 0, { "joe@a.test", "x@out.test" });
    PutAddress("team@a.test", STORE_ADDRESS_GROUP, 0, { "joe@a.test", "JOE+work@b.test", "ann@a.test", "full@a.test", "eve@c.test", "x@out.test" });
    PutAddress("teams@a.test", STORE_ADDRESS_GROUP, 0, { "team@a.test", "post@a.test", "team@a.test", "X@Out.Test" });
    PutAddress("room@a.test", STORE_ADDRESS_RESOURCE, 1);
    PutAddress("ring1@a.test", STORE_ADDRESS_ALIAS, 0, { "ring2@a.test" });
    PutAddress("ring2@a.test", STORE_ADDRESS_ALIAS, 0, { "ring1@a.test", "joe@a.test" });
    PutAddress("dog@a.test", STORE_ADDRESS_GROUP, 0, { "dog@a.test" });
    PutAddress("empty@a.test", STORE_ADDRESS_GROUP, 0);
    PutAddress("junk@a.test", STORE_ADDRESS_ALIAS, 0, { "nonsense", "@", "@a.test", "joe@", "joe@-.-", "joe@a.test" });
    PutAddress("soon@a.test", STORE_ADDRESS_ACCOUNT, 1, {}, 1, STORE_ADDRESS_RESERVED);
    PutAddress("lost@a.test", STORE_ADDRESS_ACCOUNT, 4711);
    PutAddress("theirs@a.test", STORE_ADDRESS_ACCOUNT, 1, {}, 2); // a row of another tenant
    const Texts all = { "joe@a.test", "ann@a.test disabled", "full@a.test full", "eve@c.test" }, none;
    const struct { const char *address; int kind; Texts targets, outside; const char *canonical; } cases[] = {
        { "joe@a.test", DIRECTORY_ACCOUNT, { "joe@a.test" }, {}, "joe@a.test" },
        { "JOE+lists@B.Test", DIRECTORY_ACCOUNT, { "joe@a.test" }, {}, "joe@a.test" },
        { "ann@a.test", DIRECTORY_ACCOUNT, { "ann@a.test disabled" }, {}, "ann@a.test" },
        { "full@a.test", DIRECTORY_ACCOUNT, { "full@a.test full" }, {}, "full@a.test" },
        { "eve@c.test", DIRECTORY_ACCOUNT, { "eve@c.test" }, {}, "eve@c.test" },
        { "room@a.test", DIRECTORY_ACCOUNT, { "room@a.test" }, {}, "room@a.test" },
        { "post@a.test", DIRECTORY_ALIAS, { "joe@a.test" }, { "x@out.test" }, "post@a.test" },
        { "time@a.test", DIRECTORY_ALIAS, { "joe@a.test" }, { "clock@out.test" }, "time@a.test" },
        { "nobody@all.test", DIRECTORY_ALIAS, { "joe@a.test" }, {}, "nobody@all.test" },
        { "team@a.test", DIRECTORY_GROUP, all, { "x@out.test" }, "team@a.test" },
        { "teams@a.test", DIRECTORY_GROUP, all, { "X@out.test", "x@out.test" }, "teams@a.test" },
        { "ring1@a.test", DIRECTORY_ALIAS, { "joe@a.test" }, {}, "ring1@a.test" },
        { "junk@a.test", DIRECTORY_ALIAS, { "joe@a.test" }, {}, "junk@a.test" },
        { "Somebody@Out.Test", DIRECTORY_NOT_LOCAL, {}, { "Somebody@out.test" }, "Somebody@out.test" },
        // Nobody: no row, no end, nothing behind it, nothing yet, nothing any more, another tenant's.
        { "nobody@a.test", DIRECTORY_NOBODY, {}, {}, "nobody@a.test" },
        { "deadend@a.test", DIRECTORY_NOBODY, {}, {}, "deadend@a.test" },
        { "dog@a.test", DIRECTORY_NOBODY, {}, {}, "dog@a.test" },
        { "empty@a.test", DIRECTORY_NOBODY, {}, {}, "empty@a.test" },
        { "soon@a.test", DIRECTORY_NOBODY, {}, {}, "soon@a.test" },
        { "lost@a.test", DIRECTORY_NOBODY, {}, {}, "lost@a.test" },
        { "theirs@a.test", DIRECTORY_NOBODY, {}, {}, "theirs@a.test" },
        { "joe@c.test", DIRECTORY_NOBODY, {}, {}, "joe@c.test" },
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(c.address);
        auto answer = Ask(c.address);
        EXPECT_EQ(ERR_OK, answer.code);
        EXPECT_EQ(c.kind, answer.kind);
        EXPECT_EQ(c.targets, answer.targets);
        EXPECT_EQ(c.outside, answer.outside);
        EXPECT_EQ(c.canonical, answer.canonical);
    }
    EXPECT_EQ(1u, Ask("team@a.test").tenant);
    EXPECT_EQ(2u, Ask("eve@c.test").tenant);
}

TEST_F(Resolve, WhatIsNoAddressIsNobody)
{
    const struct { std::string local, domain; } cases[] = {
        { "", "a.test" }, { "joe", "" }, { "", "" }, { "joe", "-" }, { "joe", "a test" }, { "joe", "a..test" },
        { std::string(65, 'x'), "a.test" }, { "joe", std::string(256, 'a') }, { "\xff\xfe", "a.test" },
        { "joe", std::string("a.test\0", 7) },
    };
    for (const auto &c : cases) {
        auto answer = Ask(c.local, c.domain);
        EXPECT_EQ(ERR_OK, answer.code);
        EXPECT_EQ(DIRECTORY_NOBODY, answer.kind) << c.local << "@" << c.domain;
        EXPECT_TRUE(answer.targets.empty() && answer.outside.empty());
    }
}

// For a tenant's administrator: nothing is told of where another tenant's names lead.
TEST_F(Resolve, WithinATenantOthersAreElsewhere)
{
    PutAddress("secret@c.test", STORE_ADDRESS_GROUP, 0, { "eve@c.test", "spy@out.test" }, 2);
    PutAddress("post@a.test", STORE_ADDRESS_ALIAS, 0, { "joe@a.test", "secret@c.test" });
    const struct { uint32_t within; const char *local, *domain; int kind; Texts targets, outside; } cases[] = {
        { 0, "post", "a.test", DIRECTORY_ALIAS, { "joe@a.test", "eve@c.test" }, { "spy@out.test" } },
        { 1, "post", "a.test", DIRECTORY_ALIAS, { "joe@a.test" }, { "secret@c.test" } },
        { 1, "secret", "c.test", DIRECTORY_NOT_LOCAL, {}, { "secret@c.test" } },
        { 1, "nobody", "c.test", DIRECTORY_NOT_LOCAL, {}, { "nobody@c.test" } },
    };
    for (const auto &c : cases) {
        Answer answer;
        ASSERT_EQ(ERR_OK, Start(&answer, c.local, c.domain));
        directory_resolve_within(answer.resolve, c.within);
        Until([&] { return answer.done; });
        EXPECT_EQ(c.kind, answer.kind);
        EXPECT_EQ(c.targets, answer.targets);
        EXPECT_EQ(c.outside, answer.outside);
    }
}

// Who forwards keeps nothing, unless he says so or nobody would have it.
TEST_F(Resolve, AccountsForward)
{
    uint64_t number = 50;
    auto forwards = [&](const std::string &address, const Texts &to, bool keep = false, bool domain_only = false, bool disabled = false) {
        std::vector<span> spans;
        for (auto &text : to) spans.push_back(S(text));
        PutAccount(number++, address, 1, [&](store_account *account) {
            account->forward = spans.data(), account->forward_count = spans.size(), account->forward_keep = keep;
            account->domain_only = domain_only, account->state = disabled ? STORE_ACCOUNT_DISABLED : STORE_ACCOUNT_ACTIVE;
        });
    };
    forwards("out@a.test", { "x@out.test", "y@out.test" });
    forwards("both@a.test", { "x@out.test" }, true);
    forwards("in@a.test", { "joe@a.test" });
    forwards("chain@a.test", { "in@a.test" });
    forwards("ring1@a.test", { "ring2@a.test" });
    forwards("ring2@a.test", { "ring3@a.test" });
    forwards("ring3@a.test", { "ring1@a.test" });
    forwards("self@a.test", { "self@a.test" });
    forwards("lost@a.test", { "nobody@a.test", "nonsense" });
    forwards("half@a.test", { "nobody@a.test", "joe@a.test" });
    forwards("off@a.test", { "x@out.test" }, false, false, true);
    forwards("shut@a.test", { "x@out.test", "joe@a.test" }, false, true);
    forwards("shutout@a.test", { "x@out.test", "eve@c.test" }, false, true);
    PutAddress("rings@a.test", STORE_ADDRESS_GROUP, 0, { "ring1@a.test", "ring2@a.test", "joe@a.test" });
    PutAddress("outs@a.test", STORE_ADDRESS_GROUP, 0, { "out@a.test", "both@a.test", "in@a.test" });
    const struct { const char *address; Texts targets, outside; } cases[] = {
        { "out@a.test", {}, { "x@out.test", "y@out.test" } },
        { "both@a.test", { "both@a.test" }, { "x@out.test" } },
        { "in@a.test", { "joe@a.test" }, {} },
        { "chain@a.test", { "joe@a.test" }, {} },
        { "ring1@a.test", { "ring3@a.test" }, {} },
        { "ring2@a.test", { "ring1@a.test" }, {} },
        { "self@a.test", { "self@a.test" }, {} },
        { "lost@a.test", { "lost@a.test" }, {} },
        { "half@a.test", { "joe@a.test" }, {} },
        { "off@a.test", { "off@a.test disabled" }, {} },
        { "shut@a.test", { "joe@a.test" }, {} },
        { "shutout@a.test", { "shutout@a.test" }, {} },
        { "rings@a.test", { "joe@a.test", "ring3@a.test" }, {} },
        { "outs@a.test", { "both@a.test", "joe@a.test" }, { "x@out.test", "y@out.test" } },
    };
    for (const auto &c : cases) {
        auto answer = Ask(c.address);
        EXPECT_EQ(ERR_OK, answer.code);
        EXPECT_EQ(c.targets, answer.targets) << c.address;
        EXPECT_EQ(c.outside, answer.outside) << c.address;
    }
}

// Whom nobody here has, and all of a domain, at its other server; as the client wrote it.
TEST_F(Resolve, DomainsHaveOtherServers)
{
    Add(R"({"name":"split.test","tenant":1,"also":["alias.test"],"subaddress":"+","forward_host":"mx.other.test","aliases":[
        {"pattern":"?ime","targets":["joe@a.test"]}]})");
    Add(R"({"name":"whole.test","tenant":1,"forward_host":"192.0.2.1:2525","forward_all":true})");
    PutAccount(60, "ann@split.test");
    PutAccount(61, "ann@whole.test");
    PutAddress("post@a.test", STORE_ADDRESS_ALIAS, 0, { "Other+x@split.test", "ann@split.test" });
    const struct { const char *address; int kind; Texts targets, outside; } cases[] = {
        { "ann@split.test", DIRECTORY_ACCOUNT, { "ann@split.test" }, {} },
        { "Ann+x@alias.test", DIRECTORY_ACCOUNT, { "ann@split.test" }, {} },
        { "time@split.test", DIRECTORY_ALIAS, { "joe@a.test" }, {} },
        { "Bob+X@Split.Test", DIRECTORY_FORWARDED, {}, { "Bob+X@split.test" } },
        { "bob@alias.test", DIRECTORY_FORWARDED, {}, { "bob@split.test" } },
        { "post@a.test", DIRECTORY_ALIAS, { "ann@split.test" }, { "other@split.test" } },
        { "ann@whole.test", DIRECTORY_FORWARDED, {}, { "ann@whole.test" } },
        { "bob@a.test", DIRECTORY_NOBODY, {}, {} },
    };
    for (const auto &c : cases) {
        auto answer = Ask(c.address);
        EXPECT_EQ(c.kind, answer.kind) << c.address;
        EXPECT_EQ(c.targets, answer.targets) << c.address;
        EXPECT_EQ(c.outside, answer.outside) << c.address;
    }
    Answer sender; // whose address it is, wherever his mail goes
    ASSERT_EQ(ERR_OK, Start(&sender, "ann", "whole.test"));
    directory_resolve_here(sender.resolve);
    Until([&] { return sender.done; });
    EXPECT_EQ(DIRECTORY_ACCOUNT, sender.kind);
    EXPECT_EQ(Texts{ "ann@whole.test" }, sender.targets);
}

TEST_F(Resolve, ItEndsAtItsLimits)
{
    Texts outside, local;
    for (int i = 0; i < 1001; i++) outside.push_back("x" + std::to_string(i) + "@out.test");
    PutAddress("many@a.test", STORE_ADDRESS_GROUP, 0, Texts(outside.begin(), outside.end() - 1));
    auto answer = Ask("many@a.test");
    EXPECT_EQ(DIRECTORY_GROUP, answer.kind);
    EXPECT_EQ(1000u, answer.outside.size());
    PutAddress("more@a.test", STORE_ADDRESS_GROUP, 0, outside);
    answer = Ask("more@a.test");
    EXPECT_EQ(DIRECTORY_LOOP, answer.kind);
    EXPECT_TRUE(answer.targets.empty() && answer.outside.empty());
    // 70 accounts are more than lie in the resolve itself.
    for (int i = 0; i < 70; i++) {
        std::string name = "u" + std::to_string(i) + "@c.test";
        PutAccount(100 + static_cast<uint64_t>(i), name, 2);
        local.push_back(name);
    }
    PutAddress("people@c.test", STORE_ADDRESS_GROUP, 0, local, 2);
    answer = Ask("people@c.test");
    EXPECT_EQ(local, answer.targets);
    // More addresses than are looked at for one.
    Texts nobody;
    for (int i = 0; i < 2001; i++) nobody.push_back("n" + std::to_string(i) + "@a.test");
    PutAddress("flood@a.test", STORE_ADDRESS_GROUP, 0, nobody);
    answer = Ask("flood@a.test");
    EXPECT_EQ(ERR_OK, answer.code);
    EXPECT_EQ(DIRECTORY_LOOP, answer.kind);
}

TEST_F(Resolve, AnAccountIsRememberedForAWhileAndNoLonger)
{
    const std::string longest = std::string(64, 'l') + "@" + std::string(60, 'd') + ".test";
    Add(R"({"name":")" + longest.substr(65) + R"(","tenant":1})");
    PutAccount(50, longest);
    auto disable = [&](uint64_t number, const std::string &name, uint64_t version) {
        std::string operation = Operation();
        store_account_set_request set = {};
        set.operation_id = S(operation);
        set.has_account = true;
        set.account.tenant = 1;
        set.account.account = number;
        set.account.address = S(name);
        set.account.state = STORE_ACCOUNT_DISABLED;
        set.if_version = version;
        ASSERT_EQ(ERR_OK, NodeTest::Ask(STORE_METHOD_ACCOUNT_SET, set)->err.code);
    };
    resolver.cache_ms = 3600 * 1000;
    EXPECT_EQ(Texts{ "joe@a.test" }, Ask("joe@a.test").targets);
    EXPECT_EQ(Texts{ longest }, Ask(longest).targets);
    disable(1, "joe@a.test", 1);
    disable(50, longest, 1);
    auto answer = Ask("joe@a.test");
    EXPECT_EQ(DIRECTORY_ACCOUNT, answer.kind);
    EXPECT_EQ(Texts{ "joe@a.test" }, answer.targets);
    EXPECT_EQ(Texts{ longest + " disabled" }, Ask(longest).targets); // too long to be remembered
    directory_resolver_free(&resolver);
    ASSERT_EQ(ERR_OK, directory_resolver_init(&resolver).code);
    resolver.cache_ms = 0;
    EXPECT_EQ(Texts{ "joe@a.test disabled" }, Ask("joe@a.test").targets);
}

TEST_F(Resolve, ADirectoryWithoutAnAnswerIsATemporaryError)
{
    CloseNode();
    resolver.deadline_ms = 60;
    for (const char *address : { "joe@a.test", "time@a.test", "nobody@all.test" }) {
        auto answer = Ask(address);
        EXPECT_TRUE(answer.code == ERR_UNREACHABLE || answer.code == ERR_TIMEOUT) << answer.code;
    }
    EXPECT_EQ(DIRECTORY_NOT_LOCAL, Ask("x@out.test").kind); // nobody has to be asked
}

TEST_F(Resolve, ACancelledOneIsNotAnswered)
{
    PutAddress("post@a.test", STORE_ADDRESS_ALIAS, 0, { "joe@a.test", "eve@c.test" });
    for (int turns = 0; turns < 12; turns++) {
        Answer answer;
        ASSERT_EQ(ERR_OK, Start(&answer, "post", "a.test"));
        for (int i = 0; i < turns && !answer.done; i++) loop_step(loop, 5);
        if (answer.done) continue;
        directory_resolve_cancel(answer.resolve);
        Turn(20);
        Ask("joe@a.test");
        EXPECT_FALSE(answer.done) << turns;
    }
    directory_resolve_cancel(nullptr);
}

}  // namespace

// Tally over a unix socket, answered by a real node: what it counts, whose keys it takes, and what AddressGet says
// of a log-in.
#include "node_fixture.h"

#include "tally.h"

namespace {

class StoreTally : public NodeTest {
protected:
    const std::string owner = std::string(16, 'o');
    std::vector<store_tally_item> items;

    void SetUp() override
    {
        NodeTest::SetUp();
        PutAccount(77, "u@example.org");
    }
    static store_tally_item Failure(struct span key, uint32_t add, uint32_t limit = 3)
    {
        store_tally_item item = {};
        item.kind = STORE_TALLY_LOGIN_USER, item.tenant = 1, item.key = key, item.add = add, item.limit = limit;
        item.window_ms = 60000, item.hold_ms = 300000;
        return item;
    }
    static store_tally_item Connection(struct span key, uint32_t open, uint32_t more)
    {
        store_tally_item item = {};
        item.kind = STORE_TALLY_CONNECTIONS_IMAP, item.key = key, item.open = open, item.more = more, item.limit = 2;
        return item;
    }
    std::unique_ptr<store_call> Tally(unsigned slot, std::vector<store_tally_item> all)
    {
        items = all;
        store_tally_request request = {};
        request.slot = slot, request.owner = S(owner), request.lease_ms = 30000;
        request.items = items.data(), request.items_count = items.size();
        return Ask(STORE_METHOD_TALLY, request);
    }
    store_address_reply Address(const std::string &address, bool login)
    {
        store_address_get_request get = {};
        get.tenant = 1, get.address = S(address), get.login = login;
        auto call = Ask(STORE_METHOD_ADDRESS_GET, get);
        EXPECT_EQ(ERR_OK, call->err.code);
        return call->Reply<store_address_reply>();
    }
};

TEST_F(StoreTally, ABatchIsAnsweredInItsOrder)
{
    struct span key = SPAN("u@example.org");
    unsigned slot = slot_of_name(key);
    auto call = Tally(slot, { Failure(key, 1), Connection(key, 0, 3), Failure(key, 1), Failure(key, 1), Failure(key, 1) });
    ASSERT_EQ(ERR_OK, call->err.code);
    auto &reply = call->Reply<store_tally_reply>();
    ASSERT_EQ(5u, reply.answers_count);
    const struct { uint32_t count, granted; uint64_t held; bool began; } want[] = {
        { 1, 0, 0, false }, { 2, 2, 0, false }, { 2, 0, 0, false }, { 3, 0, 300000, true }, { 3, 0, 300000, false },
    };
    for (size_t i = 0; i < 5; i++) {
        EXPECT_EQ(0u, reply.answers[i].status) << i;
        EXPECT_EQ(want[i].count, reply.answers[i].count) << i;
        EXPECT_EQ(want[i].granted, reply.answers[i].granted) << i;
        EXPECT_EQ(want[i].held, reply.answers[i].held_ms) << i;
        EXPECT_EQ(want[i].began, reply.answers[i].began) << i;
    }
}

TEST_F(StoreTally, WhatIsRefused)
{
    struct span key = SPAN("u@example.org"), far = SPAN("");
    std::string text;
    for (int i = 0; far.len == 0; i++) { // a key of another shard
        text = "k" + std::to_string(i);
        if (slot_of_name(S(text)) / (SLOT_COUNT / kShards) != slot_of_name(key) / (SLOT_COUNT / kShards)) far = S(text);
    }
    unsigned slot = slot_of_name(key);
    EXPECT_EQ(ERR_MOVED, Tally(SLOT_COUNT, { Failure(key, 1) })->err.code);
    EXPECT_EQ(ERR_MOVED, Tally(UINT32_MAX, { Failure(key, 1) })->err.code);
    EXPECT_EQ(ERR_SYNTAX, Tally(slot, {})->err.code);
    EXPECT_EQ(ERR_SYNTAX, Tally(slot, std::vector<store_tally_item>(STORE_TALLY_ITEMS_MAX + 1, Failure(key, 0)))->err.code);
    EXPECT_EQ(ERR_OK, Tally(slot, std::vector<store_tally_item>(STORE_TALLY_ITEMS_MAX, Failure(key, 0)))->err.code);
    // One bad check does not spoil the others.
    auto bad = Failure(key, 1), good = Failure(key, 1);
    bad.kind = 99;
    auto call = Tally(slot, { bad, Failure(far, 1), good, Failure(SPAN(""), 1) });
    ASSERT_EQ(ERR_OK, call->err.code);
    auto &answers = call->Reply<store_tally_reply>().answers;
    EXPECT_EQ(uint32_t(ERR_SYNTAX), answers[0].status);
    EXPECT_EQ(uint32_t(ERR_MOVED), answers[1].status);
    EXPECT_EQ(0u, answers[2].status);
    EXPECT_EQ(1u, answers[2].count);
    EXPECT_NE(0u, answers[3].status);
}

TEST_F(StoreTally, ALogInHearsOfItsCounterWithTheAddress)
{
    for (const std::string address : { "u@example.org", "nobody@example.org" }) {
        EXPECT_EQ(0u, Address(address, true).login_failures) << address;
        Tally(slot_of_name(S(address)), { Failure(S(address), 2) });
        EXPECT_EQ(2u, Address(address, true).login_failures) << address;
        EXPECT_EQ(0u, Address(address, true).login_held_ms) << address;
        Tally(slot_of_name(S(address)), { Failure(S(address), 1) });
        EXPECT_LT(290000u, Address(address, true).login_held_ms) << address;
    }
    EXPECT_EQ(0u, Address("u@example.org", false).login_held_ms);
    EXPECT_EQ(77u, Address("u@example.org", true).account);
    EXPECT_EQ(0u, Address("nobody@example.org", true).account);
    // Another tenant's counter is another one.
    auto other = Failure(SPAN("u@example.org"), 0);
    other.tenant = 2;
    EXPECT_EQ(0u, Tally(slot_of_name(SPAN("u@example.org")), { other })->Reply<store_tally_reply>().answers[0].held_ms);
}

} // namespace

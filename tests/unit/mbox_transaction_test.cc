// Messages that a client sends again: known again when they should be, and only then.
#include "mbox_fixture.h"

namespace {
using namespace mbox_test;

constexpr uint64_t kHour = 3600 * 1000;

struct TransactionTest : ::testing::Test {
    void SetUp() override
    {
        for (uint64_t account : {1, 2, 3}) ASSERT_EQ(ERR_OK, shard.MakeAccount(account));
        shard.Apply();
    }
    // A transaction as intake makes it; what is made from its id is made in the same way each time.
    struct Taken {
        std::string id, key = std::string(32, 'k'), intake = std::string(16, 'i'), instead_of;
        uint32_t number = 1;
        uint64_t keep_ms = kHour;
        std::vector<uint64_t> accounts{1};
        std::string body = "stored body";
        bool is_queued = false;
    };
    Taken New(uint32_t number = 1)
    {
        Taken taken;
        taken.id = shard.Id();
        taken.number = number;
        return taken;
    }
    static std::string OperationOf(const Taken &taken, uint64_t account)
    {
        std::string id = taken.id;
        id[6] = char(account);
        return id;
    }
    static store_transaction Of(const Taken &taken)
    {
        store_transaction t = {};
        t.id = S(taken.id), t.key = S(taken.key), t.intake = S(taken.intake), t.number = taken.number;
        t.instead_of = S(taken.instead_of), t.keep_ms = taken.keep_ms;
        return t;
    }
    err_code Deliver(const Taken &taken, bool has_transaction = true)
    {
        std::string facts = Facts("again"), stamp = Stamp();
        std::vector<std::string> operations;
        for (uint64_t account : taken.accounts) operations.push_back(OperationOf(taken, account));
        std::vector<store_deliver_target> targets;
        for (size_t i = 0; i < taken.accounts.size(); i++) {
            store_deliver_target target = {};
            target.operation_id = S(operations[i]), target.tenant = 1, target.account = taken.accounts[i];
            target.mailbox = SPAN("INBOX");
            targets.push_back(target);
        }
        store_deliver_request request = {};
        request.targets = targets.data(), request.targets_count = targets.size();
        request.facts = S(facts), request.scan_stamp = S(stamp), request.size = uint32_t(taken.body.size());
        request.has_transaction = has_transaction, request.transaction = Of(taken);
        request.is_queued = taken.is_queued;
        struct body *b = shard.bodies.Make(taken.body);
        result = std::make_unique<Result>();
        auto code = shard.Change(STORE_METHOD_DELIVER, &request, result.get(), b);
        body_unref(b);
        return code;
    }
    const store_deliver_reply &Reply() { return result->Reply<store_deliver_reply>(); }
    // Whose repeat the store took it for; empty: nobody's, it was delivered.
    std::string Earlier() { return Reply().has_earlier ? Str(Reply().earlier.id) : ""; }
    err_code Put(const Taken &taken)
    {
        std::string facts = Facts("again"), stamp = Stamp();
        store_queue_recipient recipient = {};
        recipient.address = SPAN("joe@example.org");
        store_queue_put_request request = {};
        request.operation_id = S(taken.id), request.has_entry = true;
        request.entry.id = S(taken.id), request.entry.slot = 77;
        request.entry.facts = S(facts), request.entry.scan_stamp = S(stamp);
        request.entry.recipients = &recipient, request.entry.recipients_count = 1;
        request.has_transaction = true, request.transaction = Of(taken);
        result = std::make_unique<Result>();
        return shard.Change(STORE_METHOD_QUEUE_PUT, &request, result.get());
    }
    size_t Messages(uint64_t account)
    {
        size_t count = 0;
        shard.Apply();
        for (auto &[key, value] : shard.Rows()) {
            kv_owner owner;
            unsigned kind;
            span tail;
            if (kv_key_read(S(key), &owner, &kind, &tail).code != ERR_OK) continue;
            count += kind == KV_MESSAGE && owner.account == account;
        }
        return count;
    }
    size_t RowsOf(unsigned wanted)
    {
        size_t count = 0;
        shard.Apply();
        for (auto &[key, value] : shard.Rows()) {
            kv_owner owner;
            unsigned kind;
            span tail;
            count += kv_key_read(S(key), &owner, &kind, &tail).code == ERR_OK && kind == wanted;
        }
        return count;
    }
    void Trim(void (*of)(mbox_context *, mbox_result *))
    {
        for (bool more = true; more;) {
            Result trim;
            auto context = shard.Prepare();
            of(&context, &trim.r);
            more = trim.r.more;
            shard.Add(&trim);
        }
        shard.Apply();
    }
    void TrimTransactions()
    {
        Trim([](mbox_context *c, mbox_result *r) { ASSERT_EQ(ERR_OK, mbox_trim_transactions(c, r).code); });
    }
    void TrimOperations() // as the keeper does it
    {
        Trim([](mbox_context *c, mbox_result *r) { ASSERT_EQ(ERR_OK, mbox_trim_operations(c, c->time_ms - 2 * kHour, r).code); });
    }
    Shard shard;
    std::unique_ptr<Result> result;
};

TEST_F(TransactionTest, TheSameMessageIsNamedAndNotDelivered)
{
    auto first = New(7), second = New(8);
    ASSERT_EQ(ERR_OK, Deliver(first));
    EXPECT_EQ("", Earlier());
    ASSERT_EQ(ERR_OK, Deliver(second)); // while the first is on its way, and after
    EXPECT_EQ(first.id, Earlier());
    shard.Apply();
    ASSERT_EQ(ERR_OK, Deliver(second));
    EXPECT_EQ(first.id, Earlier());
    EXPECT_EQ(first.intake, Str(Reply().earlier.intake));
    EXPECT_EQ(7u, Reply().earlier.number);
    EXPECT_EQ(0u, Reply().results_count);
    EXPECT_EQ(0u, result->r.batches_count);
    EXPECT_EQ(1u, Messages(1));
}

TEST_F(TransactionTest, OnPurposeItIsDeliveredAgain)
{
    auto first = New(1), second = New(2), third = New(3);
    ASSERT_EQ(ERR_OK, Deliver(first));
    second.instead_of = first.id;
    ASSERT_EQ(ERR_OK, Deliver(second));
    EXPECT_EQ("", Earlier());
    third.instead_of = first.id; // known of the first, but there is another one now
    ASSERT_EQ(ERR_OK, Deliver(third));
    EXPECT_EQ(second.id, Earlier());
    third.instead_of = second.id;
    ASSERT_EQ(ERR_OK, Deliver(third));
    EXPECT_EQ("", Earlier());
    EXPECT_EQ(3u, Messages(1));
    EXPECT_EQ(1u, RowsOf(KV_TRANSACTION));
}

TEST_F(TransactionTest, ARepeatIsAnsweredAndItsOwnRepeatToo)
{
    auto first = New(1);
    ASSERT_EQ(ERR_OK, Deliver(first));
    auto again = first; // the id of the first, taken by another intake
    again.intake = std::string(16, 'j'), again.number = 5;
    ASSERT_EQ(ERR_OK, Deliver(again));
    EXPECT_EQ("", Earlier());
    ASSERT_EQ(1u, Reply().results_count);
    EXPECT_TRUE(Reply().results[0].duplicate);
    EXPECT_EQ(1u, Messages(1));
    ASSERT_EQ(ERR_OK, Deliver(New(9))); // that answer was lost as well
    EXPECT_EQ(first.id, Earlier());
    EXPECT_EQ(again.intake, Str(Reply().earlier.intake));
    EXPECT_EQ(5u, Reply().earlier.number);
    ASSERT_EQ(ERR_OK, Deliver(again)); // a call that is tried again writes nothing
    EXPECT_EQ(0u, result->r.batches_count);
}

TEST_F(TransactionTest, OverTheTurnOfTheHourAndUntilItsEnd)
{
    shard.now_ms = 472222 * kHour + kHour - 1000; // a second before the hour
    auto first = New(1);
    ASSERT_EQ(ERR_OK, Deliver(first));
    shard.now_ms += 2000;
    TrimOperations(), TrimTransactions();
    ASSERT_EQ(ERR_OK, Deliver(New(2)));
    EXPECT_EQ(first.id, Earlier());
    shard.now_ms += kHour - 2001; // the last moment
    TrimOperations(), TrimTransactions();
    ASSERT_EQ(ERR_OK, Deliver(New(3)));
    EXPECT_EQ(first.id, Earlier());
    auto repeat = first;
    repeat.number = 4;
    ASSERT_EQ(ERR_OK, Deliver(repeat));
    EXPECT_TRUE(Reply().results[0].duplicate); // the first answer is there as long
    EXPECT_EQ(1u, Messages(1));
    shard.now_ms += 1; // a repeat does not make it longer: the first answers may be gone
    TrimOperations(), TrimTransactions();
    ASSERT_EQ(ERR_OK, Deliver(New(5)));
    EXPECT_EQ("", Earlier());
    EXPECT_EQ(2u, Messages(1));
}

TEST_F(TransactionTest, WhatMakesItTheSame)
{
    auto first = New(1);
    ASSERT_EQ(ERR_OK, Deliver(first));
    auto other = New(2);
    other.key[31] = 'x';
    ASSERT_EQ(ERR_OK, Deliver(other));
    EXPECT_EQ("", Earlier());
    ASSERT_EQ(ERR_OK, Deliver(New(3), false)); // of ours: never known again
    EXPECT_EQ("", Earlier());
    auto empty = New(4);
    empty.key = "";
    ASSERT_EQ(ERR_OK, Deliver(empty));
    EXPECT_EQ("", Earlier());
    EXPECT_EQ(4u, Messages(1));
    EXPECT_EQ(2u, RowsOf(KV_TRANSACTION));
}

TEST_F(TransactionTest, WhatIsRefusedIsNotKept)
{
    auto refused = New(1);
    refused.accounts = {99};
    ASSERT_EQ(ERR_OK, Deliver(refused));
    EXPECT_EQ(unsigned(ERR_NOT_FOUND), Reply().results[0].status);
    EXPECT_EQ(0u, result->r.batches_count);
    EXPECT_EQ(0u, RowsOf(KV_TRANSACTION));
}

// A crash after the first of several batches: the repeat does what is missing, once.
TEST_F(TransactionTest, WhatACrashHasCutOffIsDoneByTheRepeat)
{
    auto first = New(1);
    first.accounts = {1, 2, 3};
    first.body = std::string(4 << 20, 'b');
    ASSERT_EQ(ERR_OK, Deliver(first));
    size_t batches = result->r.batches_count;
    ASSERT_GT(batches, 2u);
    shard.Crash();
    for (size_t cut = 0; cut < batches; cut++) {
        first = New(uint32_t(2 + cut));
        first.accounts = {1, 2, 3};
        first.body = std::string(4 << 20, 'b');
        first.key[0] = char('A' + cut);
        size_t before[] = {Messages(1), Messages(2), Messages(3)};
        ASSERT_EQ(ERR_OK, Deliver(first));
        shard.Apply(cut);
        shard.Crash();
        auto repeat = New(uint32_t(50 + cut));
        repeat.accounts = first.accounts, repeat.body = first.body, repeat.key = first.key;
        ASSERT_EQ(ERR_OK, Deliver(repeat));
        if (!Earlier().empty()) {
            EXPECT_EQ(first.id, Earlier());
            repeat.id = first.id;
            ASSERT_EQ(ERR_OK, Deliver(repeat));
        }
        ASSERT_EQ(3u, Reply().results_count);
        for (unsigned i = 0; i < 3; i++) {
            EXPECT_EQ(unsigned(ERR_OK), Reply().results[i].status);
            EXPECT_EQ(before[i] + 1, Messages(i + 1)) << "cut after " << cut;
        }
    }
}

TEST_F(TransactionTest, TheSameForQueueEntries)
{
    auto first = New(1), second = New(2);
    ASSERT_EQ(ERR_OK, Put(first));
    EXPECT_FALSE(result->Reply<store_queue_reply>().has_earlier);
    ASSERT_EQ(ERR_OK, Put(second));
    auto &named = result->Reply<store_queue_reply>();
    EXPECT_TRUE(named.has_earlier);
    EXPECT_FALSE(named.has_entry);
    EXPECT_EQ(first.id, Str(named.earlier.id));
    EXPECT_EQ(1u, RowsOf(KV_QUEUE));
    auto repeat = first;
    repeat.number = 3;
    ASSERT_EQ(ERR_OK, Put(repeat));
    EXPECT_TRUE(result->Reply<store_queue_reply>().has_entry);
    EXPECT_TRUE(result->r.duplicate);
    EXPECT_EQ(1u, RowsOf(KV_QUEUE));
    second.instead_of = first.id;
    ASSERT_EQ(ERR_OK, Put(second));
    EXPECT_TRUE(result->Reply<store_queue_reply>().has_entry);
    EXPECT_EQ(2u, RowsOf(KV_QUEUE));
}

TEST_F(TransactionTest, BadOnes)
{
    const struct { const char *what; void (*spoil)(Taken *); } cases[] = {
        {"short id", [](Taken *t) { t->id.pop_back(); }},
        {"long id", [](Taken *t) { t->id += 'x'; }},
        {"short key", [](Taken *t) { t->key.pop_back(); }},
        {"long key", [](Taken *t) { t->key += 'k'; }},
        {"no intake", [](Taken *t) { t->intake = ""; }},
        {"long intake", [](Taken *t) { t->intake += 'i'; }},
        {"number 0", [](Taken *t) { t->number = 0; }},
        {"instead of nothing", [](Taken *t) { t->instead_of = "x"; }},
        {"kept for no time", [](Taken *t) { t->keep_ms = 0; }},
        {"kept for ever", [](Taken *t) { t->keep_ms = MBOX_TRANSACTION_KEEP_MS_MAX + 1; }},
    };
    for (auto &c : cases) {
        auto taken = New(1);
        c.spoil(&taken);
        EXPECT_EQ(ERR_SYNTAX, Deliver(taken)) << c.what;
    }
    auto longest = New(1);
    longest.keep_ms = MBOX_TRANSACTION_KEEP_MS_MAX;
    EXPECT_EQ(ERR_OK, Deliver(longest));
}

// REPLICATION 6.5: as long as the entry may be worked on, and a day more.
TEST_F(TransactionTest, ACouriersDeliveryIsKnownDaysAfterItsIdWasMade)
{
    auto taken = New(1);
    taken.is_queued = true;
    shard.now_ms += 3 * 24 * kHour + 30 * 60 * 1000; // the shard was away
    ASSERT_EQ(ERR_OK, Deliver(taken, false));
    EXPECT_FALSE(Reply().results[0].duplicate);
    TrimOperations();
    ASSERT_EQ(ERR_OK, Deliver(taken, false));
    EXPECT_TRUE(Reply().results[0].duplicate);
    shard.now_ms += 24 * kHour;
    TrimOperations();
    ASSERT_EQ(ERR_OK, Deliver(taken, false));
    EXPECT_TRUE(Reply().results[0].duplicate);
    EXPECT_EQ(1u, Messages(1));
    shard.now_ms += 5 * kHour;
    TrimOperations();
    EXPECT_EQ(0u, RowsOf(KV_OPERATION));
}

TEST_F(TransactionTest, DirectAndByTheQueueAreOneOperation)
{
    auto taken = New(1);
    ASSERT_EQ(ERR_OK, Deliver(taken, false));
    taken.is_queued = true;
    ASSERT_EQ(ERR_OK, Deliver(taken, false));
    EXPECT_TRUE(Reply().results[0].duplicate);
    auto other = New(2);
    other.is_queued = true;
    ASSERT_EQ(ERR_OK, Deliver(other, false));
    other.is_queued = false;
    ASSERT_EQ(ERR_OK, Deliver(other, false));
    EXPECT_TRUE(Reply().results[0].duplicate);
    EXPECT_EQ(2u, Messages(1));
}

TEST_F(TransactionTest, TheyAreForgotten)
{
    for (uint32_t i = 1; i <= 5; i++) {
        auto taken = New(i);
        taken.key[0] = char(i);
        ASSERT_EQ(ERR_OK, Deliver(taken));
    }
    EXPECT_EQ(5u, RowsOf(KV_TRANSACTION));
    shard.now_ms += kHour - 1;
    TrimTransactions();
    EXPECT_EQ(5u, RowsOf(KV_TRANSACTION));
    shard.now_ms += kHour + 1;
    TrimTransactions();
    EXPECT_EQ(0u, RowsOf(KV_TRANSACTION));
}

// ---- what intakes tell

struct IntakeTest : TransactionTest {
    err_code Tell(const std::string &intake, uint64_t turn, const std::string &ended, const std::string &broken)
    {
        store_intake_report_request request = {S(intake), turn, S(ended), S(broken)};
        result = std::make_unique<Result>();
        return shard.Change(STORE_METHOD_INTAKE_REPORT, &request, result.get());
    }
    struct State { err_code code; uint64_t turn; Uids ended, broken; };
    State Ask(const std::string &intake)
    {
        shard.Apply();
        arena arena;
        arena_init(&arena, 1 << 20);
        store_intake_state_request request = {S(intake)};
        const void *made;
        auto context = shard.Read();
        State state = {mbox_read(&context, nullptr, STORE_METHOD_INTAKE_STATE, &request, &arena, &made).code, 0, {}, {}};
        if (state.code == ERR_OK) {
            auto &reply = *static_cast<const store_intake_state_reply *>(made);
            state.turn = reply.turn, state.ended = UidsOf(reply.ended), state.broken = UidsOf(reply.broken);
        }
        arena_clear(&arena);
        return state;
    }
    std::string intake = std::string(16, 'i');
};

TEST_F(IntakeTest, TheLatestTurnIsWhatItSays)
{
    EXPECT_EQ(0u, Ask(intake).turn);
    ASSERT_EQ(ERR_OK, Tell(intake, 1, SetOf({1, 2, 3}), ""));
    ASSERT_EQ(ERR_OK, Tell(intake, 3, SetOf({1, 2, 3, 5}), SetOf({4, 9})));
    ASSERT_EQ(ERR_OK, Tell(intake, 2, SetOf({1}), "")); // late
    EXPECT_EQ(0u, result->r.batches_count);
    ASSERT_EQ(ERR_OK, Tell(intake, 3, "", "")); // twice
    auto state = Ask(intake);
    EXPECT_EQ(3u, state.turn);
    EXPECT_EQ((Uids{1, 2, 3, 5}), state.ended);
    EXPECT_EQ((Uids{4, 9}), state.broken);
    EXPECT_EQ(0u, Ask(std::string(16, 'j')).turn);
}

TEST_F(IntakeTest, BadReports)
{
    std::string many;
    for (uint32_t i = 0; i <= MBOX_INTAKE_RANGES_MAX; i++) {
        uint32_t range[2] = {2 * i + 1, 2 * i + 1};
        many.append(reinterpret_cast<const char *>(range), 8);
    }
    const std::string turned("\2\0\0\0\1\0\0\0", 8), cut("\1\0\0\0", 4);
    EXPECT_EQ(ERR_SYNTAX, Tell("short", 1, "", ""));
    EXPECT_EQ(ERR_SYNTAX, Tell(intake, 0, "", ""));
    EXPECT_EQ(ERR_SYNTAX, Tell(intake, 1, turned, ""));
    EXPECT_EQ(ERR_SYNTAX, Tell(intake, 1, "", turned));
    EXPECT_EQ(ERR_SYNTAX, Tell(intake, 1, cut, ""));
    EXPECT_EQ(ERR_TOO_BIG, Tell(intake, 1, many, ""));
    EXPECT_EQ(ERR_TOO_BIG, Tell(intake, 1, "", many));
    EXPECT_EQ(ERR_OK, Tell(intake, 1, many.substr(8), many.substr(8)));
    EXPECT_EQ(ERR_SYNTAX, Ask("").code);
    EXPECT_EQ(ERR_SYNTAX, Ask(std::string(17, 'i')).code);
}

TEST_F(IntakeTest, AnIntakeThatIsSilentIsForgottenAfterItsTransactions)
{
    for (int i = 0; i < 300; i++) {
        char name[17];
        snprintf(name, sizeof(name), "intake %09d", i);
        ASSERT_EQ(ERR_OK, Tell(name, 1, "", ""));
    }
    shard.now_ms += 2 * uint64_t(MBOX_TRANSACTION_KEEP_MS_MAX);
    ASSERT_EQ(ERR_OK, Tell(intake, 1, "", ""));
    TrimTransactions();
    EXPECT_EQ(301u, RowsOf(KV_INTAKE));
    shard.now_ms += 1;
    TrimTransactions();
    EXPECT_EQ(1u, RowsOf(KV_INTAKE));
}

}  // namespace

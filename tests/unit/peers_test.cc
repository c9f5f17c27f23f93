// Storage nodes of a cluster in one process: their copies, over sockets and the rows of a file store.
#include "peers.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "buf.h"
#include "coord.h"
#include "enroll.h"
#include "id.h"
#include "node_fixture.h"
#include "replica_msg.h"
#include "replica_step.h"
#include "roster.h"
#include "rpc_callers.h"
#include "shard.h"

namespace {

constexpr uint32_t kShards = 2;

// A storage node with all that its program has; it can be closed and opened again.
struct Member {
    struct loop *loop;
    std::string name, data, address, store;
    struct coord *coord = nullptr;
    struct crew *crew = nullptr;
    struct store_node *node = nullptr;
    struct store_serve *serve = nullptr;
    struct peers *peers = nullptr;
    struct enroll *enroll = nullptr;
    struct body_budget *budget;
    test_self self = TestSelf(RPC_ROLE_STORAGE_NODE);
    bool left = false, refused = false;
    std::vector<uint32_t> shown; // shards, as they began to serve

    void Open()
    {
        ASSERT_EQ(ERR_OK, coord_open(loop, store.c_str(), &coord).code);
        ASSERT_EQ(ERR_OK, crew_new("reads", 2, 1024, &crew).code);
        store_node_options options = {};
        options.directory = data.c_str();
        options.shards = kShards;
        options.of_cluster = true;
        options.workers = 1;
        options.memory_bytes = 4 << 20;
        options.cache_bytes = 4 << 20;
        options.index_bytes = 1 << 20;
        options.segment_bytes = 1 << 20;
        options.settings.operation_keep_ms = 3600 * 1000;
        options.failed = [](struct err) { abort(); };
        ASSERT_EQ(ERR_OK, store_node_open(&options, &node).code);
        store_serve_options serving = {};
        const char *addresses[] = { address.c_str() };
        serving.addresses = addresses;
        serving.addresses_count = 1;
        serving.self = self.get();
        serving.node = node;
        serving.reads = crew;
        serving.budget = budget;
        serving.closed = [](void *holder) { static_cast<Member *>(holder)->serve = nullptr; };
        serving.holder = this;
        ASSERT_EQ(ERR_OK, store_serve_open(loop, &serving, &serve).code);
        peers_options way = {};
        way.node = node;
        way.self = self.get();
        way.coord = coord;
        way.crew = crew;
        id_random(way.boot.bytes, sizeof(way.boot.bytes));
        way.spill_dir = data.c_str();
        way.shown = [](void *holder, uint32_t shard, unsigned role, uint64_t) {
            auto *member = static_cast<Member *>(holder);
            if (role == REPLICA_SERVING) member->shown.push_back(shard);
            store_serve_shown(member->serve, shard, role == REPLICA_SERVING);
        };
        way.holder = this;
        ASSERT_EQ(ERR_OK, peers_new(loop, &way, &peers).code);
        unsigned count;
        const rpc_service_row *rows = peers_rows(&count);
        rpc_service service = { peer_methods, PEER_METHODS, rows, count, peers };
        ASSERT_EQ(ERR_OK, store_serve_also(serve, &service).code);
        enroll_options part = {};
        part.coord = coord;
        part.crew = crew;
        part.node = node;
        part.peers = peers;
        part.boot = way.boot;
        part.name = S(name);
        part.address = S(address);
        part.capacity_bytes = 1 << 30;
        part.noticed = [](void *holder, const enroll_notice *notice) {
            if (notice->event == ENROLL_REFUSED) static_cast<Member *>(holder)->refused = true;
        };
        part.holder = this;
        ASSERT_EQ(ERR_OK, enroll_start(loop, &part, &enroll).code);
    }
    bool Leads(uint32_t shard) const
    {
        struct shard *at = node == nullptr ? nullptr : store_node_shard(node, shard);
        return at != nullptr && shard_serves(at);
    }
    shard_state State(uint32_t shard) const
    {
        shard_state state = {};
        shard_state_get(store_node_shard(node, shard), &state);
        return state;
    }
};

class Peers : public LoopTest {
protected:
    static constexpr unsigned kMembers = 3;
    std::vector<std::unique_ptr<Member>> members;
    struct coord *coord = nullptr;
    struct crew *crew = nullptr;
    test_self client_self = TestSelf(RPC_ROLE_FRONTEND);
    uint64_t operations = 0;

    void SetUp() override
    {
        LoopTest::SetUp();
        ASSERT_EQ(ERR_OK, coord_open(loop, (dir + "/rows").c_str(), &coord).code);
        ASSERT_EQ(ERR_OK, crew_new("rows", 1, 1024, &crew).code);
        for (unsigned i = 0; i < kMembers; i++) {
            auto member = std::make_unique<Member>();
            member->loop = loop;
            member->name = "n" + std::to_string(i);
            member->data = dir + "/" + member->name;
            member->address = "unix:" + dir + "/s" + std::to_string(i);
            member->store = dir + "/rows";
            member->budget = &budget;
            members.push_back(std::move(member));
        }
        for (auto &member : members) ASSERT_NO_FATAL_FAILURE(member->Open());
    }
    void TearDown() override
    {
        for (auto &member : members) Close(*member);
        crew_free(crew);
        coord_close(coord);
        std::filesystem::remove_all(dir);
        std::filesystem::create_directory(dir);
        LoopTest::TearDown();
    }
    // As if it had been killed: nobody is told.
    void Close(Member &member)
    {
        if (member.node == nullptr) return;
        member.left = false;
        enroll_stop(member.enroll, [](void *holder) { static_cast<Member *>(holder)->left = true; }, &member);
        peers_stop(member.peers);
        store_serve_close(member.serve);
        Until([&] { return member.left && member.serve == nullptr; }, "end of a node");
        Turn();
        store_node_close(member.node);
        Turn(); // what its threads have posted
        peers_free(member.peers);
        member.node = nullptr;
        coord_close(member.coord);
        crew_free(member.crew);
    }
    static roster_id Sid(const Member &member)
    {
        roster_id id = {};
        store_node_id(member.node, id.bytes);
        return id;
    }
    void PutRow(const std::string &key, struct buf *value)
    {
        struct Done { bool done = false; err_code code = ERR_OK; } done;
        struct coord_item item = {};
        item.key = S(key);
        item.value = buf_span(value);
        item.revision = COORD_ANY;
        item.action = COORD_PUT;
        struct coord_change change = { &item, 1, 0 };
        ASSERT_EQ(ERR_OK, coord_change_start(coord, crew, &change, [](void *holder, struct err err, uint64_t) {
            *static_cast<Done *>(holder) = { true, err.code };
        }, &done).code);
        Until([&] { return done.done; }, key.c_str());
        ASSERT_EQ(ERR_OK, done.code) << key;
    }
    // Where the shard's copies are to be; the first of all writes its row too.
    void Place(uint32_t shard, const std::vector<unsigned> &where, unsigned min_isr, bool first = false)
    {
        char bytes[4096], number[16];
        snprintf(number, sizeof(number), "%05u", shard);
        struct buf value;
        roster_place place = {};
        roster_shard row = {};
        for (unsigned at : where) place.replicas.ids[place.replicas.count++] = Sid(*members[at]);
        place.target = 3;
        place.min_isr = min_isr;
        row.isr = place.replicas;
        buf_init(&value, bytes, sizeof(bytes));
        roster_place_put(&value, &place);
        PutRow(std::string("place/") + number, &value);
        if (!first) return;
        buf_init(&value, bytes, sizeof(bytes));
        roster_shard_put(&value, &row);
        PutRow(std::string("shards/") + number, &value);
    }
    // Shard 0 as said; shard 1 has its one copy on node 1.
    void Bootstrap(const std::vector<unsigned> &where, unsigned min_isr)
    {
        char bytes[4096];
        struct buf value;
        Place(0, where, min_isr, true);
        Place(1, { 1 }, 1, true);
        roster_map_chunk chunk = {};
        chunk.version = 1;
        chunk.count = 2;
        chunk.slots[0] = { 0, 8192 };
        chunk.slots[1] = { 8192, 16384 };
        buf_init(&value, bytes, sizeof(bytes));
        roster_map_chunk_put(&value, &chunk);
        PutRow("map/00000", &value);
        roster_map_head head = {};
        head.version = 1;
        head.shards = 2;
        head.chunks = 1;
        buf_init(&value, bytes, sizeof(bytes));
        roster_map_head_put(&value, &head);
        PutRow("map/head", &value);
    }
    roster_shard Row(uint32_t shard)
    {
        char key[32];
        struct coord_row row;
        roster_shard ret = {};
        snprintf(key, sizeof(key), "shards/%05u", shard);
        EXPECT_EQ(ERR_OK, coord_refresh(coord).code);
        if (!coord_get(coord, S(key), &row)) return ret;
        EXPECT_EQ(ERR_OK, roster_shard_read(row.value, &ret).code);
        return ret;
    }
    Member *Leader(uint32_t shard)
    {
        Member *found = nullptr;
        Until([&] {
            for (auto &member : members) {
                if (member->Leads(shard)) found = member.get();
            }
            return found != nullptr;
        }, "a leader");
        return found;
    }
    // An operation of shard 0: its slot is that of the id.
    std::string Operation()
    {
        uint32_t seconds = uint32_t(clock_wall_ms() / 1000);
        std::string id(16, '\0');
        for (int i = 0; i < 4; i++) id[i] = char(seconds >> (8 * (3 - i)));
        do {
            uint64_t number = ++operations;
            memcpy(&id[8], &number, 8);
        } while (slot_of_name(S(id)) >= 8192);
        return id;
    }
    // One call to one node, not tried again.
    struct Told { err_code code; std::string answer, info; };
    Told Keep(Member &member, const std::string &operation, const std::string &answer)
    {
        struct rpc_client *client = nullptr;
        rpc_client_options options = {};
        options.address = member.address.c_str();
        options.self = client_self.get();
        EXPECT_EQ(ERR_OK, rpc_client_new(loop, &options, &client).code);
        store_answer_keep_request request = { S(operation), S(answer) };
        store_call call(store_method_find(STORE_METHOD_ANSWER_KEEP));
        static const rpc_call_user user = { store_call::Data, store_call::Replied, store_call::Done };
        rpc_call_options with = {};
        with.deadline_ms = 20000;
        EXPECT_EQ(ERR_OK, rpc_call_start(client, store_method_find(STORE_METHOD_ANSWER_KEEP), &request, &with, &user,
                                         &call, &call.call).code);
        Until([&] { return call.done; }, "a call");
        Told told = { call.err.code, "", call.info };
        if (told.code == ERR_OK) told.answer = Str(call.Reply<store_answer_reply>().answer);
        rpc_client_free(client);
        Turn();
        return told;
    }
    // Reads an account of shard 0 that is not there.
    err_code Look(Member &member)
    {
        struct rpc_client *client = nullptr;
        rpc_client_options options = {};
        options.address = member.address.c_str();
        options.self = client_self.get();
        EXPECT_EQ(ERR_OK, rpc_client_new(loop, &options, &client).code);
        store_account_get_request request = {};
        request.tenant = request.account = 1;
        while (slot_of_account(request.account) >= 8192) request.account++;
        store_call call(store_method_find(STORE_METHOD_ACCOUNT_GET));
        static const rpc_call_user user = { store_call::Data, store_call::Replied, store_call::Done };
        rpc_call_options with = {};
        with.deadline_ms = 20000;
        EXPECT_EQ(ERR_OK, rpc_call_start(client, store_method_find(STORE_METHOD_ACCOUNT_GET), &request, &with, &user,
                                         &call, &call.call).code);
        Until([&] { return call.done; }, "a call");
        rpc_client_free(client);
        Turn();
        return call.err.code;
    }
    std::string Roles()
    {
        std::string text;
        for (auto &member : members) {
            shard_state state = member->State(0);
            text += member->name + " role " + std::to_string(state.role) + " epoch " + std::to_string(state.epoch) +
                    " last " + std::to_string(state.last_index) + " commit " + std::to_string(state.commit_index) + "; ";
        }
        return text;
    }
    // Of whoever leads, until it is taken: what a frontend does.
    std::string KeepUntilTaken(const std::string &operation, const std::string &answer)
    {
        Told told = { ERR_UNKNOWN, "", "" };
        uint64_t end = clock_boot_ms() + kPatienceMs;
        while (told.code != ERR_OK && clock_boot_ms() < end) {
            Member *leader = Leader(0);
            if (leader == nullptr) break;
            told = Keep(*leader, operation, answer);
            if (told.code != ERR_OK) loop_step(loop, 20);
        }
        EXPECT_EQ(ERR_OK, told.code) << told.info;
        return told.answer;
    }
    void UntilInSync(unsigned count)
    {
        Until([&] { return Row(0).isr.count == count; }, "copies in sync");
    }
};

TEST_F(Peers, WhatIsAcknowledgedIsOnEveryCopy)
{
    Bootstrap({ 0, 1, 2 }, 2);
    Member *leader = Leader(0);
    ASSERT_NE(nullptr, leader);
    std::vector<std::string> ids;
    for (int i = 0; i < 50; i++) {
        ids.push_back(Operation());
        ASSERT_EQ("answer " + std::to_string(i), KeepUntilTaken(ids.back(), "answer " + std::to_string(i)));
    }
    ASSERT_EQ(3u, Row(0).isr.count) << Roles();
    leader = Leader(0);
    uint64_t commit = leader->State(0).commit_index;
    for (auto &member : members) EXPECT_GE(member->State(0).last_index, commit) << member->name;
    // The others apply as they hear what is committed, and refuse calls: they do not lead.
    for (auto &member : members) {
        Until([&] { return member->State(0).applied_index >= commit; }, "applied");
        if (member.get() == leader) continue;
        Told told = Keep(*member, ids[0], "");
        EXPECT_EQ(ERR_MOVED, told.code);
        EXPECT_EQ("shard is not led here", told.info);
    }
}

TEST_F(Peers, WhenTheLeaderIsGoneAnotherHasEverything)
{
    Bootstrap({ 0, 1, 2 }, 2);
    std::vector<std::string> ids;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++) {
            ids.push_back(Operation());
            ASSERT_EQ("first", KeepUntilTaken(ids.back(), "first"));
        }
        UntilInSync(3);
        Member *old = Leader(0);
        uint64_t epoch = Row(0).epoch;
        Close(*old);
        // The same operation again: its first answer, from the new leader.
        for (const auto &id : ids) ASSERT_EQ("first", KeepUntilTaken(id, "second"));
        EXPECT_NE(old, Leader(0));
        EXPECT_GT(Row(0).epoch, epoch);
        ASSERT_NO_FATAL_FAILURE(old->Open());
        UntilInSync(3); // it comes back by itself
    }
}

TEST_F(Peers, FewerCopiesThanAskedForRefuseChangesAndAreReadOn)
{
    Bootstrap({ 0, 1, 2 }, 3);
    std::string id = Operation();
    ASSERT_EQ("first", KeepUntilTaken(id, "first"));
    Member *leader = Leader(0), *gone = nullptr;
    for (auto &member : members) {
        if (member.get() != leader && member->name != "n1") gone = member.get();
    }
    Close(*gone);
    UntilInSync(2); // ten seconds: it is the last step that leaves too few
    Told told = {};
    Until([&] {
        Member *now = Leader(0);
        told = Keep(*now, Operation(), "x");
        return told.code == ERR_BUSY && told.info == "too few copies in sync";
    }, "a refusal");
    // A first answer is not given again either, with fewer copies than were promised.
    told = Keep(*Leader(0), id, "first");
    EXPECT_TRUE(told.code == ERR_BUSY || told.code == ERR_UNKNOWN) << told.code;
    EXPECT_EQ(ERR_NOT_FOUND, Look(*Leader(0))); // which is read
    ASSERT_NO_FATAL_FAILURE(gone->Open());
    UntilInSync(3);
    EXPECT_EQ("second", KeepUntilTaken(Operation(), "second"));
}

TEST_F(Peers, ACopyComesAndAnotherGoes)
{
    Bootstrap({ 0 }, 1);
    std::vector<std::string> ids;
    for (int i = 0; i < 20; i++) {
        ids.push_back(Operation());
        ASSERT_EQ("first", KeepUntilTaken(ids.back(), "first"));
    }
    EXPECT_EQ(1u, Row(0).isr.count);
    Place(0, { 0, 1, 2 }, 2); // on line
    UntilInSync(3);
    ASSERT_EQ("first", KeepUntilTaken(Operation(), "first"));
    Place(0, { 1, 2 }, 2); // the leader's own place is elsewhere: it has another lead
    UntilInSync(2);
    Until([&] { return Leader(0) != nullptr && Leader(0) != members[0].get(); }, "another leader");
    for (const auto &id : ids) EXPECT_EQ("first", KeepUntilTaken(id, "second"));
}

TEST_F(Peers, WhoLeavesIsNotWaitedFor)
{
    Bootstrap({ 0, 1, 2 }, 2);
    std::string id = Operation();
    ASSERT_EQ("first", KeepUntilTaken(id, "first"));
    UntilInSync(3);
    Member *old = Leader(0);
    peers_leave(old->peers);
    Until([&] { return !enroll_is_needed(old->enroll); }, "others to lead");
    roster_shard row = Row(0);
    EXPECT_EQ(ROSTER_TRANSFER, row.how);
    EXPECT_EQ(2u, row.isr.count);
    roster_id sid = Sid(*old);
    EXPECT_FALSE(roster_copies_have(&row.isr, &sid));
    EXPECT_EQ("first", KeepUntilTaken(id, "second"));
    Close(*old);
    EXPECT_EQ("third", KeepUntilTaken(Operation(), "third"));
}

TEST_F(Peers, AWatchEndsWhenAnotherLeads)
{
    Bootstrap({ 0, 1, 2 }, 2);
    UntilInSync(3);
    uint64_t account = 1;
    while (slot_of_account(account) >= 8192) account++;
    store_watch_request request = {};
    request.tenant = 1;
    request.account = account;
    static const rpc_call_user user = { store_call::Data, store_call::Replied, store_call::Done };
    const proto_method *method = store_method_find(STORE_METHOD_WATCH);
    struct rpc_client *client = nullptr;
    std::unique_ptr<store_call> watch;
    Member *old = nullptr;
    // Of whoever leads, and has heard the others confirm it: until one is given.
    uint64_t end = clock_boot_ms() + kPatienceMs;
    while ((watch == nullptr || watch->done) && clock_boot_ms() < end) {
        rpc_client_free(client);
        old = Leader(0);
        ASSERT_NE(nullptr, old);
        rpc_client_options options = {};
        options.address = old->address.c_str();
        options.self = client_self.get();
        ASSERT_EQ(ERR_OK, rpc_client_new(loop, &options, &client).code);
        watch = std::make_unique<store_call>(method);
        rpc_call_options with = {};
        ASSERT_EQ(ERR_OK, rpc_call_start(client, method, &request, &with, &user, watch.get(), &watch->call).code);
        Until([&] { return watch->done || !watch->replies.empty(); }, "a watch");
    }
    ASSERT_FALSE(watch->done) << watch->err.what;
    while (!watch->done && clock_boot_ms() < end) { // one that has just begun may not find an heir yet
        roster_id anybody = {};
        peers_transfer(old->peers, 0, &anybody);
        loop_step(loop, 50);
    }
    ASSERT_TRUE(watch->done);
    EXPECT_EQ(ERR_MOVED, watch->err.code);
    rpc_client_free(client);
    Turn();
}

TEST_F(Peers, ACallThatIsNotOurFormOrForAnotherIsRefused)
{
    Bootstrap({ 0, 1, 2 }, 2);
    UntilInSync(3);
    test_self other = TestSelf(RPC_ROLE_STORAGE_NODE);
    struct rpc_client *client = nullptr;
    rpc_client_options options = {};
    options.address = members[0]->address.c_str();
    options.self = other.get();
    ASSERT_EQ(ERR_OK, rpc_client_new(loop, &options, &client).code);
    roster_id to = Sid(*members[0]), from = Sid(*members[1]), nobody = {};
    nobody.bytes[3] = 7;
    peer_note note = {};
    const std::string store(16, 's'), boot(16, 'b'), three(3, 'x');
    const struct { const char *what; span store, boot, to; uint32_t kind; err_code code; } cases[] = {
        { "another directory", span_of(from.bytes, 16), S(boot),
          span_of(nobody.bytes, 16), 0, ERR_NOT_FOUND },
        { "no directory", S(store), S(boot), S(three), 0, ERR_SYNTAX },
        { "no process", S(store), SPAN(""), span_of(to.bytes, 16), 0, ERR_SYNTAX },
        { "no kind", S(store), S(boot), span_of(to.bytes, 16), 99, ERR_SYNTAX },
    };
    for (const auto &c : cases) {
        peer_tell_request request = {};
        request.store = c.store;
        request.boot = c.boot;
        request.to = c.to;
        note.kind = c.kind;
        request.notes = &note;
        request.notes_count = c.kind == 0 ? 0 : 1;
        store_call call(peer_method_find(PEER_METHOD_TELL));
        static const rpc_call_user user = { store_call::Data, store_call::Replied, store_call::Done };
        rpc_call_options with = {};
        with.deadline_ms = 10000;
        ASSERT_EQ(ERR_OK, rpc_call_start(client, peer_method_find(PEER_METHOD_TELL), &request, &with, &user, &call,
                                         &call.call).code);
        Until([&] { return call.done; }, c.what);
        EXPECT_EQ(c.code, call.err.code) << c.what << ": " << call.info;
    }
    rpc_client_free(client);
    Turn();
    EXPECT_EQ("first", KeepUntilTaken(Operation(), "first"));
}

}  // namespace

// Several storage nodes with copies of the same shards, a network between them that loses, delays,
// doubles and reorders, clocks that run at rates of their own, and the cluster's rows. Here is what
// they do when they are let; the driver (sim_cluster_run.cc) lets them, and lets them down. What must
// hold of all copies together is checked here (sim_cluster_check.cc).
#ifndef GODWIT_SIM_CLUSTER_H
#define GODWIT_SIM_CLUSTER_H

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shard_copy.h"
#include "shard_install.h"
#include "sim_client.h"
#include "sim_node.h"
#include "sim_register.h"

namespace sim {

class Cluster;

// Rows of a shard as they were at a moment, at the node that is asked for them.
struct Snapshot {
    explicit Snapshot(struct kv *kv_) : kv(kv_) {}
    ~Snapshot();
    struct kv *kv;
};

// A checkpoint on its way to a copy.
struct Fetch : shard_install {
    Cluster *cluster;
    unsigned to, from, number, from_boots = 0;
    roster_id source; // store
    std::shared_ptr<Snapshot> snapshot;
    uint64_t piece_ms = 0;
    unsigned pieces = 0, piece = 0, breaks = 0, tries = 0;
    ~Fetch() { free(own); }
};

// A node and what it is to the others.
struct Member : shard_peers {
    Cluster *cluster;
    unsigned number;
    std::unique_ptr<Node> node;
    double rate;                 // of its clock
    uint64_t clock_base = 0;
    uint64_t next_tick = 0;      // cluster's time
    uint64_t paused_until = 0, down_until = 0, disk_ill_until = 0;
    uint64_t late_until = 0;     // what is sent to it takes long
    bool rows_away = false;      // it does not reach the register
    unsigned boots = 0;
    struct Read { unsigned shard; uint64_t least; };
    std::map<uint64_t, Read> reads;
    std::map<unsigned, std::shared_ptr<Snapshot>> snapshots; // by shard
    struct Install { roster_id source; unsigned source_boots; uint64_t index, until; };
    std::map<unsigned, Install> installs; // the last, by shard
    bool up() const { return node->up(); }
};

struct ClusterOptions {
    unsigned nodes, copies, shards, min_isr;
    bool collects; // the logs are trimmed
    uint64_t retain_bytes;
};

class Cluster : public Copies, public World {
public:
    Cluster(uint64_t seed, const ClusterOptions &options, Mutant mutant);
    ~Cluster() override;

    // ---- moving on
    void Advance(uint64_t ms);       // the clocks, and what is due by them
    void StepNode(Member &member);   // its log, its threads
    void Check();                    // after each step
    void Watch(unsigned shard);      // a watch tells a node of the row; now and then of an old one
    void ReadAtFollower(unsigned shard);
    void Transfer(unsigned shard);
    void Move(unsigned shard);       // its place is elsewhere
    void ReplaceStore(Member &member);
    void Join();                     // nothing is cut any more
    void CutOff(unsigned number, bool in, bool out);
    // A leader is cut off for a while, in a way that is hard on somebody's promise.
    void Ambush(Member &leader);
    void Down(Member &member, bool power, uint64_t for_ms);
    void Up(Member &member, bool with_faults);
    // Every shard is led, and every copy that is placed is in the set.
    bool Settled() const;
    std::string Unsettled() const;
    void Tell() const; // with --trace: how the copies stand
    void CompareAt(Member &member, unsigned shard);

    // ---- as clients see it
    unsigned shards_count() const override { return options.shards; }
    unsigned ShardOf(uint32_t slot) const override { return members[0]->node->ShardOf(slot); }
    void Slots(unsigned shard, uint32_t *first, uint32_t *end) const override
    {
        members[0]->node->Slots(shard, first, end);
    }
    Node *Target(unsigned shard) override;
    uint64_t Now() const override { return kWallMs + time; }
    bool copies() const override { return true; }
    void Acknowledged(Node &node, unsigned shard, uint64_t index) override;

    // ---- as nodes see it
    void Logged(const slog_record &record) override;
    void Given(const slog_record &record) override;
    const LogEntry &Committed(unsigned shard, uint64_t index) override;
    shard_peers *PeersOf(Node &node) override;
    bool Send(Member &from, unsigned shard, const roster_id &to, const replica_message &m,
              const slog_record *entries);
    void Cas(Member &from, unsigned shard, const replica_cas &cas);
    void ReadRow(Member &from, unsigned shard);
    void Behind(Member &at, unsigned shard, const roster_id &from, uint64_t index);
    void ReadReady(Member &at, unsigned shard, uint64_t id, bool granted, uint64_t index);

    const ClusterOptions options;
    const Mutant mutant;
    Draw draw;
    Register rows;
    std::vector<std::unique_ptr<Member>> members;
    std::unique_ptr<Clients> clients;
    uint64_t time = 0;
    // ---- faults that last
    unsigned loss_in = 0;             // one of so many messages is lost; 0: none
    unsigned double_in = 0;
    uint64_t delay_ms = 3;
    std::vector<std::vector<bool>> cut; // [from][to]
    uint64_t rows_away_until = 0, rows_slow_until = 0;
    uint64_t messages = 0, failovers = 0, reads = 0, leases = 0, installs = 0;

private:
    static constexpr uint64_t kWallMs = 1700000000000;
    struct Shard {
        using Key = std::pair<uint64_t, uint64_t>; // epoch, index
        std::map<Key, LogEntry> given;
        std::multimap<Key, LogEntry> tried;
        std::vector<uint64_t> committed;                        // epochs; [index - 1]
        std::map<uint64_t, unsigned> leaders;                   // by epoch: I1
        uint64_t acknowledged = 0;
        std::vector<std::vector<uint64_t>> gone; // epochs that stores had which are gone
        roster_place place = {};
    };
    using Event = std::function<void()>;
    void At(uint64_t when, Event event) { due.emplace(when, std::move(event)); }
    struct Packet { unsigned from, to; std::string head, data; };
    using PacketPtr = std::shared_ptr<const Packet>;
    using FetchKey = std::pair<unsigned, unsigned>; // member, shard
    // What is to be done with a fetch later on, if it is still the same.
    void Later(Fetch &fetch, uint64_t ms, void (Cluster::*step)(Fetch &));
    void Forget(Fetch &fetch) { fetches.erase({fetch.to, fetch.number}); }
    void ForgetAll(const Member &member);
    bool Reaches(Fetch &fetch);
    void Broke(Fetch &fetch);
    void Move(Fetch &fetch);
    void Take(Fetch &fetch);
    void Begin(Fetch &fetch);
    void Swap(Fetch &fetch);
    void Log(Fetch &fetch) { Running(fetch), shard_install_log(&fetch); }
    void Finish(Fetch &fetch);
    void Running(Fetch &fetch) { members[fetch.to]->node->Run(); }
    bool Crashes(Fetch &fetch);
    static void Begun(shard_install *install, err e);
    static void Logged(shard_install *install, err e);
    static void Done(shard_install *install, err e);
    void Deliver(const PacketPtr &packet);
    void Tell(Member &member, unsigned shard, replica_event event);
    void TellPlace(Member &member, unsigned shard);
    bool RowsAway(const Member &member) const { return member.rows_away || time < rows_away_until; }
    uint64_t Delay();
    Member *Of(const roster_id &sid);
    void CheckCommit(Member &member, unsigned shard);
    void CheckSet(unsigned shard);
    void CheckLead(Member &member, unsigned shard);
    void CheckWaited(const replica &r, unsigned shard);
    roster_id NewId();

    std::vector<Shard> shards;
    std::multimap<uint64_t, Event> due;
    std::map<FetchKey, std::unique_ptr<Fetch>> fetches;
    uint64_t read_ids = 0;
};

}  // namespace sim
#endif

// One storage node: its shards over rows in memory, its log over a disk that lies. The shell of the
// shards and the log are the real ones; threads are queues, of which the driver picks the next to
// move on. What must hold of log and copies whatever happens is checked here.
#ifndef GODWIT_SIM_NODE_H
#define GODWIT_SIM_NODE_H

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "replica_step.h"
#include "shard.h"
#include "sim_disk.h"
#include "sim_draw.h"
#include "sim_mutants.h"
#include "slog.h"
#include "slog_thread.h"

struct kv;
struct shard_peers;
struct shard_worker {
    std::deque<shard_job *> jobs;
};

namespace sim {
class Node;
}
struct store_node {
    sim::Node *node;
};

namespace sim {

class Node;

struct LogEntry {
    uint64_t epoch;
    slog_type type;
    std::string batch;
};

// What a node that is one of several is told by, and tells, whoever sees them all.
class Copies {
public:
    virtual ~Copies() = default;
    // A record is handed to a log, which may refuse it.
    virtual void Logged(const slog_record &record) = 0;
    // It is on a disk, or was sent: from now on (epoch, index) is this entry.
    virtual void Given(const slog_record &record) = 0;
    virtual const LogEntry &Committed(unsigned shard, uint64_t index) = 0;
    virtual shard_peers *PeersOf(Node &node) = 0;
};

struct NodeOptions {
    unsigned shards, workers;
    size_t queued_max; // entries that may wait for the log
    uint64_t segment_bytes;
    uint64_t retain_bytes; // of the log, for copies that lack some of it
};

// The node whose shell is running: what C calls without a holder asks for.
extern Node *running;

class Node {
public:
    Node(uint64_t seed, const NodeOptions &options, Mutant mutant, Copies *copies = nullptr);
    ~Node();

    // Recovers and begins. ERR_OK: the shards are on their way to serving. Anything else: the
    // process has ended again; Crash() comes next.
    err Open();
    bool up() const { return is_up; }
    // The process or the machine is gone: all memory is lost, and rows that were not flushed.
    void Crash(bool power);
    // Every row and name is written down before.
    void FlushAll();

    // ---- one step of a thread. False: there was nothing to do.
    bool StepWorker(unsigned worker);
    // The log thread takes some of what is queued. May end the process: !up() afterwards.
    bool StepLog(bool all);
    void IdleLog(); // an empty group
    void Flush(unsigned shard);
    void Pay(unsigned shard);
    void Collect(); // deletes segments that nobody needs

    // ---- a checkpoint in the place of a copy's rows (sim_install.cc), as directories would be
    void Swap(unsigned shard, struct kv *fresh); // the rows of before stay beside it
    void Drop(unsigned shard);                   // they go

    // After each step.
    void Check();
    // Rows of the shard = fold of its entries 1..applied (I8).
    void CheckRows(unsigned shard);

    struct shard *At(unsigned shard) const { return shards[shard].shell; }
    void Slots(unsigned shard, uint32_t *first, uint32_t *end) const
    {
        *first = shards[shard].slot_first;
        *end = shards[shard].slot_end;
    }
    struct kv *Rows(unsigned shard) { return shards[shard].kv; }
    const replica &Replica(unsigned shard) const;
    bool Serves(unsigned shard) const;
    // I9: what is answered is on the disk.
    uint64_t OnDisk(unsigned shard) const { return shards[shard].on_disk; }
    unsigned ShardOf(uint32_t slot) const;
    unsigned shards_count() const { return unsigned(shards.size()); }
    // The epoch of an entry on the disk; 0: it has none there.
    uint64_t DiskEpoch(unsigned shard, uint64_t index) const;
    // The highest commit that this copy ever knew of.
    uint64_t KnownCommit(unsigned shard) const { return shards[shard].committed; }
    // The C code that runs from now on is this node's.
    void Run() { running = this; }
    uint64_t epoch_entries = 0, groups = 0, recoveries = 0, refusals = 0;

    Disk disk;
    Draw draw;
    const NodeOptions options;
    const Mutant mutant;
    uint64_t now_ms = 1700000000000, boot_ms = 1000;
    roster_id sid = {}, boot = {}; // of one of several

    // ---- called by the shell
    err Submit(slog_entry *entry);
    err Post(shard_worker *worker, shard_job *job);
    err Room(size_t bytes);
    struct slog *log = nullptr;

private:
    struct Shard {
        struct kv *kv = nullptr, *fold = nullptr;
        struct kv *old = nullptr; // rows of before, beside a checkpoint that took their place
        struct shard *shell = nullptr;
        uint32_t slot_first = 0, slot_end = 0;
        std::vector<LogEntry> entries; // [index - 1]: as proposed last
        std::vector<uint64_t> disk_epochs; // [index - 1]
        uint64_t on_disk = 0;       // entries that a group was synced with, or recovery found
        uint64_t committed = 0, accepted = 0, folded = 0;
        struct { uint64_t applied, commit, durable, accepted; } before = {};
    };
    err OpenShard(unsigned number);
    void CheckRecovered(unsigned number);
    void CheckRecoveredCopy(unsigned number);
    err FinishInstall(unsigned number);
    void Installed(Shard &shard, unsigned number, uint64_t index);
    void Synced(const slog_record &record);
    void CheckShard(Shard &shard);
    void Settle(std::deque<slog_entry *> &taken, err result);
    void ReuseUids(struct kv *kv);
    std::string Name(const Shard &shard) const;

    store_node handle;
    std::vector<Shard> shards;
    std::vector<std::unique_ptr<shard_worker>> workers;
    std::deque<slog_entry *> queue;
    bool is_up = false;
    Copies *copies;
    unsigned fault;
};

}  // namespace sim
#endif

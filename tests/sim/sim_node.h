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

struct NodeOptions {
    unsigned shards, workers;
    size_t queued_max; // entries that may wait for the log
    uint64_t segment_bytes;
};

class Node {
public:
    Node(uint64_t seed, const NodeOptions &options, Mutant mutant);
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

    // After each step.
    void Check();
    // Rows of the shard = fold of its entries 1..applied (I8).
    void CheckRows(unsigned shard);

    struct shard *At(unsigned shard) { return shards[shard].shell; }
    struct kv *Rows(unsigned shard) { return shards[shard].kv; }
    const replica &Replica(unsigned shard) const;
    bool Serves(unsigned shard) const;
    // I9: what is answered is on the disk.
    uint64_t OnDisk(unsigned shard) const { return shards[shard].on_disk; }
    unsigned ShardOf(uint32_t slot) const;
    unsigned shards_count() const { return unsigned(shards.size()); }
    uint64_t epoch_entries = 0, groups = 0, recoveries = 0, refusals = 0;

    Disk disk;
    Draw draw;
    const NodeOptions options;
    const Mutant mutant;
    uint64_t now_ms = 1700000000000, boot_ms = 1000;

    // ---- called by the shell
    err Submit(slog_entry *entry);
    err Post(shard_worker *worker, shard_job *job);
    err Room(size_t bytes);
    struct slog *log = nullptr;

private:
    struct Entry {
        uint64_t epoch;
        slog_type type;
        std::string batch;
    };
    struct Shard {
        struct kv *kv = nullptr, *fold = nullptr;
        struct shard *shell = nullptr;
        uint32_t slot_first = 0, slot_end = 0;
        std::vector<Entry> entries; // [index - 1]: as proposed last
        uint64_t on_disk = 0;       // entries that a group was synced with, or recovery found
        uint64_t committed = 0, accepted = 0, folded = 0;
        replica before = {};
    };
    err OpenShard(unsigned number);
    void CheckRecovered(unsigned number);
    void CheckShard(Shard &shard);
    void Settle(std::deque<slog_entry *> &taken, err result);
    void ReuseUids(struct kv *kv);
    std::string Name(const Shard &shard) const;

    store_node handle;
    std::vector<Shard> shards;
    std::vector<std::unique_ptr<shard_worker>> workers;
    std::deque<slog_entry *> queue;
    bool is_up = false;
};

// The node whose shell is running: what C calls without a holder asks for.
extern Node *running;

}  // namespace sim
#endif

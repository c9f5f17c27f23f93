// The cluster's rows as etcd keeps them: one linearizable row a shard and the boots of the stores.
// A request may be lost, be done twice, be done long after it was given up, and its answer may be
// lost: who asked is told UNKNOWN then. What watchers see may be old.
#ifndef GODWIT_SIM_REGISTER_H
#define GODWIT_SIM_REGISTER_H

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "replica_step.h"
#include "sim_draw.h"

namespace sim {

inline std::string Bytes(const roster_id &id)
{
    return std::string(reinterpret_cast<const char *>(id.bytes), sizeof(id.bytes));
}

class Register {
public:
    Register(uint64_t seed, unsigned shards) : draw(seed), rows(shards), past(shards) {}

    void Begin(unsigned shard, const roster_copies &isr);
    void StoreIs(const roster_id &sid, const roster_id &boot) { stores[Bytes(sid)] = Bytes(boot); }
    void StoreGone(const roster_id &sid) { stores.erase(Bytes(sid)); }

    const replica_config &Row(unsigned shard) const { return rows[shard]; }
    // One that was: now and then an old one.
    const replica_config &Seen(unsigned shard);

    enum class Outcome { DONE, REFUSED };
    Outcome Change(unsigned shard, const replica_cas &cas);
    uint64_t changes = 0;
    // Called with the new row after each change.
    std::function<void(unsigned shard)> changed;

private:
    Draw draw;
    std::vector<replica_config> rows;
    std::vector<std::vector<replica_config>> past;
    std::map<std::string, std::string> stores;
    uint64_t revision = 100;
};

}  // namespace sim
#endif

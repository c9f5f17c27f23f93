#include "sim_register.h"

namespace sim {

void Register::Begin(unsigned shard, const roster_copies &isr)
{
    rows[shard].revision = ++revision;
    rows[shard].row = {};
    rows[shard].row.isr = isr;
    past[shard].push_back(rows[shard]);
}

const replica_config &Register::Seen(unsigned shard)
{
    auto &all = past[shard];
    return draw.OneIn(6) ? all[draw.Below(all.size())] : all.back();
}

Register::Outcome Register::Change(unsigned shard, const replica_cas &cas)
{
    replica_config &row = rows[shard];
    if (cas.revision != row.revision) return Outcome::REFUSED;
    if (cas.change == REPLICA_EXPAND) {
        auto found = stores.find(Bytes(cas.joins));
        if (found == stores.end() || found->second != Bytes(cas.joins_boot)) return Outcome::REFUSED;
    }
    bool opens = cas.row.epoch == row.row.epoch + 1;
    Demand(opens || cas.row.epoch == row.row.epoch, "a row's epoch jumps");
    Demand(cas.row.isr.count > 0, "a set without members");
    row.revision = ++revision;
    row.row = cas.row;
    past[shard].push_back(row);
    changes++;
    changed(shard);
    return Outcome::DONE;
}

}  // namespace sim

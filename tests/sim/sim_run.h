// One run of the simulator: everything that happens follows from the seed.
#ifndef GODWIT_SIM_RUN_H
#define GODWIT_SIM_RUN_H

#include <cstdint>

#include "sim_mutants.h"

namespace sim {

struct Outcome {
    uint64_t steps = 0, sent = 0, acknowledged = 0, repeated = 0, unstuck = 0;
    uint64_t crashes = 0, recoveries = 0, recoveries_cut = 0, damaged = 0, refused = 0, groups = 0;
    uint64_t virtual_ms = 0, messages = 0, row_changes = 0, leads, installs = 0; // of several nodes
    uint64_t digest = 0; // of all answers, in their order
};

// Ends the process when a rule is broken (sim_draw.h).
Outcome Run(uint64_t seed, Mutant mutant);
// The same for several nodes with copies of the same shards (sim_cluster.h).
Outcome RunCluster(uint64_t seed, Mutant mutant);

}  // namespace sim
#endif

// Faults planted on purpose: tests of the test.
#ifndef GODWIT_SIM_MUTANTS_H
#define GODWIT_SIM_MUTANTS_H

namespace sim {

enum class Mutant {
    NONE,
#define SIM_MUTANT(NAME, text, seeds, what) NAME,
#define SIM_CLUSTER_MUTANT(NAME, text, seeds, what) NAME,
#include "sim_mutants.def"
#undef SIM_MUTANT
#undef SIM_CLUSTER_MUTANT
};

struct MutantRow {
    Mutant mutant;
    const char *name;
    unsigned seeds;
    const char *what;
    bool cluster; // of several nodes
};
inline constexpr MutantRow kMutants[] = {
#define SIM_MUTANT(NAME, text, seeds, what) {Mutant::NAME, text, seeds, what, false},
#define SIM_CLUSTER_MUTANT(NAME, text, seeds, what) {Mutant::NAME, text, seeds, what, true},
#include "sim_mutants.def"
#undef SIM_MUTANT
#undef SIM_CLUSTER_MUTANT
};

}  // namespace sim
#endif

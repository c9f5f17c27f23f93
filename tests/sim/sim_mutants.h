// Faults planted on purpose: tests of the test.
#ifndef GODWIT_SIM_MUTANTS_H
#define GODWIT_SIM_MUTANTS_H

namespace sim {

enum class Mutant {
    NONE,
#define SIM_MUTANT(NAME, text, seeds, what) NAME,
#include "sim_mutants.def"
#undef SIM_MUTANT
};

struct MutantRow {
    Mutant mutant;
    const char *name;
    unsigned seeds;
    const char *what;
};
inline constexpr MutantRow kMutants[] = {
#define SIM_MUTANT(NAME, text, seeds, what) {Mutant::NAME, text, seeds, what},
#include "sim_mutants.def"
#undef SIM_MUTANT
};

}  // namespace sim
#endif

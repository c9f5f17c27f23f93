// Draws of one run: the same seed gives the same sequence everywhere.
#ifndef GODWIT_SIM_DRAW_H
#define GODWIT_SIM_DRAW_H

#include <cstdint>
#include <string>

namespace sim {

class Draw {
public:
    // splitmix64 (Steele, Lea, Flood 2014): any seed is good, 0 and neighbours too.
    explicit Draw(uint64_t seed) : state(seed) {}
    uint64_t Next()
    {
        uint64_t z = (state += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t Below(uint64_t end) { return end == 0 ? 0 : Next() % end; }
    bool OneIn(uint64_t count) { return Below(count) == 0; }

private:
    uint64_t state;
};

// With --trace: a line on standard error.
__attribute__((format(printf, 1, 2))) void Trace(const char *format, ...);

// A rule is broken: says so and ends the process, since nothing can be unwound through the C code
// that calls us (main.cc runs seeds in processes of their own).
[[noreturn]] void Fail(const std::string &what);
inline void Demand(bool holds, const std::string &what)
{
    if (!holds) Fail(what);
}
inline void Demand(bool holds, const char *what)
{
    if (!holds) Fail(what);
}

}  // namespace sim
#endif

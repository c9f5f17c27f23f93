// A directory in memory that crashes where it is told to, tears what was not synced, fills up and
// fails. Everything it draws comes from a seed.
#ifndef MAIL_FAKE_FILE_H
#define MAIL_FAKE_FILE_H

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "slog_file.h"

struct FakeInode {
    std::string now, disk;  // as a process sees it, and as the medium has it
};
using FakeNames = std::map<std::string, std::shared_ptr<FakeInode>>;

class FakeFiles : public slog_files {
  public:
    enum Fault { kNone, kDie, kShortWrite, kWriteIo, kWriteFull, kSyncIo };

    explicit FakeFiles(uint64_t seed);

    // The calls that change something are counted from 1. The call `op` (or, for faults of a kind
    // of call, the first such from `op` on) fails so; after kDie every call does.
    void FaultAt(uint64_t op, Fault fault) { fault_at = op, this->fault = fault; }
    bool Dead() const { return dead; }

    // What a start after the crash finds. kill: all that was written. Power loss: of what was not
    // synced each name and each sector of 512 bytes has got there or not.
    void Restart(bool power_loss);
    // One bit of a file, on the medium as well.
    void FlipBit(const std::string &name, uint64_t byte, int bit = 0);

    FakeNames names, names_disk;
    uint64_t ops = 0, syncs = 0, writes = 0, written_bytes = 0;
    uint64_t space_free = UINT64_MAX / 2;  // what free_bytes() says, and allocate() gives at most

    std::function<void()> before_read;  // the next one

    // For the table of calls.
    bool Op(Fault *ret, Fault a, Fault b);
    std::map<int, std::shared_ptr<FakeInode>> open;
    int next_file = 100;
    std::mt19937_64 random;

  private:
    uint64_t fault_at = 0;
    Fault fault = kNone;
    bool dead = false;
};

#endif

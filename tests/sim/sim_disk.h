// A directory on a disk that lies, as slog_file.h sees it. What was not synced is lost at a power
// failure, sector by sector; names that were not synced are lost from some point on; writes are
// short, syncs fail, space runs out, and bits flip.
#ifndef GODWIT_SIM_DISK_H
#define GODWIT_SIM_DISK_H

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim_draw.h"
#include "slog_file.h"

namespace sim {

class Disk {
public:
    explicit Disk(uint64_t seed);
    struct slog_files *files() { return &table.files; }

    // ---- faults to come

    // After `calls` more calls that change something, the machine is gone: that call is done in
    // part, and every later one fails.
    void DieAfter(uint64_t calls) { countdown = calls; }
    bool dead() const { return is_dead; }
    // One of `in` syncs fails (0: none), and what it should have written may be lost.
    void FailSyncs(uint64_t in) { sync_fails_in = in; }
    void SetCapacity(uint64_t bytes) { capacity = bytes; }
    uint64_t used() const;
    // Planted faults of the simulator (sim_mutants.h).
    bool sync_lies = false, forget_lies = false, directory_lies = false;

    // ---- crashes; every file is closed

    void ProcessExit(); // the system's memory outlives it
    void PowerLoss();

    // Turns a bit in a group that was synced and has another synced one behind it. False: there is
    // none. Unflip() puts it right again.
    bool Flip();
    void Unflip();
    void CutAtFlip(); // a planted fault: the log ends where the damage is

    uint64_t syncs = 0;

private:
    struct Run { uint64_t at, end, number; }; // bytes of one synced group
    struct Inode {
        std::string cache, disk;
        std::set<uint64_t> dirty; // sectors of `cache` that are not on `disk`
        uint64_t pending_at = 0, pending_end = 0;
        std::vector<Run> runs;
        void Resize(uint64_t bytes);
        void Mark(uint64_t at, uint64_t end);
        void Overwrite(uint64_t from, uint64_t to);
    };
    using Names = std::map<std::string, std::shared_ptr<Inode>>;
    struct Rename { std::string name; std::shared_ptr<Inode> inode; }; // no inode: removed

    struct Table { struct slog_files files; Disk *disk; } table;
    static const slog_files_calls kCalls;
    static Disk &Of(slog_files *files) { return *reinterpret_cast<Table *>(files)->disk; }
    err Change(bool *last); // one changing call more; `*last`: it is the one that is cut short
    Inode &At(int file) { return *open_files.at(file); }
    void Reopen();
    void Lose(Inode &inode, bool keep_some);

    static err Open(slog_files *, const char *, bool, int *);
    static void Close(slog_files *, int);
    static err Size(slog_files *, int, uint64_t *);
    static err Write(slog_files *, int, span, uint64_t, size_t *);
    static err Read(slog_files *, int, char *, size_t, uint64_t, size_t *);
    static err Sync(slog_files *, int);
    static err Allocate(slog_files *, int, uint64_t);
    static err Truncate(slog_files *, int, uint64_t);
    static void Forget(slog_files *, int);
    static err RenameFile(slog_files *, const char *, const char *);
    static err Unlink(slog_files *, const char *);
    static err SyncDirectory(slog_files *);
    static err List(slog_files *, err (*)(void *, const char *), void *);
    static err FreeBytes(slog_files *, uint64_t *);

    Draw draw;
    Names names, durable;
    std::vector<Rename> changes; // of names, since they were synced
    std::map<int, std::shared_ptr<Inode>> open_files;
    int next_file = 3;
    uint64_t countdown = UINT64_MAX, sync_fails_in = 0, capacity = UINT64_MAX;
    bool is_dead = false;
    std::shared_ptr<Inode> flipped;
    uint64_t flipped_at = 0;
    unsigned flipped_bit = 0;
};

}  // namespace sim
#endif

#include "sim_disk.h"

#include <algorithm>
#include <cerrno>

namespace sim {

enum { kSectorBytes = 512 };

static unsigned long long U(uint64_t n) { return n; }

const slog_files_calls Disk::kCalls = {
    Open, Close, Size, Write, Read, Sync, Allocate, Truncate,
    Forget, RenameFile, Unlink, SyncDirectory, List, FreeBytes,
};

Disk::Disk(uint64_t seed) : draw(seed)
{
    table.files.calls = &kCalls;
    table.disk = this;
}

void Disk::Inode::Mark(uint64_t at, uint64_t end)
{
    if (at >= end) return;
    for (uint64_t s = at / kSectorBytes; s <= (end - 1) / kSectorBytes; s++) dirty.insert(s);
}

void Disk::Inode::Resize(uint64_t bytes)
{
    uint64_t before = cache.size();
    cache.resize(bytes);
    if (bytes < before) {
        dirty.erase(dirty.lower_bound((bytes + kSectorBytes - 1) / kSectorBytes), dirty.end());
        if (bytes % kSectorBytes != 0) Mark(bytes - 1, bytes);
    } else {
        // What the medium still has there from before is not zeros.
        Mark(before, std::min<uint64_t>(bytes, std::max<uint64_t>(disk.size(), before)));
    }
}

// Groups that stood there are no more.
void Disk::Inode::Overwrite(uint64_t from, uint64_t to)
{
    auto gone = [&](const Run &run) { return run.at < to && run.end > from; };
    runs.erase(std::remove_if(runs.begin(), runs.end(), gone), runs.end());
}

uint64_t Disk::used() const
{
    uint64_t bytes = 0;
    for (auto &[name, inode] : names) bytes += inode->cache.size();
    return bytes;
}

err Disk::Change(bool *last)
{
    *last = false;
    if (is_dead) return err_make_detail(ERR_IO, EIO, "dead");
    if (countdown != UINT64_MAX && countdown-- == 0) *last = is_dead = true;
    return err_ok();
}

// ---- crashes

void Disk::Reopen()
{
    open_files.clear();
    countdown = UINT64_MAX;
    is_dead = false;
}

void Disk::ProcessExit() { Reopen(); }

// Some of the sectors that wait to be written get there, in any order.
void Disk::Lose(Inode &inode, bool keep_some)
{
    unsigned mode = keep_some ? unsigned(draw.Below(4)) : 0; // none, all, the first ones, any
    uint64_t size = draw.OneIn(2) || mode == 1 ? inode.cache.size() : inode.disk.size();
    if (mode == 0) size = inode.disk.size();
    uint64_t left = draw.Below(inode.dirty.size() + 1);
    if (inode.disk.size() < inode.cache.size()) inode.disk.resize(inode.cache.size());
    for (uint64_t sector : inode.dirty) {
        bool kept = mode == 1 || (mode == 2 && left > 0) || (mode == 3 && draw.OneIn(2));
        if (left > 0) left--;
        if (!kept) continue;
        uint64_t at = sector * kSectorBytes;
        uint64_t bytes = std::min<uint64_t>(kSectorBytes, inode.cache.size() - at);
        inode.disk.replace(at, bytes, inode.cache, at, bytes);
    }
    inode.disk.resize(size);
}

void Disk::PowerLoss()
{
    size_t kept = draw.Below(changes.size() + 1);
    for (size_t i = 0; i < kept; i++) {
        if (changes[i].inode == nullptr) durable.erase(changes[i].name);
        else durable[changes[i].name] = changes[i].inode;
    }
    changes.clear();
    names = durable;
    for (auto &[name, inode] : names) {
        Lose(*inode, true);
        inode->cache = inode->disk;
        inode->dirty.clear();
        inode->pending_at = inode->pending_end = 0;
    }
    Reopen();
}

bool Disk::Flip()
{
    std::vector<std::pair<std::shared_ptr<Inode>, Run>> all;
    uint64_t newest = 0;
    for (auto &[name, inode] : names) {
        for (auto &run : inode->runs) {
            all.emplace_back(inode, run);
            newest = std::max(newest, run.number);
        }
    }
    if (all.size() < 2) return false;
    auto &[inode, run] = all[draw.Below(all.size())];
    if (run.number == newest || run.end > inode->disk.size()) return false;
    flipped = inode;
    flipped_at = run.at + draw.Below(run.end - run.at);
    flipped_bit = unsigned(draw.Below(8));
    Trace("disk: bit turned at %llu of a group at %llu, sync %llu of %llu", U(flipped_at), U(run.at),
          U(run.number), U(newest));
    inode->disk[flipped_at] = inode->cache[flipped_at] = char(inode->disk[flipped_at] ^ (1 << flipped_bit));
    return true;
}

void Disk::CutAtFlip()
{
    uint64_t at = flipped_at / 4096 * 4096;
    flipped->cache.replace(at, std::string::npos, std::string(flipped->cache.size() - at, '\0'));
    flipped->disk = flipped->cache;
    bool behind = false;
    for (auto name = names.begin(); name != names.end();) {
        bool here = name->second == flipped;
        if (behind) name = names.erase(name);
        else ++name;
        behind = behind || here;
    }
    durable = names;
    changes.clear();
    flipped = nullptr;
}

void Disk::Unflip()
{
    if (flipped == nullptr) return;
    auto turn = [&](std::string &bytes) {
        if (flipped_at < bytes.size()) bytes[flipped_at] = char(bytes[flipped_at] ^ (1 << flipped_bit));
    };
    turn(flipped->disk);
    turn(flipped->cache);
    flipped = nullptr;
}

// ---- the calls

err Disk::Open(slog_files *files, const char *name, bool create, int *file)
{
    Disk &disk = Of(files);
    Trace("disk: open %s%s", name, create ? ", new" : "");
    auto found = disk.names.find(name);
    if (disk.is_dead) return err_make_detail(ERR_IO, EIO, "open");
    if (create) {
        bool last;
        if (found != disk.names.end()) return err_make_detail(ERR_EXISTS, EEXIST, "open");
        err e = disk.Change(&last);
        if (e.code != ERR_OK) return e;
        auto inode = std::make_shared<Inode>();
        found = disk.names.emplace(name, inode).first;
        disk.changes.push_back({name, inode});
        if (last) return err_make_detail(ERR_IO, EIO, "open");
    }
    if (found == disk.names.end()) return err_make_detail(ERR_NOT_FOUND, ENOENT, "open");
    disk.open_files[*file = disk.next_file++] = found->second;
    return err_ok();
}

void Disk::Close(slog_files *files, int file) { Of(files).open_files.erase(file); }

err Disk::Size(slog_files *files, int file, uint64_t *bytes)
{
    *bytes = Of(files).At(file).cache.size();
    return err_ok();
}

err Disk::Write(slog_files *files, int file, span bytes, uint64_t at, size_t *written)
{
    Disk &disk = Of(files);
    Inode &inode = disk.At(file);
    bool last;
    err e = disk.Change(&last);
    if (e.code != ERR_OK) return e;
    size_t len = bytes.len;
    if (last || disk.draw.OneIn(4)) len = 1 + disk.draw.Below(len);
    if (at + len > inode.cache.size()) {
        uint64_t room = disk.capacity - std::min(disk.capacity, disk.used());
        uint64_t grows = at + len - inode.cache.size();
        if (grows > room) return err_make_detail(ERR_FULL, ENOSPC, "write");
        inode.Resize(at + len);
    }
    inode.cache.replace(at, len, bytes.ptr, len);
    inode.Overwrite(at, at + len);
    inode.Mark(at, at + len);
    if (inode.pending_end != at) inode.pending_at = at;
    inode.pending_end = at + len;
    *written = len;
    return last ? err_make_detail(ERR_IO, EIO, "write") : err_ok();
}

err Disk::Read(slog_files *files, int file, char *to, size_t size, uint64_t at, size_t *got)
{
    Disk &disk = Of(files);
    if (disk.is_dead) return err_make_detail(ERR_IO, EIO, "read");
    const std::string &bytes = disk.At(file).cache;
    *got = at >= bytes.size() ? 0 : std::min<size_t>(size, bytes.size() - at);
    if (*got > 0) memcpy(to, bytes.data() + at, *got);
    return err_ok();
}

err Disk::Sync(slog_files *files, int file)
{
    Disk &disk = Of(files);
    Inode &inode = disk.At(file);
    bool last;
    err e = disk.Change(&last);
    if (e.code != ERR_OK) return e;
    disk.syncs++;
    if (last && disk.draw.OneIn(2)) return err_make_detail(ERR_IO, EIO, "sync");
    Trace("disk: sync %llu of bytes %llu-%llu%s", U(disk.syncs), U(inode.pending_at),
          U(inode.pending_end), last ? ", then dead" : "");
    bool fails = disk.sync_fails_in != 0 && disk.draw.OneIn(disk.sync_fails_in);
    if (fails) {
        // The pages are clean afterwards, whether they got there or not (Linux before and after
        // 4.13 alike): syncing again says OK and writes nothing.
        disk.Lose(inode, true);
        inode.dirty.clear();
        inode.pending_at = inode.pending_end = 0;
        return disk.sync_lies ? err_ok() : err_make_detail(ERR_IO, EIO, "sync");
    }
    inode.disk.resize(inode.cache.size());
    for (uint64_t sector : inode.dirty) {
        uint64_t from = sector * kSectorBytes;
        uint64_t bytes = std::min<uint64_t>(kSectorBytes, inode.cache.size() - from);
        inode.disk.replace(from, bytes, inode.cache, from, bytes);
    }
    inode.dirty.clear();
    if (inode.pending_end > inode.pending_at && !last) {
        inode.runs.push_back({inode.pending_at, inode.pending_end, disk.syncs});
    }
    inode.pending_at = inode.pending_end = 0;
    return last ? err_make_detail(ERR_IO, EIO, "sync") : err_ok();
}

err Disk::Allocate(slog_files *files, int file, uint64_t bytes)
{
    Disk &disk = Of(files);
    Inode &inode = disk.At(file);
    bool last;
    err e = disk.Change(&last);
    if (e.code != ERR_OK) return e;
    if (bytes <= inode.cache.size()) return err_ok();
    uint64_t room = disk.capacity - std::min(disk.capacity, disk.used());
    uint64_t grows = bytes - inode.cache.size();
    if (grows > room) {
        inode.Resize(inode.cache.size() + disk.draw.Below(room + 1));
        return err_make_detail(ERR_FULL, ENOSPC, "allocate");
    }
    if (last) grows = disk.draw.Below(grows);
    inode.Resize(inode.cache.size() + grows);
    return last ? err_make_detail(ERR_IO, EIO, "allocate") : err_ok();
}

err Disk::Truncate(slog_files *files, int file, uint64_t bytes)
{
    Disk &disk = Of(files);
    bool last;
    err e = disk.Change(&last);
    if (e.code != ERR_OK) return e;
    Inode &inode = disk.At(file);
    inode.Resize(bytes);
    if (inode.pending_end > bytes) inode.pending_at = inode.pending_end = 0;
    inode.Overwrite(bytes, UINT64_MAX);
    return last ? err_make_detail(ERR_IO, EIO, "truncate") : err_ok();
}

void Disk::Forget(slog_files *files, int file)
{
    Inode &inode = Of(files).At(file);
    if (Of(files).forget_lies) return;
    std::string fresh = inode.disk;
    fresh.resize(inode.cache.size());
    for (uint64_t sector : inode.dirty) {
        uint64_t at = sector * kSectorBytes;
        uint64_t bytes = std::min<uint64_t>(kSectorBytes, fresh.size() - at);
        fresh.replace(at, bytes, inode.cache, at, bytes);
    }
    inode.cache = fresh;
}

err Disk::RenameFile(slog_files *files, const char *from, const char *to)
{
    Disk &disk = Of(files);
    Trace("disk: rename %s to %s", from, to);
    bool last;
    err e = disk.Change(&last);
    if (e.code != ERR_OK) return e;
    auto found = disk.names.find(from);
    if (found == disk.names.end()) return err_make_detail(ERR_NOT_FOUND, ENOENT, "rename");
    auto inode = found->second;
    disk.names.erase(found);
    disk.names[to] = inode;
    disk.changes.push_back({to, inode});
    disk.changes.push_back({from, nullptr});
    return last ? err_make_detail(ERR_IO, EIO, "rename") : err_ok();
}

err Disk::Unlink(slog_files *files, const char *name)
{
    Disk &disk = Of(files);
    bool last;
    err e = disk.Change(&last);
    if (e.code != ERR_OK) return e;
    if (disk.names.erase(name) == 0) return err_make_detail(ERR_NOT_FOUND, ENOENT, "unlink");
    disk.changes.push_back({name, nullptr});
    return last ? err_make_detail(ERR_IO, EIO, "unlink") : err_ok();
}

err Disk::SyncDirectory(slog_files *files)
{
    Disk &disk = Of(files);
    bool last;
    err e = disk.Change(&last);
    if (e.code != ERR_OK) return e;
    if (last || disk.directory_lies) return last ? err_make_detail(ERR_IO, EIO, "sync") : err_ok();
    disk.durable = disk.names;
    disk.changes.clear();
    return err_ok();
}

err Disk::List(slog_files *files, err (*each)(void *, const char *), void *holder)
{
    Names all = Of(files).names;
    if (Of(files).is_dead) return err_make_detail(ERR_IO, EIO, "list");
    for (auto &[name, inode] : all) {
        err e = each(holder, name.c_str());
        if (e.code != ERR_OK) return e;
    }
    return err_ok();
}

err Disk::FreeBytes(slog_files *files, uint64_t *bytes)
{
    Disk &disk = Of(files);
    *bytes = disk.capacity - std::min(disk.capacity, disk.used());
    return err_ok();
}

}  // namespace sim

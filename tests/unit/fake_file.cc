#include "fake_file.h"

#include <algorithm>

namespace {

constexpr size_t kSector = 512;

FakeFiles &Of(slog_files *files) { return *static_cast<FakeFiles *>(files); }
err Io() { return err_make(ERR_IO, "fake file"); }
err Full() { return err_make(ERR_FULL, "fake file"); }

void WriteAt(std::string *to, span bytes, uint64_t at)
{
    if (to->size() < at + bytes.len) to->resize(at + bytes.len);
    std::copy(bytes.ptr, bytes.ptr + bytes.len, to->begin() + (long)at);
}

err Open(slog_files *f, const char *name, bool create, int *file)
{
    auto &fake = Of(f);
    FakeFiles::Fault fault;
    if (create && !fake.Op(&fault, FakeFiles::kDie, FakeFiles::kDie)) {
        if (fault == FakeFiles::kDie && fake.random() % 2) fake.names[name] = std::make_shared<FakeInode>();
        return Io();
    }
    if (fake.Dead()) return Io();
    auto at = fake.names.find(name);
    if (create && at != fake.names.end()) return err_make(ERR_EXISTS, "fake file");
    if (!create && at == fake.names.end()) return err_make(ERR_NOT_FOUND, "fake file");
    if (create) at = fake.names.emplace(name, std::make_shared<FakeInode>()).first;
    *file = fake.next_file++;
    fake.open[*file] = at->second;
    return err_ok();
}

void Close(slog_files *f, int file) { Of(f).open.erase(file); }

err Size(slog_files *f, int file, uint64_t *bytes)
{
    if (Of(f).Dead()) return Io();
    *bytes = Of(f).open.at(file)->now.size();
    return err_ok();
}

err Write(slog_files *f, int file, span bytes, uint64_t at, size_t *written)
{
    auto &fake = Of(f);
    auto &now = fake.open.at(file)->now;
    FakeFiles::Fault fault;
    fake.writes++;
    if (!fake.Op(&fault, FakeFiles::kShortWrite, FakeFiles::kWriteIo)) {
        if (fault == FakeFiles::kNone) return Io();
        auto part = span_head(bytes, fault == FakeFiles::kShortWrite ? 1 + fake.random() % bytes.len : fake.random() % (bytes.len + 1));
        WriteAt(&now, part, at);
        if (fault == FakeFiles::kShortWrite) return *written = part.len, err_ok();
        return fault == FakeFiles::kWriteFull ? Full() : Io();
    }
    WriteAt(&now, bytes, at);
    fake.written_bytes += bytes.len;
    *written = bytes.len;
    return err_ok();
}

err Read(slog_files *f, int file, char *to, size_t size, uint64_t at, size_t *got)
{
    if (Of(f).Dead()) return Io();
    if (auto first = std::move(Of(f).before_read)) Of(f).before_read = nullptr, first();
    const auto &now = Of(f).open.at(file)->now;
    *got = at >= now.size() ? 0 : std::min<size_t>(size, now.size() - at);
    if (*got > 0) std::copy_n(now.begin() + (long)at, *got, to);
    return err_ok();
}

err Sync(slog_files *f, int file)
{
    auto &fake = Of(f);
    auto inode = fake.open.at(file);
    FakeFiles::Fault fault;
    fake.syncs++;
    if (!fake.Op(&fault, FakeFiles::kSyncIo, FakeFiles::kSyncIo)) {
        if (fault == FakeFiles::kDie && fake.random() % 2) inode->disk = inode->now;
        return Io();
    }
    inode->disk = inode->now;
    return err_ok();
}

err Resize(slog_files *f, int file, uint64_t bytes)
{
    FakeFiles::Fault fault;
    auto &fake = Of(f);
    bool alive = fake.Op(&fault, FakeFiles::kDie, FakeFiles::kDie);
    if (alive || (fault == FakeFiles::kDie && fake.random() % 2)) fake.open.at(file)->now.resize(bytes);
    return alive ? err_ok() : Io();
}

err Allocate(slog_files *f, int file, uint64_t bytes)
{
    if (Of(f).Dead()) return Io();
    uint64_t have = Of(f).open.at(file)->now.size();
    if (bytes <= have) return err_ok();
    if (bytes - have > Of(f).space_free) return Full();
    return Resize(f, file, bytes);
}

void Forget(slog_files *, int) {}

err Rename(slog_files *f, const char *from, const char *to)
{
    FakeFiles::Fault fault;
    if (!Of(f).Op(&fault, FakeFiles::kDie, FakeFiles::kDie)) return Io();
    auto inode = Of(f).names.at(from);
    Of(f).names.erase(from);
    Of(f).names[to] = inode;
    return err_ok();
}

err Unlink(slog_files *f, const char *name)
{
    FakeFiles::Fault fault;
    bool alive = Of(f).Op(&fault, FakeFiles::kDie, FakeFiles::kDie);
    if (alive || (fault == FakeFiles::kDie && Of(f).random() % 2)) Of(f).names.erase(name);
    return alive ? err_ok() : Io();
}

err SyncDirectory(slog_files *f)
{
    FakeFiles::Fault fault;
    bool alive = Of(f).Op(&fault, FakeFiles::kDie, FakeFiles::kDie);
    if (alive || (fault == FakeFiles::kDie && Of(f).random() % 2)) Of(f).names_disk = Of(f).names;
    return alive ? err_ok() : Io();
}

err List(slog_files *f, err (*each)(void *, const char *), void *holder)
{
    if (Of(f).Dead()) return Io();
    for (const auto &[name, inode] : Of(f).names) {
        auto e = each(holder, name.c_str());
        if (e.code != ERR_OK) return e;
    }
    return err_ok();
}

err FreeBytes(slog_files *f, uint64_t *bytes)
{
    *bytes = Of(f).space_free;
    return Of(f).Dead() ? Io() : err_ok();
}

const slog_files_calls kCalls = {Open,   Close,  Size,   Write,         Read, Sync,     Allocate,
                                 Resize, Forget, Rename, Unlink, SyncDirectory, List, FreeBytes};

}  // namespace

FakeFiles::FakeFiles(uint64_t seed) : random(seed) { calls = &kCalls; }

// Counts a call. False: it fails as `*ret` says; kNone then, because all is over already.
bool FakeFiles::Op(Fault *ret, Fault a, Fault b)
{
    *ret = kNone;
    if (dead) return false;
    if (++ops < fault_at || fault == kNone) return true;
    bool is_write = b == kWriteIo;
    if (fault != kDie && fault != a && fault != b && !(fault == kWriteFull && is_write)) return true;
    *ret = fault;
    dead = fault == kDie;
    fault = kNone;
    return false;
}

void FakeFiles::Restart(bool power_loss)
{
    open.clear();
    dead = false;
    fault = kNone;
    if (power_loss) {
        FakeNames kept;
        auto all = names_disk;
        all.insert(names.begin(), names.end());
        for (const auto &[name, unused] : all) {
            auto &from = names.count(name) == names_disk.count(name) || random() % 2 ? names : names_disk;
            if (from.count(name)) kept[name] = from.at(name);
        }
        names = kept;
        for (auto &[name, inode] : names) {
            std::string got = inode->disk;
            if (random() % 2) got.resize(inode->now.size());
            for (size_t at = 0; at < got.size() && at < inode->now.size(); at += kSector) {
                auto len = std::min({kSector, got.size() - at, inode->now.size() - at});
                if (random() % 2) got.replace(at, len, inode->now, at, len);
            }
            inode->now = got;
        }
    }
    for (auto &[name, inode] : names) inode->disk = inode->now;
    names_disk = names;
}

void FakeFiles::FlipBit(const std::string &name, uint64_t byte, int bit)
{
    auto &inode = *names.at(name);
    inode.now.at(byte) = (char)(inode.now.at(byte) ^ (1 << bit));
    inode.disk = inode.now;
}

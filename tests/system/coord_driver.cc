// lib/coord on lines: commands come on standard input, answers and events go to standard output, so
// that a test can hold several of them against one store.
//
//   change TAG ITEM...       ITEM: put,KEY,REVISION,VALUE[,LEASE]  del,KEY,REVISION  cmp,KEY,REVISION
//                            REVISION: a number or "any"; VALUE @N: N bytes
//                            -> changed TAG ERROR REVISION WHAT
//   wait MS                  of the changes that follow
//   get KEY                  -> row KEY REVISION VALUE | none KEY
//   list PREFIX              -> list REVISION KEY=REVISION ...
//   refresh TAG PREFIX       -> refreshed TAG ERROR
//   watch NAME PREFIX        -> watched NAME KEY=REVISION KEY=gone ...: against what was told before
//   unwatch NAME
//   lease NAME SECONDS       -> lease NAME held|lost
//   unlease NAME
//   state                    -> state ERROR AGE_MS WHAT
//   quit
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "boot.h"
#include "coord_boot.h"
#include "coord_lease.h"
#include "crew.h"
#include "loop.h"
#include "loop_poll.h"

extern char **environ;

namespace {

using Rows = std::map<std::string, uint64_t>;

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

struct Watch {
    std::string name, prefix;
    Rows told;
    struct coord_watch *watch = nullptr;
};
struct Lease {
    std::string name;
    struct coord_lease *lease = nullptr;
};
struct Tag {
    std::string name;
};

struct loop *the_loop;
struct coord *the_coord;
struct crew *the_crew;
std::map<std::string, std::unique_ptr<Watch>> watches;
std::map<std::string, std::unique_ptr<Lease>> leases;
unsigned wait_ms;
std::string input;

void Say(const std::string &line)
{
    std::string text = line + "\n";
    for (size_t at = 0; at < text.size();) {
        ssize_t n = write(STDOUT_FILENO, text.data() + at, text.size() - at);
        if (n <= 0) _exit(1);
        at += size_t(n);
    }
}

Rows List(const std::string &prefix, uint64_t *revision)
{
    Rows rows;
    *revision = coord_list(the_coord, S(prefix), [](void *to, const struct coord_row *row) {
        (*static_cast<Rows *>(to))[Str(row->key)] = row->revision;
    }, &rows);
    return rows;
}

std::string Text(const Rows &rows)
{
    std::string text;
    for (const auto &[key, revision] : rows) text += " " + key + "=" + (revision == 0 ? "gone" : std::to_string(revision));
    return text;
}

void OnWatch(void *holder)
{
    auto *watch = static_cast<Watch *>(holder);
    uint64_t revision;
    Rows now = List(watch->prefix, &revision), changes;
    for (const auto &[key, is] : now) {
        if (watch->told.count(key) == 0 || watch->told[key] != is) changes[key] = is;
    }
    for (const auto &[key, was] : watch->told) {
        if (now.count(key) == 0) changes[key] = 0;
    }
    watch->told = now;
    Say("watched " + watch->name + Text(changes));
}

void OnLease(void *holder)
{
    auto *lease = static_cast<Lease *>(holder);
    Say("lease " + lease->name + (coord_lease_state(lease->lease) == COORD_LEASE_HELD ? " held" : " lost"));
}

void OnChanged(void *holder, struct err err, uint64_t revision)
{
    std::unique_ptr<Tag> tag(static_cast<Tag *>(holder));
    Say("changed " + tag->name + " " + err_name(err.code) + " " + std::to_string(revision) + " " + err.what);
}

void OnRefreshed(void *holder, struct err err)
{
    std::unique_ptr<Tag> tag(static_cast<Tag *>(holder));
    Say("refreshed " + tag->name + " " + err_name(err.code));
}

std::vector<std::string> Split(const std::string &text, char sep)
{
    std::vector<std::string> parts;
    std::stringstream in(text);
    for (std::string part; std::getline(in, part, sep);) parts.push_back(part);
    return parts;
}

void Change(const std::vector<std::string> &words)
{
    std::vector<std::vector<std::string>> parts;
    std::vector<struct coord_item> items;
    parts.reserve(words.size());
    for (size_t i = 2; i < words.size() && !words[i].empty(); i++) {
        parts.push_back(Split(words[i], ','));
        auto &p = parts.back();
        p.resize(5);
        if (!p[3].empty() && p[3][0] == '@') p[3] = std::string(std::stoul(p[3].substr(1)), 'x');
        struct coord_item item = {};
        item.key = S(p[1]);
        item.revision = p[2] == "any" ? COORD_ANY : std::stoull(p[2]);
        item.action = p[0] == "put" ? COORD_PUT : p[0] == "del" ? COORD_DELETE : COORD_COMPARE;
        if (item.action == COORD_PUT) item.value = S(p[3]);
        if (!p[4].empty()) item.lease = leases.at(p[4])->lease;
        items.push_back(item);
    }
    struct coord_change change = { items.data(), items.size(), wait_ms };
    auto tag = std::make_unique<Tag>(Tag{ words[1] });
    struct err err = coord_change_start(the_coord, the_crew, &change, OnChanged, tag.get());
    if (err.code != ERR_OK) OnChanged(tag.release(), err, 0);
    else tag.release();
}

void StartWatch(const std::string &name, const std::string &prefix)
{
    auto watch = std::make_unique<Watch>();
    watch->name = name;
    watch->prefix = prefix;
    struct err err = coord_watch_start(the_coord, S(watch->prefix), OnWatch, watch.get(), &watch->watch);
    if (err.code != ERR_OK) Say("watched " + name + " failed");
    else watches[name] = std::move(watch);
}

void StartLease(const std::string &name, unsigned seconds)
{
    auto lease = std::make_unique<Lease>();
    lease->name = name;
    struct err err = coord_lease_start(the_coord, seconds, OnLease, lease.get(), &lease->lease);
    if (err.code != ERR_OK) Say("lease " + name + " failed");
    else leases[name] = std::move(lease);
}

void Command(const std::string &line)
{
    auto words = Split(line, ' ');
    std::string command = words.empty() ? "" : words[0];
    words.resize(words.size() < 3 ? 3 : words.size());
    if (command == "change") {
        Change(words);
    } else if (command == "wait") {
        wait_ms = unsigned(std::stoul(words[1]));
    } else if (command == "get") {
        struct coord_row row;
        if (coord_get(the_coord, S(words[1]), &row)) Say("row " + words[1] + " " + std::to_string(row.revision) + " " + Str(row.value));
        else Say("none " + words[1]);
    } else if (command == "list") {
        uint64_t revision;
        Rows rows = List(words[1], &revision);
        Say("list " + std::to_string(revision) + Text(rows));
    } else if (command == "refresh") {
        auto tag = std::make_unique<Tag>(Tag{ words[1] });
        struct err err = coord_refresh_start(the_coord, S(words[2]), OnRefreshed, tag.get());
        if (err.code != ERR_OK) OnRefreshed(tag.release(), err);
        else tag.release();
    } else if (command == "watch") {
        StartWatch(words[1], words[2]);
    } else if (command == "unwatch") {
        coord_watch_stop(watches.at(words[1])->watch);
        watches.erase(words[1]);
    } else if (command == "lease") {
        StartLease(words[1], unsigned(std::stoul(words[2])));
    } else if (command == "unlease") {
        coord_lease_stop(leases.at(words[1])->lease);
        leases.erase(words[1]);
    } else if (command == "state") {
        struct err err = coord_state(the_coord);
        Say(std::string("state ") + err_name(err.code) + " " + std::to_string(loop_now_ms(the_loop) - coord_current_ms(the_coord)) + " " + err.what);
    } else {
        loop_stop(the_loop);
    }
}

void OnInput(void *)
{
    char bytes[65536];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (n <= 0) {
        loop_stop(the_loop);
        return;
    }
    input.append(bytes, size_t(n));
    for (size_t end; (end = input.find('\n')) != std::string::npos;) {
        std::string line = input.substr(0, end);
        input.erase(0, end + 1);
        Command(line);
    }
}

struct err Open(const struct boot *boot)
{
    struct coord_options options;
    struct err err = loop_new(&the_loop);
    if (err.code == ERR_OK) err = crew_new("driver", 2, 256, &the_crew);
    if (err.code == ERR_OK) err = coord_boot_read(boot, &options);
    if (err.code != ERR_OK) return err;
    for (size_t i = 0; i < boot_list_count(boot, "prefix") && i < COORD_PREFIXES_MAX; i++) {
        const char *prefix = boot_list(boot, "prefix", i);
        options.prefixes[options.prefixes_count++] = span_of(prefix, strlen(prefix));
    }
    return coord_open_options(the_loop, &options, &the_coord);
}

}  // namespace

int main(int argc, char **argv)
{
    static const struct boot_option options[] = {
        COORD_BOOT_OPTIONS(""),
        { "prefix", BOOT_LIST, "", "what to keep; empty: all" },
    };
    struct boot_input boot_input = { options, sizeof(options) / sizeof(options[0]), argc, argv, environ };
    struct boot *boot = nullptr;
    struct loop_poll *poll = nullptr;
    char problem[BOOT_PROBLEM_BYTES] = "";
    if (boot_read(&boot_input, &boot, problem).code != ERR_OK) {
        fprintf(stderr, "coord_driver: %s\n", problem);
        return 2;
    }
    struct err err = Open(boot);
    Say(std::string("open ") + err_name(err.code) + " " + (err.what == nullptr ? "" : err.what));
    if (err.code == ERR_OK) err = loop_poll_open(the_loop, STDIN_FILENO, OnInput, nullptr, &poll);
    if (err.code != ERR_OK) return 1;
    loop_hold(the_loop);
    loop_run(the_loop);
    loop_release(the_loop);
    loop_poll_close(poll);
    for (auto &[name, watch] : watches) coord_watch_stop(watch->watch);
    for (auto &[name, lease] : leases) coord_lease_stop(lease->lease);
    coord_close(the_coord);
    crew_free(the_crew);
    for (int i = 0; i < 5; i++) loop_step(the_loop, 0);
    loop_free(the_loop);
    boot_free(boot);
    return 0;
}

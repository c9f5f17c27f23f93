// sim [--cluster] --seeds A-B [--jobs N] [--block N] [--trace] | --mutant NAME | --mutants | --list
//
// Runs seeds in processes of their own and prints a line for each block of seeds that went well, and
// one for each seed that did not: `not ok sim seed N: why`. `sim --seeds N-N` replays it. With
// --trace it tells what the disk does. --mutant plants a fault, --mutants each in turn: it has to be
// found within the number of seeds stated in sim_mutants.def.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>

#include "sim_draw.h"
#include "sim_run.h"

namespace {

enum { kWhyBytes = 400, kJobsMax = 64, kSecondsPerSeed = 120 };

// What a child shows its parent.
struct Board {
    uint64_t seed; // at work
    bool failed;
    char why[kWhyBytes];
    sim::Outcome sum;
};
Board *board; // of this process
bool traces;

struct Options {
    uint64_t first = 1, last = 100, block = 100;
    unsigned jobs = 1;
    const sim::MutantRow *mutant = nullptr;
    bool mutants = false, cluster = false;
};

void Add(sim::Outcome *sum, const sim::Outcome &o)
{
    sum->steps += o.steps;
    sum->sent += o.sent;
    sum->acknowledged += o.acknowledged;
    sum->repeated += o.repeated;
    sum->unstuck += o.unstuck;
    sum->crashes += o.crashes;
    sum->recoveries += o.recoveries;
    sum->recoveries_cut += o.recoveries_cut;
    sum->damaged += o.damaged;
    sum->refused += o.refused;
    sum->groups += o.groups;
    sum->virtual_ms += o.virtual_ms;
    sum->messages += o.messages;
    sum->row_changes += o.row_changes;
    sum->leads += o.leads;
    sum->installs += o.installs;
    sum->digest ^= o.digest;
}

// In a child: the seeds first..last, the first one twice.
void Seeds(uint64_t first, uint64_t last, bool cluster, sim::Mutant mutant)
{
    auto run = cluster ? sim::RunCluster : sim::Run;
    for (board->seed = first; board->seed <= last; board->seed++) {
        alarm(kSecondsPerSeed);
        sim::Outcome outcome = run(board->seed, mutant);
        Add(&board->sum, outcome);
        if (board->seed != first || mutant != sim::Mutant::NONE) continue;
        sim::Demand(run(first, mutant).digest == outcome.digest, "the same seed runs differently");
    }
    exit(0); // and a sanitizer looks for what was lost
}

struct Job {
    uint64_t block_first, first, last;
    Board *board;
    bool clean; // no seed of the block has failed yet
};

class Parent {
public:
    explicit Parent(const Options &options_) : options(options_) {}

    // True: all went well. With a mutant: stops at the first seed that finds it.
    bool Run()
    {
        uint64_t next = options.first;
        auto began = std::chrono::steady_clock::now();
        while (next <= options.last || !jobs.empty()) {
            while (next <= options.last && jobs.size() < options.jobs && !found) {
                uint64_t last = std::min(options.last, next + options.block - 1);
                Begin({next, next, last, NewBoard(), true});
                next = last + 1;
            }
            if (jobs.empty()) break;
            End();
        }
        std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        seconds = took.count();
        return failures == 0;
    }

    void Report() const
    {
        uint64_t seeds = options.last - options.first + 1;
        printf("# %llu seeds in %.1f s, %.1f seeds/s; %llu operations sent, %llu acknowledged, %llu sent "
               "again; %llu crashes, %llu recoveries, %llu of them cut short, %llu damaged, %llu groups, "
               "%llu entries refused, %llu starts that waited for space; digest %016llx\n",
               U(seeds), seconds, double(seeds) / seconds, U(sum.sent), U(sum.acknowledged),
               U(sum.repeated), U(sum.crashes), U(sum.recoveries), U(sum.recoveries_cut), U(sum.damaged),
               U(sum.groups), U(sum.refused), U(sum.unstuck), U(sum.digest));
        if (!options.cluster) return;
        printf("# %.1f simulated hours, %.1f a CPU hour; %llu messages, %llu changes of a row, %llu leads, "
               "%llu checkpoints installed\n",
               double(sum.virtual_ms) / 3.6e6, double(sum.virtual_ms) / 1000 / (seconds * options.jobs),
               U(sum.messages), U(sum.row_changes), U(sum.leads), U(sum.installs));
    }

    bool found = false;
    uint64_t found_seed = 0;
    std::string found_why;

private:
    static unsigned long long U(uint64_t n) { return n; }

    static Board *NewBoard()
    {
        void *at = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) abort();
        return new (at) Board();
    }

    void Begin(Job job)
    {
        fflush(stdout);
        pid_t child = fork();
        if (child < 0) abort();
        if (child == 0) {
            board = job.board;
            Seeds(job.first, job.last, options.cluster, options.mutant ? options.mutant->mutant : sim::Mutant::NONE);
        }
        jobs[child] = job;
    }

    void End()
    {
        int status;
        pid_t child = wait(&status);
        Job job = jobs[child];
        jobs.erase(child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            uint64_t seed = job.board->seed;
            std::string why = job.board->failed ? job.board->why
                              : WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                    : "exit " + std::to_string(WEXITSTATUS(status));
            Failed(seed, why);
            job.clean = false;
            job.board->failed = false;
            if (seed < job.last && !found) {
                job.first = seed + 1;
                return Begin(job);
            }
        }
        Add(&sum, job.board->sum);
        if (job.clean && options.mutant == nullptr) {
            printf("ok sim %sseeds %llu-%llu\n", options.cluster ? "cluster " : "", U(job.block_first),
                   U(job.last));
        }
        munmap(job.board, sizeof(Board));
    }

    void Failed(uint64_t seed, const std::string &why)
    {
        failures++;
        if (options.mutant == nullptr) {
            printf("not ok sim %sseed %llu: %s\n", options.cluster ? "cluster " : "", U(seed), why.c_str());
            return;
        }
        if (found && found_seed < seed) return;
        found = true;
        found_seed = seed;
        found_why = why;
    }

    const Options &options;
    std::map<pid_t, Job> jobs;
    sim::Outcome sum;
    unsigned failures = 0;
    double seconds = 0;
};

bool TryMutant(const sim::MutantRow &row, unsigned jobs_count)
{
    Options options;
    options.last = row.seeds;
    options.block = std::max<uint64_t>(1, std::min<uint64_t>(25, row.seeds / jobs_count));
    options.jobs = jobs_count;
    options.mutant = &row;
    options.cluster = row.cluster;
    Parent parent(options);
    parent.Run();
    if (parent.found) {
        printf("ok sim mutant %s found by seed %llu: %s\n", row.name,
               static_cast<unsigned long long>(parent.found_seed), parent.found_why.c_str());
    } else {
        printf("not ok sim mutant %s: not found within %u seeds (%s)\n", row.name, row.seeds, row.what);
    }
    return parent.found;
}

int Usage()
{
    fprintf(stderr, "sim [--cluster] --seeds A-B [--jobs N] [--block N] [--trace] | --mutant NAME | --mutants | --list\n");
    return 2;
}

bool Number(const char *text, uint64_t *ret, char end)
{
    char *at;
    *ret = strtoull(text, &at, 10);
    return at != text && *at == end;
}

bool Parse(int count, char **arguments, Options *options)
{
    for (int i = 1; i < count; i++) {
        std::string name = arguments[i];
        const char *value = i + 1 < count ? arguments[i + 1] : "";
        uint64_t number = 0;
        if (name == "--mutants" || name == "--trace" || name == "--cluster") {
            options->cluster = options->cluster || name == "--cluster";
            options->mutants = options->mutants || name == "--mutants";
            traces = traces || name == "--trace";
            continue;
        }
        i++;
        if (name == "--seeds") {
            const char *dash = strchr(value, '-');
            if (dash == nullptr || !Number(value, &options->first, '-')) return false;
            if (!Number(dash + 1, &options->last, '\0') || options->last < options->first) return false;
        } else if (name == "--jobs") {
            if (!Number(value, &number, '\0') || number == 0 || number > kJobsMax) return false;
            options->jobs = unsigned(number);
        } else if (name == "--block") {
            if (!Number(value, &options->block, '\0') || options->block == 0) return false;
        } else if (name == "--mutant") {
            for (auto &row : sim::kMutants)
                if (strcmp(row.name, value) == 0) options->mutant = &row;
            if (options->mutant == nullptr) return false;
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace

namespace sim {
void Trace(const char *format, ...)
{
    if (!traces) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void Fail(const std::string &what)
{
    snprintf(board->why, sizeof(board->why), "%s", what.c_str());
    board->failed = true;
    _exit(1);
}
}  // namespace sim

int main(int count, char **arguments)
{
    Options options;
    if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (auto &row : sim::kMutants) printf("%-20s %4u seeds  %s\n", row.name, row.seeds, row.what);
        return 0;
    }
    if (!Parse(count, arguments, &options)) return Usage();
    if (options.mutants || options.mutant != nullptr) {
        bool all = true;
        for (auto &row : sim::kMutants) {
            if (options.mutants || options.mutant == &row) all = TryMutant(row, options.jobs) && all;
        }
        return all ? 0 : 1;
    }
    Parent parent(options);
    bool ok = parent.Run();
    parent.Report();
    return ok ? 0 : 1;
}

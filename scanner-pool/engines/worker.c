/* A worker: shut in, then one message after the other until the scanner closes the socket. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clam_private.h"
#include "clock.h"
#include "parts_private.h"
#include "sandbox.h"
#include "wire_private.h"

enum {
    WORKER_CPU_SECONDS = 4 * 3600, /* then the kernel ends it; the scanner replaces it */
};

static void worker_scan(const struct wire_worker *worker, struct span bytes,
                        struct engines_result *result)
{
    uint64_t start = clock_measure_us();
    parts_scan(worker->clam, bytes, worker->settings->limits.scan_ms, result);
    uint64_t took = clock_measure_us() - start;
    result->micros = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* The message: in the slot or in a memfd that came along. */
static void worker_serve(const struct wire_worker *worker, const char *slot,
                         const struct wire_work *work, int fd, struct engines_result *result)
{
    if (fd < 0) {
        if (work->size > WIRE_SLOT_BYTES) _exit(3);
        worker_scan(worker, span_of(slot, work->size), result);
        return;
    }
    void *mapped = mmap(NULL, work->size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) {
        result->outcome = ENGINES_NO_MEMORY;
        return;
    }
    worker_scan(worker, span_of(mapped, work->size), result);
    munmap(mapped, work->size);
}

/* Signals are as the zygote left them: none is blocked or handled in a worker. */
static void worker_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
}

static void worker_enter(const struct wire_worker *worker, struct wire_answer *hello)
{
    const struct engines_limits *limits = &worker->settings->limits;
    struct sandbox_options options = {
        .folder = worker->folder,
        .memory_bytes = limits->memory_bytes,
        .temp_bytes = limits->temp_bytes,
        .cpu_seconds = WORKER_CPU_SECONDS,
        .parent = worker->parent,
    };
    if (sandbox_enter(&options, worker->prepared, &hello->sandbox).code != ERR_OK) _exit(2);
    hello->reach_after = sandbox_reach();
}

void worker_run(const struct wire_worker *worker)
{
    worker_signals();
    void *slot = mmap(NULL, WIRE_SLOT_BYTES, PROT_READ, MAP_SHARED, worker->slot, 0);
    close(worker->slot);
    if (slot == MAP_FAILED) _exit(2);
    struct wire_answer answer = { 0 };
    worker_enter(worker, &answer);
    for (;;) {
        if (!wire_send(worker->socket, &answer, sizeof(answer), NULL, 0)) _exit(0);
        struct wire_work work;
        int fds[WIRE_FDS_MAX];
        unsigned fds_count = 0;
        if (wire_take(worker->socket, &work, sizeof(work), fds, &fds_count) != WIRE_GOT) _exit(0);
        memset(&answer, 0, sizeof(answer));
        answer.serial = work.serial;
        clam_set_reach(worker->clam, &work.reach);
        worker_serve(worker, slot, &work, fds_count > 0 ? fds[0] : -1, &answer.result);
    }
}

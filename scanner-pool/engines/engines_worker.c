#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines_private.h"
#include "sandbox.h"
#include "loop_poll.h"

/* What a set must find, and what it must not. EICAR is packed in base64, so that this program is
 * not taken for one that carries it. */
static const struct {
    struct span mail;
    bool infected;
} canaries[] = {
    { SPAN_INIT("Subject: canary\r\nMIME-Version: 1.0\r\n"
                "Content-Type: application/octet-stream; name=\"canary.com\"\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\n"
                "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElW\r\n"
                "SVJVUy1URVNULUZJTEUhJEgrSCo=\r\n"),
      true },
    { SPAN_INIT("Subject: canary\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
                "A bar-tailed godwit flies from Alaska to New Zealand without a stop.\r\n"),
      false },
};
enum { CANARIES = sizeof(canaries) / sizeof(canaries[0]) };

static void worker_release(struct engines_worker *worker)
{
    timer_stop(&worker->timer);
    later_cancel(&worker->later);
    loop_poll_close(worker->watch);
    worker->watch = NULL;
    if (worker->socket >= 0) close(worker->socket);
    if (worker->memfd >= 0) close(worker->memfd);
    worker->socket = worker->memfd = -1;
    if (worker->slot != NULL) munmap(worker->slot, WIRE_SLOT_BYTES);
    worker->slot = NULL;
}

/* It died or misbehaved by itself. */
static void worker_failed(struct engines_worker *worker, const char *event,
                          enum engines_outcome why)
{
    struct engines *engines = worker->engines;
    struct engines_set *set = worker->set;
    bool proving = set->state == SET_PROVING;
    engines->workers_lost++;
    engines->worker_failures++;
    char text[64];
    int len = snprintf(text, sizeof(text), "worker %u, process %d", worker->number,
                       (int)worker->pid);
    engines_log(engines, ENGINES_WARNING, event, span_of(text, len > 0 ? (size_t)len : 0));
    engines_worker_kill(worker);
    engines_job_lost(worker, why);
    if (proving) engines_set_failed(set, "set-refused", SPAN("its first worker failed"));
    engines_balance(engines);
}

static void worker_on_timeout(void *holder)
{
    worker_failed(holder, "worker-timeout", ENGINES_NO_TIME);
}

void engines_worker_give(struct engines_worker *worker, struct span bytes)
{
    memcpy(worker->slot, bytes.ptr, bytes.len);
    struct wire_work work = { .serial = ++worker->serial, .size = bytes.len,
                              .reach = worker->engines->options.limits.reach };
    /* When it is dead, its end of file comes. */
    (void)wire_send(worker->socket, &work, sizeof(work), NULL, 0);
}

void engines_worker_prove(struct engines_worker *worker)
{
    worker->state = WORKER_PROVING;
    engines_worker_give(worker, canaries[worker->canary].mail);
}

/* The layers that are missing are worth one line, whatever is done about them. */
static bool worker_may_be_used(struct engines_worker *worker)
{
    struct engines *engines = worker->engines;
    const uint32_t all = SANDBOX_NAMESPACES | SANDBOX_PRIVATE_ROOT | SANDBOX_LIMITS |
                         SANDBOX_NO_RIGHTS | SANDBOX_LANDLOCK | SANDBOX_SECCOMP;
    bool enough = sandbox_is_enough(worker->sandbox) && worker->reach_after == 0;
    if ((worker->sandbox != all || !enough) && !engines->lacks_said) {
        engines->lacks_said = true;
        char bytes[256];
        struct buf text;
        buf_init(&text, bytes, sizeof(bytes));
        sandbox_layers_text(all & ~worker->sandbox, &text);
        buf_put(&text, SPAN(" missing; still in reach: "));
        sandbox_reach_text(worker->reach_after, &text);
        engines_log(engines, enough ? ENGINES_WARNING : ENGINES_ERROR, "sandbox-lacks",
                    buf_span(&text));
    }
    return enough || !engines->options.sandbox_required;
}

static void worker_is_ready(struct engines_worker *worker)
{
    struct engines *engines = worker->engines;
    worker->state = WORKER_IDLE;
    timer_stop(&worker->timer);
    engines_balance(engines);
    engines_note_change(engines);
}

static void worker_said_hello(struct engines_worker *worker, const struct wire_answer *answer)
{
    worker->sandbox = answer->sandbox;
    worker->reach_after = answer->reach_after;
    if (!worker_may_be_used(worker)) {
        worker_failed(worker, "worker-not-shut-in", ENGINES_LOST);
        return;
    }
    if (worker->set->state == SET_PROVING) {
        engines_worker_prove(worker);
        return;
    }
    worker_is_ready(worker);
}

static void worker_answered_canary(struct engines_worker *worker,
                                   const struct engines_result *result)
{
    bool infected = result->findings_count > 0;
    if (result->outcome != ENGINES_DONE || infected != canaries[worker->canary].infected) {
        struct engines_set *set = worker->set;
        set->is_bad = result->outcome == ENGINES_DONE;
        engines_set_failed(set, "set-refused", infected ? SPAN("it finds a virus in harmless mail")
                                                        : SPAN("it does not find EICAR"));
        return;
    }
    if (++worker->canary < CANARIES) {
        engines_worker_prove(worker);
        return;
    }
    engines_set_proved(worker->set);
    worker_is_ready(worker);
}

static void worker_hear(struct engines_worker *worker, struct wire_answer *answer)
{
    enum engines_worker_state state = worker->state;
    bool expected = (state == WORKER_STARTING && answer->serial == 0) ||
                    ((state == WORKER_PROVING || state == WORKER_BUSY) &&
                     answer->serial == worker->serial && answer->serial != 0);
    if (!expected || !wire_answer_is_sound(answer)) {
        worker_failed(worker, "worker-unsound", ENGINES_LOST);
    } else if (state == WORKER_STARTING) {
        worker_said_hello(worker, answer);
    } else if (state == WORKER_PROVING) {
        worker_answered_canary(worker, &answer->result);
    } else {
        engines_job_end(worker, &answer->result);
    }
}

static void worker_on_readable(void *holder)
{
    struct engines_worker *worker = holder;
    struct wire_answer answer;
    enum wire_got got = wire_take(worker->socket, &answer, sizeof(answer), NULL, NULL);
    if (got == WIRE_CLOSED) worker_failed(worker, "worker-died", ENGINES_LOST);
    if (got == WIRE_GOT) worker_hear(worker, &answer);
}

/* A memfd of the slot's size that nobody can shrink under our feet; mapped at worker->slot. */
static int worker_slot(struct engines_worker *worker)
{
    int fd = memfd_create("scan-slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, WIRE_SLOT_BYTES) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
        void *slot = mmap(NULL, WIRE_SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (slot != MAP_FAILED) {
            worker->slot = slot;
            return fd;
        }
    }
    close(fd);
    return -1;
}

static struct err worker_order(struct engines_worker *worker)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return err_make_detail(ERR_IO, errno, "worker");
    }
    worker->socket = pair[0];
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    const struct engines_options *options = &worker->engines->options;
    int fds[WIRE_FDS_MAX] = { pair[1], worker_slot(worker),
                              engines_folder_make(options, worker->number) };
    struct err err = err_ok();
    if (fds[1] < 0 || fds[2] < 0) err = err_make_detail(ERR_IO, errno, "folder of a worker");
    if (err.code == ERR_OK) {
        err = loop_poll_open(worker->engines->loop, pair[0], worker_on_readable, worker,
                         &worker->watch);
    }
    struct wire_order order = { WIRE_BEAR, worker->number };
    if (err.code == ERR_OK &&
        !wire_send(worker->set->control, &order, sizeof(order), fds, WIRE_FDS_MAX)) {
        err = err_make(ERR_IO, "zygote");
    }
    for (unsigned i = 0; i < WIRE_FDS_MAX; i++) {
        if (fds[i] >= 0) close(fds[i]);
    }
    return err;
}

struct err engines_worker_start(struct engines_set *set)
{
    struct engines *engines = set->engines;
    unsigned number = 0;
    while (number < engines->numbers && engines->workers[number].state != WORKER_FREE) number++;
    if (number == engines->numbers) return err_make(ERR_BUSY, "workers");
    struct engines_worker *worker = &engines->workers[number];
    *worker = (struct engines_worker){ .engines = engines, .set = set, .number = number,
                                       .socket = -1, .memfd = -1, .state = WORKER_STARTING };
    struct err err = worker_order(worker);
    if (err.code != ERR_OK) {
        worker_release(worker);
        engines_folder_remove(&engines->options, number);
        worker->state = WORKER_FREE;
        return err;
    }
    set->workers++;
    timer_start(engines->loop, &worker->timer, ENGINES_START_MS, worker_on_timeout, worker);
    return err_ok();
}

void engines_worker_kill(struct engines_worker *worker)
{
    if (worker->state == WORKER_FREE || worker->state == WORKER_DYING) return;
    worker->state = WORKER_DYING;
    worker_release(worker);
    struct wire_order order = { WIRE_KILL, worker->number };
    (void)wire_send(worker->set->control, &order, sizeof(order), NULL, 0);
    engines_note_change(worker->engines);
}

void engines_worker_buried(struct engines_worker *worker, int status)
{
    struct engines *engines = worker->engines;
    bool by_itself = worker->state != WORKER_DYING;
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
        char text[64];
        int len = snprintf(text, sizeof(text), "process %d ended by signal %d", (int)worker->pid,
                           WTERMSIG(status));
        engines_log(engines, ENGINES_WARNING, "worker-crashed",
                    span_of(text, len > 0 ? (size_t)len : 0));
    }
    worker->state = WORKER_DYING;
    worker_release(worker);
    engines_job_lost(worker, ENGINES_LOST);
    if (by_itself) {
        engines->workers_lost++;
        engines->worker_failures++;
    }
    engines_folder_remove(&engines->options, worker->number);
    worker->state = WORKER_FREE;
    worker->set->workers--;
    engines_note_change(engines);
}

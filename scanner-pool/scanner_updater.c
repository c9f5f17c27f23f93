#include "scanner_updater.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"
#include "loop_poll.h"
#include "timer.h"

enum { WHY_BYTES = 256 };

extern char **environ;

struct scanner_updater {
    struct loop *loop;
    struct scanner_updater_options options;
    struct timer next, limit;
    uint64_t started_ms;
    pid_t pid; /* 0: none runs */
    int pidfd; /* readable when it has ended */
    struct loop_poll *poll;
};

static void on_due(void *holder);

static void arm(struct scanner_updater *updater)
{
    uint64_t now = loop_now_ms(updater->loop);
    uint64_t due = updater->started_ms + updater->options.every_ms;
    timer_start(updater->loop, &updater->next, due > now ? due - now : TIMER_WAIT_MIN_MS, on_due,
                updater);
}

/* Buries it. Returns what waitpid() says. */
static int bury(struct scanner_updater *updater)
{
    int status = 0;
    timer_stop(&updater->limit);
    loop_poll_close(updater->poll);
    updater->poll = NULL;
    if (updater->pidfd >= 0) close(updater->pidfd);
    updater->pidfd = -1;
    while (waitpid(updater->pid, &status, 0) < 0 && errno == EINTR) continue;
    updater->pid = 0;
    return status;
}

/* `how` it ended, with a number; NULL: well. */
static void tell(struct scanner_updater *updater, const char *how, int number)
{
    char why[WHY_BYTES];
    int len = 0;
    if (how != NULL) {
        len = snprintf(why, sizeof(why), "%.150s %s %d", updater->options.program, how, number);
    }
    updater->options.ended(updater->options.holder, span_of(why, (size_t)len));
}

static void on_end(void *holder)
{
    struct scanner_updater *updater = holder;
    int status = bury(updater);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) tell(updater, NULL, 0);
    else if (WIFEXITED(status)) tell(updater, "ended with status", WEXITSTATUS(status));
    else tell(updater, "was ended by signal", WTERMSIG(status));
}

/* It and what it has started. */
static void end_it(struct scanner_updater *updater)
{
    kill(-updater->pid, SIGKILL);
    kill(updater->pid, SIGKILL); /* before it had a group of its own */
}

static void on_limit(void *holder) { end_it(holder); } /* its end is heard as any other */

/* A group of its own, no signal blocked, nothing to read. */
static int spawn(struct scanner_updater *updater)
{
    char *words[3] = { strdup(updater->options.program), strdup(updater->options.folder), NULL };
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    int number = words[0] == NULL || words[1] == NULL
                     ? ENOMEM
                     : posix_spawn(&updater->pid, words[0], &files, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(words[0]);
    free(words[1]);
    if (number != 0) updater->pid = 0;
    return number;
}

static void on_due(void *holder)
{
    struct scanner_updater *updater = holder;
    updater->started_ms = loop_now_ms(updater->loop);
    arm(updater);
    if (updater->pid != 0) return; /* the one before runs still */
    int number = spawn(updater);
    if (number != 0) {
        tell(updater, "cannot be started, errno", number);
        return;
    }
    updater->pidfd = pidfd_open(updater->pid, 0);
    struct err err = updater->pidfd < 0 ? err_make_detail(ERR_IO, errno, "updater")
                                        : loop_poll_open(updater->loop, updater->pidfd, on_end,
                                                         updater, &updater->poll);
    if (err.code != ERR_OK) {
        end_it(updater);
        bury(updater);
        tell(updater, "cannot be watched, errno", err.detail);
        return;
    }
    timer_start(updater->loop, &updater->limit, SCANNER_UPDATE_MAX_MS, on_limit, updater);
}

struct err scanner_updater_open(struct loop *loop, const struct scanner_updater_options *options,
                                struct scanner_updater **ret)
{
    struct scanner_updater *updater = calloc(1, sizeof(*updater));
    if (updater == NULL) return err_make(ERR_NOMEM, "updater");
    updater->loop = loop;
    updater->options = *options;
    updater->pidfd = -1;
    timer_start(loop, &updater->next, TIMER_WAIT_MIN_MS, on_due, updater);
    *ret = updater;
    return err_ok();
}

void scanner_updater_set_every(struct scanner_updater *updater, uint64_t every_ms)
{
    if (updater == NULL || updater->options.every_ms == every_ms) return;
    updater->options.every_ms = every_ms;
    if (updater->started_ms != 0) arm(updater); /* else the first run is yet to come */
}

void scanner_updater_close(struct scanner_updater *updater)
{
    if (updater == NULL) return;
    timer_stop(&updater->next);
    if (updater->pid != 0) {
        end_it(updater);
        bury(updater);
    }
    free(updater);
}

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines_private.h"
#include "loop_poll.h"

extern char **environ;

enum { SET_CONTROL_FD = 3, SET_PROGRAM_FD = 4, SET_END_MS = 5000 };

/* In the child, between fork and exec: system calls only. */
__attribute__((noreturn)) static void set_become_zygote(int control, int program)
{
    char name[] = "godwit-scanner", argument[] = ENGINES_ZYGOTE_ARGUMENT, number[] = "3";
    char *arguments[] = { name, argument, number, NULL };
    /* Above both places first, so that neither is overwritten before it is copied. */
    int high_control = fcntl(control, F_DUPFD, SET_PROGRAM_FD + 1);
    int high_program = fcntl(program, F_DUPFD, SET_PROGRAM_FD + 1);
    int null = open("/dev/null", O_RDWR);
    if (dup2(high_control, SET_CONTROL_FD) < 0 || dup2(high_program, SET_PROGRAM_FD) < 0) {
        _exit(126);
    }
    if (null >= 0) dup2(null, STDIN_FILENO);
    close_range(SET_PROGRAM_FD + 1, ~0u, 0);
    fcntl(SET_PROGRAM_FD, F_SETFD, FD_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    fexecve(SET_PROGRAM_FD, arguments, environ);
    _exit(127);
}

static struct err set_send_settings(const struct engines_options *options, int control)
{
    struct wire_settings settings = { .limits = options->limits,
                                      .user = options->user,
                                      .group = options->group };
    int len = snprintf(settings.signature_dir, sizeof(settings.signature_dir), "%s",
                       options->signature_dir);
    if (len < 0 || (size_t)len >= sizeof(settings.signature_dir)) {
        return err_make(ERR_TOO_BIG, "name of the signature folder");
    }
    if (!wire_send(control, &settings, sizeof(settings), NULL, 0)) {
        return err_make(ERR_IO, "zygote");
    }
    return err_ok();
}

/* The zygote is gone or was ended: buries it, and its workers with it. */
static void set_close(struct engines_set *set)
{
    struct engines *engines = set->engines;
    timer_stop(&set->timer);
    loop_poll_close(set->watch);
    close(set->control);
    kill(set->zygote, SIGKILL);
    while (waitpid(set->zygote, NULL, 0) < 0 && errno == EINTR) {
    }
    for (unsigned i = 0; i < engines->numbers; i++) {
        struct engines_worker *worker = &engines->workers[i];
        if (worker->state != WORKER_FREE && worker->set == set) engines_worker_buried(worker, 0);
    }
    for (struct engines_set **at = &engines->ending; *at != NULL; at = &(*at)->next) {
        if (*at != set) continue;
        *at = set->next;
        break;
    }
    if (engines->live == set) engines->live = NULL;
    if (engines->coming == set) engines->coming = NULL;
    free(set);
}

static struct span set_text(const struct wire_news *news)
{
    return span_of(news->text, news->text_len);
}

/* What it has read may be half of one set and half of another. */
static void set_check_stamp(struct engines_set *set)
{
    uint64_t now = engines_folder_stamp(set->engines->options.signature_dir);
    if (now != set->stamp) set->stamp = 0;
}

static void set_hear(struct engines_set *set, const struct wire_news *news)
{
    struct engines *engines = set->engines;
    struct engines_worker *worker =
        news->worker < engines->numbers ? &engines->workers[news->worker] : NULL;
    bool ours = worker != NULL && worker->state != WORKER_FREE && worker->set == set;
    switch (news->kind) {
    case WIRE_LOADED:
        if (set->state != SET_LOADING) return;
        set_check_stamp(set);
        set->loaded = *news;
        set->state = SET_PROVING;
        engines->reach_before |= news->reach_before;
        timer_stop(&set->timer);
        engines_balance(engines);
        return;
    case WIRE_REFUSED:
        set_check_stamp(set);
        set->is_bad = news->status == ERR_CORRUPT;
        engines_set_failed(set, "signatures-refused", set_text(news));
        return;
    case WIRE_SAID: engines_log(engines, ENGINES_WARNING, "libclamav", set_text(news)); return;
    case WIRE_BORN:
        if (ours) worker->pid = news->pid;
        return;
    case WIRE_DIED:
        if (ours) engines_worker_buried(worker, news->status);
        engines_balance(engines);
        return;
    default: return;
    }
}

static void set_on_readable(void *holder)
{
    struct engines_set *set = holder;
    struct engines *engines = set->engines;
    struct wire_news news;
    for (;;) {
        enum wire_got got = wire_take(set->control, &news, sizeof(news), NULL, NULL);
        if (got == WIRE_NOTHING) return;
        if (got == WIRE_CLOSED) break;
        if (news.text_len > sizeof(news.text)) news.text_len = sizeof(news.text);
        enum engines_set_state before = set->state;
        set_hear(set, &news);
        /* Refused: the set is ending, and its end of file follows. */
        if (before != SET_ENDING && set->state == SET_ENDING) return;
    }
    if (set->state != SET_ENDING) {
        engines_set_failed(set, "zygote-died", SPAN("the process that holds the signatures ended"));
    }
    set_close(set);
    engines_balance(engines);
    engines_note_change(engines);
}

static void set_on_timeout(void *holder)
{
    struct engines_set *set = holder;
    engines_set_failed(set, "signatures-refused", SPAN("loading took too long"));
    engines_set_kill(set);
}

struct err engines_set_open(struct engines *engines, struct engines_set **ret)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return err_make_detail(ERR_IO, errno, "zygote");
    }
    struct engines_set *set = calloc(1, sizeof(*set));
    struct err err = set == NULL ? err_make(ERR_NOMEM, "zygote") : err_ok();
    if (err.code == ERR_OK) {
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
        set->engines = engines;
        set->stamp = engines->stamp;
        set->control = pair[0];
        err = set_send_settings(&engines->options, pair[0]);
    }
    if (err.code == ERR_OK) {
        err = loop_poll_open(engines->loop, pair[0], set_on_readable, set, &set->watch);
    }
    if (err.code == ERR_OK) {
        set->zygote = fork();
        if (set->zygote == 0) set_become_zygote(pair[1], engines->options.program);
        if (set->zygote < 0) err = err_make_detail(ERR_IO, errno, "zygote");
    }
    close(pair[1]);
    if (err.code != ERR_OK) {
        close(pair[0]);
        if (set != NULL) loop_poll_close(set->watch);
        free(set);
        return err;
    }
    timer_start(engines->loop, &set->timer, ENGINES_LOAD_MS, set_on_timeout, set);
    *ret = set;
    return err_ok();
}

void engines_set_end(struct engines_set *set)
{
    /* The zygote reads the end of the orders, ends its workers, then itself: then we hear that. */
    shutdown(set->control, SHUT_WR);
    if (set->state == SET_LOADING) kill(set->zygote, SIGKILL); /* it reads nothing yet */
    set->state = SET_ENDING;
}

void engines_set_kill(struct engines_set *set)
{
    kill(set->zygote, SIGKILL);
    set->state = SET_ENDING;
}

void engines_set_wait(struct engines_set *set)
{
    struct pollfd end = { .fd = set->control, .events = POLLIN };
    struct wire_news news;
    while (poll(&end, 1, SET_END_MS) > 0) {
        if (wire_take(set->control, &news, sizeof(news), NULL, NULL) == WIRE_CLOSED) break;
    }
    set_close(set);
}

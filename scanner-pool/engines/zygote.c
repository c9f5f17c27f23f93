/* The zygote: one thread that loads the signatures, then bears workers and buries them. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clam_private.h"
#include "sandbox.h"
#include "wire_private.h"

struct zygote {
    int control, deaths; /* deaths: a signalfd of SIGCHLD */
    struct wire_settings settings;
    struct clam *clam;
    uint32_t prepared;
    pid_t pids[ENGINES_WORKERS_MAX * 2]; /* by the scanner's number of the worker; 0: none */
};
enum { ZYGOTE_PIDS = sizeof(((struct zygote *)0)->pids) / sizeof(pid_t) };

static void zygote_text(struct wire_news *news, struct span text)
{
    news->text_len = (uint32_t)(text.len < sizeof(news->text) ? text.len : sizeof(news->text));
    if (news->text_len > 0) memcpy(news->text, text.ptr, news->text_len);
}

static void zygote_say(struct zygote *zygote, const struct wire_news *news)
{
    (void)wire_send(zygote->control, news, sizeof(*news), NULL, 0);
}

static void zygote_on_said(void *holder, struct span text)
{
    struct wire_news news = { .kind = WIRE_SAID };
    zygote_text(&news, text);
    zygote_say(holder, &news);
}

/* In the child. What belongs to the zygote is closed. */
__attribute__((noreturn)) static void zygote_become_worker(struct zygote *zygote, const int *fds,
                                                           pid_t parent)
{
    close(zygote->control);
    close(zygote->deaths);
    struct wire_worker worker = {
        .clam = zygote->clam,
        .settings = &zygote->settings,
        .socket = fds[0],
        .slot = fds[1],
        .folder = fds[2],
        .parent = parent,
        .prepared = zygote->prepared,
    };
    worker_run(&worker);
}

static void zygote_bear(struct zygote *zygote, uint32_t number, const int *fds)
{
    pid_t self = getpid();
    pid_t child = fork();
    if (child == 0) zygote_become_worker(zygote, fds, self);
    struct wire_news news = { .kind = WIRE_DIED, .worker = number };
    if (child > 0) {
        zygote->pids[number] = child;
        news.kind = WIRE_BORN;
        news.pid = child;
    }
    zygote_say(zygote, &news);
}

/* False: the scanner is gone. */
static bool zygote_obey(struct zygote *zygote)
{
    struct wire_order order;
    int fds[WIRE_FDS_MAX];
    unsigned fds_count = 0;
    enum wire_got got = wire_take(zygote->control, &order, sizeof(order), fds, &fds_count);
    if (got == WIRE_CLOSED) return false;
    if (got == WIRE_GOT && order.worker < ZYGOTE_PIDS) {
        if (order.kind == WIRE_BEAR && fds_count == WIRE_FDS_MAX) {
            zygote_bear(zygote, order.worker, fds);
        } else if (order.kind == WIRE_KILL && zygote->pids[order.worker] > 0) {
            kill(zygote->pids[order.worker], SIGKILL); /* not buried yet, so it is still its id */
        }
    }
    for (unsigned i = 0; i < fds_count; i++) close(fds[i]);
    return true;
}

static void zygote_bury(struct zygote *zygote)
{
    struct signalfd_siginfo info;
    (void)!read(zygote->deaths, &info, sizeof(info));
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct wire_news news = { .kind = WIRE_DIED, .pid = pid, .status = status };
        for (uint32_t i = 0; i < ZYGOTE_PIDS; i++) {
            if (zygote->pids[i] != pid) continue;
            zygote->pids[i] = 0;
            news.worker = i;
            zygote_say(zygote, &news);
        }
    }
}

static bool zygote_load(struct zygote *zygote)
{
    struct wire_news news = { .kind = WIRE_LOADED, .reach_before = sandbox_reach() };
    const char *why = "out of memory";
    struct err err = clam_load(zygote->settings.signature_dir, &zygote->settings.limits,
                               zygote_on_said, zygote, &zygote->clam, &why);
    if (err.code == ERR_OK) {
        err = sandbox_prepare(zygote->settings.user, zygote->settings.group, &zygote->prepared);
        why = err.code == ERR_OK ? why : err.what;
    }
    /* Changing the user took it back. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (err.code != ERR_OK) {
        news.kind = WIRE_REFUSED;
        news.status = (int32_t)err.code;
        zygote_text(&news, span_of(why, strlen(why)));
        zygote_say(zygote, &news);
        return false;
    }
    news.signatures = clam_signatures(zygote->clam);
    news.signatures_ms = clam_signatures_ms(zygote->clam);
    news.sandbox = zygote->prepared;
    zygote_text(&news, clam_version(zygote->clam));
    zygote_say(zygote, &news);
    return true;
}

/* Ends what is left, so that nobody else has to bury it. */
static void zygote_end(struct zygote *zygote)
{
    for (uint32_t i = 0; i < ZYGOTE_PIDS; i++) {
        if (zygote->pids[i] > 0) kill(zygote->pids[i], SIGKILL);
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
    }
}

int engines_zygote_main(int control)
{
    static struct zygote zygote;
    zygote.control = control;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_NAME, "scan-zygote", 0, 0, 0);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    if (wire_take(control, &zygote.settings, sizeof(zygote.settings), NULL, NULL) != WIRE_GOT ||
        memchr(zygote.settings.signature_dir, 0, sizeof(zygote.settings.signature_dir)) == NULL) {
        return 2;
    }
    if (!zygote_load(&zygote)) return 1;
    sigset_t deaths;
    sigemptyset(&deaths);
    sigaddset(&deaths, SIGCHLD);
    sigprocmask(SIG_BLOCK, &deaths, NULL);
    zygote.deaths = signalfd(-1, &deaths, SFD_CLOEXEC | SFD_NONBLOCK);
    if (zygote.deaths < 0) return 1;
    for (;;) {
        struct pollfd polls[2] = { { .fd = control, .events = POLLIN },
                                   { .fd = zygote.deaths, .events = POLLIN } };
        if (poll(polls, 2, -1) < 0 && errno != EINTR) break;
        if (polls[1].revents != 0) zygote_bury(&zygote);
        if (polls[0].revents != 0 && !zygote_obey(&zygote)) break;
    }
    zygote_end(&zygote);
    return 0;
}

#include "up.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "up_private.h"

enum {
    UP_READY_SECONDS = 60,
    UP_TURN_MS = 200,   /* while something is to be waited for */
    UP_CALM_MS = 60000, /* otherwise a signal wakes us */
    UP_STOP_MS = 15000, /* then what still runs is killed */
};

static int complain(const char *what, const char *which, int number)
{
    fprintf(stderr, "godwitctl up: %s %s%s%s\n", what, which, number != 0 ? ": " : "",
            number != 0 ? strerror(number) : "");
    return CLIENT_REFUSED;
}

/* ---- before anything runs */

static int find_programs(struct up *up)
{
    char self[UP_PATH_MAX_BYTES], path[UP_PATH_MAX_BYTES * 2];
    if (up->options.programs != NULL) {
        snprintf(up->programs, sizeof(up->programs), "%s", up->options.programs);
    } else {
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n <= 0) return complain("cannot find the programs", "", errno);
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL) *slash = '\0';
        snprintf(up->programs, sizeof(up->programs), "%s", self);
    }
    /* Installed, all programs lie in one folder; in a build tree each in its own. */
    snprintf(path, sizeof(path), "%s/godwit-frontend", up->programs);
    if (access(path, X_OK) == 0) return CLIENT_OK;
    char *slash = strrchr(up->programs, '/');
    if (slash != NULL) *slash = '\0';
    snprintf(path, sizeof(path), "%s/frontend/godwit-frontend", up->programs);
    return access(path, X_OK) == 0 ? CLIENT_OK : complain("no program at", path, errno);
}

/* The path of a program in either layout. */
static void program_path(const struct up *up, const char *folder, const char *name, char *to,
                         size_t size)
{
    snprintf(to, size, "%s/%s", up->programs, name);
    if (access(to, X_OK) != 0) snprintf(to, size, "%s/%s/%s", up->programs, folder, name);
}

static int take_user(struct up *up)
{
    if (getuid() != 0) return CLIENT_OK;
    const char *name = up->options.user != NULL ? up->options.user : "nobody";
    const struct passwd *entry = getpwnam(name);
    if (entry == NULL) return complain("no such user:", name, 0);
    if (entry->pw_uid == 0) return complain("the programs do not run as", name, 0);
    up->uid = entry->pw_uid;
    up->gid = entry->pw_gid;
    return CLIENT_OK;
}

static int take_directory(struct up *up)
{
    char path[UP_PATH_MAX_BYTES + 8];
    if (mkdir(up->options.data, 0755) != 0 && errno != EEXIST) {
        return complain("cannot make", up->options.data, errno);
    }
    char *absolute = realpath(up->options.data, NULL);
    if (absolute == NULL || strlen(absolute) > UP_PATH_MAX_BYTES - 64) {
        free(absolute);
        return complain("cannot use", up->options.data, errno);
    }
    snprintf(up->data, sizeof(up->data), "%s", absolute);
    free(absolute);
    snprintf(path, sizeof(path), "%s/lock", up->data);
    up->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (up->lock_fd < 0) return complain("cannot use", path, errno);
    if (flock(up->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return complain("a node is running already on", up->data, 0);
    }
    return CLIENT_OK;
}

/* ---- the programs */

static struct up_process *add_process(struct up *up, const char *name, const char *folder,
                                      const char *program)
{
    char path[UP_PATH_MAX_BYTES * 2];
    struct up_process *process = &up->processes[up->processes_count++];
    process->name = name;
    process->uid = up->uid;
    process->gid = up->gid;
    snprintf(process->log_path, sizeof(process->log_path), "%.400s/log/%s.log", up->data, name);
    program_path(up, folder, program, path, sizeof(path));
    up_process_word(process, "%.500s", path);
    up_process_word(process, "--name=%s", name);
    up_process_word(process, "--log=%.400s/log", up->data);
    up_process_word(process, "--admin-listen=unix:%.400s/run/%s-admin.sock", up->data, name);
    return process;
}

/* Health and metrics ask for no token: they stay on this machine. */
static void add_metrics(struct up_process *process, const struct up *up, unsigned port)
{
    up_process_word(process, "--metrics=" UP_METRICS_HOST ":%u", port + up->options.port_offset);
}

static void plan_processes(struct up *up)
{
    unsigned offset = up->options.port_offset;
    struct up_process *p = add_process(up, "storage-node-1", "storage-node", "godwit-storage-node");
    up_process_word(p, "--data=%.400s/store", up->data);
    up_process_word(p, "--listen=unix:%.400s/run/storage-node-1.sock", up->data);
    up_process_word(p, "--coord=%.400s/coord", up->data);
    add_metrics(p, up, UP_METRICS_STORAGE_NODE);
    p = add_process(up, "scanner-1", "scanner-pool", "godwit-scanner");
    up_process_word(p, "--listen=unix:%.400s/run/scanner-1.sock", up->data);
    up_process_word(p, "--advertise=unix:%.400s/run/scanner-1.sock", up->data);
    up_process_word(p, "--signatures=%.400s/signatures", up->data);
    up_process_word(p, "--data=%.400s/scan", up->data);
    up_process_word(p, "--coord=%.400s/coord", up->data);
    if (up->options.updater != NULL) up_process_word(p, "--updater=%.400s", up->options.updater);
    add_metrics(p, up, UP_METRICS_SCANNER);
    p = add_process(up, "frontend-1", "frontend", "godwit-frontend");
    if (up->uid != 0) {
        /* It binds its ports first and changes user itself. */
        p->uid = 0;
        up_process_word(p, "--uid=%u", (unsigned)up->uid);
        up_process_word(p, "--gid=%u", (unsigned)up->gid);
    }
    up_process_word(p, "--data=%.400s", up->data);
    up_process_word(p, "--coord=%.400s/coord", up->data);
    up_process_word(p, "--kek-file=%.400s/secret/keys", up->data);
    up_process_word(p, "--scanner=unix:%.400s/run/scanner-1.sock", up->data);
    up_process_word(p, "--tls-cert=%.400s/tls/cert.pem", up->data);
    up_process_word(p, "--tls-key=%.400s/tls/key.pem", up->data);
#define X(name, port, flag) \
    up_process_word(p, "--" flag "=%s:%u", up->address, (unsigned)(port) + offset);
    UP_PORTS(X)
#undef X
}

static bool start_due(struct up *up, uint64_t now)
{
    bool changed = false;
    for (unsigned i = 0; i < up->processes_count; i++) {
        struct up_process *process = &up->processes[i];
        if (process->pid != 0 || now < process->restart_at_ms) continue;
        struct err err = up_process_start(process, now);
        if (err.code != ERR_OK) {
            complain("cannot start", process->name, err.detail);
            up_process_ended(process, now);
            continue;
        }
        changed = true;
    }
    return changed;
}

static bool reap(struct up *up, uint64_t now)
{
    bool changed = false;
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (unsigned i = 0; i < up->processes_count; i++) {
            struct up_process *process = &up->processes[i];
            if (process->pid != pid) continue;
            bool killed = WIFSIGNALED(status);
            fprintf(stderr, "godwitctl up: %s ended (%s %d); starting it again\n", process->name,
                    killed ? "signal" : "status", killed ? WTERMSIG(status) : WEXITSTATUS(status));
            up_process_ended(process, now);
            changed = true;
        }
    }
    return changed;
}

static bool some_wait(const struct up *up)
{
    for (unsigned i = 0; i < up->processes_count; i++) {
        if (up->processes[i].pid == 0) return true;
    }
    return false;
}

/* ---- running */

static void greet(const struct up *up)
{
    unsigned offset = up->options.port_offset;
    printf("Godwit is ready.\n\n"
           "  log in as   %s\n  password    %s\n"
           "  IMAP        %s:%u (STARTTLS), %u (TLS)\n"
           "  POP3        %s:%u (STLS), %u (TLS)\n"
           "  SMTP        %s:%u; submission %u (STARTTLS), %u (TLS); LMTP %u\n"
           "  API         http://%s:%u/api/v1/openapi.json\n"
           "  addresses   %s/endpoints.env\n\nCtrl-C stops it.\n",
           up->admin_user, up->admin_password, up->address, 143 + offset, 993 + offset,
           up->address, 110 + offset, 995 + offset,
           up->address, 25 + offset, 587 + offset, 465 + offset, 24 + offset, up->address,
           8080 + offset, up->data);
    fflush(stdout);
}

static bool is_ready(const struct up *up)
{
    char api[128], *reply = NULL;
    long status = 0;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), old = dup(STDERR_FILENO);
    snprintf(api, sizeof(api), "http://%s:%u",
             strcmp(up->address, "0.0.0.0") == 0 ? "127.0.0.1" : up->address,
             8080 + up->options.port_offset);
    struct client client = { .api = api };
    dup2(fd, STDERR_FILENO); /* while it starts, not reachable is no news */
    bool answered = client_call(&client, "GET", "/readyz", NULL, &status, &reply);
    dup2(old, STDERR_FILENO);
    close(fd);
    close(old);
    free(reply);
    return answered && status == 200;
}

static void stop_all(struct up *up)
{
    uint64_t until = clock_boot_ms() + UP_STOP_MS;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    /* Frontends first, so that nobody is told of a missing storage node. */
    for (unsigned i = up->processes_count; i-- > 0;) {
        struct up_process *process = &up->processes[i];
        if (process->pid == 0) continue;
        kill(process->pid, SIGTERM);
        while (process->pid != 0) {
            if (waitpid(process->pid, NULL, WNOHANG) == process->pid) {
                process->pid = 0;
                break;
            }
            struct timespec turn = { 0, UP_TURN_MS * 1000000L };
            sigtimedwait(&child, NULL, &turn);
            if (clock_boot_ms() > until) kill(process->pid, SIGKILL);
        }
    }
}

static int keep_running(struct up *up, const sigset_t *signals)
{
    bool greeted = false;
    uint64_t ready_until = clock_boot_ms() + UP_READY_SECONDS * 1000;
    for (;;) {
        bool changed = start_due(up, clock_boot_ms());
        if (changed && up_endpoints_write(up).code != ERR_OK) {
            return complain("cannot write", "endpoints.env", errno);
        }
        if (!greeted && is_ready(up)) {
            if (up->first_start && up_first_accounts(up).code != ERR_OK) return CLIENT_REFUSED;
            greet(up);
            greeted = true;
        }
        if (!greeted && clock_boot_ms() > ready_until) {
            return complain("not ready in time; see the logs in", up->data, 0);
        }
        bool waits = !greeted || some_wait(up);
        long ms = waits ? UP_TURN_MS / 4 : UP_CALM_MS;
        struct timespec turn = { ms / 1000, ms % 1000 * 1000000L };
        int number = sigtimedwait(signals, NULL, &turn);
        if (number == SIGINT || number == SIGTERM) return CLIENT_OK;
        if (number == SIGHUP) {
            for (unsigned i = 0; i < up->processes_count; i++) {
                if (up->processes[i].pid != 0) kill(up->processes[i].pid, SIGHUP);
            }
        }
        if (reap(up, clock_boot_ms())) (void)!up_endpoints_write(up).code;
    }
}

int up_run(const struct up_options *options)
{
    static struct up up; /* too large for a stack */
    sigset_t signals;
    up.options = *options;
    const char *address = options->address;
    if (address == NULL) address = options->port_offset != 0 ? "127.0.0.1" : "0.0.0.0";
    snprintf(up.address, sizeof(up.address), "%s", address);
    int exit = take_user(&up);
    if (exit == CLIENT_OK) exit = find_programs(&up);
    if (exit == CLIENT_OK) exit = take_directory(&up);
    if (exit != CLIENT_OK) return exit;
    if (up_bootstrap(&up).code != ERR_OK) return CLIENT_REFUSED;
    plan_processes(&up);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    exit = keep_running(&up, &signals);
    stop_all(&up);
    return exit;
}

/* godwit-scanner: scans mail for frontends. The one file that knows all its rooms. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "body.h"
#include "buf.h"
#include "clock.h"
#include "engines.h"
#include "loop.h"
#include "scan_serve.h"
#include "scanner_options.h"
#include "signals.h"
#include "timer.h"

enum {
    SCANNER_END_MS = 15000,     /* for scans under way when the program ends */
    SCANNER_END_LOOK_MS = 20,
    SCANNER_BODIES_MEMORY = 256 << 20,
};
static const uint64_t scanner_bodies_files = 4ull << 30;

struct scanner {
    struct scanner_options options;
    struct loop *loop;
    struct engines *engines;
    struct scan_serve *serve;
    struct signals *signals;
    struct body_budget budget;
    struct timer look, end;
    uint64_t end_by_ms;
    bool ending, ready;
    int lock, program;
    char work_dir[PATH_MAX], body_dir[PATH_MAX];
};

/* One JSON line; what stands in `text` came from libclamav or is ours. */
static void scanner_log(const char *level, const char *event, struct span text)
{
    char line[1024];
    struct buf to;
    buf_init(&to, line, sizeof(line) - 4);
    char head[160];
    int len = snprintf(head, sizeof(head),
                       "{\"time_ms\":%llu,\"level\":\"%s\",\"program\":\"scanner\","
                       "\"event\":\"%s\",\"text\":\"", (unsigned long long)clock_wall_ms(), level,
                       event);
    buf_put(&to, span_of(head, len > 0 ? (size_t)len : 0));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        bool plain = byte >= ' ' && byte < 127 && byte != '"' && byte != '\\';
        buf_put(&to, plain ? span_of(&text.ptr[i], 1) : SPAN("."));
    }
    memcpy(line + to.len, "\"}\n", 3);
    (void)!write(STDERR_FILENO, line, to.len + 3);
}

static void scanner_on_log(void *holder, enum engines_level level, const char *event,
                           struct span text)
{
    static const char *const names[] = { "info", "warning", "error" };
    (void)holder;
    scanner_log(names[level], event, text);
}

static void scanner_on_changed(void *holder)
{
    struct scanner *scanner = holder;
    if (scanner->serve == NULL) return;
    struct engines_status status;
    engines_status(scanner->engines, &status);
    if (status.ready != scanner->ready) {
        scanner->ready = status.ready;
        scanner_log(status.ready ? "info" : "warning", status.ready ? "ready" : "not-ready",
                    status.version);
    }
    scan_serve_changed(scanner->serve);
}

static const struct engines_user scanner_user = { scanner_on_changed, scanner_on_log };

static void scanner_on_look(void *holder)
{
    struct scanner *scanner = holder;
    engines_look(scanner->engines);
    timer_start(scanner->loop, &scanner->look, scanner->options.poll_ms, scanner_on_look, scanner);
}

static void scanner_on_closed(void *holder)
{
    struct scanner *scanner = holder;
    scanner->serve = NULL;
    loop_stop(scanner->loop);
}

/* Ends when nothing is under way, or when it has taken too long. */
static void scanner_on_end(void *holder)
{
    struct scanner *scanner = holder;
    if (scan_serve_open_calls(scanner->serve) == 0 ||
        loop_now_ms(scanner->loop) >= scanner->end_by_ms) {
        scan_serve_close(scanner->serve, scanner_on_closed, scanner);
        return;
    }
    timer_start(scanner->loop, &scanner->end, SCANNER_END_LOOK_MS, scanner_on_end, scanner);
}

static void scanner_on_signal(void *holder, int number)
{
    struct scanner *scanner = holder;
    if (number == SIGHUP) {
        scanner_log("info", "reload", span_of(NULL, 0));
        engines_reload(scanner->engines);
        return;
    }
    if (scanner->ending) return;
    scanner->ending = true;
    scanner_log("info", "ending", span_of(NULL, 0));
    scan_serve_drain(scanner->serve);
    timer_stop(&scanner->look);
    scanner->end_by_ms = loop_now_ms(scanner->loop) + SCANNER_END_MS;
    scanner_on_end(scanner);
}

static struct err scanner_folder(const struct scanner *scanner, const char *name, char *path)
{
    int len = snprintf(path, PATH_MAX, "%s%s%s", scanner->options.data_dir,
                       name[0] == 0 ? "" : "/", name);
    if (len < 0 || len >= PATH_MAX) return err_make(ERR_TOO_BIG, "data folder's name");
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return err_make_detail(ERR_IO, errno, "data folder");
    }
    if (geteuid() != 0) return err_ok();
    if (chown(path, scanner->options.uid, scanner->options.gid) != 0) {
        return err_make_detail(ERR_IO, errno, "data folder");
    }
    return err_ok();
}

/* The folders; locked against a second start. */
static struct err scanner_take_folders(struct scanner *scanner)
{
    TRY(scanner_folder(scanner, "", scanner->work_dir));
    scanner->lock = open(scanner->work_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (scanner->lock < 0) return err_make_detail(ERR_IO, errno, "data folder");
    if (flock(scanner->lock, LOCK_EX | LOCK_NB) != 0) {
        return err_make(ERR_BUSY, "another scanner uses this data folder");
    }
    TRY(scanner_folder(scanner, "workers", scanner->work_dir));
    TRY(scanner_folder(scanner, "bodies", scanner->body_dir));
    return err_ok();
}

static struct err scanner_drop_root(const struct scanner_options *options)
{
    if (geteuid() != 0) return err_ok();
    if (setgroups(0, NULL) != 0 || setresgid(options->gid, options->gid, options->gid) != 0 ||
        setresuid(options->uid, options->uid, options->uid) != 0) {
        return err_make_detail(ERR_DENIED, errno, "becoming the unprivileged user");
    }
    return err_ok();
}

static struct err scanner_start(struct scanner *scanner)
{
    const struct scanner_options *options = &scanner->options;
    TRY(scanner_take_folders(scanner));
    /* Before the change of user, who may not reach it by name. */
    scanner->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (scanner->program < 0) return err_make_detail(ERR_IO, errno, "the program's own file");
    TRY(scanner_drop_root(options));
    scanner->budget.memory_bytes_max = SCANNER_BODIES_MEMORY;
    scanner->budget.file_bytes_max = scanner_bodies_files;
    scanner->budget.spill_dir = scanner->body_dir;
    TRY(loop_new(&scanner->loop));
    TRY(signals_open(scanner->loop, scanner_on_signal, scanner, &scanner->signals));
    struct engines_options engines;
    engines_options_init(&engines);
    engines.program = scanner->program;
    engines.signature_dir = options->signature_dir;
    engines.work_dir = scanner->work_dir;
    engines.workers = options->workers;
    engines.limits.scan_ms = options->scan_ms;
    engines.sandbox_required = options->sandbox_required;
    TRY(engines_open(scanner->loop, &engines, &scanner_user, scanner, &scanner->engines));
    struct scan_serve_options serve = { .address = options->listen,
                                        .budget = &scanner->budget,
                                        .waiting_max = options->waiting_max };
    TRY(scan_serve_open(scanner->loop, scanner->engines, &serve, &scanner->serve));
    if (options->poll_ms > 0) {
        timer_start(scanner->loop, &scanner->look, options->poll_ms, scanner_on_look, scanner);
    }
    return err_ok();
}

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], ENGINES_ZYGOTE_ARGUMENT) == 0) {
        /* Without the C library's end: the engine's memory is not worth giving back in pieces. */
        _exit(engines_zygote_main((int)strtol(arguments[2], NULL, 10)));
    }
    static struct scanner scanner;
    struct err err = scanner_options_read(count, arguments, &scanner.options);
    if (err.code == ERR_OK) err = scanner_start(&scanner);
    if (err.code == ERR_OK) {
        loop_run(scanner.loop);
    } else {
        scanner_log("error", "not-started", span_of(err.what, strlen(err.what)));
    }
    engines_close(scanner.engines);
    if (err.code != ERR_OK) return err.code == ERR_SYNTAX || err.code == ERR_NOT_FOUND ? 2 : 1;
    signals_close(scanner.signals);
    loop_free(scanner.loop);
    scanner_log("info", "ended", span_of(NULL, 0));
    return 0;
}

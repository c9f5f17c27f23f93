/* godwit-scanner: scans mail for frontends. The one file that knows all its rooms.
 *
 * On one machine:    godwit-scanner --data DIR --signatures DIR --listen unix:/run/scan-1.sock
 * In a cluster:      godwit-scanner --data DIR --signatures DIR --coord DIR --name scanner-1
 *                        --listen 10.0.0.6:7001 --advertise 10.0.0.6:7001 --rpc-certs DIR
 *                        --metrics 10.0.0.6:9465
 * DIR of --rpc-certs is what `godwitctl cluster cert issue --role scanner` writes; without --coord
 * it knows its cluster from its certificate and compares no incarnation. Every option may come as
 * GODWIT_NAME from the environment or as "name = value" from the file of --config. */
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

#include "admin_serve.h"
#include "body.h"
#include "boot.h"
#include "clock.h"
#include "conf.h"
#include "coord.h"
#include "crew.h"
#include "engines.h"
#include "enlist.h"
#include "log.h"
#include "loop.h"
#include "member.h"
#include "metrics.h"
#include "program.h"
#include "program_announce.h"
#include "program_monitor.h"
#include "rpc_name.h"
#include "scan_serve.h"
#include "scanner_log.h"
#include "scanner_metrics.h"
#include "scanner_options.h"
#include "scanner_reload.h"
#include "scanner_updater.h"
#include "signals.h"
#include "timer.h"

enum {
    SCANNER_END_MS = 15000,     /* for scans under way when the program ends */
    SCANNER_END_LOOK_MS = 20,
    SCANNER_AGE_LOOK_MS = 3600 * 1000, /* at the signatures' age, at least: clocks are set */
    /* The engine counts the message itself and what is in it beside archives. */
    SCANNER_DEPTH_OF_MAIL = 2,
    SCANNER_THREADS = 2,        /* that read signatures and write to the file store */
    SCANNER_JOBS_MAX = 64,
};

struct scanner {
    struct scanner_options options;
    struct boot *boot;
    struct loop *loop;
    struct coord *coord;           /* NULL: none was named */
    struct program_conf *followed; /* of it */
    struct member *member;
    struct conf *defaults;         /* without it */
    struct program_monitor *monitor;
    struct admin_serve *admin;
    struct program_announce *announce; /* NULL: without a store */
    struct engines *engines;
    struct scan_serve *serve;
    struct scanner_updater *updater;
    struct scanner_reload *reload;
    struct enlist *enlist; /* NULL: of no pool, or left it */
    struct crew *crew;
    struct signals *signals;
    struct body_budget budget;
    struct timer look, age, end;
    uint64_t end_by_ms;
    bool ending, is_leaving;
    struct span missing; /* as last logged; a literal */
    int lock, program;
    char work_dir[PATH_MAX], body_dir[PATH_MAX];
};

static const struct conf *scanner_conf(const struct scanner *scanner)
{
    return scanner->followed != NULL ? program_conf_now(scanner->followed) : scanner->defaults;
}

/* ---- what the engines are like */

static void scanner_on_log(void *holder, enum engines_level level, const char *event,
                           struct span text)
{
    const struct scanner *scanner = holder;
    struct engines_status status = { 0 };
    (void)level; /* the event's row has one */
    if (scanner->engines != NULL) engines_status(scanner->engines, &status);
    scanner_log(event, text, status.signatures);
}

/* Says when it becomes ready, and when and why it is no longer. */
static void scanner_say_ready(struct scanner *scanner)
{
    struct span missing = scan_serve_missing(scanner->serve);
    if (scanner->ending || span_eq(missing, scanner->missing)) return;
    scanner->missing = missing;
    if (missing.len == 0) LOG0(PROGRAM_READY, NULL);
    else LOG(PROGRAM_NOT_READY, NULL, log_text(missing));
}

/* Signatures that are too old end the readiness, at the moment at which they become that. */
static void scanner_check_age(void *holder)
{
    struct scanner *scanner = holder;
    uint64_t limit_ms = conf_ms(scanner_conf(scanner), CONF_SCAN_SIGNATURES_AGE_MAX);
    struct engines_status status;
    engines_status(scanner->engines, &status);
    uint64_t now_ms = clock_wall_ms();
    uint64_t age_ms = now_ms > status.signatures_ms ? now_ms - status.signatures_ms : 0;
    bool old = limit_ms > 0 && status.ready && age_ms >= limit_ms;
    timer_stop(&scanner->age);
    if (limit_ms > 0 && status.ready && !old) {
        uint64_t wait_ms = limit_ms - age_ms;
        if (wait_ms > SCANNER_AGE_LOOK_MS) wait_ms = SCANNER_AGE_LOOK_MS;
        timer_start(scanner->loop, &scanner->age, wait_ms, scanner_check_age, scanner);
    }
    scan_serve_set_old(scanner->serve, old);
    if (old && scanner->missing.len == 0) {
        LOG(SIGNATURES_OLD, NULL, log_number(age_ms / 1000), log_number(limit_ms / 1000));
    }
    scanner_say_ready(scanner);
}

static void scanner_on_changed(void *holder)
{
    struct scanner *scanner = holder;
    if (scanner->serve == NULL) return;
    scanner_check_age(scanner);
    scan_serve_changed(scanner->serve);
    scanner_reload_step(scanner->reload);
}

static const struct engines_user scanner_user = { scanner_on_changed, scanner_on_log };

static void scanner_on_look(void *holder)
{
    struct scanner *scanner = holder;
    scanner_reload_look(scanner->reload);
    timer_start(scanner->loop, &scanner->look, scanner->options.poll_ms, scanner_on_look, scanner);
}

static void scanner_on_updated(void *holder, struct span why)
{
    struct scanner *scanner = holder;
    if (why.len > 0) {
        LOG(SIGNATURES_NOT_UPDATED, NULL, log_text(why));
        return;
    }
    LOG0(SIGNATURES_UPDATED, NULL);
    scanner_reload_look(scanner->reload);
}

/* ---- its part in the pool */

static void scanner_on_pool_notice(void *holder, enum enlist_event event, struct err err)
{
    const struct scanner *scanner = holder;
    switch (event) {
    case ENLIST_LISTED:
        LOG(SCANNER_LISTED, NULL, log_words(scanner->options.advertise));
        break;
    case ENLIST_LEASE_LOST: LOG0(SCANNER_LEASE_LOST, NULL); break;
    case ENLIST_NAME_IN_USE:
        LOG(SCANNER_NAME_IN_USE, NULL, log_words(boot_text(scanner->boot, "name")));
        break;
    case ENLIST_FAILED: LOG(CLUSTER_STORE_FAILED, NULL, log_words(err.what)); break;
    }
}

static void scanner_on_pool(void *holder)
{
    struct scanner *scanner = holder;
    scanner_reload_step(scanner->reload);
}

static void scanner_on_left(void *holder)
{
    struct scanner *scanner = holder;
    scanner->is_leaving = false;
}

static void scanner_leave(struct scanner *scanner)
{
    scanner_reload_close(scanner->reload);
    if (scanner->enlist == NULL) return;
    scanner->is_leaving = true;
    enlist_stop(scanner->enlist, scanner_on_left, scanner);
    scanner->enlist = NULL;
}

/* ---- configuration */

static struct engines_reach scanner_reach(const struct conf *conf)
{
    uint64_t bytes = conf_number(conf, CONF_SCAN_UNPACKED_MAX);
    return (struct engines_reach){
        .scan_bytes_max = bytes,
        .file_bytes_max = bytes < ENGINES_FILE_BYTES_MAX ? bytes : ENGINES_FILE_BYTES_MAX,
        .files_max = (uint32_t)conf_number(conf, CONF_SCAN_FILES_MAX),
        .recursion_max =
            (uint32_t)conf_number(conf, CONF_SCAN_DEPTH_MAX) + SCANNER_DEPTH_OF_MAIL,
    };
}

static void scanner_on_conf(void *holder)
{
    struct scanner *scanner = holder;
    const struct conf *conf = scanner_conf(scanner);
    struct engines_reach reach = scanner_reach(conf);
    if (scanner->serve == NULL) return;
    engines_set_reach(scanner->engines, &reach);
    scanner_updater_set_every(scanner->updater, conf_ms(conf, CONF_SCAN_SIGNATURES_UPDATE));
    scanner_check_age(scanner);
}

static struct err scanner_read_conf(struct scanner *scanner)
{
    struct conf_problem problem;
    const struct coord_options *coord = &scanner->options.coord;
    bool has_directory = coord->directory != NULL && coord->directory[0] != '\0';
    if (!has_directory && coord->endpoints_count == 0) {
        return conf_make(NULL, 0, 0, &scanner->defaults, &problem);
    }
    TRY(coord_open_options(scanner->loop, coord, &scanner->coord));
    return program_conf_open(scanner->coord, scanner_on_conf, scanner, &scanner->followed);
}

static unsigned scanner_workers(const struct scanner *scanner)
{
    uint64_t workers = scanner->options.workers;
    if (workers == 0) workers = conf_number(scanner_conf(scanner), CONF_SCAN_WORKERS);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (workers == 0) workers = online < 1 ? 1 : (uint64_t)online;
    return workers < ENGINES_WORKERS_MAX ? (unsigned)workers : ENGINES_WORKERS_MAX;
}

/* ---- what it says of itself */

static struct span scanner_missing(void *holder)
{
    const struct scanner *scanner = holder;
    if (scanner->ending || scanner->serve == NULL) return SPAN("going down");
    return scan_serve_missing(scanner->serve);
}

static void scanner_put_metrics(void *holder, const struct metrics_text *text)
{
    const struct scanner *scanner = holder;
    program_conf_metric(conf_version(scanner_conf(scanner)), text);
    if (scanner->serve == NULL) return;
    scanner_metrics(scanner->engines, text);
    scanner_reload_metrics(scanner->reload, text);
    scan_serve_metrics(scanner->serve, text);
}

static struct span scanner_detail(void *holder)
{
    const struct scanner *scanner = holder;
    return scanner->reload == NULL ? SPAN("") : scanner_reload_detail(scanner->reload);
}

static struct err scanner_open_monitor(struct scanner *scanner)
{
    const char *address = scanner->options.metrics;
    struct program_monitor_source source = { .programs = METRICS_SCANNER,
                                             .prefix = SPAN("godwit_scanner_"),
                                             .missing = scanner_missing,
                                             .detail = scanner_detail,
                                             .metrics = scanner_put_metrics,
                                             .holder = scanner };
    if (address[0] == '\0') return err_ok();
    return program_monitor_open(scanner->loop, address, &source, &scanner->monitor);
}

/* ---- the end */

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
    bool is_done = scan_serve_open_calls(scanner->serve) == 0 && !scanner->is_leaving;
    if (is_done || loop_now_ms(scanner->loop) >= scanner->end_by_ms) {
        scan_serve_close(scanner->serve, scanner_on_closed, scanner);
        return;
    }
    timer_start(scanner->loop, &scanner->end, SCANNER_END_LOOK_MS, scanner_on_end, scanner);
}

static void scanner_on_signal(void *holder, int number)
{
    struct scanner *scanner = holder;
    if (number == SIGHUP) {
        log_reopen();
        member_reload(scanner->member);
        LOG(SIGNATURES_ASKED, NULL, log_text(SPAN("SIGHUP")));
        scanner_reload_ask(scanner->reload);
        return;
    }
    if (scanner->ending) return;
    scanner->ending = true;
    scanner_leave(scanner); /* nobody new comes, before nothing is taken any more */
    program_announce_stop(scanner->announce);
    scanner->announce = NULL;
    scan_serve_drain(scanner->serve);
    timer_stop(&scanner->look);
    timer_stop(&scanner->age);
    scanner_updater_close(scanner->updater);
    scanner->updater = NULL;
    scanner->end_by_ms = loop_now_ms(scanner->loop) + SCANNER_END_MS;
    scanner_on_end(scanner);
}

/* ---- the beginning */

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

static struct err scanner_open_engines(struct scanner *scanner)
{
    const struct scanner_options *options = &scanner->options;
    const struct conf *conf = scanner_conf(scanner);
    struct engines_options engines;
    engines_options_init(&engines);
    engines.program = scanner->program;
    engines.signature_dir = options->signature_dir;
    engines.work_dir = scanner->work_dir;
    engines.workers = scanner_workers(scanner);
    engines.limits.scan_ms = options->scan_ms;
    engines.limits.reach = scanner_reach(conf);
    engines.sandbox_required = options->sandbox_required;
    TRY(engines_open(scanner->loop, &engines, &scanner_user, scanner, &scanner->engines));
    scanner->budget.memory_bytes_max = conf_number(conf, CONF_SERVER_BODIES_MEMORY);
    scanner->budget.file_bytes_max = conf_number(conf, CONF_SERVER_BODIES_FILES);
    scanner->budget.spill_dir = scanner->body_dir;
    struct scan_serve_options serve = { .addresses = options->listen.each,
                                        .addresses_count = options->listen.count,
                                        .self = member_self(scanner->member),
                                        .budget = &scanner->budget,
                                        .waiting_max = options->waiting_max };
    return scan_serve_open(scanner->loop, scanner->engines, &serve, &scanner->serve);
}

static struct err scanner_open_reload(struct scanner *scanner)
{
    const char *advertise = scanner->options.advertise, *name = boot_text(scanner->boot, "name");
    struct scanner_reload_options options = { .engines = scanner->engines,
                                              .crew = scanner->crew,
                                              .folder = scanner->options.signature_dir };
    TRY(scanner_reload_open(scanner->loop, &options, &scanner->reload));
    if (advertise[0] == '\0') return err_ok();
    struct enlist_options pool = { .coord = scanner->coord, .crew = scanner->crew,
                                   .name = span_of(name, strlen(name)),
                                   .address = span_of(advertise, strlen(advertise)),
                                   .workers = scanner_workers(scanner),
                                   .noticed = scanner_on_pool_notice,
                                   .changed = scanner_on_pool, .holder = scanner };
    TRY(enlist_start(scanner->loop, &pool, &scanner->enlist));
    scanner_reload_join(scanner->reload, scanner->enlist);
    return err_ok();
}

static struct err scanner_open_updater(struct scanner *scanner)
{
    struct scanner_updater_options updater = {
        .program = scanner->options.updater,
        .folder = scanner->options.signature_dir,
        .every_ms = conf_ms(scanner_conf(scanner), CONF_SCAN_SIGNATURES_UPDATE),
        .ended = scanner_on_updated,
        .holder = scanner,
    };
    if (updater.program[0] == '\0') return err_ok();
    return scanner_updater_open(scanner->loop, &updater, &scanner->updater);
}

static struct err scanner_start(struct scanner *scanner)
{
    const struct scanner_options *options = &scanner->options;
    TRY(scanner_take_folders(scanner));
    /* Before the change of user, who may not reach it by name. */
    scanner->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (scanner->program < 0) return err_make_detail(ERR_IO, errno, "the program's own file");
    TRY(scanner_drop_root(options));
    TRY(program_log_start(scanner->boot));
    TRY(loop_new(&scanner->loop));
    TRY(scanner_read_conf(scanner));
    TRY(member_open(scanner_info.program, RPC_ROLE_SCANNER, options->certs, &scanner->member));
    TRY(member_start(scanner->member, scanner->loop, scanner->coord));
    LOG(PROGRAM_STARTED, NULL, log_words(program_version()), log_words(options->data_dir));
    scanner->missing = SPAN("no engine is loaded");
    TRY(crew_new("scanner", SCANNER_THREADS, SCANNER_JOBS_MAX, &scanner->crew));
    TRY(scanner_open_engines(scanner));
    TRY(scanner_open_reload(scanner));
    TRY(signals_open(scanner->loop, scanner_on_signal, scanner, &scanner->signals));
    TRY(scanner_open_updater(scanner));
    if (options->poll_ms > 0) {
        timer_start(scanner->loop, &scanner->look, options->poll_ms, scanner_on_look, scanner);
    }
    TRY(scanner_open_monitor(scanner));
    const struct admin_serve_program row = { scanner->loop, scanner->coord, ROSTER_SCANNER,
                                             scanner->monitor, member_self(scanner->member) };
    return admin_serve_begin(scanner->boot, &row, &scanner->admin, &scanner->announce);
}

/* What keeps a loop open that would otherwise end by itself. */
static void scanner_close(struct scanner *scanner)
{
    scanner_leave(scanner);
    engines_close(scanner->engines);
    scanner_updater_close(scanner->updater);
    program_monitor_close(scanner->monitor);
    admin_serve_close(scanner->admin);
    program_announce_stop(scanner->announce);
    program_conf_close(scanner->followed);
    member_stop(scanner->member);
    coord_close(scanner->coord);
    conf_unref(scanner->defaults);
    signals_close(scanner->signals);
    crew_free(scanner->crew);
}

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], ENGINES_ZYGOTE_ARGUMENT) == 0) {
        /* Without the C library's end: the engine's memory is not worth giving back in pieces. */
        _exit(engines_zygote_main((int)strtol(arguments[2], NULL, 10)));
    }
    static struct scanner scanner;
    char problem[SCANNER_PROBLEM_BYTES];
    int status = 0;
    if (!program_boot(&scanner_info, count, arguments, &scanner.boot, &status)) return status;
    struct err err = scanner_options_read(scanner.boot, &scanner.options, problem);
    if (err.code != ERR_OK) {
        fprintf(stderr, "%s: %s\n", scanner_info.program, problem);
        return 2;
    }
    err = scanner_start(&scanner);
    if (err.code == ERR_OK) {
        loop_run(scanner.loop);
        LOG(PROGRAM_STOPPED, NULL, log_text(SPAN("asked to")));
    } else {
        status = program_fail(scanner_info.program, "cannot start", err);
    }
    scanner_close(&scanner);
    log_stop();
    return status;
}

/* godwit-storage-node: mailboxes, directory rows and the queue of its shards, durably. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "arena.h"
#include "body.h"
#include "boot.h"
#include "buf.h"
#include "conf.h"
#include "coord.h"
#include "crew.h"
#include "loop.h"
#include "signals.h"
#include "store_node.h"
#include "store_serve.h"
#include "timer.h"

enum {
    USAGE_BYTES = 16 * 1024,
    READS = 2,
    READS_WAITING_MAX = 16384,
    BODY_MEMORY_MAX = 512 * 1024 * 1024,
    SETTINGS_BYTES = 4 * 1024 * 1024,
    DRAIN_TURN_MS = 20,
    DRAIN_TURNS = 250,
};

extern char **environ;

static const struct boot_option options[] = {
    { "data", BOOT_TEXT, NULL, "data directory" },
    { "listen", BOOT_TEXT, NULL, "unix:/path or ip:port" },
    { "coord", BOOT_TEXT, NULL, "configuration store (file back end)" },
};

struct program {
    struct boot *boot;
    struct loop *loop;
    struct coord *coord;
    struct coord_watch *watch;
    struct store_node *node;
    struct store_serve *serve;
    struct crew *reads;
    struct body_budget budget;
    struct timer drain;
    unsigned turns;
};

static int fail(const char *what, struct err err)
{
    fprintf(stderr, "godwit-storage-node: %s: %s: %s%s%s\n", what, err.what, err_text(err),
            err.detail > 0 ? ": " : "", err.detail > 0 ? strerror(err.detail) : "");
    return 1;
}

/* The disk takes no more writes: what the page cache holds is not known, so nothing more may be
 * said. The next start reads what is really there (REPLICATION 6.9 R6). */
static void disk_failed(struct err err)
{
    fail("the log can't be written; ending at once", err);
    _exit(3);
}

static struct err read_conf(struct coord *coord, struct conf **ret)
{
    struct coord_row row;
    struct arena arena;
    struct conf_problem problem;
    json_t *object = NULL, *value;
    const char *key;
    size_t count = 0;
    if (coord_get(coord, SPAN("policy/config"), &row)) {
        object = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    }
    arena_init(&arena, SETTINGS_BYTES);
    struct conf_setting *settings =
        arena_alloc(&arena, (json_object_size(object) + 1) * sizeof(*settings));
    struct err err = settings == NULL ? err_make(ERR_NOMEM, "configuration") : err_ok();
    json_object_foreach(object, key, value) {
        if (settings == NULL) break;
        settings[count++] = (struct conf_setting){
            .key = span_of(key, strlen(key)),
            .value = span_of(json_string_value(value), json_string_length(value))
        };
    }
    if (err.code == ERR_OK) err = conf_make(settings, count, 0, ret, &problem);
    arena_clear(&arena);
    json_decref(object);
    return err;
}

/* The number of shards that the installation was made with. */
static unsigned shards_of(struct coord *coord)
{
    struct coord_row row;
    if (!coord_get(coord, SPAN("map/head"), &row)) return 0;
    json_t *json = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    json_int_t shards = json_integer_value(json_object_get(json, "shards"));
    json_decref(json);
    return shards > 0 && shards <= STORE_SHARDS_MAX ? (unsigned)shards : 0;
}

static void on_conf(void *holder)
{
    struct program *program = holder;
    struct conf *conf;
    if (read_conf(program->coord, &conf).code != ERR_OK) return;
    store_node_set_reserve(program->node, conf_number(conf, CONF_STORE_RESERVE_BYTES));
    conf_unref(conf);
}

static struct err open_node(struct program *program)
{
    struct conf *conf;
    unsigned shards = shards_of(program->coord);
    if (shards == 0) return err_make(ERR_NOT_FOUND, "map of the slots");
    TRY(read_conf(program->coord, &conf));
    struct store_node_options node = {
        .directory = boot_text(program->boot, "data"),
        .shards = shards,
        .memory_bytes = conf_number(conf, CONF_STORE_MEMORY_BYTES),
        .cache_bytes = conf_number(conf, CONF_STORE_INDEX_BYTES),
        .index_bytes = conf_number(conf, CONF_STORE_INDEX_BYTES),
        .segment_bytes = conf_number(conf, CONF_STORE_SEGMENT_BYTES),
        .reserve_bytes = conf_number(conf, CONF_STORE_RESERVE_BYTES),
        .operation_keep_ms = conf_ms(conf, CONF_STORE_OPERATION_KEEP),
        .failed = disk_failed,
    };
    conf_unref(conf);
    return store_node_open(&node, &program->node);
}

static struct err open_all(struct program *program)
{
    TRY(loop_new(&program->loop));
    TRY(coord_open(program->loop, boot_text(program->boot, "coord"), &program->coord));
    TRY(open_node(program));
    TRY(crew_new("reads", READS, READS_WAITING_MAX, &program->reads));
    program->budget = (struct body_budget){ .memory_bytes_max = BODY_MEMORY_MAX,
                                            .file_bytes_max = BODY_MEMORY_MAX * 8ull,
                                            .spill_dir = boot_text(program->boot, "data") };
    struct store_serve_options serve = { .address = boot_text(program->boot, "listen"),
                                         .node = program->node, .reads = program->reads,
                                         .budget = &program->budget };
    TRY(store_serve_open(program->loop, &serve, &program->serve));
    return coord_watch_start(program->coord, SPAN("policy/"), on_conf, program, &program->watch);
}

/* Calls under way are answered first, for a few seconds at most. */
static void drain(void *holder)
{
    struct program *program = holder;
    if (store_serve_calls(program->serve) == 0 || ++program->turns > DRAIN_TURNS) {
        loop_stop(program->loop);
        return;
    }
    timer_start(program->loop, &program->drain, DRAIN_TURN_MS, drain, program);
}

static void on_signal(void *holder, int number)
{
    struct program *program = holder;
    if (number == SIGHUP || timer_is_armed(&program->drain)) return;
    store_serve_drain(program->serve);
    timer_start(program->loop, &program->drain, TIMER_WAIT_MIN_MS, drain, program);
}

static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    static struct program program;
    static char usage[USAGE_BYTES];
    char problem[BOOT_PROBLEM_BYTES];
    struct boot_input input = { options, sizeof(options) / sizeof(options[0]), argc, argv,
                                environ };
    struct signals *signals;
    struct err err = boot_read(&input, &program.boot, problem);
    if (err.code == ERR_NOT_FOUND) {
        struct buf out;
        buf_init(&out, usage, sizeof(usage));
        boot_usage(&input, &out);
        printf("%.*s", (int)out.len, usage);
        return 0;
    }
    if (err.code != ERR_OK) {
        fprintf(stderr, "godwit-storage-node: %s\n", problem);
        return 2;
    }
    raise_limits();
    err = open_all(&program);
    if (err.code == ERR_OK) err = signals_open(program.loop, on_signal, &program, &signals);
    if (err.code != ERR_OK) return fail("cannot start", err);
    loop_hold(program.loop);
    loop_run(program.loop);
    store_node_close(program.node); /* memory goes to disk: the next start replays little */
    return 0;
}

/* godwit-storage-node: mailboxes, directory rows and the queue of its shards, durably.
 *
 * On one machine:    godwit-storage-node --data DIR --coord DIR --listen unix:/run/godwit/s-1.sock
 * In a cluster:      godwit-storage-node --data DIR --etcd https://etcd-1:2379 --cluster NAME
 *                        --name storage-node-1 --listen 10.0.0.5:7000 --advertise 10.0.0.5:7000
 *                        --rpc-certs DIR --metrics 10.0.0.5:9464
 * DIR of --rpc-certs is what `godwitctl cluster cert issue --role storage-node` writes; --listen
 * may be given several times. Every option may come as GODWIT_NAME from the environment or as
 * "name = value" from the file of --config (lib/conf/boot.h); --help shows them all. */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin_serve.h"
#include "body.h"
#include "boot.h"
#include "checkpoint_fetch.h"
#include "checkpoint_serve.h"
#include "conf.h"
#include "coord_boot.h"
#include "crew.h"
#include "enroll.h"
#include "id.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "member.h"
#include "metrics.h"
#include "node_metrics.h"
#include "program.h"
#include "program_announce.h"
#include "peers.h"
#include "program_monitor.h"
#include "replica_msg.h"
#include "replica_step.h"
#include "rpc.h"
#include "shard.h"
#include "signals.h"
#include "store_node.h"
#include "store_serve.h"
#include "timer.h"

enum {
    READS = 2,
    READS_WAITING_MAX = 16384,
    FILES = 2, /* threads that read and write checkpoints */
    FILES_WAITING_MAX = 256,
    CLUSTER_SHARES = 32, /* shards that a node of a cluster is likely to have, for its memory */
    DRAIN_TURN_MS = 20,
    DRAIN_TURNS = 250,
    LEAVE_TURNS = 75,
    LAST_WORDS_MS = 1000, /* for the log to be written when the disk has failed */
};

static const struct boot_option table[] = {
    PROGRAM_OPTIONS("storage-node"),
    { "data", BOOT_TEXT, NULL, "data directory" },
    { "listen", BOOT_LIST, NULL, "where it takes calls: unix:/path; ip:port, with --rpc-certs" },
    MEMBER_OPTIONS,
    ADMIN_SERVE_OPTIONS,
    { "metrics", BOOT_TEXT, "", "ip:port of health and metrics; empty: not served" },
    COORD_BOOT_OPTIONS(""),
    { "advertise", BOOT_TEXT, "",
      "address of this node for others, ip:port or name:port; given: it joins the cluster" },
    { "zone", BOOT_TEXT, "", "zone that this node fails with, for placing copies" },
};
static const struct program_info info = { "godwit-storage-node", table,
                                          sizeof(table) / sizeof(table[0]) };

struct program {
    struct boot *boot;
    struct loop *loop;
    struct coord *coord;
    struct program_conf *conf;
    struct member *member;
    struct program_monitor *monitor;
    struct program_announce *announce;
    struct admin_serve *admin;
    struct signals *signals;
    struct store_node *node;  /* NULL: its shards are being opened */
    struct store_serve *serve;
    struct enroll *enroll; /* in a cluster */
    struct peers *peers;   /* in a cluster */
    struct roster_id boot_id;
    struct checkpoint_serve *checkpoints;   /* in a cluster */
    struct checkpoint_fetcher *fetcher;     /* in a cluster, until it has ended */
    struct crew *files;
    bool serves[STORE_SHARDS_MAX]; /* as last told */
    struct crew *reads;
    struct crew_job opening;
    struct store_node_options node_options; /* while opening */
    struct store_node *opened;
    struct err open_err;
    struct body_budget budget;
    struct timer drain;
    unsigned turns;
    bool stopping;
    int status;
};

/* The disk takes no more writes: what the page cache holds is not known, so nothing more may be
 * said. The next start reads what is really there (REPLICATION 6.9 R6). */
static void disk_failed(struct err err)
{
    program_fail(info.program, "the log can't be written; ending at once", err);
    log_flush_within(LAST_WORDS_MS);
    _exit(3);
}

static void on_notice(void *holder, const struct store_notice *notice)
{
    const struct program *program = holder;
    struct log_value path = log_words(boot_text(program->boot, "data"));
    switch (notice->kind) {
    case STORE_DISK_FULL: LOG(DISK_FULL, NULL, path, log_number(notice->free_bytes)); break;
    case STORE_DISK_FREE: LOG(DISK_FREE, NULL, path, log_number(notice->free_bytes)); break;
    case STORE_SHARD_FAILED:
        LOG(SHARD_FAILED, NULL, log_number(notice->shard), log_words(notice->err.what));
        break;
    }
}

/* ---- configuration */

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

static struct store_node_settings settings_of(const struct conf *conf)
{
    return (struct store_node_settings){
        .reserve_bytes = conf_number(conf, CONF_STORE_RESERVE_BYTES),
        .operation_keep_ms = conf_ms(conf, CONF_STORE_OPERATION_KEEP),
        .tombstone_keep_ms = conf_ms(conf, CONF_STORE_TOMBSTONE_KEEP),
        .checkpoint_bytes_per_s = conf_number(conf, CONF_REPLICA_CHECKPOINT_RATE),
        .drop_delay_ms = conf_ms(conf, CONF_REPLICA_DROP_DELAY),
        .quota_bytes = conf_number(conf, CONF_QUOTA_BYTES),
        .quota_items = conf_number(conf, CONF_QUOTA_ITEMS),
    };
}

static void on_conf(void *holder)
{
    struct program *program = holder;
    struct store_node_settings settings = settings_of(program_conf_now(program->conf));
    if (program->node != NULL) store_node_configure(program->node, &settings);
}

/* ---- what it says of itself */

static struct span missing(void *holder)
{
    const struct program *program = holder;
    if (program->stopping) return SPAN("going down");
    if (program->node == NULL) return SPAN("the shards are being opened");
    if (program->enroll != NULL && !enroll_is_ready(program->enroll)) {
        return SPAN("it has no part in the cluster, or has not opened all of its copies yet");
    }
    for (unsigned i = 0; i < store_node_shards(program->node); i++) {
        struct shard *shard = store_node_shard(program->node, i);
        if (shard != NULL && shard_leads(shard) && !shard_serves(shard)) {
            return SPAN("a shard that this node leads does not serve");
        }
    }
    return SPAN("");
}

static void put_metrics(void *holder, const struct metrics_text *text)
{
    const struct program *program = holder;
    program_conf_metric(conf_version(program_conf_now(program->conf)), text);
    if (program->node == NULL || program->serve == NULL) return;
    node_metrics(program->node, text);
    store_serve_metrics(program->serve, text);
    if (program->peers != NULL) peers_metrics(program->peers, text);
}

/* Says which service it is that can't be started. */
static struct err service_err(struct err err, const char *service, const char *address)
{
    if (err.code == ERR_OK) return err;
    LOG(SERVICE_FAILED, NULL, log_words(service), log_words(address), log_words(err_text(err)));
    return err;
}

static struct err open_monitor(struct program *program)
{
    const char *address = boot_text(program->boot, "metrics");
    struct program_monitor_source source = { .programs = METRICS_STORAGE,
                                             .prefix = SPAN("godwit_storage_node_"),
                                             .missing = missing, .metrics = put_metrics,
                                             .holder = program };
    if (address[0] == '\0') return err_ok();
    return program_monitor_open(program->loop, address, &source, &program->monitor);
}

/* ---- opening the shards: beside the loop, since it may have much to replay */

static void open_run(struct crew_job *job)
{
    struct program *program = LIST_ITEM(job, struct program, opening);
    program->open_err = store_node_open(&program->node_options, &program->opened);
}

static struct err serve(struct program *program)
{
    TRY(program->open_err);
    program->node = program->opened;
    on_conf(program); /* it may have changed meanwhile */
    struct member_addresses listen;
    TRY(member_addresses_read(program->boot, "listen", &listen));
    struct store_serve_options options = { .addresses = listen.each,
                                           .addresses_count = listen.count,
                                           .self = member_self(program->member),
                                           .node = program->node, .reads = program->reads,
                                           .budget = &program->budget };
    return service_err(store_serve_open(program->loop, &options, &program->serve), "store",
                       listen.text);
}

/* ---- its part in the cluster */

static void on_enrolled(void *holder, const struct enroll_notice *notice)
{
    struct program *program = holder;
    switch (notice->event) {
    case ENROLL_KNOWN: LOG0(NODE_KNOWN, NULL); break;
    case ENROLL_LIVE: LOG(NODE_LIVE, NULL, log_words(boot_text(program->boot, "advertise"))); break;
    case ENROLL_LEASE_LOST: LOG0(NODE_LEASE_LOST, NULL); break;
    case ENROLL_NAME_IN_USE:
        LOG(NODE_NAME_IN_USE, NULL, log_words(boot_text(program->boot, "name")));
        break;
    case ENROLL_SHARD_FAILED:
        LOG(SHARD_FAILED, NULL, log_number(notice->shard), log_words(notice->err.what));
        break;
    case ENROLL_FAILED: LOG(CLUSTER_STORE_FAILED, NULL, log_words(notice->err.what)); break;
    case ENROLL_REFUSED: /* what is served from here may be another's by now: nothing more is */
        program_fail(info.program, "no part in the cluster", notice->err);
        log_flush_within(LAST_WORDS_MS);
        _exit(4);
    }
}

/* A copy has another part in its shard. */
static void on_shown(void *holder, uint32_t shard, unsigned role, uint64_t epoch)
{
    struct program *program = holder;
    bool serves = role == REPLICA_SERVING, served = program->serves[shard];
    program->serves[shard] = serves;
    if (serves) LOG(SHARD_LED, NULL, log_number(shard), log_number(epoch));
    else if (served) LOG(SHARD_LEFT, NULL, log_number(shard), log_number(epoch));
    if (serves || served) store_serve_shown(program->serve, shard, serves);
}

static void on_behind(void *holder, uint32_t shard, const struct roster_id *from,
                      struct span address)
{
    struct program *program = holder;
    if (program->fetcher == NULL || program->stopping) return;
    /* It is under way, or others are: it is said again. */
    (void)!checkpoint_fetcher_want(program->fetcher, shard, from, address).code;
}

static void on_checkpoint(void *holder, const struct checkpoint_notice *notice)
{
    (void)holder;
    if (notice->err.code == ERR_OK) {
        LOG(CHECKPOINT_INSTALLED, NULL, log_number(notice->shard), log_number(notice->epoch),
            log_number(notice->index));
    } else if (notice->err.code != ERR_CANCELLED) {
        LOG(CHECKPOINT_FAILED, NULL, log_number(notice->shard), log_words(notice->err.what));
    }
}

static void on_fetcher_closed(void *holder) { ((struct program *)holder)->fetcher = NULL; }

/* Checkpoints for copies of others, and for those here. */
static struct err open_checkpoints(struct program *program)
{
    TRY(crew_new("files", FILES, FILES_WAITING_MAX, &program->files));
    struct checkpoint_serve_options serving = { .node = program->node, .crew = program->files };
    TRY(checkpoint_serve_open(program->loop, &serving, &program->checkpoints));
    struct checkpoint_fetcher_options fetching = { .node = program->node, .crew = program->files,
                                                   .self = member_self(program->member),
                                                   .boot = &program->boot_id,
                                                   .noticed = on_checkpoint,
                                                   .closed = on_fetcher_closed,
                                                   .holder = program };
    TRY(checkpoint_fetcher_open(program->loop, &fetching, &program->fetcher));
    unsigned count;
    const struct rpc_service_row *rows = checkpoint_serve_rows(&count);
    const struct rpc_service service = { peer_method_find(PEER_METHOD_CHECKPOINT), 1, rows, count,
                                         program->checkpoints };
    return store_serve_also(program->serve, &service);
}

/* The way to the other copies, on the same addresses as all calls. */
static struct err open_peers(struct program *program)
{
    struct peers_options options = { .node = program->node, .self = member_self(program->member),
                                     .coord = program->coord, .crew = program->reads,
                                     .boot = program->boot_id,
                                     .spill_dir = boot_text(program->boot, "data"),
                                     .shown = on_shown, .behind = on_behind,
                                     .holder = program };
    TRY(peers_new(program->loop, &options, &program->peers));
    unsigned count;
    const struct rpc_service_row *rows = peers_rows(&count);
    const struct rpc_service service = { peer_method_find(PEER_METHOD_TELL), 1, rows, count,
                                         program->peers };
    TRY(open_checkpoints(program));
    return store_serve_also(program->serve, &service);
}

static struct err join(struct program *program)
{
    const char *address = boot_text(program->boot, "advertise");
    const char *name = boot_text(program->boot, "name"), *zone = boot_text(program->boot, "zone");
    uint64_t free_bytes = 0;
    if (address[0] == '\0') return err_ok();
    id_random(program->boot_id.bytes, sizeof(program->boot_id.bytes));
    TRY(open_peers(program));
    (void)store_node_is_full(program->node, &free_bytes);
    struct enroll_options options = { .coord = program->coord, .crew = program->reads,
                                      .node = program->node, .peers = program->peers,
                                      .boot = program->boot_id, .name = span_of(name, strlen(name)),
                                      .zone = span_of(zone, strlen(zone)),
                                      .address = span_of(address, strlen(address)),
                                      .capacity_bytes = free_bytes,
                                      .noticed = on_enrolled, .holder = program };
    return enroll_start(program->loop, &options, &program->enroll);
}

static void open_done(struct crew_job *job)
{
    struct program *program = LIST_ITEM(job, struct program, opening);
    struct err err = serve(program);
    if (err.code == ERR_OK) err = join(program);
    if (err.code != ERR_OK) program->status = program_fail(info.program, "cannot start", err);
    if (err.code != ERR_OK || program->stopping) loop_stop(program->loop);
    else LOG0(PROGRAM_READY, NULL);
}

static struct err start_opening(struct program *program)
{
    const struct conf *conf = program_conf_now(program->conf);
    bool joins = boot_text(program->boot, "advertise")[0] != '\0';
    unsigned shards = joins ? STORE_SHARDS_MAX : shards_of(program->coord);
    if (shards == 0) return err_make(ERR_NOT_FOUND, "map of the slots");
    program->budget =
        (struct body_budget){ .memory_bytes_max = conf_number(conf, CONF_SERVER_BODIES_MEMORY),
                              .file_bytes_max = conf_number(conf, CONF_SERVER_BODIES_FILES),
                              .spill_dir = boot_text(program->boot, "data") };
    program->node_options = (struct store_node_options){
        .directory = boot_text(program->boot, "data"),
        .shards = shards,
        .of_cluster = joins,
        .shares = joins ? CLUSTER_SHARES : 0,
        .memory_bytes = conf_number(conf, CONF_STORE_MEMORY_BYTES),
        .cache_bytes = conf_number(conf, CONF_STORE_INDEX_BYTES),
        .index_bytes = conf_number(conf, CONF_STORE_INDEX_BYTES),
        .segment_bytes = conf_number(conf, CONF_STORE_SEGMENT_BYTES),
        .settings = settings_of(conf),
        .noticed = on_notice,
        .holder = program,
        .failed = disk_failed,
    };
    program->opening = (struct crew_job){ .run = open_run, .done = open_done,
                                          .loop = program->loop };
    return crew_run(program->reads, &program->opening);
}

/* ---- the end */

/* Calls under way are answered first, for a few seconds at most. */
static void drain(void *holder)
{
    struct program *program = holder;
    bool over = store_serve_calls(program->serve) == 0 && program->fetcher == NULL;
    if (over || ++program->turns > DRAIN_TURNS) {
        loop_stop(program->loop);
        return;
    }
    timer_start(program->loop, &program->drain, DRAIN_TURN_MS, drain, program);
}

static void on_left(void *holder) { (void)holder; }

static void go_down(struct program *program)
{
    store_serve_drain(program->serve);
    checkpoint_fetcher_close(program->fetcher);
    if (program->enroll != NULL) {
        enroll_stop(program->enroll, on_left, program);
        program->enroll = NULL;
    }
    program->turns = 0;
    timer_start(program->loop, &program->drain, TIMER_WAIT_MIN_MS, drain, program);
}

/* First others lead, and nobody counts on this node's copies any more: for a moment at most, since
 * it may be that all nodes go down together. */
static void leave(void *holder)
{
    struct program *program = holder;
    bool needed = program->enroll != NULL && enroll_is_needed(program->enroll);
    if (!needed || ++program->turns > LEAVE_TURNS) {
        go_down(program);
        return;
    }
    if (program->turns == 1) peers_leave(program->peers);
    timer_start(program->loop, &program->drain, DRAIN_TURN_MS, leave, program);
}

static void on_signal(void *holder, int number)
{
    struct program *program = holder;
    if (number == SIGHUP) {
        log_reopen();
        member_reload(program->member);
        return;
    }
    if (program->stopping) return;
    program->stopping = true;
    program_announce_stop(program->announce);
    if (program->serve == NULL) return; /* once the shards are open */
    timer_start(program->loop, &program->drain, TIMER_WAIT_MIN_MS, leave, program);
}

static struct err start(struct program *program)
{
    TRY(program_log_start(program->boot));
    TRY(loop_new(&program->loop));
    struct coord_options coord;
    TRY(program_store_read(program->boot, ROSTER_STORAGE_NODE, &coord));
    TRY(coord_open_options(program->loop, &coord, &program->coord));
    TRY(program_conf_open(program->coord, on_conf, program, &program->conf));
    TRY(member_open(info.program, RPC_ROLE_STORAGE_NODE, boot_text(program->boot, "rpc-certs"),
                    &program->member));
    TRY(member_start(program->member, program->loop, program->coord));
    LOG(PROGRAM_STARTED, NULL, log_words(program_version()),
        log_words(boot_text(program->boot, "data")));
    TRY(crew_new("reads", READS, READS_WAITING_MAX, &program->reads));
    TRY(open_monitor(program));
    const struct admin_serve_program row = { program->loop, program->coord, ROSTER_STORAGE_NODE,
                                             program->monitor, member_self(program->member) };
    TRY(admin_serve_begin(program->boot, &row, &program->admin, &program->announce));
    TRY(signals_open(program->loop, on_signal, program, &program->signals));
    return start_opening(program);
}

int main(int argc, char **argv)
{
    static struct program program;
    int status;
    if (!program_boot(&info, argc, argv, &program.boot, &status)) return status;
    struct err err = start(&program);
    if (err.code == ERR_OK) {
        loop_hold(program.loop);
        loop_run(program.loop);
        if (program.peers != NULL) peers_stop(program.peers);
        crew_free(program.files); /* nothing of theirs is under way any more */
        store_node_close(program.node); /* memory goes to disk: the next start replays little */
        LOG(PROGRAM_STOPPED, NULL, program.status == 0 ? log_words("asked to")
                                                       : log_words("it could not start"));
    } else {
        program.status = program_fail(info.program, "cannot start", err);
    }
    log_stop();
    return program.status;
}

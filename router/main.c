/* godwit-router: one of these is the controller of the cluster, the others stand by.
 *
 *     godwit-router --name router-1 --etcd https://etcd-1:2379 --cluster NAME --nodes 3
 *         --metrics 10.0.0.7:9466 --rpc-certs DIR --admin-listen 10.0.0.7:7002
 *
 * DIR of --rpc-certs is what `godwitctl cluster cert issue --role router` writes.
 * --nodes, --shards, --copies and --min-isr say how a new cluster is made; afterwards they change
 * nothing that is there: the options cluster.* do. Every option may come as GODWIT_NAME from the
 * environment or as "name = value" from the file of --config. */
#include <signal.h>
#include <string.h>

#include "admin_serve.h"
#include "boot.h"
#include "conf.h"
#include "controller.h"
#include "coord_boot.h"
#include "crew.h"
#include "log.h"
#include "loop.h"
#include "member.h"
#include "metrics_text.h"
#include "plan.h"
#include "program.h"
#include "program_announce.h"
#include "program_monitor.h"
#include "rpc_name.h"
#include "signals.h"

enum { WRITERS = 1, WRITES_WAITING_MAX = 64 };

static const struct boot_option table[] = {
    PROGRAM_OPTIONS("router"),
    COORD_BOOT_OPTIONS(""),
    MEMBER_OPTIONS,
    ADMIN_SERVE_OPTIONS,
    { "metrics", BOOT_TEXT, "", "ip:port of health and metrics; empty: not served" },
    { "nodes", BOOT_NUMBER, "1", "storage nodes that a new cluster waits for, 1 to 512" },
    { "shards", BOOT_NUMBER, "64", "shards of a new cluster, 1 to 256" },
    { "copies", BOOT_NUMBER, "1", "copies of each shard of a new cluster, 1 to 6" },
    { "min-isr", BOOT_NUMBER, "1", "copies in sync that a change needs, 1 to copies" },
    { "dead-after", BOOT_NUMBER, "300", "seconds after which a node that is gone counts as dead" },
};
static const struct program_info info = { "godwit-router", table,
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
    struct crew *crew;
    struct controller *controller;
    bool stopping;
};

static void on_event(void *holder, enum controller_event event, struct span text, struct err err)
{
    (void)holder;
    switch (event) {
    case CONTROLLER_ELECTED: LOG0(CONTROLLER_ELECTED, NULL); break;
    case CONTROLLER_DEPOSED: LOG0(CONTROLLER_DEPOSED, NULL); break;
    case CONTROLLER_NODE_JOINED: LOG(NODE_JOINED, NULL, log_text(text)); break;
    case CONTROLLER_NODE_LEFT: LOG(NODE_LEFT, NULL, log_text(text)); break;
    case CONTROLLER_CHANGED: LOG(CLUSTER_CHANGED, NULL, log_text(text)); break;
    case CONTROLLER_WAITS: LOG(CLUSTER_WAITS, NULL, log_text(text)); break;
    case CONTROLLER_FAILED: LOG(CLUSTER_STORE_FAILED, NULL, log_words(err.what)); break;
    }
}

/* ---- what it says of itself */

static struct span missing(void *holder)
{
    const struct program *program = holder;
    struct controller_state state;
    if (program->stopping) return SPAN("going down");
    if (coord_state(program->coord).code != ERR_OK) {
        return SPAN("the configuration store is not reached");
    }
    controller_state_get(program->controller, &state);
    return state.leader.len == 0 ? SPAN("nobody is the controller") : SPAN("");
}

static void put_metrics(void *holder, const struct metrics_text *text)
{
    const struct program *program = holder;
    struct controller_state state;
    struct plan_health shards;
    program_conf_metric(conf_version(program_conf_now(program->conf)), text);
    controller_state_get(program->controller, &state);
    controller_health_get(program->controller, &shards);
    const struct plan_health *health = &shards;
    const struct metrics_single rows[] = {
        { "is_controller", "gauge", "1 when this one is the controller", state.leads ? 1 : 0 },
        { "nodes_live", "gauge", "Storage nodes that are there", (int64_t)state.nodes_live },
        { "stores", "gauge", "Data directories that are known", (int64_t)state.stores },
        { "shards", "gauge", "Shards of the cluster", (int64_t)health->shards },
        { "shards_without_leader", "gauge", "Shards that nobody leads, or a node that is gone",
          (int64_t)health->without_leader },
        { "shards_under_min_isr", "gauge",
          "Shards with fewer copies in sync than a change needs: changes are refused",
          (int64_t)health->under_min_isr },
        { "shards_copies_missing", "gauge", "Shards with fewer copies in sync than are wished",
          (int64_t)health->copies_missing },
        { "shards_moving", "gauge", "Shards with a copy on its way, or one to leave",
          (int64_t)health->moving },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
}

static struct err open_monitor(struct program *program)
{
    const char *address = boot_text(program->boot, "metrics");
    struct program_monitor_source source = { .prefix = SPAN("godwit_router_"), .missing = missing,
                                             .metrics = put_metrics, .holder = program };
    if (address[0] == '\0') return err_ok();
    return program_monitor_open(program->loop, address, &source, &program->monitor);
}

/* ---- begin and end */

/* How a cluster is made stands in the command, what may change in the configuration. */
static struct plan_options plan_options(const struct program *program)
{
    const struct boot *boot = program->boot;
    const struct conf *conf = program_conf_now(program->conf);
    return (struct plan_options){
        .nodes_wanted = (uint32_t)boot_number(boot, "nodes"),
        .shards = (uint32_t)boot_number(boot, "shards"),
        .copies = (uint32_t)boot_number(boot, "copies"),
        .min_isr = (uint32_t)boot_number(boot, "min-isr"),
        .dead_after_ms = boot_number(boot, "dead-after") * 1000,
        .copies_now = (uint32_t)conf_number(conf, CONF_CLUSTER_COPIES),
        .min_isr_now = (uint32_t)conf_number(conf, CONF_CLUSTER_COPIES_NEEDED),
        .replace_after_ms = conf_ms(conf, CONF_CLUSTER_REPLACE_AFTER),
        .moves_max = (uint32_t)conf_number(conf, CONF_CLUSTER_MOVES_MAX),
        .evens = conf_bool(conf, CONF_CLUSTER_REBALANCE),
        .settle_ms = conf_ms(conf, CONF_CLUSTER_REBALANCE_AFTER),
    };
}

static void on_conf(void *holder)
{
    const struct program *program = holder;
    if (program->controller == NULL || program->stopping) return;
    struct plan_options plan = plan_options(program);
    struct err err = controller_plan_set(program->controller, &plan);
    if (err.code != ERR_OK) LOG(CLUSTER_STORE_FAILED, NULL, log_words(err.what));
}

static void on_stopped(void *holder)
{
    struct program *program = holder;
    loop_stop(program->loop);
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
    controller_stop(program->controller, on_stopped, program);
}

static struct err start_controller(struct program *program)
{
    const struct boot *boot = program->boot;
    const char *name = boot_text(boot, "name");
    const struct plan_options plan = plan_options(program);
    struct controller_options options = {
        .coord = program->coord,
        .crew = program->crew,
        .name = span_of(name, strlen(name)),
        .plan = &plan,
        .event = on_event,
        .holder = program,
    };
    if (plan.shards > 256) return err_make(ERR_SYNTAX, "shards: allowed are 1 to 256");
    return controller_start(program->loop, &options, &program->controller);
}

static struct err start(struct program *program)
{
    struct coord_options coord;
    TRY(program_log_start(program->boot));
    TRY(loop_new(&program->loop));
    TRY(program_store_read(program->boot, ROSTER_ROUTER, &coord));
    TRY(coord_open_options(program->loop, &coord, &program->coord));
    TRY(program_conf_open(program->coord, on_conf, program, &program->conf));
    TRY(member_open(info.program, RPC_ROLE_ROUTER, boot_text(program->boot, "rpc-certs"),
                    &program->member));
    TRY(member_start(program->member, program->loop, program->coord));
    LOG(PROGRAM_STARTED, NULL, log_words(program_version()), log_words("the cluster's store"));
    TRY(crew_new("writes", WRITERS, WRITES_WAITING_MAX, &program->crew));
    TRY(start_controller(program));
    TRY(signals_open(program->loop, on_signal, program, &program->signals));
    TRY(open_monitor(program));
    const struct admin_serve_program row = { program->loop, program->coord, ROSTER_ROUTER,
                                             program->monitor, member_self(program->member) };
    TRY(admin_serve_begin(program->boot, &row, &program->admin, &program->announce));
    LOG0(PROGRAM_READY, NULL);
    return err_ok();
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
        LOG(PROGRAM_STOPPED, NULL, log_words("asked to"));
    } else {
        status = program_fail(info.program, "cannot start", err);
    }
    log_stop();
    return err.code == ERR_OK ? 0 : status;
}

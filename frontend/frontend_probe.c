/* Whether the storage node answers: asked until it does, then a call that stays open tells when it
 * is gone. Nothing is polled while all is well. */
#include <stdlib.h>

#include "frontend_loop.h"
#include "log.h"
#include "loop.h"
#include "place_map.h"
#include "route.h"
#include "store_msg.h"
#include "timer.h"

enum { PROBE_ASK_MS = 1000, PROBE_AGAIN_MS = 200, PROBE_MISSES = 3 };

struct frontend_probe {
    struct frontend_loop *loop;
    struct route_call *call;
    struct timer again;
    struct store_node_status_request status;
    struct store_queue_watch_request watch;
    bool ok, ending;
    bool said, said_ok; /* what was last logged, if anything */
    unsigned misses;    /* before anything was */
};

static void probe_ask(void *holder);

static void on_reply(void *holder, struct route_call *call, const void *reply)
{
    (void)holder;
    (void)call;
    (void)reply;
}

/* Logs news: for one loop, since all see the same. Not what happens while the program ends. */
static void probe_say(struct frontend_probe *probe, struct err err)
{
    const struct frontend_loop *loop = probe->loop;
    if (loop->number != 0 || frontend_is_leaving(loop)) return;
    if (probe->said && probe->said_ok == probe->ok) return;
    /* Both may be starting: not reachable yet is no news. */
    if (!probe->said && !probe->ok && ++probe->misses < PROBE_MISSES) return;
    struct span why = span_of(err_text(err), strlen(err_text(err)));
    struct span address = place_map_address(loop->map, 0);
    probe->said = true;
    probe->said_ok = probe->ok;
    if (probe->ok) LOG(STORE_REACHABLE, NULL, log_text(address));
    else LOG(STORE_UNREACHABLE, NULL, log_text(address), log_text(why));
}

static void on_gone(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct frontend_probe *probe = holder;
    (void)call;
    (void)info;
    probe->call = NULL;
    probe->ok = false;
    probe_say(probe, err);
    frontend_say_ready(probe->loop);
    if (!probe->ending)
        timer_start(probe->loop->loop, &probe->again, PROBE_AGAIN_MS, probe_ask, probe);
}

static void on_answer(void *holder, struct route_call *call, struct err err, struct span info)
{
    static const struct route_call_user user = { NULL, on_reply, on_gone };
    struct frontend_probe *probe = holder;
    struct route_call_options options = { .slot = ROUTE_SHARD, .deadline_ms = ROUTE_NO_DEADLINE,
                                          .once = true };
    probe->call = NULL;
    if (err.code == ERR_OK && !probe->ending) {
        err = route_call_start(probe->loop->front.route,
                               store_method_find(STORE_METHOD_QUEUE_WATCH), &probe->watch, &options,
                               &user, probe, &probe->call);
        probe->ok = err.code == ERR_OK;
        if (probe->ok) {
            probe_say(probe, err);
            frontend_say_ready(probe->loop);
            return;
        }
    }
    on_gone(probe, call, err, info);
}

static void probe_ask(void *holder)
{
    static const struct route_call_user user = { NULL, on_reply, on_answer };
    struct frontend_probe *probe = holder;
    struct route_call_options options = { .slot = ROUTE_SHARD, .deadline_ms = PROBE_ASK_MS };
    struct err err = route_call_start(probe->loop->front.route,
                                      store_method_find(STORE_METHOD_NODE_STATUS), &probe->status,
                                      &options, &user, probe, &probe->call);
    if (err.code != ERR_OK) on_gone(probe, NULL, err, SPAN(""));
}

struct err frontend_probe_new(struct frontend_loop *loop, struct frontend_probe **ret)
{
    struct frontend_probe *probe = calloc(1, sizeof(*probe));
    if (probe == NULL) return err_make(ERR_NOMEM, "probe");
    probe->loop = loop;
    timer_start(loop->loop, &probe->again, TIMER_WAIT_MIN_MS, probe_ask, probe);
    *ret = probe;
    return err_ok();
}

bool frontend_probe_ok(const struct frontend_probe *probe) { return probe->ok; }

/* After the route is gone, and with it every call. */
void frontend_probe_free(struct frontend_probe *probe)
{
    if (probe == NULL) return;
    timer_stop(&probe->again);
    free(probe);
}

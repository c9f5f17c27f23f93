/* Whether the storage node answers: asked until it does, then a call that stays open tells when it
 * is gone. Nothing is polled while all is well. */
#include <stdlib.h>

#include "frontend_loop.h"
#include "loop.h"
#include "route.h"
#include "store_msg.h"
#include "timer.h"

enum { PROBE_ASK_MS = 1000, PROBE_AGAIN_MS = 200 };

struct frontend_probe {
    struct frontend_loop *loop;
    struct route_call *call;
    struct timer again;
    struct store_node_status_request status;
    struct store_queue_watch_request watch;
    bool ok, ending;
};

static void probe_ask(void *holder);

static void on_reply(void *holder, struct route_call *call, const void *reply)
{
    (void)holder;
    (void)call;
    (void)reply;
}

static void on_gone(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct frontend_probe *probe = holder;
    (void)call;
    (void)err;
    (void)info;
    probe->call = NULL;
    probe->ok = false;
    if (!probe->ending)
        timer_start(probe->loop->loop, &probe->again, PROBE_AGAIN_MS, probe_ask, probe);
}

static void on_answer(void *holder, struct route_call *call, struct err err, struct span info)
{
    static const struct route_call_user user = { NULL, on_reply, on_gone };
    struct frontend_probe *probe = holder;
    struct route_call_options options = { .slot = ROUTE_SHARD, .deadline_ms = ROUTE_NO_DEADLINE };
    probe->call = NULL;
    if (err.code == ERR_OK && !probe->ending) {
        err = route_call_start(probe->loop->front.route,
                               store_method_find(STORE_METHOD_QUEUE_WATCH), &probe->watch, &options,
                               &user, probe, &probe->call);
        probe->ok = err.code == ERR_OK;
        if (probe->ok) return;
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

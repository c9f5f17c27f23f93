/* Capacity: who watches hears at once of workers, readiness and signatures, and now and then of how
 * many are busy; as long as any is, also that nothing changed: who hears nothing while he waits for
 * a verdict knows that this scanner was stopped or is cut off. */
#include <stdlib.h>

#include "rpc_server.h"
#include "scan_serve_private.h"

struct scan_serve_watch {
    struct list link;
    struct scan_serve *serve;
    struct rpc_serving *serving;
};

static void watch_finish(struct scan_serve_watch *watch, struct err err)
{
    struct rpc_serving *serving = watch->serving;
    list_remove(&watch->link);
    free(watch);
    rpc_serving_on_cancel(serving, NULL, NULL);
    rpc_finish(serving, err, span_of(NULL, 0));
}

static void watch_on_cancel(void *holder)
{
    watch_finish(holder, err_make(ERR_CANCELLED, "watch"));
}

static unsigned capacity_busy(const struct scan_serve *serve, const struct engines_status *status)
{
    return status->busy + serve->triage.waiting_count;
}

static void capacity_say(struct scan_serve *serve, struct rpc_serving *serving)
{
    struct engines_status status;
    engines_status(serve->engines, &status);
    struct scan_capacity_reply reply = {
        .workers = status.workers,
        .busy = capacity_busy(serve, &status),
        .engine_version = status.version,
        .signatures_ms = status.signatures_ms,
        .ready = scan_serve_is_ready(serve),
    };
    rpc_put_reply(serving, &reply);
}

static void capacity_on_beat(void *holder);

static void capacity_say_all(struct scan_serve *serve)
{
    engines_status(serve->engines, &serve->said);
    serve->said_busy = capacity_busy(serve, &serve->said);
    if (serve->said_busy == 0) timer_stop(&serve->beat_timer);
    else timer_start(serve->loop, &serve->beat_timer, SCAN_SERVE_BEAT_MS, capacity_on_beat, serve);
    serve->said_ready = scan_serve_is_ready(serve);
    for (struct list *at = serve->watches.next; at != &serve->watches; at = at->next) {
        capacity_say(serve, LIST_ITEM(at, struct scan_serve_watch, link)->serving);
    }
}

static void capacity_on_beat(void *holder)
{
    struct scan_serve *serve = holder;
    if (!list_is_empty(&serve->watches)) capacity_say_all(serve);
}

static void capacity_on_timer(void *holder)
{
    struct scan_serve *serve = holder;
    struct engines_status now;
    engines_status(serve->engines, &now);
    if (capacity_busy(serve, &now) != serve->said_busy) capacity_say_all(serve);
}

void scan_serve_tell(struct scan_serve *serve)
{
    if (list_is_empty(&serve->watches)) return;
    struct engines_status now;
    engines_status(serve->engines, &now);
    const struct engines_status *said = &serve->said;
    if (now.workers != said->workers || scan_serve_is_ready(serve) != serve->said_ready ||
        now.signatures_ms != said->signatures_ms) {
        capacity_say_all(serve);
    } else if (capacity_busy(serve, &now) != serve->said_busy &&
               !timer_is_armed(&serve->capacity_timer)) {
        timer_start(serve->loop, &serve->capacity_timer, SCAN_SERVE_CAPACITY_MS,
                    capacity_on_timer, serve);
    }
}

void scan_serve_capacity(void *holder, struct rpc_serving *serving)
{
    struct scan_serve *serve = holder;
    struct scan_serve_watch *watch = serve->draining ? NULL : calloc(1, sizeof(*watch));
    if (watch == NULL) {
        rpc_finish(serving, err_make(ERR_BUSY, "scanner"), span_of(NULL, 0));
        return;
    }
    watch->serve = serve;
    watch->serving = serving;
    list_add(&serve->watches, &watch->link);
    rpc_serving_on_cancel(serving, watch_on_cancel, watch);
    capacity_say(serve, serving);
}

void scan_serve_end_watches(struct scan_serve *serve)
{
    while (!list_is_empty(&serve->watches)) {
        watch_finish(LIST_ITEM(serve->watches.next, struct scan_serve_watch, link),
                     err_make(ERR_CANCELLED, "watch"));
    }
}

#include "scan_serve.h"

#include <stdlib.h>

#include "metrics_text.h"
#include "rpc_callers.h"
#include "rpc_server.h"
#include "scan_serve_private.h"

/* Who may call each stands in rpc_callers.def. */
static const struct rpc_service_row scan_serve_rows[] = {
    { SCAN_METHOD_SCAN, RPC_CALLERS_SCAN_SCAN, scan_serve_scan },
    { SCAN_METHOD_CAPACITY, RPC_CALLERS_SCAN_CAPACITY, scan_serve_capacity },
};
enum { SCAN_SERVE_ROWS = sizeof(scan_serve_rows) / sizeof(scan_serve_rows[0]) };

static void scan_serve_on_closed(void *holder)
{
    struct scan_serve *serve = holder;
    void (*closed)(void *holder) = serve->closed;
    void *closed_holder = serve->holder;
    timer_stop(&serve->capacity_timer);
    timer_stop(&serve->beat_timer);
    free(serve);
    if (closed != NULL) closed(closed_holder);
}

struct err scan_serve_open(struct loop *loop, struct engines *engines,
                           const struct scan_serve_options *options, struct scan_serve **ret)
{
    struct scan_serve *serve = calloc(1, sizeof(*serve));
    if (serve == NULL) return err_make(ERR_NOMEM, "scan calls");
    serve->loop = loop;
    serve->engines = engines;
    triage_init(&serve->triage, options->waiting_max);
    list_init(&serve->calls);
    list_init(&serve->watches);
    struct rpc_server_options listen = {
        .addresses = options->addresses,
        .addresses_count = options->addresses_count,
        .self = options->self,
        .methods = scan_methods,
        .methods_count = SCAN_METHODS,
        .rows = scan_serve_rows,
        .rows_count = SCAN_SERVE_ROWS,
        .holder = serve,
        .budget = options->budget,
        .closed = scan_serve_on_closed,
    };
    struct err err = rpc_server_open(loop, &listen, &serve->server);
    if (err.code != ERR_OK) {
        free(serve);
        return err;
    }
    *ret = serve;
    return err_ok();
}

void scan_serve_changed(struct scan_serve *serve)
{
    scan_serve_pump(serve);
    scan_serve_tell(serve);
}

void scan_serve_set_old(struct scan_serve *serve, bool old)
{
    if (serve->signatures_old == old) return;
    serve->signatures_old = old;
    scan_serve_tell(serve);
}

struct span scan_serve_missing(const struct scan_serve *serve)
{
    struct engines_status status;
    engines_status(serve->engines, &status);
    if (serve->draining) return SPAN("going down");
    if (!status.ready) return SPAN("no engine is loaded");
    if (serve->signatures_old) return SPAN("the virus signatures are too old");
    return SPAN("");
}

bool scan_serve_is_ready(const struct scan_serve *serve)
{
    return scan_serve_missing(serve).len == 0;
}

void scan_serve_metrics(const struct scan_serve *serve, const struct metrics_text *text)
{
    const struct metrics_single rows[] = {
        { "scans_open", "gauge", "Messages that wait or are being scanned", serve->calls_count },
        { "scans_waiting", "gauge", "Of them, those without a worker",
          serve->triage.waiting_count },
        { "ready", "gauge", "1 when messages are taken", scan_serve_is_ready(serve) ? 1 : 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
    rpc_server_metrics(serve->server, text);
}

void scan_serve_drain(struct scan_serve *serve)
{
    serve->draining = true;
    scan_serve_end_watches(serve);
    rpc_server_drain(serve->server);
}

unsigned scan_serve_open_calls(const struct scan_serve *serve) { return serve->calls_count; }

uint16_t scan_serve_port(const struct scan_serve *serve) { return rpc_server_port(serve->server); }

void scan_serve_close(struct scan_serve *serve, void (*closed)(void *holder), void *holder)
{
    serve->closed = closed;
    serve->holder = holder;
    serve->draining = true;
    scan_serve_end_scans(serve);
    scan_serve_end_watches(serve);
    rpc_server_close(serve->server);
}

/* /metrics of a frontend, in Prometheus' text form (version 0.0.4). */
#include <inttypes.h>
#include <stdio.h>

#include "arena.h"
#include "frontend_loop.h"
#include "scan_call.h"

enum { METRICS_BYTES = 16 * 1024 };

struct err frontend_metrics(void *holder, struct arena *arena, struct span *ret)
{
    const struct frontend_loop *loop = holder;
    const struct front_counts *c = &loop->front.counts;
    const struct { const char *name, *type, *help; uint64_t value; } rows[] = {
        { "connections_total", "counter", "Connections that were taken", c->connections },
        { "connections_open", "gauge", "Connections open now", loop->front.connections_count },
        { "messages_accepted_total", "counter", "Messages answered with 250", c->messages },
        { "messages_refused_total", "counter", "Messages refused for good", c->messages_refused },
        { "messages_deferred_total", "counter", "Messages refused for now", c->messages_deferred },
        { "messages_infected_total", "counter", "Messages refused for a virus", c->infected },
        { "messages_bare_line_end_total", "counter", "Messages refused for a CR or LF on its own",
          c->bare_line_ends },
        { "logins_total", "counter", "Log-ins that worked", c->logins },
        { "logins_failed_total", "counter", "Log-ins that failed", c->logins_failed },
        { "scanners_ready", "gauge", "Scanners that take messages", scan_pool_ready(loop->scan) },
        { "store_reachable", "gauge", "1 when the storage node answers",
          frontend_probe_ok(loop->probe) ? 1 : 0 },
    };
    char *text = arena_alloc(arena, METRICS_BYTES);
    size_t at = 0;
    if (text == NULL) return err_make(ERR_NOMEM, "metrics");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int n = snprintf(text + at, METRICS_BYTES - at,
                         "# HELP godwit_frontend_%s %s\n# TYPE godwit_frontend_%s %s\n"
                         "godwit_frontend_%s{loop=\"%u\"} %" PRIu64 "\n",
                         rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name,
                         loop->number, rows[i].value);
        at += n > 0 ? (size_t)n : 0;
    }
    *ret = span_of(text, at);
    return err_ok();
}

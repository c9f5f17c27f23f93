/* /metrics of a frontend, in Prometheus' text form (version 0.0.4): what is counted, of all loops
 * together, and how this loop sees the other programs. */
#include "arena.h"
#include "buf.h"
#include "frontend_loop.h"
#include "frontend_probe.h"
#include "metrics.h"
#include "metrics_text.h"
#include "program.h"
#include "program_monitor.h"
#include "scan_call.h"

/* The loop that is behind most counts. */
static uint64_t oldest_options(struct frontend *frontend)
{
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < frontend->loops_count; i++) {
        struct frontend_loop *loop = frontend->loops[i];
        uint64_t revision = loop == NULL ? 0 : atomic_load(&loop->options_revision);
        if (revision < oldest) oldest = revision;
    }
    return oldest;
}

static void put_others(void *holder, const struct metrics_text *text)
{
    const struct frontend_loop *loop = holder;
    const struct metrics_single rows[] = {
        { "scanners_ready", "gauge", "Scanners that take messages", scan_pool_ready(loop->scan) },
        { "scanners_known", "gauge", "Scanners that are connected or tried",
          scan_pool_known(loop->scan) },
        { "scanners_silent", "gauge", "Scanners that have messages and say nothing",
          scan_pool_silent(loop->scan) },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
    frontend_probe_metrics(loop->probe, text);
    program_conf_metric(oldest_options(loop->frontend), text);
}

struct err frontend_metrics(void *holder, struct arena *arena, struct span *ret)
{
    struct program_monitor_source source = { .programs = METRICS_FRONTEND,
                                             .prefix = SPAN("godwit_frontend_"),
                                             .metrics = put_others, .holder = holder };
    char *bytes = arena_alloc(arena, PROGRAM_METRICS_MAX_BYTES);
    struct buf to;
    if (bytes == NULL) return err_make(ERR_NOMEM, "metrics");
    buf_init(&to, bytes, PROGRAM_METRICS_MAX_BYTES);
    program_metrics_put(&source, &to);
    if (to.overflow) return err_make(ERR_TOO_BIG, "metrics");
    *ret = buf_span(&to);
    return err_ok();
}

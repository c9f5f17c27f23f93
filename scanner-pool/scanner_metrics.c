#include "scanner_metrics.h"

#include <stdint.h>

#include "clock.h"
#include "engines.h"
#include "metrics_text.h"

static void put_workers(const struct engines_status *status, const struct metrics_text *text)
{
    metrics_text_head(text, "workers", "gauge", "Processes that scan, by what they do");
    metrics_text_number(text, "workers", "state=\"starting\"", status->starting);
    metrics_text_number(text, "workers", "state=\"idle\"", status->idle);
    metrics_text_number(text, "workers", "state=\"scanning\"", status->at_work);
    metrics_text_number(text, "workers", "state=\"ending\"", status->dying);
}

void scanner_metrics(const struct engines *engines, const struct metrics_text *text)
{
    char label[METRICS_LABEL_BYTES];
    struct engines_status status;
    engines_status(engines, &status);
    uint64_t now_ms = clock_wall_ms();
    uint64_t age_ms = now_ms > status.signatures_ms ? now_ms - status.signatures_ms : 0;
    const struct metrics_single rows[] = {
        { "worker_deaths_total", "counter", "Workers that died or took too long",
          status.workers_lost },
        { "signatures", "gauge", "Signatures in the set that is used", status.signatures },
        { "signatures_age_seconds", "gauge", "How old that set is",
          status.version.len > 0 ? (int64_t)(age_ms / 1000) : 0 },
        { "signatures_refused_total", "counter", "Sets that were broken or failed their test",
          status.sets_refused },
    };
    put_workers(&status, text);
    metrics_text_head(text, "signatures_version", "gauge", "Engine and set that are used: 1");
    metrics_text_label("version", status.version, label);
    if (status.version.len > 0) metrics_text_number(text, "signatures_version", label, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
}

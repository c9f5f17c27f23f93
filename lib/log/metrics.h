/* metrics.h: numbers for Prometheus. Rows of metrics.def, and nothing else, are metrics.
 *
 * Each thread counts in memory of its own, so that counting is one addition without a lock or a
 * shared cache line; all are added up when they are asked for. A thread's stay when it ends.
 * Thread-safe. */
#ifndef MAIL_METRICS_H
#define MAIL_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum metric {
#define METRIC(name, program, kind, text, label, values, help) METRIC_##name,
#include "metrics.def"
#undef METRIC
    METRICS
};

/* Bits: whose rows are shown. */
enum metrics_of {
    METRICS_FRONTEND = 1, METRICS_STORAGE = 2, METRICS_SCANNER = 4, METRICS_ALL = 7,
};

enum {
    METRIC_VALUES_MAX = 16,          /* of a label */
    METRICS_TEXT_MAX_BYTES = 64 * 1024,
};

/* Adds to a counter or a gauge; `label` is the place of the label's value in its row, 0 when it has
 * none. A counter never falls (the caller's promise). Without effect when there is no memory for a
 * thread's first count. */
void metric_add(enum metric metric, unsigned label, int64_t by);
/* Adds a duration to a histogram of TIMES, a number to one of SIZES. */
void metric_observe_us(enum metric metric, uint64_t us);
void metric_observe(enum metric metric, uint64_t size);

/* The sum over all threads of a counter or gauge, or how often a histogram was added to. */
int64_t metric_get(enum metric metric, unsigned label);

/* Appends the rows of these programs in Prometheus' text form (version 0.0.4), each name behind
 * `prefix`, like "godwit_frontend_". Needs METRICS_TEXT_MAX_BYTES. */
void metrics_put(enum metrics_of programs, struct span prefix, struct buf *to);

#ifdef __cplusplus
}
#endif
#endif

#include "metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Upper ends of a histogram's buckets; beyond the last is one more. */
static const uint64_t buckets_us[] = { 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000,
                                       100000, 250000, 500000, 1000000, 5000000, 30000000 };
static const char *const buckets_text[] = { "0.0001", "0.00025", "0.0005", "0.001", "0.0025",
                                            "0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                            "0.5", "1", "5", "30" };

enum {
    BUCKETS = sizeof(buckets_us) / sizeof(buckets_us[0]),
    /* What a metric has of a block: a label's values, or a histogram's buckets, the last one's,
     * and the sum in microseconds. */
    SLOTS = BUCKETS + 2,
};
static_assert((int)SLOTS >= (int)METRIC_VALUES_MAX, "room for every label");

static const struct {
    const char *name, *label, *values, *help;
    enum metric_kind kind;
} rows[METRICS] = {
#define METRIC(name, kind, text, label, values, help)                                            \
    [METRIC_##name] = { text, label, values, help, METRIC_##kind },
#include "metrics.def"
#undef METRIC
};

/* The counts of a thread. Only it writes, others read: relaxed atomics on both sides. */
struct metrics_block {
    struct metrics_block *next;
    int64_t slots[METRICS][SLOTS];
};

/* All blocks there ever were: threads are few and live long. */
static struct metrics_block *metrics_first;
static pthread_mutex_t metrics_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct metrics_block *metrics_mine;

static struct metrics_block *mine(void)
{
    if (metrics_mine != NULL) return metrics_mine;
    struct metrics_block *block = calloc(1, sizeof(*block));
    if (block == NULL) return NULL;
    pthread_mutex_lock(&metrics_lock);
    block->next = metrics_first;
    __atomic_store_n(&metrics_first, block, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&metrics_lock);
    metrics_mine = block;
    return block;
}

static void slot_add(int64_t *slot, int64_t by)
{
    __atomic_store_n(slot, __atomic_load_n(slot, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

static int64_t slot_sum(enum metric metric, unsigned slot)
{
    int64_t sum = 0;
    const struct metrics_block *block = __atomic_load_n(&metrics_first, __ATOMIC_ACQUIRE);
    for (; block != NULL; block = block->next) {
        sum += __atomic_load_n(&block->slots[metric][slot], __ATOMIC_RELAXED);
    }
    return sum;
}

/* How many values the label has; 1 without a label. */
static unsigned labels_of(enum metric metric)
{
    unsigned count = 1;
    for (const char *c = rows[metric].values; *c != '\0'; c++) count += *c == ' ';
    return count;
}

void metric_add(enum metric metric, unsigned label, int64_t by)
{
    CHECK(metric < METRICS && rows[metric].kind != METRIC_HISTOGRAM && label < METRIC_VALUES_MAX);
    struct metrics_block *block = mine();
    if (block != NULL) slot_add(&block->slots[metric][label], by);
}

void metric_observe_us(enum metric metric, uint64_t us)
{
    unsigned bucket = 0;
    CHECK(metric < METRICS && rows[metric].kind == METRIC_HISTOGRAM);
    struct metrics_block *block = mine();
    if (block == NULL) return;
    while (bucket < BUCKETS && us > buckets_us[bucket]) bucket++;
    slot_add(&block->slots[metric][bucket], 1);
    slot_add(&block->slots[metric][BUCKETS + 1], us > INT32_MAX ? INT32_MAX : (int64_t)us);
}

int64_t metric_get(enum metric metric, unsigned label)
{
    CHECK(metric < METRICS && label < METRIC_VALUES_MAX);
    if (rows[metric].kind != METRIC_HISTOGRAM) return slot_sum(metric, label);
    int64_t count = 0;
    for (unsigned i = 0; i <= BUCKETS; i++) count += slot_sum(metric, i);
    return count;
}

/* ---- text */

static void put(struct buf *to, const char *text) { buf_put(to, span_of(text, strlen(text))); }

static void put_number(struct buf *to, int64_t number)
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), " %lld\n", (long long)number);
    buf_put(to, span_of(digits, (size_t)len));
}

static void put_name(struct buf *to, struct span prefix, enum metric metric, const char *suffix)
{
    buf_put(to, prefix);
    put(to, rows[metric].name);
    put(to, suffix);
}

static void put_labelled(struct buf *to, struct span prefix, enum metric metric)
{
    struct span rest = span_of(rows[metric].values, strlen(rows[metric].values));
    for (unsigned i = 0; i < labels_of(metric); i++) {
        struct span value = rest, tail = span_of(NULL, 0);
        span_cut(rest, ' ', &value, &tail);
        rest = tail;
        put_name(to, prefix, metric, "");
        if (rows[metric].label[0] != '\0') {
            put(to, "{");
            put(to, rows[metric].label);
            put(to, "=\"");
            buf_put(to, value);
            put(to, "\"}");
        }
        put_number(to, slot_sum(metric, i));
    }
}

static void put_histogram(struct buf *to, struct span prefix, enum metric metric)
{
    char sum[48];
    int64_t count = 0;
    for (unsigned i = 0; i <= BUCKETS; i++) {
        count += slot_sum(metric, i);
        put_name(to, prefix, metric, "_bucket{le=\"");
        put(to, i < BUCKETS ? buckets_text[i] : "+Inf");
        put(to, "\"}");
        put_number(to, count);
    }
    int64_t us = slot_sum(metric, BUCKETS + 1);
    put_name(to, prefix, metric, "_sum");
    int len = snprintf(sum, sizeof(sum), " %lld.%06lld\n", (long long)(us / 1000000),
                       (long long)(us % 1000000));
    buf_put(to, span_of(sum, (size_t)len));
    put_name(to, prefix, metric, "_count");
    put_number(to, count);
}

void metrics_put(struct span prefix, struct buf *to)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    for (unsigned i = 0; i < METRICS; i++) {
        enum metric metric = (enum metric)i;
        put(to, "# HELP ");
        put_name(to, prefix, metric, " ");
        put(to, rows[i].help);
        put(to, "\n# TYPE ");
        put_name(to, prefix, metric, " ");
        put(to, kinds[rows[i].kind]);
        put(to, "\n");
        if (rows[i].kind == METRIC_HISTOGRAM) {
            put_histogram(to, prefix, metric);
        } else {
            put_labelled(to, prefix, metric);
        }
    }
}

#include "metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "metrics_text.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_TIMES, METRIC_SIZES };
/* For the rows' second column. */
enum { METRIC_FRONTEND = 1, METRIC_STORAGE = 2, METRIC_SCANNER = 4, METRIC_ALL = 7 };

/* Upper ends of a histogram's buckets; beyond the last is one more. */
struct bucket {
    uint64_t end;
    const char *text;
};
static const struct bucket times[] = {
    { 100, "0.0001" }, { 250, "0.00025" }, { 500, "0.0005" },  { 1000, "0.001" },
    { 2500, "0.0025" }, { 5000, "0.005" }, { 10000, "0.01" },  { 25000, "0.025" },
    { 50000, "0.05" }, { 100000, "0.1" },  { 250000, "0.25" }, { 500000, "0.5" },
    { 1000000, "1" },  { 5000000, "5" },   { 30000000, "30" },
};
static const struct bucket sizes[] = {
    { 0, "0" },   { 1, "1" },     { 2, "2" },     { 4, "4" },     { 8, "8" },
    { 16, "16" }, { 32, "32" },   { 64, "64" },   { 128, "128" }, { 256, "256" },
    { 512, "512" }, { 1024, "1024" }, { 2048, "2048" }, { 4096, "4096" }, { 16384, "16384" },
};

enum {
    BUCKETS = sizeof(times) / sizeof(times[0]),
    /* What a metric has of a block: a label's values, or a histogram's buckets, the last one's,
     * and the sum. */
    SLOTS = BUCKETS + 2,
};
static_assert(sizeof(sizes) == sizeof(times), "as many buckets");
static_assert((int)SLOTS >= (int)METRIC_VALUES_MAX, "room for every label");

static const struct {
    const char *name, *label, *values, *help;
    enum metric_kind kind;
    unsigned programs;
} rows[METRICS] = {
#define METRIC(name, program, kind, text, label, values, help)                                   \
    [METRIC_##name] = { text, label, values, help, METRIC_##kind, METRIC_##program },
#include "metrics.def"
#undef METRIC
};

static bool is_histogram(enum metric metric)
{
    return rows[metric].kind == METRIC_TIMES || rows[metric].kind == METRIC_SIZES;
}

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
    CHECK(metric < METRICS && !is_histogram(metric) && label < METRIC_VALUES_MAX);
    struct metrics_block *block = mine();
    if (block != NULL) slot_add(&block->slots[metric][label], by);
}

static void observe(enum metric metric, const struct bucket *buckets, uint64_t what)
{
    unsigned bucket = 0;
    struct metrics_block *block = mine();
    if (block == NULL) return;
    while (bucket < BUCKETS && what > buckets[bucket].end) bucket++;
    slot_add(&block->slots[metric][bucket], 1);
    slot_add(&block->slots[metric][BUCKETS + 1], what > INT32_MAX ? INT32_MAX : (int64_t)what);
}

void metric_observe_us(enum metric metric, uint64_t us)
{
    CHECK(metric < METRICS && rows[metric].kind == METRIC_TIMES);
    observe(metric, times, us);
}

void metric_observe(enum metric metric, uint64_t size)
{
    CHECK(metric < METRICS && rows[metric].kind == METRIC_SIZES);
    observe(metric, sizes, size);
}

int64_t metric_get(enum metric metric, unsigned label)
{
    CHECK(metric < METRICS && label < METRIC_VALUES_MAX);
    if (!is_histogram(metric)) return slot_sum(metric, label);
    int64_t count = 0;
    for (unsigned i = 0; i <= BUCKETS; i++) count += slot_sum(metric, i);
    return count;
}

/* ---- text */

static void put_labelled(const struct metrics_text *to, enum metric metric)
{
    struct span rest = span_of(rows[metric].values, strlen(rows[metric].values));
    for (unsigned i = 0; i < labels_of(metric); i++) {
        char label[128] = "";
        struct span value = rest, tail = span_of(NULL, 0);
        span_cut(rest, ' ', &value, &tail);
        rest = tail;
        if (rows[metric].label[0] != '\0') {
            snprintf(label, sizeof(label), "%s=\"%.*s\"", rows[metric].label, (int)value.len,
                     value.ptr);
        }
        metrics_text_number(to, rows[metric].name, label, slot_sum(metric, i));
    }
}

static void put_histogram(const struct metrics_text *to, enum metric metric)
{
    const struct bucket *buckets = rows[metric].kind == METRIC_TIMES ? times : sizes;
    char name[128], label[64];
    int64_t count = 0;
    snprintf(name, sizeof(name), "%s_bucket", rows[metric].name);
    for (unsigned i = 0; i <= BUCKETS; i++) {
        count += slot_sum(metric, i);
        snprintf(label, sizeof(label), "le=\"%s\"", i < BUCKETS ? buckets[i].text : "+Inf");
        metrics_text_number(to, name, label, count);
    }
    int64_t sum = slot_sum(metric, BUCKETS + 1);
    snprintf(name, sizeof(name), "%s_sum", rows[metric].name);
    if (buckets == times) metrics_text_us(to, name, "", sum);
    else metrics_text_number(to, name, "", sum);
    snprintf(name, sizeof(name), "%s_count", rows[metric].name);
    metrics_text_number(to, name, "", count);
}

void metrics_put(enum metrics_of programs, struct span prefix, struct buf *to)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram", "histogram" };
    const struct metrics_text text = { prefix, to };
    for (unsigned i = 0; i < METRICS; i++) {
        enum metric metric = (enum metric)i;
        if ((rows[i].programs & (unsigned)programs) == 0) continue;
        metrics_text_head(&text, rows[i].name, kinds[rows[i].kind], rows[i].help);
        if (is_histogram(metric)) put_histogram(&text, metric);
        else put_labelled(&text, metric);
    }
}

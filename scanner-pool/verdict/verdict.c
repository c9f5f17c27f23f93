#include "verdict.h"

#include "engines.h"

/* By the beginning of the name; the first row that fits decides. Names of libclamav 1.4. */
static const struct {
    struct span start;
    enum verdict verdict;
} verdict_names[] = {
    { SPAN_INIT("Heuristics.Limits.Exceeded.MaxScanTime"), VERDICT_NONE },
    { SPAN_INIT("Heuristics.Limits.Exceeded"), VERDICT_UNCHECKABLE },
    { SPAN_INIT("Heuristics.Encrypted."), VERDICT_UNCHECKABLE },
    { SPAN_INIT("Heuristics.Broken."), VERDICT_UNCHECKABLE },
    { SPAN_INIT(""), VERDICT_INFECTED },
};

enum verdict verdict_of_name(struct span name)
{
    enum { ROWS = sizeof(verdict_names) / sizeof(verdict_names[0]) };
    for (unsigned i = 0; i < ROWS - 1; i++) {
        struct span start = verdict_names[i].start;
        if (span_eq(span_head(name, start.len), start)) return verdict_names[i].verdict;
    }
    return verdict_names[ROWS - 1].verdict;
}

static enum verdict verdict_of_outcome(enum engines_outcome outcome)
{
    switch (outcome) {
    case ENGINES_DONE: return VERDICT_CLEAN;
    case ENGINES_LIMIT:
    case ENGINES_BROKEN: return VERDICT_UNCHECKABLE;
    case ENGINES_NO_TIME:
    case ENGINES_NO_MEMORY:
    case ENGINES_FAILED:
    case ENGINES_LOST:
    case ENGINES_OUTCOMES: return VERDICT_NONE;
    }
    return VERDICT_NONE;
}

/* The one of two that weighs more. */
static enum verdict verdict_join(enum verdict a, enum verdict b)
{
    if (a == VERDICT_INFECTED || b == VERDICT_INFECTED) return VERDICT_INFECTED;
    if (a == VERDICT_NONE || b == VERDICT_NONE) return VERDICT_NONE;
    return a == VERDICT_UNCHECKABLE ? a : b;
}

enum verdict verdict_of(const struct engines_result *result)
{
    enum verdict all = verdict_of_outcome(result->outcome);
    for (uint32_t i = 0; i < result->findings_count && i < ENGINES_FINDINGS_MAX; i++) {
        const struct engines_finding *finding = &result->findings[i];
        all = verdict_join(all, verdict_of_name(span_of(finding->name, finding->name_len)));
    }
    return all;
}

bool verdict_worth_again(const struct engines_result *result)
{
    return verdict_of(result) == VERDICT_NONE;
}

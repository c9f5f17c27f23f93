/* verdict.h: what the engines say about a message -> one verdict. Pure. */
#ifndef MAIL_VERDICT_H
#define MAIL_VERDICT_H

#include <stdbool.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct engines_result;

/* Values are those of scan.proto. */
enum verdict {
    VERDICT_NONE = 0,
    VERDICT_CLEAN = 1,
    VERDICT_INFECTED = 2,
    VERDICT_UNCHECKABLE = 3,
};

/* What one finding's name means: libclamav reports limits, encryption and damage as findings
 * too ("Heuristics.Limits.Exceeded.MaxFiles"). NONE: the time was over. Never CLEAN. */
enum verdict verdict_of_name(struct span name);

/* The verdict on the whole. A virus that was found counts whatever else went wrong; then nothing
 * less than a complete look is a verdict; then what could not be looked into. */
enum verdict verdict_of(const struct engines_result *result);

/* Whether the same message may well get a verdict from another worker. */
bool verdict_worth_again(const struct engines_result *result);

#ifdef __cplusplus
}
#endif
#endif

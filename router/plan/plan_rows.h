/* plan_rows.h: the planner's picture of the cluster from the rows of lib/roster. Pure.
 *
 *     plan_rows_begin(view, now_ms);
 *     for each row of PLAN_ROWS, in that order: plan_rows_add(view, key, value, revision);
 *
 * Stores are taken to be live, or gone, since `now_ms`: whoever knows better says so then. A row
 * that can't be read is as if it were not there; one of a store makes the picture partial. */
#ifndef MAIL_PLAN_ROWS_H
#define MAIL_PLAN_ROWS_H

#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plan_view;

/* Prefixes. */
#define PLAN_ROWS \
    { SPAN_INIT("map/head"), SPAN_INIT("stores/"), SPAN_INIT("live/"), SPAN_INIT("place/"), \
      SPAN_INIT("shards/") }

void plan_rows_begin(struct plan_view *view, uint64_t now_ms);
void plan_rows_add(struct plan_view *view, struct span key, struct span value, uint64_t revision);

#ifdef __cplusplus
}
#endif
#endif

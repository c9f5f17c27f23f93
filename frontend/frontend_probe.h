/* frontend_probe.h: which storage nodes answer, as one loop sees it. The frontend serves as long as
 * one of them does; what is away costs its own users only. */
#ifndef MAIL_FRONTEND_PROBE_H
#define MAIL_FRONTEND_PROBE_H

#include <stdbool.h>

#include "err.h"
#include "span.h"

struct frontend_loop;
struct frontend_probe;
struct metrics_text;

/* After the loop's route was made; it lives as long as the loop. */
MUST_USE struct err frontend_probe_new(struct frontend_loop *loop, struct frontend_probe **ret);
/* The loop has another map: nodes that are new in it are asked, others let go. */
void frontend_probe_map(struct frontend_probe *probe);

bool frontend_probe_ok(const struct frontend_probe *probe);
/* Why nobody can be served, or empty; until the next turn. */
struct span frontend_probe_missing(struct frontend_probe *probe);
/* Why some can't, or empty; until the next turn. */
struct span frontend_probe_lacking(struct frontend_probe *probe);
/* node_up{node="address"} and what else it knows. */
void frontend_probe_metrics(const struct frontend_probe *probe, const struct metrics_text *text);

#endif

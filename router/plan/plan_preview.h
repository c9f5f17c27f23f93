/* plan_preview.h: what the planner would do from now on until nothing is left to do, if every copy
 * that is to come comes, and no node comes or goes. Pure. */
#ifndef MAIL_PLAN_PREVIEW_H
#define MAIL_PLAN_PREVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plan_options;
struct plan_view;

enum {
    PLAN_PREVIEW_MAX = 2000,      /* changes */
    PLAN_PREVIEW_ROUNDS_MAX = 500, /* transactions */
};

enum plan_change_kind {
    PLAN_CHANGE_ADD,    /* a copy at `to` */
    PLAN_CHANGE_MOVE,   /* from `from` to `to` */
    PLAN_CHANGE_REMOVE, /* from `from` */
    PLAN_CHANGE_LEAD,   /* `to` leads, and not `from` */
    PLAN_CHANGE_NUMBER, /* of copies, and of those that a change needs */
};
/* "add", "move", "remove", "lead", "number". */
const char *plan_change_text(enum plan_change_kind kind);

struct plan_change {
    enum plan_change_kind kind;
    const char *why;      /* a literal */
    uint32_t shard;
    int from, to;         /* places in view->stores; -1: none, or nobody knows it */
    bool under_way;       /* begun before */
    uint64_t after_ms;    /* not sooner than so long from now */
};

struct plan_preview {
    uint32_t changes_count;
    struct plan_change changes[PLAN_PREVIEW_MAX];
    bool is_more; /* than is shown */
};

/* `view` is played with, and afterwards as it would be. Of the options `moves_max` may be higher
 * than it is: the changes are the same ones, mostly, and sooner found. ERR_NOMEM. */
MUST_USE struct err plan_preview_make(struct plan_view *view, const struct plan_options *options,
                                      struct plan_preview *ret);

#ifdef __cplusplus
}
#endif
#endif

/* api_logs_private.h: what api_logs.c has under way, and which events it shows
 * (api_logs_show.c). */
#ifndef MAIL_API_LOGS_PRIVATE_H
#define MAIL_API_LOGS_PRIVATE_H

#include "admin_call.h"
#include "api_state_private.h"
#include "log.h"
#include "overview.h"
#include "timer.h"

enum {
    API_LOGS_SOURCES_MAX = 64,   /* programs that are asked; more are named as not asked */
    API_LOGS_WAIT_MAX_S = 20,
    API_LOGS_AGAIN_MS = 1000,
    API_LOGS_TAILS_MAX = 16,     /* that wait for events, on one loop: 503 beyond */
    API_LOGS_FILTER_MAX_BYTES = 512,
    API_LOGS_WORDS_MAX = 8,
    API_LOGS_SOURCE_BYTES = ROSTER_NAME_MAX_BYTES + 16, /* "storage-node/NAME" */
};

struct api_log_source {
    char name[API_LOGS_SOURCE_BYTES + 1];
    uint64_t after;
    bool own, there; /* there: it is in the rows of now */
    struct admin_call_target target;
};

struct api_logs {
    struct api_call *call;
    enum log_name name;
    uint64_t lines, until_ms; /* loop_now_ms() until which it waits for events */
    bool goes_on;             /* behind a cursor */
    bool is_tail;             /* counted in api->tails */
    struct span words[API_LOGS_WORDS_MAX];
    size_t words_count;
    struct api_log_source sources[API_LOGS_SOURCES_MAX];
    size_t sources_count, left_out;
    struct admin_call *asked;
    struct timer again;
    json_t *events, *unreachable;
    bool missed;
};

/* Cuts a filter into words. False: too many, or too long. */
bool api_logs_filter(struct api_logs *logs, struct span filter);
/* Whether the caller may see an event, and wants to. */
bool api_logs_shows(const struct api_logs *logs, const json_t *event);
/* By time, then program; cut to the newest `lines` unless it goes on. */
void api_logs_sort(struct api_logs *logs);

#endif

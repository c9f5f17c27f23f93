/* program_logs.h: what a program logged last, for the other programs of its cluster:
 *
 *   GET /logs/NAME?after=NUMBER&lines=N     Authorization: Bearer KEY
 *
 * KEY stands in the program's row (lib/roster, programs/): who may read the cluster's store may
 * ask. The answer is log_recent_put()'s. Frontends ask on behalf of an administrator, and see to it
 * that nobody is shown what is not his. */
#ifndef MAIL_PROGRAM_LOGS_H
#define MAIL_PROGRAM_LOGS_H

#include <stdbool.h>

#include "err.h"
#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;
struct http_request;

bool program_logs_is_path(struct span path);

/* The status of the answer, whose body is appended to `body`; a refusal is a line of text. */
unsigned program_logs_answer(const struct roster_id *key, const struct http_request *request,
                             struct buf *body);

#ifdef __cplusplus
}
#endif
#endif

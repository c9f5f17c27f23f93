/* conf_json.h: the options as they lie in the configuration store: an object of texts by key,
 * {"smtp.size.max": "30M"}. Pure. */
#ifndef MAIL_CONF_JSON_H
#define MAIL_CONF_JSON_H

#include <stdint.h>

#include "conf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A snapshot of the cluster's options; nothing in `json`: all have their defaults. Secrets, which
 * are stored sealed, are left at theirs. Errors as conf_make, and ERR_SYNTAX for what is no such
 * object. `*problem` is filled after ERR_SYNTAX. */
MUST_USE struct err conf_from_json(struct span json, uint64_t version, struct conf **ret,
                                   struct conf_problem *problem);

#ifdef __cplusplus
}
#endif
#endif

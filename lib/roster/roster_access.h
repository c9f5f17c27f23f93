/* roster_access.h: which rows of the cluster's store a kind of program needs; the table is
 * roster_access.def. Pure. */
#ifndef MAIL_ROSTER_ACCESS_H
#define MAIL_ROSTER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "roster.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct roster_access {
    enum roster_kind kind;
    struct span prefix;
    bool writes; /* and reads; else reads only */
};

enum {
#define ROSTER_ACCESS(kind, prefix, right) +1
    ROSTER_ACCESSES = 0
#include "roster_access.def"
};

extern const struct roster_access roster_accesses[ROSTER_ACCESSES];

/* The prefixes of a kind, at most `max`; returns their number, also when it is more. */
size_t roster_access_prefixes(enum roster_kind kind, struct span *prefixes, size_t max);

#ifdef __cplusplus
}
#endif
#endif

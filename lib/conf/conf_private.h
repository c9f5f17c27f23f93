/* conf_private.h: how a snapshot lies in memory. */
#ifndef MAIL_CONF_PRIVATE_H
#define MAIL_CONF_PRIVATE_H

#include "arena.h"
#include "conf.h"
#include "conf_value.h"

struct conf_entry {
    struct conf_value value;
    uint64_t min, max; /* what narrower scopes may set, within the row's own bounds */
    bool is_set;
};

struct conf {
    unsigned references; /* atomic */
    struct conf *wide;   /* a reference: values may lie in its arena; NULL for the cluster's */
    struct conf_groups *groups; /* NULL: none, or those of `wide` */
    uint64_t version;
    size_t unknown;
    struct arena arena;
    struct conf_entry entries[CONF_KEYS_COUNT];
};

#endif

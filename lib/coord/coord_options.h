/* coord_options.h: where a store is, checked and copied; and as text, for a store that was moved.
 * Pure. */
#ifndef MAIL_COORD_OPTIONS_H
#define MAIL_COORD_OPTIONS_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

/* The options with their texts, in one piece of memory: freed with free(). Prefixes are in order;
 * that of all rows is the empty one. Texts that were not given are empty, never NULL. */
struct coord_options_copy {
    struct coord_options options;
    char bytes[];
};

/* ERR_SYNTAX or ERR_TOO_BIG, which say what is wrong; ERR_NOMEM. */
MUST_USE struct err coord_options_copy(const struct coord_options *options,
                                       struct coord_options_copy **ret);

/* Whether a key, or all keys under a prefix, are among those to be kept. */
bool coord_options_keep(const struct coord_options *options, struct span key);

/* A store in etcd as lines "name=value"; no secret is among them. */
void coord_options_write(struct buf *out, const struct coord_options *options);
/* What that wrote, checked; the prefixes are those of `with`. ERR_SYNTAX, ERR_TOO_BIG,
 * ERR_NOMEM. */
MUST_USE struct err coord_options_read(struct span text, const struct coord_options *with,
                                       struct coord_options_copy **ret);

#ifdef __cplusplus
}
#endif
#endif

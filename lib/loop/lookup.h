/* lookup.h: the addresses of "name:port", by the system's resolver (/etc/hosts, the search domains
 * of a cluster's own DNS), on a crew because it blocks. For names of our own programs; the world's
 * names are lib/dns'. */
#ifndef MAIL_LOOKUP_H
#define MAIL_LOOKUP_H

#include <stdbool.h>

#include "endpoint.h"
#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct crew;
struct lookup;
struct loop;

enum { LOOKUP_ADDRESSES_MAX = 16, LOOKUP_NAME_MAX_BYTES = 253 };

/* Once, on the loop; ERR_UNREACHABLE: there is no such name, or nobody to ask. */
typedef void lookup_done(void *holder, struct err err, const struct endpoint *found,
                         unsigned count);

/* Whether it is "name:port" with a name and not an IP address. */
bool lookup_is_name(struct span text);

/* `text` is copied. On an error nothing is called back: ERR_SYNTAX, ERR_BUSY, ERR_NOMEM. */
MUST_USE struct err lookup_start(struct loop *loop, struct crew *crew, struct span text,
                                 lookup_done *done, void *holder, struct lookup **ret);
/* `done` is not called any more, and `lookup` is gone; its thread may still be at it. */
void lookup_cancel(struct lookup *lookup);

#ifdef __cplusplus
}
#endif
#endif

/* courier_link_private.h: a connection to another server, for one group. */
#ifndef MAIL_COURIER_LINK_PRIVATE_H
#define MAIL_COURIER_LINK_PRIVATE_H

#include "courier_group_private.h"

/* Connects to group->hosts->endpoint and sends to those of the group who still wait, each of whom
 * has an outcome or still waits when courier_group_session_over() comes, on a later turn. An error
 * here calls nothing. */
MUST_USE struct err courier_link_start(struct courier_group *group);

/* Ends it at once for its group, which hears no more. */
void courier_link_leave(struct courier_link *link);

/* Ends connections; those whose message is on its way only with `all`. */
void courier_links_abort(struct courier *courier, bool all);

#endif

/* coord_members.h: how the members of the configuration store are, each asked by itself: for
 * people. Whether the store can be used is coord_state(). */
#ifndef MAIL_COORD_MEMBERS_H
#define MAIL_COORD_MEMBERS_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { COORD_MEMBER_WAIT_MS = 2000, COORD_MEMBER_REPLY_MAX_BYTES = 16 * 1024 };

struct coord_members;

struct coord_member {
    const char *name; /* the endpoint, or the directory of the back end `file` */
    struct err err;   /* ERR_OK: it answers and knows a leader */
};

/* Asks the endpoints that this store was opened with; `done` comes once, on a later turn. Before
 * coord_close() it is freed. ERR_NOMEM. */
MUST_USE struct err coord_members_start(struct coord *coord, void (*done)(void *holder),
                                        void *holder, struct coord_members **ret);
/* After done. The names live as long as the coord. */
size_t coord_members_count(const struct coord_members *members);
struct coord_member coord_members_at(const struct coord_members *members, size_t index);
/* Nothing is called any more. Takes NULL. */
void coord_members_free(struct coord_members *members);

#ifdef __cplusplus
}
#endif
#endif

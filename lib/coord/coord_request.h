/* coord_request.h: requests to etcd's JSON gateway (v3, as 3.4 to 3.6 take them) as bytes:
 * numbers of 64 bits are strings, keys and values base64. Pure; every function CHECKs that `out`
 * has the room that its _size() function said. */
#ifndef MAIL_COORD_REQUEST_H
#define MAIL_COORD_REQUEST_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum {
    COORD_ETCD_PREFIX_MAX_BYTES = 16 + COORD_CLUSTER_MAX_BYTES,
    COORD_ETCD_KEY_MAX_BYTES = COORD_ETCD_PREFIX_MAX_BYTES + COORD_KEY_MAX_BYTES + 1,
    COORD_REQUEST_SMALL_BYTES = 4096, /* enough where nothing else is said */
    COORD_REQUEST_LOGIN_BYTES = 2 * 6 * COORD_OPTION_MAX_BYTES + 64,
};

/* Where the rows of a store are: before each of its keys. Ends in a slash. */
struct coord_space {
    struct span prefix;
};

/* The keys from `from` on that begin with `prefix`, in order; `limit` 0: all; `revision` 0: now. */
struct coord_range {
    struct span prefix;
    struct span after; /* only keys behind this one; empty: from the first */
    uint64_t revision;
    unsigned limit;
};
void coord_request_range(struct buf *out, struct coord_space space,
                         const struct coord_range *range);
/* One key. */
void coord_request_get(struct buf *out, struct coord_space space, struct span key);

/* Each item's revision compared (none is COORD_ANY); then all puts and deletes, or else all keys
 * read: who lost, or asks again, learns in the same answer what there is. Leases by number, 0:
 * none; `leases` has one for each item. */
size_t coord_request_change_size(const struct coord_change *change);
void coord_request_change(struct buf *out, struct coord_space space,
                          const struct coord_change *change, const uint64_t *leases);
/* All its keys read, nothing written. */
void coord_request_read(struct buf *out, struct coord_space space,
                        const struct coord_change *change);

/* A stream of watches: one creation for each prefix, in order, from behind the revision that was
 * seen of it; large answers in fragments. Their numbers are then 0, 1, 2 ... */
size_t coord_request_watch_size(size_t count);
void coord_request_watch(struct buf *out, struct coord_space space, const struct span *prefixes,
                         const uint64_t *seen, size_t count);

void coord_request_grant(struct buf *out, uint64_t lease, unsigned seconds);
void coord_request_lease(struct buf *out, uint64_t lease); /* keepalive, revoke */
/* User and password of at most COORD_OPTION_MAX_BYTES each; COORD_REQUEST_LOGIN_BYTES. */
void coord_request_login(struct buf *out, struct span user, struct span password);

#ifdef __cplusplus
}
#endif
#endif

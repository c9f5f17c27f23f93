/* shard_copy.h: a shard whose copies are on several nodes: what the step machine says to them and
 * to the cluster's row goes out through the holder's calls, and what they answer comes in here. */
#ifndef MAIL_SHARD_COPY_H
#define MAIL_SHARD_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct replica_cas;
struct replica_event;
struct replica_message;
struct roster_id;
struct shard;
struct shard_job;
struct shard_peers;
struct slog_record;

enum { SHARD_SEND_MAX_BYTES = 1024 * 1024 }; /* entries of one message; one more may be longer */

/* On the shard's thread; none blocks, none calls back into the shard before it returns. What they
 * are given lives as long as the call. */
struct shard_peers_calls {
    /* An APPEND with its entries. False: there is no room for it now, it is tried again later. */
    bool (*send)(struct shard_peers *, struct shard *, const struct roster_id *to,
                 const struct replica_message *, const struct slog_record *entries);
    /* Answered by REPLICA_EVENT_CAS, sooner or later, or never. */
    void (*cas)(struct shard_peers *, struct shard *, const struct replica_cas *);
    /* Answered by REPLICA_EVENT_READ_ROW. */
    void (*read_row)(struct shard_peers *, struct shard *);
    /* The reader `id` may read as soon as `index` is applied here, if it was granted. */
    void (*read_ready)(struct shard_peers *, struct shard *, uint64_t id, bool granted,
                       uint64_t index);
    /* Its role is another, as shard_state_get() says. NULL: nobody wants to know. */
    void (*shown)(struct shard_peers *, struct shard *);
    /* This copy needs a checkpoint from the store `from`, which leads: at least up to `index`. Said
     * again and again until it has one; followed by shard_install.h, sooner or later, or never.
     * NULL: there are none. */
    void (*behind)(struct shard_peers *, struct shard *, const struct roster_id *from,
                   uint64_t index);
};
struct shard_peers {
    const struct shard_peers_calls *calls;
};

/* Before its recovery: the shard is a copy among others, of the store `sid`, the process `boot`. */
void shard_join(struct shard *shard, struct shard_peers *peers, const struct roster_id *sid,
                const struct roster_id *boot);

/* As shard_post(), for what may not be lost and whose number its owner bounds. Any thread. */
void shard_copy_post(struct shard *shard, struct shard_job *job);

/* On the shard's thread: something happened: MESSAGE, TICK, CONFIG, READ_ROW, PLACE, CAS, TRANSFER,
 * READ. `entries`: of an APPEND, as many as it says. */
void shard_copy_event(struct shard *shard, const struct replica_event *event,
                      const struct slog_record *entries);

/* Until when rows may be read (clock_boot_ms()), to be looked at after the snapshot was taken. Any
 * thread. */
uint64_t shard_read_until(const struct shard *shard);

#ifdef __cplusplus
}
#endif
#endif

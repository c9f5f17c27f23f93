/* member.h: the rows of lib/coord that say what a cluster is made of (REPLICATION 6.2). Pure.
 *
 * Every value is a JSON object of less than MEMBER_VALUE_MAX_BYTES. Readers pass over fields that
 * they do not know, so that a newer version may add some; a field that is missing or out of its
 * bounds makes the whole row ERR_CORRUPT. Ids are 32 hexadecimal digits.
 *
 *   meta            {"cluster": id, "incarnation": n, "format": 1}
 *                   incarnation rises when the store is restored from a backup
 *   stores/<sid>    {"node": name, "boot": n, "zone": name, "capacity": bytes, "state": word}
 *                   one for each data directory; state: active, draining, dead
 *   live/<node>     {"boot": id, "stores": [sid ...], "address": "host:port"}   on a lease; a hint
 *                   for placement and clients, never for safety
 *   place/<shard>   {"replicas": [sid ...], "target": n, "min_isr": n}   the controller's wish
 *   shards/<shard>  {"epoch": n, "leader": sid, "boot": id, "how": word, "isr": [sid ...],
 *                    "nonce": id}
 *                   what is: changed by the leader within its epoch, by a candidate to open the
 *                   next, always by compare-and-swap. Before the first leader the epoch is 0 and
 *                   there is no "leader", "boot". how: bootstrap, takeover, transfer
 *   map/head        {"version": n, "shards": n, "chunks": n}
 *                   or, on one machine, {"shards": n, "node": "unix:/path"}: one node leads all
 *   map/<chunk>     {"version": n, "first": shard, "slots": [[first, end] ...]}
 *                   the slots [first, end) of shard `first` and those that follow it
 *
 * Shards and chunks are named by five decimal digits, so that keys sort as the numbers do. */
#ifndef MAIL_MEMBER_H
#define MAIL_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "id.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum {
    MEMBER_FORMAT = 1,
    MEMBER_NAME_MAX_BYTES = 63,     /* of a node or zone: a DNS label's letters, and dots */
    MEMBER_ADDRESS_MAX_BYTES = 255, /* host:port, or unix:/path */
    MEMBER_COPIES_MAX = 7,          /* of a shard */
    MEMBER_STORES_MAX = 8,          /* data directories of one node */
    MEMBER_SHARDS_MAX = 4096,
    MEMBER_CHUNK_SHARDS = 512,      /* shards of one chunk of the map */
    MEMBER_VALUE_MAX_BYTES = 64 * 1024,
    MEMBER_KEY_MAX_BYTES = 128,
};

struct member_id {
    uint8_t bytes[ID_BYTES];
};

bool member_id_eq(const struct member_id *a, const struct member_id *b);
/* ERR_SYNTAX: not 32 hexadecimal digits. */
MUST_USE struct err member_id_read(struct span text, struct member_id *ret);

struct member_name {
    uint8_t len;
    char text[MEMBER_NAME_MAX_BYTES];
};

/* ERR_SYNTAX: empty, too long, or other than letters, digits, '-', '_' and '.'. */
MUST_USE struct err member_name_set(struct member_name *name, struct span text);
struct span member_name_span(const struct member_name *name);

struct member_meta {
    struct member_id cluster;
    uint64_t incarnation;
    uint32_t format;
};

/* In the row as words; numbers are ours alone. */
enum member_store_state { MEMBER_ACTIVE, MEMBER_DRAINING, MEMBER_DEAD };

struct member_store {
    struct member_name node, zone; /* zone may be empty */
    uint64_t boot;                 /* rises with each start of the directory */
    uint64_t capacity_bytes;
    enum member_store_state state;
};

struct member_live {
    struct member_id boot; /* random with each start of the process */
    uint32_t stores_count;
    struct member_id stores[MEMBER_STORES_MAX];
    uint32_t address_len;
    char address[MEMBER_ADDRESS_MAX_BYTES];
};

struct member_copies {
    uint32_t count;
    struct member_id ids[MEMBER_COPIES_MAX];
};

bool member_copies_have(const struct member_copies *copies, const struct member_id *id);

struct member_place {
    struct member_copies replicas;
    uint32_t target, min_isr;
};

enum member_how { MEMBER_BOOTSTRAP, MEMBER_TAKEOVER, MEMBER_TRANSFER };

struct member_shard {
    uint64_t epoch;
    bool has_leader;
    struct member_id leader, boot;
    enum member_how how;
    struct member_copies isr;
    struct member_id nonce; /* of the write: tells one's own when the outcome was not known */
};

struct member_map_head {
    uint64_t version;
    uint32_t shards, chunks; /* chunks 0: one node leads all, at `node` */
    uint32_t node_len;
    char node[MEMBER_ADDRESS_MAX_BYTES];
};

struct member_slots {
    uint32_t first, end;
};

struct member_map_chunk {
    uint64_t version;
    uint32_t first, count; /* shards */
    struct member_slots slots[MEMBER_CHUNK_SHARDS];
};

/* Reading. ERR_CORRUPT: not JSON, a field is missing or out of bounds; ERR_UNSUPPORTED: `meta` of a
 * newer format; ERR_NOMEM. `*ret` is then not to be used. */
MUST_USE struct err member_meta_read(struct span value, struct member_meta *ret);
MUST_USE struct err member_store_read(struct span value, struct member_store *ret);
MUST_USE struct err member_live_read(struct span value, struct member_live *ret);
MUST_USE struct err member_place_read(struct span value, struct member_place *ret);
MUST_USE struct err member_shard_read(struct span value, struct member_shard *ret);
MUST_USE struct err member_map_head_read(struct span value, struct member_map_head *ret);
MUST_USE struct err member_map_chunk_read(struct span value, struct member_map_chunk *ret);

/* Writing: appends the value. What does not fit marks `out` as overflowed (buf.h). */
void member_meta_put(struct buf *out, const struct member_meta *meta);
void member_store_put(struct buf *out, const struct member_store *store);
void member_live_put(struct buf *out, const struct member_live *live);
void member_place_put(struct buf *out, const struct member_place *place);
void member_shard_put(struct buf *out, const struct member_shard *shard);
void member_map_head_put(struct buf *out, const struct member_map_head *head);
void member_map_chunk_put(struct buf *out, const struct member_map_chunk *chunk);

/* Keys: appends "stores/<sid>" and so on. */
void member_key_id(struct buf *out, const char *folder, const struct member_id *id);
void member_key_number(struct buf *out, const char *folder, uint32_t number);
void member_key_name(struct buf *out, const char *folder, struct span name);
/* Of a key below "folder/". ERR_SYNTAX: not such a key. */
MUST_USE struct err member_key_read_id(struct span key, const char *folder, struct member_id *ret);
MUST_USE struct err member_key_read_number(struct span key, const char *folder, uint32_t *ret);

#ifdef __cplusplus
}
#endif
#endif

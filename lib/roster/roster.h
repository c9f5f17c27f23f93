/* roster.h: the rows of lib/coord that say what a cluster is made of (REPLICATION 6.2). Pure.
 *
 * Every value is a JSON object of less than ROSTER_VALUE_MAX_BYTES. Readers pass over fields that
 * they do not know, so that a newer version may add some; a field that is missing or out of its
 * bounds makes the whole row ERR_CORRUPT. Ids are 32 hexadecimal digits.
 *
 *   stores/<sid>    {"node": name, "boot": n, "zone": name, "capacity": bytes, "state": word}
 *                   one for each data directory; state: active, draining, dead
 *   live/<node>     {"boot": id, "stores": [sid ...], "address": "host:port"}   on a lease; a hint
 *                   for placement and clients, never for safety
 *   place/<shard>   {"replicas": [sid ...], "target": n, "min_isr": n}   the controller's wish. And
 *                   "leaving": sid   one of them that goes as soon as the others are in sync
 *                   "lead": sid      one of them that is to lead
 *                   "by_hand": true  an operator put it so: it is not moved to even out the load
 *   shards/<shard>  {"epoch": n, "leader": sid, "boot": id, "how": word, "isr": [sid ...],
 *                    "nonce": id}
 *                   what is: changed by the leader within its epoch, by a candidate to open the
 *                   next, always by compare-and-swap. Before the first leader the epoch is 0 and
 *                   there is no "leader", "boot". how: bootstrap, takeover, transfer, forced.
 *                   Once it was forced: "lossy": that epoch, "base": the last entry that its leader
 *                   had then; entries behind it that other copies had may be lost
 *   programs/<kind>/<name>
 *                   {"boot": id, "version": word, "address": "host:port", "admin": address}
 *                   on a lease; each program that runs, where it answers over HTTP (/readyz), and
 *                   where it takes the calls of admin.proto. Empty: nowhere.
 *                   kind: frontend, storage-node, scanner, router
 *   map/head        {"version": n, "shards": n, "chunks": n}
 *                   or, on one machine, {"shards": n, "node": "unix:/path"}: one node leads all
 *   map/<chunk>     {"version": n, "first": shard, "slots": [[first, end] ...]}
 *                   the slots [first, end) of shard `first` and those that follow it
 *
 * Shards and chunks are named by five decimal digits, so that keys sort as the numbers do. */
#ifndef MAIL_ROSTER_H
#define MAIL_ROSTER_H

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
    ROSTER_NAME_MAX_BYTES = 63,     /* of a node or zone: a DNS label's letters, and dots */
    ROSTER_ADDRESS_MAX_BYTES = 255, /* host:port, or unix:/path */
    ROSTER_COPIES_MAX = 7,          /* of a shard */
    ROSTER_STORES_MAX = 8,          /* data directories of one node */
    ROSTER_SHARDS_MAX = 4096,
    ROSTER_CHUNK_SHARDS = 512,      /* shards of one chunk of the map */
    ROSTER_VALUE_MAX_BYTES = 64 * 1024,
    ROSTER_KEY_MAX_BYTES = 128,
};

struct roster_id {
    uint8_t bytes[ID_BYTES];
};

bool roster_id_eq(const struct roster_id *a, const struct roster_id *b);
/* ERR_SYNTAX: not 32 hexadecimal digits. */
MUST_USE struct err roster_id_read(struct span text, struct roster_id *ret);

struct roster_name {
    uint8_t len;
    char text[ROSTER_NAME_MAX_BYTES];
};

/* ERR_SYNTAX: empty, too long, or other than letters, digits, '-', '_' and '.'. */
MUST_USE struct err roster_name_set(struct roster_name *name, struct span text);
struct span roster_name_span(const struct roster_name *name);

/* In the row as words; numbers are ours alone. */
enum roster_store_state { ROSTER_ACTIVE, ROSTER_DRAINING, ROSTER_DEAD };

struct roster_store {
    struct roster_name node, zone; /* zone may be empty */
    uint64_t boot;                 /* rises with each start of the directory */
    uint64_t capacity_bytes;
    enum roster_store_state state;
};

struct roster_live {
    struct roster_id boot; /* random with each start of the process */
    uint32_t stores_count;
    struct roster_id stores[ROSTER_STORES_MAX];
    uint32_t address_len;
    char address[ROSTER_ADDRESS_MAX_BYTES];
};

enum roster_kind { ROSTER_FRONTEND, ROSTER_STORAGE_NODE, ROSTER_SCANNER, ROSTER_ROUTER };
enum { ROSTER_KINDS = 4 };

/* "frontend", "storage-node" and so on. */
const char *roster_kind_text(enum roster_kind kind);

struct roster_program {
    struct roster_id boot; /* random with each start of the process */
    struct roster_name version;
    uint32_t address_len, admin_len; /* 0: it answers nowhere */
    char address[ROSTER_ADDRESS_MAX_BYTES], admin[ROSTER_ADDRESS_MAX_BYTES];
};

struct roster_copies {
    uint32_t count;
    struct roster_id ids[ROSTER_COPIES_MAX];
};

bool roster_copies_have(const struct roster_copies *copies, const struct roster_id *id);

struct roster_place {
    struct roster_copies replicas;
    uint32_t target, min_isr;
    bool has_leaving, has_lead, by_hand;
    struct roster_id leaving, lead;
};

enum roster_how { ROSTER_BOOTSTRAP, ROSTER_TAKEOVER, ROSTER_TRANSFER, ROSTER_FORCED };

struct roster_shard {
    uint64_t epoch;
    bool has_leader;
    struct roster_id leader, boot;
    enum roster_how how;
    struct roster_copies isr;
    struct roster_id nonce; /* of the write: tells one's own when the outcome was not known */
    uint64_t lossy, base;   /* lossy 0: it was never forced */
};

struct roster_map_head {
    uint64_t version;
    uint32_t shards, chunks; /* chunks 0: one node leads all, at `node` */
    uint32_t node_len;
    char node[ROSTER_ADDRESS_MAX_BYTES];
};

struct roster_slots {
    uint32_t first, end;
};

struct roster_map_chunk {
    uint64_t version;
    uint32_t first, count; /* shards */
    struct roster_slots slots[ROSTER_CHUNK_SHARDS];
};

/* Reading. ERR_CORRUPT: not JSON, or a field is missing or out of its bounds. `*ret` is then not to
 * be used. */
MUST_USE struct err roster_store_read(struct span value, struct roster_store *ret);
MUST_USE struct err roster_live_read(struct span value, struct roster_live *ret);
MUST_USE struct err roster_program_read(struct span value, struct roster_program *ret);
MUST_USE struct err roster_place_read(struct span value, struct roster_place *ret);
MUST_USE struct err roster_shard_read(struct span value, struct roster_shard *ret);
MUST_USE struct err roster_map_head_read(struct span value, struct roster_map_head *ret);
MUST_USE struct err roster_map_chunk_read(struct span value, struct roster_map_chunk *ret);

/* Writing: appends the value. What does not fit marks `out` as overflowed (buf.h). */
void roster_store_put(struct buf *out, const struct roster_store *store);
void roster_live_put(struct buf *out, const struct roster_live *live);
void roster_program_put(struct buf *out, const struct roster_program *program);
void roster_place_put(struct buf *out, const struct roster_place *place);
void roster_shard_put(struct buf *out, const struct roster_shard *shard);
void roster_map_head_put(struct buf *out, const struct roster_map_head *head);
void roster_map_chunk_put(struct buf *out, const struct roster_map_chunk *chunk);

/* Keys: appends "stores/<sid>" and so on. */
void roster_key_id(struct buf *out, const char *folder, const struct roster_id *id);
void roster_key_number(struct buf *out, const char *folder, uint32_t number);
void roster_key_name(struct buf *out, const char *folder, struct span name);
void roster_key_program(struct buf *out, enum roster_kind kind, struct span name);
/* Of a key below "folder/". ERR_SYNTAX: not such a key. */
MUST_USE struct err roster_key_read_id(struct span key, const char *folder, struct roster_id *ret);
MUST_USE struct err roster_key_read_number(struct span key, const char *folder, uint32_t *ret);
MUST_USE struct err roster_key_read_program(struct span key, enum roster_kind *kind,
                                            struct roster_name *ret);

#ifdef __cplusplus
}
#endif
#endif

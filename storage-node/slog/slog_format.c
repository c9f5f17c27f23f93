/* The node's log: a directory of segments, `%016x.seg`, numbered without a gap. A segment is a run
 * of groups; behind the last one it is zeros up to the size it was made with, or, in a segment that
 * was written over the file of an older one (`spare` in between), groups of lower LSNs.
 *
 * All integers are little-endian. A record:
 *
 *    0  u32  0xA7 << 24 | bytes of the payload (< 2^24)
 *    4  u32  CRC-32C of the bytes 0..3 and of the bytes from 8 to the end of the payload
 *    8  u8   version of the record's format: 1
 *    9  u8   type
 *   10  u16  flags: none yet, 0
 *   12  u32  shard
 *   16  u64  epoch
 *   24  u64  index
 *   32  u64  time_ms: the leader's wall clock, milliseconds since 1970
 *   40       payload
 *
 * Types, and what they use of the head and the payload; fields that are not named are 0:
 *
 *   1 DATA     shard, epoch, index, time_ms | a batch (kv.h) and what the replica puts with it
 *   2 EPOCH    shard, epoch, index, time_ms | the replica's, may be empty
 *   3 ACCEPT   shard, epoch
 *   4 COMMIT   shard, index
 *   5 TRUNC    shard, index, epoch of the entry `index` (0 when index is 0)
 *   6 INSTALL  shard, epoch, index
 *   7 DROP     shard
 *   8 GROUP    time_ms | store id 16 bytes | lsn u64 | bytes u32 | used u32 | records u32
 *                      | previous crc u32 | heads crc u32
 *   9 STATE    count u32 | count times: shard u32, accepted epoch u64, first index u64,
 *                      last epoch u64, last index u64, commit u64; shards ascending
 *
 * A group is what one write and one fdatasync made durable: a GROUP record, then `records` records
 * up to `used` bytes, then zeros up to `bytes`, a multiple of 4096, so that a sector that holds
 * acknowledged bytes is never written again. The padding is not looked at. `lsn` is the number of
 * bytes of all groups before it since the log began, also of those in segments deleted since.
 * `previous crc` is the CRC field of the GROUP record before: a chain over segments. `heads crc` is
 * the CRC-32C of the 40-byte heads of the group's records in order, which binds the records and,
 * by their CRCs, the payloads to the group.
 *
 * The first group of each segment is one STATE record: where the shards stood, so that no older
 * segment is needed for that. A node refuses versions, types and flags it does not know. */
#include "slog_format.h"

#include <assert.h>

#include "check.h"
#include "hash.h"

enum {
    MAGIC = 0xA7,
    VERSION = 1,
    AT_CRC = 4,
    AT_VERSION = 8,
    AT_TYPE = 9,
    AT_FLAGS = 10,
    AT_SHARD = 12,
    AT_EPOCH = 16,
    AT_INDEX = 24,
    AT_TIME = 32,
    GROUP_PAYLOAD_BYTES = SLOG_GROUP_HEAD_BYTES - SLOG_RECORD_HEAD_BYTES,
    STATE_ROW_BYTES = 44,
    PAYLOAD_LIMIT = 1 << 24,
};
static_assert((int)SLOG_PAYLOAD_MAX_BYTES < (int)PAYLOAD_LIMIT, "a length has 24 bits");
static_assert(SLOG_GROUP_HEAD_BYTES <= SLOG_PAGE_BYTES, "a head lies in one page");
static_assert(SLOG_GROUP_HEAD_BYTES + SLOG_RECORD_HEAD_BYTES + SLOG_PAYLOAD_MAX_BYTES +
                      SLOG_PAGE_BYTES <= SLOG_GROUP_MAX_BYTES, "any record fits into a group");
static_assert(4 + STATE_ROW_BYTES * SLOG_SHARDS_MAX <= SLOG_PAYLOAD_MAX_BYTES, "STATE fits");

/* ---- integers */

static char *put_le(char *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) to[i] = (char)(value >> (8 * i));
    return to + bytes;
}

static uint64_t get_le(const char *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i > 0; i--) value = value << 8 | (unsigned char)from[i - 1];
    return value;
}

static uint32_t get_u32(const char *from) { return (uint32_t)get_le(from, 4); }
static uint64_t get_u64(const char *from) { return get_le(from, 8); }

/* ---- records */

size_t slog_record_bytes(size_t payload_bytes) { return SLOG_RECORD_HEAD_BYTES + payload_bytes; }

static uint32_t record_crc(const char *record, size_t bytes)
{
    uint32_t crc = hash_crc32c(0, span_of(record, AT_CRC));
    return hash_crc32c(crc, span_of(record + AT_VERSION, bytes - AT_VERSION));
}

/* The payload stands behind the head already. */
static void head_put(char *to, const struct slog_record *record)
{
    size_t len = record->payload.len;
    CHECK(len <= SLOG_PAYLOAD_MAX_BYTES);
    put_le(to, (uint64_t)MAGIC << 24 | len, 4);
    to[AT_VERSION] = VERSION;
    to[AT_TYPE] = (char)record->type;
    put_le(to + AT_FLAGS, 0, 2);
    put_le(to + AT_SHARD, record->shard, 4);
    put_le(to + AT_EPOCH, record->epoch, 8);
    put_le(to + AT_INDEX, record->index, 8);
    put_le(to + AT_TIME, record->time_ms, 8);
    put_le(to + AT_CRC, record_crc(to, SLOG_RECORD_HEAD_BYTES + len), 4);
}

void slog_record_put(char *to, const struct slog_record *record)
{
    struct span payload = record->payload;
    char *there = to + SLOG_RECORD_HEAD_BYTES;
    if (payload.len > 0 && payload.ptr != there) memcpy(there, payload.ptr, payload.len);
    head_put(to, record);
}

static bool type_known(unsigned type) { return type >= SLOG_DATA && type <= SLOG_STATE; }

static struct err record_take(struct span *in, bool check, struct slog_record *ret)
{
    if (in->len < SLOG_RECORD_HEAD_BYTES) return err_make(ERR_CORRUPT, "log record cut off");
    uint32_t word = get_u32(in->ptr);
    size_t len = word & (PAYLOAD_LIMIT - 1);
    if (word >> 24 != MAGIC || len > in->len - SLOG_RECORD_HEAD_BYTES)
        return err_make(ERR_CORRUPT, "log record");
    if (check && get_u32(in->ptr + AT_CRC) != record_crc(in->ptr, SLOG_RECORD_HEAD_BYTES + len))
        return err_make(ERR_CORRUPT, "log record's CRC");
    unsigned type = (unsigned char)in->ptr[AT_TYPE];
    if (in->ptr[AT_VERSION] != VERSION || !type_known(type) || get_le(in->ptr + AT_FLAGS, 2) != 0)
        return err_make(ERR_UNSUPPORTED, "log record");
    if (len > SLOG_PAYLOAD_MAX_BYTES) return err_make(ERR_UNSUPPORTED, "log record's length");
    ret->type = (enum slog_type)type;
    ret->shard = get_u32(in->ptr + AT_SHARD);
    ret->epoch = get_u64(in->ptr + AT_EPOCH);
    ret->index = get_u64(in->ptr + AT_INDEX);
    ret->time_ms = get_u64(in->ptr + AT_TIME);
    ret->payload = span_of(in->ptr + SLOG_RECORD_HEAD_BYTES, len);
    *in = span_skip(*in, SLOG_RECORD_HEAD_BYTES + len);
    return err_ok();
}

struct err slog_record_take(struct span *in, struct slog_record *ret)
{
    return record_take(in, true, ret);
}

struct err slog_record_take_checked(struct span *in, struct slog_record *ret)
{
    return record_take(in, false, ret);
}

/* ---- groups */

size_t slog_group_bytes(size_t used_bytes)
{
    return (used_bytes + SLOG_PAGE_BYTES - 1) / SLOG_PAGE_BYTES * SLOG_PAGE_BYTES;
}

void slog_group_seal(char *bytes, struct slog_group *group)
{
    CHECK(group->used_bytes >= SLOG_GROUP_HEAD_BYTES && group->used_bytes <= SLOG_GROUP_MAX_BYTES);
    group->bytes = (uint32_t)slog_group_bytes(group->used_bytes);
    memset(bytes + group->used_bytes, 0, group->bytes - group->used_bytes);
    uint32_t heads = 0;
    group->records = 0;
    for (size_t at = SLOG_GROUP_HEAD_BYTES; at < group->used_bytes; group->records++) {
        heads = hash_crc32c(heads, span_of(bytes + at, SLOG_RECORD_HEAD_BYTES));
        at += slog_record_bytes(get_u32(bytes + at) & (PAYLOAD_LIMIT - 1));
    }
    char *payload = bytes + SLOG_RECORD_HEAD_BYTES, *to = payload;
    memcpy(to, group->store_id, SLOG_STORE_ID_BYTES);
    to = put_le(to + SLOG_STORE_ID_BYTES, group->lsn, 8);
    to = put_le(to, group->bytes, 4);
    to = put_le(to, group->used_bytes, 4);
    to = put_le(to, group->records, 4);
    to = put_le(to, group->previous_crc, 4);
    put_le(to, heads, 4);
    const struct slog_record record = {
        .type = SLOG_GROUP,
        .time_ms = group->time_ms,
        .payload = { payload, GROUP_PAYLOAD_BYTES },
    };
    head_put(bytes, &record);
    group->crc = get_u32(bytes + AT_CRC);
}

struct err slog_group_take(struct span in, struct slog_group *ret)
{
    struct slog_record record;
    struct span rest = in;
    TRY(slog_record_take(&rest, &record));
    if (record.type != SLOG_GROUP) return err_make(ERR_CORRUPT, "no head of a group");
    if (record.payload.len != GROUP_PAYLOAD_BYTES)
        return err_make(ERR_UNSUPPORTED, "head of a group");
    struct slog_group group = { .time_ms = record.time_ms, .crc = get_u32(in.ptr + AT_CRC) };
    const char *from = record.payload.ptr;
    memcpy(group.store_id, from, SLOG_STORE_ID_BYTES);
    from += SLOG_STORE_ID_BYTES;
    group.lsn = get_u64(from);
    group.bytes = get_u32(from + 8);
    group.used_bytes = get_u32(from + 12);
    group.records = get_u32(from + 16);
    group.previous_crc = get_u32(from + 20);
    if (group.used_bytes < SLOG_GROUP_HEAD_BYTES || group.used_bytes > SLOG_GROUP_MAX_BYTES ||
        group.bytes != slog_group_bytes(group.used_bytes) || group.lsn % SLOG_PAGE_BYTES != 0)
        return err_make(ERR_CORRUPT, "lengths of a group");
    *ret = group;
    return err_ok();
}

struct err slog_group_check(struct span in, const struct slog_group *group)
{
    if (in.len < group->bytes) return err_make(ERR_CORRUPT, "group cut off");
    struct span rest = span_skip(span_head(in, group->used_bytes), SLOG_GROUP_HEAD_BYTES);
    uint32_t heads = 0, records = 0;
    for (; rest.len > 0; records++) {
        const char *head = rest.ptr;
        struct slog_record record;
        TRY(slog_record_take(&rest, &record));
        if (record.type == SLOG_GROUP) return err_make(ERR_CORRUPT, "group in a group");
        heads = hash_crc32c(heads, span_of(head, SLOG_RECORD_HEAD_BYTES));
    }
    if (records != group->records || heads != get_u32(in.ptr + SLOG_GROUP_HEAD_BYTES - 4))
        return err_make(ERR_CORRUPT, "records of a group");
    return err_ok();
}

/* ---- STATE */

size_t slog_state_bytes(size_t count) { return 4 + STATE_ROW_BYTES * count; }

void slog_state_put(char *to, const struct slog_state *states, size_t count)
{
    CHECK(count <= SLOG_SHARDS_MAX);
    to = put_le(to, count, 4);
    for (size_t i = 0; i < count; i++) {
        to = put_le(to, states[i].shard, 4);
        to = put_le(to, states[i].accepted_epoch, 8);
        to = put_le(to, states[i].first_index, 8);
        to = put_le(to, states[i].last_epoch, 8);
        to = put_le(to, states[i].last_index, 8);
        to = put_le(to, states[i].commit, 8);
    }
}

void slog_state_get(struct span payload, size_t at, struct slog_state *ret)
{
    const char *from = payload.ptr + slog_state_bytes(at);
    ret->shard = get_u32(from);
    ret->accepted_epoch = get_u64(from + 4);
    ret->first_index = get_u64(from + 12);
    ret->last_epoch = get_u64(from + 20);
    ret->last_index = get_u64(from + 28);
    ret->commit = get_u64(from + 36);
}

struct err slog_state_count(struct span payload, size_t *count)
{
    if (payload.len < 4) return err_make(ERR_CORRUPT, "STATE");
    size_t rows = get_u32(payload.ptr);
    if (rows > SLOG_SHARDS_MAX || payload.len != slog_state_bytes(rows))
        return err_make(ERR_CORRUPT, "STATE");
    for (size_t i = 0; i < rows; i++) {
        struct slog_state row, before;
        slog_state_get(payload, i, &row);
        if (i > 0) slog_state_get(payload, i - 1, &before);
        if (i > 0 && before.shard >= row.shard) return err_make(ERR_CORRUPT, "STATE's order");
        if (row.first_index == 0 || row.first_index > row.last_index + 1 ||
            row.commit > row.last_index || row.last_epoch > row.accepted_epoch ||
            row.last_index == UINT64_MAX)
            return err_make(ERR_CORRUPT, "STATE's row");
    }
    *count = rows;
    return err_ok();
}

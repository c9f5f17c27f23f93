/* Groups of the log from any bytes. What passes its checks gives the same bytes when it is written
 * again, but for the padding, which nothing looks at. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "slog_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* CRCs are out of a fuzzer's reach: sealing what it made of the records opens the way. */
static void check_sealed(const uint8_t *data, size_t size)
{
    struct slog_group group = { .lsn = SLOG_PAGE_BYTES, .used_bytes = SLOG_GROUP_HEAD_BYTES };
    size_t at = 0, room = slog_group_bytes(SLOG_GROUP_HEAD_BYTES + 2 * size + 40 * (size + 1));
    char *bytes = malloc(room);
    if (bytes == NULL) return;
    while (size - at >= 4 && group.used_bytes < SLOG_GROUP_MAX_BYTES / 2) {
        struct slog_record record = {
            .type = (enum slog_type)(SLOG_DATA + data[at] % 7),
            .shard = data[at + 1],
            .epoch = data[at + 2],
            .index = (uint64_t)data[at + 3] << (data[at] % 57),
        };
        at += 4;
        record.payload = span_of(data + at, record.index % 97 < size - at ? record.index % 97 : 0);
        at += record.payload.len;
        slog_record_put(bytes + group.used_bytes, &record);
        group.used_bytes += (uint32_t)slog_record_bytes(record.payload.len);
    }
    slog_group_seal(bytes, &group);
    struct slog_group read;
    struct span in = span_of(bytes, group.bytes);
    CHECK(slog_group_take(in, &read).code == ERR_OK);
    CHECK(slog_group_check(in, &read).code == ERR_OK);
    CHECK(read.records == group.records && read.crc == group.crc && read.bytes == group.bytes);
    if (size > 0) {
        bytes[data[size - 1] % group.used_bytes] ^= 1; /* any flip is seen */
        CHECK(slog_group_take(in, &read).code != ERR_OK ||
              slog_group_check(in, &read).code != ERR_OK);
    }
    free(bytes);
}

static void check_raw(struct span in)
{
    struct slog_group group, again;
    if (slog_group_take(in, &group).code != ERR_OK || slog_group_check(in, &group).code != ERR_OK)
        return;
    char *bytes = malloc(group.bytes);
    if (bytes == NULL) return;
    again = group;
    struct span rest = span_skip(span_head(in, group.used_bytes), SLOG_GROUP_HEAD_BYTES);
    for (size_t at = SLOG_GROUP_HEAD_BYTES; rest.len > 0;) {
        struct slog_record record;
        CHECK(slog_record_take_checked(&rest, &record).code == ERR_OK);
        slog_record_put(bytes + at, &record);
        at += slog_record_bytes(record.payload.len);
        size_t rows = 0;
        if (record.type != SLOG_STATE || slog_state_count(record.payload, &rows).code != ERR_OK)
            continue;
        for (size_t i = 0; i < rows; i++) {
            struct slog_state state;
            slog_state_get(record.payload, i, &state);
            CHECK(state.first_index <= state.last_index + 1);
        }
    }
    slog_group_seal(bytes, &again);
    CHECK(memcmp(bytes, in.ptr, group.used_bytes) == 0);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_raw(span_of(data, size));
    check_sealed(data, size);
    return 0;
}

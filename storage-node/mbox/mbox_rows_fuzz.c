/* Row decoders: what they take is what the encoder writes again, byte for byte; what they do not is
 * ERR_CORRUPT or ERR_UNSUPPORTED. The first byte says which row. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "mbox_rows.h"
#include "mbox_rows_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_refusal(struct err err)
{
    return err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED;
}

/* COUNTERS has two reserved bytes, which are written as 0. */
static void counters(struct span row)
{
    struct mbox_counters read, again;
    char bytes[MBOX_COUNTERS_BYTES];
    struct err err = mbox_counters_read(row, &read);
    if (err.code != ERR_OK) {
        CHECK(is_refusal(err));
        return;
    }
    mbox_counters_write(&read, bytes);
    CHECK(mbox_counters_read(span_of(bytes, sizeof(bytes)), &again).code == ERR_OK);
    CHECK(memcmp(bytes, row.ptr, 2) == 0 && memcmp(bytes + 4, row.ptr + 4, row.len - 4) == 0);
}

static void mailbox(struct span row)
{
    struct mbox_mailbox read;
    struct err err = mbox_mailbox_read(row, &read);
    if (err.code != ERR_OK) {
        CHECK(is_refusal(err));
        return;
    }
    CHECK(mbox_mailbox_bytes(&read) == row.len);
    char *bytes = malloc(row.len);
    CHECK(bytes != NULL);
    mbox_mailbox_write(&read, bytes);
    CHECK(memcmp(bytes, row.ptr, row.len) == 0);
    free(bytes);
}

static void message(struct span row)
{
    struct mbox_message read;
    char bytes[MBOX_MESSAGE_HEAD_BYTES + 255];
    struct err err = mbox_message_read(row, &read);
    if (err.code != ERR_OK) {
        CHECK(is_refusal(err));
        return;
    }
    CHECK(mbox_message_bytes(&read) == row.len);
    mbox_message_write(&read, bytes);
    CHECK(memcmp(bytes, row.ptr, row.len) == 0);
}

static void small(struct span row)
{
    char bytes[MBOX_EMAIL_BYTES];
    struct mbox_email email;
    uint32_t number;
    uint64_t time_ms;
    if (mbox_email_read(row, &email).code == ERR_OK) {
        mbox_email_write(&email, bytes);
        CHECK(memcmp(bytes, row.ptr, row.len) == 0);
    }
    if (mbox_name_read(row, &number).code == ERR_OK) {
        mbox_name_write(number, bytes);
        CHECK(memcmp(bytes, row.ptr, row.len) == 0);
    }
    if (mbox_mark_read(row, &time_ms).code == ERR_OK) {
        mbox_mark_write(time_ms, bytes);
        CHECK(memcmp(bytes, row.ptr, row.len) == 0);
    }
    if (mbox_domain_user_read(row, &number, &time_ms).code == ERR_OK) {
        mbox_domain_user_write(number, time_ms, bytes);
        CHECK(memcmp(bytes, row.ptr, row.len) == 0);
    }
}

static void change(struct span row)
{
    uint64_t time_ms;
    struct span entries;
    struct mbox_change_entry entry;
    char head[MBOX_CHANGE_HEAD_BYTES], bytes[MBOX_CHANGE_ENTRY_BYTES];
    struct err err = mbox_change_read(row, &time_ms, &entries);
    if (err.code != ERR_OK) {
        CHECK(is_refusal(err));
        return;
    }
    unsigned count = 0;
    for (struct span at = entries; mbox_change_next(&at, &entry).code == ERR_OK; count++) {
        mbox_change_entry(&entry, bytes);
        CHECK(memcmp(bytes, entry.uids.ptr - sizeof(bytes), sizeof(bytes)) == 0);
    }
    mbox_change_head(time_ms, count, head);
    CHECK(memcmp(head, row.ptr, sizeof(head)) == 0);
}

static void operation_and_queue(struct span row)
{
    struct mbox_operation operation;
    struct mbox_queue_row queue;
    struct span packed;
    char head[MBOX_OPERATION_HEAD_BYTES];
    if (mbox_operation_read(row, &operation).code == ERR_OK) {
        mbox_operation_head(&operation, head);
        CHECK(memcmp(head, row.ptr, MBOX_OPERATION_HEAD_BYTES) == 0);
        CHECK(operation.answer.len == row.len - MBOX_OPERATION_HEAD_BYTES);
    }
    if (mbox_queue_read(row, &queue).code == ERR_OK) {
        mbox_queue_head(&queue, head);
        CHECK(memcmp(head, row.ptr, MBOX_QUEUE_HEAD_BYTES) == 0);
    }
    struct mbox_grant grant;
    char granted[MBOX_GRANT_BYTES];
    if (mbox_grant_read(row, &grant).code == ERR_OK) {
        mbox_grant_write(&grant, granted);
        CHECK(row.len == sizeof(granted) && memcmp(granted, row.ptr, row.len) == 0);
    }
    if (mbox_packed_read(row, &packed).code == ERR_OK) CHECK(packed.len == row.len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const rows[])(struct span) = {
        counters, mailbox, message, small, change, operation_and_queue,
    };
    if (size == 0) return 0;
    rows[data[0] % (sizeof(rows) / sizeof(rows[0]))](span_of(data + 1, size - 1));
    return 0;
}

/* The formats stand in mbox_rows_log.h. */
#include "mbox_rows_log.h"

#include "mbox_bytes_private.h"

static struct err check_version(struct span row, size_t bytes, const char *what)
{
    if (row.len == 0) return err_make(ERR_CORRUPT, what);
    if ((unsigned char)row.ptr[0] > MBOX_ROW_VERSION) return err_make(ERR_UNSUPPORTED, what);
    if (row.len < bytes || row.ptr[0] != MBOX_ROW_VERSION) return err_make(ERR_CORRUPT, what);
    return err_ok();
}

struct err mbox_change_read(struct span row, uint64_t *time_ms, struct span *entries)
{
    TRY(check_version(row, MBOX_CHANGE_HEAD_BYTES, "CHANGE row"));
    struct span rest = span_skip(row, MBOX_CHANGE_HEAD_BYTES);
    struct mbox_change_entry entry;
    unsigned count = 0;
    struct err err;
    for (struct span at = rest; (err = mbox_change_next(&at, &entry)).code == ERR_OK;) count++;
    if (err.code != ERR_NOT_FOUND || count != get_u16(row.ptr + 9))
        return err_make(ERR_CORRUPT, "CHANGE row");
    *time_ms = get_u64(row.ptr + 1);
    *entries = rest;
    return err_ok();
}

/* Ranges in rising order, as uid_set.h has them. */
static bool is_uid_set(struct span bytes)
{
    uint64_t behind = 0;
    if (bytes.len % 8 != 0) return false;
    for (size_t at = 0; at < bytes.len; at += 8) {
        uint32_t first = get_u32(bytes.ptr + at), last = get_u32(bytes.ptr + at + 4);
        if (first <= behind || last < first) return false;
        behind = (uint64_t)last + 1;
    }
    return true;
}

struct err mbox_change_next(struct span *entries, struct mbox_change_entry *ret)
{
    if (entries->len == 0) return err_make(ERR_NOT_FOUND, "end of a CHANGE row");
    if (entries->len < MBOX_CHANGE_ENTRY_BYTES) return err_make(ERR_CORRUPT, "CHANGE entry");
    size_t len = get_u32(entries->ptr + 5);
    if (len > entries->len - MBOX_CHANGE_ENTRY_BYTES) return err_make(ERR_CORRUPT, "CHANGE entry");
    struct mbox_change_entry entry = {
        .mailbox = get_u32(entries->ptr),
        .what = (uint8_t)entries->ptr[4],
        .uids = span_head(span_skip(*entries, MBOX_CHANGE_ENTRY_BYTES), len),
    };
    if (!is_uid_set(entry.uids)) return err_make(ERR_CORRUPT, "CHANGE entry, UIDs");
    *entries = span_skip(*entries, MBOX_CHANGE_ENTRY_BYTES + len);
    *ret = entry;
    return err_ok();
}

void mbox_change_head(uint64_t time_ms, unsigned entries, char to[MBOX_CHANGE_HEAD_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u64(to + 1, time_ms);
    put_u16(to + 9, (uint16_t)entries);
}

void mbox_change_entry(const struct mbox_change_entry *entry, char to[MBOX_CHANGE_ENTRY_BYTES])
{
    put_u32(to, entry->mailbox);
    to[4] = (char)entry->what;
    put_u32(to + 5, (uint32_t)entry->uids.len);
}

struct err mbox_operation_read(struct span row, struct mbox_operation *ret)
{
    TRY(check_version(row, MBOX_OPERATION_HEAD_BYTES, "OPERATION row"));
    uint8_t state = (uint8_t)row.ptr[1];
    if (state > MBOX_OPERATION_PARTIAL) return err_make(ERR_CORRUPT, "OPERATION row");
    *ret = (struct mbox_operation){
        .state = state,
        .method = get_u16(row.ptr + 2),
        .resume_uid = get_u32(row.ptr + 4),
        .first_modseq = get_u64(row.ptr + 8),
        .answer = span_skip(row, MBOX_OPERATION_HEAD_BYTES),
    };
    return err_ok();
}

void mbox_operation_head(const struct mbox_operation *operation,
                         char to[MBOX_OPERATION_HEAD_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    to[1] = (char)operation->state;
    put_u16(to + 2, operation->method);
    put_u32(to + 4, operation->resume_uid);
    put_u64(to + 8, operation->first_modseq);
}

struct err mbox_mark_read(struct span row, uint64_t *time_ms)
{
    TRY(check_version(row, MBOX_MARK_BYTES, "PENDING row"));
    if (row.len != MBOX_MARK_BYTES) return err_make(ERR_CORRUPT, "PENDING row");
    *time_ms = get_u64(row.ptr + 1);
    return err_ok();
}

void mbox_mark_write(uint64_t time_ms, char to[MBOX_MARK_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u64(to + 1, time_ms);
}

struct err mbox_domain_user_read(struct span row, uint32_t *kind, uint64_t *account)
{
    TRY(check_version(row, MBOX_DOMAIN_USER_BYTES, "DOMAIN_USER row"));
    if (row.len != MBOX_DOMAIN_USER_BYTES) return err_make(ERR_CORRUPT, "DOMAIN_USER row");
    *kind = (unsigned char)row.ptr[1];
    *account = get_u64(row.ptr + 2);
    return err_ok();
}

void mbox_domain_user_write(uint32_t kind, uint64_t account, char to[MBOX_DOMAIN_USER_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    to[1] = (char)kind;
    put_u64(to + 2, account);
}

struct err mbox_grant_read(struct span row, struct mbox_grant *ret)
{
    TRY(check_version(row, MBOX_GRANT_BYTES, "GRANT row"));
    if (row.len != MBOX_GRANT_BYTES) return err_make(ERR_CORRUPT, "GRANT row");
    *ret = (struct mbox_grant){ get_u64(row.ptr + 1), get_u64(row.ptr + 9),
                                get_u64(row.ptr + 17) };
    return err_ok();
}

void mbox_grant_write(const struct mbox_grant *grant, char to[MBOX_GRANT_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u64(to + 1, grant->count);
    put_u64(to + 9, grant->bytes);
    put_u64(to + 17, grant->unlimited);
}

struct err mbox_queue_read(struct span row, struct mbox_queue_row *ret)
{
    TRY(check_version(row, MBOX_QUEUE_HEAD_BYTES, "QUEUE row"));
    *ret = (struct mbox_queue_row){
        .chunks = get_u32(row.ptr + 1),
        .stored_bytes = get_u64(row.ptr + 5),
        .entry = span_skip(row, MBOX_QUEUE_HEAD_BYTES),
    };
    return err_ok();
}

void mbox_queue_head(const struct mbox_queue_row *queue, char to[MBOX_QUEUE_HEAD_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u32(to + 1, queue->chunks);
    put_u64(to + 5, queue->stored_bytes);
}

struct err mbox_transaction_read(struct span row, struct mbox_transaction_row *ret)
{
    TRY(check_version(row, MBOX_TRANSACTION_BYTES, "TRANSACTION row"));
    if (row.len != MBOX_TRANSACTION_BYTES) return err_make(ERR_CORRUPT, "TRANSACTION row");
    *ret = (struct mbox_transaction_row){
        .until_ms = get_u64(row.ptr + 1),
        .number = get_u32(row.ptr + 9),
        .id = span_of(row.ptr + 13, 16),
        .intake = span_of(row.ptr + 29, 16),
    };
    return err_ok();
}

void mbox_transaction_write(const struct mbox_transaction_row *transaction,
                            char to[MBOX_TRANSACTION_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u64(to + 1, transaction->until_ms);
    put_u32(to + 9, transaction->number);
    memcpy(to + 13, transaction->id.ptr, 16);
    memcpy(to + 29, transaction->intake.ptr, 16);
}

struct err mbox_intake_read(struct span row, struct mbox_intake_row *ret)
{
    TRY(check_version(row, MBOX_INTAKE_HEAD_BYTES, "INTAKE row"));
    struct span sets = span_skip(row, MBOX_INTAKE_HEAD_BYTES);
    size_t len = get_u32(row.ptr + 17);
    if (len > sets.len) return err_make(ERR_CORRUPT, "INTAKE row");
    struct mbox_intake_row intake = {
        .time_ms = get_u64(row.ptr + 1),
        .turn = get_u64(row.ptr + 9),
        .ended = span_head(sets, len),
        .broken = span_skip(sets, len),
    };
    if (!is_uid_set(intake.ended) || !is_uid_set(intake.broken))
        return err_make(ERR_CORRUPT, "INTAKE row, numbers");
    *ret = intake;
    return err_ok();
}

void mbox_intake_head(const struct mbox_intake_row *intake, char to[MBOX_INTAKE_HEAD_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u64(to + 1, intake->time_ms);
    put_u64(to + 9, intake->turn);
    put_u32(to + 17, (uint32_t)intake->ended.len);
}

struct err mbox_copying_read(struct span row, uint32_t *first, uint32_t *end)
{
    TRY(check_version(row, MBOX_COPYING_BYTES, "COPYING row"));
    bool sound = row.len == MBOX_COPYING_BYTES && get_u32(row.ptr + 1) > 0 &&
                 get_u32(row.ptr + 1) <= get_u32(row.ptr + 5);
    if (!sound) return err_make(ERR_CORRUPT, "COPYING row");
    *first = get_u32(row.ptr + 1);
    *end = get_u32(row.ptr + 5);
    return err_ok();
}

void mbox_copying_write(uint32_t first, uint32_t end, char to[MBOX_COPYING_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u32(to + 1, first);
    put_u32(to + 5, end);
}

struct err mbox_packed_read(struct span row, struct span *packed)
{
    TRY(check_version(row, 1, "row of a message"));
    *packed = span_skip(row, 1);
    return err_ok();
}

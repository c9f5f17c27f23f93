#include "mail_stream.h"

#include "bytes.h"

enum {
    ITEMS_KNOWN = MAIL_RECORD_DATES | MAIL_RECORD_FACTS | MAIL_RECORD_BODY,
    DATES_BYTES = 36,
    LENGTH_BYTES = 4,
};

size_t mail_record_head_bytes(const struct mail_record *record)
{
    size_t bytes = MAIL_RECORD_INDEX_BYTES;
    if (record->items & MAIL_RECORD_DATES) bytes += DATES_BYTES;
    if (record->items & MAIL_RECORD_FACTS) bytes += LENGTH_BYTES + record->facts.len;
    if (record->items & MAIL_RECORD_BODY) bytes += LENGTH_BYTES;
    return bytes;
}

void mail_record_head(const struct mail_record *record, char *to)
{
    size_t bytes = mail_record_head_bytes(record);
    if (record->items & MAIL_RECORD_BODY) bytes += record->body.len;
    to = bytes_put_u32(to, (uint32_t)(bytes - MAIL_RECORD_HEAD_BYTES));
    to = bytes_put_u8(to, record->items);
    to = bytes_put_u32(to, record->uid);
    to = bytes_put_u64(to, record->flags);
    to = bytes_put_u64(to, record->modseq);
    if (record->items & MAIL_RECORD_DATES) {
        to = bytes_put_u64(to, record->internaldate_ms);
        to = bytes_put_u64(to, record->savedate_ms);
        to = bytes_put_u32(to, record->size);
        to = bytes_put_u64(to, record->email_id);
        to = bytes_put_u64(to, record->thread_id);
    }
    if (record->items & MAIL_RECORD_FACTS) {
        to = bytes_put_u32(to, (uint32_t)record->facts.len);
        to = bytes_put_span(to, record->facts);
    }
    if (record->items & MAIL_RECORD_BODY) (void)bytes_put_u32(to, (uint32_t)record->body.len);
}

static bool take_run(struct span *in, struct span *ret)
{
    uint32_t len;
    return bytes_take_u32(in, &len) && bytes_take_span(in, len, ret);
}

static bool take_dates(struct span *in, struct mail_record *record)
{
    return bytes_take_u64(in, &record->internaldate_ms)
        && bytes_take_u64(in, &record->savedate_ms) && bytes_take_u32(in, &record->size)
        && bytes_take_u64(in, &record->email_id) && bytes_take_u64(in, &record->thread_id);
}

/* Everything between the length and the body's length. */
static bool take_groups(struct span *in, struct mail_record *record)
{
    bool whole = bytes_take_u8(in, &record->items) && bytes_take_u32(in, &record->uid)
        && bytes_take_u64(in, &record->flags) && bytes_take_u64(in, &record->modseq);
    if (!whole || (record->items & ~ITEMS_KNOWN) != 0) return false;
    if ((record->items & MAIL_RECORD_DATES) && !take_dates(in, record)) return false;
    return !(record->items & MAIL_RECORD_FACTS) || take_run(in, &record->facts);
}

/* Everything behind the length; it has to use up `in`. */
static bool take_record(struct span in, struct mail_record *record)
{
    if (!take_groups(&in, record)) return false;
    if ((record->items & MAIL_RECORD_BODY) && !take_run(&in, &record->body)) return false;
    return in.len == 0;
}

static bool is_record_length(uint32_t len)
{
    return len >= MAIL_RECORD_INDEX_BYTES - MAIL_RECORD_HEAD_BYTES && len <= MAIL_RECORD_MAX_BYTES;
}

enum mail_record_state mail_record_take(struct span in, struct mail_record *record, size_t *used,
                                        size_t *need)
{
    struct span left = in;
    uint32_t len;
    if (!bytes_take_u32(&left, &len)) {
        *need = 0;
        return MAIL_RECORD_MORE;
    }
    if (!is_record_length(len)) return MAIL_RECORD_BAD;
    if (left.len < len) {
        *need = MAIL_RECORD_HEAD_BYTES + (size_t)len;
        return MAIL_RECORD_MORE;
    }
    struct mail_record found = { 0 };
    if (!take_record(span_head(left, len), &found)) return MAIL_RECORD_BAD;
    *record = found;
    *used = MAIL_RECORD_HEAD_BYTES + (size_t)len;
    return MAIL_RECORD_OK;
}

enum mail_record_state mail_record_begin(struct span in, struct mail_record *record, size_t *used)
{
    struct span left = in;
    uint32_t len, body_len = 0;
    if (!bytes_take_u32(&left, &len)) return MAIL_RECORD_MORE;
    if (!is_record_length(len)) return MAIL_RECORD_BAD;
    bool is_cut = left.len < len;
    if (left.len > 0 && ((uint8_t)left.ptr[0] & ~ITEMS_KNOWN) != 0) return MAIL_RECORD_BAD;
    left = span_head(left, len);
    size_t shown = left.len;
    struct mail_record found = { 0 };
    bool whole = take_groups(&left, &found)
        && (!(found.items & MAIL_RECORD_BODY) || bytes_take_u32(&left, &body_len));
    if (!whole) return is_cut ? MAIL_RECORD_MORE : MAIL_RECORD_BAD;
    size_t head = shown - left.len;
    if (body_len != len - head) return MAIL_RECORD_BAD;
    found.body = span_of(NULL, body_len);
    *record = found;
    *used = MAIL_RECORD_HEAD_BYTES + head;
    return MAIL_RECORD_OK;
}

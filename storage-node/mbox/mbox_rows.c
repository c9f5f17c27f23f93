/* The formats stand in mbox_rows.h. */
#include "mbox_rows.h"

#include <assert.h>

#include "mbox_bytes_private.h"
#include "mbox_rows_log.h"

enum { COUNTERS_U32_AT = 4, COUNTERS_U64_AT = 20, MAILBOX_U32_AT = 4, MAILBOX_U64_AT = 40,
       MAILBOX_LENS_AT = 72 };
static_assert(COUNTERS_U64_AT + 7 * 8 == MBOX_COUNTERS_BYTES, "layout of COUNTERS");
static_assert(MAILBOX_LENS_AT + 5 == MBOX_MAILBOX_HEAD_BYTES, "layout of MAILBOX");

/* The version of a row of at least `bytes`. */
static struct err check_version(struct span row, size_t bytes, const char *what)
{
    if (row.len == 0) return err_make(ERR_CORRUPT, what);
    if ((unsigned char)row.ptr[0] > MBOX_ROW_VERSION) return err_make(ERR_UNSUPPORTED, what);
    if (row.len < bytes || row.ptr[0] != MBOX_ROW_VERSION) return err_make(ERR_CORRUPT, what);
    return err_ok();
}

struct err mbox_counters_read(struct span row, struct mbox_counters *ret)
{
    TRY(check_version(row, MBOX_COUNTERS_BYTES, "COUNTERS row"));
    if (row.len != MBOX_COUNTERS_BYTES) return err_make(ERR_CORRUPT, "COUNTERS row");
    const char *u32 = row.ptr + COUNTERS_U32_AT, *u64 = row.ptr + COUNTERS_U64_AT;
    *ret = (struct mbox_counters){
        .state = (uint8_t)row.ptr[1],
        .mailboxes = get_u32(u32),
        .subscriptions = get_u32(u32 + 4),
        .next_mailbox = get_u32(u32 + 8),
        .uidvalidity = get_u32(u32 + 12),
        .quota_bytes = get_u64(u64),
        .quota_items = get_u64(u64 + 8),
        .used_bytes = get_u64(u64 + 16),
        .used_items = get_u64(u64 + 24),
        .modseq = get_u64(u64 + 32),
        .lowest_modseq = get_u64(u64 + 40),
        .next_email = get_u64(u64 + 48),
    };
    return err_ok();
}

void mbox_counters_write(const struct mbox_counters *counters, char to[MBOX_COUNTERS_BYTES])
{
    char *u32 = to + COUNTERS_U32_AT, *u64 = to + COUNTERS_U64_AT;
    to[0] = MBOX_ROW_VERSION;
    to[1] = (char)counters->state;
    put_u16(to + 2, 0);
    put_u32(u32, counters->mailboxes);
    put_u32(u32 + 4, counters->subscriptions);
    put_u32(u32 + 8, counters->next_mailbox);
    put_u32(u32 + 12, counters->uidvalidity);
    put_u64(u64, counters->quota_bytes);
    put_u64(u64 + 8, counters->quota_items);
    put_u64(u64 + 16, counters->used_bytes);
    put_u64(u64 + 24, counters->used_items);
    put_u64(u64 + 32, counters->modseq);
    put_u64(u64 + 40, counters->lowest_modseq);
    put_u64(u64 + 48, counters->next_email);
}

/* Reads name, keywords and extension, which fill the rest of the row exactly. */
static struct err read_texts(struct span row, struct mbox_mailbox *ret)
{
    size_t name_len = get_u16(row.ptr + MAILBOX_LENS_AT);
    size_t extension_len = get_u16(row.ptr + MAILBOX_LENS_AT + 3);
    unsigned count = (unsigned char)row.ptr[MAILBOX_LENS_AT + 2];
    struct span rest = span_skip(row, MBOX_MAILBOX_HEAD_BYTES);
    if (count > MBOX_KEYWORDS_MAX || name_len > rest.len)
        return err_make(ERR_CORRUPT, "MAILBOX row");
    ret->name = span_head(rest, name_len);
    rest = span_skip(rest, name_len);
    for (unsigned i = 0; i < count; i++) {
        size_t len = rest.len == 0 ? 0 : (unsigned char)rest.ptr[0];
        if (len == 0 || len > rest.len - 1) return err_make(ERR_CORRUPT, "MAILBOX row, keywords");
        ret->keywords[i] = span_head(span_skip(rest, 1), len);
        rest = span_skip(rest, 1 + len);
    }
    ret->keywords_count = count;
    if (rest.len != extension_len || extension_len > MBOX_EXTENSION_MAX_BYTES)
        return err_make(ERR_CORRUPT, "MAILBOX row, extension");
    ret->extension = rest;
    return err_ok();
}

struct err mbox_mailbox_read(struct span row, struct mbox_mailbox *ret)
{
    TRY(check_version(row, MBOX_MAILBOX_HEAD_BYTES, "MAILBOX row"));
    const char *u32 = row.ptr + MAILBOX_U32_AT, *u64 = row.ptr + MAILBOX_U64_AT;
    TRY(read_texts(row, ret));
    ret->kind = (uint8_t)row.ptr[1];
    ret->special_use = (uint8_t)row.ptr[2];
    ret->state = (uint8_t)row.ptr[3];
    ret->uidvalidity = get_u32(u32);
    ret->uidnext = get_u32(u32 + 4);
    ret->messages = get_u32(u32 + 8);
    ret->unseen = get_u32(u32 + 12);
    ret->deleted = get_u32(u32 + 16);
    ret->recent = get_u32(u32 + 20);
    ret->recent_from = get_u32(u32 + 24);
    ret->unseen_uid = get_u32(u32 + 28);
    ret->unseen_seq = get_u32(u32 + 32);
    ret->size_bytes = get_u64(u64);
    ret->highestmodseq = get_u64(u64 + 8);
    ret->keywords_modseq = get_u64(u64 + 16);
    ret->created_ms = get_u64(u64 + 24);
    return err_ok();
}

size_t mbox_mailbox_bytes(const struct mbox_mailbox *mailbox)
{
    size_t bytes = MBOX_MAILBOX_HEAD_BYTES + mailbox->name.len + mailbox->extension.len;
    for (unsigned i = 0; i < mailbox->keywords_count; i++) bytes += 1 + mailbox->keywords[i].len;
    return bytes;
}

static char *put_span(char *to, struct span from)
{
    if (from.len > 0) memcpy(to, from.ptr, from.len);
    return to + from.len;
}

void mbox_mailbox_write(const struct mbox_mailbox *mailbox, char *to)
{
    char *u32 = to + MAILBOX_U32_AT, *u64 = to + MAILBOX_U64_AT;
    to[0] = MBOX_ROW_VERSION;
    to[1] = (char)mailbox->kind;
    to[2] = (char)mailbox->special_use;
    to[3] = (char)mailbox->state;
    put_u32(u32, mailbox->uidvalidity);
    put_u32(u32 + 4, mailbox->uidnext);
    put_u32(u32 + 8, mailbox->messages);
    put_u32(u32 + 12, mailbox->unseen);
    put_u32(u32 + 16, mailbox->deleted);
    put_u32(u32 + 20, mailbox->recent);
    put_u32(u32 + 24, mailbox->recent_from);
    put_u32(u32 + 28, mailbox->unseen_uid);
    put_u32(u32 + 32, mailbox->unseen_seq);
    put_u64(u64, mailbox->size_bytes);
    put_u64(u64 + 8, mailbox->highestmodseq);
    put_u64(u64 + 16, mailbox->keywords_modseq);
    put_u64(u64 + 24, mailbox->created_ms);
    put_u16(to + MAILBOX_LENS_AT, (uint16_t)mailbox->name.len);
    to[MAILBOX_LENS_AT + 2] = (char)mailbox->keywords_count;
    put_u16(to + MAILBOX_LENS_AT + 3, (uint16_t)mailbox->extension.len);
    to = put_span(to + MBOX_MAILBOX_HEAD_BYTES, mailbox->name);
    for (unsigned i = 0; i < mailbox->keywords_count; i++) {
        *to++ = (char)mailbox->keywords[i].len;
        to = put_span(to, mailbox->keywords[i]);
    }
    put_span(to, mailbox->extension);
}

struct err mbox_message_read(struct span row, struct mbox_message *ret)
{
    TRY(check_version(row, MBOX_MESSAGE_HEAD_BYTES, "MESSAGE row"));
    if (row.len != MBOX_MESSAGE_HEAD_BYTES + (size_t)(unsigned char)row.ptr[3])
        return err_make(ERR_CORRUPT, "MESSAGE row");
    *ret = (struct mbox_message){
        .hold = (uint8_t)row.ptr[1],
        .facts_version = (uint8_t)row.ptr[2],
        .size = get_u32(row.ptr + 4),
        .flags = get_u64(row.ptr + 8),
        .modseq = get_u64(row.ptr + 16),
        .internaldate_ms = get_u64(row.ptr + 24),
        .savedate_ms = get_u64(row.ptr + 32),
        .email = get_u64(row.ptr + 40),
        .thread = get_u64(row.ptr + 48),
        .retained_until_ms = get_u64(row.ptr + 56),
        .stored_bytes = get_u32(row.ptr + 64),
        .stamp = span_skip(row, MBOX_MESSAGE_HEAD_BYTES),
    };
    return err_ok();
}

void mbox_message_write(const struct mbox_message *message, char *to)
{
    to[0] = MBOX_ROW_VERSION;
    to[1] = (char)message->hold;
    to[2] = (char)message->facts_version;
    to[3] = (char)message->stamp.len;
    put_u32(to + 4, message->size);
    put_u64(to + 8, message->flags);
    put_u64(to + 16, message->modseq);
    put_u64(to + 24, message->internaldate_ms);
    put_u64(to + 32, message->savedate_ms);
    put_u64(to + 40, message->email);
    put_u64(to + 48, message->thread);
    put_u64(to + 56, message->retained_until_ms);
    put_u32(to + 64, message->stored_bytes);
    put_span(to + MBOX_MESSAGE_HEAD_BYTES, message->stamp);
}

struct err mbox_email_read(struct span row, struct mbox_email *ret)
{
    TRY(check_version(row, MBOX_EMAIL_BYTES, "EMAIL row"));
    if (row.len != MBOX_EMAIL_BYTES) return err_make(ERR_CORRUPT, "EMAIL row");
    *ret = (struct mbox_email){
        .chunks = get_u32(row.ptr + 1),
        .refs = get_u32(row.ptr + 5),
        .stored_bytes = get_u64(row.ptr + 9),
    };
    return err_ok();
}

void mbox_email_write(const struct mbox_email *email, char to[MBOX_EMAIL_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u32(to + 1, email->chunks);
    put_u32(to + 5, email->refs);
    put_u64(to + 9, email->stored_bytes);
}

struct err mbox_name_read(struct span row, uint32_t *mailbox)
{
    TRY(check_version(row, MBOX_NAME_ROW_BYTES, "MAILBOX_NAME row"));
    if (row.len != MBOX_NAME_ROW_BYTES) return err_make(ERR_CORRUPT, "MAILBOX_NAME row");
    *mailbox = get_u32(row.ptr + 1);
    return err_ok();
}

void mbox_name_write(uint32_t mailbox, char to[MBOX_NAME_ROW_BYTES])
{
    to[0] = MBOX_ROW_VERSION;
    put_u32(to + 1, mailbox);
}

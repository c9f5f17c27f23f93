#include "facts.h"

#include "buf.h"
#include "bytes.h"
#include "check.h"

/* In the order in which their lengths stand in the row. */
struct facts_lens {
    uint32_t envelope, structure, fields;
    uint16_t preview;
};

static bool take_head(struct span *row, struct facts *facts, struct facts_lens *lens)
{
    uint64_t date;
    bool whole = bytes_take_u8(row, &facts->flags) && bytes_take_u64(row, &date)
        && bytes_take_u32(row, &facts->lines) && bytes_take_u32(row, &facts->header_bytes)
        && bytes_take_u16(row, &facts->parts_count) && bytes_take_u32(row, &lens->envelope)
        && bytes_take_u32(row, &lens->structure) && bytes_take_u32(row, &lens->fields)
        && bytes_take_u16(row, &lens->preview);
    if (whole) memcpy(&facts->date_ms, &date, sizeof(date));
    return whole;
}

struct err facts_read(struct span row, struct facts *ret)
{
    struct facts facts = { 0 };
    struct facts_lens lens;
    uint8_t version;
    if (!bytes_take_u8(&row, &version)) return err_make(ERR_CORRUPT, "facts row");
    if (version > FACTS_VERSION) return err_make(ERR_UNSUPPORTED, "a newer facts row");
    bool whole = version == FACTS_VERSION && take_head(&row, &facts, &lens)
        && bytes_take_span(&row, lens.envelope, &facts.envelope)
        && bytes_take_span(&row, lens.structure, &facts.structure)
        && bytes_take_span(&row, lens.fields, &facts.fields)
        && bytes_take_span(&row, lens.preview, &facts.preview)
        && bytes_take_span(&row, (uint64_t)facts.parts_count * FACTS_PART_BYTES, &facts.parts);
    if (!whole || row.len != 0) return err_make(ERR_CORRUPT, "facts row");
    *ret = facts;
    return err_ok();
}

struct facts_part facts_part_at(const struct facts *facts, size_t index)
{
    CHECK(index < facts->parts_count);
    struct span at = span_skip(facts->parts, index * FACTS_PART_BYTES);
    struct facts_part part = { 0 };
    bool whole = bytes_take_u8(&at, &part.level) && bytes_take_u8(&at, &part.kind)
        && bytes_take_u8(&at, &part.encoding) && bytes_take_u16(&at, &part.section)
        && bytes_take_u32(&at, &part.header_at) && bytes_take_u32(&at, &part.body_at)
        && bytes_take_u32(&at, &part.end_at) && bytes_take_u32(&at, &part.lines);
    CHECK(whole);
    return part;
}

void facts_part_write(const struct facts_part *part, char to[FACTS_PART_BYTES])
{
    to = bytes_put_u8(to, part->level);
    to = bytes_put_u8(to, part->kind);
    to = bytes_put_u8(to, part->encoding);
    to = bytes_put_u16(to, part->section);
    to = bytes_put_u32(to, part->header_at);
    to = bytes_put_u32(to, part->body_at);
    to = bytes_put_u32(to, part->end_at);
    (void)bytes_put_u32(to, part->lines);
}

size_t facts_bytes(const struct facts *facts)
{
    return FACTS_HEAD_BYTES + facts->envelope.len + facts->structure.len + facts->fields.len
        + facts->preview.len + facts->parts.len;
}

void facts_head_write(const struct facts *facts, char to[FACTS_HEAD_BYTES])
{
    uint64_t date;
    CHECK(facts->preview.len <= UINT16_MAX);
    memcpy(&date, &facts->date_ms, sizeof(date));
    to = bytes_put_u8(to, FACTS_VERSION);
    to = bytes_put_u8(to, facts->flags);
    to = bytes_put_u64(to, date);
    to = bytes_put_u32(to, facts->lines);
    to = bytes_put_u32(to, facts->header_bytes);
    to = bytes_put_u16(to, facts->parts_count);
    to = bytes_put_u32(to, (uint32_t)facts->envelope.len);
    to = bytes_put_u32(to, (uint32_t)facts->structure.len);
    to = bytes_put_u32(to, (uint32_t)facts->fields.len);
    (void)bytes_put_u16(to, (uint16_t)facts->preview.len);
}

void facts_write(const struct facts *facts, char *to)
{
    CHECK(facts->parts.len == (size_t)facts->parts_count * FACTS_PART_BYTES);
    facts_head_write(facts, to);
    to += FACTS_HEAD_BYTES;
    to = bytes_put_span(to, facts->envelope);
    to = bytes_put_span(to, facts->structure);
    to = bytes_put_span(to, facts->fields);
    to = bytes_put_span(to, facts->preview);
    (void)bytes_put_span(to, facts->parts);
}

void facts_leave_out(struct facts *facts, uint32_t pieces)
{
    if (pieces & FACTS_PIECE_ENVELOPE) facts->envelope = SPAN("");
    if (pieces & FACTS_PIECE_STRUCTURE) facts->structure = SPAN("");
    if (pieces & FACTS_PIECE_FIELDS) facts->fields = SPAN("");
    if (pieces & FACTS_PIECE_PREVIEW) facts->preview = SPAN("");
    if ((pieces & FACTS_PIECE_PARTS) == 0) return;
    facts->parts = SPAN("");
    facts->parts_count = 0;
}

/* ---- the fields that a row keeps */

/* What mail readers ask for when they show a list, and what rules and threads look at. Sorted by
 * length; a new one does not get into old rows, so a row that needs it gets a new FACTS_VERSION. */
static const struct span kept_fields[] = {
    SPAN_INIT("To"),              SPAN_INIT("Cc"),           SPAN_INIT("Bcc"),
    SPAN_INIT("From"),            SPAN_INIT("Date"),         SPAN_INIT("Sender"),
    SPAN_INIT("Subject"),         SPAN_INIT("List-Id"),      SPAN_INIT("Reply-To"),
    SPAN_INIT("Priority"),        SPAN_INIT("List-Post"),    SPAN_INIT("X-Mailer"),
    SPAN_INIT("References"),      SPAN_INIT("Message-ID"),   SPAN_INIT("X-Priority"),
    SPAN_INIT("Importance"),      SPAN_INIT("Newsgroups"),   SPAN_INIT("X-Spam-Flag"),
    SPAN_INIT("In-Reply-To"),     SPAN_INIT("Return-Path"),  SPAN_INIT("Content-Type"),
    SPAN_INIT("Delivered-To"),    SPAN_INIT("MIME-Version"), SPAN_INIT("Followup-To"),
    SPAN_INIT("X-Spam-Status"),   SPAN_INIT("Auto-Submitted"), SPAN_INIT("List-Unsubscribe"),
    SPAN_INIT("Authentication-Results"), SPAN_INIT("Content-Transfer-Encoding"),
    SPAN_INIT("Disposition-Notification-To"),
};

bool facts_field_is_kept(struct span name)
{
    /* Most fields of a message are not kept: trace and X- fields of other lengths or letters. */
    for (size_t i = 0; i < sizeof(kept_fields) / sizeof(kept_fields[0]); i++) {
        struct span kept = kept_fields[i];
        if (kept.len != name.len || (kept.ptr[0] | 0x20) != (name.ptr[0] | 0x20)) continue;
        if (span_eq_nocase(kept, name)) return true;
    }
    return false;
}

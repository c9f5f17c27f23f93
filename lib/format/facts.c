#include "facts.h"
#include <string.h>
#include "buf.h"
#define G(v) do { if (sizeof(v) > (size_t)(end - at)) return err_make(ERR_CORRUPT, "facts"); memcpy(&(v), at, sizeof(v)); at += sizeof(v); } while (0)
struct err facts_read(struct span row, struct facts *ret)
{
    const char *at = row.ptr, *end = row.ptr + row.len;
    struct facts f;
    uint8_t version; uint32_t el, sl, fl; uint16_t pl;
    if (row.len == 0) return err_make(ERR_CORRUPT, "facts");
    G(version); if (version != 1) return err_make(ERR_UNSUPPORTED, "facts");
    G(f.flags); G(f.date_ms); G(f.lines); G(f.header_bytes); G(f.parts_count); G(el); G(sl); G(fl); G(pl);
#define S(x, n) do { if ((n) > (size_t)(end - at)) return err_make(ERR_CORRUPT, "facts"); f.x = span_of(at, (n)); at += (n); } while (0)
    S(envelope, el); S(structure, sl); S(fields, fl); S(preview, pl);
    S(parts, (size_t)f.parts_count * FACTS_PART_BYTES);
    *ret = f;
    return err_ok();
}
struct facts_part facts_part_at(const struct facts *f, size_t i)
{
    struct facts_part p; const char *at = f->parts.ptr + i * FACTS_PART_BYTES;
    memcpy(&p.level, at, 1); memcpy(&p.kind, at + 1, 1); memcpy(&p.encoding, at + 2, 1); memcpy(&p.section, at + 3, 2);
    memcpy(&p.header_at, at + 5, 4); memcpy(&p.body_at, at + 9, 4); memcpy(&p.end_at, at + 13, 4); memcpy(&p.lines, at + 17, 4);
    return p;
}
size_t facts_bytes(const struct facts *f) { return 34 + f->envelope.len + f->structure.len + f->fields.len + f->preview.len + f->parts.len; }
#define P(v) (memcpy(to, &(v), sizeof(v)), to += sizeof(v))
#define C(x) (memcpy(to, f->x.ptr, f->x.len), to += f->x.len)
void facts_write(const struct facts *f, char *to)
{
    uint8_t version = 1; uint32_t el = (uint32_t)f->envelope.len, sl = (uint32_t)f->structure.len, fl = (uint32_t)f->fields.len; uint16_t pl = (uint16_t)f->preview.len;
    P(version); P(f->flags); P(f->date_ms); P(f->lines); P(f->header_bytes); P(f->parts_count); P(el); P(sl); P(fl); P(pl);
    if (el) C(envelope);
    if (sl) C(structure);
    if (fl) C(fields);
    if (pl) C(preview);
    if (f->parts.len) C(parts);
}
bool facts_field_is_kept(struct span name)
{
    return span_eq_nocase(name, SPAN("From")) || span_eq_nocase(name, SPAN("To")) || span_eq_nocase(name, SPAN("Subject")) || span_eq_nocase(name, SPAN("Date")) || span_eq_nocase(name, SPAN("Message-ID"));
}
void facts_structure_basic(struct span s, struct buf *out) { buf_put(out, s); }
struct err facts_section_find(const struct facts *f, const uint32_t *path, size_t count, enum facts_section what, uint32_t bytes, uint32_t *from, uint32_t *to)
{
    struct facts_part p;
    size_t i = 0;
    (void)bytes;
    if (f->parts_count == 0) return err_make(ERR_NOT_FOUND, "part");
    p = facts_part_at(f, 0);
    for (size_t k = 0; k < count; k++) {
        if (k == 0 && p.kind == FACTS_PART_LEAF && path[0] == 1) continue;
        size_t j = i + 1; bool hit = false;
        for (; j < f->parts_count; j++) {
            struct facts_part c = facts_part_at(f, j);
            if (c.level <= p.level) break;
            if (c.level == p.level + 1 && c.section == path[k]) { p = c; i = j; hit = true; break; }
        }
        if (!hit) return err_make(ERR_NOT_FOUND, "part");
    }
    if (what == FACTS_SECTION_HEADER || what == FACTS_SECTION_MIME) { *from = p.header_at; *to = p.body_at; }
    else if (what == FACTS_SECTION_TEXT || count > 0) { *from = p.body_at; *to = p.end_at; }
    else { *from = p.header_at; *to = p.end_at; }
    return err_ok();
}

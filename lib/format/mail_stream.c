#include "mail_stream.h"
#include <string.h>
size_t mail_record_head_bytes(const struct mail_record *r)
{
    size_t n = 25;
    if (r->items & 1) n += 36;
    if (r->items & 2) n += 4 + r->facts.len;
    if (r->items & 4) n += 4;
    return n;
}
#define P(v) (memcpy(to, &(v), sizeof(v)), to += sizeof(v))
void mail_record_head(const struct mail_record *r, char *to)
{
    uint32_t n = (uint32_t)(mail_record_head_bytes(r) - 4 + ((r->items & 4) ? r->body.len : 0));
    P(n); P(r->items); P(r->uid); P(r->flags); P(r->modseq);
    if (r->items & 1) { P(r->internaldate_ms); P(r->savedate_ms); P(r->size); P(r->email_id); P(r->thread_id); }
    if (r->items & 2) { n = (uint32_t)r->facts.len; P(n); memcpy(to, r->facts.ptr, r->facts.len); to += r->facts.len; }
    if (r->items & 4) { n = (uint32_t)r->body.len; P(n); }
}
#define G(v) do { if (sizeof(v) > (size_t)(end - at)) return MAIL_RECORD_BAD; memcpy(&(v), at, sizeof(v)); at += sizeof(v); } while (0)
enum mail_record_state mail_record_take(struct span in, struct mail_record *ret, size_t *used, size_t *need)
{
    *need = 0;
    if (in.len < 4) return MAIL_RECORD_MORE;
    uint32_t n;
    memcpy(&n, in.ptr, 4);
    if (n < 21 || n > MAIL_RECORD_MAX_BYTES) return MAIL_RECORD_BAD;
    *need = (size_t)n + 4;
    if (in.len < *need) return MAIL_RECORD_MORE;
    const char *at = in.ptr + 4, *end = in.ptr + *need;
    struct mail_record r;
    memset(&r, 0, sizeof(r));
    G(r.items); G(r.uid); G(r.flags); G(r.modseq);
    if (r.items & 1) { G(r.internaldate_ms); G(r.savedate_ms); G(r.size); G(r.email_id); G(r.thread_id); }
    if (r.items & 2) { G(n); if (n > (size_t)(end - at)) return MAIL_RECORD_BAD; r.facts = span_of(at, n); at += n; }
    if (r.items & 4) { G(n); if (n > (size_t)(end - at)) return MAIL_RECORD_BAD; r.body = span_of(at, n); at += n; }
    if (at != end || r.items > 7) return MAIL_RECORD_BAD;
    *ret = r;
    *used = *need;
    return MAIL_RECORD_OK;
}

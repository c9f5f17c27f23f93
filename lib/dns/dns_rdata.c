#include "dns_rdata.h"

#include "arena.h"
#include "dns.h"

enum { LABEL_MAX_BYTES = 63, NAME_WIRE_MAX_BYTES = 255 };

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

bool dns_name_is_valid(struct span name)
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.') name.len--;
    if (name.len == 0 || name.len > DNS_NAME_MAX_BYTES) return false;
    size_t label = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.') {
            if (label == 0) return false;
            label = 0;
        } else if (!is_name_byte(name.ptr[i]) || ++label > LABEL_MAX_BYTES) {
            return false;
        }
    }
    return label > 0;
}

/* domain-name = *( length u8, that many bytes ) 0 (RFC 1035 3.1); the resolver has undone
 * compression (4.1.4). A label with other bytes than host names have is refused, so that no dot or
 * line end within one is ever taken for more than a byte. */
static struct err read_name(struct span wire, struct arena *arena, struct span *ret)
{
    size_t at = 0, len = 0;
    if (wire.len == 0 || wire.len > NAME_WIRE_MAX_BYTES) return err_make(ERR_SYNTAX, "DNS name");
    char *text = arena_alloc(arena, wire.len);
    if (text == NULL) return err_make(ERR_NOMEM, "DNS name");
    for (;;) {
        size_t label = at < wire.len ? (unsigned char)wire.ptr[at++] : LABEL_MAX_BYTES + 1;
        if (label == 0) break;
        if (label > LABEL_MAX_BYTES || label > wire.len - at) {
            return err_make(ERR_SYNTAX, "DNS name");
        }
        if (len > 0) text[len++] = '.';
        for (size_t i = 0; i < label; i++) {
            if (!is_name_byte(wire.ptr[at])) return err_make(ERR_SYNTAX, "host name");
            text[len++] = wire.ptr[at++];
        }
    }
    if (at != wire.len) return err_make(ERR_SYNTAX, "DNS name");
    *ret = span_of(text, len);
    return err_ok();
}

/* TXT = 1*( length u8, that many bytes ), which count as one text (RFC 7208 3.3). */
static struct err read_text(struct span wire, struct arena *arena, struct span *ret)
{
    size_t len = 0;
    if (wire.len == 0) return err_make(ERR_SYNTAX, "TXT record");
    if (wire.len > DNS_TEXT_MAX_BYTES) return err_make(ERR_TOO_BIG, "TXT record");
    char *text = arena_alloc(arena, wire.len);
    if (text == NULL) return err_make(ERR_NOMEM, "TXT record");
    for (size_t at = 0; at < wire.len;) {
        size_t piece = (unsigned char)wire.ptr[at++];
        if (piece > wire.len - at) return err_make(ERR_SYNTAX, "TXT record");
        memcpy(text + len, wire.ptr + at, piece);
        len += piece;
        at += piece;
    }
    *ret = span_of(text, len);
    return err_ok();
}

static struct err read_ip(struct span wire, size_t bytes, struct dns_item *item)
{
    if (wire.len != bytes) return err_make(ERR_SYNTAX, "address record");
    memcpy(item->ip, wire.ptr, bytes);
    return err_ok();
}

static struct err read_tlsa(struct span wire, struct arena *arena, struct dns_item *item)
{
    if (wire.len < 4) return err_make(ERR_SYNTAX, "TLSA record");
    if (wire.len > DNS_TEXT_MAX_BYTES) return err_make(ERR_TOO_BIG, "TLSA record");
    item->usage = (uint8_t)wire.ptr[0];
    item->selector = (uint8_t)wire.ptr[1];
    item->matching = (uint8_t)wire.ptr[2];
    return arena_copy(arena, span_skip(wire, 3), &item->text);
}

struct err dns_rdata_read(int type, struct span rdata, struct arena *arena, struct dns_item *item)
{
    struct dns_item read = { .text = SPAN("") };
    switch (type) {
    case DNS_A: TRY(read_ip(rdata, 4, &read)); break;
    case DNS_AAAA: TRY(read_ip(rdata, 16, &read)); break;
    case DNS_PTR: TRY(read_name(rdata, arena, &read.text)); break;
    case DNS_TXT: TRY(read_text(rdata, arena, &read.text)); break;
    case DNS_TLSA: TRY(read_tlsa(rdata, arena, &read)); break;
    case DNS_MX:
        if (rdata.len < 3) return err_make(ERR_SYNTAX, "MX record");
        read.preference = (uint16_t)((unsigned char)rdata.ptr[0] << 8 |
                                     (unsigned char)rdata.ptr[1]);
        TRY(read_name(span_skip(rdata, 2), arena, &read.text));
        break;
    default: return err_make(ERR_UNSUPPORTED, "type of a record");
    }
    *item = read;
    return err_ok();
}

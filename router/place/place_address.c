/* Nearly all addresses are ASCII and take the short way; IDNA and Unicode are for the others. */
#include "place_address.h"

#include <idn2.h>
#include <stdlib.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

enum { LABEL_MAX_BYTES = 63, UTF16_MAX = 4 * PLACE_LOCAL_MAX_BYTES };

bool place_address_split(struct span address, struct span *local, struct span *domain)
{
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@') at--;
    if (at <= 1 || at == address.len) return false;
    *local = span_head(address, at - 1);
    *domain = span_skip(address, at);
    return true;
}

static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0x80) return false;
    return true;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of letters, digits, '-' and '_' (which is in use), joined by single dots. */
static bool is_host_name(struct span domain)
{
    size_t label = 0;
    for (size_t i = 0; i <= domain.len; i++) {
        if (i == domain.len || domain.ptr[i] == '.') {
            if (label == 0 || label > LABEL_MAX_BYTES || domain.ptr[i - 1] == '-') return false;
            label = 0;
            continue;
        }
        if (!is_label_char(domain.ptr[i]) || (label == 0 && domain.ptr[i] == '-')) return false;
        label++;
    }
    return true;
}

/* "[127.0.0.1]", "[IPv6:::1]": RFC 5321 4.1.3. */
static bool is_literal(struct span domain)
{
    if (domain.len < 3 || domain.ptr[0] != '[' || domain.ptr[domain.len - 1] != ']') return false;
    for (size_t i = 1; i < domain.len - 1; i++) {
        char c = domain.ptr[i];
        if (!is_label_char(c) && c != '.' && c != ':') return false;
    }
    return true;
}

static struct err ascii_domain(struct span domain, struct buf *out)
{
    char bytes[PLACE_DOMAIN_MAX_BYTES];
    for (size_t i = 0; i < domain.len; i++) bytes[i] = lower(domain.ptr[i]);
    struct span lowered = span_of(bytes, domain.len);
    if (!is_host_name(lowered) && !is_literal(lowered)) return err_make(ERR_SYNTAX, "domain");
    buf_put(out, lowered);
    return out->overflow ? err_make(ERR_TOO_BIG, "domain") : err_ok();
}

struct err place_domain(struct span domain, struct buf *out)
{
    if (domain.len == 0 || domain.len > PLACE_DOMAIN_MAX_BYTES ||
        memchr(domain.ptr, '\0', domain.len) != NULL)
        return err_make(ERR_SYNTAX, "domain");
    if (is_ascii(domain)) return ascii_domain(domain, out);

    uint8_t text[PLACE_DOMAIN_MAX_BYTES + 1] = { 0 };
    uint8_t *labels = NULL;
    memcpy(text, domain.ptr, domain.len);
    int result = idn2_lookup_u8(text, &labels, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (result != IDN2_OK) return err_make_detail(ERR_SYNTAX, result, "domain, IDNA");
    struct span mapped = span_of(labels, strlen((char *)labels));
    struct err err = mapped.len > PLACE_DOMAIN_MAX_BYTES ? err_make(ERR_SYNTAX, "domain, IDNA")
                                                         : ascii_domain(mapped, out);
    idn2_free(labels);
    return err;
}

/* Takes quotes and quoted pairs off. `to` has room for local.len bytes. */
static struct err unquote(struct span local, char *to, struct span *ret)
{
    if (local.ptr[0] != '"') {
        *ret = local;
        return err_ok();
    }
    size_t len = 0, i = 1;
    for (; i < local.len && local.ptr[i] != '"'; i++) {
        if (local.ptr[i] == '\\' && ++i == local.len) break;
        to[len++] = local.ptr[i];
    }
    if (i + 1 != local.len || len == 0) return err_make(ERR_SYNTAX, "quoted local part");
    *ret = span_of(to, len);
    return err_ok();
}

/* NFC, and case folding with NFC again behind it (folding can denormalise). */
static struct err unicode_form(struct span local, bool fold, char *to, size_t size,
                               struct span *ret)
{
    UErrorCode code = U_ZERO_ERROR;
    UChar first[UTF16_MAX], second[UTF16_MAX];
    int32_t len = 0, bytes = 0;
    u_strFromUTF8(first, UTF16_MAX, &len, local.ptr, (int32_t)local.len, &code);
    const UNormalizer2 *nfc = unorm2_getNFCInstance(&code);
    len = unorm2_normalize(nfc, first, len, second, UTF16_MAX, &code);
    if (fold) {
        len = u_strFoldCase(first, UTF16_MAX, second, len, U_FOLD_CASE_DEFAULT, &code);
        len = unorm2_normalize(nfc, first, len, second, UTF16_MAX, &code);
    }
    u_strToUTF8(to, (int32_t)size, &bytes, second, len, &code);
    if (U_FAILURE(code)) return err_make_detail(ERR_SYNTAX, (int)code, "local part, Unicode");
    *ret = span_of(to, (size_t)bytes);
    return err_ok();
}

/* Cuts what the rules cut, within `bytes`. */
static struct span cut(struct span local, const struct place_rules *rules, char *to)
{
    size_t len = 0;
    for (size_t i = 0; i < local.len; i++) {
        if (rules->cut_subaddress != 0 && local.ptr[i] == rules->cut_subaddress && i > 0) break;
        if (rules->cut_dots && local.ptr[i] == '.') continue;
        to[len++] = local.ptr[i];
    }
    return span_of(to, len);
}

struct err place_local(struct span local, const struct place_rules *rules, struct buf *out)
{
    char plain[2 * PLACE_LOCAL_MAX_BYTES + 2], formed[3 * PLACE_LOCAL_MAX_BYTES];
    char result[sizeof(formed)];
    if (local.len == 0 || local.len > sizeof(plain)) return err_make(ERR_SYNTAX, "local part");
    TRY(unquote(local, plain, &local));
    if (local.len > PLACE_LOCAL_MAX_BYTES) return err_make(ERR_SYNTAX, "local part");
    if (is_ascii(local)) {
        for (size_t i = 0; i < local.len; i++)
            formed[i] = rules->fold_case ? lower(local.ptr[i]) : local.ptr[i];
        local = span_of(formed, local.len);
    } else {
        TRY(unicode_form(local, rules->fold_case, formed, sizeof(formed), &local));
    }
    local = cut(local, rules, result);
    if (local.len == 0) return err_make(ERR_SYNTAX, "local part");
    buf_put(out, local);
    return out->overflow ? err_make(ERR_TOO_BIG, "local part") : err_ok();
}

struct err place_address(struct span address, const struct place_rules *rules, struct buf *out)
{
    struct span local, domain;
    char bytes[PLACE_ADDRESS_MAX_BYTES];
    struct buf whole;
    buf_init(&whole, bytes, sizeof(bytes));
    if (!place_address_split(address, &local, &domain)) return err_make(ERR_SYNTAX, "address");
    TRY(place_local(local, rules, &whole));
    buf_put(&whole, SPAN("@"));
    TRY(place_domain(domain, &whole));
    buf_put(out, buf_span(&whole));
    return out->overflow ? err_make(ERR_TOO_BIG, "address") : err_ok();
}

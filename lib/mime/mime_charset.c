/* Content as text: transfer encoding off (RFC 2045 6), charset to UTF-8 by ICU. */
#include <unicode/ucnv.h>

#include "base64.h"
#include "buf.h"
#include "facts.h"
#include "mime_private.h"
#include "mime_tree.h"
#include "qp.h"
#include "utf8.h"

bool mime_to_utf8(void *user, struct span charset, struct span bytes, struct buf *out)
{
    char name[MIME_CHARSET_MAX_BYTES];
    struct span language;
    UErrorCode code = U_ZERO_ERROR;
    (void)user;
    (void)span_cut(charset, '*', &charset, &language); /* RFC 2231 5 */
    if (charset.len == 0 || charset.len >= sizeof(name)) return false;
    if (bytes.len > INT32_MAX / MIME_UTF8_GROWTH) return false;
    if (span_eq_nocase(charset, SPAN("utf-8")) || span_eq_nocase(charset, SPAN("us-ascii"))) {
        utf8_put_clean(out, bytes);
        return true;
    }
    memcpy(name, charset.ptr, charset.len);
    name[charset.len] = '\0';
    size_t room = out->size - out->len;
    if (room > INT32_MAX) room = INT32_MAX;
    int32_t len = ucnv_convert("UTF-8", name, out->bytes + out->len, (int32_t)room, bytes.ptr,
                               (int32_t)bytes.len, &code);
    if (U_FAILURE(code) || (size_t)len > room) return false;
    out->len += (size_t)len;
    return true;
}

void mime_put_utf8(struct span charset, struct span bytes, struct buf *out)
{
    if (!mime_to_utf8(NULL, charset, bytes, out)) utf8_put_clean(out, bytes);
}

void mime_decode(const struct mime_node *node, struct span raw, struct buf *out)
{
    if (node->encoding == FACTS_ENCODING_BASE64) base64_decode(out, raw);
    else if (node->encoding == FACTS_ENCODING_QP) qp_decode(out, raw);
    else buf_put(out, raw);
}

struct span mime_charset(const struct mime_node *node, char store[MIME_CHARSET_MAX_BYTES])
{
    struct span rest;
    size_t len;
    struct span type = mime_word(node->fields[MIME_CONTENT_TYPE], &rest);
    if (type.len == 0 || !mime_param(rest, SPAN("charset"), store, MIME_CHARSET_MAX_BYTES, &len)) {
        return SPAN("us-ascii");
    }
    return span_of(store, len);
}

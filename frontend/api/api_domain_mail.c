/* What is done with a domain's mail: another server that it goes on to, and the text below what its
 * users send. */
#include <string.h>

#include "api_private.h"
#include "directory.h"
#include "endpoint.h"
#include "place_address.h"
#include "smtp_params.h"
#include "utf8.h"

/* "host", "host:port", "192.0.2.1:port", "[2001:db8::1]:port". */
bool api_is_host(struct span text)
{
    char bytes[DIRECTORY_HOST_MAX_BYTES + 4], name_bytes[PLACE_DOMAIN_MAX_BYTES];
    struct endpoint endpoint;
    struct buf whole, name;
    struct span host = text;
    uint64_t port = 25;
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':' && text.ptr[colon - 1] != ']') colon--;
    if (colon > 0 && text.ptr[colon - 1] == ':') {
        host = span_head(text, colon - 1);
        if (smtp_number_parse(span_skip(text, colon), &port).code != ERR_OK) return false;
    }
    if (port == 0 || port > UINT16_MAX || host.len == 0) return false;
    buf_init(&whole, bytes, sizeof(bytes));
    buf_put(&whole, host);
    buf_put(&whole, SPAN(":25"));
    if (whole.overflow) return false;
    if (endpoint_parse(buf_span(&whole), &endpoint).code == ERR_OK) {
        return endpoint.kind == ENDPOINT_IP4 || endpoint.kind == ENDPOINT_IP6;
    }
    buf_init(&name, name_bytes, sizeof(name_bytes));
    return host.ptr[0] != '[' && place_domain(host, &name).code == ERR_OK && !name.overflow;
}

static bool take_host(struct api_call *call, json_t *row)
{
    struct span host = SPAN("");
    if (json_object_get(call->in, "forward_host") == NULL) return true;
    if (!api_in_text(call, "forward_host", DIRECTORY_HOST_MAX_BYTES, &host)) return false;
    if (host.len > 0 && !api_is_host(host)) {
        api_refuse(call, 400, "Bad value", "forward_host: host or host:port, like mx.example.org, "
                   "192.0.2.1:2525 or [2001:db8::1]:25; empty: none");
        return false;
    }
    api_set_text(row, "forward_host", host);
    return true;
}

static bool take_flag(struct api_call *call, json_t *row, const char *member)
{
    const json_t *value = json_object_get(call->in, member);
    if (value == NULL) return true;
    if (!json_is_boolean(value)) {
        api_refuse(call, 400, "Bad value", "%s: true or false", member);
        return false;
    }
    api_set(row, member, json_boolean(json_is_true(value)));
    return true;
}

/* Text of lines: nothing in it may end a message or be no text. */
static bool is_footer(struct span text)
{
    if (!utf8_is_valid(text)) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_space = c == '\t' || c == '\n' || c == '\r';
        if ((c < ' ' && !is_space) || c == 0x7f) return false;
    }
    return true;
}

/* The footer is put in front of the last of these. */
static bool ends_document(struct span text)
{
    for (; text.len > 0; text = span_skip(text, 1)) {
        if (span_starts_nocase(text, SPAN("</body")) || span_starts_nocase(text, SPAN("</html"))) {
            return true;
        }
    }
    return false;
}

static bool take_footer(struct api_call *call, json_t *row, const char *member)
{
    struct span text = SPAN("");
    if (json_object_get(call->in, member) == NULL) return true;
    if (!api_in_text(call, member, DIRECTORY_FOOTER_MAX_BYTES, &text)) return false;
    bool ends = strcmp(member, "footer_html") == 0 && ends_document(text);
    if (ends) {
        api_refuse(call, 400, "Bad value", "%s: a piece of HTML, without </body> and </html>",
                   member);
        return false;
    }
    if (!is_footer(text)) {
        api_refuse(call, 400, "Bad value", "%s: UTF-8 without control characters but line ends and "
                   "tabs", member);
        return false;
    }
    api_set_text(row, member, text);
    return true;
}

bool api_domain_mail_take(struct api_call *call, json_t *row)
{
    if (!take_host(call, row) || !take_flag(call, row, "forward_all")) return false;
    bool is_all = json_is_true(json_object_get(row, "forward_all"));
    if (is_all && json_string_length(json_object_get(row, "forward_host")) == 0) {
        api_refuse(call, 400, "Bad value", "forward_all: needs forward_host");
        return false;
    }
    return take_footer(call, row, "footer_text") && take_footer(call, row, "footer_html") &&
           take_flag(call, row, "footer_inside");
}

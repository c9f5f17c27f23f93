/* ENVELOPE: (date subject from sender reply-to to cc bcc in-reply-to message-id). */
#include "address.h"
#include "buf.h"
#include "mime_imap_private.h"
#include "mime_out_private.h"
#include "mime_tree_private.h"

static void put_or_nil(struct mime_out *out, struct span text)
{
    if (text.len == 0) mime_out_put(out, SPAN("NIL"));
    else mime_out_string(out, text);
}

/* (name route mailbox host); NIL as host begins a group, as mailbox too it ends one. */
static void put_address(struct mime_out *out, const struct address *address)
{
    if (address->kind == ADDRESS_GROUP_END) {
        mime_out_put(out, SPAN("(NIL NIL NIL NIL)"));
        return;
    }
    if (address->kind == ADDRESS_GROUP_START) {
        mime_out_put(out, SPAN("(NIL NIL "));
        mime_out_string(out, address->name);
        mime_out_put(out, SPAN(" NIL)"));
        return;
    }
    mime_out_char(out, '(');
    put_or_nil(out, address->name);
    mime_out_char(out, ' ');
    put_or_nil(out, address->route);
    mime_out_char(out, ' ');
    /* Neither may be NIL, which would make it a group; the words are those of other servers. */
    mime_out_string(out, address->local.len > 0 ? address->local : SPAN("MISSING_MAILBOX"));
    mime_out_char(out, ' ');
    mime_out_string(out, address->domain.len > 0 ? address->domain : SPAN("MISSING_DOMAIN"));
    mime_out_char(out, ')');
}

/* A list of addresses, or NIL when there are none. It ends early when `out` is longer than
 * `full`. */
static void put_addresses(struct mime_out *out, struct span value, size_t full)
{
    char store[MIME_ADDRESS_MAX_BYTES];
    struct buf scratch;
    struct address_reader reader;
    struct address address;
    size_t begin = out->len;
    buf_init(&scratch, store, sizeof(store));
    address_reader_init(&reader, value);
    mime_out_char(out, '(');
    while (address_next(&reader, &scratch, &address)) {
        if (out->len > full && address.kind != ADDRESS_GROUP_END) {
            if (!reader.in_group || address.kind == ADDRESS_GROUP_START) break;
            address = (struct address){ .kind = ADDRESS_GROUP_END };
            put_address(out, &address);
            break;
        }
        put_address(out, &address);
    }
    if (out->len == begin + 1 || out->failed) {
        out->len = out->failed ? out->len : begin;
        mime_out_put(out, SPAN("NIL"));
        return;
    }
    mime_out_char(out, ')');
}

/* RFC 3501: "If the Sender or Reply-To lines are absent or empty, the server sets the corresponding
 * member to be the same value as the from member." [from, end) is where that stands in `out`. */
static void put_or_from(struct mime_out *out, struct span value, size_t from, size_t end)
{
    size_t begin = out->len;
    if (value.ptr != NULL) {
        put_addresses(out, value, from + MIME_ADDRESSES_FULL_BYTES);
        if (out->failed || out->len - begin > 3) return; /* more than NIL */
        out->len = begin;
    }
    if (!mime_out_reserve(out, end - from)) return;
    memcpy(out->bytes + begin, out->bytes + from, end - from);
    out->len = begin + (end - from);
}

void mime_put_envelope(struct mime_out *out, const struct mime_node *node)
{
    const struct span *fields = node->fields;
    mime_out_char(out, '(');
    mime_out_field(out, fields[MIME_DATE], MIME_DATE_MAX_BYTES);
    mime_out_char(out, ' ');
    mime_out_field(out, fields[MIME_SUBJECT], MIME_SUBJECT_MAX_BYTES);
    mime_out_char(out, ' ');
    size_t from = out->len;
    put_addresses(out, fields[MIME_FROM], from + MIME_FROM_FULL_BYTES);
    size_t end = out->len;
    mime_out_char(out, ' ');
    put_or_from(out, fields[MIME_SENDER], from, end);
    mime_out_char(out, ' ');
    put_or_from(out, fields[MIME_REPLY_TO], from, end);
    for (enum mime_field field = MIME_TO; field <= MIME_BCC; field++) {
        mime_out_char(out, ' ');
        put_addresses(out, fields[field], from + MIME_ADDRESSES_FULL_BYTES);
    }
    mime_out_char(out, ' ');
    mime_out_field(out, fields[MIME_IN_REPLY_TO], MIME_IDS_MAX_BYTES);
    mime_out_char(out, ' ');
    mime_out_field(out, fields[MIME_MESSAGE_ID], MIME_ID_MAX_BYTES);
    mime_out_char(out, ')');
}

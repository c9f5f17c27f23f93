/* Address lists as ENVELOPE has them (RFC 3501 7.4.2): (name route mailbox host) one behind the
 * other. A group is (NIL NIL name NIL), its members, (NIL NIL NIL NIL). A host that is NIL would be
 * read as a group, so one that is missing has a name that says so, the one that Dovecot gives. */
#include <stdlib.h>

#include "address.h"
#include "buf.h"
#include "mime_out.h"

enum { SCRATCH_BYTES = 1024 }; /* longer lists take theirs from malloc */

static void put_or(struct mime_out *out, struct span text, struct span instead)
{
    if (text.len == 0) mime_out_put(out, instead);
    else mime_out_string(out, text);
}

static void put_address(struct mime_out *out, const struct address *address)
{
    const struct span nil = SPAN("NIL");
    bool is_mailbox = address->kind == ADDRESS_MAILBOX;
    mime_out_char(out, '(');
    put_or(out, is_mailbox ? address->name : SPAN(""), nil);
    mime_out_char(out, ' ');
    put_or(out, address->route, nil);
    mime_out_char(out, ' ');
    if (is_mailbox) put_or(out, address->local, SPAN("\"MISSING_MAILBOX\""));
    else if (address->kind == ADDRESS_GROUP_START) mime_out_string(out, address->name);
    else mime_out_put(out, nil);
    mime_out_char(out, ' ');
    put_or(out, address->domain, is_mailbox ? SPAN("\"MISSING_DOMAIN\"") : nil);
    mime_out_char(out, ')');
}

void mime_out_addresses(struct mime_out *out, struct span value)
{
    char store[SCRATCH_BYTES], *bytes = store;
    struct address_reader reader;
    struct address address;
    struct buf scratch;
    bool any = false;
    if (value.len > sizeof(store)) bytes = malloc(value.len);
    if (bytes == NULL) {
        out->failed = true;
        return;
    }
    buf_init(&scratch, bytes, value.len > sizeof(store) ? value.len : sizeof(store));
    address_reader_init(&reader, value);
    while (!out->failed && address_next(&reader, &scratch, &address)) {
        if (!any) mime_out_char(out, '(');
        any = true;
        put_address(out, &address);
    }
    if (any) mime_out_char(out, ')');
    else mime_out_put(out, SPAN("NIL"));
    if (bytes != store) free(bytes);
}

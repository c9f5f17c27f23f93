/* A filter that is one stays one whatever is put into its places; and a value that is escaped is a
 * value. */
#include <stdint.h>

#include "buf.h"
#include "check.h"
#include "ldap_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(struct span value)
{
    char bytes[LDAP_FILTER_MAX_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    buf_put(&out, SPAN("(a="));
    ldap_filter_escape(&out, value);
    buf_put(&out, SPAN(")"));
    CHECK(out.overflow || ldap_filter_is_valid(buf_span(&out)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char bytes[LDAP_FILTER_MAX_BYTES];
    struct span whole = span_of(data, size), filter = whole, domain = SPAN("a)(b=*");
    (void)span_cut(whole, '\n', &filter, &domain);
    check_value(span_head(whole, 300));
    (void)ldap_attribute_is_valid(whole);
    if (!ldap_filter_is_valid(filter)) return 0;
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    ldap_filter_put(&out, filter, domain);
    CHECK(out.overflow || ldap_filter_is_valid(buf_span(&out)));
    return 0;
}

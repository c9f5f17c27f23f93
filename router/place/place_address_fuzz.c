/* The first byte is the rules, the rest an address. What is canonical stays as it is when it is
 * made canonical again, and fits the bounds that place_address.h names. */
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "place_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_domain(struct span domain)
{
    char one_bytes[PLACE_DOMAIN_MAX_BYTES], two_bytes[PLACE_DOMAIN_MAX_BYTES];
    struct buf one, two;
    buf_init(&one, one_bytes, sizeof(one_bytes));
    if (place_domain(domain, &one).code != ERR_OK) return;
    CHECK(!one.overflow && one.len > 0);
    buf_init(&two, two_bytes, sizeof(two_bytes));
    CHECK(place_domain(buf_span(&one), &two).code == ERR_OK);
    CHECK(span_eq(buf_span(&one), buf_span(&two)));
    for (size_t i = 0; i < one.len; i++) CHECK(one_bytes[i] < 'A' || one_bytes[i] > 'Z');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char marks[] = { 0, '+', '-', '.' };
    char one_bytes[PLACE_ADDRESS_MAX_BYTES], two_bytes[PLACE_ADDRESS_MAX_BYTES];
    struct buf one, two;
    struct span local, domain;
    if (size == 0) return 0;
    struct place_rules rules = { .fold_case = (data[0] & 1) != 0, .cut_dots = (data[0] & 2) != 0,
                                 .cut_subaddress = marks[data[0] >> 2 & 3] };
    struct span address = span_of(data + 1, size - 1);
    check_domain(address);
    buf_init(&one, one_bytes, sizeof(one_bytes));
    struct err err = place_address(address, &rules, &one);
    CHECK(err.code == ERR_OK || err.code == ERR_SYNTAX || err.code == ERR_NOMEM);
    if (err.code != ERR_OK) return 0;
    CHECK(!one.overflow);
    CHECK(place_address_split(address, &local, &domain));
    CHECK(place_address_split(buf_span(&one), &local, &domain));
    CHECK(domain.len > 0 && domain.len <= PLACE_DOMAIN_MAX_BYTES);
    /* Quotes are gone: a second reading would take some for others, where there are any. */
    if (memchr(local.ptr, '"', local.len) != NULL || memchr(local.ptr, '\\', local.len) != NULL) {
        return 0;
    }
    if (local.len > PLACE_LOCAL_MAX_BYTES) return 0; /* folding may make it longer */
    buf_init(&two, two_bytes, sizeof(two_bytes));
    CHECK(place_address(buf_span(&one), &rules, &two).code == ERR_OK);
    CHECK(span_eq(buf_span(&one), buf_span(&two)));
    return 0;
}

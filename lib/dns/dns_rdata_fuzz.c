/* The first byte chooses the type, the rest are the data. What is read fits its bounds, and a host
 * name may be asked for in turn. */
#include <stdint.h>

#include "arena.h"
#include "check.h"
#include "dns.h"
#include "dns_rdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int types[] = { DNS_A, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA, DNS_TLSA };
    struct arena arena;
    struct dns_item item;
    if (size == 0) return 0;
    int type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
    struct span rdata = span_of(data + 1, size - 1);
    (void)dns_name_is_valid(rdata);
    arena_init(&arena, 64 * 1024);
    if (dns_rdata_read(type, rdata, &arena, &item).code == ERR_OK) {
        CHECK(item.text.len <= DNS_TEXT_MAX_BYTES && item.text.len <= rdata.len);
        bool is_host = type == DNS_MX || type == DNS_PTR;
        if (is_host && item.text.len > 0) CHECK(dns_name_is_valid(item.text));
        if (type == DNS_TLSA) CHECK(item.text.len == rdata.len - 3);
    }
    arena_clear(&arena);
    return 0;
}

/* The first byte picks the type, the rest is a record's data: what is read lies within the data in
 * size, and names can be asked for. */
#include <stdlib.h>

#include "arena.h"
#include "check.h"
#include "dns_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = { DNS_A, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA, DNS_TLSA };
    struct arena arena;
    struct dns_record record;
    char name[DNS_NAME_MAX_BYTES + 1];
    if (size == 0) return 0;
    enum dns_type type = types[data[0] % 6];
    struct span in = span_of(data + 1, size - 1);
    arena_init(&arena, 1 << 20);
    if (dns_record_read(type, in, &arena, &record).code == ERR_OK) {
        if (type == DNS_TXT) CHECK(record.as.text.len < in.len);
        if (type == DNS_TLSA) CHECK(record.as.tlsa.data.len == in.len - 3);
        if (type == DNS_PTR) CHECK(dns_name_check(record.as.host, name));
        if (type == DNS_MX && record.as.mx.host.len > 0) {
            CHECK(dns_name_check(record.as.mx.host, name));
        }
    }
    (void)dns_name_check(in, name);
    arena_clear(&arena);
    return 0;
}

/* An address that is taken lies in its text; one of TCP has its port at the end. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "boot.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct boot_address address;
    char port[8];
    if (!boot_address_parse(text, &address)) return 0;
    CHECK(address.host.len < size);
    if (address.host.len > 0) {
        CHECK(address.host.ptr >= text.ptr);
        CHECK(address.host.ptr + address.host.len <= text.ptr + text.len);
    }
    if (address.is_unix) {
        CHECK(address.port == 0 && address.host.len > 0);
        CHECK(span_eq(span_head(text, 5), SPAN("unix:")));
        return 0;
    }
    int len = snprintf(port, sizeof(port), "%u", address.port);
    CHECK(text.len > (size_t)len);
    CHECK(span_eq(span_skip(text, text.len - (size_t)len), span_of(port, (size_t)len)));
    return 0;
}

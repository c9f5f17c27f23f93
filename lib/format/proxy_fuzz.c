/* However a header is cut, it says MORE until it is whole, and then the same. */
#include "check.h"
#include "proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct proxy_header header, again;
    size_t used = 0, used_again = 0;
    enum proxy_state state = proxy_take(in, &header, &used);
    if (state == PROXY_OK) {
        CHECK(used <= size && used <= PROXY_MAX_BYTES);
        for (size_t len = 0; len < used; len++) {
            CHECK(proxy_take(span_head(in, len), &again, &used_again) == PROXY_MORE);
        }
        CHECK(proxy_take(span_head(in, used), &again, &used_again) == PROXY_OK);
        CHECK(used == used_again && header.family == again.family);
        CHECK(memcmp(header.source, again.source, sizeof(again.source)) == 0);
        CHECK(header.source_port == again.source_port);
    }
    if (state == PROXY_MORE) CHECK(size < PROXY_MAX_BYTES);
    return 0;
}

#include "api_state_private.h"

bool api_query_number(struct api_call *call, const char *name, const uint64_t bounds[2],
                      uint64_t *ret)
{
    struct span text = api_query(call, name);
    uint64_t number = 0;
    bool good = text.len <= 18;
    if (text.len == 0) return true;
    for (size_t i = 0; i < text.len && good; i++) {
        good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (!good || number < bounds[0] || number > bounds[1]) {
        api_refuse(call, 400, "Bad parameter", "%s: a number from %llu to %llu", name,
                   (unsigned long long)bounds[0], (unsigned long long)bounds[1]);
        return false;
    }
    *ret = number;
    return true;
}

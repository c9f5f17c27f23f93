/* An address is in the range that it is alone; a range has its ends in it. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "policy_ip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct policy_ip ip;
    struct policy_ip_range range;
    struct err one = policy_ip_parse(text, &ip), many = policy_ip_range_parse(text, &range);
    if (one.code == ERR_OK) {
        CHECK(many.code == ERR_OK);
        CHECK(memcmp(&range.first, &ip, sizeof(ip)) == 0);
        CHECK(memcmp(&range.last, &ip, sizeof(ip)) == 0);
    }
    if (many.code != ERR_OK) return 0;
    CHECK(memcmp(&range.first, &range.last, sizeof(range.first)) <= 0);
    CHECK(policy_ip_is_in(&range.first, &range, 1) && policy_ip_is_in(&range.last, &range, 1));
    CHECK(!policy_ip_is_in(&range.first, &range, 0));
    return 0;
}

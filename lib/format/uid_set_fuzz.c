/* What uid_set_read takes comes out the same, and all ways to ask about a UID agree. */
#include "buf.h"
#include "check.h"
#include "uid_set.h"

#include <stdint.h>

enum { RANGES_MAX = 64, TEXT_BYTES = RANGES_MAX * 22 + 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_queries(const struct uid_set *set, struct span bytes)
{
    size_t walk = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct uid_range range = set->ranges[i];
        uint32_t first = uid_set_position(set, range.first);
        CHECK(uid_set_at(set, first) == range.first || uid_set_count(set) > UINT32_MAX);
        CHECK(uid_set_has(set, range.first) && uid_set_has(set, range.last));
        CHECK(range.first == 1 || !uid_set_has(set, range.first - 1));
        CHECK(uid_set_walk(bytes, &walk, range.first) && uid_set_walk(bytes, &walk, range.last));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uid_set set, copy;
    char text[TEXT_BYTES];
    struct buf out;
    struct span bytes = span_of(data, size);
    uid_set_init(&set, RANGES_MAX);
    uid_set_init(&copy, RANGES_MAX);
    if (uid_set_read(&set, bytes).code == ERR_OK) {
        CHECK(span_eq(uid_set_bytes(&set), bytes));
        check_queries(&set, bytes);
        for (size_t i = set.count; i-- > 0;) {
            CHECK(uid_set_add(&copy, set.ranges[i].first, set.ranges[i].last).code == ERR_OK);
        }
        CHECK(span_eq(uid_set_bytes(&copy), bytes));
        buf_init(&out, text, sizeof(text));
        uid_set_text(&set, &out);
        CHECK(!out.overflow);
        if (set.count > 0) {
            struct uid_range middle = set.ranges[set.count / 2];
            uid_set_remove(&copy, middle.first, middle.last);
            CHECK(copy.count + 1 == set.count);
            CHECK(uid_set_add(&copy, middle.first, middle.last).code == ERR_OK);
            CHECK(span_eq(uid_set_bytes(&copy), bytes));
        }
    }
    uid_set_free(&set);
    uid_set_free(&copy);
    return 0;
}

/* An entry that is read and written is read as the same one. A group that is taken is found by its
 * name and through others; and looking through it ends, whatever it names. */
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "policy_group.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void entry(struct span text)
{
    struct policy_group_entry one, two;
    char bytes[POLICY_IP_TEXT_MAX_BYTES * 2];
    struct buf out;
    if (policy_group_entry_parse(text, &one).code != ERR_OK) return;
    buf_init(&out, bytes, sizeof(bytes));
    policy_group_entry_put(&one, &out);
    CHECK(!out.overflow);
    CHECK(policy_group_entry_parse(buf_span(&out), &two).code == ERR_OK);
    CHECK(span_eq(one.group, two.group));
    CHECK(memcmp(&one.range, &two.range, sizeof(one.range)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char other[] =
        "{\"name\":\"b\",\"entries\":[\"group:a\",\"10.0.0.1\",\"::1\",\"10.0.0.0-10.0.0.9\"]}";
    struct policy_groups *groups;
    struct policy_ip in, out;
    entry(span_of(data, size));
    CHECK(policy_groups_new(&groups).code == ERR_OK);
    CHECK(policy_groups_add(groups, span_of(other, sizeof(other) - 1)).code == ERR_OK);
    struct err err = policy_groups_add(groups, span_of(data, size));
    CHECK(policy_groups_count(groups) == (err.code == ERR_OK ? 2u : 1u));
    policy_groups_seal(groups);
    CHECK(policy_ip_parse(SPAN("10.0.0.9"), &in).code == ERR_OK);
    CHECK(policy_ip_parse(SPAN("10.0.0.10"), &out).code == ERR_OK);
    CHECK(policy_groups_match(groups, SPAN("b"), &in));
    if (!policy_groups_has(groups, SPAN("a"))) CHECK(!policy_groups_match(groups, SPAN("b"), &out));
    else CHECK(policy_groups_lead(groups, SPAN("b"), SPAN("a")));
    policy_groups_free(groups);
    return 0;
}

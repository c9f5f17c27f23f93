/* What is taken for a name is written again as the same bytes; nothing else is. */
#include <stdint.h>

#include "check.h"
#include "rpc_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char again[RPC_URI_MAX_BYTES + 1];
    struct rpc_name name;
    struct span uri = span_of((const char *)data, size);
    if (rpc_name_parse(uri, &name).code != ERR_OK) return 0;
    CHECK(rpc_cluster_is_known(name.cluster) && rpc_name_fits(name.name));
    CHECK(rpc_name_put(&name, again).code == ERR_OK);
    CHECK(span_eq(span_of(again, strlen(again)), uri));
    return 0;
}

#include "rpc_callers.h"

static const struct {
    enum rpc_role caller, server;
} rpc_pairs[] = {
#define RPC_PAIR(caller, server) { RPC_ROLE_##caller, RPC_ROLE_##server },
#include "rpc_callers.def"
};

bool rpc_may_connect(enum rpc_role caller, enum rpc_role server)
{
    for (unsigned i = 0; i < sizeof(rpc_pairs) / sizeof(rpc_pairs[0]); i++) {
        if (rpc_pairs[i].caller == caller && rpc_pairs[i].server == server) return true;
    }
    return false;
}

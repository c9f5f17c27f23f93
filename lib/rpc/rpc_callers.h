/* rpc_callers.h: who may call whom; the table is rpc_callers.def. */
#ifndef MAIL_RPC_CALLERS_H
#define MAIL_RPC_CALLERS_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc_name.h"

#ifdef __cplusplus
extern "C" {
#endif

/* RPC_CALLERS_STORE_ADDRESS_GET and so on: for the rows of a server's methods. */
enum {
#define RPC_METHOD(service, method, callers) RPC_CALLERS_##service##_##method = (int)(callers),
#include "rpc_callers.def"
};

/* Whether a program of one role may open a connection to one of the other. */
bool rpc_may_connect(enum rpc_role caller, enum rpc_role server);

#ifdef __cplusplus
}
#endif
#endif

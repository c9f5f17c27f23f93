// test_self.h: who a program of a test is, in the hellos of RPC.
#ifndef MAIL_TEST_SELF_H
#define MAIL_TEST_SELF_H

#include <gtest/gtest.h>

#include <memory>

#include "rpc.h"

struct test_self_free {
    void operator()(struct rpc_self *self) const { rpc_self_free(self); }
};
using test_self = std::unique_ptr<struct rpc_self, test_self_free>;

inline test_self TestSelf(enum rpc_role role, void (*refused)(void *, const struct rpc_refusal *) = nullptr,
                          void *holder = nullptr)
{
    struct rpc_self *self = nullptr;
    rpc_self_options options = { role, refused, holder };
    EXPECT_EQ(ERR_OK, rpc_self_new(&options, &self).code);
    return test_self(self);
}

#endif

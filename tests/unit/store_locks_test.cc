// The locks that keep two POP3 sessions out of one mailbox.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "store_serve_locks.h"

namespace {

const std::string kAnn(16, 'a'), kBob(16, 'b'), kCid(16, 'c');
span S(const std::string &s) { return span_of(s.data(), s.size()); }

class Locks : public testing::Test {
protected:
    Locks() { serve_locks_init(&locks, 3); }
    ~Locks() override { serve_locks_free(&locks); }

    err_code Take(uint32_t mailbox, const std::string &owner, uint64_t now, uint64_t lease = 60000)
    {
        serve_lock_name name = { 1, mailbox, 77 };
        granted = lease;
        return serve_locks_take(&locks, &name, S(owner), now, &granted).code;
    }
    void Release(uint32_t mailbox, const std::string &owner)
    {
        serve_lock_name name = { 1, mailbox, 77 };
        serve_locks_release(&locks, &name, S(owner));
    }

    serve_locks locks;
    uint64_t granted = 0;
};

TEST_F(Locks, OneOwnerAtATime)
{
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 0));
    EXPECT_EQ(60000u, granted);
    EXPECT_EQ(ERR_CONFLICT, Take(1, kBob, 0));
    EXPECT_EQ(ERR_OK, Take(2, kBob, 0)); // another mailbox
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 0)); // a retry
    Release(1, kBob);                    // not his
    EXPECT_EQ(ERR_CONFLICT, Take(1, kBob, 0));
    Release(1, kAnn);
    EXPECT_EQ(ERR_OK, Take(1, kBob, 0));
    EXPECT_EQ(ERR_CONFLICT, Take(1, kAnn, 0));
    Release(9, kAnn); // nobody has it
}

TEST_F(Locks, TenantAndAccountAreNamesToo)
{
    serve_lock_name name = { 1, 1, 77 };
    uint64_t lease = 60000;
    EXPECT_EQ(ERR_OK, serve_locks_take(&locks, &name, S(kAnn), 0, &lease).code);
    name.tenant = 2;
    EXPECT_EQ(ERR_OK, serve_locks_take(&locks, &name, S(kBob), 0, &lease).code);
    name.tenant = 1;
    name.account = 78;
    EXPECT_EQ(ERR_OK, serve_locks_take(&locks, &name, S(kBob), 0, &lease).code);
    name.account = 77;
    EXPECT_EQ(ERR_CONFLICT, serve_locks_take(&locks, &name, S(kBob), 0, &lease).code);
}

TEST_F(Locks, LeaseRunsOutUnlessRenewed)
{
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 1000));
    EXPECT_EQ(ERR_CONFLICT, Take(1, kBob, 60999));
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 60999)); // renewed
    EXPECT_EQ(ERR_CONFLICT, Take(1, kBob, 120998));
    EXPECT_EQ(ERR_OK, Take(1, kBob, 120999));
    EXPECT_EQ(ERR_CONFLICT, Take(1, kAnn, 120999)); // too late: lost
    Release(1, kAnn);
    EXPECT_EQ(ERR_CONFLICT, Take(1, kAnn, 120999));
}

TEST_F(Locks, ForgottenLockIsTakenAgainByRenewal)
{
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 0));
    serve_locks_free(&locks);
    serve_locks_init(&locks, 3); // another leader
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 20000));
    EXPECT_EQ(ERR_CONFLICT, Take(1, kBob, 20000));
}

TEST_F(Locks, LeasesAreBounded)
{
    const struct { uint64_t asked, granted; } cases[] = {
        { 0, STORE_LOCK_LEASE_MIN_MS }, { 999, STORE_LOCK_LEASE_MIN_MS }, { 1000, 1000 },
        { STORE_LOCK_LEASE_MAX_MS, STORE_LOCK_LEASE_MAX_MS },
        { STORE_LOCK_LEASE_MAX_MS + 1, STORE_LOCK_LEASE_MAX_MS },
        { UINT64_MAX, STORE_LOCK_LEASE_MAX_MS },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(ERR_OK, Take(1, kAnn, 5, c.asked));
        EXPECT_EQ(c.granted, granted) << c.asked;
    }
}

TEST_F(Locks, TableIsBounded)
{
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 0, 10000));
    EXPECT_EQ(ERR_OK, Take(2, kAnn, 0, 60000));
    EXPECT_EQ(ERR_OK, Take(3, kAnn, 0, 60000));
    EXPECT_EQ(ERR_BUSY, Take(4, kBob, 9999));
    EXPECT_EQ(ERR_OK, Take(2, kAnn, 9999)); // those held are renewed all the same
    EXPECT_EQ(ERR_OK, Take(4, kBob, 10000)); // the first has run out
    EXPECT_EQ(ERR_BUSY, Take(1, kAnn, 10000));
    Release(3, kAnn);
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 10000));
    EXPECT_EQ(3u, locks.map.count);
}

TEST_F(Locks, OneBehindALongerLeaseIsGivenAwayAllTheSame)
{
    EXPECT_EQ(ERR_OK, Take(1, kAnn, 0, 600000));
    EXPECT_EQ(ERR_OK, Take(2, kAnn, 0, 1000));
    EXPECT_EQ(ERR_OK, Take(2, kCid, 1000));
    EXPECT_EQ(ERR_CONFLICT, Take(2, kAnn, 1000));
}

TEST_F(Locks, BadNamesAreRefused)
{
    EXPECT_EQ(ERR_SYNTAX, Take(0, kAnn, 0));
    for (size_t bytes : { 0, 1, 15, 17, 1000 }) {
        EXPECT_EQ(ERR_SYNTAX, Take(1, std::string(bytes, 'x'), 0)) << bytes;
        Release(1, std::string(bytes, 'x'));
    }
    EXPECT_EQ(0u, locks.map.count);
}

}  // namespace

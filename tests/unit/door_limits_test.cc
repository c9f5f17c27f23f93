// Connections counted in all and by address, each kind up to its own limit, also by several threads.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "door_limits.h"

namespace {

struct Limits {
    Limits() { EXPECT_EQ(ERR_OK, door_limits_new(&limits).code); }
    ~Limits() { door_limits_free(limits); }
    enum err_code Enter(uint8_t last, enum door_kind kind, uint32_t max, struct door_address **ret)
    {
        const uint8_t ip[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last };
        return door_limits_enter(limits, ip, kind, max, ret).code;
    }
    struct door_limits *limits = nullptr;
};

TEST(DoorLimits, InAll)
{
    for (uint32_t max : { 1u, 2u, 10u }) {
        Limits l;
        for (uint32_t i = 0; i < max; i++) EXPECT_EQ(ERR_OK, door_limits_open(l.limits, max).code);
        EXPECT_EQ(ERR_BUSY, door_limits_open(l.limits, max).code);
        EXPECT_EQ(max, door_limits_count(l.limits));
        EXPECT_EQ(ERR_OK, door_limits_open(l.limits, max + 1).code); /* the option was raised */
        EXPECT_EQ(ERR_BUSY, door_limits_open(l.limits, 1).code);     /* and lowered */
        for (uint32_t i = 0; i < 2; i++) door_limits_close(l.limits);
        EXPECT_EQ(ERR_OK, door_limits_open(l.limits, max).code);
        for (uint32_t i = 0; i < max; i++) door_limits_close(l.limits);
        EXPECT_EQ(0u, door_limits_count(l.limits));
    }
}

TEST(DoorLimits, ByAddressAndKind)
{
    static const struct { uint8_t ip; enum door_kind kind; uint32_t max; enum err_code want; } steps[] = {
        { 1, DOOR_KIND_SMTP, 1, ERR_OK },   { 1, DOOR_KIND_SMTP, 1, ERR_BUSY },
        { 1, DOOR_KIND_IMAP, 2, ERR_OK },   { 1, DOOR_KIND_IMAP, 2, ERR_OK },
        { 1, DOOR_KIND_IMAP, 2, ERR_BUSY }, { 1, DOOR_KIND_HTTP, 1, ERR_OK },
        { 2, DOOR_KIND_SMTP, 1, ERR_OK },   { 2, DOOR_KIND_SMTP, 1, ERR_BUSY },
        { 1, DOOR_KIND_SMTP, 2, ERR_OK },   { 1, DOOR_KIND_SMTP, 1, ERR_BUSY },
        { 3, DOOR_KIND_HTTP, 0, ERR_BUSY },
    };
    Limits l;
    std::vector<std::pair<struct door_address *, enum door_kind>> open;
    for (const auto &step : steps) {
        struct door_address *address = nullptr;
        EXPECT_EQ(step.want, l.Enter(step.ip, step.kind, step.max, &address)) << &step - steps;
        EXPECT_EQ(step.want == ERR_OK, address != nullptr);
        if (address != nullptr) open.emplace_back(address, step.kind);
    }
    for (auto [address, kind] : open) door_limits_leave(l.limits, address, kind);
    door_limits_leave(l.limits, nullptr, DOOR_KIND_SMTP);
    struct door_address *again;
    ASSERT_EQ(ERR_OK, l.Enter(1, DOOR_KIND_SMTP, 1, &again));
    door_limits_leave(l.limits, again, DOOR_KIND_SMTP);
}

TEST(DoorLimits, LoopsShareThem)
{
    constexpr uint32_t kMax = 3;
    Limits l;
    std::vector<std::thread> threads;
    std::atomic<int> most{ 0 }, inside{ 0 }, entered{ 0 };
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] {
            for (int turn = 0; turn < 2000; turn++) {
                struct door_address *address;
                if (l.Enter(1, DOOR_KIND_SMTP, kMax, &address) != ERR_OK) continue;
                int now = ++inside, seen = most;
                while (now > seen && !most.compare_exchange_weak(seen, now)) continue;
                entered++;
                inside--;
                door_limits_leave(l.limits, address, DOOR_KIND_SMTP);
            }
        });
    }
    for (auto &thread : threads) thread.join();
    EXPECT_LE(most, int(kMax));
    EXPECT_GT(entered, 0);
}

} // namespace

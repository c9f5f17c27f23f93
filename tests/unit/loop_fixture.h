// loop_fixture.h: a loop, a private directory that is empty again at the end, and waits with a deadline.
#ifndef MAIL_LOOP_FIXTURE_H
#define MAIL_LOOP_FIXTURE_H

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "body.h"
#include "clock.h"
#include "loop.h"
#include "span.h"

inline struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
inline std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

class LoopTest : public testing::Test {
protected:
    static constexpr uint64_t kPatienceMs = 30000;

    struct loop *loop = nullptr;
    struct body_budget budget = {};
    std::string dir;

    void SetUp() override
    {
        char name[] = "/tmp/godwit_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        budget.memory_bytes_max = 64 << 20;
        budget.file_bytes_max = 512 << 20;
        budget.spill_dir = dir.c_str();
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
    }
    // What a test has open is closed before; nothing may be left of it.
    void TearDown() override
    {
        loop_run(loop);
        loop_free(loop);
        EXPECT_EQ(0u, budget.memory_bytes);
        EXPECT_EQ(0u, budget.file_bytes);
        EXPECT_EQ(0, rmdir(dir.c_str())) << dir;
    }
    void Until(const std::function<bool()> &done, const char *what = "")
    {
        uint64_t end = clock_boot_ms() + kPatienceMs;
        while (!done() && clock_boot_ms() < end) loop_step(loop, 50);
        EXPECT_TRUE(done()) << what;
    }
    void Turn(int times = 20)
    {
        for (int i = 0; i < times; i++) loop_step(loop, 0);
    }
    // A sealed body of these bytes; the caller's.
    struct body *BodyOf(const std::string &bytes)
    {
        struct body *body = nullptr;
        EXPECT_EQ(ERR_OK, body_new(&budget, &body).code);
        EXPECT_EQ(ERR_OK, body_put(body, S(bytes)).code);
        EXPECT_EQ(ERR_OK, body_seal(body).code);
        return body;
    }
    // Bytes that are nowhere like their neighbours.
    static std::string Pattern(size_t size)
    {
        std::string bytes(size, '\0');
        for (size_t i = 0; i < size; i++) bytes[i] = static_cast<char>(i * 31 + i / 251);
        return bytes;
    }
    static std::string BytesOf(struct body *body)
    {
        std::string bytes(body_size(body), '\0');
        body_copy(body, 0, bytes.data(), bytes.size());
        return bytes;
    }
};

#endif

// later, flow, timers, wake, crew, signals, and the loop that turns them.
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "clock.h"
#include "crew.h"
#include "endpoint.h"
#include "flow.h"
#include "later.h"
#include "loop.h"
#include "loop_fixture.h"
#include "signals.h"
#include "timer.h"
#include "wake.h"

namespace {

struct Posted {
    struct later later = {};
    std::function<void()> run;
    static void Run(struct later *later) { reinterpret_cast<Posted *>(later)->run(); }
};

TEST(Later, RunsOnceOnTheNextTurnInOrder)
{
    later_queue queue = {};
    std::string seen;
    Posted a, b, c;
    a.run = [&] { seen += 'a'; later_post(&queue, &c.later, Posted::Run); };
    b.run = [&] { seen += 'b'; };
    c.run = [&] { seen += 'c'; };
    later_post(&queue, &a.later, Posted::Run);
    later_post(&queue, &b.later, Posted::Run);
    EXPECT_EQ("", seen);
    later_turn(&queue);
    EXPECT_EQ("ab", seen);
    EXPECT_FALSE(later_queue_is_empty(&queue));
    later_turn(&queue);
    later_turn(&queue);
    EXPECT_EQ("abc", seen);
    EXPECT_TRUE(later_queue_is_empty(&queue));
}

TEST(Later, CancelTakesItBackAlsoDuringTheTurn)
{
    later_queue queue = {};
    std::string seen;
    Posted a, b, c;
    a.run = [&] { seen += 'a'; later_cancel(&b.later); };
    b.run = [&] { seen += 'b'; };
    c.run = [&] { seen += 'c'; };
    for (auto *posted : { &a, &b, &c }) later_post(&queue, &posted->later, Posted::Run);
    later_turn(&queue);
    EXPECT_EQ("ac", seen);
    later_cancel(&a.later); // has run
    later_post(&queue, &a.later, Posted::Run);
    later_cancel(&a.later);
    EXPECT_TRUE(later_queue_is_empty(&queue));
    later_turn(&queue);
    EXPECT_EQ("ac", seen);
}

// A flow whose steps are ended by the test.
struct Flow {
    struct flow flow = {};
    later_queue queue = {};
    std::string seen;
    static Flow *Of(struct flow *flow) { return reinterpret_cast<Flow *>(flow); }
    static void One(struct flow *flow) { Of(flow)->seen += '1'; }
    static void Two(struct flow *flow) { Of(flow)->seen += '2'; flow_next(flow, err_ok()); }
    static void Finish(struct flow *flow, struct err err)
    {
        Of(flow)->seen += err.code == ERR_OK ? "." : "!";
    }
};

TEST(Flow, StepsComeInOrderAndAnErrorEndsIt)
{
    const flow_step steps[] = { { "one", Flow::One }, { "two", Flow::Two }, { nullptr, nullptr } };
    for (bool fails : { false, true }) {
        Flow flow;
        flow_start(&flow.flow, &flow.queue, steps, Flow::Finish);
        EXPECT_EQ("", flow.seen);
        later_turn(&flow.queue);
        EXPECT_EQ("1", flow.seen);
        later_turn(&flow.queue);
        EXPECT_EQ("1", flow.seen); // waits until somebody knows
        flow_next(&flow.flow, fails ? err_make(ERR_IO, "test") : err_ok());
        for (int i = 0; i < 4; i++) later_turn(&flow.queue);
        EXPECT_EQ(fails ? "1!" : "12.", flow.seen);
    }
}

class Loop : public LoopTest {
protected:
    static uint64_t CpuUs()
    {
        rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        return static_cast<uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
               static_cast<uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
};

TEST_F(Loop, ReturnsWhenNothingIsLeft)
{
    loop_run(loop);
    int runs = 0;
    Posted again;
    again.run = [&] {
        if (++runs < 100) later_post(loop_later(loop), &again.later, Posted::Run);
    };
    later_post(loop_later(loop), &again.later, Posted::Run);
    loop_run(loop);
    EXPECT_EQ(100, runs);
}

TEST_F(Loop, StopReturnsAlthoughSomethingIsHeld)
{
    loop_hold(loop);
    Posted stop;
    stop.run = [&] { loop_stop(loop); };
    later_post(loop_later(loop), &stop.later, Posted::Run);
    loop_run(loop);
    loop_release(loop);
}

struct Due {
    struct timer timer = {};
    std::function<void()> run;
    static void Run(void *holder) { static_cast<Due *>(holder)->run(); }
};

TEST_F(Loop, TimersComeInTheirOrderAndNotBeforeTheirTime)
{
    std::vector<std::unique_ptr<Due>> timers;
    std::vector<uint64_t> waits;
    std::mt19937 random(7);
    uint64_t begin = loop_now_ms(loop), last_due = 0;
    unsigned heard = 0;
    for (int i = 0; i < 1000; i++) {
        timers.push_back(std::make_unique<Due>());
        auto *timer = timers.back().get();
        timer->run = [&, timer] {
            EXPECT_GE(timer->timer.due_ms, last_due);
            EXPECT_LE(timer->timer.due_ms, loop_now_ms(loop));
            EXPECT_FALSE(timer_is_armed(&timer->timer));
            last_due = timer->timer.due_ms;
            heard++;
        };
        timer_start(loop, &timer->timer, random() % 100, Due::Run, timer);
    }
    // A third is stopped, a third is moved: put off, or brought forward.
    for (size_t i = 0; i < timers.size(); i += 3) timer_stop(&timers[i]->timer);
    for (size_t i = 1; i < timers.size(); i += 3) {
        timer_start(loop, &timers[i]->timer, random() % 150, Due::Run, timers[i].get());
    }
    loop_run(loop);
    EXPECT_EQ(666u, heard);
    EXPECT_LE(last_due, begin + 150);
}

TEST_F(Loop, ATimerPutOffAgainAndAgainDoesNotCome)
{
    bool late = false;
    int commands = 0;
    Due idle, command;
    idle.run = [&] { late = true; };
    command.run = [&] {
        timer_start(loop, &idle.timer, 40, Due::Run, &idle);
        if (++commands < 20) timer_start(loop, &command.timer, 5, Due::Run, &command);
    };
    timer_start(loop, &idle.timer, 40, Due::Run, &idle);
    timer_start(loop, &command.timer, 5, Due::Run, &command);
    Until([&] { return commands == 20; });
    EXPECT_FALSE(late);
    uint64_t begin = clock_boot_ms();
    Until([&] { return late; });
    EXPECT_GE(clock_boot_ms(), begin + 35);
}

TEST_F(Loop, TimersMayBeStoppedAndArmedFromTimers)
{
    int heard = 0;
    Due a, b;
    a.run = [&] { timer_stop(&b.timer); heard++; };
    b.run = [&] { timer_stop(&a.timer); heard++; };
    timer_start(loop, &a.timer, 1, Due::Run, &a);
    timer_start(loop, &b.timer, 1, Due::Run, &b);
    loop_run(loop);
    EXPECT_EQ(1, heard); // whichever was first took the other back
    Due again;
    again.run = [&] {
        if (++heard < 5) timer_start(loop, &again.timer, 0, Due::Run, &again);
    };
    timer_start(loop, &again.timer, 0, Due::Run, &again);
    loop_run(loop);
    EXPECT_EQ(5, heard);
    timer_start(loop, &again.timer, UINT64_MAX, Due::Run, &again); // no overflow
    EXPECT_TRUE(timer_is_armed(&again.timer));
    timer_stop(&again.timer);
}

TEST_F(Loop, AnIdleLoopUsesNoCpu)
{
    Due end, far;
    far.run = [] {};
    end.run = [&] { timer_stop(&far.timer); };
    timer_start(loop, &far.timer, 1000000, Due::Run, &far);
    timer_start(loop, &end.timer, 300, Due::Run, &end);
    uint64_t before = CpuUs();
    loop_run(loop);
    EXPECT_LT(CpuUs() - before, 20000u);
}

struct Woken {
    struct wake wake = {};
    std::function<void()> run;
    static void Run(struct wake *wake) { reinterpret_cast<Woken *>(wake)->run(); }
};

TEST_F(Loop, WorkOfOtherThreadsComesOnTheLoopInOrder)
{
    constexpr int kThreads = 4, kEach = 2000;
    auto here = std::this_thread::get_id();
    std::vector<std::vector<Woken>> work(kThreads);
    std::vector<int> last(kThreads, -1);
    int heard = 0;
    for (int t = 0; t < kThreads; t++) {
        work[t] = std::vector<Woken>(kEach);
        for (int i = 0; i < kEach; i++) {
            work[t][i].run = [&, t, i] {
                EXPECT_EQ(here, std::this_thread::get_id());
                EXPECT_EQ(last[t] + 1, i);
                last[t] = i;
                heard++;
                loop_release(loop);
            };
            loop_hold(loop);
        }
    }
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            for (auto &woken : work[t]) wake_post(loop, &woken.wake, Woken::Run);
        });
    }
    loop_run(loop);
    for (auto &thread : threads) thread.join();
    EXPECT_EQ(kThreads * kEach, heard);
}

struct Job {
    struct crew_job job = {};
    std::function<void()> run, done;
    explicit Job(struct loop *loop)
    {
        job.run = [](struct crew_job *at) { reinterpret_cast<Job *>(at)->run(); };
        job.done = [](struct crew_job *at) { reinterpret_cast<Job *>(at)->done(); };
        job.loop = loop;
    }
};

TEST_F(Loop, ACrewWorksElsewhereAndAnswersHere)
{
    struct crew *crew;
    ASSERT_EQ(ERR_OK, crew_new("test", 3, 10000, &crew).code);
    auto here = std::this_thread::get_id();
    std::vector<std::unique_ptr<Job>> jobs;
    std::atomic<int> ran{ 0 };
    int done = 0;
    for (int i = 0; i < 5000; i++) {
        jobs.push_back(std::make_unique<Job>(loop));
        jobs.back()->run = [&] { if (std::this_thread::get_id() != here) ran++; };
        jobs.back()->done = [&] { EXPECT_EQ(here, std::this_thread::get_id()); done++; };
        ASSERT_EQ(ERR_OK, crew_run(crew, &jobs.back()->job).code);
    }
    EXPECT_EQ(0, done);
    loop_run(loop); // goes on until all have answered
    EXPECT_EQ(5000, done);
    EXPECT_EQ(5000, ran);
    crew_free(crew);
}

TEST_F(Loop, ACrewWhoseQueueIsFullIsBusy)
{
    struct crew *crew;
    ASSERT_EQ(ERR_OK, crew_new("a name longer than a thread's may be", 1, 2, &crew).code);
    std::atomic<bool> begun{ false }, go{ false };
    int done = 0;
    std::vector<std::unique_ptr<Job>> jobs;
    for (int i = 0; i < 4; i++) {
        jobs.push_back(std::make_unique<Job>(loop));
        jobs[i]->run = [&] { begun = true; while (!go) std::this_thread::yield(); };
        jobs[i]->done = [&] { done++; };
    }
    ASSERT_EQ(ERR_OK, crew_run(crew, &jobs[0]->job).code);
    while (!begun) std::this_thread::yield(); // it is off the queue
    EXPECT_EQ(ERR_OK, crew_run(crew, &jobs[1]->job).code);
    EXPECT_EQ(ERR_OK, crew_run(crew, &jobs[2]->job).code);
    EXPECT_EQ(ERR_BUSY, crew_run(crew, &jobs[3]->job).code);
    go = true;
    crew_free(crew); // what was queued is done before it ends
    loop_run(loop);
    EXPECT_EQ(3, done);
    crew_free(nullptr);
}

TEST_F(Loop, SignalsAreEvents)
{
    struct signals *signals;
    std::vector<int> heard;
    ASSERT_EQ(ERR_OK, signals_open(loop, [](void *holder, int number) {
        static_cast<std::vector<int> *>(holder)->push_back(number);
    }, &heard, &signals).code);
    loop_run(loop); // signals alone do not keep it running
    for (int number : { SIGHUP, SIGTERM, SIGINT }) {
        heard.clear();
        kill(getpid(), number);
        Until([&] { return !heard.empty(); });
        EXPECT_EQ(std::vector<int>{ number }, heard);
    }
    signals_close(signals);
    signals_close(nullptr);
}

TEST(Endpoint, ReadsWhatItWritesAndNothingElse)
{
    const struct { const char *text, *again; uint16_t port; } good[] = {
        { "192.0.2.1:25", "192.0.2.1:25", 25 },
        { "0.0.0.0:0", "0.0.0.0:0", 0 },
        { "127.0.0.1:65535", "127.0.0.1:65535", 65535 },
        { "[2001:DB8::1]:143", "[2001:db8::1]:143", 143 },
        { "[::]:1", "[::]:1", 1 },
        { "[::ffff:192.0.2.1]:25", "192.0.2.1:25", 25 },
    };
    char text[ENDPOINT_TEXT_BYTES];
    struct endpoint endpoint;
    for (const auto &c : good) {
        ASSERT_EQ(ERR_OK, endpoint_parse(S(c.text), &endpoint).code) << c.text;
        EXPECT_EQ(c.port, endpoint.port);
        struct span out = endpoint_text(&endpoint, text);
        EXPECT_EQ(c.again, std::string(out.ptr, out.len));
    }
    for (const std::string &bad : { std::string(""), std::string(":25"), std::string("192.0.2.1"),
             std::string("192.0.2.1:"), std::string("192.0.2.1:65536"), std::string("192.0.2.1:+5"),
             std::string("192.0.2.1:25 "), std::string(" 192.0.2.1:25"), std::string("192.0.2:25"),
             std::string("::1:25"), std::string("[::1]"), std::string("[::1]25"), std::string("[::1:25"),
             std::string("[192.0.2.1]:25"), std::string("[::1%lo]:25"), std::string("localhost:25"),
             std::string("192.0.2.1:000025"), std::string("192.0.2.1\0:25", 13),
             std::string(200, '1') + ":25" }) {
        EXPECT_EQ(ERR_SYNTAX, endpoint_parse(S(bad), &endpoint).code) << bad;
    }
}

TEST(Endpoint, SameAddressWhateverThePort)
{
    struct endpoint a, b, c;
    ASSERT_EQ(ERR_OK, endpoint_parse(SPAN("192.0.2.1:25"), &a).code);
    ASSERT_EQ(ERR_OK, endpoint_parse(SPAN("[::ffff:192.0.2.1]:99"), &b).code);
    ASSERT_EQ(ERR_OK, endpoint_parse(SPAN("192.0.2.2:25"), &c).code);
    EXPECT_TRUE(endpoint_same_ip(&a, &b));
    EXPECT_FALSE(endpoint_same_ip(&a, &c));
}

TEST(Endpoint, OfSixteenBytes)
{
    static const struct { uint8_t ip[16]; int kind; const char *text; } rows[] = {
        { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1 }, ENDPOINT_IP4, "192.0.2.1" },
        { { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, ENDPOINT_IP6, "2001:db8::1" },
        { { 0 }, ENDPOINT_IP6, "::" },
        { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 192, 0, 2, 1 }, ENDPOINT_IP6, "::1:ffff:c000:201" },
    };
    for (const auto &row : rows) {
        char text[ENDPOINT_TEXT_BYTES];
        struct endpoint made = endpoint_of_ip(row.ip);
        EXPECT_EQ(row.kind, made.kind) << row.text;
        EXPECT_STREQ(row.text, endpoint_ip_text(&made, text).ptr);
    }
}

}  // namespace

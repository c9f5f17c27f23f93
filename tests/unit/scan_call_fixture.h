// Scripted scanners and a pool that asks them, for the tests of scan_call and of the scanner.
#ifndef MAIL_SCAN_CALL_FIXTURE_H
#define MAIL_SCAN_CALL_FIXTURE_H

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "body.h"
#include "buf.h"
#include "clock.h"
#include "coord.h"
#include "engines.h"
#include "loop.h"
#include "metrics.h"
#include "metrics_text.h"
#include "rpc.h"
#include "rpc_server.h"
#include "scan_balance.h"
#include "scan_call.h"
#include "scan_mail.h"
#include "scan_msg.h"
#include "scan_serve.h"
#include "test_self.h"

namespace {

namespace fs = std::filesystem;
constexpr uint64_t kPatienceMs = 30000;

struct Call {
    struct scan_call *call = nullptr;
    unsigned dones = 0;
    struct err err = {};
    uint32_t verdict = 0;
    std::string name, part, file;
    std::function<void()> then;

    static void Done(void *holder, struct err err, const struct scan_scan_reply *reply)
    {
        auto *self = static_cast<Call *>(holder);
        self->dones++;
        self->err = err;
        EXPECT_EQ(err.code == ERR_OK, reply != nullptr);
        if (reply != nullptr) {
            self->verdict = reply->verdict;
            if (reply->findings_count > 0) {
                const auto &finding = reply->findings[0];
                self->name.assign(finding.name.ptr, finding.name.len);
                self->part.assign(finding.part.ptr ? finding.part.ptr : "", finding.part.len);
                self->file.assign(finding.file_name.ptr ? finding.file_name.ptr : "", finding.file_name.len);
            }
        }
        if (self->then) self->then();
    }
};

// A scanner that does what the test says.
struct Fake {
    struct rpc_server *server = nullptr;
    std::string address;
    std::vector<struct rpc_serving *> scans, watches;
    std::function<void(Fake *, struct rpc_serving *)> on_scan;
    bool ready = true, closed = false, is_stopped = false;
    uint32_t workers = 2, busy = 0;
    std::vector<rpc_service_row> rows;
    test_self self = TestSelf(RPC_ROLE_SCANNER);

    void Tell(struct rpc_serving *serving)
    {
        struct scan_capacity_reply reply = {};
        reply.workers = workers;
        reply.busy = busy;
        reply.ready = ready;
        rpc_put_reply(serving, &reply);
    }
    void TellAll()
    {
        for (auto *serving : watches) {
            if (!rpc_serving_cancelled(serving)) Tell(serving);
        }
    }
    static void Scan(void *holder, struct rpc_serving *serving)
    {
        auto *self = static_cast<Fake *>(holder);
        self->scans.push_back(serving);
        if (self->on_scan) self->on_scan(self, serving);
    }
    static void Capacity(void *holder, struct rpc_serving *serving)
    {
        auto *self = static_cast<Fake *>(holder);
        self->watches.push_back(serving);
        if (!self->is_stopped) self->Tell(serving);
    }
    static void Closed(void *holder) { static_cast<Fake *>(holder)->closed = true; }
    void Open(struct loop *loop, struct body_budget *budget, const std::string &at)
    {
        address = at;
        closed = false;
        rows = { { SCAN_METHOD_SCAN, RPC_ROLE_FRONTEND, Scan },
                 { SCAN_METHOD_CAPACITY, RPC_ROLE_FRONTEND, Capacity } };
        struct rpc_server_options options = {};
        const char *addresses[] = { address.c_str() };
        options.addresses = addresses;
        options.addresses_count = 1;
        options.self = self.get();
        options.methods = scan_methods;
        options.methods_count = SCAN_METHODS;
        options.rows = rows.data();
        options.rows_count = unsigned(rows.size());
        options.holder = this;
        options.budget = budget;
        options.closed = Closed;
        ASSERT_EQ(ERR_OK, rpc_server_open(loop, &options, &server).code);
    }
    void Close()
    {
        if (server == nullptr) return;
        auto *closing = server;
        server = nullptr;
        rpc_server_close(closing);
        for (auto *serving : scans) rpc_finish(serving, err_make(ERR_CANCELLED, "test"), span_of(nullptr, 0));
        for (auto *serving : watches) rpc_finish(serving, err_make(ERR_CANCELLED, "test"), span_of(nullptr, 0));
        scans.clear();
        watches.clear();
    }
    void Answer(uint32_t verdict)
    {
        struct scan_scan_reply reply = {};
        reply.verdict = verdict;
        rpc_put_reply(scans.front(), &reply);
        rpc_finish(scans.front(), err_ok(), span_of(nullptr, 0));
        scans.erase(scans.begin());
    }
    void Fail(enum err_code code)
    {
        rpc_finish(scans.front(), err_make(code, "test"), span_of(nullptr, 0));
        scans.erase(scans.begin());
    }
};

class ScanCall : public testing::Test {
protected:
    struct loop *loop = nullptr;
    struct scan_pool *pool = nullptr;
    struct body *body = nullptr;
    struct body_budget budget = {};
    std::string dir;
    Fake fakes[3];
    unsigned opened = 0;
    struct scan_pool_options options = {};
    test_self self = TestSelf(RPC_ROLE_FRONTEND), scanner_self = TestSelf(RPC_ROLE_SCANNER);

    void SetUp() override
    {
        char name[] = "/tmp/scan_call_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        chmod(name, 0755);
        budget.memory_bytes_max = 64 << 20;
        budget.file_bytes_max = 256 << 20;
        budget.spill_dir = dir.c_str();
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        body = Body("Subject: x\r\n\r\nx\r\n");
    }
    struct body *Body(const std::string &text)
    {
        struct body *made;
        EXPECT_EQ(ERR_OK, body_new(&budget, &made).code);
        EXPECT_EQ(ERR_OK, body_put(made, span_of(text.data(), text.size())).code);
        EXPECT_EQ(ERR_OK, body_seal(made).code);
        return made;
    }
    void Open(unsigned count)
    {
        for (unsigned i = 0; i < count; i++) {
            fakes[i].Open(loop, &budget, "unix:" + dir + "/" + std::to_string(i));
        }
        opened = count;
        std::vector<const char *> addresses;
        for (unsigned i = 0; i < count; i++) addresses.push_back(fakes[i].address.c_str());
        OpenPool(addresses);
        ASSERT_TRUE(Until([&] {
            unsigned told = 0;
            for (unsigned i = 0; i < count; i++) told += !fakes[i].watches.empty();
            unsigned ready = 0;
            for (unsigned i = 0; i < count; i++) ready += fakes[i].ready;
            return told == count && scan_pool_ready(pool) == ready;
        }));
    }
    void OpenPool(const std::vector<const char *> &addresses)
    {
        options.addresses = addresses.data();
        options.addresses_count = unsigned(addresses.size());
        options.self = self.get();
        ASSERT_EQ(ERR_OK, scan_pool_new(loop, &options, &pool).code);
    }
    // These of the fakes are the pool from now on.
    void SetPool(const std::vector<unsigned> &which)
    {
        std::vector<struct span> addresses;
        for (unsigned i : which) addresses.push_back(span_of(fakes[i].address.data(), fakes[i].address.size()));
        ASSERT_EQ(ERR_OK, scan_pool_set(pool, addresses.data(), unsigned(addresses.size())).code);
    }
    void TearDown() override
    {
        scan_pool_free(pool);
        for (auto &fake : fakes) {
            bool open = fake.server != nullptr;
            fake.Close();
            EXPECT_TRUE(Until([&] { return !open || fake.closed; }));
        }
        body_unref(body);
        loop_run(loop);
        loop_free(loop);
        EXPECT_EQ(0u, budget.memory_bytes);
        fs::remove_all(dir);
    }
    bool Until(const std::function<bool()> &is)
    {
        uint64_t end_ms = clock_boot_ms() + kPatienceMs;
        while (!is()) {
            if (clock_boot_ms() > end_ms) return false;
            loop_step(loop, 20);
        }
        return true;
    }
    void Start(Call *call, struct body *what = nullptr)
    {
        struct scan_call_request request = {};
        request.sender = SPAN("a@example.org");
        struct body *scanned = what == nullptr ? body : what;
        ASSERT_EQ(ERR_OK, scan_call_start(pool, &request, scanned, Call::Done, call, &call->call).code);
        EXPECT_EQ(0u, call->dones); // never within the start
    }
    Fake *Asked()
    {
        Fake *asked = nullptr;
        EXPECT_TRUE(Until([&] {
            for (auto &fake : fakes) {
                if (!fake.scans.empty()) asked = &fake;
            }
            return asked != nullptr;
        }));
        return asked;
    }
    bool Ended(Call *call)
    {
        return Until([&] { return call->dones > 0; }) && call->dones == 1;
    }
};

}  // namespace

#endif

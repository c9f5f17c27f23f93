// admin_peer.h: a program of the cluster that answers the calls of admin.proto as a test says.
#ifndef MAIL_ADMIN_PEER_H
#define MAIL_ADMIN_PEER_H

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "admin_msg.h"
#include "body.h"
#include "loop_fixture.h"
#include "rpc_callers.h"
#include "rpc_server.h"
#include "test_self.h"

class admin_peer {
public:
    struct Asked { std::string name; uint64_t after; uint32_t lines; };
    std::vector<Asked> asked;
    std::function<std::string(const Asked &)> answer = [](const Asked &) { return R"({"events":[],"missed":false,"next":1})"; };
    enum err_code code = ERR_OK; // how a call ends
    bool silent = false;         // no call ends before Release()
    std::string address;

    admin_peer(struct loop *loop, const std::string &path, enum rpc_role role) : address("unix:" + path), self_(TestSelf(role))
    {
        static const rpc_service_row row = { ADMIN_METHOD_LOG_RECENT, RPC_CALLERS_ADMIN_LOG_RECENT, Serve };
        const char *addresses[] = { address.c_str() };
        rpc_server_options options = {};
        options.addresses = addresses;
        options.addresses_count = 1;
        options.self = self_.get();
        options.methods = admin_methods;
        options.methods_count = ADMIN_METHODS;
        options.rows = &row;
        options.rows_count = 1;
        options.holder = this;
        options.budget = &budget_;
        options.closed = [](void *holder) { static_cast<admin_peer *>(holder)->closed_ = true; };
        EXPECT_EQ(ERR_OK, rpc_server_open(loop, &options, &server_).code);
    }
    // Before the loop ends; `step` turns it.
    template <class Step> void Close(Step step)
    {
        Release();
        rpc_server_close(server_);
        while (!closed_) step();
        server_ = nullptr;
    }
    void Release()
    {
        for (auto *serving : held_) rpc_finish(serving, err_make(ERR_CANCELLED, "test"), SPAN(""));
        held_.clear();
    }

private:
    static void Serve(void *holder, struct rpc_serving *serving)
    {
        auto *peer = static_cast<admin_peer *>(holder);
        auto *request = static_cast<const admin_log_recent_request *>(rpc_serving_request(serving));
        peer->asked.push_back({ Str(request->name), request->after, request->lines });
        if (peer->silent) {
            peer->held_.push_back(serving);
            return;
        }
        std::string text = peer->answer(peer->asked.back());
        admin_log_recent_reply reply = { S(text) };
        if (peer->code == ERR_OK) rpc_put_reply(serving, &reply);
        rpc_finish(serving, err_make(peer->code, "test"), SPAN(""));
    }

    test_self self_;
    body_budget budget_ = {};
    struct rpc_server *server_ = nullptr;
    std::vector<struct rpc_serving *> held_;
    bool closed_ = false;
};

#endif

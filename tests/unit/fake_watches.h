// fake_watches.h: the open QueueWatch calls of a fake storage node: each hears when a shard's next
// entry is due, and again whenever that changes.
#ifndef MAIL_FAKE_WATCHES_H
#define MAIL_FAKE_WATCHES_H

#include <cstdint>
#include <vector>

#include "rpc.h"
#include "store_msg.h"

class fake_watches {
public:
    explicit fake_watches(unsigned shards) : told_(shards, 0) {}
    void Add(struct rpc_serving *serving)
    {
        open_.push_back(serving);
        rpc_serving_on_cancel(serving, Cancelled, this);
        for (unsigned shard = 0; shard < told_.size(); shard++) {
            store_queue_watch_reply reply{ shard, told_[shard] };
            if (told_[shard] != 0) rpc_put_reply(serving, &reply);
        }
    }
    void Tell(unsigned shard, uint64_t due_ms)
    {
        if (due_ms == told_[shard]) return;
        told_[shard] = due_ms;
        store_queue_watch_reply reply{ shard, due_ms };
        for (auto *serving : open_) rpc_put_reply(serving, &reply);
    }
    // Ends them all.
    void Close(err_code code = ERR_CANCELLED)
    {
        auto gone = open_;
        open_.clear();
        for (auto *serving : gone) End(serving, code);
    }
    unsigned shards() const { return unsigned(told_.size()); }

private:
    std::vector<struct rpc_serving *> open_;
    std::vector<uint64_t> told_;

    static void End(struct rpc_serving *serving, err_code code)
    {
        rpc_finish(serving, err_make(code, "test"), SPAN(""));
    }
    static void Cancelled(void *holder)
    {
        auto &open = static_cast<fake_watches *>(holder)->open_;
        for (size_t i = 0; i < open.size();) {
            auto *serving = open[i];
            if (!rpc_serving_cancelled(serving)) {
                i++;
                continue;
            }
            open.erase(open.begin() + long(i));
            End(serving, ERR_CANCELLED);
        }
    }
};

#endif

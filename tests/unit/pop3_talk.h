// A POP3 session with a store, a lock and a client of its own, all in memory.
#ifndef POP3_TALK_H
#define POP3_TALK_H

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "buf.h"
#include "login_sasl.h"
#include "mail_stream.h"
#include "pop3_session.h"
#include "store_msg.h"
#include "uid_set.h"

namespace pop3_talk {

inline struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
inline std::string Str(struct span s) { return s.len == 0 ? "" : std::string(s.ptr, s.len); }

struct Message {
    uint32_t uid;
    std::string text;
    bool is_gone = false;
};

struct Store {
    std::vector<Message> messages;
    uint32_t mailbox = 3, uidvalidity = 1700000000;
    uint32_t claims = 0;       // more messages than there are, said by MailboxOpen
    bool locked = false, locked_by_other = false;
    unsigned locks = 0, unlocks = 0, fetches = 0, cancelled = 0;
    std::vector<std::string> expunges; // "3,5:6 id"
    // What goes wrong, once: a method of store.proto, or none.
    unsigned fail_method = 0;
    enum err_code fail_code = ERR_OK, lock_code = ERR_OK, login_code = ERR_OK, tls_code = ERR_OK;
    std::string data_instead;  // of a Fetch
    bool has_data_instead = false;
    size_t data_cut = SIZE_MAX; // the data of a Fetch breaks off

    void Add(const std::string &text)
    {
        messages.push_back({ messages.empty() ? 1 : messages.back().uid + 2, text });
    }
};

// How input, output and the store's data are cut.
struct Cut {
    size_t in = SIZE_MAX, out = 64 * 1024, data = SIZE_MAX;
};

class Client {
public:
    explicit Client(Store *store, Cut cut = Cut(), bool tls = true, bool plain_login = false,
                    uint32_t failures_max = 3)
        : store_(store), cut_(cut), bytes_(cut.out, '\0')
    {
        buf_init(&out_, bytes_.data(), bytes_.size());
        EXPECT_EQ(ERR_OK, login_sasl_new(&sasl_).code);
        options_.holder = this;
        options_.operation_id = [](void *, uint64_t wall_ms, uint8_t id[16]) {
            EXPECT_EQ(1000u, wall_ms);
            memset(id, 7, 16);
        };
        options_.unpack_new = UnpackNew;
        options_.unpack = Unpack;
        options_.unpack_is_done = [](void *, const void *unpack) {
            return static_cast<const struct Unpacked *>(unpack)->left == 0;
        };
        options_.unpack_free = [](void *holder, void *unpack) {
            static_cast<Client *>(holder)->unpacks--;
            delete static_cast<struct Unpacked *>(unpack);
        };
        options_.sasl = sasl_;
        options_.name = SPAN("Godwit");
        options_.stls = true;
        options_.login_without_tls = plain_login;
        EXPECT_EQ(ERR_OK, pop3_session_new(&options_, tls, failures_max, &out_, &session).code);
    }
    ~Client()
    {
        pop3_session_free(session);
        EXPECT_EQ(0, unpacks);
        login_sasl_free(sasl_);
    }

    // What was said since the last time.
    std::string Take()
    {
        Flush();
        std::string said;
        said.swap(said_);
        return said;
    }

    // Sends `in` and returns what is said to it.
    std::string Say(const std::string &in)
    {
        input_ += in;
        size_t shown = 0;
        Settle();
        while (!closed) {
            size_t used = pop3_session_feed(session, span_of(input_.data(), shown), 1000, &out_);
            EXPECT_LE(used, shown);
            input_.erase(0, used);
            shown -= used;
            Settle();
            if (used > 0) continue;
            if (shown == input_.size()) break;
            shown += std::min(cut_.in, input_.size() - shown);
        }
        return Take();
    }

    void End()
    {
        pop3_session_end(session, POP3_END_SHUTDOWN, &out_);
        Settle();
    }

    struct pop3_session *session = nullptr;
    bool closed = false;
    unsigned tls_started = 0;
    int unpacks = 0;
    size_t stops = 0;

private:
    struct Unpacked {
        uint64_t left;
    };

    static struct err UnpackNew(void *holder, uint64_t bytes, void **ret)
    {
        if (bytes == 0) return err_make(ERR_CORRUPT, "stored body");
        static_cast<Client *>(holder)->unpacks++;
        *ret = new Unpacked{ bytes - 1 };
        return err_ok();
    }

    // A stored body is its octets and a "$"; a NUL in it is damage.
    static struct err Unpack(void *, void *unpack, struct span *in, struct buf *out)
    {
        auto *unpacked = static_cast<Unpacked *>(unpack);
        size_t len = std::min({ in->len, out->size - out->len, size_t(unpacked->left) });
        struct span part = span_head(*in, len);
        *in = span_skip(*in, len);
        if (len > 0 && memchr(part.ptr, 0, len) != nullptr) return err_make(ERR_CORRUPT, "body");
        buf_put(out, part);
        unpacked->left -= len;
        return err_ok();
    }

    void Flush()
    {
        EXPECT_FALSE(out_.overflow);
        said_.append(out_.bytes, out_.len);
        out_.len = 0;
    }

    void Settle()
    {
        struct pop3_wish wish;
        for (unsigned steps = 0; steps < 1000000 && !closed; steps++) {
            Flush();
            if (pop3_session_is_stopped(session)) {
                stops++;
                pop3_session_resume(session, &out_);
            } else if (pop3_session_wish(session, &wish)) {
                Fulfil(wish);
            } else {
                return;
            }
        }
    }

    void Fulfil(const struct pop3_wish &wish)
    {
        struct err err = err_ok();
        switch (wish.kind) {
        case POP3_WISH_START_TLS: err = Make(&store_->tls_code); tls_started++; break;
        case POP3_WISH_LOGIN: err = LogIn(wish); break;
        case POP3_WISH_CALL: err = Call(wish); break;
        case POP3_WISH_LOCK: err = Lock(wish); break;
        case POP3_WISH_UNLOCK: store_->unlocks++; store_->locked = false; break;
        case POP3_WISH_CLOSE: closed = true; return;
        case POP3_WISH_NOTHING: ADD_FAILURE(); return;
        }
        Flush();
        pop3_session_done(session, err, &out_);
    }

    static struct err Make(enum err_code *code)
    {
        enum err_code now = *code;
        *code = ERR_OK;
        return now == ERR_OK ? err_ok() : err_make(now, "planted");
    }

    struct err LogIn(const struct pop3_wish &wish)
    {
        if (store_->login_code != ERR_OK) return Make(&store_->login_code);
        if (Str(wish.user) != "alice") return err_make(ERR_DENIED, "log-in");
        auto password = Str(wish.password);
        if (password != "secret" && password != "two words " && password != "gr\xc3\xbc\xc3\x9f") {
            return err_make(ERR_DENIED, "log-in");
        }
        struct pop3_identity identity = { 5, 77 };
        pop3_session_identity(session, &identity);
        return err_ok();
    }

    struct err Lock(const struct pop3_wish &wish)
    {
        EXPECT_EQ(store_->mailbox, wish.mailbox);
        if (store_->lock_code != ERR_OK) return Make(&store_->lock_code);
        if (store_->locked_by_other) return err_make(ERR_CONFLICT, "lock");
        store_->locked = true;
        store_->locks++;
        return err_ok();
    }

    struct err Call(const struct pop3_wish &wish)
    {
        if (store_->fail_code != ERR_OK && store_->fail_method == wish.method) {
            return Make(&store_->fail_code);
        }
        if (wish.method == STORE_METHOD_MAILBOX_OPEN) {
            auto *request = static_cast<const store_mailbox_open_request *>(wish.request);
            EXPECT_EQ("INBOX", Str(request->name));
            EXPECT_EQ(77u, request->account);
            EXPECT_EQ(5u, request->tenant);
            EXPECT_FALSE(request->claim_recent);
            store_mailbox_open_reply reply = {};
            reply.mailbox.id = store_->mailbox;
            reply.mailbox.uidvalidity = store_->uidvalidity;
            reply.mailbox.messages = uint32_t(store_->messages.size()) + store_->claims;
            pop3_session_reply(session, &reply);
            return err_ok();
        }
        EXPECT_TRUE(store_->locked);
        if (wish.method == STORE_METHOD_FETCH) {
            return Fetch(*static_cast<const store_fetch_request *>(wish.request));
        }
        EXPECT_EQ(unsigned(STORE_METHOD_EXPUNGE), wish.method);
        return Expunge(*static_cast<const store_expunge_request *>(wish.request));
    }

    struct err Fetch(const store_fetch_request &request)
    {
        std::string data;
        size_t at = 0;
        store_->fetches++;
        EXPECT_EQ(store_->mailbox, request.mailbox);
        for (const auto &message : store_->messages) {
            if (message.is_gone) continue;
            if (request.uids.len > 0 && !uid_set_walk(request.uids, &at, message.uid)) continue;
            data += Record(message, request.items);
        }
        if (store_->has_data_instead) data = store_->data_instead;
        store_->has_data_instead = false;
        bool is_cut = store_->data_cut < data.size();
        if (is_cut) data.resize(store_->data_cut);
        store_->data_cut = SIZE_MAX;
        if (Show(data)) {
            store_->cancelled++;
            return err_make(ERR_CANCELLED, "call");
        }
        if (is_cut) return err_make(ERR_UNKNOWN, "the answer broke off");
        store_fetch_reply reply = {};
        pop3_session_reply(session, &reply);
        return err_ok();
    }

    static std::string Record(const Message &message, uint32_t items)
    {
        std::string stored = message.text + "$";
        struct mail_record record = {};
        record.items = uint8_t(items);
        record.uid = message.uid;
        record.size = uint32_t(message.text.size());
        record.body = S(stored);
        std::string bytes(mail_record_head_bytes(&record), '\0');
        mail_record_head(&record, bytes.data());
        return (items & MAIL_RECORD_BODY) != 0 ? bytes + stored : bytes;
    }

    // True: the session has enough of it.
    bool Show(const std::string &data)
    {
        for (size_t at = 0; at < data.size();) {
            size_t n = std::min(cut_.data, data.size() - at);
            size_t used = pop3_session_data(session, span_of(data.data() + at, n), &out_);
            EXPECT_LE(used, n);
            EXPECT_TRUE(used == n || pop3_session_is_stopped(session));
            at += used;
            Flush();
            while (pop3_session_is_stopped(session)) {
                stops++;
                pop3_session_resume(session, &out_);
                Flush();
                if (at < data.size()) break;
            }
            if (pop3_session_has_enough(session)) return true;
        }
        return false;
    }

    struct err Expunge(const store_expunge_request &request)
    {
        struct uid_set set;
        char text[1000];
        struct buf out;
        EXPECT_TRUE(request.any_flags);
        EXPECT_EQ(16u, request.operation_id.len);
        uid_set_init(&set, 1000);
        EXPECT_EQ(ERR_OK, uid_set_read(&set, request.uids).code);
        buf_init(&out, text, sizeof(text));
        uid_set_text(&set, &out);
        store_->expunges.push_back(Str(buf_span(&out)));
        for (auto &message : store_->messages) {
            if (uid_set_has(&set, message.uid)) message.is_gone = true;
        }
        uid_set_free(&set);
        store_expunge_reply reply = {};
        pop3_session_reply(session, &reply);
        return err_ok();
    }

    Store *store_;
    Cut cut_;
    struct pop3_options options_ = {};
    struct login_sasl *sasl_ = nullptr;
    std::string bytes_, said_, input_;
    struct buf out_;
};

}  // namespace pop3_talk

#endif

// smtp_sink.h: an SMTP server on the test's loop that says what it is told to say.
#ifndef MAIL_SMTP_SINK_H
#define MAIL_SMTP_SINK_H

#include <gtest/gtest.h>

#include <functional>
#include <list>
#include <string>
#include <vector>

#include "conn.h"
#include "listener.h"
#include "loop.h"
#include "tls.h"

struct sink_message {
    std::string mail;               // the line
    std::vector<std::string> rcpts; // lines that were accepted
    std::string body;               // dots undone
    bool tls = false;
    unsigned connection = 0;
};

class smtp_sink {
public:
    // The answer to a line (without CRLF) or to "." at a body's end and "" at the connection's
    // start: empty for the usual one, "-" for silence, "!" to close.
    std::function<std::string(const std::string &)> answer;
    std::vector<sink_message> messages;
    std::vector<std::string> lines;
    unsigned connections = 0, open = 0, open_most = 0;
    struct tls_context *tls = nullptr; // offers STARTTLS
    enum { TLS_FINE, TLS_CUT, TLS_JUNK, TLS_SILENT } break_tls = TLS_FINE;
    size_t pause_after = SIZE_MAX;     // bytes of a body, then it reads no more until Resume()

    smtp_sink(struct loop *loop, const std::string &ip, uint16_t port = 0) : ip_(ip)
    {
        std::string address = ip + ":" + std::to_string(port);
        listener_options options{};
        options.address = address.c_str();
        options.ready = Ready;
        options.holder = this;
        EXPECT_EQ(ERR_OK, listener_open(loop, &options, &listener_).code) << address;
    }
    ~smtp_sink()
    {
        listener_close(listener_);
        EXPECT_EQ(0u, open);
    }
    smtp_sink(const smtp_sink &) = delete;
    smtp_sink &operator=(const smtp_sink &) = delete;
    uint16_t Port() const { return listener_port(listener_); }
    std::string Address() const { return ip_ + ":" + std::to_string(Port()); }
    void Resume()
    {
        pause_after = SIZE_MAX;
        for (auto &session : sessions_) conn_pause(session.conn, false);
    }
    void CloseAll()
    {
        for (auto &session : sessions_) conn_abort(session.conn, err_make(ERR_CANCELLED, "test"));
    }

private:
    struct Session {
        smtp_sink *sink;
        struct conn *conn;
        bool in_body = false, tls = false;
        sink_message message;
        unsigned number;
    };
    std::string ip_;
    struct listener *listener_ = nullptr;
    std::list<Session> sessions_;

    static struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

    static void Ready(void *holder, struct listener *listener)
    {
        static const conn_user user = { Bytes, Closed, TlsReady, nullptr, nullptr };
        auto *self = static_cast<smtp_sink *>(holder);
        self->sessions_.emplace_back();
        Session &session = self->sessions_.back();
        session.sink = self;
        session.number = ++self->connections;
        if (conn_accept(listener, &user, &session, &session.conn).code != ERR_OK) {
            self->sessions_.pop_back();
            return;
        }
        self->open_most = std::max(self->open_most, ++self->open);
        self->Say(session, "", "220 sink ESMTP");
    }
    static void TlsReady(void *holder, struct conn *) { static_cast<Session *>(holder)->tls = true; }
    static void Closed(void *holder, struct err)
    {
        auto *session = static_cast<Session *>(holder);
        smtp_sink *self = session->sink;
        self->open--;
        self->sessions_.remove_if([&](const Session &s) { return &s == session; });
    }
    bool Say(Session &session, const std::string &line, const std::string &usual)
    {
        std::string said = answer ? answer(line) : "";
        if (said == "-") return false;
        if (said == "!") {
            conn_close(session.conn);
            return false;
        }
        if (said.empty()) said = usual;
        said += "\r\n";
        EXPECT_EQ(ERR_OK, conn_send(session.conn, S(said)).code);
        return said[0] == '2' || said[0] == '3';
    }
    std::string Ehlo(const Session &session) const
    {
        std::string said = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n";
        if ((tls != nullptr || break_tls != TLS_FINE) && !session.tls) said += "250-STARTTLS\r\n";
        return said + "250-AUTH PLAIN\r\n250 ENHANCEDSTATUSCODES";
    }
    void Line(Session &session, const std::string &line)
    {
        std::string verb = line.substr(0, 4);
        lines.push_back(line);
        if (verb == "EHLO" || verb == "HELO") Say(session, line, Ehlo(session));
        else if (verb == "MAIL") {
            session.message = {};
            session.message.mail = line;
            Say(session, line, "250 2.1.0 ok");
        } else if (verb == "RCPT") {
            if (Say(session, line, "250 2.1.5 ok")) session.message.rcpts.push_back(line);
        } else if (verb == "DATA") {
            session.in_body = Say(session, line, session.message.rcpts.empty() ? "554 5.5.1 nobody" : "354 go on");
        } else if (verb == "AUTH") Say(session, line, "235 2.7.0 ok");
        else if (verb == "RSET") Say(session, line, "250 2.0.0 ok");
        else if (verb == "STAR") {
            if (!Say(session, line, "220 go on")) return;
            if (break_tls == TLS_CUT) conn_abort(session.conn, err_make(ERR_CANCELLED, "test"));
            else if (break_tls == TLS_JUNK) Say(session, "junk", "what is this?");
            else if (break_tls == TLS_SILENT) return;
            else EXPECT_EQ(ERR_OK, conn_start_tls(session.conn, tls, nullptr).code);
        } else if (verb == "QUIT") {
            Say(session, line, "221 2.0.0 bye");
            conn_close(session.conn);
        } else Say(session, line, "500 5.5.2 what?");
    }
    void BodyLine(Session &session, std::string line)
    {
        if (line == ".") {
            session.in_body = false;
            session.message.tls = session.tls;
            session.message.connection = session.number;
            if (Say(session, ".", "250 2.0.0 taken")) messages.push_back(session.message);
            return;
        }
        if (line[0] == '.') line.erase(0, 1);
        session.message.body += line + "\r\n";
        if (session.message.body.size() >= pause_after) conn_pause(session.conn, true);
    }
    static size_t Bytes(void *holder, struct conn *, struct span in)
    {
        auto &session = *static_cast<Session *>(holder);
        size_t used = 0;
        while (used < in.len) {
            const void *lf = memchr(in.ptr + used, '\n', in.len - used);
            if (lf == nullptr) break;
            size_t end = static_cast<size_t>(static_cast<const char *>(lf) - in.ptr);
            std::string line(in.ptr + used, end - used);
            if (!line.empty() && line.back() == '\r') line.pop_back();
            used = end + 1;
            if (session.in_body) session.sink->BodyLine(session, line);
            else session.sink->Line(session, line);
        }
        return used;
    }
};

#endif

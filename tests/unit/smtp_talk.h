// smtp_talk.h: a shell without I/O around an SMTP session, for its tests.
#ifndef MAIL_SMTP_TALK_H
#define MAIL_SMTP_TALK_H

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "body.h"
#include "login_sasl.h"
#include "policy.h"
#include "smtp_options.h"
#include "smtp_session.h"

// What is here: ours.test with a user "u1" of password "secret", "full" and "off"; everything else
// is another's. Deliveries and replies are written to one log.
class SmtpTalk {
public:
    SmtpTalk() : budget{1 << 26, 1 << 26, 0, 0, "/tmp"}
    {
        EXPECT_EQ(ERR_OK, login_sasl_new(&sasl).code);
        options.service = SMTP_MX;
        options.hostname = SPAN("mx.ours.test");
        options.banner = SPAN("Godwit");
        options.size_max_bytes = 1 << 20;
        options.recipients_max = 1000;
        options.auth_failures_max = 4;
        options.tls_available = true;
        options.budget = &budget;
        options.sasl = sasl;
    }
    ~SmtpTalk()
    {
        EXPECT_EQ(0u, budget.memory_bytes);
        EXPECT_EQ(0u, budget.file_bytes);
        login_sasl_free(sasl);
    }

    // Shows `in` in pieces of `piece` bytes. Returns the log.
    std::string Run(const std::string &in, size_t piece)
    {
        std::vector<char> bytes(out_bytes);
        buf_init(&out, bytes.data(), bytes.size());
        log.clear();
        smtp_session_init(&session, &options, tls_active, &out);
        smtp_session_greet(&session);
        size_t seen = 0, done = 0;
        while (session.wish != SMTP_WISH_CLOSE) {
            size_t used = smtp_session_feed(&session, span_of(in.data() + done, seen - done));
            EXPECT_LE(used, seen - done);
            done += used;
            memory_max = std::max(memory_max, session.transaction.used_bytes);
            bool blocked = smtp_session_is_blocked(&session);
            Flush();
            if (session.wish == SMTP_WISH_START_TLS && !tls_keeps_rest) seen = done = in.size();
            if (session.wish == SMTP_WISH_CLOSE) break;
            if (session.wish != SMTP_WISH_NOTHING) {
                Answer();
                Flush();
                continue;
            }
            if (blocked) continue;
            EXPECT_LT(seen - done, static_cast<size_t>(SMTP_INPUT_MAX_BYTES));
            if (seen == in.size()) break;
            seen = std::min(in.size(), seen + piece);
        }
        closed = session.wish == SMTP_WISH_CLOSE;
        bare_messages = session.bare_messages;
        smtp_session_free(&session);
        return log;
    }

    // "250 2.1.0" of every last line of a reply and whole delivery lines, joined by "|".
    static std::string Codes(const std::string &log)
    {
        std::string codes;
        for (size_t at = 0; at < log.size();) {
            size_t end = log.find("\r\n", at);
            if (end == std::string::npos) end = log.size();
            std::string line = log.substr(at, end - at);
            at = end + 2;
            if (line.size() > 3 && line[3] == '-') continue;
            if (line[0] != 'D') {
                bool enhanced = line.size() > 5 && line[5] == '.';
                line = line.substr(0, enhanced ? line.find(' ', 4) : 3);
            }
            codes += (codes.empty() ? "" : "|") + line;
        }
        return codes;
    }

    smtp_options options{};
    smtp_session session{};
    bool tls_active = false, tls_keeps_rest = false, closed = false, lmtp_each = false;
    size_t out_bytes = 4096, memory_max = 0;
    uint32_t bare_messages = 0;
    struct err delivery = err_ok(), login = err_ok();
    body_budget budget;
    login_sasl *sasl = nullptr;

private:
    static std::string Text(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }
    static std::string Address(struct span local, struct span domain)
    {
        return Text(local) + (domain.len > 0 ? "@" + Text(domain) : "");
    }

    void Flush()
    {
        EXPECT_FALSE(out.overflow);
        log.append(out.bytes, out.len);
        out.len = 0;
    }

    policy_facts Facts() const
    {
        policy_facts facts{};
        facts.service = options.service == SMTP_LMTP ? POLICY_LMTP
                        : options.service == SMTP_MX ? POLICY_MX : POLICY_SUBMISSION;
        facts.is_authenticated = session.is_authenticated;
        facts.tenant = 1, facts.account = 7;
        return facts;
    }

    void Answer()
    {
        policy_facts facts = Facts();
        policy_verdict verdict;
        switch (session.wish) {
        case SMTP_WISH_START_TLS: smtp_session_answer_tls(&session, err_ok()); return;
        case SMTP_WISH_LOGIN: return Login();
        case SMTP_WISH_SENDER:
            facts.sender = Text(session.envelope.domain) != "ours.test" ? POLICY_SENDER_FOREIGN : POLICY_SENDER_LOCAL;
            if (session.envelope.local.len == 0) facts.sender = POLICY_SENDER_NULL;
            facts.sender_tenant = 1, facts.sender_account = Text(session.envelope.local) == "u1" ? 7 : 8;
            verdict = policy_sender(&facts);
            smtp_session_answer_sender(&session, &verdict);
            return;
        case SMTP_WISH_RECIPIENT: {
            std::string local = Text(session.asked.local), domain = Text(session.asked.domain);
            facts.recipient = POLICY_RECIPIENT_ACCOUNT;
            if (local == "nobody") facts.recipient = POLICY_RECIPIENT_NOBODY;
            if (domain != "ours.test" && !domain.empty()) facts.recipient = POLICY_RECIPIENT_NOT_LOCAL;
            facts.recipient_is_over_quota = local == "full";
            facts.recipient_is_disabled = local == "off";
            verdict = policy_recipient(&facts);
            smtp_session_answer_recipient(&session, &verdict, 42);
            return;
        }
        case SMTP_WISH_DELIVER: return Deliver();
        case SMTP_WISH_NOTHING:
        case SMTP_WISH_CLOSE: FAIL();
        }
    }

    void Login()
    {
        smtp_account account{7, 1, SPAN("u1@ours.test")};
        struct err err = login;
        if (Text(session.login.authcid) != "u1@ours.test" || Text(session.login.password) != "secret")
            err = err_make(ERR_DENIED, "wrong");
        smtp_session_answer_login(&session, &account, err);
    }

    void Deliver()
    {
        const smtp_envelope &envelope = session.envelope;
        std::string line = "D " + Address(envelope.local, envelope.domain) + " >";
        for (size_t i = 0; i < envelope.recipients_count; i++) {
            EXPECT_EQ(42u, envelope.recipients[i].handle);
            if (i < 3) line += " " + Address(envelope.recipients[i].local, envelope.recipients[i].domain);
            if (envelope.recipients[i].notify != 0) line += "/" + std::to_string(envelope.recipients[i].notify);
            if (envelope.recipients[i].orcpt.len > 0) line += "/" + Text(envelope.recipients[i].orcpt);
        }
        if (envelope.envid.len > 0) line += " envid=" + Text(envelope.envid);
        if (envelope.ret != SMTP_RET_UNSAID) line += envelope.ret == SMTP_RET_FULL ? " full" : " hdrs";
        if (envelope.body_8bit) line += " 8bit";
        if (envelope.smtputf8) line += " utf8";
        line += " : ";
        struct span piece;
        uint64_t size = body_size(envelope.body);
        for (uint64_t at = 0; size < 200 && (piece = body_piece(envelope.body, at)).len > 0; at += piece.len) {
            for (char c : Text(piece)) line += c == '\r' ? "\\r" : c == '\n' ? "\\n" : c == '\0' ? "\\0" : std::string(1, c);
        }
        log += line + (size < 200 ? "" : std::to_string(size) + " octets") + "\r\n";
        policy_verdict verdict = policy_of_err(delivery, false);
        if (!lmtp_each) {
            smtp_session_answer_delivery(&session, &verdict);
            return;
        }
        std::vector<policy_verdict> verdicts(envelope.recipients_count, verdict);
        if (verdicts.size() > 1) verdicts[1] = policy_verdict_of(POLICY_SAY_QUOTA_FULL);
        smtp_session_answer_each(&session, verdicts.data());
    }

    struct buf out;
    std::string log;
};

#endif

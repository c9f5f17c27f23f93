// front_fixture.h: a frontend's doors over a real storage node: loopback connections, TLS, accounts with passwords.
// The scanner is switched off. One file of a test program includes this.
#ifndef MAIL_FRONT_FIXTURE_H
#define MAIL_FRONT_FIXTURE_H

#include "api.h"
#include "api_options.h"
#include "conf.h"
#include "conn.h"
#include "directory.h"
#include "directory_resolve.h"
#include "door.h"
#include "door_limits.h"
#include "endpoint.h"
#include "front.h"
#include "imap_session.h"
#include "intake.h"
#include "login_cache.h"
#include "login_check.h"
#include "login_sasl.h"
#include "mail_stream.h"
#include "meter.h"
#include "node_fixture.h"
#include "pop3_session.h"
#include "stored_body_reader.h"
#include "test_certificates.h"
#include "tls.h"

// A client's end. Stays where it is.
class Wire {
public:
    struct conn *conn = nullptr;
    std::string heard;
    bool closed = false, ready = false;
    struct err why = err_ok();

    static size_t Bytes(void *user, struct conn *, struct span in)
    {
        static_cast<Wire *>(user)->heard += Str(in);
        return in.len;
    }
    static void Closed(void *user, struct err why)
    {
        auto *self = static_cast<Wire *>(user);
        self->closed = true;
        self->why = why;
    }
    static void Ready(void *user, struct conn *) { static_cast<Wire *>(user)->ready = true; }
    void Send(const std::string &bytes)
    {
        ASSERT_FALSE(closed);
        ASSERT_EQ(ERR_OK, conn_send(conn, S(bytes)).code);
    }
};

class FrontTest : public NodeTest {
protected:
    struct Setting { std::string key, value; };

    struct front front = {};
    struct directory_resolver resolver = {};
    struct login_services login = {};
    struct imap_options imap = {}, imap_open = {};
    struct pop3_options pop3 = {}, pop3_open = {};
    bool stale = false;
    unsigned remakes = 0;
    struct intake_services intake = {};
    struct door *doors[DOOR_SERVICES] = {};
    struct tls_context *client_tls = nullptr;
    std::vector<std::unique_ptr<Wire>> wires;
    std::vector<Setting> options;
    std::string missing, lacking, metrics = "up 1\n";

    // What a test changes of the options, before its SetUp goes on.
    virtual void Options() {}
    void Set(const std::string &key, const std::string &value) { options.push_back({ key, value }); }

    void SetUp() override
    {
        NodeTest::SetUp();
        Options();
        front.loop = loop;
        front.route = route;
        front.resolver = &resolver;
        front.login = &login;
        front.intake = &intake;
        front.imap_options = &imap;
        front.imap_open_options = &imap_open;
        front.budget = &budget;
        list_init(&front.connections);
        ASSERT_EQ(ERR_OK, door_limits_new(&front.limits).code);
        front.is_stale = [](void *holder) { return static_cast<FrontTest *>(holder)->stale; };
        front.stale_holder = this;
        front.pop3_options = &pop3;
        front.pop3_open_options = &pop3_open;
        MakeSettings();
        MakeTls();
        ASSERT_EQ(ERR_OK, meter_new(loop, route, "this frontend...", &front.meter).code);
        ASSERT_EQ(ERR_OK, login_sasl_new(&front.sasl).code);
        MakeDirectory();
        MakeServices();
        for (unsigned i = 0; i < DOOR_SERVICES; i++) {
            ASSERT_EQ(ERR_OK, door_open(&front, static_cast<door_service>(i), "127.0.0.1:0", &doors[i]).code);
        }
        PutAccount(1, "joe@a.test", 1, [](store_account *account) { account->password = SPAN("secret"); });
    }
    void TearDown() override
    {
        for (auto &wire : wires) {
            if (!wire->closed) conn_abort(wire->conn, err_ok());
        }
        for (auto *door : doors) door_close(door);
        Until([&] { return front.connections_count == 0; }, "connections are left");
        EXPECT_EQ(0u, door_limits_count(front.limits));
        intake_transactions_free(intake.transactions);
        Turn();
        api_free(front.api);
        login_cache_free(login.cache);
        login_sasl_free(front.sasl);
        directory_resolver_free(&resolver);
        directory_unref(resolver.directory);
        door_limits_free(front.limits);
        EXPECT_EQ(1u, front.settings->references);
        front_settings_unref(front.settings);
        tls_context_unref(front.tls);
        tls_context_unref(client_tls);
        route_free(route);
        route = nullptr;
        meter_free(front.meter);
        NodeTest::TearDown();
    }

    // ---- clients

    Wire *Connect(enum door_service service, const char *source = nullptr)
    {
        wires.push_back(std::make_unique<Wire>());
        Wire *wire = wires.back().get();
        std::string at = "127.0.0.1:" + std::to_string(door_port(doors[service]));
        static const conn_user calls = { Wire::Bytes, Wire::Closed, Wire::Ready, nullptr, nullptr };
        conn_target target = {};
        target.address = at.c_str();
        target.source = source;
        target.connect_ms = 5000;
        EXPECT_EQ(ERR_OK, conn_connect(loop, &target, &calls, wire, &wire->conn).code);
        Until([&] { return wire->ready || wire->closed; });
        return wire;
    }
    void StartTls(Wire *wire)
    {
        wire->ready = false;
        ASSERT_EQ(ERR_OK, conn_start_tls(wire->conn, client_tls, nullptr).code);
        Until([&] { return wire->ready || wire->closed; });
        ASSERT_TRUE(wire->ready);
    }
    Wire *ConnectTls(enum door_service service)
    {
        Wire *wire = Connect(service);
        StartTls(wire);
        return wire;
    }
    // Waits for exactly these bytes, and forgets them.
    void Expect(Wire *wire, const std::string &bytes)
    {
        Until([&] { return wire->heard.size() >= bytes.size() || wire->closed; });
        Turn(3);
        EXPECT_EQ(bytes, wire->heard);
        wire->heard.clear();
    }
    // Waits until what was heard ends so; returns and forgets all of it.
    std::string Until_(Wire *wire, const std::string &end)
    {
        Until([&] {
            return wire->closed || (wire->heard.size() >= end.size() &&
                                    wire->heard.compare(wire->heard.size() - end.size(), end.size(), end) == 0);
        }, end.c_str());
        std::string all = wire->heard;
        wire->heard.clear();
        return all;
    }
    // Sends a line and returns what comes until a line that begins with `tag` and a space.
    std::string Ask_(Wire *wire, const std::string &line, const std::string &tag)
    {
        wire->Send(line);
        size_t at = std::string::npos;
        Until([&] {
            at = wire->heard.rfind("\r\n" + tag + " ");
            at = at == std::string::npos && wire->heard.compare(0, tag.size() + 1, tag + " ") == 0 ? 0 : at;
            return wire->closed || (at != std::string::npos && wire->heard.find("\r\n", at + 2) == wire->heard.size() - 2);
        }, line.c_str());
        std::string all = wire->heard;
        wire->heard.clear();
        return all;
    }
    void ExpectClosed(Wire *wire, const std::string &last_words = "")
    {
        Until([&] { return wire->closed; });
        EXPECT_EQ(last_words, wire->heard);
        wire->heard.clear();
    }

    // ---- mailboxes

    // The messages of INBOX, unpacked.
    std::vector<std::string> Inbox(uint64_t account)
    {
        std::vector<std::string> messages;
        store_mailbox_open_request open = {};
        open.tenant = 1;
        open.account = account;
        open.name = SPAN("INBOX");
        auto opened = Ask(STORE_METHOD_MAILBOX_OPEN, open);
        store_fetch_request fetch = {};
        fetch.tenant = 1;
        fetch.account = account;
        fetch.mailbox = opened->Reply<store_mailbox_open_reply>().mailbox.id;
        fetch.items = STORE_FETCH_BODY;
        auto fetched = Ask(STORE_METHOD_FETCH, fetch);
        size_t used = 0, need = 0;
        for (size_t at = 0; at < fetched->data.size(); at += used) {
            mail_record record;
            if (mail_record_take(span_skip(S(fetched->data), at), &record, &used, &need) != MAIL_RECORD_OK) break;
            uint64_t length = 0;
            EXPECT_EQ(ERR_OK, stored_body_length(record.body, &length).code);
            std::string plain(length, '\0');
            EXPECT_EQ(ERR_OK, stored_body_open(record.body, plain.data(), length).code);
            messages.push_back(plain);
        }
        return messages;
    }

private:
    void MakeSettings()
    {
        std::vector<conf_setting> settings;
        for (const auto &option : options) settings.push_back({ S(option.key), S(option.value), {}, {} });
        struct conf *conf = nullptr;
        conf_problem problem;
        ASSERT_EQ(ERR_OK, conf_make(settings.data(), settings.size(), 0, &conf, &problem).code) << problem.text;
        auto *s = static_cast<front_settings *>(calloc(1, sizeof(front_settings)));
        s->references = 1;
        s->conf = conf;
        s->hostname = SPAN("mx.a.test");
        s->banner = conf_text(conf, CONF_SMTP_BANNER);
        s->size_max_bytes = 4 << 20;
        s->recipients_max = 100;
        s->errors_max = 5;
        s->auth_failures_max = 3;
        s->smtp_idle_ms = conf_ms(conf, CONF_SMTP_IDLE);
        s->imap_idle_ms = conf_ms(conf, CONF_IMAP_IDLE);
        s->imap_login_ms = conf_ms(conf, CONF_IMAP_LOGIN);
        s->http_idle_ms = conf_ms(conf, CONF_HTTP_IDLE);
        s->connections_max = static_cast<uint32_t>(conf_number(conf, CONF_SERVER_CONNECTIONS_MAX));
        s->smtp_per_address_max = static_cast<uint32_t>(conf_number(conf, CONF_SMTP_CONNECTIONS_PER_ADDRESS));
        s->imap_per_address_max = static_cast<uint32_t>(conf_number(conf, CONF_IMAP_CONNECTIONS_PER_ADDRESS));
        s->http_per_address_max = static_cast<uint32_t>(conf_number(conf, CONF_HTTP_CONNECTIONS_PER_ADDRESS));
        s->failure_delay_ms = s->failure_delay_max_ms = 30;
        s->local_sender_needs_auth = conf_bool(conf, CONF_SMTP_SENDER_LOCAL_AUTH);
        s->quota_warning_percent = 101;
        s->pop3_idle_ms = conf_ms(conf, CONF_POP3_IDLE);
        s->pop3_login_ms = conf_ms(conf, CONF_POP3_LOGIN);
        s->pop3_lease_ms = conf_ms(conf, CONF_POP3_LOCK_LEASE);
        s->pop3_per_address_max = static_cast<uint32_t>(conf_number(conf, CONF_POP3_CONNECTIONS_PER_ADDRESS));
        s->http_body_max_bytes = 4 << 20;
        s->proxy_wait_ms = 10000;
        front.settings = s;
    }
    void MakeTls()
    {
        test_ca ca;
        test_pair pair = ca.Issue("mx.a.test", { "mx.a.test" });
        tls_certificate certificate = { S(pair.chain), S(pair.key) };
        tls_options tls = {};
        tls.certificates = &certificate;
        tls.certificates_count = 1;
        ASSERT_EQ(ERR_OK, tls_context_new(&tls, &front.tls).code);
        tls_options any = {};
        any.client = true;
        ASSERT_EQ(ERR_OK, tls_context_new(&any, &client_tls).code);
    }
    void MakeDirectory()
    {
        struct span why = {};
        ASSERT_EQ(ERR_OK, directory_new(1, &resolver.directory).code);
        directory_set_conf(resolver.directory, front.settings->conf);
        ASSERT_EQ(ERR_OK, directory_add(resolver.directory, SPAN("{\"name\":\"a.test\",\"tenant\":1}"), &why).code);
        resolver.loop = loop;
        resolver.route = route;
        resolver.deadline_ms = 10000;
        ASSERT_EQ(ERR_OK, directory_resolver_init(&resolver).code);
    }
    void MakeServices()
    {
        login_cache_options cache = {};
        cache.mac = [](struct span, struct span, uint8_t ret[LOGIN_MAC_BYTES]) {
            memset(ret, 0, LOGIN_MAC_BYTES);
            return err_ok();
        };
        cache.life_ms = 0;
        cache.entries_max = 1;
        ASSERT_EQ(ERR_OK, login_cache_new(&cache, &login.cache).code);
        login.loop = loop;
        login.meter = front.meter;
        login.resolver = &resolver;
        login.crew = crew;
        login.decoy = SPAN("nobody's");
        login.remakes = &remakes;
        login.is_stale = [](struct span, const struct login_cost *) { return false; };
        login.verify = [](struct span stored, struct span password) { return span_eq(stored, password); };
        imap.operation_id = [](void *holder, uint64_t, uint8_t id[16]) {
            std::string made = static_cast<FrontTest *>(holder)->Operation();
            memcpy(id, made.data(), 16);
        };
        imap.holder = this;
        imap.body_open = [](void *, struct span stored, struct imap_opened *ret) {
            uint64_t length;
            *ret = {};
            TRY(stored_body_length(stored, &length));
            auto *bytes = static_cast<char *>(malloc(length + 1));
            ret->memory = bytes;
            ret->bytes = span_of(bytes, length);
            return stored_body_open(stored, bytes, length);
        };
        imap.body_close = [](void *, struct imap_opened *opened) { free(opened->memory); };
        imap.budget = &budget;
        imap.message_bytes_max = 4 << 20;
        imap.line_bytes_max = 64 * 1024;
        imap.login_failures_max = 5;
        imap.name = SPAN("Godwit");
        imap.version = SPAN("test");
        imap.starttls = true;
        imap_open = imap;
        imap_open.login_without_tls = true;
        pop3.operation_id = imap.operation_id;
        pop3.holder = this;
        pop3.unpack_new = [](void *, uint64_t stored_bytes, void **ret) {
            struct stored_body_reader *reader;
            TRY(stored_body_reader_new(stored_bytes, &reader));
            *ret = reader;
            return err_ok();
        };
        pop3.unpack = [](void *, void *unpack, struct span *in, struct buf *out) {
            return stored_body_read(static_cast<stored_body_reader *>(unpack), in, out);
        };
        pop3.unpack_is_done = [](void *, const void *unpack) {
            return stored_body_reader_is_done(static_cast<const stored_body_reader *>(unpack));
        };
        pop3.unpack_free = [](void *, void *unpack) { stored_body_reader_free(static_cast<stored_body_reader *>(unpack)); };
        pop3.sasl = front.sasl;
        pop3.name = SPAN("Godwit");
        pop3.stls = true;
        pop3_open = pop3;
        pop3_open.login_without_tls = true;
        intake.loop = loop;
        intake.route = route;
        intake.crew = crew;
        intake.budget = &budget;
        intake.hostname = SPAN("mx.a.test");
        intake.store_deadline_ms = 10000;
        ASSERT_EQ(ERR_OK, intake_transactions_new(loop, route, &intake.transactions).code);
        api_options api = {};
        api.loop = loop;
        api.route = route;
        api.resolver = &resolver;
        api.crew = crew;
        api.holder = this;
        api.missing = [](void *holder) { return S(static_cast<FrontTest *>(holder)->missing); };
        api.lacking = [](void *holder) { return S(static_cast<FrontTest *>(holder)->lacking); };
        api.metrics = [](void *holder, struct arena *, struct span *ret) {
            *ret = S(static_cast<FrontTest *>(holder)->metrics);
            return err_ok();
        };
        ASSERT_EQ(ERR_OK, api_new(&api, &front.api).code);
    }
};

#endif

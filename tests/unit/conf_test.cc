// Options: what is taken, what is refused and how that is said; scopes; texts made from the rows.
#include <gtest/gtest.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "boot.h"
#include "conf.h"
#include "conf_file.h"
#include "conf_show.h"
#include "conf_value.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
struct span S(const char *s) { return span_of(s, strlen(s)); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

std::string Quote(const std::string &s)
{
    json_t *json = json_stringn(s.data(), s.size());
    char *text = json_dumps(json, JSON_ENCODE_ANY);
    std::string quoted = text == nullptr ? "" : text;
    free(text);
    json_decref(json);
    return quoted;
}

struct conf *Make(const std::string &json, const std::string &why_wanted = "")
{
    struct conf *conf = nullptr;
    char why[CONF_WHY_BYTES] = "?";
    EXPECT_EQ(ERR_OK, conf_new(S(json), 7, why, &conf).code) << json;
    EXPECT_EQ(why_wanted, why) << json;
    return conf;
}

struct conf *MakeOne(const std::string &key, const std::string &value) { return Make("{" + Quote(key) + ":" + Quote(value) + "}"); }

std::string Shown(const struct conf *conf, enum conf_key key)
{
    char value[CONF_VALUE_MAX_BYTES];
    conf_show(conf, key, value);
    return value;
}

TEST(Conf, DefaultsAreThoseOfTheRows)
{
    struct conf *conf = Make("");
    EXPECT_EQ(7u, conf_version(conf));
    EXPECT_EQ(50u << 20, conf_number(conf, CONF_SMTP_SIZE_MAX));
    EXPECT_EQ(25u, conf_number(conf, CONF_SMTP_DELIVERY_PORT));
    EXPECT_EQ(1860u * 1000, conf_ms(conf, CONF_IMAP_IDLE));
    EXPECT_TRUE(conf_bool(conf, CONF_SCAN_ENABLED));
    EXPECT_EQ(uint64_t(CONF_INFECTED_REFUSE), conf_number(conf, CONF_SCAN_INFECTED));
    EXPECT_EQ("", Str(conf_text(conf, CONF_DNS_RESOLVER)));
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        auto key = static_cast<enum conf_key>(i);
        char why[CONF_WHY_BYTES];
        EXPECT_FALSE(conf_is_set(conf, key));
        EXPECT_EQ(key, conf_find(S(conf_name(key))));
        EXPECT_EQ(ERR_OK, conf_check(key, S(conf_default(key)), why).code) << why;
        EXPECT_TRUE(conf_may_be_set(key, CONF_CLUSTER));
        EXPECT_GT(std::string(conf_what(key)).size(), 10u);
        EXPECT_NE('.', std::string(conf_what(key)).back()) << conf_name(key);
    }
    conf_unref(conf);
}

TEST(Conf, TheWordsOfChoicesAreThoseOfTheEnums)
{
    const struct { enum conf_key key; const char *word; unsigned number; } cases[] = {
        { CONF_SCAN_INFECTED, "refuse", CONF_INFECTED_REFUSE }, { CONF_SCAN_INFECTED, "remove", CONF_INFECTED_REMOVE },
        { CONF_LOG_LEVEL, "error", CONF_LOG_ERROR }, { CONF_LOG_LEVEL, "warning", CONF_LOG_WARNING },
        { CONF_LOG_LEVEL, "info", CONF_LOG_INFO }, { CONF_LOG_LEVEL, "debug", CONF_LOG_DEBUG },
    };
    for (const auto &c : cases) {
        struct conf *conf = MakeOne(conf_name(c.key), c.word);
        EXPECT_EQ(c.number, conf_number(conf, c.key)) << c.word;
        EXPECT_EQ(c.word, Shown(conf, c.key));
        conf_unref(conf);
    }
}

TEST(Conf, ValuesInTheirManyForms)
{
    const struct { const char *key, *value, *shown; } cases[] = {
        { "smtp.size.max", "30M", "30M" }, { "smtp.size.max", " 30 MB ", "30M" }, { "smtp.size.max", "30mib", "30M" },
        { "smtp.size.max", "1025", "1025" }, { "smtp.size.max", "2048B", "2K" }, { "store.reserve.bytes", "1t", "1T" }, { "smtp.idle", "1", "1" }, { "smtp.idle", "5m", "300" }, { "smtp.idle", "90s", "90" },
        { "courier.expire", "4d", "345600" }, { "courier.warn", "4 h", "14400" }, { "smtp.delivery.port", "2525", "2525" },
        { "scan.enabled", "off", "false" }, { "scan.enabled", "YES", "true" }, { "scan.infected", "Remove", "remove" },
        { "smtp.banner", "", "" }, { "smtp.banner", "  Grüße aus \xe2\x82\xac  ", "Grüße aus \xe2\x82\xac" },
        { "server.hostname", "mx-1.example.org", "mx-1.example.org" }, { "dns.resolver", "127.0.0.1:5353", "127.0.0.1:5353" },
        { "dns.resolver", "[::1]:53", "[::1]:53" }, { "smtp.smarthost", "relay.example.org:587", "relay.example.org:587" },
        { "smtp.smarthost", "", "" }, { "proxy.trusted", "", "" },
        { "proxy.trusted", "10.1.2.3/8,2001:db8::1/32 ::1", "10.1.2.3/8,2001:db8::1/32 ::1" },
        { "proxy.trusted", "0.0.0.0/0", "0.0.0.0/0" }, { "proxy.trusted", "::/0", "::/0" },
        { "dns.resolver", "192.0.2.1", "192.0.2.1" }, { "dns.resolver", "[2001:db8::1]", "[2001:db8::1]" },
        { "smtp.smarthost.password", "", "" },
    };
    for (const auto &c : cases) {
        enum conf_key key = conf_find(S(c.key));
        ASSERT_NE(CONF_KEYS, key) << c.key;
        struct conf *conf = MakeOne(c.key, c.value);
        EXPECT_TRUE(conf_is_set(conf, key));
        EXPECT_EQ(c.shown, Shown(conf, key)) << c.key << "=" << c.value;
        struct conf *again = MakeOne(c.key, c.shown);
        EXPECT_EQ(c.shown, Shown(again, key));
        conf_unref(again);
        conf_unref(conf);
    }
}

TEST(Conf, BadValuesAreRefusedWithNameBoundsAndText)
{
    const std::string long_list(70000, '1');
    const struct { std::string key, value, says; } cases[] = {
        { "smtp.size.max", "1023", "1K to 200M bytes" }, { "smtp.size.max", "201M", "out of bounds" },
        { "smtp.size.max", "", "not a number" }, { "smtp.size.max", "-1", "not a number" }, { "smtp.size.max", "1.5M", "not a number" },
        { "smtp.size.max", "50X", "unknown unit" }, { "smtp.size.max", "50MX", "unknown unit" }, { "smtp.size.max", "50m m", "unknown unit" },
        { "smtp.size.max", "18446744073709551615", "out of bounds" }, { "smtp.size.max", "99999999999999999999", "not a number" },
        { "smtp.size.max", "18446744073709551615T", "out of bounds" },
        { "smtp.idle", "0", "1 to 3600 seconds" }, { "smtp.idle", "2h", "out of bounds" }, { "smtp.idle", "5M", "unknown unit" },
        { "smtp.delivery.port", "0", "1 to 65535 port" }, { "smtp.delivery.port", "65536", "out of bounds" },
        { "smtp.delivery.port", "25K", "unknown unit" }, { "smtp.recipients.max", "10001", "1 to 10000 recipients" },
        { "scan.enabled", "maybe", "true or false" }, { "scan.enabled", "", "true or false" },
        { "scan.infected", "delete", "one of refuse, remove" }, { "scan.infected", "", "one of refuse, remove" },
        { "scan.infected", "refuse|remove", "one of refuse, remove" },
        { "smtp.banner", "a\r\n220 b", "control characters" }, { "smtp.banner", std::string("a\0b", 3), "control characters" },
        { "smtp.banner", "\xff", "not UTF-8" }, { "smtp.banner", "\xc0\x80", "not UTF-8" }, { "smtp.banner", "\xed\xa0\x80", "not UTF-8" },
        { "smtp.banner", "\xf4\x90\x80\x80", "not UTF-8" }, { "smtp.banner", "\xe2\x82", "not UTF-8" },
        { "smtp.banner", std::string(201, 'x'), "0 to 200 bytes of text" },
        { "server.hostname", "a b", "a domain name" }, { "server.hostname", "-a.org", "a domain name" }, { "server.hostname", "a..org", "domain" },
        { "server.hostname", "a-.org", "domain" }, { "server.hostname", ".", "domain" }, { "server.hostname", "a.org.", "domain" },
        { "server.hostname", std::string(64, 'a') + ".org", "domain" }, { "server.hostname", "m\xc3\xbc.org", "domain" },
        { "dns.resolver", ":53", "HOST:PORT" }, { "dns.resolver", "127.0.0.1:0", "65535" },
        { "dns.resolver", "127.0.0.1:99999", "65535" }, { "dns.resolver", "127.0.0.1:5x", "65535" }, { "dns.resolver", "::1:53", "domain name" },
        { "dns.resolver", "[127.0.0.1]:53", "IPv6" }, { "dns.resolver", "[]:53", "IPv6" }, { "dns.resolver", "[::1]:", "65535" }, { "dns.resolver", "[::1", "no ]" }, { "dns.resolver", "[::1]53", "no :PORT" },
        { "dns.resolver", "a b", "domain name" },
        { "proxy.trusted", "10.0.0.0/33", "not an IP address" }, { "proxy.trusted", "10.0.0", "not an IP address" },
        { "proxy.trusted", "::1/129", "not an IP address" }, { "proxy.trusted", "::1/", "not an IP address" },
        { "proxy.trusted", "10.0.0.1, example.org", "not an IP address" }, { "proxy.trusted", "1.2.3.4/-1", "not an IP address" },
        { "proxy.trusted", std::string("1.2.3.4\0", 8), "control characters" }, { "proxy.trusted", long_list, "too long" },
    };
    for (const auto &c : cases) {
        char why[CONF_WHY_BYTES] = "";
        enum conf_key key = conf_find(S(c.key));
        ASSERT_NE(CONF_KEYS, key) << c.key;
        EXPECT_EQ(ERR_SYNTAX, conf_check(key, S(c.value), why).code) << c.key << "=" << c.value.substr(0, 40);
        std::string text = why;
        EXPECT_EQ(0u, text.rfind(c.key + ": \"", 0)) << text;
        EXPECT_NE(std::string::npos, text.find(c.says)) << text << " lacks " << c.says;
        EXPECT_NE(std::string::npos, text.find("allowed: ")) << text;
        EXPECT_EQ(std::string::npos, text.find_first_of("\r\n")) << text;
        // Stored all the same, by hand or by a program of another version: the default stays in force.
        std::string quoted = Quote(c.value);
        if (quoted.empty() || c.value.find('\0') != std::string::npos) continue;
        struct conf *conf = Make("{\"imap.login.idle\": \"77\", " + Quote(c.key) + ": " + quoted + "}", text);
        EXPECT_EQ(77000u, conf_ms(conf, CONF_IMAP_LOGIN_IDLE));
        EXPECT_FALSE(conf_is_set(conf, key));
        conf_unref(conf);
    }
}

TEST(Conf, WhatIsNoSettingIsPassedOver)
{
    for (const char *key : { "", "smtp", "smtp.size", "smtp.size.max.", "SMTP.SIZE.MAX", "no.such\nthing" }) {
        EXPECT_EQ(CONF_KEYS, conf_find(S(key)));
        conf_unref(MakeOne(key, "1"));
    }
    for (const char *value : { "1", "null", "true", "[]", "{\"value\": 1}", "{\"value\": \"2000\", \"max\": 3}" }) {
        struct conf *conf = Make(std::string("{\"smtp.size.max\": ") + value + "}",
                                 "smtp.size.max: \"" + std::string(strstr(value, "2000") ? "2000" : "") +
                                     "\" is refused: no text; allowed: 1K to 200M bytes, with K, M, G or T behind the number");
        EXPECT_EQ(50u << 20, conf_number(conf, CONF_SMTP_SIZE_MAX));
        conf_unref(conf);
    }
    for (const char *json : { "x", "[]", "\"\"", "1", "{", "{\"a\": \"1\", \"a\": \"2\"}", "{} x", "{\"a\": \"\\u0000\"}" }) {
        struct conf *conf = nullptr;
        char why[CONF_WHY_BYTES];
        EXPECT_EQ(ERR_SYNTAX, conf_new(S(json), 1, why, &conf).code) << json;
        EXPECT_EQ(nullptr, conf);
    }
}

TEST(Conf, SecretsAreNotShown)
{
    struct conf *conf = MakeOne("smtp.smarthost.password", "hunter2");
    EXPECT_EQ("hunter2", Str(conf_text(conf, CONF_SMTP_SMARTHOST_PASSWORD)));
    EXPECT_EQ("***", Shown(conf, CONF_SMTP_SMARTHOST_PASSWORD));
    static char bytes[CONF_TEXT_MAX_BYTES];
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    conf_show_describe(conf, CONF_SMTP_SMARTHOST_PASSWORD, &to);
    EXPECT_EQ(std::string::npos, std::string(bytes, to.len).find("hunter2"));
    json_t *all = conf_show_json_all(conf);
    char *text = json_dumps(all, 0);
    EXPECT_EQ(nullptr, strstr(text, "hunter2"));
    free(text);
    json_decref(all);
    char why[CONF_WHY_BYTES];
    EXPECT_EQ(ERR_SYNTAX, conf_check(CONF_SMTP_SMARTHOST_PASSWORD, S("hunter2\n"), why).code);
    EXPECT_EQ(nullptr, strstr(why, "hunter2"));
    conf_unref(conf);
}

TEST(Conf, Endpoints)
{
    const struct { const char *value, *host; unsigned port; } cases[] = {
        { "127.0.0.1", "127.0.0.1", 25 }, { "relay.example.org:587", "relay.example.org", 587 }, { "[2001:db8::1]:26", "2001:db8::1", 26 },
        { "[::1]", "::1", 25 } };
    for (const auto &c : cases) {
        struct conf *conf = MakeOne("smtp.smarthost", c.value);
        struct span host;
        uint16_t port = 0;
        ASSERT_TRUE(conf_endpoint(conf, CONF_SMTP_SMARTHOST, &host, &port));
        EXPECT_EQ(c.host, Str(host));
        EXPECT_EQ(c.port, port);
        EXPECT_FALSE(conf_endpoint(conf, CONF_DNS_RESOLVER, &host, &port));
        conf_unref(conf);
    }
}

TEST(Conf, AddressesLieInNetworks)
{
    struct conf *conf = MakeOne("smtp.relay.networks", "10.1.2.3/8 192.0.2.128/25, 2001:db8::/33 ::1");
    const struct { const char *ip; bool in; } cases[] = {
        { "10.255.1.2", true }, { "11.0.0.0", false }, { "192.0.2.128", true }, { "192.0.2.127", false },
        { "2001:db8:7fff::1", true }, { "2001:db8:8000::1", false }, { "::1", true }, { "::2", false }, { "::ffff:10.0.0.1", true },
    };
    for (const auto &c : cases) {
        uint8_t ip[16];
        ASSERT_TRUE(conf_value_ip(S(c.ip), ip));
        EXPECT_EQ(c.in, conf_has_address(conf, CONF_SMTP_RELAY_NETWORKS, ip)) << c.ip;
        EXPECT_FALSE(conf_has_address(conf, CONF_PROXY_TRUSTED, ip));
    }
    conf_unref(conf);
}

struct conf *Narrow(struct conf *wide, enum conf_scope scope, const std::string &json, const std::string &why_wanted = "")
{
    struct conf *conf = nullptr;
    char why[CONF_WHY_BYTES] = "?";
    EXPECT_EQ(ERR_OK, conf_narrow(wide, scope, S(json), why, &conf).code) << json;
    EXPECT_EQ(0u, std::string(why).rfind(why_wanted, 0)) << why;
    if (why_wanted.empty()) EXPECT_STREQ("", why);
    return conf;
}

TEST(Conf, TheNarrowestWinsWithinTheBoundsOfTheWider)
{
    static_assert(CONF_QUOTA_WARNING >= 0, "the option that may be set for a user");
    struct conf *cluster = Make("{\"quota.warning\": {\"value\": \"80\", \"min\": \"50\", \"max\": \"95\"}, \"smtp.banner\": \"Hello\"}");
    struct conf *domain = Narrow(cluster, CONF_DOMAIN, "{\"quota.warning\": {\"value\": \"99\", \"min\": \"10\", \"max\": \"90\"}}");
    struct conf *user = Narrow(domain, CONF_USER, "{\"quota.warning\": \"20\"}");
    struct conf *other = Narrow(domain, CONF_USER, "{\"quota.warning\": {\"max\": \"60\"}}");
    struct conf *same = Narrow(domain, CONF_USER, "");
    conf_unref(cluster); // what is narrower keeps it
    EXPECT_EQ(95u, conf_number(domain, CONF_QUOTA_WARNING));
    EXPECT_EQ(50u, conf_number(user, CONF_QUOTA_WARNING));
    EXPECT_EQ(90u, conf_number(other, CONF_QUOTA_WARNING)); // a bound without a value leaves the value, within the wider bounds
    EXPECT_EQ(95u, conf_number(same, CONF_QUOTA_WARNING));
    EXPECT_EQ("Hello", Str(conf_text(user, CONF_SMTP_BANNER)));
    EXPECT_EQ(7u, conf_version(user));
    for (struct conf *conf : { user, other, same }) conf_unref(conf);
    const struct { const char *json, *why; } bad[] = {
        { "{\"smtp.size.max\": \"1M\"}", "smtp.size.max: is set for a whole cluster, not for less" },
        { "{\"quota.warning\": {\"value\": \"60\", \"min\": \"70\", \"max\": \"60\"}}", "quota.warning: \"60\" is refused: its bounds contradict" },
        { "{\"quota.warning\": {\"value\": \"60\", \"min\": \"x\"}}", "quota.warning: \"60\" is refused: not a number" },
        { "{\"quota.warning\": \"101\"}", "quota.warning: \"101\" is refused: out of bounds" },
    };
    for (const auto &c : bad) {
        struct conf *conf = Narrow(domain, CONF_USER, c.json, c.why);
        EXPECT_EQ(95u, conf_number(conf, CONF_QUOTA_WARNING)) << c.json;
        EXPECT_EQ(50u << 20, conf_number(conf, CONF_SMTP_SIZE_MAX));
        conf_unref(conf);
    }
    EXPECT_FALSE(conf_may_be_set(CONF_SMTP_SIZE_MAX, CONF_TENANT));
    EXPECT_TRUE(conf_may_be_set(CONF_QUOTA_WARNING, CONF_USER));
    conf_unref(domain);
}

TEST(ConfShow, JsonOfEveryOption)
{
    struct conf *conf = Make("{\"proxy.trusted\": \"10.0.0.0/8 ::1\", \"smtp.size.max\": \"30M\"}");
    json_t *all = conf_show_json_all(conf), *one;
    ASSERT_EQ(size_t(CONF_KEYS), json_array_size(all));
    size_t index;
    json_array_foreach(all, index, one)
    {
        EXPECT_STREQ(conf_name(static_cast<enum conf_key>(index)), json_string_value(json_object_get(one, "key")));
        for (const char *member : { "value", "default", "set", "type", "scope", "when", "text" }) {
            EXPECT_NE(nullptr, json_object_get(one, member)) << member;
        }
    }
    json_decref(all);
    const struct { enum conf_key key; const char *json; } cases[] = {
        { CONF_SMTP_SIZE_MAX, "{\"default\": 52428800, \"key\": \"smtp.size.max\", \"max\": 209715200, \"min\": 1024, \"scope\": \"cluster\", "
          "\"set\": true, \"text\": \"Largest message that is taken\", \"type\": \"size\", \"value\": 31457280, \"when\": \"for new sessions\"}" },
        { CONF_SCAN_INFECTED, "{\"choices\": [\"refuse\", \"remove\"], \"default\": \"refuse\", \"key\": \"scan.infected\", \"scope\": \"cluster\", "
          "\"set\": false, \"text\": \"Infected mail: refuse it at the end of DATA, or deliver it with the part removed\", \"type\": \"choice\", "
          "\"value\": \"refuse\", \"when\": \"at once\"}" },
    };
    for (const auto &c : cases) {
        json_t *json = conf_show_json(conf, c.key);
        char *text = json_dumps(json, JSON_SORT_KEYS);
        EXPECT_STREQ(c.json, text);
        free(text);
        json_decref(json);
    }
    conf_unref(conf);
}

TEST(ConfShow, TextsNameEveryOption)
{
    static char bytes[CONF_TEXT_MAX_BYTES];
    struct conf *conf = Make("");
    struct buf sample, manual;
    buf_init(&manual, bytes, sizeof(bytes));
    conf_show_manual(&manual);
    EXPECT_FALSE(manual.overflow);
    std::string page(manual.bytes, manual.len);
    buf_init(&sample, bytes, sizeof(bytes));
    conf_show_sample(&sample);
    EXPECT_FALSE(sample.overflow);
    // The sample with its comments taken off is a file that sets every option to its default.
    std::string file(sample.bytes, sample.len), active;
    for (size_t at = 0, end; (end = file.find('\n', at)) != std::string::npos; at = end + 1) {
        std::string line = file.substr(at, end - at);
        if (line.size() > 1 && line[0] == '#' && line[1] != ' ') active += line.substr(1) + "\n";
    }
    struct span in = S(active);
    struct conf_line line = { { nullptr, 0 }, { nullptr, 0 }, 0 };
    bool there = false;
    for (unsigned i = 0; i < CONF_KEYS; i++) {
        ASSERT_EQ(ERR_OK, conf_file_next(&in, &line, &there).code);
        ASSERT_TRUE(there);
        EXPECT_EQ(conf_rows[i].key, Str(line.key));
        EXPECT_EQ(conf_rows[i].default_, Str(line.value));
        EXPECT_NE(std::string::npos, page.find(std::string(".It Ic ") + conf_rows[i].key + "\n"));
        struct buf to;
        char one[CONF_DESCRIBE_MAX_BYTES];
        buf_init(&to, one, sizeof(one));
        conf_show_describe(conf, static_cast<enum conf_key>(i), &to);
        EXPECT_FALSE(to.overflow);
        EXPECT_NE(std::string::npos, std::string(one, to.len).find("(the default)"));
    }
    conf_unref(conf);
}

TEST(ConfFile, LinesAndWhatIsNone)
{
    std::string text = "# comment\n\n  a.b = 1  \r\nc=\n\t#x\nd_e-f = x = y # not a comment\nlast=1";
    const struct { const char *key, *value; size_t number; } want[] = {
        { "a.b", "1", 3 }, { "c", "", 4 }, { "d_e-f", "x = y # not a comment", 6 }, { "last", "1", 7 } };
    struct span in = S(text);
    struct conf_line line = { { nullptr, 0 }, { nullptr, 0 }, 0 };
    bool there = false;
    for (const auto &w : want) {
        ASSERT_EQ(ERR_OK, conf_file_next(&in, &line, &there).code);
        ASSERT_TRUE(there);
        EXPECT_EQ(w.key, Str(line.key));
        EXPECT_EQ(w.value, Str(line.value));
        EXPECT_EQ(w.number, line.number);
    }
    EXPECT_EQ(ERR_OK, conf_file_next(&in, &line, &there).code);
    EXPECT_FALSE(there);
    for (const std::string &bad : { std::string("x"), std::string("=1"), std::string("a b = 1"), std::string("a=\0", 3),
                                    std::string("a=x\rb\n"), std::string("\xff=1"), std::string("[section]") }) {
        in = S(bad);
        line.number = 0;
        EXPECT_EQ(ERR_SYNTAX, conf_file_next(&in, &line, &there).code) << bad;
        EXPECT_EQ(1u, line.number);
    }
}

const struct boot_option kOptions[] = {
    { "data", BOOT_TEXT, nullptr, "Folder." }, { "port-offset", BOOT_NUMBER, "0", "Added to ports." },
    { "verbose", BOOT_SWITCH, "false", "More words." }, { "listen", BOOT_LIST, "a,b", "Addresses." },
};

enum err_code Boot(std::vector<std::string> words, std::vector<std::string> environment, struct boot **ret, std::string *why)
{
    std::vector<char *> argv, env;
    words.insert(words.begin(), "program");
    for (auto &w : words) argv.push_back(w.data());
    for (auto &e : environment) env.push_back(e.data());
    env.push_back(nullptr);
    char problem[BOOT_PROBLEM_BYTES] = "";
    struct boot_input input = { kOptions, 4, int(argv.size()), argv.data(), env.data() };
    struct err err = boot_read(&input, ret, problem);
    *why = problem;
    return err.code;
}

TEST(Boot, FlagsBeforeEnvironmentBeforeFileBeforeDefaults)
{
    char path[] = "/tmp/boot-test-XXXXXX";
    int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    close(fd);
    std::ofstream(path) << "data = /file\nport-offset = 3\nlisten = x, y\nlisten = z\n";
    struct boot *boot = nullptr;
    std::string why;
    ASSERT_EQ(ERR_OK, Boot({ "--data=/flag", "--verbose", "--config", path }, { "GODWIT_PORT_OFFSET=7", "GODWIT_DATA=/env" }, &boot, &why)) << why;
    EXPECT_STREQ("/flag", boot_text(boot, "data"));
    EXPECT_EQ(7u, boot_number(boot, "port-offset"));
    EXPECT_TRUE(boot_switch(boot, "verbose"));
    ASSERT_EQ(3u, boot_list_count(boot, "listen"));
    EXPECT_STREQ("z", boot_list(boot, "listen", 2));
    boot_free(boot);
    ASSERT_EQ(ERR_OK, Boot({ "--listen", "p", "--listen=q" }, { std::string("GODWIT_CONFIG=") + path }, &boot, &why)) << why;
    EXPECT_STREQ("/file", boot_text(boot, "data"));
    EXPECT_EQ(3u, boot_number(boot, "port-offset"));
    EXPECT_EQ(2u, boot_list_count(boot, "listen"));
    boot_free(boot);
    ASSERT_EQ(ERR_OK, Boot({ "--data=/x" }, {}, &boot, &why)) << why;
    EXPECT_EQ(2u, boot_list_count(boot, "listen"));
    EXPECT_FALSE(boot_switch(boot, "verbose"));
    boot_free(boot);
    std::ofstream(path) << "data = /file\nunknown = 3\n";
    EXPECT_EQ(ERR_SYNTAX, Boot({ "--config", path }, {}, &boot, &why));
    EXPECT_EQ("unknown: there is no such option", why);
    std::ofstream(path) << "data = /file\nnonsense\n";
    EXPECT_EQ(ERR_SYNTAX, Boot({ "--config", path }, {}, &boot, &why));
    EXPECT_NE(std::string::npos, why.find("line 2")) << why;
    unlink(path);
}

TEST(Boot, BadOnesAreRefusedByName)
{
    const struct { std::vector<std::string> words, environment; const char *why; } cases[] = {
        { {}, {}, "data: has to be given" }, { { "--data" }, {}, "data: needs a value" },
        { { "--data=/x", "--port-offset=1x" }, {}, "port-offset: not a number" },
        { { "--data=/x" }, { "GODWIT_PORT_OFFSET=-1" }, "port-offset: not a number" },
        { { "--data=/x", "--port-offset=99999999999999999999" }, {}, "port-offset: not a number" },
        { { "--data=/x", "--verbose=perhaps" }, {}, "verbose: neither true nor false" },
        { { "--data=/x", "extra" }, {}, "extra: is no option; see --help" }, { { "-d" }, {}, "-d: is no option; see --help" },
        { { "--" }, {}, "--: is no option; see --help" }, { { "--nothing=1" }, {}, "nothing: there is no such option" },
        { { "--data=/x", "--config=/nonexistent/file" }, {}, "/nonexistent/file: No such file or directory" },
    };
    for (const auto &c : cases) {
        struct boot *boot = nullptr;
        std::string why;
        EXPECT_EQ(ERR_SYNTAX, Boot(c.words, c.environment, &boot, &why)) << c.why;
        EXPECT_EQ(c.why, why);
        EXPECT_EQ(nullptr, boot);
    }
    struct boot *boot = nullptr;
    std::string why;
    EXPECT_EQ(ERR_NOT_FOUND, Boot({ "--help" }, {}, &boot, &why));
    std::vector<std::string> many(BOOT_LIST_MAX + 1, "--listen=a");
    many.push_back("--data=/x");
    EXPECT_EQ(ERR_SYNTAX, Boot(many, {}, &boot, &why));
    struct boot_input input = { kOptions, 4, 0, nullptr, nullptr };
    char bytes[2000];
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    boot_usage(&input, &to);
    EXPECT_NE(std::string::npos, std::string(bytes, to.len).find("--port-offset VALUE\n      Added to ports. Default: 0\n"));
}

TEST(Boot, Addresses)
{
    const struct { const char *text; bool good; const char *host; unsigned port; bool is_unix; } cases[] = {
        { "unix:/run/x.sock", true, "/run/x.sock", 0, true }, { "127.0.0.1:25", true, "127.0.0.1", 25, false },
        { "[::1]:25", true, "::1", 25, false }, { ":25", true, "", 25, false }, { "store-1.example:7", true, "store-1.example", 7, false },
        { "127.0.0.1:0", true, "127.0.0.1", 0, false }, { "", false, "", 0, false }, { "25", false, "", 0, false }, { "unix:", false, "", 0, false },
        { "a:", false, "", 0, false }, { "a:65536", false, "", 0, false }, { "a:x", false, "", 0, false }, { "::1:25", false, "", 0, false },
        { "[]:25", false, "", 0, false }, { "[1.2.3.4]:25", false, "", 0, false }, { "a:123456", false, "", 0, false },
    };
    for (const auto &c : cases) {
        struct boot_address address = { { nullptr, 0 }, 0, false };
        ASSERT_EQ(c.good, boot_address_parse(S(c.text), &address)) << c.text;
        if (!c.good) continue;
        EXPECT_EQ(c.host, Str(address.host));
        EXPECT_EQ(c.port, address.port);
        EXPECT_EQ(c.is_unix, address.is_unix);
    }
}

}  // namespace

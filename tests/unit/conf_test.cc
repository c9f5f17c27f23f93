// Options: what is taken, what is refused and how that is said; scopes; texts made from the rows.
#include <gtest/gtest.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "boot.h"
#include "conf.h"
#include "conf_file.h"
#include "conf_json.h"
#include "conf_show.h"
#include "conf_value.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
struct span S(const char *s) { return span_of(s, strlen(s)); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

struct Setting {
    std::string key, value, min, max;
};

std::vector<conf_setting> Settings(const std::vector<Setting> &from)
{
    std::vector<conf_setting> to;
    for (const auto &s : from) to.push_back({ S(s.key), S(s.value), S(s.min), S(s.max) });
    return to;
}

struct conf *Make(const std::vector<Setting> &from)
{
    struct conf *conf = nullptr;
    struct conf_problem problem = { CONF_KEYS_COUNT, "" };
    auto settings = Settings(from);
    EXPECT_EQ(ERR_OK, conf_make(settings.data(), settings.size(), 7, &conf, &problem).code) << problem.text;
    return conf;
}

std::string Shown(const struct conf *conf, enum conf_key key)
{
    static char bytes[CONF_SHOW_MAX_BYTES];
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    conf_show_value(conf, key, &to);
    return std::string(to.bytes, to.len);
}

TEST(Conf, DefaultsAreThoseOfTheRows)
{
    struct conf *conf = Make({});
    EXPECT_EQ(7u, conf_version(conf));
    EXPECT_EQ(50u << 20, conf_number(conf, CONF_SMTP_SIZE_MAX));
    EXPECT_EQ(25u, conf_number(conf, CONF_SMTP_DELIVERY_PORT));
    EXPECT_EQ(1800u * 1000, conf_ms(conf, CONF_IMAP_IDLE));
    EXPECT_TRUE(conf_bool(conf, CONF_SCAN_ENABLED));
    EXPECT_EQ(uint64_t(CONF_QUOTA_FULL_TEMPORARY), conf_number(conf, CONF_SMTP_QUOTA_FULL));
    EXPECT_EQ("", Str(conf_text(conf, CONF_DNS_RESOLVER)));
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        auto key = static_cast<enum conf_key>(i);
        EXPECT_FALSE(conf_is_set(conf, key));
        EXPECT_EQ(key, conf_find(S(conf_key_text(key))));
        EXPECT_GT(std::string(conf_rows[i].text).size(), 10u);
        EXPECT_EQ('.', std::string(conf_rows[i].text).back()) << conf_rows[i].key;
    }
    conf_unref(conf);
}

TEST(Conf, TheWordsOfChoicesAreThoseOfTheEnums)
{
    const struct { enum conf_key key; const char *word; unsigned number; } cases[] = {
        { CONF_SMTP_QUOTA_FULL, "permanent", CONF_QUOTA_FULL_PERMANENT },
        { CONF_SCAN_INFECTED, "refuse", CONF_INFECTED_REFUSE }, { CONF_SCAN_INFECTED, "remove", CONF_INFECTED_REMOVE },
        { CONF_COURIER_TLS, "none", CONF_TLS_NONE }, { CONF_COURIER_TLS, "may", CONF_TLS_MAY },
        { CONF_COURIER_TLS, "encrypt", CONF_TLS_ENCRYPT }, { CONF_COURIER_TLS, "verify", CONF_TLS_VERIFY },
        { CONF_TLS_MIN, "1.2", CONF_TLS_1_2 }, { CONF_TLS_MIN, "1.3", CONF_TLS_1_3 },
        { CONF_LOG_LEVEL, "error", CONF_LOG_ERROR }, { CONF_LOG_LEVEL, "debug", CONF_LOG_DEBUG },
        { CONF_LOG_FORMAT, "json", CONF_LOG_JSON }, { CONF_LOG_FORMAT, "text", CONF_LOG_TEXT },
    };
    for (const auto &c : cases) {
        struct conf *conf = Make({ { conf_key_text(c.key), c.word, "", "" } });
        EXPECT_EQ(c.number, conf_number(conf, c.key)) << c.word;
        EXPECT_EQ(c.word, Shown(conf, c.key));
        conf_unref(conf);
    }
}

TEST(Conf, ValuesInTheirManyForms)
{
    const struct { const char *key, *value, *shown; } cases[] = {
        { "smtp.size.max", "30M", "30M" }, { "smtp.size.max", " 30 MB ", "30M" }, { "smtp.size.max", "30mib", "30M" },
        { "smtp.size.max", "1025", "1025" }, { "smtp.size.max", "2048B", "2K" }, { "quota.bytes", "1t", "1T" },
        { "quota.bytes", "0", "0" }, { "smtp.idle", "1", "1" }, { "smtp.idle", "5m", "300" }, { "smtp.idle", "90s", "90" },
        { "courier.expire", "4d", "345600" }, { "courier.warn", "4 h", "14400" }, { "smtp.delivery.port", "2525", "2525" },
        { "scan.enabled", "off", "false" }, { "scan.enabled", "YES", "true" }, { "scan.infected", "Remove", "remove" },
        { "smtp.banner", "", "" }, { "smtp.banner", "  Grüße aus \xe2\x82\xac  ", "Grüße aus \xe2\x82\xac" },
        { "server.hostname", "mx-1.example.org", "mx-1.example.org" }, { "dns.resolver", "127.0.0.1:5353", "127.0.0.1:5353" },
        { "dns.resolver", "[::1]:53", "[::1]:53" }, { "smtp.smarthost", "relay.example.org:587", "relay.example.org:587" },
        { "smtp.smarthost", "", "" }, { "proxy.trusted", "", "" },
        { "proxy.trusted", "10.1.2.3/8,2001:db8::1/32 ::1", "10.0.0.0/8, 2001:db8::/32, ::1" },
        { "proxy.trusted", "0.0.0.0/0", "0.0.0.0/0" }, { "proxy.trusted", "::/0", "::/0" },
        { "proxy.trusted", "::ffff:1.2.3.4", "1.2.3.4" }, { "proxy.trusted", "::ffff:1.2.3.4/100", "0.0.0.0/4" },
    };
    for (const auto &c : cases) {
        enum conf_key key = conf_find(S(c.key));
        ASSERT_NE(CONF_KEYS_COUNT, key) << c.key;
        struct conf *conf = Make({ { c.key, c.value, "", "" } });
        ASSERT_NE(nullptr, conf) << c.key << "=" << c.value;
        EXPECT_TRUE(conf_is_set(conf, key));
        EXPECT_EQ(c.shown, Shown(conf, key)) << c.key << "=" << c.value;
        struct conf *again = Make({ { c.key, c.shown, "", "" } });
        EXPECT_EQ(c.shown, Shown(again, key));
        conf_unref(again);
        conf_unref(conf);
    }
}

// Each row that has bounds: what lies just within is taken, what lies just outside is refused.
TEST(Conf, EachRowHoldsItsBounds)
{
    unsigned numbers = 0, texts = 0, lists = 0;
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        const struct conf_row &row = conf_rows[i];
        auto take = [&](const std::string &value) {
            struct conf_problem problem = { CONF_KEYS_COUNT, "" };
            struct conf_setting setting = { S(row.key), S(value), SPAN(""), SPAN("") };
            enum err_code code = conf_check(&setting, CONF_CLUSTER, &problem).code;
            EXPECT_EQ(code == ERR_OK, problem.text[0] == '\0') << row.key;
            if (code != ERR_OK) EXPECT_EQ(0, strncmp(problem.text, row.key, strlen(row.key))) << problem.text;
            return code;
        };
        auto addresses = [](uint64_t count) {
            std::string list;
            for (uint64_t n = 0; n < count; n++) list += "::" + std::to_string(n % 10) + " ";
            return list;
        };
        switch (row.type) {
        case CONF_TYPE_NUMBER: case CONF_TYPE_BYTES: case CONF_TYPE_SECONDS:
            numbers++;
            EXPECT_LT(row.min, row.max) << row.key;
            EXPECT_EQ(ERR_OK, take(std::to_string(row.min))) << row.key;
            EXPECT_EQ(ERR_OK, take(std::to_string(row.max))) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take(std::to_string(row.max + 1))) << row.key;
            if (row.min > 0) EXPECT_EQ(ERR_SYNTAX, take(std::to_string(row.min - 1))) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take("")) << row.key;
            break;
        case CONF_TYPE_TEXT: case CONF_TYPE_SECRET:
            texts++;
            EXPECT_EQ(ERR_OK, take(std::string(row.min, 'x'))) << row.key;
            EXPECT_EQ(ERR_OK, take(std::string(row.max, 'x'))) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take(std::string(row.max + 1, 'x'))) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take("a\nb")) << row.key;
            break;
        case CONF_TYPE_BOOL:
            EXPECT_EQ(ERR_OK, take("true")) << row.key;
            EXPECT_EQ(ERR_OK, take("false")) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take("2")) << row.key;
            break;
        case CONF_TYPE_CHOICE: {
            std::string words = row.unit;
            for (size_t at = 0, end; at <= words.size(); at = end + 1) {
                end = std::min(words.find('|', at), words.size());
                EXPECT_EQ(ERR_OK, take(words.substr(at, end - at))) << row.key;
            }
            EXPECT_EQ(ERR_SYNTAX, take("no such word")) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take("")) << row.key;
            break;
        }
        case CONF_TYPE_HOST: case CONF_TYPE_ENDPOINT:
            texts++;
            EXPECT_EQ(row.min == 0 ? ERR_OK : ERR_SYNTAX, take("")) << row.key;
            EXPECT_EQ(ERR_OK, take(row.type == CONF_TYPE_HOST ? "a.example" : "a.example:1")) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take("a..b:1")) << row.key;
            break;
        case CONF_TYPE_NETWORKS: case CONF_TYPE_TEXTS:
            lists++;
            EXPECT_EQ(ERR_OK, take(addresses(row.min))) << row.key;
            EXPECT_EQ(ERR_OK, take(addresses(row.max))) << row.key;
            EXPECT_EQ(ERR_SYNTAX, take(addresses(row.max + 1))) << row.key;
            break;
        }
    }
    EXPECT_GT(numbers, 40u);
    EXPECT_GT(texts, 4u);
    EXPECT_GT(lists, 2u);
}

TEST(Conf, SecretsAreNotShown)
{
    const std::string secret = " hunter2 ";
    struct conf *conf = Make({ { "smtp.smarthost.password", secret, "", "" } }), *none = Make({});
    EXPECT_EQ(secret, Str(conf_text(conf, CONF_SMTP_SMARTHOST_PASSWORD))); // blanks and all
    EXPECT_EQ("********", Shown(conf, CONF_SMTP_SMARTHOST_PASSWORD));
    EXPECT_EQ("", Shown(none, CONF_SMTP_SMARTHOST_PASSWORD));
    EXPECT_TRUE(conf_is_secret(CONF_SMTP_SMARTHOST_PASSWORD));
    EXPECT_FALSE(conf_is_secret(CONF_SMTP_SMARTHOST_USER));
    json_t *all = conf_show_json_all(conf);
    char *text = json_dumps(all, 0);
    EXPECT_EQ(nullptr, strstr(text, "hunter2"));
    free(text);
    json_decref(all);
    static char bytes[CONF_SHOW_MAX_BYTES];
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    conf_show_describe(conf, CONF_SMTP_SMARTHOST_PASSWORD, &to);
    EXPECT_EQ(std::string::npos, std::string(to.bytes, to.len).find("hunter2"));
    struct conf_problem problem;
    struct conf_setting bad = { S("smtp.smarthost.password"), S("hunter2\n"), SPAN(""), SPAN("") };
    EXPECT_EQ(ERR_SYNTAX, conf_check(&bad, CONF_CLUSTER, &problem).code);
    EXPECT_EQ(nullptr, strstr(problem.text, "hunter2")) << problem.text;
    conf_unref(conf);
    conf_unref(none);
}

// Set to nothing is set; what is not among the settings has its default.
TEST(Conf, EmptyIsAValueWhereTheRowAllowsIt)
{
    const struct { const char *key; bool may_be_empty; } rows[] = {
        { "smtp.banner", true }, { "smtp.smarthost", true }, { "server.hostname", true }, { "proxy.trusted", true },
        { "smtp.smarthost.password", true }, { "smtp.size.max", false }, { "smtp.idle", false },
        { "scan.enabled", false }, { "courier.tls", false },
    };
    for (const auto &row : rows) {
        struct conf_problem problem;
        struct conf_setting setting = { S(row.key), SPAN(""), SPAN(""), SPAN("") };
        EXPECT_EQ(row.may_be_empty ? ERR_OK : ERR_SYNTAX, conf_check(&setting, CONF_CLUSTER, &problem).code) << row.key;
        if (!row.may_be_empty) continue;
        struct conf *conf = Make({ { row.key, "", "", "" } });
        EXPECT_TRUE(conf_is_set(conf, conf_find(S(row.key)))) << row.key;
        EXPECT_EQ("", Shown(conf, conf_find(S(row.key))));
        conf_unref(conf);
    }
}

TEST(Conf, BadValuesAreRefusedWithNameBoundsAndText)
{
    const std::string long_list(70000, '1');
    const struct { std::string key, value, says; } cases[] = {
        { "smtp.size.max", "1023", "1K to 256M bytes" }, { "smtp.size.max", "257M", "out of bounds" },
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
        { "smtp.banner", std::string(401, 'x'), "0 to 400 bytes of text" },
        { "server.hostname", "a b", "a domain name" }, { "server.hostname", "-a.org", "a domain name" }, { "server.hostname", "a..org", "domain" },
        { "server.hostname", "a-.org", "domain" }, { "server.hostname", ".", "domain" }, { "server.hostname", "a.org.", "domain" },
        { "server.hostname", std::string(64, 'a') + ".org", "domain" }, { "server.hostname", "m\xc3\xbc.org", "domain" },
        { "dns.resolver", "127.0.0.1", "HOST:PORT" }, { "dns.resolver", ":53", "HOST:PORT" }, { "dns.resolver", "127.0.0.1:0", "65535" },
        { "dns.resolver", "127.0.0.1:99999", "65535" }, { "dns.resolver", "127.0.0.1:5x", "65535" }, { "dns.resolver", "::1:53", "domain name" },
        { "dns.resolver", "[127.0.0.1]:53", "IPv6" }, { "dns.resolver", "[]:53", "domain name" }, { "dns.resolver", "[::1]:", "65535" },
        { "proxy.trusted", "10.0.0.0/33", "not an IP address" }, { "proxy.trusted", "10.0.0", "not an IP address" },
        { "proxy.trusted", "::1/129", "not an IP address" }, { "proxy.trusted", "::1/", "not an IP address" },
        { "proxy.trusted", "10.0.0.1, example.org", "not an IP address" }, { "proxy.trusted", "1.2.3.4/-1", "not an IP address" },
        { "proxy.trusted", std::string("1.2.3.4\0", 8), "control characters" }, { "proxy.trusted", long_list, "too long" },
    };
    for (const auto &c : cases) {
        struct conf_problem problem = { CONF_KEYS_COUNT, "" };
        struct conf *conf = nullptr;
        struct conf_setting setting = { S(c.key), S(c.value), S(""), S("") };
        EXPECT_EQ(ERR_SYNTAX, conf_make(&setting, 1, 1, &conf, &problem).code) << c.key << "=" << c.value.substr(0, 40);
        EXPECT_EQ(nullptr, conf);
        EXPECT_EQ(conf_find(S(c.key)), problem.key);
        std::string text = problem.text;
        EXPECT_EQ(0u, text.rfind(c.key + ": \"", 0)) << text;
        EXPECT_NE(std::string::npos, text.find(c.says)) << text << " lacks " << c.says;
        EXPECT_NE(std::string::npos, text.find("allowed: ")) << text;
        EXPECT_EQ(std::string::npos, text.find_first_of("\r\n")) << text;
        EXPECT_EQ(ERR_SYNTAX, conf_check(&setting, CONF_CLUSTER, &problem).code);
    }
}

TEST(Conf, UnknownKeysAreRefusedWhenSetAndPassedOverWhenStored)
{
    for (const char *key : { "", "smtp", "smtp.size", "smtp.size.max.", "SMTP.SIZE.MAX", "no.such\nthing" }) {
        struct conf_setting setting = { S(key), S("1"), S(""), S("") };
        struct conf_problem problem;
        struct conf *conf = nullptr;
        EXPECT_EQ(ERR_NOT_FOUND, conf_check(&setting, CONF_CLUSTER, &problem).code);
        EXPECT_EQ(std::string::npos, std::string(problem.text).find('\n'));
        ASSERT_EQ(ERR_OK, conf_make(&setting, 1, 1, &conf, &problem).code);
        EXPECT_EQ(1u, conf_unknown(conf));
        conf_unref(conf);
    }
    struct conf *conf = nullptr;
    struct conf_problem problem;
    std::vector<conf_setting> many(CONF_SETTINGS_MAX + 1);
    EXPECT_EQ(ERR_TOO_BIG, conf_make(many.data(), many.size(), 1, &conf, &problem).code);
}

TEST(Conf, StoredOptionsAreAnObjectOfTexts)
{
    const struct { const char *json; enum err_code code; const char *why; } cases[] = {
        { "", ERR_OK, "" }, { "{}", ERR_OK, "" }, { "{\"smtp.size.max\":\"30M\"}", ERR_OK, "" },
        { "{\"of.a.newer.program\":\"x\",\"smtp.size.max\":\"30M\"}", ERR_OK, "" },
        { "{\"smtp.smarthost.password\":\"sealed, and longer than may be\\n\",\"smtp.size.max\":\"30M\"}", ERR_OK, "" },
        { "{\"smtp.size.max\":\"1\"}", ERR_SYNTAX, "smtp.size.max: \"1\" is refused" },
        { "{\"smtp.size.max\":31457280}", ERR_SYNTAX, "smtp.size.max: the stored value is no text" },
        { "{\"of.a.newer.program\":null}", ERR_SYNTAX, "of.a.newer.program: the stored value is no text" },
        { "{\"smtp.size.max\":\"30M\",\"smtp.size.max\":\"31M\"}", ERR_SYNTAX, "the stored configuration is no JSON object" },
        { "[\"smtp.size.max\"]", ERR_SYNTAX, "the stored configuration is no JSON object" },
        { "{\"smtp.size.max\":", ERR_SYNTAX, "the stored configuration is no JSON object of texts (line 1" },
        { "nothing", ERR_SYNTAX, "the stored configuration is no JSON object" }, { "\xff", ERR_SYNTAX, "the stored configuration is no JSON object" },
    };
    for (const auto &c : cases) {
        struct conf *conf = nullptr;
        struct conf_problem problem = {};
        EXPECT_EQ(c.code, conf_from_json(S(c.json), 5, &conf, &problem).code) << c.json;
        EXPECT_EQ(0u, std::string(problem.text).find(c.why)) << c.json << problem.text;
        ASSERT_EQ(c.code == ERR_OK, conf != nullptr);
        if (conf == nullptr) continue;
        EXPECT_EQ(5u, conf_version(conf));
        EXPECT_TRUE(conf_text(conf, CONF_SMTP_SMARTHOST_PASSWORD).len == 0);
        EXPECT_EQ(strlen(c.json) > 2 ? 30u << 20 : 50u << 20, conf_number(conf, CONF_SMTP_SIZE_MAX));
        conf_unref(conf);
    }
}

// Other programs read what the frontend stores: a sealed secret is longer than its row allows, and no business of theirs.
TEST(Conf, StoredSecretsAreLeftOut)
{
    for (size_t sealed : { 76, 716, 4000 }) {
        std::string json = "{\"smtp.size.max\":\"30M\",\"smtp.smarthost.password\":\"" + std::string(sealed, 'A') + "\"}";
        struct conf *conf = nullptr;
        struct conf_problem problem = {};
        ASSERT_EQ(ERR_OK, conf_from_json(S(json), 5, &conf, &problem).code) << problem.text;
        EXPECT_FALSE(conf_is_set(conf, CONF_SMTP_SMARTHOST_PASSWORD));
        EXPECT_EQ("", Str(conf_text(conf, CONF_SMTP_SMARTHOST_PASSWORD)));
        EXPECT_EQ(30u << 20, conf_number(conf, CONF_SMTP_SIZE_MAX));
        conf_unref(conf);
    }
}

TEST(Conf, AddressesLieInNetworks)
{
    struct conf *conf = Make({ { "smtp.relay.networks", "10.0.0.0/8 192.0.2.128/25 2001:db8::/33 ::1", "", "" } });
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

// Groups of a test: "even" holds addresses that end in an even byte.
struct Groups {
    conf_groups groups{};
    int freed = 0;
};

TEST(Conf, AddressesLieInGroups)
{
    Groups mine;
    mine.groups.has = [](const conf_groups *, struct span name, const uint8_t ip[16]) {
        return Str(name) == "even" && ip[15] % 2 == 0;
    };
    mine.groups.free = [](conf_groups *groups) { reinterpret_cast<Groups *>(groups)->freed++; };
    struct conf *conf = Make({ { "smtp.relay.networks", "10.0.0.1, group:even group:gone", "", "" } });
    uint8_t one[16], two[16], three[16];
    ASSERT_TRUE(conf_value_ip(SPAN("10.0.0.1"), one));
    ASSERT_TRUE(conf_value_ip(SPAN("10.0.0.2"), two));
    ASSERT_TRUE(conf_value_ip(SPAN("10.0.0.3"), three));
    EXPECT_FALSE(conf_has_address(conf, CONF_SMTP_RELAY_NETWORKS, two)); // no groups are known
    conf_set_groups(conf, &mine.groups);
    EXPECT_TRUE(conf_has_address(conf, CONF_SMTP_RELAY_NETWORKS, one));
    EXPECT_TRUE(conf_has_address(conf, CONF_SMTP_RELAY_NETWORKS, two));
    EXPECT_FALSE(conf_has_address(conf, CONF_SMTP_RELAY_NETWORKS, three));
    EXPECT_FALSE(conf_has_address(conf, CONF_PROXY_TRUSTED, two));
    EXPECT_EQ("even", Str(conf_group(conf, CONF_SMTP_RELAY_NETWORKS, 0)));
    EXPECT_EQ("gone", Str(conf_group(conf, CONF_SMTP_RELAY_NETWORKS, 1)));
    EXPECT_EQ("", Str(conf_group(conf, CONF_SMTP_RELAY_NETWORKS, 2)));
    EXPECT_TRUE(conf_is_networks(CONF_PROXY_TRUSTED));
    EXPECT_FALSE(conf_is_networks(CONF_SMTP_SIZE_MAX));
    struct conf_problem problem;
    struct conf *narrow = nullptr;
    ASSERT_EQ(ERR_OK, conf_narrow(conf, CONF_DOMAIN, nullptr, 0, &narrow, &problem).code);
    conf_unref(conf);
    EXPECT_TRUE(conf_has_address(narrow, CONF_SMTP_RELAY_NETWORKS, two));
    EXPECT_EQ(0, mine.freed);
    conf_unref(narrow);
    EXPECT_EQ(1, mine.freed);
}

struct conf *Narrow(struct conf *wide, enum conf_scope scope, const std::vector<Setting> &from, enum err_code code = ERR_OK)
{
    struct conf *conf = nullptr;
    struct conf_problem problem = { CONF_KEYS_COUNT, "" };
    auto settings = Settings(from);
    EXPECT_EQ(code, conf_narrow(wide, scope, settings.data(), settings.size(), &conf, &problem).code) << problem.text;
    return conf;
}

TEST(Conf, TheNarrowestWinsWithinTheBoundsOfTheWider)
{
    struct conf *cluster = Make({ { "quota.bytes", "1G", "10M", "2G" }, { "smtp.banner", "Hello", "", "" } });
    struct conf *domain = Narrow(cluster, CONF_DOMAIN, { { "quota.bytes", "5G", "", "8G" }, { "quota.items", "7", "", "" } });
    struct conf *user = Narrow(domain, CONF_USER, { { "quota.bytes", "1M", "", "" }, { "quota.warning.percent", "50", "", "" } });
    conf_unref(cluster); // what is narrower keeps it
    EXPECT_EQ(2ull << 30, conf_number(domain, CONF_QUOTA_BYTES));
    EXPECT_EQ(10u << 20, conf_number(user, CONF_QUOTA_BYTES));
    EXPECT_EQ(7u, conf_number(user, CONF_QUOTA_ITEMS));
    EXPECT_EQ(50u, conf_number(user, CONF_QUOTA_WARNING_PERCENT));
    EXPECT_EQ("Hello", Str(conf_text(user, CONF_SMTP_BANNER)));
    EXPECT_EQ(7u, conf_version(user));
    // A bound without a value leaves the value.
    struct conf *bounded = Narrow(domain, CONF_DOMAIN, { { "quota.items", "", "", "100" } });
    struct conf *below = Narrow(bounded, CONF_USER, { { "quota.items", "500", "", "" } });
    EXPECT_EQ(7u, conf_number(bounded, CONF_QUOTA_ITEMS));
    EXPECT_EQ(100u, conf_number(below, CONF_QUOTA_ITEMS));
    Narrow(domain, CONF_USER, { { "smtp.size.max", "1M", "", "" } }, ERR_DENIED);
    Narrow(domain, CONF_USER, { { "smtp.quota.full", "permanent", "", "" } }, ERR_DENIED);
    Narrow(domain, CONF_DOMAIN, { { "quota.items", "1", "9", "8" } }, ERR_SYNTAX);
    Narrow(domain, CONF_DOMAIN, { { "quota.items", "1", "x", "" } }, ERR_SYNTAX);
    Narrow(domain, CONF_DOMAIN, { { "smtp.quota.full", "permanent", "", "1" } }, ERR_SYNTAX);
    struct conf_setting setting = { S("smtp.size.max"), S("1M"), S(""), S("") };
    struct conf_problem problem;
    EXPECT_EQ(ERR_DENIED, conf_check(&setting, CONF_USER, &problem).code);
    EXPECT_STREQ("smtp.size.max: is set for a whole cluster, not for less", problem.text);
    for (struct conf *conf : { below, bounded, user, domain }) conf_unref(conf);
}

TEST(ConfShow, JsonOfEveryOptionTakesItsOwnValueBack)
{
    struct conf *conf = Make({ { "proxy.trusted", "10.0.0.0/8 ::1", "", "" }, { "smtp.size.max", "30M", "", "" } });
    json_t *all = conf_show_json_all(conf);
    ASSERT_EQ(size_t(CONF_KEYS_COUNT), json_array_size(all));
    size_t index;
    json_t *one;
    static char bytes[CONF_VALUE_MAX_BYTES];
    json_array_foreach(all, index, one)
    {
        const char *key = json_string_value(json_object_get(one, "key"));
        for (const char *member : { "value", "default" }) {
            struct buf to;
            buf_init(&to, bytes, sizeof(bytes));
            ASSERT_EQ(ERR_OK, conf_show_from_json(json_object_get(one, member), &to).code) << key;
            struct conf_setting setting = { S(key), buf_span(&to), S(""), S("") };
            struct conf_problem problem;
            EXPECT_EQ(ERR_OK, conf_check(&setting, CONF_CLUSTER, &problem).code) << problem.text;
        }
    }
    json_t *size = conf_show_json(conf, CONF_SMTP_SIZE_MAX);
    char *text = json_dumps(size, JSON_SORT_KEYS);
    EXPECT_STREQ("{\"default\": 52428800, \"effect\": \"for new sessions\", \"key\": \"smtp.size.max\", \"max\": 268435456, "
                 "\"min\": 1024, \"scope\": \"cluster\", \"set\": true, \"text\": \"Largest message that is accepted, from outside "
                 "and from users (RFC 1870).\", \"type\": \"bytes\", \"value\": 31457280}", text);
    free(text);
    json_decref(size);
    json_decref(all);
    conf_unref(conf);
}

TEST(ConfShow, JsonThatIsNoValueIsRefused)
{
    for (const char *json : { "null", "{}", "-1", "1.5", "[1]", "[[\"a\"]]", "[\"a b\"]", "[\"a,b\"]", "[null]" }) {
        char bytes[100];
        struct buf to;
        buf_init(&to, bytes, sizeof(bytes));
        json_t *value = json_loads(json, JSON_DECODE_ANY, nullptr);
        EXPECT_EQ(ERR_SYNTAX, conf_show_from_json(value, &to).code) << json;
        EXPECT_EQ(0u, to.len);
        json_decref(value);
    }
    char bytes[4];
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    json_t *value = json_string("too long");
    EXPECT_EQ(ERR_TOO_BIG, conf_show_from_json(value, &to).code);
    json_decref(value);
}

TEST(ConfShow, TextsNameEveryOption)
{
    static char bytes[CONF_SHOW_MAX_BYTES];
    struct conf *conf = Make({});
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
    for (unsigned i = 0; i < CONF_KEYS_COUNT; i++) {
        ASSERT_EQ(ERR_OK, conf_file_next(&in, &line, &there).code);
        ASSERT_TRUE(there);
        EXPECT_EQ(conf_rows[i].key, Str(line.key));
        EXPECT_EQ(conf_rows[i].value, Str(line.value));
        EXPECT_NE(std::string::npos, page.find(std::string(".It Ic ") + conf_rows[i].key + "\n"));
        struct buf to;
        char one[2000];
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

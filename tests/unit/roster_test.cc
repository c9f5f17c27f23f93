// Rows of the cluster: what reads, what does not, and that writing and reading are each other's inverse.
#include "roster.h"
#include "roster_access.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "buf.h"
#include "roster_scanner.h"

namespace {

const std::string I = "0123456789abcdef0123456789abcdef", J = "fedcba98765432100123456789abcdef";
const std::string QI = "\"" + I + "\"", QJ = "\"" + J + "\"";

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

template <class T> enum err_code Read(struct err (*read)(struct span, T *), const std::string &text)
{
    static T row;
    return read(S(text), &row).code;
}

template <class T>
void Same(struct err (*read)(struct span, T *), void (*put)(struct buf *, const T *),
          const std::string &text)
{
    static T row;
    static char bytes[ROSTER_VALUE_MAX_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    ASSERT_EQ(ERR_OK, read(S(text), &row).code) << text;
    put(&out, &row);
    EXPECT_FALSE(out.overflow);
    EXPECT_EQ(text, std::string(bytes, out.len));
}

TEST(Roster, EveryRowIsWrittenAsItWasRead)
{
    for (const char *state : { "active", "draining", "dead" }) {
        Same(roster_store_read, roster_store_put,
             std::string("{\"node\":\"storage-node-1\",\"boot\":4,\"zone\":\"\",\"capacity\":1000,") +
                 "\"state\":\"" + state + "\"}");
    }
    Same(roster_live_read, roster_live_put,
         "{\"boot\":" + QI + ",\"stores\":[" + QI + "," + QJ + "],\"address\":\"127.0.0.2:7000\"}");
    for (const char *address : { "", "127.0.0.11:8080" }) {
        for (const char *admin : { "", "127.0.0.11:7002", "unix:/run/admin.sock" }) {
            Same(roster_program_read, roster_program_put,
                 "{\"boot\":" + QI + ",\"version\":\"0.1.0\",\"address\":\"" + address + "\",\"admin\":\"" + admin + "\"}");
        }
    }
    Same(roster_place_read, roster_place_put,
         "{\"replicas\":[" + QI + "],\"target\":3,\"min_isr\":2}");
    Same(roster_place_read, roster_place_put,
         "{\"replicas\":[" + QI + "," + QJ + "],\"target\":1,\"min_isr\":1,\"leaving\":" + QI + "}");
    Same(roster_place_read, roster_place_put,
         "{\"replicas\":[" + QI + "," + QJ + "],\"target\":1,\"min_isr\":1,\"leaving\":" + QI +
             ",\"lead\":" + QJ + ",\"by_hand\":true}");
    Same(roster_shard_read, roster_shard_put,
         "{\"epoch\":1007,\"leader\":" + QI + ",\"boot\":" + QJ + ",\"how\":\"forced\",\"isr\":[" + QI +
             "],\"nonce\":" + QJ + ",\"lossy\":1007,\"base\":41}");
    Same(roster_shard_read, roster_shard_put,
         "{\"epoch\":7,\"leader\":" + QI + ",\"boot\":" + QJ + ",\"how\":\"takeover\",\"isr\":[" + QI +
             "," + QJ + "],\"nonce\":" + QJ + "}");
    Same(roster_shard_read, roster_shard_put,
         "{\"epoch\":0,\"how\":\"bootstrap\",\"isr\":[" + QI + "],\"nonce\":" + QJ + "}");
    Same(roster_map_head_read, roster_map_head_put, "{\"version\":9,\"shards\":4096,\"chunks\":8}");
    Same(roster_map_head_read, roster_map_head_put, "{\"shards\":16,\"node\":\"unix:/run/store\"}");
    Same(roster_map_chunk_read, roster_map_chunk_put,
         "{\"version\":9,\"first\":0,\"slots\":[[0,256],[256,16384]]}");
}

TEST(Roster, BadProgramsAreCorrupt)
{
    for (const std::string &text : std::initializer_list<std::string>{
             "{}", "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":\"a:1\"}",
             "{\"boot\":" + QI + ",\"version\":\"\",\"address\":\"a:1\",\"admin\":\"b:1\"}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"admin\":\"b:1\"}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":7,\"admin\":\"b:1\"}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":\"a b\",\"admin\":\"b:1\"}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":\"" + std::string(256, 'a') + "\",\"admin\":\"b:1\"}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":\"a:1\",\"admin\":[]}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":\"a:1\",\"admin\":\"a\\\\b\"}",
             "{\"boot\":\"1\",\"version\":\"0.1\",\"address\":\"a:1\",\"admin\":\"b:1\"}" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_program_read, text)) << text;
    }
}

TEST(Roster, KeysOfPrograms)
{
    const struct { const char *key; bool good; enum roster_kind kind; const char *name; } cases[] = {
        { "programs/frontend/frontend-1", true, ROSTER_FRONTEND, "frontend-1" },
        { "programs/storage-node/a.b", true, ROSTER_STORAGE_NODE, "a.b" },
        { "programs/scanner/s", true, ROSTER_SCANNER, "s" },
        { "programs/router/r_1", true, ROSTER_ROUTER, "r_1" },
        { "programs/router/", false, ROSTER_ROUTER, "" },
        { "programs/router", false, ROSTER_ROUTER, "" },
        { "programs/", false, ROSTER_ROUTER, "" },
        { "programs/baker/x", false, ROSTER_ROUTER, "" },
        { "programs/router/a/b", false, ROSTER_ROUTER, "" },
        { "live/router/a", false, ROSTER_ROUTER, "" },
    };
    for (const auto &c : cases) {
        enum roster_kind kind = ROSTER_FRONTEND;
        struct roster_name name = {};
        EXPECT_EQ(c.good, roster_key_read_program(S(c.key), &kind, &name).code == ERR_OK) << c.key;
        if (!c.good) continue;
        char bytes[ROSTER_KEY_MAX_BYTES];
        struct buf out;
        buf_init(&out, bytes, sizeof(bytes));
        EXPECT_EQ(c.kind, kind);
        EXPECT_EQ(c.name, std::string(name.text, name.len));
        roster_key_program(&out, kind, roster_name_span(&name));
        EXPECT_EQ(c.key, std::string(bytes, out.len));
    }
}

TEST(RosterAccess, EachKindHasPrefixesOfItsOwn)
{
    for (auto kind : { ROSTER_FRONTEND, ROSTER_STORAGE_NODE, ROSTER_SCANNER, ROSTER_ROUTER }) {
        struct span prefixes[ROSTER_ACCESSES];
        size_t count = roster_access_prefixes(kind, prefixes, ROSTER_ACCESSES);
        EXPECT_GT(count, 3u);
        EXPECT_EQ(count, roster_access_prefixes(kind, nullptr, 0));
        std::set<std::string> all;
        for (size_t i = 0; i < count; i++) all.insert(std::string(prefixes[i].ptr, prefixes[i].len));
        EXPECT_EQ(count, all.size());
        auto reads = [&](const std::string &key) {
            return std::count_if(all.begin(), all.end(), [&](const std::string &one) { return key.compare(0, one.size(), one) == 0; });
        };
        for (const std::string key : { "meta", "policy/config" }) EXPECT_EQ(1, reads(key)) << key;
        EXPECT_EQ(1, reads(std::string("programs/") + roster_kind_text(kind) + "/x"));
        EXPECT_EQ(0, reads("certs/ca"));
        for (const std::string key : { "tokens/x", "tenants/x", "domains/x", "tls/tickets" }) EXPECT_EQ(kind == ROSTER_FRONTEND ? 1 : 0, reads(key)) << key;
        for (const auto &access : roster_accesses) {
            if (access.kind == kind) EXPECT_EQ(1, reads(std::string(access.prefix.ptr, access.prefix.len)));
        }
        EXPECT_LE(count, 10u); // each is a question more at the start
        for (const auto &one : all) { // disjoint: none is the beginning of another
            for (const auto &other : all) EXPECT_TRUE(one == other || other.compare(0, one.size(), one) != 0) << one << " " << other;
        }
    }
    // Nobody but the program itself writes its row, and a scanner writes nothing of another kind's.
    for (const auto &access : roster_accesses) {
        std::string prefix(access.prefix.ptr, access.prefix.len);
        if (!access.writes) continue;
        if (prefix.compare(0, 9, "programs/") == 0) EXPECT_EQ(std::string("programs/") + roster_kind_text(access.kind) + "/", prefix);
        if (access.kind == ROSTER_SCANNER) EXPECT_TRUE(prefix == "scanners/" || prefix == "signatures/" || prefix == "programs/scanner/") << prefix;
        else EXPECT_TRUE(prefix != "scanners/" && prefix != "signatures/");
    }
}

TEST(Roster, UnknownFieldsArePassedOver)
{
    EXPECT_EQ(ERR_OK, Read(roster_place_read, "{\"replicas\":[" + QI +
                                                  "],\"target\":3,\"min_isr\":2,\"new\":[1]}"));
    EXPECT_EQ(ERR_OK, Read(roster_map_head_read,
                           "{\"shards\":16,\"node\":\"unix:/x\",\"version\":1}"));
}

TEST(Roster, BadRowsAreCorrupt)
{
    for (const std::string &text : std::initializer_list<std::string>{
             std::string(), std::string("x"), std::string("[]"), std::string("{}"),
             std::string(70000, ' ') + "{}",
             "{\"replicas\":[\"xyz\"],\"target\":3,\"min_isr\":1}",
             "{\"replicas\":[" + QI + "],\"target\":3,\"target\":3,\"min_isr\":1}",
             "{\"replicas\":[" + QI + "],\"target\":-3,\"min_isr\":1}",
             "{\"replicas\":[" + QI + "],\"target\":1.5,\"min_isr\":1}",
             "{\"replicas\":[" + QI + "],\"target\":\"3\",\"min_isr\":1}",
             "{\"replicas\":[\"0123456789ABCDEF0123456789abcdef\"],\"target\":3,\"min_isr\":1}" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_place_read, text)) << text.substr(0, 100);
    }
    for (const char *text : {
             R"({"node":"","boot":1,"zone":"","capacity":1,"state":"active"})",
             R"({"node":"a b","boot":1,"zone":"","capacity":1,"state":"active"})",
             R"({"node":"a","boot":1,"capacity":1,"state":"active"})",
             R"({"node":"a","boot":1,"zone":"x/y","capacity":1,"state":"active"})",
             R"({"node":"a","boot":1,"zone":"","capacity":1,"state":"idle"})",
             R"({"node":"a","boot":1,"zone":"","capacity":1})" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_store_read, text)) << text;
    }
    std::string nine = "[";
    for (int i = 0; i < 9; i++) nine += (i ? "," : "") + ("\"" + std::to_string(i) + I.substr(1) + "\"");
    for (const std::string &text : std::initializer_list<std::string>{
             "{\"boot\":" + QI + ",\"stores\":" + nine + "],\"address\":\"a:1\"}",
             "{\"boot\":" + QI + ",\"stores\":[" + QI + "," + QI + "],\"address\":\"a:1\"}",
             "{\"boot\":" + QI + ",\"stores\":[],\"address\":\"\"}",
             "{\"boot\":" + QI + ",\"stores\":[],\"address\":\"a\\u0001:1\"}",
             "{\"boot\":" + QI + ",\"stores\":[],\"address\":\"a\\\":1\"}",
             "{\"boot\":" + QI + ",\"stores\":[],\"address\":\"" + std::string(256, 'a') + "\"}",
             "{\"stores\":[],\"address\":\"a:1\"}" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_live_read, text)) << text;
    }
    for (const std::string &text : std::initializer_list<std::string>{
             "{\"replicas\":[],\"target\":1,\"min_isr\":1}",
             "{\"replicas\":[" + QI + "],\"target\":1,\"min_isr\":2}",
             "{\"replicas\":[" + QI + "],\"target\":0,\"min_isr\":0}",
             "{\"replicas\":[" + QI + "],\"target\":8,\"min_isr\":1}",
             "{\"replicas\":" + QI + ",\"target\":1,\"min_isr\":1}",
             // One that leaves, or is to lead, is one of them.
             "{\"replicas\":[" + QI + "],\"target\":1,\"min_isr\":1,\"leaving\":" + QJ + "}",
             "{\"replicas\":[" + QI + "],\"target\":1,\"min_isr\":1,\"lead\":" + QJ + "}",
             "{\"replicas\":[" + QI + "],\"target\":1,\"min_isr\":1,\"lead\":true}" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_place_read, text)) << text;
    }
}

TEST(Roster, BadShardsAreCorrupt)
{
    const std::string lead = ",\"leader\":" + QI + ",\"boot\":" + QJ, nonce = ",\"nonce\":" + QJ + "}";
    for (const std::string &text : std::initializer_list<std::string>{
             // Forced in an epoch that is still to come; without where it stood.
             "{\"epoch\":7" + lead + ",\"how\":\"forced\",\"isr\":[" + QI + "],\"lossy\":8,\"base\":1" + nonce,
             "{\"epoch\":7" + lead + ",\"how\":\"forced\",\"isr\":[" + QI + "],\"lossy\":7" + nonce,
             // A leader outside the set; none at all; one before the first epoch's row says so.
             "{\"epoch\":7" + lead + ",\"how\":\"takeover\",\"isr\":[" + QJ + "]" + nonce,
             "{\"epoch\":7,\"how\":\"takeover\",\"isr\":[" + QI + "]" + nonce,
             "{\"epoch\":7" + lead + ",\"how\":\"bootstrap\",\"isr\":[" + QI + "]" + nonce,
             "{\"epoch\":0,\"how\":\"takeover\",\"isr\":[" + QI + "]" + nonce,
             "{\"epoch\":0,\"how\":\"bootstrap\",\"isr\":[]" + nonce,
             "{\"epoch\":0,\"how\":\"bootstrap\",\"isr\":[" + QI + "]}",
             "{\"how\":\"bootstrap\",\"isr\":[" + QI + "]" + nonce }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_shard_read, text)) << text;
    }
}

TEST(Roster, BadMapsAreCorrupt)
{
    for (const char *text : { R"({"version":1,"shards":0,"chunks":0})",
                              R"({"version":1,"shards":4097,"chunks":9})",
                              R"({"version":1,"shards":64,"chunks":2})",
                              R"({"version":1,"shards":64})", R"({"shards":16,"node":""})",
                              R"({"shards":0,"node":"unix:/x"})" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_map_head_read, text)) << text;
    }
    for (const char *text : { R"({"version":1,"first":0,"slots":[]})",
                              R"({"version":1,"first":4096,"slots":[[0,1]]})",
                              R"({"version":1,"first":0,"slots":[[0]]})",
                              R"({"version":1,"first":0,"slots":[[2,1]]})",
                              R"({"version":1,"first":0,"slots":[[0,16385]]})",
                              R"({"version":1,"first":0,"slots":[["0",1]]})",
                              R"({"version":1,"slots":[[0,1]]})" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_map_chunk_read, text)) << text;
    }
}

TEST(Roster, Keys)
{
    char bytes[ROSTER_KEY_MAX_BYTES];
    struct buf out;
    struct roster_id id, back;
    uint32_t number = 0;
    ASSERT_EQ(ERR_OK, roster_id_read(S(I), &id).code);
    buf_init(&out, bytes, sizeof(bytes));
    roster_key_id(&out, "stores", &id);
    EXPECT_EQ("stores/" + I, std::string(bytes, out.len));
    EXPECT_EQ(ERR_OK, roster_key_read_id(buf_span(&out), "stores", &back).code);
    EXPECT_TRUE(roster_id_eq(&id, &back));
    EXPECT_EQ(ERR_SYNTAX, roster_key_read_id(buf_span(&out), "store", &back).code);
    buf_init(&out, bytes, sizeof(bytes));
    roster_key_number(&out, "shards", 63);
    EXPECT_EQ("shards/00063", std::string(bytes, out.len));
    EXPECT_EQ(ERR_OK, roster_key_read_number(buf_span(&out), "shards", &number).code);
    EXPECT_EQ(63u, number);
    for (const char *key : { "shards/", "shards/63", "shards/0006x", "shards/000063", "shard/00063" }) {
        EXPECT_EQ(ERR_SYNTAX, roster_key_read_number(S(key), "shards", &number).code) << key;
    }
    struct roster_name name;
    EXPECT_EQ(ERR_SYNTAX, roster_name_set(&name, S("")).code);
    EXPECT_EQ(ERR_SYNTAX, roster_name_set(&name, S(std::string(64, 'a'))).code);
    EXPECT_EQ(ERR_SYNTAX, roster_name_set(&name, S("a/b")).code);
    EXPECT_EQ(ERR_OK, roster_name_set(&name, S(std::string(63, 'a'))).code);
}

const std::string kSet = "00000000000000ff";

TEST(RosterScanner, EveryRowIsWrittenAsItWasRead)
{
    const std::string head = "{\"boot\":" + QI + ",\"address\":\"10.0.0.6:7001\",\"workers\":4,\"set\":\"" + kSet;
    for (const char *refused : { "", "ffffffffffffffff" }) {
        Same(roster_scanner_read, roster_scanner_put,
             head + "\",\"version\":\"1.4.3/27500 of today\",\"date_ms\":1790000000123,\"refused\":\"" + refused + "\"}");
    }
    Same(roster_scanner_read, roster_scanner_put,
         "{\"boot\":" + QI + ",\"address\":\"unix:/run/s\",\"workers\":0,\"set\":\"\",\"version\":\"\",\"date_ms\":0,\"refused\":\"\"}");
    Same(roster_reload_read, roster_reload_put,
         "{\"scanner\":\"scanner-1\",\"boot\":" + QJ + ",\"set\":\"" + kSet + "\"}");
    Same(roster_bad_read, roster_bad_put, "{\"sets\":[]}");
    Same(roster_bad_read, roster_bad_put,
         "{\"sets\":[{\"set\":\"" + kSet + "\",\"by\":\"scanner-1\",\"why\":\"it does not find EICAR\"},"
         "{\"set\":\"1000000000000000\",\"by\":\"scanner-2\",\"why\":\"\"}]}");
}

TEST(RosterScanner, BadScannersAreCorrupt)
{
    const std::string head = "{\"boot\":" + QI + ",\"address\":\"h:1\"";
    const std::string tail = ",\"workers\":1,\"set\":\"" + kSet + "\",\"version\":\"v\",\"refused\":\"\"}";
    auto row = [&](const std::string &workers, const std::string &set, const std::string &version) {
        return head + ",\"workers\":" + workers + ",\"set\":" + set + ",\"version\":" + version + ",\"refused\":\"\"}";
    };
    EXPECT_EQ(ERR_OK, Read(roster_scanner_read, head + tail));
    EXPECT_EQ(ERR_OK, Read(roster_scanner_read, head + ",\"new\":[1]" + tail)) << "fields of later versions";
    EXPECT_EQ(ERR_OK, Read(roster_scanner_read, row("1", "\"\"", "\"\"")));
    for (const std::string &bad : {
             std::string(), std::string("[]"), std::string("{}"), head, head + "}",
             "{\"boot\":\"1\",\"address\":\"h:1\"" + tail, "{\"boot\":" + QI + ",\"address\":\"\"" + tail,
             "{\"boot\":" + QI + ",\"address\":\"h 1\"" + tail, "{\"boot\":" + QI + tail,
             row("-1", "\"\"", "\"\""), row("4097", "\"\"", "\"\""), row("1", "\"ff\"", "\"\""),
             row("1", "\"00000000000000FF\"", "\"\""), row("1", "\"0000000000000000\"", "\"\""),
             row("1", "7", "\"\""), row("1", "null", "\"\""), row("1", "\"\"", "null"),
             head + ",\"date_ms\":-1" + tail, head + ",\"date_ms\":\"1\"" + tail, head + ",\"date_ms\":null" + tail,
             row("1", "\"\"", "\"a\\n\""), row("1", "\"\"", "\"" + std::string(97, 'v') + "\"") }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_scanner_read, bad)) << bad;
    }
}

TEST(RosterScanner, BadReloadsAndListsAreCorrupt)
{
    for (const std::string &bad : { std::string("{}"), "{\"scanner\":\"s\",\"boot\":" + QI + "}",
                                    "{\"scanner\":\"\",\"boot\":" + QI + ",\"set\":\"\"}",
                                    "{\"scanner\":\"s/t\",\"boot\":" + QI + ",\"set\":\"\"}",
                                    std::string("{\"scanner\":\"s\",\"boot\":1,\"set\":\"\"}") }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_reload_read, bad)) << bad;
    }
    auto set = [](const std::string &name) { return "{\"set\":\"" + name + "\",\"by\":\"s\",\"why\":\"w\"}"; };
    std::string many;
    for (int i = 0; i < 9; i++) many += (i > 0 ? "," : "") + set("000000000000000" + std::to_string(i + 1));
    EXPECT_EQ(ERR_OK, Read(roster_bad_read, "{\"sets\":[" + set(kSet) + "]}"));
    for (const std::string &bad : {
             std::string("{}"), std::string("{\"sets\":{}}"), std::string("{\"sets\":[1]}"), "{\"sets\":[" + set("") + "]}",
             "{\"sets\":[" + set(kSet) + "," + set(kSet) + "]}", "{\"sets\":[" + many + "]}",
             "{\"sets\":[{\"set\":\"" + kSet + "\",\"by\":\"\",\"why\":\"w\"}]}",
             "{\"sets\":[{\"set\":\"" + kSet + "\",\"by\":\"s\"}]}" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_bad_read, bad)) << bad;
    }
}

TEST(RosterScanner, TheListOfBadSetsIsBoundedAndHasEachOnce)
{
    struct roster_bad bad = {};
    for (uint64_t i = 1; i <= ROSTER_BAD_MAX + 2; i++) {
        struct roster_bad_set set = {};
        set.set = i;
        roster_text_set(&set.why, SPAN("old"));
        roster_bad_add(&bad, &set);
    }
    ASSERT_EQ(unsigned(ROSTER_BAD_MAX), bad.count);
    EXPECT_EQ(nullptr, roster_bad_find(&bad, 2));
    ASSERT_NE(nullptr, roster_bad_find(&bad, 3));
    struct roster_bad_set again = {};
    again.set = 3;
    roster_text_set(&again.why, SPAN("n\"e\\w\n\x80"));
    roster_bad_add(&bad, &again);
    EXPECT_EQ(unsigned(ROSTER_BAD_MAX), bad.count);
    EXPECT_EQ(&bad.sets[ROSTER_BAD_MAX - 1], roster_bad_find(&bad, 3));
    struct span why = roster_text_span(&roster_bad_find(&bad, 3)->why);
    EXPECT_EQ("n?e?w??", std::string(why.ptr, why.len));
    roster_bad_remove(&bad, 3);
    roster_bad_remove(&bad, 77);
    EXPECT_EQ(unsigned(ROSTER_BAD_MAX) - 1, bad.count);
    EXPECT_EQ(nullptr, roster_bad_find(&bad, 3));
}

} // namespace

// Rows of the cluster: what reads, what does not, and that writing and reading are each other's inverse.
#include "roster.h"

#include <gtest/gtest.h>

#include <string>

#include "buf.h"

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
        Same(roster_program_read, roster_program_put,
             "{\"boot\":" + QI + ",\"version\":\"0.1.0\",\"address\":\"" + address + "\",\"key\":" + QJ + "}");
    }
    Same(roster_place_read, roster_place_put,
         "{\"replicas\":[" + QI + "],\"target\":3,\"min_isr\":2}");
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
             "{\"boot\":" + QI + ",\"version\":\"\",\"address\":\"a:1\",\"key\":" + QJ + "}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"key\":" + QJ + "}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":7,\"key\":" + QJ + "}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":\"a b\",\"key\":" + QJ + "}",
             "{\"boot\":" + QI + ",\"version\":\"0.1\",\"address\":\"" + std::string(256, 'a') + "\",\"key\":" + QJ + "}",
             "{\"boot\":\"1\",\"version\":\"0.1\",\"address\":\"a:1\",\"key\":" + QJ + "}" }) {
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
             "{\"replicas\":" + QI + ",\"target\":1,\"min_isr\":1}" }) {
        EXPECT_EQ(ERR_CORRUPT, Read(roster_place_read, text)) << text;
    }
}

TEST(Roster, BadShardsAreCorrupt)
{
    const std::string lead = ",\"leader\":" + QI + ",\"boot\":" + QJ, nonce = ",\"nonce\":" + QJ + "}";
    for (const std::string &text : std::initializer_list<std::string>{
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

} // namespace

// The words, dates, numbers and patterns of IMAP.
#include <gtest/gtest.h>

#include <string>

#include "imap_date.h"
#include "imap_match.h"
#include "imap_put.h"
#include "imap_token.h"
#include "uid_set.h"
#include "utf7.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return s.len == 0 ? "" : std::string(s.ptr, s.len); }

class ImapToken : public testing::Test {
protected:
    void SetUp() override { arena_init(&arena, 1 << 16); }
    void TearDown() override { arena_clear(&arena); }
    struct imap_cursor Cursor(const std::string &text) { return {S(text), 0, &arena}; }
    struct arena arena;
};

using Take = struct err (*)(struct imap_cursor *, struct span *);

TEST_F(ImapToken, Strings)
{
    const struct { Take take; std::string in; bool good; std::string out; size_t at; } cases[] = {
        {imap_take_atom, "abc def", true, "abc", 3}, {imap_take_atom, "a]b", true, "a", 1},
        {imap_take_atom, "", false, "", 0}, {imap_take_atom, "(", false, "", 0}, {imap_take_atom, "\xc3\xa4", false, "", 0},
        {imap_take_atom, std::string("\0", 1), false, "", 0}, {imap_take_astring, "a]b", true, "a]b", 3},
        {imap_take_astring, "\"a b\" c", true, "a b", 5}, {imap_take_astring, "\"\"", true, "", 2},
        {imap_take_astring, "\"a\\\"b\\\\\"", true, "a\"b\\", 8}, {imap_take_astring, "\"a\\b\"", false, "", 3},
        {imap_take_astring, "\"abc", false, "", 0}, {imap_take_astring, "\"a\rb\"", false, "", 2},
        {imap_take_astring, "{3}\r\na\"bX", true, "a\"b", 8}, {imap_take_astring, "{3+}\r\nabc", true, "abc", 9},
        {imap_take_astring, "{0}\r\n", true, "", 5}, {imap_take_astring, "{4}\r\nabc", false, "", 0},
        {imap_take_astring, "{3}abc", false, "", 0}, {imap_take_astring, "{}\r\n", false, "", 0},
        {imap_take_astring, std::string("{3}\r\na\0b", 8), false, "", 0}, {imap_take_astring, "{3\r\nabc", false, "", 0},
        {imap_take_string, "abc", false, "", 0}, {imap_take_nstring, "NIL", true, "", 3},
        {imap_take_nstring, "nil", true, "", 3}, {imap_take_nstring, "NILS", false, "", 0},
        {imap_take_list_mailbox, "a/%*", true, "a/%*", 4}, {imap_take_list_mailbox, "\"%\"", true, "%", 3},
        {imap_take_list_mailbox, "(", false, "", 0}, {imap_take_flag, "\\Seen)", true, "\\Seen", 5},
        {imap_take_flag, "$Junk", true, "$Junk", 5}, {imap_take_flag, "\\", false, "", 0}, {imap_take_flag, "\\*", false, "", 0},
        {imap_take_tag, "A01 x", true, "A01", 3}, {imap_take_tag, "a]", true, "a]", 2}, {imap_take_tag, "a+", false, "", 0},
        {imap_take_tag, std::string(65, 'a'), false, "", 0}, {imap_take_tag, "*", false, "", 0},
        {imap_take_set, "1:*,5", true, "1:*,5", 5}, {imap_take_set, "*", true, "*", 1}, {imap_take_set, "0", false, "", 0},
        {imap_take_set, "1,", false, "", 2}, {imap_take_set, "1:", false, "", 2}, {imap_take_set, ":1", false, "", 0},
        {imap_take_set, "4294967296", false, "", 0}, {imap_take_set, "-1", false, "", 0},
    };
    for (const auto &c : cases) {
        auto cursor = Cursor(c.in);
        struct span got = {nullptr, 0};
        EXPECT_EQ(c.good, c.take(&cursor, &got).code == ERR_OK) << c.in;
        EXPECT_EQ(c.out, Str(got)) << c.in;
        EXPECT_EQ(c.at, cursor.at) << c.in;
    }
}

TEST_F(ImapToken, Numbers)
{
    const struct { const char *in; bool small, large; uint64_t value; } cases[] = {
        {"0", true, true, 0}, {"4294967295", true, true, 4294967295u}, {"4294967296", false, true, 4294967296u},
        {"18446744073709551615", false, true, UINT64_MAX}, {"18446744073709551616", false, false, 0},
        {"99999999999999999999999", false, false, 0}, {"", false, false, 0}, {"-1", false, false, 0}, {"x", false, false, 0},
    };
    for (const auto &c : cases) {
        std::string in = c.in;
        auto cursor = Cursor(in);
        uint32_t small = 0;
        EXPECT_EQ(c.small, imap_take_number(&cursor, &small).code == ERR_OK) << in;
        if (c.small) EXPECT_EQ(c.value, small);
        cursor.at = 0;
        uint64_t large = 0;
        EXPECT_EQ(c.large, imap_take_number64(&cursor, &large).code == ERR_OK) << in;
        EXPECT_EQ(c.value, large);
    }
}

TEST_F(ImapToken, SetsAreSortedAndJoined)
{
    const struct { const char *in; uint32_t star; bool has_star; std::string out; } cases[] = {
        {"1", 9, false, "1-1 "}, {"3,1,2", 9, false, "1-3 "}, {"5:2", 9, false, "2-5 "}, {"1:*", 9, true, "1-9 "},
        {"*", 9, true, "9-9 "}, {"*:4", 9, true, "4-9 "}, {"20:*", 9, true, "9-20 "}, {"1:*,3", 0, true, "3-3 "},
        {"*", 0, true, ""}, {"1:4,3:6,8", 9, false, "1-6 8-8 "}, {"4294967295", 9, false, "4294967295-4294967295 "},
    };
    for (const auto &c : cases) {
        struct uid_set set;
        uid_set_init(&set, 100);
        bool star = !c.has_star;
        ASSERT_EQ(ERR_OK, imap_set_read(S(c.in), c.star, &set, &star).code) << c.in;
        std::string out;
        for (size_t i = 0; i < set.count; i++) out += std::to_string(set.ranges[i].first) + "-" + std::to_string(set.ranges[i].last) + " ";
        EXPECT_EQ(c.out, out) << c.in;
        EXPECT_EQ(c.has_star, star) << c.in;
        uid_set_free(&set);
    }
    std::string many = "1";
    for (int i = 0; i < IMAP_SET_RANGES_MAX; i++) many += ",1";
    struct uid_set set;
    bool star;
    uid_set_init(&set, 100);
    EXPECT_EQ(ERR_TOO_BIG, imap_set_read(S(many), 1, &set, &star).code);
    uid_set_free(&set);
}

TEST(ImapLiteral, AtTheEndOfALine)
{
    const struct { const char *line; bool is; uint64_t size; bool waits; size_t start; } cases[] = {
        {"a LOGIN {5}", true, 5, true, 8}, {"a LOGIN {5+}", true, 5, false, 8}, {"{0}", true, 0, true, 0},
        {"x {4294967296}", true, 4294967296u, true, 2}, {"x {99999999999999999999999+}", true, UINT64_MAX, false, 2},
        {"{}", false, 0, false, 0}, {"{+}", false, 0, false, 0}, {"5}", false, 0, false, 0}, {"{5} ", false, 0, false, 0},
        {"{-5}", false, 0, false, 0}, {"}", false, 0, false, 0}, {"", false, 0, false, 0}, {"{5++}", false, 0, false, 0},
    };
    for (const auto &c : cases) {
        uint64_t size = 0;
        bool waits = false;
        size_t start = 0;
        EXPECT_EQ(c.is, imap_literal_at_end(S(c.line), &size, &waits, &start)) << c.line;
        EXPECT_EQ(c.size, size) << c.line;
        EXPECT_EQ(c.waits, waits) << c.line;
        EXPECT_EQ(c.start, start) << c.line;
    }
}

TEST_F(ImapToken, DateTimes)
{
    const struct { const char *in; bool good; uint64_t seconds; } cases[] = {
        {"\"17-Jul-1996 02:44:25 -0700\"", true, 837596665}, {"\"01-Jan-1970 00:00:00 +0000\"", true, 0},
        {"\" 1-Jan-1970 00:00:01 +0000\"", true, 1}, {"\"29-Feb-2000 23:59:59 +0000\"", true, 951868799},
        {"\"01-Jan-1960 00:00:00 +0000\"", true, 0}, {"\"31-Dec-9999 23:59:59 +0000\"", true, 253402300799},
        {"\"01-jan-2024 12:00:60 +0530\"", true, 1704090660}, {"\"29-Feb-1900 00:00:00 +0000\"", false, 0},
        {"\"31-Apr-2000 00:00:00 +0000\"", false, 0}, {"\"00-Apr-2000 00:00:00 +0000\"", false, 0},
        {"\"1-Apr-2000 00:00:00 +0000\"", false, 0}, {"\"01-Apr-2000 24:00:00 +0000\"", false, 0},
        {"\"01-Apr-2000 00:60:00 +0000\"", false, 0}, {"\"01-Apr-2000 00:00:00 0000\"", false, 0},
        {"\"01-Apr-2000 00:00:00 +00\"", false, 0}, {"01-Apr-2000 00:00:00 +0000", false, 0},
        {"\"01-Apr-200 00:00:00 +0000\"", false, 0}, {"\"01-Foo-2000 00:00:00 +0000\"", false, 0}, {"\"", false, 0}, {"\"01", false, 0},
    };
    for (const auto &c : cases) {
        std::string in = c.in;
        auto cursor = Cursor(in);
        uint64_t ms = 7;
        EXPECT_EQ(c.good, imap_take_date_time(&cursor, &ms).code == ERR_OK) << in;
        EXPECT_EQ(c.good ? c.seconds * 1000 : 7, ms) << in;
    }
}

TEST_F(ImapToken, Dates)
{
    const struct { const char *in; bool good; uint64_t days; } cases[] = {
        {"1-Feb-1994", true, 8797}, {"01-Feb-1994", true, 8797}, {"\"1-Feb-1994\"", true, 8797}, {"1-Jan-1970", true, 0},
        {"31-Dec-1969", true, 0}, {"1-Mar-2024", true, 19783}, {"29-Feb-2023", false, 0}, {"\"1-Feb-1994", false, 0},
        {"1-Feb-94", false, 0}, {"1 Feb 1994", false, 0}, {"Feb-1-1994", false, 0}, {"", false, 0}, {"1-", false, 0},
    };
    for (const auto &c : cases) {
        std::string in = c.in;
        auto cursor = Cursor(in);
        uint64_t days = 7;
        EXPECT_EQ(c.good, imap_take_date(&cursor, &days).code == ERR_OK) << in;
        EXPECT_EQ(c.good ? c.days : 7, days) << in;
    }
}

TEST_F(ImapToken, WrittenDatesReadBack)
{
    for (uint64_t day = 0; day < 60000; day++) {
        uint64_t ms = day * 86400000 + day % 86400 * 1000, back = 0;
        char text[IMAP_DATE_TIME_BYTES];
        ASSERT_EQ(text + IMAP_DATE_TIME_BYTES, imap_put_date_time(text, ms));
        struct imap_cursor cursor = {span_of(text, sizeof text), 0, &arena};
        ASSERT_EQ(ERR_OK, imap_take_date_time(&cursor, &back).code) << std::string(text, sizeof text);
        ASSERT_EQ(ms, back);
    }
    char text[IMAP_DATE_TIME_BYTES];
    imap_put_date_time(text, 837596665000);
    EXPECT_EQ("\"17-Jul-1996 09:44:25 +0000\"", std::string(text, sizeof text));
    imap_put_date_time(text, UINT64_MAX);
    EXPECT_EQ("\"31-Dec-9999", std::string(text, 12));
}

TEST(ImapPut, Numbers)
{
    for (uint64_t v : {0ull, 1ull, 9ull, 10ull, 99ull, 100ull, 101ull, 999ull, 1000ull, 65535ull, 4294967295ull, 18446744073709551615ull}) {
        char text[IMAP_U64_MAX_BYTES];
        EXPECT_EQ(std::to_string(v), std::string(text, static_cast<size_t>(imap_put_u64(text, v) - text)));
        if (v <= UINT32_MAX) EXPECT_EQ(std::to_string(v), std::string(text, static_cast<size_t>(imap_put_u32(text, static_cast<uint32_t>(v)) - text)));
    }
}

TEST(ImapPut, Strings)
{
    const struct { std::string in, out; } cases[] = {
        {"", "\"\""}, {"a b", "\"a b\""}, {"a\"b\\", "\"a\\\"b\\\\\""}, {"a\r\n", "{3}\r\na\r\n"},
        {std::string("\0", 1), std::string("{1}\r\n\0", 6)}, {"\xc3\xa4", "{2}\r\n\xc3\xa4"},
        {std::string(1001, 'x'), "{1001}\r\n" + std::string(1001, 'x')},
    };
    for (const auto &c : cases) {
        char bytes[2048];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        imap_put_string(&out, S(c.in));
        EXPECT_EQ(c.out, Str(buf_span(&out)));
    }
    char small[3];
    struct buf out;
    buf_init(&out, small, sizeof small);
    imap_put_string(&out, SPAN("abc"));
    EXPECT_TRUE(out.overflow);
}

TEST(ImapMatch, Patterns)
{
    const struct { const char *pattern, *name; bool matches; } cases[] = {
        {"*", "", true}, {"*", "a/b", true}, {"%", "a", true}, {"%", "a/b", false}, {"%/%", "a/b", true}, {"a*", "a/b", true},
        {"a%", "ab", true}, {"a%", "a/b", false}, {"*b", "a/b", true}, {"%b", "a/b", false}, {"a/%", "a/b/c", false},
        {"a/*", "a", false}, {"*/c", "a/b/c", true}, {"%*", "a/b", true}, {"*%", "a/b", true}, {"a%c", "abc", true},
        {"a%c", "ac", true}, {"a%c", "ab", false}, {"", "", true}, {"", "a", false}, {"a", "", false}, {"A", "a", false},
        {"inbox", "INBOX", true}, {"InB%", "INBOX", true}, {"inbox/x", "INBOX/x", true}, {"inbox/x", "INBOX/X", false},
        {"inboxes", "INBOXES", false}, {"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    for (const auto &c : cases) EXPECT_EQ(c.matches, imap_match(S(c.pattern), S(c.name))) << c.pattern << " " << c.name;
    EXPECT_FALSE(imap_match(S(std::string(IMAP_PATTERN_MAX_BYTES + 1, '*')), SPAN("a")));
    EXPECT_TRUE(imap_match(S(std::string(IMAP_PATTERN_MAX_BYTES, '*')), SPAN("a")));
}

// Both ways, when `utf8` is not nullptr; else no such encoding.
TEST(Utf7, MailboxNames)
{
    const struct { const char *utf7, *utf8; } cases[] = {
        {"", ""}, {"INBOX", "INBOX"}, {"A&-B", "A&B"}, {"&-&-", "&&"}, {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"&2D3cqQ-", "\xf0\x9f\x92\xa9"}, {"&AAE-", "\x01"}, {"a&IKw-b", "a\xe2\x82\xac" "b"}, {"a b~", "a b~"},
        {"&", nullptr}, {"&A", nullptr}, {"&AAE", nullptr}, {"&AGE-", nullptr}, {"&2D0-", nullptr}, {"&3Kk-", nullptr},
        {"&2D0AYQ-", nullptr}, {"&APx-", nullptr}, {"&APw/-", nullptr}, {"&AP=-", nullptr}, {"\xc3\xbc", nullptr},
        {"a\r", nullptr}, {"\x7f", nullptr}, {"&APwA-", nullptr},
    };
    for (const auto &c : cases) {
        char bytes[256];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        auto err = utf7_decode(S(c.utf7), &out);
        EXPECT_EQ(c.utf8 != nullptr, err.code == ERR_OK) << c.utf7;
        if (c.utf8 == nullptr) continue;
        EXPECT_EQ(c.utf8, Str(buf_span(&out))) << c.utf7;
        buf_init(&out, bytes, sizeof bytes);
        EXPECT_EQ(ERR_OK, utf7_encode(S(c.utf8), &out).code);
        EXPECT_EQ(c.utf7, Str(buf_span(&out)));
    }
    for (const char *bad : {"\x80", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"}) {
        char bytes[64];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        EXPECT_EQ(ERR_SYNTAX, utf7_encode(S(bad), &out).code);
    }
    char small[3];
    struct buf out;
    buf_init(&out, small, sizeof small);
    EXPECT_EQ(ERR_TOO_BIG, utf7_decode(SPAN("INBOX"), &out).code);
}

}  // namespace

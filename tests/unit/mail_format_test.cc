// What stands in the header of a message: fields, encoded words, parameters, addresses, dates; and
// the codings under them.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "address.h"
#include "base64.h"
#include "buf.h"
#include "date.h"
#include "header.h"
#include "json_text.h"
#include "param.h"
#include "qp.h"
#include "trace.h"
#include "utf8.h"

namespace {
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string T(struct span s) { return s.len == 0 ? "" : std::string(s.ptr, s.len); }
template <size_t n> std::string B(const char (&literal)[n]) { return std::string(literal, n - 1); }

// What `put` appends, given exactly `room` bytes.
std::string Put(size_t room, const std::function<void(struct buf *)> &put)
{
    std::string text(room, '\0');
    struct buf out;
    buf_init(&out, text.data(), room);
    put(&out);
    EXPECT_FALSE(out.overflow);
    return text.substr(0, out.len);
}

// ---- utf8, json_text

TEST(Utf8, TakesCharacters)
{
    const struct { std::string in; size_t len; uint32_t character; } cases[] = {
        {"a", 1, 'a'}, {B("\0"), 1, 0}, {"\xc3\xa4x", 2, 0xe4}, {"\xe2\x82\xac", 3, 0x20ac},
        {"\xf0\x9f\x90\xa6", 4, 0x1f426}, {"\xef\xbf\xbd", 3, 0xfffd}, {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
        {"", 0, 7}, {"\x80", 0, 7}, {"\xc3", 0, 7}, {"\xc3(", 0, 7}, {"\xc0\x80", 0, 7}, {"\xc1\xbf", 0, 7},
        {"\xe0\x9f\xbf", 0, 7}, {"\xed\xa0\x80", 0, 7}, {"\xf0\x8f\xbf\xbf", 0, 7},
        {"\xf4\x90\x80\x80", 0, 7}, {"\xf5\x80\x80\x80", 0, 7}, {"\xff", 0, 7}, {"\xe2\x82", 0, 7},
    };
    for (const auto &c : cases) {
        uint32_t character = 7;
        EXPECT_EQ(c.len, utf8_take(S(c.in), &character)) << c.in;
        EXPECT_EQ(c.character, character) << c.in;
        EXPECT_EQ(c.len > 0 || c.in.empty(), utf8_is_valid(S(c.in.substr(0, c.len == 0 ? c.in.size() : c.len))));
        if (c.len > 0) {
            EXPECT_EQ(c.in.substr(0, c.len), Put(4, [&](struct buf *out) { utf8_put(out, c.character); }));
        }
    }
    EXPECT_EQ("\xef\xbf\xbd", Put(3, [](struct buf *out) { utf8_put(out, 0xd800); }));
}

TEST(Utf8, CleanAndHead)
{
    const std::string bad = "a\xffz\xc3\xa4\xe2\x82";
    EXPECT_EQ("a\xef\xbf\xbdz\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd",
              Put(3 * bad.size(), [&](struct buf *out) { utf8_put_clean(out, S(bad)); }));
    const std::string text = "a\xc3\xa4\xf0\x9f\x90\xa6" "b";
    const size_t heads[] = {0, 1, 1, 3, 3, 3, 3, 7, 8, 8};
    for (size_t max = 0; max < 10; max++) EXPECT_EQ(heads[max], utf8_head(S(text), max).len) << max;
}

TEST(JsonText, AnyBytes)
{
    const struct { std::string in, out; } cases[] = {
        {"", R"("")"}, {"plain", R"("plain")"}, {"a\"b\\c", R"("a\"b\\c")"}, {"\r\n\t", R"("\r\n\t")"},
        {B("\0\x1f\x7f"), R"("\u0000\u001f\u007f")"}, {"\xc3\xa4\xf0\x9f\x90\xa6", "\"\xc3\xa4\xf0\x9f\x90\xa6\""},
        {"\xe2\x80\xa8", R"("\u2028")"}, {"a\xff" "b", "\"a\xef\xbf\xbd" "b\""}, {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.out, Put(c.in.size() * JSON_TEXT_GROWTH + JSON_TEXT_QUOTES_BYTES,
                             [&](struct buf *out) { json_text_put(out, S(c.in)); }));
    }
}

// ---- base64, quoted-printable

TEST(Base64, BothWays)
{
    const struct { const char *bytes, *text; } cases[] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe", "//4="}};
    for (const auto &c : cases) {
        EXPECT_EQ(c.text, Put(16, [&](struct buf *out) { base64_encode(out, S(c.bytes)); }));
        EXPECT_EQ(c.bytes, Put(16, [&](struct buf *out) { base64_decode(out, S(c.text)); }));
    }
    std::string bytes(200, 'x');
    std::string lines = Put(400, [&](struct buf *out) { base64_encode_lines(out, S(bytes)); });
    EXPECT_EQ(76u, lines.find("\r\n"));
    EXPECT_EQ(bytes, Put(300, [&](struct buf *out) { base64_decode(out, S(lines)); }));
}

TEST(Base64, DecodesWhatMailHas)
{
    const struct { const char *text, *bytes; } cases[] = {
        {"Zm9v\r\n YmFy", "foobar"}, {"Zm9vYg", "foob"}, {"Zm9v!!!YmFy", "foobar"}, {"Zg==Zg==", "ff"},
        {"=", ""}, {"Z", ""}, {"====Zg", "f"}, {"Zm8=\r\nZm9v", "fofoo"}, {"!@#$", ""}};
    for (const auto &c : cases) {
        EXPECT_EQ(c.bytes, Put(std::strlen(c.text), [&](struct buf *out) { base64_decode(out, S(c.text)); })) << c.text;
    }
}

TEST(QuotedPrintable, Encodes)
{
    const struct { std::string in, out; } cases[] = {
        {"plain text", "plain text"}, {"a=b", "a=3Db"}, {"\xc3\xa4", "=C3=A4"}, {"end \r\nx", "end=20\r\nx"},
        {"tab\t", "tab=09"}, {"\r\n.\r\n", "\r\n=2E\r\n"}, {"From me", "=46rom me"}, {"a\nb\rc", "a=0Ab=0Dc"},
        {B("\0"), "=00"},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.out, Put(c.in.size() * QP_GROWTH, [&](struct buf *out) { qp_encode(out, S(c.in)); }));
    }
    for (size_t len = 70; len < 240; len++) {
        for (const char *unit : {"x", "=", "\xc3\xa4"}) {
            std::string in, text;
            while (in.size() < len) in += unit;
            text = Put(in.size() * QP_GROWTH, [&](struct buf *out) { qp_encode(out, S(in)); });
            EXPECT_EQ(in, Put(in.size(), [&](struct buf *out) { qp_decode(out, S(text)); }));
            for (size_t at = 0, end; at < text.size(); at = end + 2) {
                end = text.find("\r\n", at);
                if (end == std::string::npos) end = text.size();
                EXPECT_LE(end - at, 76u);
            }
        }
    }
}

TEST(QuotedPrintable, DecodesWhatMailHas)
{
    const struct { const char *text, *bytes; } cases[] = {
        {"a=3Db", "a=b"}, {"a=3db", "a=b"}, {"so=\r\nft", "soft"}, {"so=\nft", "soft"}, {"so=  \t\r\nft", "soft"},
        {"end=", "end"}, {"a=zz", "a=zz"}, {"a=4", "a=4"}, {"a==41", "a=A"}, {"a_b", "a_b"}, {"=\r\n", ""}};
    for (const auto &c : cases) {
        EXPECT_EQ(c.bytes, Put(std::strlen(c.text), [&](struct buf *out) { qp_decode(out, S(c.text)); })) << c.text;
    }
    EXPECT_EQ("a b=", Put(10, [](struct buf *out) { qp_decode_word(out, SPAN("a_b=3D")); }));
    EXPECT_EQ("a=", Put(10, [](struct buf *out) { qp_decode_word(out, SPAN("a=")); }));
}

TEST(Decoders, StopWhereThereIsNoRoom)
{
    const std::string base64 = "Zm9v\r\nYmFyYmF6 IQ==Zm9v", qp = "soft=\r\n=C3=A4 =zz=\r\nend=3D";
    for (size_t room = 1; room < 8; room++) {
        std::string store(room, '\0'), from_base64, from_qp;
        struct base64_state state = {0, 0};
        for (struct span rest = S(base64); rest.len > 0;) {
            struct buf out;
            buf_init(&out, store.data(), room);
            base64_decode_some(&state, &out, &rest);
            from_base64 += T(buf_span(&out));
        }
        for (struct span rest = S(qp); rest.len > 0;) {
            struct buf out;
            buf_init(&out, store.data(), room);
            qp_decode_some(&out, &rest);
            from_qp += T(buf_span(&out));
        }
        EXPECT_EQ("foobarbaz!foo", from_base64);
        EXPECT_EQ("soft\xc3\xa4 =zzend=", from_qp);
    }
}

// ---- header

TEST(Header, Fields)
{
    const std::string header = "From: a\r\nSubject : folded\r\n  twice\r\n\tand more\r\nnothing here\r\nBad name: x\n"
                               "Empty:\r\n:y\r\nLast: z\n\r\nbody: no\r\n";
    const struct { const char *name, *value; } fields[] = {
        {"From", " a"}, {"Subject", " folded\r\n  twice\r\n\tand more"}, {"", ""}, {"", " x"}, {"Empty", ""}, {"", "y"}, {"Last", " z"}};
    struct span in = S(header);
    struct header_field field;
    for (const auto &f : fields) {
        ASSERT_TRUE(header_take(&in, &field));
        EXPECT_EQ(f.name, T(field.name));
        EXPECT_EQ(f.value, T(field.value));
    }
    EXPECT_FALSE(header_take(&in, &field));
    EXPECT_EQ("body: no\r\n", T(in));
    struct span value;
    EXPECT_TRUE(header_find(S(header), SPAN("SUBJECT"), &value));
    EXPECT_EQ("folded\r\n  twice\r\n\tand more", T(header_trim(value)));
    EXPECT_FALSE(header_find(S(header), SPAN("body"), &value));
    for (const std::string no_end : {"", "A", "A: b", "A: b\r\n", "A: b\r\n c"}) {
        in = S(no_end);
        while (header_take(&in, &field)) EXPECT_NE(0u, field.raw.len);
        EXPECT_EQ(0u, in.len) << no_end;
    }
}

TEST(Header, Unfold)
{
    const struct { std::string in, out; } cases[] = {
        {" a\r\n b", "a b"}, {"a\n\tb ", "a\tb"}, {"a\r\nb", "a  b"}, {B("a\0b"), "a b"}, {"a\rb", "a b"},
        {"\r\n \r\n x\r\n ", "x"}, {"", ""}, {" \t", ""}, {"\xc3\xa4", "\xc3\xa4"}};
    for (const auto &c : cases) {
        EXPECT_EQ(c.out, Put(c.in.size(), [&](struct buf *out) { header_unfold(out, S(c.in)); }));
    }
}

// UTF-8, and ISO-8859-1 by hand.
bool ToUtf8(void *, struct span charset, struct span bytes, struct buf *out)
{
    if (span_eq_nocase(charset, SPAN("utf-8"))) {
        utf8_put_clean(out, bytes);
        return true;
    }
    if (!span_eq_nocase(charset, SPAN("iso-8859-1"))) return false;
    for (size_t i = 0; i < bytes.len; i++) utf8_put(out, static_cast<unsigned char>(bytes.ptr[i]));
    return true;
}
const struct header_charsets kCharsets = {ToUtf8, nullptr};

TEST(Header, EncodedWords)
{
    // The examples of RFC 2047 section 8 among them.
    const struct { std::string in, out; } cases[] = {
        {"plain", "plain"}, {"=?ISO-8859-1?Q?a?=", "a"}, {"=?ISO-8859-1?Q?a?= b", "a b"},
        {"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"}, {"=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?=", "ab"},
        {"=?ISO-8859-1?Q?a_b?=", "a b"}, {"=?ISO-8859-1?Q?a?= =?utf-8?B?w6Q=?=", "a\xc3\xa4"},
        {"=?utf-8?B?w6?= =?UTF-8?B?pA==?=", "\xc3\xa4"}, // a character cut in two
        {"=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "\xc3\xa4"},
        {"=?utf-8*en?Q?=C3=A4?=", "\xc3\xa4"}, {"=?ISO-8859-1?q?=E4?=x", "\xc3\xa4x"},
        {"a =?utf-8?Q?b?= c\r\n d", "a b c d"}, {"=?utf-8?Q?two words?=", "two words"},
        {"=?nobody?Q?=C3=A4?=", "\xc3\xa4"}, {"=?nobody?Q?=E4?=", "\xef\xbf\xbd"},
        {"raw \xc3\xa4 \xe4", "raw \xc3\xa4 \xef\xbf\xbd"},
        {"=?utf-8?X?b?=", "=?utf-8?X?b?="}, {"=?utf-8?Q?b", "=?utf-8?Q?b"}, {"=??Q?b?=", "=??Q?b?="},
        {"=?", "=?"}, {"=", "="}, {"=?=?=?utf-8?Q?b?=", "=?=?b"}, {"=?utf-8?Q?\?=", ""},
        {"=?utf-8?Q?a=0D=0AX:_b?=", "a\r\nX: b"}, {B("a\0\r\n b"), "a  b"},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.out, Put(c.in.size() * 3, [&](struct buf *out) { header_decode(out, S(c.in), &kCharsets); })) << c.in;
    }
}

// ---- param

TEST(Param, TypesAndParameters)
{
    const struct { std::string in, out; } cases[] = {
        {"text/plain", "text/plain"}, {" Text / HTML ; charset=\"utf-8\"", "Text/HTML charset=utf-8"},
        {"text/plain; a=b; c=\"d;e\\\"f\\\\\"; g=h", "text/plain a=b c=d;e\"f\\ g=h"},
        {"text/plain (comment (nested)) ; (another) a (x) = b (y)", "text/plain a=b"},
        {"a/b; name=with spaces.txt; x=y", "a/b name=with spaces.txt x=y"}, {"a/b;;; ;x=y;", "a/b x=y"},
        {"a/b; name=\"open; x=y", "a/b name=open x=y"}, {"a/b; junk; x=y", "a/b x=y"}, {"a/b; =x; y=z", "a/b y=z"},
        {"a/b; x=\"fold\r\n ed\"", "a/b x=fold ed"}, {"a/b; x=", "a/b x="}, {"a/b; x=\"\"", "a/b x="},
        {"text", "?"}, {"", "?"}, {"/plain", "?"}, {"text/", "?"}, {"text plain", "?"}, {"a/b c; x=y", "?"},
        {"a/b\r\n;x=y", "a/b x=y"}, {"((((", "?"},
    };
    for (const auto &c : cases) {
        struct span in = S(c.in), type, subtype;
        std::string out = "?";
        if (param_take_type(&in, &type, &subtype)) {
            out = T(type) + "/" + T(subtype);
            struct param param;
            while (param_take(&in, &param)) {
                out += " " + T(param.name) + "=" + Put(param.value.len, [&](struct buf *to) { param_unquote(to, &param); });
            }
        }
        EXPECT_EQ(c.out, out) << c.in;
    }
}

TEST(Param, Find)
{
    const struct { std::string in, out; } cases[] = {
        {"; name=x", "x"}, {"; NAME=\"x y\"", "x y"}, {"; other=x", "-"}, {"", "-"},
        {"; name*=utf-8''%C3%A4", "\xc3\xa4"}, {"; name*=iso-8859-1'en'%E4.txt", "\xc3\xa4.txt"},
        {"; name*0=a; name*1=b; name*2=c", "abc"}, {"; name*1=b; name*0=a", "ab"},
        {"; name*0*=utf-8''%C3; name*1*=%A4; name*2=\"%41\"", "\xc3\xa4%41"},
        {"; name*0=a; name*2=c", "a"}, {"; name*1=b", "-"}, {"; name=plain; name*=utf-8''better", "better"},
        {"; name=\"=?utf-8?B?w6Q=?=\"", "\xc3\xa4"}, {"; name*=utf-8''%4", "%4"}, {"; name*=%zz", "%zz"},
        {"; name*99999999999=x", "-"}, {"; name*x=y", "-"}, {"; name**=y", "-"}, {"; name=", ""},
    };
    for (const auto &c : cases) {
        std::string out = "-";
        bool found = false;
        std::string value = Put(c.in.size() * 3 + 1, [&](struct buf *to) { found = param_find(S(c.in), SPAN("name"), &kCharsets, to); });
        EXPECT_EQ(c.out, found ? value : "-") << c.in;
        if (!found) EXPECT_EQ("", value);
    }
}

// ---- address

std::string Addresses(const std::string &list)
{
    struct address_reader reader;
    struct address a;
    std::string bytes(list.size() + 1, '\0'), text;
    struct buf scratch;
    buf_init(&scratch, bytes.data(), list.size());
    address_reader_init(&reader, S(list));
    while (address_next(&reader, &scratch, &a)) {
        if (a.kind == ADDRESS_GROUP_START) text += "{" + T(a.name) + "}";
        else if (a.kind == ADDRESS_GROUP_END) text += "{}";
        else text += "[" + T(a.name) + "|" + (a.route.len > 0 ? T(a.route) + "|" : "") + T(a.local) + "|" + T(a.domain) + "]";
    }
    return text;
}

TEST(Address, Lists)
{
    const struct { std::string in, out; } cases[] = {
        {"a@b", "[|a|b]"}, {"<a@b>", "[|a|b]"}, {"Ann B <a@b>", "[Ann B|a|b]"}, {"\"B, Ann\" <a@b>, c@d", "[B, Ann|a|b][|c|d]"},
        {"a@b (Ann)", "[Ann|a|b]"}, {"(Ann) <a@b>", "[Ann|a|b]"}, {"Ann (x) B <a@b>", "[Ann B|a|b]"},
        {"\"a \\\"q\\\" b\" <a@b>", "[a \"q\" b|a|b]"}, {"\"quoted local\"@b", "[|quoted local|b]"},
        {"a . b @ c . d", "[|a.b|c.d]"}, {"a@b(comment).c", "[comment|a|b.c]"}, {"a@[192.0.2.1]", "[|a|[192.0.2.1]]"},
        {"a@[IPv6:2001:db8::1]", "[|a|[IPv6:2001:db8::1]]"}, {"<@r1,@r2:u@h>", "[|@r1,@r2|u|h]"}, {"N <@r:u@h>, x@y", "[N|@r|u|h][|x|y]"},
        {"Team: a@b, C <c@d>; e@f", "{Team}[|a|b][C|c|d]{}[|e|f]"}, {"undisclosed-recipients:;", "{undisclosed-recipients}{}"},
        {"A Group:a@b", "{A Group}[|a|b]{}"}, {"Ann\r\n  B\r\n\t<a@b>", "[Ann B|a|b]"}, {"\"An\r\n n\" <a@b>", "[An n|a|b]"},
        {"J\xc3\xb6rg <j\xc3\xb6@\xc3\xa4.org>", "[J\xc3\xb6rg|j\xc3\xb6|\xc3\xa4.org]"}, {"=?utf-8?q?a?= <a@b>", "[=?utf-8?q?a?=|a|b]"},
        // What mail has instead.
        {"", ""}, {",", ""}, {" , ,\r\n ,", ""}, {"(only a comment)", ""}, {"nobody", "[|nobody|]"}, {"two words", "[|two words|]"},
        {"Ann <>", "[Ann||]"}, {"<>", "[||]"}, {"@b", "[||b]"}, {"a@", "[|a|]"}, {"a@b@c", "[|a@b|c]"}, {"<a@b", "[|a|b]"},
        {"Ann <a@b, c@d", "[Ann|a|b][|c|d]"}, {"\"open <a@b>", "[\"open|a|b]"}, {"a@b (open", "[open|a|b]"}, {"a@b>", "[|a|b>]"},
        {"a@b; c@d", "[|a|b][|c|d]"}, {"a: b: c@d;", "{a}[|b:c|d]{}"}, {"Ann <a@b> tail", "[Ann|a|b]"}, {";;;", ""},
        {B("a\0b@c"), "[|ab|c]"}, {"a\\\"@b", "[|a\\\"|b]"},
    };
    for (const auto &c : cases) EXPECT_EQ(c.out, Addresses(c.in)) << c.in;
}

TEST(Address, SmallScratchCuts)
{
    struct address_reader reader;
    struct address a;
    char bytes[5];
    struct buf scratch;
    buf_init(&scratch, bytes, sizeof(bytes));
    address_reader_init(&reader, SPAN("Somebody <a@b>, c@d"));
    ASSERT_TRUE(address_next(&reader, &scratch, &a));
    EXPECT_EQ("Someb", T(a.name));
    ASSERT_TRUE(address_next(&reader, &scratch, &a));
    EXPECT_EQ("c", T(a.local));
    EXPECT_EQ("d", T(a.domain));
    EXPECT_FALSE(address_next(&reader, &scratch, &a));
}

TEST(Address, LongListsEndSoon)
{
    for (const char *unit : {"a@b,", "<,", "\"", "(", "((a)", "a:", ";", "\\", "\"\\", "<\"", "<(", "[", "@", "a b "}) {
        std::string list;
        while (list.size() < 1000000) list += unit;
        auto start = std::chrono::steady_clock::now();
        Addresses(list);
        auto took = std::chrono::steady_clock::now() - start;
        EXPECT_LT(took, std::chrono::milliseconds(2000)) << unit; // quadratic time would be minutes
    }
    std::string many;
    for (int i = 0; i < 3 * ADDRESS_COUNT_MAX; i++) many += "a@b,";
    EXPECT_EQ(static_cast<size_t>(ADDRESS_COUNT_MAX) * 6, Addresses(many).size());
}

// ---- date

TEST(Date, Reads)
{
    const struct { const char *text; int64_t seconds; } cases[] = {
        {"Thu, 1 Jan 1970 00:00:00 +0000", 0}, {"Tue, 24 Nov 2026 12:45:00 +0000", 1795524300},
        {"24 Nov 2026 12:45 +0000", 1795524300}, {"Tue, 24 Nov 2026 13:45:00 +0100 (CET)", 1795524300},
        {"Tue, 24 Nov 2026 07:45:00 EST", 1795524300}, {"tue,24 nov 2026 12:45:00 gmt", 1795524300},
        {"Tue, 24 Nov 26 12:45:00 UT", 1795524300}, {"24-Nov-2026 12:45:00 Z", 1795524300},
        {"Tue, 24 (day) Nov (month) 2026 12 : 45 : 00 +0000", 1795524300}, {"Tuesday, 24 November 2026 12:45 GMT", 1795524300},
        {"Tue Nov 24 12:45:00 2026", 1795524300}, {"Tue Nov 24 12:45:00 GMT 2026", 1795524300}, {"Tue, 24 Nov 2026 12:45:00", 1795524300},
        {"Tue, 24 Nov 2026 14:45:00 GMT+0200", 1795524300}, {"Tue, 24 Nov 2026 14:45:00 +02:00", 1795524300},
        {"Tue, 24 Nov 2026 14:45:00 +02", 1795524300}, {"Tue, 24 Nov 2026 12:45:00 XYZ", 1795524300}, {"Tue, 24 Nov 2026 12:45:00 -0000", 1795524300},
        {"Tue,\r\n 24 Nov\r\n\t2026 12:45:00 +0000", 1795524300}, {"Tue, 24 Nov 2026 12.45.00 +0000", 1795524300},
        {"Fri, 31 Dec 99 23:59:59 GMT", 946684799}, {"1 Jan 100 00:00 GMT", 946684800}, {"29 Feb 2000 00:00 GMT", 951782400},
        {"31 Dec 2016 23:59:60 GMT", 1483228800}, {"1 Jan 1969 00:00 GMT", -31536000}, {"1 Jan 49 00:00 GMT", 2493072000},
    };
    for (const auto &c : cases) {
        int64_t ms = 1;
        EXPECT_EQ(ERR_OK, date_read(S(c.text), &ms).code) << c.text;
        EXPECT_EQ(c.seconds * 1000, ms) << c.text;
    }
}

TEST(Date, Refuses)
{
    for (const char *text : {"", "Tue", "Tue,", "24", "24 Nov", "24 Nov 2026", "24 Nov 2026 12", "24 Nov 2026 12:", "0 Nov 2026 12:45 GMT",
                             "32 Oct 2026 12:45 GMT", "31 Nov 2026 12:45 GMT", "29 Feb 2026 12:45 GMT", "29 Feb 1900 12:45 GMT",
                             "24 Xyz 2026 12:45 GMT", "24 Nov 2026 24:00 GMT", "24 Nov 2026 12:60 GMT", "24 Nov 2026 12:45:61 GMT",
                             "24 Nov 2026 12:45:00 +2400", "24 Nov 2026 12:45:00 +0160", "24 Nov 2026 12:45:00 +", "24 Nov 20260 12:45 GMT",
                             "124 Nov 2026 12:45 GMT", "24 Nov 6 12:45 GMT", "24 Nov 0000 12:45 GMT", "(open 24 Nov 2026 12:45 GMT", "2026-11-24T12:45:00Z",
                             "Tue Nov 24 12:45:00", "24 11 2026 12:45 GMT"}) {
        int64_t ms = 77;
        EXPECT_EQ(ERR_SYNTAX, date_read(S(text), &ms).code) << text;
        EXPECT_EQ(77, ms);
    }
}

TEST(Date, Writes)
{
    const struct { int64_t ms; int zone; const char *text; } cases[] = {
        {0, 0, "Thu, 01 Jan 1970 00:00:00 +0000"}, {1795524300999, 0, "Tue, 24 Nov 2026 12:45:00 +0000"},
        {1795524300000, 330, "Tue, 24 Nov 2026 18:15:00 +0530"}, {1795524300000, -780, "Mon, 23 Nov 2026 23:45:00 -1300"},
        {951782400000, 0, "Tue, 29 Feb 2000 00:00:00 +0000"}, {253402300799000, 0, "Fri, 31 Dec 9999 23:59:59 +0000"},
        {-5, 0, "Thu, 01 Jan 1970 00:00:00 +0000"},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.text, Put(DATE_TEXT_BYTES, [&](struct buf *out) { date_put(out, c.ms, c.zone); }));
    }
}

// ---- trace

struct trace_facts TraceFacts()
{
    struct trace_facts facts = {};
    facts.helo = SPAN("client.example"), facts.client_ip = SPAN("192.0.2.1"), facts.with = SPAN("ESMTPS");
    facts.by = SPAN("mx.example.org"), facts.id = SPAN("0123abcd"), facts.for_address = SPAN("ann@example.org");
    facts.time_ms = 1795524300000;
    return facts;
}

std::string Received(const struct trace_facts &facts)
{
    return Put(8192, [&](struct buf *out) { trace_received(&facts, out); });
}

// A header of one field, whose lines are not too long.
void CheckOneField(const std::string &text)
{
    struct span in = S(text);
    struct header_field field;
    ASSERT_TRUE(header_take(&in, &field));
    EXPECT_EQ(text, T(field.raw));
    EXPECT_EQ("\r\n", text.substr(text.size() - 2));
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == '\n') EXPECT_EQ('\r', text[i - 1]);
        if (text[i] == '\r') EXPECT_EQ('\n', text[i + 1]);
    }
}

TEST(Trace, Received)
{
    struct trace_facts facts = TraceFacts();
    EXPECT_EQ("Received: from client.example ([192.0.2.1]) by mx.example.org with ESMTPS id\r\n"
              "\t0123abcd for <ann@example.org>; Tue, 24 Nov 2026 12:45:00 +0000\r\n", Received(facts));
    facts.client_name = SPAN("ptr.example"), facts.client_ip = SPAN("2001:db8::1"), facts.cipher = SPAN("TLSv1.3 AES)x");
    facts.for_address = SPAN("");
    EXPECT_EQ("Received: from client.example (ptr.example [IPv6:2001:db8::1]) by\r\n"
              "\tmx.example.org with ESMTPS (TLSv1.3 AES?x) id 0123abcd; Tue, 24 Nov\r\n"
              "\t2026 12:45:00 +0000\r\n", Received(facts));
    facts = TraceFacts();
    facts.helo = facts.client_ip = SPAN("");
    EXPECT_EQ(0u, Received(facts).find("Received: from unknown (local) by "));
}

TEST(Trace, NothingOfTheirsEndsALine)
{
    const std::string bad[] = {"x\r\nEvil: 1", "a b", "a(b)c", B("a\0b"), "a;b", "\xff\xfe", "a\tb", "<x>", std::string(3000, 'y'), "a\x7f"};
    for (const auto &theirs : bad) {
        struct trace_facts facts = TraceFacts();
        facts.helo = facts.client_name = facts.client_ip = facts.for_address = facts.id = facts.cipher = S(theirs);
        std::string text = Received(facts);
        CheckOneField(text);
        EXPECT_EQ(std::string::npos, text.find("\nEvil"));
        EXPECT_EQ(2, std::count(text.begin(), text.end(), '('));
        EXPECT_EQ(1, std::count(text.begin(), text.end(), ';'));
        CheckOneField(Put(8192, [&](struct buf *out) { trace_return_path(S(theirs), out); }));
    }
}

TEST(Trace, ReturnPath)
{
    const struct { std::string path, out; } cases[] = {
        {"", "Return-Path: <>\r\n"}, {"a@b", "Return-Path: <a@b>\r\n"}, {"\"a \\\"b\"@c", "Return-Path: <\"a \\\"b\"@c>\r\n"},
        {"a>\r\nX: y", "Return-Path: <a???X: y>\r\n"}, {"\xc3\xa4@b", "Return-Path: <\xc3\xa4@b>\r\n"}};
    for (const auto &c : cases) EXPECT_EQ(c.out, Put(200, [&](struct buf *out) { trace_return_path(S(c.path), out); }));
}
TEST(Trace, PassesAreOursAndForWhom)
{
    const std::string date = "; Tue, 1 Jan 2030 00:00:00 +0000\r\n";
    const struct { const char *name; std::string message; unsigned count; bool was_for; } cases[] = {
        { "nothing", "", 0, false },
        { "no trace", "Subject: by us.test for <ann@a.test>\r\n\r\n", 0, false },
        { "ours", "Received: from x (y [1.2.3.4]) by US.test (for <ann@a.test>) with ESMTP id 1" + date + "\r\n", 1, false },
        { "ours, for him", "Received: from x\r\n\tby us.test with ESMTP id 1\r\n\tfor <Ann@a.test>" + date, 1, true },
        { "without brackets", "Received: by us.test id 1 for ann@a.test" + date, 1, true },
        { "for another", "Received: by us.test id 1 for <joe@a.test>" + date, 1, false },
        { "another's, for him", "Received: by them.test id 1 for <ann@a.test>" + date, 0, false },
        { "a client called by", "Received: from by (by them.test) by us.test for <ann@a.test>" + date, 1, true },
        { "in a comment", "Received: from x (a (by us.test) b) by them.test" + date, 0, false },
        { "behind the date", "Received: by them.test; by us.test for <ann@a.test>\r\n", 0, false },
        { "in the body", "Subject: x\r\n\r\nReceived: by us.test for <ann@a.test>" + date, 0, false },
        { "a longer name", "Received: by us.test.example" + date, 0, false },
        { "broken", "Received:\r\nReceived: by\r\nReceived: by us.test for <\r\nReceived: ((by us.test\r\n", 1, false },
        { "many", "Received: by us.test" + date + "Received: by them.test" + date + "received: by us.test for <ann@a.test>" + date, 2, true },
    };
    for (const auto &c : cases) {
        auto passes = trace_passes(S(c.message), SPAN("us.test"));
        EXPECT_EQ(c.count, passes.count) << c.name;
        EXPECT_EQ(c.was_for, trace_was_for(&passes, SPAN("ann@a.test"))) << c.name;
        EXPECT_FALSE(trace_was_for(&passes, SPAN(""))) << c.name;
        EXPECT_EQ(0u, trace_passes(S(c.message), SPAN("")).count) << c.name;
    }
    std::string many;
    for (int i = 0; i < 20; i++) many += "Received: by us.test for <u" + std::to_string(i) + "@a.test>" + date;
    auto passes = trace_passes(S(many), SPAN("us.test"));
    EXPECT_EQ(20u, passes.count);
    EXPECT_TRUE(trace_was_for(&passes, SPAN("u15@a.test")));
    EXPECT_FALSE(trace_was_for(&passes, SPAN("u16@a.test")));
}

}  // namespace

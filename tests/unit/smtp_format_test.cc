#include <gtest/gtest.h>

#include <string>

#include "buf.h"
#include "smtp_line.h"
#include "smtp_params.h"
#include "smtp_path.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string T(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }
using namespace std::string_literals;

TEST(SmtpLine, ByteByByte)
{
    const struct { std::string in; size_t max; parse result; const char *line; } table[] = {
        {"NOOP\r\n", 99, PARSE_OK, "NOOP"}, {"\r\n", 99, PARSE_OK, ""}, {"a\0b\r\n"s, 99, PARSE_OK, "a"}, {"", 99, PARSE_MORE, ""},
        {"NOOP", 99, PARSE_MORE, ""}, {"NOOP\r", 99, PARSE_MORE, ""}, {"NOOP\n", 99, PARSE_BAD, ""}, {"NO\rOP\r\n", 99, PARSE_BAD, ""},
        {"\n", 99, PARSE_BAD, ""}, {"\r\r\n", 99, PARSE_BAD, ""}, {"ab\r\n", 4, PARSE_OK, "ab"}, {"ab\r\n", 3, PARSE_MORE, ""}, {"abcdef", 3, PARSE_MORE, ""},
    };
    for (const auto &row : table) {
        struct span line;
        size_t used = 0;
        for (size_t len = 0; len < row.in.size(); len++) {
            auto early = smtp_line_take(span_of(row.in.data(), len), row.max, &line, &used);
            if (row.result != PARSE_BAD) { EXPECT_EQ(PARSE_MORE, early) << row.in; }
        }
        EXPECT_EQ(row.result, smtp_line_take(S(row.in), row.max, &line, &used)) << row.in;
        if (row.result != PARSE_OK) continue;
        EXPECT_EQ(0u, T(line).find(row.line));
        EXPECT_EQ(row.in.size(), used);
    }
}

TEST(SmtpPath, Table)
{
    std::string label(63, 'a'), long_local(255, 'l');
    const struct { std::string in; err_code code; std::string local, domain; bool ascii; } table[] = {
        {"<a@b>", ERR_OK, "a", "b", true}, {"<>", ERR_OK, "", "", true}, {"<postmaster>", ERR_OK, "postmaster", "", true},
        {"<a.b@c.d>", ERR_OK, "a.b", "c.d", true}, {"<a+b=c@d>", ERR_OK, "a+b=c", "d", true}, {"<\"x y\"@d>", ERR_OK, "\"x y\"", "d", true},
        {"<\"\"@d>", ERR_OK, "\"\"", "d", true}, {"<\"\\\"\"@d>", ERR_OK, "\"\\\"\"", "d", true}, {"<a@[1.2.3.4]>", ERR_OK, "a", "[1.2.3.4]", true},
        {"<a@x_y.z>", ERR_OK, "a", "x_y.z", true}, {"<@r:a@b>", ERR_OK, "a", "b", true}, {"<@r,@s.t:a@b>", ERR_OK, "a", "b", true},
        {"<\xc3\xbc@b>", ERR_OK, "\xc3\xbc", "b", false}, {"<a@\xc3\xbc>", ERR_OK, "a", "\xc3\xbc", false}, {"<" + long_local + "@b>", ERR_OK, long_local, "b", true},
        {"<a@" + label + ">", ERR_OK, "a", label, true},
        {"", ERR_SYNTAX, "", "", false}, {"a@b", ERR_SYNTAX, "", "", false}, {"<a@b", ERR_SYNTAX, "", "", false}, {"<", ERR_SYNTAX, "", "", false},
        {"<a>", ERR_SYNTAX, "", "", false}, {"<a@>", ERR_SYNTAX, "", "", false}, {"<@b>", ERR_SYNTAX, "", "", false}, {"<a b@c>", ERR_SYNTAX, "", "", false},
        {"<a@b c>", ERR_SYNTAX, "", "", false}, {"<a@b@c>", ERR_SYNTAX, "", "", false}, {"<.a@b>", ERR_SYNTAX, "", "", false}, {"<a.@b>", ERR_SYNTAX, "", "", false},
        {"<a..b@c>", ERR_SYNTAX, "", "", false}, {"<a@-b>", ERR_SYNTAX, "", "", false}, {"<a@b->", ERR_SYNTAX, "", "", false}, {"<a@b..c>", ERR_SYNTAX, "", "", false},
        {"<a@b.>", ERR_SYNTAX, "", "", false}, {"<a@" + label + "a>", ERR_SYNTAX, "", "", false}, {"<\"a@b>", ERR_SYNTAX, "", "", false},
        {"<\"a\\", ERR_SYNTAX, "", "", false}, {"<\"a\"b@c>", ERR_SYNTAX, "", "", false}, {"<\"a\r\"@c>", ERR_SYNTAX, "", "", false}, {"<a@[1.2]x>", ERR_SYNTAX, "", "", false},
        {"<a@[<]>", ERR_SYNTAX, "", "", false}, {"<\0@b>"s, ERR_SYNTAX, "", "", false}, {"<\xff@b>", ERR_SYNTAX, "", "", false}, {"<a@\xc3>", ERR_SYNTAX, "", "", false},
        {"<@r a@b>", ERR_SYNTAX, "", "", false}, {"<@:a@b>", ERR_SYNTAX, "", "", false}, {"<@r,:a@b>", ERR_SYNTAX, "", "", false}, {"<r:a@b>", ERR_SYNTAX, "", "", false},
        {"<a" + long_local + "@b>", ERR_TOO_BIG, "", "", false}, {"<a@" + std::string(256, 'b') + ">", ERR_TOO_BIG, "", "", false},
    };
    for (const auto &row : table) {
        smtp_path path;
        struct span rest;
        std::string in = row.in + (row.code == ERR_OK ? " SIZE=1" : "");
        EXPECT_EQ(row.code, smtp_path_parse(S(in), &path, &rest).code) << row.in;
        if (row.code != ERR_OK) continue;
        EXPECT_EQ(row.local, T(path.local));
        EXPECT_EQ(row.domain, T(path.domain));
        EXPECT_EQ(row.ascii, path.is_ascii);
        EXPECT_EQ(" SIZE=1", T(rest));
    }
}

TEST(SmtpPath, Utf8)
{
    for (const char *good : {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) EXPECT_TRUE(smtp_is_utf8(S(good))) << good;
    for (const char *bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82"})
        EXPECT_FALSE(smtp_is_utf8(S(bad))) << bad;
}

TEST(SmtpParams, Walk)
{
    std::string in = " SIZE=10  SMTPUTF8 AUTH=<> X-Y=a=b ";
    struct span rest = S(in);
    smtp_param param;
    std::string seen;
    while (smtp_param_take(&rest, &param).code == ERR_OK) seen += T(param.key) + (param.has_value ? "=" : "") + T(param.value) + ";";
    EXPECT_EQ("SIZE=10;SMTPUTF8;AUTH=<>;X-Y=a=b;", seen);
    for (std::string bad : {"SIZE=1", " =1", " SIZE=", " SIZE= 1", " -X", " A\x01", " A,B", " \xc3\xbc"}) {
        rest = S(bad);
        EXPECT_EQ(ERR_SYNTAX, smtp_param_take(&rest, &param).code) << bad;
        EXPECT_EQ(bad, T(rest));
    }
}

TEST(SmtpParams, Numbers)
{
    uint64_t number = 7;
    EXPECT_EQ(ERR_OK, smtp_number_parse(SPAN("18446744073709551615"), &number).code);
    EXPECT_EQ(UINT64_MAX, number);
    EXPECT_EQ(ERR_OK, smtp_number_parse(SPAN("0"), &number).code);
    EXPECT_EQ(0u, number);
    for (const char *bad : {"", "x", "1x", "-1", "+1", " 1", "0x1"}) EXPECT_EQ(ERR_SYNTAX, smtp_number_parse(S(bad), &number).code) << bad;
    for (const char *big : {"18446744073709551616", "99999999999999999999", "000000000000000000001"}) EXPECT_EQ(ERR_TOO_BIG, smtp_number_parse(S(big), &number).code) << big;
    EXPECT_EQ(0u, number);
}

TEST(SmtpParams, NotifyAndOrcpt)
{
    const struct { const char *in; int bits; } table[] = {
        {"NEVER", 1}, {"never", 1}, {"SUCCESS", 2}, {"FAILURE,SUCCESS", 6}, {"Delay,Failure,Success", 14}, {"DELAY,DELAY", 8},
        {"", 0}, {"NEVER,DELAY", 0}, {"SUCCESS,", 0}, {",SUCCESS", 0}, {"X", 0}, {"SUCCESS FAILURE", 0},
    };
    for (const auto &row : table) {
        uint8_t bits = 0;
        EXPECT_EQ(row.bits != 0, smtp_notify_parse(S(row.in), &bits).code == ERR_OK) << row.in;
        EXPECT_EQ(row.bits, bits) << row.in;
    }
    for (const char *good : {"rfc822;a@b", "rfc822;a+2Bb@c", "x-y;z", "utf-8;\xc3\xbc@x", "utf-8;\\x{FC}@x"}) EXPECT_TRUE(smtp_orcpt_is_valid(S(good))) << good;
    for (const char *bad : {"", "rfc822", "rfc822;", ";a", "rfc 822;a", "rfc822;a+2", "rfc822;a+2b", "rfc822;a=b", "rfc822;\xc3\xbc", "utf-8;\xc3", "utf-8;a b"})
        EXPECT_FALSE(smtp_orcpt_is_valid(S(bad))) << bad;
}

TEST(SmtpXtext, ThereAndBack)
{
    const struct { std::string plain, coded; } table[] = {{"", ""}, {"abc", "abc"}, {"a+b=c d", "a+2Bb+3Dc+20d"}, {"\0\xff\n"s, "+00+FF+0A"}};
    for (const auto &row : table) {
        char bytes[64];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        smtp_xtext_encode(S(row.plain), &out);
        EXPECT_EQ(row.coded, T(buf_span(&out)));
        out.len = 0;
        EXPECT_EQ(ERR_OK, smtp_xtext_decode(S(row.coded), &out).code);
        EXPECT_EQ(row.plain, T(buf_span(&out)));
    }
    for (const char *bad : {"+", "+1", "+1g", "+ab", "a b", "a=b", "\xc3\xbc"}) {
        char bytes[64];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        EXPECT_EQ(ERR_SYNTAX, smtp_xtext_decode(S(bad), &out).code) << bad;
        EXPECT_FALSE(smtp_xtext_is_valid(S(bad)));
    }
}

}  // namespace

// lib/mime: the facts of a message, threads, notices in place of parts, text for SEARCH.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "arena.h"
#include "facts.h"
#include "mime_facts.h"
#include "mime_replace.h"
#include "mime_text.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string T(struct span s) { return s.len == 0 ? "" : std::string(s.ptr, s.len); }

struct Facts {
    explicit Facts(const std::string &message)
    {
        EXPECT_EQ(ERR_OK, mime_facts(S(message), &out).code);
        EXPECT_EQ(ERR_OK, facts_read(span_of(out.row, out.row_len), &row).code);
    }
    Facts(const Facts &) = delete;
    ~Facts() { free(out.row); }
    std::string Envelope() const { return T(row.envelope); }
    std::string Structure() const { return T(row.structure); }
    std::string Preview() const { return T(row.preview); }
    struct mime_facts_out out;
    struct facts row;
};

TEST(MimeFacts, Envelope)
{
    const struct { std::string header, envelope; } cases[] = {
        {"", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Date: Tue, 1 Jan 2030 00:00:00 +0000\r\nSubject: =?utf-8?q?=C3=A4?=\r\nFrom: A B <a@b>\r\n"
         "Message-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n",
         "(\"Tue, 1 Jan 2030 00:00:00 +0000\" \"=?utf-8?q?=C3=A4?=\" ((\"A B\" NIL \"a\" \"b\")) "
         "((\"A B\" NIL \"a\" \"b\")) ((\"A B\" NIL \"a\" \"b\")) NIL NIL NIL \"<0@x>\" \"<1@x>\")"},
        {"Subject: a\r\n b\r\n\tc\r\n", "(NIL \"a b\tc\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject: \"q\" \\\r\n", "(NIL \"\\\"q\\\" \\\\\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject: \xe4\r\n", "(NIL {1}\r\n\xe4 NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {std::string("Subject: a\0b\r\n", 14), "(NIL {3}\r\na?b NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject:\r\n", "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"To: a@b, \"c, d\" <e@f>\r\n",
         "(NIL NIL NIL NIL NIL ((NIL NIL \"a\" \"b\")(\"c, d\" NIL \"e\" \"f\")) NIL NIL NIL NIL)"},
        {"To: G: a@b;\r\n", "(NIL NIL NIL NIL NIL ((NIL NIL \"G\" NIL)(NIL NIL \"a\" \"b\")"
                            "(NIL NIL NIL NIL)) NIL NIL NIL NIL)"},
        {"To: undisclosed-recipients:;\r\n",
         "(NIL NIL NIL NIL NIL ((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL)) "
         "NIL NIL NIL NIL)"},
        {"Cc: <@r,@s:l@d>\r\n", "(NIL NIL NIL NIL NIL NIL ((NIL \"@r,@s\" \"l\" \"d\")) NIL NIL NIL)"},
        {"Bcc: a@b (name)\r\n", "(NIL NIL NIL NIL NIL NIL NIL ((\"name\" NIL \"a\" \"b\")) NIL NIL)"},
        {"From: a@b\r\nSender:\r\nReply-To: c@d\r\n",
         "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) "
         "NIL NIL NIL NIL NIL)"},
        {"To: lonely, \"\" <a@b>\r\n", "(NIL NIL NIL NIL NIL ((NIL NIL \"lonely\" \"MISSING_DOMAIN\")"
                                      "(NIL NIL \"a\" \"b\")) NIL NIL NIL NIL)"},
        {"To: <>\r\n", "(NIL NIL NIL NIL NIL ((NIL NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")) "
                       "NIL NIL NIL NIL)"},
        {"To: , (c) ,;\r\n", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"},
        {"Subject: first\r\nSubject: second\r\n", "(NIL \"first\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.envelope, Facts(c.header + "\r\nbody").Envelope()) << c.header;
        EXPECT_EQ(c.envelope, Facts(c.header).Envelope()) << "no body: " << c.header;
    }
}

const char kText[] = "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" ";

TEST(MimeFacts, Structure)
{
    const std::string text = kText;
    const struct { std::string message, structure; } cases[] = {
        {"", text + "0 0 NIL NIL NIL NIL)"},
        {"\r\na\r\nb\r\n", text + "6 2 NIL NIL NIL NIL)"},
        {"\r\nno end", text + "6 0 NIL NIL NIL NIL)"},
        {"Content-Type: image/png; name=\"a b\"\r\nContent-ID: <i>\r\nContent-Description: d\r\n"
         "Content-Transfer-Encoding: base64\r\nContent-MD5: m\r\nContent-Location: u\r\n"
         "Content-Disposition: attachment; filename=\"x\\\"y\"\r\n\r\nQUJD\r\n",
         "(\"IMAGE\" \"PNG\" (\"NAME\" \"a b\") \"<i>\" \"d\" \"BASE64\" 6 \"m\" "
         "(\"ATTACHMENT\" (\"FILENAME\" \"x\\\"y\")) NIL \"u\")"},
        {"Content-Type: multipart/mixed; boundary=x\r\n\r\npre\r\n--x\r\n\r\nA\r\n--x\r\n\r\nB\r\n--x--"
         "\r\nend\r\n",
         "(" + text + "1 0 NIL NIL NIL NIL)" + text +
             "1 0 NIL NIL NIL NIL) \"MIXED\" (\"BOUNDARY\" \"x\") NIL NIL NIL)"},
        {"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nA\r\n",
         "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 18 "
         "(NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) " + text + "3 1 NIL NIL NIL NIL) 3 "
         "NIL NIL NIL NIL)"},
        {"Content-Type: a/b\r\nContent-Language: de, en-GB (c)\r\n\r\n",
         "(\"A\" \"B\" NIL NIL NIL \"7BIT\" 0 NIL NIL (\"de\" \"en-GB\") NIL)"},
        {"Content-Type: a/b\r\nContent-Language: ,\r\n\r\n",
         "(\"A\" \"B\" NIL NIL NIL \"7BIT\" 0 NIL NIL NIL NIL)"},
        // Malformed ones.
        {"Content-Type: multipart/mixed\r\n\r\nA", text + "1 0 NIL NIL NIL NIL)"},
        {"Content-Type: text/plain; format=flowed\r\n\r\n",
         "(\"TEXT\" \"PLAIN\" (\"FORMAT\" \"flowed\" \"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 0 0 "
         "NIL NIL NIL NIL)"},
        {"Content-Type: nonsense\r\n\r\nA", text + "1 0 NIL NIL NIL NIL)"},
        {"Content-Type: multipart/mixed; boundary=x\r\n\r\nnever",
         "(" + text + "0 0 NIL NIL NIL NIL) \"MIXED\" (\"BOUNDARY\" \"x\") NIL NIL NIL)"},
        {"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD",
         "(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"BASE64\" 4 NIL NIL NIL NIL)"},
        {"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: a/b\r\n--x\r\n\r\nB\r\n",
         "((\"A\" \"B\" NIL NIL NIL \"7BIT\" 0 NIL NIL NIL NIL)" + text +
             "3 1 NIL NIL NIL NIL) \"MIXED\" (\"BOUNDARY\" \"x\") NIL NIL NIL)"},
    };
    for (const auto &c : cases) EXPECT_EQ(c.structure, Facts(c.message).Structure()) << c.message;
}

TEST(MimeFacts, PartsHaveTheirPlaces)
{
    const std::string message =
        "Content-Type: multipart/mixed; boundary=x\r\n\r\npre\r\n--x\r\nX: 1\r\n\r\none\r\n--x\r\n"
        "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\ntwo\r\nlines\r\n--x--\r\n";
    Facts facts(message);
    const struct {
        std::vector<uint32_t> path; enum facts_section what; std::string text;
    } cases[] = {
        {{1}, FACTS_SECTION_ALL, "one"},
        {{1}, FACTS_SECTION_MIME, "X: 1\r\n\r\n"},
        {{2}, FACTS_SECTION_ALL, "Subject: s\r\n\r\ntwo\r\nlines"},
        {{2}, FACTS_SECTION_HEADER, "Subject: s\r\n\r\n"},
        {{2}, FACTS_SECTION_TEXT, "two\r\nlines"},
        {{2, 1}, FACTS_SECTION_ALL, "two\r\nlines"},
    };
    for (const auto &c : cases) {
        uint32_t from = 0, to = 0;
        ASSERT_EQ(ERR_OK, facts_section_find(&facts.row, c.path.data(), c.path.size(), c.what,
                                             static_cast<uint32_t>(message.size()), &from, &to).code);
        EXPECT_EQ(c.text, message.substr(from, to - from));
    }
    const uint32_t none[] = {3};
    uint32_t from, to;
    EXPECT_EQ(ERR_NOT_FOUND, facts_section_find(&facts.row, none, 1, FACTS_SECTION_ALL,
                                                static_cast<uint32_t>(message.size()), &from, &to).code);
    EXPECT_EQ(0, facts.row.flags & FACTS_MALFORMED);
}

TEST(MimeFacts, FlagsDateHopsAndFields)
{
    Facts facts("Received: a\r\nReceived: b\r\nX-Else: no\r\nSubject: \xc3\xa4\r\n"
                "Date: 1 Jan 1970 00:00:01 GMT\r\nContent-Disposition: attachment\r\n\r\nb\xffx");
    EXPECT_EQ(2u, facts.out.received);
    EXPECT_EQ(1000, facts.row.date_ms);
    EXPECT_EQ(FACTS_HEADER_8BIT | FACTS_BODY_8BIT | FACTS_ATTACHMENT, facts.row.flags);
    EXPECT_EQ("Subject: \xc3\xa4\r\nDate: 1 Jan 1970 00:00:01 GMT\r\n", T(facts.row.fields));
    EXPECT_EQ(INT64_MIN, Facts("Date: never\r\n\r\n").row.date_ms);
    for (size_t at = 0; at < 20; at++) {
        for (char c : {'\0', '\x80', '\x01', '\x7f'}) {
            std::string body(20, 'a');
            body[at] = c;
            bool set = (Facts("\r\n" + body).row.flags & FACTS_BODY_8BIT) != 0;
            EXPECT_EQ(c == '\0' || c == '\x80', set) << at << " " << static_cast<int>(c);
        }
    }
}

TEST(MimeFacts, Preview)
{
    const struct { std::string message, preview; } cases[] = {
        {"", ""},
        {"\r\n  a \r\n\r\n b\t c\r\n", "a b c"},
        {"Content-Transfer-Encoding: base64\r\n\r\naGkgdGhlcmU=\r\n", "hi there"},
        {"Content-Type: text/html\r\n\r\n<style>x{}</style><p>a<br>b</p>", "a b"},
        {"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa4", "\xc3\xa4"},
        {"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe4", "\xc3\xa4"},
        {"Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: quoted-printable"
         "\r\n\r\n=C1=C2", "\xd0\xb0\xd0\xb1"},
        {"Content-Type: text/plain; charset=no-such\r\n\r\na\xe4z", "a\xef\xbf\xbdz"},
        {"Content-Type: text/html\r\n\r\n<HEAD><title>t</title></HEAD>a&amp;&#228;&nbsp;&none;<b", "a&\xc3\xa4 &none;"},
        {"Content-Type: text/html\r\n\r\n<script>a</b>c", ""},
        {"Content-Type: image/png\r\n\r\nabc", ""},
    };
    for (const auto &c : cases) EXPECT_EQ(c.preview, Facts(c.message).Preview()) << c.message;
    EXPECT_EQ(std::string(200, 'a'), Facts("\r\n" + std::string(3000, 'a')).Preview());
}

TEST(MimeFacts, StaysWithinLimits)
{
    std::string deep, wide = "Content-Type: multipart/mixed; boundary=x\r\n\r\n", long_list = "To: a@b";
    for (int i = 0; i < 3000; i++) deep += "Content-Type: message/rfc822\r\n\r\n";
    for (int i = 0; i < 3000; i++) wide += "--x\r\n\r\np\r\n";
    for (int i = 0; i < 30000; i++) long_list += ", \"name\" <someone@example.org>";
    Facts deep_facts(deep), wide_facts(wide), long_facts(long_list + "\r\n\r\n");
    EXPECT_LE(deep_facts.row.parts_count, FACTS_DEPTH_MAX);
    EXPECT_EQ(FACTS_PARTS_MAX, wide_facts.row.parts_count);
    EXPECT_NE(0, wide_facts.row.flags & FACTS_MALFORMED);
    EXPECT_LE(long_facts.out.row_len, static_cast<size_t>(FACTS_MAX_BYTES));
    EXPECT_EQ('(', long_facts.Envelope().front());
    EXPECT_EQ(')', long_facts.Envelope().back());
}

TEST(MimeThread, IsTheFirstMessages)
{
    auto id = [](const char *references, const char *reply_to, const char *own) {
        return mime_thread_id(S(references), S(reply_to), S(own));
    };
    uint64_t one = id("", "", "<1@x>");
    EXPECT_EQ(UINT64_C(14087765782056345233), one); // persisted
    EXPECT_EQ(one, id("", "<1@x>", "<2@x>"));
    EXPECT_EQ(one, id("<1@x> <2@x>", "<2@x>", "<3@x>"));
    EXPECT_EQ(one, id("junk\r\n <1@x>\r\n\t<2@x>", "", "<3@x>"));
    EXPECT_EQ(one, id("<a b> <> <1@x>", "", ""));
    EXPECT_NE(one, id("<2@x> <1@x>", "", ""));
    for (const char *none : {"", "1@x", "<1@x", "1@x>", "<>", "<a b>"}) EXPECT_EQ(0u, id(none, none, none));
    Facts facts("Message-ID: <9@x>\r\nReferences: <1@x>\r\n\r\n");
    EXPECT_EQ(one, facts.out.thread_id);
}

TEST(MimeReplace, LeavesTheRest)
{
    const std::string front = "Subject: s\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n"
                              "keep\r\n--x\r\n",
                      back = "\r\n--x--\r\nend",
                      head = "Content-Type: text/plain; charset=utf-8\r\n"
                             "Content-Transfer-Encoding: 8bit\r\n\r\n";
    const std::string message = front + "X-A: b\r\nContent-Type: a/b;\r\n n=m\r\n\r\nbad" + back;
    char *made;
    size_t len;
    ASSERT_EQ(ERR_OK, mime_replace_part(S(message), SPAN("2"), SPAN("gone"), &made, &len).code);
    EXPECT_EQ(front + "X-A: b\r\n" + head + "gone" + back, std::string(made, len));
    free(made);
    ASSERT_EQ(ERR_OK, mime_replace_part(SPAN("A: b\r\n\r\nbad"), SPAN("1"), SPAN("gone"), &made, &len).code);
    EXPECT_EQ("A: b\r\n" + head + "gone", std::string(made, len));
    free(made);
    for (const char *none : {"3", "0", "2.2", "x", "1.1.1.2", ".", "99999999999999"}) {
        EXPECT_EQ(ERR_NOT_FOUND, mime_replace_part(S(message), S(none), SPAN(""), &made, &len).code) << none;
    }
}

bool Collect(void *holder, struct span text)
{
    static_cast<std::string *>(holder)->append(text.ptr, text.len);
    return false;
}

TEST(MimeText, IsUtf8)
{
    const std::string message =
        "Subject: =?iso-8859-1?q?=E4?= =?iso-8859-1?b?9g==?=\r\nContent-Type: multipart/mixed; "
        "boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xfc\r\n--x\r\n"
        "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B$\"\x1b(B\r\n--x\r\n"
        "Content-Type: image/png\r\n\r\nnot text\r\n--x--\r\n";
    std::string subject, body;
    ASSERT_EQ(ERR_OK, mime_text_fields(S(message), SPAN("subject"), Collect, &subject).code);
    EXPECT_EQ("\xc3\xa4\xc3\xb6", subject);
    ASSERT_EQ(ERR_OK, mime_text_body(S(message), Collect, &body).code);
    EXPECT_EQ("\xc3\xbc\xe3\x81\x82", body);
    body.clear();
    ASSERT_EQ(ERR_OK, mime_text_body(SPAN("Content-Type: text/plain; charset=none\r\n\r\na\xff"), Collect,
                                     &body).code);
    EXPECT_EQ("a\xef\xbf\xbd", body);
    struct arena arena;
    struct span decoded;
    arena_init(&arena, 4096);
    ASSERT_EQ(ERR_OK, mime_text_decode(SPAN("=?x?q?"), &arena, &decoded).code);
    EXPECT_EQ("=?x?q?", T(decoded));
    arena_clear(&arena);
}

}  // namespace

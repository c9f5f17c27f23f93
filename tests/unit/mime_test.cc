// What IMAP is told about a message, its parts decoded, its text, and a part taken out.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "arena.h"
#include "buf.h"
#include "facts.h"
#include "mime_facts.h"
#include "mime_parts.h"
#include "mime_replace.h"
#include "mime_text.h"

namespace {
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string T(struct span s) { return s.len == 0 ? "" : std::string(s.ptr, s.len); }
template <size_t n> std::string B(const char (&literal)[n]) { return std::string(literal, n - 1); }

// A row, and what was read of it.
class Row {
  public:
    explicit Row(const std::string &message) : message_(message)
    {
        EXPECT_EQ(ERR_OK, mime_facts(S(message_), &out_).code);
        EXPECT_EQ(ERR_OK, facts_read(span_of(out_.row, out_.row_len), &facts).code);
        EXPECT_LE(out_.row_len, static_cast<size_t>(FACTS_MAX_BYTES));
    }
    ~Row() { free(out_.row); }
    Row(const Row &) = delete;
    std::string envelope() const { return T(facts.envelope); }
    std::string structure() const { return T(facts.structure); }
    std::string preview() const { return T(facts.preview); }
    unsigned received() const { return out_.received; }
    std::string Section(std::vector<uint32_t> path, enum facts_section what = FACTS_SECTION_ALL) const
    {
        uint32_t from, to;
        struct err err = facts_section_find(&facts, path.data(), path.size(), what, static_cast<uint32_t>(message_.size()), &from, &to);
        return err.code == ERR_OK ? message_.substr(from, to - from) : "NIL";
    }
    struct facts facts;

  private:
    std::string message_;
    struct mime_facts_out out_ = {};
};

// ---- ENVELOPE

TEST(MimeFacts, Envelope)
{
    const std::string nils = " NIL NIL NIL NIL NIL NIL NIL NIL)";
    const struct { std::string header, envelope; } cases[] = {
        {"", "(NIL NIL" + nils}, {"X: y\r\n", "(NIL NIL" + nils},
        {"Subject: plain\r\nDate: Tue, 24 Nov 2026 12:45:00 +0000 (x)\r\n", "(\"Tue, 24 Nov 2026 12:45:00 +0000 (x)\" \"plain\"" + nils},
        {"Subject: a \"q\" \\b\r\n", "(NIL \"a \\\"q\\\" \\\\b\"" + nils}, {"Subject:\r\n", "(NIL \"\"" + nils},
        {"Subject: fold\r\n\ted\r\n  twice\r\n", "(NIL \"fold\ted  twice\"" + nils}, {"SUBJECT : x\r\nSubject: second\r\n", "(NIL \"x\"" + nils},
        {"Subject: =?utf-8?q?stays?=\r\n", "(NIL \"=?utf-8?q?stays?=\"" + nils},
        {"Subject: \xc3\xa4\r\n", "(NIL {2}\r\n\xc3\xa4" + nils}, {"Subject: f\r\n \xe4\"\\\r\n", "(NIL {5}\r\nf \xe4\"\\" + nils},
        {B("Subject: a\0b\x01\x7f\r\n"), "(NIL \"a b  \"" + nils}, {B("Subject: \xff\0z\r\n"), "(NIL {3}\r\n\xff z" + nils},
        {"Subject: bare\rcr\r\n", "(NIL \"bare cr\"" + nils},
        {"From: Ann <a@b>\r\n", R"((NIL NIL (("Ann" NIL "a" "b")) (("Ann" NIL "a" "b")) (("Ann" NIL "a" "b")) NIL NIL NIL NIL NIL))"},
        {"From: a@b\r\nSender: c@d\r\nReply-To: e@f\r\nTo: g@h, i@j\r\nCc: k@l\r\nBcc: m@n\r\nIn-Reply-To: <1>\r\nMessage-ID: <2>\r\n",
         R"((NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) ((NIL NIL "e" "f")) ((NIL NIL "g" "h")(NIL NIL "i" "j")) ((NIL NIL "k" "l")) ((NIL NIL "m" "n")) "<1>" "<2>"))"},
        {"From: a@b\r\nSender: \r\nReply-To: (none)\r\n", R"((NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL))"},
        {"Sender: c@d\r\n", R"((NIL NIL NIL ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL NIL))"},
        {"To: Team: a@b, C <c@d>; e@f\r\n", R"((NIL NIL NIL NIL NIL ((NIL NIL "Team" NIL)(NIL NIL "a" "b")("C" NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "e" "f")) NIL NIL NIL NIL))"},
        {"To: undisclosed-recipients:;\r\n", R"((NIL NIL NIL NIL NIL ((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL))"},
        {"To: nobody, <>, @x\r\n", R"((NIL NIL NIL NIL NIL ((NIL NIL "nobody" "MISSING_DOMAIN")(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")(NIL NIL "MISSING_MAILBOX" "x")) NIL NIL NIL NIL))"},
        {"To: <@r1,@r2:u@h>\r\n", R"((NIL NIL NIL NIL NIL ((NIL "@r1,@r2" "u" "h")) NIL NIL NIL NIL))"},
        {"To: J\xf6rg <j@x>\r\n", "(NIL NIL NIL NIL NIL (({4}\r\nJ\xf6rg NIL \"j\" \"x\")) NIL NIL NIL NIL)"},
    };
    for (const auto &c : cases) EXPECT_EQ(c.envelope, Row(c.header + "\r\nbody\r\n").envelope()) << c.header;
}

// ---- BODYSTRUCTURE

TEST(MimeFacts, Structure)
{
    const struct { const char *message, *structure; } cases[] = {
        {"\r\none\r\ntwo\r\n", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 10 2 NIL NIL NIL NIL))"},
        {"\r\none\r\ntwo", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 8 1 NIL NIL NIL NIL))"},
        {"\none\ntwo\n", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 8 2 NIL NIL NIL NIL))"},
        {"", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL))"},
        {"Content-Type: text/html; format=flowed\r\n\r\n", R"(("TEXT" "HTML" ("FORMAT" "flowed" "CHARSET" "us-ascii") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL))"},
        {"Content-Type: text/html; Charset=\"utf-8\"; x=\"a\\\"b\"\r\nContent-Transfer-Encoding: 8Bit\r\n\r\n",
         R"(("TEXT" "HTML" ("CHARSET" "utf-8" "X" "a\"b") NIL NIL "8BIT" 0 0 NIL NIL NIL NIL))"},
        {"Content-Type: image/png; name*0=a; name*1*=%20\r\nContent-ID: <i@x>\r\nContent-Description: a\r\n picture\r\n"
         "Content-Transfer-Encoding: BASE64\r\nContent-Disposition: attachment; filename=\"a b.png\"; size=3\r\n"
         "Content-Language: de, en\r\nContent-Location: http://x/\r\nContent-MD5: Q2hlY2s=\r\n\r\nQUJD\r\n",
         R"(("IMAGE" "PNG" ("NAME*0" "a" "NAME*1*" "%20") "<i@x>" "a picture" "BASE64" 6 NIL ("ATTACHMENT" ("FILENAME" "a b.png" "SIZE" "3")) ("de" "en") "http://x/"))"},
        {"Content-Type: application/x; y\r\nContent-Disposition: inline\r\nContent-Language: de\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n",
         R"(("APPLICATION" "X" NIL NIL NIL "X-UUENCODE" 0 NIL ("INLINE" NIL) "de" NIL))"},
        // What can't be read is text/plain.
        {"Content-Type: nonsense\r\n\r\n", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL))"},
        {"Content-Type: multipart/mixed\r\n\r\n--x\r\n", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 5 1 NIL NIL NIL NIL))"},
        {"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL))"},
        {"Content-Type:\r\nContent-Transfer-Encoding:\r\nContent-Disposition:\r\n\r\n", R"(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL))"},
        // A multipart without parts has one, as IMAP wants it.
        {"Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing\r\n",
         R"((("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL) "MIXED" ("BOUNDARY" "x") NIL NIL NIL))"},
        {"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\na\r\nb\r\n",
         R"(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 21 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 6 2 NIL NIL NIL NIL) 4 NIL NIL NIL NIL))"},
        // A message in an encoding can't be read into.
        {"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==\r\n",
         R"(("APPLICATION" "OCTET-STREAM" NIL NIL NIL "BASE64" 18 NIL NIL NIL NIL))"},
    };
    for (const auto &c : cases) EXPECT_EQ(c.structure, Row(c.message).structure()) << c.message;
}

const char kNested[] =
    "Subject: top\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
    "preamble\r\n--a\r\n\r\nfirst\r\n"
    "--a\r\nContent-Type: multipart/alternative; boundary=\"b c\"\r\n\r\n--b c\r\nContent-Type: text/plain\r\n\r\nplain\r\nlines\r\n\r\n"
    "--b c  \r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b c--\r\ninner epilogue\r\n"
    "--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n"
    "--d\r\n\r\ndeep\r\n--d--\r\n--a--\r\nepilogue\r\n";

TEST(MimeFacts, SectionsOfNestedParts)
{
    Row row(kNested);
    EXPECT_EQ(
        "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 5 0 NIL NIL NIL NIL)"
        "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 14 2 NIL NIL NIL NIL)"
        "(\"TEXT\" \"HTML\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 11 0 NIL NIL NIL NIL) \"ALTERNATIVE\" (\"BOUNDARY\" \"b c\") NIL NIL NIL)"
        "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 80 (NIL \"inside\" NIL NIL NIL NIL NIL NIL NIL NIL) "
        "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 4 0 NIL NIL NIL NIL) \"MIXED\" (\"BOUNDARY\" \"d\") NIL NIL NIL) 6 NIL NIL NIL NIL)"
        " \"MIXED\" (\"BOUNDARY\" \"a\") NIL NIL NIL)", row.structure());
    const std::string inside = "Subject: inside\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n";
    const struct { std::vector<uint32_t> path; enum facts_section what; std::string bytes; } cases[] = {
        {{1}, FACTS_SECTION_ALL, "first"}, {{1}, FACTS_SECTION_MIME, "\r\n"},
        {{2, 1}, FACTS_SECTION_ALL, "plain\r\nlines\r\n"}, {{2, 1}, FACTS_SECTION_MIME, "Content-Type: text/plain\r\n\r\n"},
        {{2, 2}, FACTS_SECTION_ALL, "<p>html</p>"}, {{2, 3}, FACTS_SECTION_ALL, "NIL"},
        {{3}, FACTS_SECTION_ALL, inside + "--d\r\n\r\ndeep\r\n--d--"}, {{3}, FACTS_SECTION_HEADER, inside},
        {{3}, FACTS_SECTION_TEXT, "--d\r\n\r\ndeep\r\n--d--"}, {{3, 1}, FACTS_SECTION_ALL, "deep"},
        {{}, FACTS_SECTION_HEADER, "Subject: top\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"},
        {{4}, FACTS_SECTION_ALL, "NIL"}, {{}, FACTS_SECTION_ALL, kNested},
    };
    for (const auto &c : cases) EXPECT_EQ(c.bytes, row.Section(c.path, c.what)) << c.bytes;
    EXPECT_EQ("first", row.preview());
    EXPECT_EQ(FACTS_ATTACHMENT, row.facts.flags); // a message in it is one
    std::string lf(kNested);
    for (size_t at; (at = lf.find('\r')) != std::string::npos;) lf.erase(at, 1);
    EXPECT_EQ("plain\nlines\n", Row(lf).Section({2, 1}));
    EXPECT_EQ("deep", Row(lf).Section({3, 1}));
}

TEST(MimeFacts, BoundariesThatAreMissingOrTwice)
{
    const std::string head = "Content-Type: multipart/mixed; boundary=x\r\n\r\n";
    const struct { std::string body; std::vector<uint32_t> path; std::string bytes; bool malformed; } cases[] = {
        {"--x\r\n\r\na\r\n--x--\r\n", {1}, "a", false},
        {"--x\r\n\r\na\r\n", {1}, "a\r\n", true},              // no end
        {"--x\r\n\r\na", {1}, "a", true},
        {"--x\r\n\r\na\r\n--x", {2}, "", true},                // a part that does not begin
        {"--x--\r\n", {1}, "NIL", false},
        {"--x\r\nA: b\r\n--x\r\n\r\nc\r\n--x--", {1}, "", false}, // a header and no body
        {"--x\r\nA: b\r\n--x\r\n\r\nc\r\n--x--", {2}, "c", false},
        {"--x\r\n--x\r\n\r\nc\r\n--x--", {2}, "c", false},
        {"--x\r\n\r\n\r\n--x--", {1}, "", false}, {"--x\r\n\r\n--x--", {1}, "", false},
        {"--xy\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--", {1}, "b", false}, // longer: another's
        {"--x\r\n\r\na --x\r\n -\r\n--\r\n-- x\r\n--x --\r\n--x--", {1}, "a --x\r\n -\r\n--\r\n-- x\r\n--x --", false},
        {"--x \t\r\n\r\na\r\n--x-- \r\n--x\r\n\r\nb", {1}, "a", false}, // behind the end is epilogue
        {"--x \t\r\n\r\na\r\n--x-- \r\n--x\r\n\r\nb", {2}, "NIL", false},
        {"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--", {1, 1}, "a", true},
        {"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--", {2}, "b", true},
        {"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n--x--", {1, 1}, "a", false}, // the innermost first
        {"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n--x\r\n\r\nb\r\n--x--", {1}, "Subject: y\r\n", false},
        {"--x\nA: b\n\na\n--x\n\nb\n--x--", {1}, "a", false},
        // A header right up to an outer boundary: what holds it ends behind it, not before.
        {"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nA: b\r\n--x--", {1}, "--y\r\nA: b\r\n", true},
        {"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nA: b\r\n--x--", {1, 1}, "", true},
    };
    for (const auto &c : cases) {
        Row row(head + c.body);
        EXPECT_EQ(c.bytes, row.Section(c.path)) << c.body;
        EXPECT_EQ(c.malformed, (row.facts.flags & FACTS_MALFORMED) != 0) << c.body;
    }
    EXPECT_EQ("a", Row("Content-Type: multipart/mixed; boundary=\"a\\\"b\"\r\n\r\n--a\"b\r\n\r\na\r\n--a\"b--").Section({1}));
    EXPECT_EQ("a", Row("Content-Type: multipart/mixed; boundary=" + std::string(300, 'x') + "\r\n\r\n--" + std::string(300, 'x') + "\r\n\r\na\r\n--" + std::string(300, 'x') + "--").Section({1}));
    // In a digest a part without a type is a message.
    Row digest("Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: in\r\n\r\na\r\n--x\r\nContent-Type: text/plain\r\n\r\nb\r\n--x--");
    EXPECT_EQ("a", digest.Section({1, 1}));
    EXPECT_EQ("Subject: in\r\n\r\n", digest.Section({1}, FACTS_SECTION_HEADER));
    EXPECT_EQ("NIL", digest.Section({2}, FACTS_SECTION_HEADER));
}

// ---- fields, flags, dates

TEST(MimeFacts, FieldsAsReceived)
{
    Row row("Received: x\r\nSUBJECT: a\r\n b\r\nX-Other: y\r\nTo:z\nReceived: y\r\nno field\r\nDate: Tue, 24 Nov 2026 12:45:00 +0000\r\n\r\nTo: body\r\n");
    EXPECT_EQ("SUBJECT: a\r\n b\r\nTo:z\nDate: Tue, 24 Nov 2026 12:45:00 +0000\r\n", T(row.facts.fields));
    EXPECT_EQ(2u, row.received());
    EXPECT_EQ(1795524300000, row.facts.date_ms);
    EXPECT_EQ(1u, row.facts.lines);
    Row open("Subject: a\r\nTo: b");
    EXPECT_EQ("Subject: a\r\nTo: b\r\n", T(open.facts.fields));
    EXPECT_EQ(INT64_MIN, open.facts.date_ms);
    EXPECT_EQ(17u, open.facts.header_bytes);
}

TEST(MimeFacts, Flags)
{
    const std::string multi = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\ntext\r\n--x\r\n", end = "\r\n\r\nx\r\n--x--\r\n";
    const struct { std::string message; int flags; } cases[] = {
        {"A: b\r\n\r\nc\r\n", 0}, {"A: \xe4\r\n\r\nc\r\n", FACTS_HEADER_8BIT}, {"A: b\r\n\r\n\xe4", FACTS_BODY_8BIT},
        {B("A: b\r\n\r\n\0"), FACTS_BODY_8BIT}, {B("A: b\r\n\r\n12345678\0" "90123456"), FACTS_BODY_8BIT}, {"A: b\r\n\r\n\x7f\x01", 0},
        {"no colon\r\n\r\n", FACTS_MALFORMED}, {"Content-Type: x\r\n\r\n", FACTS_MALFORMED},
        {multi + "Content-Disposition: ATTACHMENT" + end, FACTS_ATTACHMENT}, {multi + "Content-Disposition: inline" + end, 0},
        {multi + "Content-Disposition: inline; filename=x.txt" + end, FACTS_ATTACHMENT}, {multi + "Content-Type: text/plain; name=x" + end, 0},
        {multi + "Content-Type: application/pdf" + end, FACTS_ATTACHMENT}, {multi + "Content-Type: image/png" + end, FACTS_ATTACHMENT},
        {multi + "Content-Type: image/png\r\nContent-ID: <x>" + end, 0}, {multi + "Content-Type: application/pgp-signature" + end, 0},
        {multi + "Content-Type: application/pkcs7-signature; name=smime.p7s" + end, 0}, {multi + "Content-Type: message/delivery-status" + end, 0},
        {multi + "Content-Type: message/rfc822\r\n" + end, FACTS_ATTACHMENT}, {multi + "Content-Type: message/rfc822" + end, FACTS_ATTACHMENT | FACTS_MALFORMED}, {"Content-Type: application/pdf\r\n\r\n", FACTS_ATTACHMENT},
    };
    for (const auto &c : cases) EXPECT_EQ(c.flags, Row(c.message).facts.flags) << c.message;
}

// ---- preview

TEST(MimeFacts, Preview)
{
    const std::string html = "Content-Type: text/html; charset=utf-8\r\n\r\n";
    std::string many, cut;
    for (int i = 0; i < 300; i++) many += "\xc3\xa4";
    for (int i = 0; i < 200; i++) cut += "\xc3\xa4";
    const struct { std::string message, preview; } cases[] = {
        {"\r\n  Hello,\r\n\r\n\tworld \r\n", "Hello, world"}, {"\r\n", ""}, {"", ""},
        {"Content-Type: text/plain; charset=utf-8\r\n\r\n" + many, cut}, {"\r\n" + std::string(199, 'a') + " b", std::string(199, 'a')},
        {"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nH=E4=\r\nuser =80", "H\xc3\xa4user \xe2\x82\xac"},
        {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSMOk\r\ndQ==", "H\xc3\xa4u"},
        {"Content-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9", "\xd0\x9f\xd1\x80\xd0\xb8"},
        {"Content-Type: text/plain; charset=nobody-knows\r\n\r\nh\xe4", "h\xc3\xa4"}, {"Content-Type: text/plain; charset=us-ascii\r\n\r\nh\xc3\xa4", "h\xc3\xa4"},
        {"Content-Type: text/plain; charset=utf-8\r\n\r\na\xff" "b\xe2\x80\x8b\xc2\xad" "c", "abc"}, {B("\r\na\0b"), "a b"},
        {html + "<html><head><title>no</title><style>p { x<y }</style></head><body><p>One<br>two</p><!-- no > --><b>th</b>ree", "One two three"},
        {html + "a<script>if (1 < 2) document.write('<p>');</script >b &amp; &lt;c&gt; &#228;&#xE4; &nbsp; &nope; &", "a b & <c> \xc3\xa4\xc3\xa4 &nope; &"},
        {html + "<a title='x>y' href=\"z\">l</a>ink<img alt=\">\">", "link"}, {html + "<!doctype html><!-->x<!---->y", "xy"}, {html + "open <b", "open"},
        {html + "&#x110000;&#;&;&#xzz;&#99999999;z", "&#;&;&#xzz;z"},
        {html + "<style>" + std::string(20000, 'x') + "</style>far", "far"}, {html + "<style>" + std::string(100000, 'x') + "</style>too far", ""},
        {"Content-Type: image/png\r\n\r\nno text", ""}, {"Content-Disposition: attachment\r\n\r\nno text", ""},
        {"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n \r\n--x\r\nContent-Type: text/html\r\n\r\n<p>second\r\n--x--", "second"},
        {"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Disposition: attachment\r\n\r\nfile\r\n--x\r\n\r\ntext\r\n--x--", "text"},
    };
    for (const auto &c : cases) EXPECT_EQ(c.preview, Row(c.message).preview()) << c.message.substr(0, 200);
}

// ---- hostile messages: bounded time and rows

std::string Repeat(const std::string &unit, size_t bytes)
{
    std::string all;
    while (all.size() < bytes) all += unit;
    return all;
}

std::string Deep(int levels, bool close)
{
    std::string message;
    for (int i = 0; i < levels; i++) message += "Content-Type: multipart/mixed; boundary=" + std::to_string(i) + "\r\n\r\n--" + std::to_string(i) + "\r\n";
    for (int i = levels; close && i-- > 0;) message += "\r\n--" + std::to_string(i) + "--\r\n";
    return message;
}

TEST(MimeFacts, HostileMessagesCostNoMoreThanOthers)
{
    std::string nested_boundaries, many_parts = "Content-Type: multipart/mixed; boundary=x\r\n\r\n";
    for (int i = 0; i < 99; i++) {
        std::string boundary = std::string(60, 'x') + std::to_string(i);
        nested_boundaries += "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n";
    }
    std::string names = "Content-Type: application/x; name=\"" + std::string(2000, '"' - 1) + "\"; " + Repeat("p=\"" + Repeat("\\\\", 900) + "\"; ", 60000) + "\r\n"
        "Content-ID: " + std::string(3000, 'i') + "\r\nContent-Description: " + std::string(3000, '"') + "\r\nContent-Language: " + Repeat("x,", 3000) + "\r\n";
    const struct { const char *what; std::string message; } cases[] = {
        {"multiparts in each other", Deep(20000, true)}, {"multiparts in each other, open", Deep(20000, false)},
        {"messages in each other", Repeat("Content-Type: message/rfc822\r\n\r\n", 600000)},
        {"many fields", Repeat("X-Field: value\r\n", 3200000) + "\r\n"}, {"many kept fields", Repeat("Subject: value\r\n", 3200000)},
        {"many addresses", "From: a@b\r\nTo: " + Repeat("Some Body <some@body.example>,\r\n ", 3000000) + "\r\n\r\n"},
        {"many senders", "From: " + Repeat("\"\\\"\" <a@b>,", 1000000) + "\r\n"}, {"one long address", "To: " + std::string(1000000, '"') + "\r\n"},
        {"a long group", "To: g:" + Repeat("a@b,", 1000000) + ";\r\n"}, {"brackets", "To: " + Repeat("<(\"", 1000000) + "\r\n"},
        {"lines like boundaries", nested_boundaries + "\r\n" + Repeat("--\r\n", 1000000)},
        {"lines nearly boundaries", nested_boundaries + "\r\n" + Repeat("--" + std::string(60, 'x') + "zz\r\n", 1000000)},
        {"empty parts", many_parts + Repeat("--x\r\n", 1000000)}, {"parts with names", many_parts + Repeat("--x\r\n" + names + "\r\n\r\n", 8000000)},
        {"messages", many_parts + Repeat("--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: " + std::string(9000, '"') + "\r\nFrom: " + Repeat("a@b,", 50000) + "\r\n\r\nz\r\n", 8000000)},
        {"many parameters", "Content-Type: a/b" + Repeat("; x=y", 1000000) + "\r\n\r\n"}, {"comments", "Content-Type: " + std::string(1000000, '(') + "\r\n\r\n"},
        {"open quotes in parameters", "Content-Type: a/b" + Repeat("; x=\"", 1000000) + "\r\n\r\n"},
        {"a long line", "\r\n" + std::string(3000000, 'x')}, {"only line ends", Repeat("\r\n", 1000000)}, {"line feeds", std::string(1000000, '\n')},
        {"NULs", std::string(1000000, '\0')}, {"8-bit", std::string(1000000, '\xff')}, {"colons", Repeat(":\r\n", 1000000)},
        {"a folded field", "Subject: x" + Repeat("\r\n ", 1000000)}, {"an HTML of tags", "Content-Type: text/html\r\n\r\n" + Repeat("<", 1000000)},
        {"encoded words", "Subject: " + Repeat("=?utf-8?q?=?=", 1000000) + "\r\n"},
    };
    for (const auto &c : cases) {
        auto start = std::chrono::steady_clock::now();
        Row row(c.message);
        double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
        // The aim is 50 ms a megabyte; a busy machine and sanitizers get ten times that.
        EXPECT_LT(ms, 100 + 500.0 * static_cast<double>(c.message.size()) / 1e6) << c.what;
        EXPECT_LE(row.facts.parts_count, FACTS_PARTS_MAX) << c.what;
    }
}

TEST(MimeFacts, BeyondTheLimitsPartsAreOpaque)
{
    Row deep(Deep(FACTS_DEPTH_MAX + 20, true));
    EXPECT_EQ(FACTS_DEPTH_MAX, deep.facts.parts_count);
    EXPECT_NE(std::string::npos, deep.structure().find("(\"APPLICATION\" \"OCTET-STREAM\""));
    Row messages(Repeat("Content-Type: message/rfc822\r\n\r\n", 30 * (FACTS_DEPTH_MAX + 20)));
    EXPECT_EQ(FACTS_DEPTH_MAX, messages.facts.parts_count);
    std::string many = "Content-Type: multipart/mixed; boundary=x\r\n\r\n" + Repeat("--x\r\n\r\na\r\n", 10 * (FACTS_PARTS_MAX + 50)) + "--x--\r\nend";
    Row parts(many);
    EXPECT_EQ(FACTS_PARTS_MAX, parts.facts.parts_count);
    EXPECT_EQ("a", parts.Section({FACTS_PARTS_MAX - 1}));
    EXPECT_EQ("NIL", parts.Section({FACTS_PARTS_MAX}));
    EXPECT_EQ(many.size(), facts_part_at(&parts.facts, 0).end_at);
    // The last part that is listed holds a message: there is no room for its inside.
    Row last("Content-Type: multipart/digest; boundary=x\r\n\r\n" + Repeat("--x\r\n\r\nA: b\r\n", 13 * FACTS_PARTS_MAX) + "--x--\r\n");
    EXPECT_EQ(FACTS_PARTS_MAX, last.facts.parts_count);
    EXPECT_EQ(FACTS_PART_LEAF, facts_part_at(&last.facts, FACTS_PARTS_MAX - 1).kind);
    EXPECT_NE(std::string::npos, last.structure().find("(\"APPLICATION\" \"OCTET-STREAM\""));
    Row cut("To: " + Repeat("a@example.org,", 500000) + "\r\n\r\n");
    EXPECT_TRUE(cut.facts.flags & FACTS_FIELDS_CUT);
}

TEST(MimeFacts, ThreadsDoNotMeet)
{
    const std::string expected = Row(kNested).structure() + Row("Content-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9").preview();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] {
            for (int k = 0; k < 200; k++) {
                EXPECT_EQ(expected, Row(kNested).structure() + Row("Content-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9").preview());
            }
        });
    }
    for (auto &thread : threads) thread.join();
}

// ---- decoded parts

struct Walk {
    std::vector<std::string> parts;
    size_t want_parts = SIZE_MAX; // the walk is stopped behind so many
    bool want_bytes = true;
};

bool OnBegin(void *holder, const struct mime_part *part)
{
    auto *walk = static_cast<Walk *>(holder);
    walk->parts.push_back(T(part->number) + " " + T(part->type) + "/" + T(part->subtype) + " [" + T(part->name) + "]" +
                          (part->is_attachment ? " attachment" : "") + (part->is_uuencoded ? " uu" : "") + ": ");
    return walk->want_bytes;
}
bool OnBytes(void *holder, struct span piece)
{
    static_cast<Walk *>(holder)->parts.back() += T(piece);
    return true;
}
bool OnEnd(void *holder)
{
    auto *walk = static_cast<Walk *>(holder);
    return walk->parts.size() < walk->want_parts;
}
const struct mime_parts_visitor kVisitor = {OnBegin, OnBytes, OnEnd};

enum err_code WalkParts(const std::string &message, Walk *walk, uint32_t parts_max = 100, uint64_t bytes_max = 1 << 20, size_t piece = SIZE_MAX)
{
    struct mime_parts_limits limits = {parts_max, bytes_max, piece};
    return mime_parts_walk(S(message), &limits, &kVisitor, walk).code;
}

const char kFiles[] =
    "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    "--x\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nH=E4=\r\nx\r\n"
    "--x\r\nContent-Type: application/zip; name=\"other\"\r\nContent-Disposition: attachment; filename*=iso-8859-1''%E4.zip\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsD\r\nBA==\r\n"
    "--x\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: image/png; name=\"=?utf-8?q?=C3=A4?=.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
    "--x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0K\r\n"
    "--x\r\n\r\nlook:\r\nbegin 644 a b.txt\r\n#0V%T\r\n`\r\nend\r\nbegin now\r\nbegin 600 y\r\n\"86(\r\n\r\n"
    "--x--\r\n";

TEST(MimeParts, DecodedInOrder)
{
    Walk walk;
    EXPECT_EQ(ERR_OK, WalkParts(kFiles, &walk));
    const std::vector<std::string> expected = {
        "1 text/plain []: H\xe4x", "2 application/zip [\xc3\xa4.zip] attachment: PK\x03\x04", "3.1 image/png [\xc3\xa4.png]: ABC",
        "4 message/rfc822 []: Subject: x\r\n",
        "5 text/plain []: look:\r\nbegin 644 a b.txt\r\n#0V%T\r\n`\r\nend\r\nbegin now\r\nbegin 600 y\r\n\"86(\r\n",
        "5 application/octet-stream [a b.txt] uu: Cat", "5 application/octet-stream [y] uu: ab",
    };
    EXPECT_EQ(expected, walk.parts);
    for (size_t piece = 64; piece < 100; piece += 7) {
        Walk pieces;
        EXPECT_EQ(ERR_OK, WalkParts(kFiles, &pieces, 100, 1 << 20, piece));
        EXPECT_EQ(expected, pieces.parts);
    }
    Walk some;
    some.want_parts = 2;
    EXPECT_EQ(ERR_OK, WalkParts(kFiles, &some));
    EXPECT_EQ(2u, some.parts.size());
    Walk names;
    names.want_bytes = false;
    EXPECT_EQ(ERR_OK, WalkParts(kFiles, &names));
    EXPECT_EQ(5u, names.parts.size());
    EXPECT_EQ("2 application/zip [\xc3\xa4.zip] attachment: ", names.parts[1]);
    Walk one;
    EXPECT_EQ(ERR_OK, WalkParts("\r\njust text", &one));
    EXPECT_EQ(std::vector<std::string>{"1 text/plain []: just text"}, one.parts);
}

TEST(MimeParts, Limits)
{
    for (uint32_t parts = 0; parts < 7; parts++) {
        Walk walk;
        EXPECT_EQ(ERR_TOO_BIG, WalkParts(kFiles, &walk, parts));
        EXPECT_EQ(parts, walk.parts.size());
    }
    Walk walk;
    EXPECT_EQ(ERR_OK, WalkParts(kFiles, &walk, 7));
    Walk bytes;
    EXPECT_EQ(ERR_TOO_BIG, WalkParts(kFiles, &bytes, 100, 5));
    EXPECT_EQ("2 application/zip [\xc3\xa4.zip] attachment: ", bytes.parts.back());
    Walk many;
    EXPECT_EQ(ERR_TOO_BIG, WalkParts("Content-Type: multipart/mixed; boundary=x\r\n\r\n" + Repeat("--x\r\n\r\na\r\n", 20000), &many, 5000));
    EXPECT_EQ(static_cast<size_t>(FACTS_PARTS_MAX) - 1, many.parts.size());
}

TEST(MimeParts, LargePartsComeInPieces)
{
    std::string bytes = Repeat("0123456789", 300000), message = "Content-Transfer-Encoding: base64\r\n\r\n";
    for (size_t i = 0; i < bytes.size(); i += 30) message += "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5\r\n";
    for (size_t piece : {size_t{64}, size_t{1000}, SIZE_MAX}) {
        Walk walk;
        EXPECT_EQ(ERR_OK, WalkParts(message, &walk, 100, 1 << 20, piece));
        EXPECT_EQ("1 text/plain []: " + bytes, walk.parts.at(0));
    }
}

TEST(MimeParts, TextsThatOnlyLookUuencoded)
{
    for (const char *text : {"begin 644 x", "begin 644 x\r\n", "begin 644 x\r\nend\r\n", "begin 644\r\n#0V%T\r\n", "begin 999 x\r\n#0V%T\r\n", "x begin 644 x\r\n#0V%T\r\n",
                             "begin 644 x\r\n#0V%Txyz\r\n", "begin 644 x\r\n`\r\nend", "begin 64 x\r\n#0V%T\r\n", "begin 644 x\r\nMore text here {}\r\n"}) {
        Walk walk;
        EXPECT_EQ(ERR_OK, WalkParts(std::string("\r\n") + text, &walk));
        EXPECT_EQ(1u, walk.parts.size()) << text;
    }
}

// ---- a part taken out

TEST(MimeReplace, OnlyThatPartChanges)
{
    const std::string notice = "A part was taken out.\r\n";
    const std::string head = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + notice;
    const std::string start = "Subject: s\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nfirst\r\n--x\r\n", end = "\r\n--x\r\n\r\nlast\r\n--x--\r\nrest";
    const struct { std::string message, number, made; } cases[] = {
        {start + "X-Keep: y\r\nContent-Type: application/x\r\nContent-ID: <i>\r\n\r\nvirus" + end, "2", start + "X-Keep: y\r\n" + head + end},
        {start + "\r\nvirus" + end, "2", start + head + end}, {start + "A: b" + end, "2", start + "A: b\r\n" + head + end},
        {start + "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nvirus" + end, "2.1",
         start + "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n" + head + end},
        {start + "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nvirus" + end, "2", start + head + end},
        {"Subject: s\r\nContent-Type: application/x\r\n\r\nvirus\r\n", "1", "Subject: s\r\n" + head}, {"Subject: s", "1", "Subject: s\r\n" + head},
    };
    for (const auto &c : cases) {
        char *made = nullptr;
        size_t len = 0;
        ASSERT_EQ(ERR_OK, mime_replace_part(S(c.message), S(c.number), S(notice), &made, &len).code) << c.message;
        EXPECT_EQ(c.made, std::string(made, len));
        free(made);
    }
    for (const char *number : {"", "0", "4", "1.1", "2.2", "x", "2.", ".2", "02", "99999999999999999999", "2 "}) {
        char *made = nullptr;
        size_t len = 0;
        EXPECT_EQ(ERR_NOT_FOUND, mime_replace_part(S(cases[0].message), S(number), S(notice), &made, &len).code) << number;
    }
}

// ---- text for SEARCH

bool Collect(void *holder, struct span text)
{
    static_cast<std::vector<std::string> *>(holder)->push_back(T(text));
    return text.len > 5 && std::memcmp(text.ptr, "enough", 6) == 0;
}

TEST(MimeText, BodyHeaderAndFields)
{
    const std::string message =
        "Subject: =?utf-8?q?=C3=A4?=\r\n b\r\nTo: c\r\nsubject: d\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\nSubject: no\r\n"
        "--x\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n8NLJ\r\n"
        "--x\r\nContent-Type: image/png\r\n\r\nno\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?iso-8859-1?q?=E4?=\r\n\r\nin\xe4\r\n--x--\r\n";
    std::vector<std::string> got;
    EXPECT_EQ(ERR_OK, mime_text_fields(S(message), SPAN("SUBJECT"), Collect, &got).code);
    EXPECT_EQ((std::vector<std::string>{"\xc3\xa4 b", "d"}), got);
    got.clear();
    EXPECT_EQ(ERR_OK, mime_text_header(S(message), Collect, &got).code);
    ASSERT_EQ(4u, got.size());
    EXPECT_EQ("Subject: \xc3\xa4 b", got[0]);
    got.clear();
    EXPECT_EQ(ERR_OK, mime_text_body(S(message), Collect, &got).code);
    EXPECT_EQ((std::vector<std::string>{"\xd0\x9f\xd1\x80\xd0\xb8", "Subject: \xc3\xa4", "in\xc3\xa4"}), got);
    got.clear();
    EXPECT_EQ(ERR_OK, mime_text_fields(S("A: enough of it\r\nA: more\r\n"), SPAN("A"), Collect, &got).code);
    EXPECT_EQ(1u, got.size());
    got.clear();
    EXPECT_EQ(ERR_OK, mime_text_body(S(""), Collect, &got).code);
    EXPECT_EQ(std::vector<std::string>{""}, got);
}

TEST(MimeText, DecodeIntoAnArena)
{
    struct arena arena;
    struct span text;
    arena_init(&arena, 100);
    EXPECT_EQ(ERR_OK, mime_text_decode(SPAN("=?iso-2022-jp?b?GyRCRnwbKEI=?="), &arena, &text).code);
    EXPECT_EQ("\xe6\x97\xa5", T(text));
    EXPECT_EQ(ERR_NOMEM, mime_text_decode(S(std::string(200, 'x')), &arena, &text).code);
    arena_clear(&arena);
}
}  // namespace

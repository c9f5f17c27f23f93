// A footer below a message: which parts get it, in which charset and encoding, and what is left as it is.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "mime_footer.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

// The message with the footer; "=" when it stays as it is.
std::string Add(const std::string &message, const std::string &text, const std::string &html = "")
{
    struct mime_footer footer = { S(text), S(html) };
    char *made = nullptr;
    size_t len = 0;
    EXPECT_EQ(ERR_OK, mime_footer_add(S(message), &footer, &made, &len).code);
    if (made == nullptr) return "=";
    std::string now(made, len);
    free(made);
    // A second time changes nothing.
    EXPECT_EQ(ERR_OK, mime_footer_add(S(now), &footer, &made, &len).code);
    EXPECT_EQ(nullptr, made) << std::string(made == nullptr ? "" : made, made == nullptr ? 0 : len);
    free(made);
    return now;
}

const std::string kAscii = "-- \nAcme", kPlain = "-- \r\nAcme\r\n", kUmlaut = "Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac";

TEST(MimeFooter, OneText)
{
    const struct { const char *name; std::string message, text, want; } cases[] = {
        { "no MIME at all", "Subject: x\r\n\r\nhello\r\n", kAscii, "Subject: x\r\n\r\nhello\r\n\r\n" + kPlain },
        { "no line end at the end", "Subject: x\r\n\r\nhello", kAscii, "Subject: x\r\n\r\nhello\r\n\r\n" + kPlain },
        { "no content", "Subject: x\r\n\r\n", kAscii, "Subject: x\r\n\r\n" + kPlain },
        { "CRLF in the footer", "Subject: x\r\n\r\nhello\r\n", "a\r\nb\r\n\r\n", "Subject: x\r\n\r\nhello\r\n\r\na\r\nb\r\n" },
        { "ASCII becomes UTF-8", "Subject: x\r\n\r\nhello = \r\n", kUmlaut,
          "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
          "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
          "hello =3D=20\r\n\r\nGr=C3=BC=C3=9Fe =E2=82=AC\r\n" },
        { "other parameters stay", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"US-ASCII\"; format=flowed; x=\"a b\"\r\n"
          "Content-Transfer-Encoding: 7bit\r\nSubject: x\r\n\r\nhi\r\n", kUmlaut,
          "MIME-Version: 1.0\r\nSubject: x\r\nContent-Type: text/plain; charset=utf-8;\r\n format=flowed;\r\n x=\"a b\"\r\n"
          "Content-Transfer-Encoding: quoted-printable\r\n\r\nhi\r\n\r\nGr=C3=BC=C3=9Fe =E2=82=AC\r\n" },
        { "8-bit UTF-8", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n", kUmlaut,
          "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n\r\n" + kUmlaut + "\r\n" },
        { "Latin-1 has no Euro", "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n", kUmlaut,
          "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n\r\nGr\xfc\xdf" "e ?\r\n" },
        { "Windows-1252 has one", "Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4=\r\nb\r\n",
          kUmlaut, "Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
          "=E4b\r\n\r\nGr=FC=DFe =80\r\n" },
        { "base64 with LF", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\naGkK\r\n", "x",
          "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\naGkKCngK\r\n" },
        { "8 bits that say ASCII and are not UTF-8", "Subject: x\r\n\r\n\xe4\r\n", kUmlaut, "Subject: x\r\n\r\n\xe4\r\n\r\nGr??e ?\r\n" },
        { "a long line", "Subject: x\r\n\r\nhi\r\n", std::string(901, 'y'),
          "Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nhi\r\n\r\n" +
              [] { std::string s; for (int i = 0; i < 12; i++) s += std::string(75, 'y') + "=\r\n"; return s + "y\r\n"; }() },
    };
    for (const auto &c : cases) EXPECT_EQ(c.want, Add(c.message, c.text)) << c.name;
}

TEST(MimeFooter, Html)
{
    const std::string head = "Content-Type: text/html; charset=utf-8\r\n\r\n";
    const struct { const char *name; std::string message, text, html, want; } cases[] = {
        { "before the end of the body", head + "<BODY>hi</BODY></HTML>\r\n", kAscii, "<p>" + kUmlaut + "</p>",
          head + "<BODY>hi\r\n<p>Gr&#252;&#223;e &#8364;</p>\r\n</BODY></HTML>\r\n" },
        { "before the last one", head + "<pre></body></pre></body>", "", "<b>x</b>", head + "<pre></body></pre>\r\n<b>x</b>\r\n</body>" },
        { "before the end of the document", head + "hi\r\n</html>\r\n", "", "<b>x</b>", head + "hi\r\n<b>x</b>\r\n</html>\r\n" },
        { "at the end", head + "hi\r\n", "", "<b>x</b>", head + "hi\r\n<b>x</b>\r\n" },
        { "made of the text", head + "hi\r\n", "a <b> & c\nd", "", head + "hi\r\n<div>a &lt;b&gt; &amp; c<br>\r\nd</div>\r\n" },
    };
    for (const auto &c : cases) EXPECT_EQ(c.want, Add(c.message, c.text, c.html)) << c.name;
    EXPECT_EQ("=", Add("Subject: x\r\n\r\nhi\r\n", "", "<b>only for HTML</b>"));
}

std::string Multi(const std::string &kind, const std::string &boundary, const std::vector<std::string> &parts)
{
    std::string all = "Content-Type: multipart/" + kind + "; boundary=" + boundary + "\r\n\r\n";
    for (const auto &part : parts) all += "--" + boundary + "\r\n" + part + "\r\n";
    return all + "--" + boundary + "--\r\n";
}

TEST(MimeFooter, NestedParts)
{
    const std::string text = "Content-Type: text/plain\r\n\r\nhi", html = "Content-Type: text/html\r\n\r\n<b>hi</b>";
    const std::string text_new = text + "\r\n\r\nFOOT", html_new = html + "\r\n<i>FOOT</i>";
    const std::string image = "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA";
    const std::string file = "Content-Type: text/plain; name=a.txt\r\n\r\nfile";
    const std::string attached = "Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nfile";
    const std::string mail = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nin";
    const struct { const char *name; std::string before, after; } cases[] = {
        { "alternative", Multi("alternative", "a", { text, html }), Multi("alternative", "a", { text_new, html_new }) },
        { "mixed: the first text", Multi("mixed", "a", { text, file, text }), Multi("mixed", "a", { text_new, file, text }) },
        { "mixed: files are passed over", Multi("mixed", "a", { image, attached, file, mail, text }),
          Multi("mixed", "a", { image, attached, file, mail, text_new }) },
        { "an unknown multipart", Multi("odd", "a", { text }), Multi("odd", "a", { text_new }) },
        { "related: the first part", Multi("related", "r", { html, image, text }), Multi("related", "r", { html_new, image, text }) },
        { "all in one another", Multi("mixed", "m", { Multi("alternative", "x", { text, Multi("related", "r", { html, image }) }), file }),
          Multi("mixed", "m", { Multi("alternative", "x", { text_new, Multi("related", "r", { html_new, image }) }), file }) },
        { "the last boundary is missing", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nhi\r\n",
          "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nhi\r\n\r\nFOOT\r\n" },
    };
    for (const auto &c : cases) EXPECT_EQ(c.after, Add(c.before, "FOOT", "<i>FOOT</i>")) << c.name;
}

TEST(MimeFooter, WhatIsLeftAlone)
{
    const std::string text = "Content-Type: text/plain\r\n\r\nhi";
    const struct { const char *name; std::string message, text; } cases[] = {
        { "signed", Multi("signed", "a", { text, "Content-Type: application/pgp-signature\r\n\r\nx" }), "x" },
        { "signed within", Multi("mixed", "m", { Multi("signed", "a", { text, text }), text }), "x" },
        { "encrypted", Multi("encrypted", "a", { text, text }), "x" },
        { "a report", Multi("report", "a", { text, text }), "x" },
        { "S/MIME", "Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n", "x" },
        { "PGP in the text", "Subject: x\r\n\r\nhello\r\n-----BEGIN PGP MESSAGE-----\r\nx\r\n", "x" },
        { "PGP in base64", "Content-Transfer-Encoding: base64\r\n\r\nLS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0tCg==\r\n", "x" },
        { "no text", Multi("mixed", "a", { "Content-Type: image/png\r\n\r\nx" }), "x" },
        { "a calendar", "Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n", "x" },
        { "unknown encoding", "Content-Transfer-Encoding: x-odd\r\n\r\nhi\r\n", "x" },
        { "UTF-16", "Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\naABpAA==\r\n", "x" },
        { "a header without end", "Subject: x", "x" },
        { "a part without content", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n--a--\r\n", "x" },
        { "a footer that ends the part", Multi("mixed", "a", { text, text }), "x\n--a--\ny" },
        { "no footer", "Subject: x\r\n\r\nhi\r\n", "" },
        { "only blanks", "Subject: x\r\n\r\nhi\r\n", " \r\n\t\n" },
        { "too long a footer", "Subject: x\r\n\r\nhi\r\n", std::string(8193, 'x') },
        { "nothing", "", "x" },
    };
    for (const auto &c : cases) EXPECT_EQ("=", Add(c.message, c.text)) << c.name;
}

} // namespace

// What SORT and THREAD compare: base subjects (RFC 5256 2.1), message identifiers, envelopes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "arena.h"
#include "envelope.h"
#include "message_id.h"
#include "subject.h"

namespace {

span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(span s) { return std::string(s.len ? s.ptr : "", s.len); }

TEST(Subject, Base)
{
    const struct { std::string text, base; bool is_reply; } rows[] = {
        {"", "", false}, {"hello", "hello", false}, {"Hello", "Hello", false},
        {"Re: hello", "hello", true}, {"RE:hello", "hello", true}, {"re : hello", "hello", true}, {"re\t:hello", "hello", true},
        {"Fw: hello", "hello", true}, {"FWD: hello", "hello", true}, {"fw d: hello", "fw d: hello", false},
        {"Re: Re: Fwd: re: hello", "hello", true}, {"Re[2]: hello", "hello", true}, {"Re [2] : hello", "hello", true}, {"Re[2][3]: hello", "Re[2][3]: hello", false},
        {"[list] hello", "hello", false}, {"[list] Re: hello", "hello", true}, {"Re: [list] hello", "hello", true},
        {"[a] [b] Re: [c][d] hello", "hello", true}, {"[list]", "[list]", false}, {"[a][list]", "[list]", false}, {"Re: [list]", "[list]", true},
        {"[] hello", "hello", false}, {"[a[b] hello", "[a[b] hello", false}, {"[a]b] hello", "b] hello", false}, {"[open hello", "[open hello", false},
        {"hello (fwd)", "hello", true}, {"hello (FWD) (fwd)  ", "hello", true}, {"(fwd)", "", true}, {"hello(fwd)", "hello", true}, {"(fwd) hello", "(fwd) hello", false},
        {"[fwd: hello]", "hello", true}, {"[Fwd: Re: hello]", "hello", true}, {"[Fwd: [Fwd: hello]]", "hello", true}, {"[fwd:]", "", true},
        {"Re: [fwd: hello (fwd)] (fwd)", "hello", true}, {"[fwd: hello", "[fwd: hello", false}, {"[fwd : hello]", "[fwd : hello]", false},
        {"Re:", "", true}, {"re", "re", false}, {"rehearsal: hello", "rehearsal: hello", false}, {"reply: x", "reply: x", false}, {"Aw: hello", "Aw: hello", false},
        {"  hello \t\r\n world  ", "hello world", false}, {"a  b", "a b", false}, {"a\r\n\tb", "a b", false},
        {"Re: \xc3\xa4\xc3\xb6", "\xc3\xa4\xc3\xb6", true}, {"Re: \xff\xfe", "\xff\xfe", true}, {std::string("Re: a\0b", 7), std::string("a\0b", 3), true},
    };
    for (const auto &row : rows) {
        std::string store(row.text.size(), '\0'), again(row.text.size(), '\0');
        auto subject = subject_base(S(row.text), store.data());
        EXPECT_EQ(row.base, Str(subject.base)) << row.text;
        EXPECT_EQ(row.is_reply, subject.is_reply) << row.text;
        EXPECT_EQ(row.base, Str(subject_base(subject.base, again.data()).base)) << row.text;
    }
}

// Neither the one nor the other takes time by the square of its length.
TEST(Subject, LongOnes)
{
    const size_t n = 200000;
    std::string re, blobs(n, '['), pairs, forwards;
    for (size_t i = 0; i < n; i++) re += "re:", pairs += "[]";
    for (size_t i = 0; i < n / 10; i++) forwards += "[fwd:";
    for (const auto &text : {re, blobs, pairs, forwards, re + blobs, pairs + "x", std::string(n, ' ')}) {
        std::string store(text.size(), '\0');
        auto subject = subject_base(S(text), store.data());
        EXPECT_LE(subject.base.len, text.size());
    }
}

std::vector<std::string> Ids(const std::string &value)
{
    std::vector<std::string> ids;
    char store[MESSAGE_ID_MAX_BYTES];
    span rest = S(value), id;
    while (message_id_take(&rest, store, &id)) ids.push_back(Str(id));
    EXPECT_EQ(0u, rest.len);
    return ids;
}

TEST(MessageId, Each)
{
    using Texts = std::vector<std::string>;
    const struct { std::string value; Texts ids; } rows[] = {
        {"", {}}, {"<a@b>", {"a@b"}}, {"<a@b> <c@d>", {"a@b", "c@d"}}, {"<a@b><c@d>", {"a@b", "c@d"}},
        {" <a@b>\r\n\t<c@d> ", {"a@b", "c@d"}}, {"Your message of Monday <a@b> said", {"a@b"}},
        {"<\"a\"@b>", {"a@b"}}, {"<\"a b\"@c>", {"a b@c"}}, {"<\"a\\\"b\"@c>", {"a\"b@c"}}, {"<\"a\\b\"@c>", {"ab@c"}}, {"<\"a>b\"@c>", {"a>b@c"}},
        {"<a @ b>", {"a@b"}}, {"<a\r\n @b>", {"a@b"}}, {"<A@b>", {"A@b"}}, {"<a\\b@c>", {"a\\b@c"}},
        {"<a@b", {}}, {"a@b>", {}}, {"<>", {}}, {"<><a@b>", {"a@b"}}, {"<<a@b>", {"a@b"}}, {"<a <b@c>", {"b@c"}}, {"<\"a <b@c>", {"b@c"}}, {"<\"a\\", {}},
        {"<" + std::string(MESSAGE_ID_MAX_BYTES, 'x') + ">", {std::string(MESSAGE_ID_MAX_BYTES, 'x')}},
        {"<" + std::string(MESSAGE_ID_MAX_BYTES + 1, 'x') + "> <a@b>", {"a@b"}},
    };
    for (const auto &row : rows) EXPECT_EQ(row.ids, Ids(row.value)) << row.value;
}

class EnvelopeTest : public testing::Test {
protected:
    EnvelopeTest() { arena_init(&arena, 1 << 16); }
    ~EnvelopeTest() override { arena_clear(&arena); }
    err_code Read(const std::string &text) { return envelope_read(S(text), &arena, &envelope).code; }
    struct arena arena;
    struct envelope envelope;
};

TEST_F(EnvelopeTest, Whole)
{
    ASSERT_EQ(ERR_OK, Read("(\"date\" \"the \\\"subject\\\"\" ((\"n\" NIL \"from\" \"h\")(NIL NIL \"second\" \"h\")) ((NIL NIL \"sender\" \"h\")) "
                           "((NIL NIL \"reply\" \"h\")) ((NIL NIL {2}\r\nto \"h\")) ((NIL NIL \"cc\" NIL)) ((NIL NIL \"bcc\" \"h\")) \"<i@r>\" \"<m@i>\")"));
    EXPECT_EQ("the \"subject\"", Str(envelope.subject));
    EXPECT_EQ("from", Str(envelope.from));
    EXPECT_EQ("to", Str(envelope.to));
    EXPECT_EQ("cc", Str(envelope.cc));
    EXPECT_EQ("<i@r>", Str(envelope.in_reply_to));
    EXPECT_EQ("<m@i>", Str(envelope.message_id));
    ASSERT_EQ(ERR_OK, Read("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"));
    for (span one : {envelope.subject, envelope.from, envelope.to, envelope.cc, envelope.in_reply_to, envelope.message_id}) EXPECT_EQ(0u, one.len);
    // A group: its first address has no host (RFC 3501 7.4.2).
    ASSERT_EQ(ERR_OK, Read("(NIL NIL ((NIL NIL \"friends\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)) NIL NIL NIL NIL NIL NIL NIL)"));
    EXPECT_EQ("friends", Str(envelope.from));
}

TEST_F(EnvelopeTest, BadOnes)
{
    const std::string good = "(\"d\" \"s\" ((NIL NIL \"f\" \"h\")) NIL NIL NIL NIL NIL NIL \"<m@i>\")";
    ASSERT_EQ(ERR_OK, Read(good));
    for (size_t len = 0; len < good.size(); len++) EXPECT_EQ(ERR_CORRUPT, Read(good.substr(0, len))) << len;
    for (const char *text : {"NIL", "()", "(NIL)", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ",
                             "(NIL NIL () NIL NIL NIL NIL NIL NIL NIL)", "(NIL NIL (NIL) NIL NIL NIL NIL NIL NIL NIL)",
                             "(NIL NIL \"x\" NIL NIL NIL NIL NIL NIL NIL)", "(NIL atom NIL NIL NIL NIL NIL NIL NIL NIL)",
                             "(NIL {9}\r\nx NIL NIL NIL NIL NIL NIL NIL NIL)", "(NIL NIL ((NIL NIL \"f\")) NIL NIL NIL NIL NIL NIL NIL)"}) {
        EXPECT_EQ(ERR_CORRUPT, Read(text)) << text;
    }
    struct arena none;
    arena_init(&none, 1);
    std::string escaped = "(NIL \"a\\\"b\" NIL NIL NIL NIL NIL NIL NIL NIL)";
    EXPECT_EQ(ERR_NOMEM, envelope_read(S(escaped), &none, &envelope).code);
    arena_clear(&none);
}

}  // namespace

// Dialogues with the POP3 session, each whole, byte by byte, and with a small buffer for what goes
// out; and what a store that fails makes of it.
#include <gtest/gtest.h>

#include <set>

#include "pop3_talk.h"

using namespace pop3_talk;

namespace {

template <size_t n> std::string B(const char (&literal)[n]) { return std::string(literal, n - 1); }

const std::string kOne = "From: a@x\r\nSubject: one\r\n\r\nHello\r\n.dot\r\n..two\r\n.\r\nend\r\n";
const std::string kTwo = "Subject: two\r\n\r\nL1\r\nL2\r\nL3";
const std::string kOneOut = "From: a@x\r\nSubject: one\r\n\r\nHello\r\n..dot\r\n...two\r\n..\r\nend\r\n.\r\n";
const std::string kTwoOut = "Subject: two\r\n\r\nL1\r\nL2\r\nL3\r\n.\r\n";
const std::string kIn = "+OK 3 messages (81 octets)\r\n";
const std::string kTls = "TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nEXPIRE NEVER\r\n";
const std::string kImpl = "IMPLEMENTATION Godwit\r\n.\r\n";
const std::string kCommand = "-ERR no such command\r\n";
const std::string kNumber = "-ERR the number of a message is expected\r\n";
const std::string kNumbers = "-ERR the number of a message and a number of lines are expected\r\n";
const std::string kArgument = "-ERR nothing can stand behind this command\r\n";
const std::string kThree = "-ERR no such message; there are 3\r\n";
const std::string kMarked = "-ERR this message is marked as deleted\r\n";
const std::string kWrong = "-ERR [AUTH] wrong name or password\r\n";
const std::string kFirst = "-ERR log in first\r\n";
const std::string kAlready = "-ERR you are logged in\r\n";
const std::string kControls = "-ERR control characters can't stand in a command\r\n";
const std::string kAscii = "-ERR only ASCII can stand in a command\r\n";
const std::string kResponse = "-ERR not a response of this mechanism\r\n";
const std::string kAuth = "-ERR AUTH mechanism [response] expected\r\n";
const std::string kUser = "+OK send the password\r\n";
const std::string kBye = "+OK bye\r\n";

void Fill(Store *store)
{
    for (const auto &text : { kOne, kTwo, std::string() }) store->Add(text);
}

enum Prelude { kFresh, kLoggedIn };

struct Dialogue {
    const char *name;
    Prelude prelude;
    std::string in, out;
    bool closes = false;
};
void PrintTo(const Dialogue &d, std::ostream *out) { *out << d.name; }

const Dialogue dialogues[] = {
    // ---- good
    { "capa_early", kFresh, "CAPA\r\n",
      "+OK capabilities follow\r\n" + kTls + "USER\r\nSASL PLAIN LOGIN\r\n" + kImpl },
    { "capa_in", kLoggedIn, "capa\r\n", "+OK capabilities follow\r\n" + kTls + kImpl },
    { "user_pass", kFresh, "USER alice\r\nPASS secret\r\n", kUser + kIn },
    { "user_pass_lower_case", kFresh, "user alice\r\npass secret\r\n", kUser + kIn },
    { "user_twice", kFresh, "USER bob\r\nUSER alice\r\nPASS secret\r\n", kUser + kUser + kIn },
    { "user_capa_pass", kFresh, "USER alice\r\nCAPA\r\nPASS secret\r\n",
      kUser + "+OK capabilities follow\r\n" + kTls + "USER\r\nSASL PLAIN LOGIN\r\n" + kImpl + kIn },
    { "pass_with_spaces", kFresh, "USER alice\r\nPASS two words \r\n", kUser + kIn },
    { "pass_utf8", kFresh, "USER alice\r\nPASS gr\xc3\xbc\xc3\x9f\r\n", kUser + kIn },
    { "plain_initial", kFresh, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", kIn },
    { "plain_initial_lower_case", kFresh, "auth plain AGFsaWNlAHNlY3JldA==\r\n", kIn },
    { "plain_asked", kFresh, "AUTH PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\n", "+ \r\n" + kIn },
    { "plain_authzid_same", kFresh, "AUTH PLAIN YWxpY2UAYWxpY2UAc2VjcmV0\r\n", kIn },
    { "plain_after_user", kFresh, "USER bob\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", kUser + kIn },
    { "login_asked", kFresh, "AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
      "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n" + kIn },
    { "login_initial", kFresh, "AUTH LOGIN YWxpY2U=\r\nc2VjcmV0\r\n", "+ UGFzc3dvcmQ6\r\n" + kIn },
    { "wrong_then_right", kFresh, "USER alice\r\nPASS no\r\nUSER alice\r\nPASS secret\r\n",
      kUser + kWrong + kUser + kIn },
    { "quit_early", kFresh, "QUIT\r\n", kBye, true },
    { "quit_after_user", kFresh, "USER alice\r\nQUIT\r\n", kUser + kBye, true },
    { "quit", kLoggedIn, "QUIT\r\n", kBye, true },
    { "stat", kLoggedIn, "STAT\r\n", "+OK 3 81\r\n" },
    { "list", kLoggedIn, "LIST\r\n", "+OK 3 messages (81 octets)\r\n1 55\r\n2 26\r\n3 0\r\n.\r\n" },
    { "list_one", kLoggedIn, "LIST 2\r\n", "+OK 2 26\r\n" },
    { "list_zeros", kLoggedIn, "LIST 0002\r\n", "+OK 2 26\r\n" },
    { "uidl", kLoggedIn, "UIDL\r\n", "+OK\r\n1 1700000000.1\r\n2 1700000000.3\r\n3 1700000000.5\r\n.\r\n" },
    { "uidl_one", kLoggedIn, "UIDL 3\r\n", "+OK 3 1700000000.5\r\n" },
    { "noop", kLoggedIn, "NOOP\r\n", "+OK\r\n" },
    { "retr", kLoggedIn, "RETR 1\r\n", "+OK 55 octets\r\n" + kOneOut },
    { "retr_without_end", kLoggedIn, "RETR 2\r\n", "+OK 26 octets\r\n" + kTwoOut },
    { "retr_empty", kLoggedIn, "RETR 3\r\n", "+OK 0 octets\r\n.\r\n" },
    { "top_header", kLoggedIn, "TOP 1 0\r\n", "+OK 55 octets\r\nFrom: a@x\r\nSubject: one\r\n\r\n.\r\n" },
    { "top_two", kLoggedIn, "TOP 1 2\r\n",
      "+OK 55 octets\r\nFrom: a@x\r\nSubject: one\r\n\r\nHello\r\n..dot\r\n.\r\n" },
    { "top_last_line", kLoggedIn, "TOP 2 3\r\n", "+OK 26 octets\r\n" + kTwoOut },
    { "top_more_than_there_is", kLoggedIn, "TOP 1 4294967295\r\n", "+OK 55 octets\r\n" + kOneOut },
    { "top_empty", kLoggedIn, "TOP 3 7\r\n", "+OK 0 octets\r\n.\r\n" },
    { "dele", kLoggedIn, "DELE 1\r\nSTAT\r\nLIST\r\nUIDL\r\n",
      "+OK\r\n+OK 2 26\r\n+OK 2 messages (26 octets)\r\n2 26\r\n3 0\r\n.\r\n+OK\r\n2 1700000000.3\r\n"
      "3 1700000000.5\r\n.\r\n" },
    { "dele_all", kLoggedIn, "DELE 1\r\nDELE 2\r\nDELE 3\r\nSTAT\r\nLIST\r\nQUIT\r\n",
      "+OK\r\n+OK\r\n+OK\r\n+OK 0 0\r\n+OK 0 messages (0 octets)\r\n.\r\n+OK bye, 3 messages deleted\r\n", true },
    { "rset", kLoggedIn, "DELE 1\r\nDELE 3\r\nRSET\r\nSTAT\r\nRETR 2\r\nQUIT\r\n",
      "+OK\r\n+OK\r\n+OK\r\n+OK 3 81\r\n+OK 26 octets\r\n" + kTwoOut + kBye, true },
    { "rset_nothing", kLoggedIn, "RSET\r\n", "+OK\r\n" },
    { "pipelined", kLoggedIn, "STAT\r\nRETR 2\r\nNOOP\r\nDELE 2\r\nQUIT\r\n",
      "+OK 3 81\r\n+OK 26 octets\r\n" + kTwoOut + "+OK\r\n+OK\r\n+OK bye, 1 messages deleted\r\n", true },
    { "pipelined_log_in", kFresh, "USER alice\r\nPASS secret\r\nTOP 2 1\r\nUIDL 1\r\nQUIT\r\n",
      kUser + kIn + "+OK 26 octets\r\nSubject: two\r\n\r\nL1\r\n.\r\n+OK 1 1700000000.1\r\n" + kBye, true },
    { "nothing_behind_quit", kLoggedIn, "QUIT\r\nNOOP\r\nDELE 1\r\n", kBye, true },

    // ---- bad: lines
    { "empty_line", kLoggedIn, "\r\n", kCommand },
    { "space_first", kLoggedIn, " STAT\r\n", kCommand },
    { "bare_lf", kLoggedIn, "STAT\nNOOP\r\n", "-ERR lines end in CRLF\r\n+OK\r\n" },
    { "bare_lf_alone", kFresh, "\n", "-ERR lines end in CRLF\r\n" },
    { "bare_cr", kLoggedIn, "STAT\rNOOP\r\nNOOP\r\n", kControls + "+OK\r\n" },
    { "cr_cr_lf", kLoggedIn, "NOOP\r\r\n", kControls },
    { "nul", kLoggedIn, B("NO\0OP\r\nNOOP\r\n"), kControls + "+OK\r\n" },
    { "nul_alone", kFresh, B("\0\r\n"), kControls },
    { "tab", kLoggedIn, "LIST\t1\r\n", kControls },
    { "delete", kLoggedIn, "NOOP \x7f\r\n", kControls },
    { "eight_bit_command", kLoggedIn, "N\xc3\xb6OP\r\n", kAscii },
    { "eight_bit_argument", kLoggedIn, "LIST \xb9\r\n", kAscii },
    { "eight_bit_user", kFresh, "USER \xc3\xa4lice\r\n", kAscii },
    { "pass_not_utf8", kFresh, "USER alice\r\nPASS secr\xe9t\r\n", kUser + kAscii },
    { "nul_in_pass", kFresh, B("USER alice\r\nPASS secret\0\r\n"), kUser + kControls },
    { "line_too_long", kLoggedIn, "NOOP" + std::string(2043, ' ') + "\r\nNOOP\r\n",
      "-ERR line too long, 2048 octets are allowed\r\n+OK\r\n" },
    { "line_just_fits", kLoggedIn, "NOOP" + std::string(2042, ' ') + "\r\nNOOP\r\n", kArgument + "+OK\r\n" },
    { "line_far_too_long", kFresh, std::string(70000, 'x') + "\r\nCAPA x\r\n",
      "-ERR line too long, 2048 octets are allowed\r\n" + kArgument },
    { "auth_too_long", kFresh, "AUTH PLAIN " + std::string(12300, 'A') + "\r\nNOOP\r\n",
      "-ERR line too long, 12288 octets are allowed\r\n" + kFirst },
    { "response_too_long", kFresh, "AUTH PLAIN\r\n" + std::string(12300, 'A') + "\r\nNOOP\r\n",
      "+ \r\n-ERR line too long, 12288 octets are allowed\r\n" + kFirst },
    { "auth_is_short_when_in", kLoggedIn, "AUTH PLAIN " + std::string(3000, 'A') + "\r\nNOOP\r\n",
      "-ERR line too long, 2048 octets are allowed\r\n+OK\r\n" },
    { "http", kFresh, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", kCommand + kCommand + kCommand },
    { "smtp", kFresh, "EHLO x\r\nMAIL FROM:<a@b>\r\n", kCommand + kCommand },
    { "imap", kFresh, "a LOGIN alice secret\r\n", kCommand },
    { "apop", kFresh, "APOP alice c4c9334bac560ecc979e58001b3e22fb\r\n", kCommand },
    { "last", kLoggedIn, "LAST\r\n", kCommand },
    { "prefix_of_a_command", kLoggedIn, "NOO\r\n", kCommand },
    { "longer_than_a_command", kLoggedIn, "NOOPX\r\n", kCommand },

    // ---- bad: states
    { "stat_early", kFresh, "STAT\r\n", kFirst },
    { "retr_early", kFresh, "RETR 1\r\n", kFirst },
    { "noop_early", kFresh, "NOOP\r\n", kFirst },
    { "dele_after_user", kFresh, "USER alice\r\nDELE 1\r\n", kUser + kFirst },
    { "pass_early", kFresh, "PASS secret\r\n", "-ERR USER comes before PASS\r\n" },
    { "pass_twice", kFresh, "USER alice\r\nPASS no\r\nPASS secret\r\n",
      kUser + kWrong + "-ERR USER comes before PASS\r\n" },
    { "user_in", kLoggedIn, "USER alice\r\n", kAlready },
    { "pass_in", kLoggedIn, "PASS secret\r\n", kAlready },
    { "auth_in", kLoggedIn, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", kAlready },
    { "stls_in", kLoggedIn, "STLS\r\n", kAlready },
    { "stls_when_tls", kFresh, "STLS\r\n", "-ERR TLS is not offered, or on already\r\n" },

    // ---- bad: log-ins
    { "wrong_password", kFresh, "USER alice\r\nPASS wrong\r\n", kUser + kWrong },
    { "no_such_user", kFresh, "USER mallory\r\nPASS secret\r\n", kUser + kWrong },
    { "three_wrong", kFresh, "USER a\r\nPASS b\r\nAUTH PLAIN AGEAYg==\r\nUSER a\r\nPASS b\r\nCAPA\r\n",
      kUser + kWrong + kWrong + kUser + "-ERR [AUTH] wrong name or password, too often now: closing\r\n", true },
    { "user_without_name", kFresh, "USER\r\n", "-ERR USER name expected, with 1 to 320 octets\r\n" },
    { "user_empty", kFresh, "USER \r\n", "-ERR USER name expected, with 1 to 320 octets\r\n" },
    { "user_too_long", kFresh, "USER " + std::string(321, 'x') + "\r\n",
      "-ERR USER name expected, with 1 to 320 octets\r\n" },
    { "pass_without_password", kFresh, "USER alice\r\nPASS\r\nPASS secret\r\n",
      kUser + "-ERR PASS password expected, with 1 to 1024 octets\r\n" + kIn },
    { "pass_too_long", kFresh, "USER alice\r\nPASS " + std::string(1025, 'x') + "\r\n",
      kUser + "-ERR PASS password expected, with 1 to 1024 octets\r\n" },
    { "auth_alone", kFresh, "AUTH\r\n", kAuth },
    { "auth_empty", kFresh, "AUTH \r\n", kAuth },
    { "auth_empty_response", kFresh, "AUTH PLAIN \r\n", kAuth },
    { "auth_unknown", kFresh, "AUTH CRAM-MD5\r\n", "-ERR this mechanism is not offered; see CAPA\r\n" },
    { "plain_equals_sign", kFresh, "AUTH PLAIN =\r\n", kResponse },
    { "plain_not_base64", kFresh, "AUTH PLAIN AGFs*WNl\r\n", kResponse },
    { "plain_cut_base64", kFresh, "AUTH PLAIN AGFsaWNlAHNlY3JldA=\r\n", kResponse },
    { "plain_without_nul", kFresh, "AUTH PLAIN YWxpY2U=\r\n", kResponse },
    { "plain_three_words", kFresh, "AUTH PLAIN AGFsaWNl AHNlY3JldA==\r\n", kResponse },
    { "plain_authzid_other", kFresh, "AUTH PLAIN Ym9iAGFsaWNlAHNlY3JldA==\r\n",
      "-ERR [AUTH] acting for another user is not offered\r\n" },
    { "plain_cancelled", kFresh, "AUTH PLAIN\r\n*\r\nCAPA x\r\n", "+ \r\n-ERR log-in cancelled\r\n" + kArgument },
    { "plain_empty_response", kFresh, "AUTH PLAIN\r\n\r\nQUIT\r\n", "+ \r\n" + kResponse + kBye, true },
    { "plain_bare_lf", kFresh, "AUTH PLAIN\r\nAGFsaWNlAHNlY3JldA==\nQUIT\r\n", "+ \r\n" + kResponse + kBye, true },
    { "plain_nul", kFresh, B("AUTH PLAIN\r\nAGFs\0\r\n"), "+ \r\n" + kResponse },
    { "plain_eight_bit", kFresh, "AUTH PLAIN\r\n\xff\xfe\r\n", "+ \r\n" + kResponse },
    { "plain_wrong", kFresh, "AUTH PLAIN AGFsaWNlAHdyb25n\r\n", kWrong },
    { "login_cancelled", kFresh, "AUTH LOGIN\r\nYWxpY2U=\r\n*\r\n",
      "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n-ERR log-in cancelled\r\n" },

    // ---- bad: arguments
    { "capa_argument", kFresh, "CAPA x\r\n", kArgument },
    { "stat_argument", kLoggedIn, "STAT 1\r\n", kArgument },
    { "stat_space", kLoggedIn, "STAT \r\n", kArgument },
    { "noop_argument", kLoggedIn, "NOOP x\r\n", kArgument },
    { "rset_argument", kLoggedIn, "DELE 1\r\nRSET 1\r\nSTAT\r\n", "+OK\r\n" + kArgument + "+OK 2 26\r\n" },
    { "quit_argument", kLoggedIn, "QUIT now\r\nNOOP\r\n", kArgument + "+OK\r\n" },
    { "list_zero", kLoggedIn, "LIST 0\r\n", kThree },
    { "list_four", kLoggedIn, "LIST 4\r\n", kThree },
    { "list_negative", kLoggedIn, "LIST -1\r\n", kNumber },
    { "list_plus", kLoggedIn, "LIST +1\r\n", kNumber },
    { "list_word", kLoggedIn, "LIST one\r\n", kNumber },
    { "list_space", kLoggedIn, "LIST \r\n", kNumber },
    { "list_two", kLoggedIn, "LIST 1 2\r\n", kNumber },
    { "list_two_spaces", kLoggedIn, "LIST  1\r\n", kNumber },
    { "list_range", kLoggedIn, "LIST 1:2\r\n", kNumber },
    { "list_hex", kLoggedIn, "LIST 0x1\r\n", kNumber },
    { "list_32_bits", kLoggedIn, "LIST 4294967295\r\n", kThree },
    { "list_33_bits", kLoggedIn, "LIST 4294967297\r\n", kNumber },
    { "list_huge", kLoggedIn, "LIST " + std::string(400, '9') + "\r\n", kNumber },
    { "uidl_four", kLoggedIn, "UIDL 4\r\n", kThree },
    { "uidl_word", kLoggedIn, "UIDL *\r\n", kNumber },
    { "retr_alone", kLoggedIn, "RETR\r\n", kNumber },
    { "retr_zero", kLoggedIn, "RETR 0\r\n", kThree },
    { "retr_four", kLoggedIn, "RETR 4\r\n", kThree },
    { "retr_trailing_space", kLoggedIn, "RETR 1 \r\n", kNumber },
    { "top_alone", kLoggedIn, "TOP\r\n", kNumbers },
    { "top_one", kLoggedIn, "TOP 1\r\n", kNumbers },
    { "top_negative", kLoggedIn, "TOP 1 -1\r\n", kNumbers },
    { "top_empty_lines", kLoggedIn, "TOP 1 \r\n", kNumbers },
    { "top_three", kLoggedIn, "TOP 1 2 3\r\n", kNumbers },
    { "top_no_message", kLoggedIn, "TOP x 2\r\n", kNumbers },
    { "top_four", kLoggedIn, "TOP 4 2\r\n", kThree },
    { "dele_alone", kLoggedIn, "DELE\r\n", kNumber },
    { "dele_four", kLoggedIn, "DELE 4\r\n", kThree },
    { "dele_twice", kLoggedIn, "DELE 2\r\nDELE 2\r\n", "+OK\r\n" + kMarked },
    { "deleted_is_not_read", kLoggedIn, "DELE 2\r\nRETR 2\r\nTOP 2 0\r\nLIST 2\r\nUIDL 2\r\n",
      "+OK\r\n" + kMarked + kMarked + kMarked + kMarked },
    { "garbage_between", kLoggedIn, B("STAT\r\n\x16\x03\x01\0\r\nNOOP\r\n"), "+OK 3 81\r\n" + kControls + "+OK\r\n" },
};

class Pop3Dialogue : public testing::TestWithParam<std::tuple<Dialogue, int>> {};

TEST_P(Pop3Dialogue, AnswersAsWritten)
{
    const auto &[dialogue, how] = GetParam();
    const Cut cuts[] = { Cut(), { 1, POP3_OUT_ROOM, 1 }, { 7, POP3_OUT_ROOM + 100, 5 } };
    Store store;
    Fill(&store);
    Client client(&store, cuts[how]);
    EXPECT_EQ("+OK Godwit ready\r\n", client.Take());
    if (dialogue.prelude == kLoggedIn) ASSERT_EQ(kUser + kIn, client.Say("USER alice\r\nPASS secret\r\n"));
    EXPECT_EQ(dialogue.out, client.Say(dialogue.in));
    EXPECT_EQ(dialogue.closes, client.closed);
    if (client.closed && store.locks > 0) {
        EXPECT_EQ(1u, store.unlocks);
    }
}

INSTANTIATE_TEST_SUITE_P(, Pop3Dialogue, testing::Combine(testing::ValuesIn(dialogues), testing::Range(0, 3)),
    [](const auto &info) { return std::string(std::get<0>(info.param).name) + "_" + std::to_string(std::get<1>(info.param)); });

TEST(Pop3Dialogues, NamesAreUniqueAndMostAreBad)
{
    std::set<std::string> names;
    size_t bad = 0;
    for (const auto &d : dialogues) {
        EXPECT_TRUE(names.insert(d.name).second) << d.name;
        bad += d.out.find("-ERR") != std::string::npos;
    }
    EXPECT_GE(bad, 2 * (names.size() - bad));
}

std::string In(Client *client)
{
    client->Take();
    return client->Say("USER alice\r\nPASS secret\r\n");
}

bool Has(const std::string &text, const std::string &what) { return text.find(what) != std::string::npos; }

// ---- TLS

TEST(Pop3Tls, StlsThenLogIn)
{
    Store store;
    Fill(&store);
    Client client(&store, Cut(), false);
    EXPECT_EQ("+OK Godwit ready\r\n", client.Take());
    EXPECT_EQ("+OK capabilities follow\r\n" + kTls + "STLS\r\n" + kImpl, client.Say("CAPA\r\n"));
    EXPECT_EQ("-ERR log in over TLS\r\n", client.Say("USER alice\r\n"));
    EXPECT_EQ("-ERR USER comes before PASS\r\n", client.Say("PASS secret\r\n"));
    EXPECT_EQ("-ERR log in over TLS\r\n", client.Say("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"));
    EXPECT_EQ("+OK begin TLS now\r\n", client.Say("STLS\r\n"));
    EXPECT_EQ(1u, client.tls_started);
    EXPECT_TRUE(Has(client.Say("CAPA\r\n"), "USER\r\nSASL PLAIN LOGIN\r\n"));
    EXPECT_EQ(kUser + kIn, In(&client));
}

TEST(Pop3Tls, BytesBehindStlsAreNeverRead)
{
    Store store;
    Fill(&store);
    Client client(&store, Cut(), false);
    client.Take();
    EXPECT_EQ("+OK begin TLS now\r\n", client.Say("STLS\r\nUSER mallory\r\nQUIT\r\n"));
    EXPECT_EQ(1u, client.tls_started);
    EXPECT_FALSE(client.closed);
    EXPECT_EQ("-ERR USER comes before PASS\r\n", client.Say("PASS x\r\n"));
}

TEST(Pop3Tls, HandshakeThatFailsCloses)
{
    Store store;
    Client client(&store, Cut(), false);
    client.Take();
    store.tls_code = ERR_SYNTAX;
    EXPECT_EQ("+OK begin TLS now\r\n", client.Say("STLS\r\n"));
    EXPECT_TRUE(client.closed);
}

TEST(Pop3Tls, PlainLogInWhereItIsAllowed)
{
    Store store;
    Fill(&store);
    Client client(&store, Cut(), false, true);
    client.Take();
    EXPECT_TRUE(Has(client.Say("CAPA\r\n"), "STLS\r\nUSER\r\nSASL PLAIN LOGIN\r\n"));
    EXPECT_EQ(kUser + kIn, In(&client));
}

TEST(Pop3Tls, NameFromBeforeIsForgotten)
{
    Store store;
    Fill(&store);
    Client client(&store, Cut(), false, true);
    client.Take();
    EXPECT_EQ(kUser, client.Say("USER alice\r\n"));
    EXPECT_EQ("+OK begin TLS now\r\n", client.Say("STLS\r\n"));
    EXPECT_EQ("-ERR USER comes before PASS\r\n", client.Say("PASS secret\r\n"));
}

// ---- limits

TEST(Pop3Limits, TwentyBadCommandsClose)
{
    Store store;
    Fill(&store);
    for (size_t piece : { SIZE_MAX, size_t(1) }) {
        Client client(&store, { piece, 64 * 1024, SIZE_MAX });
        client.Take();
        std::string in, out;
        for (int i = 0; i < 25; i++) in += "X\r\n";
        for (int i = 0; i < 19; i++) out += kCommand;
        EXPECT_EQ(out + "-ERR too many bad commands, closing\r\n", client.Say(in));
        EXPECT_TRUE(client.closed);
    }
}

TEST(Pop3Limits, ManyMessagesGoOutAsThereIsRoom)
{
    Store store;
    std::string want = "+OK\r\n";
    for (uint32_t i = 1; i <= 5000; i++) {
        store.Add("x");
        want += std::to_string(i) + " 1700000000." + std::to_string(2 * i - 1) + "\r\n";
    }
    Client client(&store, { SIZE_MAX, POP3_OUT_ROOM, 100 });
    EXPECT_EQ(kUser + "+OK 5000 messages (5000 octets)\r\n", In(&client));
    EXPECT_EQ(want + ".\r\n+OK\r\n", client.Say("UIDL\r\nNOOP\r\n"));
    EXPECT_GT(client.stops, 10u);
    EXPECT_EQ("+OK\r\n+OK\r\n+OK\r\n", client.Say("DELE 1\r\nDELE 4999\r\nDELE 5000\r\n"));
    EXPECT_EQ("+OK bye, 3 messages deleted\r\n", client.Say("QUIT\r\n"));
    EXPECT_EQ(std::vector<std::string>{"1,9997,9999"}, store.expunges);
}

TEST(Pop3Limits, TooManyMessagesAreRefused)
{
    Store store;
    Fill(&store);
    store.claims = POP3_MESSAGES_MAX;
    Client client(&store);
    EXPECT_EQ(kUser + "-ERR [SYS/PERM] more than 400000 messages in INBOX: read it by IMAP\r\n", In(&client));
    EXPECT_EQ(0u, store.locks);
    EXPECT_EQ(kFirst, client.Say("STAT\r\n"));
}

TEST(Pop3Limits, MessagesThatCameMeanwhileAreListedToo)
{
    Store store;
    Fill(&store);
    store.claims = UINT32_MAX; // one less
    Client client(&store);
    EXPECT_EQ(kUser + kIn, In(&client));
}

TEST(Pop3Limits, LargeMessageGoesThroughASmallBuffer)
{
    Store store;
    std::string body, want;
    for (int i = 0; i < 20000; i++) {
        std::string line = std::string(i % 3, '.') + "line " + std::to_string(i) + "\r\n";
        body += line;
        want += (line[0] == '.' ? "." : "") + line;
    }
    store.Add("Subject: big\r\n\r\n" + body);
    for (const Cut &cut : { Cut(), Cut{ SIZE_MAX, POP3_OUT_ROOM, 65536 }, Cut{ 3, POP3_OUT_ROOM + 1, 777 } }) {
        Client client(&store, cut);
        In(&client);
        auto out = client.Say("RETR 1\r\nNOOP\r\n");
        auto expected = "+OK " + std::to_string(store.messages[0].text.size()) + " octets\r\nSubject: big\r\n\r\n" +
                        want + ".\r\n+OK\r\n";
        EXPECT_TRUE(out == expected) << out.size() << " " << expected.size();
        if (cut.data == 65536) {
            EXPECT_GT(client.stops, 50u);
        }
    }
}

TEST(Pop3Limits, TopReadsNoMoreThanItNeeds)
{
    Store store;
    std::string lines;
    for (int i = 0; i < 100000; i++) lines += "line\r\n";
    store.Add("Subject: big\r\n\r\n" + lines);
    Client client(&store, { SIZE_MAX, 64 * 1024, 1000 });
    In(&client);
    EXPECT_EQ("+OK 600016 octets\r\nSubject: big\r\n\r\nline\r\nline\r\n.\r\n+OK\r\n", client.Say("TOP 1 2\r\nNOOP\r\n"));
    EXPECT_EQ(1u, store.cancelled);
    client.Say("RETR 1\r\n");
    EXPECT_EQ(1u, store.cancelled);
}

// ---- what a message may look like

struct Shape {
    std::string text, out;
};

TEST(Pop3Lines, EveryMessageEndsAndNoneBeforeItsEnd)
{
    const Shape shapes[] = {
        { "", "" }, { "a", "a\r\n" }, { "a\r\n", "a\r\n" }, { "\r\n", "\r\n" }, { "\n", "\r\n" }, { "\r", "\r\n" },
        { ".", "..\r\n" }, { ".\r\n", "..\r\n" }, { "a\r\n.\r\nb", "a\r\n..\r\nb\r\n" },
        { "a\n.\nb\n", "a\r\n..\r\nb\r\n" }, { "a\n.\r\nb", "a\r\n..\r\nb\r\n" }, { "a\r\n.\nb", "a\r\n..\r\nb\r\n" },
        { "a\r.\r\nb\r\n", "a\r.\r\nb\r\n" }, { "a\r\r\n", "a\r\r\n" }, { "a\r", "a\r\n" }, { "\r\r", "\r\r\n" },
        { "...\r\n....", "....\r\n.....\r\n" }, { "a\x01\xff\r\n", "a\x01\xff\r\n" }, { "\n\n\n", "\r\n\r\n\r\n" },
        { std::string(9000, '.'), std::string(9001, '.') + "\r\n" },
        { std::string(9000, '\n'), [] { std::string s; for (int i = 0; i < 9000; i++) s += "\r\n"; return s; }() },
        { [] { std::string s; for (int i = 0; i < 4000; i++) s += "\n."; return s; }(),
          [] { std::string s; for (int i = 0; i < 4000; i++) s += "\r\n.."; return s + "\r\n"; }() },
    };
    for (const auto &shape : shapes) {
        for (const Cut &cut : { Cut(), Cut{ 1, POP3_OUT_ROOM, 1 }, Cut{ SIZE_MAX, POP3_OUT_ROOM + 3, 1000 } }) {
            Store store;
            store.Add(shape.text);
            Client client(&store, cut);
            In(&client);
            EXPECT_EQ("+OK " + std::to_string(shape.text.size()) + " octets\r\n" + shape.out + ".\r\n+OK\r\n",
                      client.Say("RETR 1\r\nNOOP\r\n"));
        }
    }
}

TEST(Pop3Lines, TopFindsTheEndOfTheHeader)
{
    const struct { std::string text; int lines; std::string out; } cases[] = {
        { "A: b\r\n\r\nc\r\n", 0, "A: b\r\n\r\n" }, { "A: b\r\n\r\nc\r\n", 1, "A: b\r\n\r\nc\r\n" },
        { "A: b\n\nc\nd\n", 1, "A: b\r\n\r\nc\r\n" }, { "\r\nc\r\nd\r\n", 0, "\r\n" },
        { "\r\n\r\n\r\nd\r\n", 1, "\r\n\r\n" }, { "A: b\r\n", 0, "A: b\r\n" }, { "A: b", 3, "A: b\r\n" },
        { "A: b\r\n \r\nC: d\r\n\r\ne", 0, "A: b\r\n \r\nC: d\r\n\r\n" }, { "A: b\r\n\r\r\n\r\nc", 0, "A: b\r\n\r\r\n\r\n" },
        { "A: b\r\n\r\n.\r\nc\r\n", 1, "A: b\r\n\r\n..\r\n" }, { "A: b\r\n\r\nc", 1, "A: b\r\n\r\nc\r\n" },
    };
    for (const auto &c : cases) {
        for (const Cut &cut : { Cut(), Cut{ 1, POP3_OUT_ROOM, 1 } }) {
            Store store;
            store.Add(c.text);
            Client client(&store, cut);
            In(&client);
            EXPECT_EQ("+OK " + std::to_string(c.text.size()) + " octets\r\n" + c.out + ".\r\n+OK\r\n",
                      client.Say("TOP 1 " + std::to_string(c.lines) + "\r\nNOOP\r\n")) << c.text;
        }
    }
}

// ---- other sessions

TEST(Pop3Lock, SecondLogInIsRefusedAndMayTryAgain)
{
    Store store;
    Fill(&store);
    store.locked_by_other = true;
    Client client(&store);
    EXPECT_EQ(kUser + "-ERR [IN-USE] another POP3 session has this mailbox\r\n", In(&client));
    EXPECT_EQ(kFirst, client.Say("STAT\r\n"));
    EXPECT_EQ(0u, store.fetches);
    store.locked_by_other = false;
    EXPECT_EQ(kIn, client.Say("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"));
    EXPECT_EQ(1u, store.locks);
    EXPECT_EQ(kBye, client.Say("QUIT\r\n"));
    EXPECT_EQ(1u, store.unlocks);
}

TEST(Pop3Lock, ExpungedByAnotherKeepsItsNumber)
{
    Store store;
    Fill(&store);
    Client client(&store);
    In(&client);
    store.messages[0].is_gone = true;
    store.Add("later\r\n");
    EXPECT_EQ("-ERR this message was expunged by another client\r\n", client.Say("RETR 1\r\n"));
    EXPECT_EQ("-ERR this message was expunged by another client\r\n", client.Say("TOP 1 0\r\n"));
    EXPECT_EQ("+OK 26 octets\r\n" + kTwoOut, client.Say("RETR 2\r\n"));
    EXPECT_EQ("+OK 3 81\r\n", client.Say("STAT\r\n"));
    EXPECT_EQ("+OK 1 55\r\n", client.Say("LIST 1\r\n"));
    EXPECT_EQ(kThree, client.Say("RETR 4\r\n"));
    EXPECT_EQ("+OK\r\n+OK\r\n+OK bye, 2 messages deleted\r\n", client.Say("DELE 1\r\nDELE 2\r\nQUIT\r\n"));
    EXPECT_EQ(std::vector<std::string>{"1,3"}, store.expunges);
}

TEST(Pop3Update, OnlyQuitDeletes)
{
    Store store;
    Fill(&store);
    {
        Client client(&store);
        In(&client);
        EXPECT_EQ("+OK\r\n+OK\r\n", client.Say("DELE 1\r\nDELE 2\r\n"));
    } // the connection is gone
    EXPECT_TRUE(store.expunges.empty());
    Client client(&store);
    In(&client);
    client.Say("DELE 1\r\nDELE 2\r\n");
    client.End();
    EXPECT_EQ("-ERR [SYS/TEMP] the server is going down\r\n", client.Take());
    EXPECT_TRUE(client.closed);
    EXPECT_TRUE(store.expunges.empty());
}

// ---- a store that fails

TEST(Pop3Errors, OfTheUpdate)
{
    const struct { enum err_code code; std::string out; } cases[] = {
        { ERR_FULL, "-ERR [SYS/TEMP] nothing was deleted: the disk is full\r\n" },
        { ERR_BUSY, "-ERR [SYS/TEMP] nothing was deleted: a limit is reached for now\r\n" },
        { ERR_MOVED, "-ERR [SYS/TEMP] nothing was deleted: led by another node\r\n" },
        { ERR_NOT_FOUND, "-ERR [SYS/PERM] nothing was deleted: no such thing\r\n" },
        { ERR_TIMEOUT, "-ERR [SYS/TEMP] it is not known whether the messages were deleted\r\n" },
        { ERR_UNKNOWN, "-ERR [SYS/TEMP] it is not known whether the messages were deleted\r\n" },
        { ERR_UNREACHABLE, "-ERR [SYS/TEMP] it is not known whether the messages were deleted\r\n" },
    };
    for (const auto &c : cases) {
        Store store;
        Fill(&store);
        Client client(&store);
        In(&client);
        store.fail_method = STORE_METHOD_EXPUNGE;
        store.fail_code = c.code;
        EXPECT_EQ("+OK\r\n" + c.out, client.Say("DELE 2\r\nQUIT\r\n"));
        EXPECT_TRUE(client.closed);
        EXPECT_EQ(1u, store.unlocks);
    }
}

TEST(Pop3Errors, OfTheLogIn)
{
    Store store;
    Fill(&store);
    Client client(&store);
    client.Take();
    store.login_code = ERR_UNREACHABLE;
    EXPECT_EQ(kUser + "-ERR [SYS/TEMP] log-in can't be checked now: the other program can't be reached\r\n",
              client.Say("USER alice\r\nPASS secret\r\n"));
    store.login_code = ERR_CANCELLED;
    EXPECT_TRUE(Has(client.Say("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), "-ERR [SYS/TEMP]"));
    for (unsigned method : { STORE_METHOD_MAILBOX_OPEN, STORE_METHOD_FETCH }) {
        for (enum err_code code : { ERR_UNREACHABLE, ERR_NOT_FOUND, ERR_CONFLICT, ERR_CORRUPT }) {
            if (method == STORE_METHOD_FETCH && code == ERR_CONFLICT) continue;
            store.fail_method = method;
            store.fail_code = code;
            unsigned unlocks = store.unlocks;
            auto out = client.Say("USER alice\r\nPASS secret\r\n");
            bool permanent = code == ERR_NOT_FOUND;
            EXPECT_TRUE(Has(out, permanent ? "-ERR [SYS/PERM] INBOX" : "-ERR [SYS/TEMP] INBOX")) << out;
            EXPECT_EQ(unlocks + (method == STORE_METHOD_FETCH), store.unlocks);
            EXPECT_EQ(kFirst, client.Say("STAT\r\n"));
        }
    }
    store.lock_code = ERR_BUSY;
    EXPECT_TRUE(Has(In(&client), "-ERR [SYS/TEMP] INBOX can't be opened: a limit is reached"));
    store.mailbox = 0;
    EXPECT_TRUE(Has(In(&client), "-ERR [SYS/PERM] INBOX can't be opened: no such thing"));
    store.mailbox = 3;
    EXPECT_EQ(kUser + kIn, In(&client));
}

std::string ListRecord(uint32_t uid, uint32_t size, uint8_t items = MAIL_RECORD_DATES)
{
    struct mail_record record = {};
    record.items = items;
    record.uid = uid;
    record.size = size;
    std::string bytes(mail_record_head_bytes(&record), '\0');
    mail_record_head(&record, bytes.data());
    return bytes;
}

TEST(Pop3Errors, OfTheList)
{
    const std::string good = ListRecord(1, 10);
    const std::string bad[] = {
        ListRecord(0, 10), good + good, ListRecord(5, 10) + good, ListRecord(1, 256 * 1024 * 1024 + 1),
        ListRecord(1, 10, 0), ListRecord(1, 10, MAIL_RECORD_DATES | MAIL_RECORD_FACTS),
        ListRecord(1, 10, MAIL_RECORD_DATES | MAIL_RECORD_BODY), std::string(61, '\xff'), std::string(61, '\0'),
        good.substr(0, 60), good + "x", std::string("\xff\xff\xff\x00", 4) + std::string(100, '\0'),
    };
    for (const auto &data : bad) {
        for (const Cut &cut : { Cut(), Cut{ 1, POP3_OUT_ROOM, 1 }, Cut{ SIZE_MAX, POP3_OUT_ROOM, 50 } }) {
            Store store;
            Client client(&store, cut);
            store.data_instead = data;
            store.has_data_instead = true;
            EXPECT_EQ(kUser + "-ERR [SYS/TEMP] INBOX can't be opened: stored data fails its own checks\r\n", In(&client));
            EXPECT_EQ(1u, store.unlocks);
        }
    }
    Store store;
    Client client(&store);
    store.data_instead = ListRecord(1, 10) + ListRecord(4000000000u, 256 * 1024 * 1024);
    store.has_data_instead = true;
    EXPECT_EQ(kUser + "+OK 2 messages (268435466 octets)\r\n", In(&client));
}

TEST(Pop3Errors, OfAMessage)
{
    const std::string octets = "+OK 55 octets\r\n";
    for (const Cut &cut : { Cut(), Cut{ 1, POP3_OUT_ROOM, 1 } }) {
        Store store;
        Fill(&store);
        Client client(&store, cut);
        In(&client);
        store.fail_method = STORE_METHOD_FETCH;
        store.fail_code = ERR_UNREACHABLE;
        EXPECT_EQ("-ERR [SYS/TEMP] the message can't be read: the other program can't be reached\r\n", client.Say("RETR 1\r\n"));
        struct mail_record record = {};
        record.items = MAIL_RECORD_BODY;
        record.uid = 3; // not the one that was asked for
        record.body = SPAN("x$");
        std::string other(mail_record_head_bytes(&record), '\0');
        mail_record_head(&record, other.data());
        for (const auto &data : { other + "x$", std::string(40, '\xff'), std::string(10, '\0'), ListRecord(1, 55) }) {
            store.data_instead = data;
            store.has_data_instead = true;
            EXPECT_EQ("-ERR [SYS/TEMP] the message can't be read: stored data fails its own checks\r\n",
                      client.Say("RETR 1\r\n"));
        }
        EXPECT_EQ(octets + kOneOut, client.Say("RETR 1\r\n")); // and it goes on
        store.data_cut = 20; // before "+OK" is said
        EXPECT_TRUE(Has(client.Say("RETR 1\r\n"), "-ERR [SYS/TEMP] the message can't be read"));
        store.data_cut = 40; // behind it: there is no way to say so
        EXPECT_EQ(octets + "From: a@x\r\n", client.Say("RETR 1\r\nNOOP\r\n"));
        EXPECT_TRUE(client.closed);
        EXPECT_TRUE(store.expunges.empty());
    }
}

TEST(Pop3Errors, DamagedMessageHasNoEnd)
{
    Store store;
    store.Add("Subject: x\r\n\r\n" + std::string(100, 'y'));
    store.messages[0].text[50] = '\0';
    Client client(&store, { SIZE_MAX, 64 * 1024, 30 });
    In(&client);
    auto out = client.Say("RETR 1\r\n");
    EXPECT_TRUE(Has(out, "+OK 114 octets\r\nSubject: x"));
    EXPECT_FALSE(Has(out, "\r\n.\r\n"));
    EXPECT_TRUE(client.closed);
}

TEST(Pop3End, SaysNothingWithinAReply)
{
    Store store;
    for (int i = 0; i < 5000; i++) store.Add("x");
    Client client(&store);
    In(&client);
    std::string bytes(64 * 1024, '\0');
    struct buf out;
    buf_init(&out, bytes.data(), POP3_OUT_ROOM);
    EXPECT_EQ(6u, pop3_session_feed(client.session, S("LIST\r\n"), 1000, &out));
    ASSERT_TRUE(pop3_session_is_stopped(client.session));
    EXPECT_FALSE(pop3_session_is_idle(client.session));
    buf_init(&out, bytes.data(), bytes.size());
    pop3_session_end(client.session, POP3_END_SHUTDOWN, &out);
    EXPECT_EQ(0u, out.len);
    struct pop3_wish wish;
    ASSERT_TRUE(pop3_session_wish(client.session, &wish));
    EXPECT_EQ(POP3_WISH_CLOSE, wish.kind);
    pop3_session_end(client.session, POP3_END_SHUTDOWN, &out);
    EXPECT_EQ(0u, out.len);
}

TEST(Pop3End, IdleIsBetweenCommands)
{
    Store store;
    Fill(&store);
    Client client(&store);
    EXPECT_TRUE(pop3_session_is_idle(client.session));
    client.Say("AUTH PLAIN\r\n");
    EXPECT_FALSE(pop3_session_is_idle(client.session));
    client.End();
    EXPECT_EQ("-ERR [SYS/TEMP] the server is going down\r\n", client.Take());
}

}  // namespace

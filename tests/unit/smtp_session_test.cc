#include <gtest/gtest.h>

#include <string>

#include "smtp_talk.h"

namespace {

enum How { PLAIN, TLS, SUBMIT, LMTP, SMALL };

// `in` stands behind "EHLO a\r\n" unless it begins with "!"; `out` are the codes behind "220|250".
struct Case { const char *name; How how; std::string in; const char *out; };
void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

#define FROM "MAIL FROM:<a@b.test>\r\n"
#define TO "RCPT TO:<u1@ours.test>\r\n"
#define SAID "|250 2.1.0|250 2.1.5"

std::string A(size_t n, char c = 'a') { return std::string(n, c); }
using namespace std::string_literals;

const Case cases[] = {
    // ---- lines and commands
    {"nothing", PLAIN, "", ""},
    {"noop", PLAIN, "NOOP\r\n", "|250 2.0.0"},
    {"noop_argument", PLAIN, "NOOP what ever\r\n", "|250 2.0.0"},
    {"lower_case", PLAIN, "noop\r\nmail from:<a@b.test>\r\nrcpt to:<u1@OURS.test>\r\n", "|250 2.0.0|250 2.1.0|550 5.7.1"},
    {"bare_lf", PLAIN, "NOOP\nNOOP\r\n", "|500 5.5.2"},
    {"bare_cr", PLAIN, "NO\rOP\r\nNOOP\r\n", "|500 5.5.2"},
    {"cr_cr_lf", PLAIN, "NOOP\r\r\n", "|500 5.5.2"},
    {"lf_first", PLAIN, "\nNOOP\r\n", "|500 5.5.2"},
    {"empty_line", PLAIN, "\r\nNOOP\r\n", "|500 5.5.2|250 2.0.0"},
    {"nul", PLAIN, "NO\0OP\r\nNOOP\r\n"s, "|500 5.5.2|250 2.0.0"},
    {"nul_in_path", PLAIN, "MAIL FROM:<a\0@b.test>\r\n"s, "|500 5.5.2"},
    {"tab", PLAIN, "NOOP\tx\r\n", "|500 5.5.2"},
    {"unknown", PLAIN, "FROB\r\n", "|500 5.5.1"},
    {"no_verb", PLAIN, "123 456\r\n", "|500 5.5.2"},
    {"http", PLAIN, "GET / HTTP/1.1\r\n", "|500 5.5.1"},
    {"longest", PLAIN, "NOOP " + A(2041) + "\r\n", "|250 2.0.0"},
    {"too_long", PLAIN, "NOOP " + A(2042) + "\r\nNOOP\r\n", "|500 5.5.2|250 2.0.0"},
    {"far_too_long", PLAIN, "NOOP " + A(100000) + "\r\nNOOP\r\n", "|500 5.5.2|250 2.0.0"},
    {"too_long_bare_lf", PLAIN, "NOOP " + A(3000) + "\nNOOP\r\n", "|500 5.5.2"},
    {"too_long_bare_cr", PLAIN, "NOOP " + A(3000) + "\rNOOP\r\nNOOP\r\n", "|500 5.5.2|250 2.0.0"},
    {"vrfy", PLAIN, "VRFY u1\r\n", "|252 2.0.0"},
    {"vrfy_nothing", PLAIN, "VRFY\r\n", "|501 5.5.4"},
    {"vrfy_8bit", PLAIN, "VRFY \xc3\xbc\r\n", "|500 5.5.2"},
    {"expn", PLAIN, "EXPN list\r\n", "|502 5.5.1"},
    {"help", PLAIN, "HELP\r\nHELP MAIL\r\n", "|214 2.0.0|214 2.0.0"},
    {"quit", PLAIN, "QUIT\r\nNOOP\r\n", "|221 2.0.0"},
    {"quit_argument", PLAIN, "QUIT now\r\nNOOP\r\n", "|501 5.5.4|250 2.0.0"},
    {"rset_argument", PLAIN, "RSET x\r\n", "|501 5.5.4"},
    {"lhlo_in_smtp", PLAIN, "LHLO a\r\n", "|500 5.5.1"},
    {"helo_again", PLAIN, FROM "HELO x\r\n" TO, "|250 2.1.0|250|503 5.5.1"},
    {"ehlo_again", PLAIN, FROM TO "EHLO x\r\nDATA\r\n", SAID "|250|503 5.5.1"},
    {"ehlo_nothing", PLAIN, "EHLO\r\nEHLO \r\n", "|501 5.5.4|501 5.5.4"},
    {"ehlo_8bit", PLAIN, "EHLO \xc3\xbc\r\n", "|500 5.5.2"},
    {"ehlo_two_names", PLAIN, "EHLO a b\r\n", "|501 5.5.4"},
    {"ehlo_literal", PLAIN, "EHLO [127.0.0.1]\r\n", "|250"},
    {"ehlo_longest", PLAIN, "EHLO " + A(255) + "\r\n", "|250"},
    {"ehlo_too_long", PLAIN, "EHLO " + A(256) + "\r\n", "|501 5.5.4"},
    {"early_mail", PLAIN, "!" FROM, "220|503 5.5.1"},
    {"early_rset_noop_quit", PLAIN, "!RSET\r\nNOOP\r\nMAIL FROM:<>\r\nQUIT\r\n", "220|250 2.0.0|250 2.0.0|503 5.5.1|221 2.0.0"},
    {"helo_session", PLAIN, "!HELO a\r\n" FROM TO "DATA\r\n.\r\n", "220|250" SAID "|354|D a@b.test > u1@ours.test : |250 2.0.0"},
    // ---- MAIL
    {"null_sender", PLAIN, "MAIL FROM:<>\r\n", "|250 2.1.0"},
    {"space_before_path", PLAIN, "MAIL FROM: <a@b.test>\r\n", "|250 2.1.0"},
    {"no_brackets", PLAIN, "MAIL FROM:a@b.test\r\n", "|501 5.1.7"},
    {"no_close", PLAIN, "MAIL FROM:<a@b.test\r\n", "|501 5.1.7"},
    {"no_from", PLAIN, "MAIL <a@b.test>\r\nMAIL\r\nMAIL FRO\r\n", "|501 5.5.4|501 5.5.4|501 5.5.4"},
    {"no_domain", PLAIN, "MAIL FROM:<a>\r\nMAIL FROM:<a@>\r\nMAIL FROM:<@b>\r\n", "|501 5.1.7|501 5.1.7|501 5.1.7"},
    {"postmaster_sender", PLAIN, "MAIL FROM:<postmaster>\r\n", "|501 5.1.7"},
    {"two_ats", PLAIN, "MAIL FROM:<a@b@c>\r\n", "|501 5.1.7"},
    {"dots", PLAIN, "MAIL FROM:<.a@b>\r\nMAIL FROM:<a.@b>\r\nMAIL FROM:<a..b@b>\r\nMAIL FROM:<a@b.>\r\nMAIL FROM:<a@.b>\r\n",
     "|501 5.1.7|501 5.1.7|501 5.1.7|501 5.1.7|501 5.1.7"},
    {"quoted", PLAIN, "MAIL FROM:<\"a> b\\\"@c\"@b.test>\r\n", "|250 2.1.0"},
    {"quoted_open", PLAIN, "MAIL FROM:<\"a@b.test>\r\n", "|501 5.1.7"},
    {"literal", PLAIN, "MAIL FROM:<a@[192.0.2.1]>\r\n", "|250 2.1.0"},
    {"literal_v6", PLAIN, "MAIL FROM:<a@[IPv6:2001:db8::1]>\r\n", "|250 2.1.0"},
    {"literal_bad", PLAIN, "MAIL FROM:<a@[]>\r\nMAIL FROM:<a@[1.2.3.4>\r\n", "|501 5.1.7|501 5.1.7"},
    {"source_route", PLAIN, FROM "RCPT TO:<@x.test,@y.test:u1@ours.test>\r\nDATA\r\n.\r\n", SAID "|354|D a@b.test > u1@ours.test : |250 2.0.0"},
    {"source_route_relay", PLAIN, FROM "RCPT TO:<@ours.test:x@y.test>\r\n", "|250 2.1.0|550 5.7.1"},
    {"source_route_bad", PLAIN, FROM "RCPT TO:<@x:>\r\nRCPT TO:<@:u1@ours.test>\r\nRCPT TO:<@x,:u1@ours.test>\r\nRCPT TO:<@x,y:u1@ours.test>\r\n",
     "|250 2.1.0|501 5.1.3|501 5.1.3|501 5.1.3|501 5.1.3"},
    {"longest_local", PLAIN, "MAIL FROM:<" + A(255) + "@b.test>\r\n", "|250 2.1.0"},
    {"too_long_local", PLAIN, "MAIL FROM:<" + A(256) + "@b.test>\r\n", "|501 5.1.7"},
    {"too_long_label", PLAIN, "MAIL FROM:<a@" + A(64) + ".test>\r\n", "|501 5.1.7"},
    {"too_long_domain", PLAIN, "MAIL FROM:<a@" + A(63) + "." + A(63) + "." + A(63) + "." + A(63) + ".x>\r\n", "|501 5.1.7"},
    {"too_long_route", PLAIN, "MAIL FROM:<@" + A(60) + ",@" + A(60, 'b') + [] { std::string s; for (int i = 0; i < 25; i++) s += ",@" + A(60); return s; }() + ":a@b>\r\n", "|501 5.1.7"},
    {"mail_twice", PLAIN, FROM FROM, "|250 2.1.0|503 5.5.1"},
    {"mail_8bit", PLAIN, "MAIL FROM:<\xc3\xbc@b.test>\r\n", "|553 5.6.7"},
    {"mail_utf8", PLAIN, "MAIL FROM:<\xc3\xbc@\xc3\xbc.test> SMTPUTF8\r\n", "|250 2.1.0"},
    {"mail_bad_utf8", PLAIN, "MAIL FROM:<\xc3@b.test> SMTPUTF8\r\nMAIL FROM:<\xed\xa0\x80@b> SMTPUTF8\r\nMAIL FROM:<\xc0\x80@b> SMTPUTF8\r\n", "|501 5.1.7|501 5.1.7|501 5.1.7"},
    {"mail_all", PLAIN, "MAIL FROM:<a@b.test> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By AUTH=<>\r\n" TO "DATA\r\n.\r\n",
     SAID "|354|D a@b.test > u1@ours.test envid=x+2By hdrs 8bit utf8 : |250 2.0.0"},
    {"mail_7bit", PLAIN, "MAIL FROM:<a@b.test> body=7bit\r\n", "|250 2.1.0"},
    {"mail_unknown", PLAIN, "MAIL FROM:<a@b.test> FROB=1\r\n", "|555 5.5.4"},
    {"mail_no_space", PLAIN, "MAIL FROM:<a@b.test>SIZE=1\r\n", "|501 5.5.4"},
    {"mail_bad_params", PLAIN, "MAIL FROM:<a@b> SIZE\r\nMAIL FROM:<a@b> SIZE=\r\nMAIL FROM:<a@b> SIZE=x\r\nMAIL FROM:<a@b> SIZE=-1\r\n"
     "MAIL FROM:<a@b> BODY=9BIT\r\nMAIL FROM:<a@b> SMTPUTF8=1\r\nMAIL FROM:<a@b> RET=ALL\r\nMAIL FROM:<a@b> =\r\n",
     "|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4"},
    {"mail_bad_xtext", PLAIN, "MAIL FROM:<a@b> ENVID=+2\r\nMAIL FROM:<a@b> ENVID=+2g\r\nMAIL FROM:<a@b> ENVID=a=b\r\nMAIL FROM:<a@b> AUTH=+zz\r\n",
     "|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4"},
    {"mail_long_envid", PLAIN, "MAIL FROM:<a@b> ENVID=" + A(101) + "\r\nMAIL FROM:<a@b> ENVID=" + A(100) + "\r\n", "|501 5.5.4|250 2.1.0"},
    {"mail_twice_size", PLAIN, "MAIL FROM:<a@b> SIZE=1 SIZE=1\r\n", "|501 5.5.4"},
    {"mail_size", PLAIN, "MAIL FROM:<a@b> SIZE=1048577\r\nMAIL FROM:<a@b> SIZE=99999999999999999999999\r\nMAIL FROM:<a@b> SIZE=1048576\r\n",
     "|552 5.3.4|552 5.3.4|250 2.1.0"},
    // ---- RCPT
    {"rcpt_early", PLAIN, TO, "|503 5.5.1"},
    {"rcpt_null", PLAIN, FROM "RCPT TO:<>\r\n", "|250 2.1.0|501 5.1.3"},
    {"rcpt_postmaster", PLAIN, FROM "RCPT TO:<PostMaster>\r\nDATA\r\n.\r\n", SAID "|354|D a@b.test > PostMaster : |250 2.0.0"},
    {"rcpt_no_domain", PLAIN, FROM "RCPT TO:<u1>\r\n", "|250 2.1.0|501 5.1.3"},
    {"rcpt_relay", PLAIN, FROM "RCPT TO:<x@y.test>\r\nRCPT TO:<x%y.test@ours.test>\r\nDATA\r\n", "|250 2.1.0|550 5.7.1|250 2.1.5|354"},
    {"rcpt_unknown", PLAIN, FROM "RCPT TO:<nobody@ours.test>\r\n", "|250 2.1.0|550 5.1.1"},
    {"rcpt_full", PLAIN, FROM "RCPT TO:<full@ours.test>\r\n", "|250 2.1.0|452 4.2.2"},
    {"rcpt_off", PLAIN, FROM "RCPT TO:<off@ours.test>\r\n", "|250 2.1.0|550 5.2.1"},
    {"rcpt_dsn", PLAIN, FROM "RCPT TO:<u1@ours.test> NOTIFY=SUCCESS,delay ORCPT=rfc822;u1+40x\r\nDATA\r\n.\r\n",
     SAID "|354|D a@b.test > u1@ours.test/10/rfc822;u1+40x : |250 2.0.0"},
    {"rcpt_notify_never", PLAIN, FROM "RCPT TO:<u1@ours.test> NOTIFY=NEVER\r\n", SAID},
    {"rcpt_bad_params", PLAIN, FROM "RCPT TO:<u1@ours.test> NOTIFY=NEVER,SUCCESS\r\nRCPT TO:<u1@ours.test> NOTIFY=\r\nRCPT TO:<u1@ours.test> NOTIFY=SUCCESS,\r\n"
     "RCPT TO:<u1@ours.test> NOTIFY=SUCCESS NOTIFY=DELAY\r\nRCPT TO:<u1@ours.test> ORCPT=x\r\nRCPT TO:<u1@ours.test> ORCPT=rfc822;\r\n"
     "RCPT TO:<u1@ours.test> ORCPT=rfc822;+4\r\nRCPT TO:<u1@ours.test> ORCPT=utf-8;\xc3\xbc\r\nRCPT TO:<u1@ours.test> SIZE=1\r\n",
     "|250 2.1.0|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|501 5.5.4|555 5.5.4"},
    {"rcpt_long_orcpt", PLAIN, FROM "RCPT TO:<u1@ours.test> ORCPT=rfc822;" + A(494) + "\r\nRCPT TO:<u1@ours.test> ORCPT=rfc822;" + A(493) + "\r\n", "|250 2.1.0|501 5.5.4|250 2.1.5"},
    {"rcpt_8bit", PLAIN, FROM "RCPT TO:<\xc3\xbc@ours.test>\r\n", "|250 2.1.0|553 5.6.7"},
    {"rcpt_utf8", PLAIN, "MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<\xc3\xbc@ours.test> ORCPT=utf-8;\xc3\xbc\r\n", SAID},
    // ---- DATA
    {"data_early", PLAIN, "DATA\r\n", "|503 5.5.1"},
    {"data_no_rcpt", PLAIN, FROM "DATA\r\n", "|250 2.1.0|503 5.5.1"},
    {"data_all_refused", PLAIN, FROM "RCPT TO:<nobody@ours.test>\r\nDATA\r\n", "|250 2.1.0|550 5.1.1|503 5.5.1"},
    {"data_argument", PLAIN, FROM TO "DATA x\r\n", SAID "|501 5.5.4"},
    {"group", PLAIN, FROM TO "RCPT TO:<nobody@ours.test>\r\nRCPT TO:<u2@ours.test>\r\nDATA\r\nhi\r\n.\r\n" FROM TO "DATA\r\nyou\r\n.\r\nQUIT\r\n",
     SAID "|550 5.1.1|250 2.1.5|354|D a@b.test > u1@ours.test u2@ours.test : hi\\r\\n|250 2.0.0" SAID "|354|D a@b.test > u1@ours.test : you\\r\\n|250 2.0.0|221 2.0.0"},
    {"empty_message", PLAIN, FROM TO "DATA\r\n.\r\nNOOP\r\n", SAID "|354|D a@b.test > u1@ours.test : |250 2.0.0|250 2.0.0"},
    {"stuffing", PLAIN, FROM TO "DATA\r\n..\r\n...\r\n.x\r\na.b\r\n..x\r\n.\r\n", SAID "|354|D a@b.test > u1@ours.test : .\\r\\n..\\r\\nx\\r\\na.b\\r\\n.x\\r\\n|250 2.0.0"},
    {"nul_and_8bit", PLAIN, FROM TO "DATA\r\na\0b\xff\r\n.\r\n"s, SAID "|354|D a@b.test > u1@ours.test : a\\0b\xff\\r\\n|250 2.0.0"},
    {"line_64k", PLAIN, FROM TO "DATA\r\n" + A(65536) + "\r\n.\r\nNOOP\r\n", SAID "|354|D a@b.test > u1@ours.test : 65538 octets|250 2.0.0|250 2.0.0"},
    {"line_over_64k", PLAIN, FROM TO "DATA\r\n" + A(65537) + "\r\n.\r\nNOOP\r\n", SAID "|354|554 5.5.2|250 2.0.0"},
    {"line_over_and_bare", PLAIN, FROM TO "DATA\r\n" + A(65537) + "\n" + A(10) + "\r\n.\r\nNOOP\r\n", SAID "|354|550 5.6.11|250 2.0.0"},
    {"size_just", SMALL, FROM TO "DATA\r\n" + A(98) + "\r\n.\r\n", SAID "|354|D a@b.test > u1@ours.test : " "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\r\\n|250 2.0.0"},
    {"size_over", SMALL, FROM TO "DATA\r\n" + A(99) + "\r\n.\r\n" FROM, SAID "|354|552 5.3.4|250 2.1.0"},
    {"size_over_and_bare", SMALL, FROM TO "DATA\r\n" + A(99) + "\r\nx\ny\r\n.\r\n" FROM, SAID "|354|550 5.6.11|250 2.1.0"},
    {"rset_then_data", PLAIN, FROM TO "RSET\r\nDATA\r\n", SAID "|250 2.0.0|503 5.5.1"},
    // ---- BDAT
    {"bdat", PLAIN, FROM TO "BDAT 4 LAST\r\na\rb\nNOOP\r\n", SAID "|D a@b.test > u1@ours.test : a\\rb\\n|250 2.0.0|250 2.0.0"},
    {"bdat_dots", PLAIN, FROM TO "BDAT 7 LAST\r\n\r\n.\r\nx\0"s, SAID "|D a@b.test > u1@ours.test : \\r\\n.\\r\\nx\\0|250 2.0.0"},
    {"bdat_two", PLAIN, FROM TO "BDAT 3\r\nabcBDAT 2 last\r\nde", SAID "|250 2.0.0|D a@b.test > u1@ours.test : abcde|250 2.0.0"},
    {"bdat_last_0", PLAIN, FROM TO "BDAT 3\r\nabcBDAT 0 LAST\r\n", SAID "|250 2.0.0|D a@b.test > u1@ours.test : abc|250 2.0.0"},
    {"bdat_only_last_0", PLAIN, FROM TO "BDAT 0 LAST\r\n", SAID "|D a@b.test > u1@ours.test : |250 2.0.0"},
    {"bdat_0", PLAIN, FROM TO "BDAT 0\r\nBDAT 1 LAST\r\nx", SAID "|250 2.0.0|D a@b.test > u1@ours.test : x|250 2.0.0"},
    {"bdat_then_data", PLAIN, FROM TO "BDAT 1\r\nxDATA\r\n" FROM TO "BDAT 0 LAST\r\n", SAID "|250 2.0.0|503 5.5.1|503 5.5.1|503 5.5.1|D a@b.test > u1@ours.test : x|250 2.0.0"},
    {"bdat_rset", PLAIN, FROM TO "BDAT 1\r\nxRSET\r\n" FROM, SAID "|250 2.0.0|250 2.0.0|250 2.1.0"},
    {"bdat_early", PLAIN, "BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n", "|503 5.5.1|250 2.0.0"},
    {"bdat_first", PLAIN, "!BDAT 6\r\nNOOP\r\n" "EHLO a\r\n", "220|503 5.5.1|250"},
    {"bdat_no_rcpt", PLAIN, FROM "BDAT 6\r\nNOOP\r\n" TO, "|250 2.1.0|503 5.5.1|250 2.1.5"},
    {"bdat_syntax", PLAIN, FROM TO "BDAT\r\nNOOP\r\n", SAID "|501 5.5.4"},
    {"bdat_no_number", PLAIN, FROM TO "BDAT x LAST\r\nNOOP\r\n", SAID "|501 5.5.4"},
    {"bdat_negative", PLAIN, FROM TO "BDAT -1\r\nNOOP\r\n", SAID "|501 5.5.4"},
    {"bdat_word", PLAIN, FROM TO "BDAT 1 FIRST\r\nNOOP\r\n", SAID "|501 5.5.4"},
    {"bdat_overflow", PLAIN, FROM TO "BDAT 18446744073709551616\r\nNOOP\r\n", SAID "|501 5.5.4"},
    {"bdat_huge", PLAIN, FROM TO "BDAT 18446744073709551615 LAST\r\n" + A(5000), SAID},
    {"bdat_size_over", SMALL, FROM TO "BDAT 101 LAST\r\n" + A(101) + "NOOP\r\n", SAID "|552 5.3.4|250 2.0.0"},
    {"bdat_size_over_in_parts", SMALL, FROM TO "BDAT 60\r\n" + A(60) + "BDAT 60\r\n" + A(60) + "BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n", SAID "|250 2.0.0|552 5.3.4|503 5.5.1|250 2.0.0"},
    // ---- STARTTLS
    {"starttls", PLAIN, "STARTTLS\r\n", "|220 2.0.0"},
    {"starttls_injection", PLAIN, "STARTTLS\r\nMAIL FROM:<evil@b.test>\r\nRSET\r\n", "|220 2.0.0"},
    {"starttls_argument", PLAIN, "STARTTLS x\r\n", "|501 5.5.4"},
    {"starttls_in_mail", PLAIN, FROM "STARTTLS\r\n", "|250 2.1.0|503 5.5.1"},
    {"starttls_again", TLS, "STARTTLS\r\n", "|503 5.5.1"},
    // ---- AUTH
    {"auth_clear", PLAIN, "AUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\n", "|538 5.7.11"},
    {"auth_plain", TLS, "AUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\n", "|235 2.7.0"},
    {"auth_plain_lower", TLS, "auth plain AHUxQG91cnMudGVzdABzZWNyZXQ=\r\n", "|235 2.7.0"},
    {"auth_plain_later", TLS, "AUTH PLAIN\r\nAHUxQG91cnMudGVzdABzZWNyZXQ=\r\n", "|334|235 2.7.0"},
    {"auth_login", TLS, "AUTH LOGIN\r\ndTFAb3Vycy50ZXN0\r\nc2VjcmV0\r\n", "|334|334|235 2.7.0"},
    {"auth_login_initial", TLS, "AUTH LOGIN dTFAb3Vycy50ZXN0\r\nc2VjcmV0\r\n", "|334|235 2.7.0"},
    {"auth_cancel", TLS, "AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\n*\r\nAUTH LOGIN\r\ndTE=\r\n*\r\nNOOP\r\n", "|334|501 5.7.0|334|501 5.7.0|334|334|501 5.7.0|250 2.0.0"},
    {"auth_wrong", TLS, "AUTH PLAIN AHUxQG91cnMudGVzdAB3cm9uZw==\r\nNOOP\r\n", "|535 5.7.8|250 2.0.0"},
    {"auth_4_wrong", TLS, "AUTH PLAIN AHUxAHg=\r\nAUTH PLAIN AHUxAHg=\r\nAUTH PLAIN AHUxAHg=\r\nAUTH PLAIN AHUxAHg=\r\nNOOP\r\n",
     "|535 5.7.8|535 5.7.8|535 5.7.8|535 5.7.8|421 4.7.0"},
    {"auth_bad_base64", TLS, "AUTH PLAIN x\r\nAUTH PLAIN ====\r\nAUTH PLAIN AHUx!AHg=\r\nAUTH PLAIN AHUxAHh=\r\nAUTH PLAIN\r\nAHU\r\nNOOP\r\n",
     "|501 5.5.2|501 5.5.2|501 5.5.2|501 5.5.2|334|501 5.5.2|250 2.0.0"},
    {"auth_empty", TLS, "AUTH PLAIN =\r\nAUTH PLAIN\r\n\r\nAUTH LOGIN =\r\nAUTH LOGIN\r\n\r\n", "|501 5.5.2|334|501 5.5.2|501 5.5.2|334|501 5.5.2"},
    {"auth_no_nuls", TLS, "AUTH PLAIN dTFAb3Vycy50ZXN0\r\n", "|501 5.5.2"},
    {"auth_one_nul", TLS, "AUTH PLAIN AHUx\r\n", "|501 5.5.2"},
    {"auth_no_password", TLS, "AUTH PLAIN AHUxAA==\r\n", "|501 5.5.2"},
    {"auth_unknown", TLS, "AUTH FROB\r\nAUTH CRAM-MD5\r\nAUTH ANONYMOUS eA==\r\nAUTH EXTERNAL =\r\n", "|504 5.5.4|504 5.5.4|504 5.5.4|504 5.5.4"},
    {"auth_syntax", TLS, "AUTH\r\nAUTH \r\nAUTH PLAIN \r\n", "|501 5.5.4|501 5.5.4|501 5.5.4"},
    {"auth_again", TLS, "AUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\nAUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\n", "|235 2.7.0|503 5.5.1"},
    {"auth_in_mail", TLS, FROM "AUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\n", "|250 2.1.0|503 5.5.1"},
    {"auth_early", TLS, "!AUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\n", "220|503 5.5.1"},
    {"auth_long", TLS, "AUTH PLAIN " + A(12276) + "\r\nNOOP\r\n", "|500 5.5.2|250 2.0.0"},
    {"auth_longest", TLS, "AUTH PLAIN " + A(12275) + "\r\nNOOP\r\n", "|501 5.5.2|250 2.0.0"},
    {"auth_long_later", TLS, "AUTH PLAIN\r\n" + A(13000) + "\r\nNOOP\r\n", "|334|500 5.5.6|250 2.0.0"},
    {"auth_bare_lf", TLS, "AUTH PLAIN\r\nAHUx\nNOOP\r\n", "|334|500 5.5.2"},
    {"auth_relays", TLS, "AUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\nMAIL FROM:<u1@ours.test>\r\nRCPT TO:<x@y.test>\r\n", "|235 2.7.0" SAID},
    {"auth_sender_not_his", TLS, "AUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\nMAIL FROM:<u2@ours.test>\r\nMAIL FROM:<>\r\n", "|235 2.7.0|553 5.7.1|250 2.1.0"},
    {"submit_without_tls", SUBMIT, FROM, "|530 5.7.0"},
    {"submit_auth_needs_tls", SUBMIT, "AUTH LOGIN\r\n", "|538 5.7.11"},
    // ---- LMTP
    {"lmtp_ehlo", LMTP, "!EHLO a\r\nHELO a\r\nLHLO a\r\n", "220|500 5.5.1|500 5.5.1|250"},
    {"lmtp_each", LMTP, "!LHLO a\r\n" FROM TO "RCPT TO:<u2@ours.test>\r\nRCPT TO:<nobody@ours.test>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n",
     "220|250" SAID "|250 2.1.5|550 5.1.1|354|D a@b.test > u1@ours.test u2@ours.test : x\\r\\n|250 2.0.0|452 4.2.2|250 2.0.0"},
    {"lmtp_fault", LMTP, "!LHLO a\r\n" FROM TO "RCPT TO:<u2@ours.test>\r\nDATA\r\nx\ny\r\n.\r\nNOOP\r\n", "220|250" SAID "|250 2.1.5|354|550 5.6.11|550 5.6.11|250 2.0.0"},
    {"lmtp_bdat", LMTP, "!LHLO a\r\n" FROM TO "BDAT 1\r\nxBDAT 0 LAST\r\n", "220|250" SAID "|250 2.0.0|D a@b.test > u1@ours.test : x|250 2.0.0"},
    {"lmtp_relay", LMTP, "!LHLO a\r\n" FROM "RCPT TO:<x@y.test>\r\n", "220|250|250 2.1.0|550 5.7.1"},
};

void Prepare(SmtpTalk *talk, How how)
{
    talk->tls_active = how == TLS;
    if (how == SUBMIT) {
        talk->options.service = SMTP_SUBMISSION;
        talk->options.auth_required = talk->options.tls_required = true;
    }
    if (how == LMTP) {
        talk->options.service = SMTP_LMTP;
        talk->lmtp_each = true;
    }
    if (how == SMALL) talk->options.size_max_bytes = 100;
}

class SmtpDialogue : public testing::TestWithParam<Case> {};

// Every dialogue, whole and in small pieces.
TEST_P(SmtpDialogue, AnswersAsWritten)
{
    const Case &c = GetParam();
    bool is_raw = c.in[0] == '!';
    std::string in = is_raw ? c.in.substr(1) : "EHLO a\r\n" + c.in;
    std::string expected = is_raw ? c.out : std::string("220|250") + c.out;
    std::string whole;
    for (size_t piece : {size_t(1) << 20, size_t(1), size_t(2), size_t(3), size_t(7), size_t(1000)}) {
        SmtpTalk talk;
        Prepare(&talk, c.how);
        std::string log = talk.Run(in, piece);
        if (whole.empty()) whole = log;
        EXPECT_EQ(expected, SmtpTalk::Codes(log)) << "pieces of " << piece;
        EXPECT_EQ(whole, log) << "pieces of " << piece;
    }
}

INSTANTIATE_TEST_SUITE_P(, SmtpDialogue, testing::ValuesIn(cases), [](const auto &info) { return std::string(info.param.name); });

// What might be taken for an end of data, all ways round: only CRLF "." CRLF is one.
TEST(SmtpSmuggling, OnlyOneThingEndsAMessage)
{
    const std::string ends[] = {"\r\n", "\n", "\r", "\n\r", "\r\r\n", "\r\n\n", "\n\n", "\r\r", "\r\n\r", "\0\r\n"s, " \r\n", "\r \n", "\r\0\n"s};
    size_t dialogues = 0;
    for (const auto &before : ends) {
        for (const auto &after : ends) {
            for (const char *dot : {".", "..", " .", ". ", ""}) {
                std::string text = "x" + before + dot + after + "MAIL FROM:<evil@b.test>\r\nRCPT TO:<u1@ours.test>\r\nDATA\r\ny";
                std::string in = "EHLO a\r\n" FROM TO "DATA\r\n" + text + "\r\n.\r\nQUIT\r\n";
                size_t end = text.find("\r\n.\r\n");
                std::string whole;
                for (size_t piece : {size_t(1) << 20, size_t(1), size_t(2), size_t(5)}) {
                    SmtpTalk talk;
                    std::string log = talk.Run(in, piece), codes = SmtpTalk::Codes(log);
                    if (whole.empty()) whole = log;
                    EXPECT_EQ(whole, log);
                    bool second = log.find("D evil@b.test") != std::string::npos;
                    EXPECT_EQ(end != std::string::npos && after == "\r\n", second) << codes;
                    if (end == std::string::npos) {
                        EXPECT_EQ(1u, talk.bare_messages + (log.find("D a@b.test") != std::string::npos)) << codes;
                    }
                    dialogues++;
                }
            }
        }
    }
    EXPECT_GT(dialogues, 3000u);
}

TEST(SmtpSession, ShowsWhatItOffers)
{
    SmtpTalk talk;
    std::string clear = talk.Run("EHLO a\r\n", 100);
    for (const char *word : {"PIPELINING", "SIZE 1048576", "8BITMIME", "CHUNKING", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "STARTTLS"})
        EXPECT_NE(std::string::npos, clear.find("250-"s + word + "\r\n")) << word;
    EXPECT_EQ(std::string::npos, clear.find("AUTH"));
    talk.tls_active = true;
    std::string tls = talk.Run("EHLO a\r\n", 100);
    EXPECT_EQ(std::string::npos, tls.find("STARTTLS"));
    EXPECT_NE(std::string::npos, tls.find("250-AUTH PLAIN LOGIN\r\n"));
    talk.tls_active = false;
    talk.options.auth_without_tls = true;
    EXPECT_NE(std::string::npos, talk.Run("EHLO a\r\n", 100).find("250-AUTH"));
    EXPECT_EQ("220 mx.ours.test ESMTP Godwit\r\n", talk.Run("", 1));
}

TEST(SmtpSession, StartTlsForgetsEverything)
{
    SmtpTalk talk;
    talk.tls_keeps_rest = true;
    // What came behind STARTTLS in one piece with it is dropped; what comes later is under TLS.
    std::string in = "EHLO a\r\nSTARTTLS\r\nRSET\r\nVRFY x\r\n";
    size_t first = in.size();
    std::string log = talk.Run(in + "MAIL FROM:<a@b.test>\r\nSTARTTLS\r\nEHLO b\r\n", first);
    EXPECT_EQ("220|250|220 2.0.0|503 5.5.1|503 5.5.1|250", SmtpTalk::Codes(log));
}

TEST(SmtpSession, TenThousandRecipientsStayBounded)
{
    std::string in = "EHLO a\r\n" FROM;
    for (int i = 0; i < 10000; i++) in += "RCPT TO:<user" + std::to_string(i) + "@ours.test>\r\n";
    in += "DATA\r\nx\r\n.\r\nQUIT\r\n";
    auto count = [](const std::string &log, const char *what) {
        size_t n = 0;
        for (size_t at = 0; (at = log.find(what, at)) != std::string::npos; at++) n++;
        return n;
    };
    for (uint32_t max : {0u, 1u, 1000u, 10000u, 99999u}) {
        for (How how : {PLAIN, LMTP}) {
            SmtpTalk talk;
            Prepare(&talk, how);
            talk.options.recipients_max = max;
            talk.out_bytes = SMTP_OUT_MIN_BYTES + 10;
            std::string text = in;
            if (how == LMTP) text = "LHLO a\r\n" + in.substr(8);
            std::string log = talk.Run(text, 16384);
            size_t accepted = std::min<size_t>(max, 10000);
            EXPECT_EQ(accepted, count(log, "250 2.1.5"));
            EXPECT_EQ(10000 - accepted, count(log, "452 4.5.3"));
            EXPECT_EQ(max == 0 ? 0u : 1u, count(log, "D a@b.test"));
            EXPECT_LE(talk.memory_max, static_cast<size_t>(SMTP_TRANSACTION_MAX_BYTES));
            if (how == LMTP && max > 1) { EXPECT_EQ(1u, count(log, "452 4.2.2")); }
        }
    }
    // With the longest there are, memory ends first.
    std::string big = "EHLO a\r\n" FROM;
    for (int i = 0; i < 3000; i++) big += "RCPT TO:<" + A(255) + "@ours.test> ORCPT=rfc822;" + A(490) + "\r\n";
    SmtpTalk talk;
    talk.options.recipients_max = 10000;
    EXPECT_GT(count(talk.Run(big, 16384), "452 4.5.3"), 0u);
    EXPECT_LE(talk.memory_max, static_cast<size_t>(SMTP_TRANSACTION_MAX_BYTES));
}

TEST(SmtpSession, BudgetUsedUpIsTemporary)
{
    for (uint64_t memory_max : {uint64_t(0), uint64_t(5000), uint64_t(100000)}) {
        for (size_t piece : {size_t(1), size_t(100000)}) {
            SmtpTalk talk;
            talk.budget.memory_bytes_max = memory_max;
            talk.budget.file_bytes_max = 0;
            std::string text;
            for (int i = 0; i < 4000; i++) text += A(70) + "\r\n";
            std::string codes = SmtpTalk::Codes(talk.Run("EHLO a\r\n" FROM TO "DATA\r\n" + text + ".\r\n" FROM TO "BDAT 300000\r\n" + A(300000) + "NOOP\r\n", piece));
            EXPECT_EQ("220|250" SAID "|354|452 4.3.1" SAID "|452 4.3.1|250 2.0.0", codes);
        }
    }
}

TEST(SmtpSession, DeliveryErrorsHaveTheirReplies)
{
    const struct { err_code code; const char *reply; } table[] = {
        {ERR_OK, "250 2.0.0"}, {ERR_INFECTED, "554 5.7.0"}, {ERR_QUOTA, "452 4.2.2"}, {ERR_FULL, "452 4.3.1"}, {ERR_BUSY, "452 4.3.1"},
        {ERR_TIMEOUT, "451 4.3.0"}, {ERR_UNREACHABLE, "451 4.3.0"}, {ERR_TOO_BIG, "552 5.3.4"}, {ERR_DENIED, "554 5.7.1"}, {ERR_SYNTAX, "554 5.6.0"},
        {ERR_CORRUPT, "451 4.3.0"},
    };
    for (const auto &row : table) {
        SmtpTalk talk;
        talk.delivery = err_make(row.code, "test");
        std::string codes = SmtpTalk::Codes(talk.Run("EHLO a\r\n" FROM TO "DATA\r\n.\r\nNOOP\r\n", 1000));
        EXPECT_EQ("220|250" SAID "|354|D a@b.test > u1@ours.test : |"s + row.reply + "|250 2.0.0", codes);
    }
}

TEST(SmtpSession, TooManyErrorsClose)
{
    SmtpTalk talk;
    talk.options.errors_max = 3;
    EXPECT_EQ("220|500 5.5.1|250|500 5.5.2|503 5.5.1|421 4.7.0", SmtpTalk::Codes(talk.Run("FROB\r\nEHLO a\r\n1\r\nDATA\r\nNOOP\r\n", 1)));
    EXPECT_TRUE(talk.closed);
    // Also when the last of them is the answer to a wish, wherever the bytes end.
    for (size_t piece : {1, 5, 1000}) {
        SmtpTalk login;
        login.options.errors_max = 2, login.options.auth_failures_max = 9, login.tls_active = true;
        EXPECT_EQ("220|250|500 5.5.1|535 5.7.8|421 4.7.0", SmtpTalk::Codes(login.Run("EHLO a\r\nFROB\r\nAUTH PLAIN AHUxAHg=\r\nNOOP\r\nRSET\r\n", piece)));
    }
    // Recipients that are refused are counted by the shell, who knows the other sessions.
    std::string in = "EHLO a\r\n" FROM;
    for (int i = 0; i < 10; i++) in += "RCPT TO:<nobody@ours.test>\r\n";
    talk.Run(in, 100);
    EXPECT_FALSE(talk.closed);
}

TEST(SmtpSession, LoginThatCannotBeChecked)
{
    SmtpTalk talk;
    talk.tls_active = true;
    talk.login = err_make(ERR_UNREACHABLE, "test");
    EXPECT_EQ("220|250|454 4.7.0|250 2.0.0", SmtpTalk::Codes(talk.Run("EHLO a\r\nAUTH PLAIN AHUxQG91cnMudGVzdABzZWNyZXQ=\r\nNOOP\r\n", 9)));
}

TEST(SmtpSession, EndsFromOutside)
{
    const struct { const char *in; smtp_end why; const char *said; } table[] = {
        {"", SMTP_END_TIMEOUT, "421 4.4.2"}, {"", SMTP_END_NOT_READY, "421 4.3.2"}, {"EHLO a\r\n", SMTP_END_SHUTDOWN, "421 4.3.2"}, {"EHLO a\r\n" FROM, SMTP_END_SHUTDOWN, "421 4.3.2"},
    };
    for (const auto &row : table) {
        SmtpTalk talk;
        char bytes[4096];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        smtp_session session;
        smtp_session_init(&session, &talk.options, false, &out);
        smtp_session_feed(&session, span_of(row.in, strlen(row.in)));
        out.len = 0;
        smtp_session_end(&session, row.why);
        EXPECT_EQ(SMTP_WISH_CLOSE, session.wish);
        EXPECT_EQ(row.said, SmtpTalk::Codes(std::string(bytes, out.len)));
        EXPECT_EQ(4u, smtp_session_feed(&session, SPAN("NOOP")));
        smtp_session_free(&session);
    }
}

TEST(SmtpSession, TraceWords)
{
    SmtpTalk talk;
    smtp_session session;
    struct buf out;
    char bytes[8192];
    buf_init(&out, bytes, sizeof bytes);
    const struct { smtp_service service; bool esmtp, tls, auth, utf8; const char *word; } table[] = {
        {SMTP_MX, false, false, false, false, "SMTP"}, {SMTP_MX, true, false, false, false, "ESMTP"}, {SMTP_MX, true, true, false, false, "ESMTPS"},
        {SMTP_SUBMISSION, true, true, true, false, "ESMTPSA"}, {SMTP_SUBMISSION, true, true, true, true, "UTF8SMTPSA"}, {SMTP_LMTP, true, false, false, false, "LMTP"},
    };
    for (const auto &row : table) {
        talk.options.service = row.service;
        smtp_session_init(&session, &talk.options, row.tls, &out);
        session.is_esmtp = row.esmtp, session.is_authenticated = row.auth, session.envelope.smtputf8 = row.utf8;
        struct span word = smtp_session_with(&session);
        EXPECT_EQ(row.word, std::string(word.ptr, word.len));
        smtp_session_free(&session);
    }
}

TEST(SmtpSession, TextsFromOthersCannotEndALine)
{
    SmtpTalk talk;
    smtp_session session;
    struct buf out;
    char bytes[4096];
    buf_init(&out, bytes, sizeof bytes);
    smtp_session_init(&session, &talk.options, false, &out);
    (void)smtp_session_feed(&session, SPAN("EHLO a\r\nMAIL FROM:<>\r\n"));
    out.len = 0;
    std::string text = "Evil\r\n250 2.0.0 ok\0\xc3" + A(1000);
    policy_verdict verdict{554, 7, 1, span_of(text.data(), text.size())};
    smtp_session_answer_sender(&session, &verdict);
    std::string said(bytes, out.len);
    EXPECT_EQ(said.size() - 2, said.find("\r\n"));
    EXPECT_LT(said.size(), 500u);
    smtp_session_free(&session);
}

}  // namespace

// IMAP extensions that a table of dialogues can't show: several sessions, large answers, encodings,
// trimmed tombstones, failures in the middle.
#include <gtest/gtest.h>

#include "imap_fake.h"

using namespace imap_fake;

namespace {

const Cut kCuts[] = {Cut(), {1, IMAP_OUT_ROOM, 1}, {7, IMAP_OUT_ROOM + 100, 5}};

bool Has(const std::string &text, const std::string &what) { return text.find(what) != std::string::npos; }

std::string In(Client *client, const std::string &more = "s SELECT INBOX\r\n")
{
    client->Take();
    client->Say("l LOGIN alice secret\r\n");
    return client->Say(more);
}

void Fill(Store *store, unsigned count)
{
    for (unsigned i = 0; i < count; i++) store->Add("INBOX", "Subject: " + std::to_string(i) + "\r\n\r\nbody\r\n", 0, 1000000000000 + i * 1000);
}

TEST(ImapQuota, LimitsAndUsage)
{
    const struct { uint64_t bytes, items; const char *list; } cases[] = {
        {0, 0, "()"}, {1 << 20, 0, "(STORAGE 1 1024)"}, {0, 100, "(MESSAGE 3 100)"}, {1, 1, "(STORAGE 1 1 MESSAGE 3 1)"},
        {1025, 5, "(STORAGE 1 2 MESSAGE 3 5)"}, {UINT64_MAX, UINT64_MAX, "(STORAGE 1 18014398509481984 MESSAGE 3 18446744073709551615)"},
    };
    for (const auto &c : cases) {
        Store store;
        Fill(&store, 3);
        store.quota_bytes = c.bytes;
        store.quota_items = c.items;
        Client client(&store);
        In(&client, "");
        EXPECT_EQ("* QUOTAROOT \"INBOX\" \"\"\r\n* QUOTA \"\" " + std::string(c.list) + "\r\na OK GETQUOTAROOT completed\r\n", client.Say("a GETQUOTAROOT inbox\r\n"));
        EXPECT_EQ("* QUOTA \"\" " + std::string(c.list) + "\r\nb OK GETQUOTA completed\r\n", client.Say("b GETQUOTA {0+}\r\n\r\n"));
    }
}

TEST(ImapErrors, OfExtensionsHaveTheirCodes)
{
    const struct { enum err_code code; const char *command, *answer; } cases[] = {
        {ERR_UNREACHABLE, "GETQUOTAROOT INBOX", "a NO [UNAVAILABLE]"}, {ERR_BUSY, "GETQUOTA \"\"", "a NO [UNAVAILABLE]"},
        {ERR_TOO_BIG, "SORT (SIZE) UTF-8 ALL", "a NO [LIMIT]"}, {ERR_TIMEOUT, "UID THREAD REFERENCES UTF-8 ALL", "a NO [UNAVAILABLE]"},
        {ERR_CORRUPT, "SORT (SUBJECT) UTF-8 ALL", "a NO [SERVERBUG]"},
        {ERR_QUOTA, "APPEND INBOX {1+}\r\na {1+}\r\nb", "a NO [OVERQUOTA]"}, {ERR_TOO_BIG, "APPEND INBOX {1+}\r\na {1+}\r\nb", "a NO [LIMIT]"},
        {ERR_NOT_FOUND, "APPEND INBOX {1+}\r\na {1+}\r\nb", "a NO [TRYCREATE]"}, {ERR_BUSY, "SEARCH RETURN (SAVE) ALL", "a NO [UNAVAILABLE]"},
        {ERR_UNREACHABLE, "UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)", "* VANISHED (EARLIER) 2\r\n"},
    };
    for (const auto &c : cases) {
        Store store;
        Fill(&store, 3);
        store.Expunge("INBOX", 2);
        Client client(&store);
        In(&client);
        client.Say("e ENABLE QRESYNC\r\nf FETCH 1 UID\r\n");
        store.fail_next = c.code;
        auto answer = client.Say(std::string("a ") + c.command + "\r\n");
        EXPECT_TRUE(Has(answer, c.answer)) << c.command << ": " << answer;
        EXPECT_TRUE(Has(client.Say("b NOOP\r\n"), "b OK NOOP")) << c.command;
    }
}

// ---- QRESYNC

TEST(ImapQresync, NewsOfOthersAreVanished)
{
    for (const Cut &cut : kCuts) {
        Store store;
        Fill(&store, 6);
        Client client(&store, cut);
        In(&client, "e ENABLE QRESYNC\r\ns SELECT INBOX\r\n");
        for (uint32_t uid : {2u, 3u, 6u}) store.Expunge("INBOX", uid);
        store.Add("INBOX", "Subject: x\r\n\r\n");
        auto news = client.Say("a NOOP\r\n");
        EXPECT_TRUE(Has(news, "* VANISHED 2:3,6\r\n* 4 EXISTS\r\n")) << news;
        EXPECT_FALSE(Has(news, "EXPUNGE\r\n")) << news;
        EXPECT_EQ("* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 4)\r\n* 3 FETCH (UID 5)\r\n* 4 FETCH (UID 7)\r\nb OK FETCH completed\r\n", client.Say("b FETCH 1:* UID\r\n"));
    }
}

TEST(ImapQresync, NotDuringFetchAndNothingIsClaimedMeanwhile)
{
    Store store;
    Fill(&store, 3);
    Client client(&store);
    In(&client, "e ENABLE QRESYNC\r\ns SELECT INBOX\r\n");
    auto before = store.mailboxes.at("INBOX").modseq;
    client.Say("a FETCH 1:* UID\r\n");
    store.Expunge("INBOX", 1);
    auto answer = client.Say("b STORE 2 +FLAGS (\\Flagged)\r\n");
    EXPECT_FALSE(Has(answer, "VANISHED")) << answer;
    EXPECT_TRUE(Has(answer, "* OK [HIGHESTMODSEQ " + std::to_string(before) + "]")) << answer;
    answer = client.Say("c NOOP\r\n");
    EXPECT_TRUE(Has(answer, "* VANISHED 1\r\n")) << answer;
    EXPECT_TRUE(Has(answer, "* OK [HIGHESTMODSEQ " + std::to_string(store.mailboxes.at("INBOX").modseq) + "]")) << answer;
    EXPECT_EQ("d OK NOOP completed\r\n", client.Say("d NOOP\r\n"));
}

TEST(ImapQresync, IdleTellsVanished)
{
    Store store;
    Fill(&store, 3);
    Client client(&store);
    In(&client, "e ENABLE QRESYNC\r\ns SELECT INBOX\r\na IDLE\r\n");
    store.Expunge("INBOX", 2);
    EXPECT_EQ("* VANISHED 2\r\n* 2 RECENT\r\n", client.News());
    EXPECT_EQ("a OK IDLE completed\r\n", client.Say("DONE\r\n"));
}

// With sequence numbers among the keys UID SEARCH must not tell of messages that are gone.
TEST(ImapQresync, UidSearchWithNumbersTellsNothing)
{
    Store store;
    Fill(&store, 4);
    Client client(&store);
    In(&client, "e ENABLE QRESYNC\r\ns SELECT INBOX\r\nf FETCH 1 UID\r\n");
    store.Expunge("INBOX", 2);
    EXPECT_FALSE(Has(client.Say("a UID SEARCH 1:4\r\n"), "VANISHED"));
    EXPECT_FALSE(Has(client.Say("b UID SORT (SIZE) UTF-8 3\r\n"), "VANISHED"));
    EXPECT_TRUE(Has(client.Say("c UID SEARCH ALL\r\n"), "* VANISHED 2\r\n"));
}

// The store has forgotten when messages went: all that are not there are told, but for those that
// the client proves to know of.
TEST(ImapQresync, TrimmedTombstones)
{
    for (const Cut &cut : kCuts) {
        Store store;
        Fill(&store, 60);
        for (uint32_t uid = 1; uid <= 57; uid++) {
            if (uid % 3 != 0) store.Expunge("INBOX", uid);
        }
        auto since = store.mailboxes.at("INBOX").modseq - 1;
        store.SetFlags("INBOX", 60, MAIL_FLAG_SEEN);
        store.trimmed = true;
        auto validity = std::to_string(store.mailboxes.at("INBOX").uidvalidity);
        auto select = "s SELECT INBOX (QRESYNC (" + validity + " " + std::to_string(since);
        Client client(&store, cut);
        auto all = In(&client, "e ENABLE QRESYNC\r\n" + select + "))\r\n");
        EXPECT_TRUE(Has(all, "* VANISHED (EARLIER) 1:2,4:5,7:8,10:11,13:14,16:17,19:20,22:23,25:26,28:29,31:32,34:35,37:38,40:41,43:44,46:47,49:50,52:53,55:56\r\n")) << all;
        EXPECT_TRUE(Has(all, "* 22 FETCH (UID 60 FLAGS (\\Seen \\Recent)")) << all;
        auto some = client.Say(select + " 1:60 (5,10,15 15,30,45)))\r\n");
        EXPECT_TRUE(Has(some, "* VANISHED (EARLIER) 46:47,49:50,52:53,55:56\r\n")) << some;
        auto wrong = client.Say(select + " 1:60 (5,10,16 15,30,45)))\r\n");
        EXPECT_TRUE(Has(wrong, "* VANISHED (EARLIER) 31:32,34:35")) << wrong;
        auto part = client.Say(select + " 20:24))\r\n");
        EXPECT_TRUE(Has(part, "* VANISHED (EARLIER) 20,22:23\r\n")) << part;
        auto none = client.Say(select + " 58:60 (22 60)))\r\n");
        EXPECT_FALSE(Has(none, "VANISHED")) << none;
        EXPECT_TRUE(Has(none, "s OK [READ-WRITE]")) << none;
    }
}

TEST(ImapQresync, FailureLeavesNothingSelected)
{
    for (unsigned method : {STORE_METHOD_UIDS, STORE_METHOD_FETCH}) {
        Store store;
        Fill(&store, 3);
        Client client(&store);
        In(&client, "e ENABLE QRESYNC\r\n");
        store.fail_next = ERR_UNREACHABLE;
        store.fail_method = method;
        EXPECT_TRUE(Has(client.Say("s SELECT INBOX (QRESYNC (1001 1))\r\n"), "s NO [UNAVAILABLE]")) << method;
        EXPECT_TRUE(Has(client.Say("a FETCH 1 UID\r\n"), "a BAD")) << method;
        EXPECT_TRUE(Has(client.Say("t SELECT INBOX (QRESYNC (1001 1))\r\n"), "t OK")) << method;
    }
}

// ---- MULTIAPPEND

TEST(ImapMultiAppend, InfectedMessageStoresNone)
{
    for (const Cut &cut : kCuts) {
        Store store;
        Client client(&store, cut);
        In(&client, "");
        client.fail_prepare = ERR_INFECTED;
        EXPECT_EQ("a NO [CANNOT] APPEND: a virus was found: scan\r\n", client.Say("a APPEND INBOX {1+}\r\na {1+}\r\nb {1+}\r\nc\r\n"));
        EXPECT_EQ("+ ready for the message\r\nb NO [CANNOT] APPEND: a virus was found: scan\r\n", client.Say("b APPEND INBOX {1}\r\na {1}\r\n"));
        EXPECT_EQ(0, store.calls[STORE_METHOD_APPEND_MANY]);
        client.fail_prepare = ERR_OK;
        EXPECT_TRUE(Has(client.Say("c APPEND INBOX {1+}\r\na {1+}\r\nb {1+}\r\nc\r\n"), "c OK [APPENDUID 1001 1:3]"));
        EXPECT_EQ(1, store.calls[STORE_METHOD_APPEND_MANY]);
    }
}

TEST(ImapMultiAppend, ThousandAndNoMore)
{
    Store store;
    Client client(&store);
    In(&client, "");
    std::string command = "a APPEND INBOX";
    for (int i = 0; i < 1000; i++) command += " {1+}\r\nx";
    EXPECT_EQ("a OK [APPENDUID 1001 1:1000] APPEND completed\r\n", client.Say(command + "\r\n"));
    EXPECT_TRUE(Has(client.Say(command + " {1+}\r\ny\r\n"), "a NO [LIMIT]"));
    EXPECT_EQ(1000u, store.mailboxes.at("INBOX").messages.size());
}

// ---- SORT and THREAD

TEST(ImapSort, CriteriaAndOrderOfMany)
{
    std::string want;
    for (const Cut &cut : {Cut(), Cut{SIZE_MAX, IMAP_OUT_ROOM, 1001}, Cut{SIZE_MAX, IMAP_OUT_ROOM + 3, 7}}) {
        Store store;
        Fill(&store, 5000);
        for (uint32_t uid = 2; uid < 5000; uid += 2) store.Expunge("INBOX", uid);
        Client client(&store, cut);
        In(&client);
        store.Add("INBOX", "Subject: not told yet\r\n\r\n", 0, 1);
        auto got = client.Say("a SORT (REVERSE ARRIVAL) UTF-8 ALL\r\nb UID SORT (REVERSE ARRIVAL) UTF-8 ALL\r\n");
        if (want.empty()) {
            want = "* SORT";
            for (int i = 2501; i > 0; i--) want += " " + std::to_string(i);
            want += "\r\na OK SORT completed\r\n* SORT 5000";
            for (int i = 4999; i > 0; i -= 2) want += " " + std::to_string(i);
            want += "\r\n";
            want += "* 2502 EXISTS\r\n* 2502 RECENT\r\nb OK UID SORT completed\r\n";
        }
        EXPECT_TRUE(want == got) << got.substr(got.size() - 200);
        client.Say("c SORT (REVERSE SUBJECT DATE) UTF-8 ALL\r\n");
        ASSERT_EQ(2u, store.criteria.size());
        EXPECT_EQ(unsigned(STORE_SORT_SUBJECT), store.criteria[0].key);
        EXPECT_TRUE(store.criteria[0].reverse);
        EXPECT_EQ(unsigned(STORE_SORT_DATE), store.criteria[1].key);
        EXPECT_FALSE(store.criteria[1].reverse);
    }
}

TEST(ImapThread, NestingAsInTheRfc)
{
    const uint32_t open = 0, close = UINT32_MAX;
    const struct { std::vector<uint32_t> tokens; const char *numbers, *uids; } cases[] = {
        {{open, 2, close, open, 3, 6, open, 4, 8, close, open, 7, 5, 9, close, close}, " (2)(3 6 (4 8)(7 5 9))", " (2)(3 6 (4 8)(7 5 9))"},
        {{open, open, 3, close, open, 5, close, close}, " ((3)(5))", " ((3)(5))"},
        {{open, 1, open, 2, open, 3, close, open, 4, close, close, open, 5, close, close}, " (1 (2 (3)(4))(5))", " (1 (2 (3)(4))(5))"},
    };
    for (const auto &c : cases) {
        for (const Cut &cut : kCuts) {
            Store store;
            Fill(&store, 9);
            store.threads = c.tokens;
            Client client(&store, cut);
            In(&client);
            EXPECT_EQ("* THREAD" + std::string(c.numbers) + "\r\na OK THREAD completed\r\n", client.Say("a THREAD REFERENCES UTF-8 ALL\r\n"));
            EXPECT_EQ(unsigned(STORE_THREAD_REFERENCES), store.algorithm);
            EXPECT_EQ("* THREAD" + std::string(c.uids) + "\r\nb OK UID THREAD completed\r\n", client.Say("b UID THREAD ORDEREDSUBJECT UTF-8 ALL\r\n"));
            EXPECT_EQ(unsigned(STORE_THREAD_ORDEREDSUBJECT), store.algorithm);
        }
    }
}

// ---- SEARCHRES

TEST(ImapSearchRes, TooManyRangesAreNotSaved)
{
    Store store;
    for (uint32_t i = 1; i <= 2 * 65536 + 3; i++) {
        Message message;
        message.uid = i;
        message.flags = i % 2 == 0 ? MAIL_FLAG_SEEN : 0;
        message.modseq = 12;
        store.mailboxes.at("INBOX").messages[i] = message;
    }
    store.mailboxes.at("INBOX").uidnext = 2 * 65536 + 4;
    Client client(&store);
    In(&client);
    EXPECT_EQ("a NO [NOTSAVED] the result is too long to be saved\r\n", client.Say("a SEARCH RETURN (SAVE) UNSEEN\r\n"));
    EXPECT_EQ("b OK FETCH completed\r\n", client.Say("b FETCH $ UID\r\n"));
    EXPECT_EQ("* ESEARCH (TAG \"c\") COUNT 131075\r\nc OK SEARCH completed\r\n", client.Say("c SEARCH RETURN (SAVE COUNT) ALL\r\n"));
    EXPECT_EQ("* ESEARCH (TAG \"d\") COUNT 65538\r\nd OK SEARCH completed\r\n", client.Say("d SEARCH RETURN (COUNT) $ UNSEEN\r\n"));
}

TEST(ImapSearchRes, FailedSearchEmptiesWhatWasSaved)
{
    Store store;
    Fill(&store, 3);
    Client client(&store);
    In(&client);
    client.Say("a SEARCH RETURN (SAVE) ALL\r\n");
    store.fail_next = ERR_BUSY;
    EXPECT_TRUE(Has(client.Say("b SEARCH RETURN (SAVE) ALL\r\n"), "b NO"));
    EXPECT_EQ("c OK FETCH completed\r\n", client.Say("c FETCH $ UID\r\n"));
    client.Say("d SEARCH RETURN (SAVE) 2\r\n");
    store.fail_next = ERR_BUSY;
    EXPECT_TRUE(Has(client.Say("e SEARCH ALL\r\n"), "e NO"));
    EXPECT_EQ("* 2 FETCH (UID 2)\r\nf OK FETCH completed\r\n", client.Say("f FETCH $ UID\r\n"));
}

// ---- BINARY

std::string Encoded(const std::string &encoding, const std::string &body)
{
    return "From: a@example.org\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + body;
}

TEST(ImapBinary, Encodings)
{
    const std::string nul("a\0b", 3);
    const struct { std::string encoding, body, size, value, part; } cases[] = {
        {"base64", "SGVsbG8sIHdvcmxkIQ==\r\n", "13", "{13}\r\nHello, world!", "{4}\r\nllo,"},
        {"base64", "SGVs\r\nbG8=\r\n", "5", "{5}\r\nHello", "{3}\r\nllo"},
        {"base64", "YQBi", "3", "~{3}\r\n" + nul, "{1}\r\nb"},
        {"base64", "", "0", "{0}\r\n", "{0}\r\n"},
        {"base64", "!!!", "0", "{0}\r\n", "{0}\r\n"},
        {"quoted-printable", "a=3Db=\r\nc=C3=BC\r\n", "8", "{8}\r\na=bc\xc3\xbc\r\n", "{4}\r\nbc\xc3\xbc"},
        {"quoted-printable", "=00=\r\n", "1", "~{1}\r\n" + std::string(1, '\0'), "{0}\r\n"},
        {"7bit", "plain", "5", "{5}\r\nplain", "{3}\r\nain"},
    };
    for (const auto &c : cases) {
        for (const Cut &cut : kCuts) {
            Store store;
            store.Add("INBOX", Encoded(c.encoding, c.body), MAIL_FLAG_SEEN);
            Client client(&store, cut);
            In(&client);
            EXPECT_EQ("* 1 FETCH (BINARY.SIZE[1] " + c.size + " BINARY[1] " + c.value + " BINARY[1]<2> " + c.part + " UID 1)\r\na OK FETCH completed\r\n",
                      client.Say("a FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1] BINARY.PEEK[1]<2.4> UID)\r\n"));
        }
    }
}

TEST(ImapBinary, UnknownEncodingIsSaidAndOthersAreTold)
{
    Store store;
    store.Add("INBOX", Encoded("x-own", "abc"));
    store.Add("INBOX", Encoded("base64", "YWJj"));
    Client client(&store);
    In(&client);
    EXPECT_EQ("* 2 FETCH (BINARY[1] {3}\r\nabc)\r\na NO [UNKNOWN-CTE] a part is in an encoding not known here\r\n", client.Say("a FETCH 1:2 BINARY.PEEK[1]\r\n"));
    EXPECT_EQ("b NO [UNKNOWN-CTE] a part is in an encoding not known here\r\n", client.Say("b FETCH 1 BINARY.SIZE[1]\r\n"));
    EXPECT_TRUE(Has(client.Say("c FETCH 1 BINARY.PEEK[]\r\n"), "c OK FETCH"));
}

TEST(ImapBinary, LargePartsInSmallPieces)
{
    std::string encoded, plain, want;
    for (int i = 0; i < 60000; i++) {
        encoded += "YWJj";
        plain += "abc";
        if (i % 19 == 18) encoded += "\r\n";
    }
    for (const Cut &cut : {Cut(), Cut{SIZE_MAX, IMAP_OUT_ROOM, 1000}, Cut{SIZE_MAX, 20000, 7}}) {
        Store store;
        store.Add("INBOX", Encoded("base64", encoded));
        store.Add("INBOX", Encoded("base64", "eHl6"));
        Client client(&store, cut);
        In(&client);
        auto got = client.Say("a FETCH 1:2 (BINARY.PEEK[1] FLAGS BINARY.PEEK[1]<100000.30000>)\r\n");
        EXPECT_TRUE(Has(got, "* 1 FETCH (BINARY[1] {180000}\r\n" + plain + " FLAGS (\\Recent) BINARY[1]<100000> {30000}\r\n" + plain.substr(100000, 30000) + ")\r\n* 2 FETCH (BINARY[1] {3}\r\nxyz FLAGS")) << cut.out;
        if (want.empty()) want = got;
        EXPECT_TRUE(want == got) << cut.out;
    }
}

// ---- COMPRESS

TEST(ImapCompress, Once)
{
    Store store;
    Client client(&store);
    In(&client, "");
    EXPECT_EQ("a BAD COMPRESS: the mechanism is DEFLATE (at octet 12)\r\n", client.Say("a COMPRESS GZIP\r\n"));
    EXPECT_EQ(0u, client.compressed);
    EXPECT_EQ("c OK DEFLATE active\r\n", client.Say("c COMPRESS DEFLATE\r\n"));
    EXPECT_EQ(1u, client.compressed);
    EXPECT_EQ("d BAD COMPRESS: compression is active already (at octet 19)\r\n", client.Say("d COMPRESS DEFLATE\r\n"));
    EXPECT_FALSE(Has(client.Say("e CAPABILITY\r\n"), "COMPRESS"));
}

TEST(ImapObjectId, MessageAndThread)
{
    Store store;
    Fill(&store, 1);
    Client client(&store);
    In(&client);
    EXPECT_EQ("* 1 FETCH (EMAILID (M1001) THREADID (T2001))\r\na OK FETCH completed\r\n", client.Say("a FETCH 1 (EMAILID THREADID)\r\n"));
}

}  // namespace

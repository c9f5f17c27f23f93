// Dialogues with the IMAP session over the fake store, each whole, byte by byte, and with a small
// buffer for what goes out.
#include <gtest/gtest.h>

#include <set>

#include "imap_fake.h"

using namespace imap_fake;

namespace {

constexpr uint64_t kDate = 837593065000; // 17-Jul-1996 08:44:25 UTC
const std::string kMail1 = "From: a@example.org\r\nSubject: one\r\nX-Odd: yes\r\n\r\nHello Joe\r\n";
const std::string kMail2 = "From: b@example.org\r\nSubject: two\r\n\r\nSecond\r\nline\r\n";
const std::string kMail3 = "From: c@example.org\r\nTo: d@example.org\r\nSubject: three\r\n\r\n";

void Fill(Store *store)
{
    store->Add("INBOX", kMail1, MAIL_FLAG_SEEN, kDate);
    store->Add("INBOX", kMail2, 0, kDate + 86400000);
    store->Expunge("INBOX", store->Add("INBOX", "gone", 0, 0));
    store->Add("INBOX", kMail3, MAIL_FLAG_FLAGGED | MAIL_FLAG_DELETED, kDate + 2 * 86400000);
    store->Make("Archive").special_use = STORE_USE_ARCHIVE;
    store->Make("Archive/2023");
    store->Make("Entw\xc3\xbcrfe");
}

enum Prelude { kFresh, kIn, kOpen };

struct Dialogue {
    const char *name;
    Prelude prelude;
    std::string in, out;
};
void PrintTo(const Dialogue &d, std::ostream *out) { *out << d.name; }

const Dialogue dialogues[] = {
#include "imap_dialogues.inc"
#include "imap_ext_dialogues.inc"
};

class ImapDialogue : public testing::TestWithParam<std::tuple<Dialogue, int>> {};

TEST_P(ImapDialogue, AnswersAsWritten)
{
    const auto &[dialogue, how] = GetParam();
    const Cut cuts[] = { Cut(), { 1, IMAP_OUT_ROOM, 1 }, { 7, IMAP_OUT_ROOM + 100, 5 } };
    Store store;
    Fill(&store);
    Client client(&store, cuts[how]);
    client.Take();
    if (dialogue.prelude != kFresh) {
        ASSERT_NE(std::string::npos, client.Say("l LOGIN alice secret\r\n").find("l OK"));
    }
    if (dialogue.prelude == kOpen) {
        ASSERT_NE(std::string::npos, client.Say("s SELECT INBOX\r\n").find("s OK"));
    }
    EXPECT_EQ(dialogue.out, client.Say(dialogue.in));
}

INSTANTIATE_TEST_SUITE_P(, ImapDialogue, testing::Combine(testing::ValuesIn(dialogues), testing::Range(0, 3)),
    [](const auto &info) { return std::string(std::get<0>(info.param).name) + "_" + std::to_string(std::get<1>(info.param)); });

TEST(ImapDialogues, NamesAreUnique)
{
    std::set<std::string> names;
    for (const auto &d : dialogues) EXPECT_TRUE(names.insert(d.name).second) << d.name;
    EXPECT_GE(names.size(), 150u);
}


Store *Filled()
{
    auto *store = new Store;
    Fill(store);
    return store;
}

std::string In(Client *client, const std::string &select = "SELECT INBOX")
{
    client->Take();
    client->Say("l LOGIN alice secret\r\n");
    return select.empty() ? "" : client->Say("s " + select + "\r\n");
}

bool Has(const std::string &text, const std::string &what) { return text.find(what) != std::string::npos; }

TEST(ImapTls, StartTlsThenLogIn)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get(), Cut(), false);
    EXPECT_TRUE(Has(client.Take(), "STARTTLS LOGINDISABLED] Godwit ready\r\n"));
    EXPECT_EQ("a NO [PRIVACYREQUIRED] log in over TLS\r\n", client.Say("a LOGIN alice secret\r\n"));
    EXPECT_EQ("b NO [PRIVACYREQUIRED] log in over TLS\r\n", client.Say("b AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n"));
    EXPECT_EQ("c OK begin TLS now\r\n", client.Say("c STARTTLS\r\n"));
    EXPECT_EQ(1u, client.tls_started);
    auto capability = client.Say("d CAPABILITY\r\n");
    EXPECT_TRUE(Has(capability, "AUTH=PLAIN"));
    EXPECT_FALSE(Has(capability, "STARTTLS"));
    EXPECT_TRUE(Has(client.Say("e LOGIN alice secret\r\n"), "e OK"));
}

TEST(ImapTls, BytesBehindStartTlsAreNeverRead)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get(), Cut(), false);
    client.Take();
    EXPECT_EQ("a BAD nothing can follow STARTTLS before TLS is up\r\n* BYE bytes behind STARTTLS\r\n",
              client.Say("a STARTTLS\r\nb LOGIN alice secret\r\n"));
    EXPECT_TRUE(client.closed);
    EXPECT_EQ(0u, client.tls_started);
}

TEST(ImapTls, PlainLogInWhereItIsAllowed)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get(), Cut(), false, true);
    EXPECT_TRUE(Has(client.Take(), "AUTH=LOGIN] Godwit"));
    EXPECT_TRUE(Has(client.Say("a LOGIN alice secret\r\n"), "a OK"));
}

TEST(ImapLimits, OverLongInput)
{
    std::unique_ptr<Store> store(Filled());
    {
        Client client(store.get());
        client.Take();
        EXPECT_EQ("* BYE [TOOBIG] command line too long\r\n", client.Say("a LOGIN " + std::string(9000, 'x')));
    }
    {
        Client client(store.get());
        In(&client);
        EXPECT_EQ("* BYE [TOOBIG] command line too long\r\n", client.Say("a FETCH " + std::string(70000, '1')));
    }
    Client client(store.get());
    In(&client);
    std::string keys, items, set = "1";
    for (int i = 0; i < 1001; i++) keys += " ALL";
    for (int i = 0; i < 65; i++) items += " BODY.PEEK[TEXT]";
    for (int i = 0; i < 15000; i++) set += ",1:2";
    EXPECT_TRUE(Has(client.Say("a SEARCH" + keys + "\r\n"), "a BAD SEARCH: too many search keys"));
    EXPECT_TRUE(Has(client.Say("b FETCH 1 (" + items.substr(1) + ")\r\n"), "b BAD FETCH: too many items"));
    EXPECT_EQ("* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\nc OK FETCH completed\r\n", client.Say("c FETCH " + set + " UID\r\n"));
}

struct ErrorCase { enum err_code code; const char *command, *answer; };

TEST(ImapErrors, HaveTheirCodes)
{
    const ErrorCase cases[] = {
        {ERR_NOT_FOUND, "DELETE x", "[NONEXISTENT]"}, {ERR_EXISTS, "CREATE x", "[ALREADYEXISTS]"},
        {ERR_QUOTA, "COPY 1 Archive", "[OVERQUOTA]"}, {ERR_DENIED, "CREATE x", "[NOPERM]"},
        {ERR_TOO_BIG, "STORE 1 +FLAGS (k)", "[LIMIT]"}, {ERR_BUSY, "FETCH 1 FLAGS", "[UNAVAILABLE]"},
        {ERR_UNREACHABLE, "STATUS INBOX (MESSAGES)", "[UNAVAILABLE]"}, {ERR_TIMEOUT, "LIST \"\" *", "[UNAVAILABLE]"},
        {ERR_FULL, "APPEND INBOX {2+}\r\nab", "[UNAVAILABLE]"}, {ERR_INFECTED, "APPEND INBOX {2+}\r\nab", "[CANNOT]"},
        {ERR_CORRUPT, "SEARCH ALL", "[SERVERBUG]"}, {ERR_CONFLICT, "RENAME a b", "[INUSE]"},
        {ERR_QUOTA, "APPEND INBOX {2+}\r\nab", "[OVERQUOTA]"}, {ERR_MOVED, "EXPUNGE", "[UNAVAILABLE]"},
        {ERR_UNKNOWN, "CLOSE", "[UNAVAILABLE]"}, {ERR_IO, "NOOP", "[UNAVAILABLE]"},
        {ERR_UNSUPPORTED, "SUBSCRIBE x", "[CANNOT]"},
    };
    for (const auto &c : cases) {
        std::unique_ptr<Store> store(Filled());
        Client client(store.get());
        In(&client);
        store->fail_next = c.code;
        auto answer = client.Say(std::string("a ") + c.command + "\r\n");
        EXPECT_TRUE(Has(answer, std::string("a NO ") + c.answer)) << c.command << ": " << answer;
        EXPECT_TRUE(Has(client.Say("b NOOP\r\n"), "b OK NOOP")) << c.command;
    }
}

TEST(ImapErrors, MailCanBeReadWhenSeenCanNotBeSet)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    store->fail_next = ERR_FULL;
    store->fail_method = STORE_METHOD_FLAGS_SET;
    EXPECT_EQ("* 2 FETCH (BODY[TEXT] {14}\r\nSecond\r\nline\r\n)\r\na OK FETCH completed\r\n",
              client.Say("a FETCH 2 BODY[TEXT]\r\n"));
}

TEST(ImapErrors, DamagedMessagesArePassedOverAndSaid)
{
    std::unique_ptr<Store> store(Filled());
    store->mailboxes.at("INBOX").messages.at(1).facts = "x";
    store->mailboxes.at("INBOX").messages.at(2).text[0] = '!';
    Client client(store.get());
    In(&client);
    auto envelopes = client.Say("a FETCH 1:2 ENVELOPE\r\n");
    EXPECT_FALSE(Has(envelopes, "* 1 FETCH"));
    EXPECT_TRUE(Has(envelopes, "* 2 FETCH (ENVELOPE"));
    EXPECT_TRUE(Has(envelopes, "a NO ["));
    EXPECT_TRUE(Has(client.Say("b FETCH 2 BODY.PEEK[]\r\n"), "b NO [SERVERBUG]"));
    EXPECT_TRUE(Has(client.Say("c FETCH 1:2 FLAGS\r\n"), "c OK"));
}

TEST(ImapFetch, FactsAreEnoughForWhatTheyHold)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    const struct { const char *items; uint64_t asked; } cases[] = {
        {"(UID FLAGS MODSEQ)", 0}, {"(INTERNALDATE RFC822.SIZE)", 1}, {"(ENVELOPE BODYSTRUCTURE BODY)", 2},
        {"BODY.PEEK[HEADER.FIELDS (FROM Subject)]", 2}, {"BODY.PEEK[HEADER.FIELDS (X-Odd)]", 6},
        {"BODY.PEEK[]", 4}, {"RFC822.HEADER", 6}, {"FULL", 3},
    };
    for (const auto &c : cases) {
        client.Say(std::string("a FETCH 1 ") + c.items + "\r\n");
        EXPECT_EQ(c.asked, store->fetch_items) << c.items;
    }
}

// Bodies, envelopes and headers larger than what goes out at once, cut in every way.
TEST(ImapFetch, LargeValuesInSmallPieces)
{
    std::string lines;
    for (int i = 0; i < 20000; i++) lines += "line " + std::to_string(i) + "\r\n";
    std::string header = "Subject: big\r\n";
    for (int i = 0; i < 2000; i++) header += "X-Many: " + std::to_string(i) + "\r\n more\r\n";
    std::string want;
    for (const Cut &cut : {Cut(), Cut{SIZE_MAX, IMAP_OUT_ROOM, 1000}, Cut{1, IMAP_OUT_ROOM + 1, SIZE_MAX}, Cut{SIZE_MAX, 20000, 7}}) {
        Store store;
        store.Add("INBOX", header + "\r\n" + lines);
        store.Add("INBOX", "Subject: small\r\n\r\nx\r\n");
        store.Add("INBOX", header + "\r\n" + lines);
        Client client(&store, cut);
        In(&client);
        auto got = client.Say("a UID FETCH 1:* (FLAGS BODY.PEEK[] BODY.PEEK[TEXT]<100.30000> BODY.PEEK[HEADER.FIELDS (X-Many)] ENVELOPE)\r\n");
        if (want.empty()) {
            want = got;
            EXPECT_TRUE(Has(want, "BODY[] {" + std::to_string(header.size() + 2 + lines.size()) + "}\r\n" + header + "\r\n" + lines));
            EXPECT_TRUE(Has(want, "BODY[TEXT]<100> {30000}\r\n" + lines.substr(100, 30000) + " BODY["));
            EXPECT_TRUE(Has(want, "a OK UID FETCH completed"));
        }
        EXPECT_TRUE(want == got) << cut.out;
    }
}

TEST(ImapFetch, ManyMessagesKeepTheirNumbers)
{
    std::string want, search;
    for (const Cut &cut : {Cut(), Cut{SIZE_MAX, IMAP_OUT_ROOM, 100}}) {
        Store store;
        for (int i = 0; i < 5000; i++) store.Add("INBOX", "Subject: x\r\n\r\n");
        for (uint32_t uid = 3; uid < 5000; uid += 3) store.Expunge("INBOX", uid);
        Client client(&store, cut);
        In(&client);
        auto got = client.Say("a FETCH 1:* UID\r\n");
        auto found = client.Say("b SEARCH ALL\r\n") + client.Say("c UID SEARCH ALL\r\n")
                   + client.Say("d UID SEARCH RETURN (ALL) ALL\r\n") + client.Say("e UID COPY 1:* INBOX\r\n")
                   + client.Say("f STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n") + client.Say("g EXPUNGE\r\n");
        if (want.empty()) {
            size_t n = 0;
            for (uint32_t uid = 1; uid <= 5000; uid++) {
                if (uid % 3 != 0 || uid > 4998) want += "* " + std::to_string(++n) + " FETCH (UID " + std::to_string(uid) + ")\r\n";
            }
            want += "a OK FETCH completed\r\n";
            search = found;
            EXPECT_TRUE(Has(found, "* 1 EXPUNGE\r\ng OK") || Has(found, "EXISTS\r\n"));
        }
        EXPECT_TRUE(want == got);
        EXPECT_TRUE(search == found);
    }
}

TEST(ImapView, IsLoadedAsItWasAtSelect)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    EXPECT_EQ(0, store->calls[STORE_METHOD_UIDS]);
    store->Expunge("INBOX", 1);
    store->Add("INBOX", kMail1);
    // Message 1 is gone, but its number still counts; what is new has no number yet.
    EXPECT_EQ("* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 4)\r\na NO [EXPUNGEISSUED] some of these messages are expunged\r\n",
              client.Say("a FETCH 1:* UID\r\n"));
    EXPECT_EQ("* SEARCH 2 3\r\nb OK SEARCH completed\r\n", client.Say("b SEARCH ALL\r\n"));
    EXPECT_EQ("* 1 EXPUNGE\r\n* 3 EXISTS\r\n* 3 RECENT\r\nc OK NOOP completed\r\n", client.Say("c NOOP\r\n"));
    EXPECT_EQ("* 1 FETCH (UID 2)\r\n* 2 FETCH (UID 4)\r\n* 3 FETCH (UID 5)\r\nd OK FETCH completed\r\n", client.Say("d FETCH 1:* UID\r\n"));
}

TEST(ImapView, ForgottenTombstonesEndTheSession)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    store->Expunge("INBOX", 1);
    store->mailboxes.at("INBOX").expunged.clear();
    EXPECT_TRUE(Has(client.Say("a FETCH 1:* UID\r\n"), "* BYE [UNAVAILABLE]"));
    EXPECT_TRUE(client.closed);
}

TEST(ImapView, UidCommandsTellTheNewsFetchDoesNot)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    client.Say("a FETCH 1:* UID\r\n");
    store->Expunge("INBOX", 1);
    EXPECT_FALSE(Has(client.Say("b FETCH 2 FLAGS\r\n"), "EXPUNGE\r\n"));
    EXPECT_EQ("* 2 FETCH (UID 2 FLAGS (\\Recent))\r\n* 1 EXPUNGE\r\n* 2 RECENT\r\nc OK UID FETCH completed\r\n", client.Say("c UID FETCH 2 FLAGS\r\n"));
}

TEST(ImapView, OwnChangesCostNoCallForNews)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    client.Say("a NOOP\r\n");
    store->modseq = store->mailboxes.at("INBOX").modseq;
    int before = store->calls[STORE_METHOD_CHANGES];
    EXPECT_TRUE(Has(client.Say("b UID STORE 1 +FLAGS (\\Answered)\r\n"), "b OK"));
    EXPECT_TRUE(Has(client.Say("c UID STORE 1 -FLAGS.SILENT (\\Answered)\r\n"), "c OK"));
    EXPECT_TRUE(Has(client.Say("d EXPUNGE\r\n"), "* 3 EXPUNGE\r\nd OK"));
    EXPECT_EQ(before, store->calls[STORE_METHOD_CHANGES]);
}

TEST(ImapView, DeletedMailboxEndsTheSession)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client, "SELECT Archive");
    store->mailboxes.erase("Archive");
    EXPECT_EQ("* BYE [NONEXISTENT] the selected mailbox was deleted\r\n", client.Say("a NOOP\r\n"));
    EXPECT_TRUE(client.closed);
}

TEST(ImapIdle, TellsNewsAsTheyCome)
{
    for (const Cut &cut : {Cut(), Cut{1, IMAP_OUT_ROOM, 1}}) {
        std::unique_ptr<Store> store(Filled());
        Client client(store.get(), cut);
        In(&client);
        EXPECT_EQ("+ idling\r\n", client.Say("a IDLE\r\n"));
        EXPECT_NE(0u, client.watched);
        EXPECT_EQ("", client.News());
        EXPECT_TRUE(imap_session_is_idle(client.session));
        store->Add("INBOX", kMail1);
        EXPECT_EQ("* 4 EXISTS\r\n* 4 RECENT\r\n", client.News());
        EXPECT_EQ(0, store->calls[STORE_METHOD_UIDS]); // not for new mail alone
        store->SetFlags("INBOX", 2, MAIL_FLAG_SEEN);
        EXPECT_EQ("* 2 FETCH (FLAGS (\\Seen \\Recent))\r\n", client.News());
        store->Expunge("INBOX", 1);
        store->Add("INBOX", kMail2);
        EXPECT_EQ("* 1 EXPUNGE\r\n* 4 EXISTS\r\n* 4 RECENT\r\n", client.News());
        store->Keyword(store->mailboxes.at("INBOX"), "Work");
        store->SetFlags("INBOX", 2, 1ull << MAIL_KEYWORD_BIT_FIRST);
        auto news = client.News();
        EXPECT_TRUE(Has(news, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)\r\n")) << news;
        EXPECT_TRUE(Has(news, "* 1 FETCH (FLAGS (\\Recent Work))\r\n")) << news;
        EXPECT_EQ("a OK IDLE completed\r\n", client.Say("DONE\r\n"));
        EXPECT_EQ(0u, client.watched);
        EXPECT_EQ("b OK NOOP completed\r\n", client.Say("b NOOP\r\n"));
    }
}

TEST(ImapIdle, StoreThatFailsIsAskedAgainLater)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    client.Say("a IDLE\r\n");
    store->Add("INBOX", kMail1);
    store->fail_next = ERR_UNREACHABLE;
    EXPECT_EQ("", client.News());
    EXPECT_EQ("* 4 EXISTS\r\n* 4 RECENT\r\n", client.News());
}

TEST(ImapIdle, DeletedMailbox)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client, "SELECT Archive");
    client.Say("a IDLE\r\n");
    store->mailboxes.erase("Archive");
    EXPECT_EQ("* BYE [NONEXISTENT] the selected mailbox was deleted\r\n", client.News());
}

TEST(ImapBye, BetweenCommandsAndInIdle)
{
    std::unique_ptr<Store> store(Filled());
    std::vector<char> bytes(IMAP_OUT_ROOM);
    for (const char *before : {"", "a IDLE\r\n"}) {
        Client client(store.get());
        In(&client);
        client.Say(before);
        struct buf out;
        buf_init(&out, bytes.data(), bytes.size());
        imap_session_bye(client.session, SPAN("idle too long"), &out);
        EXPECT_EQ("* BYE idle too long\r\n", std::string(out.bytes, out.len));
        struct imap_wish wish;
        ASSERT_TRUE(imap_session_wish(client.session, &wish));
        EXPECT_EQ(IMAP_WISH_CLOSE, wish.kind);
        EXPECT_FALSE(imap_session_reads(client.session));
        EXPECT_EQ(8u, imap_session_feed(client.session, SPAN("x NOOP\r\n"), 0, &out));
    }
}

TEST(ImapIds, EachChangeHasItsOwn)
{
    std::unique_ptr<Store> store(Filled());
    Client client(store.get());
    In(&client);
    auto first = client.Say("a STORE 1 +FLAGS (\\Draft)\r\n");
    EXPECT_TRUE(Has(first, "a OK"));
    EXPECT_TRUE(Has(client.Say("b COPY 1 Archive\r\n"), "b OK"));
    EXPECT_EQ(1, store->calls[STORE_METHOD_FLAGS_SET]);
    EXPECT_EQ(1, store->calls[STORE_METHOD_COPY]);
}

}  // namespace

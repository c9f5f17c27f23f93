// The bounds that options set for an IMAP session, from both sides; and facts rows that lack fields.
#include <gtest/gtest.h>

#include "imap_fake.h"

namespace {
using namespace imap_fake;

bool Has(const std::string &text, const std::string &what) { return text.find(what) != std::string::npos; }

void In(Client *client)
{
    client->Take();
    ASSERT_TRUE(Has(client->Say("l LOGIN alice secret\r\n"), "l OK"));
    ASSERT_TRUE(Has(client->Say("s SELECT INBOX\r\n"), "s OK"));
}

const Cut kCuts[] = { Cut(), { 1, IMAP_OUT_ROOM, 1 }, { 7, IMAP_OUT_ROOM + 100, 5 } };

// A command of `bytes` bytes with its CRLF, which is well formed.
std::string Command(size_t bytes)
{
    std::string head = "a SEARCH SUBJECT \"", tail = "\"\r\n";
    return head + std::string(bytes - head.size() - tail.size(), 'x') + tail;
}

TEST(ImapLimits, LineMax)
{
    static const struct { uint32_t max; size_t bytes; bool is_taken; } rows[] = {
        { 8192, 100, true },     { 8192, 8192, true },     { 8192, 8193, false },
        { 65536, 65536, true },  { 65536, 65537, false },  { 100000, 65537, true },
        { 100000, 100001, false }, { UINT32_MAX, IMAP_COMMAND_MAX_BYTES, true },
        { UINT32_MAX, IMAP_COMMAND_MAX_BYTES + 1, false },
    };
    for (const auto &row : rows) {
        Store store;
        Client client(&store, Cut(), true, false, { 1 << 20, row.max, 5 });
        In(&client);
        std::string got = client.Say(Command(row.bytes));
        EXPECT_EQ(!row.is_taken, got == "* BYE [TOOBIG] command line too long\r\n") << row.max << " " << row.bytes;
        EXPECT_EQ(!row.is_taken, client.closed);
        if (row.is_taken) EXPECT_TRUE(Has(got, "\r\na ")) << got.substr(0, 100);
    }
}

// A literal counts with the rest of its command.
TEST(ImapLimits, LineMaxWithLiterals)
{
    enum { TAKEN, NO_ROOM_BEHIND, NO_ROOM };
    static const struct { size_t literal; int what; } rows[] = {
        { 8192 - 25 - 2, TAKEN }, { 8192 - 25 - 1, NO_ROOM_BEHIND }, { 8192 - 25, NO_ROOM_BEHIND },
        { 8192 - 25 + 1, NO_ROOM }, { 4000000000, NO_ROOM },
    };
    for (const auto &row : rows) {
        Store store;
        Client client(&store, Cut(), true, false, { 1 << 20, 8192, 5 });
        In(&client);
        std::string line = "a SEARCH SUBJECT {" + std::to_string(row.literal) + "}\r\n", got = client.Say(line);
        if (row.what == NO_ROOM) {
            EXPECT_EQ("a NO [TOOBIG] literal over the limit\r\n", got);
            EXPECT_TRUE(Has(client.Say("b NOOP\r\n"), "b OK"));
            continue;
        }
        ASSERT_EQ(25u, line.size());
        EXPECT_EQ("+ go on\r\n", got);
        got = client.Say(std::string(row.literal, 'y') + "\r\n");
        if (row.what == TAKEN) EXPECT_FALSE(client.closed) << got;
        else EXPECT_EQ("* BYE [TOOBIG] command line too long\r\n", got);
    }
}

// Before log-in the option does not count.
TEST(ImapLimits, EarlyLineMaxStays)
{
    Store store;
    Client client(&store, Cut(), true, false, { 1 << 20, 1000000, 5 });
    client.Take();
    EXPECT_EQ("* BYE [TOOBIG] command line too long\r\n", client.Say("a LOGIN " + std::string(IMAP_COMMAND_EARLY_MAX_BYTES, 'x')));
}

TEST(ImapLimits, LiteralMax)
{
    static const struct { uint64_t max; size_t bytes; bool is_taken; } rows[] = {
        { 1024, 1, true },   { 1024, 1024, true },       { 1024, 1025, false },
        { 70000, 70000, true }, { 70000, 70001, false },
    };
    for (const auto &row : rows) {
        Store store;
        Client client(&store, Cut(), true, false, { row.max, 64 * 1024, 5 });
        In(&client);
        std::string got = client.Say("a APPEND INBOX {" + std::to_string(row.bytes) + "}\r\n");
        if (!row.is_taken) {
            EXPECT_EQ("a NO [TOOBIG] literal over the limit\r\n", got) << row.bytes;
            EXPECT_TRUE(Has(client.Say("b NOOP\r\n"), "b OK"));
            continue;
        }
        EXPECT_EQ("+ ready for the message\r\n", got) << row.bytes;
        EXPECT_TRUE(Has(client.Say(std::string(row.bytes, 'm') + "\r\n"), "a OK [APPENDUID")) << row.bytes;
    }
}

TEST(ImapLimits, LoginFailuresMax)
{
    for (uint32_t max : { 1u, 2u, 4u, 19u }) {
        Store store;
        Client client(&store, Cut(), true, false, { 1 << 20, 64 * 1024, max });
        client.Take();
        for (uint32_t i = 1; i <= max; i++) {
            std::string got = client.Say("a LOGIN alice wrong\r\n");
            EXPECT_TRUE(Has(got, "a NO [AUTHENTICATIONFAILED]"));
            EXPECT_EQ(i == max, Has(got, "* BYE too many failed log-ins\r\n")) << i << " of " << max;
        }
        EXPECT_TRUE(client.closed);
    }
}

// A session goes by what the options said when it began.
TEST(ImapLimits, ASessionKeepsItsLimits)
{
    Store store;
    Client client(&store, Cut(), true, false, { 2000, 16384, 5 });
    In(&client);
    EXPECT_EQ("", client.Say("a SEARCH SUBJECT \"" + std::string(9000, 'x')));
    client.options.line_bytes_max = 8192;
    client.options.message_bytes_max = 1024;
    EXPECT_TRUE(Has(client.Say("\"\r\n"), "a OK"));
    EXPECT_EQ("+ ready for the message\r\n", client.Say("a APPEND INBOX {2000}\r\n"));
}

// ---- facts rows that have not all fields

const char kMail[] = "From: joe@example.org\r\nTo: first@example.org\r\nTo: last@example.org\r\n"
                     "Subject: all of it\r\nX-Other: y\r\n\r\nbody\r\n";

// As the row would be had the second To not fitted: it and what comes behind it are left out.
void CutFacts(Store *store, uint32_t uid)
{
    auto &message = store->mailboxes.at("INBOX").messages.at(uid);
    struct facts facts;
    std::string row = message.facts, fields;
    ASSERT_EQ(ERR_OK, facts_read(S(row), &facts).code);
    fields = Str(facts.fields);
    fields = fields.substr(0, fields.find("To: last"));
    facts.fields = S(fields);
    facts.flags |= FACTS_FIELDS_CUT;
    message.facts.assign(facts_bytes(&facts), '\0');
    facts_write(&facts, message.facts.data());
}

TEST(ImapCutFields, AreReadFromTheBody)
{
    for (const Cut &cut : kCuts) {
        Store store;
        for (int i = 0; i < 3; i++) store.Add("INBOX", kMail);
        CutFacts(&store, 2);
        Client client(&store, cut);
        In(&client);
        store.calls.clear();
        std::string got = client.Say("a FETCH 1:3 (BODY.PEEK[HEADER.FIELDS (TO SUBJECT)])\r\n");
        const std::string fields = "To: first@example.org\r\nTo: last@example.org\r\nSubject: all of it\r\n\r\n";
        const std::string item = "BODY[HEADER.FIELDS (TO SUBJECT)] {" + std::to_string(fields.size()) + "}\r\n" + fields + ")\r\n";
        /* The one whose body was asked for comes last: their order is not promised. */
        EXPECT_EQ("* 1 FETCH (" + item + "* 3 FETCH (" + item + "* 2 FETCH (" + item + "a OK FETCH completed\r\n", got);
        EXPECT_EQ(2, store.calls[STORE_METHOD_FETCH]);
        EXPECT_NE(0u, store.fetch_items & STORE_FETCH_BODY);
    }
}

TEST(ImapCutFields, WhatIsNotOfThemCostsNoBody)
{
    static const char *const commands[] = { "ENVELOPE", "BODYSTRUCTURE", "FLAGS", "RFC822.SIZE", "ALL" };
    Store store;
    store.Add("INBOX", kMail);
    Client client(&store);
    In(&client);
    for (const char *items : commands) {
        std::string whole = client.Say("a FETCH 1 " + std::string(items) + "\r\n");
        CutFacts(&store, 1);
        store.calls.clear();
        EXPECT_EQ(whole, client.Say("a FETCH 1 " + std::string(items) + "\r\n"));
        EXPECT_EQ(1, store.calls[STORE_METHOD_FETCH]) << items;
        EXPECT_EQ(0u, store.fetch_items & STORE_FETCH_BODY) << items;
    }
}

TEST(ImapCutFields, BodyThatIsThereAnywayIsAskedForOnce)
{
    Store store;
    store.Add("INBOX", kMail);
    CutFacts(&store, 1);
    Client client(&store);
    In(&client);
    store.calls.clear();
    std::string got = client.Say("a UID FETCH 1 (BODY.PEEK[HEADER.FIELDS (To)] BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (X-Other)])\r\n");
    EXPECT_TRUE(Has(got, "To: first@example.org\r\nTo: last@example.org\r\n\r\n")) << got;
    EXPECT_TRUE(Has(got, "X-Other: y\r\n\r\n")) << got;
    EXPECT_EQ(1, store.calls[STORE_METHOD_FETCH]);
}

TEST(ImapCutFields, ASecondCallThatFailsIsTold)
{
    Store store;
    store.Add("INBOX", kMail);
    CutFacts(&store, 1);
    auto &facts = store.mailboxes.at("INBOX").messages.at(1).facts;
    Client client(&store);
    In(&client);
    facts[0] = 99; /* a newer row: it can't be told, and no body is asked for */
    store.calls.clear();
    EXPECT_TRUE(Has(client.Say("a FETCH 1 (BODY.PEEK[HEADER.FIELDS (To)])\r\n"), "a NO"));
    EXPECT_EQ(1, store.calls[STORE_METHOD_FETCH]);
}

} // namespace

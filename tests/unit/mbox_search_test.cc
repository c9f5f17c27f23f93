// Search keys one by one, the text comparison, and the index cache under its bound and while loading.
#include <thread>

#include "mbox_fixture.h"
#include "mbox_pattern.h"

namespace {
using namespace mbox_test;

TEST(MboxPattern, FindsWhateverTheCase)
{
    const struct { bool want; std::string pattern, text; bool unfold; } cases[] = {
        {true, "", "", false}, {true, "", "x", false}, {true, "HELLO", "say hello", false}, {true, "hello", "HeLLo", false},
        {false, "hello", "hell o", false}, {false, "hello", "hell", false}, {true, "a b", "A\r\n B", true}, {false, "a b", "A\r\n B", false},
        {true, "@[`{", "x@[`{", false}, {false, "@", "`", false}, {false, "[", "{", false},
        {true, "\xc3\xbc" "BER", "\xc3\x9c" "ber", false}, {true, "STRASSE", "strasse", false},
        {true, "\xce\xa3\xce\xbf\xcf\x86", "\xcf\x83\xce\xbf\xcf\x86\xcf\x8c\xcf\x82", false},  // sigma
        {true, "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", "\xd0\xbf\xd0\xa0\xd0\x98\xd0\xb2\xd0\xb5\xd1\x82", false},
        {true, "\xff", "a\xff", false}, {false, "\xc3\xbc", "u", false}, {true, std::string("a\0b", 3), std::string("xA\0B", 4), false},
        {true, "needle", std::string(4093, 'x') + "NEEDLE" + std::string(5000, 'y'), false},
        {true, "\xc3\xbcneedle", std::string(4094, 'x') + "\xc3\x9cNEEDLE", false},
        {false, "needle", std::string(10000, 'n'), false},
        {true, "ab", std::string(4095, '\n') + "a" + std::string(4096, '\r') + "b", true},
    };
    for (const auto &c : cases) {
        arena arena;
        arena_init(&arena, 1 << 20);
        mbox_pattern pattern;
        ASSERT_EQ(ERR_OK, mbox_pattern_make(S(c.pattern), &arena, &pattern).code);
        EXPECT_EQ(c.want, mbox_pattern_in(&pattern, S(c.text), c.unfold)) << c.pattern << " in " << c.text.substr(0, 50);
        arena_clear(&arena);
    }
    arena arena;
    arena_init(&arena, 1 << 20);
    mbox_pattern pattern;
    std::string too_long(1025, 'x');
    EXPECT_EQ(ERR_TOO_BIG, mbox_pattern_make(S(too_long), &arena, &pattern).code);
    arena_clear(&arena);
}

// Every place of a match around the edges of the window.
TEST(MboxPattern, AcrossWindows)
{
    arena arena;
    arena_init(&arena, 1 << 20);
    mbox_pattern ascii, unicode;
    ASSERT_EQ(ERR_OK, mbox_pattern_make(SPAN("abcdefgh"), &arena, &ascii).code);
    ASSERT_EQ(ERR_OK, mbox_pattern_make(SPAN("\xc3\xa4\xc3\xb6\xc3\xbc"), &arena, &unicode).code);
    for (size_t at = 4070; at < 4110; at++) {
        EXPECT_TRUE(mbox_pattern_in(&ascii, S(std::string(at, '.') + "ABCDEFGH." ), false)) << at;
        EXPECT_TRUE(mbox_pattern_in(&unicode, S(std::string(at, '.') + "\xc3\x84\xc3\x96\xc3\x9c."), false)) << at;
    }
    arena_clear(&arena);
}

struct SearchTest : ::testing::Test {
    // Content as the shell would give it: the stored body is the text, and X-Fields come from the holder.
    static err Content(void *holder, const mbox_search_mail *mail, mbox_search_part part, span name, mbox_search_sink *sink)
    {
        auto *self = static_cast<SearchTest *>(holder);
        self->contents++;
        if (self->cancel) return err_make(ERR_CANCELLED, "nobody waits");
        if (part == MBOX_SEARCH_FIELD) {
            if (Str(name) == "X-Mark" && mail->uid == 2) (void)sink->take(sink, SPAN("the mark"));
            if (Str(name) == "To" && mail->uid == 6) (void)sink->take(sink, SPAN("last@example.org"));
            return err_ok();
        }
        if (part == MBOX_SEARCH_HEADER) return err_make(ERR_NOT_FOUND, "none");
        mbox_body_cursor cursor;
        EXPECT_EQ(ERR_OK, mbox_body_open(mail->rows, mail->owner, mail->email, mail->stored_bytes, &cursor).code);
        for (span piece; mbox_body_next(&cursor, &piece).code == ERR_OK;)
            if (sink->take(sink, piece)) break;
        mbox_body_close(&cursor);
        return err_ok();
    }
    static err Decode(void *holder, span value, arena *arena, span *ret)
    {
        static_cast<SearchTest *>(holder)->decodes++;
        EXPECT_NE(std::string::npos, Str(value).find("=?"));
        return arena_copy(arena, SPAN(" gr\xc3\xbc\xc3\x9f" "e"), ret);
    }
    using Keys = std::vector<store_search_key>;
    static store_search_key Key(store_search_op op, uint64_t number = 0, uint32_t count = 0)
    {
        store_search_key key = {};
        key.op = op, key.number = number, key.count = count;
        return key;
    }
    static store_search_key Text(store_search_op op, span text, span name = SPAN(""))
    {
        store_search_key key = {};
        key.op = op, key.text = text, key.name = name;
        return key;
    }
    err_code Run(Keys keys, Uids *found, uint32_t mailbox = 1)
    {
        static const mbox_search_calls calls = {Decode, Content};
        mbox_searcher searcher = {&calls, this};
        store_search_request request = {1, 1, mailbox, keys.data(), keys.size()};
        uid_set matches;
        uid_set_init(&matches, 1000);
        auto context = shard.Read();
        err e = mbox_search(&context, shard.index, &request, &searcher, &matches, &reply);
        *found = UidsOf(uid_set_bytes(&matches));
        uid_set_free(&matches);
        return e.code;
    }
    void SetUp() override
    {
        constexpr int64_t day = 86400000;
        ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
        Shard::Mail mails[5];
        mails[0].subject = "Hello World", mails[0].body = "needle in a haystack", mails[0].flags = MAIL_FLAG_SEEN;
        mails[0].internaldate_ms = 10 * day, mails[0].date_ms = 9 * day + 5, mails[0].size = 100;
        mails[1].subject = "folded\r\n subject", mails[1].keywords = {"$Work"}, mails[1].internaldate_ms = 11 * day - 1, mails[1].size = 200;
        mails[2].subject = "=?utf-8?q?gr=C3=BC=C3=9Fe?=", mails[2].flags = MAIL_FLAG_SEEN | MAIL_FLAG_FLAGGED;
        mails[2].internaldate_ms = 11 * day, mails[2].date_ms = -1, mails[2].size = 300, mails[2].fields = "From: joe@example.org\r\n";
        mails[3].subject = "", mails[3].flags = MAIL_FLAG_DELETED, mails[3].internaldate_ms = 12 * day, mails[3].date_ms = 10 * day, mails[3].size = 400;
        mails[4].subject = "hello again", mails[4].body = "NEEDLE", mails[4].internaldate_ms = 13 * day, mails[4].size = 500;
        for (auto &mail : mails) ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", mail)) << shard.what;
        shard.Apply();
    }
    Shard shard;
    store_search_reply reply;
    bool cancel = false;
    int contents = 0, decodes = 0;
};

// Fields that did not fit into the facts row are looked up in the message, those that did as well:
// there may be more of the name.
TEST_F(SearchTest, FieldsThatWereCutAreReadFromTheMessage)
{
    Shard::Mail cut;
    cut.subject = "cut", cut.fields = "To: first@example.org\r\n", cut.facts_flags = FACTS_FIELDS_CUT;
    ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", cut));
    shard.Apply();
    const struct { Uids want; span text; } cases[] = {
        {{6}, SPAN("LAST@")}, {{6}, SPAN("")}, {{}, SPAN("nobody@")}, {{}, SPAN("first@")},
    };
    for (const auto &c : cases) {
        Uids found;
        contents = 0;
        ASSERT_EQ(ERR_OK, Run({Text(STORE_SEARCH_HEADER, c.text, SPAN("To"))}, &found));
        EXPECT_EQ(c.want, found) << Str(c.text);
        EXPECT_EQ(1, contents); // of that message alone
    }
}

TEST_F(SearchTest, EachKey)
{
    auto header = [](span name, span text) { return Text(STORE_SEARCH_HEADER, text, name); };
    auto set = SetOf({2, 4, 9});
    const struct { Uids want; Keys keys; } cases[] = {
        {{1, 2, 3, 4, 5}, {}},
        {{1, 2, 3, 4, 5}, {Key(STORE_SEARCH_ALL)}},
        {{2, 4}, {Text(STORE_SEARCH_UIDS, S(set))}},
        {{}, {Text(STORE_SEARCH_UIDS, SPAN(""))}},
        {{1, 3}, {Key(STORE_SEARCH_FLAGS_SET, MAIL_FLAG_SEEN)}},
        {{3}, {Key(STORE_SEARCH_FLAGS_SET, MAIL_FLAG_SEEN | MAIL_FLAG_FLAGGED)}},
        {{2, 4, 5}, {Key(STORE_SEARCH_NOT), Key(STORE_SEARCH_FLAGS_SET, MAIL_FLAG_SEEN)}},
        {{2}, {Text(STORE_SEARCH_KEYWORD, SPAN("$work"))}},
        {{}, {Text(STORE_SEARCH_KEYWORD, SPAN("nobody"))}},
        {{1, 2, 3, 4, 5}, {Key(STORE_SEARCH_NOT), Text(STORE_SEARCH_KEYWORD, SPAN("nobody"))}},
        {{4, 5}, {Key(STORE_SEARCH_RECENT, 4)}},
        {{4, 5}, {Key(STORE_SEARCH_LARGER, 300)}},
        {{1, 2}, {Key(STORE_SEARCH_SMALLER, 300)}},
        {{1, 2}, {Key(STORE_SEARCH_BEFORE, 11)}},
        {{1, 2}, {Key(STORE_SEARCH_ON, 10)}},
        {{3, 4, 5}, {Key(STORE_SEARCH_SINCE, 11)}},
        {{}, {Key(STORE_SEARCH_SINCE, UINT64_MAX)}},
        {{1, 3}, {Key(STORE_SEARCH_SENT_BEFORE, 10)}},
        {{1}, {Key(STORE_SEARCH_SENT_ON, 9)}},
        {{4}, {Key(STORE_SEARCH_SENT_SINCE, 10)}},
        {{1, 5}, {header(SPAN("SUBJECT"), SPAN("hello"))}},
        {{2}, {header(SPAN("subject"), SPAN("FOLDED SUBJECT"))}},
        {{3}, {header(SPAN("subject"), SPAN("GR\xc3\x9c"))}},
        {{3}, {header(SPAN("From"), SPAN("JOE@"))}},
        {{1, 2, 3, 4, 5}, {header(SPAN("Subject"), SPAN(""))}},
        {{3}, {header(SPAN("from"), SPAN(""))}},
        {{2}, {header(SPAN("X-Mark"), SPAN("MARK"))}},
        {{2}, {header(SPAN("X-Mark"), SPAN(""))}},
        {{1, 5}, {Text(STORE_SEARCH_BODY, SPAN("needle"))}},
        {{1}, {Text(STORE_SEARCH_TEXT, SPAN("HAYSTACK"))}},
        {{5}, {Key(STORE_SEARCH_MODSEQ, 6)}},
        {{1, 3, 5}, {Key(STORE_SEARCH_OR), Key(STORE_SEARCH_FLAGS_SET, MAIL_FLAG_SEEN), header(SPAN("subject"), SPAN("again"))}},
        {{1}, {Key(STORE_SEARCH_AND, 0, 3), Text(STORE_SEARCH_BODY, SPAN("needle")), Key(STORE_SEARCH_FLAGS_SET, MAIL_FLAG_SEEN), Key(STORE_SEARCH_ALL)}},
        {{1, 2, 3, 4, 5}, {Key(STORE_SEARCH_AND, 0, 0)}},
        {{5}, {Key(STORE_SEARCH_LARGER, 300), Key(STORE_SEARCH_NOT), Key(STORE_SEARCH_FLAGS_SET, MAIL_FLAG_DELETED)}},
    };
    size_t number = 0;
    for (const auto &c : cases) {
        Uids found;
        ASSERT_EQ(ERR_OK, Run(c.keys, &found)) << number;
        EXPECT_EQ(c.want, found) << "case " << number++;
        EXPECT_EQ(c.want.size(), reply.count);
    }
    EXPECT_EQ(3, decodes); // only where there is an encoded word and something to look for
}

// SAVEDATE, WITHIN and OBJECTID (RFC 8514, 5032, 8474).
TEST_F(SearchTest, KeysOfExtensions)
{
    const uint64_t saved = shard.now_ms / 86400000; // all of them on one day, and one later
    shard.now_ms += 86400000;
    ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    shard.Apply();
    constexpr uint64_t day = 86400;
    const struct { Uids want; Keys keys; } cases[] = {
        {{}, {Key(STORE_SEARCH_SAVED_BEFORE, saved)}},
        {{1, 2, 3, 4, 5}, {Key(STORE_SEARCH_SAVED_BEFORE, saved + 1)}},
        {{1, 2, 3, 4, 5}, {Key(STORE_SEARCH_SAVED_ON, saved)}},
        {{6}, {Key(STORE_SEARCH_SAVED_ON, saved + 1)}},
        {{6}, {Key(STORE_SEARCH_SAVED_SINCE, saved + 1)}},
        {{}, {Key(STORE_SEARCH_SAVED_SINCE, UINT64_MAX)}},
        {{1}, {Key(STORE_SEARCH_OLDER, 10 * day)}},
        {{1, 2}, {Key(STORE_SEARCH_OLDER, 11 * day - 1)}},
        {{}, {Key(STORE_SEARCH_OLDER, 0)}},
        {{1, 2, 3, 4, 5, 6}, {Key(STORE_SEARCH_OLDER, UINT64_MAX)}},
        {{3, 4, 5, 6}, {Key(STORE_SEARCH_YOUNGER, 11 * day)}},
        {{2, 3, 4, 5, 6}, {Key(STORE_SEARCH_YOUNGER, 11 * day - 1)}},
        {{}, {Key(STORE_SEARCH_YOUNGER, UINT64_MAX)}},
        {{2}, {Key(STORE_SEARCH_EMAIL_ID, 2)}},
        {{}, {Key(STORE_SEARCH_EMAIL_ID, 77)}},
        {{}, {Key(STORE_SEARCH_EMAIL_ID, 0)}},
        {{}, {Key(STORE_SEARCH_THREAD_ID, 0)}}, // no thread is not one thread
        {{}, {Key(STORE_SEARCH_THREAD_ID, 5)}},
        {{1, 3, 4, 5, 6}, {Key(STORE_SEARCH_NOT), Key(STORE_SEARCH_EMAIL_ID, 2)}},
    };
    for (const auto &c : cases) {
        Uids found;
        ASSERT_EQ(ERR_OK, Run(c.keys, &found)) << &c - cases;
        EXPECT_EQ(c.want, found) << "case " << &c - cases;
    }
    EXPECT_EQ(0, contents);
}

TEST_F(SearchTest, CheapKeysGoFirst)
{
    Uids found;
    ASSERT_EQ(ERR_OK, Run({Text(STORE_SEARCH_BODY, SPAN("needle")), Key(STORE_SEARCH_FLAGS_SET, MAIL_FLAG_FLAGGED)}, &found));
    EXPECT_EQ(1, contents); // of the one flagged message
    ASSERT_EQ(ERR_OK, Run({Key(STORE_SEARCH_OR), Text(STORE_SEARCH_BODY, SPAN("needle")), Key(STORE_SEARCH_ALL)}, &found));
    EXPECT_EQ(1, contents);
}

TEST_F(SearchTest, BadTrees)
{
    Keys deep(34, Key(STORE_SEARCH_NOT)), many(1001, Key(STORE_SEARCH_ALL)), unknown = {Key(STORE_SEARCH_ALL)};
    unknown[0].op = 27;
    const struct { err_code want; Keys keys; } cases[] = {
        {ERR_SYNTAX, {Key(STORE_SEARCH_NOT)}}, {ERR_SYNTAX, {Key(STORE_SEARCH_OR), Key(STORE_SEARCH_ALL)}},
        {ERR_SYNTAX, {Key(STORE_SEARCH_AND, 0, 2), Key(STORE_SEARCH_ALL)}}, {ERR_SYNTAX, {Key(STORE_SEARCH_AND, 0, UINT32_MAX)}},
        {ERR_SYNTAX, unknown}, {ERR_SYNTAX, {Text(STORE_SEARCH_UIDS, SPAN("123"))}}, {ERR_TOO_BIG, deep}, {ERR_TOO_BIG, many},
    };
    Uids found;
    for (const auto &c : cases) EXPECT_EQ(c.want, Run(c.keys, &found));
    EXPECT_EQ(ERR_NOT_FOUND, Run({}, &found, 9));
    cancel = true;
    EXPECT_EQ(ERR_CANCELLED, Run({Text(STORE_SEARCH_BODY, SPAN("x"))}, &found));
}

// ---- the index cache

struct IndexTest : ::testing::Test {
    kv_owner Owner(uint64_t account) { return {slot_of_account(account), 1, account}; }
    err_code View(uint64_t account, mbox_view *view)
    {
        auto owner = Owner(account);
        return mbox_view_open(shard.index, shard.kv->calls->reader(shard.kv), &owner, 1, view).code;
    }
    Shard shard;
};

TEST_F(IndexTest, StaysWithinItsBound)
{
    const int accounts = 60;
    for (uint64_t account = 1; account <= accounts; account++) {
        ASSERT_EQ(ERR_OK, shard.MakeAccount(account));
        for (int i = 0; i < 10; i++) ASSERT_EQ(ERR_OK, shard.Append(account, "INBOX", {}));
        shard.Apply();
    }
    mbox_index_free(shard.index);
    shard.index = mbox_index_new(10000);
    for (uint64_t account = 1; account <= accounts; account++) {
        mbox_view view;
        ASSERT_EQ(ERR_OK, View(account, &view));
        EXPECT_EQ(10u, view.messages);
        mbox_view_close(&view);
        EXPECT_LE(mbox_index_bytes(shard.index), 10000u);
    }
    uint32_t seq = 7;
    auto first = Owner(1), last = Owner(accounts);
    EXPECT_FALSE(mbox_index_first_unseen(shard.index, &first, 1, &seq)); // thrown out
    EXPECT_TRUE(mbox_index_first_unseen(shard.index, &last, 1, &seq));
    EXPECT_EQ(1u, seq);
    mbox_index_clear(shard.index);
    EXPECT_EQ(0u, mbox_index_bytes(shard.index));
    mbox_view view;
    auto nobody = Owner(999);
    EXPECT_EQ(ERR_NOT_FOUND, mbox_view_open(shard.index, shard.kv->calls->reader(shard.kv), &nobody, 1, &view).code);
    EXPECT_EQ(0u, mbox_index_bytes(shard.index));
}

TEST_F(IndexTest, AViewStaysAsItWas)
{
    ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
    for (int i = 0; i < 100; i++) ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    shard.Apply();
    mbox_view before, after;
    ASSERT_EQ(ERR_OK, View(1, &before));
    auto id = shard.Id(), other = shard.Id(), set = SetOf({1, 50, 51});
    store_flags_set_request flags = {};
    flags.operation_id = S(id), flags.tenant = 1, flags.account = 1, flags.mailbox = 1, flags.uids = S(set);
    flags.mode = STORE_FLAGS_ADD, flags.flags = MAIL_FLAG_SEEN;
    store_expunge_request expunge = {S(other), 1, 1, 1, S(set), true};
    Result one, two;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_FLAGS_SET, &flags, &one));
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_EXPUNGE, &expunge, &two));
    for (int i = 0; i < 100; i++) ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    shard.Apply();
    EXPECT_EQ(100u, before.messages);
    EXPECT_EQ(100u, mbox_view_unseen(&before));
    for (uint32_t i = 0; i < before.places; i++) EXPECT_EQ(i + 1, before.uids[i]);
    ASSERT_EQ(ERR_OK, View(1, &after));
    EXPECT_EQ(197u, after.messages);
    EXPECT_EQ(201u, after.uidnext);
    EXPECT_EQ(1u, mbox_view_first_unseen(&after));
    // Sets that begin, end and lie between the messages; buffers of every size.
    auto wanted_uids = SetOf({1, 2, 3, 49, 50, 51, 52, 199, 200, 201, 500});
    for (size_t size = MAIL_RECORD_INDEX_BYTES; size < 5 * MAIL_RECORD_INDEX_BYTES; size += 9) {
        mbox_wanted wanted = {S(wanted_uids), false, 0};
        mbox_view_at at = MBOX_VIEW_START;
        Uids got;
        std::vector<char> bytes(size);
        for (bool more = true; more;) {
            buf out;
            buf_init(&out, bytes.data(), size);
            more = mbox_view_records(&after, &wanted, &at, &out);
            for (span data = buf_span(&out); data.len > 0;) {
                mail_record record;
                size_t used, needed;
                ASSERT_EQ(MAIL_RECORD_OK, mail_record_take(data, &record, &used, &needed));
                got.push_back(record.uid);
                data = span_skip(data, used);
            }
        }
        EXPECT_EQ((Uids{2, 3, 49, 52, 199, 200}), got);
        EXPECT_EQ(6u, at.records);
    }
    std::string ranges;
    uint32_t place = 0;
    for (bool more = true; more;) {
        char bytes[9];
        buf out;
        buf_init(&out, bytes, sizeof(bytes));
        more = mbox_view_ranges(&after, &place, &out);
        ranges += Str(buf_span(&out));
    }
    EXPECT_EQ(197u, UidsOf(S(ranges)).size());
    EXPECT_EQ(2u * 8, ranges.size());
    mbox_view_close(&before);
    mbox_view_close(&after);
}

// Loaders beside a thread that applies: nothing applied is missing in what is cached.
TEST_F(IndexTest, LoadsWhileBatchesAreApplied)
{
    ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
    for (int i = 0; i < 300; i++) ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    shard.Apply();
    std::vector<std::string> batches;
    for (uint32_t i = 0; i < 300; i++) {
        auto id = shard.Id(), set = SetOf({i / 2 + 1});
        Result result;
        store_expunge_request expunge = {S(id), 1, 1, 1, S(set), true};
        store_flags_set_request flags = {};
        flags.operation_id = S(id), flags.tenant = 1, flags.account = 1, flags.mailbox = 1, flags.uids = S(set);
        flags.mode = STORE_FLAGS_ADD, flags.flags = MAIL_FLAG_SEEN;
        if (i % 2) ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_EXPUNGE, &expunge, &result));
        else ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_FLAGS_SET, &flags, &result));
    }
    std::thread loader([&] {
        for (int i = 0; i < 300; i++) {
            mbox_view view;
            ASSERT_EQ(ERR_OK, View(1, &view));
            uint32_t messages = 0;
            for (uint32_t p = 0; p < view.places; p++) messages += view.modseqs[p] != 0;
            EXPECT_EQ(view.messages, messages);
            mbox_view_close(&view);
            if (i % 3 == 0) mbox_index_clear(shard.index);
        }
    });
    while (!shard.pending.empty()) shard.Apply(1);
    loader.join();
    mbox_view view;
    ASSERT_EQ(ERR_OK, View(1, &view));
    EXPECT_EQ(150u, view.messages);
    EXPECT_EQ(150u, mbox_view_unseen(&view));
    for (uint32_t p = 0, uid = 151; p < view.places; p++)
        if (view.modseqs[p] != 0) EXPECT_EQ(uid++, view.uids[p]);
    mbox_view_close(&view);
}

}  // namespace

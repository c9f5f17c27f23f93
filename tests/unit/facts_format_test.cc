// The formats that programs and rows share: UID sets, records of messages, facts rows, scan stamps,
// and the PROXY header.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "buf.h"
#include "facts.h"
#include "mail_stream.h"
#include "proxy.h"
#include "scan_stamp.h"
#include "uid_set.h"

namespace {
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

// ---- uid_set

class UidSet : public testing::Test {
  protected:
    void SetUp() override { uid_set_init(&set_, 8); }
    void TearDown() override { uid_set_free(&set_); }
    std::string Text()
    {
        std::string text(400, '\0');
        struct buf out;
        buf_init(&out, text.data(), text.size());
        uid_set_text(&set_, &out);
        EXPECT_FALSE(out.overflow);
        return text.substr(0, out.len);
    }
    struct uid_set set_;
};

TEST_F(UidSet, AddMergesWhatTouches)
{
    const struct { uint32_t first, last; const char *then; } steps[] = {
        {5, 7, "5:7"},         {9, 9, "5:7,9"},         {8, 8, "5:9"},
        {1, 1, "1,5:9"},       {3, 3, "1,3,5:9"},       {2, 4, "1:9"},
        {20, 30, "1:9,20:30"}, {15, 40, "1:9,15:40"},   {16, 17, "1:9,15:40"},
        {11, 13, "1:9,11:13,15:40"}, {4294967295u, 4294967295u, "1:9,11:13,15:40,4294967295"},
        {41, 4294967294u, "1:9,11:13,15:4294967295"},   {1, 4294967295u, "1:4294967295"},
    };
    for (const auto &step : steps) {
        ASSERT_EQ(ERR_OK, uid_set_add(&set_, step.first, step.last).code);
        EXPECT_EQ(step.then, Text());
    }
    EXPECT_EQ(4294967295u, uid_set_count(&set_));
}

TEST_F(UidSet, BadRangesAndTooManyLeaveItAsItWas)
{
    EXPECT_EQ(ERR_SYNTAX, uid_set_add(&set_, 0, 4).code);
    EXPECT_EQ(ERR_SYNTAX, uid_set_add(&set_, 5, 4).code);
    for (uint32_t i = 0; i < 8; i++) ASSERT_EQ(ERR_OK, uid_set_add(&set_, 2 * i + 1, 2 * i + 1).code);
    std::string before = Text();
    EXPECT_EQ(ERR_TOO_BIG, uid_set_add(&set_, 100, 100).code);
    EXPECT_EQ(before, Text());
    EXPECT_EQ(ERR_OK, uid_set_add(&set_, 16, 16).code); // it makes one longer
}

TEST_F(UidSet, Remove)
{
    const struct { uint32_t first, last; const char *then; } cases[] = {
        {12, 12, "1:9,11,13,20:30,40"}, {1, 9, "11:13,20:30,40"},  {5, 25, "1:4,26:30,40"},
        {10, 10, "1:9,11:13,20:30,40"}, {41, 4294967295u, "1:9,11:13,20:30,40"},
        {1, 4294967295u, ""},           {40, 40, "1:9,11:13,20:30"}, {9, 11, "1:8,12:13,20:30,40"},
        {0, 0, "1:9,11:13,20:30,40"},   {9, 8, "1:9,11:13,20:30,40"},
    };
    for (const auto &c : cases) {
        uid_set_remove(&set_, 1, 4294967295u);
        for (auto [first, last] : {std::pair<uint32_t, uint32_t>{1, 9}, {11, 13}, {20, 30}, {40, 40}}) {
            ASSERT_EQ(ERR_OK, uid_set_add(&set_, first, last).code);
        }
        uid_set_remove(&set_, c.first, c.last);
        EXPECT_EQ(c.then, Text()) << c.first << ':' << c.last;
    }
}

TEST_F(UidSet, AgreesWithASlowOne)
{
    std::vector<bool> model(64);
    uint32_t random = 1;
    uid_set_free(&set_);
    uid_set_init(&set_, 64);
    for (int i = 0; i < 5000; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t first = 1 + (random >> 8) % 60, last = first + (random >> 16) % (63 - first + 1);
        bool add = random >> 31;
        if (add) ASSERT_EQ(ERR_OK, uid_set_add(&set_, first, last).code);
        else uid_set_remove(&set_, first, last);
        for (uint32_t uid = first; uid <= last; uid++) model[uid] = add;
        uint32_t position = 0;
        for (uint32_t uid = 1; uid < 64; uid++) {
            ASSERT_EQ(model[uid], uid_set_has(&set_, uid));
            if (model[uid]) {
                position++;
                ASSERT_EQ(uid, uid_set_at(&set_, position));
            }
            ASSERT_EQ(model[uid] ? position : 0, uid_set_position(&set_, uid));
        }
        ASSERT_EQ(position, uid_set_count(&set_));
        ASSERT_EQ(0u, uid_set_at(&set_, position + 1));
        struct uid_set copy;
        uid_set_init(&copy, 64);
        ASSERT_EQ(ERR_OK, uid_set_read(&copy, uid_set_bytes(&set_)).code);
        uid_set_free(&copy);
    }
}

TEST_F(UidSet, ReadRefuses)
{
    ASSERT_EQ(ERR_OK, uid_set_add(&set_, 5, 6).code);
    using Bytes = std::vector<uint32_t>;
    const struct { Bytes words; size_t cut; enum err_code code; } cases[] = {
        {{1, 2}, 1, ERR_SYNTAX},       {{0, 2}, 0, ERR_SYNTAX},       {{3, 2}, 0, ERR_SYNTAX},
        {{1, 2, 3, 4}, 0, ERR_SYNTAX}, {{1, 2, 2, 4}, 0, ERR_SYNTAX}, {{5, 6, 1, 2}, 0, ERR_SYNTAX},
        {{1, 4294967295u, 1, 1}, 0, ERR_SYNTAX}, {Bytes(18, 7), 0, ERR_TOO_BIG},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.code, uid_set_read(&set_, span_of(c.words.data(), c.words.size() * 4 - c.cut)).code);
        EXPECT_EQ("5:6", Text());
    }
    EXPECT_EQ(ERR_OK, uid_set_read(&set_, span_of(nullptr, 0)).code);
    EXPECT_EQ("", Text());
}

TEST_F(UidSet, WalkOnBytes)
{
    const uint32_t words[] = {3, 5, 9, 9};
    struct span bytes = span_of(words, sizeof(words));
    const struct { uint32_t uid; bool there; } cases[] = {
        {1, false}, {3, true}, {3, true}, {5, true}, {6, false}, {9, true}, {10, false}, {11, false}};
    size_t at = 0;
    for (const auto &c : cases) EXPECT_EQ(c.there, uid_set_walk(bytes, &at, c.uid)) << c.uid;
}

// ---- mail_stream

std::string Written(const struct mail_record &record)
{
    std::string head(mail_record_head_bytes(&record), '\0');
    mail_record_head(&record, head.data());
    if (record.items & MAIL_RECORD_BODY) head.append(record.body.ptr, record.body.len);
    return head;
}

TEST(MailStream, EveryItemsComesBackByteByByte)
{
    for (unsigned items = 0; items < 8; items++) {
        struct mail_record record = {}, got;
        record.items = static_cast<uint8_t>(items);
        record.uid = 7, record.flags = 1ull << 63, record.modseq = 12345678901234;
        record.internaldate_ms = 1, record.savedate_ms = 2, record.size = 3;
        record.email_id = 4, record.thread_id = 5;
        record.facts = SPAN("facts"), record.body = SPAN("body");
        std::string bytes = Written(record) + "next";
        size_t whole = bytes.size() - 4, used = 0, need = 0;
        for (size_t len = 0; len < whole; len++) {
            ASSERT_EQ(MAIL_RECORD_MORE, mail_record_take(span_of(bytes.data(), len), &got, &used, &need));
            ASSERT_EQ(len < 4 ? 0 : whole, need);
        }
        ASSERT_EQ(MAIL_RECORD_OK, mail_record_take(S(bytes), &got, &used, &need));
        EXPECT_EQ(whole, used);
        EXPECT_EQ(items, got.items);
        EXPECT_EQ(7u, got.uid);
        EXPECT_EQ(1ull << 63, got.flags);
        EXPECT_EQ(12345678901234u, got.modseq);
        EXPECT_EQ(items & MAIL_RECORD_DATES ? 5u : 0u, got.thread_id);
        EXPECT_EQ(items & MAIL_RECORD_FACTS ? 5u : 0u, got.facts.len);
        EXPECT_EQ(items & MAIL_RECORD_BODY ? 4u : 0u, got.body.len);

        size_t head = mail_record_head_bytes(&record);
        if (items == MAIL_RECORD_BODY) EXPECT_EQ(size_t(MAIL_RECORD_BEFORE_BODY_BYTES), head);
        for (size_t len = 0; len < head; len++) {
            ASSERT_EQ(MAIL_RECORD_MORE, mail_record_begin(span_of(bytes.data(), len), &got, &used));
        }
        for (size_t len : {head, head + 1, bytes.size()}) {
            got = {}, used = 0;
            ASSERT_EQ(MAIL_RECORD_OK, mail_record_begin(span_of(bytes.data(), len), &got, &used));
            EXPECT_EQ(head, used);
            EXPECT_EQ(7u, got.uid);
            EXPECT_EQ(items & MAIL_RECORD_BODY ? 4u : 0u, got.body.len);
            EXPECT_EQ(nullptr, got.body.ptr);
        }
    }
}

TEST(MailStream, BadRecords)
{
    struct mail_record record = {}, got;
    record.items = MAIL_RECORD_FACTS | MAIL_RECORD_BODY;
    record.facts = SPAN("facts"), record.body = SPAN("body");
    const std::string good = Written(record);
    auto changed = [&](size_t at, unsigned char to) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(to);
        return bytes;
    };
    const std::string cases[] = {
        changed(0, 20),  // shorter than its fixed part
        changed(3, 255), // longer than any record
        changed(4, 8),   // an item of a later version
        changed(4, 0),   // bytes left over
        changed(25, 200), // facts longer than the record
        changed(34, 5),  // a body one byte longer than the record
        changed(34, 3),
    };
    for (const auto &bytes : cases) {
        size_t used = 0, need = 0;
        EXPECT_EQ(MAIL_RECORD_BAD, mail_record_take(S(bytes), &got, &used, &need));
        EXPECT_EQ(MAIL_RECORD_BAD, mail_record_begin(S(bytes), &got, &used));
    }
    // What can be said early is said early, so that a reader keeps no junk waiting for more.
    size_t used = 0;
    EXPECT_EQ(MAIL_RECORD_BAD, mail_record_begin(S(changed(3, 255).substr(0, 4)), &got, &used));
    EXPECT_EQ(MAIL_RECORD_BAD, mail_record_begin(S(changed(4, 8).substr(0, 5)), &got, &used));
}

// ---- scan_stamp

TEST(ScanStamp, ComesBack)
{
    struct scan_stamp stamp = {}, got;
    stamp.verdict = 1, stamp.why = SCAN_WHY_SCANNED, stamp.scanned_ms = 1ull << 40;
    stamp.signatures_ms = 77, stamp.engine = 0xdeadbeef, stamp.parts_removed = 3;
    char bytes[SCAN_STAMP_BYTES];
    scan_stamp_write(&stamp, bytes);
    ASSERT_EQ(ERR_OK, scan_stamp_read(span_of(bytes, sizeof(bytes)), &got).code);
    EXPECT_EQ(1ull << 40, got.scanned_ms);
    EXPECT_EQ(0xdeadbeef, got.engine);
    EXPECT_EQ(3, got.parts_removed);
    EXPECT_TRUE(scan_stamp_lets_in(&got));
    const struct { size_t at, len; char value; enum err_code code; } bad[] = {
        {0, 26, 2, ERR_UNSUPPORTED}, {0, 26, 0, ERR_SYNTAX}, {2, 26, 4, ERR_SYNTAX},
        {3, 26, 1, ERR_SYNTAX},      {3, 25, 0, ERR_SYNTAX}, {3, 0, 0, ERR_SYNTAX},
    };
    for (const auto &b : bad) {
        std::string changed(bytes, sizeof(bytes));
        changed[b.at] = b.value;
        EXPECT_EQ(b.code, scan_stamp_read(span_of(changed.data(), b.len), &got).code) << b.at;
    }
    EXPECT_EQ(ERR_SYNTAX, scan_stamp_read(S(std::string(bytes, 26) + "x"), &got).code);
}

TEST(ScanStamp, WhoGetsIn)
{
    const struct { uint8_t verdict, why; bool in; } cases[] = {
        {0, SCAN_WHY_SCANNED, false}, {1, SCAN_WHY_SCANNED, true}, {2, SCAN_WHY_SCANNED, false},
        {3, SCAN_WHY_SCANNED, true},  {0, SCAN_WHY_OFF, true},     {0, SCAN_WHY_OURS, true},
        {0, SCAN_WHY_OPEN, true},     {9, SCAN_WHY_SCANNED, false},
    };
    for (const auto &c : cases) {
        struct scan_stamp stamp = {};
        stamp.verdict = c.verdict, stamp.why = c.why;
        EXPECT_EQ(c.in, scan_stamp_lets_in(&stamp) != 0);
    }
}

// ---- facts

struct Part { uint8_t level, kind; uint16_t section; uint32_t header_at, body_at, end_at; };

std::string Row(const std::vector<Part> &parts, const std::string &structure = "(x)")
{
    std::string records;
    for (const auto &p : parts) {
        char bytes[FACTS_PART_BYTES];
        struct facts_part part = {p.level, p.kind, FACTS_ENCODING_7BIT, p.section, p.header_at, p.body_at, p.end_at, 1};
        facts_part_write(&part, bytes);
        records.append(bytes, sizeof(bytes));
    }
    struct facts facts = {};
    facts.flags = FACTS_ATTACHMENT, facts.date_ms = -5, facts.lines = 3, facts.header_bytes = 10;
    facts.parts_count = static_cast<uint16_t>(parts.size());
    facts.envelope = SPAN("(e)"), facts.structure = S(structure), facts.fields = SPAN("A: b\r\n");
    facts.preview = SPAN("hello"), facts.parts = S(records);
    std::string row(facts_bytes(&facts), '\0');
    facts_write(&facts, row.data());
    return row;
}

TEST(Facts, ComesBackAndEveryCutIsSeen)
{
    std::string row = Row({{0, FACTS_PART_LEAF, 1, 0, 10, 20}});
    struct facts facts;
    ASSERT_EQ(ERR_OK, facts_read(S(row), &facts).code);
    EXPECT_EQ(-5, facts.date_ms);
    EXPECT_EQ(FACTS_ATTACHMENT, facts.flags);
    EXPECT_TRUE(span_eq(SPAN("(e)"), facts.envelope));
    EXPECT_TRUE(span_eq(SPAN("hello"), facts.preview));
    EXPECT_EQ(20u, facts_part_at(&facts, 0).end_at);
    for (size_t len = 0; len < row.size(); len++) {
        EXPECT_EQ(ERR_CORRUPT, facts_read(span_of(row.data(), len), &facts).code);
    }
    EXPECT_EQ(ERR_CORRUPT, facts_read(S(row + "x"), &facts).code);
    row[0] = 2;
    EXPECT_EQ(ERR_UNSUPPORTED, facts_read(S(row), &facts).code);
    row[0] = 0;
    EXPECT_EQ(ERR_CORRUPT, facts_read(S(row), &facts).code);
}

TEST(Facts, PiecesAreLeftOut)
{
    std::string row = Row({{0, FACTS_PART_LEAF, 1, 0, 10, 20}});
    for (uint32_t pieces = 0; pieces <= FACTS_PIECES_ALL + 1; pieces++) {
        struct facts whole, less;
        ASSERT_EQ(ERR_OK, facts_read(S(row), &whole).code);
        struct facts cut = whole;
        facts_leave_out(&cut, pieces);
        std::string short_row(facts_bytes(&cut), '\0');
        facts_write(&cut, short_row.data());
        ASSERT_EQ(ERR_OK, facts_read(S(short_row), &less).code) << pieces;
        const struct { uint32_t piece; struct span before, after; } each[] = {
            {FACTS_PIECE_ENVELOPE, whole.envelope, less.envelope},
            {FACTS_PIECE_STRUCTURE, whole.structure, less.structure},
            {FACTS_PIECE_FIELDS, whole.fields, less.fields},
            {FACTS_PIECE_PREVIEW, whole.preview, less.preview},
            {FACTS_PIECE_PARTS, whole.parts, less.parts},
        };
        for (const auto &e : each) {
            ASSERT_GT(e.before.len, 0u) << e.piece;
            EXPECT_TRUE(span_eq((pieces & e.piece) != 0 ? SPAN("") : e.before, e.after)) << pieces << ' ' << e.piece;
        }
        EXPECT_EQ((pieces & FACTS_PIECE_PARTS) != 0 ? 0 : 1, less.parts_count) << pieces;
        EXPECT_EQ(whole.date_ms, less.date_ms);
        EXPECT_EQ(whole.flags, less.flags);
        EXPECT_EQ(whole.header_bytes, less.header_bytes);
    }
}

struct SectionCase { std::vector<uint32_t> path; enum facts_section what; int64_t from, to; };

void CheckSections(const std::string &row, const std::vector<SectionCase> &cases)
{
    struct facts facts;
    ASSERT_EQ(ERR_OK, facts_read(S(row), &facts).code);
    for (const auto &c : cases) {
        uint32_t from = 0, to = 0;
        struct err err = facts_section_find(&facts, c.path.data(), c.path.size(), c.what, 1000, &from, &to);
        std::string name;
        for (uint32_t number : c.path) name += std::to_string(number) + ".";
        EXPECT_EQ(c.from < 0 ? ERR_NOT_FOUND : ERR_OK, err.code) << name << c.what;
        if (c.from < 0 || err.code != ERR_OK) continue;
        EXPECT_EQ(c.from, from) << name << c.what;
        EXPECT_EQ(c.to, to) << name << c.what;
    }
}

constexpr auto kAll = FACTS_SECTION_ALL, kHeader = FACTS_SECTION_HEADER, kText = FACTS_SECTION_TEXT,
               kMime = FACTS_SECTION_MIME;

// The example of RFC 3501 6.4.5, as far as it goes: 1 text, 2 application, 3 message (3.1 text, 3.2
// application), 4 multipart (4.1 image, 4.2 message with 4.2.1 text, 4.2.2 multipart of 4.2.2.1).
TEST(Facts, SectionsOfTheExample)
{
    const std::string row = Row({
        {0, FACTS_PART_MULTI, 1, 0, 10, 990},    {1, FACTS_PART_LEAF, 1, 20, 30, 40},
        {1, FACTS_PART_LEAF, 2, 50, 60, 70},     {1, FACTS_PART_RFC822, 3, 80, 90, 200},
        {2, FACTS_PART_MULTI, 1, 90, 100, 200},  {3, FACTS_PART_LEAF, 1, 110, 120, 130},
        {3, FACTS_PART_LEAF, 2, 140, 150, 160},  {1, FACTS_PART_MULTI, 4, 210, 220, 900},
        {2, FACTS_PART_LEAF, 1, 230, 240, 250},  {2, FACTS_PART_RFC822, 2, 260, 270, 800},
        {3, FACTS_PART_MULTI, 1, 270, 280, 800}, {4, FACTS_PART_LEAF, 1, 290, 300, 310},
        {4, FACTS_PART_MULTI, 2, 320, 330, 700}, {5, FACTS_PART_LEAF, 1, 340, 350, 360},
    });
    CheckSections(row, {
        {{}, kAll, 0, 1000},        {{}, kHeader, 0, 10},        {{}, kText, 10, 990},
        {{1}, kAll, 30, 40},        {{1}, kMime, 20, 30},        {{1}, kHeader, -1, -1},
        {{1}, kText, -1, -1},       {{2}, kAll, 60, 70},         {{3}, kAll, 90, 200},
        {{3}, kMime, 80, 90},       {{3}, kHeader, 90, 100},     {{3}, kText, 100, 200},
        {{3, 1}, kAll, 120, 130},   {{3, 1}, kMime, 110, 120},   {{3, 2}, kAll, 150, 160},
        {{3, 3}, kAll, -1, -1},     {{4}, kAll, 220, 900},       {{4}, kHeader, -1, -1},
        {{4, 1}, kMime, 230, 240},  {{4, 2}, kHeader, 270, 280}, {{4, 2}, kText, 280, 800},
        {{4, 2, 1}, kAll, 300, 310}, {{4, 2, 2}, kAll, 330, 700}, {{4, 2, 2, 1}, kAll, 350, 360},
        {{4, 2, 2, 1, 1}, kAll, -1, -1}, {{5}, kAll, -1, -1},    {{0}, kAll, -1, -1},
        {{1, 1}, kAll, -1, -1},     {{4294967295u}, kAll, -1, -1},
    });
}

TEST(Facts, SectionsOfMessagesWithoutAMultipart)
{
    CheckSections(Row({{0, FACTS_PART_LEAF, 1, 0, 10, 990}}), {
        {{1}, kAll, 10, 990}, {{1}, kMime, 0, 10}, {{1, 1}, kAll, -1, -1}, {{2}, kAll, -1, -1},
        {{1}, kHeader, -1, -1}});
    // A message that is a message: 1 is the embedded one, 1.1 its text.
    CheckSections(Row({{0, FACTS_PART_RFC822, 1, 0, 10, 990}, {1, FACTS_PART_LEAF, 1, 10, 20, 990}}), {
        {{1}, kAll, 10, 990}, {{1}, kHeader, 10, 20}, {{1}, kText, 20, 990}, {{1, 1}, kAll, 20, 990},
        {{1, 1, 1}, kAll, -1, -1}, {{1, 2}, kAll, -1, -1}});
    // In a multipart, a message with one text part.
    CheckSections(Row({{0, FACTS_PART_MULTI, 1, 0, 10, 990}, {1, FACTS_PART_RFC822, 1, 20, 30, 900},
                       {2, FACTS_PART_LEAF, 1, 30, 40, 900}}), {
        {{1}, kAll, 30, 900}, {{1, 1}, kAll, 40, 900}, {{1, 1}, kMime, 30, 40}, {{1, 1, 1}, kAll, -1, -1}});
    // A message whose inside was not listed any more.
    CheckSections(Row({{0, FACTS_PART_RFC822, 1, 0, 10, 990}}), {
        {{1}, kAll, 10, 990}, {{1}, kHeader, -1, -1}, {{1, 1}, kAll, -1, -1}});
    CheckSections(Row({}), {{{}, kHeader, -1, -1}, {{1}, kAll, -1, -1}});
}

TEST(Facts, OffsetsOutOfTheMessageAreCorrupt)
{
    for (const Part &part : {Part{0, FACTS_PART_LEAF, 1, 0, 10, 1001}, Part{0, FACTS_PART_LEAF, 1, 0, 500, 400}}) {
        std::string row = Row({part});
        struct facts facts;
        uint32_t from, to, path[] = {1};
        ASSERT_EQ(ERR_OK, facts_read(S(row), &facts).code);
        EXPECT_EQ(ERR_CORRUPT, facts_section_find(&facts, path, 1, kAll, 1000, &from, &to).code);
    }
}

TEST(Facts, BasicStructure)
{
    const struct { const char *structure, *body; } cases[] = {
        {R"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1 NIL NIL NIL NIL))", R"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1))"},
        {R"(("text" "html" ("CHARSET" "x") NIL "a \" ) b" "QP" 5 1 NIL ("INLINE" NIL) NIL NIL))",
         R"(("text" "html" ("CHARSET" "x") NIL "a \" ) b" "QP" 5 1))"},
        {R"(("IMAGE" "PNG" NIL NIL NIL "BASE64" 5 NIL ("ATTACHMENT" ("FILENAME" "x")) ("de" "en") "y"))",
         R"(("IMAGE" "PNG" NIL NIL NIL "BASE64" 5))"},
        {"(\"IMAGE\" \"PNG\" NIL NIL {4}\r\n\" )( \"8BIT\" 5 NIL NIL NIL NIL)", "(\"IMAGE\" \"PNG\" NIL NIL {4}\r\n\" )( \"8BIT\" 5)"},
        {R"((("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1 NIL NIL NIL NIL)("A" "B" NIL NIL NIL "7BIT" 5 NIL NIL NIL NIL) "MIXED" ("BOUNDARY" "x") NIL NIL NIL))",
         R"((("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)("A" "B" NIL NIL NIL "7BIT" 5) "MIXED"))"},
        {R"(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 50 (NIL "s" ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL NIL NIL) (("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1 NIL NIL NIL NIL) "MIXED" NIL NIL NIL NIL) 9 NIL NIL NIL NIL))",
         R"(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 50 (NIL "s" ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL NIL NIL) (("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1) "MIXED") 9))"},
        // Damaged ones stay as they are.
        {"", ""}, {"(", "("}, {"x", "x"}, {"((", "(("}, {R"(("TEXT" "PLAIN" NIL))", R"(("TEXT" "PLAIN" NIL))"},
        {R"(("A" "B" NIL NIL NIL "7BIT" 5) )", R"(("A" "B" NIL NIL NIL "7BIT" 5) )"},
        {R"(("A" "B" NIL NIL NIL "7BIT" 5 {9})", R"(("A" "B" NIL NIL NIL "7BIT" 5 {9})"},
        {R"(("A" "B" NIL NIL NIL "7BIT" "5)", R"(("A" "B" NIL NIL NIL "7BIT" "5)"},
    };
    for (const auto &c : cases) {
        std::string text(std::strlen(c.structure), '\0');
        struct buf out;
        buf_init(&out, text.data(), text.size());
        facts_structure_basic(span_of(c.structure, std::strlen(c.structure)), &out);
        EXPECT_FALSE(out.overflow);
        EXPECT_EQ(c.body, text.substr(0, out.len));
    }
}

TEST(Facts, KeptFields)
{
    for (const char *name : {"From", "to", "CC", "bcc", "SUBJECT", "Date", "Message-Id", "References", "In-Reply-To",
                             "Sender", "Reply-To", "Content-Type", "X-Priority", "List-Id", "Return-Path"}) {
        EXPECT_TRUE(facts_field_is_kept(span_of(name, std::strlen(name)))) << name;
    }
    for (const char *name : {"", "Received", "Fro", "Froma", "X-To", "From:", "DKIM-Signature"}) {
        EXPECT_FALSE(facts_field_is_kept(span_of(name, std::strlen(name)))) << name;
    }
}

// ---- proxy

const std::string kV2("\r\n\r\n\0\r\nQUIT\n", 12);
template <size_t n> std::string Bytes(const char (&literal)[n]) { return std::string(literal, n - 1); }

struct ProxyCase { std::string in; enum proxy_state state; enum proxy_family family; std::string source; uint16_t port; };

TEST(Proxy, WholeAndByteByByte)
{
    const std::string ip4 = Bytes("\xc0\0\x02\x01"), doc = Bytes("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
    const ProxyCase cases[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\n", PROXY_OK, PROXY_IP4, ip4, 56324},
        {"PROXY TCP4 192.0.2.1 255.255.255.255 0 65535\r\n", PROXY_OK, PROXY_IP4, ip4, 0},
        {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", PROXY_OK, PROXY_IP6, doc, 1},
        {"PROXY TCP6 2001:DB8:0:0:0:0:0:1 :: 1 2\r\n", PROXY_OK, PROXY_IP6, doc, 1},
        {"PROXY TCP6 ::ffff:192.0.2.1 1:: 1 2\r\n", PROXY_OK, PROXY_IP6, Bytes("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01"), 1},
        {"PROXY TCP6 1:2:3:4:5:6:7:8 1:2:3:4:5:6:1.2.3.4 1 2\r\n", PROXY_OK, PROXY_IP6, Bytes("\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\10"), 1},
        {"PROXY UNKNOWN\r\n", PROXY_OK, PROXY_NONE, "", 0},
        {"PROXY UNKNOWN ffff::1 whatever\r\n", PROXY_OK, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x21\x11\0\x0c\xc0\0\x02\x01\1\2\3\4\xdc\x04\0\x19"), PROXY_OK, PROXY_IP4, ip4, 56324},
        {kV2 + Bytes("\x21\x11\0\x11\xc0\0\x02\x01\1\2\3\4\xdc\x04\0\x19\x04\0\x02" "ab"), PROXY_OK, PROXY_IP4, ip4, 56324},
        {kV2 + Bytes("\x21\x21\0\x24") + doc + doc + Bytes("\0\1\0\2"), PROXY_OK, PROXY_IP6, doc, 1},
        {kV2 + Bytes("\x20\0\0\0"), PROXY_OK, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x20\x11\0\x02zz"), PROXY_OK, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x21\0\0\x03zzz"), PROXY_OK, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x21\x31\0\xd8") + std::string(216, '/'), PROXY_OK, PROXY_NONE, "", 0},
        {"EHLO x\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.7 056 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2.256 198.51.100.7 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2 198.51.100.7 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2.1.1 198.51.100.7 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2.01 198.51.100.7 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4  192.0.2.1 198.51.100.7 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.7 1 25 \r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP4 ::1 ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 192.0.2.1 ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 1::2::3 ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 1:2:3:4:5:6:7:8:: ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 1:2:3:4:5:6:7: ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 1.2.3.4:: ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 12345::1 ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY TCP6 fe80::1%eth0 ::1 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY UDP4 192.0.2.1 198.51.100.7 1 25\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY UNKNOWN\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY UNKNOWN a\rb\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"proxy UNKNOWN\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {"PROXY UNKNOWN " + std::string(100, 'x') + "\r\n", PROXY_BAD, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x31\x11\0\x0c") + std::string(12, 'x'), PROXY_BAD, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x22\x11\0\x0c") + std::string(12, 'x'), PROXY_BAD, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x21\x11\0\x0b") + std::string(11, 'x'), PROXY_BAD, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x21\x12\0\x0c") + std::string(12, 'x'), PROXY_BAD, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x21\x11\0\x10") + std::string(12, 'x') + Bytes("\x04\0\x02" "a"), PROXY_BAD, PROXY_NONE, "", 0},
        {kV2 + Bytes("\x21\0\x10\0"), PROXY_BAD, PROXY_NONE, "", 0},
    };
    for (const auto &c : cases) {
        struct proxy_header header = {};
        size_t used = 0;
        ASSERT_EQ(c.state, proxy_take(S(c.in), &header, &used)) << c.in;
        // Cut anywhere: never OK before its end, never a different end.
        enum proxy_state last = PROXY_MORE;
        for (size_t len = 0; len <= c.in.size() && last == PROXY_MORE; len++) {
            last = proxy_take(span_of(c.in.data(), len), &header, &used);
            if (len < c.in.size()) EXPECT_NE(PROXY_OK, last) << c.in << len;
        }
        EXPECT_EQ(c.state, last) << c.in;
        if (c.state != PROXY_OK) continue;
        EXPECT_EQ(c.in.size(), used);
        EXPECT_EQ(c.family, header.family);
        EXPECT_EQ(c.port, header.source_port);
        EXPECT_EQ(0, std::memcmp(c.source.data(), header.source, c.source.size())) << c.in;
        EXPECT_EQ(PROXY_OK, proxy_take(S(c.in + "EHLO"), &header, &used));
        EXPECT_EQ(c.in.size(), used);
    }
}
}  // namespace

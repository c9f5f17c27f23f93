// SORT and THREAD (RFC 5256): tables, and against the algorithm written down once more as the RFC
// has it, slowly.
#include <algorithm>
#include <list>
#include <random>
#include <sstream>

#include "mbox_fixture.h"
#include "mbox_sort.h"

namespace {
using namespace mbox_test;

std::string Quoted(const std::string &text)
{
    if (text.empty()) return "NIL";
    std::string ret = "\"";
    for (char c : text) ret += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
    return ret + "\"";
}

std::string Address(const std::string &mailbox)
{
    return mailbox.empty() ? "NIL" : "((NIL NIL " + Quoted(mailbox) + " \"example.org\"))";
}

struct Letter {
    std::string subject, id, references, reply_to, from, to, cc;
    int64_t date_ms = INT64_MIN;
    uint64_t internaldate_ms = 1000;
    uint32_t size = 100;
    uint64_t flags = 0;
};

class SortTest : public ::testing::Test {
protected:
    // Encoded words of one kind: =?utf-8?q?..?= with _ and =XX, anywhere.
    static err Decode(void *holder, span value, struct arena *arena, span *ret)
    {
        std::string in = Str(value), out;
        ++static_cast<SortTest *>(holder)->decodes;
        for (size_t at = 0; at < in.size(); at++) {
            if (in.compare(at, 10, "=?utf-8?q?") != 0) {
                out += in[at];
                continue;
            }
            auto end = in.find("?=", at + 10);
            for (at += 10; at < end; at++) {
                if (in[at] == '=') out += char(std::stoi(in.substr(at + 1, 2), nullptr, 16)), at += 2;
                else out += in[at] == '_' ? ' ' : in[at];
            }
            at = end + 1;
        }
        return arena_copy(arena, S(out), ret);
    }
    static err Content(void *, const mbox_search_mail *, mbox_search_part, span, mbox_search_sink *)
    {
        ADD_FAILURE() << "a body is read";
        return err_ok();
    }

    void SetUp() override
    {
        ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
        shard.Apply();
    }

    void Add(const Letter &letter)
    {
        Shard::Mail mail;
        mail.subject = letter.subject;
        mail.flags = letter.flags;
        mail.size = letter.size;
        mail.date_ms = letter.date_ms;
        mail.internaldate_ms = letter.internaldate_ms;
        mail.fields = letter.references.empty() ? "" : "References: " + letter.references + "\r\n";
        mail.envelope = "(NIL " + Quoted(letter.subject) + " " + Address(letter.from) + " NIL NIL " + Address(letter.to) + " " + Address(letter.cc) + " NIL " +
                        Quoted(letter.reply_to) + " " + Quoted(letter.id) + ")";
        ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", mail)) << shard.what;
        shard.Apply();
    }

    std::string Sort(std::vector<store_sort_criterion> criteria, std::vector<store_search_key> keys = {}, uint32_t below = 0)
    {
        store_sort_request request = {1, 1, 1, keys.data(), keys.size(), criteria.data(), criteria.size(), below};
        mbox_order order;
        auto context = shard.Read();
        last = mbox_sort(&context, shard.index, &request, &searcher, &order, &reply).code;
        if (last != ERR_OK) return "";
        std::string text;
        for (size_t i = 0; i < order.count; i++) text += (i > 0 ? " " : "") + std::to_string(order.numbers[i]);
        mbox_order_free(&order);
        return text;
    }
    std::string Sort(uint32_t key, bool reverse = false) { return Sort({{key, reverse}}); }

    std::string Thread(uint32_t algorithm, std::vector<store_search_key> keys = {}, uint32_t below = 0)
    {
        store_thread_request request = {1, 1, 1, keys.data(), keys.size(), algorithm, below};
        mbox_order order;
        auto context = shard.Read();
        last = mbox_threads(&context, shard.index, &request, &searcher, &order, &reply).code;
        if (last != ERR_OK) return "";
        std::string text;
        for (size_t i = 0; i < order.count; i++) {
            uint32_t one = order.numbers[i];
            bool number = one != MBOX_THREAD_OPEN && one != MBOX_THREAD_CLOSE;
            if (one != MBOX_THREAD_CLOSE && !text.empty() && isdigit(text.back())) text += ' ';
            text += number ? std::to_string(one) : one == MBOX_THREAD_OPEN ? "(" : ")";
        }
        mbox_order_free(&order);
        return text;
    }
    std::string References() { return Thread(STORE_THREAD_REFERENCES); }
    std::string Ordered() { return Thread(STORE_THREAD_ORDEREDSUBJECT); }

    Shard shard;
    const mbox_search_calls calls = {Decode, Content};
    mbox_searcher searcher = {&calls, this};
    store_search_reply reply;
    err_code last = ERR_OK;
    int decodes = 0;
};

// ---- SORT

TEST_F(SortTest, Keys)
{
    Add({.subject = "beta", .from = "Joe", .to = "x", .cc = "", .date_ms = 5000, .internaldate_ms = 9000, .size = 300});
    Add({.subject = "Re: Alpha", .from = "bob", .to = "", .cc = "z", .date_ms = -5, .internaldate_ms = 8000, .size = 100});
    Add({.subject = "ALPHA", .from = "", .to = "Y", .cc = "a", .date_ms = INT64_MIN, .internaldate_ms = 6000, .size = 200});
    Add({.subject = "", .from = "JOE", .to = "x", .cc = "", .date_ms = 5000, .internaldate_ms = 7000, .size = 200});
    EXPECT_EQ("3 4 2 1", Sort(STORE_SORT_ARRIVAL));
    EXPECT_EQ("1 2 4 3", Sort(STORE_SORT_ARRIVAL, true));
    EXPECT_EQ("2 1 4 3", Sort(STORE_SORT_DATE)); // 3 has none: its internal date
    EXPECT_EQ("3 1 4 2", Sort(STORE_SORT_DATE, true)); // equal ones stay in their order
    EXPECT_EQ("2 3 4 1", Sort(STORE_SORT_SIZE));
    EXPECT_EQ("1 3 4 2", Sort(STORE_SORT_SIZE, true));
    EXPECT_EQ("4 2 3 1", Sort(STORE_SORT_SUBJECT));
    EXPECT_EQ("1 2 3 4", Sort(STORE_SORT_SUBJECT, true));
    EXPECT_EQ("3 2 1 4", Sort(STORE_SORT_FROM));
    EXPECT_EQ("2 1 4 3", Sort(STORE_SORT_TO));
    EXPECT_EQ("1 4 3 2", Sort(STORE_SORT_CC));
    EXPECT_EQ("4 3 2 1", Sort({{STORE_SORT_SUBJECT, false}, {STORE_SORT_ARRIVAL, false}}));
    EXPECT_EQ("1 4 2 3", Sort({{STORE_SORT_FROM, true}, {STORE_SORT_SIZE, true}}));
    EXPECT_EQ("2 4 3 1", Sort({{STORE_SORT_SIZE, false}, {STORE_SORT_DATE, false}, {STORE_SORT_SIZE, true}}));
    EXPECT_EQ(0, decodes);
}

TEST_F(SortTest, SubjectsDecodedAndFolded)
{
    Add({.subject = "=?utf-8?q?Re:_?= zeta"});
    Add({.subject = "=?utf-8?q?=C3=89cole?="});                 // É
    Add({.subject = "\xc3\xa9" "cole"});                        // é
    Add({.subject = "E\xcc\x81" "COLE"});                       // E and an accent by itself
    Add({.subject = "eclair"});
    Add({.subject = "\xce\xa3\xce\xb1"});                       // Σα
    Add({.subject = "\xcf\x83\xce\x91"});                       // σΑ
    Add({.subject = "[list] Re: =?utf-8?q?eclair_(fwd)?="});
    Add({.subject = "=?utf-8?q?_[fwd:_zeta]?="});
    Add({.subject = "\xff not UTF-8"});
    EXPECT_EQ("5 8 2 3 4 1 9 6 7 10", Sort(STORE_SORT_SUBJECT));
    EXPECT_EQ(4, decodes);
}

TEST_F(SortTest, WhatIsFound)
{
    EXPECT_EQ("", Sort(STORE_SORT_SUBJECT));
    EXPECT_EQ(ERR_OK, last);
    Add({.subject = "b", .flags = MAIL_FLAG_SEEN});
    Add({.subject = "a"});
    Add({.subject = "a", .flags = MAIL_FLAG_SEEN});
    store_search_key seen = {};
    seen.op = STORE_SEARCH_FLAGS_SET, seen.number = MAIL_FLAG_SEEN;
    EXPECT_EQ("3 1", Sort({{STORE_SORT_SUBJECT, false}}, {seen}));
    EXPECT_EQ(2u, reply.count);
    EXPECT_EQ("2 1", Sort({{STORE_SORT_SUBJECT, false}}, {}, 3));
    EXPECT_EQ("", Sort({{STORE_SORT_SUBJECT, false}}, {}, 1));
    EXPECT_EQ("(1)", Thread(STORE_THREAD_REFERENCES, {seen}, 2));
}

TEST_F(SortTest, DamagedFactsAreEmptyOnes)
{
    Add({.subject = "b", .date_ms = 5});
    Shard::Mail mail;
    mail.envelope = "(broken";
    mail.internaldate_ms = 3;
    ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", mail));
    shard.Apply();
    EXPECT_EQ("2 1", Sort(STORE_SORT_SUBJECT));
    EXPECT_EQ("2 1", Sort(STORE_SORT_DATE));
    EXPECT_EQ("(2)(1)", References());
    EXPECT_EQ("(2)(1)", Ordered());
}

TEST_F(SortTest, BadRequests)
{
    Add({.subject = "a"});
    store_search_key bad = {};
    bad.op = STORE_SEARCH_NOT;
    const std::vector<store_sort_criterion> size = {{STORE_SORT_SIZE, false}};
    EXPECT_EQ("", Sort({}));
    EXPECT_EQ(ERR_SYNTAX, last);
    for (uint32_t key : {0u, 8u, UINT32_MAX}) {
        EXPECT_EQ("", Sort(key));
        EXPECT_EQ(ERR_SYNTAX, last) << key;
        EXPECT_EQ("", Thread(key == 8 ? 3 : key));
        EXPECT_EQ(ERR_SYNTAX, last) << key;
    }
    EXPECT_EQ("1", Sort(std::vector<store_sort_criterion>(MBOX_SORT_CRITERIA_MAX, size[0])));
    EXPECT_EQ("", Sort(std::vector<store_sort_criterion>(MBOX_SORT_CRITERIA_MAX + 1, size[0])));
    EXPECT_EQ(ERR_SYNTAX, last);
    EXPECT_EQ("", Sort(size, {bad}));
    EXPECT_EQ(ERR_SYNTAX, last);
    EXPECT_EQ("", Thread(STORE_THREAD_REFERENCES, {bad}));
    EXPECT_EQ(ERR_SYNTAX, last);
}

// ---- THREAD, tables

struct Threads {
    const char *name, *references, *ordered;
    std::vector<Letter> letters;
};

Letter L(const std::string &subject, int64_t date, const std::string &id, const std::string &references = "", const std::string &reply_to = "")
{
    Letter letter;
    letter.subject = subject, letter.date_ms = date, letter.id = id, letter.references = references, letter.reply_to = reply_to;
    return letter;
}

const Threads tables[] = {
    {"nothing", "", "", {}},
    {"one", "(1)", "(1)", {L("a", 1, "<1>")}},
    {"chain", "(1 2 3)", "(1 (2)(3))", {L("a", 1, "<1>"), L("Re: a", 2, "<2>", "<1>"), L("Re: a", 3, "<3>", "<1> <2>")}},
    {"chain, only two", "(1 2)", "(1 2)", {L("a", 1, "<1>"), L("Re: a", 2, "<2>", "<1>")}},
    {"branches", "(1 (2 3)(4))", "(1 (2)(3)(4))",
     {L("a", 1, "<1>"), L("Re: a", 2, "<2>", "<1>"), L("Re: a", 3, "<3>", "<1> <2>"), L("Re: a", 4, "<4>", "<1>")}},
    {"by In-Reply-To", "(1 2)", "(1)(2)", {L("a", 1, "<1>"), L("b", 2, "<2>", "", "He said <1>")}},
    {"References before In-Reply-To", "(1 3)(2)", "(1)(2)(3)", {L("a", 1, "<1>"), L("b", 2, "<2>"), L("c", 3, "<3>", "<1>", "<2>")}},
    {"References that are none", "(1 2)", "(1)(2)", {L("a", 1, "<1>"), L("b", 2, "<2>", "nothing", "<1>")}},
    {"children out of order", "(1 (3)(2))", "(1)(3)(2)", {L("a", 1, "<1>"), L("b", 9, "<2>", "<1>"), L("c", 5, "<3>", "<1>")}},
    {"a dummy above two", "((1)(2))", "(1)(2)", {L("a", 1, "<1>", "<x>"), L("b", 2, "<2>", "<x>")}},
    {"a dummy above one", "(1)", "(1)", {L("a", 1, "<1>", "<x>")}},
    {"dummies between", "(1 2)", "(1)(2)", {L("a", 1, "<1>"), L("b", 2, "<2>", "<1> <x> <y>")}},
    {"dummies above dummies", "((1)(2))", "(1)(2)", {L("a", 1, "<1>", "<x> <y>"), L("b", 2, "<2>", "<x> <z>")}},
    {"one identifier twice", "(1)(2)", "(1)(2)", {L("a", 1, "<1>"), L("b", 2, "<1>")}},
    {"one identifier twice, and an answer", "(1 3)(2)", "(1)(2)(3)", {L("a", 1, "<1>"), L("b", 2, "<1>"), L("c", 3, "<3>", "<1>")}},
    {"an answer comes first", "(2 1)", "(1)(2)", {L("a", 1, "<1>", "<2>"), L("b", 2, "<2>")}},
    {"a loop of two", "(2 1)", "(1)(2)", {L("a", 1, "<1>", "<2>"), L("b", 2, "<2>", "<1>")}},
    {"itself", "(1)", "(1)", {L("a", 1, "<1>", "<1>")}},
    {"quoted and not", "(1 2)", "(1)(2)", {L("a", 1, "<\"x.y\"@z>"), L("b", 2, "<2>", "<x.y@z>")}},
    {"no identifiers", "(1)(2)", "(1)(2)", {L("a", 1, ""), L("b", 2, "")}},
    {"by subject: a reply below", "(1 2)", "(1 2)", {L("a", 1, "<1>"), L("Re: A", 2, "<2>")}},
    {"by subject: a reply that came first", "(2 1)", "(1 2)", {L("Re: a", 1, "<1>"), L("a", 2, "<2>")}},
    {"by subject: none is a reply", "((1)(2))", "(1 2)", {L("a", 1, "<1>"), L("a", 2, "<2>")}},
    {"by subject: both are replies", "((1)(2))", "(1 2)", {L("Re: a", 1, "<1>"), L("Re: a", 2, "<2>")}},
    {"by subject: three", "((1)(2)(3))", "(1 (2)(3))", {L("a", 1, "<1>"), L("a", 2, "<2>"), L("a", 3, "<3>")}},
    {"by subject: below a dummy", "((1)(2)(3))", "(1 3)(2)", {L("a", 1, "<1>", "<x>"), L("b", 2, "<2>", "<x>"), L("Re: a", 3, "<3>")}},
    {"by subject: two dummies", "((1)(2)(3)(4))", "(1 3)(2)(4)",
     {L("a", 1, "<1>", "<x>"), L("b", 2, "<2>", "<x>"), L("a", 3, "<3>", "<y>"), L("c", 4, "<4>", "<y>")}},
    {"by subject: a thread below a thread", "(1 (2)(3 4))", "(1 (3)(4))(2)",
     {L("a", 1, "<1>"), L("b", 2, "<2>", "<1>"), L("Re: a", 3, "<3>"), L("Re: a", 4, "<4>", "<3>")}},
    {"empty subjects are not joined", "(1)(2)", "(1 2)", {L("", 1, "<1>"), L("Re:", 2, "<2>")}},
    {"dates decide, then UIDs", "(3)(1)(2)", "(3)(1)(2)", {L("a", 5, "<1>"), L("b", 5, "<2>"), L("c", 4, "<3>")}},
    {"threads by their first message", "(2)(1 3)", "(3 1)(2)", {L("a", 5, "<1>"), L("b", 4, "<2>"), L("Re: a", 3, "<3>", "<1>")}},
    {"truncated references are mended", "(1 2 3)", "(1 (2)(3))",
     {L("a", 1, "<1>"), L("Re: a", 2, "<2>", "<1>"), L("Re: a", 3, "<3>", "<2>")}},
};

TEST_F(SortTest, ThreadTables)
{
    for (const auto &table : tables) {
        Shard fresh;
        std::swap(shard.kv, fresh.kv), std::swap(shard.overlay, fresh.overlay), std::swap(shard.index, fresh.index);
        std::swap(shard.due, fresh.due), std::swap(shard.last, fresh.last), std::swap(shard.applied, fresh.applied);
        ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
        shard.Apply();
        for (const auto &letter : table.letters) Add(letter);
        EXPECT_EQ(table.references, References()) << table.name;
        EXPECT_EQ(table.ordered, Ordered()) << table.name;
    }
}

// ---- THREAD=REFERENCES as the RFC has it

struct Node {
    Node *parent = nullptr;
    std::list<Node *> children;
    const Letter *letter = nullptr;
    uint32_t uid = 0;
};

struct Reference {
    std::deque<Node> nodes;
    std::map<std::string, Node *> ids;
    Node root;

    static std::string Base(std::string subject, bool *reply)
    {
        *reply = subject.rfind("Re: ", 0) == 0;
        return *reply ? subject.substr(4) : subject;
    }
    Node *New()
    {
        nodes.emplace_back();
        return &nodes.back();
    }
    Node *Of(const std::string &id)
    {
        auto &node = ids[id];
        if (node == nullptr) node = New();
        return node;
    }
    static bool Below(const Node *node, const Node *top)
    {
        for (; node != nullptr; node = node->parent) {
            if (node == top) return true;
        }
        return false;
    }
    static void Unlink(Node *node)
    {
        if (node->parent != nullptr) node->parent->children.remove(node);
        node->parent = nullptr;
    }
    static void Link(Node *parent, Node *child)
    {
        if (Below(parent, child)) return;
        child->parent = parent;
        parent->children.push_back(child);
    }
    void One(const Letter &letter, uint32_t uid)
    {
        Node *own = letter.id.empty() ? New() : Of(letter.id);
        if (own->uid != 0) own = New();
        own->uid = uid, own->letter = &letter;
        std::istringstream refs(letter.references.empty() ? letter.reply_to : letter.references);
        Node *before = nullptr;
        for (std::string id; refs >> id;) {
            Node *node = Of(id);
            if (before != nullptr && node->parent == nullptr) Link(before, node);
            before = node;
        }
        Unlink(own);
        if (before != nullptr) Link(before, own);
    }
    static std::pair<int64_t, uint32_t> Date(const Node *node)
    {
        return node->uid == 0 ? Date(node->children.front()) : std::make_pair(node->letter->date_ms, node->uid);
    }
    static void SortBelow(Node *node)
    {
        for (Node *child : node->children) SortBelow(child);
        node->children.sort([](const Node *a, const Node *b) { return Date(a) < Date(b); });
    }
    static void Prune(Node *node, bool is_root)
    {
        for (auto it = node->children.begin(); it != node->children.end();) {
            Node *child = *it;
            Prune(child, false);
            bool goes = child->uid == 0 && (child->children.empty() || !is_root || child->children.size() == 1);
            if (!goes) {
                ++it;
                continue;
            }
            for (Node *grandchild : child->children) grandchild->parent = node;
            node->children.splice(it, child->children);
            it = node->children.erase(it);
        }
    }
    static std::string Subject(const Node *node, bool *reply)
    {
        bool of_child;
        if (node->uid == 0) return *reply = false, Subject(node->children.front(), &of_child);
        return Base(node->letter->subject, reply);
    }
    void Gather()
    {
        std::map<std::string, Node *> table;
        for (Node *one : root.children) {
            bool reply, there_reply;
            auto subject = Subject(one, &reply);
            if (subject.empty()) continue;
            auto &there = table[subject];
            if (there == nullptr) there = one;
            Subject(there, &there_reply);
            if (there->uid != 0 && (one->uid == 0 || (there_reply && !reply))) there = one;
        }
        auto all = root.children;
        for (Node *one : all) {
            bool reply, there_reply;
            auto subject = Subject(one, &reply);
            if (subject.empty() || table[subject] == one) continue;
            Node *there = table[subject];
            Subject(there, &there_reply);
            Unlink(one);
            if (there->uid == 0 && one->uid == 0) {
                for (Node *child : one->children) child->parent = there;
                there->children.splice(there->children.end(), one->children);
            } else if (there->uid == 0 || (reply && !there_reply)) {
                Link(there, one);
            } else {
                Node *dummy = New();
                Unlink(there);
                Link(&root, dummy);
                Link(dummy, one);
                Link(dummy, there);
                table[subject] = dummy;
            }
        }
    }
    static std::string Write(const Node *node)
    {
        std::string text = "(";
        for (;; node = node->children.front()) {
            if (node->uid != 0) text += (text.back() == '(' ? "" : " ") + std::to_string(node->uid);
            if (node->children.size() != 1) break;
        }
        if (!node->children.empty() && text.back() != '(') text += " ";
        for (Node *child : node->children) text += Write(child);
        return text + ")";
    }
    std::string Run(const std::vector<Letter> &letters)
    {
        for (size_t i = 0; i < letters.size(); i++) One(letters[i], uint32_t(i + 1));
        for (auto &node : nodes) {
            if (node.parent == nullptr) Link(&root, &node);
        }
        Prune(&root, true);
        SortBelow(&root);
        Gather();
        SortBelow(&root);
        std::string text;
        for (Node *node : root.children) text += Write(node);
        return text;
    }
};

TEST_F(SortTest, AsTheRfcHasIt)
{
    for (const auto &table : tables) {
        if (std::string(table.name).find("quoted") != std::string::npos || std::string(table.name).find("that are none") != std::string::npos) continue;
        auto letters = table.letters;
        for (auto &letter : letters) {
            if (letter.reply_to.rfind("He said ", 0) == 0) letter.reply_to = "<1>";
            if (letter.subject == "Re: A") letter.subject = "Re: a";
            if (letter.subject == "Re:") letter.subject = "Re: ";
        }
        EXPECT_EQ(table.references, Reference().Run(letters)) << table.name;
    }
}

TEST_F(SortTest, RandomThreads)
{
    for (unsigned seed = 0; seed < 400 && !HasFailure(); seed++) {
        std::mt19937 random(seed);
        auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
        uint32_t names = 2 + below(12), count = 1 + below(14);
        const char *subjects[] = {"a", "Re: a", "b", "Re: b", "c", "Re: c", ""};
        std::vector<Letter> letters;
        for (uint32_t i = 0; i < count; i++) {
            Letter letter;
            letter.subject = subjects[below(7)];
            letter.date_ms = below(6);
            if (below(8) > 0) letter.id = "<" + std::to_string(below(names)) + ">";
            for (auto refs = below(5); refs > 0; refs--) letter.references += (letter.references.empty() ? "<" : " <") + std::to_string(below(names)) + ">";
            if (below(3) == 0) letter.reply_to = "<" + std::to_string(below(names)) + ">";
            letters.push_back(letter);
        }
        Shard fresh;
        std::swap(shard.kv, fresh.kv), std::swap(shard.overlay, fresh.overlay), std::swap(shard.index, fresh.index);
        std::swap(shard.due, fresh.due), std::swap(shard.last, fresh.last), std::swap(shard.applied, fresh.applied);
        ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
        for (const auto &letter : letters) Add(letter);
        std::string shown;
        for (const auto &l : letters) shown += l.subject + "|" + std::to_string(l.date_ms) + "|" + l.id + "|" + l.references + "|" + l.reply_to + "\n";
        EXPECT_EQ(Reference().Run(letters), References()) << seed << "\n" << shown;
    }
}

// Each names all before it, a chain as deep as there are messages, and all of one subject.
TEST_F(SortTest, ManyInOneThread)
{
    std::string refs;
    for (int i = 0; i < 3000; i++) {
        auto id = "<" + std::to_string(i) + "@x>";
        Letter letter = L(i % 2 == 0 ? "one" : "Re: one", i, id, refs);
        refs = refs.size() > 600 ? refs.substr(refs.find('>') + 2) + " " + id : refs + (refs.empty() ? "" : " ") + id;
        Add(letter);
    }
    std::string want = "(1";
    for (int i = 2; i <= 3000; i++) want += " " + std::to_string(i);
    EXPECT_EQ(want + ")", References());
    EXPECT_EQ(0u, Ordered().find("(1 (2)(3)(4)"));
}

}  // namespace

// Several clients change one mailbox at random. What each client believes after reading the
// replies it got must be what the mailbox holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <sstream>

#include "imap_fake.h"

using namespace imap_fake;

namespace {

struct Seen {
    uint32_t uid = 0;   // 0: not told yet
    std::string flags;  // sorted words without \Recent; "?" not told yet
};

std::string Sorted(const std::string &words)
{
    std::istringstream in(words);
    std::multiset<std::string> sorted;
    for (std::string word; in >> word;) {
        if (word != "\\Recent") sorted.insert(word);
    }
    std::string ret;
    for (const auto &word : sorted) ret += word + " ";
    return ret;
}

// What a client knows, from untagged replies alone.
class Mirror {
public:
    explicit Mirror(Store *store, Cut cut, bool qresync = false) : client(store, cut), qresync(qresync)
    {
        client.Take();
        client.Say("l LOGIN alice secret\r\n");
        if (qresync) Say("ENABLE QRESYNC");
        Say("SELECT INBOX");
    }

    // One that has what another, whose connection was lost, knew. With `known` it says which UIDs,
    // and is told of no others.
    Mirror(Store *store, const Mirror &before, bool known) : client(store, Cut()), qresync(true), view(before.view), modseq(before.modseq)
    {
        std::string uids;
        client.Take();
        client.Say("l LOGIN alice secret\r\n");
        Say("ENABLE QRESYNC");
        for (const auto &seen : view) uids += (uids.empty() ? " " : ",") + std::to_string(seen.uid);
        auto last = std::to_string(view.empty() ? 1 : view.back().uid + 1);
        resync = true;
        Say("SELECT INBOX (QRESYNC (" + std::to_string(store->mailboxes.at("INBOX").uidvalidity) + " " + std::to_string(modseq) + (known ? uids : "") + "))");
        if (known) Say("UID FETCH " + last + ":* (UID FLAGS)");
        resync = false;
    }

    void Say(const std::string &command)
    {
        std::string tag = "t" + std::to_string(++count);
        Read(client.Say(tag + " " + command + "\r\n"), tag, command);
        // Who is told of UIDs has to know them.
        bool unknown = std::any_of(view.begin(), view.end(), [](const Seen &seen) { return seen.uid == 0; });
        if (qresync && !resync && unknown && command != "UID FETCH 1:* (UID FLAGS)") Say("UID FETCH 1:* (UID FLAGS)");
    }

    void Read(const std::string &replies, const std::string &tag, const std::string &command)
    {
        std::istringstream in(replies);
        bool ended = tag.empty();
        for (std::string line; std::getline(in, line);) {
            if (!line.empty() && line.back() == '\r') line.pop_back();
            // The octets of a literal are of no interest, what stands behind them is.
            for (auto brace = line.rfind('{'); !line.empty() && line.back() == '}'; brace = line.rfind('{')) {
                in.seekg(std::stol(line.substr(brace + 1)), std::ios::cur);
                std::string rest;
                std::getline(in, rest);
                line = line.substr(0, brace) + rest;
                if (!line.empty() && line.back() == '\r') line.pop_back();
            }
            if (!tag.empty() && line.rfind(tag + " ", 0) == 0) {
                ended = true;
                EXPECT_EQ(std::string::npos, line.find(" BAD ")) << command << ": " << line;
                Modseq(line);
                continue;
            }
            Untagged(line, command);
        }
        EXPECT_TRUE(ended) << command << ": " << replies;
    }

    void Untagged(const std::string &line, const std::string &command)
    {
        std::istringstream in(line);
        std::string star, what;
        size_t n = 0;
        Modseq(line);
        if (line.rfind("* VANISHED ", 0) == 0) return Vanished(line.substr(11), command);
        if (!(in >> star >> n >> what) || star != "*") return;
        if (resync) return Resync(line, n, what);
        if (what == "EXISTS") {
            ASSERT_GE(n, view.size()) << command;
            view.resize(n, Seen{0, "?"});
        } else if (what == "EXPUNGE") {
            ASSERT_TRUE(n >= 1 && n <= view.size()) << command << ": " << line;
            ASSERT_FALSE(qresync) << line;
            for (const char *never : {"FETCH", "STORE", "SEARCH"}) {
                EXPECT_NE(0u, command.rfind(never, 0)) << "EXPUNGE during " << command;
            }
            view.erase(view.begin() + static_cast<long>(n) - 1);
        } else if (what == "FETCH") {
            ASSERT_TRUE(n >= 1 && n <= view.size()) << command << ": " << line;
            auto &seen = view[n - 1];
            auto uid = line.find("UID ");
            bool asked = command.rfind("FETCH", 0) == 0 || command.rfind("STORE", 0) == 0;
            EXPECT_TRUE(!qresync || asked || uid != std::string::npos) << line;
            if (uid != std::string::npos) {
                auto told = static_cast<uint32_t>(std::stoul(line.substr(uid + 4)));
                if (seen.uid != 0) EXPECT_EQ(seen.uid, told) << command << ": " << line;
                seen.uid = told;
            }
            auto flags = line.find("FLAGS (");
            if (flags != std::string::npos) {
                auto end = line.find(')', flags);
                seen.flags = Sorted(line.substr(flags + 7, end - flags - 7));
            }
        }
    }

    // Only by HIGHESTMODSEQ: MODSEQ of single messages may run ahead of expunges not told yet.
    void Modseq(const std::string &line)
    {
        auto at = line.find("[HIGHESTMODSEQ ");
        if (at != std::string::npos) modseq = std::max<uint64_t>(modseq, std::stoull(line.substr(at + 15)));
    }

    // One not known by its UID is between those that are.
    void Vanished(std::string set, const std::string &command)
    {
        bool earlier = set.rfind("(EARLIER) ", 0) == 0;
        EXPECT_TRUE(qresync && earlier == resync) << command;
        for (const char *never : {"FETCH", "STORE", "SEARCH"}) EXPECT_NE(0u, command.rfind(never, 0)) << command;
        std::istringstream in(earlier ? set.substr(10) : set);
        for (std::string range; std::getline(in, range, ',');) {
            auto colon = range.find(':');
            unsigned long first = std::stoul(range), last = colon == std::string::npos ? first : std::stoul(range.substr(colon + 1));
            for (auto uid = first; uid <= last; uid++) {
                size_t at = 0, unknown = SIZE_MAX;
                for (; at < view.size() && (view[at].uid == 0 || view[at].uid < uid); at++) {
                    if (view[at].uid == 0) unknown = unknown == SIZE_MAX ? at : unknown;
                    else unknown = SIZE_MAX;
                }
                if (at == view.size() || view[at].uid != uid) at = unknown;
                if (at == SIZE_MAX && earlier) continue;
                ASSERT_NE(SIZE_MAX, at) << command << ": " << uid << " of VANISHED " << set;
                view.erase(view.begin() + static_cast<long>(at));
            }
        }
    }

    // While the mailbox is opened: what has changed comes by UID, behind all EXPUNGEs.
    void Resync(const std::string &line, size_t n, const std::string &what)
    {
        if (what == "EXISTS") exists = n;
        if (what != "FETCH") return;
        auto uid = static_cast<uint32_t>(std::stoul(line.substr(line.find("UID ") + 4)));
        auto flags = line.find("FLAGS (");
        auto place = std::find_if(view.begin(), view.end(), [&](const Seen &seen) { return seen.uid >= uid; });
        if (place == view.end() || place->uid != uid) place = view.insert(place, Seen{uid, "?"});
        place->flags = Sorted(line.substr(flags + 7, line.find(')', flags) - flags - 7));
    }

    Client client;
    bool qresync;
    std::vector<Seen> view;
    uint64_t modseq = 0;
    size_t exists = 0;
    bool resync = false;
    int count = 0;
    bool idle = false;
};

std::string StoreFlags(const Mailbox &mailbox, uint64_t flags)
{
    std::string words;
    if (flags & MAIL_FLAG_SEEN) words += "\\Seen ";
    if (flags & MAIL_FLAG_ANSWERED) words += "\\Answered ";
    if (flags & MAIL_FLAG_FLAGGED) words += "\\Flagged ";
    if (flags & MAIL_FLAG_DELETED) words += "\\Deleted ";
    if (flags & MAIL_FLAG_DRAFT) words += "\\Draft ";
    for (size_t i = 0; i < mailbox.keywords.size(); i++) {
        if (flags >> (MAIL_KEYWORD_BIT_FIRST + i) & 1) words += mailbox.keywords[i] + " ";
    }
    return Sorted(words);
}

// Flags as told must be right; UIDs too; all of them once they are asked for.
void Compare(const Mailbox &mailbox, const Mirror &mirror, bool all)
{
    ASSERT_EQ(mailbox.messages.size(), mirror.view.size());
    size_t n = 0;
    for (const auto &[uid, message] : mailbox.messages) {
        const auto &seen = mirror.view[n++];
        if (all || seen.uid != 0) ASSERT_EQ(uid, seen.uid) << n;
        if (all || seen.flags != "?") ASSERT_EQ(StoreFlags(mailbox, message.flags), seen.flags) << n;
    }
}

std::string RandomCommand(std::mt19937 &random, size_t exists, uint32_t uidnext)
{
    auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    std::string set = "1:*", uids = std::to_string(1 + below(uidnext)) + ":" + std::to_string(1 + below(uidnext));
    if (exists > 0) set = std::to_string(1 + below(static_cast<uint32_t>(exists))) + ":" + std::to_string(1 + below(static_cast<uint32_t>(exists)));
    const char *flags[] = {"\\Seen", "\\Flagged", "\\Deleted", "\\Deleted", "$Work", "Note", "\\Draft $Work"};
    const char *modes[] = {"FLAGS", "+FLAGS", "-FLAGS", "+FLAGS", "FLAGS.SILENT", "+FLAGS.SILENT", "-FLAGS.SILENT"};
    std::string mode = modes[below(7)], flag = flags[below(7)];
    // After .SILENT a client knows the flags of what it changed by itself; the test asks for them
    // of single messages only, so that what others changed meanwhile has to come as news.
    bool silent = mode.find("SILENT") != std::string::npos;
    switch (below(15)) {
    case 0: case 1: return "STORE " + set + " " + mode + " (" + flag + ")" + (silent ? "|FETCH 1:* FLAGS" : "");
    case 2: case 3: return "UID STORE " + uids + " " + mode + " (" + flag + ")" + (silent ? "|FETCH 1:* FLAGS" : "");
    case 4: return "EXPUNGE";
    case 5: return "UID EXPUNGE " + uids;
    case 6: return "FETCH " + set + " (UID FLAGS)";
    case 7: return "UID FETCH " + uids + " (FLAGS)";
    case 8: return "SEARCH UNDELETED " + set;
    case 9: return "UID SEARCH FLAGGED UID " + uids;
    case 10: return "UID COPY " + uids + " INBOX";
    case 11: return "UID MOVE " + uids + " Archive";
    case 12: return "APPEND INBOX (" + std::string(flags[below(4)]) + ") {3+}\r\nabc";
    case 13: return "UID FETCH " + uids + " BODY[]";
    default: return "NOOP";
    }
}

class ImapTwoSessions : public testing::TestWithParam<int> {};

TEST_P(ImapTwoSessions, BothKnowWhatIsThere)
{
    std::mt19937 random(static_cast<unsigned>(GetParam()));
    Store store;
    store.Make("Archive");
    for (int i = 0; i < 8; i++) store.Add("INBOX", "Subject: x\r\n\r\nbody");
    Mirror a(&store, Cut(), GetParam() % 4 >= 2), b(&store, Cut{SIZE_MAX, IMAP_OUT_ROOM, 9}, GetParam() % 8 >= 6);
    if (GetParam() % 2 == 1) b.Say("ENABLE CONDSTORE");
    auto &inbox = store.mailboxes.at("INBOX");
    for (int round = 0; round < 120 && !testing::Test::HasFailure(); round++) {
        Mirror &mirror = random() % 2 == 0 ? a : b;
        if (random() % 8 == 0) store.Add("INBOX", "Subject: y\r\n\r\n");
        if (random() % 12 == 0 && !inbox.messages.empty()) store.Expunge("INBOX", inbox.messages.begin()->first);
        if (mirror.idle) {
            mirror.Read(mirror.client.News(), "", "idle");
            Compare(inbox, mirror, false);
            mirror.Read(mirror.client.Say("DONE\r\n"), "", "DONE");
            mirror.idle = false;
            continue;
        }
        if (random() % 10 == 0) {
            mirror.Read(mirror.client.Say("i IDLE\r\n"), "", "IDLE");
            mirror.idle = true;
            continue;
        }
        auto command = RandomCommand(random, mirror.view.size(), inbox.uidnext);
        auto bar = command.find('|');
        mirror.Say(command.substr(0, bar));
        if (bar != std::string::npos) mirror.Say(command.substr(bar + 1));
        if (command == "NOOP") Compare(inbox, mirror, false);
    }
    for (Mirror *mirror : {&a, &b}) {
        if (mirror->idle) mirror->Read(mirror->client.Say("DONE\r\n"), "", "DONE");
        mirror->Say("NOOP");
        Compare(inbox, *mirror, false);
        mirror->Say("UID FETCH 1:* (UID FLAGS)");
        Compare(inbox, *mirror, true);
    }
}

// A client loses its connection again and again, and learns by QRESYNC what it missed.
TEST_P(ImapTwoSessions, WhatWasMissedIsToldByQresync)
{
    std::mt19937 random(static_cast<unsigned>(GetParam()) + 1000);
    Store store;
    store.Make("Archive");
    for (int i = 0; i < 8; i++) store.Add("INBOX", "Subject: x\r\n\r\nbody");
    auto &inbox = store.mailboxes.at("INBOX");
    Mirror other(&store, Cut());
    auto mirror = std::make_unique<Mirror>(&store, Cut(), true);
    mirror->Say("UID FETCH 1:* (UID FLAGS)");
    for (int round = 0; round < 30 && !testing::Test::HasFailure(); round++) {
        for (auto count = random() % 6; count > 0; count--) {
            Mirror &one = random() % 2 == 0 ? other : *mirror;
            auto command = RandomCommand(random, one.view.size(), inbox.uidnext);
            one.Say(command.substr(0, command.find('|')));
            if (command.find('|') != std::string::npos) one.Say(command.substr(command.find('|') + 1));
        }
        for (auto count = random() % 3; count > 0; count--) store.Add("INBOX", "Subject: y\r\n\r\n");
        if (random() % 2 == 0 && !inbox.messages.empty()) store.Expunge("INBOX", inbox.messages.begin()->first);
        store.trimmed = random() % 4 == 0; // when it is asked for what was expunged since
        auto after = std::make_unique<Mirror>(&store, *mirror, random() % 2 == 0);
        EXPECT_EQ(inbox.messages.size(), after->exists);
        store.trimmed = false;
        Compare(inbox, *after, true);
        mirror = std::move(after);
    }
}

INSTANTIATE_TEST_SUITE_P(, ImapTwoSessions, testing::Range(0, 100));

}  // namespace

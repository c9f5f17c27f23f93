// Events as lines and in files; what comes from outside stays within its line; metrics.
#include <gtest/gtest.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "buf.h"
#include "log.h"
#include "log_file.h"
#include "log_line.h"
#include "metrics.h"
#include "metrics_text.h"
#include "test_directory.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
struct span S(const char *s) { return span_of(s, strlen(s)); }

std::vector<std::string> Lines(const std::string &path)
{
    std::vector<std::string> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

constexpr uint64_t kTime = 1795525509123; // 2026-11-24 13:05:09.123 UTC

struct Rendered {
    std::string json, text;
};
Rendered Render(enum log_event event, std::vector<struct log_value> values, const uint8_t *trace = nullptr)
{
    std::string bytes(2 * LOG_LINE_MAX_BYTES, '\0');
    struct buf to;
    const struct log_line line = { event, trace, values.data(), values.size(), "frontend-1", kTime };
    buf_init(&to, bytes.data(), bytes.size());
    log_line_json(&line, &to);
    size_t json_len = to.len;
    log_line_text(&line, &to);
    EXPECT_FALSE(to.overflow);
    return { bytes.substr(0, json_len), bytes.substr(json_len, to.len - json_len) };
}

TEST(LogLine, RowsAreInOrder)
{
    for (unsigned i = 0; i < LOG_EVENTS; i++) {
        const struct log_row &row = log_rows[i];
        std::string keys = row.keys, text = row.text;
        size_t count = keys.empty() ? 0 : size_t(1 + std::count(keys.begin(), keys.end(), ' '));
        EXPECT_EQ(row.count, count) << row.name;
        // Each key has its place in the line for people, and each place a key.
        std::stringstream words(keys);
        for (std::string key; words >> key;) EXPECT_NE(std::string::npos, text.find("{" + key + "}")) << row.name << " " << key;
        // {program} is not among the keys: every event has it.
        size_t places = count + (text.find("{program}") != std::string::npos ? 1 : 0);
        EXPECT_EQ(places, size_t(std::count(text.begin(), text.end(), '{'))) << row.name;
        EXPECT_EQ(places, size_t(std::count(text.begin(), text.end(), '}'))) << row.name;
        for (unsigned j = 0; j < i; j++) EXPECT_STRNE(row.name, log_rows[j].name);
    }
}

TEST(LogLine, JsonAndText)
{
    setenv("TZ", "UTC", 1);
    uint8_t trace[LOG_TRACE_BYTES] = { 0xab };
    auto line = Render(LOG_EVENT_VIRUS_FOUND, { log_text(S("a@example.org")), log_text(S("b@example.org")), log_text(S("Eicar")) }, trace);
    EXPECT_EQ("{\"time\":\"2026-11-24T13:05:09.123Z\",\"level\":\"warning\",\"log\":\"security\",\"event\":\"virus-found\","
              "\"program\":\"frontend-1\",\"trace\":\"ab000000000000000000000000000000\",\"sender\":\"a@example.org\","
              "\"recipient\":\"b@example.org\",\"virus\":\"Eicar\"}\n", line.json);
    EXPECT_EQ("[24/Nov/2026 13:05:09] Found virus in mail from <a@example.org> to <b@example.org>: Eicar\n", line.text);
    auto number = Render(LOG_EVENT_LINES_LOST, { log_number(18446744073709551615ull) });
    EXPECT_NE(std::string::npos, number.json.find("\"count\":18446744073709551615}"));
    auto none = Render(LOG_EVENT_PROGRAM_READY, {});
    EXPECT_EQ("[24/Nov/2026 13:05:09] frontend-1 is ready\n", none.text);
    EXPECT_EQ("{\"time\":\"2026-11-24T13:05:09.123Z\",\"level\":\"info\",\"log\":\"operations\",\"event\":\"program-ready\","
              "\"program\":\"frontend-1\"}\n", none.json);
}

TEST(LogLine, WhatComesFromOutsideStaysInItsPlace)
{
    const struct { std::string given, text; } cases[] = {
        { "a\r\n[24/Nov/2026 13:05:09] forged", "a??[24/Nov/2026 13:05:09] forged" }, { std::string("a\0b", 3), "a?b" }, { "\x1b[2J", "?[2J" },
        { "Gr\xc3\xbc\xc3\x9f" "e", "Gr\xc3\xbc\xc3\x9f" "e" }, { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }, { "\xff", "?" }, { "\xc0\x80", "??" },
        { "\xed\xa0\x80", "???" }, { "\xc2\x85", "??" }, { "\xc2\x9b" "2J", "??2J" }, { "\xe2\x80\xa8", "???" }, { "\xe2\x80\xa9x", "???x" },
        { "\xe2\x82", "??" }, { "\xf4\x90\x80\x80", "????" }, { "\x7f", "?" }, { "{sender}", "{sender}" }, { "\"},{\"", "\"},{\"" }, { "\\", "\\" },
    };
    for (const auto &c : cases) {
        auto line = Render(LOG_EVENT_PROGRAM_STOPPED, { log_text(S(c.given)) });
        EXPECT_EQ("[24/Nov/2026 13:05:09] frontend-1 stopped: " + c.text + "\n", line.text);
        json_t *json = json_loadb(line.json.data(), line.json.size(), JSON_REJECT_DUPLICATES, nullptr);
        ASSERT_NE(nullptr, json) << line.json;
        EXPECT_EQ(c.text, json_string_value(json_object_get(json, "reason")));
        json_decref(json);
        EXPECT_EQ(1, std::count(line.json.begin(), line.json.end(), '\n'));
    }
}

TEST(LogLine, LongValuesAndLinesAreCut)
{
    for (const std::string &unit : { std::string("x"), std::string("\""), std::string("\n"), std::string("\xf0\x9f\x98\x80") }) {
        std::string one;
        while (one.size() < 3000) one += unit;
        auto cut = Render(LOG_EVENT_PROGRAM_STOPPED, { log_text(S(one)) });
        EXPECT_NE(std::string::npos, cut.text.find("...\n"));
        std::vector<struct log_value> values(LOG_VALUES_MAIL_RECEIVED, log_text(S(one)));
        auto line = Render(LOG_EVENT_MAIL_RECEIVED, values);
        EXPECT_LE(line.json.size(), size_t(LOG_LINE_MAX_BYTES));
        EXPECT_LE(line.text.size(), size_t(LOG_LINE_MAX_BYTES));
        json_t *json = json_loadb(line.json.data(), line.json.size(), 0, nullptr);
        EXPECT_NE(nullptr, json) << line.json;
        json_decref(json);
    }
}

struct log_options Options(const std::string &directory)
{
    return { directory.c_str(), "test-1", LOG_STDERR_NONE, LOG_FORMAT_BOTH, LOG_LEVEL_INFO, 0, 3 };
}

void Stopped(const std::string &reason)
{
    const struct log_value value = log_text(S(reason));
    log_event(LOG_EVENT_PROGRAM_STOPPED, nullptr, &value, 1);
}

TEST(Log, EventsGoToTheirFiles)
{
    TestDirectory d;
    std::string path = d.path + "/log";
    struct log_options options = Options(path);
    Stopped("before the start: to nowhere");
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    Stopped("one");
    const struct log_value values[] = { log_text(S("a")), log_text(S("b")), log_text(S("v")) };
    log_event(LOG_EVENT_VIRUS_FOUND, nullptr, values, 3);
    log_flush();
    ASSERT_EQ(1u, Lines(path + "/operations.log").size());
    EXPECT_NE(std::string::npos, Lines(path + "/operations.log")[0].find("test-1 stopped: one"));
    ASSERT_EQ(1u, Lines(path + "/security.log").size());
    EXPECT_EQ(2u, Lines(path + "/events.json").size());
    EXPECT_FALSE(std::filesystem::exists(path + "/mail.log"));
    // Below the level: nothing.
    options.level = LOG_LEVEL_ERROR;
    log_configure(&options);
    Stopped("two");
    log_flush();
    EXPECT_EQ(2u, Lines(path + "/events.json").size());
    options.level = LOG_LEVEL_INFO;
    log_configure(&options);
    Stopped("three");
    log_stop(); // writes what is left
    EXPECT_EQ(2u, Lines(path + "/operations.log").size());
    Stopped("after the end");
    log_stop();
    log_flush();
    log_reopen();
    EXPECT_EQ(3u, Lines(path + "/events.json").size());
    struct stat info;
    ASSERT_EQ(0, stat((path + "/events.json").c_str(), &info));
    EXPECT_EQ(0u, info.st_mode & 07);
}

TEST(Log, FilesAreOpenedAnewWhenTheyWereMovedAway)
{
    TestDirectory d;
    struct log_options options = Options(d.path);
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    Stopped("one");
    log_flush();
    std::filesystem::rename(d.path + "/operations.log", d.path + "/moved");
    Stopped("two");
    log_flush();
    EXPECT_EQ(1u, Lines(d.path + "/moved").size());
    std::filesystem::remove(d.path + "/operations.log");
    std::ofstream(d.path + "/operations.log") << "somebody else's\n";
    log_reopen();
    log_flush();
    Stopped("three");
    log_stop();
    EXPECT_EQ(1u, Lines(d.path + "/moved").size());
    EXPECT_EQ(2u, Lines(d.path + "/operations.log").size());
}

TEST(Log, WhichFilesAreWritten)
{
    const struct { enum log_format format; bool json, text; } cases[] = {
        { LOG_FORMAT_BOTH, true, true }, { LOG_FORMAT_JSON, true, false }, { LOG_FORMAT_TEXT, false, true },
    };
    for (const auto &c : cases) {
        TestDirectory d;
        struct log_options options = Options(d.path);
        options.format = c.format;
        ASSERT_EQ(ERR_OK, log_start(&options).code);
        Stopped("one");
        log_stop();
        EXPECT_EQ(c.json, std::filesystem::exists(d.path + "/events.json"));
        EXPECT_EQ(c.text, std::filesystem::exists(d.path + "/operations.log"));
    }
}

TEST(Log, FullFilesArePutAside)
{
    TestDirectory d;
    struct log_options options = Options(d.path);
    options.rotate_bytes = 1000;
    options.rotate_keep = 2;
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    for (int i = 0; i < 100; i++) {
        Stopped("number " + std::to_string(i) + std::string(100, '.'));
        log_flush();
    }
    log_stop();
    std::string newest = ReadFile(d.path + "/operations.log");
    EXPECT_NE(std::string::npos, newest.find("number 99."));
    for (const char *name : { "operations.log", "operations.log.1", "operations.log.2", "events.json.2" }) {
        EXPECT_LE(std::filesystem::file_size(d.path + "/" + name), 1000u) << name;
        EXPECT_GT(std::filesystem::file_size(d.path + "/" + name), 0u) << name;
    }
    EXPECT_FALSE(std::filesystem::exists(d.path + "/operations.log.3"));
}

// The size from which on files are put aside changes while it runs.
TEST(Log, NewLimitsAreInForceFromTheNextLineOn)
{
    TestDirectory d;
    struct log_options options = Options(d.path);
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    for (int i = 0; i < 20; i++) Stopped(std::string(100, '.'));
    log_flush();
    EXPECT_FALSE(std::filesystem::exists(d.path + "/operations.log.1"));
    options.rotate_bytes = 500;
    options.rotate_keep = 1;
    log_configure(&options);
    for (int i = 0; i < 20; i++) {
        Stopped(std::string(100, '.'));
        log_flush();
    }
    log_stop();
    EXPECT_TRUE(std::filesystem::exists(d.path + "/operations.log.1"));
    EXPECT_FALSE(std::filesystem::exists(d.path + "/operations.log.2"));
    EXPECT_LE(std::filesystem::file_size(d.path + "/operations.log"), 500u);
}

// Two programs with one directory, whose files are put aside again and again: no line is lost or
// cut, and none is written over another.
TEST(Log, ProgramsShareADirectory)
{
    constexpr int kPrograms = 3, kLines = 400;
    TestDirectory d;
    std::vector<pid_t> programs;
    for (int p = 0; p < kPrograms; p++) {
        pid_t pid = fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) {
            std::string name = "program-" + std::to_string(p);
            struct log_options options = { d.path.c_str(), name.c_str(), LOG_STDERR_NONE, LOG_FORMAT_BOTH, LOG_LEVEL_INFO, 4000, 1000 };
            if (log_start(&options).code != ERR_OK) _exit(1);
            for (int i = 0; i < kLines; i++) {
                Stopped(std::to_string(i) + std::string(size_t(i % 97), '.'));
                if (i % 3 == 0) log_flush();
            }
            log_stop();
            _exit(log_lost() == 0 ? 0 : 2);
        }
        programs.push_back(pid);
    }
    for (pid_t pid : programs) {
        int status = 0;
        ASSERT_EQ(pid, waitpid(pid, &status, 0));
        EXPECT_EQ(0, status);
    }
    std::map<std::string, std::set<int>> seen;
    int files = 0;
    for (const auto &entry : std::filesystem::directory_iterator(d.path)) {
        if (entry.path().filename().string().rfind("events.json", 0) != 0) continue;
        files++;
        for (const auto &line : Lines(entry.path())) {
            json_t *json = json_loadb(line.data(), line.size(), JSON_REJECT_DUPLICATES, nullptr);
            ASSERT_NE(nullptr, json) << entry.path() << ": " << line;
            int number = atoi(json_string_value(json_object_get(json, "reason")));
            EXPECT_TRUE(seen[json_string_value(json_object_get(json, "program"))].insert(number).second) << line;
            json_decref(json);
        }
    }
    EXPECT_GT(files, 10);
    EXPECT_EQ(size_t(kPrograms), seen.size());
    for (const auto &program : seen) EXPECT_EQ(size_t(kLines), program.second.size()) << program.first;
}

TEST(Log, ManyThreadsLoseNothingWhileThereIsRoom)
{
    TestDirectory d;
    struct log_options options = Options(d.path);
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([t] {
            for (int i = 0; i < 500; i++) Stopped(std::to_string(t) + ":" + std::to_string(i));
        });
    }
    for (auto &thread : threads) thread.join();
    log_stop();
    auto lines = Lines(d.path + "/events.json");
    EXPECT_EQ(2000u, lines.size());
    for (const auto &line : lines) {
        json_t *json = json_loadb(line.data(), line.size(), 0, nullptr);
        EXPECT_NE(nullptr, json) << line;
        json_decref(json);
    }
}

// The thread is held up by a file that is a pipe nobody reads yet.
TEST(Log, AFloodIsCountedAndSaid)
{
    TestDirectory d;
    struct log_options options = Options(d.path);
    std::string pipe = d.path + "/events.json";
    ASSERT_EQ(0, mkfifo(pipe.c_str(), 0600));
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    const std::string long_one(LOG_VALUE_MAX_BYTES, 'x');
    uint64_t said = 0, sent = 1, written = 0;
    Stopped("the first"); // once it is in its log, the thread is on its way to the pipe
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(100);
    while (Lines(d.path + "/operations.log").empty()) {
        ASSERT_LT(std::chrono::steady_clock::now(), until);
        std::this_thread::yield();
    }
    for (; log_lost() == 0 && sent < 10000; sent++) Stopped(long_one);
    for (int i = 0; i < 100; i++, sent++) Stopped(long_one);
    EXPECT_LE(sent, uint64_t(LOG_BUFFER_BYTES / LOG_VALUE_MAX_BYTES)); // the bound
    std::vector<std::string> lines;
    std::thread reader([&] { lines = Lines(pipe); });
    log_flush();
    uint64_t lost = log_lost();
    EXPECT_GE(lost, 100u);
    Stopped("the last");
    log_stop();
    reader.join();
    for (const auto &line : lines) {
        json_t *json = json_loadb(line.data(), line.size(), 0, nullptr);
        ASSERT_NE(nullptr, json);
        if (strcmp(json_string_value(json_object_get(json, "event")), "lines-lost") == 0) {
            said += uint64_t(json_integer_value(json_object_get(json, "count")));
        } else {
            written++;
        }
        json_decref(json);
    }
    EXPECT_EQ(lost, said);
    EXPECT_EQ(sent + 1, written + lost);
}

TEST(Log, WhatCannotBeWrittenDoesNotStopAnything)
{
    TestDirectory d;
    struct log_options options = Options(d.path);
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    std::filesystem::create_directory(d.path + "/operations.log"); // in the way of the file
    std::filesystem::create_directory(d.path + "/events.json");
    for (int i = 0; i < 10; i++) Stopped("x");
    log_flush();
    EXPECT_EQ(20u, log_lost());
    std::filesystem::remove(d.path + "/operations.log");
    std::filesystem::remove(d.path + "/events.json");
    Stopped("y");
    log_flush();
    log_stop();
    EXPECT_EQ(1u, Lines(d.path + "/operations.log").size());
    ASSERT_EQ(1u, Lines(d.path + "/error.log").size());
    EXPECT_NE(std::string::npos, Lines(d.path + "/error.log")[0].find("20 log lines were lost"));
}

TEST(Log, BadDirectories)
{
    TestDirectory d;
    std::ofstream(d.path + "/file") << "x";
    for (const std::string &path : { d.path + "/none/none", d.path + "/file" }) {
        struct log_options options = Options(path);
        EXPECT_EQ(ERR_IO, log_start(&options).code) << path;
    }
    const std::string empty;
    struct log_options options = Options(empty);
    EXPECT_EQ(ERR_TOO_BIG, log_start(&options).code);
    std::string long_path(2000, 'x');
    options = Options(long_path);
    EXPECT_EQ(ERR_TOO_BIG, log_start(&options).code);
    Stopped("to nowhere");
}

TEST(Log, ToStandardError)
{
    for (enum log_stderr how : { LOG_STDERR_TEXT, LOG_STDERR_JSON }) {
        struct log_options options = { nullptr, "test-1", how, LOG_FORMAT_BOTH, LOG_LEVEL_INFO, 0, 0 };
        ::testing::internal::CaptureStderr();
        ASSERT_EQ(ERR_OK, log_start(&options).code);
        Stopped("hello");
        log_stop();
        std::string said = ::testing::internal::GetCapturedStderr();
        EXPECT_EQ(how == LOG_STDERR_JSON ? '{' : '[', said[0]);
        EXPECT_NE(std::string::npos, said.find("hello"));
        EXPECT_EQ('\n', said.back());
    }
}

// ---- what is kept in memory

struct Recent {
    std::vector<std::string> users; // of login-failed
    bool missed;
    uint64_t next;
};
struct Recent ReadRecent(enum log_name name, uint64_t after, unsigned lines, size_t room = 512 * 1024)
{
    std::string bytes(room, '\0');
    struct buf to;
    buf_init(&to, bytes.data(), bytes.size());
    const struct log_recent ask = { name, after, lines };
    log_recent_put(&ask, &to);
    EXPECT_FALSE(to.overflow);
    json_t *json = json_loadb(to.bytes, to.len, 0, nullptr), *event;
    EXPECT_NE(nullptr, json) << bytes.substr(0, to.len);
    size_t i;
    Recent recent = { {}, json_is_true(json_object_get(json, "missed")),
                      uint64_t(json_integer_value(json_object_get(json, "next"))) };
    json_array_foreach(json_object_get(json, "events"), i, event) {
        recent.users.push_back(json_string_value(json_object_get(event, "user")));
    }
    json_decref(json);
    return recent;
}

void FailLogin(const std::string &user)
{
    const struct log_value values[] = { log_words("IMAP"), log_text(S(user)), log_words("192.0.2.1"), log_words("PLAIN") };
    log_event(LOG_EVENT_LOGIN_FAILED, nullptr, values, 4);
}

TEST(LogRecent, NewestLinesAndThoseBehindANumber)
{
    using Texts = std::vector<std::string>;
    EXPECT_EQ(Texts(), ReadRecent(LOG_SECURITY, 0, 10).users); // before it is started
    struct log_options options = {};
    options.program = "test-1";
    options.level = LOG_LEVEL_WARNING;
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    EXPECT_EQ(0u, ReadRecent(LOG_SECURITY, 0, 10).next);
    for (const char *user : { "a", "b", "c\n\"", "d" }) FailLogin(user);
    const struct log_value values[] = { log_words("x"), log_words("y") };
    log_event(LOG_EVENT_PROGRAM_STARTED, nullptr, values, 2); // below the level, and of another log
    auto all = ReadRecent(LOG_SECURITY, 0, 10);
    EXPECT_EQ((Texts{ "a", "b", "c?\"", "d" }), all.users);
    EXPECT_EQ((Texts{ "c?\"", "d" }), ReadRecent(LOG_SECURITY, 0, 2).users);
    EXPECT_EQ(all.next, ReadRecent(LOG_SECURITY, 0, 2).next);
    EXPECT_EQ(Texts(), ReadRecent(LOG_OPERATIONS, 0, 10).users);
    EXPECT_EQ(Texts(), ReadRecent(LOG_SECURITY, all.next, 10).users);
    EXPECT_EQ(all.next, ReadRecent(LOG_SECURITY, all.next, 10).next);
    FailLogin("e");
    FailLogin("f");
    auto more = ReadRecent(LOG_SECURITY, all.next, 1); // oldest first, so that none is passed over
    EXPECT_EQ(Texts{ "e" }, more.users);
    EXPECT_EQ(Texts{ "f" }, ReadRecent(LOG_SECURITY, more.next, 1).users);
    EXPECT_FALSE(more.missed);
    // No more than has room, the newest of them.
    EXPECT_EQ(Texts{ "f" }, ReadRecent(LOG_SECURITY, 0, 10, 400).users);
    EXPECT_EQ(Texts{ "a" }, ReadRecent(LOG_SECURITY, 1, 10, 400).users);
    EXPECT_EQ(Texts(), ReadRecent(LOG_SECURITY, 0, 10, 200).users);
    log_stop();
}

TEST(LogRecent, OldLinesMakeRoom)
{
    struct log_options options = {};
    options.program = "test-1";
    options.level = LOG_LEVEL_DEBUG;
    ASSERT_EQ(ERR_OK, log_start(&options).code);
    size_t shown = 0;
    uint64_t after = 0, first = 0;
    // Several times around, with lines of every length; what is read is always an unbroken row to the newest.
    for (unsigned i = 0; i < 3000; i++) {
        FailLogin(std::to_string(i) + std::string(i % 7 == 0 ? (i * 37) % 2000 : i % 40, '.'));
        if (i == 0) first = ReadRecent(LOG_SECURITY, 0, 10).next;
        if (i % 50 != 49) continue;
        auto recent = ReadRecent(LOG_SECURITY, 0, LOG_RECENT_LINES_MAX);
        ASSERT_FALSE(recent.users.empty());
        for (size_t j = 0; j < recent.users.size(); j++) {
            ASSERT_EQ(int(i + 1 - recent.users.size() + j), std::stoi(recent.users[j]));
        }
        auto behind = ReadRecent(LOG_SECURITY, after == 0 ? first : after, LOG_RECENT_LINES_MAX);
        ASSERT_EQ(i == 49 ? 49u : 50u, behind.users.size());
        ASSERT_FALSE(behind.missed);
        after = behind.next;
        ASSERT_EQ(recent.next, after);
        shown = recent.users.size();
    }
    EXPECT_GT(shown, 300u);
    EXPECT_LE(shown, size_t(LOG_RECENT_LINES_MAX));
    EXPECT_TRUE(ReadRecent(LOG_SECURITY, first, 10).missed);
    log_stop();
}

TEST(LogRecent, NamesOfLogs)
{
    for (unsigned i = 0; i < LOG_NAMES; i++) {
        enum log_name name = LOG_NAMES;
        EXPECT_TRUE(log_name_read(S(log_name_text(static_cast<enum log_name>(i))), &name));
        EXPECT_EQ(i, unsigned(name));
    }
    for (const char *bad : { "", "Mail", "mail ", "mai", "mails", "events", "../mail" }) {
        enum log_name name = LOG_NAMES;
        EXPECT_FALSE(log_name_read(S(bad), &name)) << bad;
        EXPECT_EQ(LOG_NAMES, name);
    }
}

TEST(Metrics, ThreadsAreAddedUpAndOutlived)
{
    int64_t before = metric_get(METRIC_SCANS, 1), open = metric_get(METRIC_CONNECTIONS_OPEN, 0);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([] {
            for (int i = 0; i < 10000; i++) metric_add(METRIC_SCANS, 1, 1);
            metric_add(METRIC_CONNECTIONS_OPEN, 0, 3);
        });
    }
    for (int i = 0; i < 100; i++) EXPECT_LE(metric_get(METRIC_SCANS, 1), before + 40000);
    for (auto &thread : threads) thread.join();
    metric_add(METRIC_CONNECTIONS_OPEN, 0, -2);
    EXPECT_EQ(before + 40000, metric_get(METRIC_SCANS, 1));
    EXPECT_EQ(open + 10, metric_get(METRIC_CONNECTIONS_OPEN, 0));
    EXPECT_EQ(0, metric_get(METRIC_SCANS, 3));
}

TEST(Metrics, TextForm)
{
    static char bytes[METRICS_TEXT_MAX_BYTES];
    for (uint64_t us : { 0, 100, 101, 2000000, 40000000 }) metric_observe_us(METRIC_SYNC_TIME, us);
    for (uint64_t size : { 0, 1, 3, 16384, 16385 }) metric_observe(METRIC_GROUP_SIZE, size);
    metric_add(METRIC_SCAN_BYTES, 0, 4096);
    metric_add(METRIC_SCANS, 4, 2);
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    metrics_put(METRICS_ALL, S("godwit_test_"), &to);
    EXPECT_FALSE(to.overflow);
    std::string text(bytes, to.len);
    for (const char *line : {
             "# HELP godwit_test_scan_bytes_total Bytes of messages scanned\n# TYPE godwit_test_scan_bytes_total counter\ngodwit_test_scan_bytes_total 4096\n",
             "godwit_test_scans_total{verdict=\"cancelled\"} 0\ngodwit_test_scans_total{verdict=\"timeout\"} 2\n",
             "# TYPE godwit_test_log_sync_seconds histogram\ngodwit_test_log_sync_seconds_bucket{le=\"0.0001\"} 2\ngodwit_test_log_sync_seconds_bucket{le=\"0.00025\"} 3\n",
             "godwit_test_log_sync_seconds_bucket{le=\"1\"} 3\ngodwit_test_log_sync_seconds_bucket{le=\"5\"} 4\ngodwit_test_log_sync_seconds_bucket{le=\"30\"} 4\n"
             "godwit_test_log_sync_seconds_bucket{le=\"+Inf\"} 5\ngodwit_test_log_sync_seconds_sum 42.000201\ngodwit_test_log_sync_seconds_count 5\n",
             "# TYPE godwit_test_log_group_entries histogram\ngodwit_test_log_group_entries_bucket{le=\"0\"} 1\ngodwit_test_log_group_entries_bucket{le=\"1\"} 2\n"
             "godwit_test_log_group_entries_bucket{le=\"2\"} 2\ngodwit_test_log_group_entries_bucket{le=\"4\"} 3\n",
             "godwit_test_log_group_entries_bucket{le=\"16384\"} 4\ngodwit_test_log_group_entries_bucket{le=\"+Inf\"} 5\ngodwit_test_log_group_entries_sum 32773\n",
             "# TYPE godwit_test_connections_open gauge\n" }) {
        EXPECT_NE(std::string::npos, text.find(line)) << line << text;
    }
    EXPECT_EQ(5, metric_get(METRIC_SYNC_TIME, 0));
    EXPECT_EQ(5, metric_get(METRIC_GROUP_SIZE, 0));
    buf_init(&to, bytes, 100);
    metrics_put(METRICS_ALL, S("godwit_test_"), &to);
    EXPECT_TRUE(to.overflow);
}

// A program shows its own rows and no others.
TEST(Metrics, RowsOfOneProgram)
{
    static char bytes[METRICS_TEXT_MAX_BYTES];
    const struct { enum metrics_of programs; const char *there, *not_there; } cases[] = {
        { METRICS_FRONTEND, "p_logins_total 0", "p_log_groups_total" },
        { METRICS_STORAGE, "p_log_groups_total 0", "p_scans_total" },
        { METRICS_SCANNER, "p_scans_total{", "p_logins_total" },
    };
    for (const auto &c : cases) {
        struct buf to;
        buf_init(&to, bytes, sizeof(bytes));
        metrics_put(c.programs, S("p_"), &to);
        std::string text(bytes, to.len);
        EXPECT_NE(std::string::npos, text.find(c.there)) << c.there;
        EXPECT_EQ(std::string::npos, text.find(c.not_there)) << c.not_there;
    }
}

TEST(Metrics, LabelsFromOutsideStayInTheirPlace)
{
    const struct { std::string given, label; } cases[] = {
        { "1.0.3/27000", "v=\"1.0.3/27000\"" }, { "a\"} 1\nb", "v=\"a_} 1_b\"" }, { "\\", "v=\"_\"" },
        { "\xff\x7f", "v=\"__\"" }, { "", "v=\"\"" }, { std::string(500, 'x'), "v=\"" + std::string(100, 'x') + "\"" },
    };
    for (const auto &c : cases) {
        char label[METRICS_LABEL_BYTES];
        metrics_text_label("v", S(c.given), label);
        EXPECT_EQ(c.label, label);
    }
}

}  // namespace

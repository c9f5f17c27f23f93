// Real mail: every message of the shared corpus has a row whose parts lie in it, decodes, and loses
// nothing but the part when one is replaced. Skipped where the corpus isn't there.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "facts.h"
#include "mime_facts.h"
#include "mime_replace.h"
#include "mime_text.h"

namespace {
namespace fs = std::filesystem;

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

std::string Crlf(const std::string &raw)
{
    std::string text;
    for (size_t i = 0; i < raw.size(); i++) {
        if (raw[i] == '\n' && (i == 0 || raw[i - 1] != '\r')) text += '\r';
        text += raw[i];
    }
    return text;
}

// A folder of its own with the archive in it, gone at the end.
class Corpus : public ::testing::Test {
protected:
    void SetUp() override
    {
        fs::path archive = fs::path(MAIL_ROOT) / ".." / "shared" / "corpus" / "dev.tar.xz";
        if (!fs::exists(archive)) GTEST_SKIP() << "no corpus at " << archive;
        std::string name = (fs::temp_directory_path() / "mime_corpus_XXXXXX").string();
        ASSERT_NE(nullptr, mkdtemp(name.data()));
        folder_ = name;
        std::string command = "tar -xJf '" + archive.string() + "' -C '" + name + "'";
        ASSERT_EQ(0, std::system(command.c_str()));
        for (const auto &entry : fs::recursive_directory_iterator(folder_)) {
            if (!entry.is_regular_file()) continue;
            std::ifstream file(entry.path(), std::ios::binary);
            std::stringstream text;
            text << file.rdbuf();
            names_.push_back(entry.path().filename().string());
            messages_.push_back(Crlf(text.str()));
        }
    }
    void TearDown() override
    {
        if (!folder_.empty()) fs::remove_all(folder_);
    }
    fs::path folder_;
    std::vector<std::string> names_, messages_;
};

void CheckParts(const struct facts &row, const std::string &message)
{
    std::vector<struct facts_part> open;
    for (size_t i = 0; i < row.parts_count; i++) {
        struct facts_part part = facts_part_at(&row, i);
        ASSERT_LE(part.level, open.size());
        ASSERT_LE(part.header_at, part.body_at);
        ASSERT_LE(part.body_at, part.end_at);
        ASSERT_LE(part.end_at, message.size());
        open.resize(part.level);
        if (!open.empty()) {
            ASSERT_NE(FACTS_PART_LEAF, open.back().kind);
            ASSERT_GE(part.header_at, open.back().body_at);
            ASSERT_LE(part.end_at, open.back().end_at);
        }
        open.push_back(part);
    }
}

void CheckReplaced(const std::string &message)
{
    char *made;
    size_t len;
    struct mime_facts_out before, after;
    struct facts was, is;
    ASSERT_EQ(ERR_OK, mime_facts(S(message), &before).code);
    ASSERT_EQ(ERR_OK, facts_read(span_of(before.row, before.row_len), &was).code);
    struct err err = mime_replace_part(S(message), SPAN("1"), SPAN("removed\r\n"), &made, &len);
    if (was.parts_count == 1 && facts_part_at(&was, 0).kind == FACTS_PART_MULTI) {
        EXPECT_EQ(ERR_NOT_FOUND, err.code); // its boundary never came
        free(before.row);
        return;
    }
    ASSERT_EQ(ERR_OK, err.code);
    ASSERT_EQ(ERR_OK, mime_facts(span_of(made, len), &after).code);
    ASSERT_EQ(ERR_OK, facts_read(span_of(after.row, after.row_len), &is).code);
    EXPECT_TRUE(span_eq(was.envelope, is.envelope));
    uint32_t from, to;
    const uint32_t path[] = {1};
    ASSERT_EQ(ERR_OK, facts_section_find(&is, path, 1, FACTS_SECTION_ALL, static_cast<uint32_t>(len),
                                         &from, &to).code);
    EXPECT_EQ("removed", std::string(made + from, to - from).substr(0, 7));
    free(before.row);
    free(after.row);
    free(made);
}

bool Count(void *holder, struct span text)
{
    *static_cast<size_t *>(holder) += text.len;
    return false;
}

TEST_F(Corpus, IsDescribed)
{
    size_t text_bytes = 0, with_parts = 0, with_threads = 0;
    for (size_t i = 0; i < messages_.size(); i++) {
        SCOPED_TRACE(names_[i]);
        const std::string &message = messages_[i];
        struct mime_facts_out out;
        struct facts row;
        ASSERT_EQ(ERR_OK, mime_facts(S(message), &out).code);
        ASSERT_EQ(ERR_OK, facts_read(span_of(out.row, out.row_len), &row).code);
        CheckParts(row, message);
        with_parts += row.parts_count > 1;
        with_threads += out.thread_id != 0;
        free(out.row);
        CheckReplaced(message);
        ASSERT_EQ(ERR_OK, mime_text_body(S(message), Count, &text_bytes).code);
    }
    EXPECT_EQ(3055u, messages_.size());
    EXPECT_LT(100u, with_parts);
    EXPECT_LT(2900u, with_threads);
    EXPECT_LT(1000000u, text_bytes);
}

}  // namespace

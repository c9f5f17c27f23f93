// Real mail: the corpus when it is there, else messages made here. Every one gives a row whose parts
// lie as they should, and GMime, which shares no code with us, finds the same parts and bytes.
#include <gtest/gtest.h>
#include <gmime/gmime.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "facts.h"
#include "mime_facts.h"
#include "mime_parts.h"

namespace {
namespace fs = std::filesystem;
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string T(struct span s) { return s.len == 0 ? "" : std::string(s.ptr, s.len); }

std::string WithCrlf(const std::string &text)
{
    std::string out;
    for (char c : text) {
        if (c == '\n' && (out.empty() || out.back() != '\r')) out += '\r';
        out += c;
    }
    return out;
}

// Messages as mail programs write them, for machines without the corpus.
std::vector<std::string> Generated()
{
    std::vector<std::string> messages;
    for (int i = 0; i < 200; i++) {
        std::string b = "=_b" + std::to_string(i), text;
        for (int k = 0; k < i % 40; k++) text += "line " + std::to_string(k) + " =E4 of text\n";
        std::string m = "From: Ann <a@example.org>\nTo: b@example.org\nSubject: " + std::to_string(i) + "\nDate: Tue, 24 Nov 2026 12:45:00 +0000\nMIME-Version: 1.0\n";
        if (i % 4 == 0) {
            messages.push_back(m + "\n" + text);
            continue;
        }
        m += "Content-Type: multipart/mixed; boundary=\"" + b + "\"\n\npreamble\n--" + b + "\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n" + text;
        if (i % 4 > 1) m += "\n--" + b + "\nContent-Type: application/octet-stream; name=x\nContent-Transfer-Encoding: base64\n\nQUJDREVG\nR0g=\n";
        if (i % 4 > 2) m += "\n--" + b + "\nContent-Type: message/rfc822\n\nSubject: in\nContent-Type: text/html\n\n<p>" + text;
        messages.push_back(m + "\n--" + b + "--\n");
    }
    return messages;
}

void ReadFolder(const fs::path &folder, std::vector<std::string> *messages)
{
    for (const auto &entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        messages->push_back({std::istreambuf_iterator<char>(file), {}});
    }
}

const std::vector<std::string> &Messages()
{
    static const std::vector<std::string> all = [] {
        std::vector<std::string> messages;
        fs::path archive = fs::path(MAIL_ROOT) / "../shared/corpus/dev.tar.xz";
        std::string folder = fs::temp_directory_path() / "mime_corpus_XXXXXX";
        if (fs::exists(archive) && mkdtemp(folder.data()) != nullptr) {
            std::string command = "tar -xJf '" + fs::canonical(archive).string() + "' -C '" + folder + "'";
            if (system(command.c_str()) == 0) ReadFolder(folder, &messages);
            fs::remove_all(folder);
        }
        if (messages.empty()) messages = Generated();
        for (auto &message : messages) message = WithCrlf(message);
        return messages;
    }();
    return all;
}

void CheckParts(const std::string &message, const struct facts &facts)
{
    std::vector<struct facts_part> above;
    for (size_t i = 0; i < facts.parts_count; i++) {
        struct facts_part part = facts_part_at(&facts, i);
        ASSERT_LE(part.header_at, part.body_at);
        ASSERT_LE(part.body_at, part.end_at);
        ASSERT_LE(part.end_at, message.size());
        above.resize(part.level);
        if (!above.empty()) {
            ASSERT_GE(part.header_at, above.back().body_at);
            ASSERT_LE(part.end_at, above.back().end_at);
        }
        std::string body = message.substr(part.body_at, part.end_at - part.body_at);
        ASSERT_EQ(std::count(body.begin(), body.end(), '\n'), part.lines);
        above.push_back(part);
    }
}

TEST(MimeCorpus, EveryMessageHasARow)
{
    ASSERT_FALSE(Messages().empty());
    size_t dates = 0, previews = 0;
    for (const auto &message : Messages()) {
        struct mime_facts_out out = {};
        struct facts facts;
        ASSERT_EQ(ERR_OK, mime_facts(S(message), &out).code);
        ASSERT_EQ(ERR_OK, facts_read(span_of(out.row, out.row_len), &facts).code);
        CheckParts(message, facts);
        dates += facts.date_ms != INT64_MIN;
        previews += facts.preview.len > 0;
        free(out.row);
    }
    EXPECT_GT(dates, Messages().size() * 98 / 100);
    EXPECT_GT(previews, Messages().size() * 95 / 100);
}

// ---- GMime

using Parts = std::vector<std::pair<std::string, std::string>>; // type and decoded bytes

bool OnBegin(void *holder, const struct mime_part *part)
{
    if (part->is_uuencoded) return false;
    std::string type = T(part->type) + "/" + T(part->subtype);
    for (char &c : type) c = static_cast<char>(tolower(c));
    static_cast<Parts *>(holder)->push_back({type, ""});
    return true;
}
bool OnBytes(void *holder, struct span piece)
{
    static_cast<Parts *>(holder)->back().second += T(piece);
    return true;
}
bool OnEnd(void *) { return true; }

Parts Ours(const std::string &message)
{
    static const struct mime_parts_visitor visitor = {OnBegin, OnBytes, OnEnd};
    struct mime_parts_limits limits = {10000, 1 << 30, SIZE_MAX};
    Parts parts;
    EXPECT_EQ(ERR_OK, mime_parts_walk(S(message), &limits, &visitor, &parts).code);
    return parts;
}

void Walk(GMimeObject *object, Parts *parts)
{
    if (GMIME_IS_MULTIPART(object)) {
        for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(object)); i++) {
            Walk(g_mime_multipart_get_part(GMIME_MULTIPART(object), i), parts);
        }
    } else if (GMIME_IS_MESSAGE_PART(object)) {
        GMimeMessage *inside = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
        if (inside != nullptr && g_mime_message_get_mime_part(inside) != nullptr) Walk(g_mime_message_get_mime_part(inside), parts);
    } else if (GMIME_IS_PART(object)) {
        GMimeContentType *type = g_mime_object_get_content_type(object);
        char *name = g_mime_content_type_get_mime_type(type);
        GMimeStream *stream = g_mime_stream_mem_new();
        GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(object));
        if (content != nullptr) g_mime_data_wrapper_write_to_stream(content, stream);
        GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
        std::string lower(name);
        for (char &c : lower) c = static_cast<char>(tolower(c));
        parts->push_back({lower, std::string(reinterpret_cast<const char *>(bytes->data), bytes->len)});
        g_object_unref(stream);
        g_free(name);
    }
}

Parts Theirs(const std::string &message)
{
    Parts parts;
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(message.data(), message.size());
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *parsed = g_mime_parser_construct_message(parser, nullptr);
    if (parsed != nullptr && g_mime_message_get_mime_part(parsed) != nullptr) Walk(g_mime_message_get_mime_part(parsed), &parts);
    if (parsed != nullptr) g_object_unref(parsed);
    g_object_unref(parser);
    g_object_unref(stream);
    return parts;
}

TEST(MimeCorpus, GMimeFindsTheSameParts)
{
    g_mime_init();
    size_t same = 0;
    for (const auto &message : Messages()) {
        same += Ours(message) == Theirs(message);
    }
    g_mime_shutdown();
    // What is left has bytes in its base64 or quoted-printable that are none, and the two read on.
    EXPECT_GE(same, Messages().size() * 99 / 100) << same << " of " << Messages().size();
}
}  // namespace

/* Any bytes give a row that can be read: parts nested within the message, strings and lists of
 * ENVELOPE and BODYSTRUCTURE that balance, a BODY that is made of it, sections that lie within. */
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "facts.h"
#include "mime_facts.h"
#include "mime_replace.h"
#include "mime_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Past one string; 0 when it does not end. */
static size_t string_bytes(struct span s)
{
    size_t i = 1, len = 0;
    if (s.ptr[0] == '"') {
        while (i < s.len && s.ptr[i] != '"') {
            unsigned char c = (unsigned char)s.ptr[i];
            CHECK(c != 0 && c != '\r' && c != '\n' && c < 0x80);
            i += s.ptr[i] == '\\' ? 2 : 1;
        }
        return i < s.len ? i + 1 : 0;
    }
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9') {
        len = len * 10 + (size_t)(s.ptr[i++] - '0');
        CHECK(len <= FACTS_MAX_BYTES);
    }
    CHECK(i > 1 && s.len - i >= 3 && memcmp(s.ptr + i, "}\r\n", 3) == 0);
    CHECK(len <= s.len - i - 3);
    CHECK(len == 0 || memchr(s.ptr + i + 3, '\0', len) == NULL);
    return i + 3 + len;
}

static void list_is_whole(struct span s)
{
    size_t depth = 0, used;
    CHECK(s.len > 1 && s.ptr[0] == '(');
    while (s.len > 0) {
        char c = s.ptr[0];
        used = 1;
        if (c == '(') depth++;
        else if (c == ')') CHECK(depth-- > 0);
        else if (c == '"' || c == '{') used = string_bytes(s);
        else CHECK(c == ' ' || (c >= '0' && c <= '9') || memchr("NIL", c, 3) != NULL);
        CHECK(used > 0);
        s = span_skip(s, used);
        CHECK(depth > 0 || s.len == 0);
    }
    CHECK(depth == 0);
}

static void parts_are_nested(const struct facts *facts, struct span message)
{
    struct facts_part open[FACTS_DEPTH_MAX];
    uint32_t sibling_end[FACTS_DEPTH_MAX] = { 0 };
    unsigned level = 0;
    CHECK(facts->parts_count > 0 && facts->parts_count <= FACTS_PARTS_MAX);
    for (size_t i = 0; i < facts->parts_count; i++) {
        struct facts_part part = facts_part_at(facts, i);
        CHECK(part.level < FACTS_DEPTH_MAX && part.level <= level + 1);
        CHECK((part.level > 0) == (i > 0));
        level = part.level;
        CHECK(part.header_at <= part.body_at && part.body_at <= part.end_at);
        CHECK(part.end_at <= message.len && part.lines <= part.end_at - part.body_at);
        uint32_t lines = 0;
        for (uint32_t at = part.body_at; at < part.end_at; at++) lines += message.ptr[at] == '\n';
        CHECK(part.lines == lines);
        if (level > 0) {
            const struct facts_part *parent = &open[level - 1];
            CHECK(parent->kind != FACTS_PART_LEAF && part.section > 0);
            CHECK(part.header_at >= parent->body_at && part.end_at <= parent->end_at);
            CHECK(part.header_at >= sibling_end[level]);
        }
        sibling_end[level] = part.end_at;
        if (level + 1 < FACTS_DEPTH_MAX) sibling_end[level + 1] = 0;
        open[level] = part;
    }
}

static void sections_lie_within(const struct facts *facts, uint32_t size)
{
    for (uint32_t a = 1; a < 4; a++) {
        for (uint32_t b = 0; b < 3; b++) {
            const uint32_t path[] = { a, b };
            for (int what = FACTS_SECTION_ALL; what <= FACTS_SECTION_MIME; what++) {
                uint32_t from, to;
                struct err err = facts_section_find(facts, path, b == 0 ? 1 : 2,
                                                    (enum facts_section)what, size, &from, &to);
                CHECK(err.code == ERR_OK || err.code == ERR_NOT_FOUND);
                if (err.code == ERR_OK) CHECK(from <= to && to <= size);
            }
        }
    }
}

static void replaced(struct span message, const char *number)
{
    char *made;
    size_t len;
    struct err err = mime_replace_part(message, span_of(number, strlen(number)),
                                       SPAN("gone\r\n"), &made, &len);
    if (err.code != ERR_OK) {
        CHECK(err.code == ERR_NOT_FOUND);
        return;
    }
    CHECK(memmem(made, len, "gone\r\n", 6) != NULL);
    free(made);
}

static bool take_text(void *holder, struct span text)
{
    *(size_t *)holder += text.len;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span message = span_of(data, size);
    struct mime_facts_out out;
    struct facts facts;
    struct buf basic;
    size_t taken = 0;
    CHECK(mime_facts(message, &out).code == ERR_OK);
    CHECK(out.row_len <= FACTS_MAX_BYTES);
    CHECK(facts_read(span_of(out.row, out.row_len), &facts).code == ERR_OK);
    list_is_whole(facts.envelope);
    list_is_whole(facts.structure);
    parts_are_nested(&facts, message);
    sections_lie_within(&facts, (uint32_t)size);
    char *bytes = malloc(facts.structure.len);
    CHECK(bytes != NULL);
    buf_init(&basic, bytes, facts.structure.len);
    facts_structure_basic(facts.structure, &basic);
    CHECK(!basic.overflow && basic.len < facts.structure.len);
    list_is_whole(buf_span(&basic));
    free(bytes);
    free(out.row);
    replaced(message, "1");
    replaced(message, "2.1");
    CHECK(mime_text_header(message, take_text, &taken).code == ERR_OK);
    CHECK(mime_text_body(message, take_text, &taken).code == ERR_OK);
    return 0;
}

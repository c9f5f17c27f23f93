/* Of any bytes a row comes that can be read: its lists are well formed IMAP, BODY can be made of
 * its structure, its parts lie within each other, and every part is found by its number. */
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "facts.h"
#include "mime_facts.h"

enum { PATH_NUMBERS_MAX = FACTS_DEPTH_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Strings, literals, atoms and spaces between balanced brackets. */
static void check_list(struct span list)
{
    size_t depth = 0, at = 0;
    CHECK(list.len > 1 && list.ptr[0] == '(');
    do {
        CHECK(at < list.len);
        char c = list.ptr[at++];
        if (c == '(') depth++;
        if (c == ')') depth--;
        while (c == '"' && list.ptr[at] != '"') {
            if (list.ptr[at] == '\\') at++;
            unsigned char in = (unsigned char)list.ptr[at++];
            CHECK(at < list.len && in < 0x7f && (in >= ' ' || in == '\t'));
        }
        if (c == '"') at++;
        if (c != '{') continue;
        size_t len = 0;
        while (list.ptr[at] != '}') len = len * 10 + (size_t)(list.ptr[at++] - '0');
        CHECK(at + 3 + len < list.len && memchr(list.ptr + at + 3, 0, len) == NULL);
        at += 3 + len;
    } while (depth > 0);
    CHECK(at == list.len);
}

static void check_body(struct span structure)
{
    char *bytes = malloc(structure.len);
    struct buf out;
    CHECK(bytes != NULL);
    buf_init(&out, bytes, structure.len);
    facts_structure_basic(structure, &out);
    check_list(buf_span(&out));
    /* Extension data was there and went: else it was taken for a damaged one. */
    CHECK(!out.overflow && out.len < structure.len);
    free(bytes);
}

/* Walks the part records with a path of numbers, and asks for each part by it. */
static void check_parts(const struct facts *facts, uint32_t size)
{
    struct facts_part above[FACTS_DEPTH_MAX];
    uint32_t path[PATH_NUMBERS_MAX], from, to;
    size_t lens[FACTS_DEPTH_MAX]; /* numbers of the path, by level */
    for (size_t i = 0; i < facts->parts_count; i++) {
        struct facts_part part = facts_part_at(facts, i);
        CHECK(part.level < FACTS_DEPTH_MAX && (i > 0) == (part.level > 0));
        CHECK(part.header_at <= part.body_at && part.body_at <= part.end_at && part.end_at <= size);
        size_t len = 0;
        bool in_multi = false;
        if (i > 0) {
            struct facts_part *parent = &above[part.level - 1];
            CHECK(parent->kind != FACTS_PART_LEAF);
            CHECK(part.header_at >= parent->body_at && part.end_at <= parent->end_at);
            in_multi = parent->kind == FACTS_PART_MULTI;
            CHECK(in_multi || part.header_at == parent->body_at);
            len = lens[part.level - 1];
        }
        above[part.level] = part;
        if (in_multi || part.kind != FACTS_PART_MULTI) path[len++] = in_multi ? part.section : 1;
        lens[part.level] = len;
        if (!in_multi && part.kind == FACTS_PART_MULTI) continue;
        struct err err = facts_section_find(facts, path, len, FACTS_SECTION_ALL, size, &from, &to);
        CHECK(err.code == ERR_OK && from == part.body_at && to == part.end_at);
        err = facts_section_find(facts, path, len, FACTS_SECTION_MIME, size, &from, &to);
        CHECK(err.code == ERR_OK && from == part.header_at && to == part.body_at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mime_facts_out out;
    struct facts facts;
    CHECK(mime_facts(span_of(data, size), &out).code == ERR_OK);
    CHECK(out.row_len <= FACTS_MAX_BYTES);
    CHECK(facts_read(span_of(out.row, out.row_len), &facts).code == ERR_OK);
    check_list(facts.envelope);
    check_list(facts.structure);
    check_body(facts.structure);
    CHECK(facts.parts_count > 0 && facts_part_at(&facts, 0).end_at == size);
    check_parts(&facts, (uint32_t)size);
    free(out.row);
    return 0;
}

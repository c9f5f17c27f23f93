/* A row that is read is written back as it was; no section of it reaches out of the message; BODY
 * is never longer than the BODYSTRUCTURE that it was made from. */
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "facts.h"

enum { MESSAGE_BYTES = 1000, PATH_MAX_NUMBERS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sections(const struct facts *facts)
{
    static const enum facts_section all[] = { FACTS_SECTION_ALL, FACTS_SECTION_HEADER,
                                              FACTS_SECTION_TEXT, FACTS_SECTION_MIME };
    uint32_t path[PATH_MAX_NUMBERS];
    for (unsigned bits = 0; bits < 1u << (2 * PATH_MAX_NUMBERS); bits += 3) {
        for (unsigned i = 0; i < PATH_MAX_NUMBERS; i++) path[i] = bits >> (2 * i) & 3;
        uint32_t from, to;
        struct err err = facts_section_find(facts, path, bits % (PATH_MAX_NUMBERS + 1),
                                            all[bits / 5 % 4], MESSAGE_BYTES, &from, &to);
        if (err.code == ERR_OK) CHECK(from <= to && to <= MESSAGE_BYTES);
    }
}

static void check_structure(struct span structure)
{
    char *bytes = malloc(structure.len + 1);
    struct buf out;
    CHECK(bytes != NULL);
    buf_init(&out, bytes, structure.len);
    facts_structure_basic(structure, &out);
    CHECK(!out.overflow);
    free(bytes);
}

/* What is left of a row is a row, with the rest as it was. */
static void check_left_out(struct facts facts, uint32_t pieces)
{
    struct span envelope = facts.envelope, parts = facts.parts;
    facts_leave_out(&facts, pieces);
    size_t size = facts_bytes(&facts);
    char *row = malloc(size);
    struct facts read;
    CHECK(row != NULL);
    facts_write(&facts, row);
    CHECK(facts_read(span_of(row, size), &read).code == ERR_OK);
    CHECK(span_eq(read.envelope, pieces & FACTS_PIECE_ENVELOPE ? SPAN("") : envelope));
    CHECK(span_eq(read.parts, pieces & FACTS_PIECE_PARTS ? SPAN("") : parts));
    CHECK(read.lines == facts.lines && read.flags == facts.flags);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span row = span_of(data, size);
    struct facts facts;
    check_structure(row);
    if (facts_read(row, &facts).code != ERR_OK) return 0;
    CHECK(facts_bytes(&facts) == size);
    char *copy = malloc(size);
    CHECK(copy != NULL);
    facts_write(&facts, copy);
    CHECK(span_eq(span_of(copy, size), row));
    free(copy);
    check_structure(facts.structure);
    check_sections(&facts);
    check_left_out(facts, data[size - 1]);
    return 0;
}

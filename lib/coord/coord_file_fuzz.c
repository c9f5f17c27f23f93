/* A store that reads is changed and reads again, with that one change; the input and its copy with
 * the check sum put right both go in. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "coord_file.h"
#include "hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void change(const struct coord_rows *rows, const struct coord_row *row)
{
    char *bytes = NULL;
    size_t len = 0;
    struct coord_rows after = { 0 };
    if (coord_file_change(rows, row, &bytes, &len).code != ERR_OK) return;
    CHECK(coord_file_read(span_of(bytes, len), &after).code == ERR_OK);
    CHECK(after.revision == rows->revision + 1);
    size_t at = coord_rows_find(&after, row->key);
    bool there = at < after.count && span_eq(after.rows[at].key, row->key);
    CHECK(there == (row->value.ptr != NULL));
    if (there) CHECK(span_eq(after.rows[at].value, row->value));
    if (there) CHECK(after.rows[at].revision == after.revision);
    CHECK(coord_rows_same(&after, &after, SPAN("")));
    coord_rows_free(&after);
    free(bytes);
}

static void read_and_change(struct span in)
{
    struct coord_rows rows = { 0 };
    if (coord_file_read(in, &rows).code != ERR_OK || rows.revision == UINT64_MAX) {
        coord_rows_free(&rows);
        return;
    }
    const struct coord_row added = { SPAN("m/new"), SPAN("value"), COORD_ANY };
    change(&rows, &added);
    for (size_t i = 0; i < rows.count && i < 4; i++) {
        const struct coord_row same = { rows.rows[i].key, SPAN("value"), rows.rows[i].revision };
        const struct coord_row gone = { rows.rows[i].key, { NULL, 0 }, COORD_ANY };
        change(&rows, &same);
        change(&rows, &gone);
    }
    coord_rows_free(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_and_change(span_of(data, size));
    if (size < 4) return 0;
    char *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    uint32_t crc = hash_crc32c(0, span_of(copy, size - 4));
    for (unsigned i = 0; i < 4; i++) copy[size - 4 + i] = (char)(crc >> (8 * i) & 0xff);
    read_and_change(span_of(copy, size));
    free(copy);
    return 0;
}

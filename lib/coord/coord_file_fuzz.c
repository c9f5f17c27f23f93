/* A store that reads is changed and reads again, with that change; moved, it reads and is
 * changed no more. The input and its copy with the check sum put right both go in. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "coord_file.h"
#include "hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_item(const struct coord_store *before, const struct coord_store *after,
                       const struct coord_item *item, uint64_t lease)
{
    const struct coord_row *was = coord_rows_get(&before->rows, item->key);
    const struct coord_row *is = coord_rows_get(&after->rows, item->key);
    if (item->action == COORD_DELETE) CHECK(is == NULL);
    if (item->action == COORD_COMPARE) CHECK((is == NULL) == (was == NULL));
    if (item->action != COORD_PUT) return;
    CHECK(is != NULL && span_eq(is->value, item->value));
    CHECK(is->revision == after->rows.revision);
    CHECK(after->leases[is - after->rows.rows] == lease);
}

static void change(const struct coord_store *store, const struct coord_change *change)
{
    char *bytes = NULL;
    size_t len = 0;
    struct coord_store after;
    const uint64_t leases[] = { 0, 7, 0 };
    if (coord_file_change(store, change, leases, &bytes, &len).code != ERR_OK) return;
    CHECK(store->moved.len == 0);
    CHECK(coord_file_read(span_of(bytes, len), &after).code == ERR_OK);
    CHECK(after.rows.revision == store->rows.revision + 1);
    for (size_t i = 0; i < change->count; i++) {
        check_item(store, &after, &change->items[i], leases[i]);
    }
    CHECK(coord_rows_same(&after.rows, &after.rows, SPAN("")));
    coord_store_free(&after);
    free(bytes);
}

static void move(const struct coord_store *store)
{
    char *bytes = NULL;
    size_t len = 0;
    struct coord_store after;
    if (coord_file_move(store, SPAN("endpoint=x"), &bytes, &len).code != ERR_OK) return;
    CHECK(coord_file_read(span_of(bytes, len), &after).code == ERR_OK);
    CHECK(span_eq(after.moved, SPAN("endpoint=x")));
    CHECK(coord_rows_same(&after.rows, &store->rows, SPAN("")));
    const struct coord_item item = { .key = SPAN("m/new"), .revision = COORD_ANY };
    const struct coord_change more = { .items = &item, .count = 1 };
    const uint64_t leases[] = { 0 };
    char *none = NULL;
    size_t none_len = 0;
    CHECK(coord_file_change(&after, &more, leases, &none, &none_len).code == ERR_MOVED);
    coord_store_free(&after);
    free(bytes);
}

static void read_and_change(struct span in)
{
    struct coord_store store;
    if (coord_file_read(in, &store).code != ERR_OK) return;
    struct coord_item items[3] = {
        { .key = SPAN("m/new"), .value = SPAN("value"), .revision = COORD_ANY },
        { .key = SPAN("a"), .value = SPAN(""), .revision = COORD_ANY },
        { .key = SPAN("z"), .revision = COORD_ANY, .action = COORD_DELETE },
    };
    const struct coord_change three = { .items = items, .count = 3 };
    const struct coord_change one = { .items = items, .count = 1 };
    if (store.rows.revision != UINT64_MAX) {
        change(&store, &three);
        move(&store);
    }
    for (size_t i = 0; i < store.rows.count && i < 4 && store.rows.revision != UINT64_MAX; i++) {
        items[0].key = store.rows.rows[i].key;
        items[0].revision = store.rows.rows[i].revision;
        change(&store, &one);
        items[0].action = i % 2 == 0 ? COORD_DELETE : COORD_COMPARE;
        change(&store, &one);
        items[0].action = COORD_PUT;
    }
    coord_store_free(&store);
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

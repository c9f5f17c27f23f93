/* Tokens lie within the command, the cursor never goes back nor past the end, a failure leaves it
 * in the command; a set that was taken reads the same as what uid_set makes of it again. */
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "imap_date.h"
#include "imap_match.h"
#include "imap_put.h"
#include "imap_token.h"
#include "uid_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_set(struct span text)
{
    struct uid_set set;
    bool star;
    uid_set_init(&set, IMAP_SET_RANGES_MAX);
    struct err err = imap_set_read(text, 77, &set, &star);
    CHECK(err.code == ERR_OK || err.code == ERR_TOO_BIG);
    for (size_t i = 0; err.code == ERR_OK && i < set.count; i++) {
        CHECK(set.ranges[i].first >= 1 && set.ranges[i].first <= set.ranges[i].last);
        CHECK(i == 0 || set.ranges[i].first - 1 > set.ranges[i - 1].last);
    }
    uid_set_free(&set);
}

static void check_string(struct span string, struct arena *arena)
{
    static char bytes[2 * 65536 + 64];
    struct buf out;
    struct span back;
    if (string.len > 65536) return;
    buf_init(&out, bytes, sizeof(bytes));
    imap_put_string(&out, string);
    CHECK(!out.overflow);
    struct imap_cursor cursor = { .in = buf_span(&out), .arena = arena };
    CHECK(imap_take_string(&cursor, &back).code == ERR_OK && span_eq(string, back));
    CHECK(imap_at_end(&cursor));
}

static void take_one(struct imap_cursor *cursor, unsigned kind)
{
    struct span span = { NULL, 0 };
    uint64_t number;
    uint32_t small;
    struct err err;
    switch (kind) {
    case 0: err = imap_take_tag(cursor, &span); break;
    case 1: err = imap_take_atom(cursor, &span); break;
    case 2: err = imap_take_astring(cursor, &span); break;
    case 3: err = imap_take_list_mailbox(cursor, &span); break;
    case 4: err = imap_take_nstring(cursor, &span); break;
    case 5: err = imap_take_number(cursor, &small); break;
    case 6: err = imap_take_number64(cursor, &number); break;
    case 7: err = imap_take_flag(cursor, &span); break;
    case 8: err = imap_take_set(cursor, &span); break;
    case 9: err = imap_take_date(cursor, &number); break;
    case 10: err = imap_take_date_time(cursor, &number); break;
    default: err = imap_take_string(cursor, &span); break;
    }
    if (err.code != ERR_OK) {
        CHECK(cursor->at <= cursor->in.len);
        if (!imap_at_end(cursor)) cursor->at++;
        return;
    }
    if (kind == 8) check_set(span);
    if (kind == 2 || kind == 11) check_string(span, cursor->arena);
    if (kind == 3) (void)imap_match(span, span_head(cursor->in, 64));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    uint64_t literal;
    bool waits;
    size_t start;
    if (size < 1 || size > 65536) return 0;
    arena_init(&arena, 1 << 22);
    struct imap_cursor cursor = { .in = span_of(data + 1, size - 1), .arena = &arena };
    for (unsigned step = 0; !imap_at_end(&cursor); step++) {
        size_t before = cursor.at;
        take_one(&cursor, (data[0] + step) % 12u);
        CHECK(cursor.at >= before && cursor.at <= cursor.in.len);
        if (cursor.at == before) cursor.at++;
    }
    if (imap_literal_at_end(cursor.in, &literal, &waits, &start)) CHECK(start < cursor.in.len);
    arena_clear(&arena);
    return 0;
}

/* The first byte chooses the kind of answer and the status. What reads keeps the bounds; the
 * rows of a reading, written as etcd writes them, read as the same rows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "buf.h"
#include "check.h"
#include "coord_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AGAIN_BYTES = 4 * 1024 * 1024 };

static const struct coord_space space = { SPAN_INIT("/godwit/c/") };

static void put_text(struct buf *out, const char *text)
{
    buf_put(out, span_of(text, strlen(text)));
}

static void put_row(struct buf *out, const struct coord_row *row)
{
    char key[COORD_ETCD_KEY_MAX_BYTES], revision[64];
    memcpy(key, space.prefix.ptr, space.prefix.len);
    memcpy(key + space.prefix.len, row->key.ptr, row->key.len);
    put_text(out, "{\"key\":\"");
    base64_encode(out, span_of(key, space.prefix.len + row->key.len));
    snprintf(revision, sizeof(revision), "\",\"mod_revision\":\"%" PRIu64 "\",\"value\":\"",
             row->revision);
    put_text(out, revision);
    base64_encode(out, row->value);
    put_text(out, "\"}");
}

static void check_again(const struct coord_reply *reply)
{
    struct coord_reply again;
    struct buf out;
    char *bytes = malloc(AGAIN_BYTES);
    CHECK(bytes != NULL);
    buf_init(&out, bytes, AGAIN_BYTES);
    put_text(&out, "{\"kvs\":[");
    for (size_t i = 0; i < reply->rows_count; i++) {
        if (i > 0) put_text(&out, ",");
        put_row(&out, &reply->rows[i]);
    }
    put_text(&out, "]}");
    if (!out.overflow) {
        CHECK(coord_reply_read(COORD_REPLY_RANGE, space, 200, buf_span(&out), &again).code ==
              ERR_OK);
        CHECK(again.rows_count == reply->rows_count);
        for (size_t i = 0; i < again.rows_count; i++) {
            CHECK(span_eq(again.rows[i].key, reply->rows[i].key));
            CHECK(span_eq(again.rows[i].value, reply->rows[i].value));
            CHECK(again.rows[i].revision == reply->rows[i].revision);
        }
        coord_reply_free(&again);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = { 200, 200, 400, 503 };
    struct coord_reply reply;
    if (size == 0) return 0;
    enum coord_reply_kind kind = (enum coord_reply_kind)(data[0] % 8 % 5);
    unsigned status = statuses[data[0] / 8 % 4];
    if (coord_reply_read(kind, space, status, span_of(data + 1, size - 1), &reply).code != ERR_OK) {
        return 0;
    }
    CHECK(status == 200 || reply.refusal != COORD_REFUSED_NOT);
    CHECK((reply.refusal == COORD_REFUSED_NOT) == (reply.err.code == ERR_OK));
    for (size_t i = 0; i < reply.rows_count; i++) {
        const struct coord_row *row = &reply.rows[i];
        CHECK(row->revision > 0 && row->key.len > 0 && row->key.len <= COORD_KEY_MAX_BYTES);
        CHECK(row->value.len <= COORD_VALUE_MAX_BYTES);
        CHECK(row->value.ptr != NULL || kind == COORD_REPLY_WATCH);
    }
    if (kind == COORD_REPLY_RANGE) check_again(&reply);
    coord_reply_free(&reply);
    return 0;
}

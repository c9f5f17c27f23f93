/* A record that is taken is written back as it was; one that is cut says MORE, and only that. Its
 * beginning says the same as the whole, however little of the body is there. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "mail_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(const struct mail_record *record, struct span bytes)
{
    size_t head = mail_record_head_bytes(record);
    size_t body = record->items & MAIL_RECORD_BODY ? record->body.len : 0;
    char *copy = malloc(head);
    CHECK(copy != NULL && head + body == bytes.len);
    mail_record_head(record, copy);
    CHECK(span_eq(span_of(copy, head), span_head(bytes, head)));
    free(copy);
}

static void check_begun(const struct mail_record *record, struct span bytes)
{
    size_t head = mail_record_head_bytes(record), used = 0;
    struct mail_record begun;
    CHECK(mail_record_begin(bytes, &begun, &used) == MAIL_RECORD_OK);
    CHECK(used == head && begun.uid == record->uid && begun.items == record->items);
    CHECK(begun.modseq == record->modseq && begun.body.len == record->body.len);
    CHECK(mail_record_begin(span_head(bytes, head), &begun, &used) == MAIL_RECORD_OK);
    CHECK(mail_record_begin(span_head(bytes, head - 1), &begun, &used) == MAIL_RECORD_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct mail_record record;
    size_t used, need;
    while (mail_record_take(in, &record, &used, &need) == MAIL_RECORD_OK) {
        struct mail_record cut;
        size_t unused;
        check_written(&record, span_head(in, used));
        check_begun(&record, span_head(in, used));
        CHECK(mail_record_take(span_head(in, used - 1), &cut, &unused, &need) == MAIL_RECORD_MORE);
        CHECK(need == used);
        in = span_skip(in, used);
    }
    return 0;
}

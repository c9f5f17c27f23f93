/* mail_stream.h: records about messages, as a storage node streams them (Fetch, Changes, FlagsSet).
 *
 * Records follow each other, cut anywhere into data frames. All integers little-endian:
 *
 *   length u32      of everything behind this field
 *   items  u8       which groups follow, FetchItems of store.proto
 *   uid u32 | flags u64 | modseq u64                                     always
 *   internaldate_ms u64 | savedate_ms u64 | size u32 | email_id u64 | thread_id u64
 *                                                                        FETCH_DATES
 *   facts_len u32 | facts                                                FETCH_FACTS (facts.h)
 *   body_len u32 | body                                                  FETCH_BODY (stored_body.h)
 */
#ifndef MAIL_MAIL_STREAM_H
#define MAIL_MAIL_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MAIL_RECORD_DATES = 1, MAIL_RECORD_FACTS = 2, MAIL_RECORD_BODY = 4, /* = FetchItems */
    MAIL_RECORD_INDEX_BYTES = 25,                                       /* a record of items 0 */
    MAIL_RECORD_HEAD_BYTES = 4,
    MAIL_RECORD_BEFORE_BODY_BYTES = MAIL_RECORD_INDEX_BYTES + 4, /* of items MAIL_RECORD_BODY */
    MAIL_RECORD_MAX_BYTES = 256 * 1024 * 1024,
};

struct mail_record {
    uint8_t items;
    uint32_t uid;
    uint64_t flags, modseq;
    uint64_t internaldate_ms, savedate_ms;
    uint32_t size;
    uint64_t email_id, thread_id;
    struct span facts, body;
};

/* How many bytes mail_record_head writes: everything but the bytes of `body` itself, which the
 * sender streams behind (its length is counted in). */
size_t mail_record_head_bytes(const struct mail_record *record);

/* Writes the record up to where the bytes of `body` begin. `to` has mail_record_head_bytes(). */
void mail_record_head(const struct mail_record *record, char *to);

enum mail_record_state { MAIL_RECORD_OK, MAIL_RECORD_MORE, MAIL_RECORD_BAD };

/* Takes one record off the front of `in`. Spans point into `in`. MORE: not whole yet; `*need` is
 * then its whole length in bytes as far as it is known (0: not yet). */
enum mail_record_state mail_record_take(struct span in, struct mail_record *record, size_t *used,
                                        size_t *need);

/* The same for one who can't hold a record whole: takes only what stands before the bytes of
 * `body`, whose length it says with no pointer (`*used` bytes in; the body's bytes follow). A
 * record that has no body is taken whole. MORE: that much is not here yet. */
enum mail_record_state mail_record_begin(struct span in, struct mail_record *record,
                                         size_t *used);

#ifdef __cplusplus
}
#endif
#endif

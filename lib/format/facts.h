/* facts.h: what is computed once at delivery and never again: the facts row of a message.
 *
 * Format, version 1, integers little-endian:
 *
 *   version u8 = 1 | flags u8 (bit 0: header has 8-bit bytes, bit 1: body has 8-bit bytes or NUL,
 *                    bit 2: MIME was malformed, bit 3: has an attachment,
 *                    bit 4: `fields` has not all of them; then look in the message)
 *   date_ms i64        Date header as UTC milliseconds, INT64_MIN when there is none
 *   lines u32          CRLF lines of the whole message's text
 *   header_bytes u32   where the body of the top level begins
 *   parts u16          how many part records
 *   envelope_len u32, structure_len u32, fields_len u32, preview_len u16
 *   envelope           the text behind "ENVELOPE " in a FETCH reply, ready to send (RFC 3501 7.4.2)
 *   structure          the text behind "BODYSTRUCTURE ", ready to send
 *   fields             raw header fields that clients list by, CRLF-ended, in message order and as
 *                      received: see facts_field_is_kept()
 *   preview            up to 200 characters of text, UTF-8 (RFC 8970)
 *   part records, depth first, the top level first:
 *     level u8         depth; the top level is 0
 *     kind u8          FACTS_PART_*
 *     encoding u8      FACTS_ENCODING_*
 *     section u16      its number among its siblings, from 1 (IMAP part specifier)
 *     header_at u32, body_at u32, end_at u32   offsets into the message: MIME header, content, end
 *     lines u32
 *
 * Header bytes of an embedded message (FACTS_PART_RFC822): its one child record is the top level
 * of the message inside, with kind, header_at and body_at of that message (so that BODY[2.HEADER],
 * BODY[2.TEXT] and BODY[2.1] need no parsing). */
#ifndef MAIL_FACTS_H
#define MAIL_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FACTS_VERSION = 1,
    FACTS_PARTS_MAX = 1000,          /* parts beyond it are not listed */
    FACTS_DEPTH_MAX = 100,
    FACTS_MAX_BYTES = 1024 * 1024,   /* longer envelopes and structures are cut, well formed */
    FACTS_HEAD_BYTES = 34, FACTS_PART_BYTES = 21,
};

/* Persisted. */
enum facts_part_kind { FACTS_PART_LEAF = 0, FACTS_PART_MULTI = 1, FACTS_PART_RFC822 = 2 };
enum facts_encoding {
    FACTS_ENCODING_7BIT = 0, FACTS_ENCODING_8BIT = 1, FACTS_ENCODING_BINARY = 2,
    FACTS_ENCODING_BASE64 = 3, FACTS_ENCODING_QP = 4, FACTS_ENCODING_OTHER = 5,
};
enum { FACTS_HEADER_8BIT = 1, FACTS_BODY_8BIT = 2, FACTS_MALFORMED = 4, FACTS_ATTACHMENT = 8,
       FACTS_FIELDS_CUT = 16 };

struct facts_part {
    uint8_t level, kind, encoding;
    uint16_t section;
    uint32_t header_at, body_at, end_at, lines;
};

struct facts {
    uint8_t flags;
    int64_t date_ms;
    uint32_t lines, header_bytes;
    uint16_t parts_count;
    struct span envelope, structure, fields, preview;
    struct span parts; /* parts_count * FACTS_PART_BYTES */
};

/* Reads a row; spans point into `row`. ERR_CORRUPT, ERR_UNSUPPORTED (newer version). */
MUST_USE struct err facts_read(struct span row, struct facts *ret);

/* The part record at `index` < parts_count. Its offsets are as the row has them: unchecked. */
struct facts_part facts_part_at(const struct facts *facts, size_t index);

/* Writes one part record. */
void facts_part_write(const struct facts_part *part, char to[FACTS_PART_BYTES]);

size_t facts_bytes(const struct facts *facts);
/* Writes a row of facts_bytes() bytes. */
void facts_write(const struct facts *facts, char *to);
/* Writes only what stands before the envelope, for a writer that has put the rest in its place. */
void facts_head_write(const struct facts *facts, char to[FACTS_HEAD_BYTES]);

/* Pieces of a row that a reader may have no use for, and then need not be sent. On the wire for
 * ever. What stands before the envelope in a row is always there. */
enum facts_piece {
    FACTS_PIECE_ENVELOPE = 1, FACTS_PIECE_STRUCTURE = 2, FACTS_PIECE_FIELDS = 4,
    FACTS_PIECE_PREVIEW = 8, FACTS_PIECE_PARTS = 16, FACTS_PIECES_ALL = 31,
};
/* Leaves pieces out: they are empty then. Bits that no piece has mean nothing. */
void facts_leave_out(struct facts *facts, uint32_t pieces);

/* Whether `name` (without colon) is one of the fields kept in `fields`; the list is in facts.c. */
bool facts_field_is_kept(struct span name);

/* BODY text (no extension data, RFC 3501 7.4.2) out of a BODYSTRUCTURE text. Appends to `out`
 * never more bytes than `structure` has. */
struct buf;
void facts_structure_basic(struct span structure, struct buf *out);

/* Finds a section: `path` are the part numbers of "1.2.3" (count 0: the message itself), `what` is
 * the end of the specifier. On ERR_OK [*from, *to) is the run of message octets; for HEADER.FIELDS
 * the caller filters the header run. ERR_NOT_FOUND: no such part (FETCH gives NIL). RFC 3501
 * 6.4.5. */
enum facts_section {
    FACTS_SECTION_ALL, FACTS_SECTION_HEADER, FACTS_SECTION_TEXT, FACTS_SECTION_MIME,
};
MUST_USE struct err facts_section_find(const struct facts *facts, const uint32_t *path,
                                       size_t count, enum facts_section what,
                                       uint32_t message_bytes, uint32_t *from, uint32_t *to);

/* The record of the part at `path`, as above; with `count` 0 that of the message itself.
 * ERR_NOT_FOUND. */
MUST_USE struct err facts_part_find(const struct facts *facts, const uint32_t *path, size_t count,
                                    struct facts_part *ret);

#ifdef __cplusplus
}
#endif
#endif

/* imap_fetch_private.h: FETCH between its parser, its steps and what writes the items. */
#ifndef MAIL_IMAP_FETCH_PRIVATE_H
#define MAIL_IMAP_FETCH_PRIVATE_H

#include "facts.h"
#include "imap_private.h"
#include "mail_stream.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    IMAP_FETCH_ITEMS_MAX = 64,
    IMAP_FETCH_PATH_MAX = FACTS_DEPTH_MAX,
    IMAP_FETCH_FIELDS_MAX = 256,
    IMAP_HEADER_MAX_BYTES = 1024 * 1024, /* what HEADER.FIELDS looks through */
};

enum imap_item_kind {
    IMAP_ITEM_UID,
    IMAP_ITEM_FLAGS,
    IMAP_ITEM_INTERNALDATE,
    IMAP_ITEM_SIZE,
    IMAP_ITEM_MODSEQ,
    IMAP_ITEM_EMAILID,
    IMAP_ITEM_THREADID,
    IMAP_ITEM_SAVEDATE,
    IMAP_ITEM_PREVIEW,
    IMAP_ITEM_ENVELOPE,
    IMAP_ITEM_STRUCTURE,
    IMAP_ITEM_BASIC,   /* BODY: the structure without extensions */
    IMAP_ITEM_SECTION, /* a run of the message's octets */
    IMAP_ITEM_FIELDS,  /* HEADER.FIELDS and .NOT */
    IMAP_ITEM_BINARY,  /* a part with its transfer encoding undone (RFC 3516) */
    IMAP_ITEM_BINARY_SIZE,
};

struct imap_item {
    enum imap_item_kind kind;
    struct span label; /* " BODY[TEXT]<0> ": with a space on either side */
    enum facts_section section;
    uint32_t *path;
    size_t path_count;
    struct span *fields;
    size_t fields_count;
    bool fields_not;
    bool kept;    /* every field stands in the facts row, unless that says that it has not all */
    bool seen;    /* no PEEK */
    bool partial; /* <from.count> */
    uint32_t from, count;
};

/* A long value under way. */
enum imap_source {
    IMAP_FROM_NOTHING,
    IMAP_FROM_ENVELOPE,
    IMAP_FROM_STRUCTURE,
    IMAP_FROM_SCRATCH,
    IMAP_FROM_MESSAGE,
    IMAP_FROM_DECODED,
};

struct imap_fetch {
    struct imap_item items[IMAP_FETCH_ITEMS_MAX];
    size_t count;
    uint32_t needs; /* FetchItems */
    uint32_t pieces; /* of the facts rows, FACTS_PIECE_* */
    bool seen;      /* sets \Seen */
    bool flags;     /* FLAGS is asked for */
    bool kept;      /* an item is */
    struct uid_set cut; /* messages whose facts have not all fields: asked for again with bodies */
    bool uid, modseq;
    bool binary;    /* BINARY or BINARY.SIZE is asked for */
    bool vanished, has_changed_since; /* RFC 7162 3.2.6 */
    uint64_t changed_since;
    struct span set; /* as written */
    struct store_fetch_request request;
    struct store_flags_set_request seen_request;
    uint64_t seen_modseq; /* of our own \Seen: FLAGS are told for what it changed */
    uint64_t expected, records;
    struct err err; /* the first message that could not be told */
    bool unknown_encoding; /* the reason for it */

    /* The record under way. */
    bool open, begun, in_gather;
    struct span raw;
    struct mail_record record;
    uint32_t number;
    struct facts facts;
    struct imap_opened opened;
    bool is_opened;
    size_t item;
    enum imap_source source;
    uint64_t at, end;
    char *scratch;
    size_t scratch_len, scratch_size;
    struct body *decoded;
};

/* imap_fetch_parse.c: the set, the items and the modifiers. */
MUST_USE struct err imap_fetch_parse(struct imap_session *session, struct imap_fetch *fetch);
/* imap_fetch_put.c: `data` of the call; frees what a fetch holds. */
size_t imap_fetch_data(struct imap_session *session, struct span in);
void imap_fetch_free(struct imap_session *session, void *state);
MUST_USE struct err imap_fetch_scratch(struct imap_fetch *fetch, size_t size);
struct span imap_fetch_piece(const struct imap_fetch *fetch, uint64_t at); /* of the message */
/* The run of octets of a section; false: there is no such part. */
bool imap_fetch_section(const struct imap_fetch *fetch, const struct imap_item *item,
                        uint64_t *from, uint64_t *to);
/* What <from.count> leaves of the bytes range[0] to range[1]. */
void imap_item_cut(const struct imap_item *item, uint64_t range[2]);
/* Begins a string of the bytes range[0] to range[1] of a source. */
char *imap_fetch_string(struct imap_fetch *fetch, enum imap_source source,
                        const uint64_t range[2], char *to);

/* imap_fetch_binary.c. Whether every BINARY item of the record can be decoded. */
bool imap_binary_is_known(const struct imap_fetch *fetch);
char *imap_put_binary(struct imap_session *session, struct imap_fetch *fetch,
                      const struct imap_item *item, char *to);

#ifdef __cplusplus
}
#endif
#endif

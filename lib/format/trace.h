/* trace.h: the trace fields that a server puts on top of a message (RFC 5321 4.4). Pure.
 *
 * Bytes of the client's are among what they say. Whatever could end a line, open a comment or pass
 * for another clause is written as "?", so no client adds a field or a word of its own. */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum {
    TRACE_LINE_CHARACTERS = 78, /* RFC 5322 2.1.1; only a longer word makes a longer line */
    TRACE_WORD_MAX_BYTES = 512, /* longer ones are cut */
    TRACE_PATH_MAX_BYTES = 1024,
    TRACE_DATE_BYTES = 31,
    TRACE_FOR_MAX = 16,
};

struct trace_facts {
    struct span helo;        /* as the client called itself; empty: it did not */
    struct span client_name; /* by DNS, as far as it was checked; may be empty */
    struct span client_ip;   /* text, without brackets; empty: a unix socket */
    struct span with;        /* SMTP, ESMTP, ESMTPSA, LMTP, UTF8SMTP, ... (RFC 3848, RFC 6531) */
    struct span cipher;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384", as a comment; may be empty */
    struct span by;          /* our name */
    struct span id;
    struct span for_address; /* the only recipient; empty when there are several: none is told
                                about another */
    uint64_t time_ms;
};

/* Appends "Received: ..." with its line end; at most about 4 KiB. */
void trace_received(const struct trace_facts *facts, struct buf *out);

/* How often a message was here, by its Received fields with `by` as our name, ASCII case aside, and
 * for whom, as far as they say it. Spans point into the message. */
struct trace_passes {
    unsigned count, for_count;
    struct span for_addresses[TRACE_FOR_MAX]; /* of the first ones */
};
struct trace_passes trace_passes(struct span message, struct span by);
bool trace_was_for(const struct trace_passes *passes, struct span address);

/* Appends "Return-Path: <sender>" with its line end. */
void trace_return_path(struct span sender, struct buf *out);

/* Appends a date-time of RFC 5322 in UTC. */
void trace_date(uint64_t time_ms, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif

/* trace.h: the header fields that a message gets on its way in (RFC 5321 4.4). Pure.
 *
 * What comes from outside can't end a line or a comment: bytes other than printable ASCII (and, in
 * addresses, UTF-8) become '?', parentheses in comments too. Lines are folded before 78 columns
 * where they can be. */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum { TRACE_TOKEN_MAX_BYTES = 320, TRACE_DATE_BYTES = 31 };

struct trace_facts {
    struct span helo;        /* as the client called itself */
    struct span client_ip;   /* text; empty: a unix socket */
    struct span with;        /* SMTP, ESMTP, ESMTPSA, LMTP, UTF8SMTP, ... */
    struct span by;          /* our name */
    struct span id;
    struct span for_address; /* the only recipient; empty when there are several */
    uint64_t time_ms;
};

/* Appends "Received: ..." with its line end. */
void trace_received(const struct trace_facts *facts, struct buf *out);

/* Appends "Return-Path: <sender>" with its line end. */
void trace_return_path(struct span sender, struct buf *out);

/* Appends a date-time of RFC 5322 in UTC. */
void trace_date(uint64_t time_ms, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif

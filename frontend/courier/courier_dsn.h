/* courier_dsn.h: the report to a sender about his message (RFC 3464 in the form of RFC 6522). */
#ifndef MAIL_COURIER_DSN_H
#define MAIL_COURIER_DSN_H

#include "courier_plan.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct store_queue_entry;

enum {
    COURIER_DSN_HEADER_MAX_BYTES = 64 * 1024, /* of the message's header, when only that is sent */
    COURIER_DSN_ANSWER_MAX_BYTES = 800,       /* of a server's answer */
};

/* Everything that is not in the entry. */
struct courier_dsn {
    const struct store_queue_entry *entry; /* its sender is not null */
    const enum courier_report *reports;    /* for each recipient, from courier_plan() */
    struct span hostname;                  /* ours */
    struct span date, arrival_date;        /* now and created_ms, as RFC 5322 3.3 writes them */
    struct span message_id;                /* with its brackets */
    struct span boundary;                  /* random, at most 60 letters and digits */
    struct body *original;                 /* the message, sealed */
};

/* Appends the report to `out`, a body under way: CRLF lines, ASCII but for what is quoted of the
 * message. Its envelope is <> to entry->sender. A recipient's answer begins with the reply's code
 * ("550 5.1.1 No such user"); bytes that are not ASCII are replaced. ERR_BUSY and ERR_IO come from
 * `out`. */
MUST_USE struct err courier_dsn_write(const struct courier_dsn *dsn, struct body *out);

#ifdef __cplusplus
}
#endif
#endif

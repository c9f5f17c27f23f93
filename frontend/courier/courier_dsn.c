#include "courier_dsn.h"

#include "body.h"
#include "buf.h"
#include "check.h"
#include "smtp_params.h"
#include "smtp_path.h"
#include "store_msg.h"

enum { DSN_LINE_BYTES = 2048 };

/* Actions of RFC 3464 2.3.3, what a person reads, and the status when the answer has none. */
static const struct { struct span action, words, status; } dsn_reports[] = {
    [COURIER_REPORT_FAILED] = { SPAN_INIT("failed"), SPAN_INIT("was refused"),
                                SPAN_INIT("5.0.0") },
    [COURIER_REPORT_EXPIRED] = { SPAN_INIT("failed"), SPAN_INIT("could not be reached in time"),
                                 SPAN_INIT("4.4.7") },
    [COURIER_REPORT_DELAYED] = { SPAN_INIT("delayed"),
                                 SPAN_INIT("could not be reached yet; it is tried again"),
                                 SPAN_INIT("4.0.0") },
    [COURIER_REPORT_DELIVERED] = { SPAN_INIT("delivered"), SPAN_INIT("has the message"),
                                   SPAN_INIT("2.0.0") },
    [COURIER_REPORT_RELAYED] = { SPAN_INIT("relayed"),
                                 SPAN_INIT("lies behind a server that sends no reports"),
                                 SPAN_INIT("2.0.0") },
};

/* Puts spans, up to one without a pointer. */
static struct err dsn_put(struct body *out, const struct span *parts)
{
    for (; parts->ptr != NULL; parts++) TRY(body_put(out, *parts));
    return err_ok();
}
#define DSN_PUT(out, ...) dsn_put((out), (const struct span[]){ __VA_ARGS__, { NULL, 0 } })

/* A copy in which every byte that could end a line or is not ASCII is "?". */
static struct span dsn_clean(struct span from, char to[DSN_LINE_BYTES])
{
    from = span_head(from, COURIER_DSN_ANSWER_MAX_BYTES);
    for (size_t i = 0; i < from.len; i++) {
        to[i] = from.ptr[i] >= 32 && from.ptr[i] < 127 ? from.ptr[i] : '?';
    }
    return span_of(to, from.len);
}

/* "5.1.1" of "550 5.1.1 text"; else what stands for the report. */
static struct span dsn_status(struct span answer, enum courier_report report)
{
    struct span status = span_skip(answer, 4), rest;
    if (report == COURIER_REPORT_EXPIRED) return dsn_reports[report].status;
    if (!span_cut(status, ' ', &status, &rest)) rest = SPAN("");
    size_t dots = 0;
    for (size_t i = 0; i < status.len; i++) {
        bool is_dot = status.ptr[i] == '.';
        if (!is_dot && (status.ptr[i] < '0' || status.ptr[i] > '9')) {
            return dsn_reports[report].status;
        }
        dots += is_dot ? 1 : 0;
    }
    bool is_good = dots == 2 && status.len >= 5 && status.len <= 9 && status.ptr[1] == '.' &&
                   status.ptr[status.len - 1] != '.' && answer.ptr[0] == status.ptr[0];
    return is_good ? status : dsn_reports[report].status;
}

static struct span dsn_subject(const struct courier_dsn *dsn)
{
    bool has_failure = false, has_delay = false;
    for (size_t i = 0; i < dsn->entry->recipients_count; i++) {
        has_failure |= dsn->reports[i] == COURIER_REPORT_FAILED ||
                       dsn->reports[i] == COURIER_REPORT_EXPIRED;
        has_delay |= dsn->reports[i] == COURIER_REPORT_DELAYED;
    }
    if (has_failure) return SPAN("Your message could not be delivered");
    return has_delay ? SPAN("Your message is delayed") : SPAN("Your message was delivered");
}

static struct err dsn_header(const struct courier_dsn *dsn, struct body *out)
{
    return DSN_PUT(out, SPAN("Date: "), dsn->date,
                   SPAN("\r\nFrom: Mail Delivery System <postmaster@"), dsn->hostname,
                   SPAN(">\r\nTo: <"), dsn->entry->sender, SPAN(">\r\nSubject: "),
                   dsn_subject(dsn), SPAN("\r\nMessage-ID: "), dsn->message_id,
                   SPAN("\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                        "\tboundary=\""), dsn->boundary, SPAN("\"\r\n\r\n"));
}

static struct err dsn_words(const struct courier_dsn *dsn, struct body *out)
{
    char clean[DSN_LINE_BYTES];
    TRY(DSN_PUT(out, SPAN("--"), dsn->boundary,
                SPAN("\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
                     "This is the mail system at "), dsn->hostname, SPAN(".\r\n\r\n")));
    for (size_t i = 0; i < dsn->entry->recipients_count; i++) {
        const struct store_queue_recipient *recipient = &dsn->entry->recipients[i];
        if (dsn->reports[i] == COURIER_REPORT_NONE) continue;
        TRY(DSN_PUT(out, SPAN("<"), dsn_clean(recipient->address, clean), SPAN("> "),
                    dsn_reports[dsn->reports[i]].words, SPAN(".\r\n")));
        if (recipient->answer.len == 0) continue;
        TRY(DSN_PUT(out, SPAN("    The answer was: "), dsn_clean(recipient->answer, clean),
                    SPAN("\r\n")));
    }
    return body_put(out, SPAN("\r\n"));
}

/* Xtext came from outside: what it holds when decoded may not end a line either. */
static struct err dsn_decoded(struct body *out, struct span name, struct span type,
                              struct span xtext)
{
    char bytes[DSN_LINE_BYTES], clean[DSN_LINE_BYTES];
    struct buf decoded;
    buf_init(&decoded, bytes, sizeof(bytes));
    if (smtp_xtext_decode(xtext, &decoded).code != ERR_OK || decoded.overflow) return err_ok();
    return DSN_PUT(out, name, type, dsn_clean(buf_span(&decoded), clean), SPAN("\r\n"));
}

static struct err dsn_recipient(const struct store_queue_recipient *recipient,
                                enum courier_report report, struct body *out)
{
    char clean[DSN_LINE_BYTES];
    struct span type, xtext;
    TRY(body_put(out, SPAN("\r\n")));
    if (smtp_orcpt_is_valid(recipient->dsn_orcpt) &&
        span_cut(recipient->dsn_orcpt, ';', &type, &xtext)) {
        type.len++; /* with its ";" */
        TRY(dsn_decoded(out, SPAN("Original-Recipient: "), type, xtext));
    }
    TRY(DSN_PUT(out, SPAN("Final-Recipient: rfc822;"), dsn_clean(recipient->address, clean),
                SPAN("\r\nAction: "), dsn_reports[report].action, SPAN("\r\nStatus: "),
                dsn_status(recipient->answer, report), SPAN("\r\n")));
    if (recipient->answer.len == 0) return err_ok();
    return DSN_PUT(out, SPAN("Diagnostic-Code: smtp; "), dsn_clean(recipient->answer, clean),
                   SPAN("\r\n"));
}

static struct err dsn_status_part(const struct courier_dsn *dsn, struct body *out)
{
    TRY(DSN_PUT(out, SPAN("--"), dsn->boundary,
                SPAN("\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;"),
                dsn->hostname, SPAN("\r\n")));
    if (dsn->entry->dsn_envid.len > 0) {
        TRY(dsn_decoded(out, SPAN("Original-Envelope-Id: "), SPAN(""), dsn->entry->dsn_envid));
    }
    TRY(DSN_PUT(out, SPAN("Arrival-Date: "), dsn->arrival_date, SPAN("\r\n")));
    for (size_t i = 0; i < dsn->entry->recipients_count; i++) {
        if (dsn->reports[i] == COURIER_REPORT_NONE) continue;
        TRY(dsn_recipient(&dsn->entry->recipients[i], dsn->reports[i], out));
    }
    return body_put(out, SPAN("\r\n"));
}

/* How many bytes of the message come before its first empty line. */
static uint64_t dsn_header_bytes(const struct body *original)
{
    uint64_t at = 0;
    size_t line_bytes = 0;
    for (struct span piece; (piece = body_piece(original, at)).len > 0; at += piece.len) {
        for (size_t i = 0; i < piece.len; i++) {
            if (at + i >= COURIER_DSN_HEADER_MAX_BYTES) return at + i - line_bytes;
            if (piece.ptr[i] == '\n') {
                if (line_bytes <= 1) return at + i - line_bytes;
                line_bytes = 0;
            } else {
                line_bytes++;
            }
        }
    }
    return at;
}

static struct err dsn_original(const struct courier_dsn *dsn, bool is_full, struct body *out)
{
    uint64_t end = is_full ? body_size(dsn->original) : dsn_header_bytes(dsn->original);
    bool is_8bit = dsn->entry->body_8bit || dsn->entry->smtputf8;
    TRY(DSN_PUT(out, SPAN("--"), dsn->boundary, SPAN("\r\nContent-Type: "),
                is_full ? SPAN("message/rfc822") : SPAN("text/rfc822-headers"),
                is_8bit ? SPAN("\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
                        : SPAN("\r\n\r\n")));
    struct span piece;
    for (uint64_t at = 0; at < end; at += piece.len) {
        piece = body_piece(dsn->original, at);
        if (piece.len > end - at) piece.len = (size_t)(end - at);
        TRY(body_put(out, piece));
    }
    return DSN_PUT(out, SPAN("\r\n--"), dsn->boundary, SPAN("--\r\n"));
}

struct err courier_dsn_write(const struct courier_dsn *dsn, struct body *out)
{
    bool is_full = false;
    CHECK(dsn->entry->sender.len > 0);
    for (size_t i = 0; i < dsn->entry->recipients_count; i++) {
        is_full |= courier_report_is_full(dsn->entry, dsn->reports[i]);
    }
    TRY(dsn_header(dsn, out));
    TRY(dsn_words(dsn, out));
    TRY(dsn_status_part(dsn, out));
    return dsn_original(dsn, is_full, out);
}

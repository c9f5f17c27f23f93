#include "trace.h"

#include <stdbool.h>

#include "buf.h"
#include "date.h"

static void put_clean(struct buf *out, struct span text, bool in_address)
{
    text = span_head(text, TRACE_TOKEN_MAX_BYTES);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool good = c > ' ' && c < 0x7f && c != '(' && c != ')' && c != '\\';
        if (in_address && c >= 0x80) good = true;
        if (in_address && (c == ' ' || c == '\\')) good = true;
        char put = good ? (char)c : '?';
        buf_put(out, span_of(&put, 1));
    }
}

void trace_date(uint64_t time_ms, struct buf *out) { date_put(out, (int64_t)time_ms, 0); }

void trace_received(const struct trace_facts *facts, struct buf *out)
{
    buf_put(out, SPAN("Received: from "));
    if (facts->helo.len > 0) put_clean(out, facts->helo, false);
    else buf_put(out, SPAN("unknown"));
    if (facts->client_ip.len > 0) {
        buf_put(out, SPAN(" (["));
        put_clean(out, facts->client_ip, false);
        buf_put(out, SPAN("])"));
    }
    buf_put(out, SPAN("\r\n\tby "));
    put_clean(out, facts->by, false);
    buf_put(out, SPAN(" with "));
    put_clean(out, facts->with, false);
    buf_put(out, SPAN(" id "));
    put_clean(out, facts->id, false);
    if (facts->for_address.len > 0) {
        buf_put(out, SPAN("\r\n\tfor <"));
        put_clean(out, facts->for_address, true);
        buf_put(out, SPAN(">"));
    }
    buf_put(out, SPAN(";\r\n\t"));
    trace_date(facts->time_ms, out);
    buf_put(out, SPAN("\r\n"));
}

void trace_return_path(struct span sender, struct buf *out)
{
    buf_put(out, SPAN("Return-Path: <"));
    put_clean(out, sender, true);
    buf_put(out, SPAN(">\r\n"));
}

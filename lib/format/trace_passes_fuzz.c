/* Anything as a message. What we write on top of it ourselves is found again, once more. */
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "check.h"
#include "trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { INPUT_MAX_BYTES = 16 * 1024, TRACE_BYTES = 4096 };
    static char bytes[TRACE_BYTES + INPUT_MAX_BYTES];
    const struct span us = SPAN("mx.example.org"), to = SPAN("ann@example.org");
    struct span message = span_of(data, size > INPUT_MAX_BYTES ? INPUT_MAX_BYTES : size);
    struct trace_passes before = trace_passes(message, us);
    CHECK(before.for_count <= before.count && !trace_was_for(&before, SPAN("")));
    struct trace_facts facts = { .helo = span_head(message, 100), .client_ip = SPAN("192.0.2.1"),
                                 .with = SPAN("ESMTP"), .by = us, .id = SPAN("1"),
                                 .for_address = to };
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    trace_received(&facts, &out);
    buf_put(&out, message);
    CHECK(!out.overflow);
    struct trace_passes after = trace_passes(buf_span(&out), us);
    CHECK(trace_was_for(&after, to) && after.count == before.count + 1);
    return 0;
}

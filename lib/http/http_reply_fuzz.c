/* A whole reply lies within what was read, more bytes behind it change nothing, and any start of it
 * is right so far. */
#include <stdint.h>

#include "check.h"
#include "http_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_reply reply, part;
    struct span in = span_of(data, size);
    if (http_reply_read(in, &reply) != HTTP_REPLY_OK) return 0;
    CHECK(reply.status >= 100 && reply.status <= 999);
    CHECK(reply.body.ptr >= in.ptr && reply.body.ptr + reply.body.len <= in.ptr + in.len);
    size_t whole = (size_t)(reply.body.ptr - in.ptr) + reply.body.len;
    CHECK(http_reply_read(span_head(in, whole), &part) == HTTP_REPLY_OK);
    CHECK(span_eq(part.body, reply.body) && part.status == reply.status);
    for (size_t i = 0; i < whole; i++) {
        CHECK(http_reply_read(span_head(in, i), &part) == HTTP_REPLY_MORE);
    }
    return 0;
}

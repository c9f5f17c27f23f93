/* Texts of an envelope, written as strings, are read back as they were; other bytes are read or
 * refused, and the spans lie within them or in the arena. */
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "check.h"
#include "envelope.h"
#include "imap_put.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_back(struct span text)
{
    static char bytes[8 * 4096];
    struct arena arena;
    struct buf out;
    struct envelope back;
    if (text.len > 512 || (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL)) return;
    buf_init(&out, bytes, sizeof(bytes));
    buf_put(&out, SPAN("(NIL "));
    imap_put_string(&out, text);
    buf_put(&out, SPAN(" ((NIL NIL "));
    imap_put_string(&out, text);
    buf_put(&out, SPAN(" NIL)(NIL NIL NIL NIL)) NIL NIL ((NIL NIL \"b\" \"c\")) NIL NIL "));
    imap_put_string(&out, text);
    buf_put(&out, SPAN(" NIL)"));
    CHECK(!out.overflow);
    arena_init(&arena, 64 * 1024);
    CHECK(envelope_read(buf_span(&out), &arena, &back).code == ERR_OK);
    CHECK(span_eq(back.subject, text) && span_eq(back.from, text));
    CHECK(span_eq(back.in_reply_to, text) && span_eq(back.to, SPAN("b")));
    CHECK(back.cc.len == 0 && back.message_id.len == 0);
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct envelope envelope;
    struct span text = span_of(data, size);
    arena_init(&arena, 64 * 1024);
    struct err err = envelope_read(text, &arena, &envelope);
    CHECK(err.code == ERR_OK || err.code == ERR_CORRUPT || err.code == ERR_NOMEM);
    if (err.code == ERR_OK) CHECK(envelope.subject.len + envelope.message_id.len <= size);
    arena_clear(&arena);
    check_back(text);
    return 0;
}

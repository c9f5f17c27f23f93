/* The walk keeps its limits and its order, whatever the message is; each part that it names can be
 * replaced, and the message is then the same but for that part. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "mime_parts.h"
#include "mime_replace.h"
#include "mime_text.h"
#include "utf8.h"

enum { PARTS_MAX = 20, DECODED_MAX = 100000, PIECE_MAX = 100, NUMBER_MAX_BYTES = 640 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct span message;
    uint32_t parts;
    uint64_t bytes;
    bool open;
    char number[NUMBER_MAX_BYTES];
    size_t number_len;
};

static bool on_begin(void *holder, const struct mime_part *part)
{
    struct seen *seen = holder;
    CHECK(!seen->open && ++seen->parts <= PARTS_MAX);
    seen->open = true;
    CHECK(part->number.len > 0 && part->number.len <= sizeof(seen->number));
    CHECK(utf8_is_valid(part->name) && part->name.len <= MIME_PART_NAME_MAX_BYTES);
    memcpy(seen->number, part->number.ptr, part->number.len);
    seen->number_len = part->number.len;
    return seen->parts % 5 != 0;
}

static bool on_bytes(void *holder, struct span piece)
{
    struct seen *seen = holder;
    CHECK(seen->open && piece.len > 0 && piece.len <= PIECE_MAX && seen->parts % 5 != 0);
    seen->bytes += piece.len;
    CHECK(seen->bytes <= DECODED_MAX);
    return true;
}

static bool on_end(void *holder)
{
    struct seen *seen = holder;
    CHECK(seen->open);
    seen->open = false;
    return true;
}

static bool on_text(void *holder, struct span text)
{
    (void)holder;
    CHECK(utf8_is_valid(text));
    return false;
}

static void check_replaced(const struct seen *seen)
{
    char *made;
    size_t len;
    struct span notice = SPAN("taken out\r\n");
    struct err err = mime_replace_part(seen->message, span_of(seen->number, seen->number_len),
                                       notice, &made, &len);
    CHECK(err.code == ERR_OK);
    CHECK(memmem(made, len, notice.ptr, notice.len) != NULL);
    CHECK(len <= seen->message.len + notice.len + 100);
    free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mime_parts_visitor visitor = { on_begin, on_bytes, on_end };
    struct mime_parts_limits limits = { PARTS_MAX, DECODED_MAX, PIECE_MAX };
    struct seen seen = { .message = span_of(data, size) };
    struct err err = mime_parts_walk(seen.message, &limits, &visitor, &seen);
    CHECK(err.code == ERR_OK || err.code == ERR_TOO_BIG);
    CHECK(!seen.open && (seen.parts > 0 || err.code == ERR_TOO_BIG || size > 0));
    if (seen.number_len > 0) check_replaced(&seen);
    CHECK(mime_text_body(seen.message, on_text, NULL).code == ERR_OK);
    CHECK(mime_text_header(seen.message, on_text, NULL).code == ERR_OK);
    return 0;
}

/* Anything as a message, with one of three footers. What comes out has the same parts, each with
 * all of its decoded bytes and at most one run of others among them; a second time changes
 * nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "mime_footer.h"
#include "mime_parts.h"

enum { PARTS_MAX = 64 };

struct parts {
    char *bytes[PARTS_MAX];
    size_t len[PARTS_MAX], count;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool begin(void *holder, const struct mime_part *part)
{
    struct parts *parts = holder;
    if (part->is_uuencoded) return false; /* a guess at what the text is, as it now goes on */
    if (parts->count == PARTS_MAX) return false;
    parts->bytes[parts->count] = NULL;
    parts->len[parts->count++] = 0;
    return true;
}

static bool bytes(void *holder, struct span piece)
{
    struct parts *parts = holder;
    size_t at = parts->count - 1;
    parts->bytes[at] = realloc(parts->bytes[at], parts->len[at] + piece.len + 1);
    CHECK(parts->bytes[at] != NULL);
    memcpy(parts->bytes[at] + parts->len[at], piece.ptr, piece.len);
    parts->len[at] += piece.len;
    return true;
}

static bool end(void *holder)
{
    (void)holder;
    return true;
}

static bool take(struct span message, struct parts *parts)
{
    static const struct mime_parts_visitor visitor = { begin, bytes, end };
    const struct mime_parts_limits limits = { PARTS_MAX, UINT64_MAX, SIZE_MAX };
    parts->count = 0;
    return mime_parts_walk(message, &limits, &visitor, parts).code == ERR_OK;
}

static void parts_free(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) free(parts->bytes[i]);
}

/* Whether `now` is `then` with one run of bytes put in. */
static bool is_kept(struct span then, struct span now)
{
    size_t head = 0, tail = 0;
    if (now.len < then.len) return false;
    while (head < then.len && then.ptr[head] == now.ptr[head]) head++;
    while (tail < then.len && then.ptr[then.len - 1 - tail] == now.ptr[now.len - 1 - tail]) tail++;
    return head + tail >= then.len;
}

static void compare(struct span before, struct span after)
{
    static struct parts then, now;
    bool can = take(before, &then);
    bool could = take(after, &now);
    if (can && could && then.count == now.count) {
        for (size_t i = 0; i < then.count; i++) {
            CHECK(is_kept(span_of(then.bytes[i], then.len[i]), span_of(now.bytes[i], now.len[i])));
        }
    } else {
        CHECK(!can || !could || then.count == PARTS_MAX);
    }
    parts_free(&then);
    parts_free(&now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char line[1201];
    static const struct mime_footer footers[] = {
        { SPAN_INIT("-- \nAcme, all of it\n"), SPAN_INIT("") },
        { SPAN_INIT("Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac\r\n.\r\nFrom us"),
          SPAN_INIT("<p>Gr\xc3\xbc\xc3\x9f" "e &amp; <b>more</b></p>") },
    };
    char *made, *again;
    size_t made_len, again_len;
    if (size < 1) return 0;
    memset(line, 'x', sizeof(line) - 1);
    struct mime_footer footer = { span_of(line, sizeof(line) - 1), SPAN("") };
    if (data[0] % 3 < 2) footer = footers[data[0] % 3];
    struct span message = span_of(data + 1, size - 1);
    struct err err = mime_footer_add(message, &footer, &made, &made_len);
    if (err.code != ERR_OK || made == NULL) return 0;
    compare(message, span_of(made, made_len));
    err = mime_footer_add(span_of(made, made_len), &footer, &again, &again_len);
    CHECK(err.code == ERR_OK && again == NULL);
    free(made);
    return 0;
}

/* i;unicode-casemap (RFC 5051): each character becomes its title case, and that is decomposed as
 * far as it goes. What is no UTF-8 stands for itself. */
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>

#include "mbox_sort_private.h"
#include "mbox_utf8_private.h"

/* The longest decomposition of Unicode (U+FDFA) has 18 characters; none has more than a few steps.
 */
enum { STEP_UNITS = 32, DEPTH_MAX = 8, CHARACTER_BYTES = 18 * UTF8_MAX_BYTES };

struct folding {
    const UNormalizer2 *normalizer;
    char bytes[CHARACTER_BYTES]; /* of one character */
    size_t len;
};

static void put_decomposed(struct folding *folding, UChar32 c, unsigned depth)
{
    UChar units[STEP_UNITS];
    UErrorCode status = U_ZERO_ERROR;
    int32_t count = depth == DEPTH_MAX ? -1
        : unorm2_getRawDecomposition(folding->normalizer, c, units, STEP_UNITS, &status);
    if (count < 0 || U_FAILURE(status)) {
        if (folding->len > CHARACTER_BYTES - UTF8_MAX_BYTES) return;
        folding->len += utf8_put((uint32_t)c, folding->bytes + folding->len);
        return;
    }
    for (int32_t at = 0; at < count;) {
        UChar unit = units[at++];
        UChar32 part = unit;
        if (U16_IS_LEAD(unit) && at < count) part = U16_GET_SUPPLEMENTARY(unit, units[at++]);
        put_decomposed(folding, part, depth + 1);
    }
}

/* Folds the character at `*at`. */
static void fold_one(struct folding *folding, struct span text, size_t *at)
{
    uint32_t c = 0;
    size_t len = utf8_take(span_skip(text, *at), &c);
    folding->len = 0;
    if (len <= 1) {
        char byte = text.ptr[(*at)++];
        folding->bytes[folding->len++] = byte >= 'a' && byte <= 'z' ? (char)(byte - 'a' + 'A')
                                                                    : byte;
        return;
    }
    *at += len;
    put_decomposed(folding, u_totitle((UChar32)c), 0);
}

/* `to` may be NULL: only the length is asked for. */
static size_t fold(struct folding *folding, struct span text, char *to)
{
    size_t len = 0;
    for (size_t at = 0; at < text.len;) {
        fold_one(folding, text, &at);
        if (to != NULL) memcpy(to + len, folding->bytes, folding->len);
        len += folding->len;
    }
    return len;
}

struct err mbox_casemap(struct span text, struct arena *arena, struct span *ret)
{
    UErrorCode status = U_ZERO_ERROR;
    struct folding folding = { .normalizer = unorm2_getNFKCInstance(&status) };
    if (U_FAILURE(status)) return err_make(ERR_NOMEM, "Unicode tables");
    size_t len = fold(&folding, text, NULL);
    char *to = arena_alloc(arena, len + 1);
    if (to == NULL) return err_make(ERR_TOO_BIG, "text to compare");
    *ret = span_of(to, fold(&folding, text, to));
    return err_ok();
}

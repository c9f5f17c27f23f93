/* Fields follow each other without gaps; what is decoded is valid UTF-8 on one line and within the
 * bounds that header.h and param.h name. */
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "header.h"
#include "param.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool to_utf8(void *user, struct span charset, struct span bytes, struct buf *out)
{
    (void)user;
    if (!span_eq_nocase(charset, SPAN("utf-8"))) return false;
    utf8_put_clean(out, bytes);
    return true;
}

static const struct header_charsets charsets = { to_utf8, NULL };

static void check_text(const struct buf *out)
{
    CHECK(!out->overflow);
    CHECK(utf8_is_valid(buf_span(out)));
}

static void check_value(struct span value)
{
    size_t room = 3 * value.len + 1;
    char *bytes = malloc(room);
    struct buf out;
    struct param param;
    struct span type, subtype, rest = value;
    CHECK(bytes != NULL);
    buf_init(&out, bytes, value.len);
    header_unfold(&out, value);
    CHECK(!out.overflow);
    buf_init(&out, bytes, room);
    header_decode(&out, value, &charsets);
    check_text(&out);
    if (!param_take_type(&rest, &type, &subtype)) (void)param_take_word(&rest);
    buf_init(&out, bytes, room);
    if (param_find(rest, SPAN("name"), &charsets, &out)) check_text(&out);
    while (param_take(&rest, &param)) {
        buf_init(&out, bytes, param.value.len);
        param_unquote(&out, &param);
        CHECK(!out.overflow);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct header_field field;
    const char *at = in.ptr;
    while (header_take(&in, &field)) {
        CHECK(field.raw.ptr == at && field.raw.len > 0);
        at += field.raw.len;
        CHECK(field.name.len + field.value.len <= field.raw.len);
        check_value(field.value);
    }
    CHECK(in.len <= size);
    return 0;
}

/* A path that is taken stays what it is when it is written again; parameters lie in their line;
 * decode(encode(x)) is x. */
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "smtp_params.h"
#include "smtp_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_BYTES = 4096 };

static void path_again(const struct smtp_path *path)
{
    char bytes[TEXT_BYTES];
    struct buf text;
    struct smtp_path again;
    struct span rest;
    buf_init(&text, bytes, sizeof(bytes));
    buf_put(&text, SPAN("<"));
    buf_put(&text, path->local);
    if (path->domain.len > 0) buf_put(&text, SPAN("@"));
    buf_put(&text, path->domain);
    buf_put(&text, SPAN(">"));
    CHECK(!text.overflow);
    CHECK(smtp_path_parse(buf_span(&text), &again, &rest).code == ERR_OK && rest.len == 0);
    CHECK(span_eq(again.local, path->local) && span_eq(again.domain, path->domain));
    CHECK(again.is_ascii == path->is_ascii);
    if (path->domain.len == 0) return;
    CHECK(smtp_address_parse(span_head(span_skip(buf_span(&text), 1), text.len - 2), &again).code ==
          ERR_OK);
    CHECK(span_eq(again.local, path->local) && span_eq(again.domain, path->domain));
}

static void params(struct span rest)
{
    struct smtp_param param;
    uint64_t number;
    uint8_t bits;
    while (smtp_param_take(&rest, &param).code == ERR_OK) {
        CHECK(param.key.len > 0);
        if (smtp_number_parse(param.value, &number).code == ERR_OK) CHECK(param.value.len <= 20);
        if (smtp_notify_parse(param.value, &bits).code == ERR_OK) CHECK(bits != 0 && bits < 15);
        (void)smtp_orcpt_is_valid(param.value);
    }
}

static void xtext(struct span in)
{
    char coded_bytes[TEXT_BYTES * 3], plain_bytes[TEXT_BYTES];
    struct buf coded, plain;
    buf_init(&coded, coded_bytes, sizeof(coded_bytes));
    buf_init(&plain, plain_bytes, sizeof(plain_bytes));
    in = span_head(in, TEXT_BYTES);
    smtp_xtext_encode(in, &coded);
    CHECK(smtp_xtext_is_valid(buf_span(&coded)));
    CHECK(smtp_xtext_decode(buf_span(&coded), &plain).code == ERR_OK);
    CHECK(span_eq(in, buf_span(&plain)));
    plain.len = 0;
    CHECK((smtp_xtext_decode(in, &plain).code == ERR_OK) == smtp_xtext_is_valid(in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size), rest;
    struct smtp_path path;
    if (smtp_path_parse(in, &path, &rest).code == ERR_OK) {
        CHECK(path.local.len <= SMTP_LOCAL_PART_MAX_BYTES);
        CHECK(path.domain.len <= SMTP_DOMAIN_MAX_BYTES);
        path_again(&path);
        params(rest);
    }
    params(in);
    xtext(in);
    return 0;
}
